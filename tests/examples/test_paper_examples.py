"""The examples by paper run, with tiny settings, and draw their pictures."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent.parent / "docs" / "examples"
TINY = {
    "Klos_2023": ["--steps", "3", "--steps-one", "3"],
    "Monteforte_2010": ["--repeats", "1", "--duration", "0.4"],
    "Wenig_2026": ["--hidden", "4", "--epochs", "1", "--points", "3", "--reach", "0.001"],
}


@pytest.mark.parametrize("name", TINY)
def test_an_example_draws_its_picture(name, quick_folder):
    script = EXAMPLES / f"{name}.py"
    if not script.exists():
        pytest.skip("the documentation is not here")
    command = [sys.executable, str(script), "--out", "drawn", *TINY[name]]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=quick_folder)
    assert finished.returncode == 0, finished.stderr
    assert (quick_folder / "drawn" / f"{name}.png").stat().st_size > 20_000
    assert f"drawn into 'drawn/{name}.png'" in finished.stdout


@pytest.mark.parametrize("name", TINY)
def test_pictures_that_come_along_are_small(name):
    picture = EXAMPLES / "pictures" / f"{name}.png"
    if not EXAMPLES.exists():
        pytest.skip("the documentation is not here")
    assert picture.stat().st_size < 150_000
