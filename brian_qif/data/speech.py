"""Synthetic spoken digits: espeak-ng reads zero to nine, in English and German, in voices that differ by speaker."""

from __future__ import annotations

import io
import shutil
import subprocess
from dataclasses import dataclass

import numpy as np
from scipy.io import wavfile
from scipy.signal import lfilter, resample_poly

from brian_qif.data.membrane import RATE
from brian_qif.data.sound import resample

ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
GERMAN = ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
WORDS = ENGLISH + GERMAN  # in the order of the labels of the Spiking Heidelberg Digits

_ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd")
_TIMBRES = ("m1", "f1", "m2", "f2", "m3", "f3", "m4", "f4", "m7", "f5", "m8", "m5", "m6")


@dataclass(frozen=True)
class Variability:
    """How much takes and speakers differ.

    Attributes
    ----------
    pitch, speed, tract : float
        Standard deviations among the takes of a speaker: of the pitch in espeak's units (0 to 99), and of the
        logarithms of the speed and of the length of the vocal tract.
    speaker_tract : float
        The largest difference of the logarithm of the vocal tract's length among speakers, in either direction.
    noise : tuple of float
        The least and the largest level of the background noise, in decibels against the word.
    tilt : float
        The standard deviation of the colour of takes: the coefficient of a filter of first order.
    """

    pitch: float = 8.0
    speed: float = 0.12
    tract: float = 0.04
    speaker_tract: float = 0.12
    noise: tuple[float, float] = (-30.0, -12.0)
    tilt: float = 0.4


@dataclass(frozen=True)
class Voice:
    """A speaker of espeak-ng: accent and timbre by their names there, mean pitch (0 to 99), words per minute, and the
    length of the vocal tract against espeak's own."""

    accent: str
    timbre: str
    pitch: float
    speed: float
    tract: float

    @classmethod
    def of_speaker(cls, speaker, seed, variability):
        """The voice of a speaker, given by their number."""
        generator = np.random.default_rng([seed, 0, speaker])
        return cls(
            accent=_ACCENTS[int(generator.integers(len(_ACCENTS)))],
            timbre=_TIMBRES[speaker % len(_TIMBRES)],
            pitch=float(generator.uniform(30, 70)),
            speed=float(generator.uniform(90, 150)),
            tract=float(np.exp(generator.uniform(-1, 1) * variability.speaker_tract)),
        )


def find_synthesiser():
    """The path of espeak-ng.

    Raises
    ------
    FileNotFoundError
        If it is not installed.
    """
    path = shutil.which("espeak-ng")
    if path is None:
        raise FileNotFoundError(
            "The program espeak-ng, which speaks the words, is not installed. On Debian and Ubuntu:"
            " apt-get install espeak-ng; elsewhere see https://github.com/espeak-ng/espeak-ng."
        )
    return path


def speak(word, voice, generator, variability):
    """One take of a word.

    Parameters
    ----------
    word : int
        Its label: 0 to 9 English, 10 to 19 German.
    voice : Voice
        Who speaks.
    generator : numpy.random.Generator
        Decides pitch, speed, colour and noise of this take.
    variability : Variability
        How much they differ from take to take.

    Returns
    -------
    numpy.ndarray
        Sound at 48 kHz.

    Raises
    ------
    FileNotFoundError
        If espeak-ng is not installed.
    OSError
        If it fails.
    """
    accent = voice.accent if word < len(ENGLISH) else "de"
    pitch = np.clip(round(voice.pitch + variability.pitch * generator.standard_normal()), 0, 99)
    tract = voice.tract * np.exp(variability.tract * generator.standard_normal())
    speed = voice.speed * np.exp(variability.speed * generator.standard_normal())
    # A longer tract lowers everything and slows down: the latter is made good here.
    command = [find_synthesiser(), "-v", f"{accent}+{voice.timbre}", "-p", str(pitch)]
    command += ["-s", str(int(np.clip(round(speed * tract), 80, 450))), "--stdout", WORDS[word]]
    done = subprocess.run(command, capture_output=True, timeout=60)
    if done.returncode != 0 or not done.stdout:
        raise OSError(f"espeak-ng failed: {done.stderr.decode(errors='replace').strip() or 'it wrote nothing'}")
    rate, values = wavfile.read(io.BytesIO(_with_lengths(done.stdout)))
    sound = _trim(resample_poly(values.astype(np.float64), round(1000 * tract), 1000))
    sound = resample(sound, rate)
    sound = lfilter([1.0, variability.tilt * generator.standard_normal()], [1.0], sound)
    level = 10 ** (generator.uniform(*variability.noise) / 20)
    noise = _pink(generator, len(sound))
    return sound + noise * level * np.sqrt(np.mean(sound**2) / np.mean(noise**2))


def _with_lengths(stream):
    """A WAV stream whose header knows its length, which a program that writes into a pipe does not."""
    content = bytearray(stream)
    data = content.index(b"data")
    content[4:8] = (len(content) - 8).to_bytes(4, "little")
    content[data + 4 : data + 8] = (len(content) - data - 8).to_bytes(4, "little")
    return bytes(content)


def _trim(sound, share=0.01):
    """Without the silence at both ends."""
    loud = np.flatnonzero(np.abs(sound) > share * np.abs(sound).max())
    return sound[loud[0] : loud[-1] + 1]


def _pink(generator, length):
    spectrum = np.fft.rfft(generator.standard_normal(length))
    frequencies = np.fft.rfftfreq(length, 1 / RATE)
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(frequencies, 50.0)), length)
