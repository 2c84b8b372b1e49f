// Large sparse components: every neuron keeps its own time, and a spike costs only its targets. A queue holds what
// arrives next, another when each neuron will spike if nothing arrives. Of every update the state before it is kept.

// The neurons of a component one after the other: what belongs to one lies in half a line of the cache.
struct Cell {
    Local state;  // or its adjoint
    double time;
};

struct Cells {
    const Component &component;
    std::vector<int32_t> first, owner;  // by member: its first cell; by cell: its member
    std::vector<Cell> cells;

    explicit Cells(const Component &component) : component(component) {
        for (size_t m = 0; m < component.members.size(); ++m) {
            first.push_back(int32_t(owner.size()));
            owner.insert(owner.end(), component.node(m).size, int32_t(m));
        }
        cells.resize(owner.size());
    }

    Cell &at(size_t m, int64_t n) { return cells[first[m] + n]; }

    // To and from states that are stored variable by variable.
    void unpack(const real *states) {
        each([&](size_t place, int64_t stride, int rows, Cell &cell) {
            for (int row = 0; row < rows; ++row) cell.state.x[row] = states[place + row * stride];
        });
    }
    void pack(real *states) {
        each([&](size_t place, int64_t stride, int rows, Cell &cell) {
            for (int row = 0; row < rows; ++row) states[place + row * stride] = cell.state.x[row];
        });
    }

    template <typename Consumer>
    void each(Consumer consume) {
        for (size_t k = 0; k < cells.size(); ++k) {
            const size_t m = owner[k];
            const Node &node = component.node(m);
            consume(component.offsets[m] + k - first[m], node.stride, state_rows(node), cells[k]);
        }
    }
};

// When each neuron will spike next if nothing arrives: a heap with one entry per neuron that moves as the time changes.
struct NextSpikes {
    std::vector<double> times;                  // by neuron
    std::vector<int32_t> heap, position;      // neurons, earliest first; where each of them stands

    explicit NextSpikes(size_t count) : times(count, INFINITE), heap(count), position(count) {
        for (size_t k = 0; k < count; ++k) heap[k] = position[k] = int32_t(k);
    }

    double earliest() const { return heap.empty() ? INFINITE : times[heap[0]]; }

    void set(int32_t neuron, double time) {
        times[neuron] = time;
        size_t k = position[neuron];
        for (; k > 0 && time < times[heap[(k - 1) / 4]]; k = (k - 1) / 4) put(k, heap[(k - 1) / 4]);
        while (true) {
            size_t best = 4 * k + 1;
            if (best >= heap.size()) break;
            const size_t last = std::min(best + 4, heap.size());
            for (size_t child = best + 1; child < last; ++child)
                if (times[heap[child]] < times[heap[best]]) best = child;
            if (!(times[heap[best]] < time)) break;
            put(k, heap[best]);
            k = best;
        }
        put(k, neuron);
    }

    void put(size_t k, int32_t neuron) {
        heap[k] = neuron;
        position[neuron] = int32_t(k);
    }
};

// A spike that is on its way through the fans of its neuron, which are in order of their delays.
struct Volley {
    double time, sent;  // of the next arrival, and of the spike
    Action action;
    int64_t last_fan;
    bool operator<(const Volley &other) const {  // the earliest on top of a queue, of two the one that was sent first
        return time != other.time ? time > other.time : sent > other.sent;
    }
};

struct SparseForward {
    Trial &trial;
    ForwardSweep sweep;  // of which the lists of arrivals are used
    Cells neurons;
    NextSpikes next_spikes;
    std::priority_queue<Volley> volleys;
    History &history;

    SparseForward(Trial &trial, size_t index)
        : trial(trial), sweep(trial, index), neurons(sweep.component), next_spikes(neurons.cells.size()),
          history(trial.histories[index]) {
        neurons.unpack(sweep.before.data());
        for (Cell &cell : neurons.cells) cell.time = trial.start;
        history.updates.clear();
        history.sparse_events.clear();
    }

