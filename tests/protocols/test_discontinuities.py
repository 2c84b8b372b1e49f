"""Points of a line where spikes come and go: against closed forms, against the theory, against a finer look."""

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, Synapses, ms
from scipy.optimize import brentq

from brian_qif import CrossEntropyLoss, EventSolver, SpikeGradient
from brian_qif.models import LeakyIntegratorGroup, LIFGroup, QIFGroup
from brian_qif.protocols.directions import length_of, random_direction
from brian_qif.protocols.discontinuities import order_swaps, scan_line
from brian_qif.protocols.loss_line import LossLine, Moment
from brian_qif.training.datasets import SpikeSample

DURATION = 0.08


def small_line(neurons, times, weights, direction=(1.0,), on="I_post", **solver):
    """Inputs that spike once each onto one neuron, which a readout of two hears; a line through the input weights."""
    stimulus = SpikeGeneratorGroup(len(times), [], [] * ms)
    readout = LeakyIntegratorGroup(2, tau_m=20 * ms, tau_s=10 * ms)
    onto = Synapses(stimulus, neurons, "w : 1", on_pre=f"{on} += w")
    onto.connect()
    behind = Synapses(neurons, readout, "w : 1", on_pre="I_post += w")
    behind.connect()
    behind.w = np.tile([1.0, -0.5], len(neurons))
    loss = CrossEntropyLoss(readout, weight_time=30 * ms, gain=3.0)
    network = Network(stimulus, neurons, readout, onto, behind)
    gradient = SpikeGradient(network, loss, [onto.w], solver=EventSolver(**solver))
    sample = SpikeSample(np.array(times) * 1e-3, np.arange(len(times)), 0, 0)
    moved = np.zeros(len(onto))
    moved[: len(direction)] = direction
    line = LossLine(gradient, stimulus, DURATION, sample, [np.array(weights, dtype=float)], [moved])
    line.views = [onto.w]
    return line


def test_a_lif_spike_appears_where_the_peak_reaches_the_threshold():
    # With tau_m = 2 tau_s one input of weight w lifts v to w/4.
    line = small_line(LIFGroup(1, tau_m=20 * ms, tau_s=10 * ms, name="one"), [1.0], [0.0])
    found = scan_line(line, 3.0, 5.0, points=6)
    (change,) = found.changes
    assert change.position == pytest.approx(4.0, abs=1e-10)
    assert change.gained and change.inside
    assert (change.group, change.neuron) == ("one", 0)
    assert change.time == pytest.approx(1e-3 + 20e-3 * np.log(2), abs=1e-7)  # as sqrt of the distance to the point
    assert change.jump == pytest.approx(line(4.0 + 1e-9).loss - line(4.0 - 1e-9).loss, rel=1e-3)
    assert abs(change.jump) > 1e-3
    assert (change.more, change.fewer, change.silenced) == ({"one": 1}, {}, 0)


def test_two_inputs_and_a_spike_that_vanishes():
    # Excitation at 1 ms, inhibition of weight s at 10 ms: the spike vanishes where the top of v is at 1.
    line = small_line(LIFGroup(1, tau_m=20 * ms, tau_s=10 * ms), [1.0, 10.0], [4.3, 0.0], direction=(0.0, -1.0))

    def height(t, w):
        return w * (np.exp(-t / 20) - np.exp(-t / 10))

    def top(s):
        def slope(t):
            late = t - 9
            return 4.3 * (2 * np.exp(-t / 10) - np.exp(-t / 20)) - s * (2 * np.exp(-late / 10) - np.exp(-late / 20))

        t = brentq(slope, 9, 20) if slope(9.0) > 0 else 9.0
        return height(t, 4.3) - height(t - 9, s)

    expected = brentq(lambda s: top(s) - 1, 0.0, 0.9, xtol=1e-14)
    found = scan_line(line, 0.0, 0.9, points=4)
    (change,) = found.changes
    assert change.position == pytest.approx(expected, abs=1e-10)
    assert not change.gained and change.silenced == 1 and list(change.fewer.values()) == [1]


