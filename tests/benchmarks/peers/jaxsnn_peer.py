"""jaxsnn: the event-based part, layers with a fixed number of events, gradients by EventProp."""

from .task import DURATION, TAU_M, TAU_S, TIME_SCALE, Outcome, Setup, Task

PACKAGES = ("jaxsnn", "jax")
ABOUT = (
    '`jaxsnn.event` with `backprop_method="eventprop"`, compiled by `jax.jit`; room for a tenth more spikes of '
    "neurons than the busiest sample has."
)
SETUPS = [
    Setup("jaxsnn", "lif", "first spike", "exact (EventProp)", "no grid", precision)
    for precision in ("float64", "float32")
]


def prepare(setup: Setup, task: Task):
    import jax

    jax.config.update("jax_enable_x64", setup.precision == "float64")

    import jax.numpy as jnp
    import numpy as np
    from jaxsnn.event.loss import first_spike
    from jaxsnn.event.modules import LIF, Linear, Source
    from jaxsnn.event.modules.lif.lif import LIFParameters
    from jaxsnn.event.topology import Topology
    from jaxsnn.event.types import Spike

    sizes = task.sizes
    fired, out = (int(1.1 * most) + 10 for most in (task.most_hidden, task.most_outputs))
    parameters = LIFParameters(tau_syn=TAU_S, tau_mem=TAU_M, v_th=1.0, v_reset=0.0)
    builder = Topology(t_max=DURATION, backprop_method="eventprop")
    builder.add(
        {
            "inputs": Source(sizes.inputs),
            "hidden": LIF(sizes.hidden, sizes.spikes + fired, parameters),
            "outputs": LIF(sizes.outputs, fired + out, parameters),
            "first": Linear(pre_weights=jnp.asarray(task.first)),
            "last": Linear(pre_weights=jnp.asarray(task.last)),
        }
    )
    builder.connect([("inputs", "first"), ("first", "hidden"), ("hidden", "last"), ("last", "outputs")])
    initialise, apply = builder.done()
    weights = initialise(jax.random.PRNGKey(0))

    def loss(weights, spikes, labels):
        events = apply({"inputs": spikes}, weights)
        times = jax.vmap(first_spike, in_axes=(0, None))(events["outputs"], sizes.outputs)
        scores = jax.nn.log_softmax(-jnp.minimum(times, DURATION) / TIME_SCALE)
        hidden = jnp.sum(events["hidden"].internal & (events["hidden"].layer_idx == layer)) / len(labels) / sizes.hidden
        return -jnp.mean(scores[jnp.arange(len(labels)), labels]), hidden

    layer = builder.node_index_mapping["hidden"]
    step = jax.jit(jax.value_and_grad(loss, has_aux=True))

    def gradient(count: int) -> Outcome:
        times, units = jnp.asarray(task.times[:count]), jnp.asarray(task.units[:count])
        spikes = Spike(
            time=times,
            idx=units,
            current=jnp.zeros_like(times),
            layer_idx=jnp.full_like(units, builder.node_index_mapping["inputs"]),
            internal=jnp.ones(units.shape, bool),
        )
        (_, hidden), slopes = step(weights, spikes, jnp.asarray(task.labels[:count]))
        return Outcome(float(hidden), np.asarray(slopes["first"]), np.asarray(slopes["last"]))

    return gradient
