"""What a loss is, and losses on all spikes and on averaged voltages, each with its exact derivative.

A loss names what it needs from a run and turns it into a value and seeds for the reverse sweep, all as plain
numbers; it knows no solver and no backend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from brian2 import NeuronGroup, Quantity, get_dimensions
from brian2.units.fundamentalunits import DIMENSIONLESS

from brian_qif.arguments import check_dimensions, single_time, whole_number
from brian_qif.gradients.pseudospikes import Pseudospikes
from brian_qif.plan.clocked import ClockedNode
from brian_qif.plan.network_plan import HybridNode, SourceNode
from brian_qif.plan.reader import NetworkReading
from brian_qif.solvers.sweeps import Record, Request, Seeds


class Evaluation(NamedTuple):
    """A loss of one trial: its value, the seeds for the reverse sweep, and what it calls its output."""

    value: float
    seeds: Seeds
    output: np.ndarray


class Loss(Protocol):
    """A differentiable function of one trial. ``dimensions`` are those of its value."""

    dimensions: Any

    def check(self, reading: NetworkReading) -> None:
        """Refuse a network that the loss cannot be used with."""

    def request(self, reading: NetworkReading, duration: float) -> Request:
        """What a trial of that duration (seconds) has to deliver."""

    def evaluate(self, reading: NetworkReading, record: Record, duration: float, label: Any = None) -> Evaluation:
        """Value and seeds of a trial; ``label`` replaces the loss's own target."""


class SpikeFunctionLoss:
    """Any function of all spikes of a group.

    Parameters
    ----------
    group : `brian2.NeuronGroup`
        A spiking group.
    function : callable
        ``function(t, i) -> (value, dvalue_dt)`` with the spike times ``t`` in seconds, in time order, and the
        neurons ``i``, both plain arrays; ``dvalue_dt`` has one entry per spike.
    unit : `brian2.Unit`, optional
        Unit of the value; dimensionless by default.
    pseudospikes : int, optional
        For QIF neurons that spike at infinity: so many spikes beyond the end of the trial are added for every neuron,
        see :mod:`brian_qif.gradients.pseudospikes`.

    Notes
    -----
    The gradient is exact if ``dvalue_dt`` is. A spike that appears or vanishes changes the length of ``t``; where the
    function jumps there, no gradient knows of it. With pseudospikes, a function of the first ``pseudospikes`` spikes of
    each neuron has no such jumps.

    Examples
    --------
    >>> from brian2 import ms, second
    >>> import numpy as np
    >>> from brian_qif import SpikeFunctionLoss, SpikeGradient
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> loss = SpikeFunctionLoss(neurons, lambda t, i: (np.sum(t**2), 2*t), unit=second**2)
    >>> value, slopes = SpikeGradient(network, loss, [synapses.w])(40*ms)
    >>> print(value)
    600.47068441 ms^2
    """

    def __init__(
        self,
        group: NeuronGroup,
        function: Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]],
        unit: Quantity | None = None,
        pseudospikes: int = 0,
    ):
        self.group_name, self.function = group_name_of(group, "SpikeFunctionLoss"), function
        if not callable(function):
            raise TypeError(f"A SpikeFunctionLoss needs a function of (t, i); {function!r} cannot be called.")
        self.dimensions = unit_dimensions(unit, "SpikeFunctionLoss")
        self.pseudospikes = whole_number(pseudospikes, "pseudospikes of a SpikeFunctionLoss", 0)

    def _beyond(self, reading: NetworkReading) -> Pseudospikes | None:
        if not self.pseudospikes:
            return None
        return Pseudospikes(reading, reading.node(self.group_name), "SpikeFunctionLoss")

    def check(self, reading: NetworkReading) -> None:
        require_spiking(reading, self.group_name, "SpikeFunctionLoss")
        self._beyond(reading)

    def request(self, reading: NetworkReading, duration: float) -> Request:
        beyond = self._beyond(reading)
        return Request(duration) if beyond is None else Request(duration, samples=beyond.samples(duration))

    def evaluate(self, reading: NetworkReading, record: Record, duration: float, label: Any = None) -> Evaluation:
        node, beyond = reading.node(self.group_name), self._beyond(reading)
        times, units = record.spike_times[node], record.spike_units[node]
        inside = len(times)
        if beyond is not None:
            trial = beyond.after(record, duration)
            later = trial.times(self.pseudospikes)
            times = np.concatenate([times, later.ravel()])
            units = np.concatenate([units, np.tile(np.arange(later.shape[1]), len(later))])
            order = np.argsort(times, kind="stable")
            times, units = times[order], units[order]
        value, slope = value_and_slope(self.function(times.copy(), units.copy()), "SpikeFunctionLoss")
        if slope.shape != times.shape:
            raise ValueError(
                f"The function of a SpikeFunctionLoss returned derivatives of shape {slope.shape} "
                f"for {len(times)} spikes; one per spike is needed."
            )
        if not np.isfinite(value) or not np.all(np.isfinite(slope)):
            raise ValueError("The function of a SpikeFunctionLoss returned a value or a derivative that is not finite.")
        if beyond is None:
            return Evaluation(value, Seeds(spike_times={node: slope}), np.array([value]))
        by_time = np.empty_like(slope)
        by_time[order] = slope
        seeds = trial.seeds(by_time[inside:].reshape(later.shape))
        seeds.spike_times[node] = by_time[:inside]
        return Evaluation(value, seeds, np.array([value]))


