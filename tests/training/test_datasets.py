import os

import h5py
import numpy as np
import pytest
from brian2 import second

from brian_qif.training.datasets import SpikeDataset
from tests.training.spike_files import write_spike_file

TIMES = [[0.25, 0.125, 0.125], [0.5], []]
UNITS = [[2, 4, 3], [0], []]
LABELS = [0, 2, 1]


@pytest.fixture
def path(tmp_path):
    return write_spike_file(tmp_path / "words.h5", TIMES, UNITS, LABELS, speakers=[5, 6, 5])


def changed(tmp_path, **changes):
    contents = {"times": TIMES, "units": UNITS, "labels": LABELS, **changes}
    return write_spike_file(tmp_path / "words.h5", **contents)


def test_samples_are_sorted_by_time_and_simultaneous_spikes_by_unit(path):
    dataset = SpikeDataset(path)
    sample = dataset[0]
    np.testing.assert_array_equal(sample.times, [0.125, 0.125, 0.25])
    np.testing.assert_array_equal(sample.units, [3, 4, 2])
    assert sample.times.dtype == np.float64
    assert sample.units.dtype.kind == "i"
    assert (sample.label, sample.speaker) == (0, 5)
    assert len(dataset[2].times) == 0


def test_sizes_are_found(path):
    dataset = SpikeDataset(path)
    assert (len(dataset), dataset.n_units, dataset.n_classes) == (3, 5, 3)
    assert dataset.class_names == ("zero", "one", "two")
    assert dataset.duration == 0.5 * second
    assert repr(dataset) == "<SpikeDataset 'words.h5': 3 samples, 5 units, 3 classes, 2 speakers>"


def test_sizes_may_be_given(path):
    dataset = SpikeDataset(path, n_units=700, n_classes=10)
    assert (dataset.n_units, dataset.n_classes) == (700, 10)


def test_half_precision_is_widened_exactly(tmp_path):
    time = np.float16(0.1)
    dataset = SpikeDataset(write_spike_file(tmp_path / "a.h5", [[time]], [[0]], [0]))
    assert dataset[0].times[0] == float(time)
    assert dataset[0].times[0] != 0.1


def test_selection_by_position_and_speaker(path):
    dataset = SpikeDataset(path)
    part = dataset.select([2, 1])
    np.testing.assert_array_equal(part.labels, [1, 2])
    np.testing.assert_array_equal(dataset.select(speakers=[5]).labels, [0, 1])
    assert part.select([1])[0].times[0] == 0.5
    with pytest.raises(ValueError, match="No sample of '.*' is left by this selection"):
        dataset.select(speakers=[9])
    with pytest.raises(IndexError):
        dataset.select([3])
    with pytest.raises(IndexError):
        dataset[3]


def test_samples_that_were_read_survive_closing(path):
    with SpikeDataset(path) as dataset:
        first = dataset[0]
    np.testing.assert_array_equal(dataset[0].times, first.times)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file '.*none.h5'"):
        SpikeDataset(tmp_path / "none.h5")


@pytest.mark.parametrize("content", [b"", b"spikes, labels\n1, 2\n"])
def test_a_file_that_is_not_hdf5(tmp_path, content):
    file = tmp_path / "words.h5"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="words.h5' is not an HDF5 file"):
        SpikeDataset(file)


def test_a_folder(tmp_path):
    with pytest.raises(ValueError, match="is a folder, not an HDF5 file"):
        SpikeDataset(tmp_path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_file(path, share):
    os.truncate(path, int(share * path.stat().st_size))
    with pytest.raises(ValueError, match="words.h5' is damaged or cut short"):
        SpikeDataset(path)


def test_overwritten_bytes_are_refused_by_name(tmp_path):
    generator = np.random.default_rng(0)
    rows = [np.sort(generator.uniform(0, 1, 2000)) for _ in range(20)]
    file = write_spike_file(tmp_path / "words.h5", rows, [np.zeros(2000, int)] * 20, [0] * 20)
    content = bytearray(file.read_bytes())
    heap = content.index(b"GCOL")
    content[heap : heap + 4] = b"\0\0\0\0"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="of '.*words.h5' cannot be read"):
        SpikeDataset(file)


