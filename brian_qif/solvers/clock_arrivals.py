"""Slopes by the time of single arrivals: those of delays and of the spike times of sources.

The reverse networks have no place for one number per spike; where such slopes are wanted, the adjoint is kept at every
step, and the slope by each arrival is read off it.
"""

from __future__ import annotations

import numpy as np

from brian_qif.equations.clocked import FREE
from brian_qif.equations.text import as_symbol
from brian_qif.equations.transposed import arrival_share, arrival_slope, renamed
from brian_qif.plan.clocked import ClockedNode
from brian_qif.plan.network_plan import NetworkPlan
from brian_qif.plan.values import evaluate
from brian_qif.solvers.clock_synapses import Found, take_back
from brian_qif.solvers.clock_tasks import delay_steps
from brian_qif.solvers.clock_trial import by_step
from brian_qif.solvers.sweeps import Record, Slopes, Wanted

_WEIGHT = as_symbol("synaptic_weight")


def no_slopes(plan: NetworkPlan, record: Record, wanted: Wanted) -> Slopes:
    """Slopes of zero by the time of arrivals, to which the chunks of the reverse pass add."""
    slopes = Slopes()
    slopes.delays = {p: np.zeros(len(plan.pathways[p].pre)) for p in wanted.delays}
    slopes.spike_times = {k: np.zeros(len(record.spike_times[k])) for k in wanted.spike_times}
    return slopes


class Arrivals:
    """The adjoint of every node at the steps of a chunk of the reverse pass, and what it says of arrivals there."""

    def __init__(self, plan: NetworkPlan, found, samples: int, chunk, steps: int):
        self.plan, self.chunk, self.steps = plan, chunk, steps
        self.kept: dict[int, dict[str, np.ndarray]] = {}
        for k, node in enumerate(plan.nodes):
            if isinstance(node, ClockedNode):
                _, after = renamed(node.system.step, node.system.states)
                names = [f"adjoint_{name}" for name in node.system.states] + list(after.values())
                names += [FREE.name, "spiked"] if any(node.system.held) else []
                self.kept[k] = {
                    name: found.monitor(f"adjoint {k}", name).reshape(chunk.rows, samples, node.size) for name in names
                }

    def add_slopes(self, slopes: Slopes, sample: int, record: Record, wanted: Wanted) -> None:
        """Add the wanted slopes of a sample to those of the other chunks, but for synapses with a state."""
        for p, pathway in enumerate(self.plan.pathways):
            if pathway.state is None and (p in wanted.delays or pathway.source in wanted.spike_times):
                by_spike, by_synapse = self._pathway(p, sample, record)
                if p in wanted.delays:
                    slopes.delays[p] += by_synapse
                if pathway.source in wanted.spike_times:
                    slopes.spike_times[pathway.source] += by_spike

    def add_synaptic(self, p: int, found: Found, carried: dict, slopes: list[Slopes], wanted: Wanted) -> None:
        """The same for all samples and a pathway whose synapses have a state."""
        pathway = self.plan.pathways[p]
        arriving, count = found.arriving, len(pathway.pre)
        sample, synapse = np.divmod(arriving.synapse, count)
        rows = self.chunk.place(arriving.step)
        target = self.plan.nodes[pathway.target]
        known = self._known(p, sample, rows, synapse)
        row = pathway.port + 1
        share = arrival_share(target.system, row) * as_symbol(f"adjoint_{target.system.states[row]}")
        by_amount = np.broadcast_to(evaluate(share, known), rows.shape)

        def by_time(events, amount):
            own = {name: x[events] if x.size > 1 else x for name, x in known.items()}
            return evaluate(self._by_time(p), own | {_WEIGHT.name: amount})

        total = take_back(pathway, found, by_amount, by_time, carried)
        for b, one in enumerate(slopes):
            mine = (sample == b) & (arriving.step < self.steps) & ~arriving.post
            if p in wanted.delays:
                np.add.at(one.delays[p], synapse[mine], total[mine])
            if pathway.source in wanted.spike_times:
                np.add.at(one.spike_times[pathway.source], arriving.spike[mine], total[mine])

    def _pathway(self, p: int, sample: int, record: Record) -> tuple[np.ndarray, np.ndarray]:
        """The slopes by the arrivals through a pathway, summed for every spike and for every synapse."""
        pathway, late = self.plan.pathways[p], delay_steps(self.plan, p)
        steps, units = by_step(record.history, pathway.source), record.spike_units[pathway.source]
        by_spike, by_synapse = np.zeros(len(steps)), np.zeros(len(pathway.pre))
        for neuron in np.unique(units):
            synapses, spikes = np.flatnonzero(pathway.pre == neuron), np.flatnonzero(units == neuron)
            arrival = steps[spikes][:, None] + late[synapses]
            row = self.chunk.place(arrival)
            inside = (arrival < self.steps) & (row >= 0) & (row < self.chunk.rows)
            total = np.zeros(arrival.shape)
            synapse = np.broadcast_to(synapses, arrival.shape)[inside]
            total[inside] = self._at(p, sample, row[inside], synapse)
            by_spike[spikes] += np.sum(total, axis=1)
            by_synapse[synapses] += np.sum(total, axis=0)
        return by_spike, by_synapse

    def _at(self, p: int, sample: int, rows: np.ndarray, synapses: np.ndarray) -> np.ndarray:
        known = self._known(p, sample, rows, synapses)
        return evaluate(self._by_time(p), known | {_WEIGHT.name: self.plan.pathways[p].weights[synapses]})

    def _by_time(self, p: int):
        pathway = self.plan.pathways[p]
        system = self.plan.nodes[pathway.target].system
        _, after = renamed(system.step, system.states)
        return arrival_slope(system, after, pathway.port + 1, _WEIGHT)

    def _known(self, p: int, sample, rows: np.ndarray, synapses: np.ndarray) -> dict[str, np.ndarray]:
        """What is known of the neurons behind some synapses at some reverse steps."""
        pathway = self.plan.pathways[p]
        node, post = self.plan.nodes[pathway.target], pathway.post[synapses]
        known = {name: values[rows, sample, post] for name, values in self.kept[pathway.target].items()}
        known |= {name: x[post] if x.size > 1 else x for name, x in node.values().items()}
        known.setdefault(FREE.name, np.ones(1))
        return known