class CrossEntropyLoss:
    """Softmax cross-entropy on the voltage of a readout: its average over the trial, or its largest value.

    The output of neuron k is ``gain * int v_k(t) w(t) dt / int w(t) dt`` with the weight
    ``w(t) = exp(-t/weight_time)``, t counted from the start of the trial; its
    integral between events is taken in closed form. With ``output="maximum"`` it is ``gain * max v_k(t)``: at an event,
    or where the voltage turns between two, which is known in closed form too.

    Parameters
    ----------
    group : `brian2.NeuronGroup`
        Leaky neurons without a threshold, one per class.
    label : int, optional
        The class of the trial. Training gives the label of each sample instead.
    weight_time : `brian2.Quantity`, optional
        Time constant of the weight; by default the average is plain. With a plain average an output hardly depends on
        *when* an input spike comes, so little gradient goes through spike times.
    gain : float or `brian2.Quantity`, optional
        Factor before the softmax, in the inverse unit of the voltage.
    output : "average" or "maximum", optional
        What of the voltage counts.

    Notes
    -----
    Value dimensionless; value and gradient exact up to rounding. A maximum depends on the voltage at one time, so few
    spikes get a gradient, and it has a kink where another time becomes the highest; there one of both slopes is given.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian2 import Network, Synapses
    >>> from brian_qif import CrossEntropyLoss, SpikeGradient
    >>> from brian_qif.models import LeakyIntegratorGroup
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> readout = LeakyIntegratorGroup(2, tau_m=20*ms, tau_s=10*ms)
    >>> out = Synapses(neurons, readout, "w : 1", on_pre="I_post += w")
    >>> out.connect(condition="i == j")
    >>> out.w = 1
    >>> loss = CrossEntropyLoss(readout, label=0, weight_time=20*ms)
    >>> network = Network(stimulus, neurons, synapses, readout, out)
    >>> value, slopes = SpikeGradient(network, loss, [synapses.w, out.w])(40*ms)
    >>> round(value, 6)
    0.697587
    """

    dimensions = DIMENSIONLESS

    def __init__(
        self,
        group: NeuronGroup,
        label: int | None = None,
        weight_time: Quantity | None = None,
        gain: float | Quantity = 1.0,
        output: str = "average",
    ):
        name = group_name_of(group, "CrossEntropyLoss")
        if not isinstance(output, str) or output not in ("average", "maximum"):
            raise ValueError(f"output of a CrossEntropyLoss is 'average' or 'maximum'; it is {output!r}.")
        if output == "maximum" and weight_time is not None:
            raise ValueError("weight_time of a CrossEntropyLoss weights an average; a maximum has no weight.")
        if weight_time is not None:
            if not single_time(weight_time, "weight_time of a CrossEntropyLoss is a time") > 0:
                raise ValueError(f"weight_time of a CrossEntropyLoss must be positive; it is {weight_time}.")
        voltage = Quantity(1, dim=group.variables["v"].dim)
        message = f"gain of a CrossEntropyLoss must have the inverse unit of the voltage of '{name}'"
        check_dimensions(gain, 1 / voltage, message)
        if np.ndim(gain) != 0 or not np.isfinite(gain):
            raise ValueError(f"{message}, and be one finite number; {gain!r} was given.")
        self.group_name, self.classes, self.gain, self.output = name, len(group), float(gain), output
        self.rate = 0.0 if weight_time is None else 1 / float(weight_time)
        self.label = None if label is None else checked_label(label, self.classes, name)

    def check(self, reading: NetworkReading) -> None:
        node = reading.plan.nodes[reading.node(self.group_name)]
        if isinstance(node, HybridNode) and not isinstance(node, ClockedNode):
            raise NotImplementedError(
                f"CrossEntropyLoss averages a voltage in closed form, which '{self.group_name}' has not: use a "
                "brian_qif.models.LeakyIntegratorGroup as readout, and EventSolver(numeric=True), which leaves it its "
                "closed form."
            )
        if isinstance(node, SourceNode) or node.spikes:
            raise NotImplementedError(
                f"CrossEntropyLoss averages the voltage of neurons without a threshold; '{self.group_name}' spikes: "
                "use a brian_qif.models.LeakyIntegratorGroup as readout."
            )

    def request(self, reading: NetworkReading, duration: float) -> Request:
        index = reading.node(self.group_name)
        if self.output == "maximum":
            return Request(duration, peaks=frozenset({index}))
        return Request(duration, averages={index: self.rate})

    def evaluate(self, reading: NetworkReading, record: Record, duration: float, label: Any = None) -> Evaluation:
        label = self.label if label is None else checked_label(label, self.classes, self.group_name)
        if label is None:
            raise ValueError("CrossEntropyLoss needs a label: CrossEntropyLoss(readout, label=3).")
        outputs = self.outputs(reading, record, duration)
        value, slope = cross_entropy(outputs, label)
        return Evaluation(value, self.seeds(reading, record, duration, slope), outputs)

    def outputs(self, reading: NetworkReading, record: Record, duration: float) -> np.ndarray:
        """What the softmax is given, one number per neuron."""
        node = reading.plan.nodes[reading.node(self.group_name)]
        _, voltage = self._mass_and_voltage(reading, record, duration)
        return self.gain * (node.v_offset + node.v_scale * voltage)

    def seeds(self, reading: NetworkReading, record: Record, duration: float, slope: np.ndarray) -> Seeds:
        """Seeds of the reverse sweep from the slopes by the outputs."""
        index = reading.node(self.group_name)
        mass, voltage = self._mass_and_voltage(reading, record, duration)
        by_voltage = self.gain * slope
        seeds = Seeds(coordinates={index: {"v_offset": [by_voltage], "v_scale": [by_voltage * voltage]}})
        by_record = by_voltage * reading.plan.nodes[index].v_scale / mass
        (seeds.peaks if self.output == "maximum" else seeds.averages)[index] = by_record
        return seeds

    def _mass_and_voltage(self, reading: NetworkReading, record: Record, duration: float) -> tuple[float, np.ndarray]:
        """The integral of the weight over the trial, and the voltage that counts, in normal form."""
        index = reading.node(self.group_name)
        if self.output == "maximum":
            return 1.0, record.peaks[index]
        mass = -np.expm1(-self.rate * duration) / self.rate if self.rate > 0 else duration
        return mass, record.averages[index] / mass


