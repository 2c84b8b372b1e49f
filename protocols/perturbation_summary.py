"""The tables of a study of perturbations, and what they say in few numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from brian_qif.protocols.divergence import flux_tube_radius


def tables_of(found, network):
    """The pieces of a study as tables: perturbations, changes by layer, and courses of the distance of states."""
    tables = {
        name: pd.DataFrame([row for piece in found.values() for row in piece[name]])
        for name in ("perturbations", "changes")
    }
    return {**tables, "courses": _courses(found, tables["perturbations"], network.times)}


def _courses(found, perturbations, times):
    """Quartiles of the distance of the states, by layer, size and time since the perturbation."""
    courses = [course for piece in found.values() for course in piece["courses"]]
    rows, quartile_names = [], ["lower_quartile", "median", "upper_quartile"]
    for size, own in perturbations.groupby("size", dropna=False):
        for layer in courses[0]:
            curves = np.full((len(own), len(times)), np.nan)
            for place, k in enumerate(own.index):
                curve = courses[k][layer]
                curves[place, : len(curve)] = curve
            known = np.isfinite(curves).sum(axis=0)
            quartiles = np.nanquantile(curves[:, known > 0], (0.25, 0.5, 0.75), axis=0)
            for lag, values, number in zip(times, quartiles.T, known, strict=False):
                named = dict(zip(quartile_names, values.tolist(), strict=True))
                rows.append({"size": size, "response_layer": layer, "lag": lag, "perturbations": int(number), **named})
    return pd.DataFrame(rows, columns=["size", "response_layer", "lag", "perturbations", *quartile_names])


def summarise(tables, network):
    """What the tables say, by size and by layer, as plain numbers; None where there is nothing to say."""
    perturbations, changes = tables["perturbations"], tables["changes"]
    controls = changes[changes["control"]]
    real = perturbations[~perturbations["control"]]
    found = {"perturbations": len(real)}
    if len(controls):
        differing = controls["distance_end"].fillna(0).abs().max() + controls["victor_purpura"].fillna(0).abs().max()
        found["largest_difference_without_perturbation"] = float(differing)
    found["by_size"] = [_size_row(size, own) for size, own in real.groupby("size", dropna=False)]
    found["by_layer"] = []
    for (layer, size), own in changes[~changes["control"]].groupby(["response_layer", "size"], dropna=False):
        found["by_layer"].append({"layer": layer, "size": _plain(size), **_layer_row(own)})
    radii = {}
    for layer in network.layers_behind():
        own = changes[~changes["control"] & (changes["response_layer"] == layer) & changes["diverged"].notna()]
        if len(own) and own["size"].notna().all():
            radii[layer] = flux_tube_radius(own["size"], own["diverged"].astype(bool))
    return {**found, "flux_tube_radius": radii}


def _size_row(size, own):
    change, foreseen = own["loss_change"].abs(), own["loss_change_linear"]
    row = {"size": _plain(size), "perturbations": len(own), "loss_change_median": _plain(change.median())}
    row["loss_change_linear_median"] = _plain(foreseen.abs().median())
    if foreseen.notna().any():
        error = (own["loss_change"] - foreseen).abs() / foreseen.abs().where(foreseen != 0)
        row["linear_error_median"] = _plain(error.median())
    if "flipped" in own:
        row["answers_flipped"] = float(own["flipped"].mean())
    return row


def _layer_row(own):
    row = {}
    for name in ("gained", "lost", "shifted", "moved_in_rank"):
        row[f"{name}_mean"] = _plain(own[name].mean())
    for name in ("rms_shift", "victor_purpura", "distance_end", "growth_rate"):
        row[f"{name}_median"] = _plain(own[name].median())
    for name in ("diverged", "reconverged"):
        known = own[name].dropna().astype(bool)
        row[name] = _plain(known.mean()) if len(known) else None
    row["first_difference_median"] = _plain(own["first_after"].median())
    row["last_difference_median"] = _plain(own["last_after"].median())
    return row


def _plain(value):
    return None if value is None or not np.isfinite(value) else float(value)
