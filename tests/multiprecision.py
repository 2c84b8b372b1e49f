"""An independent simulation in 50 digits: spike times of small networks, and their slopes by differences.

Between events every neuron is a power series in time: of the linear system q' = -p/tau_m, p' = (J q - p)/tau_m with
v = p/q for QIF neurons, and of v' = (J - v)/tau_m for LIF neurons, with J = drive + sum of the currents; no closed form
of the solver is used. A series is cut where its last terms fall below the arithmetic. The first crossing is enclosed
by bounds on the second derivative, so that none is missed and none invented.
"""

from __future__ import annotations

import heapq
from operator import mul

import numpy as np
from mpmath import MPContext

from brian_qif.plan.network_plan import VOLTAGE, NeuronNode, SourceNode

mp = MPContext()
mp.dps = 50
TERMS = 40
BITS = 200
# With 50 digits a one-sided difference over this relative step is right to some 20 digits.
DIFFERENCE = mp.mpf(10) ** -22
# Differences of spike times below this part of them are rounding: there is no slope.
ROUNDING = mp.mpf(10) ** -45
# What a cut series leaves out, relative to its largest variable.
TRUNCATION = mp.mpf(10) ** -50
# An extremum that comes this close to the threshold, in time constants, is neither a spike nor none.
UNDECIDED = 2 ** (BITS - 66)

MODEL_KEYS = ("tau_m", "threshold", "reset", "drive", "refractory")


def numbers_of(plan) -> dict[tuple, list]:
    """Every number of a plan: by kind and index of its pathway or node, one entry per synapse, spike or neuron."""
    numbers = {}
    for k, node in enumerate(plan.nodes):
        if isinstance(node, SourceNode):
            numbers["spike_times", k] = node.times
            continue
        numbers["v", k] = node.v
        for key in MODEL_KEYS:
            numbers[key, k] = np.broadcast_to(getattr(node, key), node.size)
        for row in range(len(node.currents)):
            numbers["I", k, row] = node.currents[row]
            numbers["tau_s", k, row] = np.broadcast_to(node.tau_s[row], node.size)
    for k, pathway in enumerate(plan.pathways):
        numbers["weights", k] = pathway.weights
        numbers["delays", k] = pathway.delays
    return {key: [mp.mpf(float(x)) for x in values] for key, values in numbers.items()}


def fixed(x) -> int:
    """A number as a multiple of 2**-BITS: sums and products of integers are many times faster than mpmath's."""
    return int(mp.ldexp(x, BITS))


def value_of(series, x: int) -> int:
    """A power series at a place, by Horner's scheme."""
    total = 0
    for coefficient in reversed(series):
        total = (total * x >> BITS) + coefficient
    return total


class Segment:
    """The state of one neuron as power series in time over its membrane time constant, from ``begin`` to ``end``."""

    def __init__(self, begin, tau, series, currents):
        self.begin, self.tau, self.series, self.currents = begin, tau, series, currents
        largest = max([abs(coefficients[0]) for coefficients in series] + [1])
        length = mp.mpf(4)
        for power in (TERMS - 1, TERMS - 2):
            last = max(abs(coefficients[power]) for coefficients in series)
            if last:
                length = min(length, mp.root(TRUNCATION * largest / last, power))
        self.end = begin + length * tau

    def place(self, time) -> int:
        return fixed((time - self.begin) / self.tau)

    def at(self, time) -> list:
        """The state at a time."""
        return [mp.ldexp(value_of(coefficients, self.place(time)), -BITS) for coefficients in self.series]


