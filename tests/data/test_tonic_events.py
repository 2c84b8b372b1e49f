import numpy as np
import pytest

from brian_qif.data.tonic_events import convert_tonic
from brian_qif.training.datasets import SpikeDataset


class Camera(list):
    """Like a data set of tonic: pairs of events and label, with the size of the sensor."""

    sensor_size = (4, 3, 2)
    classes = ("left", "right")


def events(*rows, fields=("t", "x", "y", "p")):
    return np.array(list(rows), dtype=[(name, np.int64) for name in fields])


def test_a_camera(tmp_path):
    dataset = Camera([(events((1000, 1, 2, 1), (2500, 3, 0, 0)), 1), (events((5, 0, 0, 0)), 0)])
    assert convert_tonic(dataset, tmp_path / "a.h5", speakers=[3, 4]) == 2
    converted = SpikeDataset(tmp_path / "a.h5", n_units=24)
    np.testing.assert_allclose(converted[0].times, [1e-3, 2.5e-3], rtol=1e-6)
    np.testing.assert_array_equal(converted[0].units, [(1 * 3 + 2) * 4 + 1, 3])
    assert converted.class_names == ("left", "right")
    assert list(converted.labels) == [1, 0]
    assert list(converted.speakers) == [3, 4]
    assert converted.source == "tonic: Camera"


def test_a_cochlea_with_many_units(tmp_path):
    dataset = [(events((7, 69_999), fields=("t", "x")), 2)]
    assert convert_tonic(dataset, tmp_path / "a.h5", sensor_size=(70_000, 1, 1)) == 1
    converted = SpikeDataset(tmp_path / "a.h5")
    assert converted[0].units[0] == 69_999
    assert converted.n_classes == 3


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Camera([(events((1, 9, 0, 0)), 0)]), "Sample 0 has an event with 'x' outside 0 to 3"),
        (Camera([(events((1, 0), fields=("t", "p")), 0)]), "they need 't' and 'x'"),
        (Camera([(events((1, 0, 0, 0)), "left")]), "has the label 'left', which is no number"),
        (Camera([(events((1, 0, 0, 0)), 2)]), "There is the label 2, but 'class_names' has 2 names"),
        ([(events((1, 0, 0, 0)), 0)], "'sensor_size' has to be width, height and number of polarities, not None"),
    ],
)
def test_what_does_not_fit(tmp_path, dataset, message):
    with pytest.raises(ValueError, match=message):
        convert_tonic(dataset, tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []
