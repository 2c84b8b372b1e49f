"""The basilar membrane: how fast each place of the cochlea moves when a sound is heard."""

from __future__ import annotations

import functools

import numpy as np
from scipy import fft, special

RATE = 48000  # of the sound, in hertz
STEPS = 24000  # of everything behind the membrane: the analytic half of the spectrum, per second
LENGTH = 3.5  # of the membrane

# Parameters of the hydrodynamic model of Sieroka, Dosch & Rupp (2006), in its units (centimetre, gram, second).
_STIFFNESS, _DECAY, _OFFSET = 1e9, 3.0, 3500.0
_DENSITY, _HEIGHT, _MASS, _DAMPING = 1.0, 0.1, 0.05, 0.15

_RESPONSE = 4096  # steps of an impulse response; its slowest decay (18 ms) has left less than 1e-3 by then
_EARLY = 3840  # those of them before the impulse, see the notes of `transfer_functions`
_BLOCK = 16384  # steps per Fourier transform
_GROUP = 50  # channels at a time, whose spectra fit into a processor's cache
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(4)


def membrane_velocity(sound, channels=700, out=None):
    """The velocity of the basilar membrane at equidistant places, from the base (high tones) to the apex.

    Parameters
    ----------
    sound : numpy.ndarray
        One channel of sound at 48 kHz.
    channels : int
        The number of places.
    out : numpy.ndarray, optional
        Zeros, of the shape and type of what is returned, to be filled.

    Returns
    -------
    numpy.ndarray
        Shape (steps, channels), float32, at 24 kHz: half as many steps as the sound has values, rounded up.

    Notes
    -----
    The transfer functions are computed once per number of channels (about four seconds for 700) and kept. The sound
    passes through them in blocks, by overlap and add.
    """
    steps = (len(sound) + 1) // 2
    analytic = fft.ifft(fft.rfft(sound, 2 * steps)[:steps])
    lower, upper = _block_responses(channels)
    velocity = np.zeros((steps, channels), np.float32) if out is None else out
    for start in range(0, steps, _BLOCK - _RESPONSE):
        spectrum = fft.fft(analytic[start : start + _BLOCK - _RESPONSE], _BLOCK).astype(np.complex64)
        below, above = spectrum[: _BLOCK // 2 + 1], spectrum[: _BLOCK // 2 : -1].conj()
        rows = slice(max(start - _EARLY, 0), start - _EARLY + _BLOCK)
        skipped = rows.start - (start - _EARLY)
        used = slice(skipped, skipped + len(velocity[rows]))
        for first in range(0, channels, _GROUP):
            # The real part alone is wanted: its spectrum is the Hermitian part of the product.
            moved = lower[first : first + _GROUP] * below
            answering = upper[first : first + _GROUP]
            moved[: len(answering), 1:-1] += answering * above
            velocity[rows, first : first + _GROUP] += fft.irfft(moved, _BLOCK, overwrite_x=True).T[used]
    return velocity


@functools.lru_cache(maxsize=2)
def _block_responses(channels):
    """Half the transfer functions on the frequencies of a block, delayed by the steps before the impulse.

    Frequencies of the analytic signal above a quarter of the sound's rate stand for negative ones of its real part.
    They are given conjugate and in reverse, and only for the first places: the others do not answer to them.
    """
    frequencies = np.arange(_RESPONSE) * (STEPS / _RESPONSE)
    transfer = transfer_functions(frequencies, channels).T
    response = fft.fft(np.roll(fft.ifft(transfer), _EARLY, axis=1).astype(np.complex64), _BLOCK)
    lower, upper = 0.5 * response[:, : _BLOCK // 2 + 1], 0.5 * response[:, : _BLOCK // 2 : -1].conj()
    lower[:, [0, -1]] *= 2
    answering = np.abs(transfer[:, _RESPONSE // 2 :]).max(axis=1) > 1e-6 * np.abs(transfer).max(axis=1)
    return lower, upper[: answering.sum()].copy()


def transfer_functions(frequencies, channels):
    """Velocity of the membrane per amplitude of the sound.

    Parameters
    ----------
    frequencies : numpy.ndarray
        In hertz.
    channels : int
        The number of places.

    Returns
    -------
    numpy.ndarray
        Shape (frequencies, channels), complex. A constant pressure moves nothing: 0 at the frequency 0.

    Notes
    -----
    The model is written for waves ``exp(-i w t)``, and the published chain multiplies these functions with a Fourier
    transform of the opposite sign. Its membrane therefore moves before the sound, low tones first (by 25 ms at the
    apex), where a real one moves after it. The published data have it so, and so has this function, to be like them.

    References
    ----------
    Sieroka, Dosch & Rupp (2006), Semirealistic models of the cochlea, https://doi.org/10.1121/1.2204438
    """
    places = np.linspace(0, LENGTH, channels)
    found = np.zeros((len(frequencies), channels), np.complex128)
    # A bounded number of frequencies at a time bounds the memory.
    for start in range(0, len(frequencies), 256):
        rows = slice(start, start + 256)
        positive = frequencies[rows] > 0
        found[rows][positive] = _transfer(2 * np.pi * frequencies[rows][positive, None], places)
    return found


def _transfer(w, places):
    wave_number = _wave_number(w, places)
    travelled = 2 * _wave_number(w, 0.0) / _DECAY + _integral(w, places)
    # The scaled Hankel function leaves out exp(i G), which would underflow: it returns as a difference of exponents.
    pressure = np.sqrt(travelled / wave_number) * special.hankel1e(0, travelled)
    ratio = pressure / pressure[:, :1] * np.exp(1j * (travelled - travelled[:, :1]))
    return 2 * w / _impedance(w, places) * ratio * _input_impedance(w)


def _impedance(w, place):
    stiffness = _STIFFNESS * np.exp(-_DECAY * place) - _OFFSET
    damping = _DAMPING * np.sqrt(_STIFFNESS * _MASS) * np.exp(-0.5 * _DECAY * place)
    return stiffness - _MASS * w**2 - 1j * w * damping


def _wave_number(w, place):
    return w * np.sqrt(_DENSITY / (_HEIGHT * _impedance(w, place)))


def _integral(w, places):
    """The integral of the wave number from the base to each place: Gauss-Legendre between neighbours."""
    pieces = max(1, -(-700 // len(places)))  # near the resonance neighbours have to be close, however few places
    edges = np.linspace(0, LENGTH, pieces * (len(places) - 1) + 1)
    half = 0.5 * np.diff(edges)
    middle = edges[:-1] + half
    area = sum(
        weight * half * _wave_number(w, middle + half * node) for node, weight in zip(_NODES, _WEIGHTS, strict=True)
    )
    total = np.cumsum(area, axis=1)[:, pieces - 1 :: pieces]
    return np.concatenate([np.zeros((len(w), 1)), total], axis=1)


def _input_impedance(w):
    x = 2 * w / _DECAY * np.sqrt(2 / (_HEIGHT * _STIFFNESS))
    bessel = 1j * special.j0(x) + special.y0(x)
    return np.sqrt(2 * _STIFFNESS / _HEIGHT) * bessel / (special.j1(x) - 1j * special.y1(x))
