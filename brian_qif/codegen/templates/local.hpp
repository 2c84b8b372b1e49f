// One neuron by itself: its flow and the adjoint of that, and how its slopes by its own parameters add up.

// Its state, or the adjoint of that.
struct Local {
    real x[3];  // v and I, or p, q and I
};

{% if "quadratic" in forms %}
// What rounding left in the adjoint along (p, q), which no loss depends on, is taken out: it would never decay, and so
// stay in the slopes by what a neuron has long forgotten.
static void make_homogeneous(real p, real q, real &of_p, real &of_q) {
    const bool large = std::abs(q) >= std::abs(p);
    const real ratio = large ? p / q : q / p;
    const real of_small = ((large ? of_p : of_q) - ratio * (large ? of_q : of_p)) / (1 + ratio * ratio);
    of_p = large ? of_small : -ratio * of_small;
    of_q = large ? -ratio * of_small : of_small;
}
{% endif %}

// Calls `consume(elapsed, weight)` for the nodes of a Gauss-Legendre rule over a step: with five nodes on half a time
// constant, rounding is what remains. `largest` bounds |I|, `rate` is that of an average.
template <typename Consumer>
static void each_quadrature(const Node &node, double length, double largest, double rate, Consumer consume) {
    static const double nodes[] = {0, 0.538469310105683091, 0.906179845938663993};
    static const double weights[] = {0.568888888888888889, 0.478628670499366468, 0.236926885056189088};
    double extent = length / node.fastest_tau_m + length / node.fastest_tau_s + length * rate;
    if (node.kind == 1) extent += 2 * std::sqrt(largest) * length / node.fastest_tau_m;
    const double panels = std::max(double(1), std::ceil(2 * extent)), width = length / panels;
    for (double panel = 0; panel < panels; ++panel)
        for (int k = -2; k <= 2; ++k) {
            const double x = k < 0 ? -nodes[-k] : nodes[k];
            consume((panel + (1 + x) / 2) * width, weights[std::abs(k)] / 2 * width);
        }
}

// Adjoint times the derivative of the vector field by tau_m and tau_s, for one neuron; rows of `x` and `of` are `stride`
// apart.
static void add_rate(const Node &node, int64_t n, double weight, const real *x, const real *of, int64_t stride,
                     double *slopes) {
    const double per_m = 1 / node.tau_m[n], per_s = 1 / node.tau_s[n];
    const int64_t last = (state_rows(node) - 1) * stride;
    const double current = x[last];
    // tau_m times the rate of change, weighted by the adjoint.
    const double rate = node.kind == 1 ? of[0] * (current * x[stride] - x[0]) - of[stride] * x[0] : of[0] * (current - x[0]);
    slopes[n] -= weight * rate * per_m * per_m;
    slopes[node.size + n] += weight * of[last] * current * per_s * per_s;
}

struct LocalNeuron {
    const Node &node;
    int64_t n;

    int last() const { return node.kind == 1 ? 2 : 1; }

    // Into how many equal parts a step is cut so that the series of the Stumpff functions hold.
    int parts(const Local &state, double length) const {
        if (node.kind != 1) return 1;
        const double scaled = length / node.tau_m[n];
        const double phase = scaled * std::sqrt(std::abs(double(state.x[2])) / LARGEST_PHASE);
        return int(std::max(1.0, std::ceil(std::max(scaled / LONGEST_STEP, phase))));
    }

    void part(Local &state, const Step &step) const {
        real *x = state.x;
{% if "quadratic" in forms %}
        if (node.kind == 1) return quadratic_flow<MOST_TERMS>(x[0], x[1], x[2], real(step.decay_m), real(step.r), x[0], x[1], x[2]);
{% endif %}
{% if "linear" in forms %}
        linear_flow(x[0], x[1], step.decay_m, step.decay_s, step.response, x[0], x[1]);
{% endif %}
    }

