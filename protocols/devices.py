"""Show what this machine has for simulations: compilers, Brian2's devices, and which solvers thereby work."""

from __future__ import annotations

import json
import platform
import subprocess
import sysconfig
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import brian2

from brian_qif import __version__
from brian_qif.codegen.compiler import CompilerError, find_compiler
from brian_qif.codegen.cuda_installation import (
    GET_BRIAN2CUDA,
    GET_NVCC,
    graphics_cards,
    nvcc_path,
    nvcc_version,
)
from brian_qif.codegen.genn_installation import GET_BRIAN2GENN, GET_GENN, genn_path, genn_version, installed_version
from brian_qif.solvers.clock_tasks import find_device

_OPENMP = "#include <omp.h>\nint main() { return omp_get_max_threads() > 0 ? 0 : 1; }\n"


@dataclass(frozen=True)
class Finding:
    """Something that a machine has or lacks: its version and place, or how to get it."""

    name: str
    found: bool
    detail: str


def find_parts() -> list[Finding]:
    """What is there of all that the solvers can make use of."""
    return [compiler(), openmp(), cython(), brian2genn(), genn(), cuda(), brian2cuda(), graphics_card()]


def compiler() -> Finding:
    """The C++ compiler that generated code gets."""
    name = "C++ compiler"
    try:
        path = find_compiler()
    except CompilerError as error:
        return Finding(name, False, str(error))
    return Finding(name, True, f"{_first_line([path, '--version'])} ({path})")


def openmp() -> Finding:
    """Whether a program that uses OpenMP is compiled and runs."""
    name = "OpenMP"
    try:
        path = find_compiler()
    except CompilerError:
        return Finding(name, False, "needs the C++ compiler")
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "openmp.cpp", Path(folder) / "openmp"
        source.write_text(_OPENMP, encoding="utf-8")
        for command in ([path, "-fopenmp", str(source), "-o", str(program)], [str(program)]):
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            if done.returncode != 0:
                what = "its library; for clang++ it is Debian's package libomp-dev"
                return Finding(name, False, f"a test program failed with '{path} -fopenmp'; install {what}")
    return Finding(name, True, "a test program was compiled and ran")


def cython() -> Finding:
    """What Brian2's target cython needs: Cython, and Python's headers to compile against."""
    version, header = installed_version("cython"), Path(sysconfig.get_path("include")) / "Python.h"
    if version is None:
        return Finding("Cython", False, "pip install cython")
    if not header.is_file():
        return Finding("Cython", False, f"{version}, but no {header}; install Python's headers (Debian: python3-dev)")
    return Finding("Cython", True, version)


def brian2genn() -> Finding:
    """The bridge from Brian2 to GeNN."""
    version = installed_version("brian2genn")
    return Finding("brian2genn", version is not None, version or GET_BRIAN2GENN)


def genn() -> Finding:
    """GeNN itself, where GENN_PATH says that it is."""
    version = genn_version()
    if version is not None:
        return Finding("GeNN", True, f"{version} (GENN_PATH is {genn_path()})")
    where = "GENN_PATH is not set" if genn_path() is None else f"GENN_PATH is {genn_path()}, where there is no GeNN"
    return Finding("GeNN", False, f"{where}; {GET_GENN}")


def cuda() -> Finding:
    """NVIDIA's compiler."""
    path = nvcc_path()
    if path is None:
        return Finding("CUDA", False, f"no nvcc; {GET_NVCC}")
    return Finding("CUDA", True, f"{nvcc_version(path) or 'unknown version'} ({path})")


def brian2cuda() -> Finding:
    """The bridge from Brian2 to CUDA."""
    version = installed_version("brian2cuda")
    return Finding("brian2cuda", version is not None, version or GET_BRIAN2CUDA)


def graphics_card() -> Finding:
    """NVIDIA's cards, which brian2cuda runs programs on."""
    cards = graphics_cards()
    return Finding("NVIDIA's graphics cards", bool(cards), ", ".join(cards) or "none (asked nvidia-smi)")


def find_solvers(parts: list[Finding]) -> list[Finding]:
    """Which solvers work with these parts, and why others do not."""
    there = {part.name: part.found for part in parts}
    compiles = there["C++ compiler"]
    missing, no_card = (find_device(name).missing() for name in ("genn", "cuda_standalone"))
    needs = "needs the C++ compiler"
    return [
        Finding("EventSolver(), reference in NumPy", True, ""),
        _solver("EventSolver(), generated C++", compiles, needs),
        Finding("ClockSolver('runtime'), target numpy", True, ""),
        _solver("ClockSolver('runtime'), target cython", compiles and there["Cython"], f"{needs} and Cython"),
        _solver("ClockSolver('cpp_standalone')", compiles, needs),
        _solver("ClockSolver('cpp_standalone'), with OpenMP", there["OpenMP"], "needs OpenMP"),
        _solver("ClockSolver('genn'), on the processor", missing is None, missing),
        _solver("ClockSolver('cuda_standalone')", no_card is None, no_card, "its programs never ran on a card so far"),
    ]


def _solver(name: str, works: bool, otherwise: str, but: str = "") -> Finding:
    return Finding(name, works, but if works else otherwise)


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    except OSError as error:
        return str(error)


def _first_line(command: list[str]) -> str:
    return (_output(command).splitlines() or ["says nothing of its version"])[0]


def _table(title: str, findings: list[Finding], yes: str, no: str) -> list[str]:
    width = max(len(finding.name) for finding in findings)
    mark = max(len(yes), len(no))
    rows = [f"  {x.name:<{width}}  {yes if x.found else no:<{mark}}  {x.detail}".rstrip() for x in findings]
    return [title, *rows]


def add_arguments(parser):
    """Give a parser the arguments of ``brian-qif devices``."""
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")


def run(arguments):
    """Carry out ``brian-qif devices``; the table to show."""
    parts = find_parts()
    solvers = find_solvers(parts)
    versions = {"brian_qif": __version__, "brian2": brian2.__version__, "python": platform.python_version()}
    if arguments.json:
        found = {"versions": versions, "parts": parts, "solvers": solvers}
        return json.dumps(found, default=asdict, indent=2)
    head = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [head, "", *_table("This machine has", parts, "yes", "no"), ""]
    return "\n".join([*lines, *_table("So these solvers work", solvers, "yes", "no")])
