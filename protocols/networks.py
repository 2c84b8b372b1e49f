"""The networks of the studies: input spikes, layers of spiking neurons, a readout with one neuron per class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, Synapses, ms, second

from brian_qif import CrossEntropyLoss, FirstSpikeCrossEntropyLoss, SpikeCountCrossEntropyLoss
from brian_qif.models import LeakyIntegratorGroup, LIFGroup, QIFGroup

NEURONS = {"lif": LIFGroup, "qif": QIFGroup}
# What the readout says of a class.
OUTPUTS = {
    "average": "the average of a leaky neuron's voltage over the trial",
    "maximum": "the largest voltage of a leaky neuron in the trial",
    "first spike": "minus the time of a spiking neuron's first spike",
    "spike count": "how many spikes a spiking neuron has, for surrogate gradients alone",
}
SPIKING_OUTPUTS = ("first spike", "spike count")


@dataclass(frozen=True)
class HiddenLayer:
    """A further layer of hidden neurons, the synapses onto it, and those among its neurons, if there are any."""

    neurons: NeuronGroup
    synapses: Synapses
    recurrent_synapses: Synapses | None = None


@dataclass(frozen=True)
class Classifier:
    """A network that assigns spike trains to classes, with its parts and its loss.

    ``hidden`` is the first layer of hidden neurons, ``deeper`` has the others; ``output_synapses`` leave the last.
    """

    network: Network
    stimulus: SpikeGeneratorGroup
    hidden: NeuronGroup
    readout: NeuronGroup
    input_synapses: Synapses
    output_synapses: Synapses
    loss: CrossEntropyLoss | FirstSpikeCrossEntropyLoss | SpikeCountCrossEntropyLoss
    recurrent_synapses: Synapses | None = None
    deeper: tuple[HiddenLayer, ...] = ()
    learns_delays: bool = False
    learns_time_constants: bool = False
    learns_input_delays: bool = False
    learns_hidden_time_constants: bool = False

    @property
    def parameters(self):
        """What is learned, in the order of `roles`."""
        return [parameter for parameter, _ in self._learned()]

    @property
    def roles(self):
        """Of each parameter, what it is.

        One of "input", "deeper", "recurrent", "readout", "delay", "time constant", "input delay" and "hidden time
        constant"; "deeper" are weights from one hidden layer to the next.
        """
        return [role for _, role in self._learned()]

    def _learned(self):
        learned = [(self.input_synapses.w, "input"), (self.output_synapses.w, "readout")]
        if self.recurrent_synapses is not None:
            learned.append((self.recurrent_synapses.w, "recurrent"))
        for layer in self.deeper:
            learned.append((layer.synapses.w, "deeper"))
            if layer.recurrent_synapses is not None:
                learned.append((layer.recurrent_synapses.w, "recurrent"))
        if self.learns_delays:
            learned.append((self.output_synapses.delay, "delay"))
        if self.learns_time_constants:
            learned += [(self.readout.tau_m, "time constant"), (self.readout.tau_s, "time constant")]
        if self.learns_input_delays:
            learned.append((self.input_synapses.delay, "input delay"))
        if self.learns_hidden_time_constants:
            hidden = [self.hidden, *[layer.neurons for layer in self.deeper]]
            learned += [(neurons.tau_m, "hidden time constant") for neurons in hidden]
        return learned


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
    output="average",
    early=0.0,
    delay=None,
    learn_time_constants=False,
    input_delay=None,
    learn_hidden_time_constants=False,
    trials=1,
):
    """Build the network with all-to-all synapses whose weights are zero.

    Parameters
    ----------
    neuron : 'lif' or 'qif'
        The model of the hidden neurons.
    n_inputs, n_classes : int
        The number of neurons of the input and of the readout.
    n_hidden : int or tuple of int
        The number of neurons in each layer of hidden neurons.
    tau_m, tau_s : Quantity
        Membrane and synaptic time constant of the hidden neurons; ``tau_s`` is half of ``tau_m`` where it is not given.
    readout_tau_m, readout_tau_s : Quantity
        Those of the readout. One that spikes has the hidden neurons' model, and a QIF readout its closed form where
        ``readout_tau_s`` is half of ``readout_tau_m``.
    weight_time, gain : Quantity, float
        See `CrossEntropyLoss`. A maximum and a count have no ``weight_time``; for first spikes it is the ``time_scale``
        of `FirstSpikeCrossEntropyLoss`, and there is no gain.
    recurrent : bool
        Whether every hidden neuron hears all others of its layer, after 1 ms.
    output : 'average', 'maximum', 'first spike' or 'spike count'
        What the readout says of a class.
    early : float
        See `FirstSpikeCrossEntropyLoss`.
    delay : Quantity, optional
        Spikes reach the readout after this delay, one for each synapse, that are learned. None: at once.
    learn_time_constants : bool
        Whether the time constants of a leaky readout are learned, the same for all of its neurons.
    input_delay : Quantity, optional
        The same as ``delay`` for the synapses from the input.
    learn_hidden_time_constants : bool
        Whether ``tau_m`` of each layer of hidden neurons is learned. Their ``tau_s`` is half of it and follows it, so
        that QIF neurons keep their closed form.
    trials : int
        How many copies of the network lie side by side in the same groups, one behind the other and not connected.

    Returns
    -------
    Classifier
        The network and its parts.

    Raises
    ------
    ValueError
        If the neuron or the output is unknown, a layer has no neurons, a readout that spikes is to learn its time
        constants, or hidden neurons that have a ``tau_s`` of their own are to.

    Examples
    --------
    >>> from brian_qif.protocols.networks import build_classifier
    >>> made = build_classifier("qif", 30, 10, 2)  # inputs, hidden neurons, classes
    >>> len(made.input_synapses), len(made.output_synapses)
    (300, 20)
    >>> type(made.loss).__name__
    'CrossEntropyLoss'
    """
    layers = (n_hidden,) if np.ndim(n_hidden) == 0 else tuple(n_hidden)
    _check(neuron, output, (n_inputs, *layers, n_classes), trials, learn_time_constants)
    if learn_hidden_time_constants and tau_s is not None:
        raise ValueError("Hidden neurons learn tau_m alone, and their tau_s is half of it; do not give tau_s.")
    if tau_s is None and not learn_hidden_time_constants:
        tau_s = tau_m / 2

    def spiking(size, name):
        return NEURONS[neuron](trials * size, tau_m=tau_m, tau_s=tau_s, name=name)

    def joined(source, target, name, delay=None):
        synapses = Synapses(source, target, "w : 1", on_pre="I_post += w", delay=delay, name=name)
        _connect(synapses, trials)
        return synapses

    stimulus = SpikeGeneratorGroup(trials * n_inputs, [], [] * second, name="stimulus")
    hidden, last = [], stimulus
    for k, size in enumerate(layers):
        mark = layer_mark(k)
        neurons = spiking(size, f"hidden{mark}")
        onto = joined(last, neurons, f"input_synapses{mark}")
        among = joined(neurons, neurons, f"recurrent_synapses{mark}", 1 * ms) if recurrent else None
        hidden.append(HiddenLayer(neurons, onto, among))
        last = neurons
    if output in SPIKING_OUTPUTS:
        readout = NEURONS[neuron](trials * n_classes, tau_m=readout_tau_m, tau_s=readout_tau_s, name="readout")
    if output == "spike count":
        loss = SpikeCountCrossEntropyLoss(readout, gain=gain)
    elif output == "first spike":
        phases = neuron == "qif" and not recurrent  # pseudospikes need layers without feedback
        loss = FirstSpikeCrossEntropyLoss(readout, time_scale=weight_time, early=early, pseudospikes=phases)
    else:
        readout = LeakyIntegratorGroup(trials * n_classes, tau_m=readout_tau_m, tau_s=readout_tau_s, name="readout")
        weight_time = weight_time if output == "average" else None
        loss = CrossEntropyLoss(readout, weight_time=weight_time, gain=gain, output=output)
    output_synapses = joined(last, readout, "output_synapses")
    if delay is not None:
        output_synapses.delay = delay
    if input_delay is not None:
        hidden[0].synapses.delay = input_delay
    parts = [part for layer in hidden for part in (layer.neurons, layer.synapses, layer.recurrent_synapses)]
    return Classifier(
        network=Network(stimulus, *[part for part in parts if part is not None], readout, output_synapses),
        stimulus=stimulus,
        hidden=hidden[0].neurons,
        readout=readout,
        input_synapses=hidden[0].synapses,
        output_synapses=output_synapses,
        loss=loss,
        recurrent_synapses=hidden[0].recurrent_synapses,
        deeper=tuple(hidden[1:]),
        learns_delays=delay is not None,
        learns_time_constants=learn_time_constants,
        learns_input_delays=input_delay is not None,
        learns_hidden_time_constants=learn_hidden_time_constants,
    )


def layer_mark(k):
    """What names of the parts of the k-th hidden layer, counted from 0, end with."""
    return "" if k == 0 else f"_{k + 1}"


def _check(neuron, output, sizes, trials, learn_time_constants):
    if neuron not in NEURONS:
        raise ValueError(f"There is no neuron '{neuron}' here; there are {', '.join(NEURONS)}.")
    if output not in OUTPUTS:
        raise ValueError(f"There is no output '{output}' here; there are {', '.join(OUTPUTS)}.")
    names = ["input", *["hidden"] * (len(sizes) - 2), "readout"]
    if len(sizes) < 3:
        raise ValueError("The network needs at least one hidden layer.")
    for layer, size in zip(names, sizes, strict=True):
        if size < 1:
            raise ValueError(f"The {layer} layer needs at least one neuron, not {size}.")
    if trials < 1:
        raise ValueError(f"At least one trial has to lie in the network, not {trials}.")
    if learn_time_constants and output in SPIKING_OUTPUTS:
        raise ValueError("Time constants are learned of a leaky readout; one that spikes has those of its model.")


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
