"""Draw the loss landscape around one or two trained networks, and locate its jumps along lines."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd

from brian_qif.files import write_atomically, write_json
from brian_qif.protocols.checks import plain_numbers, refuse_below, refuse_unless_positive, refuse_unless_whole
from brian_qif.protocols.data_choice import SYNTHETIC
from brian_qif.protocols.directions import NORMALISATIONS
from brian_qif.protocols.landscape_findings import (
    Plan,
    gather,
    grid_table,
    line_table,
    measures,
    plan_settings,
    ratios,
    sample_table,
    statement,
)
from brian_qif.protocols.landscape_report import draw_all, write_report
from brian_qif.protocols.landscape_subject import read_subjects
from brian_qif.protocols.landscape_work import compute_pieces
from brian_qif.protocols.parallel import claim_folder
from brian_qif.protocols.study_report import versions_of
from brian_qif.training.progress import Progress

# Wenig, Memmesheimer & Klos, arXiv:2606.03935: gradient variance between neighbouring points, LIF over QIF.
PUBLISHED_RATIO = 3.4


def landscape(
    run,
    other=None,
    test=None,
    out=None,
    grid=51,
    samples=64,
    pick=None,
    extent=1.0,
    lines=4,
    line_extent=0.1,
    line_points=51,
    directions=32,
    cells=24,
    pairs=24,
    normalise="neuron",
    dtype="float32",
    seed=0,
    threads=None,
    scheduler=None,
    report=None,
):
    """Look at the loss around a network: on a plane, along lines, and at its jumps.

    What is finished is kept: interrupted, the same call goes on where it stopped, to the same bits.

    Parameters
    ----------
    run : str or os.PathLike
        The folder of a run of ``brian-qif train``. It need not be finished.
    other : str or os.PathLike, optional
        That of another, with the same parameters, for the same directions and samples side by side.
    test : str or os.PathLike, optional
        The HDF5 file that the samples are from; by default the digits of the package, where the run was tested on
        these.
    out : str or os.PathLike, optional
        The folder, by default ``landscape`` in the folder of the run.
    grid : int
        Points along a side of the plane, odd, so that the network itself is one.
    samples : int or 'all'
        How many samples are drawn at random.
    pick : list of int, optional
        The numbers of the samples instead, for single ones.
    extent : float
        How far the plane and the lines reach from the network, in steps of which 1 is a whole direction.
    lines : int
        The number of random lines.
    line_extent, line_points : float, int
        How far the exact scan reaches on each line, with one sample, and the points of its first look.
    directions : int
        Random directions along which the gradient is compared with finite differences.
    cells : int
        Cells of the grid, drawn at random with a sample each, whose diagonals are searched for jumps.
    pairs : int
        Points of the plane, drawn at random, whose gradients are compared with those of neighbours.
    normalise : 'neuron' or 'none'
        See `random_direction`.
    dtype : 'float32' or 'float64'
        The precision on the grid and on lines of the mean loss. Exact scans and checks are in double precision.
    seed : int
        Decides directions, samples and cells.
    threads : int, optional
        Processes on this machine, by default one per core.
    scheduler : str, optional
        The address of a Dask scheduler, whose workers compute instead.
    report : None, 'text', 'stderr' or callable
        Where progress is reported.

    Returns
    -------
    dict
        What summary.json holds.

    Raises
    ------
    ImportError
        If a scheduler is named and dask.distributed is not installed.
    OSError
        If a folder or a file is missing or cannot be written.
    ValueError
        If a run, the file or a setting is wrong, or the folder holds another study.
    FloatingPointError
        If a loss is not finite.

    References
    ----------
    Li, Xu, Taylor, Studer & Goldstein (2018), Visualizing the loss landscape of neural nets, arXiv:1712.09913

    Examples
    --------
    >>> from brian_qif.protocols.loss_landscape import landscape
    >>> summary = landscape(
    ...     "results/qif", test="digits_test.h5", out="landscape", grid=3, samples=1, lines=1, directions=1, cells=1
    ... )
    >>> list(summary["networks"])
    ['QIF']
    """
    for name, reach in (("extent", extent), ("line_extent", line_extent)):
        refuse_unless_positive(f"'{name}' has", reach)
    plan = Plan(grid, float(extent), lines, float(line_extent), line_points, directions, cells, pairs, dtype)
    _check(plan, normalise, threads, seed)
    whole = ("grid", "lines", "line_points", "directions", "cells", "pairs")
    *numbers, seed = plain_numbers(*(getattr(plan, name) for name in whole), seed)
    plan = replace(plan, **dict(zip(whole, numbers, strict=True)))
    runs = [run] if other is None else [run, other]
    subjects, data = read_subjects(runs, test, samples, pick, seed, normalise)
    settings = {
        **plan_settings(plan),
        "every": plan.every,
        "seed": seed,
        "normalise": normalise,
        "networks": {subject.label: subject.key for subject in subjects},
        "data": data["fingerprint"],
        "samples": data["samples"],
    }
    folder = claim_folder(Path(run) / "landscape" if out is None else out, settings)
    progress = Progress(report)
    if data["synthetic"]:
        progress.line(SYNTHETIC)
    tasks = [(subject, piece) for subject in subjects for piece in plan.pieces(subject)]
    began = time.perf_counter()
    compute_pieces(tasks, folder / "pieces", threads, scheduler, progress)
    progress.line(f"All pieces are there after {time.perf_counter() - began:.0f} s; tables and pictures.")
    found = [gather(subject, plan, folder / "pieces") for subject in subjects]
    return _write(found, folder, settings, data)


def _check(plan, normalise, threads, seed):
    """Refuse what makes no sense before anything is read."""
    refuse_unless_whole("grid", plan.grid)
    if plan.grid < 3 or plan.grid % 2 == 0:
        raise ValueError(
            f"'grid' has to be odd and at least 3, so that the network itself is a point, not {plan.grid};"
            f" {max(3, plan.grid + 1)} is the next."
        )
    least = {"lines": 0, "line_points": 11, "directions": 0, "cells": 0, "pairs": 1}
    numbers = {name: getattr(plan, name) for name in least} | {"threads": threads, "seed": seed}
    for name, value in numbers.items():
        refuse_below((least | {"threads": 1, "seed": 0})[name], name, value, optional=name == "threads")
    if normalise not in NORMALISATIONS:
        raise ValueError(f"A direction is normalised by {' or '.join(NORMALISATIONS)}, not by {normalise!r}.")
    if plan.dtype not in ("float32", "float64"):
        raise ValueError(f"'dtype' is float32 or float64, not {plan.dtype!r}.")


def _write(found, folder, settings, data):
    """Tables, measures, pictures and the report."""
    summary = {
        "networks": {one.subject.label: measures(one) for one in found},
        "settings": settings,
        "data": {name: data[name] for name in ("file", "source", "synthetic", "samples")},
        "versions": versions_of("joblib"),
    }
    summary["statements"] = [statement(label, own) for label, own in summary["networks"].items()]
    if len(found) == 2:
        summary["ratios"] = {"of": [one.subject.label for one in found], **ratios(*summary["networks"].values())}
        summary["published_gradient_variance_ratio"] = PUBLISHED_RATIO
    tables = {
        "grid.csv": pd.concat([grid_table(one) for one in found]),
        "lines.csv": pd.concat([line_table(one) for one in found]),
        "samples.csv.gz": pd.concat([sample_table(one) for one in found]),
        "changes.csv": pd.concat([one.changes for one in found], ignore_index=True),
    }
    for name, table in tables.items():
        packed = {"method": "gzip", "mtime": 1, "compresslevel": 4} if name.endswith("gz") else None
        write_atomically(
            folder / name, lambda file, own=table, how=packed: own.to_csv(file, index=False, compression=how)
        )
    pictures = draw_all(found, folder, data)
    summary["files"] = [*tables, "summary.json", "report.html", *[path.name for _, path in pictures]]
    write_json(folder / "summary.json", summary)
    write_report(folder / "report.html", summary, pictures, tables["changes.csv"])
    return summary


def add_arguments(parser):
    """Give a parser the arguments of ``brian-qif landscape``."""
    parser.add_argument("run", metavar="RUN_DIR", help="folder of a training")
    parser.add_argument(
        "other", nargs="?", metavar="RUN_DIR2", help="folder of another, shown beside it with the same directions"
    )
    parser.add_argument(
        "--test",
        metavar="FILE",
        help="HDF5 file of the samples (default: the digits of the package, if tested on them)",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="folder; what is finished in it is kept (default: RUN_DIR/landscape)"
    )
    numbers = (
        ("--grid", int, 51, "points along a side of the plane, odd"),
        ("--extent", float, 1.0, "how far the plane and the lines reach; a step of 1 is as large as the weights"),
        ("--lines", int, 4, "random lines"),
        ("--line-extent", float, 0.1, "how far the exact scan reaches on each line, with one sample"),
        ("--line-points", int, 51, "points of the first look of the exact scan"),
        ("--directions", int, 32, "random directions in which gradients are compared with finite differences"),
        ("--cells", int, 24, "cells of the grid whose diagonals are searched for jumps"),
        ("--pairs", int, 24, "points of the plane whose gradients are compared with those of neighbours"),
        ("--seed", int, 0, "decides directions, samples and cells"),
    )
    for name, kind, default, text in numbers:
        parser.add_argument(name, type=kind, default=default, metavar="N", help=f"{text} (default: %(default)s)")
    parser.add_argument(
        "--samples",
        type=_samples,
        default=64,
        metavar="N",
        help="samples drawn at random, or all (default: %(default)s)",
    )
    parser.add_argument("--pick", type=int, nargs="+", metavar="K", help="the numbers of the samples instead")
    parser.add_argument(
        "--normalise",
        choices=NORMALISATIONS,
        default="neuron",
        help="whether directions are as large as each neuron's weights (default: %(default)s)",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "float64"),
        default="float32",
        help="precision on the grid; exact scans are in double precision (default: %(default)s)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="processes on this machine (default: one per core)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="Dask scheduler whose workers compute instead")


def _samples(text):
    if text == "all":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of samples, nor 'all'") from None


def run(arguments):
    """Carry out ``brian-qif landscape``; the lines to show at the end."""
    settings = {name: value for name, value in vars(arguments).items() if name != "command"}
    summary = landscape(**settings, report="text")
    out = Path(arguments.run) / "landscape" if arguments.out is None else Path(arguments.out)
    lines = [SYNTHETIC] if summary["data"]["synthetic"] else []
    for label, own in summary["networks"].items():
        lines.append(
            f"{label}: loss {own['loss_at_the_network']:.4g} at the network; local Lipschitz estimate"
            f" {own['lipschitz_median']:.4g} (median), {own['lipschitz_p95']:.4g} (95th percentile)."
        )
    return "\n".join([*lines, *summary["statements"], f"Written into '{out}': {', '.join(summary['files'])}."])
