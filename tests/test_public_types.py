"""Public functions and methods say the type of every argument and of what they return."""

import importlib
import inspect
import re

import pytest

import brian_qif
import brian_qif.models
from tests.docstrings import REFERENCE, missing_library

MODULES = ("bridges.outputs", "bridges.recorded", "bridges.tables", "plotting.trajectories")


def public_objects():
    """What the library exports, and what the reference lists beside; its studies are commands in the first place."""
    names = [f"brian_qif.{name}" for name in brian_qif.__all__ if name not in ("__version__", "load_network")]
    names += [f"brian_qif.models.{name}" for name in brian_qif.models.__all__]
    text = REFERENCE.read_text(encoding="utf-8")
    names += re.findall(r"auto(?:class|function|exception):: (brian_qif\.(?!protocols)[\w.]+)", text)
    for module in MODULES:
        found = vars(importlib.import_module(f"brian_qif.{module}"))
        own = [key for key, value in found.items() if getattr(value, "__module__", "") == f"brian_qif.{module}"]
        names += [f"brian_qif.{module}.{key}" for key in own if not key.startswith("_")]
    return sorted(set(names))


def functions_of(thing):
    """A function, or the public methods of a class that are written in this package."""
    if not inspect.isclass(thing):
        return [thing]
    found = [value for name, value in inspect.getmembers(thing) if name in ("__init__", "__call__") or name[0] != "_"]
    functions = [value for value in found if inspect.isfunction(value) or inspect.ismethod(value)]
    return [value for value in functions if value.__module__.startswith("brian_qif")]


@pytest.mark.parametrize("name", public_objects())
def test_a_public_object_has_types(name):
    module, _, key = name.rpartition(".")
    if library := missing_library(name):
        pytest.skip(f"{library} is not installed")
    missing = []
    for function in functions_of(getattr(importlib.import_module(module), key)):
        signature = inspect.signature(function)
        for argument in signature.parameters.values():
            if argument.name not in ("self", "cls") and argument.annotation is inspect.Parameter.empty:
                missing.append(f"{function.__qualname__}: {argument.name}")
        if function.__name__ != "__init__" and signature.return_annotation is inspect.Signature.empty:
            missing.append(f"{function.__qualname__}: return")
    assert missing == []
