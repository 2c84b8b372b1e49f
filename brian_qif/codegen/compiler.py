"""Compile generated C++ into a shared library, cached by everything that its machine code depends on."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

from brian2 import prefs

# Not Brian2's flags: they contain -ffast-math, and a library that is linked with it makes the whole process flush
# denormal numbers to zero, while its -ffinite-math-only deletes tests for NaN.
FLAGS = (
    "-O3",
    "-march=native",
    "-std=c++17",
    "-fPIC",
    "-shared",
    "-fopenmp-simd",
    "-fno-math-errno",
    "-fno-trapping-math",
    # Compilers choose half of AVX-512 by themselves; measured, the whole is a fifth faster here.
    *(("-mprefer-vector-width=512",) if platform.machine() in ("x86_64", "AMD64") else ()),
)
_CANDIDATES = ("g++", "c++", "clang++")


class CompilerError(RuntimeError):
    """There is no usable C++ compiler, or it failed; the message holds what it said."""


def find_compiler() -> str:
    """Path of the C++ compiler: that of Brian2's preferences, else $CXX, else the first one found.

    Raises
    ------
    CompilerError
        If there is none.
    """
    preferred = prefs["codegen.cpp.compiler"]
    if preferred == "msvc" or (sys.platform == "win32" and preferred != "unix"):
        raise CompilerError(
            "Generated C++ needs g++ or clang++; Microsoft's compiler is not supported yet. "
            "EventSolver(backend='reference') works without a compiler."
        )
    names = [name for name in (preferred, os.environ.get("CXX", "")) if name not in ("", "unix", "gcc")]
    for name in [*names, *_CANDIDATES]:
        path = shutil.which(name)
        if path is not None:
            return path
    looked = ", ".join([*names, *_CANDIDATES])
    raise CompilerError(
        f"No C++ compiler was found (looked for {looked}). Install one, for instance Debian's package g++, or name it "
        "in the environment variable CXX; EventSolver(backend='reference') works without a compiler."
    )


def cache_directory() -> Path:
    """Folder for compiled code: the preference ``brian_qif.cache_directory``, else in the user's cache folder."""
    chosen = prefs["brian_qif.cache_directory"]
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or (Path.home() / ".cache")
    return Path(base) / "brian_qif"


def load_library(source: str) -> ctypes.CDLL:
    """The shared library of a source, compiled now if the cache does not hold it.

    Raises
    ------
    CompilerError
        If there is no compiler, if it fails, or if the cache folder cannot be written.
    """
    compiler = find_compiler()
    flags = [*FLAGS, *prefs["brian_qif.extra_compile_args"]]
    key = hashlib.sha256("\0".join([source, compiler, *flags, _signature(compiler)]).encode()).hexdigest()[:32]
    library = cache_directory() / f"event_{key}.so"
    if not library.exists():
        _compile(compiler, flags, source, library)
    return _open(str(library))


@lru_cache
def _open(path: str) -> ctypes.CDLL:
    return ctypes.CDLL(path)


@lru_cache
def _signature(compiler: str) -> str:
    """Version of the compiler and the processor features that -march=native stands for."""
    command = [compiler, "-march=native", "-dM", "-E", "-x", "c++", os.devnull]
    return _run([compiler, "--version"]) + _run(command)


def _run(command: list[str]) -> str:
    finished = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if finished.returncode != 0:
        raise CompilerError(f"{' '.join(command)} failed:\n{finished.stderr.strip()}")
    return finished.stdout


def _compile(compiler: str, flags: list[str], source: str, library: Path) -> None:
    """Compile into a temporary folder of the cache and move the result into place in one step."""
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            path, built = Path(folder) / "event.cpp", Path(folder) / "event.so"
            path.write_text(source, encoding="utf-8")
            _run([compiler, *flags, str(path), "-o", str(built)])
            os.replace(built, library)
    except OSError as error:
        raise CompilerError(
            f"Compiled code cannot be kept in {library.parent}: {error}. Choose another folder by "
            "prefs['brian_qif.cache_directory'] = '...'."
        ) from error
