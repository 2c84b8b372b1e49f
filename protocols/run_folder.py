"""The folder in which a training leaves its checkpoint, history, summary and picture."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from brian_qif.files import write_atomically, write_json
from brian_qif.protocols.checks import read_object
from brian_qif.training.checkpoints import refuse_other_settings


class RunFolder:
    """The folder of one training run.

    It is looked at before any work: that it can be written, and that it does not hold another run.

    Parameters
    ----------
    path : str or os.PathLike
        The folder; it is made where it is missing.
    resume : bool
        Whether the run in it is to go on.

    Raises
    ------
    OSError
        If it cannot be made or written.
    FileExistsError
        If it holds a run that is not to go on.
    FileNotFoundError
        If it holds no run that could go on.
    """

    def __init__(self, path, resume=False):
        self.path, self.resume = Path(path), resume
        self.settings = self.path / "settings.json"
        self.checkpoint = self.path / "checkpoint.npz"
        self.history = self.path / "history.csv"
        self.summary = self.path / "summary.json"
        self.curves = self.path / "curves.png"
        if self.path.exists() and not self.path.is_dir():
            raise NotADirectoryError(f"'{self.path}' is a file; the output needs a folder.")
        present = [file.name for file in self._files() if file.exists()]
        if present and not resume:
            raise FileExistsError(
                f"'{self.path}' already holds a run ({', '.join(present)}). Go on with it by --resume, or choose"
                " another folder."
            )
        if resume and not self.settings.exists():
            raise FileNotFoundError(f"'{self.path}' holds no run to go on with; start one without --resume.")
        self._refuse_unwritable()

    def _files(self):
        return self.settings, self.checkpoint, self.history, self.summary, self.curves

    def _refuse_unwritable(self):
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise OSError(f"The output folder '{self.path}' cannot be written: {error.strerror or error}.") from error

    def claim(self, settings):
        """Note down the settings of a new run, or compare them with those of the run that goes on.

        Parameters
        ----------
        settings : dict
            All that decides the outcome; anything that JSON can hold.

        Raises
        ------
        ValueError
            If the run that goes on had other settings; the message names them.
        FileExistsError
            If another run took the folder meanwhile.
        """
        text = json.dumps(settings, indent=2)
        if self.resume:
            advice = " Start again in another folder."
            refuse_other_settings(read_object(self.settings, advice), json.loads(text), self.path)
            return
        # A file of its own takes the name when it is whole: who is killed before leaves no settings that are cut short.
        beside = self.path / f"settings.{os.getpid()}.part"
        write_atomically(beside, f"{text}\n".encode())
        try:
            os.link(beside, self.settings)  # which fails where another run has the name already
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            with open(self.settings, "x", encoding="utf-8") as file:
                file.write(f"{text}\n")
        finally:
            beside.unlink(missing_ok=True)

    def write_history(self, history):
        """Replace history.csv by the table."""
        write_atomically(self.history, history.to_csv(index=False).encode())

    def write_summary(self, summary):
        """Replace summary.json."""
        write_json(self.summary, summary)


def read_run(path):
    """The summary and the history of a finished run.

    Parameters
    ----------
    path : str or os.PathLike
        Its folder.

    Returns
    -------
    summary : dict
        What summary.json holds.
    history : pandas.DataFrame
        What history.csv holds.

    Raises
    ------
    FileNotFoundError
        If the folder holds no finished run.
    ValueError
        If one of the files is damaged.
    """
    folder = Path(path)
    for name in ("summary.json", "history.csv"):
        if not (folder / name).exists():
            raise FileNotFoundError(f"'{folder}' holds no finished run: {name} is missing.")
    summary = read_object(folder / "summary.json")
    try:
        return summary, pd.read_csv(folder / "history.csv")
    except ValueError as error:
        raise ValueError(f"'{folder / 'history.csv'}' is damaged: {error}.") from error


def digest_of(value):
    """The SHA-256 of numbers, arrays, and what is made of them, whatever the names of groups are.

    Parameters
    ----------
    value : dataclass, mapping, sequence, numpy.ndarray or anything whose representation says all
        A field or an entry ``name`` takes no part: Brian2 names a group by how many there were before.
    """
    digest = hashlib.sha256()

    def add(part):
        if isinstance(part, np.ndarray):
            digest.update(f"{part.shape} {part.dtype.str}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        elif is_dataclass(part):
            add({field.name: getattr(part, field.name) for field in fields(part)})
        elif isinstance(part, Mapping):
            add([entry for name in sorted(part) if name != "name" for entry in (name, part[name])])
        elif isinstance(part, (list, tuple)):
            digest.update(f"{len(part)} parts".encode())
            for one in part:
                add(one)
        else:
            digest.update(repr(part).encode())

    add(value)
    return digest.hexdigest()


def fingerprint(path):
    """The SHA-256 of a file, by which a run knows its data again wherever they lie."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
