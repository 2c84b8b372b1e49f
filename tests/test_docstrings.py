"""Docstrings of everything public: numpydoc finds no fault, and examples print what they show."""

import pytest

from tests.docstrings import example_folder, examples_of, missing_library, public_names, run_examples

# What numpydoc.validate finds is an error, but for these:
LEFT_OUT = {
    "ES01": "an extended summary, where one line says it all",
    "SA01": "a See Also section; the reference lists what belongs together",
    "SA04": "what a name under See Also is",
    "PR01": "arguments of results, which nobody makes by hand, and `level` as in Brian2",
    "PR03": "the order of parameters; those that are alike are described together",
    "PR04": "a type for parameters that are those of another function, which is named",
    "PR07": "a description where the type says it",
    "RT03": "a description of what is returned where the type says it",
}


@pytest.fixture(scope="module")
def executed():
    """The numbers of statements that examples have executed, by object; printed at the end."""
    counts = {}
    with example_folder():
        yield counts
    print(f"\n{len(counts)} public objects, {sum(counts.values())} statements of examples executed")


@pytest.mark.parametrize("name", public_names())
def test_numpydoc_finds_no_fault(name):
    validate = pytest.importorskip("numpydoc.validate", reason="numpydoc is not installed")
    if library := missing_library(name):
        pytest.skip(f"{library} is not installed")
    found = [fault for fault in validate.validate(name)["errors"] if fault[0] not in LEFT_OUT]
    assert found == []


@pytest.mark.parametrize("name", public_names())
def test_the_examples_print_what_they_show(name, executed):
    if library := missing_library(name):
        pytest.skip(f"{library} is not installed")
    assert examples_of(name), f"{name} has no example"
    told = []
    executed[name], failed = run_examples(name, told.append)
    assert not failed, "".join(told)
