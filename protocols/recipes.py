"""Recipes: how the networks of the training protocol are initialised and trained, for each model of neuron."""

import math
from dataclasses import asdict, dataclass, fields, replace

from brian_qif.protocols.networks import OUTPUTS


@dataclass(frozen=True)
class Recipe:
    """How a network is initialised and trained. Every model of neuron has its own.

    Parameters
    ----------
    tau_m, readout_tau_m, readout_tau_s : float
        Time constants of the hidden neurons and of the readout, in seconds.
    learning_rate, readout_learning_rate, recurrent_learning_rate, deeper_learning_rate : float
        Adam's step sizes at the start, for the weights from the input, onto the readout, among the hidden neurons of a
        layer and from one layer of them to the next; they fall to zero along half a cosine.
    clip : float
        The largest norm of the slopes that one sample gives to one hidden neuron's input weights; 0 for no limit.
    initial_spikes : float
        The mean number of spikes per hidden neuron and sample to which the input weights are scaled.
    weight_time : float
        The readout's voltage is weighted by ``exp(-t/weight_time)``, in seconds.
    gain : float
        The factor between the averaged voltages and the softmax.
    input_mean, smoothing : float
        The mean of the initial input weights, in standard deviations, and the width in channels over which they are
        smoothed.
    output_scale, output_mean : float
        The standard deviation of the initial readout weights, times the root of the number of hidden neurons, and
        their mean, in standard deviations.
    recurrent_scale : float
        The same of the weights among hidden neurons, where there are any.
    weight_decay : float
        The share of itself that a weight loses per step.
    floor, lift : float
        Hidden neurons below ``floor`` spikes per sample have ``lift`` added to all their input weights, at each step
        (of deeper layers, what is in proportion to their step size); none has with a ``floor`` of 0.
    ceiling : float
        Hidden neurons above so many spikes per sample have ``lift`` subtracted from all their input weights; 0, or no
        floor: none.
    shift, stretch, jitter : int, float, float
        Augmentation of the recorded training samples, before they are encoded, see `SpikeAugmentation`.
    batch_size : int
        Samples per step.
    output : str
        What the readout says of a class, see `brian_qif.protocols.networks.OUTPUTS`. For first spikes, ``weight_time``
        is the time scale of the softmax.
    early : float
        The weight of the reward for an early first spike.
    delay_rate, time_constant_rate : float
        Adam's step sizes, in seconds, for the delays of the synapses onto the readout and for the time constants of a
        leaky one; 0 leaves them as they are, delays at zero. Learned delays begin at 5 ms.
    input_delay_rate, hidden_time_constant_rate : float
        The same for the delays of the synapses from the input, one for all of an input neuron, and for the ``tau_m`` of
        each layer of hidden neurons, whose ``tau_s`` stays half of it.
    merge, time_step, virtual_times, taps, tap_delay, coincident : int, float, int, int, float, int
        How spike trains are brought to the input neurons, see `SpikeEncoding`.
    tau_s : float
        The synaptic time constant of the hidden neurons, in seconds; 0 for half of ``tau_m``, the ratio for which QIF
        neurons have their closed form.
    surrogate, surrogate_slope : str, float
        See `ClockSolver`; no text for the slopes of spike times.

    Examples
    --------
    >>> from brian_qif.protocols.recipes import RECIPES, Recipe
    >>> RECIPES["lif"].ceiling, RECIPES["qif"].ceiling
    (15.0, 0.0)
    >>> Recipe(tau_m=0.02, learning_rate=1e-2, readout_learning_rate=5e-2, clip=10.0).batch_size
    16
    """

    tau_m: float
    learning_rate: float
    readout_learning_rate: float
    clip: float
    initial_spikes: float = 8.0
    weight_time: float = 0.15
    readout_tau_m: float = 20e-3
    readout_tau_s: float = 10e-3
    gain: float = 10.0
    input_mean: float = 0.0
    smoothing: float = 10.0
    output_scale: float = 0.3
    recurrent_scale: float = 0.3
    weight_decay: float = 0.0
    floor: float = 1.0
    lift: float = 0.02
    ceiling: float = 0.0
    shift: int = 0
    stretch: float = 0.0
    jitter: float = 6.0
    batch_size: int = 16
    output: str = "average"
    early: float = 0.0
    delay_rate: float = 0.0
    time_constant_rate: float = 0.0
    merge: int = 1
    time_step: float = 0.0
    virtual_times: int = 0
    taps: int = 1
    tap_delay: float = 0.0
    tau_s: float = 0.0
    input_delay_rate: float = 0.0
    hidden_time_constant_rate: float = 0.0
    surrogate: str = ""
    surrogate_slope: float = 10.0
    coincident: int = 0
    output_mean: float = 0.0
    recurrent_learning_rate: float = 1e-3
    deeper_learning_rate: float = 1e-2


SURROGATES = ("sigmoid", "superspike", "triangular")

# How both models hear: 70 channels, each silent or not in every 2 ms, with four taps that span a quarter of a second.
_HEARING = {
    "merge": 10,
    "time_step": 2e-3,
    "coincident": 1,
    "taps": 4,
    "tap_delay": 80e-3,
    "input_mean": 0.3,
    "smoothing": 1.0,
    "lift": 5e-3,
    "shift": 10,
    "stretch": 0.1,
    "jitter": 3.0,
    "weight_time": 0.3,
    "output_scale": 0.1,
    "learning_rate": 1e-2,
    "readout_learning_rate": 5e-2,
}
RECIPES = {
    "lif": Recipe(tau_m=20e-3, clip=10.0, initial_spikes=8.0, ceiling=15.0, **_HEARING),
    "qif": Recipe(tau_m=10e-3, clip=3.0, initial_spikes=5.0, **_HEARING),
}

