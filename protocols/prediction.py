"""Let a trained network label spike trains, and draw how it does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from brian2 import ms, second

from brian_qif.files import write_atomically, write_json
from brian_qif.plotting.studies import draw_confusion, draw_rasters
from brian_qif.protocols.checks import folder_for_output, refuse_below
from brian_qif.protocols.data_choice import SYNTHETIC
from brian_qif.protocols.preparation import encoding_of
from brian_qif.protocols.search import writable_folder
from brian_qif.protocols.shd_training import add_solver_arguments, solver_of
from brian_qif.protocols.trained_network import load_network
from brian_qif.protocols.trained_run import (
    learned_names,
    read_settings,
    recipe_in,
    refuse_other_inputs,
    refuse_other_names,
)
from brian_qif.training.datasets import SpikeDataset


def predict(run, file, out=None, rasters=6, threads=None, solver="event", device="runtime", dt=0.5 * ms):
    """Label the spike trains of a file by a trained network.

    Parameters
    ----------
    run : str or os.PathLike
        The folder of a run of ``brian-qif train``.
    file : str or os.PathLike
        HDF5 file in the layout of `SpikeDataset`; labels, speakers and names of classes may be missing.
    out : str or os.PathLike, optional
        The folder for predictions.csv, prediction.json, confusion.csv and the pictures confusion.png and rasters.png;
        by default ``predictions_`` and the file's name, in the run's folder. Files of these names are replaced.
    rasters : int
        How many samples have the spikes of their hidden neurons drawn, evenly spread over the file.
    threads : int, optional
        Samples computed at a time, by default the preference ``brian_qif.threads``.
    solver, device, dt
        With exact spike times, or on a clock; see `train_on_recordings`.

    Returns
    -------
    summary : dict
        What prediction.json holds: accuracy, accuracy by speaker, those of known and unknown speakers (None where it
        is not known), the confusion matrix, how many input spikes were later than the trial.
    table : pandas.DataFrame
        One row per sample: predicted class, confidence (the softmax there), the softmax of every class.

    Raises
    ------
    TypeError
        If a path or a number is none.
    OSError
        If there is no run or no file, or the folder cannot be written.
    ValueError
        If the run or the file is damaged, the file has other input neurons or classes than the network, or there is no
        such solver.

    Examples
    --------
    >>> from brian_qif.protocols.prediction import predict
    >>> summary, table = predict("results/qif", "digits_test.h5", out="predicted", rasters=0)
    >>> len(table), list(table.columns[:3])
    (10, ['sample', 'predicted', 'predicted_name'])
    """
    refuse_below(0, "rasters", rasters)
    refuse_below(1, "threads", threads, optional=True)
    settings = read_settings(run)
    inputs, classes = settings["inputs"], settings["classes"]
    known_speakers, class_names = learned_names(run)
    refuse_other_inputs(file, inputs, run, labelled=False)
    recipe = recipe_in(settings)
    chosen = solver_of(replace(recipe, surrogate=""), solver, device, dt)  # a surrogate is of slopes alone
    encoding = encoding_of(recipe, inputs)
    default = Path(run) / f"predictions_{Path(file).stem}"
    folder = folder_for_output(default if out is None else out)
    with SpikeDataset(file, n_units=inputs, n_classes=classes, labelled=False, encoding=encoding) as samples:
        names = _names(samples, class_names, classes, run)
        trained = load_network(run)
        outputs, spike_counts = trained.classify(samples, chosen, threads)
        table = _table(samples, outputs, names, known_speakers)
        writable_folder(folder)
        summary = {
            "run": str(run),
            "file": str(file),
            "neuron": settings["neuron"],
            "samples": len(table),
            "solver": repr(chosen),
            "synthetic": samples.synthetic,
            **_accuracies(table),
            "mean_confidence": float(table["confidence"].mean()),
            "silent_share_hidden": float((spike_counts.sum(axis=0) == 0).mean()),
            "spikes_after_the_trial": _late_spikes(samples, trained.duration),
        }
        pictures = ["rasters.png"] if rasters else []
        if rasters:
            _draw_rasters(trained, samples, table, rasters, chosen, folder / "rasters.png")
    if "label" in table:
        matrix = np.zeros((classes, classes), dtype=int)
        np.add.at(matrix, (table["label"], table["predicted"]), 1)
        summary["confusion"] = matrix.tolist()
        frame = pd.DataFrame(matrix, index=pd.Index(names, name="true"), columns=names)
        write_atomically(folder / "confusion.csv", frame.to_csv().encode())
        draw_confusion(matrix, names, folder / "confusion.png", _title(summary))
        pictures += ["confusion.csv", "confusion.png"]
    write_atomically(folder / "predictions.csv", table.to_csv(index=False).encode())
    summary["written"] = {"folder": str(folder), "files": ["predictions.csv", "prediction.json", *pictures]}
    write_json(folder / "prediction.json", summary)
    return summary, table


def _names(samples, learned, classes, run):
    """The names of the classes; the file's own are refused where they are not those that were learned."""
    refuse_other_names(samples, learned, run)
    names = max(learned or [], list(samples.class_names), key=len)[:classes]
    return names + [str(k) for k in range(len(names), classes)]


