"""Which spikes of two trials belong together, and how far the trials are apart: against brute force and libraries."""

from itertools import combinations

import numpy as np
import pytest

from brian_qif.protocols.divergence import course, distance_over_time, flux_tube_radius
from brian_qif.protocols.spike_differences import layer_change, match_spikes, ranks
from brian_qif.protocols.spike_distances import distances_over_time, require_libraries

SCALE = 0.01


def train(*times):
    return np.array(times, dtype=float), np.zeros(len(times), dtype=np.int64)


def cheapest(first, second):
    """The least cost of all matchings that keep the order of time."""
    best = float(len(first) + len(second))
    for count in range(1, min(len(first), len(second)) + 1):
        for left in combinations(first, count):
            for right in combinations(second, count):
                cost = np.sum(np.abs(np.subtract(left, right))) / SCALE + len(first) + len(second) - 2 * count
                best = min(best, float(cost))
    return best


def test_the_matching_costs_least():
    generator = np.random.default_rng(0)
    for _ in range(60):
        first, second = (np.sort(generator.uniform(0, 0.05, generator.integers(0, 6))) for _ in range(2))
        found = match_spikes(train(*first), train(*second), SCALE)
        assert found.cost == pytest.approx(cheapest(first, second), rel=1e-12, abs=1e-12)
        assert len(found.before) + len(found.lost) == len(first)
        assert len(found.after) + len(found.gained) == len(second)


def test_a_train_that_moved_on_by_one_spike_is_not_shifted_as_a_whole():
    found = layer_change(train(0.01, 0.03, 0.05), train(0.03, 0.05, 0.07), 0.01, 1e-12)
    assert (found.lost, found.gained, found.shifted, found.victor_purpura) == (1, 1, 0, 2)
    assert (found.first, found.last) == (0.01, 0.07)


def test_a_layer_change_counts_by_hand():
    before = np.array([0.010, 0.011, 0.020, 0.030, 0.040]), np.array([0, 1, 0, 2, 1])
    after = np.array([0.011, 0.012, 0.020, 0.034, 0.040]), np.array([1, 0, 0, 3, 1])
    found = layer_change(before, after, SCALE, 1e-12)
    assert (found.spikes, found.gained, found.lost, found.shifted) == (5, 1, 1, 1)
    assert found.largest_shift == pytest.approx(0.002)
    assert found.rms_shift == pytest.approx(0.001)  # over the four that both have
    assert (found.first, found.last, found.unchanged_after) == (0.010, 0.034, 1)
    assert found.moved_in_rank == 2
    assert found.rank_correlation == pytest.approx(1 - 2 / 6)  # one of six pairs is the other way round
    assert found.victor_purpura == pytest.approx(2.2)
    same = layer_change(before, before, SCALE, 1e-12)
    assert (same.shifted, same.moved_in_rank, same.victor_purpura, same.unchanged_after) == (0, 0, 0, 5)
    assert np.isnan(same.first) and np.isnan(same.last)


def test_ranks():
    np.testing.assert_array_equal(ranks(np.array([3.0, 1.0, 2.0, 1.0])), [3, 0, 2, 1])


def test_the_cost_is_the_distance_of_elephant():
    pytest.importorskip("elephant")
    generator = np.random.default_rng(1)
    first, second = ((np.sort(generator.uniform(0, 0.2, 30)), generator.integers(3, size=30)) for _ in range(2))
    table = distances_over_time(first, second, 3, 0.2, SCALE, ["victor_purpura"], windows=1)
    assert table["distance"][0] == pytest.approx(match_spikes(first, second, SCALE).cost, rel=1e-12)


