"""A sound like a word, made by a formula: a vowel that glides, with a hiss in front."""

import numpy as np


def word(rate=48000, duration=0.8):
    """The sound, the same on every machine."""
    t = np.arange(int(rate * duration)) / rate
    pitch = 110 + 40 * np.sin(np.pi * t / duration)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    glide = t / duration
    formants = ((700 - 350 * glide, 90), (1200 + 900 * glide, 120), (2600 + 300 * glide, 180))
    voiced = np.zeros_like(t)
    for harmonic in range(1, 36):
        gain = sum(1 / (1 + ((harmonic * pitch - centre) / width) ** 2) for centre, width in formants)
        voiced += gain / harmonic**0.3 * np.sin(harmonic * phase)
    number = np.arange(400)
    turns = np.outer(t, 3500 + number * 9.7) + number**2 * 0.6180339887498949
    hiss = np.sin(2 * np.pi * turns).sum(axis=1)
    shape = np.clip((t - 0.15) / 0.05, 0, 1) * np.clip((duration - t) / 0.1, 0, 1)
    return 0.2 * (voiced * shape / np.abs(voiced).max() + 0.15 * hiss / np.abs(hiss).max() * (t < 0.2))
