"""The pictures of a landscape study, and its report: one HTML file that needs no other."""

from __future__ import annotations

import numpy as np
import pandas as pd

from brian_qif.plotting import landscapes
from brian_qif.protocols.landscape_gradients import variance_by_distance
from brian_qif.protocols.landscape_measures import lipschitz
from brian_qif.protocols.study_report import Section, write_page

_SHOWN_SAMPLES, _SHOWN_SCANS, _SHOWN_JUMPS = 4, 3, 40

_CAPTIONS = {
    "contours.png": "Mean loss on a plane of two random directions; the cross is the network",
    "surfaces.png": "The same as a surface",
    "gradients.png": "Direction of descent in the plane, by exact gradients",
    "spikes.png": "Spikes per neuron; neurons with another number of spikes than at the point to the left; by how many"
    " places a spike moves in the order of all spikes from the point to the left",
    "samples.png": "Losses of single samples on the plane",
    "lines.png": "Mean loss along random lines, and the loss of single samples close to the network with all jumps",
    "changes.png": "Every change of spikes on the scanned lines: inside the trial, at its end, or lost by rounding on"
    " its way there",
    "roughness.png": "Local Lipschitz estimates on the grid; how much gradients of the mean loss and of single samples"
    " differ between neighbouring points, by their distance: mean of all pairs, and median",
}


def draw_all(found, folder, data):
    """Draw all pictures of a study.

    Parameters
    ----------
    found : list of Landscape
        One per network.
    folder : pathlib.Path
        Where to.
    data : dict
        What is known of the samples.

    Returns
    -------
    list of (str, pathlib.Path)
        Captions and pictures.
    """
    title = f"{len(data['samples'])} samples of {data['file']}" + (", SYNTHETIC speech" if data["synthetic"] else "")
    grids = [(one.subject.label, one.places, one.loss.mean(axis=2)) for one in found]
    landscapes.draw_contours(grids, folder / "contours.png", title)
    landscapes.draw_surfaces(grids, folder / "surfaces.png", title)
    fields = [(*grid, one.slopes.mean(axis=2)) for grid, one in zip(grids, found, strict=True)]
    landscapes.draw_gradients(fields, folder / "gradients.png", title)
    landscapes.draw_spike_maps([_spike_maps(one) for one in found], folder / "spikes.png", title)
    landscapes.draw_samples([_single_samples(one) for one in found], folder / "samples.png", title)
    landscapes.draw_roughness([_roughness(one) for one in found], folder / "roughness.png", title)
    names = ["contours.png", "surfaces.png", "gradients.png", "spikes.png", "samples.png", "roughness.png"]
    if found[0].scans:
        landscapes.draw_lines([_lines(one) for one in found], folder / "lines.png", title)
        tables = [(one.subject.label, one.changes) for one in found]
        duration = max(one.subject.duration for one in found)
        landscapes.draw_changes(tables, found[0].neurons, duration, folder / "changes.png", title)
        names += ["lines.png", "changes.png"]
    return [(_CAPTIONS[name], folder / name) for name in names]


def _spike_maps(one):
    values = {
        "spikes per neuron": one.spikes.mean(axis=2) / one.neurons,
        "neurons changed": one.neurons_changed.mean(axis=2),
        "places moved": one.places_moved.mean(axis=2),
    }
    for name in ("neurons changed", "places moved"):
        values[name][:, 0] = np.nan  # nothing lies to the left
    return one.subject.label, one.places, values


def _single_samples(one):
    chosen = range(min(_SHOWN_SAMPLES, one.loss.shape[2]))
    return one.subject.label, one.places, {f"sample {one.subject.numbers[k]}": one.loss[..., k] for k in chosen}


def _lines(one):
    scans = []
    for scan in one.scans[:_SHOWN_SCANS]:
        changes = one.changes[(one.changes["line"] == scan["line"]) & (one.changes["jump"] != 0)]
        losses = np.interp(changes["position"].to_numpy(float), scan["positions"], scan["losses"])
        jumps = list(zip(changes["position"], losses, changes["kind"], strict=True))
        scans.append((f"line {scan['line']}, sample {scan['sample']}", scan["positions"], scan["losses"], jumps))
    wide = [(line["positions"], line["losses"].mean(axis=1)) for line in one.batch_lines]
    return one.subject.label, scans, wide


