"""The page of the documentation: what was computed, the table, and who was not there."""

import importlib
import os
import platform
from datetime import date
from pathlib import Path

import numpy as np

from brian_qif import __version__

from .measuring import Measured
from .task import HIDDEN_SPIKES, OUTPUT_SPIKES, Sizes

_HEAD = """\
# Other packages

What a gradient costs here and in other packages: the same network, weights and input spikes, all in one run of

```
python -m tests.benchmarks.peers --repetitions {repetitions} --batch {batch} --spikegd DIR --out docs/benchmarks.md
```

which wrote this page. `make benchmarks` does so in an environment of its own, with all that pip can install. The
figures are of {day}, one thread of {machine}, Python {python}; the load average was {load:.0f}, and where
many jobs share a machine all times are longer.

## The task

{sizes} neurons with all-to-all synapses, {spikes} input spikes at random times within 1 s, membrane and synaptic time
constants of 20 and 10 ms, about {hidden} spikes per hidden neuron. The loss is a cross-entropy: of a leaky readout's
averaged voltages, or, for packages that differentiate spike times, of the first spikes of output neurons, which fire
{outputs} times each. What is timed is the loss and its gradient with respect to all weights, of one sample and of a
batch of {batch}. Input is made ready before (binned, for networks on a time grid), and everything ran twice before it
was timed, so nothing is compiled in between. Every package computes in a process of its own; {repetitions} times, all
are asked in turn, and compute one sample before the one that is timed, since the others have taken the caches of the
processor. Times are processor seconds, medians, per sample.

## Results

A ratio is the time divided by that of brian_qif in double precision with the same neuron and readout: 10 means ten
times as long.

"""
_AFTER = """\
*Memory* is the largest of the whole process, libraries included. *Spikes* are those per hidden neuron and sample; on a
grid they are not the same as without one. *Alike* is the cosine of the angle between the gradient of the batch and
that of brian_qif in double precision, of the weights onto hidden and onto output neurons: 1 where both are the gradient
of the same loss, with the same spikes. A surrogate gradient is not meant to be that, so there it is no measure of
quality. EventProp on a time grid is exact in the limit of short steps only, and with single precision a spike may
be lost.

Packages on torch spend most of a single sample on calls for each of the 1000 steps, which a batch shares. Many packages
are made for GPUs, which were not measured.

## Who computed what

"""
_COLUMNS = (
    "package | gradient | time | precision | one sample, ms | ratio | batch, ms | ratio | memory, GiB | spikes | "
    "alike, hidden | alike, output"
)
_READOUTS = {"average": "averaged voltages", "first spike": "first spikes"}


def page(measured: list[Measured], missing: list[str], names: list[str], sizes: Sizes, repetitions: int) -> str:
    head = _HEAD.format(
        day=date.today().isoformat(),
        machine=_machine(),
        load=os.getloadavg()[2],
        python=platform.python_version(),
        sizes=sizes,
        spikes=sizes.spikes,
        batch=sizes.batch,
        hidden=f"{HIDDEN_SPIKES:g}",
        outputs=f"{OUTPUT_SPIKES:g}",
        repetitions=repetitions,
    )
    text = head
    for neuron, readout in dict.fromkeys((one.setup.neuron, one.setup.readout) for one in measured):
        same = [one for one in measured if (one.setup.neuron, one.setup.readout) == (neuron, readout)]
        table = _table([_COLUMNS] + [_row(one, same[0]) for one in same])
        text += f"### {neuron.upper()}, {_READOUTS[readout]}\n\n{table}\n"
    text += _AFTER + "\n".join(_who(measured, names)) + "\n"
    if missing:
        text += f"\nNot measured: {'; '.join(missing)}.\n"
    return text


def _row(one: Measured, ours: Measured) -> str:
    alike = [f"{_cosine(*pair):.4f}" for pair in zip(one.slopes, ours.slopes, strict=True)]
    times = []
    for name in ("single", "batch"):
        own, reference = np.median(getattr(one, name)), np.median(getattr(ours, name))
        times += [_digits(own * 1e3, 3), _digits(own / reference, 2)]
    setup, memory = one.setup, "" if one.memory is None else f"{one.memory:.2f}"
    said = (setup.peer, setup.gradient, setup.time, setup.precision, *times, memory)
    return " | ".join((*said, f"{one.hidden_spikes:.2f}", *alike))


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return one @ other / np.sqrt((one @ one) * (other @ other))


def _digits(value: float, count: int) -> str:
    """So many leading digits, without a power of ten."""
    return f"{float(f'{value:.{count - 1}e}'):g}"


def _table(rows: list[str]) -> str:
    lines = [f"| {row} |" for row in rows]
    lines.insert(1, "|---" * (rows[0].count("|") + 1) + "|")
    return "\n".join(lines) + "\n"


def _who(measured: list[Measured], names: list[str]):
    for name in names:
        peer = importlib.import_module(f"{__package__}.{name}")
        own = [one.versions for one in measured if one.setup in peer.SETUPS]
        if not own:
            continue
        versions = own[0]
        if "brian_qif" in versions:
            versions["brian_qif"] = __version__
        said = ", ".join(f"{package} {version}" for package, version in versions.items())
        yield f"* **{peer.SETUPS[0].peer}** ({said}): {peer.ABOUT}"


def _machine() -> str:
    processor, info = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        processor = lines[0].partition(":")[2].strip() if lines else processor
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}"
