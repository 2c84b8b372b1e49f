// Readouts without spikes of which an average alone is wanted: what arrives counts by a closed form of its time, and
// nothing has to be carried from one arrival to the next.

struct Passive {
    Trial &trial;
    const Node &group;
    const int node;
    std::vector<double> &kept;  // influences that all neurons share

    Passive(Trial &trial, size_t index)
        : trial(trial), group(trial.network.nodes[trial.network.components[index][0]]),
          node(trial.network.components[index][0]), kept(trial.histories[index].influences) {}

    // What a unit of v, and of I, at a time adds to the average of each neuron.
    struct Influence {
        std::vector<double> of_v, of_current;
        double when = INFINITE;  // the time for which it was found
    };

    void find(double when, Influence &influence) const {
        if (when == influence.when) return;
        const double weight = std::exp(-trial.rates[node] * (when - trial.start));
        influence.when = when;
        influence.of_v.resize(group.size);
        influence.of_current.resize(group.size);
        each_average(group, trial.end - when, trial.rates[node], [&](int64_t n, double of_v, double of_current) {
            influence.of_v[n] = weight * of_v;
            influence.of_current[n] = weight * of_current;
        });
    }

    // Calls `consume(pathway, source, spike, fan, time)` for all that arrives within the trial.
    template <typename Consumer>
    void each_arrival(Consumer consume) const {
        for (size_t k = 0; k < trial.network.pathways.size(); ++k) {
            const Pathway &pathway = trial.network.pathways[k];
            if (pathway.target != node) continue;
            const SpikeList &list = trial.spikes[pathway.source];
            for (size_t s = 0; s < list.times.size(); ++s)
                for (int64_t fan = pathway.fan_pointer[list.units[s]]; fan < pathway.fan_pointer[list.units[s] + 1]; ++fan) {
                    const double when = list.times[s] + pathway.fan_delay[fan];
                    if (when < trial.end) consume(k, pathway.source, s, fan, when);
                }
        }
    }

    // Calls `consume(synapse, neuron)` for the synapses of a fan; contiguous ones in a loop of their own, which compilers
    // turn into vectors where the sums allow it.
    template <typename Consumer>
    static void each_synapse(const Pathway &pathway, int64_t fan, Consumer consume) {
        const int64_t begin = pathway.fan_start[fan], end = pathway.fan_start[fan + 1], first = pathway.first_target[fan];
        if (first < 0)
            for (int64_t s = begin; s < end; ++s) consume(s, pathway.targets[s]);
        else
            for (int64_t s = begin; s < end; ++s) consume(s, first + s - begin);
    }

    Outcome forward() {
        double *__restrict averages = trial.averages[node].data();
        Influence influence;
        find(trial.start, influence);
        for (int64_t n = 0; n < group.size; ++n)
            averages[n] = influence.of_v[n] * group.v[n] + influence.of_current[n] * group.current[n];
        kept.clear();
        each_arrival([&](size_t k, int, size_t, int64_t fan, double when) {
            find(when, influence);
            if (group.uniform) kept.insert(kept.end(), {influence.of_v[0], influence.of_current[0]});
            const Pathway &pathway = trial.network.pathways[k];
            const real *__restrict weights = pathway.weights;
            const double *__restrict of_current = influence.of_current.data();
            each_synapse(pathway, fan, [=](int64_t s, int64_t n) { averages[n] += of_current[n] * weights[s]; });
        });
        for (int64_t n = 0; n < group.size; ++n)
            if (!std::isfinite(averages[n])) return trial.fail(NOT_FINITE, node, n, trial.end);
        return DONE;
    }

    Outcome reverse(Gradient &gradient) const {
        const double *seed = gradient.average_seeds[node];
        initial_slopes(seed, gradient);
        if (seed == nullptr) return DONE;
        Influence influence;
        const double *next = kept.data();
        each_arrival([&](size_t k, int source, size_t spike, int64_t fan, double when) {
            if (group.uniform) {
                influence.of_v.assign(group.size, *next++);
                influence.of_current.assign(group.size, *next++);
            } else {
                find(when, influence);
            }
            const Pathway &pathway = trial.network.pathways[k];
            if (real *of_weights = gradient.weights[k])
                each_synapse(pathway, fan, [&](int64_t s, int64_t n) {
                    of_weights[s] += real(seed[n] * influence.of_current[n]);
                });
            real *of_delays = gradient.delays[k];
            if (trial.network.nodes[source].is_source && of_delays == nullptr && !gradient.wanted_times[source]) return;
            // By the time of arrival: w (adjoint_I/tau_s - adjoint_v/tau_m).
            double total = 0;
            each_synapse(pathway, fan, [&](int64_t s, int64_t n) {
                const double by_time = pathway.weights[s] * seed[n] *
                                       (influence.of_current[n] / group.tau_s[n] - influence.of_v[n] / group.tau_m[n]);
                total += by_time;
                if (of_delays != nullptr) of_delays[s] += real(by_time);
            });
            trial.spikes[source].slopes[spike] += total;
        });
        return DONE;
    }

    void initial_slopes(const double *seed, Gradient &gradient) const {
        if (gradient.initial_v[node] == nullptr) return;
        Influence influence;
        find(trial.start, influence);
        for (int64_t n = 0; n < group.size; ++n) {
            gradient.initial_v[node][n] = seed == nullptr ? 0 : seed[n] * influence.of_v[n];
            gradient.initial_current[node][n] = seed == nullptr ? 0 : seed[n] * influence.of_current[n];
        }
    }
};
