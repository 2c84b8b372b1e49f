"""Executes the examples in the docstrings of everything public, and prints how many there are.

Run it as ``python -m tests.docstrings``. Examples run in a folder of their own, in which they find a few of the
SYNTHETIC digits of the package, ``digits_train.h5`` and ``digits_test.h5``, and a network that was trained on them in
``results/qif``. What needs a library that is not installed is left out, by name.
"""

import contextlib
import doctest
import importlib
import importlib.util
import os
import re
import sys
import tempfile
from pathlib import Path

import matplotlib

import brian_qif
import brian_qif.models

REFERENCE = Path(__file__).parent.parent / "docs" / "reference.md"
LIBRARIES = {
    "brian_qif.bridges.jax": "jax",
    "brian_qif.bridges.torch": "torch",
    "brian_qif.bridges.nir_export": "nir",
    "brian_qif.bridges.nir_import": "nir",
    "brian_qif.bridges.neo": "neo",
    "brian_qif.protocols.search": "optuna",
    "brian_qif.protocols.reproduction": "optuna",
}
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def public_names():
    """All that the package and its models export, and what the reference lists beside."""
    names = [f"brian_qif.{name}" for name in brian_qif.__all__ if name != "__version__"]
    names += [f"brian_qif.models.{name}" for name in brian_qif.models.__all__]
    text = REFERENCE.read_text(encoding="utf-8")
    names += re.findall(r"auto(?:class|function|exception):: (brian_qif\.[\w.]+)", text)
    return sorted(set(names))


def missing_library(name):
    """The library that an object needs and that is not here, or None."""
    library = LIBRARIES.get(name.rpartition(".")[0])
    return None if library is None or importlib.util.find_spec(library) else library


def public_object(name):
    """What a name of `public_names` stands for."""
    module, _, key = name.rpartition(".")
    return getattr(importlib.import_module(module), key)


@contextlib.contextmanager
def example_folder():
    """Work in a temporary folder that holds what the examples find there."""
    from brian_qif.data.embedded import embedded_files
    from brian_qif.data.spike_file import write_spike_file
    from brian_qif.protocols.shd_training import train_on_recordings
    from brian_qif.training.datasets import SpikeDataset

    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for file, part, every in zip(embedded_files(), ("train", "test"), (16, 40), strict=True):
                with SpikeDataset(file) as dataset:
                    some = [dataset[k] for k in range(0, len(dataset), every)]
                    samples = [(one.times, one.units, one.label, one.speaker) for one in some]
                    write_spike_file(f"digits_{part}.h5", samples, dataset.class_names, dataset.n_units, "SYNTHETIC")
            train_on_recordings(
                "digits_train.h5", "digits_test.h5", "results/qif", neuron="qif", hidden=4, epochs=1, threads=1
            )
            yield Path(folder)
        finally:
            os.chdir(before)


def examples_of(name):
    """The doctests of an object and of its methods."""
    found = doctest.DocTestFinder(exclude_empty=True).find(public_object(name), name, globs={})
    return [test for test in found if test.examples]


def run_examples(name, write=sys.stdout.write):
    """Execute the examples of an object, and give the numbers of executed and of failed statements."""
    matplotlib.use("Agg")
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    for test in examples_of(name):
        runner.run(test, out=write)
    matplotlib.pyplot.close("all")
    return runner.tries, runner.failures


def main():
    """Execute everything; the exit code says whether all printed what they show."""
    from brian2 import prefs

    prefs.codegen.target = "numpy"
    executed = failed = objects = 0
    with example_folder():
        for name in public_names():
            if library := missing_library(name):
                print(f"{name}: left out, {library} is not installed")
                continue
            statements, wrong = run_examples(name)
            objects, executed, failed = objects + 1, executed + statements, failed + wrong
    print(f"{objects} public objects: {executed} statements of examples executed, {failed} failed.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
