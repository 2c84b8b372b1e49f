"""Workers side by side, asked in turn: every repetition asks all of them, so a slow minute is slow for all."""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .task import Setup, Sizes

PEERS = ("ours", "norse_peer", "snntorch_peer", "spikingjelly_peer", "mlgenn_peer", "jaxsnn_peer", "spikegd_peer")
_ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}


@dataclass
class Measured:
    """What was computed, and processor seconds per sample, one number per repetition, of single samples and of batches.

    ``memory`` is the largest of the process in GiB, ``slopes`` are those of the batch by the weights onto hidden and
    onto output neurons.
    """

    setup: Setup
    hidden_spikes: float
    versions: dict[str, str]
    slopes: tuple[np.ndarray, np.ndarray]
    single: list[float] = field(default_factory=list)
    batch: list[float] = field(default_factory=list)
    memory: float | None = None


class PeerEnded(Exception):
    """The process of a peer ended, with what it said."""


class Worker:
    """One peer in a process of its own."""

    def __init__(self, module: str, index: int, setup: Setup, task_file: Path, folder: Path, checkout: str):
        self.setup, self.slopes_file = setup, folder / f"{setup.key}.npz"
        self.log = (folder / f"{setup.key}.log").open("w+")
        command = [sys.executable, "-m", f"{__package__}.worker", module, str(index)]
        self.process = subprocess.Popen(
            [*command, str(task_file), str(self.slopes_file), checkout],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=os.environ | _ONE_THREAD,
        )

    def ready(self) -> Measured:
        answer = self._answer()
        with np.load(self.slopes_file) as stored:
            slopes = tuple(stored[name].ravel().astype(float) for name in ("first", "last"))
        return Measured(self.setup, slopes=slopes, **answer)

    def measure(self, which: int) -> dict:
        print(which, file=self.process.stdin, flush=True)
        return self._answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.log.close()

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.log.seek(0)
            raise PeerEnded(self.log.read())
        return json.loads(line)


def available(checkouts: dict[str, str], only: list[str] | None = None) -> tuple[list[str], list[str]]:
    """The modules of the peers that can run, and for each of the others a sentence that says what it lacks.

    With ``only`` no others are looked at than these and ours, to which all are compared.
    """
    there, missing = [], []
    for name in PEERS:
        peer = importlib.import_module(f"{__package__}.{name}")
        if only is not None and name != "ours" and name.removesuffix("_peer") not in only:
            continue
        lacking = [package for package in peer.PACKAGES if importlib.util.find_spec(package) is None]
        checkout = getattr(peer, "CHECKOUT", None)
        if lacking:
            missing.append(f"{peer.SETUPS[0].peer}: {', '.join(lacking)} not installed")
        elif checkout is not None and not checkouts.get(checkout):
            missing.append(f"{peer.SETUPS[0].peer}: no checkout given")
        else:
            there.append(name)
    return there, missing


def measure(
    names: list[str], sizes: Sizes, repetitions: int, checkouts: dict[str, str], folder: Path
) -> tuple[list[Measured], list[str]]:
    """Prepare all side by side, and then measure them in turn.

    Returns
    -------
    measured : list of Measured
    failed : list of str
        A sentence for each setup that ended before it was ready, as after a change of its interface.
    """
    workers, measured, failed = _started(names, sizes, checkouts, folder), [], []
    try:
        for worker in list(workers):
            setup = worker.setup
            try:
                measured.append(worker.ready())
                print(f"ready: {setup.peer}, {setup.neuron}, {setup.readout}, {setup.precision}", file=sys.stderr)
            except PeerEnded as ended:
                print(f"{setup.peer}, {setup.neuron}:\n{ended}", file=sys.stderr)
                *_, last = ["it said nothing", *str(ended).strip().splitlines()]
                failed.append(f"{setup.peer} ({setup.neuron.upper()}) ended: {last}")
                workers.remove(worker)
                worker.close()
        for _ in range(repetitions):
            for worker, result in zip(workers, measured, strict=True):
                result.single.append(worker.measure(0)["seconds"])
                said = worker.measure(1)
                result.batch.append(said["seconds"])
                result.memory = said["memory"]
    finally:
        for worker in workers:
            worker.close()
    return measured, failed


def _started(names: list[str], sizes: Sizes, checkouts: dict[str, str], folder: Path) -> list[Worker]:
    from .ours import make_task

    workers = []
    for name in names:
        peer = importlib.import_module(f"{__package__}.{name}")
        for index, setup in enumerate(peer.SETUPS):
            file = folder / f"{setup.neuron}-{setup.readout}.npz"
            if not file.exists():
                make_task(sizes, setup.neuron, setup.readout).save(file)
            checkout = checkouts.get(getattr(peer, "CHECKOUT", ""), "")
            workers.append(Worker(name, index, setup, file, folder, checkout))
    return workers
