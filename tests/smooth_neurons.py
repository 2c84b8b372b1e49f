"""Neurons without a closed form, in small recurrent networks, that several test modules share."""

from dataclasses import dataclass, field

import numpy as np
from brian2 import Mohm, Network, NeuronGroup, SpikeGeneratorGroup, Synapses, ms, mV, nA, nS, pA, pF

DURATION = 30 * ms
CURRENT = "\ndI/dt = -I/tau_s : "


@dataclass
class Smooth:
    """A neuron: equations, event, constants, and what its synapses add."""

    equations: str
    threshold: str
    reset: str
    constants: dict
    strength: object
    start: dict
    unit: str = "1"
    on_pre: str = "I_post += w"
    values: dict = field(default_factory=dict)


MODELS = {
    "exponential": Smooth(
        "dv/dt = (E_L - v + D*exp((v - V_T)/D) + R*I)/tau_m : volt" + CURRENT + "amp",
        "v > v_cut",
        "v = v_r",
        dict(E_L=-65 * mV, D=2 * mV, V_T=-50 * mV, R=100 * Mohm, tau_m=15 * ms, tau_s=5 * ms, v_cut=-40 * mV)
        | dict(v_r=-62 * mV),
        0.35 * nA,
        {"v": -58 * mV},
        "amp",
    ),
    "adaptive exponential": Smooth(
        "dv/dt = (g_L*(E_L - v) + g_L*D*exp((v - V_T)/D) - u + I)/C : volt\n"
        "du/dt = (a*(v - E_L) - u)/tau_u : amp" + CURRENT + "amp",
        "v > v_cut",
        "v = v_r; u += b",
        dict(E_L=-70 * mV, D=2 * mV, V_T=-50 * mV, g_L=10 * nS, C=150 * pF, tau_u=60 * ms, a=2 * nS, tau_s=5 * ms)
        | dict(v_cut=-40 * mV, v_r=-60 * mV, b=20 * pA),
        0.45 * nA,
        {"v": -62 * mV, "u": 5 * pA},
        "amp",
    ),
    "izhikevich": Smooth(
        "dv/dt = (0.04*v**2 + 5*v + 140 - u + I)/tau : 1\ndu/dt = a*(b*v - u) : 1" + CURRENT + "1",
        "v >= v_peak",
        "v = c\nu += d",
        dict(tau=1 * ms, a=20 / (1000 * ms), b=0.2, c=-65, d=3, v_peak=30, tau_s=5 * ms),
        11,
        {"v": -62, "u": -13},
    ),
    "cubic, threshold of its own": Smooth(
        "dv/dt = (v - v**3/3 + 0.4 - y)/tau : 1\ndy/dt = (k*v - y)/tau_y : 1\ndz/dt = (z_0 - z)/tau_z : 1",
        "v - k_z*z > v_th",
        "v -= drop*z; z += 0.3; y *= keep",
        dict(tau=4 * ms, k=0.1, tau_y=30 * ms, z_0=1.0, tau_z=10 * ms, k_z=0.2, v_th=0.8, drop=1.4, keep=0.9),
        0.02,
        {"v": 0.1, "y": 0.1, "z": 0.9},
        on_pre="y_post -= w",
    ),
}


def build(name: str):
    """Three inputs onto two neurons that hear each other: the network, its group, its parameters by kind."""
    model = MODELS[name]
    generator = np.random.default_rng(3)
    stimulus = SpikeGeneratorGroup(3, np.arange(9) % 3, np.sort(generator.uniform(1, 30, 9)) * ms)
    group = NeuronGroup(2, model.equations, threshold=model.threshold, reset=model.reset, method="euler")
    for state, value in model.start.items():
        setattr(group, state, value)
    if "I" in group.variables:
        group.I = 0.5 * model.strength * generator.uniform(0.5, 1.5, 2)
    synapses = Synapses(stimulus, group, f"w : {model.unit}", on_pre=model.on_pre)
    synapses.connect()
    synapses.w = model.strength * generator.uniform(0.4, 1.6, 6)
    synapses.delay = generator.uniform(0, 5, 6) * ms
    loop = Synapses(group, group, f"w : {model.unit}", on_pre=model.on_pre, delay=1.5 * ms)
    loop.connect(condition="i != j")
    loop.w = 0.2 * model.strength * generator.normal(size=2)
    parameters = {
        "equations": [(group, constant) for constant in model.constants],
        "initial states": [getattr(group, state) for state in sorted(group.equations.diff_eq_names)],
        "synapses": [synapses.w, synapses.delay, stimulus.spike_time, loop.w, loop.delay],
    }
    return Network(stimulus, group, synapses, loop), group, parameters, model.constants
