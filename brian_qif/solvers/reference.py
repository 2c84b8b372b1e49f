"""The event-driven sweeps in plain NumPy: the reference that every other backend is compared with."""

from __future__ import annotations

from brian_qif.plan.network_plan import NetworkPlan
from brian_qif.solvers.reference_events import EventNetwork
from brian_qif.solvers.reference_forward import ForwardSweep
from brian_qif.solvers.reference_reverse import ReverseSweep
from brian_qif.solvers.sweeps import Record, Request, Seeds, Slopes, Wanted


class ReferenceNetwork:
    """A plan, ready for the sweeps."""

    def __init__(self, plan: NetworkPlan):
        self.events = EventNetwork(plan)

    def forward(self, request: Request, stimuli=None) -> Record:
        """Simulate one trial; see :class:`~brian_qif.solvers.sweeps.PreparedNetwork`."""
        return ForwardSweep(self.events, request, stimuli or {}).run()

    def reverse(self, record: Record, seeds: Seeds, wanted: Wanted) -> Slopes:
        """Carry the seeds back; see :class:`~brian_qif.solvers.sweeps.PreparedNetwork`."""
        return ReverseSweep(self.events, record, seeds, wanted).run()


class ReferenceBackend:
    """Plain NumPy: readable, needs no compiler, and far slower than generated code."""

    name = "reference"
    part_size: int | None = None  # Python sweeps one part at a time, and each event costs much the same for few neurons

    def refusal(self, plan: NetworkPlan, dtype: str = "float64") -> str | None:
        return None if dtype == "float64" else "Single precision is that of generated C++ alone; take dtype='float64'."

    def prepare(self, plan: NetworkPlan, dtype: str = "float64") -> ReferenceNetwork:
        return ReferenceNetwork(plan)