    Outcome run() {
        const Component &component = sweep.component;
        for (size_t m = 0; m < component.members.size(); ++m)
            for (int64_t n = 0; n < component.node(m).size; ++n) predict(m, n, neurons.at(m, n).state, trial.start);
        while (true) {
            const double spike_time = next_spikes.earliest(), arrival = next_arrival();
            if (std::min(spike_time, arrival) == INFINITE) break;
            if (history.updates.size() > MOST_UPDATES) return trial.fail(TOO_MANY_EVENTS, -1, -1, arrival);
            if (spike_time <= arrival)
                spike(next_spikes.heap[0]);
            else
                arrive(arrival);
        }
        neurons.pack(sweep.after.data());
        for (size_t m = 0; m < component.members.size(); ++m)
            if (!component.is_finite(m, sweep.after.data()))
                return trial.fail(NOT_FINITE, component.members[m], -1, trial.end);
        return DONE;
    }

    double next_arrival() const {
        double upcoming = INFINITE;
        if (sweep.next_known < sweep.known.size()) upcoming = sweep.known_times[sweep.next_known];
        if (!volleys.empty()) upcoming = std::min(upcoming, volleys.top().time);
        return upcoming;
    }

    // Carry a neuron to a time and keep its state before.
    Local bring(size_t m, int64_t n, double time) {
        const LocalNeuron neuron{sweep.component.node(m), n};
        Cell &cell = neurons.at(m, n);
        Local state = cell.state;
        history.updates.push_back({time - cell.time, state});
        neuron.flow(state, time - cell.time);
        cell.time = time;
        const real scale = neuron.scale(state);
        if (scale != 1)
            for (int row = 0; row < 2; ++row) state.x[row] *= scale;
        return state;
    }

    void predict(size_t m, int64_t n, const Local &state, double time) {
        neurons.at(m, n).state = state;
        const double wait = LocalNeuron{sweep.component.node(m), n}.next_spike(state, trial.end - time);
        next_spikes.set(int32_t(neurons.first[m] + n), wait <= trial.end - time ? time + wait : INFINITE);
    }

    void spike(int32_t neuron) {
        const size_t m = neurons.owner[neuron];
        const int64_t n = neuron - neurons.first[m];
        const int node = sweep.component.members[m];
        const double time = std::min(next_spikes.times[neuron], trial.end);
        SpikeList &list = trial.spikes[node];
        const int64_t number = int64_t(list.times.size());
        history.sparse_events.push_back({time, Action{SPIKE, node, int32_t(n), int32_t(number)}});
        Local state = bring(m, n, time);
        LocalNeuron{sweep.component.node(m), n}.reset(state);
        list.times.push_back(time);
        list.units.push_back(n);
        for (size_t k = 0; k < trial.network.pathways.size(); ++k) {
            const Pathway &pathway = trial.network.pathways[k];
            if (pathway.source != node || sweep.component.member_of[pathway.target] < 0) continue;
            send(Volley{0, time, Action{int(k), node, int32_t(pathway.fan_pointer[n]), int32_t(number)}, pathway.fan_pointer[n + 1]});
        }
        predict(m, n, state, time);
    }

    // Queue the next arrival of a volley, if there is one within the trial.
    void send(Volley volley) {
        if (volley.action.fan_or_neuron == volley.last_fan) return;
        volley.time = volley.sent + trial.network.pathways[volley.action.pathway].fan_delay[volley.action.fan_or_neuron];
        if (volley.time < trial.end) volleys.push(volley);
    }

    void arrive(double time) {
        if (sweep.next_known < sweep.known.size() && sweep.known_times[sweep.next_known] <= time) {
            arrive(time, sweep.known[sweep.next_known++]);
            return;
        }
        Volley volley = volleys.top();
        volleys.pop();
        const Action action = volley.action;
        ++volley.action.fan_or_neuron;
        send(volley);
        arrive(time, action);
    }

