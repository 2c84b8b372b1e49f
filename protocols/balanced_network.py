"""A sparse network of inhibitory neurons under frozen input, in which perturbations may grow."""

from __future__ import annotations

import numpy as np
from brian2 import Network, SpikeGeneratorGroup, Synapses, ms, second

from brian_qif.protocols.checks import refuse_below, refuse_unless_finite, refuse_unless_positive, refuse_unless_whole
from brian_qif.protocols.networks import NEURONS
from brian_qif.solvers.simulation import duration_in_seconds


def build_balanced_network(
    neuron, size=200, degree=20, duration=1 * second, rate=40.0, excitation=4.0, inhibition=2.0, seed=0
):
    """Build neurons that inhibit one another and hear excitatory spikes that are the same in every trial.

    Parameters
    ----------
    neuron : 'lif' or 'qif'
    size : int
        The number of neurons, and of sources of excitation.
    degree : int
        How many neurons, and how many sources, each neuron hears.
    duration : Quantity
        For which excitation is given.
    rate : float
        Of each source, a Poisson process, in Hz.
    excitation, inhibition : float
        Each weight is this over the root of ``degree``.
    seed : int
        Decides who hears whom, and the spikes of the sources.

    Returns
    -------
    brian2.Network
        The groups are called ``sources`` and ``neurons``.

    Raises
    ------
    TypeError
        If a number is none.
    ValueError
        If there is no such model, a neuron would hear more neurons than there are, or a number is out of its range.

    References
    ----------
    Monteforte & Wolf (2012), Phys. Rev. X 2, 041007, with a constant drive and pulses; Lajoie, Lin & Shea-Brown (2013),
    Phys. Rev. E 87, 052901, with frozen noise.

    Examples
    --------
    >>> from brian2 import second
    >>> from brian_qif import EventSolver
    >>> from brian_qif.protocols.balanced_network import build_balanced_network
    >>> network = build_balanced_network("qif", size=50, degree=10, duration=0.2*second)
    >>> spikes = EventSolver().simulate(network, 0.2*second).spikes["neurons"]
    >>> len(spikes.t) > 0
    True
    """
    if neuron not in NEURONS:
        raise ValueError(f"There is no neuron '{neuron}' here; there are {', '.join(NEURONS)}.")
    refuse_below(2, "size", size)
    refuse_unless_whole("degree", degree)
    refuse_below(0, "seed", seed)
    seconds = duration_in_seconds(duration)
    refuse_unless_positive("The rate has", rate, " Hz")
    for name, weight in (("excitation", excitation), ("inhibition", inhibition)):
        refuse_unless_finite(f"'{name}' has", weight)
    if not 1 <= degree < size:
        raise ValueError(f"Each of {size} neurons can hear 1 to {size - 1} others, not {degree}.")
    generator = np.random.default_rng(seed)
    count = generator.poisson(rate * seconds * size)
    times = np.sort(generator.uniform(0, seconds, count))
    sources = SpikeGeneratorGroup(size, generator.integers(size, size=count), times * second, name="sources")
    neurons = NEURONS[neuron](size, tau_m=10 * ms, tau_s=5 * ms, name="neurons")
    drive = Synapses(sources, neurons, "w : 1", on_pre="I_post += w", name="drive")
    among = Synapses(neurons, neurons, "w : 1", on_pre="I_post += w", delay=1 * ms, name="among")
    targets = np.repeat(np.arange(size), degree)
    drive.connect(i=np.concatenate([generator.choice(size, degree, replace=False) for _ in range(size)]), j=targets)
    heard = np.concatenate([generator.choice(size - 1, degree, replace=False) for _ in range(size)])
    among.connect(i=heard + (heard >= targets), j=targets)  # nobody hears itself
    drive.w, among.w = excitation / np.sqrt(degree), -inhibition / np.sqrt(degree)
    return Network(sources, neurons, drive, among)
