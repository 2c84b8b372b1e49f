"""Slopes by the time of single arrivals: those of delays and of the spike times of sources.

The reverse networks have no place for one number per spike; where such slopes are wanted, the adjoint is kept at every
step, and the slope by each arrival is read off it.
"""

from __future__ import annotations

import numpy as np

from brian_qif.equations.clocked import FREE
from brian_qif.equations.text import as_symbol
from brian_qif.equations.transposed import arrival_slope, renamed
from brian_qif.plan.clocked import ClockedNode
from brian_qif.plan.network_plan import NetworkPlan
from brian_qif.plan.values import evaluate
from brian_qif.solvers.clock_tasks import Layout, Task, delay_steps
from brian_qif.solvers.clock_trial import by_step
from brian_qif.solvers.sweeps import Record, Slopes, Wanted

_WEIGHT = as_symbol("synaptic_weight")


class Arrivals:
    """The adjoint of every node at every step, and what it says of arrivals."""

    def __init__(self, plan: NetworkPlan, found, layout: Layout, task: Task):
        self.plan, self.layout, self.task = plan, layout, task
        self.kept: dict[int, dict[str, np.ndarray]] = {}
        for k, node in enumerate(plan.nodes):
            if isinstance(node, ClockedNode):
                _, after = renamed(node.system.step, node.system.states)
                names = [f"adjoint_{name}" for name in node.system.states] + list(after.values())
                names += [FREE.name, "spiked"] if any(node.system.held) else []
                self.kept[k] = {name: self._steps(found.monitor(f"adjoint {k}", name), node.size) for name in names}

    def _steps(self, values: np.ndarray, size: int) -> np.ndarray:
        """By step of the trial, sample and neuron."""
        by_reverse_step = values.reshape(-1, self.layout.samples, size)
        return by_reverse_step[self.task.extra : self.task.extra + self.layout.steps][::-1]

    def add_slopes(self, slopes: Slopes, sample: int, record: Record, wanted: Wanted) -> None:
        """Put the wanted slopes of a sample among the others."""
        for k in wanted.spike_times:
            slopes.spike_times[k] = np.zeros(len(record.spike_times[k]))
        for p, pathway in enumerate(self.plan.pathways):
            if p in wanted.delays or pathway.source in wanted.spike_times:
                by_spike, by_synapse = self._pathway(p, sample, record)
                if p in wanted.delays:
                    slopes.delays[p] = by_synapse
                if pathway.source in wanted.spike_times:
                    slopes.spike_times[pathway.source] += by_spike

    def _pathway(self, p: int, sample: int, record: Record) -> tuple[np.ndarray, np.ndarray]:
        """The slopes by the arrivals through a pathway, summed for every spike and for every synapse."""
        pathway, late = self.plan.pathways[p], delay_steps(self.plan, p)
        steps, units = by_step(record.history, pathway.source), record.spike_units[pathway.source]
        by_spike, by_synapse = np.zeros(len(steps)), np.zeros(len(pathway.pre))
        for neuron in np.unique(units):
            synapses, spikes = np.flatnonzero(pathway.pre == neuron), np.flatnonzero(units == neuron)
            arrival = steps[spikes][:, None] + late[synapses]
            inside = arrival < self.layout.steps
            total = np.zeros(arrival.shape)
            synapse = np.broadcast_to(synapses, arrival.shape)[inside]
            total[inside] = self._at(p, sample, arrival[inside], synapse)
            by_spike[spikes] += np.sum(total, axis=1)
            by_synapse[synapses] += np.sum(total, axis=0)
        return by_spike, by_synapse

    def _at(self, p: int, sample: int, steps: np.ndarray, synapses: np.ndarray) -> np.ndarray:
        pathway = self.plan.pathways[p]
        node, post = self.plan.nodes[pathway.target], pathway.post[synapses]
        _, after = renamed(node.system.step, node.system.states)
        known = {name: values[steps, sample, post] for name, values in self.kept[pathway.target].items()}
        known |= {name: x[post] if x.size > 1 else x for name, x in node.values().items()}
        known[_WEIGHT.name] = pathway.weights[synapses]
        known.setdefault(FREE.name, np.ones(1))
        return evaluate(arrival_slope(node.system, after, pathway.port + 1, _WEIGHT), known)
