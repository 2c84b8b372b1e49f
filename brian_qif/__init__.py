"""Exact spike-time gradients for spiking networks written in Brian2."""

import brian_qif.preferences  # noqa: F401  (registers the preferences)
from brian_qif._version import __version__
from brian_qif.gradients.check import GradientCheckError, GradientReport, check_gradient
from brian_qif.gradients.losses import CrossEntropyLoss, SpikeFunctionLoss, SpikeTimeLoss
from brian_qif.gradients.spike_gradient import SpikeGradient
from brian_qif.solvers.event import EventSolver
from brian_qif.solvers.sweeps import GrazingSpikeError
from brian_qif.solvers.trajectory import Trajectory

__all__ = [
    "CrossEntropyLoss",
    "EventSolver",
    "GradientCheckError",
    "GradientReport",
    "GrazingSpikeError",
    "SpikeFunctionLoss",
    "SpikeGradient",
    "SpikeTimeLoss",
    "Trajectory",
    "__version__",
    "check_gradient",
]
