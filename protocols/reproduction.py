"""Reproduce the comparison of LIF and QIF networks: search, final trainings over several seeds, studies, one report."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from brian_qif.files import write_atomically, write_json
from brian_qif.plotting.trainings import draw_comparison
from brian_qif.protocols.checks import plain_numbers, read_object, refuse_below
from brian_qif.protocols.configuration import configured_recipe
from brian_qif.protocols.data_choice import SYNTHETIC, chosen_files, refuse_other_classes
from brian_qif.protocols.preparation import DIVERGED
from brian_qif.protocols.reproduction_report import SECTIONS, Findings, write_html
from brian_qif.protocols.reproduction_studies import (
    landscape_section,
    perturbation_section,
    run_studies,
    stability_section,
)
from brian_qif.protocols.run_folder import fingerprint, read_run
from brian_qif.protocols.search import search_settings, writable_folder
from brian_qif.protocols.shd_training import train_on_recordings
from brian_qif.training.checkpoints import refuse_other_settings
from brian_qif.training.datasets import SpikeDataset, said_units
from brian_qif.training.progress import Progress

NEURONS = ("lif", "qif")


@dataclass(frozen=True)
class Size:
    """How much is computed. Both models get the same.

    Parameters
    ----------
    hidden : int
        The number of hidden neurons.
    trials, search_epochs : int
        The number of trials of the search, and their length.
    seeds, epochs : int
        The number of final trainings, and their length.
    grid, lines : int
        Points along a side of the plane of the loss landscapes, and lines through it.
    studied_samples : int
        Test samples of the landscapes and of the perturbations.

    Raises
    ------
    TypeError
        If a number is no whole one.
    ValueError
        If it is too small, or the side of the plane not odd.

    Examples
    --------
    >>> from brian_qif.protocols.reproduction import SIZES, Size
    >>> SIZES["smoke"].hidden
    16
    >>> Size(64, trials=10, search_epochs=2, seeds=3, epochs=10, grid=15, lines=1, studied_samples=8).epochs
    10
    """

    hidden: int
    trials: int
    search_epochs: int
    seeds: int
    epochs: int
    grid: int
    lines: int
    studied_samples: int

    def __post_init__(self):
        for name, value in vars(self).items():
            refuse_below({"grid": 3, "lines": 0}.get(name, 1), name, value)
            object.__setattr__(self, name, *plain_numbers(value))
        if self.grid % 2 == 0:
            raise ValueError(f"'grid' has to be odd, so that the network itself is a point, not {self.grid}.")


SIZES = {
    "smoke": Size(16, trials=3, search_epochs=1, seeds=2, epochs=2, grid=5, lines=1, studied_samples=4),
    "laptop": Size(128, trials=30, search_epochs=8, seeds=3, epochs=30, grid=31, lines=4, studied_samples=32),
    "full": Size(256, trials=200, search_epochs=30, seeds=10, epochs=100, grid=101, lines=16, studied_samples=64),
}


def reproduce(train=None, test=None, out=None, size="smoke", threads=None, report=None):
    """Search settings for LIF and for QIF neurons, train with them over several seeds, and write a report.

    What is finished is kept: interrupted, the same call goes on where it stopped.

    Parameters
    ----------
    train, test : str or os.PathLike, optional
        HDF5 files, see `SpikeDataset`; by default the SYNTHETIC digits that come with the package. The search holds out
        a part of the training file; the test file is used after the last epoch of each final training only.
    out : str or os.PathLike, optional
        The folder, by default ``results/reproduction``. It gets report.html, results.csv, runs.csv, comparison.png and
        for each model a folder with the search and the runs.
    size : 'smoke', 'laptop', 'full' or Size
        How much is computed.
    threads : int, optional
        Samples computed at a time, by default the preference ``brian_qif.threads``.
    report : None, 'text', 'stderr' or callable
        Where progress is reported.

    Returns
    -------
    pandas.DataFrame
        What results.csv holds, one row per model.

    Raises
    ------
    ImportError
        If Optuna is not installed.
    OSError
        If the folder cannot be written.
    ValueError
        If a file is wrong, or the folder holds a reproduction of another size or with other data.

    Examples
    --------
    >>> from brian_qif.protocols.reproduction import reproduce
    >>> reproduce(size="large")
    Traceback (most recent call last):
    ...
    ValueError: There is no size 'large'; there are smoke, laptop, full.
    """
    if not isinstance(size, Size) and not (isinstance(size, str) and size in SIZES):
        raise ValueError(f"There is no size '{size}'; there are {', '.join(SIZES)}.")
    refuse_below(1, "threads", threads, optional=True)
    progress = Progress(report)
    chosen = size if isinstance(size, Size) else SIZES[size]
    train, test = chosen_files(train, test)
    with SpikeDataset(train) as training_set, SpikeDataset(test) as test_set:
        refuse_other_classes(training_set, test_set)
        sources = {"train": training_set.source, "test": test_set.source}
        synthetic = training_set.synthetic or test_set.synthetic
    folder = writable_folder("results/reproduction" if out is None else out)
    settings = {**asdict(chosen), "training_data": fingerprint(train), "test_data": fingerprint(test)}
    _claim(folder / "settings.json", settings)
    if synthetic:
        progress.line(SYNTHETIC)
    searches, runs = {}, []
    for neuron in NEURONS:
        progress.line(f"{neuron.upper()}: search, {chosen.trials} trials.")
        searches[neuron] = search_settings(
            train,
            folder / neuron / "search",
            neuron,
            trials=chosen.trials,
            epochs=chosen.search_epochs,
            hidden=chosen.hidden,
            threads=threads,
            report=report,
        )
        for seed in range(chosen.seeds):
            progress.line(f"{neuron.upper()}: final training {seed + 1} of {chosen.seeds}.")
            best = searches[neuron]["best"]
            config = None if best is None else best["recipe"]
            runs.append(_final_run(folder, neuron, seed, chosen, config, (train, test), threads, report))
    table, results = pd.DataFrame(runs), _results(runs, searches)
    write_atomically(folder / "runs.csv", table.to_csv(index=False).encode())
    write_atomically(folder / "results.csv", results.to_csv(index=False).encode())
    _draw_finished(folder, table)
    studies = run_studies(folder, table, (train, test), chosen, searches, report)
    files = (str(train), str(test))
    findings = Findings(folder, files, sources, synthetic, chosen, results, table, searches, studies)
    write_html(findings, [*SECTIONS, landscape_section, perturbation_section, stability_section])
    return results


def _claim(path, settings):
    """Note down what is reproduced, or compare with what was begun here."""
    if path.exists():
        refuse_other_settings(read_object(path, " Choose another folder."), settings, path.parent)
        return
    write_json(path, settings)


def _final_run(folder, neuron, seed, size, config, files, threads, report):
    """One final training as a row; one that is finished, or that diverged, is not made again."""
    place = folder / neuron / f"seed_{seed}"
    inputs = said_units(files[0]) or 700
    row = {"neuron": neuron, "seed": seed, "folder": str(place.relative_to(folder)), "diverged": False}
    diverged = place / "diverged.json"
    if diverged.exists():
        return {**row, **json.loads(diverged.read_text("utf-8"))}
    if (place / "summary.json").exists():
        summary, history = read_run(place)
        wanted = asdict(configured_recipe(config, neuron, inputs=inputs)) | {"epochs": size.epochs, "seed": seed}
        refuse_other_settings({name: summary["settings"].get(name) for name in wanted}, wanted, place)
    else:
        try:
            summary = train_on_recordings(
                *files,
                place,
                neuron,
                hidden=size.hidden,
                epochs=size.epochs,
                config=config,
                seed=seed,
                threads=threads,
                resume=(place / "settings.json").exists(),
                report=report,
            )
        except DIVERGED as error:
            said = {"diverged": True, "reason": str(error)}
            write_json(diverged, said)
            return {**row, **said}
        _, history = read_run(place)
    return {
        **row,
        "accuracy": summary["test_accuracy"],
        "accuracy_known_speakers": summary["test_accuracy_known_speakers"],
        "accuracy_unknown_speakers": summary["test_accuracy_unknown_speakers"],
        "train_accuracy": summary["train_accuracy"],
        "silent_share_hidden": summary["silent_share_hidden"],
        "rate_hidden_hertz": summary["rate_hidden_hertz"],
        "seconds_per_epoch": float(history["seconds"].mean()),
    }


def _results(runs, searches):
    """One row per model: means and standard deviations over its runs that did not diverge."""
    table = pd.DataFrame(runs)
    measured = [
        name
        for name in ("accuracy", "accuracy_known_speakers", "accuracy_unknown_speakers")
        + ("silent_share_hidden", "seconds_per_epoch")
        if name in table
    ]
    rows = []
    for neuron in NEURONS:
        own = table[table["neuron"] == neuron]
        trials = searches[neuron]["trials"]
        row = {"neuron": neuron, "runs": len(own), "share_diverged": float(own["diverged"].mean())}
        tried = sum(number for state, number in trials.items() if state != "fail")
        row["share_diverged_in_search"] = trials.get("diverged", 0) / tried
        for name in measured:
            values = own[name].astype(float)
            row |= {f"{name}_mean": values.mean(), f"{name}_sd": values.std(ddof=1)}
        rows.append(row)
    return pd.DataFrame(rows)


def _draw_finished(folder, table):
    finished = table[~table["diverged"]]
    runs = []
    for _, row in finished.iterrows():
        summary, history = read_run(folder / row["folder"])
        runs.append((f"{row['neuron'].upper()}, seed {row['seed']}", summary, history))
    if runs:
        draw_comparison(runs, folder / "comparison.png")


def add_arguments(parser):
    """Give a parser the arguments of ``brian-qif reproduce``."""
    described = "; ".join(
        f"{name}: {size.trials} trials of {size.search_epochs} epochs, {size.seeds} trainings of {size.epochs},"
        f" {size.hidden} hidden neurons"
        for name, size in SIZES.items()
    )
    parser.add_argument(
        "--size", choices=list(SIZES), default="smoke", help=f"for each model, {described} (default: %(default)s)"
    )
    parser.add_argument(
        "--train", metavar="FILE", help="HDF5 file (SHD layout; default: the SYNTHETIC digits of the package)"
    )
    parser.add_argument("--test", metavar="FILE", help="HDF5 file for the tests (default: as above)")
    parser.add_argument(
        "--out", metavar="DIR", help="folder; what is finished in it is kept (default: results/reproduction)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="samples computed at a time; changes no bit")


def run(arguments):
    """Carry out ``brian-qif reproduce``; the lines to show at the end."""
    settings = {name: value for name, value in vars(arguments).items() if name != "command"}
    results = reproduce(**settings, report="text")
    out = Path("results/reproduction" if arguments.out is None else arguments.out)
    shown = results.T.to_string(header=False, float_format="{:.3f}".format)
    marked = f"{SYNTHETIC}\n" if "SYNTHETIC" in (out / "report.html").read_text("utf-8").splitlines()[0] else ""
    return f"{marked}{shown}\nWritten into '{out}': report.html, results.csv, runs.csv, and the runs."
