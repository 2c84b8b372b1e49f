"""What keeps a training on course: limits on single samples' slopes, and weights for neurons that fell silent.

Neither is part of the exact gradient: a training that uses one says so in its record.
"""

from __future__ import annotations

import numpy as np
from brian2 import Synapses, get_dimensions
from brian2.units.fundamentalunits import DimensionMismatchError


class NeuronClip:
    """Limits the slopes that one sample gives to the parameters of one neuron.

    Trajectories near a QIF neuron's unstable point, and LIF trajectories that nearly graze the threshold, give single
    samples huge slopes, which would then decide the step of the whole mini-batch. Here the slopes of all values that
    belong to one neuron (its incoming weights) are scaled down together where their Euclidean norm is above a limit.
    Their direction stays.

    Parameters
    ----------
    parameters : list of VariableView
        The parameters, in the order of the slopes.
    limits : float, None or list of these
        The largest norm, as a number in the SI unit of the slope; one for all or one for each parameter. None leaves
        a parameter's slopes alone.

    Raises
    ------
    ValueError
        If a limit is not positive or the list has not one for each parameter.
    """

    def __init__(self, parameters, limits):
        limits = list(limits) if isinstance(limits, (list, tuple)) else [limits] * len(parameters)
        if len(limits) != len(parameters):
            raise ValueError(f"There are {len(parameters)} parameters but {len(limits)} limits of the slope.")
        for limit in limits:
            if limit is not None and not limit > 0:
                raise ValueError(f"A limit of the slope has to be positive, not {limit}.")
        self.limits = limits
        self._owners = [
            None if limit is None else NeuronOwners(parameter)
            for parameter, limit in zip(parameters, limits, strict=True)
        ]

    def __call__(self, slopes):
        """Scale one sample's slopes down in place, where they are above the limit."""
        for slope, limit, owners in zip(slopes, self.limits, self._owners, strict=True):
            if limit is None:
                continue
            norm = np.sqrt(owners.sum_of_squares(slope))
            if norm.max() > limit:
                owners.scale(slope, limit / np.maximum(norm, limit))

    def settings(self):
        """The settings as plain text and numbers, for a record of the run."""
        return {"name": type(self).__name__, "limits": self.limits}


class SharedBySource:
    """Makes one number for each source neuron of a variable that synapses have one each of.

    The slope by a shared number is the sum of those of its synapses. All of them get it, so an optimiser that treats
    every value alike moves them alike; they have to be equal when the training begins.

    Parameters
    ----------
    variables : list of VariableView
        Variables of synapses, such as ``synapses.delay``, which have to be among the parameters.

    Raises
    ------
    TypeError
        If one does not belong to synapses.

    Notes
    -----
    Exact: it is the gradient of a network in which the numbers are one. The event-driven solver pays for every distinct
    time at which spikes arrive; delays that all synapses of a source share keep these times few.
    """

    def __init__(self, variables):
        self.variables = list(variables)
        self._sources = [_sources(variable) for variable in self.variables]

    def find(self, parameters):
        """The position of each variable among the parameters.

        Raises
        ------
        ValueError
            If one is not among them.
        """
        names = [(parameter.group.name, parameter.name) for parameter in parameters]
        own = [(variable.group.name, variable.name) for variable in self.variables]
        for group, name in own:
            if (group, name) not in names:
                raise ValueError(f"{group}.{name} is to be shared, but it is not among the parameters.")
        self.positions = [names.index(one) for one in own]

    def check(self, values):
        """Refuse values that differ between synapses of one source.

        Raises
        ------
        ValueError
            If they do.
        """
        for variable, position, sources in zip(self.variables, self.positions, self._sources, strict=True):
            _, first, place = np.unique(sources, return_index=True, return_inverse=True)
            if np.any(values[position][first][place] != values[position]):
                raise ValueError(
                    f"{variable.group.name}.{variable.name} is to be shared by the synapses of a neuron, but differs"
                    " between them. Give them the same."
                )

    def __call__(self, slopes):
        """Slopes in which every synapse has the sum over those of its source."""
        slopes = list(slopes)
        for position, sources in zip(self.positions, self._sources, strict=True):
            slopes[position] = np.bincount(sources, weights=slopes[position])[sources]
        return slopes

    def settings(self):
        """The settings as plain text and numbers, for a record of the run."""
        shared = [f"{variable.group.name}_{variable.name}" for variable in self.variables]
        return {"name": type(self).__name__, "variables": shared}


def _sources(variable):
    """The source neuron of every synapse that has a value of a variable."""
    group = variable.group
    synapses = group if isinstance(group, Synapses) else getattr(group, "synapses", None)
    if not isinstance(synapses, Synapses) or np.ndim(variable[:]) == 0:
        raise TypeError(
            "What is shared has to be a variable of synapses with a value for each, such as synapses.delay."
        )
    return np.asarray(synapses.i[:])


