"""Synapses with a state of their own: what time and an arriving spike make of it, as a program, and its transposed.

A synapse is looked at when a spike arrives from before, or leaves the neuron behind, and only then: the time since the
last such event and the statements of on_pre or on_post are one straight-line program of the state that the last event
left (docs/mathematics.md, "Synapses with a state").
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
    """What the arrival of a spike does, and what a spike of the neuron behind does.

    ``program`` takes the ``states`` that the last event left, over the time `ELAPSED` and through on_pre, to those
    after this one; on the way it assigns `AMOUNT`, which is added to the variable ``target``. ``after_post`` does so
    through on_post, and adds nothing; it is empty where there is no such pathway.
    """

    states: tuple[str, ...]
    program: Statements
    target: str
    after_post: Statements = ()

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names that are neither states nor assigned."""
        return tuple(sorted(set().union(*map(self._free, (self.program, self.after_post)))))

    def _free(self, program: Statements) -> set[str]:
        known = {*self.states, *(name for name, _ in program), ELAPSED.name}
        return {symbol.name for _, part in program for symbol in part.free_symbols} - known

    def with_values(self, values: Mapping[str, float]) -> SynapticSystem:
        """The same system with numbers in place of some names."""
        numbers = {as_symbol(name): sympy.Float(value) for name, value in values.items()}
        programs = [tuple((name, part.subs(numbers)) for name, part in own) for own in (self.program, self.after_post)]
        return replace(self, program=programs[0], after_post=programs[1])


@dataclass(frozen=True)
class ReverseSynapse:
    """An event at a synapse, computed again and taken back.

    ``program``: every name is assigned once; ``amount`` (None for a spike of the neuron behind) and ``after`` (by
    state) are the names of its results. ``transposed`` uses ``adjoint_x``, the slope by each state after the event, and
    ``by_amount``; ``slopes`` are by the states before, by `ELAPSED` and by the parameters.
    """

    program: Statements
    amount: str | None
    after: dict[str, str]
    transposed: Statements
    slopes: dict[str, sympy.Expr]


@lru_cache(maxsize=64)
def reverse_synapse(system: SynapticSystem, post: bool = False) -> ReverseSynapse:
    """The reverse pass of an arrival, or (``post``) of a spike of the neuron behind."""
    forward = system.after_post if post else system.program
    program, after = renamed(forward, system.states)
    seeds = {after[name]: as_symbol(f"adjoint_{name}") for name in system.states}
    amount = next((program[place][0] for place, (name, _) in enumerate(forward) if name == AMOUNT), None)
    if amount is not None:
        seeds[amount] = as_symbol("by_amount")
    inputs = (*system.states, ELAPSED.name, *system.parameters)
    transposed, slopes = reverse_statements(program, seeds, inputs)
    return ReverseSynapse(program, amount, after, transposed, slopes)


def read_synaptic_system(
    flow: str,
    on_pre: str,
    on_post: str | None,
    states: Collection[str],
    own: Collection[str],
    targets: Collection[str],
    inside: Mapping,
) -> SynapticSystem:
    """Read what happens in a synapse.

    Parameters
    ----------
    flow : str
        Statements that take the state over a time ``dt``, exactly.
    on_pre, on_post : str
        The statements of the pathways; None where there is no on_post.
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
        For statements that change or read anything but the synapse's own variables and, in on_pre, one variable of its
        target, and for functions that are not smooth, by the statement.
    """
    passed = [(name, part.subs(DT, ELAPSED).subs(inside)) for name, part in step_statements(flow)]
    before = _Statements("on_pre", states, own, targets, inside)
    program = [*passed, *before.read(on_pre)]
    if before.target is None:
        raise UnsupportedModelError("No statement of on_pre adds to a state variable of the neurons behind.")
    behind = _Statements("on_post", states, own, targets, inside)
    after_post = [] if on_post is None else [*passed, *behind.read(on_post)]
    for kind, own_program in (("on_pre", program), ("on_post", after_post)):
        for name, part in own_program:
            check_smooth(f"{kind}, '{name} = {part}',", part, _FUNCTIONS, _CLOCK)
    changed = {*states, *before.changed, *behind.changed}
    return SynapticSystem(tuple(sorted(changed)), tuple(program), before.target, tuple(after_post))


class _Statements:
    """Reads the statements of a pathway; collects what they change."""

    def __init__(self, kind: str, states, own, targets, inside: Mapping):
        self.kind, self.states, self.own, self.targets, self.inside = kind, states, own, targets, inside
        self.changed: set[str] = set()
        self.target: str | None = None

    def read(self, code: str) -> list[tuple[str, sympy.Expr]]:
        return [self._statement(text) for text in _texts(code)]

    def _statement(self, text: str) -> tuple[str, sympy.Expr]:
        name, operation, value = self._parsed(text)
        value = value.subs(self.inside)
        self._check_read(text, value)
        if name in self.own or name in self.states:
            self.changed.add(name)
            return name, _assigned(as_symbol(name), operation, value)
        variable = name.removesuffix("_post")
        if variable in self.targets:
            self._check_target(text, variable, operation)
            self.target = variable
            return AMOUNT, value if operation == "+" else -value
        if operation or name.endswith(("_pre", "_post")):
            behind = "" if self.kind == "on_post" else " or state of the neurons behind"
            raise UnsupportedModelError(f"'{text}' of {self.kind} changes no variable of the synapses{behind}.")
        return name, value

    def _check_target(self, text: str, variable: str, operation: str) -> None:
        if self.kind == "on_post":
            raise UnsupportedModelError(
                f"'{text}' of on_post changes the neurons; on_post may change the synapse's own variables. What a "
                "neuron's own spike does to it belongs into its reset."
            )
        if self.target is not None:
            raise UnsupportedModelError(
                f"Two statements of on_pre change the neurons behind (the second is '{text}'); with a state of the "
                "synapse there may be one: make Synapses of each."
            )
        if operation not in ("+", "-"):
            raise UnsupportedModelError(f"'{text}' is not of the form '{variable}_post += ...'.")

    def _parsed(self, text: str):
        match = _ASSIGNMENT.fullmatch(text)
        value = as_expression(match[3]) if match else None
        if value is None:
            raise UnsupportedModelError(
                f"The statement '{text}' of {self.kind} is not of the form 'x = value', 'x += value', 'x -= value', "
                "'x *= value' or 'x /= value'."
            )
        return match[1], match[2], value

    def _check_read(self, text: str, value: sympy.Expr) -> None:
        for name in sorted(symbol.name for symbol in value.free_symbols):
            mine = name in self.own or name in self.states
            if name.endswith(("_pre", "_post")) or (name in self.targets and not mine):
                raise UnsupportedModelError(
                    f"'{text}' reads '{name}' of the neurons; {self.kind} may read the synapse's own variables and "
                    "constants."
                )


def _texts(code: str):
    for line in code.splitlines():
        for statement in line.partition("#")[0].split(";"):
            if statement.strip():
                yield statement.strip()


def _assigned(old: sympy.Expr, operation: str, value: sympy.Expr) -> sympy.Expr:
    return {"": value, "+": old + value, "-": old - value, "*": old * value, "/": old / value}[operation]
