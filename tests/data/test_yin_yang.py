"""The Yin-Yang set: areas, symmetry, seeds."""

import numpy as np
import pytest

from brian_qif.data.yin_yang import CLASSES, yin_yang, yin_yang_class


def test_areas_are_those_of_the_formula():
    # Half of the disc each, pi/8, without a dot, pi/100: what one half gives to the other comes back.
    line = (np.arange(1000) + 0.5) / 1000
    places = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    shares = np.bincount(yin_yang_class(places) + 1, minlength=4) / len(places)
    half = np.pi / 8 - np.pi / 100
    # 4e3 of the million cells are on a border, half of them counted on either side.
    np.testing.assert_allclose(shares, [1 - np.pi / 4, half, half, np.pi / 50], atol=5e-4)


def test_a_half_turn_exchanges_yin_and_yang():
    points = np.random.default_rng(0).random((2000, 2))
    turned = np.array([1, 0, 2, -1])[yin_yang_class(1 - points)]
    np.testing.assert_array_equal(yin_yang_class(points), turned)


@pytest.mark.parametrize(
    "point, name",
    [
        ((0.5, 0.95), "yin"),
        ((0.5, 0.05), "yang"),
        ((0.25, 0.35), "yin"),  # the left disc reaches into the lower half
        ((0.75, 0.65), "yang"),
        ((0.25, 0.5), "dot"),
        ((0.75, 0.595), "dot"),
        ((0.25, 0.61), "yin"),
    ],
)
def test_single_places(point, name):
    assert CLASSES[yin_yang_class([point])[0]] == name


def test_points_lie_in_their_class_and_fill_it():
    points, labels = yin_yang(3000, seed=5)
    np.testing.assert_array_equal(yin_yang_class(points), labels)
    # Classes are equally likely: 1000 each, with a standard deviation of 26.
    assert np.all(np.abs(np.bincount(labels) - 1000) < 130)
    # Both dots, evenly: 500 of 1000 with a standard deviation of 16.
    left = np.mean(points[labels == 2, 0] < 0.5)
    assert abs(left - 0.5) < 0.08
    # By symmetry, the mean of all points is the centre; the standard deviation of the mean is below 0.005.
    np.testing.assert_allclose(points.mean(axis=0), 0.5, atol=0.025)


def test_the_seed_decides():
    points, labels = yin_yang(50, seed=7)
    again, more = yin_yang(50, seed=7), yin_yang(80, seed=7)
    np.testing.assert_array_equal(points, again[0])
    np.testing.assert_array_equal(labels, again[1])
    np.testing.assert_array_equal(points, more[0][:50])
    assert not np.array_equal(points, yin_yang(50, seed=8)[0])


def test_no_points():
    points, labels = yin_yang(0, seed=1)
    assert points.shape == (0, 2) and labels.shape == (0,)


def test_refusals():
    with pytest.raises(ValueError, match=r"shape \(n, 2\); an array of shape \(3,\) was given"):
        yin_yang_class([0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="finite coordinates; some are not"):
        yin_yang_class([[np.nan, 0.5]])
    with pytest.raises(ValueError, match="The number of samples"):
        yin_yang(-1, seed=0)
    with pytest.raises(ValueError, match="The seed"):
        yin_yang(3, seed=-1)
