"""A Brian2 network inside a PyTorch model: spike times and voltages as differentiable functions of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
from brian2 import Network, Quantity, SpikeGeneratorGroup, get_local_namespace

from brian_qif.bridges.network_function import NetworkFunction
from brian_qif.bridges.outputs import ReadoutVoltage, SpikeTimes, StateValues
from brian_qif.solvers.simulation import NetworkSolver

try:
    import torch
except ImportError as error:
    raise ImportError(
        "brian_qif.bridges.torch needs PyTorch: install torch, or brian_qif with its extra 'torch', for instance "
        "pip install '.[torch]' in its folder."
    ) from error

__all__ = ["ReadoutVoltage", "SpikeTimes", "StateValues", "spiking_function"]


class _Trial(torch.autograd.Function):
    """One trial, or one for each sample, and the way back."""

    @staticmethod
    def forward(ctx, function: NetworkFunction, samples, *tensors):
        values = [_array(tensor) for tensor in tensors]
        ctx.function, ctx.samples, ctx.tensors = function, None, [(t.dtype, t.device) for t in tensors]
        if samples is None:
            output, ctx.trial = function.forward(values)
        else:
            output, ctx.trial = function.forward_samples(values, samples), values
            ctx.samples = tuple(samples)  # their list may be another one before the way back
        dtype = reduce(torch.promote_types, [tensor.dtype for tensor in tensors])
        return torch.tensor(output, dtype=dtype, device=tensors[0].device)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, cotangent):
        cotangent = _array(cotangent)
        if ctx.samples is None:
            slopes = ctx.function.pull_back(ctx.trial, cotangent)
        else:
            slopes = ctx.function.pull_back_samples(ctx.trial, ctx.samples, cotangent)
        like = zip(slopes, ctx.tensors, strict=True)
        return None, None, *(torch.as_tensor(slope, dtype=dtype, device=device) for slope, (dtype, device) in like)

    @staticmethod
    def jvp(ctx, *tangents):
        raise NotImplementedError("A trial goes backwards alone: take backward() or torch.autograd.grad, not tangents.")


def _array(tensor) -> np.ndarray:
    """The values of a tensor, which may be changed in place before the way back, in memory of their own."""
    return np.array(tensor.detach().cpu().double().resolve_neg().numpy())


def _refuse_no_floats(tensor) -> None:
    if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
        raise TypeError(f"The arguments are tensors of floating-point numbers; {tensor!r} was given.")
    if tensor.layout is not torch.strided or tensor.is_nested or tensor.is_meta:
        raise TypeError(f"The arguments are dense tensors that hold values; {tensor!r} was given.")


def spiking_function(
    network: Network,
    output: SpikeTimes | ReadoutVoltage | StateValues,
    parameters: Sequence,
    duration: Quantity,
    solver: NetworkSolver | None = None,
    stimulus: SpikeGeneratorGroup | None = None,
    namespace: dict | None = None,
    level: int = 0,
) -> Callable[..., torch.Tensor]:
    """A network's trial as a function of tensors that `torch.autograd` differentiates.

    Parameters
    ----------
    network : `brian2.Network`
        It is read once, here, and never changed; later changes to it are not seen.
    output : `SpikeTimes`, `ReadoutVoltage` or `StateValues`
        What the function returns.
    parameters : list
        What the arguments stand for, as for `brian_qif.SpikeGradient`: ``synapses.w``, ``synapses.delay``,
        ``stimulus.spike_time``, ``neurons.tau_m``, ...
    duration : `brian2.Quantity`
        Length of the trial.
    solver : `brian_qif.EventSolver` or `brian_qif.ClockSolver`, optional
        By default an `EventSolver`.
    stimulus : `brian2.SpikeGeneratorGroup`, optional
        The group whose spikes are replaced where samples are given.
    namespace : dict, optional
        Values of names in the equations that no group defines; by default those around the call.

    Returns
    -------
    callable
        ``function(*tensors, samples=None)``, one floating-point tensor per parameter, in SI units and in the
        parameter's shape. It returns a tensor of the shape of the output; with ``samples``, a sequence of objects with
        ``times`` in seconds from the start of the trial and ``units``, one row for each.

    Raises
    ------
    TypeError, ValueError
        When it is called, for another number of tensors, other shapes, values that are not finite, or samples that are
        none.
    NotImplementedError
        When it is called under a transformation of `torch.func`, or differentiated forwards.

    Notes
    -----
    Everything is computed in double precision on the processor, with gradients as exact as the solver's; the output has
    the tensors' type and lies on their device. There are no second derivatives, and no transformations of `torch.func`.
    `torch.compile` leaves the function as it is. Trials of samples run in threads, and are simulated once more on the
    way back.

    Examples
    --------
    >>> import torch
    >>> from brian2 import *
    >>> from brian_qif.bridges.torch import SpikeTimes, spiking_function
    >>> from brian_qif.models import QIFGroup
    >>> stimulus = SpikeGeneratorGroup(1, [0], [2]*ms)
    >>> neurons = QIFGroup(1, tau_m=20*ms, tau_s=10*ms)
    >>> synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w")
    >>> synapses.connect()
    >>> network = Network(stimulus, neurons, synapses)
    >>> times_of = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40*ms)
    >>> weight = torch.tensor([12.0], dtype=torch.double, requires_grad=True)
    >>> times_of(weight).sum().backward()
    >>> weight.grad.shape
    torch.Size([1])
    """
    namespace = get_local_namespace(level=level + 1) if namespace is None else namespace
    function = NetworkFunction(network, output, parameters, duration, solver, stimulus, namespace)

    # torch.compile would take NumPy's arrays in the simulation for tensors.
    call = torch.compiler.disable(_call)

    def spiking(*tensors, samples=None):
        return call(function, samples, tensors)

    return spiking


def _call(function: NetworkFunction, samples, tensors) -> torch.Tensor:
    for tensor in tensors:
        _refuse_no_floats(tensor)
    function.check_shapes([tuple(tensor.shape) for tensor in tensors])
    try:
        return _Trial.apply(function, samples, *tensors)
    except RuntimeError as error:
        if "functorch" not in str(error):
            raise
        raise NotImplementedError(
            "A trial is not differentiated or repeated by torch.func: take backward() or torch.autograd.grad, and "
            "samples for several trials."
        ) from error
