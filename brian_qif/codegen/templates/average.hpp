// Integral of v(t) exp(-rate t) over a step of a linear neuron, per unit of v and per unit of I at its start.

constexpr double EXPM1_RATIO_SERIES[] = { {{ series["expm1_ratio"] | join(", ") }} };

// phi(u) = (1 - exp(-u))/u
static double phi(double u) { return u != 0 ? -std::expm1(-u) / u : 1; }

// Divided difference (phi(u) - phi(w))/(u - w), without cancellation.
static double phi_difference(double u, double w) {
    const double largest = std::max(u, w);
    if (largest <= 1) {
        // phi(u) = sum (-u)^n/(n+1)!; the divided difference of u^n is h(n), with h(n+1) = u h(n) + w^n.
        const int terms = largest <= 0.03125 ? 8 : {{ series_length }};
        double sum = 0, h = 1, power = 1;
        for (int n = 1; n < terms; ++n) {
            sum += (n % 2 ? -EXPM1_RATIO_SERIES[n] : EXPM1_RATIO_SERIES[n]) * h;
            power *= w;
            h = u * h + power;
        }
        return sum;
    }
    if (std::abs(u - w) >= 0.5) return (phi(u) - phi(w)) / (u - w);
    // Mean of phi' between w and u by Gauss-Legendre; there x is too large for phi' to cancel.
    static const double nodes[] = {0.1252334085114689, 0.3678314989981802, 0.5873179542866175,
                                 0.7699026741943047, 0.9041172563704748, 0.9815606342467192};
    static const double weights[] = {0.2491470458134027, 0.2334925365383546, 0.20316742672306573,
                                   0.16007832854334642, 0.10693932599531907, 0.04717533638651141};
    double mean = 0;
    for (int k = 0; k < 6; ++k)
        for (int sign = -1; sign <= 1; sign += 2) {
            const double x = (u + w) / 2 + sign * nodes[k] * (u - w) / 2;
            mean += weights[k] / 2 * (std::exp(-x) * (1 + x) - 1) / (x * x);
        }
    return mean;
}

static void average_coefficients(const Node &node, int64_t n, double step, double rate, double &of_v, double &of_current) {
    const double u = (1 / node.tau_m[n] + rate) * step, w = (1 / node.tau_s[n] + rate) * step;
    of_v = step * phi(u);
    of_current = -step * step / node.tau_m[n] * phi_difference(u, w);
}

// Calls `consume(neuron, of_v, of_current)` for every neuron; the coefficients of a uniform group are computed once.
template <typename Consumer>
static void each_average(const Node &node, double step, double rate, Consumer consume) {
    double of_v, of_current;
    average_coefficients(node, 0, step, rate, of_v, of_current);
    for (int64_t n = 0; n < node.size; ++n) {
        if (!node.uniform) average_coefficients(node, n, step, rate, of_v, of_current);
        consume(n, of_v, of_current);
    }
}
