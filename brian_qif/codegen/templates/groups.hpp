// Groups of neurons: vectorised flow, crossings, spikes and their adjoints. The state of a group is stored variable by
// variable, `stride` numbers each.

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

constexpr int64_t LINE = 8;  // numbers to a vector; states are padded to whole lines
constexpr real INFINITE = std::numeric_limits<real>::infinity();
constexpr real GRAZING_SLOPE = {{ grazing_slope }};
constexpr real LONGEST_STEP = {{ longest_step }};
constexpr real LARGEST_PHASE = {{ largest_phase }};

// Parameters have one entry per neuron; those of the padding repeat the last. In a uniform group all are the same.
struct Node {
    bool is_source = false, spikes = false, uniform = true;
    int kind = 0;  // 0: linear (lif, leaky), 1: quadratic (qif)
    int64_t size = 0, stride = 0;
    std::vector<real> tau_m, tau_s, threshold, reset;
    real fastest_tau_m = 0, slowest_tau_m = 0, fastest_tau_s = 0;
    const real *v = nullptr, *current = nullptr;
};

// exp(-dt/tau_m) and its relatives, for one neuron, or shared by all neurons of a uniform group in one step.
struct Step {
    real length, decay_m, decay_s, response, r, slope;  // slope: dt/tau_m
    int terms;                                          // of the Stumpff functions
};

static Step make_step(int kind, real tau_m, real tau_s, real length) {
    Step step;
    step.length = length;
    step.terms = 0;
    const real x = length / tau_m, ratio = expm1_ratio(-x);
    step.slope = x;
    step.r = x * ratio;
    step.decay_m = decay_of(x, ratio);
    step.decay_s = step.response = 0;
    if (kind == 1) return step;
    const real y = length / tau_s, difference = length * (1 / tau_m - 1 / tau_s);
    step.decay_s = decay_of(y, expm1_ratio(-y));
    // Voltage per unit of current; far from equal time constants expm1 might overflow and nothing cancels.
    if (std::abs(difference) > 1)
        step.response = x * (step.decay_s - step.decay_m) / difference;
    else
        step.response = x * step.decay_m * expm1_ratio(difference);
    return step;
}

static Step make_step(const Node &node, int64_t n, real length) {
    return make_step(node.kind, node.tau_m[n], node.tau_s[n], length);
}

// The steps of all neurons of a group: one if they are the same.
struct GroupStep {
    Step shared;
    std::vector<real> decay_m, decay_s, response, r, slope;

    void make(const Node &node, real length) {
        shared = make_step(node.kind, node.fastest_tau_m, node.tau_s.empty() ? real(1) : node.tau_s[0], length);
        if (node.uniform) return;
        for (std::vector<real> *row : {&decay_m, &decay_s, &response, &r, &slope}) row->resize(node.stride);
        for (int64_t n = 0; n < node.stride; ++n) {
            const Step own = make_step(node, n, length);
            decay_m[n] = own.decay_m;
            decay_s[n] = own.decay_s;
            response[n] = own.response;
            r[n] = own.r;
            slope[n] = own.slope;
        }
    }
};

static int state_rows(const Node &node) { return node.kind == 1 ? 3 : 2; }

