"""Pictures and report of a study of perturbations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from brian_qif.files import write_atomically
from brian_qif.plotting.perturbations import (
    draw_changed_raster,
    draw_courses,
    draw_dose_response,
    draw_layer_counts,
    draw_rank_order,
    draw_spike_distances,
)
from brian_qif.protocols.data_choice import SYNTHETIC
from brian_qif.protocols.perturbation_pieces import SIZED, chosen_perturbations
from brian_qif.protocols.perturbed_network import ROUNDING
from brian_qif.protocols.spike_differences import match_spikes, ranks
from brian_qif.protocols.spike_distances import distances_over_time
from brian_qif.protocols.study_report import Section, versions_of, write_page

_UNITS = {"shift": "s", "weight": "root mean squares of the weights"}
_SAID = {
    "add": "one spike more of '{}'",
    "delete": "one spike less of '{}'",
    "shift": "one spike of '{}' shifted",
    "weight": "one weight from '{}' raised",
}


def draw_all(folder, network, example, plan, tables, measures, summary):
    """Draw every picture of a study into its folder.

    Parameters
    ----------
    folder : pathlib.Path
    network : PerturbedNetwork
    example : tuple
        The number of a sample and the sample, whose first perturbation is drawn.
    plan : Plan
    tables : dict of pandas.DataFrame
    measures : sequence of str
        Spike-train distances of the example; their table is written too.
    summary : dict

    Returns
    -------
    list of tuple
        Captions and files, in the order of the report.
    """
    number, sample = example
    base = network.run(sample)
    chosen = chosen_perturbations(network, base, number, plan)[0]
    sizes = plan.sizes or (0.0,)
    trials = {size: network.run(sample, replace(chosen, size=size)) for size in sizes}
    title = _title(summary["settings"], network.layer)
    behind = network.layers_behind()
    shown = [name for name in network.layers if name in {network.layer, *behind}]
    largest = trials[sizes[-1]]
    pictures = []

    def drawn(caption, name, draw, *arguments):
        draw(*arguments, folder / name, title)
        pictures.append((caption, folder / name))

    layers = [_fates(name, network, base, largest, plan) for name in shown]
    mark = network.layer, chosen.time, None if plan.kind == "weight" else chosen.neuron
    dose = f", by {sizes[-1]:g} {_UNITS[plan.kind]}" if plan.kind in SIZED else ""
    caption = f"Sample {number}, {_SAID[plan.kind].format(network.layer)}{dose}"
    drawn(f"{caption}: spikes before and after.", "raster.png", draw_changed_raster, layers, mark, network.duration)
    if behind:
        order = pd.concat([_ranks(name, base, largest, plan) for name in behind], ignore_index=True)
        write_atomically(folder / "rank_order.csv", order.to_csv(index=False).encode())
        drawn(f"{caption}: the order of the spikes.", "rank_order.png", draw_rank_order, order)
    courses = tables["courses"][~(tables["courses"]["size"] == 0)]
    caption = (
        "Distance of the states of the neurons since the perturbation: medians and quartiles of all perturbations."
    )
    drawn(caption, "distance.png", draw_courses, courses)
    changes = tables["changes"][~tables["changes"]["control"]]
    if plan.kind in SIZED:
        real = tables["perturbations"][~tables["perturbations"]["control"]]
        loss = None if network.loss is None else real
        shifts = {name: changes[changes["response_layer"] == name] for name in behind}
        caption = "Dose and response: medians and quartiles of all perturbations."
        if loss is not None or shifts:
            drawn(caption, "dose_response.png", draw_dose_response, loss, shifts, _UNITS[plan.kind])
    counted = changes[changes["response_layer"].isin(behind)]
    if len(counted):
        drawn("What becomes of the spikes of each layer.", "layers.png", draw_layer_counts, counted)
    if measures and behind:
        table = _example_distances(network, behind, base, trials, plan, measures)
        write_atomically(folder / "spike_distances.csv", table.to_csv(index=False).encode())
        caption = f"Sample {number}: spike-train distances, window by window."
        drawn(caption, "spike_distances.png", draw_spike_distances, table)
    return pictures


def _title(settings, layer):
    neuron = f"{settings['neuron'].upper()}, " if "neuron" in settings else ""
    marked = ", SYNTHETIC speech" if settings.get("synthetic") else ""
    return f"{neuron}{_SAID[settings['kind']].format(layer)}{marked}"


def _fates(name, network, base, trial, plan):
    """What `draw_changed_raster` takes for one layer."""
    before, after = base.trains[name], trial.trains[name]
    found = match_spikes(before, after, plan.time_scale)
    moved = np.abs(after[0][found.after] - before[0][found.before]) > ROUNDING
    size = network.reading.plan.nodes[network.layers[name]].size

    def some(train, which):
        return train[0][which], train[1][which]

    return (
        name,
        size,
        some(before, found.before[~moved]),
        some(before, found.before[moved]),
        some(after, found.after[moved]),
        some(before, found.lost),
        some(after, found.gained),
    )


def _ranks(name, base, trial, plan):
    """The spikes of a layer that both trials have, with their places in the order of time."""
    before, after = base.trains[name], trial.trains[name]
    found = match_spikes(before, after, plan.time_scale)
    old, new = before[0][found.before], after[0][found.after]
    columns = {"response_layer": name, "neuron": before[1][found.before], "time_before": old, "time_after": new}
    table = pd.DataFrame({**columns, "rank_before": ranks(old), "rank_after": ranks(new)})
    return table.sort_values("rank_before")


def _example_distances(network, layers, base, trials, plan, measures):
    parts = []
    for size, trial in trials.items():
        for name in layers:
            neurons = network.reading.plan.nodes[network.layers[name]].size
            pair = base.trains[name], trial.trains[name]
            table = distances_over_time(*pair, neurons, network.duration, plan.time_scale, measures)
            table.insert(0, "response_layer", name)
            table.insert(0, "size", size if plan.kind in SIZED else np.nan)
            parts.append(table)
    return pd.concat(parts, ignore_index=True)


def write_report(folder, summary, tables, pictures):
    """Write report.html.

    Parameters
    ----------
    folder : pathlib.Path
    summary : dict
        It gets the versions.
    tables : dict of pandas.DataFrame
    pictures : list of tuple
        From `draw_all`.
    """
    settings, found = summary["settings"], summary["found"]
    summary["versions"] = versions_of("pandas", "scipy")
    by_size = Section("Perturbations", _in_words(settings, found), pd.DataFrame(found["by_size"]))
    by_layer = Section("Layers", [_LAYERS], pd.DataFrame(found["by_layer"]))
    file = settings.get("file", "the network as it is")
    data = f"Data: {file}. {SYNTHETIC}" if settings.get("synthetic") else f"Data: {file}"
    sections = [by_size, by_layer, Section("Pictures", [], None, pictures)]
    title = _title({**settings, "synthetic": False}, settings["layer"])
    write_page(folder / "report.html", title, data, sections, settings, summary["versions"])


_LAYERS = (
    "Means per perturbation of spikes gained, lost and shifted and of those with another place in the order; medians of"
    " the root mean square shift (s), of the Victor-Purpura distance, of the distance of the states at the end of the"
    " trial, and of the growth rate (1/s) of that distance while it is small; the shares of trials that diverged and"
    " re-converged; medians of the times (s) after the perturbation of the first and the last spike that differs."
)


def _in_words(settings, found):
    texts = [
        f"{found['perturbations']} perturbations in {len(settings['samples'])} samples, seed {settings['seed']}."
        " A spike of hidden neurons is changed on its way to their targets; the neuron itself is reset as it was."
    ]
    if "largest_difference_without_perturbation" in found:
        texts.append(
            "Control of size zero: the largest distance of states or spikes is"
            f" {found['largest_difference_without_perturbation']:g}."
        )
    for layer, radius in found["flux_tube_radius"].items():
        if radius is not None:
            texts.append(f"Perturbations of '{layer}' diverge beyond a size of about {radius:.2g} (flux-tube radius).")
    return texts
