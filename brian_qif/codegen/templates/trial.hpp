// One trial of one network: the forward sweep that records events, with checkpoints of the state every BLOCK events.

#include <deque>
#include <queue>

constexpr int BLOCK = 64;
constexpr size_t MOST_EVENTS = 10000000, MOST_UPDATES = 200000000;

enum Outcome { DONE = 0, NOT_FINITE = 1, TOO_MANY_EVENTS = 2, GRAZING = 3, OUT_OF_MEMORY = 4 };

struct Pathway {
    int source, target;
    const int64_t *fan_pointer, *fan_start, *first_target, *targets;  // first_target: -1 where targets are not contiguous
    const real *fan_delay, *weights, *largest_weight;
};

struct Network {
    std::vector<Node> nodes;
    std::vector<Pathway> pathways;
    std::vector<std::vector<int>> components;
    real sparse_factor = 0;

    // Whether spikes reach so few of a component's neurons that each is better carried by itself.
    bool is_sparse(const std::vector<int> &members) const {
        real neurons = 0, synapses = 0, fans = 0;
        for (const int k : members) {
            neurons += nodes[k].size;
            for (const Pathway &pathway : pathways)
                if (pathway.target == k) {
                    const int64_t count = pathway.fan_pointer[nodes[pathway.source].size];
                    fans += count;
                    synapses += pathway.fan_start[count];
                }
        }
        return fans > 0 && sparse_factor * synapses < neurons * fans;
    }
};

constexpr int SPIKE = -1, SAMPLE = -2;

// An arrival through a fan of a pathway, a spike of a neuron (pathway = SPIKE), or a reading of the state of a node
// (pathway = SAMPLE); `spike` counts the spikes or samples of the node.
struct Action {
    int pathway, node;
    int64_t fan_or_neuron, spike;
};

struct Arrival {
    real time;
    int64_t order;
    Action action;
    bool operator<(const Arrival &other) const {  // for a queue with the earliest on top
        return time != other.time ? time > other.time : order > other.order;
    }
};

// What happens at one time: the actions from first_action up to that of the next event; none where a long step is cut.
struct Event {
    real time;
    size_t first_action;
};

// Of a sparse component: one neuron is carried over `length` and changed; its state before.
struct Local {
    real x[3];  // v and I, or p, q and I
};

struct Update {
    real length;
    Local before;
};

struct SparseEvent {
    real time;
    Action action;
};

struct History {
    std::vector<Event> events;
    std::vector<Action> actions;
    std::vector<real> checkpoints;  // one state of the component for each block of events
    bool sparse = false;
    std::deque<Update> updates;  // grows without a copy of all that there is
    std::deque<SparseEvent> sparse_events;
};

struct SpikeList {
    std::vector<real> times;
    std::vector<int64_t> units;
    std::vector<real> slopes;
};

struct Trial {
    const Network &network;
    real start = 0, end = 0;
    std::vector<SpikeList> spikes;
    std::vector<real> rates;  // of weighted averages; NaN where none is wanted
    std::vector<std::vector<real>> averages;
    std::vector<std::vector<real>> sample_times, samples;  // by node; a sample has the voltages, then the currents
    std::vector<History> histories;
    Outcome outcome = DONE;
    int failed_node = -1;
    int64_t failed_neuron = -1;
    real failed_time = 0;

    explicit Trial(const Network &network)
        : network(network), spikes(network.nodes.size()), rates(network.nodes.size()),
          averages(network.nodes.size()), sample_times(network.nodes.size()), samples(network.nodes.size()),
          histories(network.components.size()) {}

    Outcome fail(Outcome reason, int node, int64_t neuron, real time) {
        failed_node = node;
        failed_neuron = neuron;
        failed_time = time;
        return outcome = reason;
    }
};

// The states of the groups of one component, one after the other, and what is known about them.
struct Component {
    const Network &network;
    const std::vector<int> &members;
    std::vector<size_t> offsets;  // of each member's state
    std::vector<int> member_of;   // by node; -1 outside
    size_t size = 0;
    std::vector<real> largest_current;  // upper bound of |I| of each member
    std::vector<GroupStep> steps;       // of the last flow, by member

    Component(const Network &network, const std::vector<int> &members)
        : network(network), members(members), member_of(network.nodes.size(), -1), largest_current(members.size()),
          steps(members.size()) {
        for (size_t m = 0; m < members.size(); ++m) {
            offsets.push_back(size);
            member_of[members[m]] = int(m);
            size += state_rows(node(m)) * node(m).stride;
        }
    }

    const Node &node(size_t m) const { return network.nodes[members[m]]; }
    const real *current(size_t m, const real *state) const {
        return state + offsets[m] + (state_rows(node(m)) - 1) * node(m).stride;
    }
    real *current(size_t m, real *state) const { return state + offsets[m] + (state_rows(node(m)) - 1) * node(m).stride; }

