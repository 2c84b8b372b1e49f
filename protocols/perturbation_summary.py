"""What the tables of a study of perturbations say, in few numbers."""

from __future__ import annotations

import numpy as np

from brian_qif.protocols.divergence import flux_tube_radius


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
