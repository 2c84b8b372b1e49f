"""Exact spike-time gradients for spiking networks written in Brian2."""

# ruff: noqa: E402  (the guard has to run before the imports that it explains)

from pathlib import Path

from brian_qif._shadow import refuse_shadowed_import

refuse_shadowed_import(Path(__file__).parent)

import brian_qif.codegen.backend  # registers the backend "cpp"
import brian_qif.codegen.clock_cuda  # registers the devices of the clock-driven solver
import brian_qif.codegen.clock_genn
import brian_qif.codegen.clock_standalone
import brian_qif.preferences  # noqa: F401  (registers the preferences)
from brian_qif._version import __version__
from brian_qif.citations import cite
from brian_qif.example import ExampleRunError, example_run
from brian_qif.gradients.check import GradientCheckError, GradientReport, check_gradient
from brian_qif.gradients.first_spikes import FirstSpikeCrossEntropyLoss, SpikeTimeLoss
from brian_qif.gradients.losses import CrossEntropyLoss, SpikeFunctionLoss
from brian_qif.gradients.spike_counts import SpikeCountCrossEntropyLoss
from brian_qif.gradients.spike_gradient import SpikeGradient
from brian_qif.gradients.state_loss import StateLoss
from brian_qif.solvers.clock import ClockSolver
from brian_qif.solvers.event import EventSolver
from brian_qif.solvers.sweeps import GrazingSpikeError
from brian_qif.solvers.trajectory import Trajectory
from brian_qif.training.optimisers import Adam
from brian_qif.training.trainer import Trainer

__all__ = [
    "Adam",
    "ClockSolver",
    "CrossEntropyLoss",
    "EventSolver",
    "ExampleRunError",
    "FirstSpikeCrossEntropyLoss",
    "GradientCheckError",
    "GradientReport",
    "GrazingSpikeError",
    "SpikeCountCrossEntropyLoss",
    "SpikeFunctionLoss",
    "SpikeGradient",
    "SpikeTimeLoss",
    "StateLoss",
    "Trainer",
    "Trajectory",
    "__version__",
    "check_gradient",
    "cite",
    "example_run",
    "load_network",
]


def __getattr__(name):
    # A public name of the studies, which the library does not import before somebody asks for it.
    if name == "load_network":
        from brian_qif.protocols.trained_network import load_network

        return load_network
    raise AttributeError(f"module 'brian_qif' has no attribute '{name}'")
