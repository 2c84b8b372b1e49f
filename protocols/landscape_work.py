"""The work of a landscape study: pieces spread over cores or machines, each kept as soon as it is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from brian_qif.files import write_atomically
from brian_qif.protocols.landscape_subject import Subject
from brian_qif.protocols.parallel import backend


def compute_pieces(tasks, folder, threads=None, scheduler=None, progress=None):
    """Compute pieces that are not there yet.

    Parameters
    ----------
    tasks : list of (Subject, piece)
        A piece has a ``name`` and computes arrays by ``compute(subject)``; the same task gives the same bits anywhere.
    folder : pathlib.Path
        Each subject has a folder in it, by its label, with a file for each piece.
    threads : int, optional
        Pieces computed at a time, by default one per core.
    scheduler : str, optional
        The address of a Dask scheduler, whose workers compute instead; they need this package, not the files.
    progress : Progress, optional
        Where it is said how far the study is.

    Raises
    ------
    ImportError
        If a scheduler is named and dask.distributed is not installed.
    OSError
        If the scheduler is not reached, or a file cannot be written.
    """
    missing = [(subject, piece) for subject, piece in tasks if not piece_file(folder, subject, piece).exists()]
    if progress is not None:
        progress.line(f"{len(tasks)} pieces, {len(tasks) - len(missing)} of them kept from before.")
        progress.start()
    if not missing:
        return
    for subject in {subject.label for subject, _ in missing}:
        (folder / subject).mkdir(parents=True, exist_ok=True)
    with backend(threads or -1, scheduler):
        workers = Parallel(return_as="generator_unordered", batch_size=1)
        computed = workers(delayed(_compute)(subject, piece, k) for k, (subject, piece) in enumerate(missing))
        for done, (number, arrays) in enumerate(computed, start=1):
            subject, piece = missing[number]
            path = piece_file(folder, subject, piece)
            write_atomically(path, lambda file, arrays=arrays: np.savez(file, **arrays))
            if progress is not None:
                text = f"{subject.label}, {piece.name.replace('_', ' ')}: {done} of {len(missing)}"
                progress.update(text, done / len(missing))


def _compute(subject: Subject, piece, number: int):
    return number, piece.compute(subject)


def piece_file(folder, subject, piece) -> Path:
    """Where a piece is kept."""
    return Path(folder) / subject.label / f"{piece.name}.npz"


def read_piece(folder, subject, piece) -> dict[str, np.ndarray]:
    """The arrays of a piece that was computed."""
    with np.load(piece_file(folder, subject, piece), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