class ActivityFloor:
    """Raises all incoming weights of neurons that hardly fire, and lowers those of neurons that fire too much.

    An exact gradient knows nothing of spikes that are missing, so a neuron that fell silent gets slopes of zero and
    stays silent. After each mini-batch, this adds a constant to every incoming weight of the neurons whose mean
    number of spikes per sample is below a floor. A ceiling regularises firing rates from above in the same way: a
    number of spikes has no derivative by which a loss could do so.

    Parameters
    ----------
    weights : VariableView
        The weights of the synapses onto the neurons, such as ``synapses.w``. They have to be among the parameters.
    minimum : float
        The floor: mean number of spikes per neuron and sample.
    lift : float or Quantity
        What a mini-batch adds to each weight, in the unit of the weight, times the schedule's factor.
    maximum : float
        The ceiling: above it, ``lift`` is subtracted. There is none by default.

    Raises
    ------
    TypeError
        If the weights do not belong to synapses.
    DimensionMismatchError
        If the lift has another unit than the weights.
    ValueError
        If the floor or the lift is not positive, or the ceiling is not above the floor.
    """

    def __init__(self, weights, minimum=1.0, lift=0.01, maximum=np.inf):
        if not isinstance(getattr(weights, "group", None), Synapses):
            raise TypeError("The weights have to be a variable of synapses, such as synapses.w.")
        if get_dimensions(lift) != weights.dim:
            raise DimensionMismatchError(
                "The lift has to have the unit of the weights", get_dimensions(lift), weights.dim
            )
        if not (minimum > 0 and float(np.asarray(lift)) > 0):
            raise ValueError("The floor and the lift of the weights have to be positive.")
        if not maximum > minimum:
            raise ValueError(f"The ceiling of activity has to be above the floor, {minimum}; it is {maximum}.")
        self.weights, self.minimum, self.maximum = weights, float(minimum), float(maximum)
        self.lift = float(np.asarray(lift))
        self._owners = NeuronOwners(weights)
        self._target = weights.group.target.name

    def find(self, parameters):
        """The position of the weights among the parameters.

        Raises
        ------
        ValueError
            If they are not among them.
        """
        for position, parameter in enumerate(parameters):
            if _label(parameter) == _label(self.weights):
                return position
        raise ValueError(f"The floor of activity lifts {_label(self.weights)}, which is not among the parameters.")

    def __call__(self, weights, spike_counts, factor=1.0):
        """The weights after the lift, or the fall.

        Parameters
        ----------
        weights : numpy.ndarray
            The weights in SI units.
        spike_counts : dict of str to numpy.ndarray
            For each spiking group, the number of spikes per sample and neuron.
        factor : float
            The schedule's factor on the lift.

        Returns
        -------
        weights : numpy.ndarray
            A new array where any neuron was below the floor or above the ceiling.
        lifted : int
            The number of neurons below the floor.
        """
        activity = spike_counts[self._target].mean(axis=0)
        low, high = activity < self.minimum, activity > self.maximum
        if not (low | high).any():
            return weights, 0
        return weights + self._owners.spread(factor * self.lift * (low.astype(float) - high)), int(low.sum())

    def settings(self):
        """The settings as plain text and numbers, for a record of the run."""
        settings = {
            "name": type(self).__name__,
            "weights": _label(self.weights),
            "minimum": self.minimum,
            "lift": self.lift,
        }
        return settings if np.isinf(self.maximum) else {**settings, "maximum": self.maximum}


class NeuronOwners:
    """Which neuron each value of a parameter belongs to: for synapses, the postsynaptic one."""

    def __init__(self, parameter):
        group = parameter.group
        if isinstance(group, Synapses):
            self.index, self.size = np.array(group.j[:], dtype=np.int64), len(group.target)
        else:
            self.index, self.size = np.arange(len(group)), len(group)
        # All-to-all synapses lie row by row, where plain broadcasting is several times faster than an index.
        rows = len(self.index) // self.size
        self.rows = rows if np.array_equal(self.index, np.tile(np.arange(self.size), rows)) else None

    def sum_of_squares(self, values):
        if self.rows is None:
            return np.bincount(self.index, values * values, self.size)
        by_neuron = values.reshape(self.rows, self.size)
        return np.einsum("ij,ij->j", by_neuron, by_neuron)

    def spread(self, per_neuron):
        return per_neuron[self.index] if self.rows is None else np.tile(per_neuron, self.rows)

    def scale(self, values, factors):
        if self.rows is None:
            values *= factors[self.index]
        else:
            values.reshape(self.rows, self.size)[...] *= factors


def _label(parameter):
    return f"{parameter.group_name}.{parameter.name}"
