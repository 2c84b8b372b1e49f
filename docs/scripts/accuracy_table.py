"""Errors of spike times and slopes against arithmetic of 50 digits; prints the tables of docs/accuracy.md.

Without an argument every neuron and wiring is measured, which takes some ten minutes; ``--quick`` takes the selection
of the page.
"""

import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.accuracy import DOUBLE, MODELS, WIRINGS, example_plan, measure, sensitive_plan  # noqa: E402

QUICK = {"models": ("lif", "qif", "qif, another ratio"), "size": 2, "inputs": 4}
# Relative distance from the weight at which the only spike appears, and a trial that is long enough for it.
DISTANCES, LONG = {"lif": 1e-8, "qif": 1e-8}, 0.6


def accuracies(models=tuple(MODELS), wirings=WIRINGS, **sizes):
    """Model, wiring and `Accuracy` of each backend, one case after the other."""
    for model in models:
        for wiring in wirings:
            for found in measure(example_plan(model, wiring, **sizes)):
                yield model, wiring, found
    for model, distance in DISTANCES.items():
        for found in measure(sensitive_plan(model, distance), LONG, DOUBLE):
            yield model, "sensitive", found


def tables(**selection):
    """For each backend, one row per case: what was measured, as a text."""
    rows = [
        {
            "backend": found.backend,
            "neuron": model,
            "wiring": wiring,
            "spikes": str(found.spikes),
            "kappa": found.kappa,
            "C": f"{found.times_in_units:.1f}",
            "times": found.times,
            "slope kappa": found.slope_kappa,
            "slope C": f"{found.slopes_in_units:.1f}",
            **found.slopes,
        }
        for model, wiring, found in accuracies(**selection)
    ]
    frame = pd.DataFrame(rows)
    for backend, part in frame.groupby("backend", sort=False):
        part = part.drop(columns="backend").dropna(axis="columns", how="all")
        text = part.to_string(index=False, float_format=lambda x: f"{x:.0e}", na_rep="")
        yield f"{backend}: largest relative errors\n{text}"


if __name__ == "__main__":
    print("\n\n".join(tables(**(QUICK if "--quick" in sys.argv[1:] else {}))))
