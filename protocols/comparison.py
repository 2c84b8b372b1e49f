"""Draw several finished trainings into one picture and list their outcomes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from brian_qif.plotting.style import refuse_other_pictures
from brian_qif.plotting.trainings import draw_comparison
from brian_qif.protocols.checks import several
from brian_qif.protocols.run_folder import read_run

_COLUMNS = ("neuron", "hidden", "seed", "epochs", "train_accuracy", "test_accuracy", "seconds")


def compare_runs(folders, out):
    """Compare trainings.

    Parameters
    ----------
    folders : list of str or os.PathLike
        Folders of finished runs.
    out : str or os.PathLike
        The picture, in a format that matplotlib knows by its ending. Its folder is made where it is missing.

    Returns
    -------
    pandas.DataFrame
        One row per run.

    Raises
    ------
    TypeError
        If the folders are no list.
    FileNotFoundError
        If a folder holds no finished run.
    ValueError
        If there is no folder, one holds another study, or matplotlib writes no such pictures.
    """
    runs = [_finished(folder) for folder in several("folders", folders, "folders of finished runs")]
    if not runs:
        raise ValueError("At least one folder of a finished run is needed; an empty list was given.")
    refuse_other_pictures(out)
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    draw_comparison([(_name(summary), summary, history) for summary, history in runs], out)
    rows = [
        {
            **{name: summary[name] for name in _COLUMNS},
            "known speakers": summary["test_accuracy_known_speakers"],
            "unknown speakers": summary["test_accuracy_unknown_speakers"],
        }
        for summary, _ in runs
    ]
    return pd.DataFrame(rows)


def _finished(folder):
    """The summary and the history of a training; another study is refused."""
    summary, history = read_run(folder)
    speakers = [f"test_accuracy_{which}_speakers" for which in ("known", "unknown")]
    missing = [name for name in (*_COLUMNS, *speakers) if name not in summary]
    missing += [name for name in ("epoch", "loss", "accuracy") if name not in history]
    if missing:
        raise ValueError(f"'{folder}' is not of a run of 'brian-qif train': {', '.join(missing)} is missing.")
    return summary, history


def _name(summary):
    return f"{summary['neuron'].upper()}, {summary['hidden']} hidden, seed {summary['seed']}"


def add_arguments(parser):
    """Give a parser the arguments of ``brian-qif compare``."""
    parser.add_argument("folders", nargs="+", metavar="RUN_DIR", help="folder of a finished training")
    parser.add_argument("--out", default="comparison.png", metavar="FILE", help="the picture (default: %(default)s)")


def run(arguments):
    """Carry out ``brian-qif compare``; the table to show."""
    table = compare_runs(arguments.folders, arguments.out)
    return f"{table.to_string(index=False, float_format='{:.3f}'.format)}\nDrawn into '{arguments.out}'."
