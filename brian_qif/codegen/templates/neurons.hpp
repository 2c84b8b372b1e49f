// Arithmetic of single neurons, generated from the closed forms; free of anything that only a host has.

#include <cmath>
#include <cstdint>

#ifndef DEVICE_FUNCTION
#define DEVICE_FUNCTION static inline
#endif

// States, weights and adjoints. Times, and what is computed once for all neurons, are always double: spikes within one
// second differ in their tenth digit.
typedef {{ precision.real }} real;

// The first TERMS terms of a power series, by Horner's scheme.
template <int TERMS, typename Number>
DEVICE_FUNCTION Number power_series(const double (&coefficients)[{{ series_length }}], Number x) {
    static_assert(TERMS <= {{ series_length }}, "the series has fewer coefficients");
    Number sum = Number(coefficients[TERMS - 1]);
    for (int n = TERMS - 2; n >= 0; --n) sum = sum * x + Number(coefficients[n]);
    return sum;
}

// The loops are unrolled, so that the coefficients become constants of the code.
{% for name, values in series.items() %}
template <int TERMS, typename Number>
DEVICE_FUNCTION Number {{ name }}_series(Number x) {
    constexpr double coefficients[] = { {{ values | join(", ") }} };
    return power_series<TERMS>(coefficients, x);
}

{% endfor %}

// expm1(x)/x. For |x| <= 1/32, where most steps are, eight terms leave 3e-18, and four 8e-9 for single precision; for
// |x| <= 1/4 thirteen leave 2e-19, and seven 2e-9: faster than the library's function.
template <typename Number>
DEVICE_FUNCTION Number expm1_ratio(Number x) {
    if (std::abs(x) <= Number(0.03125)) return expm1_ratio_series<sizeof(Number) == 8 ? 8 : 4>(x);
    if (std::abs(x) <= Number(0.25)) return expm1_ratio_series<sizeof(Number) == 8 ? 13 : 7>(x);
    return std::expm1(x) / x;
}

// exp(-x) for x >= 0, given expm1_ratio(-x), without its rounding error where exp(-x) is small.
template <typename Number>
DEVICE_FUNCTION Number decay_of(Number x, Number ratio) {
    return x <= Number(0.5) ? 1 - x * ratio : std::exp(-x);
}

// Terms of the Stumpff functions for a bound on |z| up to 1: z^n/(2n)! is the largest that is left out, below
// {{ precision.error }} here.
constexpr int FEW_TERMS = {{ precision.few[0] }}, MORE_TERMS = {{ precision.more[0] }}, MOST_TERMS = {{ precision.most }};
DEVICE_FUNCTION int stumpff_terms(double bound) {
    return bound <= {{ precision.few[1] }} ? FEW_TERMS : bound <= {{ precision.more[1] }} ? MORE_TERMS : MOST_TERMS;
}

{% for name, form in forms.items() %}
// -- {{ name }} --

{% if form.stumpff %}template <int TERMS>
{% endif %}DEVICE_FUNCTION void {{ name }}_flow({% for x in form.state %}real {{ x }}, {% endfor %}{% for x in form.scalars %}real {{ x }}, {% endfor %}{% for x in form.state %}real &{{ x }}_after{{ ", " if not loop.last }}{% endfor %}) {
{% if form.stumpff %}
    const real z = I * (r * r);
    const real C = cosine_series<TERMS>(z);
    const real S = sine_series<TERMS>(z);
{% endif %}
{% for line in form.flow %}
    {{ line }}
{% endfor %}
}

{% if form.stumpff %}template <int TERMS>
{% endif %}DEVICE_FUNCTION void {{ name }}_flow_adjoint({% for x in form.state %}[[maybe_unused]] real {{ x }}, {% endfor %}{% for x in form.scalars %}real {{ x }}, {% endfor %}{% for x in form.state %}real adjoint_{{ x }}, {% endfor %}{% for x in form.state %}real &before_{{ x }}{{ ", " if not loop.last }}{% endfor %}) {
{% if form.stumpff %}
    const real z = I * (r * r), D = sine_slope_series<TERMS>(z);
    const real C = cosine_series<TERMS>(z);
    const real S = sine_series<TERMS>(z);
{% endif %}
{% for line in form.adjoint %}
    {{ line }}
{% endfor %}
}

{% endfor %}
