"""Every neuron of the family, in text equations of users' own, and every parameter of it: Taylor tests."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, Synapses, ms, mV, nA, nS

from brian_qif import EventSolver, SpikeGradient, StateLoss, check_gradient
from brian_qif.plan.reader import read_network
from brian_qif.solvers.sweeps import find_backend
from tests.networks import smooth_loss

DURATION = 100 * ms
CURRENT = "\ndI/dt = -I/tau_s : 1"
LIF = "dv/dt = (-v + I)/tau_m : 1" + CURRENT
QIF = "dv/dt = (v*(v - 1) + I)/tau_m : 1" + CURRENT


@dataclass
class Family:
    """A neuron: its equations, event, constants, the statement of its synapses and their strength."""

    equations: str
    constants: dict
    strength: object = 1.0
    threshold: str = "v > v_th"
    reset: str = "v = v_reset"
    on_pre: str = "I_post += w"
    unit: str = "1"
    at_infinity: bool = False
    keywords: dict = field(default_factory=dict)
    values: dict = field(default_factory=dict)
    start: object = 0.0


LEVELS = {"v_th": 1.0, "v_reset": -0.2}
TIMES = {"tau_m": 20 * ms, "tau_s": 5 * ms}
PER_NEURON = "\ntau_m : second (constant)\ntau_s : second (constant)\nv_th : 1 (constant)\nv_reset : 1 (constant)"
TWO_CURRENTS = "dv/dt = (-v + 2*g - h)/tau_m : 1\ndg/dt = -g/tau_g : 1\ndh/dt = -h/tau_h : 1"
VOLTS = "dV/dt = (E - V + R*(s + i_ext))/tau_m : volt\nds/dt = -s/tau_s : amp"

FAMILY = {
    "lif": Family(LIF, TIMES | LEVELS, 1.4),
    "lif, equal time constants": Family(LIF, TIMES | LEVELS | {"tau_s": 20 * ms}, 0.6),
    "lif, slow synapses": Family(LIF, TIMES | LEVELS | {"tau_m": 4 * ms, "tau_s": 15 * ms}, 0.3),
    "lif, subtracting": Family(LIF, TIMES | {"v_th": 1.0, "drop": 1.3}, 1.4, reset="v -= drop"),
    "lif, driven above threshold": Family("dv/dt = (-v + b + I)/tau_m : 1" + CURRENT, TIMES | LEVELS | {"b": 1.3}, 0.3),
    "lif, subexpressions": Family(
        "dv/dt = (-v + total)/tau_m : 1\ntotal = b + I : 1\nlevel = v_0 + 0.1 : 1" + CURRENT,
        TIMES | {"b": 0.2, "v_0": 0.9, "v_reset": 0.0},
        1.2,
        threshold="v > level",
    ),
    "lif, refractory": Family(
        "dv/dt = (-v + I)/tau_m : 1 (unless refractory)" + CURRENT,
        TIMES | LEVELS | {"t_ref": 3 * ms},
        1.8,
        keywords={"refractory": "t_ref"},
    ),
    "lif, different neurons": Family(
        LIF + PER_NEURON,
        {},
        1.4,
        values={
            "tau_m": [15, 20, 25, 30] * ms,
            "tau_s": [3, 5, 8, 25] * ms,
            "v_th": [0.8, 0.8, 1.2, 1.5],
            "v_reset": -0.1,
        },
    ),
    "lif, two currents": Family(
        TWO_CURRENTS, LEVELS | {"tau_m": 20 * ms, "tau_g": 3 * ms, "tau_h": 12 * ms}, 1.0, on_pre="g_post += w"
    ),
    "lif in volts and amperes": Family(
        VOLTS,
        {"E": -65 * mV, "R": 1 / (10 * nS), "i_ext": 0.05 * nA, "v_th": -50 * mV, "v_reset": -68 * mV, **TIMES},
        0.25 * nA,
        threshold="V > v_th",
        reset="V = v_reset",
        on_pre="s_post += w",
        unit="amp",
        start=-65 * mV,
    ),
    "lif, delta synapses": Family(
        "dv/dt = (b - v)/tau_m : 1", LEVELS | {"tau_m": 20 * ms, "b": 1.15}, 0.15, on_pre="v_post += w"
    ),
    "lif, spikes at once": Family(
        "dv/dt = (b - v)/tau_m : 1", LEVELS | {"tau_m": 20 * ms, "b": 0.9}, 0.35, on_pre="v_post += w"
    ),
    "lif, spikes at once, subtracting": Family(
        "dv/dt = (b - v)/tau_m : 1",
        {"v_th": 1.0, "drop": 1.1, "tau_m": 20 * ms, "b": 0.9},
        0.35,
        on_pre="v_post += w",
        reset="v -= drop",
    ),
    "lif, spikes at once, refractory": Family(
        "dv/dt = (b - v)/tau_m : 1 (unless refractory)",
        LEVELS | {"tau_m": 20 * ms, "b": 0.9, "t_ref": 2 * ms},
        0.35,
        on_pre="v_post += w",
        keywords={"refractory": "t_ref"},
    ),
    "qif": Family(QIF, {"tau_m": 20 * ms, "tau_s": 10 * ms}, 2.0, at_infinity=True),
    "qif, one time constant": Family(
        "dv/dt = (v*(v - 1) + I)/(2*tau) : 1\ndI/dt = -I/tau : 1", {"tau": 10 * ms}, 2.0, at_infinity=True
    ),
    "qif, another ratio": Family(QIF, {"tau_m": 20 * ms, "tau_s": 4 * ms}, 4.0, at_infinity=True),
    "qif, oscillating": Family(
        "dv/dt = (v*(v - 1) + b + I)/tau_m : 1" + CURRENT,
        {"tau_m": 10 * ms, "tau_s": 6 * ms, "b": 1.5},
        0.5,
        at_infinity=True,
    ),
    "qif, pure square": Family(
        "dv/dt = (v**2 + b + I)/tau_m : 1" + CURRENT,
        {"tau_m": 20 * ms, "tau_s": 6 * ms, "b": 0.2},
        2.0,
        at_infinity=True,
    ),
    "qif, two currents": Family(
        "dv/dt = (v*(v - 1) + g - h)/tau_m : 1\ndg/dt = -g/tau_g : 1\ndh/dt = -h/tau_h : 1",
        {"tau_m": 20 * ms, "tau_g": 4 * ms, "tau_h": 12 * ms},
        4.0,
        at_infinity=True,
        on_pre="g_post += w",
    ),
    "qif, finite": Family(QIF, {"tau_m": 20 * ms, "tau_s": 5 * ms, "v_th": 8.0, "v_reset": -4.0}, 4.0),
    "qif, finite, refractory": Family(
        "dv/dt = (v*(v - 1) + I)/tau_m : 1 (unless refractory)" + CURRENT,
        {"tau_m": 20 * ms, "tau_s": 5 * ms, "v_th": 8.0, "v_reset": -1.5, "t_ref": 2 * ms},
        4.0,
        keywords={"refractory": "t_ref"},
    ),
    "qif, delta synapses": Family(
        "dv/dt = (v*(v - 1) + b)/tau_m : 1", {"tau_m": 10 * ms, "b": 1.0}, 0.4, at_infinity=True, on_pre="v_post += w"
    ),
    "qif, finite, delta synapses": Family(
        "dv/dt = (v*(v - 1) + b)/tau_m : 1",
        {"tau_m": 10 * ms, "b": 1.0, "v_th": 6.0, "v_reset": -3.0},
        0.8,
        on_pre="v_post += w",
    ),
}
REFERENCE = EventSolver("reference")
# What generated code takes; it refuses the rest.
GENERATED = {
    "lif",
    "lif, equal time constants",
    "lif, slow synapses",
    "lif, subtracting",
    "lif, driven above threshold",
    "lif, subexpressions",
    "lif, different neurons",
    "lif in volts and amperes",
    "qif",
    "qif, one time constant",
}


def build(name: str):
    """Five inputs onto four neurons with a weak loop; the network, its group, and every parameter that it has."""
    family = FAMILY[name]
    generator = np.random.default_rng(3)
    stimulus = SpikeGeneratorGroup(5, np.arange(20) % 5, np.sort(generator.uniform(1, 70, 20)) * ms)
    group = NeuronGroup(
        4, family.equations, threshold=family.threshold, reset=family.reset, method="euler", **family.keywords
    )
    if family.at_infinity:
        group.add_attribute("spike_at_infinity")
        group.spike_at_infinity = True
    for variable, value in family.values.items():
        setattr(group, variable, value)
    setattr(group, "V" if "V" in group.variables else "v", family.start)
    # Every current has begun, so that its time constant matters.
    for state in group.equations.diff_eq_names - {"v", "V"}:
        setattr(group, state, 0.2 * family.strength * generator.uniform(0.5, 1.5, 4))
    synapses = Synapses(stimulus, group, f"w : {family.unit}", on_pre=family.on_pre)
    synapses.connect()
    synapses.w = family.strength * generator.uniform(0.4, 1.6, 20)
    synapses.delay = generator.uniform(0, 5, 20) * ms
    loop = Synapses(group, group, f"w : {family.unit}", on_pre=family.on_pre, delay=1.5 * ms)
    loop.connect(condition="i != j")
    loop.w = 0.1 * family.strength * generator.normal(size=12)
    parameters = [(group, constant) for constant in family.constants]
    parameters += [getattr(group, variable) for variable in family.values]
    parameters += [getattr(group, state) for state in group.equations.diff_eq_names]
    parameters += [synapses.w, synapses.delay, stimulus.spike_time, loop.w, loop.delay]
    return Network(stimulus, group, synapses, loop), group, parameters, family.constants


@pytest.mark.parametrize("name", FAMILY)
def test_all_parameters_together_pass_the_taylor_test(name):
    network, group, parameters, constants = build(name)
    gradient = SpikeGradient(network, smooth_loss(group), parameters, solver=REFERENCE, namespace=constants)
    report = check_gradient(gradient, DURATION, directions=2)
    assert [direction.method for direction in report.directions] == ["order"] * 2
    _, slopes = gradient(DURATION)
    # Where arrivals make neurons spike at once, nothing before them but the times of arrivals matters.
    if "at once" not in name and "delta" not in name:
        assert all(np.any(np.asarray(slope) != 0) for slope in slopes)
    counts = np.bincount(gradient.trajectory.spikes[group].i, minlength=4)
    assert np.all((counts >= 2) & (counts <= 13)), counts


def bounded(x):
    """A function of states that is smooth at infinity too."""
    return np.sum(x / (1 + x**2)), (1 - x**2) / (1 + x**2) ** 2


@pytest.mark.parametrize("name", FAMILY)
def test_states_pass_the_taylor_test(name):
    network, group, parameters, constants = build(name)
    for state in sorted(group.equations.diff_eq_names):
        loss = StateLoss(group, state, [20, 41, 77] * ms, function=bounded)
        gradient = SpikeGradient(network, loss, parameters, solver=REFERENCE, namespace=constants)
        check_gradient(gradient, DURATION, directions=1)


@pytest.mark.parametrize("name", FAMILY)
def test_generated_code_agrees_with_the_reference(name):
    network, group, parameters, constants = build(name)
    plan = read_network(network, constants).plan
    refusal = find_backend("cpp").refusal(plan)
    assert (refusal is None) == (name in GENERATED), refusal
    if refusal is not None:
        return
    voltage = "V" if "V" in group.variables else "v"
    for loss in (smooth_loss(group), StateLoss(group, voltage, [20, 41, 77] * ms, function=bounded)):
        (value, slopes), (expected, expected_slopes) = (
            SpikeGradient(network, loss, parameters, solver=EventSolver(backend), namespace=constants)(DURATION)
            for backend in ("cpp", "reference")
        )
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        for slope, other in zip(slopes, expected_slopes, strict=True):
            scale = np.max(np.abs(np.asarray(other)))
            np.testing.assert_allclose(np.asarray(slope), np.asarray(other), rtol=0, atol=1e-10 * scale)
