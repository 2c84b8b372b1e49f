// Groups of neurons: vectorised flow, crossings, spikes and their adjoints. The state of a group is stored variable by
// variable, `stride` numbers each.

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

constexpr int64_t LINE = 64 / sizeof(real);  // numbers to a vector; states are padded to whole lines
constexpr double INFINITE = std::numeric_limits<double>::infinity();
constexpr double GRAZING_SLOPE = {{ precision.grazing_slope }}, MARGIN = {{ precision.margin }};
constexpr double LONGEST_STEP = {{ longest_step }};
constexpr double LARGEST_PHASE = {{ largest_phase }};

typedef std::conditional_t<sizeof(real) == 8, int64_t, int32_t> Whole;  // as wide as a real, so that loops vectorise

// Parameters have one entry per neuron; those of the padding repeat the last. In a uniform group all are the same.
struct Node {
    bool is_source = false, spikes = false, uniform = true;
    int kind = 0;  // 0: linear (lif, leaky), 1: quadratic (qif)
    int64_t size = 0, stride = 0;
    std::vector<double> tau_m, tau_s, threshold, reset;
    double fastest_tau_m = 0, slowest_tau_m = 0, fastest_tau_s = 0;
    const double *v = nullptr, *current = nullptr;
};

// exp(-dt/tau_m) and its relatives, for one neuron, or shared by all neurons of a uniform group in one step.
struct Step {
    double length, decay_m, decay_s, response, r, slope;  // slope: dt/tau_m
    int terms;                                          // of the Stumpff functions
};

// Computed as a Number: the roots of voltages in double, the flow in the precision of the state.
template <typename Number>
static Step make_step(int kind, double tau_m, double tau_s, double length) {
    Step step;
    step.length = length;
    step.terms = 0;
    const Number x = Number(length / tau_m), ratio = expm1_ratio(-x), decay_m = decay_of(x, ratio);
    step.slope = x;
    step.r = x * ratio;
    step.decay_m = decay_m;
    step.decay_s = step.response = 0;
    if (kind == 1) return step;
    const Number y = Number(length / tau_s), difference = Number(length * (1 / tau_m - 1 / tau_s));
    const Number decay_s = decay_of(y, expm1_ratio(-y));
    step.decay_s = decay_s;
    // Voltage per unit of current; far from equal time constants expm1 might overflow and nothing cancels.
    if (std::abs(difference) > 1)
        step.response = x * (decay_s - decay_m) / difference;
    else
        step.response = x * decay_m * expm1_ratio(difference);
    return step;
}

template <typename Number>
static Step make_step(const Node &node, int64_t n, double length) {
    return make_step<Number>(node.kind, node.tau_m[n], node.tau_s[n], length);
}

// What the neurons of a uniform group share, as their loops take it.
struct SharedStep {
    real decay_m, decay_s, response, slope;
    explicit SharedStep(const Step &step)
        : decay_m(real(step.decay_m)), decay_s(real(step.decay_s)), response(real(step.response)),
          slope(real(step.slope)) {}
};

// The steps of all neurons of a group: one if they are the same.
struct GroupStep {
    Step shared;
    std::vector<real> decay_m, decay_s, response, r, slope;

    void make(const Node &node, double length) {
        shared = make_step<real>(node.kind, node.fastest_tau_m, node.tau_s[0], length);
        if (!node.uniform) make_each(node, length);
    }

    // The step that was made before with the same length.
    void make(const Node &node, const Step &before) {
        shared = before;
        if (!node.uniform) make_each(node, before.length);
    }

    void make_each(const Node &node, double length) {
        for (std::vector<real> *row : {&decay_m, &decay_s, &response, &r, &slope}) row->resize(node.stride);
        for (int64_t n = 0; n < node.stride; ++n) {
            const Step own = make_step<real>(node, n, length);
            decay_m[n] = real(own.decay_m);
            decay_s[n] = real(own.decay_s);
            response[n] = real(own.response);
            r[n] = real(own.r);
            slope[n] = real(own.slope);
        }
    }
};

static int state_rows(const Node &node) { return node.kind == 1 ? 3 : 2; }

static void initial_state(const Node &node, real *state) {
    std::fill(state, state + state_rows(node) * node.stride, real(0));
    for (int64_t n = 0; n < node.size; ++n) {
        if (node.kind == 1) {
            const bool large = std::abs(node.v[n]) > 1;
            state[n] = real(large ? 1 : node.v[n]);
            state[node.stride + n] = real(large ? 1 / node.v[n] : 1);
            state[2 * node.stride + n] = real(node.current[n]);
        } else {
            state[n] = real(node.v[n]);
            state[node.stride + n] = real(node.current[n]);
        }
    }
    // Padding: neurons that rest and never cross.
    if (node.kind == 1)
        std::fill(state + node.stride + node.size, state + 2 * node.stride, real(1));
}

