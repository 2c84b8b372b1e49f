"""The C++ source of the event-driven sweeps for the kinds of neuron that a plan holds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import factorial

import jinja2

from brian_qif.codegen.printing import adjoint_statements, flow_statements
from brian_qif.equations.closed_forms import CLOSED_FORMS
from brian_qif.plan.network_plan import NetworkPlan, NeuronNode
from brian_qif.solvers import linear, quadratic

# Which closed form each kind follows, and its number in the generated code.
FAMILIES = {"lif": "linear", "leaky": "linear", "qif": "quadratic"}
NUMBERS = {"linear": 0, "quadratic": 1}
_FORMS = {"linear": CLOSED_FORMS["lif"], "quadratic": CLOSED_FORMS["qif"]}
_SCALARS = {"linear": ("decay_m", "decay_s", "response"), "quadratic": ("decay", "r")}


@dataclass(frozen=True)
class Precision:
    """What the generated code computes states, weights and adjoints with, and what that takes.

    ``few``, ``more`` and ``most``: terms of the Stumpff functions, the first two with the largest |z| that they serve;
    ``error`` bounds what they leave out. ``margin`` is the part of a voltage by which a bound has to miss the threshold
    before the crossing is not looked for. A spike is refused as grazing where its slope, as a part of the current or
    the threshold, is below ``grazing_slope``.
    """

    real: str
    few: tuple[int, float]
    more: tuple[int, float]
    most: int
    error: float
    margin: float
    grazing_slope: float
    flushes: bool  # numbers too small for the format to zero


PRECISIONS = {
    "float64": Precision("double", (4, 9e-4), (6, 0.04), 10, 2e-17, 1e-12, linear.GRAZING_SLOPE, False),
    "float32": Precision("float", (3, 9e-3), (4, 0.07), 6, 3e-9, 1e-5, 1e-5, True),
}

# Longest power series that a template uses: |z| <= 1 for the Stumpff functions, |x| <= 1 for the averages.
_TERMS = 20


def _series() -> dict[str, list[str]]:
    """Coefficients of the entire functions of the templates, as C++ literals of the nearest numbers."""
    coefficients = {
        "cosine": lambda n: (-1) ** n / factorial(2 * n),
        "sine": lambda n: (-1) ** n / factorial(2 * n + 1),
        "sine_slope": lambda n: (-1) ** (n + 1) * (n + 1) / factorial(2 * n + 3),
        "expm1_ratio": lambda n: 1 / factorial(n + 1),
    }
    return {name: [repr(value(n)) for n in range(_TERMS)] for name, value in coefficients.items()}


def event_source(plan: NetworkPlan, dtype: str = "float64") -> str:
    """C++ source that runs a plan; it depends on the kinds of neuron and the precision, not on sizes or values."""
    return _render(frozenset(FAMILIES[node.kind] for node in plan.nodes if isinstance(node, NeuronNode)), dtype)


@lru_cache
def _render(families: frozenset[str], dtype: str) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("brian_qif.codegen"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    forms = {
        family: {
            "state": [symbol.name for symbol in _FORMS[family].state],
            "scalars": _SCALARS[family],
            "stumpff": family == "quadratic",
            "flow": flow_statements(_FORMS[family]),
            "adjoint": adjoint_statements(_FORMS[family]),
        }
        for family in sorted(families)
    }
    return environment.get_template("event.cpp").render(
        forms=forms,
        series=_series(),
        series_length=_TERMS,
        precision=PRECISIONS[dtype],
        longest_step=quadratic.LONGEST_STEP,
        largest_phase=quadratic.LARGEST_PHASE,
    )
