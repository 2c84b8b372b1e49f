"""What a device of the clock-driven solver is asked for, and which devices there are.

Devices run Brian2 networks; they register here, so that the solver knows none of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from brian_qif.equations.surrogate import Surrogate
from brian_qif.plan.clocked import ClockedNode
from brian_qif.plan.network_plan import NetworkPlan, Pathway
from brian_qif.solvers.sweeps import Slopes

_devices: dict[str, object] = {}


def register_device(device) -> None:
    """Make a device known under its name."""
    _devices[device.name] = device


def find_device(name: str):
    """The device of that name.

    Raises
    ------
    ValueError
        If there is none; the message lists those that there are.
    """
    if name not in _devices:
        known = ", ".join(repr(known) for known in sorted(_devices))
        raise ValueError(f"There is no device '{name}' for the clock-driven solver; there are {known}.")
    return _devices[name]


@dataclass(frozen=True)
class Layout:
    """How samples lie side by side: their number, the steps of a trial and, by source, how often a unit may spike at
    once (Brian2's generators send one spike per unit and step). Neuron n of copy c is neuron c*N + n of its group."""

    samples: int
    steps: int
    multiplicity: tuple[int, ...]

    def copies(self, k: int) -> int:
        """How many copies there are of the neurons of a node."""
        return self.samples * self.multiplicity[k]


@dataclass(frozen=True)
class Task:
    """What a reverse pass has to deliver, and how much of it has to be kept apart.

    ``weights``: pathways; ``models``: nodes; ``seeded``: for each node the states by which the loss has slopes of its
    own; ``kept``: whether the adjoint is kept at every step; ``slots``: by node, how many spikes of a neuron may be on
    their way through delays at a time; ``extra``: steps after the end of the trial in which late arrivals are replayed;
    ``surrogate``: the rule at spikes, where it is not the exact one; ``arrivals``: by pathway, for how many arrivals at
    a synapse there is room, where synapses have a state.
    """

    weights: frozenset[int]
    models: frozenset[int]
    seeded: tuple[tuple[str, ...], ...]
    kept: bool
    slots: tuple[int, ...]
    extra: int
    surrogate: Surrogate | None = None
    arrivals: tuple[int, ...] = ()

    def slots_of(self, pathway: Pathway) -> int:
        """Into how many Brian2 objects the synapses of a pathway between neurons go; a state is in one alone."""
        return 1 if pathway.state is not None else self.slots[pathway.source]


@dataclass
class Values:
    """What changes from run to run: arrays and tables by label, and spikes as (units, steps).

    ``queues`` is given where a run goes on from where another one stopped: all arrays that are not given are zero then,
    and it has what is on its way as pairs of a step and a synapse, in order.
    """

    arrays: dict[str, np.ndarray]
    spikes: dict[str, tuple[np.ndarray, np.ndarray]]
    tables: dict[str, np.ndarray]
    queues: dict[str, np.ndarray] | None = None


def delay_steps(plan: NetworkPlan, p: int) -> np.ndarray:
    """Delays in steps of the clock, as Brian2 rounds them."""
    return np.floor(plan.pathways[p].delays / step_length(plan) + 0.5).astype(int)


def pre_copies(plan: NetworkPlan, k: int, layout: Layout) -> np.ndarray:
    """The presynaptic neuron of every copy of every synapse of a pathway."""
    pathway = plan.pathways[k]
    first = plan.nodes[pathway.source].size * np.arange(layout.copies(pathway.source))
    return (first[:, None] + pathway.pre).ravel()


def post_copies(plan: NetworkPlan, k: int, layout: Layout) -> np.ndarray:
    """The postsynaptic neuron of every copy of every synapse of a pathway."""
    pathway = plan.pathways[k]
    sample = np.tile(np.arange(layout.samples), layout.multiplicity[pathway.source])
    return (plan.nodes[pathway.target].size * sample[:, None] + pathway.post).ravel()


def step_length(plan: NetworkPlan) -> float:
    """The step of the clock of a plan."""
    return next(node.model.dt for node in plan.nodes if isinstance(node, ClockedNode))


def structure(plan: NetworkPlan) -> str:
    """What the Brian2 objects of a plan depend on, but for the values of arrays."""
    parts = []
    for node in plan.nodes:
        model = getattr(node, "model", None)
        numbers = {name: x.size for name, x in getattr(node, "numbers", {}).items()}
        parts.append((node.name, node.size, None if model is None else _text(model), numbers))
    text = repr(parts).encode()
    arrays = [x for p, pathway in enumerate(plan.pathways) for x in (pathway.pre, pathway.post, delay_steps(plan, p))]
    links = repr([(x.source, x.target, x.port, _synaptic_text(x.state)) for x in plan.pathways]).encode()
    return hashlib.sha256(b"".join([text, links, *(x.tobytes() for x in arrays)])).hexdigest()


def _synaptic_text(state) -> list | None:
    return None if state is None else [_equations_text(state.equations), state.on_pre, state.on_post]


def _equations_text(equations) -> list:
    return [
        (equation.varname, equation.type, str(equation.expr), repr(equation.dim), equation.var_type, equation.flags)
        for equation in equations.values()
    ]


def _text(model) -> list:
    """A group's model in full; the representations of equations and of quantities are not."""
    refractory = model.refractory
    period = refractory if refractory is None or isinstance(refractory, str) else float(refractory)
    return [_equations_text(model.equations), model.threshold, model.reset, period, model.method, model.dt]


def check_finite(slopes: Slopes, plan: NetworkPlan) -> None:
    """Refuse to hand out what is no number.

    Raises
    ------
    FloatingPointError
        If a slope is not finite, by the name of what it belongs to.
    """
    named = [(plan.pathways[p].name, x) for table in (slopes.weights, slopes.delays) for p, x in table.items()]
    named += [(plan.nodes[k].name, x) for k, x in slopes.spike_times.items()]
    named += [(plan.nodes[k].name, row) for k, (first, others) in slopes.initial.items() for row in (first, *others)]
    named += [(plan.nodes[k].name, x) for k, table in slopes.models.items() for x in table.values()]
    named += [(plan.pathways[p].name, x) for p, table in slopes.synapses.items() for x in table.values()]
    for name, values in named:
        if not np.all(np.isfinite(values)):
            raise FloatingPointError(
                f"A slope by what belongs to '{name}' is not finite: a step, threshold or reset has no derivative at a "
                "state that the trial went through, or slopes grow beyond all bounds. Take a smaller dt or a shorter "
                "trial."
            )
