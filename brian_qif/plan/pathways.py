"""Read `Synapses` into pathways: who hears whom, how strongly, how late."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import sympy
from brian2 import Subgroup, Synapses
from brian2.core.variables import Constant
from brian2.parsing.expressions import parse_expression_dimensions
from brian2.units.fundamentalunits import DimensionMismatchError

from brian_qif.equations.text import parsed
from brian_qif.plan.hybrid import HybridReading
from brian_qif.plan.network_plan import VOLTAGE, HybridNode, NeuronNode, Pathway, SourceNode
from brian_qif.plan.neurons import NeuronReading
from brian_qif.plan.synaptic import SynapticReading, has_state, read_synaptic
from brian_qif.plan.values import evaluate, read_numbers


@dataclass(frozen=True)
class PathwayReading:
    """A pathway as it was read: what it adds to its target is an expression of the synapses' parameters.

    ``owner`` is the name of the `Synapses`; ``post`` has the neuron that each synapse ends at.
    """

    owner: str
    expression: sympy.Expr
    numbers: Mapping[str, np.ndarray]
    port: int
    post: np.ndarray

    def with_numbers(self, numbers: Mapping[str, np.ndarray]) -> PathwayReading:
        """The same synapses with other parameters."""
        return replace(self, numbers={**self.numbers, **{name: np.atleast_1d(x) for name, x in numbers.items()}})

    def unit(self, target: NeuronNode | HybridNode) -> np.ndarray:
        """The user's unit per unit of the normal form: one entry, or one per synapse."""
        scale = target.v_scale if self.port == VOLTAGE else target.current_scale[self.port]
        return scale if scale.size == 1 else scale[self.post]

    def weights(self, target: NeuronNode | HybridNode) -> np.ndarray:
        """What each synapse adds, in the target's normal form."""
        values = evaluate(self.expression, self.numbers)
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise ValueError(
                f"'{self.owner}': {self.expression}[{bad[0]}] is {values[bad[0]]}; weights must be finite."
            )
        return np.broadcast_to(values / self.unit(target), self.post.shape)

    def given_to(self, pathway: Pathway, target: NeuronNode | HybridNode) -> Pathway:
        """A pathway with these numbers."""
        return pathway.with_values(weights=self.weights(target))


def read_pathways(
    synapses: Synapses,
    nodes: list[SourceNode | NeuronNode | HybridNode],
    readings: Mapping[int, NeuronReading | HybridReading],
    namespace: Mapping | None,
    clocked: bool = False,
    start: float = 0.0,
) -> Iterator[tuple[Pathway, PathwayReading | SynapticReading]]:
    """Each presynaptic pathway of a `Synapses`; only on a clock may these have a state of their own.

    Raises
    ------
    NotImplementedError
        If the synapses do anything but add a weight to the voltage or a synaptic current of their target.
    DimensionMismatchError
        If the weight has another unit than the variable that it is added to.
    """
    source, target = (_node_index(synapses, end, nodes) for end in ("source", "target"))
    if target not in readings:
        raise NotImplementedError(
            f"'{synapses.name}' ends at '{nodes[target].name}', whose neurons have no synaptic current."
        )
    with_state = has_state(synapses)
    if with_state and not clocked:
        raise NotImplementedError(
            f"'{synapses.name}' has variables that change with time or with spikes; its synapses must be static here. "
            "ClockSolver() takes them."
        )
    if synapses.summed_updaters:
        raise NotImplementedError(f"'{synapses.name}' has summed variables; only on_pre statements are supported.")
    pre = np.array(synapses.variables["_synaptic_pre"].get_value(), dtype=np.int64)
    post = np.array(synapses.variables["_synaptic_post"].get_value(), dtype=np.int64)
    if len(pre) == 0:
        raise ValueError(f"'{synapses.name}' has no synapses: call connect() first.")
    for part in synapses._pathways:
        if part.event != "spike":
            raise NotImplementedError(
                f"'{synapses.name}': the pathway '{part.objname}' acts on {part.prepost}synaptic {part.event}s; only "
                "spikes are supported."
            )
    if with_state:
        reading = read_synaptic(synapses, readings[target].state_names, namespace, start)
        (part,) = (own for own in synapses._pathways if own.prepost == "pre")
        port = readings[target].state_names.index(reading.system.target) - 1
        delays, nothing = _delays(synapses, part, pre), np.zeros(len(pre))
        empty = Pathway(part.name, source, target, nodes[source].size, pre, post, nothing, delays, port)
        yield reading.given_to(empty, nodes[target]), reading
        return
    for part in synapses._pathways:
        delays = _delays(synapses, part, pre)
        port, expression = _statement(synapses, part.code, readings[target])
        names = {symbol.name for symbol in expression.free_symbols}
        _check_names(synapses, part.code, names, namespace)
        numbers = read_numbers(synapses, names, namespace)
        reading = PathwayReading(synapses.name, expression, numbers, port, post)
        weights = reading.weights(nodes[target])
        yield Pathway(part.name, source, target, nodes[source].size, pre, post, weights, delays, port), reading


