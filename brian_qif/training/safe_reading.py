"""Files of unknown quality: unpacked where they are packed, and looked through before this process reads them."""

from __future__ import annotations

import atexit
import gzip
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import zlib
from pathlib import Path

PATIENCE = 30.0  # seconds without a sign of life after which reading a file counts as endless

_GZIP = b"\x1f\x8b"


def look_through(path, n_units=None, n_classes=None, labelled=True):
    """What a file of spike trains holds, found by another process.

    Files that are damaged can crash the HDF5 library, hang it, or make it ask for all memory there is. So a helper
    reads every file first, with bounded memory and under watch. It is started once and answers for many files.

    Parameters
    ----------
    path : pathlib.Path
        The HDF5 file.
    n_units, n_classes : int, optional
        The number of input neurons and of classes, where they are known.
    labelled : bool
        Whether labels, speakers and names of classes have to be there.

    Returns
    -------
    dict
        See `brian_qif.training.spike_check.look_through`.

    Raises
    ------
    ValueError
        If anything is wrong with the file.
    """
    # The helper keeps the folder in which it was started.
    request = {"path": os.path.abspath(path), "n_units": n_units, "n_classes": n_classes, "labelled": labelled}
    answer = _helper.ask(request)
    if "wrong" in answer:
        raise ValueError(answer["wrong"])
    return answer["found"]


def unpacked(path):
    """A file as it is, or unpacked into a temporary one.

    Parameters
    ----------
    path : pathlib.Path
        The file; it is packed if it begins like a file of gzip, whatever its name.

    Returns
    -------
    path : pathlib.Path
        The file to be read.
    remove : callable
        To be called when the file is not needed any more.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is a folder, or cannot be unpacked.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no file '{path}'.")
    if path.is_dir():
        raise ValueError(f"'{path}' is a folder, not an HDF5 file.")
    with open(path, "rb") as file:
        if file.read(2) != _GZIP:
            return path, lambda: None
    folder = Path(tempfile.mkdtemp(prefix="brian_qif_"))

    def remove():
        atexit.unregister(remove)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    try:
        with gzip.open(path) as source, open(folder / path.stem, "wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        remove()
        raise ValueError(f"'{path}' cannot be unpacked: {error}.") from error
    except BaseException:
        remove()
        raise
    return folder / path.stem, remove


class _Helper:
    """A process that looks through files; another one takes its place when it crashes or hangs."""

    def __init__(self):
        self._process, self._lines, self._lock = None, None, threading.Lock()

    def ask(self, request):
        """The helper's answer; a crash or a hang is an answer too."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            try:
                self._process.stdin.write(json.dumps(request) + "\n")
                self._process.stdin.flush()
                while (line := self._lines.get(timeout=PATIENCE)) == ".\n":
                    pass
            except queue.Empty:
                self._stop()
                return {"wrong": f"'{request['path']}' is damaged: reading it comes to no end."}
            except BaseException:
                self._stop()
                raise
            if not line:
                self._stop()
                return {"wrong": f"'{request['path']}' is damaged so badly that the HDF5 library crashes on it."}
            return json.loads(line)

    def _start(self):
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("spike_check.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for this process
        )
        self._lines = queue.Queue()
        threading.Thread(target=_pass_on, args=(self._process.stdout, self._lines), daemon=True).start()

    def _stop(self):
        self._process.kill()
        self._process.communicate()
        self._process = None


def _pass_on(stream, lines):
    for line in stream:
        lines.put(line)
    lines.put("")


_helper = _Helper()
