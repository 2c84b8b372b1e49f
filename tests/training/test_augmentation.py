import numpy as np
import pytest

from brian_qif.training.augmentation import SpikeAugmentation
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


@pytest.mark.parametrize("limits", [{"shift": -1}, {"stretch": -0.1}, {"stretch": 1.0}, {"jitter": -1.0}])
def test_limits_that_make_no_sense(limits):
    with pytest.raises(ValueError, match="Shift, stretch and jitter have to be at least 0, and the stretch below 1"):
        SpikeAugmentation(10, **limits)