def test_a_touching_spike_takes_the_place_of_a_later_one():
    # The first input lifts v to s/4 at most; if that is below 1, the second makes the neuron spike, after 30 ms; if
    # not, the neuron spikes before and the reset keeps it from spiking again: one spike on both sides.
    line = small_line(LIFGroup(1, tau_m=20 * ms, tau_s=10 * ms), [1.0, 30.0], [0.0, 3.0])
    sides = [line(4.0 + distance) for distance in (-1e-3, 1e-3)]
    times = [next(iter(side.trains.values()))[0] for side in sides]
    assert [len(own) for own in times] == [1, 1] and times[0][0] > 30e-3 > times[1][0]
    (change,) = scan_line(line, 3.9, 4.1, points=4).changes
    assert change.position == pytest.approx(4.0, abs=1e-10)
    assert change.moved and change.inside and not change.gained and (change.more, change.fewer) == ({}, {})
    assert change.time == pytest.approx(1e-3 + 20e-3 * np.log(2), abs=1e-6)
    assert change.jump == pytest.approx(line(4.0 + 1e-9).loss - line(4.0 - 1e-9).loss, rel=1e-3)


@pytest.mark.parametrize("which", ["lif", "qif"])
def test_a_spike_leaves_through_the_end_of_the_trial_where_the_closed_form_says(which):
    first = 1.0
    if which == "qif":
        # From rest, q(t) = cos(sqrt(w) r) with r = 1 - exp(-t/tau_m): the spike is at the end for sqrt(w) r = pi/2.
        neurons, scale = QIFGroup(1, tau_m=20 * ms, tau_s=10 * ms), 20.0
        expected = (np.pi / 2 / -np.expm1(-(DURATION * 1e3 - first) / scale)) ** 2
    else:
        # A slow rise under a constant-like current (tau_s much longer than the trial's rest).
        neurons = LIFGroup(1, tau_m=20 * ms, tau_s=2000 * ms)
        t = DURATION * 1e3 - first
        expected = 1 / (2000 / (2000 - 20) * (np.exp(-t / 2000) - np.exp(-t / 20)))
    line = small_line(neurons, [first], [0.0])
    found = scan_line(line, expected - 0.05, expected + 0.05, points=4)
    (change,) = found.changes
    assert change.position == pytest.approx(expected, rel=1e-10)
    assert change.at_end and change.gained
    assert change.time == pytest.approx(DURATION, rel=1e-8)
    assert change.jump == 0.0  # a spike at the end reaches nobody


def test_a_spike_that_rounding_loses_on_its_way_to_the_end_is_told_apart():
    # With r = 1 - exp(-t/tau_m) the spike is where sqrt(w) r = pi/2: it runs off to infinity as w falls to (pi/2)**2,
    # by tau_m for each factor e, and 80 tau_m are more than the 36 that double precision can tell.
    line = small_line(QIFGroup(1, tau_m=1 * ms, tau_s=0.5 * ms, name="one"), [1.0], [0.0])
    (change,) = scan_line(line, 2.0, 3.0, points=5).changes
    assert change.position == pytest.approx((np.pi / 2) ** 2, abs=1e-12)
    assert change.unresolved and change.gained and not change.at_end and not change.inside
    assert 20e-3 < change.time < 40e-3


def random_line(make, seed, size=6, low=0.0, high=1.0, **solver):
    generator = np.random.default_rng(seed)
    times = np.sort(generator.uniform(1, 60, 30))
    line = small_line(make(size), times, np.zeros(30 * size), **solver)
    line.values = [generator.uniform(low, high, 30 * size)]
    line.direction = random_direction(line.views, line.values, generator)
    return line


def finite_qif(size):
    return NeuronGroup(
        size,
        "dv/dt = (v*(v - 1) + I)/(20*ms) : 1\ndI/dt = -I/(10*ms) : 1",
        threshold="v > 1.2",
        reset="v = -0.5",
        method="rk4",
    )


def test_qif_neurons_lose_and_gain_spikes_at_the_end_alone():
    line = random_line(lambda size: QIFGroup(size, tau_m=20 * ms, tau_s=10 * ms), 3)
    found = scan_line(line, -1.0, 1.0, points=41)
    assert len(found.changes) > 3
    assert all(change.at_end for change in found.changes)
    assert all(change.jump == 0 for change in found.changes)
    assert found.order_swaps > 0


class RunsOff:
    """A spike that comes the later the nearer a place is, with the logarithm; rounding hides it at times."""

    duration, flickers = 1.0, 2e-14

    def __init__(self, place):
        self.place = place

    def __call__(self, position, with_slope=True):
        distance = self.place - position
        there = distance > self.flickers or (0 < distance and int(distance * 1e18) % 3 == 0)
        times = np.array([0.2 - 0.01 * np.log(distance)] if there else [])
        trains = {"hidden": (times, np.zeros(len(times), dtype=int))}
        return Moment(position, float(np.sum(times)), 0.0, trains)


