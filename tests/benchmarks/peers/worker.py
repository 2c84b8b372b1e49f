"""A process in which one peer computes: it prepares and warms up, and then computes whenever it is asked to.

It answers in lines of JSON. What libraries print goes to standard error.
"""

import importlib
import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from .task import Task


def main():
    module, index, task_file, slopes_file, checkout = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    if checkout:
        sys.path.insert(0, checkout)
    peer = importlib.import_module(f"{__package__}.{module}")
    setup, task = peer.SETUPS[int(index)], Task.load(Path(task_file))
    gradient = peer.prepare(setup, task)
    counts = (1, task.sizes.batch)
    # Compiling, filling caches: twice, and what it gave is kept.
    outcomes = [[gradient(count) for count in counts] for _ in range(2)][-1]
    np.savez(slopes_file, first=outcomes[-1].first, last=outcomes[-1].last)
    said = {
        "hidden_spikes": float(outcomes[-1].hidden_spikes),
        "versions": {name: version(name) for name in peer.PACKAGES},
    }
    print(json.dumps(said), file=answers)
    for line in sys.stdin:
        count = counts[int(line)]
        gradient(1)  # what others computed meanwhile has taken the caches of the processor
        started = time.process_time()
        gradient(count)
        seconds = (time.process_time() - started) / count
        print(json.dumps({"seconds": seconds, "memory": _peak_memory()}), file=answers)


def _peak_memory():
    """The largest memory of this process in GiB, None where Linux does not tell. (getrusage counts the parent's.)"""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 2**20


if __name__ == "__main__":
    main()
