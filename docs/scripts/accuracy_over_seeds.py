"""Test accuracy of `brian-qif train` over seeds, for both models and several data sets; prints the table's rows.

    python docs/scripts/accuracy_over_seeds.py FOLDER NAME_train.h5 [NAME_train.h5 ...] [options]

Each training file has its test file, ``NAME_test.h5``, beside it. Runs are kept in the folder: the same command goes on
where it was stopped, and several of them share the work. ``--config FILE`` trains with a configuration, ``--count``
prints what is there and trains nothing.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from brian_qif.protocols.preparation import DIVERGED
from brian_qif.protocols.shd_training import train_on_recordings

COLUMNS = {
    "training": "train_accuracy",
    "known": "test_accuracy_known_speakers",
    "unknown": "test_accuracy_unknown_speakers",
    "all": "test_accuracy",
    "silent": "silent_share_hidden",
    "rate (Hz)": "rate_hidden_hertz",
}


def finished(out, train, **settings):
    """The summary of a run, which is made unless it is there; why it ended early, if it diverged; or None."""
    summary, diverged = out / "summary.json", out / "diverged.txt"
    if not (summary.exists() or diverged.exists()):
        out.mkdir(parents=True, exist_ok=True)
        try:
            (out / "begun").touch(exist_ok=False)
        except FileExistsError:
            return None
        test = train.with_name(train.name.replace("_train", "_test"))
        try:
            train_on_recordings(train, test, out, resume=(out / "checkpoint.npz").exists(), **settings)
        except DIVERGED as error:
            diverged.write_text(str(error))
        finally:
            (out / "begun").unlink()
    return json.loads(summary.read_text()) if summary.exists() else {"diverged": diverged.read_text()}


def row(data, neuron, runs):
    """Mean and standard deviation over the seeds that came to an end."""
    whole = [run for run in runs if "diverged" not in run]
    found = {"data": data, "neuron": neuron.upper(), "runs": len(runs), "diverged": len(runs) - len(whole)}
    for title, name in COLUMNS.items():
        values = [run[name] for run in whole]
        found[title] = f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else f"{values}"
    found["s per epoch"] = f"{np.median([run['seconds'] / run['epochs'] for run in whole]):.1f}" if whole else ""
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("train", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--neurons", nargs="+", default=["lif", "qif"])
    parser.add_argument("--hidden", type=int, nargs="+", default=[128])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--recurrent", action="store_true")
    parser.add_argument("--config")
    parser.add_argument("--output")
    parser.add_argument("--dtype", default="float64")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--count", action="store_true")
    given = vars(parser.parse_args())
    folder, files, seeds, neurons = (given.pop(name) for name in ("folder", "train", "seeds", "neurons"))
    count = given.pop("count")
    runs = {}
    for seed in range(seeds):
        for train in files:
            for neuron in neurons:
                out = folder / train.stem / neuron / str(seed)
                if count and not any((out / name).exists() for name in ("summary.json", "diverged.txt")):
                    continue
                run = finished(out, train, neuron=neuron, seed=seed, **given)
                if run is not None:
                    runs.setdefault((train.stem, neuron), []).append(run)
                    print(out, {title: run.get(name) for title, name in COLUMNS.items()}, file=sys.stderr, flush=True)
    print(pd.DataFrame([row(*key, found) for key, found in sorted(runs.items())]).to_string(index=False))


if __name__ == "__main__":
    main()
