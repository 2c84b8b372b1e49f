// The reverse sweep: components and their events backwards; the states of a block are computed again from its
// checkpoint with the arithmetic of the forward sweep.

struct Gradient {
    std::vector<const real *> average_seeds;  // by node; null where there are none
    std::vector<real *> weights, delays;      // by pathway, in the order of its fans; null where not wanted
    std::vector<real *> initial_v, initial_current;
    std::vector<char> wanted_times;  // by node: slopes of the spike times of sources
};

struct ReverseSweep {
    Trial &trial;
    const Network &network;
    Component component;
    const History &history;
    Gradient &gradient;
    std::vector<real> tape, adjoint, earlier, scales;
    std::vector<Step> steps;

    ReverseSweep(Trial &trial, size_t index, Gradient &gradient)
        : trial(trial), network(trial.network), component(network, network.components[index]),
          history(trial.histories[index]), gradient(gradient), tape((BLOCK + 1) * component.size),
          adjoint(component.size), earlier(component.size), steps(BLOCK * component.members.size()) {}

    Outcome run() {
        const size_t blocks = (history.events.size() + BLOCK - 1) / BLOCK;
        for (size_t block = blocks; block-- > 0;)
            if (reverse_block(block) != DONE) return trial.outcome;
        for (size_t m = 0; m < component.members.size(); ++m) initial_slopes(m);
        return DONE;
    }

    real time_before(size_t event) const { return event > 0 ? history.events[event - 1].time : trial.start; }
    size_t last_action(size_t event) const {
        return event + 1 < history.events.size() ? history.events[event + 1].first_action : history.actions.size();
    }
    real *state(size_t position) { return tape.data() + position * component.size; }

    void recompute(size_t first, size_t last) {
        std::copy_n(history.checkpoints.data() + first / BLOCK * component.size, component.size, state(0));
        component.open_block(state(0), scales);
        for (size_t event = first; event < last; ++event) {
            const size_t position = event - first;
            const real length = history.events[event].time - time_before(event);
            if (length > 0) {
                component.flow(length, state(position), state(position + 1));
                component.decay_bounds();
                std::copy(component.steps.begin(), component.steps.end(),
                          steps.begin() + position * component.members.size());
            } else {
                std::copy_n(state(position), component.size, state(position + 1));
            }
            for (size_t k = history.events[event].first_action; k < last_action(event); ++k)
                component.apply(history.actions[k], state(position + 1));
        }
    }

    Outcome reverse_block(size_t block) {
        const size_t first = block * BLOCK, last = std::min(first + BLOCK, history.events.size());
        recompute(first, last);
        if (last < history.events.size()) rescale(state(last - first));
        for (size_t event = last; event-- > first;) {
            const size_t position = event - first;
            for (size_t k = last_action(event); k-- > history.events[event].first_action;)
                if (!reverse_action(history.actions[k], state(position + 1), history.events[event].time))
                    return trial.outcome;
            if (history.events[event].time > time_before(event)) reverse_flow(event, position);
        }
        if (first == 0) {
            std::copy_n(history.checkpoints.data(), component.size, state(0));
            rescale(state(0));
        }
        return DONE;
    }

    // The state was multiplied by its scales after this point of time; the adjoint before them is the scaled one.
    void rescale(const real *unscaled) {
{% if "quadratic" in forms %}
        for (size_t m = 0; m < component.members.size(); ++m) {
            const Node &group = component.node(m);
            if (group.kind != 1) continue;
            quadratic_scales(group, unscaled + component.offsets[m], scales.data());
            real *own = adjoint.data() + component.offsets[m];
            for (int row = 0; row < 2; ++row)
                for (int64_t n = 0; n < group.stride; ++n) own[row * group.stride + n] *= scales[n];
        }
{% else %}
        (void)unscaled;
{% endif %}
    }

    real average_weight(int node, real when) const { return std::exp(-trial.rates[node] * (when - trial.start)); }

