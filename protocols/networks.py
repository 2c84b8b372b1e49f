"""The network of the studies: input spikes, one layer of spiking neurons, a leaky readout with one neuron per class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, Synapses, ms, second

from brian_qif import CrossEntropyLoss
from brian_qif.models import LeakyIntegratorGroup, LIFGroup, QIFGroup

NEURONS = {"lif": LIFGroup, "qif": QIFGroup}


@dataclass(frozen=True)
class Classifier:
    """A network that assigns spike trains to classes, with its parts and its loss."""

    network: Network
    stimulus: SpikeGeneratorGroup
    hidden: NeuronGroup
    readout: NeuronGroup
    input_synapses: Synapses
    output_synapses: Synapses
    loss: CrossEntropyLoss
    recurrent_synapses: Synapses | None = None

    @property
    def parameters(self):
        """The weights from the input to the hidden neurons, from these to the readout, and among them if there are."""
        recurrent = [] if self.recurrent_synapses is None else [self.recurrent_synapses.w]
        return [self.input_synapses.w, self.output_synapses.w, *recurrent]


def build_classifier(
    neuron,
    n_inputs,
    n_hidden,
    n_classes,
    tau_m=20 * ms,
    tau_s=None,
    readout_tau_m=20 * ms,
    readout_tau_s=10 * ms,
    weight_time=None,
    gain=1.0,
    recurrent=False,
    trials=1,
):
    """Build the network with all-to-all synapses whose weights are zero.

    Parameters
    ----------
    neuron : 'lif' or 'qif'
        The model of the hidden neurons.
    n_inputs, n_hidden, n_classes : int
        The number of neurons in each layer.
    tau_m, tau_s : Quantity
        Membrane and synaptic time constant of the hidden neurons; ``tau_s`` is half of ``tau_m`` where it is not given.
    readout_tau_m, readout_tau_s : Quantity
        Those of the readout.
    weight_time, gain : Quantity, float
        See `CrossEntropyLoss`.
    recurrent : bool
        Whether every hidden neuron hears all others, after 1 ms.
    trials : int
        How many copies of the network lie side by side in the same groups, one behind the other and not connected.

    Returns
    -------
    Classifier
        The network and its parts.

    Raises
    ------
    ValueError
        If the neuron is unknown or a layer has no neurons.
    """
    if neuron not in NEURONS:
        raise ValueError(f"There is no neuron '{neuron}' here; there are {', '.join(NEURONS)}.")
    for layer, size in (("input", n_inputs), ("hidden", n_hidden), ("readout", n_classes)):
        if size < 1:
            raise ValueError(f"The {layer} layer needs at least one neuron, not {size}.")
    if trials < 1:
        raise ValueError(f"At least one trial has to lie in the network, not {trials}.")
    n_inputs, n_hidden, n_classes = (trials * size for size in (n_inputs, n_hidden, n_classes))
    stimulus = SpikeGeneratorGroup(n_inputs, [], [] * second, name="stimulus")
    hidden = NEURONS[neuron](n_hidden, tau_m=tau_m, tau_s=tau_m / 2 if tau_s is None else tau_s, name="hidden")
    readout = LeakyIntegratorGroup(n_classes, tau_m=readout_tau_m, tau_s=readout_tau_s, name="readout")
    input_synapses = Synapses(stimulus, hidden, "w : 1", on_pre="I_post += w", name="input_synapses")
    output_synapses = Synapses(hidden, readout, "w : 1", on_pre="I_post += w", name="output_synapses")
    _connect(input_synapses, trials)
    _connect(output_synapses, trials)
    parts = [stimulus, hidden, readout, input_synapses, output_synapses]
    recurrent_synapses = None
    if recurrent:
        recurrent_synapses = Synapses(
            hidden, hidden, "w : 1", on_pre="I_post += w", delay=1 * ms, name="recurrent_synapses"
        )
        _connect(recurrent_synapses, trials)
        parts.append(recurrent_synapses)
    return Classifier(
        Network(*parts),
        stimulus,
        hidden,
        readout,
        input_synapses,
        output_synapses,
        CrossEntropyLoss(readout, weight_time=weight_time, gain=gain),
        recurrent_synapses,
    )


def _connect(synapses, trials):
    """All to all within each trial, no neuron to itself."""
    own = synapses.source is synapses.target
    if trials == 1:
        synapses.connect(condition="i != j" if own else None)
        return
    pre, post = (np.arange(len(group)).reshape(trials, -1) for group in (synapses.source, synapses.target))
    i, j = np.broadcast_arrays(pre[:, :, None], post[:, None, :])
    kept = i != j if own else np.ones(i.shape, bool)
    synapses.connect(i=i[kept], j=j[kept])