    bool is_finite(size_t m, const real *state) const {
        real check = 0;
        for (int64_t n = 0; n < state_rows(node(m)) * node(m).stride; ++n)
            check += state[offsets[m] + n] - state[offsets[m] + n];
        return check == 0;
    }

    // Bring (p, q) into range by powers of two and find the largest current; returns a member that is not finite, or -1.
    int open_block(real *state, std::vector<real> &scales) {
        for (size_t m = 0; m < members.size(); ++m) {
            const Node &group = node(m);
{% if "quadratic" in forms %}
            if (group.kind == 1) {
                real *own = state + offsets[m];
                scales.resize(std::max(scales.size(), size_t(group.stride)));
                quadratic_scales(group, own, scales.data());
                for (int row = 0; row < 2; ++row)
                    for (int64_t n = 0; n < group.stride; ++n) own[row * group.stride + n] *= scales[n];
            }
{% else %}
            (void)scales;
{% endif %}
            if (!is_finite(m, state)) return int(m);
            real largest = 0;
            const real *input = current(m, state);
            for (int64_t n = 0; n < group.size; ++n) largest = std::max(largest, std::abs(input[n]));
            largest_current[m] = largest;
        }
        return -1;
    }

    // Number of equal parts of a step of which the first holds at most one spike of any quadratic neuron.
    real parts(real length) const {
        real most = 1;
        for (size_t m = 0; m < members.size(); ++m)
            if (node(m).kind == 1) {
                const real scaled = length / node(m).fastest_tau_m;
                if (scaled <= LONGEST_STEP && largest_current[m] * scaled * scaled <= LARGEST_PHASE) continue;
                most = std::max(most, std::ceil(scaled / LONGEST_STEP));
                most = std::max(most, std::ceil(scaled * std::sqrt(largest_current[m] / LARGEST_PHASE)));
            }
        return most;
    }

    bool flow(real length, const real *before, real *after) {
        bool hit = false;
        for (size_t m = 0; m < members.size(); ++m) {
            steps[m].make(node(m), length);
            Step &shared = steps[m].shared;
            shared.terms = stumpff_terms(largest_current[m] * shared.r * shared.r);
            hit |= step_forward(node(m), steps[m], before + offsets[m], after + offsets[m]);
        }
        return hit;
    }

    // After the last flow has been accepted.
    void decay_bounds() {
        for (size_t m = 0; m < members.size(); ++m)
            if (node(m).kind == 1) {
                const Step &shared = steps[m].shared;
                const real x = shared.length / node(m).slowest_tau_m;
                const real decay = node(m).uniform ? shared.decay_m : decay_of(x, expm1_ratio(-x));
                largest_current[m] *= decay * decay;
            }
    }

    void apply(const Action &action, real *state) {
        if (action.pathway == SAMPLE) return;
        if (action.pathway == SPIKE) {
            const size_t m = member_of[action.node];
            const Node &group = node(m);
            if (group.kind == 1)
                state[offsets[m] + group.stride + action.fan_or_neuron] = 0;
            else
                state[offsets[m] + action.fan_or_neuron] = group.reset[action.fan_or_neuron];
            return;
        }
        const Pathway &pathway = network.pathways[action.pathway];
        const size_t m = member_of[pathway.target];
        const int64_t fan = action.fan_or_neuron, begin = pathway.fan_start[fan];
        const int64_t count = pathway.fan_start[fan + 1] - begin;
        const real *__restrict weights = pathway.weights + begin;
        real *__restrict input = current(m, state);
        largest_current[m] += pathway.largest_weight[fan];
        if (pathway.first_target[fan] >= 0) {
            real *__restrict row = input + pathway.first_target[fan];
#pragma omp simd
            for (int64_t s = 0; s < count; ++s) row[s] += weights[s];
        } else {
            const int64_t *targets = pathway.targets + begin;
            for (int64_t s = 0; s < count; ++s) input[targets[s]] += weights[s];
        }
    }
};

// A neuron that spikes within a step unless something arrives before, and when.
struct Crosser {
    size_t member;
    int64_t neuron;
    real time;
};

struct ForwardSweep {
    Trial &trial;
    const Network &network;
    Component component;
    History &history;
    std::vector<Arrival> known, readings;
    size_t next_known = 0, next_reading = 0;
    std::priority_queue<Arrival> pending;
    std::vector<real> before, after, scales;
    std::vector<Crosser> crossers;
    real time, foreseen = 0;  // all crossings up to `foreseen` are known

