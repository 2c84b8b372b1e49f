"""Whether Brian2's device for graphics cards can be used here: brian2cuda, NVIDIA's compiler and a card."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys

from brian2 import prefs

from brian_qif.codegen.genn_installation import installed_version

GET_BRIAN2CUDA = "pip install '.[cuda]' in the folder of brian_qif, in an environment of its own with Python 3.12"
GET_NVCC = "install NVIDIA's CUDA toolkit"
_DETECT = "devices.cuda_standalone.cuda_backend.detect_gpus"
BY_HAND = (
    f"To build programs for a card that is elsewhere, set prefs['{_DETECT}'] = False and gpu_id and compute_capability "
    "of the same preferences"
)
ELSEWHERE = "ClockSolver(device='cpp_standalone') runs on the processor."


def nvcc_path() -> str | None:
    """NVIDIA's compiler, on the path or in the folder of CUDA."""
    folders = [os.environ[name] for name in ("CUDA_PATH", "CUDA_HOME") if os.environ.get(name)]
    return shutil.which("nvcc") or next(filter(None, (shutil.which("nvcc", path=f"{x}/bin") for x in folders)), None)


def nvcc_version(path: str) -> str | None:
    """The release of CUDA that a compiler belongs to."""
    found = re.search(r"release ([\d.]+)", _output([path, "--version"]))
    return found[1] if found else None


def graphics_cards() -> list[str]:
    """The names of NVIDIA's cards in this machine."""
    if shutil.which("nvidia-smi") is None:
        return []
    return re.findall(r"^GPU \d+: (.*?)(?: \(UUID|$)", _output(["nvidia-smi", "-L"]), re.MULTILINE)


def what_is_missing() -> str | None:
    """What the device "cuda_standalone" lacks here and how to get it, or None."""
    name = "The device 'cuda_standalone'"
    if sys.platform == "win32":
        return f"{name} is not supported on Windows by brian2cuda; {ELSEWHERE}"
    if installed_version("brian2cuda") is None:
        return f"{name} needs the package brian2cuda: {GET_BRIAN2CUDA}. {ELSEWHERE}"
    try:
        importlib.import_module("brian2cuda")
    except ImportError as error:
        return f"The package brian2cuda cannot be imported ({error}): {GET_BRIAN2CUDA}. {ELSEWHERE}"
    if nvcc_path() is None:
        return f"{name} needs the compiler nvcc: {GET_NVCC}. {ELSEWHERE}"
    if prefs[_DETECT] and not graphics_cards():
        return f"{name} found no graphics card (nvidia-smi). {ELSEWHERE} {BY_HAND}."
    return None


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    except OSError as error:
        return str(error)
