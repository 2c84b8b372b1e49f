"""What is noted down about an epoch of training, and about an evaluation."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Evaluation:
    """How well a network does on a set of samples.

    Attributes
    ----------
    accuracy : float
        The share of samples whose largest output is that of their label.
    loss : float
        The mean loss.
    predictions : numpy.ndarray
        The class of the largest output, per sample.
    labels : numpy.ndarray
        The true class, per sample.
    accuracy_by_speaker : dict of int to float
        The accuracy on each speaker's samples; empty where the samples name no speaker.
    """

    accuracy: float
    loss: float
    predictions: np.ndarray
    labels: np.ndarray
    accuracy_by_speaker: dict[int, float]


class WithoutSpikes:
    """Label and speaker of a sample, without the spikes that would fill the memory."""

    def __init__(self, sample):
        self.label, self.speaker = sample.label, getattr(sample, "speaker", None)


def summarise(losses, outputs, samples):
    """The `Evaluation` of samples from their losses and outputs."""
    labels = np.array([sample.label for sample in samples])
    predictions = np.argmax(outputs, axis=1)
    right = predictions == labels
    speakers = [getattr(sample, "speaker", None) for sample in samples]
    known = sorted({speaker for speaker in speakers if speaker is not None})
    by_speaker = {
        int(speaker): float(right[np.array([other == speaker for other in speakers])].mean()) for speaker in known
    }
    return Evaluation(float(right.mean()), float(np.mean(losses)), predictions, labels, by_speaker)


def refuse_non_finite(losses, slopes, epoch, start):
    """Refuse losses and mean slopes of a mini-batch that are infinite or not a number.

    Parameters
    ----------
    losses : numpy.ndarray
        One per sample.
    slopes : dict of str to numpy.ndarray
        By the label of their parameter.
    epoch, start : int
        The number of the epoch and of the mini-batch's first sample, for the message.

    Raises
    ------
    FloatingPointError
        If there is one.
    """
    where = f"is not finite in epoch {epoch}, at the mini-batch from sample {start} on; the last whole epoch is kept."
    for label, slope in slopes.items():
        if not np.all(np.isfinite(slope)):
            raise FloatingPointError(f"The slope of {label} {where} A smaller step size or a clip may help.")
    if not np.all(np.isfinite(losses)):
        raise FloatingPointError(f"The loss {where} A smaller step size may help.")


class EpochTally:
    """Adds up an epoch's mini-batches.

    Parameters
    ----------
    labels : list of str
        What to call the parameters.
    duration : float
        The duration of a trial in seconds.
    """

    def __init__(self, labels, duration):
        self._labels, self._duration = labels, duration
        self._begin = time.perf_counter()
        self._loss, self._right, self._samples, self._batches = 0.0, 0, 0, 0
        self._lifted, self._grazing = 0, 0
        self._norms = np.zeros(len(labels))
        self._spikes: dict[str, np.ndarray] = {}

    def add(self, result, labels, slopes, lifted):
        """Take note of a mini-batch: its result, true classes, mean slopes and number of lifted neurons."""
        self._loss += result.losses.sum()
        self._right += int((np.argmax(result.outputs, axis=1) == labels).sum())
        self._samples += len(labels)
        self._batches += 1
        self._lifted += lifted
        self._grazing += len(result.grazing)
        # Not np.linalg.norm: threads of the BLAS, woken for a product, spin on for longer than the batch takes.
        self._norms += [np.sqrt(np.sum(np.square(slope))) for slope in slopes]
        for group, counts in result.spike_counts.items():
            self._spikes[group] = self._spikes.get(group, 0) + counts.sum(axis=0)

    @property
    def loss(self):
        """The mean loss so far."""
        return float(self._loss / self._samples)

    @property
    def accuracy(self):
        """The share of right answers so far, each given before its batch was learned."""
        return self._right / self._samples

    def row(self, epoch):
        """The epoch as a row of the history: a dict of numbers."""
        row = {"epoch": epoch, "loss": self.loss, "accuracy": self.accuracy}
        for group, spikes in self._spikes.items():
            row[f"silent_share_{group}"] = float((spikes == 0).mean())
            row[f"rate_{group}"] = float(spikes.mean() / (self._samples * self._duration))
        for label, norm in zip(self._labels, self._norms, strict=True):
            row[f"gradient_norm_{label}"] = float(norm / self._batches)
        row["lifted_neurons"] = self._lifted / self._batches
        row["grazing_samples"] = self._grazing
        row["seconds"] = time.perf_counter() - self._begin
        return row
