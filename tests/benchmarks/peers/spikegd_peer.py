"""spikegd, from a checkout: hidden and output neurons as one recurrent network, a fixed number of events."""

from .task import DURATION, TAU_M, TIME_SCALE, Outcome, Setup, Task

PACKAGES = ("jax", "jaxtyping")
CHECKOUT = "spikegd"
ABOUT = (
    "its closed forms, all neurons in one network as its examples have them, differentiated and compiled by JAX; "
    "voltages of QIF neurons end at 1e6; room for a tenth more spikes of neurons than the busiest sample has."
)
SETUPS = [Setup("spikegd", neuron, "first spike", "exact", "no grid", "float32") for neuron in ("lif", "qif")]


def prepare(setup: Setup, task: Task):
    import jax
    import jax.numpy as jnp
    import numpy as np
    from spikegd.lif import LIFNeuron
    from spikegd.qif import QIFNeuron

    sizes, n = task.sizes, task.sizes.hidden + task.sizes.outputs
    neuron = {"lif": LIFNeuron, "qif": QIFNeuron}[setup.neuron]()
    own = task.most_hidden + task.most_outputs
    # Its unit of time is the membrane time constant.
    config = {"T": DURATION / TAU_M, "K": sizes.spikes + int(1.1 * own) + 10}
    at_rest = jnp.zeros((2, n))

    def first_spikes(weights, times, units):
        first, last = weights
        onto_all = jnp.zeros((n, sizes.inputs)).at[: sizes.hidden].set(first.T)
        among = jnp.zeros((n, n)).at[sizes.hidden :, : sizes.hidden].set(last.T)
        at, from_input, who, _ = neuron.event(at_rest, among, onto_all, (times, units), config)
        fired = ~from_input & (who >= 0)

        def first_of(k):
            return jnp.min(jnp.where(fired & (who == sizes.hidden + k), at, config["T"]))

        spikes = jnp.sum(fired & (who < sizes.hidden)) / sizes.hidden
        return jax.vmap(first_of)(jnp.arange(sizes.outputs)), spikes

    def loss(weights, times, units, labels):
        latencies, spikes = jax.vmap(first_spikes, in_axes=(None, 0, 0))(weights, times, units)
        scores = jax.nn.log_softmax(-latencies * TAU_M / TIME_SCALE)
        return -jnp.mean(scores[jnp.arange(len(labels)), labels]), jnp.mean(spikes)

    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    weights = (jnp.asarray(task.first), jnp.asarray(task.last))

    def gradient(count: int) -> Outcome:
        spikes = (jnp.asarray(task.times[:count] / TAU_M), jnp.asarray(task.units[:count]))
        (_, hidden), slopes = step(weights, *spikes, jnp.asarray(task.labels[:count]))
        return Outcome(float(hidden), *map(np.asarray, slopes))

    return gradient