// A flow returns whether some neuron may have crossed; a NaN counts as a crossing, so that it is found.

{% if "linear" in forms %}
template <bool UNIFORM>
static bool linear_step(const Node &node, const GroupStep &step, const real *__restrict before,
                        real *__restrict after) {
    const int64_t count = node.stride;
    const real *__restrict v = before, *__restrict current = before + count;
    real *__restrict v_after = after, *__restrict current_after = after + count;
    const double *__restrict thresholds = node.threshold.data();
    const real *__restrict decays_m = step.decay_m.data(), *__restrict decays_s = step.decay_s.data();
    const real *__restrict responses = step.response.data(), *__restrict slopes = step.slope.data();
    const SharedStep shared(step.shared);
    const real shared_threshold = real(thresholds[0]);
    Whole hit = 0;
#pragma omp simd reduction(| : hit)
    for (int64_t n = 0; n < count; ++n) {
        const real threshold = UNIFORM ? shared_threshold : real(thresholds[n]), slope = UNIFORM ? shared.slope : slopes[n];
        const real decay_m = UNIFORM ? shared.decay_m : decays_m[n], decay_s = UNIFORM ? shared.decay_s : decays_s[n];
        const real response = UNIFORM ? shared.response : responses[n];
        real v1, i1;
        linear_flow(v[n], current[n], decay_m, decay_s, response, v1, i1);
        // While v rises towards I > 0 its slope falls, so the tangent at the start bounds a rise that ends within.
        const real bound = v[n] + (current[n] - v[n]) * slope;
        hit |= Whole(!(v1 < threshold)) | Whole(!(v[n] < threshold)) | (Whole(!(bound < threshold)) & Whole(i1 <= v1));
        v_after[n] = v1;
        current_after[n] = i1;
    }
    return hit != 0;
}

// Where v(t) = I(t), the only extremum; infinity where it lies in the past.
static double time_of_maximum(double tau_m, double tau_s, double v, double current) {
    const double gap = (current - v) / current, x = -gap * (1 - tau_s / tau_m);
    if (current <= 0 || x <= -1) return INFINITE;
    return (x != 0 ? std::log1p(x) / x : 1) * gap * tau_s;
}

// Whether v stays clearly below its threshold although it rises at first and has turned by the end (v1, i1). dv^2/dt^2
// is a sum of two exponentials: if it is negative at both ends it is so between them, and tangents bound v from above.
static bool stays_below(const Node &node, int64_t n, double v, double current, double v1, double i1, double length) {
    const double tau_m = node.tau_m[n], start = (current - v) / tau_m, end = (i1 - v1) / tau_m;
    if (!(start > 0 && end < 0 && current > 0 && -end < i1 / node.tau_s[n])) return false;
    const double meeting = (v1 - v - end * length) / (start - end);
    const double margin = MARGIN * (std::abs(node.threshold[n]) + std::abs(v) + current);
    return v + start * meeting < node.threshold[n] - margin;
}

static bool is_parabola(const Node &node, int64_t n) { return node.tau_m[n] == 2 * node.tau_s[n]; }

// First upward crossing within a step where tau_m = 2 tau_s, in closed form: then threshold - v is the parabola
// gap - rise y + I y^2 in y = 1 - exp(-t/tau_m).
static double parabola_crossing(const Node &node, int64_t n, double v, double current, double length) {
    double gap = node.threshold[n] - v, rise = current - v;
    if (!std::isfinite(gap) || !std::isfinite(rise)) return NAN;  // found as such by those who look for crossings
    if (gap <= 0) return 0;
    // Only ratios of the three count; squares of very large or small ones are no numbers.
    const double largest = std::max(gap, std::max(std::abs(rise), std::abs(current)));
    if (largest > 1e150 || largest < 1e-150) {
        gap /= largest;
        rise /= largest;
        current /= largest;
    }
    const double y = 2 * gap / (rise + std::sqrt(rise * rise - 4 * current * gap));
    if (!(y >= 0 && y < 1)) return INFINITE;
    const double time = -node.tau_m[n] * std::log1p(-y);
    return time <= length ? time : INFINITE;
}