    void arrive(double time, const Action &action) {
        history.sparse_events.push_back({time, action});
        const Pathway &pathway = trial.network.pathways[action.pathway];
        const size_t m = sweep.component.member_of[pathway.target];
        const int row = LocalNeuron{sweep.component.node(m), 0}.last();
        for (int64_t s = pathway.fan_start[action.fan_or_neuron]; s < pathway.fan_start[action.fan_or_neuron + 1]; ++s) {
            Local state = bring(m, pathway.targets[s], time);
            state.x[row] += pathway.weights[s];
            predict(m, pathway.targets[s], state, time);
        }
    }
};

struct SparseReverse {
    ReverseSweep sweep;  // for its slopes and its adjoint
    Trial &trial;
    const Component &component;
    Cells adjoints;
    const History &history;
    Gradient &gradient;
    size_t position;

    SparseReverse(Trial &trial, size_t index, Gradient &gradient)
        : sweep(trial, index, gradient), trial(trial), component(sweep.component), adjoints(component),
          history(trial.histories[index]), gradient(gradient), position(history.updates.size()) {}

    Outcome run() {
        for (size_t k = history.sparse_events.size(); k-- > 0;)
            if (!reverse(history.sparse_events[k])) return trial.outcome;
        adjoints.pack(sweep.adjoint.data());
        for (size_t m = 0; m < component.members.size(); ++m) sweep.initial_slopes(m);
        return DONE;
    }

    bool reverse(const SparseEvent &event) {
        const Action &action = event.action;
        double &slope = trial.spikes[action.node].slopes[action.spike];
        if (action.pathway == SPIKE) {
            const size_t m = component.member_of[action.node];
            return reverse_update(m, action.fan_or_neuron, [&](const Local &state, Local &of) {
                return sweep.spike_back(action, state.x, slope, event.time, of.x, 1);
            });
        }
        const Pathway &pathway = trial.network.pathways[action.pathway];
        const size_t m = component.member_of[pathway.target];
        const Node &group = component.node(m);
        real *of_weights = gradient.weights[action.pathway], *of_delays = gradient.delays[action.pathway];
        const int64_t fan = action.fan_or_neuron;
        for (int64_t s = pathway.fan_start[fan + 1]; s-- > pathway.fan_start[fan];) {
            const int64_t n = pathway.targets[s];
            reverse_update(m, n, [&](const Local &state, Local &of) {
                const real of_current = of.x[group.kind == 1 ? 2 : 1];
                const double of_v = group.kind == 1 ? state.x[1] * of.x[0] : of.x[0];
                const double by_time = pathway.weights[s] * (of_current / group.tau_s[n] - of_v / group.tau_m[n]);
                if (of_weights != nullptr) of_weights[s] += of_current;
                if (of_delays != nullptr) of_delays[s] += real(by_time);
                slope += by_time;
                return true;
            });
        }
        return true;
    }

    // The last update of a neuron that has not been taken back: what happened at its end, then its flow.
    template <typename Happening>
    bool reverse_update(size_t m, int64_t n, Happening happening) {
        const Update &update = history.updates[--position];
        const LocalNeuron neuron{component.node(m), n};
        Local state = update.before, &of = adjoints.at(m, n).state;
        neuron.flow(state, update.length);
        const real scale = neuron.scale(state);
        if (scale != 1)
            for (int row = 0; row < 2; ++row) state.x[row] *= scale;
        if (!happening(state, of)) return false;
        if (scale != 1)
            for (int row = 0; row < 2; ++row) of.x[row] *= scale;
        if (double *slopes = gradient.models[component.members[m]])
            neuron.add_model_slopes(update.before, update.length, of, slopes);
        neuron.flow_back(update.before, update.length, of);
        return true;
    }
};
