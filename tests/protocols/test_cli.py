import subprocess
import sys

import pytest

from brian_qif import __version__
from brian_qif.cli import main
from brian_qif.protocols.recipes import RECIPES


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"brian-qif {__version__}\n"


def test_without_a_command_the_help_is_shown(capsys):
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("train", "bench", "compare"))


def test_help_tells_the_defaults(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for recipe in RECIPES.values():
        assert f"{recipe.learning_rate:g}" in shown
    for option in ("--neuron", "--hidden", "--epochs", "--batch-size", "--seed", "--threads", "--out", "--resume"):
        assert option in shown


def test_an_unknown_command_is_one_clear_line(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["teach"])
    assert ended.value.code == 2
    assert "invalid choice: 'teach'" in capsys.readouterr().err


def test_the_module_runs_as_a_program():
    done = subprocess.run([sys.executable, "-m", "brian_qif.cli", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"brian-qif {__version__}\n")
