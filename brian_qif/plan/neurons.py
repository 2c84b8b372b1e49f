"""Read a `NeuronGroup` into a node of the plan, and keep what is needed to read it again with other parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from brian2 import NeuronGroup, Quantity, second
from brian2.units.fundamentalunits import fail_for_dimension_mismatch

from brian_qif.equations.hybrid import read_hybrid_system
from brian_qif.equations.normal_form import NormalForm, recognise
from brian_qif.equations.text import UnsupportedModelError
from brian_qif.plan.hybrid import HybridReading, read_hybrid
from brian_qif.plan.network_plan import NeuronNode
from brian_qif.plan.values import evaluate, read_numbers, state_values

# Below this discriminant, relative to the synaptic rate, a quadratic neuron is solved around the middle of its
# parabola: its resting and its critical voltage are about to meet, or have met.
SMALL_DISCRIMINANT = 1e-6
# tau_m = 2 tau_s up to the rounding of the conversion to normal form.
RATIO_TOLERANCE = 1e-14


@dataclass(frozen=True)
class NeuronReading:
    """A group as it was read: its normal form, the numbers behind its names, and its state in the user's units (SI)."""

    name: str
    size: int
    forms: NormalForm
    numbers: Mapping[str, np.ndarray]
    voltage: np.ndarray
    currents: np.ndarray

    @property
    def form(self) -> NormalForm:
        """The normal form that holds for these numbers."""
        if self.forms.driven is None:
            return self.forms
        discriminant = evaluate(self.forms.discriminant, self.numbers)
        rate = 1 / evaluate(self.forms.driven.tau_m, self.numbers)
        return self.forms.driven if np.any(discriminant <= SMALL_DISCRIMINANT * rate**2) else self.forms

    @property
    def state_names(self) -> tuple[str, ...]:
        return (self.forms.voltage, *self.forms.currents)

    def with_numbers(self, numbers: Mapping[str, np.ndarray]) -> NeuronReading:
        """The same group with other parameters."""
        return replace(self, numbers={**self.numbers, **{name: np.atleast_1d(x) for name, x in numbers.items()}})

    @property
    def states(self) -> tuple[np.ndarray, ...]:
        """The initial values of the state variables."""
        return (self.voltage, *self.currents)

    def with_state(self, row: int, values: np.ndarray) -> NeuronReading:
        """The same group with another initial voltage (row 0) or current."""
        if row == 0:
            return replace(self, voltage=values)
        currents = self.currents.copy()
        currents[row - 1] = values
        return replace(self, currents=currents)

    def node(self) -> NeuronNode:
        """The plan's entry.

        Raises
        ------
        ValueError
            If a time constant is not positive, a neuron starts at its threshold, or a spike would never come or never
            end.
        """
        form = self.form
        value = {name: [evaluate(part, self.numbers) for part in parts] for name, parts in form.fields.items()}
        for name in ("tau_m", "tau_s"):
            for row in value[name]:
                bad = row[~((row > 0) & np.isfinite(row))]
                if len(bad):
                    raise ValueError(f"'{self.name}': {name} = {bad[0]} s; a time constant is positive and finite.")
        (offset,), (scale,) = value["v_offset"], value["v_scale"]
        if form.kind == "qif" and form.threshold is None and not np.all(scale > 0):
            raise ValueError(
                f"'{self.name}': the square of its voltage lowers it, so it runs to minus infinity and never spikes; "
                "a time constant is positive."
            )
        event = {}
        if form.threshold is not None:
            event = {name: (value[name][0] - offset) / scale for name in ("threshold", "reset")}
            event["subtracts"] = form.subtracts
        if form.refractory is not None:
            event["refractory"] = value["refractory"][0]
        current_scale = _stacked(value["current_scale"])
        tau_m, tau_s = value["tau_m"][0], _stacked(value["tau_s"])
        if form.kind == "qif" and len(tau_s) == 1 and np.all(np.abs(tau_m / (2 * tau_s) - 1) <= RATIO_TOLERANCE):
            tau_m = 2 * tau_s[0]
        node = NeuronNode(
            name=self.name,
            size=self.size,
            kind=form.kind,
            tau_m=tau_m,
            tau_s=tau_s,
            v=np.broadcast_to((self.voltage - offset) / scale, self.size),
            currents=self.currents / current_scale,
            v_offset=offset,
            v_scale=scale,
            current_scale=current_scale,
            drive=value["drive"][0],
            **event,
        )
        _check_event(node)
        return node


