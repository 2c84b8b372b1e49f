"""An independent simulation: a general-purpose integrator on the whole network, in coordinates without infinities.

It knows nothing of closed forms. QIF neurons are integrated as a phase with v = tan(phi/2), which passes through
pi at a spike; LIF neurons as they are. Spike times are polished by Newton steps with fresh integrations.
"""

import numpy as np
from scipy.integrate import solve_ivp

from brian_qif.plan.network_plan import NeuronNode, SourceNode

RTOL, ATOL = 1e-13, 1e-15


class IntegratedNetwork:
    """Simulate a plan with DOP853 at rtol 1e-13; ``spikes[node]`` lists (time, neuron)."""

    def __init__(self, plan, duration):
        self.plan, self.end = plan, plan.start + duration
        self.offset, self.neurons, size = {}, [], 0
        for k, node in enumerate(plan.nodes):
            if isinstance(node, NeuronNode):
                self.offset[k] = size
                self.neurons += [(k, n) for n in range(node.size)]
                size += node.size
        self.size = size
        self.spikes = {k: [] for k in range(len(plan.nodes))}

    def initial(self):
        v = np.concatenate([n.v for n in self.plan.nodes if isinstance(n, NeuronNode)])
        current = np.concatenate([n.currents[0] for n in self.plan.nodes if isinstance(n, NeuronNode)])
        quadratic = np.array([self.plan.nodes[k].kind == "qif" for k, _ in self.neurons])
        return np.concatenate([np.where(quadratic, 2 * np.arctan(v), v), current])

    def rates(self, time, x):
        rate = np.empty_like(x)
        for k, start in self.offset.items():
            node = self.plan.nodes[k]
            y = x[start : start + node.size]
            current = x[self.size + start : self.size + start + node.size]
            if node.kind == "qif":
                own = (1 - np.cos(y)) - np.sin(y) + current * (1 + np.cos(y))
            else:
                own = current - y
            rate[start : start + node.size] = own / node.tau_m
            rate[self.size + start : self.size + start + node.size] = -current / node.tau_s[0]
        return rate

    def distance(self, k, y):
        """Negative before a spike, zero at it; infinite below for neurons that do not spike."""
        node = self.plan.nodes[k]
        if node.kind == "qif":
            return y - np.pi
        return y - node.threshold[0] if node.spikes else -np.inf

    def flow(self, x, begin, end):
        if end == begin:
            return x
        return solve_ivp(self.rates, (begin, end), x, "DOP853", rtol=RTOL, atol=ATOL).y[:, -1]

    def run(self):
        queue = []
        for k, node in enumerate(self.plan.nodes):
            if isinstance(node, SourceNode):
                for time, unit in zip(node.times, node.units, strict=True):
                    queue += self.arrivals(k, time, unit)
        time, x = self.plan.start, self.initial()
        while time < self.end:
            queue.sort(key=lambda entry: entry[0])
            target = min(queue[0][0], self.end) if queue else self.end
            spike = self.first_spike(x, time, target)
            if spike is None:
                x, time = self.flow(x, time, target), target
                while queue and queue[0][0] <= time:
                    _, pathway, synapses = queue.pop(0)
                    p = self.plan.pathways[pathway]
                    np.add.at(x, self.size + self.offset[p.target] + p.post[synapses], p.weights[synapses])
            else:
                when, position = spike
                x, time = self.flow(x, time, when), when
                k, neuron = self.neurons[position]
                x[position] = -np.pi if self.plan.nodes[k].kind == "qif" else self.plan.nodes[k].reset[0]
                self.spikes[k].append((time, neuron))
                queue += self.arrivals(k, time, neuron)
        return self

    def arrivals(self, k, time, unit):
        found = []
        for number, p in enumerate(self.plan.pathways):
            if p.source == k:
                for synapse in np.flatnonzero(p.pre == unit):
                    found.append((time + p.delays[synapse], number, np.array([synapse])))
        return [entry for entry in found if entry[0] < self.end]

    def first_spike(self, x, begin, end):
        """Earliest crossing: bracketed on a fine grid of dense output, polished by Newton."""
        if end <= begin:
            return None
        solution = solve_ivp(self.rates, (begin, end), x, "DOP853", rtol=RTOL, atol=ATOL, dense_output=True).sol
        grid = np.linspace(begin, end, 400)
        values = solution(grid)
        found = []
        for position, (k, _) in enumerate(self.neurons):
            above = np.flatnonzero(self.distance(k, values[position, 1:]) >= 0)
            if self.plan.nodes[k].spikes and len(above):
                found.append((self.polish(x, begin, grid[above[0] + 1], grid[above[0]], position), position))
        return min(found, default=None)

    def polish(self, x, begin, above, below, position):
        k, _ = self.neurons[position]
        time = (above + below) / 2
        for _ in range(12):
            state = self.flow(x, begin, time)
            gap = self.distance(k, state[position])
            below, above = (below, min(above, time)) if gap >= 0 else (max(below, time), above)
            time_new = time - gap / self.rates(time, state)[position]
            if not below <= time_new <= above:
                time_new = (below + above) / 2
            if abs(time_new - time) <= 2 * np.spacing(time):
                return time_new
            time = time_new
        return time
