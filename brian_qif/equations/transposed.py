"""The transposed step: a straight-line program and its derivative, as statements (docs/mathematics.md, "On a clock").

The statements of a step are differentiated one by one and in reverse, so that the code stays as long as the step's own
and is the derivative of exactly that map.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import sympy

from brian_qif.equations.clocked import DT, FREE, ClockedSystem, Statements
from brian_qif.equations.text import as_symbol

_LARGE = sympy.Float(1e300)
_SPIKED, _HOLDS, _SEED = map(as_symbol, ("spiked", "holds", "by_spike_time"))
_OWN, _ARRIVALS, _BEFORE_FREE = map(as_symbol, ("by_own_time", "by_arrivals", "before_is_free"))


@lru_cache(maxsize=256)
def renamed(statements: Statements, states: tuple[str, ...]) -> tuple[Statements, dict[str, str]]:
    """The statements with a name of its own for every assignment, and the last name of each state."""
    current = {name: name for name in states}
    result = []
    for count, (name, expression) in enumerate(statements):
        known = {as_symbol(old): as_symbol(new) for old, new in current.items() if old != new}
        current[name] = f"step_{count}_{name.strip('_')}"
        result.append((current[name], expression.subs(known, simultaneous=True)))
    return tuple(result), {name: current[name] for name in states}


def reverse_statements(
    statements: Statements, seeds: Mapping[str, sympy.Expr], inputs: Iterable[str]
) -> tuple[Statements, dict[str, sympy.Expr]]:
    """Carry derivatives with respect to the results of a program back to its inputs.

    Parameters
    ----------
    statements : tuple of (name, expression)
        Every name is assigned once.
    seeds : mapping
        The derivative of the loss with respect to some of the names, or of the inputs themselves.
    inputs : iterable of str
        Names that no statement assigns, with respect to which derivatives are wanted.

    Returns
    -------
    statements : tuple of (name, expression)
        What has to be computed, in order; it uses the names of the program.
    derivatives : dict
        The derivative with respect to each input.
    """
    inputs = tuple(inputs)
    assigned = {name for name, _ in statements}
    shares = defaultdict(list)
    for name, seed in seeds.items():
        shares[name].append(seed)
    result = []
    for name, expression in reversed(statements):
        total = sympy.Add(*shares.pop(name, []))
        if total == 0:
            continue
        if not (total.is_Symbol or total.is_Number):
            result.append((f"of_{name}", total))
            total = as_symbol(f"of_{name}")
        for symbol in sorted(expression.free_symbols, key=str):
            if symbol.name in assigned or symbol.name in inputs:
                share = total * sympy.diff(expression, symbol)
                if share != 0:
                    shares[symbol.name].append(share)
    return tuple(result), {name: sympy.Add(*shares.get(name, [])) for name in inputs}


@dataclass(frozen=True)
class ReverseProgram:
    """What one neuron of the reverse pass computes in one step, and what its synapses do.

    A reverse step at step k of the trial has two halves. ``arrive`` belongs to the state that step k begins with: the
    step is computed again, and a spike's reset is taken back. Then arrivals of step k are taken back by the synapses.
    ``leave``, at the beginning of the next reverse step, takes back the threshold and the flow.

    Variables: the states; what the statements of the step assign; ``adjoint_x``, the slope by each state; ``slope_p``
    by each parameter in ``parameters``; ``spiked``, ``by_spike_time`` (the loss's own slope), ``is_free``,
    ``before_is_free`` (one step earlier), ``holds`` (whether a spike holds the neuron) and ``by_own_time``. A neuron
    that does not spike has ``safe_x``, some state at which threshold and reset are finite, in place of ``event_x``.
    """

    states: tuple[str, ...]
    parameters: tuple[str, ...]
    step: Statements
    after: dict[str, str]
    arrive: Statements
    leave: Statements

    def __str__(self):
        def text(statements):
            return "\n".join(f"    {name} = {expression}" for name, expression in statements)

        return (
            f"step k, computed again:\n{text(self.step)}\nreset of step k, transposed:\n{text(self.arrive)}\n"
            f"threshold and flow of step k, transposed:\n{text(self.leave)}"
        )


def reverse_program(system: ClockedSystem, parameters: Iterable[str]) -> ReverseProgram:
    """The reverse pass of a neuron, with slopes by ``parameters``."""
    parameters = tuple(parameters)
    step, after = renamed(system.step, system.states)
    at_end = {as_symbol(name): as_symbol(after[name]) for name in system.states}
    at_spike = {as_symbol(name): as_symbol(f"event_{name}") for name in system.states}
    arrive = reset_taken_back(system, parameters, at_end)
    leave, at_event, slopes = _threshold_taken_back(system, parameters, at_spike)
    leave += flow_taken_back(system, parameters, step, after, at_event, slopes, _release_taken_back)
    return ReverseProgram(system.states, parameters, step, after, tuple(arrive), tuple(leave))


def flow_taken_back(system, parameters, step, after, at_event, slopes, release=None) -> list:
    """The transposed step, from the adjoint at its end, and the slopes by parameters."""
    seeds = {after[name]: at_event[name] for name in system.states}
    flow, derivatives = reverse_statements(step, seeds, (*system.states, *parameters))
    leave = [*flow, *((f"new_adjoint_{name}", derivatives[name]) for name in system.states)]
    for name in parameters:
        slopes[name] += derivatives[name]
    if release is not None and any(system.held):
        leave += release(system, parameters, slopes)
    leave += [(f"slope_{name}", as_symbol(f"slope_{name}") + slope) for name, slope in slopes.items() if slope != 0]
    return leave + [(f"adjoint_{name}", as_symbol(f"new_adjoint_{name}")) for name in system.states]


def reset_taken_back(system, parameters, at_end) -> list:
    """lambda.(h_x f - f_after) goes to the time of the spike, h_x^T lambda to the state before it."""
    if system.event is None:
        return []
    at_spike = {as_symbol(name): as_symbol(f"event_{name}") for name in system.states}
    adjoint = {name: as_symbol(f"adjoint_{name}") for name in system.states}
    statements = [
        (f"event_{name}", _SPIKED * end + (1 - _SPIKED) * as_symbol(f"safe_{name}"))
        for name, end in zip(system.states, at_end.values(), strict=True)
    ]
    rates = [rate.subs(at_spike, simultaneous=True) for rate in system.rates]
    landing = [part.subs(at_spike, simultaneous=True) for part in system.jump]
    on = dict(zip(map(as_symbol, system.states), landing, strict=True))
    by_time, before = sympy.Integer(0), {}
    for name, part, rate, held in zip(system.states, landing, system.rates, system.held, strict=True):
        after = rate.subs(on, simultaneous=True) * (1 - _HOLDS if held else 1)
        moved = sum(sympy.diff(part, end) * own for end, own in zip(at_spike.values(), rates, strict=True))
        by_time += adjoint[name] * (moved - after)
    for name, end in zip(system.states, at_spike.values(), strict=True):
        before[name] = sum(adjoint[x] * sympy.diff(part, end) for x, part in zip(system.states, landing, strict=True))
    statements += [("by_own_time", _OWN + _SPIKED * by_time)]
    for name in parameters:
        slope = sum(
            adjoint[x] * sympy.diff(part, as_symbol(name)) for x, part in zip(system.states, landing, strict=True)
        )
        if slope != 0:
            statements.append((f"slope_{name}", as_symbol(f"slope_{name}") + _SPIKED * slope))
    changed = [name for name in system.states if before[name] != adjoint[name]]
    statements += [(f"before_{name}", adjoint[name] + _SPIKED * (before[name] - adjoint[name])) for name in changed]
    return statements + [(f"adjoint_{name}", as_symbol(f"before_{name}")) for name in changed]


def _threshold_taken_back(system, parameters, at_spike):
    """Minus g_x over the rate of g, times everything that depends on the time of the spike."""
    adjoint = {name: as_symbol(f"adjoint_{name}") for name in system.states}
    slopes = {name: sympy.Integer(0) for name in parameters}
    if system.event is None:
        return [], dict(adjoint), slopes
    event = system.event.subs(at_spike, simultaneous=True)
    # Without a spike the rate of g may be anything.
    rise = _SPIKED * rise_at_crossing(system, "event") + 1 - _SPIKED
    leave = [("by_event", -_SPIKED * (_OWN + _SEED + _ARRIVALS) / rise)]
    leave += [("by_own_time", (1 - _SPIKED) * _OWN)]
    at_event = {
        name: adjoint[name] + as_symbol("by_event") * sympy.diff(event, end)
        for name, end in zip(system.states, at_spike.values(), strict=True)
    }
    for name in parameters:
        slopes[name] += as_symbol("by_event") * sympy.diff(event, as_symbol(name))
    return leave, at_event, slopes


@lru_cache(maxsize=256)
def rise_at_crossing(system: ClockedSystem, prefix: str) -> sympy.Expr:
    """The rate of g at its zero within a step, from what it is at both ends; the state at the end has ``prefix``.

    At the end of the step a decelerating g may rise no more; at its zero it did, by conservation in a parabola:
    rise**2 = g'**2 - 2 g'' g. Where g accelerates, as towards infinity, g' at the end is the better scale, since the
    adjoint is that at the end.
    """
    at_end = {as_symbol(name): as_symbol(f"{prefix}_{name}") for name in system.states}
    first = sum(sympy.diff(system.event, as_symbol(x)) * f for x, f in zip(system.states, system.rates, strict=True))
    last = first.subs(at_end, simultaneous=True)
    slowing = sympy.Function("clip")((first - last) / DT, 0, _LARGE)
    beyond = sympy.Function("clip")(system.event.subs(at_end, simultaneous=True), 0, _LARGE)
    return sympy.sqrt(last**2 + 2 * slowing * beyond)


def _release_taken_back(system, parameters, slopes):
    """The end of a refractory period moves with the spike, and with the period."""
    rate = sympy.Integer(0)
    for name, f, held in zip(system.states, system.rates, system.held, strict=True):
        rate += as_symbol(f"new_adjoint_{name}") * f if held else 0
    released = as_symbol("by_release")
    for name in parameters:
        slopes[name] += released * sympy.diff(system.refractory, as_symbol(name))
    return [("by_release", -FREE * (1 - _BEFORE_FREE) * rate), ("by_own_time", _OWN + released)]


def arrival_slope(system: ClockedSystem, after: Mapping[str, str], row: int, weight: sympy.Symbol) -> sympy.Expr:
    """The slope of the loss by the time at which a synapse adds ``weight`` to the state of that row.

    lambda.(f - f_after); f is that at the end of the step, before the synapse acts.
    """
    at_end = {as_symbol(name): as_symbol(after[name]) for name in system.states}
    port = as_symbol(system.states[row])
    total = sympy.Integer(0)
    for name, rate, held in zip(system.states, system.rates, system.held, strict=True):
        slope = sympy.diff(rate, port)
        # Written without a difference where f is linear in what the synapse changes.
        linear = port not in slope.free_symbols
        change = -weight * slope if linear else rate - rate.subs(port, port + weight)
        total += as_symbol(f"adjoint_{name}") * change * (FREE if held else 1)
    return arrival_share(system, row) * total.subs(at_end, simultaneous=True)


def arrival_share(system: ClockedSystem, row: int) -> sympy.Expr:
    """How much of an arrival reaches the state of that row: nothing of it while a spike holds that state."""
    return FREE * (1 - _SPIKED) if system.held[row] else sympy.Integer(1)
