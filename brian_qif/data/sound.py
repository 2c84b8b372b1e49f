"""Recordings as the auditory chain wants them: one channel at 48 kHz."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

from brian_qif.data.membrane import RATE


def read_sound(path):
    """A recording, mixed down to one channel and resampled to 48 kHz.

    Parameters
    ----------
    path : str or os.PathLike
        A WAV file, or, with the package soundfile installed, FLAC or whatever else that can read.

    Returns
    -------
    numpy.ndarray
        Float64; the mean of all channels.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModuleNotFoundError
        If it is no WAV file and soundfile is not installed.
    ValueError
        If it is damaged or no sound.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file '{path}'.")
    with open(path, "rb") as file:
        start = file.read(12)
    is_wave = start[:4] in (b"RIFF", b"RIFX") and start[8:] == b"WAVE"
    rate, values = _read_wave(path) if is_wave else _read_other(path)
    if len(values) == 0:
        raise ValueError(f"'{path}' holds no sound.")
    return resample(values.reshape(len(values), -1).mean(axis=1), rate)


def resample(sound, rate):
    """A sound at 48 kHz.

    Parameters
    ----------
    sound : numpy.ndarray
        One channel.
    rate : int
        Its values per second.

    Returns
    -------
    numpy.ndarray
        The same sound; nothing above half of the lower of both rates is left.
    """
    factor = Fraction(RATE, int(rate))
    return sound if factor == 1 else resample_poly(sound, factor.numerator, factor.denominator)


def _read_wave(path):
    try:
        rate, values = wavfile.read(path)
    except (ValueError, EOFError, OSError, IndexError, ZeroDivisionError) as error:
        raise ValueError(f"'{path}' is damaged or no WAV file that can be read: {error}.") from error
    except Exception as error:  # struct.error and others, by which SciPy's reader ends on damaged headers
        raise ValueError(f"'{path}' is damaged: {error}.") from error
    if rate <= 0:
        raise ValueError(f"'{path}' is damaged: its sampling rate is {rate}.")
    values = values.astype(np.float64) - (128.0 if values.dtype == np.uint8 else 0.0)
    return rate, values


def _read_other(path):
    try:
        import soundfile
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"'{path}' is no WAV file. FLAC and other formats need the package soundfile:"
            ' pip install "brian_qif[audio]".'
        ) from error
    try:
        values, rate = soundfile.read(path)
    except RuntimeError as error:
        raise ValueError(f"'{path}' cannot be read as sound: {error}.") from error
    return rate, values