    ForwardSweep(Trial &trial, size_t index)
        : trial(trial), network(trial.network), component(network, network.components[index]),
          history(trial.histories[index]), before(component.size), after(component.size), time(trial.start) {
        history.events.clear();
        history.actions.clear();
        history.checkpoints.clear();
        for (size_t m = 0; m < component.members.size(); ++m)
            initial_state(component.node(m), before.data() + component.offsets[m]);
        collect_known();
        const size_t expected = known.size() + BLOCK;
        history.events.reserve(expected);
        history.actions.reserve(expected);
    }

    template <typename Consumer>
    void arrivals_of(int node, int64_t unit, int64_t spike, real when, Consumer consume) const {
        for (size_t k = 0; k < network.pathways.size(); ++k) {
            const Pathway &pathway = network.pathways[k];
            if (pathway.source != node || component.member_of[pathway.target] < 0) continue;
            for (int64_t fan = pathway.fan_pointer[unit]; fan < pathway.fan_pointer[unit + 1]; ++fan) {
                const real arrives = when + pathway.fan_delay[fan];
                if (arrives < trial.end) consume(Arrival{arrives, 0, Action{int(k), node, fan, spike}});
            }
        }
    }

    void collect_known() {
        for (size_t k = 0; k < network.nodes.size(); ++k) {
            if (component.member_of[k] >= 0) continue;
            const SpikeList &list = trial.spikes[k];
            for (size_t s = 0; s < list.times.size(); ++s)
                arrivals_of(int(k), list.units[s], int64_t(s), list.times[s],
                            [this](const Arrival &arrival) { known.push_back(arrival); });
        }
        const auto earlier = [](const Arrival &a, const Arrival &b) { return a.time < b.time; };
        if (!std::is_sorted(known.begin(), known.end(), earlier)) std::stable_sort(known.begin(), known.end(), earlier);
        for (const int k : component.members)
            for (size_t s = 0; s < trial.sample_times[k].size(); ++s)
                readings.push_back({trial.sample_times[k][s], 0, Action{SAMPLE, k, 0, int64_t(s)}});
        std::stable_sort(readings.begin(), readings.end(), earlier);
    }

    Outcome run() {
        while (true) {
            if (history.events.size() % BLOCK == 0) {
                if (history.events.size() >= MOST_EVENTS) return trial.fail(TOO_MANY_EVENTS, -1, -1, time);
                // The checkpoint is taken before rescaling, as the reverse sweep needs the scales again.
                history.checkpoints.insert(history.checkpoints.end(), before.begin(), before.end());
                const int lost = component.open_block(before.data(), scales);
                if (lost >= 0) return trial.fail(NOT_FINITE, component.members[lost], -1, time);
            }
            const real upcoming = next_time(), length = upcoming - time, parts = component.parts(length);
            const real target = parts > 1 ? time + length / parts : upcoming;
            bool spiked = false;
            if (!advance(target, spiked)) return trial.outcome;
            if (!spiked) {
                history.events.push_back({time, history.actions.size()});
                if (time == upcoming) arrive();
                if (time >= trial.end) return close();
            }
            std::swap(before, after);
        }
    }

    real next_time() const {
        real upcoming = trial.end;
        if (next_known < known.size()) upcoming = std::min(upcoming, known[next_known].time);
        if (next_reading < readings.size()) upcoming = std::min(upcoming, readings[next_reading].time);
        if (!pending.empty()) upcoming = std::min(upcoming, pending.top().time);
        return upcoming;
    }

    Outcome close() {
        for (size_t m = 0; m < component.members.size(); ++m)
            if (!component.is_finite(m, after.data())) return trial.fail(NOT_FINITE, component.members[m], -1, time);
        return DONE;
    }

    // Carry the state to a time, or to the first spikes before it; false where the trial fails. Crossings that were found
    // stay what they are until something arrives, so that neurons which spike in one step are searched for once.
    bool advance(real target, bool &spiked) {
        real first = earliest();
        if (!(first <= target)) {
            crossers.clear();
            const real length = target - time;
            if (flow(length)) find_crossers(length);
            foreseen = target;
            if (crossers.empty()) {
                accept(target);
                return true;
            }
            for (const Crosser &crosser : crossers)
                if (!(crosser.time >= time))
                    return trial.fail(NOT_FINITE, component.members[crosser.member], crosser.neuron, time), false;
            first = earliest();
        }
        // The step is the difference of the times that are recorded, so that the reverse sweep repeats it bit by bit.
        const real moment = std::min(first, target);
        flow(moment - time);
        accept(moment);
        spike(first);
        return spiked = true;
    }

    real earliest() const {
        real first = INFINITE;
        for (const Crosser &crosser : crossers) first = std::min(first, crosser.time);
        return first;
    }

    bool flow(real length) {
        if (length > 0) return component.flow(length, before.data(), after.data());
        std::copy(before.begin(), before.end(), after.begin());
        return false;
    }

    void accept(real moment) {
        if (moment > time) {
            add_averages(moment - time);
            component.decay_bounds();
        }
        time = moment;
    }

