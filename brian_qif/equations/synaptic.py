"""Synapses with a state of their own: what time and an arriving spike make of it, as a program, and its transposed.

A synapse is looked at when a spike arrives, and only then: the time since the last arrival and the statements of on_pre
are one straight-line program of the state that the last arrival left (docs/mathematics.md, "Synapses with a state").
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import sympy

from brian_qif.equations.clocked import _FUNCTIONS, DT, Statements, step_statements
from brian_qif.equations.hybrid import check_smooth
from brian_qif.equations.text import UnsupportedModelError, as_expression, as_symbol
from brian_qif.equations.transposed import renamed, reverse_statements

# What a spike adds to its target, and the time since the last arrival.
AMOUNT, ELAPSED = "qif_amount", as_symbol("qif_elapsed")
_ASSIGNMENT = re.compile(r"\s*(\w+)\s*([-+*/]?)=\s*([^=].*?)\s*")
_CLOCK = {"t", "dt", "t_in_timesteps", "lastupdate"}


@dataclass(frozen=True)
class SynapticSystem:
    """What the arrival of a spike does.

    ``program`` takes the ``states`` that the last arrival left, over the time `ELAPSED` and through on_pre, to those
    after this one; on the way it assigns `AMOUNT`, which is added to the variable ``target``.
    """

    states: tuple[str, ...]
    program: Statements
    target: str

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names that are neither states nor assigned."""
        known = {*self.states, *(name for name, _ in self.program), ELAPSED.name}
        used = {symbol.name for _, part in self.program for symbol in part.free_symbols}
        return tuple(sorted(used - known))

    def with_values(self, values: Mapping[str, float]) -> SynapticSystem:
        """The same system with numbers in place of some names."""
        numbers = {as_symbol(name): sympy.Float(value) for name, value in values.items()}
        return replace(self, program=tuple((name, part.subs(numbers)) for name, part in self.program))


@dataclass(frozen=True)
class ReverseSynapse:
    """An arrival, computed again and taken back.

    ``program``: every name is assigned once; ``amount`` and ``after`` (by state) are the names of its results.
    ``transposed`` uses ``adjoint_x``, the slope by each state after the arrival, and ``by_amount``; ``slopes`` are by
    the states before, by `ELAPSED` and by the parameters.
    """

    program: Statements
    amount: str
    after: dict[str, str]
    transposed: Statements
    slopes: dict[str, sympy.Expr]


@lru_cache(maxsize=64)
def reverse_synapse(system: SynapticSystem) -> ReverseSynapse:
    """The reverse pass of an arrival."""
    program, after = renamed(system.program, system.states)
    place = next(count for count, (name, _) in enumerate(system.program) if name == AMOUNT)
    amount = program[place][0]
    seeds = {after[name]: as_symbol(f"adjoint_{name}") for name in system.states}
    seeds[amount] = as_symbol("by_amount")
    inputs = (*system.states, ELAPSED.name, *system.parameters)
    transposed, slopes = reverse_statements(program, seeds, inputs)
    return ReverseSynapse(program, amount, after, transposed, slopes)


def read_synaptic_system(
    flow: str, on_pre: str, states: Collection[str], own: Collection[str], targets: Collection[str], inside: Mapping
) -> SynapticSystem:
    """Read what happens in a synapse.

    Parameters
    ----------
    flow : str
        Statements that take the state over a time ``dt``, exactly.
    on_pre : str
        The statements of the pathway.
    states, own : collection of str
        The variables with (event-driven) equations, and the synapse's parameters.
    targets : collection of str
        State variables of the neurons behind.
    inside : mapping
        What subexpressions stand for.

    Returns
    -------
    `SynapticSystem`

    Raises
    ------
    UnsupportedModelError
        For statements that change or read anything but the synapse's own variables and one variable of its target, and
        for functions that are not smooth, by the statement.
    """
    program = [(name, part.subs(DT, ELAPSED).subs(inside)) for name, part in step_statements(flow)]
    changed, target = set(states), None
    for text in _texts(on_pre):
        name, operation, value = _parsed(text)
        value = value.subs(inside)
        _check_read(text, value, targets, own, states)
        variable = name.removesuffix("_post")
        if name in own or name in states:
            changed.add(name)
            program.append((name, _assigned(as_symbol(name), operation, value)))
        elif variable in targets:
            if target is not None:
                raise UnsupportedModelError(
                    f"Two statements of on_pre change the neurons behind (the second is '{text}'); with a state of the "
                    "synapse there may be one: make Synapses of each."
                )
            if operation not in ("+", "-"):
                raise UnsupportedModelError(f"'{text}' is not of the form '{variable}_post += ...'.")
            target = variable
            program.append((AMOUNT, value if operation == "+" else -value))
        elif operation or name.endswith(("_pre", "_post")):
            raise UnsupportedModelError(f"'{text}' changes no variable of the synapses or state of the neurons behind.")
        else:
            program.append((name, value))
    if target is None:
        raise UnsupportedModelError("No statement of on_pre adds to a state variable of the neurons behind.")
    for name, part in program:
        check_smooth(f"on_pre, '{name} = {part}',", part, _FUNCTIONS, _CLOCK)
    return SynapticSystem(tuple(sorted(changed)), tuple(program), target)


def _texts(code: str):
    for line in code.splitlines():
        for statement in line.partition("#")[0].split(";"):
            if statement.strip():
                yield statement.strip()


def _parsed(text: str):
    match = _ASSIGNMENT.fullmatch(text)
    value = as_expression(match[3]) if match else None
    if value is None:
        raise UnsupportedModelError(
            f"The statement '{text}' of on_pre is not of the form 'x = value', 'x += value', 'x -= value', "
            "'x *= value' or 'x /= value'."
        )
    return match[1], match[2], value


def _assigned(old: sympy.Expr, operation: str, value: sympy.Expr) -> sympy.Expr:
    return {"": value, "+": old + value, "-": old - value, "*": old * value, "/": old / value}[operation]


def _check_read(text: str, value: sympy.Expr, targets, own, states) -> None:
    for name in sorted(symbol.name for symbol in value.free_symbols):
        mine = name in own or name in states
        if name.endswith(("_pre", "_post")) or (name in targets and not mine):
            raise UnsupportedModelError(
                f"'{text}' reads '{name}' of the neurons; on_pre may read the synapse's own variables and constants."
            )
