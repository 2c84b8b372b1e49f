"""Measures of a landscape, against functions whose values are known."""

import numpy as np
import pandas as pd
import pytest

from brian_qif.protocols.landscape_gradients import DISTANCES, variance_by_distance
from brian_qif.protocols.landscape_measures import (
    disagreeing,
    gradient_variance,
    jump_measures,
    lipschitz,
    share_with_error,
    total_variation,
)


def test_the_lipschitz_estimates_of_a_plane_are_its_steeper_slope():
    y, x = np.meshgrid(np.arange(4) * 0.5, np.arange(5) * 0.25, indexing="ij")
    np.testing.assert_allclose(lipschitz(3 * x - 2 * y, (0.5, 0.25)), 3)
    np.testing.assert_allclose(lipschitz(np.stack([x, -4 * y], axis=2), (0.5, 0.25))[1, 2], [1, 4])


def test_a_step_is_seen_from_both_of_its_sides():
    losses = np.array([[0.0, 0.0, 1.0, 1.0]])
    np.testing.assert_array_equal(lipschitz(losses, (1.0, 0.1))[0], [0, 10, 10, 0])


def test_the_total_variation_per_unit_length():
    y, x = np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 5), indexing="ij")
    assert total_variation(3 * x + y, (2.0, 2.0)) == pytest.approx(2.0)
    assert total_variation(np.abs(x), (2.0, 2.0)) == pytest.approx(0.5)


def test_the_gradient_variance_of_a_parabola():
    # g = x at x = 1, 2, 4; lag 1: differences 1 and 2.
    line = {
        "lags": np.array([1]),
        "squared_differences": np.array([[1.0, 4.0, np.nan]]),
        "squared_norms": np.array([1.0, 4.0, 16.0]),
    }
    (row,) = gradient_variance([line])
    assert (row["relative"], row["pooled"], row["absolute"], row["points"]) == (1.0, 1.0, 2.5, 2)
    assert row["median"] == 1.0
    (row,) = gradient_variance([{**line, "squared_norms": np.zeros(3)}])
    assert row["relative"] is None and row["points"] == 0


def test_a_few_pairs_carry_a_mean_and_leave_the_median_alone():
    # One point, a hundred samples with gradients of 1; 99 differ by 0.1 from their neighbours, one by 10.
    apart = np.full(100, 0.01)
    apart[7] = 100.0
    changed = np.arange(100) == 7
    pair = {
        "length": 2.0,
        "squared_norm": 4.0,
        "squared_differences": np.ones(len(DISTANCES)),
        "squared_norms_of_samples": np.ones(100),
        "squared_differences_of_samples": np.tile(apart, (len(DISTANCES), 1)),
        "changed": np.tile(changed, (len(DISTANCES), 1)),
    }
    row = variance_by_distance([pair])[0]
    assert (row["step"], row["distance"], row["points"]) == (DISTANCES[0], 2 * DISTANCES[0], 1)
    assert (row["relative"], row["median"], row["pooled"]) == (0.25, 0.25, 0.25)
    assert row["sample_relative"] == row["sample_pooled"] == pytest.approx(1.0099)
    for name in ("sample_median", "sample_trimmed", "sample_unchanged"):
        assert row[name] == pytest.approx(0.01)
    assert row["sample_largest"] == pytest.approx(100 / 100.99) and row["changed"] == 0.01


def test_where_a_spike_grazes_its_threshold_there_is_nothing_to_compare():
    nothing = {"squared_norm": np.nan, "squared_norms_of_samples": np.full(2, np.nan), "length": 1.0}
    shape = (len(DISTANCES), 2)
    nothing |= {"squared_differences": np.full(len(DISTANCES), np.nan), "changed": np.ones(shape, bool)}
    row = variance_by_distance([nothing | {"squared_differences_of_samples": np.full(shape, np.nan)}])[0]
    assert row["relative"] is row["sample_median"] is row["sample_trimmed"] is row["sample_largest"] is None


def test_slopes_that_disagree_are_counted_where_they_can_be_told():
    slopes = np.array([[1.0, 1.0, 0.0, np.nan]])
    differences = np.array([[[1.05, 2.0, 1e-9, 1.0]]])
    assert disagreeing(slopes, differences) == [0.5]
    assert disagreeing(slopes[:, 2:3], differences[:, :, 2:3]) == [None]


def test_jumps_are_counted_by_where_they_come_from():
    changes = pd.DataFrame(
        {
            "kind": ["inside", "inside", "at the end", "unresolved"],
            "jump": [0.5, 0.0, -0.25, 1.0],
            "silenced": [1, 0, 0, 0],
        }
    )
    found = jump_measures(changes, variation=2.0, length=4.0)
    assert (found["changes_inside_trial"], found["jumps_inside_trial"], found["jumps_at_end"]) == (2, 1, 1)
    assert (found["jumps_unresolved"], found["unresolved_share_of_variation"]) == (1, 0.5)
    assert (found["jump_share_of_variation"], found["jumps_per_unit_length"]) == (0.375, 0.5)
    assert found["neurons_silenced"] == 1


def test_a_share_has_its_error():
    assert share_with_error(2, 8) == (0.25, pytest.approx(np.sqrt(0.25 * 0.75 / 8)))
