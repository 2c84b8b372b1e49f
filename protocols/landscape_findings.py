"""What a landscape study consists of, and what it found: pieces put together, measures, tables."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from brian_qif.protocols.directions import length_of
from brian_qif.protocols.landscape_gradients import GradientPairs, variance_by_distance
from brian_qif.protocols.landscape_measures import (
    disagreeing,
    gradient_variance,
    jump_measures,
    lipschitz,
    share_with_error,
    total_variation,
)
from brian_qif.protocols.landscape_pieces import (
    CHANGE_COLUMNS,
    GRID,
    JUMP,
    LINES,
    STEPS,
    UNRESOLVED,
    BatchLine,
    CellChecks,
    DirectionChecks,
    ExactSegment,
    GridRow,
    positions,
)
from brian_qif.protocols.landscape_subject import Subject, probe_of
from brian_qif.protocols.landscape_work import read_piece

_ARROWS = 24  # gradients along a side of the grid, about
_SEGMENTS = 10  # of a line, each a piece of its own
_AT_ONCE = 8  # directions or cells in a piece
_BY_DISTANCE = ("gradient_variance_by_scale", "gradient_variance_of_pairs")
_NO_RATIO = {"step", "distance", "lag", "points"}


@dataclass(frozen=True)
class Plan:
    """The size of a study; see `landscape`."""

    grid: int
    extent: float
    lines: int
    line_extent: float
    line_points: int
    directions: int
    cells: int
    pairs: int
    dtype: str

    @property
    def every(self) -> int:
        """Between points of the grid that have a gradient."""
        return max(1, round((self.grid - 1) / _ARROWS))

    def pieces(self, subject: Subject) -> list:
        """All pieces for a network, the longest first."""
        bounds = np.linspace(-self.line_extent, self.line_extent, _SEGMENTS + 1)
        intervals = max(1, (self.line_points - 1) // _SEGMENTS)
        found = [
            ExactSegment(k, n, k % len(subject.samples), float(bounds[n]), float(bounds[n + 1]), intervals + 1)
            for k in range(self.lines)
            for n in range(_SEGMENTS)
        ]
        found += [BatchLine(k, self.grid, self.extent, self.dtype) for k in range(self.lines)]
        found += [GridRow(k, self.grid, self.extent, self.every, self.dtype) for k in range(self.grid)]
        found += [GradientPairs(k, self.extent) for k in range(self.pairs)]
        found += [DirectionChecks(*bounds) for bounds in _parts(self.directions)]
        return found + [CellChecks(*bounds, self.grid, self.extent) for bounds in _parts(self.cells)]


def _parts(number):
    return [(first, min(first + _AT_ONCE, number)) for first in range(0, number, _AT_ONCE)]


@dataclass
class Landscape:
    """What was found around one network.

    Arrays of the grid are by row, column and sample; ``slopes`` are along the two directions of the grid, NaN where
    there is no gradient. ``scans`` has for each line its sample, moments and ``variation``; ``changes`` is the table of
    all changes of spikes on these lines.
    """

    subject: Subject
    plan: Plan
    places: np.ndarray
    loss: np.ndarray
    right: np.ndarray
    spikes: np.ndarray
    silent: np.ndarray
    neurons_changed: np.ndarray
    places_moved: np.ndarray
    slopes: np.ndarray
    batch_lines: list[dict]
    scans: list[dict]
    changes: pd.DataFrame
    pairs: list[dict]
    checks: list[dict]
    cells: np.ndarray
    lengths: dict[str, list[float]]
    neurons: int


def gather(subject: Subject, plan: Plan, folder) -> Landscape:
    """Read all pieces of a network."""
    by_kind: dict[type, list] = {}
    for piece in plan.pieces(subject):
        by_kind.setdefault(type(piece), []).append((piece, read_piece(folder, subject, piece)))
    rows = [arrays for _, arrays in by_kind[GridRow]]
    grid = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    scans, changes = _scans(subject, by_kind.get(ExactSegment, []))
    probe = probe_of(subject)
    return Landscape(
        subject=subject,
        plan=plan,
        places=positions(plan.grid, plan.extent),
        **grid,
        batch_lines=[arrays for _, arrays in by_kind.get(BatchLine, [])],
        scans=scans,
        changes=changes,
        pairs=[arrays for _, arrays in by_kind[GradientPairs]],
        checks=[arrays for _, arrays in by_kind.get(DirectionChecks, [])],
        cells=np.concatenate([np.empty((0, 4), int), *[arrays["cells"] for _, arrays in by_kind.get(CellChecks, [])]]),
        lengths={
            "grid": [length_of(probe.direction(GRID, k)) for k in (0, 1)],
            "lines": [length_of(probe.direction(LINES, k)) for k in range(plan.lines)],
        },
        neurons=probe.neurons,
    )


def _scans(subject, segments):
    """The segments of each line put together, and one table of all changes."""
    scans, tables = {}, []
    for piece, arrays in segments:
        scan = scans.setdefault(piece.line, {"line": piece.line, "sample": subject.numbers[piece.sample], "parts": []})
        scan["parts"].append(arrays)
        table = pd.DataFrame({name: arrays[f"change_{name}"] for name in CHANGE_COLUMNS})
        table.insert(0, "sample", subject.numbers[piece.sample])
        table.insert(0, "line", piece.line)
        table.insert(0, "network", subject.label)
        tables.append(table)
    for scan in scans.values():
        parts = scan.pop("parts")
        scan |= {name: np.concatenate([part[name] for part in parts]) for name in ("positions", "losses", "spikes")}
        scan |= {name: float(sum(part[name] for part in parts)) for name in ("variation", "order_swaps")}
    columns = ["network", "line", "sample", *CHANGE_COLUMNS]
    return list(scans.values()), pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def measures(found: Landscape) -> dict:
    """All measures of one network, as plain text and numbers for summary.json."""
    plan, middle = found.plan, (found.plan.grid - 1) // 2
    step, mean = found.places[1] - found.places[0], found.loss.mean(axis=2)
    up, across = step * found.lengths["grid"][1], step * found.lengths["grid"][0]
    summary = {
        "neuron": found.subject.settings["neuron"],
        "run": found.subject.run,
        "samples": found.loss.shape[2],
        "loss_at_the_network": float(mean[middle, middle]),
        "accuracy_at_the_network": float(found.right[middle, middle].mean()),
        "lengths_of_directions": found.lengths,
        "total_variation": total_variation(mean, (2 * plan.extent,) * 2),
        "total_variation_single_samples": total_variation(found.loss, (2 * plan.extent,) * 2),
    }
    for losses, ending in ((mean, ""), (found.loss, "_single_samples")):
        for distances, unit in (((up, across), ""), ((step, step), "_relative")):
            steep = lipschitz(losses, distances)
            summary[f"lipschitz_median{ending}{unit}"] = float(np.median(steep))
            summary[f"lipschitz_p95{ending}{unit}"] = float(np.quantile(steep, 0.95))
    return summary | _line_measures(found, step) | _check_measures(found)


def _line_measures(found, step):
    summary = {"gradient_variance_of_pairs": variance_by_distance(found.pairs)}
    if found.batch_lines:
        by_scale = gradient_variance(found.batch_lines)
        for row in by_scale:
            row["step"] = row["lag"] * step
            row["distance"] = row["step"] * float(np.mean(found.lengths["lines"]))
        summary |= {"gradient_variance": by_scale[0]["relative"], "gradient_variance_by_scale": by_scale}
    if found.scans:
        length = 2 * found.plan.line_extent * len(found.scans)
        variation = sum(scan["variation"] for scan in found.scans)
        summary |= jump_measures(found.changes, variation, length)
        summary["order_swaps_on_lines"] = int(sum(scan["order_swaps"] for scan in found.scans))
    return summary


def _check_measures(found):
    summary = {}
    if len(found.cells):
        total, outcome = len(found.cells), found.cells[:, 3]
        share, error = share_with_error(np.count_nonzero(outcome == JUMP), total)
        summary |= {"cells_checked": total, "jump_cells_share": share, "jump_cells_error": error}
        summary["unresolved_cells_share"] = float(np.mean(outcome == UNRESOLVED))
    if found.checks:
        slopes = np.concatenate([one["slopes"] for one in found.checks])
        differences = np.concatenate([one["differences"] for one in found.checks])
        shares = disagreeing(slopes, differences)
        summary["disagreeing_directions"] = {f"{step:g}": share for step, share in zip(STEPS, shares, strict=True)}
    return summary


def ratios(one: dict, other: dict) -> dict:
    """Measures of the first network over those of the second, where both have them and the second is not zero."""
    names = [
        name
        for name in one
        if name.startswith(("lipschitz", "total_variation", "gradient_variance", "jumps_per_unit"))
        and isinstance(one[name], float)
    ]
    found = {name: one[name] / other[name] if other.get(name) else None for name in names}
    for name in _BY_DISTANCE:
        rows = zip(one.get(name, []), other.get(name, []), strict=True)
        found[name] = [_ratios_of_row(*pair) for pair in rows]
    return found


def _ratios_of_row(one, other):
    kept = {"step": one["step"]}
    for kind in one.keys() - _NO_RATIO:
        kept[kind] = one[kind] / other[kind] if one[kind] is not None and other[kind] else None
    return {kind: kept[kind] for kind in one if kind in kept}


def statement(label: str, summary: dict) -> str:
    """What the exact lines say of a network, in words."""
    if "changes_inside_trial" not in summary:
        return f"{label}: no line was scanned."
    length, jumps = summary["scanned_length"], summary["jumps_inside_trial"] + summary["jumps_at_end"]
    text = (
        f"{label}: {summary['jumps_per_unit_length']:.4g} jumps of a sample's loss per unit length (a step of 1 is as"
        f" large as the weights) over {length:.4g} unit lengths: {summary['jumps_inside_trial']} inside the trial,"
        f" {summary['jumps_at_end']} at its end."
    )
    if jumps:
        text += f" They carry {summary['jump_share_of_variation']:.1%} of the total variation."
    text += (
        f" Spikes came, went or jumped in time at {summary['changes_inside_trial']} places inside the trial and came or"
        f" went through its end at {summary['changes_at_end']}."
    )
    if summary["changes_unresolved"]:
        text += (
            f" At {summary['changes_unresolved']} more they were on their way to the end when rounding lost them; the"
            f" steps that are left of their way carry {summary['unresolved_share_of_variation']:.1%} of the variation."
        )
    return text


def grid_table(found: Landscape) -> pd.DataFrame:
    """One row per point of the grid, means over the samples."""
    y, x = np.meshgrid(found.places, found.places, indexing="ij")
    rows, columns = np.indices(x.shape)
    table = {
        "network": found.subject.label,
        "row": rows.ravel(),
        "column": columns.ravel(),
        "x": x.ravel(),
        "y": y.ravel(),
        "loss": found.loss.mean(axis=2).ravel(),
        "accuracy": found.right.mean(axis=2).ravel(),
        "spikes_per_neuron": (found.spikes.mean(axis=2) / found.neurons).ravel(),
        "silent_share": (found.silent.mean(axis=2) / found.neurons).ravel(),
        "neurons_changed": found.neurons_changed.mean(axis=2).ravel(),
        "places_moved": found.places_moved.mean(axis=2).ravel(),
        "slope_x": found.slopes[..., 0].mean(axis=2).ravel(),
        "slope_y": found.slopes[..., 1].mean(axis=2).ravel(),
    }
    return pd.DataFrame(table)


def sample_table(found: Landscape) -> pd.DataFrame:
    """One row per point of the grid and sample."""
    rows, columns, samples = np.indices(found.loss.shape)
    names = ("loss", "right", "spikes", "neurons_changed", "places_moved")
    return pd.DataFrame(
        {
            "network": found.subject.label,
            "row": rows.ravel(),
            "column": columns.ravel(),
            "sample": np.array(found.subject.numbers)[samples.ravel()],
            **{name: getattr(found, name).ravel() for name in names},
        }
    )


def line_table(found: Landscape) -> pd.DataFrame:
    """One row per point of each line that was looked at: of a sample, or of the mean loss, where none is named."""
    parts = [
        pd.DataFrame({"line": k, "sample": None, "position": one["positions"], "loss": one["losses"].mean(axis=1)})
        for k, one in enumerate(found.batch_lines)
    ]
    parts += [
        pd.DataFrame({name: scan[name] for name in ("line", "sample")} | {"position": scan["positions"]})
        .assign(loss=scan["losses"], spikes=scan["spikes"])
        .drop_duplicates("position")
        for scan in found.scans
    ]
    columns = ["network", "line", "sample", "position", "loss", "spikes"]
    return pd.concat([pd.DataFrame(columns=columns), *parts]).assign(network=found.subject.label)


def plan_settings(plan: Plan) -> dict:
    """A plan as plain numbers, for a record."""
    return {field.name: getattr(plan, field.name) for field in fields(Plan)}