@pytest.mark.parametrize("key", ["spikes/times", "spikes/units", "labels", "extra/speaker", "extra/keys"])
def test_a_missing_key(tmp_path, key):
    with pytest.raises(ValueError, match=f"words.h5' lacks the key '{key}'"):
        SpikeDataset(changed(tmp_path, omit=key))


def test_a_group_in_place_of_a_data_set(tmp_path):
    file = changed(tmp_path, omit="labels")
    with h5py.File(file, "a") as contents:
        contents.create_group("labels")
    with pytest.raises(ValueError, match="'labels' is not a data set"):
        SpikeDataset(file)


def test_spikes_that_are_not_variable_length(tmp_path):
    file = changed(tmp_path, omit="spikes/times")
    with h5py.File(file, "a") as contents:
        contents["spikes/times"] = np.zeros(3)
    with pytest.raises(ValueError, match="'spikes/times' has to hold one variable-length array per sample"):
        SpikeDataset(file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [0, 2]}, "'labels' has 2 entries but 'spikes/times' has the shape \\(3,\\)"),
        ({"speakers": [1, 2]}, "'labels' has 3 entries but 'extra/speaker' has the shape \\(2,\\)"),
        ({"units": [[2, 4], [0], []]}, "sample 0 has 3 spike times but 2 units"),
        ({"times": [[0.1, 0.2, 0.3], [-0.5], []]}, "sample 1 has a spike at the negative time -0.5 s \\(spike 0\\)"),
        ({"times": [[0.1, np.nan, 0.3], [0.5], []]}, "sample 0 has a spike at the time nan \\(spike 1\\)"),
        ({"times": [[0.1, 0.2, np.inf], [0.5], []]}, "sample 0 has a spike at the time inf \\(spike 2\\)"),
        ({"units": [[2, 4, 3], [-1], []]}, "sample 1 has a spike of unit -1 \\(spike 0\\), but units start at 0"),
        ({"labels": [0, 3, 1]}, "sample 1 has the label 3, but there are 3 classes \\(0 to 2\\)"),
        ({"times": [], "units": [], "labels": []}, "holds no samples"),
        ({"times": [[], [], []], "units": [[], [], []]}, "holds no spikes"),
    ],
)
def test_wrong_contents(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        SpikeDataset(changed(tmp_path, **changes))
    assert "words.h5" in str(caught.value)


def test_a_unit_outside_the_network(path):
    with pytest.raises(ValueError, match="sample 0 has a spike of unit 4 \\(spike 1\\), but the network has 4 inputs"):
        SpikeDataset(path, n_units=4)


def test_a_label_beyond_the_readout(path):
    with pytest.raises(ValueError, match="sample 1 has the label 2, but there are 2 classes"):
        SpikeDataset(path, n_classes=2)


def test_real_recordings(recordings):
    training = SpikeDataset(recordings / "fsdd_train.h5")
    test = SpikeDataset(recordings / "fsdd_test.h5", n_units=training.n_units, n_classes=training.n_classes)
    assert (len(training), training.n_units, training.n_classes) == (1800, 700, 10)
    assert set(test.speakers) - set(training.speakers) == {4}
    assert len(test.select(speakers=set(training.speakers))) == 200


def test_whole_speakers_are_held_out(tmp_path):
    speakers = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    dataset = SpikeDataset(write_spike_file(tmp_path / "a.h5", [[0.1]] * 10, [[0]] * 10, [0] * 10, speakers))
    training, validation = dataset.split()
    assert len(set(validation.speakers)) == 1
    assert not set(validation.speakers) & set(training.speakers)
    assert len(training) + len(validation) == 10
    assert {tuple(set(dataset.split(seed=seed)[1].speakers)) for seed in range(30)} == {(k,) for k in range(5)}
    assert len(dataset.split(0.3, by="sample")[1]) == 3
    assert len(dataset.select(speakers=[2]).split()[1]) == 1
    with pytest.raises(ValueError, match="has to lie between 0 and 1, not be 1.5"):
        dataset.split(1.5)
    with pytest.raises(ValueError, match="by 'speaker' or by 'sample', not by 'word'"):
        dataset.split(by="word")


def test_a_path_is_relative_to_the_folder_of_now(path, tmp_path, monkeypatch):
    SpikeDataset(path).close()  # a helper that looks through files runs from now on
    monkeypatch.chdir(tmp_path)
    with SpikeDataset(path.name) as dataset:
        assert len(dataset) > 0
