"""Of which samples and neurons the differences between gradients of neighbouring points are, and what is said of them.

    python docs/scripts/gradient_tails.py OUT.csv.gz TEST_FILE RUN_DIR...

For each network, sample and hidden neuron: the squared slopes by the neuron's incoming weights at the network, and how
much they differ at points a thousandth and a hundredth of a step away, means over random directions; whether the
neuron has as many spikes there; how many spikes it has, and when the last is; and two things that make a spike time
sensitive: how long the neuron stays near its unstable point (QIF), and how slowly it crosses its threshold (LIF).
"""

import sys

import numpy as np
import pandas as pd
from brian2 import second

from brian_qif.protocols.landscape_subject import probe_of, read_subjects
from brian_qif.solvers.trajectory import Trajectory
from brian_qif.training.remedies import NeuronOwners

SAMPLES, DIRECTIONS, DISTANCES = 32, 4, (1e-3, 1e-2)
NEAR, STEP = 0.25, 0.5e-3  # of the unstable point, in the normal form; seconds between the states that are looked at
TAILS = 20  # what the seeds of directions begin with


def main(out, test, *runs):
    tables = []
    for run in runs:
        (subject,), _ = read_subjects([run], test, SAMPLES)
        probe = probe_of(subject)
        owners = NeuronOwners(probe.classifier.parameters[0])
        places = _places(probe, owners)
        for n, number in enumerate(subject.numbers):
            table = _one_sample(probe, owners, places, n)
            table.insert(0, "sample", number)
            table.insert(0, "network", subject.label)
            tables.append(table)
            print(subject.label, number, flush=True)
    table = pd.concat(tables, ignore_index=True)
    table.to_csv(out, index=False, float_format="%.4g", compression={"method": "gzip", "mtime": 1})


def _places(probe, owners):
    """The network, and neighbours of it by distance."""
    directions = [probe.direction(TAILS, k) for k in range(DIRECTIONS)]
    return probe.at(), {
        distance: [probe.at((distance, direction)) for direction in directions] for distance in DISTANCES
    }


def _one_sample(probe, owners, places, n):
    """A row for each hidden neuron."""
    centre, neighbours = places
    trial = centre.trial(n)
    slopes, counts = _slopes_and_counts(probe, centre, trial)
    found = {"neuron": np.arange(probe.neurons), "spikes": counts, "squared_slopes": owners.sum_of_squares(slopes)}
    for distance, points in neighbours.items():
        apart, changed = np.zeros(probe.neurons), np.zeros(probe.neurons)
        for point in points:
            other, theirs = _slopes_and_counts(probe, point, point.trial(n))
            apart += owners.sum_of_squares(other - slopes) / len(points)
            changed += (theirs != counts) / len(points)
        found |= {f"squared_difference_{distance:g}": apart, f"changed_{distance:g}": changed}
    return pd.DataFrame(found | _sensitivity(probe, centre, trial, n))


def _slopes_and_counts(probe, point, trial):
    units = probe.spikes(trial.record)[1]
    return point.slopes(trial)[0], np.bincount(units, minlength=probe.neurons)


def _sensitivity(probe, point, trial, n):
    """The time from each neuron's last spike to the end, and what makes its spike times sensitive."""
    subject = probe.subject
    sample, hidden = subject.samples[n], probe.classifier.hidden
    stimuli = {probe.stimulus: (sample.times + point.reading.plan.start, sample.units)}
    trajectory = Trajectory(point.reading, subject.duration, trial.record, stimuli)
    times, units = np.asarray(trajectory.spikes[hidden].t), trajectory.spikes[hidden].i
    last = np.full(probe.neurons, -np.inf)
    np.maximum.at(last, units, times)
    found = {"before_end": np.where(np.isfinite(last), subject.duration - last, np.nan)}
    if subject.settings["neuron"] == "qif":
        return found | {"sensitivity": _longest_stay(trajectory, hidden)}
    slowest = np.full(probe.neurons, np.inf)
    if len(times):
        currents = np.asarray(trajectory.state(hidden, "I", times * second))[np.arange(len(times)), units]
        np.minimum.at(slowest, units, currents - 1)
    return found | {"sensitivity": np.where(np.isfinite(slowest), 1 / slowest, np.nan)}


def _longest_stay(trajectory, hidden):
    """For how long, at a stretch, each neuron is near the unstable point of v (v - 1) + I, in units of tau_m."""
    grid = np.arange(0, trajectory.duration, STEP) * second
    v, current = (np.asarray(trajectory.state(hidden, name, grid)) for name in ("v", "I"))
    near = (current < 0.25) & (np.abs(v - 0.5 - np.sqrt(np.maximum(0.25 - current, 0))) < NEAR)
    stay, longest = np.zeros(near.shape[1]), np.zeros(near.shape[1])
    for row in near:
        stay = np.where(row, stay + STEP, 0)
        longest = np.maximum(longest, stay)
    return longest / float(hidden.tau_m)


if __name__ == "__main__":
    main(*sys.argv[1:])
