"""How well networks do on a fifth of the training file that is held out, for several values of one field of the recipe.

    python docs/scripts/held_out.py FILE FIELD VALUE... [--neurons lif qif] [--output NAME] [--seeds 2] [--epochs 10]
        [--hidden 128] [--recurrent] [--splits sample speaker]

Samples drawn at random, which the same speakers spoke, and whole speakers are held out in turn. Prints a table; no test
file takes part.
"""

import argparse
import math
from dataclasses import replace

import numpy as np
import pandas as pd

from brian_qif import EventSolver
from brian_qif.protocols.preparation import DIVERGED, encoding_of, initialise, prepare_trainer, trial_duration
from brian_qif.protocols.recipes import recipe_of
from brian_qif.training.datasets import SpikeDataset, said_units


def held_out(neuron, recipe, inputs, split, seed, given):
    """Accuracy on what is held out, after training on the rest; NaN where the training diverged."""
    encoding = encoding_of(recipe, inputs)
    with SpikeDataset(given.file, n_units=inputs, encoding=encoding) as samples:
        training, rest = samples.split(0.2, by=split, seed=seed)
        sizes, solver = (encoding.n_inputs, tuple(given.hidden), samples.n_classes), EventSolver(dtype="float32")
        trainer = prepare_trainer(
            neuron, sizes, trial_duration(training), recipe, seed, 1, given.recurrent, solver, encoding
        )
        initialise(trainer, training, sizes, recipe, seed)
        try:
            trainer.train(training.as_recorded(), given.epochs)
        except DIVERGED:
            return math.nan
        return trainer.evaluate(rest).accuracy


def main():
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("field")
    parser.add_argument("values", type=float, nargs="+")
    parser.add_argument("--neurons", nargs="+", default=["lif", "qif"])
    parser.add_argument("--output", default="average")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--hidden", type=int, nargs="+", default=[128])
    parser.add_argument("--recurrent", action="store_true")
    parser.add_argument("--splits", nargs="+", default=["sample", "speaker"])
    given = parser.parse_args()
    inputs, rows = said_units(given.file) or 700, []
    for neuron in given.neurons:
        own = recipe_of(neuron, inputs=inputs, output=given.output, layers=len(given.hidden))
        for value in given.values:
            recipe = replace(own, **{given.field: type(getattr(own, given.field))(value)})
            row = {"neuron": neuron.upper(), given.field: value}
            for split in given.splits:
                found = [held_out(neuron, recipe, inputs, split, seed, given) for seed in range(given.seeds)]
                row[f"{split}s"] = ", ".join(f"{one:.3f}" for one in found)
                row[f"{split}s, mean"] = round(float(np.mean(found)), 3)
            rows.append(row)
            print(row, flush=True)
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
