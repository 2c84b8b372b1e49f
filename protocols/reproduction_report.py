"""The report of a reproduction: one HTML file that needs no other."""

from __future__ import annotations

import base64
import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import jinja2
import pandas as pd

from brian_qif import __version__
from brian_qif.files import write_atomically
from brian_qif.protocols.training_stability import PUBLISHED as DIVERGED

# Wenig, Memmesheimer & Klos, on the Spiking Heidelberg Digits: the best test accuracy of a hyperparameter search, and
# the variance of the gradient between neighbouring points over that of QIF networks.
PUBLISHED = {"lif": "71.3%", "qif": "78.9%"}
VARIANCE = {"lif": "3.4", "qif": "1"}
SOURCE = "arXiv:2606.03935"

TEMPLATE = """<!DOCTYPE html><!-- {{ data }} -->
<html lang="en"><head><meta charset="utf-8"><title>LIF and QIF networks</title><style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
.data { font-weight: bold } table { border-collapse: collapse; font-size: 0.9rem }
td, th { padding: 0.2rem 0.8rem; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left } img { max-width: 100% } .wide { overflow-x: auto }
</style></head><body>
<p class="data">{{ data }}</p>
<h1>LIF and QIF networks trained with exact gradients</h1>
{% for section in sections %}<h2>{{ section.title }}</h2>
{% for text in section.texts %}<p>{{ text }}</p>
{% endfor %}{% if section.table is not none %}<div class="wide"><table><tr>
{% for name in section.table.columns %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in section.table.itertuples(index=False) %}<tr>{% for value in row %}<td>{{ value }}</td>{% endfor %}</tr>
{% endfor %}</table></div>{% endif %}
{% for caption, image in section.pictures %}<p>{{ caption }}</p>
<img alt="{{ caption }}" src="data:image/png;base64,{{ image }}">
{% endfor %}{% endfor %}<p>{{ versions }}</p></body></html>
"""


@dataclass(frozen=True)
class Findings:
    """What a reproduction found; ``sources`` is what the files say of themselves."""

    folder: Path
    files: tuple[str, str]
    sources: dict
    synthetic: bool
    size: object
    results: pd.DataFrame
    runs: pd.DataFrame
    searches: dict
    studies: dict


@dataclass(frozen=True)
class Section:
    """A part of the report: a title, paragraphs, a table of texts, and pictures by their captions."""

    title: str
    texts: list[str]
    table: pd.DataFrame | None = None
    pictures: list[tuple[str, Path]] = field(default_factory=list)


def results_section(findings):
    """All figures of the published comparison beside those found here, and what else the final trainings gave."""
    found = {row["neuron"]: row for _, row in findings.results.iterrows()}
    landscape = findings.studies.get("landscape")
    diverged = {name: f"{share:.0%}" for name, share in DIVERGED.items()}
    variances = {}
    if landscape is not None:
        variances = {name.lower(): own.get("gradient_variance") for name, own in landscape["networks"].items()}
    rows = [
        ("test accuracy", {name: _spread(own, "accuracy") for name, own in found.items()}, PUBLISHED),
        ("best test accuracy of a training", _best(findings.runs), {}),
        ("known speakers", {name: _spread(own, "accuracy_known_speakers") for name, own in found.items()}, {}),
        ("unknown speakers", {name: _spread(own, "accuracy_unknown_speakers") for name, own in found.items()}, {}),
        ("trainings that diverged", _shares(found, "share_diverged"), diverged),
        ("trials of the search that diverged", _shares(found, "share_diverged_in_search"), {}),
        ("gradient variance over QIF's", _over_qif(variances), VARIANCE),
        ("silent hidden neurons", {name: _spread(own, "silent_share_hidden") for name, own in found.items()}, {}),
        ("seconds per epoch", {name: _spread(own, "seconds_per_epoch", "{:.2f}") for name, own in found.items()}, {}),
        ("trainings", {name: own["runs"] for name, own in found.items()}, {}),
    ]
    table = [
        {"figure": figure, **{name.upper(): own.get(name, "") for name in found}}
        | {f"{name.upper()}, published": published.get(name, "") for name in found}
        for figure, own, published in rows
    ]
    texts = [
        "Mean ± standard deviation over final trainings with different seeds, on the test file, after the last epoch."
        " Trainings that diverged have no accuracy and count as such alone. The gradient's variance is that between"
        " neighbouring points of the loss landscape.",
        f"The published figures ({SOURCE}) are for the Spiking Heidelberg Digits, accuracies the best of a"
        " hyperparameter search; with other data they are no yardstick.",
    ]
    return Section("Results beside the published figures", texts, pd.DataFrame(table))


