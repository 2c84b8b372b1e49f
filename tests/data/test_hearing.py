import time
from pathlib import Path

import mpmath
import numpy as np
import pytest

from brian_qif.data import membrane
from brian_qif.data.hearing import bushy_cells, hair_cells, hear, nerve_fibres, prepare
from brian_qif.data.membrane import membrane_velocity, transfer_functions
from tests.data.word import word

RECORDED = np.load(Path(__file__).with_name("lauscher.npz"))


def heard(sound, seed=0, channels=70):
    return hear([sound], [np.random.default_rng(seed)], channels)[0]


def test_the_spikes_are_those_of_lauscher():
    """Spikes per channel, 20 seeds on each side: chi square with 70 degrees of freedom, and the largest difference."""
    found = hear([word()] * 20, [np.random.default_rng(seed) for seed in range(20)], 70)
    counts = np.array([np.bincount(units, minlength=70) for _, units in found])
    theirs = RECORDED["counts"].astype(float)
    spread = np.sqrt((counts.var(axis=0, ddof=1) + theirs.var(axis=0, ddof=1)) / 20)
    compared = spread > 0
    assert compared.sum() > 60
    assert counts[:, ~compared].sum() == theirs[:, ~compared].sum()
    deviation = (counts.mean(axis=0) - theirs.mean(axis=0))[compared] / spread[compared]
    # With 19 degrees of freedom each, the sum has mean 78 and standard deviation 15.
    assert np.sum(deviation**2) < 78 + 3 * 15
    assert np.abs(deviation).max() < 4.5
    total = counts.sum(axis=1).mean() - theirs.sum(axis=1).mean()
    assert abs(total) < 3 * np.sqrt((counts.sum(axis=1).var(ddof=1) + theirs.sum(axis=1).var(ddof=1)) / 20)


def test_the_firing_probability_is_that_of_lauscher():
    """Its mean per channel; step by step the two differ by the numerical integral over the membrane."""
    probability = hair_cells(membrane_velocity(prepare(word()), 70))
    assert probability[::16, ::7].mean(axis=0) == pytest.approx(RECORDED["probability"].mean(axis=1), rel=0.01)


