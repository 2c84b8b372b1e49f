"""One network run twice, the second time with one spike or one weight changed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from brian_qif import EventSolver
from brian_qif.arguments import plain_array
from brian_qif.gradients.batch import in_order
from brian_qif.gradients.parameters import add_own_slopes
from brian_qif.protocols.checks import refuse_unless_finite, refuse_unless_whole
from brian_qif.solvers.checks import given_spikes
from brian_qif.solvers.messengers import add_messenger, hears_itself
from brian_qif.solvers.simulation import duration_in_seconds
from brian_qif.solvers.sweeps import Request, Wanted

KINDS = ("add", "delete", "shift", "weight")
# Spikes that differ by less, in seconds, are the same: some thousand roundings of a time.
ROUNDING = 1e-12


def refuse_unknown_kind(kind):
    """Refuse what is none of `KINDS`."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"There is no perturbation '{kind}'; there are {', '.join(KINDS)}.")


@dataclass(frozen=True)
class Perturbation:
    """One change of a network or of what it hears.

    Attributes
    ----------
    kind : 'add', 'delete', 'shift' or 'weight'
        A spike more, a spike less, a spike later (or earlier), another weight.
    neuron : int
        Whose spike; for a weight, the number of the synapse among all that leave the layer.
    time : float
        When that spike is, before it is shifted; in seconds. 0 for a weight, which differs from the start.
    size : float
        By how much a spike is shifted, in seconds, or a weight is raised, in root mean squares of the weights of its
        synapses. Of no use for spikes that are added or deleted.

    Raises
    ------
    TypeError
        If a number is none.
    ValueError
        If there is no such kind, or a number is not finite.

    Examples
    --------
    >>> from brian_qif.protocols.perturbed_network import Perturbation
    >>> Perturbation("shift", neuron=3, time=0.1, size=1e-6)  # neuron 3's spike at 0.1 s comes a microsecond later
    Perturbation(kind='shift', neuron=3, time=0.1, size=1e-06)
    """

    kind: str
    neuron: int
    time: float = 0.0
    size: float = 0.0

    def __post_init__(self):
        refuse_unknown_kind(self.kind)
        refuse_unless_whole("neuron", self.neuron)
        for name in ("time", "size"):
            refuse_unless_finite(f"'{name}' has", getattr(self, name))


@dataclass(frozen=True, eq=False)
class Trial:
    """What a network did.

    Attributes
    ----------
    trains : dict
        For each spiking layer, from the input on, the pair of spike times (seconds) and neurons, in time order.
    loss : float
        NaN where there is no loss.
    output : numpy.ndarray or None
        What the loss calls its output.
    states : dict
        For each layer of neurons, one row per time at which states were read, one column per neuron: the phase of QIF
        neurons that spike at infinity, which is between -1/2 and 1/2 and jumps from one to the other at a spike; the
        voltage of others, in the normal form. Neurons whose states the loss reads at times of its own are left out.
    """

    trains: dict
    loss: float
    output: np.ndarray | None
    states: dict = field(default_factory=dict)


