// The reverse sweep: components and their events backwards; the states of a block are computed again from its
// checkpoint with the arithmetic of the forward sweep.

{% if "quadratic" in forms %}
// Slopes may fall by e before the adjoint is made homogeneous again.
constexpr double LARGEST_FORGOTTEN = 1;
{% endif %}

struct ReverseSweep {
    Trial &trial;
    const Network &network;
    Component component;
    const History &history;
    Gradient &gradient;
    std::vector<real> tape, adjoint, earlier, scales, midway, of_midway;
    std::vector<char> spiked;
    std::vector<Step> steps;
    std::vector<double> forgetting;  // of each step and member: how fast neurons forget, times its length
    std::vector<double> forgotten;   // of each member: the same, added up since its adjoint was made homogeneous
    GroupStep step;

    ReverseSweep(Trial &trial, size_t index, Gradient &gradient)
        : trial(trial), network(trial.network), component(network, network.components[index]),
          history(trial.histories[index]), gradient(gradient), adjoint(component.size), earlier(component.size),
          steps(BLOCK * component.members.size()), forgetting(steps.size()), forgotten(component.members.size()) {}

    Outcome run() {
        tape.resize((BLOCK + 1) * component.size);
        const size_t blocks = (history.events.size() + BLOCK - 1) / BLOCK;
        for (size_t block = blocks; block-- > 0;)
            if (reverse_block(block) != DONE) return trial.outcome;
        for (size_t m = 0; m < component.members.size(); ++m) initial_slopes(m);
        return DONE;
    }

    double time_before(size_t event) const { return event > 0 ? history.events[event - 1].time : trial.start; }
    size_t last_action(size_t event) const {
        return event + 1 < history.events.size() ? history.events[event + 1].first_action : history.actions.size();
    }
    real *state(size_t position) { return tape.data() + position * component.size; }

    void recompute(size_t first, size_t last) {
        std::copy_n(history.checkpoints.data() + first / BLOCK * component.size, component.size, state(0));
        component.open_block(state(0), scales);
        for (size_t event = first; event < last; ++event) {
            const size_t position = event - first;
            const double length = history.events[event].time - time_before(event);
            if (length > 0) {
                const size_t place = position * component.members.size();
                component.flow(length, state(position), state(position + 1));
                for (size_t m = 0; m < component.members.size(); ++m) {
                    const Step &shared = steps[place + m] = component.steps[m].shared;
                    if (component.node(m).kind == 1)
                        forgetting[place + m] = shared.slope * (1 + 2 * std::sqrt(component.largest_current[m]));
                }
                for_passages(event, [&](const Passage &passage) {
                    if (!passage.last) return true;
                    const LocalNeuron neuron{component.node(0), passage.neuron};
                    Local after = passage.after;
                    neuron.reset(after);
                    neuron.flow(after, history.events[event].time - passage.time);
                    neuron.scatter(after, state(position + 1));
                    return true;
                });
                component.decay_bounds();
            } else {
                std::copy_n(state(position), component.size, state(position + 1));
            }
            const size_t actions = history.events[event].first_action;
            if (history.events[event].currents == Event::NONE)
                component.apply(history.actions.data() + actions, last_action(event) - actions, state(position + 1));
            else
                component.set_currents(history.currents.data() + history.events[event].currents, state(position + 1));
        }
    }

