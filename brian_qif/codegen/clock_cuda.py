"""Runs the networks of a clock-driven gradient on a graphics card, by programs of brian2cuda that nvcc compiles.

Its device is a descendant of that of C++ standalone mode: the same files are rewritten before every start.
"""

from __future__ import annotations

import logging

import numpy as np
from brian2 import prefs, second
from brian2.devices.device import all_devices, get_device

from brian_qif.codegen.clock_standalone import Standalone, StandaloneProgram, brian2_device
from brian_qif.codegen.cuda_installation import what_is_missing
from brian_qif.plan.network_plan import NetworkPlan
from brian_qif.solvers.clock_tasks import Layout, Values, register_device, step_length

_DEVICE = "brian_qif_cuda_standalone"
_NVCC_FLAGS = "devices.cuda_standalone.cuda_backend.extra_compile_args_nvcc"
_CPP_FLAGS = "codegen.cpp.extra_compile_args_gcc"


def _preferences() -> dict:
    """brian2cuda's makefile asks for C++11, which the Thrust of CUDA 13 refuses; of two standards nvcc takes the later.

    Without approximate functions: slopes are compared with those of other devices.
    """
    nvcc = [flag for flag in prefs[_NVCC_FLAGS] if "use_fast_math" not in flag and "-std=" not in flag]
    host = [flag for flag in prefs[_CPP_FLAGS] or [] if "-std=" not in flag]
    return {_NVCC_FLAGS: [*nvcc, "-std=c++17"], _CPP_FLAGS: host}


class CudaProgram(StandaloneProgram):
    """A network as a CUDA program in a folder of its own."""

    def _brian2_device(self):
        from brian2cuda.device import CUDAStandaloneDevice

        if _DEVICE not in all_devices:
            all_devices[_DEVICE] = CUDAStandaloneDevice()
        return brian2_device(_DEVICE, _preferences(), build_on_run=False)

    def _build(self) -> None:
        # Without the list of all its preferences that brian2cuda logs for every program.
        log = logging.getLogger("brian2.brian2cuda.device")
        level = log.level
        log.setLevel(logging.WARNING)
        try:
            super()._build()
        finally:
            log.setLevel(level)

    def monitor(self, label: str, name: str) -> np.ndarray:
        """Spikes of a step in the order of neurons: on a card they come as the threads do."""
        values = super().monitor(label, name)
        if not label.startswith("spikes"):
            return values
        return values[np.lexsort([super().monitor(label, key) for key in ("i", "t")])]


class Cuda(Standalone):
    """A graphics card, by brian2cuda."""

    name = "cuda_standalone"
    program = CudaProgram

    def missing(self) -> str | None:
        return what_is_missing()

    def clock(self, plan: NetworkPlan):
        # brian2cuda's synapses ask the clock of this name for the time.
        clock = get_device().defaultclock
        clock.dt = step_length(plan) * second
        return clock

    def forward(self, plan: NetworkPlan, layout: Layout, key: str, values: Values):
        if values.queues is not None:
            raise MemoryError(
                "The trial does not fit into the preference brian_qif.trajectory_memory, and on cuda_standalone it "
                "cannot be cut into segments: raise the preference, or take ClockSolver(device='cpp_standalone')."
            )
        return super().forward(plan, layout, key, values)


register_device(Cuda())
