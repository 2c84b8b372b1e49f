// The forward sweep of one component over one trial: it records events, with checkpoints of the state every BLOCK of them.

// A neuron that spikes within a step unless something arrives before, and when.
struct Crosser {
    size_t member;
    int64_t neuron;
    double time;
};

struct ForwardSweep {
    Trial &trial;
    const Network &network;
    Component component;
    History &history;
    std::vector<double> &known_times = scratch();  // of what arrives from without
    std::vector<Action> others;
    std::vector<Action> &known;  // and what that is: of a layer all that ever happens, the spikes aside
    std::vector<Arrival> readings;
    size_t next_known = 0, next_reading = 0;
    std::priority_queue<Arrival> pending;
    std::vector<real> before, after, scales;
    std::vector<Crosser> crossers;
    size_t stalled = 0;         // spikes and parts of steps since time last went on
    double time, foreseen = 0;  // all crossings up to `foreseen` are known

    ForwardSweep(Trial &trial, size_t index)
        : trial(trial), network(trial.network), component(network, network.components[index]),
          history(trial.histories[index]), known(history.layered ? history.actions : others), before(component.size), after(component.size), time(trial.start) {
        history.events.clear();
        history.actions.clear();
        history.checkpoints.clear();
        history.currents.clear();
        history.passages.clear();
        history.first_passage.clear();
        for (size_t m = 0; m < component.members.size(); ++m)
            initial_state(component.node(m), before.data() + component.offsets[m]);
        for (const int k : component.members)
            if (trial.wants_peaks[k])
                for (int64_t n = 0; n < network.nodes[k].size; ++n) trial.peaks[k].push_back({network.nodes[k].v[n], 0, -1});
        collect_known();
        history.events.reserve(known.size() + BLOCK);
        if (!history.layered) history.actions.reserve(known.size() + BLOCK);
    }

    // Each thread keeps the memory in which it lists what is known to arrive: to get it anew for every trial takes time.
    static std::vector<double> &scratch() {
        static thread_local std::vector<double> list;
        list.clear();
        return list;
    }

    template <typename Consumer>
    void arrivals_of(int node, int64_t unit, int64_t spike, double when, Consumer consume) const {
        for (size_t k = 0; k < network.pathways.size(); ++k) {
            const Pathway &pathway = network.pathways[k];
            if (pathway.source != node || component.member_of[pathway.target] < 0) continue;
            for (int64_t fan = pathway.fan_pointer[unit]; fan < pathway.fan_pointer[unit + 1]; ++fan) {
                const double arrives = when + pathway.fan_delay[fan];
                if (arrives < trial.end) consume(Arrival{arrives, 0, Action{int(k), node, int32_t(fan), int32_t(spike)}});
            }
        }
    }

    void collect_known() {
        size_t expected = 0;
        for (size_t k = 0; k < network.nodes.size(); ++k)
            if (component.member_of[k] < 0) expected += trial.spikes[k].times.size();
        known_times.reserve(expected);
        known.reserve(expected);
        for (size_t k = 0; k < network.nodes.size(); ++k) {
            if (component.member_of[k] >= 0) continue;
            const SpikeList &list = trial.spikes[k];
            for (size_t s = 0; s < list.times.size(); ++s)
                arrivals_of(int(k), list.units[s], int64_t(s), list.times[s],
                            [this](const Arrival &arrival) {
                                known_times.push_back(arrival.time);
                                known.push_back(arrival.action);
                            });
        }
        if (!std::is_sorted(known_times.begin(), known_times.end())) sort_known();
        for (const int k : component.members)
            for (size_t s = 0; s < trial.sample_times[k].size(); ++s)
                readings.push_back({trial.sample_times[k][s], 0, Action{SAMPLE, k, 0, int32_t(s)}});
        std::stable_sort(readings.begin(), readings.end(), [](const Arrival &a, const Arrival &b) { return a.time < b.time; });
    }

