"""The check of an installation: it prints what it checked, and fails where a number is wrong."""

import pytest

from brian_qif import ExampleRunError, example, example_run


def test_both_backends_give_the_closed_form(capsys):
    found = example_run()
    lines = capsys.readouterr().out.splitlines()
    assert len(found) == len(lines) == 12
    assert {one.backend for one in found} == {"reference", "cpp"}
    assert max(one.relative for one in found) < 1e-14
    assert example_run(report=None) == found
    assert capsys.readouterr().out == ""


def test_a_wrong_number_is_an_error(monkeypatch):
    monkeypatch.setitem(example._CLOSED_FORMS, "QIF", lambda: (0.0182098227, -1.5612653663e-3, 1.0))
    with pytest.raises(ExampleRunError, match=r"missed by more than 1e-12:\nreference  QIF neuron: spike time, s"):
        example_run(report=None)


def test_without_a_compiler_the_reference_is_checked(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    assert {one.backend for one in example_run(report=None)} == {"reference"}


def test_another_report_is_refused():
    with pytest.raises(ValueError, match="report is 'text' or None; 'html' was given"):
        example_run(report="html")
