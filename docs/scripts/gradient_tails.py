"""Of which samples and neurons the differences between gradients of neighbouring points are, and what is said of them.

    python docs/scripts/gradient_tails.py OUT.csv.gz TEST_FILE RUN_DIR...

For each network, sample and hidden neuron: the squared slopes by the neuron's incoming weights at the network and at
points a thousandth and a hundredth of a step away in a random direction, and the square of the difference; whether the
neuron has another number of spikes there; how long before the end of the trial its last spike is; and what makes its
spike times sensitive: by how many factors of e a difference grows before a spike, which is the more, the longer the
neuron stays near its unstable point (QIF), or how slowly it crosses its threshold (LIF, one over tau_m times the slope
of v); at whichever of the two points that is more.
"""

import sys

import numpy as np
import pandas as pd

from brian_qif.protocols.landscape_subject import probe_of, read_subjects
from brian_qif.solvers.reference import ReferenceNetwork
from brian_qif.solvers.sweeps import Request
from brian_qif.training.remedies import NeuronOwners

SAMPLES, DISTANCES = 16, (1e-3, 1e-2)
STEP, BOUND = 0.5e-3, 3.0  # seconds between the states that are looked at; the voltage from which on a spike is near
TAILS = 20  # what the seed of the direction begins with


def main(out, test, *runs):
    tables = []
    for run in runs:
        (subject,), _ = read_subjects([run], test, SAMPLES)
        probe = probe_of(subject)
        for n, number in enumerate(subject.numbers):
            table = one_sample(probe, n)
            tables.append(table.assign(network=subject.label, sample=number))
            print(subject.label, number, flush=True)
    packed = {"method": "gzip", "mtime": 1}
    pd.concat(tables, ignore_index=True).to_csv(out, index=False, float_format="%.4g", compression=packed)


def one_sample(probe, n):
    """A row for each hidden neuron and distance."""
    owners = NeuronOwners(probe.classifier.parameters[0])
    here, direction, tables = _at(probe, probe.at(), n), probe.direction(TAILS, 0), []
    for distance in DISTANCES:
        there = _at(probe, probe.at((distance, direction)), n)
        found = {
            "distance": distance,
            "neuron": np.arange(probe.neurons),
            "spikes": here["spikes"],
            "changed": here["spikes"] != there["spikes"],
            "squared_slopes": owners.sum_of_squares(here["slopes"]),
            "squared_slopes_there": owners.sum_of_squares(there["slopes"]),
            "squared_difference": owners.sum_of_squares(there["slopes"] - here["slopes"]),
            "before_end": np.fmin(here["before_end"], there["before_end"]),
            "sensitivity": np.fmax(here["sensitivity"], there["sensitivity"]),
        }
        tables.append(pd.DataFrame(found))
    return pd.concat(tables)


def _at(probe, point, n):
    """Slopes, spikes and what makes them sensitive at one point."""
    trial, duration = point.trial(n), probe.subject.duration
    times, units = probe.spikes(trial.record)
    last = np.full(probe.neurons, -np.inf)
    np.maximum.at(last, units, times)
    sensitivity = _growth if probe.subject.settings["neuron"] == "qif" else _slowest_crossing
    return {
        "slopes": point.slopes(trial)[0],
        "spikes": np.bincount(units, minlength=probe.neurons),
        "before_end": np.where(np.isfinite(last), duration - last, np.nan),
        "sensitivity": sensitivity(probe, point, n, times, units),
    }


def _states(probe, point, n, times):
    """Voltages and currents of the hidden neurons at ascending times, in the normal form, by time and neuron."""
    sample, node = probe.subject.samples[n], probe.reading.node(probe.classifier.hidden)
    stimuli = {probe.stimulus: (sample.times + point.reading.plan.start, sample.units)}
    request = Request(probe.subject.duration, samples={node: times})
    samples = ReferenceNetwork(point.reading.plan).forward(request, stimuli).samples[node]
    return samples[:, 0], samples[:, 1]


def _growth(probe, point, n, *_):
    """By how many factors of e a small difference of v grows, at most, on the way to a spike: the integral of 2 v - 1.

    It grows where v is above 1/2: shortly before any spike, and for as long as v stays near the unstable point.
    """
    tau_m = float(np.ravel(probe.classifier.hidden.tau_m)[0])
    growth, most = np.zeros(probe.neurons), np.zeros(probe.neurons)
    for v in _states(probe, point, n, np.arange(0, probe.subject.duration, STEP))[0]:
        inside = np.abs(v) < BOUND
        growth = np.where(inside, np.maximum(growth + (2 * v - 1) * STEP / tau_m, 0), np.where(v < 0, 0, growth))
        most = np.maximum(most, growth)
    return most


def _slowest_crossing(probe, point, n, times, units):
    """One over the least I - v at any of each neuron's spikes, where v is 1."""
    least = np.full(probe.neurons, np.inf)
    if len(times):
        current = _states(probe, point, n, times)[1][np.arange(len(times)), units]
        np.minimum.at(least, units, current - 1)
    return np.where(np.isfinite(least), 1 / least, np.nan)


if __name__ == "__main__":
    main(*sys.argv[1:])
