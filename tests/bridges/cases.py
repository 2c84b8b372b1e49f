"""Networks and outputs that the tests of both bridges share."""

from dataclasses import dataclass

import numpy as np
from brian2 import ms

from brian_qif.bridges.outputs import ReadoutVoltage, SpikeTimes, StateValues
from tests.networks import DURATION, example

CASES = ("first spikes", "two spikes of some", "pseudospikes", "readout", "largest readout", "states", "delays")


@dataclass
class Case:
    """A network, an output, and some of its parameters with their values."""

    network: object
    output: object
    parameters: list
    values: list


def make_case(name: str) -> Case:
    """One of `CASES`."""
    kind = "lif" if name in ("two spikes of some", "delays") else "qif"
    built = example(kind, recurrent=name == "delays", delays=name == "delays", readout="readout" in name)
    neurons, readout = built.neurons, built.readout
    output = {
        "first spikes": lambda: SpikeTimes(neurons),
        "delays": lambda: SpikeTimes(neurons),
        "two spikes of some": lambda: SpikeTimes(neurons, count=2, neurons=[3, 1]),
        "pseudospikes": lambda: SpikeTimes(neurons, count=12, pseudospikes=True),
        "readout": lambda: ReadoutVoltage(readout, weight_time=30 * ms, gain=3.0),
        "largest readout": lambda: ReadoutVoltage(readout, output="maximum"),
        "states": lambda: StateValues(neurons, "I", [20, 47] * ms),
    }[name]()
    names = ["w", "spike_time"] + (["delay", "loop_w"] if name == "delays" else ["v"])
    parameters = [built.parameters[key] for key in names]
    return Case(built.network, output, parameters, [np.array(view[:], dtype=float) for view in parameters])


__all__ = ["CASES", "DURATION", "Case", "make_case"]
