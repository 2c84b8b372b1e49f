"""What is kept on disk: no pickles, a full disk that loses nothing, and two processes that compile at once."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from brian_qif.codegen import compiler
from brian_qif.training.checkpoints import read_checkpoint, write_checkpoint

ROOT = Path(__file__).parent.parent
PICKLES = re.compile(
    r"^\s*(import|from)\s+(pickle|cPickle|dill|shelve)\b|\bjoblib\b.*\b(dump|load)\b"
    r"|allow_pickle\s*=\s*True|_pickle\(",
    re.M,
)


def test_nothing_is_pickled():
    sources = [path for folder in ("brian_qif", "models", "protocols") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 100
    assert [path.name for path in sources if PICKLES.search(path.read_text(encoding="utf-8"))] == []
    assert PICKLES.search("import pickle") and PICKLES.search("np.load(file, allow_pickle=True)")


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    file = tmp_path / "run.npz"
    write_checkpoint(file, {"value_0": np.arange(3.0)}, {"epoch": 1})

    def full(out, **arrays):
        out.write(b"the beginning of an archive")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left on device"):
        write_checkpoint(file, {"value_0": np.zeros(3)}, {"epoch": 2})
    arrays, description = read_checkpoint(file)
    np.testing.assert_array_equal(arrays["value_0"], np.arange(3.0))
    assert description["epoch"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_cache_that_cannot_be_written_says_so(tmp_path, monkeypatch, number):
    def refuse(self, *arguments, **keywords):
        raise OSError(number, os.strerror(number))

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(Path, "write_text", refuse)
    expected = f"Compiled code cannot be kept in .*{os.strerror(number)}.* Choose another folder by prefs"
    with pytest.raises(compiler.CompilerError, match=expected):
        compiler.load_library('extern "C" int nothing() { return 0; }')
    assert list(tmp_path.rglob("*.so")) == []


def test_two_processes_may_compile_at_once(tmp_path):
    code = (
        "from brian_qif.codegen.compiler import load_library;"
        "print(load_library('extern \"C\" int answer() { return 42; }').answer())"
    )
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    both = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0].strip() for process in both] == ["42", "42"]
    assert len(list(tmp_path.rglob("*.so"))) == 1
    assert [path for path in (tmp_path / "brian_qif").iterdir() if path.suffix != ".so"] == []