def test_distances_window_by_window():
    pytest.importorskip("elephant")
    pytest.importorskip("pyspike")
    before, after = train(0.02, 0.07), train(0.02, 0.074)
    table = distances_over_time(before, after, 2, 0.1, SCALE, windows=2)
    found = {(row.measure, round(row.time, 3)): row.distance for row in table.itertuples()}
    assert found["victor_purpura", 0.025] == 0 and found["victor_purpura", 0.075] == pytest.approx(0.4)
    # van Rossum, both exponentials whole, one spike against none normalised to 1: sqrt(2 (1 - exp(-shift/tau))).
    assert found["van_rossum", 0.075] == pytest.approx(np.sqrt(2 * (1 - np.exp(-0.4))), rel=1e-9)
    assert found["spike", 0.075] > found["spike", 0.025] > 0
    same = distances_over_time(before, before, 2, 0.1, SCALE, windows=2)
    assert (same["distance"] == 0).all()


def test_distances_that_cannot_be_computed(monkeypatch):
    with pytest.raises(ValueError, match="There is no distance 'isi'; there are victor_purpura, van_rossum, spike."):
        require_libraries(["isi"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs elephant: pip install 'brian_qif\[distances\]', or leave it out"):
        require_libraries(["van_rossum"])
    require_libraries([])


def test_phases_are_compared_on_the_circle():
    before, after = np.array([[0.49, 0.0]]), np.array([[-0.49, 0.1]])
    np.testing.assert_allclose(distance_over_time(before, after, True), np.sqrt((0.02**2 + 0.1**2) / 2))
    np.testing.assert_allclose(distance_over_time(before, after, False), np.sqrt((0.98**2 + 0.1**2) / 2))


@pytest.mark.parametrize("rate", [-40.0, 25.0])
def test_the_rate_of_an_exponential_is_found(rate):
    times = np.linspace(0, 0.6, 200)
    found = course(1e-9 * np.exp(rate * times), times, SCALE)
    assert found["growth_rate"] == pytest.approx(rate, rel=1e-9)
    assert (found["diverged"], found["reconverged"]) == (rate > 0, rate < 0)
    assert found["rate_from"] >= SCALE


def test_a_distance_that_saturates_ends_the_window_of_the_rate():
    times = np.linspace(0, 1, 400)
    found = course(np.minimum(1e-6 * np.exp(30 * times), 0.3), times, SCALE)
    assert found["growth_rate"] == pytest.approx(30, rel=1e-9)
    assert found["rate_to"] < np.log(1e4) / 30
    assert found["diverged"]


def test_a_layer_that_hears_late_does_not_diverge_by_that():
    times = np.linspace(0, 60 * SCALE, 601)
    heard = times >= 20 * SCALE
    distances = np.where(heard, 1e-6 * np.exp(-(times - 20 * SCALE) / (10 * SCALE)), 0.0)
    found = course(distances, times, SCALE)
    assert found["distance_start"] == pytest.approx(1e-6)
    assert (found["diverged"], found["reconverged"]) == (False, True)
    growing = course(np.where(heard, 1e-9 * np.exp((times - 20 * SCALE) / SCALE / 4), 0.0), times, SCALE)
    assert growing["diverged"]
    assert course(np.where(times >= 55 * SCALE, distances, 0.0), times, SCALE)["diverged"] is None  # too short by then


def test_a_course_that_is_too_short_says_nothing():
    found = course(np.ones(3), np.array([0, 0.01, 0.02]), SCALE)
    assert found["diverged"] is None and np.isnan(found["growth_rate"])
    assert course(np.empty(0), np.empty(0), SCALE)["diverged"] is None


def test_the_radius_of_flux_tubes_is_found():
    generator = np.random.default_rng(3)
    radius = 2e-4
    sizes = np.repeat(np.geomspace(1e-6, 1e-2, 9), 400)
    diverged = generator.uniform(size=len(sizes)) < -np.expm1(-sizes / radius)
    assert flux_tube_radius(sizes, diverged) == pytest.approx(radius, rel=0.1)  # of 3600 draws some 800 are undecided
    assert flux_tube_radius(sizes, np.ones(len(sizes))) is None
    assert flux_tube_radius(sizes, generator.uniform(size=len(sizes)) < 0.9) is None  # whatever the size
    assert flux_tube_radius(sizes, np.zeros(len(sizes))) is None
