"""The pictures of a landscape study, and its report: one HTML file that needs no other."""

from __future__ import annotations

import base64
import json
import platform
from importlib.metadata import version

import jinja2
import numpy as np
import pandas as pd

import brian_qif.landscape_plotting as landscape_plotting
from brian_qif import __version__
from brian_qif.protocols.landscape_measures import gradient_variance, lipschitz
from brian_qif.training.checkpoints import write_atomically

_SHOWN_SAMPLES, _SHOWN_SCANS, _SHOWN_JUMPS = 4, 3, 40

TEMPLATE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Loss landscape</title><style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
.data { font-weight: bold } table { border-collapse: collapse; font-size: 0.85rem }
td, th { padding: 0.15rem 0.7rem; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left } img { max-width: 100% } .wide { overflow-x: auto }
</style></head><body>
<p class="data">{{ data }}</p>
<h1>Loss landscape: {{ names }}</h1>
{% for text in texts %}<p>{{ text }}</p>
{% endfor %}{% for title, table in tables %}<h2>{{ title }}</h2>
<div class="wide"><table><tr>{% for name in table.columns %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in table.itertuples(index=False) %}<tr>{% for value in row %}<td>{{ value }}</td>{% endfor %}</tr>
{% endfor %}</table></div>{% endfor %}
{% for caption, image in pictures %}<h2>{{ caption }}</h2>
<img alt="{{ caption }}" src="data:image/png;base64,{{ image }}">
{% endfor %}<h2>Settings</h2><pre>{{ settings }}</pre><p>{{ versions }}</p></body></html>
"""

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
    "roughness.png": "Local Lipschitz estimates on the grid, and how much gradients of the mean loss differ between"
    " points of a line",
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
    landscape_plotting.draw_contours(grids, folder / "contours.png", title)
    landscape_plotting.draw_surfaces(grids, folder / "surfaces.png", title)
    fields = [(*grid, one.slopes.mean(axis=2)) for grid, one in zip(grids, found, strict=True)]
    landscape_plotting.draw_gradients(fields, folder / "gradients.png", title)
    landscape_plotting.draw_spike_maps([_spike_maps(one) for one in found], folder / "spikes.png", title)
    landscape_plotting.draw_samples([_single_samples(one) for one in found], folder / "samples.png", title)
    names = ["contours.png", "surfaces.png", "gradients.png", "spikes.png", "samples.png"]
    if found[0].scans:
        landscape_plotting.draw_lines([_lines(one) for one in found], folder / "lines.png", title)
        tables = [(one.subject.label, one.changes) for one in found]
        duration = max(one.subject.duration for one in found)
        landscape_plotting.draw_changes(tables, found[0].neurons, duration, folder / "changes.png", title)
        landscape_plotting.draw_roughness([_roughness(one) for one in found], folder / "roughness.png", title)
        names += ["lines.png", "changes.png", "roughness.png"]
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
    rows = gradient_variance(one.batch_lines)
    return one.subject.label, mean, single, [row["lag"] * step for row in rows], [row["relative"] for row in rows]


def versions():
    """Versions of what decides the numbers."""
    return {
        "brian_qif": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("brian2", "numpy", "joblib")},
    }


def write_html(path, summary, pictures, changes):
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
    data, names = summary["data"], list(summary["networks"])
    marked = "SYNTHETIC speech, which shows nothing about real speech. " if data["synthetic"] else ""
    source = data["source"] or "a source that the file does not tell"
    text = (
        jinja2.Environment(autoescape=True)
        .from_string(TEMPLATE)
        .render(
            data=f"Data: {marked}{len(data['samples'])} samples of {data['file']}: {source}",
            names=" and ".join(names),
            texts=_texts(summary),
            tables=_tables(summary, changes),
            pictures=[(caption, base64.b64encode(own.read_bytes()).decode("ascii")) for caption, own in pictures],
            settings=json.dumps(
                {name: value for name, value in summary["settings"].items() if name != "samples"}, indent=2
            ),
            versions=", ".join(f"{name} {number}" for name, number in summary["versions"].items()) + ".",
        )
    )
    write_atomically(path, text.encode())


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
    networks = summary["networks"]
    names = [name for name, value in next(iter(networks.values())).items() if isinstance(value, (int, float, str))]
    rows = [
        {"measure": name.replace("_", " "), **{k: _shown(own.get(name)) for k, own in networks.items()}}
        for name in names
    ]
    if "ratios" in summary:
        for name, row in zip(names, rows, strict=True):
            row["ratio"] = _shown(summary["ratios"].get(name))
    tables = [("Measures", pd.DataFrame(rows))]
    by_scale = [
        {"network": label, **{name: _shown(value) for name, value in row.items()}}
        for label, own in networks.items()
        for row in own.get("gradient_variance_by_scale", [])
    ]
    by_scale += [
        {"network": "ratio", **{name: _shown(value) for name, value in row.items()}}
        for row in summary.get("ratios", {}).get("gradient_variance_by_scale", [])
    ]
    if by_scale:
        tables.append(("Variance of gradients by distance", pd.DataFrame(by_scale).astype(object).fillna("")))
    checked = [
        {"network": label, **{f"step {step}": _shown(share) for step, share in own["disagreeing_directions"].items()}}
        for label, own in networks.items()
        if "disagreeing_directions" in own
    ]
    if checked:
        tables.append(("Share of directions whose slope is not the finite difference", pd.DataFrame(checked)))
    if len(changes):
        largest = changes.loc[changes["jump"].abs().sort_values(ascending=False, kind="stable").index[:_SHOWN_JUMPS]]
        shown = largest.map(lambda value: f"{value:.6g}" if isinstance(value, float) else value)
        tables.append((f"The {len(shown)} largest jumps (all are in changes.csv)", shown))
    return tables


def _shown(value):
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else value
