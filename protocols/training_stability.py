"""How often trainings diverge: many seeds and step sizes, LIF against QIF neurons."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from brian_qif.files import write_atomically, write_json
from brian_qif.plotting.stability import draw_diverged, draw_histories
from brian_qif.protocols.checks import plain_numbers, refuse_below, refuse_unless_positive, several
from brian_qif.protocols.configuration import configured_recipe
from brian_qif.protocols.data_choice import SYNTHETIC
from brian_qif.protocols.networks import NEURONS
from brian_qif.protocols.parallel import claim_folder, run_pieces
from brian_qif.protocols.preparation import DIVERGED, encoding_of, initialise, prepare_trainer, trial_duration
from brian_qif.protocols.recipes import scaled_steps
from brian_qif.protocols.run_folder import fingerprint
from brian_qif.protocols.study_report import Section, versions_of, write_page
from brian_qif.training.datasets import SpikeDataset, said_units
from brian_qif.training.progress import Progress

# Share of runs that diverged on the Spiking Heidelberg Digits; Wenig, Memmesheimer & Klos.
PUBLISHED = {"lif": 0.68, "qif": 0.0}
SOURCE = "arXiv:2606.03935"
# What is looked at in every epoch, and what says which run it is of.
_KEY = ["neuron", "multiple", "seed"]
_HISTORY = [*_KEY, "epoch", "loss", "silent_share_hidden", "gradient_norm_input_synapses_w"]


def measure_stability(
    train=None,
    out=None,
    neurons=("lif", "qif"),
    seeds=5,
    multiples=(1.0, 3.0, 10.0),
    epochs=5,
    hidden=128,
    samples=None,
    config=None,
    plain=False,
    workers=1,
    scheduler=None,
    report=None,
):
    """Train with many seeds and step sizes and count the runs that diverge.

    A run has diverged if a loss or a slope was not finite, if its activity had no bound, or if the loss over all
    training samples is higher after the last epoch than before the first. The same call on the same folder goes on
    where it was stopped; runs that are finished are not made again.

    Parameters
    ----------
    train : str or os.PathLike, optional
        HDF5 file, see `SpikeDataset`; by default the SYNTHETIC digits that come with the package. With a scheduler its
        workers read it under this name.
    out : str or os.PathLike, optional
        The folder for the runs, tables, pictures, summary.json and report.html, by default ``results/stability``.
    neurons : sequence of str
        The models, from `RECIPES`.
    seeds : int
        So many runs with each setting: 0, 1, ...
    multiples : sequence of float
        By these the recipe's step sizes, of the input's and of the readout's weights, are multiplied.
    epochs, hidden, config
        See `train_on_recordings`.
    samples : int, optional
        Train on so many samples, evenly spread over the file; by default all.
    plain : bool
        Without the recipe's remedies: no limit on the slopes of a sample, no floor of activity.
    workers : int
        Runs computed at a time, -1 for one on each core; it changes no number.
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
        If a scheduler is given and Dask is not installed.
    OSError
        If the folder cannot be written, or the scheduler does not answer.
    ValueError
        If a setting is wrong, or the folder holds a study with other settings.

    Examples
    --------
    >>> from brian_qif.protocols.training_stability import measure_stability
    >>> summary = measure_stability("digits_train.h5", "stability", seeds=1, multiples=(1,), epochs=1, hidden=4)
    >>> [setting["neuron"] for setting in summary["found"]["settings"]]
    ['lif', 'qif']
    """
    numbers = {"seeds": seeds, "epochs": epochs, "hidden": hidden, "samples": 1 if samples is None else samples}
    multiples = _check(numbers, neurons, multiples)
    seeds, epochs, hidden, samples = plain_numbers(seeds, epochs, hidden, samples)
    train = embedded_training() if train is None else train
    inputs = said_units(train) or 700
    recipes = {neuron: asdict(_recipe(config, neuron, inputs, plain)) for neuron in neurons}
    synthetic, classes = _data(train, inputs, samples)
    settings = {
        "file": Path(train).name,
        "data": fingerprint(train),
        "synthetic": synthetic,
        "neurons": list(neurons),
        "seeds": seeds,
        "multiples": multiples,
        "epochs": epochs,
        "hidden": hidden,
        "inputs": inputs,
        "samples": samples,
        "plain": plain,
        "recipes": recipes,
    }
    folder = claim_folder("results/stability" if out is None else out, settings)
    progress = Progress(report)
    if synthetic:
        progress.line(SYNTHETIC)
    pieces = {
        f"{neuron}_{multiple:g}_seed_{seed}": (str(train), neuron, recipes[neuron], multiple, seed, settings)
        for neuron in neurons
        for multiple in multiples
        for seed in range(seeds)
    }
    found = run_pieces(train_once, pieces, folder / "runs", workers, scheduler, report=report)
    return _written(folder, found, settings, classes)


def _written(folder, found, settings, classes):
    """Tables, pictures, summary and report of the runs; the summary."""
    runs = pd.DataFrame([piece["run"] for piece in found.values()])
    histories = pd.DataFrame([row for piece in found.values() for row in piece["history"]])
    if histories.empty:
        histories = pd.DataFrame(columns=_HISTORY)
    for name, table in (("runs", runs), ("histories", histories)):
        write_atomically(folder / f"{name}.csv", table.to_csv(index=False).encode())
    summary = {
        "settings": settings,
        "found": shares(runs, histories, classes),
        "versions": versions_of("scipy", "pandas", "joblib"),
    }
    write_json(folder / "summary.json", summary)
    _write_report(folder, summary, runs, histories)
    return summary


def embedded_training():
    """The file of training samples that comes with the package."""
    from brian_qif.data.embedded import embedded_files

    return embedded_files()[0]


def _check(numbers, neurons, multiples):
    """Refuse what makes no sense; the multiples as plain numbers."""
    for name, value in numbers.items():
        refuse_below(1, name, value)
    for neuron in several("neurons", neurons, "models"):
        if neuron not in NEURONS:
            raise ValueError(f"There is no neuron '{neuron}' here; there are {', '.join(NEURONS)}.")
    multiples = several("multiples", multiples, "numbers")
    if not len(neurons) or not multiples:
        raise ValueError("At least one model of neuron and one multiple of the step sizes are needed.")
    for multiple in multiples:
        refuse_unless_positive("Multiples of the step sizes have", multiple)
    alike = [one for one in multiples if sum(f"{one:g}" == f"{other:g}" for other in multiples) > 1]
    if len(set(alike)) > 1:
        named = ", ".join(str(one) for one in alike)
        raise ValueError(f"'multiples' differ in six digits, so that each is named; {named} do not.")
    return [float(multiple) for multiple in multiples]


def _data(train, inputs, samples):
    """Whether a file is synthetic, and its number of classes; it has to have so many samples."""
    with SpikeDataset(train, n_units=inputs) as dataset:
        if samples is not None and samples > len(dataset):
            raise ValueError(f"'{train}' has {len(dataset)} samples, fewer than the {samples} asked for.")
        return dataset.synthetic, dataset.n_classes


def _recipe(config, neuron, inputs, plain):
    recipe = configured_recipe(config, neuron, inputs=inputs)
    return configured_recipe({**asdict(recipe), "clip": 0.0, "floor": 0.0}, neuron) if plain else recipe


def train_once(train, neuron, recipe, multiple, seed, settings):
    """One training, followed epoch by epoch.

    Parameters
    ----------
    train : str
        The file.
    neuron : str
    recipe : dict
        The fields of a `Recipe`.
    multiple : float
        Of the step sizes.
    seed : int
    settings : dict
        Those of the study: ``data``, ``inputs``, ``hidden``, ``epochs``, ``samples``.

    Returns
    -------
    dict
        ``run``: what came of it; ``history``: a row per epoch that came to its end.

    Raises
    ------
    ValueError
        If this machine has another file under that name.
    """
    if fingerprint(train) != settings["data"]:
        raise ValueError(f"'{train}' is another file here than where the study was begun; all workers need the same.")
    recipe = configured_recipe(recipe, neuron)
    recipe = replace(recipe, **scaled_steps(recipe, multiple))
    encoding = encoding_of(recipe, settings["inputs"])
    key = {"neuron": neuron, "multiple": multiple, "seed": seed}
    with SpikeDataset(train, n_units=settings["inputs"], encoding=encoding) as dataset:
        chosen = dataset
        if settings["samples"] is not None:
            chosen = dataset.select(np.linspace(0, len(dataset) - 1, settings["samples"]).astype(int))
        sizes = (encoding.n_inputs, settings["hidden"], dataset.n_classes)
        trainer = prepare_trainer(neuron, sizes, trial_duration(dataset), recipe, seed, threads=1, encoding=encoding)
        initialise(trainer, chosen, sizes, recipe, seed)
        before = trainer.evaluate(chosen)
        reason, after = None, None
        try:
            trainer.train(chosen.as_recorded(), settings["epochs"])
            after = trainer.evaluate(chosen)
        except DIVERGED as error:
            reason = str(error)
    run = {**key, "loss_before": before.loss, "accuracy_before": before.accuracy}
    run |= {"loss_after": None, "accuracy_after": None, "epochs": trainer.epoch}
    if after is not None:
        run |= {"loss_after": after.loss, "accuracy_after": after.accuracy}
        if not after.loss <= before.loss:
            reason = f"The loss rose from {before.loss:.3g} to {after.loss:.3g}."
    return {
        "run": {**run, "diverged": reason is not None, "reason": reason},
        "history": [
            {**key, **{name: value for name, value in row.items() if name != "seconds"}}
            for row in trainer.history.to_dict("records")
        ],
    }


def shares(runs, histories, classes):
    """The share of runs that diverged, for each model and setting and for each model in all.

    Parameters
    ----------
    runs, histories : pandas.DataFrame
        One row per run, and one per epoch of each.
    classes : int
        Their number.

    Returns
    -------
    dict
        ``settings`` and ``models``: lists of dicts, with the 95 % interval of Clopper and Pearson for the share; the
        number of runs that were ``not_finite``, activity without bound included; that ``rose``, whose mean loss over
        some epoch was above that before the first, or that have no whole epoch; with the ``loss_at_chance``, whose last
        loss is within 1 % of that of calling all classes equally likely, or above, or not finite; the means of the
        accuracy, and of the silent share of hidden neurons in the last epoch.
    """
    whole = histories.groupby(_KEY)
    runs = runs.join(whole["loss"].max().astype(float).rename("largest_loss"), on=_KEY)
    runs = runs.join(whole["silent_share_hidden"].last().astype(float).rename("silent"), on=_KEY)
    runs = runs.assign(
        rose=~(runs["largest_loss"] <= runs["loss_before"]),
        loss_at_chance=~(runs["loss_after"].astype(float) < 0.99 * np.log(classes)),
    )
    by_setting = [
        {"neuron": neuron, "multiple": float(multiple), **_share(own)}
        for (neuron, multiple), own in runs.groupby(["neuron", "multiple"], sort=False)
    ]
    by_model = [
        {"neuron": neuron, **_share(own), "published_share": PUBLISHED[neuron]}
        for neuron, own in runs.groupby("neuron", sort=False)
    ]
    return {"settings": by_setting, "models": by_model}


def _share(own):
    diverged = int(own["diverged"].sum())
    low, high = binomtest(diverged, len(own)).proportion_ci(0.95)
    accuracies = own["accuracy_after"].astype(float)
    return {
        "runs": len(own),
        "diverged": diverged,
        "not_finite": int(own["loss_after"].isna().sum()),
        "share_diverged": diverged / len(own),
        "share_low": float(low),
        "share_high": float(high),
        "rose": int(own["rose"].sum()),
        "loss_at_chance": int(own["loss_at_chance"].sum()),
        "accuracy": float(accuracies.mean()) if accuracies.notna().any() else None,
        "silent": float(own["silent"].mean()) if own["silent"].notna().any() else None,
    }


def _write_report(folder, summary, runs, histories):
    settings, found = summary["settings"], summary["found"]
    marked = ", SYNTHETIC speech" if settings["synthetic"] else ""
    remedies = "without clip and floor" if settings["plain"] else "with the recipes' remedies"
    title = f"{settings['hidden']} hidden neurons, {settings['epochs']} epochs, {remedies}{marked}"
    draw_diverged(pd.DataFrame(found["settings"]), PUBLISHED, folder / "diverged.png", title)
    draw_histories(histories, runs, folder / "histories.png", title)
    said = (
        "A run has diverged if a loss or a slope was not finite, if its activity had no bound, or if the loss over all"
        " training samples is higher after the last epoch than before the first. Shares have 95 % intervals of Clopper"
        " and Pearson. Beside them,"
        " the number of runs that were not finite, that rose above the start in the mean over some epoch, and whose"
        " last loss is no lower than that of calling all classes equally likely (within 1 %); accuracy on the training"
        " samples, and silent hidden neurons, at the end. The published shares"
        f" ({SOURCE}) are of the Spiking Heidelberg Digits and of the settings of a hyperparameter search; with other"
        " data and settings they are no yardstick."
    )
    pictures = [("Runs that diverged.", "diverged.png"), ("The course of all runs.", "histories.png")]
    sections = [
        Section("Models", [said], pd.DataFrame(found["models"])),
        Section("Settings", [], pd.DataFrame(found["settings"])),
        Section("Pictures", [], None, [(caption, folder / name) for caption, name in pictures]),
        Section("Runs", [], runs),
    ]
    data = f"Data: {settings['file']}. {SYNTHETIC}" if settings["synthetic"] else f"Data: {settings['file']}"
    page = "Trainings of LIF and QIF networks that diverge"
    write_page(folder / "report.html", page, data, sections, settings, summary["versions"])


def add_arguments(parser):
    """Give a parser the arguments of ``brian-qif stability``."""
    parser.add_argument(
        "--train", metavar="FILE", help="HDF5 file (SHD layout; default: the SYNTHETIC digits of the package)"
    )
    parser.add_argument(
        "--neurons",
        nargs="+",
        choices=sorted(NEURONS),
        default=["lif", "qif"],
        help="models of the hidden neurons (default: both)",
    )
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="runs per setting (default: %(default)s)")
    parser.add_argument(
        "--multiples",
        type=float,
        nargs="+",
        default=[1.0, 3.0, 10.0],
        metavar="X",
        help="multiples of the recipe's step sizes (default: 1 3 10)",
    )
    parser.add_argument("--epochs", type=int, default=5, metavar="N", help="passes (default: %(default)s)")
    parser.add_argument("--hidden", type=int, default=128, metavar="N", help="hidden neurons (default: %(default)s)")
    parser.add_argument("--samples", type=int, metavar="N", help="training samples (default: all)")
    parser.add_argument("--config", metavar="FILE", help="JSON file with fields of the recipe")
    parser.add_argument("--plain", action="store_true", help="no limit on the slopes of a sample, no floor of activity")
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="runs at a time, -1 for all cores; changes no number"
    )
    parser.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler, whose workers compute")
    parser.add_argument(
        "--out", metavar="DIR", help="folder; what is finished in it is kept (default: results/stability)"
    )


def run(arguments):
    """Carry out ``brian-qif stability``; the lines to show."""
    options = {name: value for name, value in vars(arguments).items() if name != "command"}
    summary = measure_stability(**options, report="text")
    shown = pd.DataFrame(summary["found"]["settings"]).to_string(index=False, float_format="{:.3g}".format)
    lines = [SYNTHETIC] if summary["settings"]["synthetic"] else []
    out = arguments.out or "results/stability"
    return "\n".join([*lines, shown, f"Written into '{out}': report.html, summary.json, tables and pictures."])
