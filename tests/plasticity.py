"""Two LIF neurons with plastic synapses from two inputs and to each other, followed from event to event (ms)."""

import numpy as np
from scipy.optimize import brentq

TAU_M, TAU_S = 20.0, 5.0


class TwoNeurons:
    """Synapse 2 u + n leads from input u to neuron n, synapse 4 + n from neuron n to the other, after ``late``.

    Subclasses say what happens at a synapse that was last looked at ``age`` ago: `arrive`, which gives what is added
    to the current behind, and `fired`, when the neuron behind spikes.
    """

    def __init__(self, inputs, late):
        self.inputs, self.late = inputs, late

    def arrive(self, s, age):
        raise NotImplementedError

    def fired(self, s, age):
        """Nothing, where there is no on_post; the synapse is not looked at."""
        return False

    def spikes(self, duration):
        """Rows of a time and a neuron."""
        state, now, found, last = np.zeros((2, 2)), 0.0, [], np.zeros(6)
        queue = [(t, 0, unit) for unit, t in zip(*self.inputs, strict=True)]
        while True:
            queue.sort()
            until = min(queue[0][0], duration) if queue else duration
            crossing = [self.crossing(state[:, n], until - now) for n in range(2)]
            first = int(np.argmin(crossing))
            if crossing[first] < np.inf:
                state = self.flow(state, crossing[first])
                now += crossing[first]
                state[0, first] = 0
                found.append((now, first))
                queue.append((now + self.late, 1, first))
                for s in (first, 2 + first, 5 - first):
                    last[s] = now if self.fired(s, now - last[s]) else last[s]
                continue
            state, now = self.flow(state, until - now), until
            if now == duration:
                return np.array(found)
            _, kind, unit = queue.pop(0)
            for s, n in [(2 * unit, 0), (2 * unit + 1, 1)] if kind == 0 else [(4 + unit, 1 - unit)]:
                state[1, n] += self.arrive(s, now - last[s])
                last[s] = now

    @staticmethod
    def flow(state, t):
        slow, fast = np.exp(-t / TAU_M), np.exp(-t / TAU_S)
        return np.array([state[0] * slow + state[1] * TAU_S / (TAU_M - TAU_S) * (slow - fast), state[1] * fast])

    def crossing(self, state, length):
        """The first time at which v is 1, on a grid much finer than anything that happens, and then by bisection."""
        grid = np.linspace(0, length, 2 + int(length / 0.02))
        above = np.flatnonzero(self.flow(state[:, None] * np.ones(len(grid)), grid)[0] >= 1)
        if len(above) == 0:
            return np.inf
        return brentq(lambda t: self.flow(state, t)[0] - 1, grid[above[0] - 1], grid[above[0]], xtol=1e-14, rtol=1e-15)


def difference_slopes(value, x, spikes):
    """Central differences of fourth order of ``value(x)``, a pair of a number and a count of spikes that must stay."""
    slopes = []
    for place in range(len(x)):
        h = 1e-4 * x * (np.arange(len(x)) == place)
        values, counts = zip(*(value(x + share * h) for share in (-1, -0.5, 0.5, 1)), strict=True)
        assert set(counts) == {spikes}
        slopes.append((8 * (values[2] - values[1]) - (values[3] - values[0])) / (6 * h[place]))
    return np.array(slopes)