# What other outputs than averages begin with; all found by samples held out of the training file (docs/measured.md).
# Weights with a positive mean give every class a voltage, or spikes, that the weights move. A readout that fires first
# when a word is told has to sum up the word.
_SUMMED_UP = {"output_mean": 2.0, "output_scale": 0.5, "readout_tau_m": 0.3, "readout_tau_s": 0.15}
_SLOWER = {"learning_rate": 5e-3, "readout_learning_rate": 5e-3}
_OF_OUTPUTS = {
    ("maximum", "lif"): _SUMMED_UP | _SLOWER | {"ceiling": 0.0},
    ("maximum", "qif"): _SUMMED_UP | _SLOWER,
    ("first spike", "lif"): _SUMMED_UP | _SLOWER | {"weight_time": 0.03, "ceiling": 0.0},
    ("first spike", "qif"): _SUMMED_UP | _SLOWER | {"weight_time": 0.03, "learning_rate": 1e-2},
}

# What several layers of hidden neurons begin with: without a ceiling the deeper ones come to fire at 24 Hz.
_OF_LAYERS = {"qif": {"ceiling": 15.0, "clip": 1.0}}

REMEDIES = {
    "silent neurons": "input weights of hidden neurons below a floor of activity are raised",
    "large gradients": "one sample's slopes are scaled down per hidden neuron above a limit",
    "initial activity": "input weights are scaled by bisection to a wanted number of spikes per neuron and sample",
    "grazing spikes": "a sample in which a spike only grazes its threshold, so that its slope has no bound, gives none",
}
REGULARISERS = {
    "weight_decay": "weights decay at every step",
    "ceiling": "input weights of hidden neurons above a ceiling of activity are lowered",
    "shift": "training samples are shifted along the inputs",
    "stretch": "training samples are stretched in time",
    "jitter": "single spikes of training samples move to neighbouring inputs",
}


_CHANNELS = 700  # for which the recipes were chosen


def relative_sizes(inputs):
    """What a number of channels is to those of the recipes, and how their encoding follows.

    Parameters
    ----------
    inputs : int
        The number of channels.

    Returns
    -------
    width, merged : float
        The ratio of the numbers of channels, and of those after merging.
    merge : int
        How many channels are merged into one.
    """
    width, usual = inputs / _CHANNELS, _HEARING["merge"]
    merge = max(1, round(usual * width))
    return width, inputs / merge / (_CHANNELS / usual), merge


def recipe_of(neuron, batch_size=None, learning_rate=None, inputs=_CHANNELS, output="average", layers=1):
    """The recipe of a model of neuron, an output and a number of hidden layers.

    The recipes are for 700 channels. Of fewer, that stand for every so many-th of 700, there are fewer spikes and the
    weights are larger: steps of the input weights are scaled up in proportion. Fewer are merged into one, and widths
    are scaled down as far as there are fewer then, too.

    Parameters
    ----------
    neuron : 'lif' or 'qif'
        The model of the hidden neurons.
    batch_size : int, optional
        Samples per step.
    learning_rate : float, optional
        Adam's step size for the input weights; those of other weights keep their ratios to it.
    inputs : int
        The number of channels.
    output : str
        What the readout says of a class, see `Recipe`.
    layers : int
        How many layers of hidden neurons there are.

    Returns
    -------
    Recipe

    Raises
    ------
    ValueError
        If there is no such model or output, or the step size is no positive number.
    """
    if neuron not in RECIPES:
        raise ValueError(f"There is no neuron '{neuron}' here; there are {', '.join(RECIPES)}.")
    if output not in OUTPUTS:
        raise ValueError(f"There is no output '{output}' here; there are {', '.join(OUTPUTS)}.")
    recipe = asdict(RECIPES[neuron]) | _OF_OUTPUTS.get((output, neuron), {}) | {"output": output}
    if layers > 1:
        recipe |= _OF_LAYERS.get(neuron, {})
    width, merged, recipe["merge"] = relative_sizes(inputs)
    recipe["learning_rate"] /= width
    recipe["lift"] /= width
    # The norm of the slopes per input: sqrt(inputs) of them, each as large as there are spikes of one.
    recipe["clip"] *= width / math.sqrt(merged)
    recipe["smoothing"] *= merged
    recipe["jitter"] *= width
    recipe["shift"] = round(recipe["shift"] * width)
    return with_steps(Recipe(**recipe), batch_size, learning_rate)


def with_steps(recipe, batch_size=None, learning_rate=None):
    """A recipe with another batch size or step size, where one is given.

    Parameters
    ----------
    recipe : Recipe
        The recipe, which stays as it is.
    batch_size, learning_rate
        See `recipe_of`.

    Returns
    -------
    Recipe

    Raises
    ------
    ValueError
        If the step size is no positive number.
    """
    if batch_size is not None:
        recipe = replace(recipe, batch_size=batch_size)
    if learning_rate is None:
        return recipe
    if not 0 < learning_rate < math.inf:
        raise ValueError(f"'learning_rate' has to be positive and finite, not {learning_rate}.")
    return replace(recipe, **scaled_steps(recipe, learning_rate / recipe.learning_rate))


def scaled_steps(recipe, factor):
    """The step sizes of all weights, times a factor, by their fields.

    Parameters
    ----------
    recipe : Recipe
    factor : float

    Returns
    -------
    dict of str to float
    """
    names = [field.name for field in fields(Recipe) if field.name.endswith("learning_rate")]
    return {name: factor * getattr(recipe, name) for name in names}
