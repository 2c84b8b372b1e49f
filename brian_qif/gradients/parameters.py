"""Which numbers of a plan a user's parameter stands for, and the way back from slopes to the user's units."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from brian2.core.variables import VariableView

from brian_qif.plan.network_plan import NetworkPlan
from brian_qif.plan.reader import NetworkReading
from brian_qif.solvers.sweeps import Slopes, Wanted


@dataclass(frozen=True)
class Parameter:
    """One differentiable parameter.

    ``kind`` is "weights", "delays", "spike_times", "v" or "current"; ``indices`` are those of the pathways or of the
    node in the plan. ``scale`` is the user's unit per unit of the plan. ``view`` is what the user gave.
    """

    kind: str
    indices: tuple[int, ...]
    scale: float
    offset: float
    shape: tuple[int, ...]
    view: VariableView

    @property
    def label(self) -> str:
        return f"{self.view.group.name}.{self.view.name}"

    @property
    def dimensions(self):
        return self.view.dim

    def value(self, plan: NetworkPlan) -> np.ndarray:
        """The present values in the user's units, SI, in the parameter's shape."""
        first = self.indices[0]
        if self.kind == "weights":
            raw = plan.pathways[first].weights
        elif self.kind == "delays":
            raw = plan.pathways[first].delays
        elif self.kind == "spike_times":
            raw = plan.nodes[first].times
        else:
            raw = getattr(plan.nodes[first], self.kind)
        values = self.offset + self.scale * np.asarray(raw)
        return values.copy() if self.shape else np.array(values[0])

    def put(self, plan: NetworkPlan, value: np.ndarray) -> NetworkPlan:
        """The plan with other values of this parameter."""
        raw = np.array((np.asarray(value, dtype=float) - self.offset) / self.scale)
        if raw.shape != self.shape:
            raise ValueError(f"{self.label} has shape {self.shape}; values of shape {raw.shape} were given.")
        if self.kind == "delays" and np.any(raw < 0):
            raise ValueError(
                f"{self.label} would become negative ({np.min(raw)} s); give the optimiser a lower bound of 0."
            )
        if self.kind in ("weights", "delays"):
            changed = {}
            for index in self.indices:
                pathway = plan.pathways[index]
                full = np.broadcast_to(raw, pathway.pre.shape)
                changed[index] = pathway.with_values(**{self.kind: full})
            return plan.replacing(pathways=changed)
        (index,) = self.indices
        node = plan.nodes[index]
        if self.kind == "spike_times":
            order = np.argsort(raw, kind="stable")
            return plan.replacing(nodes={index: replace(node, times=raw[order], units=node.units[order])})
        return plan.replacing(nodes={index: replace(node, **{self.kind: raw})})

    def slope(self, slopes: Slopes, plan: NetworkPlan, duration: float) -> np.ndarray:
        """The slope in SI units, in the parameter's shape."""
        if self.kind in ("weights", "delays"):
            total, *others = (getattr(slopes, self.kind)[index] for index in self.indices)
            for other in others:
                total = total + other
            if self.scale != 1:
                total = total / self.scale
            return total if self.shape else np.sum(total)
        (index,) = self.indices
        if self.kind == "spike_times":
            # A spike outside the trial changes nothing.
            times = plan.nodes[index].times
            inside = (times >= plan.start) & (times <= plan.start + duration)
            full = np.zeros(len(times))
            full[inside] = slopes.spike_times[index]
            return full
        return slopes.initial[index][0 if self.kind == "v" else 1] / self.scale


def wanted_slopes(parameters: list[Parameter]) -> Wanted:
    """What the reverse sweep has to deliver for these parameters."""

    def indices(*kinds):
        return frozenset(index for p in parameters if p.kind in kinds for index in p.indices)

    return Wanted(indices("weights"), indices("delays"), indices("spike_times"), indices("v", "current"))


def find_parameter(reading: NetworkReading, view: VariableView) -> Parameter:
    """The parameter that a `VariableView` stands for.

    Raises
    ------
    TypeError
        If it is not a `VariableView`.
    NotImplementedError
        If the solver has no slope for it.
    """
    if not isinstance(view, VariableView):
        raise TypeError(
            f"A parameter is given as the variable itself, for instance synapses.w; {type(view).__name__} "
            f"{view!r} was given (synapses.w[:] is a copy of the values)."
        )
    owner, name, plan = view.group.name, view.name, reading.plan
    pathways = plan.pathways
    weights = tuple(k for k, entry in enumerate(reading.weight_variables) if entry == (owner, name))
    delays = tuple(k for k, pathway in enumerate(pathways) if pathway.name == owner and name == "delay")
    if weights:
        scales = {plan.nodes[pathways[k].target].current_scale for k in weights}
        return Parameter("weights", weights, scales.pop(), 0.0, pathways[weights[0]].pre.shape, view)
    if delays:
        shape = () if view.variable.scalar else pathways[delays[0]].pre.shape
        return Parameter("delays", delays, 1.0, 0.0, shape, view)
    for index, node in enumerate(plan.nodes):
        form = reading.forms.get(index)
        if node.name != owner:
            continue
        if form is None and name == "spike_time":
            return Parameter("spike_times", (index,), 1.0, 0.0, node.times.shape, view)
        if form is not None and name == form.voltage:
            return Parameter("v", (index,), node.v_scale, node.v_offset, (node.size,), view)
        if form is not None and name == form.current:
            return Parameter("current", (index,), node.current_scale, 0.0, (node.size,), view)
    raise NotImplementedError(
        f"There is no slope with respect to '{owner}.{name}'. There are slopes with respect to the weights "
        "and delays of Synapses in the network, the spike_time of a SpikeGeneratorGroup, and the initial "
        "state of a NeuronGroup."
    )
