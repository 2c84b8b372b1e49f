// Arithmetic of single neurons, generated from the closed forms; free of anything that only a host has.

#include <cmath>
#include <cstdint>

#ifndef DEVICE_FUNCTION
#define DEVICE_FUNCTION static inline
#endif

typedef double real;

// Coefficients of power series; loops over them are unrolled, so that they become constants of the code.
{% for name, values in series.items() %}
constexpr real {{ name }}_SERIES[] = { {{ values | join(", ") }} };
{% endfor %}

// The first TERMS terms of a series, by Horner's scheme.
template <int TERMS>
DEVICE_FUNCTION real power_series(const real (&coefficients)[{{ series_length }}], real x) {
    static_assert(TERMS <= {{ series_length }}, "the series has fewer coefficients");
    real sum = coefficients[TERMS - 1];
    for (int n = TERMS - 2; n >= 0; --n) sum = sum * x + coefficients[n];
    return sum;
}

// expm1(x)/x; eight terms leave 3e-18 for |x| <= 1/32, where most steps are.
DEVICE_FUNCTION real expm1_ratio(real x) {
    if (std::abs(x) <= real(0.03125)) return power_series<8>(EXPM1_RATIO_SERIES, x);
    return std::expm1(x) / x;
}

// exp(-x) for x >= 0, given expm1_ratio(-x), without its rounding error where exp(-x) is small.
DEVICE_FUNCTION real decay_of(real x, real ratio) { return x <= 0.5 ? 1 - x * ratio : std::exp(-x); }

// Terms that leave a truncation error below 2e-17 for a bound on |z|: z^n/(2n)! is the largest that is left out.
DEVICE_FUNCTION int stumpff_terms(real bound) { return bound <= 9e-4 ? 4 : bound <= 0.04 ? 6 : 10; }

{% for name, form in forms.items() %}
// -- {{ name }} --

{% if form.stumpff %}template <int TERMS>
{% endif %}DEVICE_FUNCTION void {{ name }}_flow({% for x in form.state %}real {{ x }}, {% endfor %}{% for x in form.scalars %}real {{ x }}, {% endfor %}{% for x in form.state %}real &{{ x }}_after{{ ", " if not loop.last }}{% endfor %}) {
{% if form.stumpff %}
    const real z = I * (r * r);
    const real C = power_series<TERMS>(COSINE_SERIES, z);
    const real S = power_series<TERMS>(SINE_SERIES, z);
{% endif %}
{% for line in form.flow %}
    {{ line }}
{% endfor %}
}

{% if form.stumpff %}template <int TERMS>
{% endif %}DEVICE_FUNCTION void {{ name }}_flow_adjoint({% for x in form.state %}[[maybe_unused]] real {{ x }}, {% endfor %}{% for x in form.scalars %}real {{ x }}, {% endfor %}{% for x in form.state %}real adjoint_{{ x }}, {% endfor %}{% for x in form.state %}real &before_{{ x }}{{ ", " if not loop.last }}{% endfor %}) {
{% if form.stumpff %}
    const real z = I * (r * r), D = power_series<TERMS>(SINE_SLOPE_SERIES, z);
    const real C = power_series<TERMS>(COSINE_SERIES, z);
    const real S = power_series<TERMS>(SINE_SERIES, z);
{% endif %}
{% for line in form.adjoint %}
    {{ line }}
{% endfor %}
}

{% endfor %}