def _roughness(one):
    step = one.places[1] - one.places[0]
    distances = step * one.lengths["grid"][1], step * one.lengths["grid"][0]
    mean, single = (lipschitz(losses, distances).ravel() for losses in (one.loss.mean(axis=2), one.loss))
    return one.subject.label, mean, single, variance_by_distance(one.pairs)


def write_report(path, summary, pictures, changes):
    """Write the report.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    summary : dict
        What summary.json holds.
    pictures : list of (str, pathlib.Path)
        Captions and pictures.
    changes : pandas.DataFrame
        All changes of spikes; those with the largest jumps are shown.
    """
    data, names = summary["data"], " and ".join(summary["networks"])
    marked = "SYNTHETIC speech, which shows nothing about real speech. " if data["synthetic"] else ""
    source = data["source"] or "a source that the file does not tell"
    said = f"Data: {marked}{len(data['samples'])} samples of {data['file']}: {source}"
    sections = [Section("What was found", _texts(summary)), *_tables(summary, changes)]
    sections.append(Section("Pictures", [], None, pictures))
    write_page(path, f"Loss landscape: {names}", said, sections, summary["settings"], summary["versions"])


def _texts(summary):
    texts = list(summary["statements"])
    if "ratios" in summary:
        one, other = summary["ratios"]["of"]
        texts.append(
            f"Ratios are those of {one} to {other}. The published ratio of the variance of gradients between"
            f" neighbouring points, LIF to QIF, is {summary['published_gradient_variance_ratio']}, at a scale that is"
            " not stated (arXiv:2606.03935); here it is given by distance."
        )
    settings = summary["settings"]
    texts.append(
        f"The plane and the lines of the mean loss were computed in {settings['dtype']}, gradients in the plane at"
        f" every {settings['every']}th point; lines with located jumps, finite differences and cells in float64."
    )
    return texts


def _tables(summary, changes):
    networks, ratios = summary["networks"], summary.get("ratios", {})
    names = [name for name, value in next(iter(networks.values())).items() if isinstance(value, (int, float, str))]
    rows = [
        {"measure": name.replace("_", " "), **{label: own.get(name) for label, own in networks.items()}}
        | ({"ratio": ratios.get(name)} if ratios else {})
        for name in names
    ]
    sections = [Section("Measures", [], pd.DataFrame(rows))]
    for title, text, name in _BY_DISTANCE:
        own = {**{label: own.get(name, []) for label, own in networks.items()}, "ratio": ratios.get(name, [])}
        by_distance = [{"network": label, **row} for label, found in own.items() for row in found]
        if by_distance:
            sections.append(Section(title, [text], pd.DataFrame(by_distance)))
    checked = [
        {"network": label, **{f"step {step}": share for step, share in own["disagreeing_directions"].items()}}
        for label, own in networks.items()
        if "disagreeing_directions" in own
    ]
    if checked:
        title = "Share of directions whose slope is not the finite difference"
        sections.append(Section(title, [], pd.DataFrame(checked)))
    if len(changes):
        largest = changes.loc[changes["jump"].abs().sort_values(ascending=False, kind="stable").index[:_SHOWN_JUMPS]]
        shown = largest.map(lambda value: f"{value:.6g}" if isinstance(value, float) else value)
        sections.append(Section(f"The {len(shown)} largest jumps (all are in changes.csv)", [], shown))
    return sections


_BY_DISTANCE = (
    (
        "Variance of gradients along random lines",
        "Of the mean loss, between points of a line through the network whose numbers differ by lag.",
        "gradient_variance_by_scale",
    ),
    (
        "Variance of gradients between neighbours",
        "Between points of the plane, drawn at random, and neighbours in a random direction. Relative: the mean of"
        " |g(x) - g(x + e u)|²/|g(x)|²; median of the same; pooled: mean numerator over mean denominator, which for"
        " gradients that have nothing to do with each other is 2. First of the mean loss, then of single samples;"
        " trimmed: pooled without the hundredth of the pairs that differ most, whose share of the numerator is called"
        " largest. Changed: the share of pairs in which some neuron has another number of spikes; unchanged: pooled"
        " over the others.",
        "gradient_variance_of_pairs",
    ),
)
