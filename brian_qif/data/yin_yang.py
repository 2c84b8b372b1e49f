"""The Yin-Yang data set: points of the plane in three classes, made by a formula.

The picture is a disc of radius 1/2 about (1/2, 1/2). Its upper and lower half exchange a disc of half that radius each:
the yin is the upper half without the disc about (3/4, 1/2), and with that about (1/4, 1/2); the yang is the rest.
The dots, of radius 1/10 about the centres of these two discs, are the third class. No straight lines part the classes,
so a network needs hidden neurons.
"""

from __future__ import annotations

import numpy as np

from brian_qif.arguments import plain_array, whole_number

CLASSES = ("yin", "yang", "dot")
_RADIUS, _DOT_RADIUS = 0.5, 0.1
_CENTRES = np.array([[0.25, 0.5], [0.75, 0.5]])


def yin_yang_class(points: np.ndarray) -> np.ndarray:
    """The class of points of the plane.

    Parameters
    ----------
    points : numpy.ndarray
        Shape (n, 2): the coordinates x and y.

    Returns
    -------
    numpy.ndarray
        Shape (n,): 0 for the yin, 1 for the yang, 2 for the dots and -1 outside the disc.

    Raises
    ------
    TypeError
        If they are no numbers.
    ValueError
        For another shape, or coordinates that are not finite.

    Examples
    --------
    >>> from brian_qif.data.yin_yang import yin_yang_class
    >>> yin_yang_class([[0.5, 0.9], [0.5, 0.1], [0.25, 0.5], [0, 0]])
    array([ 0,  1,  2, -1])
    """
    points = plain_array(points, "Points of the Yin-Yang set")
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(
            f"Points of the Yin-Yang set have the shape (n, 2); an array of shape {points.shape} was given."
        )
    if not np.all(np.isfinite(points)):
        raise ValueError("Points of the Yin-Yang set have finite coordinates; some are not.")
    left, right = np.linalg.norm(points[:, None, :] - _CENTRES, axis=2).T
    yin = (left <= _RADIUS / 2) | ((points[:, 1] > 0.5) & (right > _RADIUS / 2))
    classes = np.where(yin, 0, 1)
    classes[(left < _DOT_RADIUS) | (right < _DOT_RADIUS)] = 2
    classes[np.linalg.norm(points - 0.5, axis=1) > _RADIUS] = -1
    return classes


def yin_yang(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw points of the Yin-Yang set: a class for each, and then a place in it, all places being equally likely.

    Parameters
    ----------
    samples : int
        How many.
    seed : int
        Another seed for training, validation and test. The same seed gives the same points, and more of them go on
        where fewer ended.

    Returns
    -------
    points : numpy.ndarray
        Shape (samples, 2), between 0 and 1.
    labels : numpy.ndarray
        Shape (samples,): their classes, 0 to 2, a third of the points each on average.

    Raises
    ------
    ValueError
        If the number or the seed is no whole number from 0 on.

    References
    ----------
    Kriener, Göltz & Petrovici, The Yin-Yang dataset, NICE '22 (2022); arXiv:2102.08211.

    Examples
    --------
    >>> from brian_qif.data.yin_yang import yin_yang
    >>> points, labels = yin_yang(5000, seed=1)
    >>> points.shape, sorted(set(labels.tolist()))
    ((5000, 2), [0, 1, 2])
    """
    samples = whole_number(samples, "The number of samples", 0)
    generator = np.random.default_rng(whole_number(seed, "The seed", 0))
    points, labels = np.empty((samples, 2)), np.empty(samples, dtype=np.int64)
    for n in range(samples):
        labels[n] = generator.integers(len(CLASSES))
        points[n] = _place_in(labels[n], generator)
    return points, labels


def _place_in(label: int, generator: np.random.Generator) -> np.ndarray:
    """A place drawn from a class, by drawing places of the square until one lies in it."""
    while True:
        tried = generator.random((8, 2))
        inside = np.flatnonzero(yin_yang_class(tried) == label)
        if len(inside):
            return tried[inside[0]]