def test_a_spike_that_runs_off_is_unresolved_where_rounding_makes_it_come_and_go():
    for place in np.random.default_rng(0).uniform(-1e-3, 1e-3, 50):
        found = scan_line(RunsOff(place), -4e-3, 4e-3, points=5)
        assert found.changes and all(change.unresolved for change in found.changes)


@pytest.mark.parametrize(
    ("make", "more"),
    [
        (lambda size: LIFGroup(size, tau_m=20 * ms, tau_s=10 * ms), {"size": 3}),
        (finite_qif, {"size": 1, "low": -2.0, "high": 3.0, "backend": "reference"}),
    ],
    ids=["lif", "finite qif"],
)
def test_others_have_jumps_inside_the_trial(make, more):
    line = random_line(make, 9, **more)
    found = scan_line(line, -1.0, 1.0, points=21)
    inside = [change for change in found.changes if not change.at_end]
    assert len(inside) > 0
    assert any(abs(change.jump) > 1e-6 for change in inside)
    # A look ten times finer finds none that was missed.
    finer = scan_line(line, -1.0, 1.0, points=201)
    places = [np.array([change.position for change in scan.changes]) for scan in (found, finer)]
    assert len(places[0]) == len(places[1])
    np.testing.assert_allclose(places[0], places[1], atol=1e-11)


def test_delta_synapses_have_jumps_too():
    neurons = NeuronGroup(
        1, "dv/dt = (v*(v - 1) + 0.2)/(20*ms) : 1", threshold="v > 3", reset="v = -2", method="rk4", name="jumping"
    )
    line = small_line(neurons, [5.0, 20.0], [0.0, 4.0], on="v_post", backend="reference")
    # The second input lifts a neuron that has not spiked yet over its threshold at once. One that has spiked is lifted
    # from its reset and spikes again: the place is where its own spike comes at 20 ms.
    found = scan_line(line, 0.6, 2.0, points=8)
    inside = [change for change in found.changes if not change.at_end]
    assert len(inside) == 1 and inside[0].gained
    sides = [line(inside[0].position + distance, with_slope=False) for distance in (-1e-9, 1e-9)]
    trains = [side.trains["jumping"][0] for side in sides]
    assert [len(times) for times in trains] == [1, 2]
    assert trains[0][0] == 20e-3 and trains[1][0] == pytest.approx(20e-3, abs=1e-9)


def test_swaps_are_counted_pair_by_pair():
    def moment(times, units):
        return Moment(0.0, 0.0, 0.0, {"hidden": (np.array(times), np.array(units))})

    assert order_swaps(moment([1, 2, 3], [0, 1, 2]), moment([1, 2, 3], [0, 1, 2])) == 0
    assert order_swaps(moment([1, 2, 3], [0, 1, 2]), moment([1, 2, 3], [2, 1, 0])) == 3
    assert order_swaps(moment([1, 2, 3, 4], [0, 1, 0, 2]), moment([1, 2, 3, 4], [0, 0, 1, 2])) == 1


def test_directions_are_as_large_as_the_weights_of_each_neuron():
    line = random_line(lambda size: QIFGroup(size, tau_m=20 * ms, tau_s=10 * ms), 1)
    by_neuron = [np.linalg.norm(x[0].reshape(30, 6), axis=0) for x in (line.values, line.direction)]
    np.testing.assert_allclose(by_neuron[1], by_neuron[0], rtol=1e-12)
    assert length_of(line.direction) == pytest.approx(np.linalg.norm(line.values[0]))
    plain = random_direction(line.views, line.values, np.random.default_rng(0), "none")
    np.testing.assert_array_equal(plain[0], np.random.default_rng(0).standard_normal(180))
    with pytest.raises(ValueError, match="neuron or none"):
        random_direction(line.views, line.values, np.random.default_rng(0), "layer")


def test_a_line_without_length_is_refused():
    line = small_line(LIFGroup(1, tau_m=20 * ms, tau_s=10 * ms), [1.0], [0.0])
    for low, high, points in ((1.0, 1.0, 5), (2.0, 1.0, 5), (0.0, 1.0, 1)):
        with pytest.raises(ValueError, match="two points or more"):
            scan_line(line, low, high, points)
