"""The task that everybody solves: one network, its weights and its samples, as plain arrays.

The hidden neurons have ``tau_m dv/dt = -v + I`` (LIF, threshold 1, reset to 0) or ``tau_m dv/dt = v*(v - 1) + I``
(QIF), with ``tau_s dI/dt = -I``; a spike adds its weight to I. The readout is one leaky neuron per class whose voltage
is averaged over the trial, or one neuron of the hidden neurons' kind per class, of which the first spike counts. The
loss is the softmax cross-entropy of ``GAIN`` times the averages, or of minus the first spike times over ``TIME_SCALE``.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

TAU_M, TAU_S = 20e-3, 10e-3
DURATION = 1.0
GAIN, TIME_SCALE = 10.0, 20e-3
# Spikes per neuron and sample to which the weights are scaled.
HIDDEN_SPIKES, OUTPUT_SPIKES = 5.0, 1.5


@dataclass(frozen=True)
class Sizes:
    """Neurons of the three layers, input spikes of a sample, and samples of a batch."""

    inputs: int = 700
    hidden: int = 128
    outputs: int = 20
    spikes: int = 8000
    batch: int = 16

    def __str__(self):
        return f"{self.inputs}-{self.hidden}-{self.outputs}"


@dataclass(frozen=True)
class Task:
    """``times`` and ``units`` have shape (batch, spikes), sorted by time; weights the shape (from, to).

    ``most_hidden`` and ``most_outputs`` are the spikes of all neurons of a layer in the sample that has most: packages
    with a fixed number of events need room for them, or the gradient of that sample is lost.
    """

    sizes: Sizes
    times: np.ndarray
    units: np.ndarray
    labels: np.ndarray
    first: np.ndarray
    last: np.ndarray
    most_hidden: int
    most_outputs: int

    def save(self, file: Path):
        arrays = {name: value for name, value in vars(self).items() if name != "sizes"}
        np.savez(file, sizes=json.dumps(asdict(self.sizes)), **arrays)

    @classmethod
    def load(cls, file: Path):
        with np.load(file) as stored:
            arrays = {name: stored[name] for name in stored.files if name != "sizes"}
            sizes = Sizes(**json.loads(str(stored["sizes"])))
        return cls(sizes, **{name: value if value.ndim else value.item() for name, value in arrays.items()})

    def binned(self, step: float) -> np.ndarray:
        """Numbers of input spikes in every time step, of shape (steps, batch, inputs), for networks on a time grid."""
        steps = round(DURATION / step)
        counts = np.zeros((steps, len(self.times), self.sizes.inputs), dtype=np.float32)
        samples = np.broadcast_to(np.arange(len(self.times))[:, None], self.times.shape)
        np.add.at(counts, (np.minimum((self.times / step).astype(int), steps - 1), samples, self.units), 1)
        return counts


@dataclass(frozen=True)
class Setup:
    """One way to compute the gradient: what is measured, and what the page says of it."""

    peer: str
    neuron: str
    readout: str
    gradient: str
    time: str
    precision: str

    @property
    def key(self) -> str:
        words = (self.peer, self.neuron, self.readout, self.gradient, self.time, self.precision)
        return "-".join("".join(letter for letter in word if letter.isalnum()) for word in words)


@dataclass(frozen=True)
class Outcome:
    """What a gradient gave: spikes per hidden neuron and sample, slopes of the mean loss."""

    hidden_spikes: float
    first: np.ndarray
    last: np.ndarray
