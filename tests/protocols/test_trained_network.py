"""A trained network is an ordinary Brian2 network: the exact solver and Brian2 itself give the same answers."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from brian2 import SpikeMonitor, StateMonitor, defaultclock, ms

import brian_qif
from brian_qif import EventSolver, load_network
from brian_qif.data.embedded import embedded_files
from brian_qif.protocols.shd_training import train_on_recordings
from brian_qif.training.checkpoints import read_checkpoint
from brian_qif.training.datasets import SpikeDataset, SpikeSample
from tests.training.spike_files import write_pattern_file

# Spikes as they are in the file, which lasts for 34 ms: delay lines would be far longer.
RAW = {"taps": 1, "time_step": 0.0}
SMALL = {"inputs": 12, "hidden": 5, "batch_size": 8, "learning_rate": 0.02, "epochs": 3, "config": RAW}
HEARD = 100
# A LIF neuron is reset on the grid, which delays every spike after it too, and spikes that graze the threshold come and
# go with the step: on the same digits the larger network is more robust.
HIDDEN = {"lif": 32, "qif": 16}


def heard():
    """Every fourth sample of the embedded test file."""
    with SpikeDataset(embedded_files()[1], n_units=70) as dataset:
        return [dataset[k] for k in range(0, 4 * HEARD, 4)]


@pytest.fixture(scope="module")
def digit_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    for neuron in ("lif", "qif"):
        train_on_recordings(out=folder / neuron, neuron=neuron, hidden=HIDDEN[neuron], epochs=8)
    return folder


@pytest.fixture(scope="module")
def small_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    train = write_pattern_file(folder / "train.h5", 0, 40)
    for recurrent in (False, True):
        train_on_recordings(train=train, test=train, out=folder / f"{recurrent}", recurrent=recurrent, **SMALL)
    return folder


@pytest.fixture
def step():
    """Sets the step of Brian2's clock, and puts it back at the end."""
    before = defaultclock.dt

    def choose(dt):
        defaultclock.dt = dt

    yield choose
    defaultclock.dt = before


def clocked_outputs(folder, samples, dt):
    trained = load_network(folder, trials=len(samples))
    trained.present(*samples, dt=dt)
    monitor = StateMonitor(trained.readout, "v", True)
    trained.network.add(monitor)
    trained.network.run(trained.duration, namespace={})
    return trained.outputs(monitor)


@pytest.mark.parametrize(
    # LIF: measured 95 to 99 % over network sizes (docs/how-to/trained-networks.md).
    ("neuron", "agreement"),
    [("lif", 0.95), ("qif", 0.99)],
)
def test_brian2_says_what_the_exact_solver_says(digit_runs, step, neuron, agreement):
    samples = heard()
    exact, _ = load_network(digit_runs / neuron).classify(samples)
    errors = {}
    for dt in (0.2, 0.1):
        step(dt * ms)
        outputs = clocked_outputs(digit_runs / neuron, samples, dt * ms)
        errors[dt] = np.median(np.abs(outputs - exact))
    assert np.mean(outputs.argmax(axis=1) == exact.argmax(axis=1)) >= agreement
    assert errors[0.1] < 0.02 * exact.std()
    # Order 1 in dt at least; at such steps that of rk4 still shows with QIF neurons.
    assert errors[0.2] / errors[0.1] > 1.7


