"""snnTorch: `Synaptic` neurons, stepped in a loop, with the default surrogate."""

import math

from .task import TAU_M, TAU_S, Setup, Task

PACKAGES = ("snntorch", "torch")
ABOUT = "`snntorch.Synaptic` in a loop over the steps, reset to zero; linear layers on all steps at once."
SETUPS = [Setup("snnTorch", "lif", "average", "surrogate (arctangent)", "1 ms", "float32")]


def prepare(setup: Setup, task: Task):
    import snntorch
    import torch

    from .grid_torch import STEP, gradient_of

    decays = {"alpha": math.exp(-STEP / TAU_S), "beta": math.exp(-STEP / TAU_M)}
    neurons = snntorch.Synaptic(**decays, reset_mechanism="zero")
    readout = snntorch.Synaptic(**decays, reset_mechanism="none")

    def forward(spikes, first, last):
        currents, fired, voltages = first(spikes), [], []
        state = (torch.zeros_like(currents[0]), torch.zeros_like(currents[0]))
        for current in currents:
            spike, *state = neurons(current, *state)
            fired.append(spike)
        fired = torch.stack(fired)
        currents = last(fired)
        state = (torch.zeros_like(currents[0]), torch.zeros_like(currents[0]))
        for current in currents:
            _, *state = readout(current, *state)
            voltages.append(state[1])
        return torch.stack(voltages).mean(0), fired

    # Its voltage rises by the whole current in every step, and the current lasts as long as a sum of steps.
    scale = (1 - decays["beta"]) * (1 - decays["alpha"]) * TAU_S / STEP
    return gradient_of(task, forward, (scale, scale))