class PerturbedNetwork:
    """A network in which spikes of one layer, or weights of synapses that leave it, can be changed.

    Spikes of the *input* are changed where they are given. A spike of *neurons* is changed on its way: its targets hear
    it twice, not at all or at another time, by spikes of a further source that arrive through copies of the neuron's
    synapses, with the same weights (a spike more) or the opposite ones (a spike less). The neuron itself is reset as it
    was, and its later spikes change only where the network carries the change back to it. So exactly one event differs,
    and by an amount that can be as small as one wants; a change of the neuron's state would move its later spikes too.

    Parameters
    ----------
    network : brian2.Network
        It is read as it is now, and not changed.
    duration : Quantity
        Length of a trial.
    layer : str or brian2 group
        A group of the network that spikes.
    loss : optional
        A loss of `brian_qif`, evaluated in each trial.
    stimulus : SpikeGeneratorGroup, optional
        The group whose spikes samples replace.
    solver : EventSolver, optional
    namespace : dict, optional
        Values of names in the equations that no group defines.
    times : numpy.ndarray, optional
        When states are read, in seconds from the start of the trial.

    Raises
    ------
    TypeError
        If the loss, the solver or the times are none.
    ValueError
        If the network has no such layer, or one that does not spike or reaches nobody.
    NotImplementedError
        For synapses that a spike changes.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif.protocols.perturbed_network import Perturbation, PerturbedNetwork
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> study = PerturbedNetwork(network, 40*ms, stimulus)
    >>> plain = study.run()
    >>> later = study.run(perturbation=Perturbation("shift", neuron=0, time=2e-3, size=1e-6))
    >>> times = plain.trains[neurons.name][0], later.trains[neurons.name][0]
    >>> bool((times[1] > times[0]).all())
    True
    """

    def __init__(self, network, duration, layer, loss=None, stimulus=None, solver=None, namespace=None, times=None):
        self.solver = EventSolver() if solver is None else solver
        if not isinstance(self.solver, EventSolver):
            raise TypeError(f"Networks are perturbed with an EventSolver; {solver!r} was given.")
        if loss is not None and not hasattr(loss, "evaluate"):
            raise TypeError(f"A loss such as SpikeTimeLoss is needed, or None; {loss!r} was given.")
        self.loss, self.duration = loss, duration_in_seconds(duration)
        reading = self.solver.read(network, {} if namespace is None else namespace)
        names = {node.name: k for k, node in enumerate(reading.plan.nodes) if k not in reading.neurons or node.spikes}
        self.layer = getattr(layer, "name", layer)
        if not isinstance(self.layer, str) or self.layer not in names:
            raise ValueError(f"There is no spiking layer '{self.layer}'; there are {', '.join(names)}.")
        self.node = names[self.layer]
        plan = reading.plan
        self.outgoing = [k for k, pathway in enumerate(plan.pathways) if pathway.source == self.node]
        if not self.outgoing:
            raise ValueError(f"No synapses leave '{self.layer}', so nothing follows from its spikes.")
        self.recurrent = hears_itself(plan, self.node)
        self.messenger = None
        if self.node in reading.neurons:
            plan, self.messenger = add_messenger(plan, self.node)
        self.reading = replace(reading, plan=plan)
        self.layers = names
        self.stimulus = None if stimulus is None else reading.node(stimulus)
        self.times = None if times is None else self._within_trial(times)
        self.prepared = self.solver.prepare(plan)
        if loss is not None:
            loss.check(self.reading)

    def _within_trial(self, times):
        seconds = plain_array(times, "Times at which states are read")
        if seconds.ndim != 1 or not np.all((seconds >= 0) & (seconds <= self.duration)):
            raise ValueError(
                f"States are read at a row of times in seconds, 0 to {self.duration}; {times!r} was given."
            )
        return seconds

    @property
    def size(self) -> int:
        """The number of neurons of the layer."""
        return self.reading.plan.nodes[self.node].size

    def layers_behind(self) -> list[str]:
        """The spiking layers that hear the layer, directly or through others, and the layer itself if it does."""
        pathways, reached, new = self.reading.plan.pathways, set(), {self.node}
        while new:
            new = {pathway.target for pathway in pathways if pathway.source in new} - reached
            reached |= new
        return [name for name, node in self.layers.items() if node in reached]

    def is_circular(self, layer) -> bool:
        """Whether the states of a layer are phases, of which -1/2 and 1/2 are the same."""
        return getattr(self.reading.plan.nodes[self.reading.node(layer)], "spikes_at_infinity", False)

    def run(self, sample=None, perturbation: Perturbation | None = None) -> Trial:
        """One trial, as it is or with one change.

        Parameters
        ----------
        sample : SpikeSample, optional
            The spikes of the stimulus, and the label for the loss.
        perturbation : Perturbation, optional

        Returns
        -------
        Trial

        Raises
        ------
        TypeError
            If it is no perturbation or no sample, or there is no stimulus for one.
        ValueError
            If what is to be changed is not there, or a spike would be heard before what causes it.
        """
        stimuli = self._stimuli(sample)
        prepared = self.prepared
        if perturbation is not None:
            self._refuse(perturbation)
            if perturbation.kind == "weight":
                prepared = self._with_weight(perturbation)
            else:
                stimuli = self._changed(stimuli, perturbation)
        record = prepared.forward(self._request(), stimuli)
        trial = self._trial(record, sample)
        if self.messenger is not None and perturbation is not None and perturbation.kind in ("delete", "shift"):
            self._refuse_missing(trial, perturbation)
        return trial

    def response(self, sample, perturbation: Perturbation) -> float:
        """The derivative of the loss by the size of a shift or of a weight's change, at size zero: exact.

        Raises
        ------
        ValueError
            Without a loss, or for a spike that comes or goes as a whole.
        """
        self._refuse(perturbation)
        if self.loss is None or perturbation.kind not in ("shift", "weight"):
            raise ValueError("A loss responds linearly to a shift or to a change of a weight, and there has to be one.")
        stimuli = self._stimuli(sample)
        if perturbation.kind == "weight":
            k, synapse, unit = self._synapse(perturbation.neuron)
            slopes = self._carry_back(sample, stimuli, Wanted(weights=frozenset({k})))[0]
            return float(slopes.weights[k][synapse] * unit)
        source, neuron = self.node, perturbation.neuron
        if self.messenger is not None:
            source = self.messenger
            times = np.full(2, perturbation.time)
            stimuli[source] = times + self.reading.plan.start, np.array([neuron, neuron + self.size])
        slopes, record = self._carry_back(sample, stimuli, Wanted(spike_times=frozenset({source})))
        times = record.spike_times[source] - self.reading.plan.start
        found = np.flatnonzero((record.spike_units[source] == neuron) & (times == perturbation.time))
        if not len(found):
            raise ValueError(f"Neuron {neuron} of '{self.layer}' has no spike at {perturbation.time} s.")
        return float(slopes.spike_times[source][found[0]])

    def spikes_of(self, trial: Trial):
        """Times and neurons of the layer's spikes in a trial."""
        return trial.trains[self.layer]

    # -- a trial -------------------------------------------------------------------------------------------------

    def _request(self):
        request = Request(self.duration) if self.loss is None else self.loss.request(self.reading, self.duration)
        if self.times is None:
            return request
        read = {node: self.times + self.reading.plan.start for node in self._read_nodes()}
        return replace(request, samples={**read, **request.samples})

    def _read_nodes(self):
        """Nodes whose states are read: all but those that the loss reads at times of its own."""
        own = {} if self.loss is None else self.loss.request(self.reading, self.duration).samples
        return [node for node in self.reading.neurons if node not in own]

    def _stimuli(self, sample):
        plan = self.reading.plan
        stimuli = {}
        if sample is not None:
            spikes = in_order(sample)
            if self.stimulus is None:
                raise TypeError("A sample replaces the spikes of a group: make the study with stimulus=that group.")
            times, units = given_spikes(plan.nodes[self.stimulus], *spikes)
            inside = times <= self.duration
            stimuli[self.stimulus] = times[inside] + plan.start, units[inside]
        if self.messenger is None and self.node not in stimuli:
            stimuli[self.node] = plan.nodes[self.node].times, plan.nodes[self.node].units
        return stimuli

    def _trial(self, record, sample):
        loss, output, start = np.nan, None, self.reading.plan.start
        if self.loss is not None:
            label = None if sample is None else sample.label
            loss, _, output = self.loss.evaluate(self.reading, record, self.duration, label)
        trains = {
            name: (np.asarray(record.spike_times[node]) - start, np.asarray(record.spike_units[node]))
            for name, node in self.layers.items()
        }
        states = {}
        if self.times is not None:
            states = {self.reading.plan.nodes[k].name: self._phases(k, record) for k in self._read_nodes()}
        return Trial(trains, float(loss), output, states)

    def _phases(self, node, record):
        voltages = record.samples[node][:, 0]
        return np.arctan(voltages - 0.5) / np.pi if self.is_circular(self.reading.plan.nodes[node]) else voltages

    def _carry_back(self, sample, stimuli, wanted):
        record = self.prepared.forward(self._request(), stimuli)
        label = None if sample is None else sample.label
        found = self.loss.evaluate(self.reading, record, self.duration, label)
        slopes = self.prepared.reverse(record, found.seeds, wanted)
        add_own_slopes(slopes, found.seeds)
        return slopes, record

    # -- a change ------------------------------------------------------------------------------------------------

    def _refuse(self, perturbation):
        if not isinstance(perturbation, Perturbation):
            raise TypeError(f"A Perturbation says what is changed; {perturbation!r} was given.")
        kind, neuron = perturbation.kind, perturbation.neuron
        if kind == "weight":
            self._synapse(neuron)
            return
        if not 0 <= neuron < self.size:
            raise ValueError(f"'{self.layer}' has the neurons 0 to {self.size - 1}; it has no neuron {neuron}.")
        new = perturbation.time + (perturbation.size if kind == "shift" else 0.0)
        if not 0 <= new:
            raise ValueError(f"The spike would come at {new} s, before the trial begins.")
        if kind == "shift" and perturbation.size < 0 and self.recurrent:
            raise ValueError(
                f"'{self.layer}' hears itself, so a spike of it that is heard earlier could change what causes it."
                " Shift it to a later time."
            )

    def _refuse_missing(self, trial, perturbation):
        """What was taken back has to have been said; where the layer hears itself, to rounding error."""
        times, neurons = self.spikes_of(trial)
        own = times[neurons == perturbation.neuron]
        if not np.any(np.abs(own - perturbation.time) <= ROUNDING):
            raise ValueError(f"Neuron {perturbation.neuron} of '{self.layer}' has no spike at {perturbation.time} s.")

    def _changed(self, stimuli, perturbation):
        if self.messenger is None:
            return {**stimuli, self.node: self._edited(*stimuli[self.node], perturbation)}
        start, time, neuron = self.reading.plan.start, perturbation.time, perturbation.neuron
        said = []
        if perturbation.kind in ("delete", "shift") and not (perturbation.kind == "shift" and perturbation.size == 0):
            said.append((time, neuron + self.size))
        if perturbation.kind == "add":
            said.append((time, neuron))
        elif perturbation.kind == "shift" and perturbation.size != 0:
            said.append((time + perturbation.size, neuron))
        said.sort()
        times, units = np.array([one for one, _ in said], dtype=float), np.array([two for _, two in said], dtype=int)
        return {**stimuli, self.messenger: (times + start, units)}

    def _edited(self, times, units, perturbation):
        """Spikes of a source with one of them changed."""
        at, neuron = perturbation.time + self.reading.plan.start, perturbation.neuron
        if perturbation.kind in ("delete", "shift"):
            found = np.flatnonzero((units == neuron) & (times == at))
            if not len(found):
                raise ValueError(f"Neuron {neuron} of '{self.layer}' has no spike at {perturbation.time} s.")
            times, units = np.delete(times, found[0]), np.delete(units, found[0])
        if perturbation.kind in ("add", "shift"):
            new = at + (perturbation.size if perturbation.kind == "shift" else 0.0)
            times, units = np.append(times, new), np.append(units, neuron)
        order = np.lexsort((units, times))
        return times[order], units[order]

    def synapses(self) -> int:
        """How many synapses leave the layer."""
        return sum(len(self.reading.plan.pathways[k].pre) for k in self.outgoing)

    def _synapse(self, number):
        """The pathway of a synapse that leaves the layer, its place there, and the unit of its changes."""
        place = number
        for k in self.outgoing:
            pathway = self.reading.plan.pathways[k]
            if 0 <= place < len(pathway.pre):
                if pathway.state is not None:
                    raise NotImplementedError(f"The synapses '{pathway.name}' have a state; their weight varies.")
                return k, place, float(np.sqrt(np.mean(pathway.weights**2)))
            place -= len(pathway.pre)
        raise ValueError(
            f"{self.synapses()} synapses leave '{self.layer}', counted from 0; there is no synapse {number}."
        )

    def _with_weight(self, perturbation):
        k, synapse, unit = self._synapse(perturbation.neuron)
        pathway = self.reading.plan.pathways[k]
        weights = np.array(pathway.weights)
        weights[synapse] += perturbation.size * unit
        return self.solver.prepare(self.reading.plan.replacing(pathways={k: pathway.with_values(weights=weights)}))
