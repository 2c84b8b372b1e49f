"""A neuron of one's own: exponential integrate-and-fire with adaptation."""

from brian2 import Mohm, NeuronGroup, ms, mV

EQUATIONS = """
dv/dt = (E_L - v + Delta*exp((v - v_T)/Delta) + R*(I - a))/tau_m : volt
dI/dt = -I/tau_s : amp
da/dt = -a/tau_a : amp
b : amp (shared, constant)
tau_m : second (shared, constant)
tau_s : second (shared, constant)
tau_a : second (shared, constant)
"""


class AdaptiveGroup(NeuronGroup):
    """Neurons whose every spike adds ``b`` to a current ``a`` that holds them back."""

    def __init__(self, N, b, tau_m=15 * ms, tau_s=5 * ms, tau_a=80 * ms, **keywords):
        constants = {"E_L": -65 * mV, "v_T": -50 * mV, "Delta": 2 * mV, "R": 100 * Mohm}
        super().__init__(
            N,
            EQUATIONS,
            threshold="v > -40*mV",
            reset="v = E_L; a += b",
            method="rk4",
            namespace=constants,
            **keywords,
        )
        self.b, self.tau_m, self.tau_s, self.tau_a = b, tau_m, tau_s, tau_a
        self.v = constants["E_L"]