def cross_entropy(outputs: np.ndarray, label: int) -> tuple[float, np.ndarray]:
    """Minus the logarithm of the softmax at the label, and its slope by the outputs."""
    shifted = outputs - np.max(outputs)
    log_total = np.log(np.sum(np.exp(shifted)))
    slope = np.exp(shifted - log_total)
    slope[label] -= 1
    return float(log_total - shifted[label]), slope


def checked_label(label: int, classes: int, group: str) -> int:
    """A label as a number of a class.

    Raises
    ------
    ValueError
        If there is no such class.
    """
    try:
        number = whole_number(label, "A label", 0)
    except ValueError:
        number = classes
    if number >= classes:
        raise ValueError(f"The label {label} is not one of the {classes} classes 0 to {classes - 1} of '{group}'.")
    return number


def unit_dimensions(unit, loss: str):
    """The dimensions of the unit of a loss's value; dimensionless where none is given.

    Raises
    ------
    TypeError
        If it is not a unit.
    """
    if unit is None:
        return DIMENSIONLESS
    if not isinstance(unit, Quantity) or np.ndim(unit) != 0:
        raise TypeError(f"unit of a {loss} is a unit such as ms**2; {unit!r} was given.")
    return get_dimensions(unit)


def value_and_slope(returned, loss: str) -> tuple[float, np.ndarray]:
    """What a user's function returned, as numbers.

    Raises
    ------
    TypeError
        If it is not a pair of a number and an array.
    """
    try:
        value, slope = returned
        return float(value), np.array(slope, dtype=float)
    except (TypeError, ValueError):
        raise TypeError(
            f"The function of a {loss} returns a pair: the value, a number, and its derivatives, an array; "
            f"{returned!r} was returned."
        ) from None


def group_name_of(group, loss: str) -> str:
    """The name of the group that a loss looks at; refuses what is no `NeuronGroup`."""
    if not isinstance(group, NeuronGroup):
        raise TypeError(f"{loss} needs a NeuronGroup; {group!r} was given.")
    return group.name


def require_spiking(reading: NetworkReading, name: str, loss: str) -> None:
    """Refuse groups that do not spike."""
    node = reading.plan.nodes[reading.node(name)]
    if isinstance(node, SourceNode) or not node.spikes:
        raise NotImplementedError(f"{loss} needs a NeuronGroup that spikes; '{name}' does not follow a threshold.")


def with_dimensions(value, dimensions) -> Quantity | float | np.ndarray:
    """A number or an array with its unit, plain where there is none."""
    return value if dimensions is DIMENSIONLESS else Quantity(value, dim=dimensions)
