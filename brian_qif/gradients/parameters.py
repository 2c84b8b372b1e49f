"""Which numbers of a plan a user's parameter stands for, and the way back from slopes to the user's units."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from brian2 import Quantity, get_dimensions
from brian2.core.variables import VariableView

from brian_qif.plan.network_plan import VOLTAGE, HybridNode
from brian_qif.plan.reader import NetworkReading
from brian_qif.plan.values import derivative, evaluate
from brian_qif.solvers.sweeps import Seeds, Slopes, Wanted


@dataclass(frozen=True)
class Parameter:
    """One differentiable parameter.

    ``kind`` is "weights" (a parameter of synapses), "delays", "spike_times", "state" (an initial value) or "model" (a
    parameter of neurons); ``indices`` are those of the pathways or of the node in the plan, ``row`` is that of the
    state variable. ``given`` is what the user gave, a `VariableView` or the pair of an object and a name.
    """

    kind: str
    indices: tuple[int, ...]
    shape: tuple[int, ...]
    owner: str
    name: str
    dimensions: Any
    given: Any = field(repr=False)
    row: int = 0

    @property
    def label(self) -> str:
        return f"{self.owner}.{self.name}"

    def value(self, reading: NetworkReading) -> np.ndarray:
        """The present values in the user's units, SI, in the parameter's shape."""
        first = self.indices[0]
        if self.kind == "weights":
            raw = reading.synapses[first].numbers[self.name]
        elif self.kind == "delays":
            raw = reading.plan.pathways[first].delays
        elif self.kind == "spike_times":
            raw = reading.plan.nodes[first].times
        elif self.kind == "model":
            raw = reading.neurons[first].numbers[self.name]
        else:
            raw = reading.neurons[first].states[self.row]
        return np.array(raw, dtype=float) if self.shape else np.array(raw[0], dtype=float)

    def check(self, value: np.ndarray) -> np.ndarray:
        """A value in the parameter's shape.

        Raises
        ------
        ValueError
            If the shape is another one, or a delay is negative.
        """
        try:
            value = np.array(value, dtype=float)
        except (TypeError, ValueError):
            raise ValueError(f"{self.label} takes numbers; {value!r} was given.") from None
        if value.shape != self.shape:
            raise ValueError(f"{self.label} has shape {self.shape}; values of shape {value.shape} were given.")
        if self.kind == "delays" and np.any(value < 0):
            raise ValueError(
                f"{self.label} would become negative ({np.min(value)} s); give the optimiser a lower bound of 0."
            )
        return value

    def slope(self, slopes: Slopes, seeds: Seeds, reading: NetworkReading, duration: float) -> np.ndarray:
        """The slope in SI units, in the parameter's shape."""
        if self.kind == "weights":
            total, *others = (self._weight_slope(slopes, reading, index) for index in self.indices)
            for other in others:
                total = total + other
            return total if self.shape else np.sum(total)
        if self.kind == "delays":
            total = np.sum([slopes.delays[index] for index in self.indices], axis=0)
            return total if self.shape else np.sum(total)
        (index,) = self.indices
        plan = reading.plan
        if self.kind == "spike_times":
            # A spike outside the trial changes nothing.
            times = plan.nodes[index].times
            inside = (times >= plan.start) & (times <= plan.start + duration)
            full = np.zeros(len(times))
            full[inside] = slopes.spike_times[index]
            return full
        if self.kind == "state":
            node, (by_v, by_currents) = plan.nodes[index], slopes.initial[index]
            row = self.row - 1
            return by_v / node.v_scale if row < 0 else by_currents[row] / node.current_scale[row]
        total = self._model_slope(slopes, seeds, reading, index)
        return total if self.shape else np.sum(total)

    def _weight_slope(self, slopes: Slopes, reading: NetworkReading, index: int) -> np.ndarray:
        read = reading.synapses[index]
        if reading.plan.pathways[index].state is not None:
            return slopes.synapses[index].get(self.name, np.zeros(len(reading.plan.pathways[index].pre)))
        slope = slopes.weights[index]
        target: Any = reading.plan.nodes[reading.plan.pathways[index].target]
        unit = read.unit(target)
        if unit.size > 1 or unit[0] != 1:
            slope = slope / unit
        if read.expression.is_Symbol:
            return slope
        return slope * evaluate(derivative(read.expression, self.name), read.numbers)

    def _model_slope(self, slopes: Slopes, seeds: Seeds, reading: NetworkReading, index: int) -> np.ndarray:
        """One slope per neuron: through every field of the normal form in which the parameter occurs."""
        models: Any = slopes.models[index]
        if isinstance(reading.plan.nodes[index], HybridNode):
            return models[self.name]
        read, node = reading.neurons[index], reading.plan.nodes[index]
        by_v, by_currents = slopes.initial[index]
        scale = node.v_scale
        by_field = {
            "tau_m": [models.tau_m],
            "tau_s": list(models.tau_s),
            "drive": [models.drive],
            "refractory": [models.refractory],
            "threshold": [models.threshold / scale],
            "reset": [models.reset / scale],
            "v_offset": [-(by_v + models.threshold + models.reset) / scale],
        }
        levels = _product(models.threshold, node.threshold) + _product(models.reset, node.reset)
        by_rows = []
        for row, current_scale in enumerate(node.current_scale):
            total = by_currents[row] * node.currents[row] + self._arriving(slopes, reading, index, row)
            by_rows.append(-total / current_scale)
        arriving = self._arriving(slopes, reading, index, VOLTAGE)
        by_field["v_scale"] = [-(_product(by_v, node.v) + levels + arriving) / scale]
        by_field["current_scale"] = by_rows
        for name, own in seeds.coordinates.get(index, {}).items():
            by_field[name] = [total + slope for total, slope in zip(by_field[name], own, strict=True)]
        total = np.zeros(node.size)
        for name, parts in read.form.fields.items():
            for part, slope in zip(parts, by_field[name], strict=True):
                if self.name in {symbol.name for symbol in part.free_symbols}:
                    total = total + slope * evaluate(derivative(part, self.name), read.numbers)
        return total

    @staticmethod
    def _arriving(slopes: Slopes, reading: NetworkReading, node: int, port: int) -> np.ndarray:
        """Sum of weight times its slope over the synapses onto one variable of each neuron."""
        total = np.zeros(reading.plan.nodes[node].size)
        for k, pathway in enumerate(reading.plan.pathways):
            if pathway.target == node and pathway.port == port:
                total += np.bincount(pathway.post, pathway.weights * slopes.weights[k], len(total))
        return total


