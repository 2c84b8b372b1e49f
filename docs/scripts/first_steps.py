"""How long a newcomer waits: from nothing to the first gradient, the first trained network and the first landscape.

    python docs/scripts/first_steps.py SOURCE_DIR

Makes a virtual environment in a temporary folder, with a folder of its own for compiled code, and prints the seconds of
each step as a row of a table. The example is the first block of Python in README.md.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main(source):
    """Print the table."""
    source = Path(source).resolve()
    example = re.search(r"```python\n(.*?)```", (source / "README.md").read_text("utf-8"), re.DOTALL).group(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "example.py").write_text(example, encoding="utf-8")
        programs = folder / "venv" / "bin"
        command, train = str(programs / "brian-qif"), ["train", "--neuron"]
        steps = {
            "python -m venv, pip install .": [
                [sys.executable, "-m", "venv", str(folder / "venv")],
                [str(programs / "pip"), "install", "--quiet", str(source)],
            ],
            "the example of the README: a gradient and its check": [[str(programs / "python"), "example.py"]],
            "the same again": [[str(programs / "python"), "example.py"]],
            "brian-qif train --neuron qif": [[command, *train, "qif"]],
            "brian-qif train --neuron lif": [[command, *train, "lif"]],
            "brian-qif landscape results/lif results/qif": [[command, "landscape", "results/lif", "results/qif"]],
        }
        total, environment = 0.0, {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
        print("| step | seconds | since the beginning |\n|---|---|---|")
        for step, commands in steps.items():
            begin = time.perf_counter()
            for one in commands:
                subprocess.run(one, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
            seconds = time.perf_counter() - begin
            total += seconds
            print(f"| {step} | {seconds:.0f} | {total:.0f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
