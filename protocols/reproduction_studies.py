"""What a reproduction studies once networks are trained: landscapes, perturbations, how often trainings diverge."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from brian_qif.protocols.loss_landscape import landscape
from brian_qif.protocols.reproduction_report import Section
from brian_qif.protocols.spike_perturbation import perturb
from brian_qif.protocols.training_stability import measure_stability

LANDSCAPE, STABILITY = "landscape", "stability"
# In summary.json of a landscape, and what the report calls it.
_MEASURES = {
    "lipschitz_median": "local Lipschitz estimate, median",
    "lipschitz_p95": "95th percentile",
    "gradient_variance": "gradient variance",
    "jumps_inside_trial": "jumps inside the trial",
    "jumps_at_end": "jumps at its end",
    "jump_share_of_variation": "share of the variation in jumps",
}


def run_studies(folder, runs, files, size, searches, report=None):
    """Make the studies, or go on with them; each has a folder of its own.

    Parameters
    ----------
    folder : pathlib.Path
        That of the reproduction.
    runs : pandas.DataFrame
        A row per final training, with its ``neuron``, ``folder`` and whether it ``diverged``.
    files : tuple
        The training file and the test file.
    size : Size
        How much is computed.
    searches : dict
        By neuron, what its search found; its settings are those whose stability is measured.
    report : None, 'text', 'stderr' or callable
        Where progress is reported.

    Returns
    -------
    dict
        Summaries: ``landscape`` (absent unless a run of both models came to its end), ``perturbation`` by neuron, and
        ``stability`` by neuron.
    """
    train, test = files
    finished = runs[~runs["diverged"].astype(bool)].drop_duplicates("neuron")
    places = {row["neuron"]: folder / row["folder"] for _, row in finished.iterrows()}
    found = {"perturbation": {}, STABILITY: {}}
    if len(places) == 2:
        found[LANDSCAPE] = landscape(
            places["lif"],
            places["qif"],
            test,
            folder / LANDSCAPE,
            grid=size.grid,
            samples=size.studied_samples,
            lines=size.lines,
            line_extent=0.02,
            report=report,
        )
    for neuron, place in places.items():
        out = folder / neuron / "perturbation"
        found["perturbation"][neuron] = perturb(place, test, out, samples=size.studied_samples, report=report)
    for neuron, search in searches.items():
        found[STABILITY][neuron] = measure_stability(
            train,
            folder / neuron / STABILITY,
            neurons=(neuron,),
            seeds=size.seeds,
            epochs=size.search_epochs,
            hidden=size.hidden,
            config=None if search["best"] is None else search["best"]["recipe"],
            report=report,
        )
    return found


def landscape_section(findings):
    """Measures of the loss landscapes, LIF and QIF side by side."""
    found = findings.studies.get(LANDSCAPE)
    if found is None:
        return Section("Loss landscapes", ["Of one model no run came to its end, so there is nothing to compare."])
    rows = [
        {"measure": text, **{label: _short(own.get(name)) for label, own in found["networks"].items()}}
        for name, text in _MEASURES.items()
    ]
    texts = found["statements"]
    pictures = [
        (caption, findings.folder / LANDSCAPE / name)
        for name, caption in (
            ("contours.png", "Mean loss on a plane around the networks"),
            ("lines.png", "Losses along lines, with all jumps"),
        )
    ]
    return Section("Loss landscapes", texts, pd.DataFrame(rows), pictures)


def _short(value):
    """Three digits; nothing of what was not measured."""
    return "" if value is None else f"{value:.3g}"


def perturbation_section(findings):
    """What follows from one input spike that comes later."""
    caption, name = "the change of the loss over the shift", "dose_response.png"
    pictures = [
        (f"{neuron.upper()}, {caption}", findings.folder / neuron / "perturbation" / name)
        for neuron in findings.studies["perturbation"]
    ]
    texts = ["Reports and tables are in the folders named perturbation."]
    return Section("One input spike later", texts, None, pictures)


def stability_section(findings):
    """How many trainings diverged, by multiples of the step sizes."""
    rows = [row for own in findings.studies[STABILITY].values() for row in own["found"]["settings"]]
    table = pd.DataFrame(rows).map(lambda x: f"{x:.3g}" if isinstance(x, float) else x)
    table = table.rename(columns=lambda name: name.replace("_", " "))
    texts = ["Step sizes are multiples of those found by the search."]
    pictures = [
        (f"{neuron.upper()}, the course of all runs", Path(findings.folder) / neuron / STABILITY / "histories.png")
        for neuron in findings.studies[STABILITY]
    ]
    return Section("Trainings that diverge", texts, table, pictures)