def _product(slope, value):
    """Zero where there is no slope, whatever the value: an absent threshold is infinite."""
    return np.where(slope == 0, 0.0, slope * np.where(np.isfinite(value), value, 0.0))


def wanted_slopes(parameters: list[Parameter], reading: NetworkReading) -> Wanted:
    """What the reverse sweep has to deliver for these parameters."""

    def indices(*kinds):
        return {index for p in parameters if p.kind in kinds for index in p.indices}

    # A parameter of the neurons changes their normal form, in which weights and initial state are measured.
    models = indices("model")
    onto = {k for k, pathway in enumerate(reading.plan.pathways) if pathway.target in models}
    return Wanted(
        frozenset(indices("weights") | onto),
        frozenset(indices("delays")),
        frozenset(indices("spike_times")),
        frozenset(indices("state") | models),
        frozenset(models),
    )


def add_own_slopes(slopes: Slopes, seeds: Seeds) -> None:
    """Add the slopes of a loss that depends on weights and parameters by itself, not only through the trial."""
    for k, own in seeds.weights.items():
        if k in slopes.weights:
            slopes.weights[k] += own
    for k, fields in seeds.models.items():
        if k in slopes.models:
            for name, own in fields.items():
                getattr(slopes.models[k], name)[...] += own


def with_values(reading: NetworkReading, parameters: list[Parameter], values) -> NetworkReading:
    """The network with other values (SI) of some parameters.

    Raises
    ------
    ValueError
        If a value has another shape than its parameter, or is not possible.
    """
    neurons: dict[int, dict] = {}
    synapses: dict[int, dict] = {}
    checked = [parameter.check(value) for parameter, value in zip(parameters, values, strict=True)]
    for parameter, value in zip(parameters, checked, strict=True):
        for index in parameter.indices:
            if parameter.kind == "model":
                neurons.setdefault(index, {})[parameter.name] = value
            elif parameter.kind == "weights":
                synapses.setdefault(index, {})[parameter.name] = value
    states = {
        (parameter.indices[0], parameter.row): value
        for parameter, value in zip(parameters, checked, strict=True)
        if parameter.kind == "state"
    }
    reading = reading.changed(neurons, synapses, states)
    for parameter, value in zip(parameters, checked, strict=True):
        if parameter.kind == "delays":
            reading = reading.with_delays({index: value for index in parameter.indices})
        elif parameter.kind == "spike_times":
            reading = reading.with_spike_times(parameter.indices[0], value)
    return reading


