"""What the peers on torch share: binned input, weights, the loss on averaged voltages, and going back."""

import numpy as np
import torch

from .task import GAIN, Outcome, Task

STEP = 1e-3


def gradient_of(task: Task, forward, scales: tuple[float, float] = (1.0, 1.0)):
    """A function that computes the gradient of the first so many samples.

    ``forward(spikes, first, last)`` gives the averaged voltages and the hidden spikes, from spikes of shape (steps,
    samples, inputs) and two linear layers. ``scales`` are what the two sets of weights are multiplied by, as the peer's
    equations want them; slopes are given back by the task's weights.
    """
    torch.set_num_threads(1)
    spikes, labels = torch.tensor(task.binned(STEP)), torch.tensor(task.labels)
    layers = [_linear(weights * scale) for weights, scale in zip((task.first, task.last), scales, strict=True)]

    def gradient(count: int) -> Outcome:
        for layer in layers:
            layer.weight.grad = None
        voltages, hidden = forward(spikes[:, :count].contiguous(), *layers)
        loss = torch.nn.functional.cross_entropy(GAIN * voltages, labels[:count])
        loss.backward()
        first, last = (layer.weight.grad.numpy().T * scale for layer, scale in zip(layers, scales, strict=True))
        return Outcome(hidden.detach().sum(0).mean().item(), first, last)

    return gradient


def _linear(weights: np.ndarray) -> torch.nn.Linear:
    layer = torch.nn.Linear(*weights.shape, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weights.T))
    return layer
