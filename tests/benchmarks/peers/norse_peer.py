"""Norse: `LIF` and `LI` over a whole sequence, with its default step and surrogate."""

from .task import TAU_M, TAU_S, Setup, Task

PACKAGES = ("norse", "torch")
ABOUT = "`norse.torch.LIF` and `LI` on whole sequences; linear layers on all steps at once."
SETUPS = [Setup("Norse", "lif", "average", "surrogate (SuperSpike)", "1 ms", "float32")]


def prepare(setup: Setup, task: Task):
    import norse.torch as norse
    import torch

    from .grid_torch import STEP, gradient_of

    rates = {"tau_mem_inv": torch.tensor(1 / TAU_M), "tau_syn_inv": torch.tensor(1 / TAU_S)}
    hidden = norse.LIF(norse.LIFParameters(v_th=torch.tensor(1.0), **rates), dt=STEP)
    readout = norse.LI(norse.LIParameters(**rates), dt=STEP)

    def forward(spikes, first, last):
        fired, _ = hidden(first(spikes))
        voltages, _ = readout(last(fired))
        return voltages.mean(0), fired

    return gradient_of(task, forward)
