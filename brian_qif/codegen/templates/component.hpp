// The groups that are advanced together: their states, their flow, and what events do to them.

constexpr size_t MANY = 8;  // arrivals at one time

// The states of the groups of one component, one after the other, and what is known about them.
struct Component {
    const Network &network;
    const std::vector<int> &members;
    std::vector<size_t> offsets;  // of each member's state
    std::vector<int> member_of;   // by node; -1 outside
    size_t size = 0;
    std::vector<double> largest_current;  // upper bound of |I| of each member
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
        const real *own = state + offsets[m];
        const int64_t count = state_rows(node(m)) * node(m).stride;
        Whole wrong = 0;
#pragma omp simd reduction(| : wrong)
        for (int64_t n = 0; n < count; ++n) wrong |= Whole(!(own[n] - own[n] == 0));
        return wrong == 0;
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
            find_largest_current(m, state);
        }
        return -1;
    }

    void find_largest_current(size_t m, const real *state) {
        real largest = 0;
        const real *input = current(m, state);
        const int64_t count = node(m).size;
#pragma omp simd reduction(max : largest)
        for (int64_t n = 0; n < count; ++n) largest = std::max(largest, std::abs(input[n]));
        largest_current[m] = largest;
    }

    // Number of equal parts of a step of which the first holds at most one spike of any quadratic neuron.
    double parts(double length) const {
        double most = 1;
        for (size_t m = 0; m < members.size(); ++m)
            if (node(m).kind == 1) {
                const double scaled = length / node(m).fastest_tau_m;
                if (scaled <= LONGEST_STEP && largest_current[m] * scaled * scaled <= LARGEST_PHASE) continue;
                most = std::max(most, std::ceil(scaled / LONGEST_STEP));
                most = std::max(most, std::ceil(scaled * std::sqrt(largest_current[m] / LARGEST_PHASE)));
            }
        return most;
    }

    bool flow(double length, const real *before, real *after) {
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
                const double x = shared.length / node(m).slowest_tau_m;
                const double decay = node(m).uniform ? shared.decay_m : decay_of(x, expm1_ratio(-x));
                largest_current[m] *= decay * decay;
            }
    }

    // All actions of an event, in their order. Arrivals through rows of synapses onto the same neurons are added four at
    // a time: the currents, which lie in between, are then read and written once.
    void apply(const Action *actions, size_t count, real *state) {
        for (size_t k = 0; k < count;) {
            if (k + 4 <= count && in_parallel(actions + k)) {
                apply_four(actions + k, state);
                k += 4;
            } else {
                apply(actions[k++], state);
            }
        }
        // Many weights added up bound little; shorter series and fewer parts are worth a look at all neurons.
        if (count >= MANY)
            for (size_t m = 0; m < members.size(); ++m)
                if (node(m).kind == 1) find_largest_current(m, state);
    }

    // Of a component of one group: the currents after many arrivals, as they were found before.
    void set_currents(const real *values, real *state) {
        std::copy_n(values, node(0).stride, current(0, state));
        if (node(0).kind == 1) find_largest_current(0, state);
    }

    bool in_parallel(const Action *actions) const {
        const int32_t first = actions[0].pathway;
        return first >= 0 && network.pathways[first].row > 0 && actions[1].pathway == first &&
               actions[2].pathway == first && actions[3].pathway == first;
    }

    void apply_four(const Action *actions, real *state) {
        const Pathway &pathway = network.pathways[actions[0].pathway];
        const size_t m = member_of[pathway.target];
        const real *rows[4];
        for (int k = 0; k < 4; ++k) {
            rows[k] = pathway.weights + pathway.row * actions[k].fan_or_neuron;
            largest_current[m] += pathway.largest_weight[actions[k].fan_or_neuron];
        }
        const int64_t count = pathway.row;
        real *__restrict input = current(m, state) + pathway.first_target[0];
        const real *w0 = rows[0], *w1 = rows[1], *w2 = rows[2], *w3 = rows[3];
#pragma omp simd
        for (int64_t s = 0; s < count; ++s) input[s] += (w0[s] + w1[s]) + (w2[s] + w3[s]);
    }

    void apply(const Action &action, real *state) {
        if (action.pathway == SAMPLE) return;
        if (action.pathway == SPIKE) {
            const size_t m = member_of[action.node];
            const Node &group = node(m);
            if (group.kind == 1)
                state[offsets[m] + group.stride + action.fan_or_neuron] = 0;
            else
                state[offsets[m] + action.fan_or_neuron] = real(group.reset[action.fan_or_neuron]);
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
