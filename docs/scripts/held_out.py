"""How well networks do on a fifth of the training file that is held out, for several values of one field of the recipe.

    python docs/scripts/held_out.py FILE FIELD VALUE... [--neurons lif qif] [--output NAME] [--seeds 2] [--epochs 10]

Samples drawn at random, which the same speakers spoke, and whole speakers are held out in turn. Prints a table; no test
file takes part.
"""

import argparse
from dataclasses import replace

import numpy as np
import pandas as pd

from brian_qif import EventSolver
from brian_qif.protocols.preparation import encoding_of, initialise, prepare_trainer, trial_duration
from brian_qif.protocols.recipes import recipe_of
from brian_qif.training.datasets import SpikeDataset, said_units


def held_out(file, neuron, recipe, inputs, split, seed, epochs):
    """Accuracy on what is held out, after training on the rest."""
    encoding = encoding_of(recipe, inputs)
    with SpikeDataset(file, n_units=inputs, encoding=encoding) as samples:
        training, rest = samples.split(0.2, by=split, seed=seed)
        sizes, solver = (encoding.n_inputs, 128, samples.n_classes), EventSolver(dtype="float32")
        trainer = prepare_trainer(
            neuron, sizes, trial_duration(training), recipe, seed, threads=1, solver=solver, encoding=encoding
        )
        initialise(trainer, training, sizes, recipe, seed)
        trainer.train(training.as_recorded(), epochs)
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
    given = parser.parse_args()
    inputs, rows = said_units(given.file) or 700, []
    for neuron in given.neurons:
        own = recipe_of(neuron, inputs=inputs, output=given.output)
        for value in given.values:
            recipe = replace(own, **{given.field: type(getattr(own, given.field))(value)})
            row = {"neuron": neuron.upper(), given.field: value}
            for split in ("sample", "speaker"):
                found = [
                    held_out(given.file, neuron, recipe, inputs, split, seed, given.epochs)
                    for seed in range(given.seeds)
                ]
                row[f"{split}s"] = ", ".join(f"{one:.3f}" for one in found)
                row[f"{split}s, mean"] = round(float(np.mean(found)), 3)
            rows.append(row)
            print(row, flush=True)
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
