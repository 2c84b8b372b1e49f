"""A Brian2 network inside a JAX model: spike times and voltages as differentiable functions of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from brian2 import Network, Quantity, SpikeGeneratorGroup, get_local_namespace

from brian_qif.bridges.network_function import NetworkFunction
from brian_qif.bridges.outputs import ReadoutVoltage, SpikeTimes, StateValues
from brian_qif.solvers.simulation import NetworkSolver

try:
    import jax
except ImportError as error:
    raise ImportError(
        "brian_qif.bridges.jax needs JAX: install jax, or brian_qif with its extra 'jax', for instance "
        "pip install '.[jax]' in its folder."
    ) from error

__all__ = ["ReadoutVoltage", "SpikeTimes", "StateValues", "spiking_function"]


def spiking_function(
    network: Network,
    output: SpikeTimes | ReadoutVoltage | StateValues,
    parameters: Sequence,
    duration: Quantity,
    solver: NetworkSolver | None = None,
    stimulus: SpikeGeneratorGroup | None = None,
    namespace: dict | None = None,
    level: int = 0,
) -> Callable[..., jax.Array]:
    """A network's trial as a function of arrays that JAX differentiates backwards.

    Parameters
    ----------
    network : `brian2.Network`
        It is read once, here, and never changed; later changes to it are not seen, so the function is pure.
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
        ``function(*arrays, samples=None)``, one floating-point array per parameter, in SI units and in the parameter's
        shape. It returns an array of the shape of the output; with ``samples``, a sequence of objects with ``times`` in
        seconds from the start of the trial and ``units``, one row for each.

    Raises
    ------
    TypeError, ValueError
        When it is called, for another number of arrays, other shapes or units, samples that are none, or values that
        are not finite. Where JAX traces, values are refused when they are computed, which JAX reports as an error of
        its own.

    Notes
    -----
    The network is simulated by `jax.pure_callback`, so the function may be used under `jax.jit` and `jax.vmap` (one
    trial after the other), and goes backwards through `jax.grad` and `jax.vjp`; JAX's forward mode and second
    derivatives are refused by JAX. Everything is computed in double precision on the processor; the output has the
    arrays' type, which is single precision unless ``jax_enable_x64`` is set. On the way back the trial is simulated
    once more. Under `jax.jit`, samples are constants of the compiled function.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> from brian2 import *
    >>> from brian_qif.bridges.jax import SpikeTimes, spiking_function
    >>> from brian_qif.models import QIFGroup
    >>> stimulus = SpikeGeneratorGroup(1, [0], [2]*ms)
    >>> neurons = QIFGroup(1, tau_m=20*ms, tau_s=10*ms)
    >>> synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w")
    >>> synapses.connect()
    >>> network = Network(stimulus, neurons, synapses)
    >>> times_of = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40*ms)
    >>> jax.grad(lambda w: times_of(w).sum())(jnp.array([12.0])).shape
    (1,)
    """
    namespace = get_local_namespace(level=level + 1) if namespace is None else namespace
    function = NetworkFunction(network, output, parameters, duration, solver, stimulus, namespace)
    alone = _differentiable(function, None)

    def spiking(*arrays, samples=None):
        function.check_units(arrays)
        arrays = [_array(array) for array in arrays]
        function.check_shapes([array.shape for array in arrays])
        if not any(isinstance(array, jax.core.Tracer) for array in arrays):
            function.check_values(arrays)
        return (alone if samples is None else _differentiable(function, _constant(function, samples)))(*arrays)

    return spiking


def _array(given) -> jax.Array:
    try:
        array = jax.numpy.asarray(given)
    except (TypeError, ValueError):
        raise TypeError(f"The arguments are arrays of floating-point numbers; {given!r} was given.") from None
    if not jax.numpy.issubdtype(array.dtype, jax.numpy.floating):
        raise TypeError(f"The arguments are arrays of floating-point numbers; {array.dtype} was given.")
    return array


def _constant(function: NetworkFunction, samples) -> tuple:
    """The samples, as they are until the way back; their list may be another one then."""
    try:
        function.check_samples(samples)
    except jax.errors.TracerArrayConversionError:
        raise TypeError(
            "The spikes of samples are constants, NumPy arrays that JAX does not trace; for slopes by spike times, "
            "make the function with parameters=[stimulus.spike_time]."
        ) from None
    return tuple(samples)


def _differentiable(function: NetworkFunction, samples) -> Callable:
    """The function with its vector-Jacobian product, as JAX takes it."""

    def simulate(*arrays):
        values = [np.asarray(array, dtype=float) for array in arrays]
        if samples is None:
            return function.forward(values)[0]
        return function.forward_samples(values, samples)

    def carry_back(cotangent, *arrays):
        values = [np.asarray(array, dtype=float) for array in arrays]
        if samples is None:
            return tuple(function.pull_back(function.forward(values)[1], cotangent))
        return tuple(function.pull_back_samples(values, samples, cotangent))

    def run(*arrays):
        shape = function.output_shape if samples is None else (len(samples), *function.output_shape)
        result = jax.ShapeDtypeStruct(shape, jax.numpy.result_type(*arrays))
        return _call(simulate, result, *arrays)

    def forward(*arrays):
        return spiking(*arrays), arrays

    def backward(arrays, cotangent):
        like = tuple(jax.ShapeDtypeStruct(array.shape, array.dtype) for array in arrays)
        return _call(carry_back, like, cotangent, *arrays)

    spiking = jax.custom_vjp(run)
    spiking.defvjp(forward, backward)
    return spiking


def _call(compute, result, *arrays):
    """Call from JAX; what comes back has the types that JAX was promised."""

    def callback(*given):
        computed = compute(*given)
        return jax.tree_util.tree_map(lambda value, like: np.asarray(value, dtype=like.dtype), computed, result)

    return jax.pure_callback(callback, result, *arrays, vmap_method="sequential")
