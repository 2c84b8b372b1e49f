"""Files whose bytes were changed at random: an error with words each time, no crash, no hang, no flood of memory."""

import gzip
import subprocess
import sys

import h5py
import numpy as np
import pytest

from brian_qif.data.spike_file import write_spike_file as write_chunked
from brian_qif.training import safe_reading
from brian_qif.training.datasets import SpikeDataset
from tests.training.spike_files import pattern_samples, write_pattern_file, write_spike_file


def contents(tmp_path, layout):
    path = tmp_path / "whole.h5"
    if layout == "as published":
        return write_pattern_file(path, 0, 20).read_bytes()
    times, units, labels = pattern_samples(np.random.default_rng(0), 20)
    samples = [(*sample, 0) for sample in zip(times, units, labels, strict=True)]
    write_chunked(path, samples, ["a", "b", "c"], 12, "made for a test")
    return path.read_bytes()


def damaged(content, generator):
    content = bytearray(content)
    for _ in range(int(generator.integers(1, 5))):
        width = int(generator.choice([1, 2, 4, 8]))
        place = int(generator.integers(len(content) - width))
        old = int.from_bytes(content[place : place + width], "little")
        turned = (old ^ 1 << int(generator.integers(8 * width))).to_bytes(width, "little")
        choices = (b"\xff" * width, bytes(width), generator.bytes(width), turned)
        content[place : place + width] = choices[int(generator.integers(4))]
    return content[: int(generator.integers(len(content)))] if generator.random() < 0.1 else content


@pytest.mark.parametrize("layout", ["as published", "chunked"])
def test_random_damage(tmp_path, monkeypatch, layout):
    monkeypatch.setattr(safe_reading, "PATIENCE", 2.0)
    content, generator, refused = contents(tmp_path, layout), np.random.default_rng(1), 0
    for number in range(120):
        path = tmp_path / f"{number}.h5"
        path.write_bytes(damaged(content, generator))
        try:
            with SpikeDataset(path) as dataset:
                spikes = [dataset[index].times for index in range(len(dataset))]
                assert all(np.isfinite(times).all() for times in spikes)
        except ValueError as error:
            assert f"{number}.h5'" in str(error)
            refused += 1
    assert 20 < refused < 120


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("import os, sys; sys.stdin.readline(); os.abort()", "is damaged so badly that the HDF5 library crashes on it"),
        ("import time; time.sleep(60)", "is damaged: reading it comes to no end"),
    ],
)
def test_a_crash_and_a_hang_of_the_library(tmp_path, monkeypatch, answer, message):
    helper = safe_reading._Helper()
    monkeypatch.setattr(safe_reading, "_helper", helper)
    monkeypatch.setattr(safe_reading, "PATIENCE", 0.5)
    popen = subprocess.Popen

    def start(command, **options):
        return popen([sys.executable, "-c", answer], **options)

    path = write_pattern_file(tmp_path / "words.h5", 0, 20)
    monkeypatch.setattr(subprocess, "Popen", start)
    with pytest.raises(ValueError, match=f"words.h5' {message}"):
        SpikeDataset(path)
    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setattr(safe_reading, "PATIENCE", 30.0)
    assert len(SpikeDataset(path)) == 20


def test_an_absurd_length_is_refused_without_the_memory(tmp_path):
    """The length of the first sample's times is a number of four bytes in front of where they are."""
    path = write_spike_file(tmp_path / "words.h5", [[0.1, 0.2, 0.3]], [[1, 2, 3]], [0])
    with h5py.File(path) as file:
        place = file["spikes/times"].id.get_offset()
    content = bytearray(path.read_bytes())
    assert content[place : place + 4] == b"\3\0\0\0"
    content[place : place + 4] = b"\xff\xff\xff\x7f"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="words.h5'"):
        SpikeDataset(path)


@pytest.mark.parametrize("key", ["labels", "extra/speaker"])
def test_text_in_place_of_numbers(tmp_path, key):
    path = write_spike_file(tmp_path / "words.h5", [[0.1]], [[1]], [0], omit=key)
    with h5py.File(path, "a") as file:
        file[key] = np.array([b"zero"])
    with pytest.raises(ValueError, match=f"'{key}' has to hold integers, not"):
        SpikeDataset(path)


def test_text_in_place_of_times(tmp_path):
    path = write_spike_file(tmp_path / "words.h5", [[0.1]], [[1]], [0], omit="spikes/times")
    with h5py.File(path, "a") as file:
        file.create_dataset("spikes/times", (1,), dtype=h5py.vlen_dtype(np.int32))
    with pytest.raises(ValueError, match="times have to be floating-point numbers and units integers"):
        SpikeDataset(path)


def test_a_packed_file(tmp_path):
    path = write_pattern_file(tmp_path / "words.h5", 0, 20)
    packed = tmp_path / "words.h5.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with SpikeDataset(packed) as dataset, SpikeDataset(path) as plain:
        np.testing.assert_array_equal(dataset[3].times, plain[3].times)
        temporary = dataset._file.filename
        assert repr(dataset).startswith("<SpikeDataset 'words.h5.gz': 20 samples")
    with pytest.raises(FileNotFoundError):
        open(temporary, "rb")
    packed.write_bytes(packed.read_bytes()[:200])
    with pytest.raises(ValueError, match="words.h5.gz' cannot be unpacked"):
        SpikeDataset(packed)


def test_memory_is_bounded(tmp_path):
    path = write_pattern_file(tmp_path / "words.h5", 0, 20)
    whole, little = SpikeDataset(path), SpikeDataset(path, memory=2000)
    for index in [*range(20), *range(20)]:
        np.testing.assert_array_equal(whole[index].times, little[index].times)
    assert len(whole._kept._samples) == 20
    assert 0 < len(little._kept._samples) < 5
    assert little._kept._used <= 2000