def test_a_standalone_program_says_the_same(digit_runs, quick_folder):
    root = Path(__file__).parents[2]
    script = root / "tests" / "protocols" / "standalone_script.py"
    command = [sys.executable, str(script), str(digit_runs / "qif"), str(quick_folder / "outputs.npy")]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    finished = subprocess.run(command, cwd=quick_folder, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    exact, _ = load_network(digit_runs / "qif").classify(heard())
    outputs = np.load(quick_folder / "outputs.npy")
    assert np.mean(outputs.argmax(axis=1) == exact.argmax(axis=1)) >= 0.99


@pytest.mark.parametrize("recurrent", [False, True])
def test_the_trained_values_are_in_the_network(small_runs, recurrent):
    folder = small_runs / f"{recurrent}"
    arrays, _ = read_checkpoint(folder / "checkpoint.npz")
    trained = load_network(folder)
    assert len(trained.parameters) == 2 + recurrent
    for k, parameter in enumerate(trained.parameters):
        np.testing.assert_array_equal(np.asarray(parameter[:]), arrays[f"value_{k}"])
    assert float(trained.hidden.tau_m[:]) == trained.settings["tau_m"]
    with SpikeDataset(small_runs / "train.h5", n_units=12) as samples:
        outputs, counts = trained.classify(samples)
        right = outputs.argmax(axis=1) == samples.labels
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    assert right.mean() == summary["test_accuracy"]
    assert counts.shape == (40, 5)


@pytest.mark.parametrize("recurrent", [False, True])
def test_trials_side_by_side_are_those_one_by_one(small_runs, recurrent):
    with SpikeDataset(small_runs / "train.h5", n_units=12) as dataset:
        samples = [dataset[k] for k in range(3)]
    together = clocked_outputs(small_runs / f"{recurrent}", samples, 0.1 * ms)
    apart = [clocked_outputs(small_runs / f"{recurrent}", [sample], 0.1 * ms)[0] for sample in samples]
    np.testing.assert_allclose(together, apart, rtol=1e-12, atol=1e-14)
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_monitors_and_perturbations(small_runs):
    trained = load_network(small_runs / "False")
    with SpikeDataset(small_runs / "train.h5", n_units=12) as dataset:
        sample = dataset[0]
    trained.present(sample)
    before = EventSolver().simulate(trained.network, trained.duration).spikes[trained.hidden].t
    monitor = SpikeMonitor(trained.hidden)
    trained.network.add(monitor)
    trained.network.run(trained.duration)
    assert abs(len(before) - monitor.num_spikes) <= 1 < len(before)  # one may lie at the trial's end
    trained = load_network(small_runs / "False")
    trained.present(sample)
    trained.input_synapses.w *= 1.01
    after = EventSolver().simulate(trained.network, trained.duration).spikes[trained.hidden].t
    assert not np.array_equal(before[: len(after)], after[: len(before)])


def test_spikes_that_share_a_step_wait_for_a_free_one(small_runs):
    trained = load_network(small_runs / "False")
    times, units = np.array([0.0, 1.0, 1.0, 1.02, 1.0, 1.1]) * 1e-3, np.array([0, 3, 3, 3, 4, 3])
    sample = SpikeSample(times, units, 0, 0)
    assert trained.present(sample, dt=0.1 * ms) == 3
    monitor = SpikeMonitor(trained.stimulus)
    trained.network.add(monitor)
    trained.network.run(2 * ms)
    found = sorted(zip(monitor.i, np.round(monitor.t / (0.1 * ms)).astype(int), strict=True))
    assert found == [(0, 0), (3, 9), (3, 10), (3, 11), (3, 12), (4, 9)]


def test_what_present_and_outputs_refuse(small_runs):
    trained = load_network(small_runs / "False", trials=2)
    empty = SpikeSample(np.array([]), np.array([], dtype=int), 0, 0)
    with pytest.raises(ValueError, match="takes one sample per trial, 2; 1 were given"):
        trained.present(empty)
    with pytest.raises(ValueError, match="units of a sample lie between 0 and 11"):
        trained.present(empty, SpikeSample(np.array([0.1]), np.array([12]), 0, 0))
    with pytest.raises(ValueError, match="load the network with trials=1"):
        trained.classify([empty])
    with pytest.raises(ValueError, match="record v of all neurons of the readout"):
        trained.outputs(StateMonitor(trained.readout, "v", [0]))
    with pytest.raises(ValueError, match="'trials' has to be at least 1, not 0"):
        load_network(small_runs / "False", trials=0)


def test_folders_without_a_whole_run(small_runs, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no run: settings.json is missing"):
        load_network(tmp_path)
    shutil.copytree(small_runs / "False", tmp_path / "run")
    settings = json.loads((tmp_path / "run" / "settings.json").read_text("utf-8"))
    for change, message in (
        ({"hidden": 6}, "has 60 values of input_synapses.w; its settings say 72"),
        ({"recurrent": True}, "has 0 values of recurrent_synapses.w; its settings say 20"),
    ):
        (tmp_path / "run" / "settings.json").write_text(json.dumps({**settings, **change}), "utf-8")
        with pytest.raises(ValueError, match=message):
            load_network(tmp_path / "run")
    del settings["tau_m"]
    (tmp_path / "run" / "settings.json").write_text(json.dumps(settings), "utf-8")
    with pytest.raises(ValueError, match="not of a run of 'brian-qif train': tau_m is missing"):
        load_network(tmp_path / "run")
    (tmp_path / "run" / "settings.json").write_text("{", "utf-8")
    with pytest.raises(ValueError, match="settings.json' is damaged"):
        load_network(tmp_path / "run")
    (tmp_path / "run" / "checkpoint.npz").unlink()
    with pytest.raises(FileNotFoundError, match="checkpoint.npz is missing"):
        load_network(tmp_path / "run")


def test_the_library_offers_it_by_name():
    assert "load_network" in brian_qif.__all__
    with pytest.raises(AttributeError, match="has no attribute 'load_networks'"):
        _ = brian_qif.load_networks
    assert load_network.__module__ == "brian_qif.protocols.trained_network"
