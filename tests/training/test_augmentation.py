import numpy as np
import pytest
from brian2 import BrianObjectException, Network, SpikeGeneratorGroup, Synapses, ms, second

from brian_qif import EventSolver
from brian_qif.models import LeakyIntegratorGroup
from brian_qif.training.augmentation import SpikeAugmentation, merge_channels, separate_copies
from brian_qif.training.datasets import SpikeSample

SAMPLE = SpikeSample(np.array([0.1, 0.2, 0.4]), np.array([0, 5, 9]), label=3, speaker=1)


def test_shifts_lie_within_their_limit_and_are_all_drawn():
    generator, change = np.random.default_rng(0), SpikeAugmentation(100, shift=2)
    middle = SpikeSample(SAMPLE.times, SAMPLE.units + 50, 3, 1)
    shifts = set()
    for _ in range(100):
        changed = change(middle, generator)
        np.testing.assert_array_equal(changed.times, SAMPLE.times)
        shifts.add(tuple(changed.units - middle.units))
    assert shifts == {(k,) * 3 for k in range(-2, 3)}


def test_spikes_beyond_the_last_neuron_are_left_out():
    generator, change = np.random.default_rng(0), SpikeAugmentation(10, shift=1)
    lengths = {len(change(SAMPLE, generator).units) for _ in range(30)}
    assert lengths == {2, 3}
    for _ in range(30):
        changed = change(SAMPLE, generator)
        assert changed.units.min() >= 0
        assert changed.units.max() < 10
        assert len(changed.times) == len(changed.units)


def test_stretching_changes_all_times_in_proportion():
    generator, change = np.random.default_rng(0), SpikeAugmentation(10, stretch=0.1)
    factors = []
    for _ in range(200):
        changed = change(SAMPLE, generator)
        factors.append(changed.times[0] / 0.1)
        np.testing.assert_allclose(changed.times, SAMPLE.times * factors[-1], rtol=1e-12)
        assert (changed.label, changed.speaker) == (3, 1)
    assert 0.9 <= min(factors) < 0.92
    assert 1.08 < max(factors) <= 1.1


def test_jitter_moves_every_spike_on_its_own():
    long = SpikeSample(np.linspace(0, 1, 4000), np.full(4000, 50), 3, 1)
    changed = SpikeAugmentation(100, jitter=4.0)(long, np.random.default_rng(0))
    np.testing.assert_array_equal(changed.times, long.times)
    moved = changed.units - 50
    assert abs(moved.mean()) < 5 * 4 / np.sqrt(4000)
    # Rounding to whole neurons adds a variance of 1/12.
    assert moved.std() == pytest.approx(np.sqrt(16 + 1 / 12), rel=0.05)


def test_the_sample_itself_stays_and_without_limits_nothing_changes():
    changed = SpikeAugmentation(10)(SAMPLE, np.random.default_rng(0))
    np.testing.assert_array_equal(changed.times, SAMPLE.times)
    np.testing.assert_array_equal(changed.units, SAMPLE.units)
    SpikeAugmentation(10, 3, 0.5)(SAMPLE, np.random.default_rng(0))
    np.testing.assert_array_equal(SAMPLE.units, [0, 5, 9])


@pytest.mark.parametrize("limits", [{"stretch": -0.1}, {"stretch": 1.0}, {"jitter": -1.0}])
def test_limits_that_make_no_sense(limits):
    with pytest.raises(ValueError, match="Stretch and jitter have to be at least 0, and the stretch below 1"):
        SpikeAugmentation(10, **limits)


def dense(seed=0, length=400):
    generator = np.random.default_rng(seed)
    return SpikeSample(np.sort(generator.uniform(0, 1, length)), generator.integers(0, 100, length), 3, 1)