// The same for any time constants, by Newton inside a bracket; infinity where there is none.
static double linear_crossing(const Node &node, int64_t n, double v, double current, double v1, double i1, double length) {
    const double threshold = node.threshold[n], tau_m = node.tau_m[n];
    if (is_parabola(node, n)) return parabola_crossing(node, n, v, current, length);
    if (v >= threshold) return 0;
    if (v1 < threshold && stays_below(node, n, v, current, v1, i1, length)) return INFINITE;
    double low = 0, high = length;
    if (current > v) high = std::min(high, time_of_maximum(tau_m, node.tau_s[n], v, current));
    const auto excess = [&](double time, double &slope) {
        const Step step = make_step<double>(node, n, time);
        const double now = step.decay_m * v + step.response * current;
        slope = (step.decay_s * current - now) / tau_m;
        return now - threshold;
    };
    double slope;
    if (excess(high, slope) < 0) return INFINITE;
    slope = (current - v) / tau_m;
    double time = std::min(high, slope > 0 ? (threshold - v) / slope : high / 2);
    for (int iteration = 0; iteration < 200; ++iteration) {
        const double gap = excess(time, slope);
        if (gap == 0) return time;
        (gap < 0 ? low : high) = time;
        double next = time - gap / slope;
        if (!(next > low && next < high)) next = low + (high - low) / 2;
        if (std::abs(next - time) <= 2 * std::numeric_limits<double>::epsilon() * time) return next;
        time = next;
    }
    return time;
}

template <bool UNIFORM>
static void linear_step_back(const Node &node, const GroupStep &step, const real *__restrict adjoint,
                             real *__restrict before) {
    const int64_t count = node.stride;
    const real *__restrict of_v = adjoint, *__restrict of_current = adjoint + count;
    real *__restrict before_v = before, *__restrict before_current = before + count;
    const real *__restrict decays_m = step.decay_m.data(), *__restrict decays_s = step.decay_s.data();
    const real *__restrict responses = step.response.data();
    const SharedStep shared(step.shared);
#pragma omp simd
    for (int64_t n = 0; n < count; ++n) {
        const real decay_m = UNIFORM ? shared.decay_m : decays_m[n], decay_s = UNIFORM ? shared.decay_s : decays_s[n];
        const real response = UNIFORM ? shared.response : responses[n];
        real a, b;
        linear_flow_adjoint(0, 0, decay_m, decay_s, response, of_v[n], of_current[n], a, b);
        before_v[n] = a;
        before_current[n] = b;
    }
}
{% endif %}

{% if "quadratic" in forms %}
template <int TERMS, bool UNIFORM>
static bool quadratic_step(const Node &node, const GroupStep &step, const real *__restrict before,
                           real *__restrict after) {
    const int64_t count = node.stride;
    const real *__restrict p = before, *__restrict q = before + count, *__restrict current = before + 2 * count;
    real *__restrict p_after = after, *__restrict q_after = after + count, *__restrict current_after = after + 2 * count;
    const real *__restrict decays = step.decay_m.data(), *__restrict rs = step.r.data();
    const real shared_decay = real(step.shared.decay_m), shared_r = real(step.shared.r);
    Whole hit = 0;
#pragma omp simd reduction(| : hit)
    for (int64_t n = 0; n < count; ++n) {
        const real decay = UNIFORM ? shared_decay : decays[n], r = UNIFORM ? shared_r : rs[n];
        real p1, q1, i1;
        quadratic_flow<TERMS>(p[n], q[n], current[n], decay, r, p1, q1, i1);
        hit |= Whole(!(q[n] * q1 > 0));
        p_after[n] = p1;
        q_after[n] = q1;
        current_after[n] = i1;
    }
    return hit != 0;
}

// tan(w r) = w q/p with w = sqrt(I); artanh for I < 0.
static double quadratic_zero(double tau_m, double p, double q, double current) {
    const double root = std::sqrt(std::abs(current));
    double r = q / p;
    if (current > 0)
        r = (q > 0 ? std::atan2(root * q, p) : std::atan2(-root * q, -p)) / root;
    else if (current < 0)
        r = std::atanh(root * q / p) / root;
    return -tau_m * std::log1p(-r);
}

template <int TERMS, bool UNIFORM>
static void quadratic_step_back(const Node &node, const GroupStep &step, const real *__restrict state,
                                const real *__restrict adjoint, real *__restrict before) {
    const int64_t count = node.stride;
    const real *__restrict p = state, *__restrict q = state + count, *__restrict current = state + 2 * count;
    const real *__restrict of_p = adjoint, *__restrict of_q = adjoint + count, *__restrict of_i = adjoint + 2 * count;
    real *__restrict before_p = before, *__restrict before_q = before + count, *__restrict before_i = before + 2 * count;
    const real *__restrict decays = step.decay_m.data(), *__restrict rs = step.r.data();
    const real shared_decay = real(step.shared.decay_m), shared_r = real(step.shared.r);
#pragma omp simd
    for (int64_t n = 0; n < count; ++n) {
        const real decay = UNIFORM ? shared_decay : decays[n], r = UNIFORM ? shared_r : rs[n];
        real a, b, c;
        quadratic_flow_adjoint<TERMS>(p[n], q[n], current[n], decay, r, of_p[n], of_q[n], of_i[n], a, b, c);
        before_p[n] = a;
        before_q[n] = b;
        before_i[n] = c;
    }
}

