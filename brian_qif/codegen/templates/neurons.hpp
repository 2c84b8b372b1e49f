// Arithmetic of single neurons, generated from the closed forms; free of anything that only a host has.

#include <cmath>
#include <cstdint>

#ifndef DEVICE_FUNCTION
#define DEVICE_FUNCTION static inline
#endif

typedef double real;

// Stumpff functions of z, |z| <= 1, by TERMS terms of their power series, and dS/dz by one more.
template <int TERMS>
DEVICE_FUNCTION void stumpff(real z, real &C, real &S) {
    C = S = 1;
    for (int n = TERMS - 1; n > 0; --n) {
        C = 1 - C * z * (real(1) / ((2 * n - 1) * (2 * n)));
        S = 1 - S * z * (real(1) / ((2 * n) * (2 * n + 1)));
    }
}

template <int TERMS>
DEVICE_FUNCTION real stumpff_slope(real z) {
    // sum over n >= 1 of n (-1)^n z^(n-1) / (2n+1)!; ratio of neighbours -(n+1) z / (n (2n+2) (2n+3))
    real D = 1;
    for (int n = TERMS; n > 0; --n)
        D = 1 - D * z * (real(n + 1) / (real(n) * (2 * n + 2) * (2 * n + 3)));
    return -D / 6;
}

// Terms that leave a truncation error below 2e-17 for a bound on |z|.
DEVICE_FUNCTION int stumpff_terms(real bound) { return bound <= 1e-3 ? 4 : bound <= 0.04 ? 6 : 10; }

{% for name, form in forms.items() %}
// -- {{ name }} --

{% if form.stumpff %}template <int TERMS>
{% endif %}DEVICE_FUNCTION void {{ name }}_flow({% for x in form.state %}real {{ x }}, {% endfor %}{% for x in form.scalars %}real {{ x }}, {% endfor %}{% for x in form.state %}real &{{ x }}_after{{ ", " if not loop.last }}{% endfor %}) {
{% if form.stumpff %}
    real C, S;
    stumpff<TERMS>(I * (r * r), C, S);
{% endif %}
{% for line in form.flow %}
    {{ line }}
{% endfor %}
}

{% if form.stumpff %}template <int TERMS>
{% endif %}DEVICE_FUNCTION void {{ name }}_flow_adjoint({% for x in form.state %}[[maybe_unused]] real {{ x }}, {% endfor %}{% for x in form.scalars %}real {{ x }}, {% endfor %}{% for x in form.state %}real adjoint_{{ x }}, {% endfor %}{% for x in form.state %}real &before_{{ x }}{{ ", " if not loop.last }}{% endfor %}) {
{% if form.stumpff %}
    real C, S;
    const real z = I * (r * r), D = stumpff_slope<TERMS>(z);
    stumpff<TERMS>(z, C, S);
{% endif %}
{% for line in form.adjoint %}
    {{ line }}
{% endfor %}
}

{% endfor %}