def test_thinning_keeps_the_wanted_share():
    sample, generator = dense(), np.random.default_rng(1)
    kept = [len(SpikeAugmentation(100, keep=0.25)(sample, generator).times) for _ in range(50)]
    assert np.mean(kept) == pytest.approx(100, rel=0.05)


def test_warping_keeps_order_and_end():
    sample, generator = dense(), np.random.default_rng(1)
    for _ in range(20):
        times = SpikeAugmentation(100, warp=0.3)(sample, generator).times
        assert np.all(np.diff(times) >= 0)
        assert times[-1] == pytest.approx(sample.times[-1])
        slope = np.diff(times) / np.diff(sample.times)
        assert slope.max() / slope.min() <= 1.3 / 0.7 + 1e-6
        assert slope.max() > 1.01


def test_jitter_in_time_leaves_spikes_sorted_and_after_the_start():
    sample, generator = dense(), np.random.default_rng(1)
    changed = SpikeAugmentation(100, time_jitter=0.01)(sample, generator)
    assert np.all(np.diff(changed.times) >= 0)
    assert changed.times[0] >= 0
    assert sorted(changed.units) == sorted(sample.units)
    assert 0.001 < np.abs(changed.times - sample.times).max() < 0.05


def test_the_same_seed_changes_alike():
    change = SpikeAugmentation(100, shift=3, stretch=0.1, jitter=1, keep=0.8, warp=0.2, time_jitter=1e-3)
    one, two = (change(dense(), np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.times, two.times)
    np.testing.assert_array_equal(one.units, two.units)


@pytest.mark.parametrize("wrong", [{"keep": 0}, {"keep": 1.1}, {"warp": 1}, {"time_jitter": -1}])
def test_limits_of_the_newer_changes(wrong):
    with pytest.raises(ValueError, match="Warp has to be at least 0 and below 1"):
        SpikeAugmentation(10, **wrong)


def test_merged_channels_keep_every_spike():
    sample = SpikeSample(np.array([0.1, 0.1, 0.2]), np.array([4, 5, 9]), 3, 1)
    merged = merge_channels(sample, 2)
    np.testing.assert_array_equal(merged.units, [2, 2, 4])
    np.testing.assert_array_equal(merged.times, sample.times)
    with pytest.raises(ValueError, match="'together' is a whole number, 1 to 2147483647; 0 was given"):
        merge_channels(sample, 0)


def test_merged_spikes_count_twice_and_run_on_the_clock_as_copies():
    """One neuron's voltage: the event-driven solver takes both spikes; Brian2's clock takes them from two copies."""
    merged = merge_channels(SpikeSample(np.array([2e-3, 2e-3, 5e-3]), np.array([0, 1, 1]), 0, 0), 2)
    separate, copies = separate_copies(merged, 1, 1e-4)
    assert copies == 2
    np.testing.assert_array_equal(separate.units, [0, 1, 0])

    def voltage(run, sample, n_inputs):
        stimulus = SpikeGeneratorGroup(n_inputs, sample.units, sample.times * second)
        readout = LeakyIntegratorGroup(1, tau_m=20 * ms, tau_s=10 * ms)
        synapses = Synapses(stimulus, readout, "w : 1", on_pre="I_post += w")
        synapses.connect()
        synapses.w = 1.0
        return run(Network(stimulus, readout, synapses), readout)

    def on_the_clock(network, readout):
        network.run(8 * ms, namespace={})
        return readout.v[0]

    def by_events(network, readout):
        return EventSolver().simulate(network, 8 * ms).state(readout, "v", [8] * ms)[0, 0]

    assert voltage(on_the_clock, separate, 2) == pytest.approx(float(voltage(by_events, separate, 2)), rel=0.02)
    assert float(voltage(by_events, merged, 1)) == pytest.approx(float(voltage(by_events, separate, 2)), rel=1e-12)
    with pytest.raises(BrianObjectException) as caught:
        voltage(on_the_clock, merged, 1)
    assert "more than once" in str(caught.value.__cause__)