@pytest.mark.parametrize("frequency", [150.0, 1000.0, 6000.0])
@pytest.mark.parametrize("place", [7, 40, 69])
def test_transfer_function_against_a_general_integrator(frequency, place):
    """Formulas of the membrane written anew, with the integral by mpmath; about 100 where a tone is heard."""
    w = 2 * mpmath.pi * frequency

    def impedance(c):
        damping = mpmath.mpf("0.15") * mpmath.sqrt(5e7) * mpmath.exp(-1.5 * c)
        return 1e9 * mpmath.exp(-3 * c) - 3500 - 0.05 * w**2 - 1j * w * damping

    def wave_number(c):
        return w * mpmath.sqrt(1 / (mpmath.mpf("0.1") * impedance(c)))

    def pressure(c):
        travelled = (
            2 * wave_number(0) / 3 + mpmath.quad(wave_number, mpmath.linspace(0, c, 15))
            if c
            else 2 * wave_number(0) / 3
        )
        return mpmath.sqrt(travelled / wave_number(c)) * mpmath.hankel1(0, travelled)

    c = mpmath.mpf("3.5") * place / 69
    x = 4 * mpmath.pi * frequency / 3 * mpmath.sqrt(2 / mpmath.mpf("1e8"))
    j, y = mpmath.besselj, mpmath.bessely
    z = mpmath.sqrt(2e10) * (1j * j(0, x) + y(0, x)) / (j(1, x) - 1j * y(1, x))
    expected = complex(2 * w / impedance(c) * pressure(c) / pressure(0) * z)
    assert transfer_functions(np.array([frequency]), 70)[0, place] == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_blocks_of_a_long_sound_join():
    """Twice the word, with silence between, moves the membrane as once does, wherever the blocks lie."""
    silence = np.zeros(9600)
    once = membrane_velocity(np.concatenate([silence, word(), silence]), 20)
    twice = membrane_velocity(np.concatenate([silence, word(), silence, word(), silence]), 20)
    later = len(word()) // 2 + len(silence) // 2
    inside = slice(5000, 5000 + len(word()) // 2)
    scale = np.abs(once).max(axis=0)
    np.testing.assert_allclose(twice[later:][inside] / scale, once[inside] / scale, atol=0.01)


def test_high_tones_move_the_base_and_low_tones_the_apex():
    t = np.arange(24000) / membrane.RATE
    best = [
        np.abs(membrane_velocity(prepare(np.sin(2 * np.pi * tone * t)), 70)).max(axis=0).argmax()
        for tone in (8000, 2000, 500, 150)
    ]
    assert best == sorted(best)
    assert best[0] < 20
    assert best[-1] > 55


def test_a_silent_hair_cell_stays_at_rest():
    probability = hair_cells(np.zeros((2400, 3), np.float32))
    np.testing.assert_allclose(probability, probability[0, 0], rtol=1e-4)
    assert probability[0, 0] > 0


def test_fibres_fire_as_often_as_they_should():
    """A fibre that is refractory for 24 steps fires p / (1 + 23 p) times per step."""
    for p in (0.002, 0.05):
        counts = nerve_fibres(np.full((6000, 100), p, np.float32), np.random.default_rng(1))
        expected = 40 * p / (1 + 23 * p) * counts.size
        assert counts.sum() == pytest.approx(expected, rel=5 / np.sqrt(expected) + 24 / 6000)


def test_fibres_are_refractory():
    counts = nerve_fibres(np.full((240, 5), 0.9, np.float32), np.random.default_rng(0))
    windows = np.lib.stride_tricks.sliding_window_view(counts.astype(int), 24, axis=0).sum(axis=-1)
    assert windows.max() <= 40


def test_a_bushy_cell_needs_many_fibres_at_once():
    arrivals = np.zeros((480, 3), np.uint8)
    arrivals[100, 1], arrivals[100, 2] = 8, 40
    arrivals[110:130, 2] = 40
    steps, units = bushy_cells(arrivals)
    assert set(units) == {2}
    assert np.diff(steps).min() >= 24


def test_the_same_seed_gives_the_same_spikes_alone_or_together():
    alone = heard(word(), 3)
    short = word(duration=0.5)
    together = hear([short, word()], [np.random.default_rng(s) for s in (9, 3)], 70)
    for mine, theirs in ((alone, together[1]), (heard(short, 9), together[0])):
        np.testing.assert_array_equal(mine[0], theirs[0])
        np.testing.assert_array_equal(mine[1], theirs[1])
    assert not np.array_equal(alone[0], heard(word(), 4)[0])
    np.testing.assert_allclose(alone[0] * 24000, np.rint(alone[0] * 24000), rtol=1e-14)


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (np.zeros(4800), "The sound is silent"),
        (np.zeros(0), "A sound of 0 s cannot be used: cut it into words of at most 10 s"),
        (np.ones(48000 * 11), "A sound of 11 s cannot be used"),
        (np.array([0.1, np.nan, 0.3]), "not finite"),
        (np.ones((10, 2)), "one channel, an array of one dimension, not of shape \\(10, 2\\)"),
    ],
)
def test_sounds_that_cannot_be_used(sound, message):
    with pytest.raises(ValueError, match=message):
        heard(sound)


@pytest.mark.long
def test_time_per_second_of_speech():
    """At most half a second of processor time; prints what it found. Neighbours on a shared machine slow it down."""
    taken, sounds = [], [word()] * 4
    for _ in range(4):
        begin = time.process_time()
        hear(sounds, [np.random.default_rng(s) for s in range(4)])
        taken.append((time.process_time() - begin) / (4 * 0.8))
    print(f"\nSeconds of processor time per second of speech, 700 channels: {np.round(taken, 2)}, the first with setup")
    assert min(taken[1:]) < 0.5