def _best(runs):
    """The largest accuracy of each model's final trainings."""
    if "accuracy" not in runs:
        return {}
    return {neuron: f"{value:.3f}" for neuron, value in runs.groupby("neuron")["accuracy"].max().dropna().items()}


def _shares(found, name):
    return {neuron: f"{own[name]:.0%}" for neuron, own in found.items()}


def _over_qif(variances):
    """Ratios to QIF's, where both are known and QIF's is not zero."""
    if not variances.get("qif") or variances.get("lif") is None:
        return {}
    return {neuron: f"{variance / variances['qif']:.2f}" for neuron, variance in variances.items()}


def training_section(findings):
    """The course of the final trainings."""
    size, picture = findings.size, findings.folder / "comparison.png"
    texts = [f"{size.hidden} hidden neurons, {size.epochs} epochs, {size.seeds} seeds for each model."]
    return Section("Final trainings", texts, pictures=[("The course of all trainings", picture)])


def search_section(findings):
    """What the searches tried and chose."""
    texts, pictures, rows = [], [], {}
    for neuron, found in findings.searches.items():
        name, counts = neuron.upper(), ", ".join(f"{number} {state}" for state, number in found["trials"].items())
        best = found["best"]
        chosen = (
            "none came to its end, so the model's own recipe was used"
            if best is None
            else f"best validation accuracy {best['validation_accuracy']:.3f} (commonest class {found['chance']:.3f})"
        )
        texts.append(f"{name}: {counts}; {chosen}.")
        if best is not None:
            rows[name] = {setting: _short(best["recipe"][setting]) for setting in found["settings"]["space"]}
        for file, caption in (("importance.png", "what decides"), ("slices.png", "accuracy over each setting")):
            pictures.append((f"{name}, {caption}", Path(found["folder"]) / file))
    table = pd.DataFrame(rows).rename_axis("setting").reset_index() if rows else None
    return Section("Searches", texts, table, pictures)


# In the order of the report.
SECTIONS = [results_section, training_section, search_section]


def write_html(findings, sections):
    """Write report.html into the folder of the findings.

    Parameters
    ----------
    findings : Findings
        What was found.
    sections : list of callable
        Each makes a `Section` of the findings.
    """
    shown = []
    for make in sections:
        section = make(findings)
        images = [(caption, _encoded(path)) for caption, path in section.pictures if path.exists()]
        shown.append({"title": section.title, "texts": section.texts, "table": section.table, "pictures": images})
    said = [f"brian_qif {__version__}", f"Python {platform.python_version()}"]
    said += [f"{name} {version(name)}" for name in ("brian2", "numpy", "optuna")]
    environment = jinja2.Environment(autoescape=True)
    text = environment.from_string(TEMPLATE).render(
        data=_data_line(findings), sections=shown, versions=", ".join(said) + "."
    )
    write_atomically(findings.folder / "report.html", text.encode())


def _data_line(findings):
    names = " and ".join(Path(file).name for file in findings.files)
    source = findings.sources["train"] or "a source that the files do not tell"
    marked = "SYNTHETIC speech, which shows nothing about real speech. " if findings.synthetic else ""
    return f"Data: {marked}{names}: {source}"


def _spread(found, name, pattern="{:.3f}"):
    mean, deviation = found.get(f"{name}_mean"), found.get(f"{name}_sd")
    if mean is None or pd.isna(mean):
        return "none"
    return pattern.format(mean) + ("" if pd.isna(deviation) else f" ± {pattern.format(deviation)}")


def _short(value):
    return value if isinstance(value, str) else f"{value:.3g}"


def _encoded(path):
    return base64.b64encode(path.read_bytes()).decode("ascii")
