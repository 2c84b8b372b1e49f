"""Perturbations of different size in a recurrent network of LIF and of QIF neurons: which heal, and which grow.

    python docs/scripts/flux_tubes.py FOLDER

writes a study of each model into the folder and prints, by size, the shares of trials that diverged and re-converged
and the growth rate of small distances; and the flux-tube radius where there is one.
"""

import sys
from pathlib import Path

import pandas as pd
from brian2 import second

from brian_qif.protocols.balanced_network import build_balanced_network
from brian_qif.protocols.spike_perturbation import perturb_network

SIZES = tuple(float(f"{digit}e{power}") for power in range(-9, -2) for digit in (1, 3)) + (1e-2,)


def main(folder):
    for neuron in ("lif", "qif"):
        network = build_balanced_network(neuron, size=200, degree=20, inhibition=4.0, duration=1 * second)
        out = Path(folder) / neuron
        found = perturb_network(
            network, 1 * second, "neurons", out, repeats=40, sizes=SIZES, distances=(), about={"neuron": neuron}
        )["found"]
        table = pd.DataFrame([row for row in found["by_layer"] if row["layer"] == "neurons"])
        columns = ["size", "diverged", "reconverged", "growth_rate_median", "distance_end_median"]
        print(f"{neuron.upper()}: control {found['largest_difference_without_perturbation']:g}")
        print(table[columns].to_string(index=False, float_format="{:.3g}".format))
        print("Flux-tube radius:", found["flux_tube_radius"]["neurons"])


if __name__ == "__main__":
    main(sys.argv[1])
