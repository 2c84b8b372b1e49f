"""One network, many samples: gradient descent on the network's own parameters."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Network, Quantity, SpikeGeneratorGroup, get_local_namespace, second

from brian_qif.arguments import whole_number
from brian_qif.gradients.batch import BatchGradient, Sample, duration_in_seconds
from brian_qif.gradients.losses import Loss
from brian_qif.gradients.spike_gradient import SpikeGradient
from brian_qif.training.checkpoints import read_checkpoint, refuse_other_settings, write_checkpoint
from brian_qif.training.optimisers import Adam
from brian_qif.training.progress import Progress
from brian_qif.training.records import EpochTally, Evaluation, WithoutSpikes, refuse_non_finite, summarise
from brian_qif.training.remedies import NeuronClip, SharedBySource
from brian_qif.training.schedules import ConstantSchedule

if TYPE_CHECKING:
    from brian_qif.solvers.simulation import NetworkSolver

_EVALUATED_AT_ONCE = 256


class Trainer:
    """Trains parameters of a Brian2 network on labelled spike trains, with exact spike-time gradients.

    The network is written once; the stimulus group gets each sample's spikes in turn. Every mini-batch gives the
    mean gradient over its samples and one step of the optimiser. The learned values are written back into the
    network after each epoch, so ``synapses.w`` always holds those of the last whole epoch.

    Parameters
    ----------
    network : brian2.Network
        The network, with a `SpikeGeneratorGroup` as input.
    loss : CrossEntropyLoss
        The loss of one sample; it gets the sample's label.
    parameters : list of VariableView
        What is learned, such as ``[synapses.w, neurons.tau_m]``; time constants want bounds of the optimiser.
    stimulus : SpikeGeneratorGroup
        The group whose spikes are replaced by those of the samples.
    duration : Quantity
        The duration of a trial. Later spikes of a sample take no part.
    solver : EventSolver, optional
        How the network is simulated.
    optimiser : Adam, optional
        Its step sizes have the unit of their parameter. ``Adam()`` where it is not given.
    batch_size : int
        The number of samples per step. The last mini-batch of an epoch may be smaller.
    seed : int, optional
        Decides the order of the samples. Where it is not given, it is drawn from the random state that Brian2's
        ``seed()`` sets.
    threads : int, optional
        Samples computed at a time; by default the preference ``brian_qif.threads``.
    clip : float, None or list of these
        The limit of `NeuronClip` for each sample's slopes, one for all or one for each parameter.
    floor : ActivityFloor or list of ActivityFloor, optional
        Lifts the weights of neurons that hardly fire.
    schedule : callable, optional
        A function of the share of steps done (0 to 1) that gives the factor on the step sizes, such as
        `CosineSchedule`. Constant where it is not given.
    augmentation : callable, optional
        ``augmentation(sample, generator)`` gives the changed copy of a sample that is learned, such as
        `SpikeAugmentation`. Evaluations use the samples as they are.
    shared : SharedBySource, optional
        Makes values of synapses one number for each source neuron.
    namespace : dict, optional
        Values of names in the equations that no group defines; by default those around the call.

    Raises
    ------
    NotImplementedError
        For what the solver or the loss does not support, by name.
    DimensionMismatchError
        If a step size has another unit than its parameter.
    ValueError
        If a setting makes no sense.

    Notes
    -----
    Gradients are exact up to rounding before ``clip`` and ``floor``, which change the direction of descent; without
    them they are those of `SpikeGradient`. The same seed gives the same bits whatever the number of threads.

    A spike that only grazes its threshold has no bounded slope. `SpikeGradient` refuses it by a `GrazingSpikeError`; a
    training with `EventSolver` goes on without the slopes of that sample, as if they were zero, and counts such samples
    in its history.

    Examples
    --------
    >>> from brian2 import ms
    >>> import numpy as np
    >>> from brian_qif import Adam, Trainer
    >>> from brian_qif.protocols.networks import build_classifier
    >>> from brian_qif.training.datasets import SpikeSample
    >>> made = build_classifier("qif", 4, 3, 2)  # 4 inputs, 3 hidden neurons, 2 classes
    >>> made.input_synapses.w, made.output_synapses.w = 8, np.linspace(-1, 1, 6)
    >>> samples = [SpikeSample(np.array([2e-3, 4e-3]), np.array([2*k, 2*k + 1]), label=k, speaker=0) for k in (0, 1)]
    >>> trainer = Trainer(
    ...     made.network, made.loss, made.parameters, made.stimulus, 40*ms, optimiser=Adam(0.2), batch_size=2, seed=0
    ... )
    >>> history = trainer.train(samples, epochs=20)
    >>> bool(history["loss"].iloc[-1] < history["loss"].iloc[0])
    True
    >>> trainer.evaluate(samples).accuracy
    0.5
    >>> trainer.save("checkpoint.npz")
    >>> trainer.load("checkpoint.npz")
    """

    def __init__(
        self,
        network: Network,
        loss: Loss,
        parameters: Sequence,
        stimulus: SpikeGeneratorGroup,
        duration: Quantity,
        solver: NetworkSolver | None = None,
        optimiser: Adam | None = None,
        batch_size: int = 32,
        seed: int | None = None,
        threads: int | None = None,
        clip: float | None = None,
        floor: Any = None,
        schedule: Callable | None = None,
        augmentation: Callable | None = None,
        shared: SharedBySource | None = None,
        namespace: dict | None = None,
        level: int = 0,
    ):
        self.batch_size = whole_number(batch_size, "The batch size", 1)
        seed = None if seed is None else whole_number(seed, "The seed", 0)
        duration_in_seconds(duration)
        namespace = get_local_namespace(level=level + 1) if namespace is None else namespace
        self.gradient = SpikeGradient(network, loss, parameters, solver=solver, namespace=namespace)
        self.batch = BatchGradient(self.gradient, stimulus, threads=threads)
        self.duration = duration
        # Without a seed, the state that Brian2's seed() sets decides: NumPy's global one.
        self.seed = int(np.random.randint(2**31)) if seed is None else seed  # noqa: NPY002
        self.optimiser = Adam() if optimiser is None else optimiser
        if not hasattr(self.optimiser, "prepare"):
            raise TypeError(f"The optimiser is one such as Adam(learning_rate=1e-3); {optimiser!r} was given.")
        self.schedule = ConstantSchedule() if schedule is None else schedule
        self.clip = None if clip is None else NeuronClip(parameters, clip)
        floors = floor if isinstance(floor, (list, tuple)) else [floor]
        self.floors, self.augmentation = [floor for floor in floors if floor is not None], augmentation
        self._floored = [floor.find(parameters) for floor in self.floors]
        self.shared = shared
        if shared is not None:
            shared.find(parameters)
        self.gradient.check_writable()
        self._labels = [f"{parameter.owner}_{parameter.name}" for parameter in self.gradient.parameters]
        self._dimensions = [parameter.dimensions for parameter in self.gradient.parameters]
        self.restart()

    def restart(self) -> None:
        """Begin anew from the values that the network has now; the history and the optimiser forget the past."""
        self.values = self.gradient.values()
        if self.shared is not None:
            self.shared.check(self.values)
        self.optimiser.prepare([value.shape for value in self.values], self._dimensions, self._labels)
        self.epoch = 0
        self._generator = np.random.default_rng(self.seed)
        self._rows: list[dict] = []

    @property
    def history(self) -> pd.DataFrame:
        """One row per epoch.

        ``loss`` and ``accuracy`` are means over the epoch's samples, each before its mini-batch was learned.
        For every spiking group, ``silent_share_...`` is the share of neurons that fired in no sample and ``rate_...``
        the mean rate in Hz; ``gradient_norm_...`` is the mean norm of a parameter's mini-batch gradient (SI);
        ``lifted_neurons`` is the mean number of neurons below the floor, ``grazing_samples`` the number of samples that
        gave no slopes, see the notes on `Trainer`.
        """
        return pd.DataFrame(self._rows)

    def train(
        self,
        samples: Sequence[Sample],
        epochs: int,
        report: str | Callable | None = None,
        report_period: Quantity = 10 * second,
        checkpoint: str | os.PathLike | None = None,
        after_epoch: Callable[[Trainer], object] | None = None,
    ) -> pd.DataFrame:
        """Train until a number of epochs is done.

        Parameters
        ----------
        samples : sequence of SpikeSample
            Anything with a length whose items have ``times``, ``units`` and ``label``.
        epochs : int
            The number of epochs in all, those of a loaded checkpoint included. The schedule spans them.
        report : None, 'text', 'stderr' or callable
            Where progress is reported, as in Brian2.
        report_period : Quantity
            The shortest time between two reports within an epoch.
        checkpoint : str or os.PathLike, optional
            A file that is replaced atomically after every epoch (and written before the first).
        after_epoch : callable, optional
            Is called with this trainer after every epoch.

        Returns
        -------
        pandas.DataFrame
            The history.

        Raises
        ------
        FloatingPointError
            If a loss or a slope is not finite. The trainer is then where it was before the epoch.
        ValueError
            If there are no samples, or more epochs than asked for are already done.
        """
        if len(samples) == 0:
            raise ValueError("There are no samples to train on.")
        if epochs < self.epoch:
            raise ValueError(f"{self.epoch} epochs are already done, more than the {epochs} asked for.")
        progress = Progress(report, report_period)
        if checkpoint is not None and self.epoch == 0:
            self.save(checkpoint)
        first = self.epoch
        progress.start()
        while self.epoch < epochs:
            self._whole_epoch(samples, epochs, first, progress)
            self.gradient.write(self.values)
            if checkpoint is not None:
                self.save(checkpoint)
            if after_epoch is not None:
                after_epoch(self)
        return self.history

    def evaluate(self, samples: Sequence[Sample]) -> Evaluation:
        """Loss and accuracy on samples, learning nothing.

        Parameters
        ----------
        samples : sequence of SpikeSample
            As in :meth:`train`; where they have a ``speaker``, the accuracy of each speaker is given too.

        Returns
        -------
        Evaluation
            Accuracy, loss, predictions, and accuracy by speaker.
        """
        everything = range(len(samples))
        losses, outputs, kept = [], [], []
        for first in range(0, len(samples), _EVALUATED_AT_ONCE):
            chunk = [samples[k] for k in everything[first : first + _EVALUATED_AT_ONCE]]
            result = self.batch(chunk, self.duration, values=self.values, reverse=False)
            losses.append(result.losses)
            outputs.append(result.outputs)
            kept += [WithoutSpikes(sample) for sample in chunk]
        return summarise(np.concatenate(losses), np.concatenate(outputs), kept)

    def _whole_epoch(self, samples, epochs, first, progress):
        """One epoch, which either counts whole or leaves no trace."""
        values, state = self.values, self.optimiser.state()
        order_state = self._generator.bit_generator.state
        try:
            row = self._learn(samples, epochs, first, progress)
        except BaseException:
            self.values = values
            self.optimiser.load_state(state)
            self._generator.bit_generator.state = order_state
            raise
        self.epoch += 1
        self._rows.append(row)
        done = (self.epoch - first) / (epochs - first)
        progress.line(
            f"Epoch {self.epoch} of {epochs}: loss {row['loss']:.4f}, accuracy {row['accuracy']:.3f},"
            f" {row['seconds']:.1f} s, {progress.time_left(done)}"
        )

    def _learn(self, samples, epochs, first, progress):
        """Go once through the samples; the epoch's row of the history."""
        tally = EpochTally(self._labels, float(self.duration))
        order = self._generator.permutation(len(samples))
        starts = range(0, len(samples), self.batch_size)
        ahead = map(lambda start: self._chosen(samples, order[start : start + self.batch_size]), starts)
        upcoming = [next(ahead)]
        for step, start in enumerate(starts):
            chosen = upcoming.pop()
            result = self.batch(
                chosen,
                self.duration,
                values=self.values,
                transform=self.clip,
                leave_out_grazing=True,
                # The next mini-batch is made while this one is computed.
                meanwhile=lambda: upcoming.extend(itertools.islice(ahead, 1)),
            )
            slopes = [slope / len(chosen) for slope in result.slopes]
            slopes = slopes if self.shared is None else self.shared(slopes)
            refuse_non_finite(result.losses, dict(zip(self._labels, slopes, strict=True)), self.epoch + 1, start)
            factor = self.schedule((self.epoch + step / len(starts)) / epochs)
            values = self.optimiser.step(self.values, slopes, factor)
            lifted = 0
            for k, floor in zip(self._floored, self.floors, strict=True):
                values[k], below = floor(values[k], result.spike_counts, factor)
                lifted += below
            self.values = values
            tally.add(result, np.array([sample.label for sample in chosen]), slopes, lifted)
            part = (step + 1) / len(starts)
            done = (self.epoch - first + part) / (epochs - first)
            progress.update(
                f"Epoch {self.epoch + 1} of {epochs}, {part:.0%}: loss {tally.loss:.4f}, accuracy {tally.accuracy:.3f}",
                done,
            )
        return tally.row(self.epoch + 1)

    def _chosen(self, samples, numbers):
        """The samples of a mini-batch, changed by the augmentation."""
        chosen = [samples[int(k)] for k in numbers]
        if self.augmentation is None:
            return chosen
        return [self.augmentation(sample, self._generator) for sample in chosen]

    def settings(self) -> dict[str, Any]:
        """What decides the outcome, as plain text and numbers: the settings of this trainer and of its parts."""
        return {
            "seed": self.seed,
            "batch_size": self.batch_size,
            "duration": float(self.duration),
            "optimiser": self.optimiser.settings(),
            "schedule": repr(self.schedule),
            "augmentation": None if self.augmentation is None else repr(self.augmentation),
            "clip": None if self.clip is None else self.clip.settings(),
            "floor": [floor.settings() for floor in self.floors],
            "shared": None if self.shared is None else self.shared.settings(),
            "parameters": self._labels,
        }

    def save(self, path: str | os.PathLike) -> None:
        """Write a checkpoint, atomically: all that is needed to go on to the same bits.

        Parameters
        ----------
        path : str or os.PathLike
            The npz file. It holds no pickled objects.

        Raises
        ------
        OSError
            If it cannot be written; a checkpoint that was there stays.
        """
        arrays = {f"value_{k}": value for k, value in enumerate(self.values)}
        arrays |= {f"optimiser_{name}": array for name, array in self.optimiser.state().items()}
        description = {
            "epoch": self.epoch,
            "settings": self.settings(),
            "random_state": self._generator.bit_generator.state,
            "history": self._rows,
            "written": time.strftime("%Y-%m-%dT%H:%M:%S"),
        }
        write_checkpoint(path, arrays, description)

    def load(self, path: str | os.PathLike) -> None:
        """Go on from a checkpoint; its values are written into the network.

        Parameters
        ----------
        path : str or os.PathLike
            A file that :meth:`save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is none.
        ValueError
            If it is not a checkpoint, or belongs to other settings; the message names those that differ.
        """
        arrays, description = read_checkpoint(path)
        refuse_other_settings(description.get("settings", {}), self.settings(), path)
        values = [arrays[f"value_{k}"] for k in range(len(self.values))]
        for label, value, present in zip(self._labels, values, self.values, strict=True):
            if value.shape != present.shape:
                raise ValueError(f"'{path}' has {value.size} values of {label}; this network has {present.size}.")
        prefix = "optimiser_"
        self.optimiser.load_state(
            {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
        )
        self.values = values
        self.epoch, self._rows = description["epoch"], description["history"]
        self._generator.bit_generator.state = description["random_state"]
        self.gradient.write(self.values)