    void part_back(const Local &state, const Step &step, Local &adjoint) const {
        const real *x = state.x;
        const Local of = adjoint;
{% if "quadratic" in forms %}
        if (node.kind == 1)
            return quadratic_flow_adjoint<MOST_TERMS>(x[0], x[1], x[2], step.decay_m, step.r, of.x[0], of.x[1], of.x[2],
                                              adjoint.x[0], adjoint.x[1], adjoint.x[2]);
{% endif %}
{% if "linear" in forms %}
        linear_flow_adjoint(x[0], x[1], step.decay_m, step.decay_s, step.response, of.x[0], of.x[1], adjoint.x[0],
                            adjoint.x[1]);
{% endif %}
    }

    void flow(Local &state, double length) const {
        if (length == 0) return;
        const int count = parts(state, length);
        const Step step = make_step<real>(node, n, length / count);
        for (int k = 0; k < count; ++k) part(state, step);
    }

    void flow_back(Local state, double length, Local &adjoint) const {
        if (length == 0) return;
        const int count = parts(state, length);
        const Step step = make_step<real>(node, n, length / count);
        std::vector<Local> starts(count - 1, state);
        for (int k = 1; k < count; ++k) {
            starts[k - 1] = state;
            part(state, step);
        }
        for (int k = count; k-- > 0;) {
            part_back(state, step, adjoint);
{% if "quadratic" in forms %}
            if (node.kind == 1) make_homogeneous(state.x[0], state.x[1], adjoint.x[0], adjoint.x[1]);
{% endif %}
            if (k > 0) state = starts[k - 1];
        }
    }

    // What a spike leaves.
    void reset(Local &state) const {
        if (node.kind == 1)
            state.x[1] = 0;
        else
            state.x[0] = real(node.reset[n]);
    }

    // To and from states, or adjoints, that are stored variable by variable.
    Local gather(const real *states) const {
        Local state{};
        for (int row = 0; row <= last(); ++row) state.x[row] = states[row * node.stride + n];
        return state;
    }
    void scatter(const Local &state, real *states) const {
        for (int row = 0; row <= last(); ++row) states[row * node.stride + n] = state.x[row];
    }

    // Integral over a step, from the state before it and the adjoint after it, of what tau_m and tau_s do.
    void add_model_slopes(const Local &before, double length, const Local &of, double *slopes) const {
        each_quadrature(node, length, std::abs(before.x[last()]), 0, [&](double elapsed, double weight) {
            Local state = before, adjoint = of;
            flow(state, elapsed);
            flow_back(state, length - elapsed, adjoint);
            add_rate(node, n, weight, state.x, adjoint.x, 1, slopes);
        });
    }

    // A power of two that brings (p, q) back into range; 1 while it is there, and for linear neurons.
    real scale(const Local &state) const {
{% if "quadratic" in forms %}
        if (node.kind == 1) {
            const real largest = std::max(std::abs(state.x[0]), std::abs(state.x[1]));
            if (!(largest > 1e-9 && largest < 1e9)) return scale_of(largest);
        }
{% endif %}
        return 1;
    }

    // How long after now the neuron spikes if nothing arrives within `length`; infinity where it does not.
    double next_spike(const Local &state, double length) const {
        if (!node.spikes) return INFINITE;
        const real *x = state.x;
{% if "quadratic" in forms %}
        if (node.kind == 1) {
            const double current = x[2], root = std::sqrt(std::abs(current)), sign = x[1] < 0 ? -1 : 1;
            const double p = sign * x[0], q = sign * x[1];
            double r = INFINITE;
            if (current > 0)
                r = q == 0 ? 3.14159265358979323846 / root : std::atan2(root * q, p) / root;
            else if (q > 0 && p > root * q)
                r = current < 0 ? std::atanh(root * q / p) / root : q / p;
            return r < 1 ? -node.tau_m[n] * std::log1p(-r) : INFINITE;
        }
{% endif %}
{% if "linear" in forms %}
        // v never exceeds the larger of v and I.
        if (std::max(x[0], x[1]) < node.threshold[n]) return INFINITE;
        if (is_parabola(node, n)) return parabola_crossing(node, n, x[0], x[1], length);
        const Step step = make_step<double>(node, n, length);
        const double v1 = step.decay_m * x[0] + step.response * x[1], i1 = step.decay_s * x[1];
        return linear_crossing(node, n, x[0], x[1], v1, i1, length);
{% else %}
        return INFINITE;
{% endif %}
    }
};
