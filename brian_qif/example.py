"""A small network for examples, and a check of the installation against closed forms."""

from __future__ import annotations

import math
import sys
from typing import NamedTuple

import numpy as np
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, Synapses, ms

from brian_qif.codegen.compiler import CompilerError, find_compiler
from brian_qif.gradients.losses import SpikeFunctionLoss
from brian_qif.gradients.spike_gradient import SpikeGradient
from brian_qif.solvers.event import EventSolver

TAU_M, ARRIVAL, WEIGHT = 0.02, 0.002, 8.0
# Rounding, times a sensitivity of some tens here.
TOLERANCE = 1e-12


class ExampleNetwork(NamedTuple):
    """A network and its parts; ``synapses`` have the weight ``w`` and lead from all inputs to all neurons."""

    network: Network
    stimulus: SpikeGeneratorGroup
    neurons: NeuronGroup
    synapses: Synapses


def example_network(neuron: str = "qif") -> ExampleNetwork:
    """The network of the examples: three input spikes, two neurons that hear all of them.

    Parameters
    ----------
    neuron : "lif" or "qif"
        The model of the neurons.

    Returns
    -------
    `ExampleNetwork`
        The network, its stimulus, neurons and synapses, in this order.

    Raises
    ------
    ValueError
        For another model.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif import EventSolver
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> synapses.w[:]
    array([4., 5., 3., 4., 5., 6.])
    >>> EventSolver().simulate(network, 40*ms).spikes[neurons].t
    array([16.37521292, 18.22973083]) * msecond
    """
    from brian_qif.models import LIFGroup, QIFGroup

    groups = {"lif": LIFGroup, "qif": QIFGroup}
    if neuron not in groups:
        raise ValueError(f"neuron is 'lif' or 'qif'; {neuron!r} was given.")
    stimulus = SpikeGeneratorGroup(3, [0, 1, 2], [2, 5, 9] * ms)
    neurons = groups[neuron](2, tau_m=20 * ms, tau_s=10 * ms)
    synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w")
    synapses.connect()
    synapses.w = [4, 5, 3, 4, 5, 6]
    return ExampleNetwork(Network(stimulus, neurons, synapses), stimulus, neurons, synapses)


class ExampleRunError(RuntimeError):
    """The installation does not give the known answer; the message says by how much.

    Examples
    --------
    >>> from brian_qif import ExampleRunError, example_run
    >>> try:
    ...     checked = example_run(report=None)
    ... except ExampleRunError as error:
    ...     print(error)  # not here: this installation gives the known answers
    """


class Deviation(NamedTuple):
    """One number that was checked: what was computed, what is right, and the relative distance."""

    backend: str
    quantity: str
    computed: float
    expected: float
    relative: float


def example_run(report: str | None = "text") -> list[Deviation]:
    """Check the installation: simulate two neurons, and compare spike times and slopes with closed forms.

    One spike through a synapse of weight w reaches a resting LIF and a resting QIF neuron with ``tau_m = 2*tau_s``. The
    LIF neuron reaches its threshold 1 when ``x = exp(-t/tau_m)`` solves ``w*(x - x**2) = 1``, the QIF neuron reaches
    infinity when ``sqrt(w)*(1 - x) = pi/2``. The NumPy reference and, where there is a compiler, generated C++ are
    checked.

    Parameters
    ----------
    report : "text" or None
        Whether a line per number is written to standard output.

    Returns
    -------
    list of `Deviation`

    Raises
    ------
    ExampleRunError
        If a number deviates by more than 1e-12, relatively.
    ValueError
        For another ``report``.

    Examples
    --------
    >>> from brian_qif import example_run
    >>> checked = example_run(report=None)
    >>> checked[0].quantity
    'LIF neuron: spike time, s'
    """
    if report not in ("text", None):
        raise ValueError(f"report is 'text' or None; {report!r} was given.")
    found = [deviation for backend in _backends() for kind in _CLOSED_FORMS for deviation in _check(backend, kind)]
    lines = [
        f"{one.backend:9}  {one.quantity:48}  {one.computed:+.15e}  deviates by {one.relative:.1e}" for one in found
    ]
    if report == "text":
        sys.stdout.write("\n".join(lines) + "\n")
    wrong = [line for one, line in zip(found, lines, strict=True) if not one.relative <= TOLERANCE]
    if wrong:
        raise ExampleRunError(
            f"The closed form is missed by more than {TOLERANCE:g}:\n" + "\n".join(wrong) + "\nThis installation "
            "computes wrong numbers; please report it with the output of 'brian-qif devices'."
        )
    return found


def _backends() -> list[str]:
    try:
        find_compiler()
    except CompilerError:
        return ["reference"]
    return ["reference", "cpp"]


def _check(backend: str, kind: str) -> list[Deviation]:
    """Spike time, and its slopes by the weight and by the time of the input spike."""
    network, neuron, parameters = _network(kind)
    loss = SpikeFunctionLoss(neuron, lambda t, i: (t[0], np.eye(1, len(t))[0]))
    gradient = SpikeGradient(network, loss, parameters, solver=EventSolver(backend=backend))
    value, slopes = gradient(40 * ms)
    computed = [float(value), *(float(np.asarray(slope)[0]) for slope in slopes)]
    names = ("spike time, s", "slope by the weight, s", "slope by the time of the input spike")
    return [
        Deviation(backend, f"{kind} neuron: {name}", one, expected, abs(one - expected) / abs(expected))
        for name, one, expected in zip(names, computed, _CLOSED_FORMS[kind](), strict=True)
    ]


def _network(kind: str):
    from brian_qif.models import LIFGroup, QIFGroup

    stimulus = SpikeGeneratorGroup(1, [0], [ARRIVAL / 1e-3] * ms)
    neuron = {"LIF": LIFGroup, "QIF": QIFGroup}[kind](1, tau_m=TAU_M / 1e-3 * ms, tau_s=TAU_M / 2e-3 * ms)
    synapse = Synapses(stimulus, neuron, "w : 1", on_pre="I_post += w")
    synapse.connect()
    synapse.w = WEIGHT
    return Network(stimulus, neuron, synapse), neuron, [synapse.w, stimulus.spike_time]


def _lif_closed_form() -> tuple[float, float, float]:
    root = math.sqrt(1 - 4 / WEIGHT)
    x = (1 + root) / 2
    return ARRIVAL - TAU_M * math.log(x), -TAU_M / (x * WEIGHT**2 * root), 1.0


def _qif_closed_form() -> tuple[float, float, float]:
    x = 1 - math.pi / (2 * math.sqrt(WEIGHT))
    return ARRIVAL - TAU_M * math.log(x), -TAU_M * math.pi / (4 * WEIGHT**1.5 * x), 1.0


_CLOSED_FORMS = {"LIF": _lif_closed_form, "QIF": _qif_closed_form}
