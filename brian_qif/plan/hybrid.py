"""Read a `NeuronGroup` of any smooth equations into a node of the plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from brian2 import NeuronGroup

from brian_qif.equations.hybrid import HybridSystem
from brian_qif.equations.text import UnsupportedModelError
from brian_qif.plan.network_plan import HybridNode
from brian_qif.plan.values import evaluate, read_numbers, state_values


@dataclass(frozen=True)
class HybridReading:
    """A group as it was read: its hybrid system, the numbers behind its names, and its state, all in SI units."""

    name: str
    size: int
    system: HybridSystem
    numbers: Mapping[str, np.ndarray]
    states: tuple[np.ndarray, ...]

    @property
    def state_names(self) -> tuple[str, ...]:
        return self.system.states

    def with_numbers(self, numbers: Mapping[str, np.ndarray]) -> HybridReading:
        """The same group with other parameters."""
        return replace(self, numbers={**self.numbers, **{name: np.atleast_1d(x) for name, x in numbers.items()}})

    def with_state(self, row: int, values: np.ndarray) -> HybridReading:
        """The same group with another initial value of a state variable."""
        return replace(self, states=(*self.states[:row], values, *self.states[row + 1 :]))

    def node(self) -> HybridNode:
        """The plan's entry.

        Raises
        ------
        ValueError
            If a state is not finite or does not change at a finite rate, or a neuron starts at its threshold.
        """
        values = dict(self.numbers)
        for name, row in zip(self.state_names, self.states, strict=True):
            values[name] = row
            self._check_finite(f"the initial {name}", row)
        for name, rate in zip(self.state_names, self.system.rates, strict=True):
            with np.errstate(all="ignore"):
                self._check_finite(f"d{name}/dt = {rate} at the start", evaluate(rate, values))
        if self.system.event is not None:
            above = np.flatnonzero(~(evaluate(self.system.event, values) < 0))
            if len(above):
                raise ValueError(f"'{self.name}': neuron {above[0]} starts at or above its threshold; start it below.")
        return HybridNode(self.name, self.size, self.system, np.array(self.states), self.numbers)

    def _check_finite(self, what: str, values: np.ndarray) -> None:
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise ValueError(f"'{self.name}': {what} of neuron {bad[0]} is {values[bad[0]]}.")


def read_hybrid(group: NeuronGroup, system: HybridSystem, namespace: Mapping | None) -> HybridReading:
    """A group with its present parameters and state.

    Raises
    ------
    UnsupportedModelError
        For variables that belong to another group.
    """
    for name in system.parameters:
        variable = group.variables.get(name)
        owner = getattr(variable, "owner", None)
        if owner is not None and owner.name != group.name:
            raise UnsupportedModelError(
                f"'{group.name}': '{name}' is linked to a variable of '{owner.name}'; the solver takes the group's own."
            )
    states = tuple(state_values(group, name) for name in system.states)
    return HybridReading(group.name, len(group), system, read_numbers(group, system.parameters, namespace), states)