// The power of two that brings x into [1, 2).
static inline real scale_of(real x) {
    constexpr int MANTISSA = std::numeric_limits<real>::digits - 1;
    constexpr Whole EXPONENTS = 2 * std::numeric_limits<real>::max_exponent - 1;
    Whole bits;
    std::memcpy(&bits, &x, sizeof bits);
    bits = ((EXPONENTS - 1) << MANTISSA) - (bits & (EXPONENTS << MANTISSA));
    real scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return scale;
}

static void quadratic_scales(const Node &node, const real *__restrict state, real *__restrict scales) {
    const int64_t count = node.stride;
#pragma omp simd
    for (int64_t n = 0; n < count; ++n)
        scales[n] = scale_of(std::max(std::abs(state[n]), std::abs(state[count + n])));
}
{% endif %}

{% if "quadratic" in forms %}
// Calls the quadratic function with the number of terms that the step needs.
#define WITH_TERMS(FUNCTION, ...) \
    (step.shared.terms == FEW_TERMS    ? WITH_UNIFORM(FUNCTION, FEW_TERMS, __VA_ARGS__) \
     : step.shared.terms == MORE_TERMS ? WITH_UNIFORM(FUNCTION, MORE_TERMS, __VA_ARGS__) \
                                       : WITH_UNIFORM(FUNCTION, MOST_TERMS, __VA_ARGS__))
#define WITH_UNIFORM(FUNCTION, TERMS, ...) \
    (node.uniform ? FUNCTION<TERMS, true>(__VA_ARGS__) : FUNCTION<TERMS, false>(__VA_ARGS__))
{% endif %}

static bool step_forward(const Node &node, const GroupStep &step, const real *before, real *after) {
{% if "quadratic" in forms %}
    if (node.kind == 1) return WITH_TERMS(quadratic_step, node, step, before, after);
{% endif %}
{% if "linear" in forms %}
    return node.uniform ? linear_step<true>(node, step, before, after) : linear_step<false>(node, step, before, after);
{% endif %}
    return false;
}

static void step_back(const Node &node, const GroupStep &step, [[maybe_unused]] const real *state, const real *adjoint,
                      real *before) {
{% if "quadratic" in forms %}
    if (node.kind == 1) {
        WITH_TERMS(quadratic_step_back, node, step, state, adjoint, before);
        return;
    }
{% endif %}
{% if "linear" in forms %}
    if (node.uniform)
        linear_step_back<true>(node, step, adjoint, before);
    else
        linear_step_back<false>(node, step, adjoint, before);
{% endif %}
}

// Whether a neuron may spike within a step; the test is loose for linear neurons, which may just have turned in time.
template <int KIND>
static inline int64_t may_cross(const Node &node, const real *before, const real *after, int64_t n, double length) {
    if (KIND == 1) return int64_t(!(double(before[node.stride + n]) * after[node.stride + n] > 0));
    const double v = before[n], current = before[node.stride + n], threshold = node.threshold[n];
    const double bound = v + (current - v) * (length / node.tau_m[n]);
    const int64_t turned = int64_t(after[node.stride + n] <= after[n]) & int64_t(bound >= threshold);
    return int64_t(!(after[n] < threshold)) | int64_t(!(v < threshold)) | turned;
}

// Time within the step at which a neuron spikes; infinity where it does not.
template <int KIND>
static double crossing_time(const Node &node, const real *before, const real *after, int64_t n, double length) {
{% if "quadratic" in forms %}
    if (KIND == 1) {
        const double q0 = before[node.stride + n], q1 = after[node.stride + n];
        if (!(q0 * q1 < 0 || (q1 == 0 && q0 != 0))) return INFINITE;
        return quadratic_zero(node.tau_m[n], before[n], q0, before[2 * node.stride + n]);
    }
{% endif %}
{% if "linear" in forms %}
    return linear_crossing(node, n, before[n], before[node.stride + n], after[n], after[node.stride + n], length);
{% else %}
    return INFINITE;
{% endif %}
}

// Calls `found(neuron, time)` for every neuron that spikes within the step; whole lines without one are passed over.
template <int KIND, typename Found>
static void visit_crossings(const Node &node, const real *before, const real *after, double length, Found found) {
    for (int64_t line = 0; line < node.stride; line += LINE) {
        int64_t any = 0;
#pragma omp simd reduction(| : any)
        for (int64_t n = line; n < line + LINE; ++n) any |= may_cross<KIND>(node, before, after, n, length);
        if (any == 0) continue;
        for (int64_t n = line; n < std::min(line + LINE, node.size); ++n) {
            if (!may_cross<KIND>(node, before, after, n, length)) continue;
            const double when = crossing_time<KIND>(node, before, after, n, length);
            if (when != INFINITE) found(n, when);
        }
    }
}
