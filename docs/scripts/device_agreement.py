"""How often a trained network says on a Brian2 device what it says with exact spike times, and how far its outputs are.

Run it with run folders of ``brian-qif train`` and a test file::

    python docs/scripts/device_agreement.py results/lif results/qif --test NAME_test.h5 --device runtime

It prints the table of docs/how-to/trained-networks.md: a line per run and dt, over the same samples.
"""

import argparse
import shutil

import brian2
import numpy as np
from brian2 import StateMonitor, ms

from brian_qif import load_network
from brian_qif.protocols.preparation import encoding_of
from brian_qif.protocols.trained_run import read_settings, recipe_in
from brian_qif.training.datasets import SpikeDataset


def encoded_samples(run, test, count):
    """The first samples of a file, as the run's input neurons get them."""
    settings = read_settings(run)
    encoding = encoding_of(recipe_in(settings), settings["inputs"])
    with SpikeDataset(test, n_units=settings["inputs"], labelled=False, encoding=encoding) as dataset:
        chosen = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int)
        return [dataset[int(k)] for k in chosen]


# A LIF neuron crossed inside the step: (v - v_th)/(I - v_th)*tau_m is left of it, in which v moves on from v_reset.
COMPENSATED = "v = v_reset + (v - v_th)*(I - v_reset)/(I - v_th)"


def on_a_clock(run, samples, dt, device, compensated=False):
    """Outputs for samples side by side, and the share of input spikes that are in another step than their own."""
    options = {}
    if device == "genn":
        import brian2genn  # noqa: F401  (registers the device)

        options["use_GPU"] = False
    brian2.set_device(device, directory=None, build_on_run=True, **options)
    brian2.defaultclock.dt = dt
    trained = load_network(run, trials=len(samples))
    if compensated:
        trained.hidden.event_codes["spike"] = COMPENSATED
    moved = trained.present(*samples, dt=dt)
    voltages = StateMonitor(trained.readout, "v", record=True)
    trained.network.add(voltages)
    steps = round(float(trained.duration / dt))
    trained.network.run(steps * dt, namespace={})
    outputs = trained.outputs(voltages)
    if device != "runtime":
        shutil.rmtree(brian2.get_device().project_dir, ignore_errors=True)
        brian2.device.reinit()
    return outputs, moved / max(1, sum(len(sample.times) for sample in samples))


def compare(run, test, device, steps, count, at_once, compensated):
    """Print a line per dt."""
    samples = encoded_samples(run, test, count)
    brian2.set_device("runtime")
    exact, spikes = load_network(run).classify(samples)
    settings = read_settings(run)
    print(
        f"{run}: {settings['neuron'].upper()}, {settings['hidden']} hidden neurons, {len(samples)} samples,"
        f" {spikes.mean():.2f} spikes per neuron, outputs have a standard deviation of"
        f" {exact.std():.3g}",
        flush=True,
    )
    for step in steps:
        parts = [
            on_a_clock(run, samples[k : k + at_once], step * ms, device, compensated)
            for k in range(0, len(samples), at_once)
        ]
        found = np.concatenate([outputs for outputs, _ in parts])
        same = found.argmax(axis=1) == exact.argmax(axis=1)
        ordered = np.sort(exact, axis=1)
        lead = ordered[:, -1] - ordered[:, -2]
        close = f"{np.max(lead[~same]):.3f}" if not np.all(same) else "none"
        print(
            f"  {device}, dt = {step} ms: {np.mean(same):.1%} the same answer; median difference of outputs"
            f" {np.median(np.abs(found - exact)):.4f}, 95 % below {np.quantile(np.abs(found - exact), 0.95):.4f};"
            f" largest lead of an answer that changed {close} (median lead {np.median(lead):.2f}); input spikes in"
            f" another step {np.mean([share for _, share in parts]):.1%}",
            flush=True,
        )


def main():
    """Compare every run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", help="folders of trainings")
    parser.add_argument("--test", required=True, help="HDF5 file")
    parser.add_argument("--device", default="runtime", help="Brian2 device (default: %(default)s)")
    parser.add_argument("--dt", type=float, nargs="+", default=[0.2, 0.1, 0.05], help="in milliseconds")
    parser.add_argument("--samples", type=int, default=200, help="evenly spread over the file (default: %(default)s)")
    parser.add_argument("--at-once", type=int, default=50, help="samples side by side (default: %(default)s)")
    parser.add_argument("--compensated", action="store_true", help="reset LIF neurons as from inside the step")
    arguments = parser.parse_args()
    brian2.prefs.codegen.target = "numpy"
    for run in arguments.runs:
        given = arguments.device, arguments.dt, arguments.samples, arguments.at_once, arguments.compensated
        compare(run, arguments.test, *given)


if __name__ == "__main__":
    main()
