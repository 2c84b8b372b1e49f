"""Fixtures that all tests share."""

import os
from pathlib import Path

import pytest
from brian2 import BrianLogger, defaultclock, ms, prefs

# Nothing here needs a compiler for Brian2's own code, and networks are made without being run.
prefs.codegen.target = "numpy"
# Of a program for a device, compiling is what takes the time; with fewer optimisations it takes less.
prefs.codegen.cpp.extra_compile_args_gcc = ["-w", "-O1", "-fno-finite-math-only", "-std=c++11"]
if os.environ.get("BRIAN_QIF_SANITIZE"):
    import brian_qif  # noqa: F401  (registers the preference)

    # The sanitizers' own libraries are preloaded by `make sanitize`.
    flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g", "-O1"]
    prefs["brian_qif.extra_compile_args"] = flags
BrianLogger.suppress_name("unused_brian_object")


@pytest.fixture(autouse=True)
def step_of_the_clock():
    """A test that fails leaves its step of the clock to no other."""
    yield
    defaultclock.dt = 0.1 * ms


@pytest.fixture
def quick_folder(tmp_path) -> Path:
    """A folder for scripts in processes of their own, where Brian2 takes the target and the flags from above."""
    flags = prefs.codegen.cpp.extra_compile_args_gcc
    text = f"[codegen]\ntarget = 'numpy'\n[codegen.cpp]\nextra_compile_args_gcc = {flags!r}\n"
    (tmp_path / "brian_preferences").write_text(text)
    return tmp_path


@pytest.fixture
def recordings() -> Path:
    """The folder with recordings, in the layout of SHD, that the variable BRIAN_QIF_DATA names."""
    folder = os.environ.get("BRIAN_QIF_DATA")
    if not folder:
        pytest.skip("needs the recordings: set BRIAN_QIF_DATA to their folder")
    return Path(folder)


@pytest.fixture(params=["reference", "cpp"])
def backend(request):
    """Each backend of the event-driven solver."""
    return request.param