def find_parameter(reading: NetworkReading, given) -> Parameter:
    """The parameter that a `VariableView`, or the pair of an object and a name, stands for.

    Raises
    ------
    TypeError
        If it is neither.
    NotImplementedError
        If the solver has no slope for it.
    """
    if isinstance(given, VariableView):
        owner, name, dimensions = given.group.name, given.name, given.dim
    elif isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], str) and hasattr(given[0], "name"):
        owner, name = given[0].name, given[1]
        dimensions = _dimensions(given[0], name, reading)
    else:
        raise TypeError(
            f"A parameter is given as the variable itself, for instance synapses.w, or, for a constant of the script, "
            f"as the pair (neurons, 'tau'); {type(given).__name__} {given!r} was given (synapses.w[:] is a copy of the "
            "values)."
        )

    def parameter(kind, indices, shape, row=0):
        return Parameter(kind, tuple(indices), shape, owner, name, dimensions, given, row)

    plan = reading.plan
    weights = [k for k, read in reading.synapses.items() if read.owner == owner and name in read.numbers]
    delays = [k for k, pathway in enumerate(plan.pathways) if pathway.name == owner and name == "delay"]
    if weights:
        number = reading.synapses[weights[0]].numbers[name]
        return parameter("weights", weights, () if _is_shared(given, number) else number.shape)
    if delays:
        shape = () if getattr(given, "variable", None) is not None and given.variable.scalar else None
        return parameter("delays", delays, plan.pathways[delays[0]].pre.shape if shape is None else shape)
    for index, node in enumerate(plan.nodes):
        read = reading.neurons.get(index)
        if node.name != owner:
            continue
        if read is None and name == "spike_time":
            return parameter("spike_times", [index], node.times.shape)
        if read is not None and name in read.state_names:
            return parameter("state", [index], (node.size,), read.state_names.index(name))
        if read is not None and name in read.numbers:
            number = read.numbers[name]
            return parameter("model", [index], () if _is_shared(given, number) else number.shape)
    raise NotImplementedError(
        f"There is no slope with respect to '{owner}.{name}'. There are slopes with respect to the parameters "
        "and delays of Synapses in the network, the spike_time of a SpikeGeneratorGroup, and the initial "
        "state and the parameters of a NeuronGroup, as far as its equations use them."
    )


def _is_shared(given, number: np.ndarray) -> bool:
    """Whether there is one value for all: a constant of the script, or a shared variable."""
    return given.variable.scalar if isinstance(given, VariableView) else number.size == 1


def _dimensions(group, name: str, reading: NetworkReading):
    """The unit of a parameter that was given by its name."""
    if name in getattr(group, "variables", {}):
        return group.variables[name].dim
    value = reading.namespace.get(name)
    own = getattr(group, "namespace", None) or {}
    value = own.get(name, value)
    if value is None:
        raise NotImplementedError(f"'{name}' is no constant of the script that '{group.name}' uses.")
    return get_dimensions(value if isinstance(value, Quantity) else float(value))
