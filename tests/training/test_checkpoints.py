import numpy as np
import pytest

from brian_qif.training.checkpoints import read_checkpoint, write_checkpoint
from tests.training.test_damaged_files import damaged


def test_everything_comes_back_to_the_last_bit(tmp_path):
    arrays = {"values": np.random.default_rng(0).standard_normal(7), "steps": np.array(3)}
    description = {"epoch": 2, "loss": [0.1 + 0.2, 1e-300], "random_state": {"state": 2**127 + 1}}
    write_checkpoint(tmp_path / "a.npz", arrays, description)
    read_arrays, read_description = read_checkpoint(tmp_path / "a.npz")
    assert read_description == description
    assert set(read_arrays) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read_arrays[name], array)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut short"])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="a.npz' is not a checkpoint of a training"):
        read_checkpoint(path)


def test_random_damage_is_refused_in_words(tmp_path):
    path, generator = tmp_path / "a.npz", np.random.default_rng(0)
    write_checkpoint(path, {"values": generator.standard_normal(30)}, {"epoch": 1})
    content, refused = path.read_bytes(), 0
    for _ in range(300):
        path.write_bytes(damaged(content, generator))
        try:
            read_checkpoint(path)
        except ValueError as error:
            assert "a.npz' is not a checkpoint of a training: " in str(error)
            refused += 1
    assert 200 < refused < 300


def test_an_array_alone_is_refused(tmp_path):
    with open(tmp_path / "a.npz", "wb") as file:
        np.save(file, np.ones(2))
    with pytest.raises(ValueError, match="is not a checkpoint of a training: it is no npz file, or was cut short"):
        read_checkpoint(tmp_path / "a.npz")


@pytest.mark.parametrize("text", ["3", "[1, 2]", "null", '"x"', "{"])
def test_a_description_is_an_object(tmp_path, text):
    np.savez(tmp_path / "a.npz", description=np.array(text))
    with pytest.raises(ValueError, match="a.npz' is not a checkpoint of a training: (its description is|Expect)"):
        read_checkpoint(tmp_path / "a.npz")


def test_an_npz_without_description_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", values=np.ones(2))
    with pytest.raises(ValueError, match="is not a checkpoint"):
        read_checkpoint(tmp_path / "a.npz")


def test_pickled_objects_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", description=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="is not a checkpoint"):
        read_checkpoint(tmp_path / "a.npz")
