"""Whether GeNN can be used here: brian2genn, GeNN itself and a compiler."""

from __future__ import annotations

import importlib
import os
import sys
from importlib import metadata
from pathlib import Path

import brian2

from brian_qif.codegen.compiler import CompilerError, find_compiler

_NEWEST_BRIAN2 = (2, 5)
GET_BRIAN2GENN = "pip install '.[genn]' in the folder of brian_qif, in an environment of its own with Python 3.11"
GET_GENN = (
    "unpack https://github.com/genn-team/genn/archive/refs/tags/4.9.0.tar.gz (GeNN is on no package index) and set the "
    "environment variable GENN_PATH to that folder"
)
HOW_TO = f"To get it: {GET_BRIAN2GENN}; then {GET_GENN}."


def genn_path() -> Path | None:
    """The folder of GeNN that brian2genn would take: that of $GENN_PATH."""
    path = os.environ.get("GENN_PATH")
    return Path(path) if path else None


def genn_version() -> str | None:
    """The version of GeNN in its folder; None where there is none."""
    path = genn_path()
    file = None if path is None else path / "version.txt"
    return file.read_text(encoding="utf-8").strip() if file is not None and file.is_file() else None


def installed_version(package: str) -> str | None:
    """The version of an installed package, None where it is not there."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def what_is_missing() -> str | None:
    """What the device "genn" lacks here and how to get it, or None."""
    if sys.platform == "win32":
        return "The device 'genn' is not supported on Windows yet; ClockSolver(device='cpp_standalone') may do."
    if installed_version("brian2genn") is None:
        return f"The device 'genn' needs the package brian2genn. {HOW_TO}"
    if tuple(map(int, brian2.__version__.split(".")[:2])) > _NEWEST_BRIAN2:
        return f"brian2genn goes with Brian2 2.5.4, and this is version {brian2.__version__}. {HOW_TO}"
    try:
        importlib.import_module("brian2genn")
    except ImportError as error:
        return f"The package brian2genn cannot be imported ({error}). {HOW_TO}"
    if genn_path() is None:
        return f"The device 'genn' needs GeNN, and the environment variable GENN_PATH is not set. {HOW_TO}"
    version = genn_version()
    if version is None:
        return f"GENN_PATH is '{genn_path()}', but there is no GeNN (no file version.txt). {HOW_TO}"
    if version.split(".")[0] != "4":
        return f"brian2genn speaks to GeNN 4, and in '{genn_path()}' is version {version}. {HOW_TO}"
    try:
        find_compiler()
    except CompilerError as error:
        return str(error)
    return None