class Neuron:
    """One neuron: its numbers, its states at the last event that changed them, and its course since."""

    def __init__(self, node: NeuronNode, numbers, k: int, n: int, start):
        self.quadratic, self.subtracts = node.kind == "qif", node.subtracts
        self.place, self.spikes_ever, self.at_infinity = (k, n), node.spikes, node.spikes_at_infinity
        self.tau_m, self.threshold, self.reset, self.drive, self.refractory = (numbers[key, k][n] for key in MODEL_KEYS)
        rows = range(len(node.currents))
        self.tau_s = [numbers["tau_s", k, row][n] for row in rows]
        self.held_until = None
        self.set(start, self._at(numbers["v", k][n]), [numbers["I", k, row][n] for row in rows])

    def _at(self, v):
        """The state, p and q or v, at a voltage."""
        if not self.quadratic:
            return [v]
        return [mp.sign(v), 1 / abs(v)] if abs(v) > 1 else [v, mp.one]

    def set(self, time, state, currents):
        """Begin a new course."""
        self.begin, self.initial, self.segments = time, (state, currents), []
        self.searched, self.found = time, None

    def _segment(self, time, state, currents):
        ratios = [fixed(-self.tau_m / tau_s) for tau_s in self.tau_s]
        total, terms = [], [fixed(x) for x in currents]
        for n in range(TERMS):
            total.append(sum(terms) + (fixed(self.drive) if n == 0 else 0))
            terms = [(term * ratio >> BITS) // (n + 1) for term, ratio in zip(terms, ratios, strict=True)]
        held = self.held_until is not None
        series = [[fixed(x)] for x in state]
        for n in range(TERMS - 1):
            if held:
                rates = [0] * len(state)
            elif self.quadratic:
                p, q = series
                rates = [(sum(map(mul, total, reversed(q))) >> BITS) - p[n], -p[n]]
            else:
                rates = [total[n] - series[0][n]]
            for coefficients, rate in zip(series, rates, strict=True):
                coefficients.append(rate // (n + 1))
        return Segment(time, self.tau_m, series, list(currents))

    def _currents(self, time, segment):
        elapsed = time - segment.begin
        return [x * mp.exp(-elapsed / tau_s) for x, tau_s in zip(segment.currents, self.tau_s, strict=True)]

    def _segment_at(self, time, after=False):
        """The segment that holds a time, or what comes after it; the course goes on as far as that needs."""
        if not self.segments:
            self.segments = [self._segment(self.begin, *self.initial)]
        while self.segments[-1].end < time or (after and self.segments[-1].end == time):
            last = self.segments[-1]
            state = last.at(last.end)
            scale = max(abs(x) for x in state) if self.quadratic else mp.one
            self.segments.append(self._segment(last.end, [x / scale for x in state], self._currents(last.end, last)))
        return next(part for part in self.segments if time < part.end or (time == part.end and not after))

    def state(self, time):
        """The state and the currents at a time."""
        if time == self.begin:
            return list(self.initial[0]), list(self.initial[1])
        segment = self._segment_at(time)
        return segment.at(time), self._currents(time, segment)

    def first_spike(self, until):
        """Time of the first crossing up to ``until``, or None."""
        if self.held_until is not None or not self.spikes_ever:
            return None
        while self.found is None and self.searched < until:
            segment = self._segment_at(self.searched, after=True)
            end = min(until, segment.end)
            x = first_rise(self._excess(segment), segment.place(self.searched), segment.place(end))
            self.found = None if x is None else segment.begin + mp.ldexp(x, -BITS) * self.tau_m
            self.searched = end
        return self.found if self.found is not None and self.found <= until else None

    def _excess(self, segment):
        """A series that rises through zero at a spike."""
        if not self.quadratic:
            (v,) = segment.series
            return [v[0] - fixed(self.threshold), *v[1:]]
        p, q = segment.series
        if self.at_infinity:
            return [-x for x in q]
        threshold = fixed(self.threshold)
        return [a - (threshold * b >> BITS) for a, b in zip(p, q, strict=True)]

    def spike(self, time, at_once=False):
        """Reset; ``at_once`` from wherever an arrival has lifted the voltage."""
        state, currents = self.state(time)
        if self.at_infinity:
            self.set(time, [-mp.one, mp.zero], currents)
            return
        v = state[0] / state[1] if self.quadratic else state[0]
        landing = v - (self.threshold - self.reset) if at_once and self.subtracts else self.reset
        self.held_until = time + self.refractory if self.refractory > 0 else None
        self.set(time, self._at(landing), currents)

    def release(self, time):
        """The end of the refractory period."""
        state, currents = self.state(time)
        self.held_until = None
        self.set(time, state, currents)

    def arrive(self, time, port, weight):
        """A spike arrives through one synapse."""
        state, currents = self.state(time)
        if port != VOLTAGE:
            currents[port] += weight
        elif self.held_until is None:
            state[0] += weight * state[1] if self.quadratic else weight
        self.set(time, state, currents)

    def lifted(self, time):
        """Whether an arrival has just now brought the voltage to the threshold."""
        if self.at_infinity or self.held_until is not None:
            return False
        state, _ = self.state(time)
        return state[0] >= self.threshold * (state[1] if self.quadratic else 1)


def first_rise(series, begin: int, end: int) -> int | None:
    """Where a power series first rises through zero between two places, or None."""
    slope = [n * x for n, x in enumerate(series)][1:]
    bend = value_of([abs(n * x) for n, x in enumerate(slope)][1:], end)  # bound of the second derivative

    def search(a, at_a, b, at_b):
        middle = (a + b) // 2
        turn = bend * (b - a) >> BITS
        if max(at_a, at_b) + (turn * (b - a) >> BITS + 3) + 1 < 0:
            return None
        rise = value_of(slope, middle)
        if abs(rise) > turn // 2 + 1:
            return _root(series, slope, a, b) if rise > 0 and at_b >= 0 else None
        if b - a < UNDECIDED:
            raise ArithmeticError("An extremum touches the threshold; no digits decide whether it is a spike.")
        value = value_of(series, middle)
        first = search(a, at_a, middle, value)
        return search(middle, value, b, at_b) if first is None else first

    return search(begin, value_of(series, begin), end, value_of(series, end)) if end > begin else None


def _root(series, slope, a, b):
    """The root of an increasing series, by Newton's method inside a bracket."""
    x = (a + b) // 2
    while b - a > 1:
        value = value_of(series, x)
        a, b = (a, x) if value > 0 else (x, b)
        following = x - (value << BITS) // value_of(slope, x)
        if abs(following - x) <= 1:
            return following
        x = following if a < following < b else (a + b) // 2
    return b


class MultiprecisionNetwork:
    """Simulate a plan in 50 digits; ``spikes(numbers)`` gives spike times for these numbers, or for its own."""

    def __init__(self, plan, duration: float):
        self.plan, self.start = plan, mp.mpf(plan.start)
        self.end = self.start + mp.mpf(duration)
        self.numbers = numbers_of(plan)

    def spikes(self, numbers=None) -> dict[tuple, object]:
        """Spike times by (node, neuron, number of the spike among those of its neuron)."""
        return _Run(self, numbers or self.numbers).run()

    def slopes(self, key, spikes: dict[tuple, object]) -> dict[tuple, list]:
        """Derivatives of every spike time by all entries of one kind of number."""
        columns = {name: [] for name in spikes}
        for entry, value in enumerate(self.numbers[key]):
            # Relative to the scale of its kind, so that a number may be zero; upwards, as a delay may.
            scale = max([abs(x) for x in self.numbers[key]] + [mp.mpf("1e-3")])
            step = DIFFERENCE * scale
            changed = list(self.numbers[key])
            changed[entry] = value + step
            moved = self.spikes({**self.numbers, key: changed})
            if moved.keys() != spikes.keys():
                raise ArithmeticError(f"Spikes appear or vanish with {key}[{entry}]; there is no slope.")
            for name, column in columns.items():
                change = moved[name] - spikes[name]
                column.append(change / step if abs(change) > ROUNDING * abs(spikes[name]) else mp.zero)
        return columns


class _Run:
    """One trial."""

    def __init__(self, network: MultiprecisionNetwork, numbers):
        self.plan, self.end, self.numbers = network.plan, network.end, numbers
        self.neurons = {
            (k, n): Neuron(node, numbers, k, n, network.start)
            for k, node in enumerate(self.plan.nodes)
            if isinstance(node, NeuronNode)
            for n in range(node.size)
        }
        self.queue, self.pushed, self.times = [], 0, {}
        for k, node in enumerate(self.plan.nodes):
            if isinstance(node, SourceNode):
                for time, unit in zip(numbers["spike_times", k], node.units, strict=True):
                    if network.start <= time <= self.end:
                        self.send(k, unit, time)

    def push(self, time, what):
        if time < self.end:
            heapq.heappush(self.queue, (time, self.pushed, what))
            self.pushed += 1

    def send(self, k, unit, time):
        """Arrivals of a spike through every synapse of its neuron."""
        for index, pathway in enumerate(self.plan.pathways):
            if pathway.source == k:
                for synapse in np.flatnonzero(pathway.pre == unit):
                    self.push(time + self.numbers["delays", index][synapse], ("arrival", index, int(synapse)))

    def run(self):
        while True:
            upcoming = self.queue[0][0] if self.queue else self.end
            crossing = {place: neuron.first_spike(upcoming) for place, neuron in self.neurons.items()}
            moment = min((time for time in crossing.values() if time is not None), default=None)
            if moment is not None:
                # All who spike at this time do so before any of them hears of it.
                for place in [place for place, time in crossing.items() if time == moment]:
                    self.spike(place, moment)
            elif self.queue:
                self.arrivals(upcoming)
            else:
                return self.times

    def spike(self, place, time, at_once=False):
        neuron = self.neurons[place]
        neuron.spike(time, at_once)
        number = sum(1 for k, n, _ in self.times if (k, n) == place)
        self.times[*place, number] = time
        if neuron.held_until is not None:
            self.push(neuron.held_until, ("release", *place))
        self.send(*place, time)

    def arrivals(self, time):
        """All that comes at one time, then the spikes that it causes at once, as long as there are any."""
        lifted = set()
        while True:
            while self.queue and self.queue[0][0] == time:
                lifted |= self.happen(time, *heapq.heappop(self.queue)[2])
            spiking = sorted(place for place in lifted if self.neurons[place].lifted(time))
            for place in spiking:
                self.spike(place, time, at_once=True)
            if not spiking:
                return

    def happen(self, time, kind, index, entry):
        """A release or an arrival; returns whom it has lifted."""
        if kind == "release":
            self.neurons[index, entry].release(time)
            return set()
        pathway, weight = self.plan.pathways[index], self.numbers["weights", index][entry]
        place = (pathway.target, int(pathway.post[entry]))
        self.neurons[place].arrive(time, pathway.port, weight)
        return {place} if pathway.port == VOLTAGE and weight > 0 else set()
