"""brian-qif train --solver clock: the network of --solver event, by steps on a clock, on each device the same."""

import numpy as np
import pandas as pd
import pytest

from brian_qif.cli import main
from brian_qif.codegen.compiler import CompilerError, find_compiler
from brian_qif.solvers.clock_tasks import find_device
from brian_qif.training.checkpoints import read_checkpoint
from tests.training.spike_files import write_pattern_file


def trained(folder, *options):
    """Runs the command; the learned weights, and the history."""
    files = [str(write_pattern_file(folder / f"{name}.h5", seed, 16)) for seed, name in enumerate(("train", "test"))]
    out = folder / "out"
    command = ["train", "--train", files[0], "--test", files[1], "--out", str(out), "--neuron", "lif", "--seed", "2"]
    command += "--inputs 12 --hidden 5 --batch-size 8 --learning-rate 0.02 --epochs 2".split()
    assert main([*command, *options]) == 0
    arrays, _ = read_checkpoint(out / "checkpoint.npz")
    return [arrays["value_0"], arrays["value_1"]], pd.read_csv(out / "history.csv")


@pytest.fixture(scope="module")
def on_runtime(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runtime"), "--solver", "clock", "--dt", "0.5")


def test_the_network_is_that_of_the_event_driven_solver(on_runtime, tmp_path):
    weights, history = trained(tmp_path)
    found, steps = on_runtime
    assert [x.shape for x in weights] == [x.shape for x in found]
    # Spike times have an error of order dt, half a millisecond here.
    assert list(steps["loss"]) == pytest.approx(list(history["loss"]), rel=0.03)


@pytest.mark.parametrize("device", ["cpp_standalone", "genn"])
def test_devices_learn_the_same(device, on_runtime, tmp_path):
    missing = find_device(device).missing()
    if missing is not None:
        pytest.skip(missing)
    try:
        find_compiler()
    except CompilerError as error:
        pytest.skip(str(error))
    weights, history = trained(tmp_path, "--solver", "clock", "--dt", "0.5", "--device", device)
    expected, steps = on_runtime
    assert list(history["loss"]) == pytest.approx(list(steps["loss"]), rel=1e-9)
    for found, other in zip(weights, expected, strict=True):
        assert found == pytest.approx(other, rel=1e-9, abs=1e-9 * np.max(np.abs(other)))