static void initial_state(const Node &node, real *state) {
    std::fill(state, state + state_rows(node) * node.stride, real(0));
    for (int64_t n = 0; n < node.size; ++n) {
        if (node.kind == 1) {
            const bool large = std::abs(node.v[n]) > 1;
            state[n] = large ? 1 : node.v[n];
            state[node.stride + n] = large ? 1 / node.v[n] : 1;
            state[2 * node.stride + n] = node.current[n];
        } else {
            state[n] = node.v[n];
            state[node.stride + n] = node.current[n];
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
    const real *__restrict thresholds = node.threshold.data();
    const real *__restrict decays_m = step.decay_m.data(), *__restrict decays_s = step.decay_s.data();
    const real *__restrict responses = step.response.data(), *__restrict slopes = step.slope.data();
    const Step shared = step.shared;
    const real shared_threshold = thresholds[0];
    int64_t hit = 0;
#pragma omp simd reduction(| : hit)
    for (int64_t n = 0; n < count; ++n) {
        const real threshold = UNIFORM ? shared_threshold : thresholds[n], slope = UNIFORM ? shared.slope : slopes[n];
        const real decay_m = UNIFORM ? shared.decay_m : decays_m[n], decay_s = UNIFORM ? shared.decay_s : decays_s[n];
        const real response = UNIFORM ? shared.response : responses[n];
        real v1, i1;
        linear_flow(v[n], current[n], decay_m, decay_s, response, v1, i1);
        // While v rises towards I > 0 its slope falls, so the tangent at the start bounds a rise that ends within.
        const real bound = v[n] + (current[n] - v[n]) * slope;
        hit |= int64_t(!(v1 < threshold)) | int64_t(!(v[n] < threshold)) |
               (int64_t(!(bound < threshold)) & int64_t(i1 < v1));
        v_after[n] = v1;
        current_after[n] = i1;
    }
    return hit != 0;
}

// Where v(t) = I(t), the only extremum; infinity where it lies in the past.
static real time_of_maximum(real tau_m, real tau_s, real v, real current) {
    const real gap = (current - v) / current, x = -gap * (1 - tau_s / tau_m);
    if (current <= 0 || x <= -1) return INFINITE;
    return (x != 0 ? std::log1p(x) / x : 1) * gap * tau_s;
}

// Whether v stays clearly below its threshold although it rises at first and has turned by the end (v1, i1). dv^2/dt^2
// is a sum of two exponentials: if it is negative at both ends it is so between them, and tangents bound v from above.
static bool stays_below(const Node &node, int64_t n, real v, real current, real v1, real i1, real length) {
    const real tau_m = node.tau_m[n], start = (current - v) / tau_m, end = (i1 - v1) / tau_m;
    if (!(start > 0 && end < 0 && current > 0 && -end < i1 / node.tau_s[n])) return false;
    const real meeting = (v1 - v - end * length) / (start - end);
    const real margin = 1e-12 * (std::abs(node.threshold[n]) + std::abs(v) + current);
    return v + start * meeting < node.threshold[n] - margin;
}

// First upward crossing within a step, by Newton inside a bracket; infinity where there is none.
static real linear_crossing(const Node &node, int64_t n, real v, real current, real v1, real i1, real length) {
    const real threshold = node.threshold[n], tau_m = node.tau_m[n];
    if (v >= threshold) return 0;
    if (v1 < threshold && stays_below(node, n, v, current, v1, i1, length)) return INFINITE;
    real low = 0, high = length;
    if (current > v) high = std::min(high, time_of_maximum(tau_m, node.tau_s[n], v, current));
    const auto excess = [&](real time, real &slope) {
        const Step step = make_step(node, n, time);
        const real now = step.decay_m * v + step.response * current;
        slope = (step.decay_s * current - now) / tau_m;
        return now - threshold;
    };
    real slope;
    if (excess(high, slope) < 0) return INFINITE;
    slope = (current - v) / tau_m;
    real time = std::min(high, slope > 0 ? (threshold - v) / slope : high / 2);
    for (int iteration = 0; iteration < 200; ++iteration) {
        const real gap = excess(time, slope);
        if (gap == 0) return time;
        (gap < 0 ? low : high) = time;
        real next = time - gap / slope;
        if (!(next > low && next < high)) next = low + (high - low) / 2;
        if (std::abs(next - time) <= 2 * std::numeric_limits<real>::epsilon() * time) return next;
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
    const Step shared = step.shared;
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
    const real shared_decay = step.shared.decay_m, shared_r = step.shared.r;
    int64_t hit = 0;
#pragma omp simd reduction(| : hit)
    for (int64_t n = 0; n < count; ++n) {
        const real decay = UNIFORM ? shared_decay : decays[n], r = UNIFORM ? shared_r : rs[n];
        real p1, q1, i1;
        quadratic_flow<TERMS>(p[n], q[n], current[n], decay, r, p1, q1, i1);
        hit |= int64_t(!(q[n] * q1 > 0));
        p_after[n] = p1;
        q_after[n] = q1;
        current_after[n] = i1;
    }
    return hit != 0;
}

// tan(w r) = w q/p with w = sqrt(I); artanh for I < 0.
static real quadratic_zero(real tau_m, real p, real q, real current) {
    const real root = std::sqrt(std::abs(current));
    real r = q / p;
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
    const real shared_decay = step.shared.decay_m, shared_r = step.shared.r;
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
    int64_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    bits = (int64_t(2046) << 52) - (bits & (int64_t(2047) << 52));
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
    (step.shared.terms == 4   ? (node.uniform ? FUNCTION<4, true>(__VA_ARGS__) : FUNCTION<4, false>(__VA_ARGS__)) \
     : step.shared.terms == 6 ? (node.uniform ? FUNCTION<6, true>(__VA_ARGS__) : FUNCTION<6, false>(__VA_ARGS__)) \
                              : (node.uniform ? FUNCTION<10, true>(__VA_ARGS__) : FUNCTION<10, false>(__VA_ARGS__)))
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
static inline int64_t may_cross(const Node &node, const real *before, const real *after, int64_t n, real length) {
    if (KIND == 1) return int64_t(!(before[node.stride + n] * after[node.stride + n] > 0));
    const real v = before[n], current = before[node.stride + n], threshold = node.threshold[n];
    const real bound = v + (current - v) * (length / node.tau_m[n]);
    const int64_t turned = int64_t(after[node.stride + n] < after[n]) & int64_t(bound >= threshold);
    return int64_t(!(after[n] < threshold)) | int64_t(!(v < threshold)) | turned;
}

// Time within the step at which a neuron spikes; infinity where it does not.
template <int KIND>
static real crossing_time(const Node &node, const real *before, const real *after, int64_t n, real length) {
{% if "quadratic" in forms %}
    if (KIND == 1) {
        const real q0 = before[node.stride + n], q1 = after[node.stride + n];
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
static void visit_crossings(const Node &node, const real *before, const real *after, real length, Found found) {
    for (int64_t line = 0; line < node.stride; line += LINE) {
        int64_t any = 0;
#pragma omp simd reduction(| : any)
        for (int64_t n = line; n < line + LINE; ++n) any |= may_cross<KIND>(node, before, after, n, length);
        if (any == 0) continue;
        for (int64_t n = line; n < std::min(line + LINE, node.size); ++n) {
            if (!may_cross<KIND>(node, before, after, n, length)) continue;
            const real when = crossing_time<KIND>(node, before, after, n, length);
            if (when != INFINITE) found(n, when);
        }
    }
}
