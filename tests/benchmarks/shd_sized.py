"""Seconds of an epoch and peak memory on a file of the size and layout of the Spiking Heidelberg Digits.

Run it as ``python -m tests.benchmarks.shd_sized qif --dtype float32``: makes 8156 training and 512 test samples of
about 8000 spikes in 20 classes, with float16 times that coincide as the published ones do, trains 128 hidden neurons
for two epochs in a process of its own and prints what its history and the operating system say. Then the same run is
stopped after its first epoch and resumed, and has to end with the same bits.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from brian_qif.data.spike_file import write_spike_file

CLASSES, CHANNELS, SPIKES = 20, 700, 8000


def samples(count: int, seed: int):
    """Every class has three bands of channels that are active at times of their own; a fifth of the spikes is noise."""
    bands = np.random.default_rng(0).uniform([50, 0.1], [650, 0.8], (CLASSES, 3, 2))
    generator = np.random.default_rng(seed)
    for index in range(count):
        label, total = index % CLASSES, int(generator.normal(SPIKES, SPIKES / 10))
        band = generator.integers(3, size=total)
        units = generator.normal(bands[label, band, 0] + generator.normal(0, 10), 40)
        times = generator.normal(bands[label, band, 1] + generator.normal(0, 0.03), 0.1)
        noise = generator.random(total) < 0.2
        units[noise], times[noise] = generator.uniform(0, CHANNELS, np.sum(noise)), generator.random(np.sum(noise))
        inside = (units >= 0) & (units < CHANNELS) & (times >= 0) & (times < 1)
        order = np.argsort(times[inside])
        yield times[inside][order], units[inside][order].astype(int), label, index % 10


def command(folder: Path, out: str, options: list[str]) -> list[str]:
    files = ["--train", str(folder / "train.h5"), "--test", str(folder / "test.h5")]
    train = [sys.executable, "-m", "brian_qif.cli", "train", *files]
    return [*train, "--epochs", "2", "--out", str(folder / out), *options]


def stopped_and_resumed(folder: Path, options: list[str]) -> None:
    """A run that is ended in its second epoch, and then taken up again."""
    child = subprocess.Popen(command(folder, "again", options), stdout=subprocess.DEVNULL)
    history = folder / "again" / "history.csv"
    while not history.exists() and child.poll() is None:
        time.sleep(0.2)
    time.sleep(1)
    child.send_signal(signal.SIGKILL)
    child.wait()
    subprocess.run([*command(folder, "again", options), "--resume"], check=True, stdout=subprocess.DEVNULL)


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.shd_sized")
    parser.add_argument("neuron", choices=["lif", "qif"])
    parser.add_argument("--dtype", default="float64")
    parser.add_argument("--samples", type=int, default=8156)
    choice = parser.parse_args()
    options = ["--neuron", choice.neuron, "--dtype", choice.dtype]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = [str(label) for label in range(CLASSES)]
        for file, count, seed in (("train.h5", choice.samples, 1), ("test.h5", 512, 2)):
            write_spike_file(folder / file, samples(count, seed), names, CHANNELS, "SYNTHETIC, for a benchmark")
        subprocess.run(command(folder, "whole", options), check=True, stdout=subprocess.DEVNULL)
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        history = pd.read_csv(folder / "whole" / "history.csv")
        seconds = ", ".join(f"{value:.1f}" for value in history.seconds)
        accuracy = json.loads((folder / "whole" / "summary.json").read_text())["test_accuracy"]
        print(
            f"{choice.neuron} {choice.dtype}: {choice.samples} samples, {seconds} s an epoch on {os.cpu_count()} cores,"
            f" {memory:.2f} GiB at most, test accuracy after two epochs {accuracy:.3f}"
        )
        stopped_and_resumed(folder, options)
        again = pd.read_csv(folder / "again" / "history.csv")
        same = history.drop(columns="seconds").equals(again.drop(columns="seconds"))
        print(f"killed in its second epoch and resumed: {'the same bits' if same else 'OTHER NUMBERS'}")


if __name__ == "__main__":
    main()