    void reverse_flow(size_t event, size_t position) {
        for (size_t m = 0; m < component.members.size(); ++m) {
            const size_t offset = component.offsets[m];
            const Node &group = component.node(m);
            const Step &step = steps[position * component.members.size() + m];
            step_back(group, step, state(position) + offset, adjoint.data() + offset, earlier.data() + offset);
            const real *seed = gradient.average_seeds[component.members[m]];
            if (seed == nullptr) continue;
            real of_v, of_current;
            average_coefficients(group, step.length, trial.rates[component.members[m]], of_v, of_current);
            const real weight = average_weight(component.members[m], time_before(event));
            for (int64_t n = 0; n < group.size; ++n) {
                earlier[offset + n] += weight * of_v * seed[n];
                earlier[offset + group.stride + n] += weight * of_current * seed[n];
            }
        }
        std::swap(adjoint, earlier);
    }

    bool reverse_action(const Action &action, const real *states, real when) {
        real &slope = trial.spikes[action.node].slopes[action.spike];
        if (action.pathway >= 0) {
            reverse_arrival(action, states, slope);
            return true;
        }
        const size_t m = component.member_of[action.node];
        const Node &group = component.node(m);
        const int64_t n = action.fan_or_neuron;
        const real *own = states + component.offsets[m];
        real *of = adjoint.data() + component.offsets[m];
        if (group.kind == 1) {
            of[group.stride + n] += slope * group.tau_m / own[n];
            return true;
        }
        const real current = own[group.stride + n], rise = current - group.threshold;
        if (rise <= GRAZING_SLOPE * std::max(std::abs(current), std::abs(group.threshold)))
            return trial.fail(GRAZING, action.node, n, when), false;
        // A later spike prolongs the part of an averaged voltage before its reset.
        const real *seed = gradient.average_seeds[action.node];
        real by_time = slope;
        if (seed != nullptr) by_time += seed[n] * average_weight(action.node, when) * (group.threshold - group.reset);
        of[n] = (of[n] * (current - group.reset) - by_time * group.tau_m) / rise;
        return true;
    }

    void reverse_arrival(const Action &action, const real *states, real &slope) {
        const Pathway &pathway = network.pathways[action.pathway];
        const size_t m = component.member_of[pathway.target];
        const Node &group = component.node(m);
        const int64_t fan = action.fan_or_neuron, begin = pathway.fan_start[fan];
        const int64_t count = pathway.fan_start[fan + 1] - begin, first = pathway.first_target[fan];
        const real *__restrict of_current = component.current(m, adjoint.data());
        real *of_weights = gradient.weights[action.pathway], *of_delays = gradient.delays[action.pathway];
        if (of_weights != nullptr) {
            real *__restrict row = of_weights + begin;
            if (first >= 0) {
                const real *__restrict source = of_current + first;
#pragma omp simd
                for (int64_t s = 0; s < count; ++s) row[s] += source[s];
            } else {
                for (int64_t s = 0; s < count; ++s) row[s] += of_current[pathway.targets[begin + s]];
            }
        }
        if (network.nodes[action.node].is_source && of_delays == nullptr && !gradient.wanted_times[action.node]) return;
        // By the time of arrival: w (adjoint_I/tau_s - adjoint_v/tau_m), and adjoint_v = q adjoint_p.
        const real per_s = 1 / group.tau_s, per_m = 1 / group.tau_m;
        const real *of_v = adjoint.data() + component.offsets[m];
        const real *q = states + component.offsets[m] + group.stride;
        real total = 0;
        for (int64_t s = 0; s < count; ++s) {
            const int64_t n = first >= 0 ? first + s : pathway.targets[begin + s];
            const real by_v = group.kind == 1 ? q[n] * of_v[n] : of_v[n];
            const real by_time = pathway.weights[begin + s] * (of_current[n] * per_s - by_v * per_m);
            total += by_time;
            if (of_delays != nullptr) of_delays[begin + s] += by_time;
        }
        slope += total;
    }

    void initial_slopes(size_t m) {
        const Node &group = component.node(m);
        const real *of = adjoint.data() + component.offsets[m];
        real *by_v = gradient.initial_v[component.members[m]], *by_current = gradient.initial_current[component.members[m]];
        if (by_v == nullptr) return;
        for (int64_t n = 0; n < group.size; ++n) {
            const bool inverse = group.kind == 1 && std::abs(group.v[n]) > 1;
            by_v[n] = inverse ? -of[group.stride + n] / (group.v[n] * group.v[n]) : of[n];
            by_current[n] = of[(state_rows(group) - 1) * group.stride + n];
        }
    }
};