    void sort_known() {
        std::vector<Arrival> list;
        list.reserve(known.size());
        for (size_t k = 0; k < known.size(); ++k) list.push_back({known_times[k], int64_t(k), known[k]});
        std::sort(list.begin(), list.end(), [](const Arrival &a, const Arrival &b) { return b < a; });
        for (size_t k = 0; k < known.size(); ++k) {
            known_times[k] = list[k].time;
            known[k] = list[k].action;
        }
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
            const double upcoming = next_time(), length = upcoming - time, parts = component.parts(length);
            const double target = parts > 1 ? time + length / parts : upcoming;
            const double was = time;
            bool spiked = false;
            if (!advance(target, spiked)) return trial.outcome;
            // Coinciding arrivals are many at will; spikes and parts of steps that take no time come from no solution.
            if (time > was) stalled = 0;
            else if ((spiked || parts > 1) && ++stalled > MOST_STALLED + 16 * component.size)
                return trial.fail(TOO_MANY_EVENTS, -1, -1, time);
            if (!spiked) {
                history.events.push_back(Event{time, history.layered ? next_known : history.actions.size()});
                if (time == upcoming) arrive();
                if (time >= trial.end) return close();
            }
            std::swap(before, after);
        }
    }

    double next_time() const {
        double upcoming = trial.end;
        if (next_known < known.size()) upcoming = std::min(upcoming, known_times[next_known]);
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
    bool advance(double target, bool &spiked) {
        if (history.layered) return pass(target);
        double first = earliest();
        if (!(first <= target)) {
            crossers.clear();
            const double length = target - time;
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
        const double moment = std::min(first, target);
        flow(moment - time);
        accept(moment);
        spike(first);
        return spiked = true;
    }

    // The same for a layer, whose neurons spike without a word to each other: each is carried to the target by itself.
    bool pass(double target) {
        const size_t first = history.passages.size();
        history.first_passage.push_back(first);
        if (flow(target - time)) {
            crossers.clear();
            find_crossers(target - time);
            for (const Crosser &crosser : crossers)
                if (!pass(crosser, target)) return false;
            const auto earlier = [](const Passage &a, const Passage &b) { return a.time < b.time; };
            std::stable_sort(history.passages.begin() + first, history.passages.end(), earlier);
            SpikeList &list = trial.spikes[component.members[0]];
            for (size_t k = first; k < history.passages.size(); ++k) {
                list.times.push_back(history.passages[k].time);
                list.units.push_back(history.passages[k].neuron);
            }
        }
        accept(target);
        return true;
    }

    bool pass(const Crosser &crosser, double target) {
        const LocalNeuron neuron{component.node(0), crosser.neuron};
        Local state = neuron.gather(before.data());
        size_t idle = 0;  // spikes that take no time come from no solution
        for (double since = time, when = crosser.time; when != INFINITE;) {
            if (!(when >= since)) return trial.fail(NOT_FINITE, component.members[0], crosser.neuron, since), false;
            when = std::min(when, target);
            idle = when > since ? 0 : idle + 1;
            if (idle > MOST_STALLED || history.passages.size() >= MOST_EVENTS)
                return trial.fail(TOO_MANY_EVENTS, -1, -1, since), false;
            Local after = state;
            neuron.flow(after, when - since);
            history.passages.push_back({since, when, int32_t(crosser.neuron), false, state, after});
            state = after;
            neuron.reset(state);
            since = when;
            when = since + again(neuron, state, target - since);
        }
        Passage &last = history.passages.back();
        last.last = true;
        neuron.flow(state, target - last.time);
        neuron.scatter(state, after.data());
        return true;
    }

    // How long after a spike a neuron does so again within `length`; quadratic neurons spike once in a step.
    static double again(const LocalNeuron &neuron, const Local &state, double length) {
        return neuron.node.kind == 0 && length > 0 ? neuron.next_spike(state, length) : INFINITE;
    }

    double earliest() const {
        double first = INFINITE;
        for (const Crosser &crosser : crossers) first = std::min(first, crosser.time);
        return first;
    }

    bool flow(double length) {
        if (length > 0) return component.flow(length, before.data(), after.data());
        std::copy(before.begin(), before.end(), after.begin());
        return false;
    }

    void accept(double moment) {
        if (moment > time) {
            add_averages(moment - time);
            find_peaks(moment - time);
            component.decay_bounds();
        }
        time = moment;
    }

    void find_crossers(double length) {
        for (size_t m = 0; m < component.members.size(); ++m) {
            const Node &group = component.node(m);
            if (!group.spikes) continue;
            const real *own_before = before.data() + component.offsets[m], *own = after.data() + component.offsets[m];
            const auto found = [&](int64_t n, double when) { crossers.push_back({m, n, time + when}); };
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
        return double(own_before[q]) * own[q] < 0 || (own[q] == 0 && own_before[q] != 0);
    }

    // The first neurons to cross spike now, and all whom rounding lets cross by now: twins spike at the same time.
    void spike(double first) {
        history.events.push_back(Event{time, history.actions.size()});
        size_t kept = 0;  // those that remain move forward, in their order
        for (size_t c = 0; c < crossers.size(); ++c) {
            const Crosser crosser = crossers[c];
            if (crosser.time > first && !has_crossed(crosser)) {
                crossers[kept++] = crosser;
                continue;
            }
            const int64_t n = crosser.neuron;
            const int node = component.members[crosser.member];
            SpikeList &list = trial.spikes[node];
            const Action action{SPIKE, node, int32_t(n), int32_t(list.times.size())};
            list.times.push_back(time);
            list.units.push_back(n);
            history.actions.push_back(action);
            component.apply(action, after.data());
            arrivals_of(node, n, action.spike, time, [this](Arrival arrival) {
                arrival.order = int64_t(history.actions.size() + pending.size());
                pending.push(arrival);
            });
            const LocalNeuron neuron{component.node(crosser.member), n};
            const Local state = neuron.gather(after.data() + component.offsets[crosser.member]);
            const double wait = again(neuron, state, foreseen - time);
            if (wait != INFINITE) crossers[kept++] = {crosser.member, n, time + wait};
        }
        crossers.resize(kept);
    }

    // All that arrives now, whoever sent it; then the state is read, unless more is about to arrive.
    void arrive() {
        std::vector<Action> &actions = history.actions;
        const size_t first = history.events.back().first_action, first_known = next_known;
        while (next_known < known.size() && known_times[next_known] <= time) ++next_known;
        if (history.layered) {
            component.apply(actions.data() + first, next_known - first, after.data());
            return keep_currents(next_known - first);
        }
        actions.insert(actions.end(), known.begin() + first_known, known.begin() + next_known);
        for (; !pending.empty() && pending.top().time <= time; pending.pop()) actions.push_back(pending.top().action);
        component.apply(actions.data() + first, actions.size() - first, after.data());
        keep_currents(actions.size() - first);
        crossers.clear();
        for (; next_reading < readings.size() && readings[next_reading].time <= time; ++next_reading) {
            history.actions.push_back(readings[next_reading].action);
            read(readings[next_reading].action);
        }
    }

    // What many weights add up to is not added up again by the reverse sweep, where it takes no more than a few times
    // the memory of the arrivals themselves.
    void keep_currents(size_t arrivals) {
        if (component.members.size() > 1 || arrivals < MANY) return;
        const size_t count = component.node(0).stride;
        if (count * sizeof(real) > 4 * arrivals * sizeof(Action)) return;
        history.events.back().currents = history.currents.size();
        const real *input = component.current(0, after.data());
        history.currents.insert(history.currents.end(), input, input + count);
    }

    void read(const Action &action) {
        const size_t m = component.member_of[action.node];
        const Node &group = component.node(m);
        const real *own = after.data() + component.offsets[m], *input = component.current(m, after.data());
        double *sample = trial.samples[action.node].data() + 2 * action.spike * group.size;
        for (int64_t n = 0; n < group.size; ++n) {
            // Where q is zero a quadratic neuron has just spiked, and v begins at minus infinity.
            const double q = group.kind == 1 ? own[group.stride + n] : 1;
            sample[n] = q == 0 ? -INFINITE : own[n] / q;
            sample[group.size + n] = input[n];
        }
    }

    // Voltages of linear neurons turn at most once in a step, and never rise above their current.
    void find_peaks([[maybe_unused]] double length) {
{% if "linear" in forms %}
        for (size_t m = 0; m < component.members.size(); ++m) {
            const int k = component.members[m];
            if (!trial.wants_peaks[k]) continue;
            const Node &group = component.node(m);
            const real *own = before.data() + component.offsets[m], *own_after = after.data() + component.offsets[m];
            for (int64_t n = 0; n < group.size; ++n) {
                Peak &peak = trial.peaks[k][n];
                const double v = own[n], current = own[group.stride + n];
                Peak found{own_after[n], length, int64_t(history.events.size())};
                if (current > v && current > peak.value && own_after[group.stride + n] < own_after[n]) {
                    found.elapsed = std::min(length, time_of_maximum(group.tau_m[n], group.tau_s[n], v, current));
                    const Step step = make_step<double>(group, n, found.elapsed);
                    found.value = step.decay_m * v + step.response * current;
                }
                if (found.value > peak.value) peak = found;
            }
        }
{% endif %}
    }

    void add_averages(double length) {
        for (size_t m = 0; m < component.members.size(); ++m) {
            const int k = component.members[m];
            if (std::isnan(trial.rates[k])) continue;
            const Node &group = component.node(m);
            const double weight = std::exp(-trial.rates[k] * (time - trial.start));
            const real *own = before.data() + component.offsets[m];
            double *averages = trial.averages[k].data();
            each_average(group, length, trial.rates[k], [&](int64_t n, double of_v, double of_current) {
                averages[n] += weight * (of_v * own[n] + of_current * own[group.stride + n]);
            });
        }
    }
};
