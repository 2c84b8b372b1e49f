import numpy as np
import pytest

from brian_qif.training.initialisation import draw_weights, scale_to_activity
from tests.training.small_network import DURATION, make_trainer, make_words


def test_drawn_weights_have_unit_deviation_about_their_mean():
    weights = draw_weights(np.random.default_rng(0), 700, 200, mean=0.3)
    assert weights.shape == (700, 200)
    assert weights.mean() == pytest.approx(0.3, abs=5 / np.sqrt(weights.size))
    assert weights.std() == pytest.approx(1, abs=5 / np.sqrt(2 * weights.size))


def test_smoothed_weights_follow_their_neighbours():
    width = 10.0
    weights = draw_weights(np.random.default_rng(0), 700, 400, smoothing=width)
    assert weights.shape == (700, 400)
    # The autocorrelation of noise behind a Gaussian window of that width is a Gaussian sqrt(2) times as wide.
    for lag in (5, 10, 20):
        correlation = (weights[lag:] * weights[:-lag]).mean()
        assert correlation == pytest.approx(np.exp(-((lag / width) ** 2) / 4), abs=0.03)
    assert weights.std() == pytest.approx(1, abs=0.03)
    with pytest.raises(ValueError, match="cannot be negative"):
        draw_weights(np.random.default_rng(0), 7, 4, smoothing=-1.0)


@pytest.mark.parametrize("neuron", ["lif", "qif"])
@pytest.mark.parametrize("start", [1e-3, 8.0])
def test_activity_is_reached_from_far_below_and_far_above(neuron, start):
    trainer, _ = make_trainer(neuron)
    words = make_words(20)
    values = [start * trainer.values[0], trainer.values[1]]
    scaled, activity = scale_to_activity(trainer.batch, values, 0, "hidden", words, DURATION, 3.0, tolerance=0.05)
    assert activity == pytest.approx(3.0, rel=0.05)
    counts = trainer.batch(words, DURATION, values=scaled, reverse=False).spike_counts["hidden"]
    assert counts.mean() == activity
    np.testing.assert_allclose(scaled[0] / values[0], (scaled[0] / values[0])[0], rtol=1e-14)
    np.testing.assert_array_equal(scaled[1], values[1])


def test_weights_that_make_no_spikes_are_refused():
    trainer, _ = make_trainer()
    values = [0 * trainer.values[0], trainer.values[1]]
    with pytest.raises(ValueError, match="No scale of the weights between .* gives 3.0 spikes .* in 'hidden'"):
        scale_to_activity(trainer.batch, values, 0, "hidden", make_words(2), DURATION, 3.0)
    with pytest.raises(ValueError, match="has to be positive, not 0"):
        scale_to_activity(trainer.batch, values, 0, "hidden", make_words(2), DURATION, 0)


def test_an_activity_between_two_jumps_is_refused():
    trainer, _ = make_trainer()
    with pytest.raises(ValueError, match="the activity jumps there"):
        scale_to_activity(trainer.batch, trainer.values, 0, "hidden", make_words(1), DURATION, 3.1)
