"""Numbers as spike times."""

import numpy as np
import pytest
from brian2 import Hz, ms
from brian2.units.fundamentalunits import DimensionMismatchError

from brian_qif.training.latency import latency_samples


def test_values_become_times():
    first, second = latency_samples([[0.0, 0.5], [1.0, 0.25]], [2, 0], first=10 * ms, last=30 * ms, bias=15 * ms)
    np.testing.assert_allclose(first.times, [0.010, 0.015, 0.020, 0.020, 0.030], rtol=1e-14)
    np.testing.assert_array_equal(first.units, [0, 4, 1, 3, 2])
    np.testing.assert_allclose(second.times, [0.010, 0.015, 0.015, 0.025, 0.030], rtol=1e-14)
    np.testing.assert_array_equal(second.units, [2, 1, 4, 3, 0])
    assert (first.label, second.label) == (2, 0) and first.speaker is None


def test_plain_values():
    (sample,) = latency_samples([[0.5, 0.1, 0.9]], [1], first=0 * ms, last=10 * ms, mirror=False)
    np.testing.assert_allclose(sample.times, [0.001, 0.005, 0.009], rtol=1e-14)
    np.testing.assert_array_equal(sample.units, [1, 0, 2])


@pytest.mark.parametrize(
    "values, labels, first, last, bias, message",
    [
        ([[1.1, 0]], [0], 0 * ms, 5 * ms, None, "between 0 and 1"),
        ([[np.nan, 0]], [0], 0 * ms, 5 * ms, None, "between 0 and 1"),
        ([[0.1, 0]], [0, 1], 0 * ms, 5 * ms, None, "with 2 labels"),
        ([0.1, 0], [0, 1], 0 * ms, 5 * ms, None, r"shape is \(2,\)"),
        ([[0.1, 0]], [0], 5 * ms, 5 * ms, None, "later 'last'"),
        ([[0.1, 0]], [0], -1 * ms, 5 * ms, None, "0 or more"),
        ([[0.1, 0]], [0], 0 * ms, 5 * ms, -1 * ms, "'bias' spike is at a time of 0 or more"),
    ],
)
def test_refusals(values, labels, first, last, bias, message):
    with pytest.raises(ValueError, match=message):
        latency_samples(values, labels, first=first, last=last, bias=bias)


def test_units():
    with pytest.raises(DimensionMismatchError, match="'last' is a time"):
        latency_samples([[0.1, 0]], [0], first=0 * ms, last=5 * Hz)