def _table(samples, outputs, names, known_speakers):
    shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    confidences = shifted / shifted.sum(axis=1, keepdims=True)
    predicted = confidences.argmax(axis=1)
    table = pd.DataFrame(
        {
            "sample": np.arange(len(samples)),
            "predicted": predicted,
            "predicted_name": [names[k] for k in predicted],
            "confidence": confidences.max(axis=1),
        }
    )
    if np.all(samples.labels >= 0):
        table["label"] = samples.labels
        table["label_name"] = [names[k] for k in samples.labels]
        table["right"] = predicted == samples.labels
    if np.all(samples.speakers >= 0):
        table["speaker"] = samples.speakers
        if known_speakers is not None:
            table["known_speaker"] = np.isin(samples.speakers, known_speakers)
    softmax = pd.DataFrame(confidences, columns=[f"softmax_{name}" for name in names])
    return pd.concat([table, softmax], axis=1)


def _accuracies(table):
    """Shares of right answers, as far as labels and speakers are there."""
    found = {"accuracy": None, "accuracy_known_speakers": None, "accuracy_unknown_speakers": None}
    if "label" not in table:
        return {**found, "accuracy_by_speaker": {}}
    found["accuracy"] = float(table["right"].mean())
    if "known_speaker" in table:
        for name, part in (("known", table["known_speaker"]), ("unknown", ~table["known_speaker"])):
            found[f"accuracy_{name}_speakers"] = float(table["right"][part].mean()) if part.any() else None
    by_speaker = table.groupby("speaker")["right"].mean() if "speaker" in table else {}
    return {**found, "accuracy_by_speaker": {str(speaker): float(share) for speaker, share in by_speaker.items()}}


def _late_spikes(samples, duration):
    return sum(int(np.count_nonzero(samples[k].times >= float(duration))) for k in range(len(samples)))


def _draw_rasters(trained, samples, table, number, solver, path):
    chosen = np.unique(np.linspace(0, len(samples) - 1, min(number, len(samples))).astype(int))
    rasters = []
    for k in chosen:
        sample, row = samples[int(k)], table.iloc[k]
        inside = sample.times < float(trained.duration)
        trained.stimulus.set_spikes(sample.units[inside], sample.times[inside] * second)
        spikes = solver.simulate(trained.network, trained.duration, namespace={}).spikes[trained.hidden]
        said = f"'{row['label_name']}' heard as " if "label_name" in row else "heard as "
        rasters.append((f"{k}: {said}'{row['predicted_name']}'", np.asarray(spikes.t), spikes.i))
    marked = ", SYNTHETIC speech" if samples.synthetic else ""
    title = f"{trained.settings['neuron'].upper()} neurons, {samples.path.name}{marked}"
    draw_rasters(rasters, len(trained.hidden), float(trained.duration), path, title)


def _title(summary):
    marked = ", SYNTHETIC speech" if summary["synthetic"] else ""
    return f"{summary['neuron'].upper()}, {Path(summary['file']).name}: accuracy {summary['accuracy']:.3f}{marked}"


def add_arguments(parser):
    """Give a parser the arguments of ``brian-qif predict``."""
    parser.add_argument("run", metavar="RUN_DIR", help="folder of a training")
    parser.add_argument("file", metavar="FILE", help="HDF5 file (SHD layout; labels and speakers may be missing)")
    parser.add_argument(
        "--out", metavar="DIR", help="folder for the tables and pictures (default: RUN_DIR/predictions_ and the file)"
    )
    parser.add_argument(
        "--rasters",
        type=int,
        default=6,
        metavar="N",
        help="samples whose hidden spikes are drawn (default: %(default)s)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="samples computed at a time; changes no bit")
    add_solver_arguments(parser)
    parser.add_argument("--json", action="store_true", help="show the summary as JSON")


def run(arguments):
    """Carry out ``brian-qif predict``; the lines to show."""
    settings = {name: value for name, value in vars(arguments).items() if name not in ("command", "json")}
    summary, table = predict(**settings)
    if arguments.json:
        return json.dumps(summary, indent=2)
    lines = [SYNTHETIC] if summary["synthetic"] else []
    lines.append(f"{summary['samples']} samples, mean confidence {summary['mean_confidence']:.3f}.")
    if summary["accuracy"] is None:
        lines.append("The file has no labels, so there is no accuracy.")
    else:
        lines.append(f"Accuracy {summary['accuracy']:.3f}" + _speakers_in_words(summary, table))
    if summary["spikes_after_the_trial"]:
        lines.append(f"{summary['spikes_after_the_trial']} spikes come after the end of the trial and take no part.")
    written = summary["written"]
    return "\n".join([*lines, f"Written into '{written['folder']}': {', '.join(written['files'])}."])


def _speakers_in_words(summary, table):
    if "speaker" not in table:
        return "."
    if "known_speaker" not in table:
        return "; the run does not say which speakers it learned from."
    parts = ((name, summary[f"accuracy_{name}_speakers"]) for name in ("known", "unknown"))
    said = [f"{name} speakers {share:.3f}" for name, share in parts if share is not None]
    return f" ({', '.join(said)})."
