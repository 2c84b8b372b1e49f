"""mlGeNN: `EventPropCompiler` on GeNN's backend for processors, which takes one sample at a time.

A sweep over the steps simulates a sample and, at the same time, goes back through the sample before. So a sample costs
one sweep, as in a training, and what a sweep gives is the gradient of the sample before.
"""

from tempfile import TemporaryDirectory

from .task import DURATION, GAIN, TAU_M, TAU_S, Outcome, Setup, Task

PACKAGES = ("ml_genn", "pygenn")
ABOUT = (
    "`EventPropCompiler` with the parameters that it advises, as code for one thread (`single_threaded_cpu`, which "
    "knows no batches), its loop over the steps in Python; an optimiser that hands the gradient out and moves nothing."
)
SETUPS = [Setup("mlGeNN", "lif", "average", "EventProp on the grid", step, "float32") for step in ("1 ms", "0.1 ms")]

# Room for spikes of one neuron in two samples; if there are more, it says so and ends.
MOST_SPIKES = 500


def prepare(setup: Setup, task: Task):
    import numpy as np
    from ml_genn.metrics import SparseCategoricalAccuracy
    from ml_genn.utils.callback_list import CallbackList
    from ml_genn.utils.data import preprocess_spikes

    sizes = task.sizes
    compiled, stimulus, hidden, outputs = _compiled(task, step=float(setup.time.removesuffix(" ms")))
    samples = [
        ({stimulus: [preprocess_spikes(times * 1e3, units, sizes.inputs)]}, {outputs: np.array([label])})
        for times, units, label in zip(task.times, task.units, task.labels, strict=True)
    ]
    metrics = {outputs: SparseCategoricalAccuracy()}
    callbacks = CallbackList(compiled.base_train_callbacks, compiled_network=compiled, num_batches=2, num_epochs=1)
    neurons = compiled.neuron_populations[hidden]
    ((_, updates),) = compiled.optimisers

    def value(group, name):
        group.vars[name].pull_from_device()
        return group.vars[name].view.copy()

    def sweep(sample: int, number: int = 1):
        """Number 0 has no sample before it."""
        compiled._train_batch(number, 0, *samples[sample], metrics, callbacks)
        # Spikes were written to rings, from one place to the other.
        end, start = (value(neurons, f"Ring{place}Offset").astype(int) for place in ("Write", "WriteStart"))
        return ((end - start - 1) % MOST_SPIKES).mean(), [value(update, "M").ravel() for update in updates]

    # Sample 0 is always the one before, so that every call gives the gradients of all its samples.
    sweep(0, number=0)

    def gradient(count: int) -> Outcome:
        spikes, slopes = zip(*(sweep(sample) for sample in (*range(1, count), 0)), strict=True)
        first, last = (np.mean(each, axis=0) for each in zip(*slopes, strict=True))
        return Outcome(np.mean(spikes), first.reshape(task.first.shape), GAIN * last.reshape(task.last.shape))

    return gradient


def _compiled(task: Task, step: float):
    """The network, ready to compute in steps of so many milliseconds, and its three populations."""
    from ml_genn import Connection, Network, Population
    from ml_genn.compilers import EventPropCompiler
    from ml_genn.compilers.event_prop_compiler import default_params
    from ml_genn.connectivity import Dense
    from ml_genn.neurons import LeakyIntegrate, LeakyIntegrateFire, SpikeInput
    from ml_genn.optimisers import Adam
    from ml_genn.synapses import Exponential

    sizes, tau_m, tau_s = task.sizes, TAU_M * 1e3, TAU_S * 1e3
    network = Network(default_params)
    with network:
        stimulus = Population(SpikeInput(max_spikes=sizes.spikes), sizes.inputs)
        hidden = Population(LeakyIntegrateFire(v_thresh=1.0, tau_mem=tau_m, tau_refrac=None), sizes.hidden)
        outputs = Population(LeakyIntegrate(tau_mem=tau_m, readout="avg_var"), sizes.outputs)
        Connection(stimulus, hidden, Dense(task.first), Exponential(tau_s))
        # Its softmax has no gain, so the weights have it.
        Connection(hidden, outputs, Dense(GAIN * task.last), Exponential(tau_s))
    compiler = EventPropCompiler(
        example_timesteps=round(DURATION * 1e3 / step),
        losses="sparse_categorical_crossentropy",
        # Without memory its first moment is the gradient.
        optimiser=Adam(alpha=0.0, beta1=0.0),
        batch_size=1,
        max_spikes=MOST_SPIKES,
        strict_buffer_checking=True,
        dt=step,
        backend="single_threaded_cpu",
    )
    compiled = compiler.compile(network, "peer")
    with TemporaryDirectory() as folder:
        compiled.genn_model.build(f"{folder}/")
        # Loaded for as long as the process lives.
        compiled.__enter__()
    return compiled, stimulus, hidden, outputs
