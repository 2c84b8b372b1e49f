"""What the command says of a machine, against what is there."""

import json

import pytest

from brian_qif.cli import main
from brian_qif.codegen import cuda_installation, genn_installation
from brian_qif.codegen.compiler import CompilerError, find_compiler
from brian_qif.protocols import devices
from brian_qif.solvers.clock_tasks import find_device


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine with nothing but an empty folder of programs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CXX", "GENN_PATH", "CUDA_PATH", "CUDA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for module in (devices, genn_installation, cuda_installation):
        monkeypatch.setattr(module, "installed_version", lambda package: None)
    return tmp_path


def shown(capsys, *options):
    assert main(["devices", *options]) == 0
    return capsys.readouterr().out


def by_name(findings):
    return {finding["name"]: finding for finding in findings}


def test_a_bare_machine_has_the_reference_and_runtime(bare, capsys):
    told = json.loads(shown(capsys, "--json"))
    assert [part["found"] for part in told["parts"]] == [False] * 8
    parts, solvers = by_name(told["parts"]), by_name(told["solvers"])
    assert parts["C++ compiler"]["detail"].startswith("No C++ compiler was found (looked for g++, c++, clang++)")
    assert parts["Cython"]["detail"] == "pip install cython"
    assert parts["GeNN"]["detail"] == f"GENN_PATH is not set; {genn_installation.GET_GENN}"
    assert [name for name, solver in solvers.items() if solver["found"]] == [
        "EventSolver(), reference in NumPy",
        "ClockSolver('runtime'), target numpy",
    ]
    assert solvers["ClockSolver('runtime'), target cython"]["detail"] == "needs the C++ compiler and Cython"
    assert solvers["ClockSolver('genn'), on the processor"]["detail"] == find_device("genn").missing()
    assert solvers["ClockSolver('cuda_standalone')"]["detail"] == find_device("cuda_standalone").missing()
    assert parts["brian2cuda"]["detail"] == cuda_installation.GET_BRIAN2CUDA
    assert parts["NVIDIA's graphics cards"]["detail"] == "none (asked nvidia-smi)"


def test_programs_are_asked_for_their_versions(bare, capsys):
    program(bare / "g++", '[ "$1" = --version ] && echo "g++ of the test 12.3" || exit 1')
    program(bare / "nvcc", 'echo "Cuda compilation tools, release 12.6, V12.6.85"')
    parts = by_name(json.loads(shown(capsys, "--json"))["parts"])
    assert parts["C++ compiler"] == {
        "name": "C++ compiler",
        "found": True,
        "detail": f"g++ of the test 12.3 ({bare / 'g++'})",
    }
    # It compiles nothing, so there is no OpenMP.
    assert not parts["OpenMP"]["found"]
    assert parts["OpenMP"]["detail"].startswith(f"a test program failed with '{bare / 'g++'} -fopenmp'")
    assert parts["CUDA"]["detail"] == f"12.6 ({bare / 'nvcc'})"


def test_a_folder_without_genn_is_said_so(bare, capsys, monkeypatch):
    monkeypatch.setenv("GENN_PATH", str(bare))
    table = shown(capsys)
    assert f"GENN_PATH is {bare}, where there is no GeNN" in table
    (bare / "version.txt").write_text("4.9.0\n")
    assert f"4.9.0 (GENN_PATH is {bare})" in shown(capsys)


def test_this_machine_has_what_the_solvers_find(capsys):
    told = json.loads(shown(capsys, "--json"))
    solvers = by_name(told["solvers"])
    try:
        path = find_compiler()
    except CompilerError:
        path = None
    assert solvers["EventSolver(), generated C++"]["found"] == (path is not None)
    assert solvers["ClockSolver('genn'), on the processor"]["found"] == (find_device("genn").missing() is None)
    table = shown(capsys)
    for finding in (*told["parts"], *told["solvers"]):
        assert finding["name"] in table and finding["detail"] in table