    void find_crossers(real length) {
        for (size_t m = 0; m < component.members.size(); ++m) {
            const Node &group = component.node(m);
            if (!group.spikes) continue;
            const real *own_before = before.data() + component.offsets[m], *own = after.data() + component.offsets[m];
            const auto found = [&](int64_t n, real when) { crossers.push_back({m, n, time + when}); };
            if (group.kind == 1)
                visit_crossings<1>(group, own_before, own, length, found);
            else
                visit_crossings<0>(group, own_before, own, length, found);
        }
    }

    // Whether rounding let a neuron reach its spike in the shortened step, although its own crossing is later.
    bool has_crossed(const Crosser &crosser) const {
        const Node &group = component.node(crosser.member);
        const size_t offset = component.offsets[crosser.member];
        const real *own = after.data() + offset, *own_before = before.data() + offset;
        if (group.kind == 0) return own[crosser.neuron] >= group.threshold[crosser.neuron];
        const int64_t q = group.stride + crosser.neuron;
        return own_before[q] * own[q] < 0 || (own[q] == 0 && own_before[q] != 0);
    }

    // The first neurons to cross spike now, and all whom rounding lets cross by now: twins spike at the same time.
    void spike(real first) {
        history.events.push_back({time, history.actions.size()});
        std::vector<Crosser> later;
        for (const Crosser &crosser : crossers) {
            if (crosser.time > first && !has_crossed(crosser)) {
                later.push_back(crosser);
                continue;
            }
            const int64_t n = crosser.neuron;
            const int node = component.members[crosser.member];
            SpikeList &list = trial.spikes[node];
            const Action action{SPIKE, node, n, int64_t(list.times.size())};
            list.times.push_back(time);
            list.units.push_back(n);
            history.actions.push_back(action);
            component.apply(action, after.data());
            arrivals_of(node, n, action.spike, time, [this](Arrival arrival) {
                arrival.order = int64_t(history.actions.size() + pending.size());
                pending.push(arrival);
            });
            const real again = next_crossing(crosser);
            if (again != INFINITE) later.push_back({crosser.member, n, again});
        }
        crossers.swap(later);
    }

    // When a neuron that has just spiked does so again before `foreseen`; quadratic neurons spike once in a step.
    real next_crossing(const Crosser &crosser) const {
{% if "linear" in forms %}
        const Node &group = component.node(crosser.member);
        const real length = foreseen - time;
        if (group.kind == 0 && length > 0) {
            const real *own = after.data() + component.offsets[crosser.member] + crosser.neuron;
            const real v = own[0], current = own[group.stride];
            const Step step = make_step(group, crosser.neuron, length);
            const real v1 = step.decay_m * v + step.response * current, i1 = step.decay_s * current;
            return time + linear_crossing(group, crosser.neuron, v, current, v1, i1, length);
        }
{% else %}
        (void)crosser;
{% endif %}
        return INFINITE;
    }

    // All that arrives now, whoever sent it; then the state is read, unless more is about to arrive.
    void arrive() {
        for (; next_known < known.size() && known[next_known].time <= time; ++next_known) act(known[next_known].action);
        for (; !pending.empty() && pending.top().time <= time; pending.pop()) act(pending.top().action);
        crossers.clear();
        for (; next_reading < readings.size() && readings[next_reading].time <= time; ++next_reading) {
            history.actions.push_back(readings[next_reading].action);
            read(readings[next_reading].action);
        }
    }

    void read(const Action &action) {
        const size_t m = component.member_of[action.node];
        const Node &group = component.node(m);
        const real *own = after.data() + component.offsets[m], *input = component.current(m, after.data());
        real *sample = trial.samples[action.node].data() + 2 * action.spike * group.size;
        for (int64_t n = 0; n < group.size; ++n) {
            // Where q is zero a quadratic neuron has just spiked, and v begins at minus infinity.
            const real q = group.kind == 1 ? own[group.stride + n] : 1;
            sample[n] = q == 0 ? -INFINITE : own[n] / q;
            sample[group.size + n] = input[n];
        }
    }

    void act(const Action &action) {
        history.actions.push_back(action);
        component.apply(action, after.data());
    }

    void add_averages(real length) {
        for (size_t m = 0; m < component.members.size(); ++m) {
            const int k = component.members[m];
            if (std::isnan(trial.rates[k])) continue;
            const Node &group = component.node(m);
            const real weight = std::exp(-trial.rates[k] * (time - trial.start));
            const real *own = before.data() + component.offsets[m];
            real *averages = trial.averages[k].data();
            each_average(group, length, trial.rates[k], [&](int64_t n, real of_v, real of_current) {
                averages[n] += weight * (of_v * own[n] + of_current * own[group.stride + n]);
            });
        }
    }
};
