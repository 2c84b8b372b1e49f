"""Measure, and write the page: ``python -m tests.benchmarks.peers --out docs/benchmarks.md [--spikegd DIR]``.

A peer that is not installed is named and passed over. Of spikegd, which is on no package index, a checkout is given by
``--spikegd`` or the environment variable ``SPIKEGD_PATH``; GeNN 5 and mlGeNN, which are on none either, are installed
from theirs into the same environment.
"""

import argparse
import os
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

from .measuring import PEERS, available, measure
from .page import page
from .task import Sizes


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers")
    parser.add_argument("--out", type=Path, help="the page; by default it is printed")
    parser.add_argument("--spikegd", default=os.environ.get("SPIKEGD_PATH", ""), metavar="DIR", help="its checkout")
    peers = [name.removesuffix("_peer") for name in PEERS if name != "ours"]
    parser.add_argument("--only", nargs="*", metavar="PEER", help=f"some of {', '.join(peers)}, or none, beside ours")
    parser.add_argument("--repetitions", type=int, default=7)
    for size in fields(Sizes):
        parser.add_argument(f"--{size.name}", type=int, default=size.default, metavar="N")
    choice = parser.parse_args(arguments)
    if unknown := set(choice.only or ()) - set(peers):
        parser.error(f"There is no peer {', '.join(sorted(unknown))} here; there are {', '.join(peers)}.")
    sizes = Sizes(**{size.name: getattr(choice, size.name) for size in fields(Sizes)})
    checkouts = {"spikegd": choice.spikegd}
    names, missing = available(checkouts, choice.only)
    for sentence in missing:
        print(f"passed over: {sentence}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        measured, failed = measure(names, sizes, choice.repetitions, checkouts, Path(folder))
    text = page(measured, missing + failed, names, sizes, choice.repetitions)
    if choice.out is None:
        print(text, end="")
    else:
        choice.out.parent.mkdir(parents=True, exist_ok=True)
        choice.out.write_text(text)


if __name__ == "__main__":
    main()