    Outcome reverse_block(size_t block) {
        const size_t first = block * BLOCK, last = std::min(first + BLOCK, history.events.size());
        recompute(first, last);
        if (last < history.events.size()) rescale(state(last - first));
        for (size_t event = last; event-- > first;) {
            const size_t position = event - first;
            const size_t actions = history.events[event].first_action;
            for (size_t k = last_action(event); k > actions;) {
                if (k >= actions + 4 && reverse_four(&history.actions[k - 4])) {
                    k -= 4;
                    continue;
                }
                if (!reverse_action(history.actions[--k], state(position + 1), history.events[event].time))
                    return trial.outcome;
            }
            if (history.events[event].time > time_before(event) && !reverse_flow(event, position)) return trial.outcome;
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

    double average_weight(int node, double when) const { return std::exp(-trial.rates[node] * (when - trial.start)); }

    // Calls `consume` for the spikes of a layer before an event, later ones first, until it returns false.
    template <typename Consumer>
    bool for_passages(size_t event, Consumer consume) const {
        if (!history.layered) return true;
        const bool known = event + 1 < history.first_passage.size();
        for (size_t k = known ? history.first_passage[event + 1] : history.passages.size(); k-- > history.first_passage[event];)
            if (!consume(history.passages[k])) return false;
        return true;
    }

    // The stretches of the neurons of a layer that spiked within a step, in place of the step of the others.
    bool reverse_passages(size_t event) {
        const int node = component.members[0];
        double *slopes = gradient.models[node];
        return for_passages(event, [&](const Passage &passage) {
            const LocalNeuron neuron{component.node(0), passage.neuron};
            const auto back = [&](const Local &before, double length, Local &of) {
                if (slopes != nullptr) neuron.add_model_slopes(before, length, of, slopes);
                neuron.flow_back(before, length, of);
            };
            Local of = neuron.gather((passage.last ? adjoint : earlier).data());
            if (passage.last) {
                Local start = passage.after;
                neuron.reset(start);
                back(start, history.events[event].time - passage.time, of);
            }
            const int32_t spike = int32_t(&passage - history.passages.data());
            const Action action{SPIKE, node, passage.neuron, spike};
            if (!spike_back(action, passage.after.x, trial.spikes[node].slopes[spike], passage.time, of.x, 1)) return false;
            back(passage.before, passage.time - passage.since, of);
            neuron.scatter(of, earlier.data());
            return true;
        });
    }

    bool reverse_flow(size_t event, size_t position) {
        for (size_t m = 0; m < component.members.size(); ++m) {
            const size_t offset = component.offsets[m];
            const Step &shared = steps[position * component.members.size() + m];
            const double when = time_before(event);
            step.make(component.node(m), shared);
            carry_back(m, when, shared.length, state(position) + offset, earlier.data() + offset);
            if (gradient.models[component.members[m]] != nullptr) add_model_slopes(event, m, when, shared, state(position) + offset);
            if (gradient.peak_seeds[component.members[m]] != nullptr) reverse_peaks(event, m, shared, state(position) + offset);
{% if "quadratic" in forms %}
            forgotten[m] += forgetting[position * component.members.size() + m];
            if (component.node(m).kind == 1 && forgotten[m] > LARGEST_FORGOTTEN) {
                forgotten[m] = 0;
                make_homogeneous(m, state(position) + offset, earlier.data() + offset);
            }
{% endif %}
        }
        const bool taken_back = reverse_passages(event);
        std::swap(adjoint, earlier);
        return taken_back;
    }

{% if "quadratic" in forms %}
    void make_homogeneous(size_t m, const real *own, real *of) const {
        const int64_t stride = component.node(m).stride;
#pragma omp simd
        for (int64_t n = 0; n < stride; ++n) ::make_homogeneous(own[n], own[stride + n], of[n], of[stride + n]);
    }
{% endif %}

    // The adjoint of a member before a step, which has been made, from that after it and from the average over the step.
    void carry_back(size_t m, double when, double length, const real *before, real *result) {
        const Node &group = component.node(m);
        const int node = component.members[m];
        step_back(group, step, before, adjoint.data() + component.offsets[m], result);
        const double *seed = gradient.average_seeds[node];
        if (seed == nullptr || length == 0) return;
        const double weight = average_weight(node, when);
        each_average(group, length, trial.rates[node], [&](int64_t n, double of_v, double of_current) {
            result[n] += real(weight * of_v * seed[n]);
            result[group.stride + n] += real(weight * of_current * seed[n]);
        });
    }

    // Integral over a step of the adjoint times the derivative of the vector field by tau_m and tau_s.
    void add_model_slopes(size_t event, size_t m, double when, const Step &shared, const real *before) {
        const Node &group = component.node(m);
        const int64_t stride = group.stride;
        const double rate = trial.rates[component.members[m]];
        double *slopes = gradient.models[component.members[m]], largest = 0;
        if (group.kind == 1)
            for (int64_t n = 0; n < group.size; ++n) largest = std::max(largest, std::abs(double(before[2 * stride + n])));
        spiked.assign(group.size, 0);  // within the step: these have slopes of their own
        for_passages(event, [&](const Passage &passage) { return spiked[passage.neuron] = 1; });
        midway.resize(state_rows(group) * stride);
        of_midway.resize(midway.size());
        each_quadrature(group, shared.length, largest, std::isnan(rate) ? 0 : rate, [&](double elapsed, double weight) {
            step.make(group, elapsed);
            step.shared.terms = shared.terms;
            step_forward(group, step, before, midway.data());
            step.make(group, shared.length - elapsed);
            step.shared.terms = shared.terms;
            carry_back(m, when + elapsed, shared.length - elapsed, midway.data(), of_midway.data());
            for (int64_t n = 0; n < group.size; ++n)
                if (!spiked[n]) add_rate(group, n, weight, midway.data() + n, of_midway.data() + n, stride, slopes);
        });
    }

    // Seeds of the peaks within the step that ends with an event.
    void reverse_peaks(size_t event, size_t m, const Step &shared, const real *before) {
        const int node = component.members[m];
        const Node &group = component.node(m);
        real *result = earlier.data() + component.offsets[m];
        for (int64_t n = 0; n < group.size; ++n) {
            const Peak &peak = trial.peaks[node][n];
            const double seed = gradient.peak_seeds[node][n];
            if (peak.event != int64_t(event) || seed == 0) continue;
            const Step step = make_step<double>(group, n, peak.elapsed);
            result[n] += real(seed * step.decay_m);
            result[group.stride + n] += real(seed * step.response);
            if (double *slopes = gradient.models[node]) {
                each_quadrature(group, peak.elapsed, 0, 0, [&](double elapsed, double weight) {
                    const Step here = make_step<double>(group, n, elapsed);
                    const Step rest = make_step<double>(group, n, peak.elapsed - elapsed);
                    const real v = before[n], current = before[group.stride + n];
                    const real x[2] = {real(here.decay_m * v + here.response * current), real(here.decay_s * current)};
                    const real of[2] = {real(seed * rest.decay_m), real(seed * rest.response)};
                    add_rate(group, n, weight, x, of, 1, slopes);
                });
            }
            if (peak.elapsed >= shared.length) reverse_cut(event, m, n, seed, step, before);
        }
    }

    // Where an arrival ends a rise, the peak is at its time; of several arrivals at one time, the first counts.
    void reverse_cut(size_t event, size_t m, int64_t n, double seed, const Step &step, const real *before) {
        const Node &group = component.node(m);
        const double v = before[n], current = before[group.stride + n];
        const double rise = (step.decay_s * current - step.decay_m * v - step.response * current) / group.tau_m[n];
        for (size_t k = history.events[event].first_action; k < last_action(event); ++k) {
            const Action &action = history.actions[k];
            if (action.pathway < 0 || network.pathways[action.pathway].target != component.members[m]) continue;
            const Pathway &pathway = network.pathways[action.pathway];
            for (int64_t s = pathway.fan_start[action.fan_or_neuron]; s < pathway.fan_start[action.fan_or_neuron + 1]; ++s) {
                if (pathway.targets[s] != n) continue;
                trial.spikes[action.node].slopes[action.spike] += seed * rise;
                if (real *of_delays = gradient.delays[action.pathway]) of_delays[s] += real(seed * rise);
                return;
            }
        }
    }

    bool reverse_action(const Action &action, const real *states, double when) {
        if (action.pathway == SAMPLE) {
            reverse_sample(action, states);
            return true;
        }
        double &slope = trial.spikes[action.node].slopes[action.spike];
        if (action.pathway >= 0) {
            reverse_arrival(action, states, slope);
            return true;
        }
        const size_t m = component.member_of[action.node];
        const size_t place = component.offsets[m] + action.fan_or_neuron;
        return spike_back(action, states + place, slope, when, adjoint.data() + place, component.node(m).stride);
    }

    // At a spike, from the neuron's state before it and the adjoint after it, whose rows are `stride` apart.
    bool spike_back(const Action &action, const real *own, double slope, double when, real *of, int64_t stride) {
        const Node &group = network.nodes[action.node];
        const int64_t n = action.fan_or_neuron;
        if (group.kind == 1) {
            of[stride] += real(slope * group.tau_m[n] / own[0]);
            return true;
        }
        const double threshold = group.threshold[n], reset = group.reset[n];
        const double current = own[stride], rise = current - threshold;
        if (rise <= GRAZING_SLOPE * std::max(std::abs(current), std::abs(threshold)))
            return trial.fail(GRAZING, action.node, n, when), false;
        // A later spike prolongs the part of an averaged voltage before its reset.
        const double *seed = gradient.average_seeds[action.node];
        double by_time = slope;
        if (seed != nullptr) by_time += seed[n] * average_weight(action.node, when) * (threshold - reset);
        const double by_reset = of[0];
        of[0] = real((by_reset * (current - reset) - by_time * group.tau_m[n]) / rise);
        if (double *slopes = gradient.models[action.node]) {
            slopes[2 * group.size + n] -= of[0];
            slopes[3 * group.size + n] += by_reset;
        }
        return true;
    }

    void reverse_sample(const Action &action, const real *states) {
        const double *seed = gradient.sample_seeds[action.node];
        if (seed == nullptr) return;
        const size_t m = component.member_of[action.node];
        const Node &group = component.node(m);
        const real *own = states + component.offsets[m];
        real *of = adjoint.data() + component.offsets[m], *of_current = component.current(m, adjoint.data());
        seed += 2 * action.spike * group.size;
        for (int64_t n = 0; n < group.size; ++n) {
            of_current[n] += real(seed[group.size + n]);
            if (group.kind == 0) {
                of[n] += real(seed[n]);
            } else if (seed[n] != 0) {  // a voltage that the loss does not look at may be infinite
                const double q = own[group.stride + n];
                of[n] += real(seed[n] / q);
                of[group.stride + n] -= real(seed[n] * own[n] / (q * q));
            }
        }
    }

    // Whether nothing but slopes of weights is wanted of an arrival.
    bool only_weights(const Action &action) const {
        return network.nodes[action.node].is_source && gradient.delays[action.pathway] == nullptr &&
               !gradient.wanted_times[action.node];
    }

    // Four arrivals at once, whose slopes are the same numbers; false where they are not of that kind.
    bool reverse_four(const Action *actions) {
        if (!component.in_parallel(actions) || !only_weights(actions[0])) return false;
        real *of_weights = gradient.weights[actions[0].pathway];
        if (of_weights == nullptr) return true;
        const Pathway &pathway = network.pathways[actions[0].pathway];
        const int64_t count = pathway.row;
        const real *__restrict source =
            component.current(component.member_of[pathway.target], adjoint.data()) + pathway.first_target[0];
        real *rows[4];  // some may be the same
        for (int k = 0; k < 4; ++k) rows[k] = of_weights + count * actions[k].fan_or_neuron;
        real *w0 = rows[0], *w1 = rows[1], *w2 = rows[2], *w3 = rows[3];
#pragma omp simd
        for (int64_t s = 0; s < count; ++s) {
            w0[s] += source[s];
            w1[s] += source[s];
            w2[s] += source[s];
            w3[s] += source[s];
        }
        return true;
    }

    void reverse_arrival(const Action &action, const real *states, double &slope) {
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
        if (only_weights(action)) return;
        // By the time of arrival: w (adjoint_I/tau_s - adjoint_v/tau_m), and adjoint_v = q adjoint_p.
        const real *of_v = adjoint.data() + component.offsets[m];
        const real *q = states + component.offsets[m] + group.stride;
        double total = 0;
        for (int64_t s = 0; s < count; ++s) {
            const int64_t n = first >= 0 ? first + s : pathway.targets[begin + s];
            const double by_v = group.kind == 1 ? q[n] * of_v[n] : of_v[n];
            const double by_time = pathway.weights[begin + s] * (of_current[n] / group.tau_s[n] - by_v / group.tau_m[n]);
            total += by_time;
            if (of_delays != nullptr) of_delays[begin + s] += real(by_time);
        }
        slope += total;
    }

    void initial_slopes(size_t m) {
        const Node &group = component.node(m);
        const real *of = adjoint.data() + component.offsets[m];
        double *by_v = gradient.initial_v[component.members[m]], *by_current = gradient.initial_current[component.members[m]];
        if (by_v == nullptr) return;
        const double *peak_seeds = gradient.peak_seeds[component.members[m]];
        for (int64_t n = 0; n < group.size; ++n) {
            const bool inverse = group.kind == 1 && std::abs(group.v[n]) > 1;
            by_v[n] = inverse ? -of[group.stride + n] / (group.v[n] * group.v[n]) : of[n];
            if (peak_seeds != nullptr && trial.peaks[component.members[m]][n].event < 0) by_v[n] += peak_seeds[n];
            by_current[n] = of[(state_rows(group) - 1) * group.stride + n];
        }
    }
};