def _stacked(rows: list[np.ndarray]) -> np.ndarray:
    """One row per current, all of the same length."""
    return np.stack(np.broadcast_arrays(*rows)) if rows else np.ones((0, 1))


def _check_event(node: NeuronNode) -> None:
    if node.kind == "leaky" or node.spikes_at_infinity:
        return
    if not np.all(node.reset < node.threshold):
        raise ValueError(f"'{node.name}': the reset lies at or above the threshold, so a spike would never end.")
    if not np.all(np.isfinite(node.refractory) & (node.refractory >= 0)):
        raise ValueError(f"'{node.name}': a refractory period is negative or not finite.")
    above = np.flatnonzero(node.v >= node.threshold)
    if len(above):
        raise ValueError(f"'{node.name}': neuron {above[0]} starts at or above its threshold; start it below.")


def read_neurons(
    group: NeuronGroup, namespace: Mapping | None, numeric: bool | str = False
) -> NeuronReading | HybridReading:
    """A group with its present parameters and state.

    With ``numeric`` a group that has no closed form is read as a hybrid system; with "always" every group is.

    Raises
    ------
    UnsupportedModelError
        For equations that the solver does not know, by the term that stands in the way.
    NotImplementedError
        For a neuron in the middle of a spike, which only a clock-driven run knows.
    ValueError
        For an undefined state.
    """
    at_infinity = bool(getattr(group, "spike_at_infinity", False))
    refractory = None if at_infinity else _refractory_period(group)
    free = group.variables.get("not_refractory")
    if free is not None and not np.all(free.get_value()):
        where = "on its way through infinity" if at_infinity else "refractory"
        raise NotImplementedError(
            f"A neuron of '{group.name}' is {where} in the clock-driven run, so its voltage is not "
            "that of this moment. Run a little further, or start from restore()."
        )
    model = (group.user_equations, group.events.get("spike"), group.event_codes.get("spike"), at_infinity, refractory)
    if numeric == "always":
        return _read_numeric(group, model, namespace)
    try:
        form = recognise(*model)
    except UnsupportedModelError as error:
        if numeric:
            return _read_numeric(group, model, namespace)
        raise UnsupportedModelError(f"'{group.name}': {error}{_advice(model)}") from error
    voltage = state_values(group, form.voltage)
    currents = np.array([state_values(group, name) for name in form.currents]).reshape(-1, len(group))
    # The voltage of a neuron that spikes at infinity may be there.
    undefined = np.isnan(voltage) if at_infinity else ~np.isfinite(voltage)
    rows = [(form.voltage, voltage, undefined)]
    rows += [(name, row, ~np.isfinite(row)) for name, row in zip(form.currents, currents, strict=True)]
    for name, values, bad in rows:
        if np.any(bad):
            index = int(np.flatnonzero(bad)[0])
            raise ValueError(f"'{group.name}': the initial {name} of neuron {index} is {values[index]}.")
    symbols = form.symbols | (form.driven.symbols if form.driven is not None else set())
    return NeuronReading(group.name, len(group), form, read_numbers(group, symbols, namespace), voltage, currents)


def _read_numeric(group, model, namespace) -> HybridReading:
    try:
        system = read_hybrid_system(*model)
    except UnsupportedModelError as error:
        raise UnsupportedModelError(f"'{group.name}': {error}") from error
    return read_hybrid(group, system, namespace)


def _advice(model) -> str:
    """What else there is for equations without a closed form."""
    try:
        read_hybrid_system(*model)
    except UnsupportedModelError:
        return ""
    return " EventSolver(numeric=True) solves them by numerical integration."


def _refractory_period(group: NeuronGroup) -> str | float | None:
    """The refractory period as Brian2 holds it: an expression, a number of seconds, or None."""
    period = group._refractory
    if period is False:
        return None
    if isinstance(period, Quantity):
        fail_for_dimension_mismatch(period, second, f"The refractory period of '{group.name}' is a time")
        return float(period)
    return str(period)
