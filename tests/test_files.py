import os

import pytest

from brian_qif.files import write_atomically
from brian_qif.plotting.style import new_figure, save_figure


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")

    def fail_half_way(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail_half_way)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize(
    "name, begins", [("a.png", b"\x89PNG"), ("a.PDF", b"%PDF"), ("a.svg", b"<?xml"), ("a", b"\x89PNG")]
)
def test_a_picture_is_of_the_kind_that_its_name_says(tmp_path, name, begins):
    save_figure(new_figure(1, 1), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(begins)
    assert os.listdir(tmp_path) == [name]


def test_a_picture_that_cannot_be_drawn_leaves_the_old_one(tmp_path):
    save_figure(new_figure(1, 1), tmp_path / "a.png")
    old = (tmp_path / "a.png").read_bytes()
    figure = new_figure(1, 1)
    figure.text(0.5, 0.5, "$\\nosuchword$")
    with pytest.raises(ValueError, match="nosuchword"):
        save_figure(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == old
    assert os.listdir(tmp_path) == ["a.png"]