def _delays(synapses: Synapses, part, pre: np.ndarray) -> np.ndarray:
    delays = np.broadcast_to(np.array(part.variables["delay"].get_value(), dtype=float), pre.shape)
    if np.any(delays < 0) or not np.all(np.isfinite(delays)):
        raise ValueError(f"'{synapses.name}': a delay is negative or not finite.")
    return delays


def _node_index(synapses: Synapses, end: str, nodes) -> int:
    group = getattr(synapses, end)
    while isinstance(group, Subgroup):
        group = group.source
    names = [node.name for node in nodes]
    if group.name not in names:
        raise ValueError(f"'{synapses.name}' connects '{group.name}', which is not part of the network.")
    return names.index(group.name)


def _statement(synapses: Synapses, code: str, target: NeuronReading | HybridReading) -> tuple[int, sympy.Expr]:
    """The port that a statement adds to, and what it adds."""
    match = re.fullmatch(r"\s*(\w+?)(_post)?\s*([-+])=\s*([^=\n;]+?)\s*", code)
    if match is None or match[1] not in target.state_names:
        variables = " or ".join(f"'{name}_post += w'" for name in (*target.state_names[1:], target.state_names[0]))
        raise NotImplementedError(
            f"'{synapses.name}': on_pre = '{code}' is not supported; write on_pre = {variables} with a weight 'w' that "
            "is a variable of the synapses."
        )
    expression = parsed(match[4])
    for name, value in synapses.equations.get_substituted_expressions(include_subexpressions=True):
        expression = expression.subs(sympy.Symbol(name, real=True), parsed(str(value)))
    return target.state_names.index(match[1]) - 1, expression if match[3] == "+" else -expression


def _check_names(synapses: Synapses, code: str, names, namespace) -> None:
    """A weight is made of constants and of the synapses' own parameters, and has the unit of its target."""
    try:
        resolved = synapses.resolve_all(sorted(names), run_namespace=namespace or {})
    except KeyError as error:
        raise ValueError(
            f"'{synapses.name}': a name in on_pre = '{code}' is neither a variable of the synapses nor a name of the "
            "script around the call; define it, or hand it over as namespace={...}."
        ) from error
    for name, variable in resolved.items():
        own = name in synapses.equations.parameter_names or isinstance(variable, Constant)
        if not own:
            raise NotImplementedError(
                f"'{synapses.name}': '{name}' in on_pre = '{code}' is not a parameter of the synapses; declare it in "
                f"the model of the synapses, for instance Synapses(..., '{name} : 1', ...)."
            )
    left, right = re.split(r"[-+]=", code)
    variables = {**synapses.variables, **resolved}
    found = parse_expression_dimensions(right.strip(), variables)
    wanted = synapses.variables[left.strip()].dim
    if found is not wanted:
        raise DimensionMismatchError(
            f"'{synapses.name}': on_pre = '{code}' adds another unit than that of '{left.strip()}'", found, wanted
        )
