"""From sound to spikes: the auditory chain behind the Spiking Heidelberg Digits."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from brian_qif.data.membrane import RATE, STEPS, membrane_velocity

LEVEL = 0.3  # root mean square of the sound
_LONGEST = 10.0  # seconds; the velocities take 67 MB per second and 700 channels

# The hair cell of Meddis (1986, 1988): rates per second, permeability in units of the membrane's velocity.
_REPLENISH, _RELEASE, _LOSS, _REUPTAKE, _REPROCESS = 5.05, 2000.0, 2500.0, 6580.0, 66.3
_SHIFT, _HALF, _FIRING, _POOL = 5.0, 300.0, 50000.0, 1.0

# Fibres onto a bushy cell of each channel.
_FIBRES, _WEIGHT = 40, 13000.0 / 40
_TAU_MEMBRANE, _TAU_SYNAPSE = 1e-3, 0.5e-3
_PAUSE = round(1e-3 * STEPS)  # steps for which fibres and bushy cells are refractory
_BLOCK = 32  # steps
_GROUP = 50  # channels


def hear(
    sounds: Sequence, generators: Sequence[np.random.Generator], channels: int = 700
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The spikes of the bushy cells behind each of several sounds.

    Level and window, basilar membrane, hair cells, auditory nerve and bushy cells, as in Cramer et al. (2022). Sounds
    that are heard together take less time than one after the other; the spikes are the same.

    Parameters
    ----------
    sounds : sequence of array_like
        Each one channel of sound at 48 kHz; its level does not matter.
    generators : sequence of numpy.random.Generator
        A source of randomness per sound: fibres of the auditory nerve fire at random.
    channels : int
        The number of places on the membrane, each with one bushy cell.

    Returns
    -------
    list of tuple of numpy.ndarray
        Per sound the times in seconds, ascending, on a grid of 1/24000 s, and the channel of each spike; channel 0
        hears the highest tones.

    Raises
    ------
    ValueError
        If a sound is empty, silent, not finite, has more than one channel or lasts longer than 10 s.

    References
    ----------
    Cramer, Stradmann, Schemmel & Zenke (2022), https://doi.org/10.1109/TNNLS.2020.3044364

    Examples
    --------
    >>> import numpy as np
    >>> from brian_qif.data.hearing import hear
    >>> tone = np.sin(2*np.pi*500*np.arange(4800)/48000)
    >>> [(times, units)] = hear([tone], [np.random.default_rng(0)], channels=20)
    >>> times.shape == units.shape, bool(units.max() < 20)
    (True, True)
    """
    prepared = [prepare(sound) for sound in sounds]
    lengths = [(len(sound) + 1) // 2 for sound in prepared]
    together = np.zeros((max(lengths, default=0), channels * len(lengths)), np.float32)
    parts = [np.s_[:length, place * channels : (place + 1) * channels] for place, length in enumerate(lengths)]
    for part, sound in zip(parts, prepared, strict=True):
        membrane_velocity(sound, channels, out=together[part])
    probability = hair_cells(together)
    arrivals = np.zeros(probability.shape, np.uint8)
    for part, generator in zip(parts, generators, strict=True):
        arrivals[part] = nerve_fibres(probability[part], generator)
    steps, units = bushy_cells(arrivals)
    heard = [(units // channels == place) & (steps < length) for place, length in enumerate(lengths)]
    return [(steps[mine] / STEPS, units[mine] % channels) for mine in heard]


def prepare(sound):
    """A sound at the level of the chain, under a Hann window.

    Parameters
    ----------
    sound : array_like
        One channel of sound at 48 kHz.

    Returns
    -------
    numpy.ndarray
        The same number of values.

    Raises
    ------
    ValueError
        See `hear`.
    """
    sound = np.asarray(sound, dtype=np.float64)
    if sound.ndim != 1:
        raise ValueError(f"A sound is one channel, an array of one dimension, not of shape {sound.shape}.")
    if not 2 <= len(sound) <= _LONGEST * RATE:
        raise ValueError(f"A sound of {len(sound) / RATE:.3g} s cannot be used: cut it into words of at most 10 s.")
    if not np.isfinite(sound).all():
        raise ValueError("The sound contains values that are not finite.")
    level = np.sqrt(np.mean(sound**2))
    if level == 0:
        raise ValueError("The sound is silent.")
    rise = len(sound) // 2
    window = np.ones(len(sound))
    window[:rise] = np.hanning(2 * rise)[:rise]
    window[-rise:] = np.hanning(2 * rise)[-rise:]
    return sound * (LEVEL / level) * window


def hair_cells(velocity):
    """The probability per step with which each fibre of a channel fires.

    Parameters
    ----------
    velocity : numpy.ndarray
        Shape (steps, channels), from `membrane_velocity`. It is overwritten.

    Returns
    -------
    numpy.ndarray
        The same array.

    References
    ----------
    Meddis (1986), Simulation of mechanical to neural transduction in the auditory receptor,
    https://doi.org/10.1121/1.393460
    """
    step = 1.0 / STEPS
    for start in range(0, len(velocity), _BLOCK):
        block = velocity[start : start + _BLOCK]
        shifted = np.maximum(block + np.float32(_SHIFT), 0)
        np.divide(shifted, shifted + np.float32(_HALF), out=block)
        block *= np.float32(_RELEASE * step)  # the permeability, per step
    channels = velocity.shape[1]

    def everywhere(value):
        # NumPy takes arrays much faster than scalars.
        return np.full(channels, value, np.float32)

    # At rest, s = 0, every pool gains what it loses.
    rest = _RELEASE * _SHIFT / (_SHIFT + _HALF)
    content = _REPLENISH * _POOL * rest / (_LOSS * rest + _REPLENISH * (_LOSS + _REUPTAKE))
    ready = everywhere(content * (_LOSS + _REUPTAKE) / rest)
    cleft = everywhere(content)
    store = everywhere(content / (_REPROCESS * step))  # in units of what the cleft gives per step
    unfilled, filling = everywhere(1 - _REPLENISH * step), everywhere(_REPLENISH * step * _POOL)
    stored, returned = everywhere(1 - _REPROCESS * step), everywhere(_REPROCESS * step * _REUPTAKE * step)
    kept = everywhere(1 - (_LOSS + _REUPTAKE) * step)
    change, filled = everywhere(0), everywhere(0)
    # One step of Euler's method per row, which then takes the content of the cleft.
    for row in velocity:
        np.multiply(row, ready, out=row)
        # (m - q)+ y is what is missing to the larger of q and (1 - y) q + y m.
        np.multiply(ready, unfilled, out=filled)
        np.add(filled, filling, out=filled)
        np.maximum(ready, filled, out=ready)
        np.subtract(ready, row, out=ready)
        np.multiply(store, returned, out=change)
        np.add(ready, change, out=ready)
        np.multiply(store, stored, out=store)
        np.add(store, cleft, out=store)
        np.multiply(cleft, kept, out=change)
        np.add(row, change, out=row)
        cleft = row
    velocity *= np.float32(_FIRING * step)
    return velocity


def nerve_fibres(probability, generator):
    """How many fibres of each channel fire in each step.

    A fibre fires in a step with probability p exactly if a Poisson process of intensity -ln(1 - p) has an event there.
    The events of all fibres of a channel are drawn together, with the largest intensity of a block of steps, and
    thinned to that of their step.

    Parameters
    ----------
    probability : numpy.ndarray
        Shape (steps, channels): with which a fibre that is not refractory fires in a step.
    generator : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    numpy.ndarray
        Shape (steps, channels), uint8.
    """
    arrivals = np.zeros(probability.shape, np.uint8)
    for first in range(0, probability.shape[1], _GROUP):
        group = np.s_[:, first : first + _GROUP]
        arrivals[group] = _fire(np.ascontiguousarray(probability[group]), generator)
    return arrivals


def _fire(probability, generator):
    """`nerve_fibres` for some of the channels: few enough that the processor's cache holds their events."""
    steps, channels = probability.shape
    blocks = [probability[start : start + _BLOCK].max(axis=0) for start in range(0, steps, _BLOCK)]
    highest = _intensity(np.stack(blocks)).ravel()
    cell = np.repeat(np.arange(len(highest), dtype=np.int32), generator.poisson(_FIBRES * _BLOCK * highest))
    block = cell // np.int32(channels)
    channel = cell - block * np.int32(channels)
    drawn = generator.integers(_FIBRES * _BLOCK, size=len(cell), dtype=np.int32)
    fibre = drawn // np.int32(_BLOCK)
    step = drawn - fibre * np.int32(_BLOCK) + block * np.int32(_BLOCK)
    # The last block may be shorter than the others.
    intensity = _intensity(probability[np.minimum(step, steps - 1), channel])
    happens = generator.random(len(cell), dtype=np.float32) * highest[cell] < intensity * (step < steps)
    # Fibres one behind the other, further apart than the refractory period.
    events = ((channel * np.int64(_FIBRES) + fibre) * (steps + _PAUSE) + step)[happens]
    fibre, step = np.divmod(_refractory(np.sort(events)), steps + _PAUSE)
    fired = np.zeros(steps * channels, np.uint8)
    np.add.at(fired, step * channels + fibre // _FIBRES, np.uint8(1))
    return fired.reshape(steps, channels)


def bushy_cells(arrivals):
    """Spikes of one bushy cell per channel, driven by its fibres of the auditory nerve.

    Parameters
    ----------
    arrivals : numpy.ndarray
        Shape (steps, channels), from `nerve_fibres`.

    Returns
    -------
    steps, units : numpy.ndarray
        Step and channel of every spike, ascending.
    """
    channels = arrivals.shape[1]
    current_kept = np.full(channels, np.exp(-1 / (STEPS * _TAU_SYNAPSE)), np.float32)
    kept = np.full(channels, np.exp(-1 / (STEPS * _TAU_MEMBRANE)), np.float32)
    voltage, current = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    threshold = STEPS / _WEIGHT  # in arrivals, which are counted and not weighted
    pausing, pauses = np.zeros(0, np.int64), deque()
    steps, units = [], []
    for step, row in enumerate(arrivals):
        np.multiply(current, current_kept, out=current)
        np.add(current, row, out=current)
        np.multiply(voltage, kept, out=voltage)
        np.add(voltage, current, out=voltage)
        if pauses:
            if pauses[0][0] == step:
                pausing = pausing[len(pauses.popleft()[1]) :]
            voltage[pausing] = 0
        if voltage[voltage.argmax()] >= threshold:
            fired = np.flatnonzero(voltage >= threshold)
            voltage[fired] = 0
            pauses.append((step + _PAUSE, fired))
            pausing = np.concatenate([pausing, fired])
            steps.append(np.full(len(fired), step))
            units.append(fired)
    if not steps:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(steps), np.concatenate(units)


def _intensity(probability):
    return -np.log1p(-np.minimum(probability, np.float32(0.999999)))


def _refractory(events):
    """The events, sorted, without those that come too soon after the last that is left."""
    while True:
        close = np.diff(events, prepend=-_PAUSE) < _PAUSE
        # Whose predecessor stays for certain falls out; the next in line may stay after all.
        out = close.copy()
        out[1:] &= ~close[:-1]
        if not out.any():
            return events
        events = events[~out]
