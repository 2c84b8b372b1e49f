"""spikingjelly: `LIFNode` and `QIFNode` in multi-step mode, with the default surrogate."""

from .task import TAU_M, TAU_S, Setup, Task

PACKAGES = ("spikingjelly", "torch")
ABOUT = (
    "`LIFNode` and `QIFNode` in multi-step mode (backend torch), synaptic currents and readout by `NonSpikingLIFNode`; "
    "QIF is cut off at a voltage of 5 and reset to -5."
)
SETUPS = [
    Setup("spikingjelly", neuron, "average", "surrogate (sigmoid)", "1 ms", "float32") for neuron in ("lif", "qif")
]
_CUT = 5.0


def prepare(setup: Setup, task: Task):
    import torch
    from spikingjelly.activation_based import functional, neuron

    from .grid_torch import STEP, gradient_of

    tau_m, tau_s = TAU_M / STEP, TAU_S / STEP
    if setup.neuron == "lif":
        hidden = neuron.LIFNode(tau=tau_m, step_mode="m")
    else:
        cut = {"v_threshold": _CUT, "v_reset": -_CUT}
        hidden = neuron.QIFNode(tau=tau_m, v_c=1.0, a0=1.0, v_rest=0.0, step_mode="m", **cut)
    currents = [neuron.NonSpikingLIFNode(tau=tau_s) for _ in range(2)]
    readout = neuron.NonSpikingLIFNode(tau=tau_m, decode="mean-mem")

    def forward(spikes, first, last):
        functional.reset_net(hidden)
        fired = hidden(torch.stack(currents[0](first(spikes))))
        return readout(torch.stack(currents[1](last(fired)))), fired

    # Its leaky integrators take the share step/tau of what comes in.
    return gradient_of(task, forward, (tau_s, tau_s))
