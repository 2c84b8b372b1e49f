"""Whether the scan of a line misses jumps: against a scan ten times finer, and against losses that are only sampled.

    python docs/scripts/finer_look.py OUT.csv TEST_FILE RUN_DIR...

On the first line of ``brian-qif landscape --samples 64 --line-extent 0.02`` with its seed 0. A step between two
samples of the loss that no located jump explains is looked at a hundred times closer: where the loss is continuous, no
step there is nearly as large. ``missed`` counts those where one is.
"""

import sys

import numpy as np
import pandas as pd

from brian_qif.protocols.discontinuities import scan_line
from brian_qif.protocols.landscape_pieces import LINES
from brian_qif.protocols.landscape_subject import probe_of, read_subjects
from brian_qif.protocols.loss_line import LossLine

NUMBER, EXTENT, POINTS = 1, 0.02, 51
SEEN = 2e-3  # twice the tolerance of the scan


def main(out, test, *runs):
    rows = []
    for run in runs:
        (subject,), _ = read_subjects([run], test, 64)
        for number in range(NUMBER):
            found = look(line_of(subject, number), EXTENT, POINTS)
            rows.append({"network": subject.label, "line": number, "sample": subject.numbers[number], **found})
            print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(out, index=False, float_format="%.3g")


def line_of(subject, number):
    """The line of a number, with the sample that `landscape` scans it with."""
    probe = probe_of(subject)
    return LossLine(
        probe.gradient,
        probe.classifier.stimulus,
        subject.duration,
        subject.samples[number],
        probe.moved(),
        probe.direction(LINES, number),
    )


def look(line, extent, points):
    """A scan, one that is ten times finer, and what the losses say that lie as close as the latter's first points."""
    finer_points = 10 * (points - 1) + 1
    coarse, finer = (_jumps(scan_line(line, -extent, extent, number)) for number in (points, finer_points))
    apart = np.abs(coarse[:, None] - finer).min(axis=1, initial=np.inf) if len(finer) else np.full(len(coarse), np.inf)
    dense = np.linspace(-extent, extent, finer_points)
    steps = np.abs(np.diff([line(place, with_slope=False).loss for place in dense]))
    steps[np.searchsorted(dense, coarse) - 1] = 0
    missed = 0
    for k in np.flatnonzero(steps > SEEN):
        closer = [line(place, with_slope=False).loss for place in np.linspace(dense[k], dense[k + 1], 101)]
        missed += bool(np.max(np.abs(np.diff(closer))) > 0.3 * steps[k])
    return {
        "jumps": len(coarse),
        "jumps_of_a_finer_scan": len(finer),
        "furthest_apart": float(np.max(apart, initial=0)),
        "steps_without_jump": int(np.count_nonzero(steps > SEEN)),
        "missed": missed,
    }


def _jumps(scan):
    """Where the loss jumps inside the trial."""
    return np.array([change.position for change in scan.changes if change.inside and change.jump])


if __name__ == "__main__":
    main(*sys.argv[1:])
