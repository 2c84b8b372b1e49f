"""Exact spike-time gradients for spiking networks written in Brian2."""

from brian_qif._version import __version__

__all__ = ["__version__"]
