"""A network as a function of arrays with vector-Jacobian products: what the bridges to torch and JAX wrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from brian2 import Network, Quantity, SpikeGeneratorGroup, get_local_namespace
from brian2.units.fundamentalunits import fail_for_dimension_mismatch

from brian_qif.bridges.outputs import ReadoutVoltage, SpikeTimes, StateValues
from brian_qif.gradients.batch import BatchGradient, Sample, in_order
from brian_qif.gradients.spike_gradient import SpikeGradient
from brian_qif.plan.network_plan import SourceNode
from brian_qif.solvers.checks import given_spikes
from brian_qif.solvers.simulation import NetworkSolver, duration_in_seconds


class NetworkFunction:
    """One output of a trial as a function of parameters, all plain arrays in SI units.

    Parameters
    ----------
    network : `brian2.Network`
        It is read once, here, and not changed; later changes to it are not seen.
    output : `SpikeTimes`, `ReadoutVoltage` or `StateValues`
    parameters : list
        As for `brian_qif.SpikeGradient`.
    duration : `brian2.Quantity`
        Length of the trial.
    solver : `brian_qif.EventSolver` or `brian_qif.ClockSolver`, optional
    stimulus : `brian2.SpikeGeneratorGroup`, optional
        The group whose spikes are replaced where samples are given.
    namespace : dict, optional
        Values of names in the equations that no group defines; by default those around the call.

    Raises
    ------
    TypeError
        If the output is none of these, or a parameter is not a variable of the network.
    ValueError
        Without a parameter, or with one that is given more than once.
    NotImplementedError
        For everything in the network that the solver does not support, by name.
    """

    def __init__(
        self,
        network: Network,
        output: SpikeTimes | ReadoutVoltage | StateValues,
        parameters: Sequence,
        duration: Quantity,
        solver: NetworkSolver | None,
        stimulus: SpikeGeneratorGroup | None,
        namespace: dict | None,
        level: int = 0,
    ):
        if not isinstance(output, (SpikeTimes, ReadoutVoltage, StateValues)):
            raise TypeError(f"The output is SpikeTimes, ReadoutVoltage or StateValues; {output!r} was given.")
        namespace = get_local_namespace(level=level + 1) if namespace is None else namespace
        self.duration, self.seconds = duration, duration_in_seconds(duration)
        self.gradient = SpikeGradient(network, output, parameters, solver=solver, namespace=namespace)
        if not self.gradient.parameters:
            raise ValueError("A function needs at least one parameter, for instance parameters=[synapses.w].")
        labels = [parameter.label for parameter in self.gradient.parameters]
        if len(set(labels)) < len(labels):
            raise ValueError(f"Each parameter is one argument, so none is given twice; {', '.join(labels)} were given.")
        self.reading, self.output_shape = self.gradient.read(), output.shape
        self.batch = None if stimulus is None else BatchGradient(self.gradient, stimulus)
        output.request(self.reading, self.seconds)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the arguments."""
        return [parameter.shape for parameter in self.gradient.parameters]

    def check_shapes(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Refuse arguments of other shapes or another number.

        Raises
        ------
        TypeError
            For another number of arguments.
        ValueError
            For another shape.
        """
        parameters = self.gradient.parameters
        if len(shapes) != len(parameters):
            names = ", ".join(parameter.label for parameter in parameters)
            raise TypeError(f"The function has {len(parameters)} argument(s) ({names}); {len(shapes)} were given.")
        for parameter, shape in zip(parameters, shapes, strict=True):
            if tuple(shape) != parameter.shape:
                raise ValueError(f"{parameter.label} has shape {parameter.shape}; shape {tuple(shape)} was given.")

    def check_units(self, arguments: Sequence) -> None:
        """Refuse arguments with a unit that is not their parameter's.

        Raises
        ------
        DimensionMismatchError
            If there is one.
        """
        for parameter, argument in zip(self.gradient.parameters, arguments, strict=False):
            for one in argument if isinstance(argument, (list, tuple)) else (argument,):
                if isinstance(one, Quantity):
                    unit = Quantity.with_dimensions(1.0, parameter.dimensions)
                    fail_for_dimension_mismatch(one, unit, f"{parameter.label} is given in its unit, or as numbers")

    def check_samples(self, samples: Sequence[Sample]) -> None:
        """Refuse what are no samples of the group whose spikes they replace.

        Raises
        ------
        TypeError
            If they are no list of samples, or the function was made without such a group.
        ValueError
            For an empty list, or spikes that the group cannot have.
        """
        batch = self._batch()
        try:
            number = len(samples)
        except TypeError:  # arrays without a dimension have this method, too
            number = -1
        if number < 0 or isinstance(samples, (str, bytes, Mapping)) or not hasattr(samples, "__getitem__"):
            raise TypeError(f"samples is a list of SpikeSample; {samples!r} was given.")
        if number == 0:
            raise ValueError("At least one sample is needed; an empty list was given.")
        for sample in samples:
            given_spikes(cast(SourceNode, batch.reading.plan.nodes[batch.stimulus]), *in_order(sample))

    def check_values(self, values: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The arguments in double precision.

        Raises
        ------
        TypeError, ValueError
            See :meth:`check_shapes`; ValueError for values that are not finite, too.
        """
        arrays = [np.asarray(value, dtype=float) for value in values]
        self.check_shapes([array.shape for array in arrays])
        for parameter, array in zip(self.gradient.parameters, arrays, strict=True):
            if not np.all(np.isfinite(array)):
                raise ValueError(f"{parameter.label} was given values that are not finite.")
        return arrays

    def forward(self, values: Sequence[np.ndarray]) -> tuple[np.ndarray, tuple]:
        """The output of a trial, and what :meth:`pull_back` needs to go back through it."""
        reading = self.gradient.with_values(self.reading, self.check_values(values))
        prepared = self.gradient.solver.prepare(reading.plan)
        record = prepared.forward(self.gradient.loss.request(reading, self.seconds))
        evaluation = self.gradient.loss.evaluate(reading, record, self.seconds)
        return evaluation.output.reshape(self.output_shape), (reading, prepared, record)

    def pull_back(self, trial: tuple, cotangent: np.ndarray) -> list[np.ndarray]:
        """The vector-Jacobian product: one slope per parameter from the slopes by the output."""
        reading, prepared, record = trial
        cotangent = self._finite(cotangent)
        _, seeds, _ = self.gradient.loss.evaluate(reading, record, self.seconds, cotangent)
        return self.gradient.carry_back(reading, prepared, record, seeds, self.seconds)

    def forward_samples(self, values: Sequence[np.ndarray], samples: Sequence[Sample]) -> np.ndarray:
        """The outputs of trials with other input spikes, shape (samples, *output)."""
        self.check_samples(samples)
        labelled = [_Labelled(sample, None) for sample in samples]
        result = self._batch()(labelled, self.duration, self.check_values(values), reverse=False)
        return result.outputs.reshape(len(samples), *self.output_shape)

    def pull_back_samples(
        self, values: Sequence[np.ndarray], samples: Sequence[Sample], cotangents: np.ndarray
    ) -> list[np.ndarray]:
        """The vector-Jacobian product, summed over trials that are simulated again."""
        cotangents = self._finite(cotangents)
        labelled = [_Labelled(*pair) for pair in zip(samples, cotangents, strict=True)]
        return cast(list, self._batch()(labelled, self.duration, self.check_values(values)).slopes)

    def _batch(self) -> BatchGradient:
        if self.batch is None:
            raise TypeError("Samples replace the spikes of a group: make the function with stimulus=that group.")
        return self.batch

    def _finite(self, cotangent) -> np.ndarray:
        cotangent = np.asarray(cotangent, dtype=float)
        if not np.all(np.isfinite(cotangent)):
            raise ValueError("The slopes of the loss by the output that came back are not finite.")
        return cotangent


class _Labelled:
    """A sample with the slopes by its output as its label."""

    def __init__(self, sample: Sample, cotangent: np.ndarray | None):
        self.times, self.units, self.label = sample.times, sample.units, cotangent
