"""Bridges and pictures that are given wrong values: words that say what was given and what would work."""

import copy
import re
from functools import lru_cache

import numpy as np
import pytest
from brian2 import mA, ms
from brian2.units import DimensionMismatchError

from brian_qif.bridges.network_function import NetworkFunction
from brian_qif.bridges.outputs import ReadoutVoltage, SpikeTimes, StateValues
from brian_qif.bridges.tables import spike_table, state_table
from brian_qif.example import example_network
from brian_qif.models import LeakyIntegratorGroup
from brian_qif.plotting.trajectories import plot_spikes, plot_state
from brian_qif.training.datasets import SpikeSample
from tests.test_robustness import ANY_ERROR, SOLVER, UNHELPFUL, WRONG

SAMPLE = {"times": np.array([1e-3]), "units": np.array([0]), "label": 0}


class Parts:
    """A network, its trial, and its function."""

    def __init__(self):
        self.network, self.stimulus, self.neurons, self.synapses = example_network()
        self.trajectory = SOLVER.simulate(self.network, 40 * ms)
        self.readout = LeakyIntegratorGroup(2, tau_m=20 * ms, tau_s=10 * ms)
        self.function = self.function_with()
        self.values = self.function.gradient.values()

    def function_with(self, **changed):
        given = {"network": self.network, "output": SpikeTimes(self.neurons), "parameters": [self.synapses.w]}
        given |= {"duration": 40 * ms, "solver": SOLVER, "stimulus": self.stimulus, "namespace": {}}
        return NetworkFunction(**{**given, **changed})

    def on_sample(self, **changed):
        return self.function.forward_samples(self.values, [SpikeSample(**{**SAMPLE, **changed})])


class Tensor:
    """What PyTorch's tensors have, with which Brian2's objects and quantities are told from others."""

    name = None

    def dim(self):
        return 0

    def __repr__(self):
        return "a tensor"


@pytest.fixture(scope="module")
def parts():
    return Parts()


@pytest.fixture(autouse=True)
def no_window():
    matplotlib = pytest.importorskip("matplotlib")
    before = matplotlib.get_backend()
    matplotlib.use("Agg")
    yield
    matplotlib.use(before)


@lru_cache
def nir_graph():
    nir = pytest.importorskip("brian_qif.bridges.nir")
    return nir, nir.export_nir(example_network("lif").network)


def imported(**changed):
    """A graph with other numbers in its nodes."""
    nir, graph = nir_graph()
    graph = copy.deepcopy(graph)
    for node in graph.nodes.values():
        for name, value in changed.items():
            if hasattr(node, name):
                setattr(node, name, value)
    return nir.import_nir(graph)


def signal(*arguments):
    return pytest.importorskip("brian_qif.bridges.neo").state_signal(*arguments)


def trains(*arguments):
    return pytest.importorskip("brian_qif.bridges.neo").spike_trains(*arguments)


# For each argument: how to give it, and the wrong values that are right here.
ARGUMENTS = {
    **{
        f"function {name}": (lambda p, x, n=name: p.function_with(**{n: x}), right)
        for name, right in {
            "network": (), "output": (), "parameters": (), "duration": (),
            "solver": (None,), "stimulus": (None,), "namespace": (None,),
        }.items()
    },
    "SpikeTimes group": (lambda p, x: SpikeTimes(x), ()),
    "SpikeTimes count": (lambda p, x: SpikeTimes(p.neurons, count=x), ()),
    "SpikeTimes neurons": (lambda p, x: SpikeTimes(p.neurons, neurons=x), (None,)),
    "SpikeTimes pseudospikes": (lambda p, x: SpikeTimes(p.neurons, pseudospikes=x), ()),
    "ReadoutVoltage group": (lambda p, x: ReadoutVoltage(x), ()),
    "ReadoutVoltage gain": (lambda p, x: ReadoutVoltage(p.readout, gain=x), ()),
    "ReadoutVoltage output": (lambda p, x: ReadoutVoltage(p.readout, output=x), ()),
    "StateValues name": (lambda p, x: StateValues(p.neurons, x, 1 * ms), ()),
    "StateValues times": (lambda p, x: p.function_with(output=StateValues(p.neurons, "v", x)), ()),
    "samples": (lambda p, x: p.function.forward_samples(p.values, x), ()),
    "sample": (lambda p, x: p.function.forward_samples(p.values, [x]), ()),
    "times of a sample": (lambda p, x: p.on_sample(times=x), ()),
    "units of a sample": (lambda p, x: p.on_sample(units=x), ()),
    "spike_table recorded": (lambda p, x: spike_table(x), ()),
    "spike_table groups": (lambda p, x: spike_table(p.trajectory, x), (None, [])),
    "spike_table group": (lambda p, x: spike_table(p.trajectory, [x]), ()),
    "state_table trajectory": (lambda p, x: state_table(x, p.neurons, "v", [1] * ms), ()),
    "state_table group": (lambda p, x: state_table(p.trajectory, x, "v", [1] * ms), ()),
    "state_table name": (lambda p, x: state_table(p.trajectory, p.neurons, x, [1] * ms), ()),
    "state_table times": (lambda p, x: state_table(p.trajectory, p.neurons, "v", x), ([] * ms,)),
    "spike_trains recorded": (lambda p, x: trains(x, p.neurons), ()),
    "spike_trains group": (lambda p, x: trains(p.trajectory, x), ()),
    "state_signal trajectory": (lambda p, x: signal(x, p.neurons, "v", [1] * ms), ()),
    "state_signal times": (lambda p, x: signal(p.trajectory, p.neurons, "v", x), ([] * ms,)),
    "export_nir network": (lambda p, x: nir_graph()[0].export_nir(x), ()),
    "export_nir spike_area": (lambda p, x: nir_graph()[0].export_nir(p.network, x), ()),
    "import_nir graph": (lambda p, x: nir_graph()[0].import_nir(x), ()),
    "import_nir spike_area": (lambda p, x: nir_graph()[0].import_nir(nir_graph()[1], x), ()),
    "import_nir zero_weights": (lambda p, x: nir_graph()[0].import_nir(nir_graph()[1], zero_weights=x), ()),
    **{
        f"import_nir {name}": (lambda p, x, n=name: imported(**{n: x}), ())
        for name in ("tau_mem", "tau_syn", "r", "v_leak", "v_threshold", "w_in")
    },
    "import_nir weight": (lambda p, x: imported(weight=x), ()),
    "plot_spikes recorded": (lambda p, x: plot_spikes(x, p.neurons), ()),
    "plot_spikes group": (lambda p, x: plot_spikes(p.trajectory, x), ()),
    "plot_spikes time_unit": (lambda p, x: plot_spikes(p.trajectory, p.neurons, time_unit=x), ()),
    "plot_spikes axes": (lambda p, x: plot_spikes(p.trajectory, p.neurons, axes=x), (None,)),
    "plot_state trajectory": (lambda p, x: plot_state(x, p.neurons, "v", [1] * ms), ()),
    "plot_state group": (lambda p, x: plot_state(p.trajectory, x, "v", [1] * ms), ()),
    "plot_state name": (lambda p, x: plot_state(p.trajectory, p.neurons, x, [1] * ms), ()),
    "plot_state times": (lambda p, x: plot_state(p.trajectory, p.neurons, "v", x), ([] * ms,)),
    "plot_state time_unit": (lambda p, x: plot_state(p.trajectory, p.neurons, "v", [1] * ms, time_unit=x), ()),
    "plot_state unit": (lambda p, x: plot_state(p.trajectory, p.neurons, "v", [1] * ms, unit=x), (None,)),
    "plot_state axes": (lambda p, x: plot_state(p.trajectory, p.neurons, "v", [1] * ms, axes=x), (None,)),
}  # fmt: skip


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_wrong_values_are_refused_in_words(parts, argument):
    give, right = ARGUMENTS[argument]
    for value in WRONG:
        if repr(value) in map(repr, right):
            continue
        with pytest.raises(ANY_ERROR) as refusal:
            give(parts, value)
        assert not UNHELPFUL.search(str(refusal.value)), f"{argument} = {value!r}: {refusal.value}"


@pytest.mark.parametrize(
    "argument, value, error, message",
    [
        ("function namespace", "x", TypeError, "The namespace is a dict of names in equations and their values, or"),
        ("SpikeTimes count", 2.5, ValueError, "count of SpikeTimes is a whole number, 1 to 2147483647; 2.5 was given."),
        ("SpikeTimes pseudospikes", "x", TypeError, "pseudospikes of SpikeTimes is True or False; 'x' was given."),
        ("samples", [[1], [1, 2]], TypeError, "A sample has its spikes in 'times' (seconds) and 'units', rows of one"),
        ("samples", np.nan, TypeError, "samples is a list of SpikeSample; nan was given."),
        *[
            (
                "times of a sample",
                np.array(wrong),
                TypeError,
                "A sample has its spikes in 'times' (seconds) and 'units'",
            )
            for wrong in (["x"], [True], [1e-3j], [None])
        ],
        ("times of a sample", [[1e-3], [2e-3, 3e-3]], TypeError, "rows of one length, as a SpikeSample;"),
        ("times of a sample", [1] * mA, TypeError, "rows of one length, as a SpikeSample;"),
        ("units of a sample", np.array(["x"]), TypeError, "rows of one length, as a SpikeSample;"),
        ("function parameters", "w", TypeError, "for instance parameters=[synapses.w]; 'w' was given."),
        ("function stimulus", Tensor(), ValueError, "'a tensor' is not part of the network, which holds"),
        ("function duration", Tensor(), TypeError, "is a time, for instance 40*ms; a tensor was given."),
        ("sample", "x", TypeError, "A sample has its spikes in 'times' (seconds) and 'units', rows of one length, as"),
        ("spike_table groups", "neurons", TypeError, "groups is a list of groups or their names; 'neurons' was given."),
        ("state_table trajectory", None, TypeError, "States are read from a Trajectory, as a solver gives it: Event"),
        ("state_signal times", [3, 1] * ms, ValueError, "The times of a neo signal ascend;"),
        ("export_nir spike_area", "x", TypeError, "spike_area is a time, for instance 1*second or the time step; 'x'"),
        ("import_nir tau_mem", -1.0, ValueError, "tau_mem of the node 'neurons' has to be positive and finite; -1.0"),
        ("import_nir w_in", np.nan, ValueError, "w_in of the node 'neurons' has to be finite; nan was given."),
        ("import_nir r", np.ones(5), ValueError, "The node 'neurons' has 2 neurons; r has shape (5,)."),
        ("plot_spikes time_unit", 3 * mA, DimensionMismatchError, "time_unit is a unit of time, such as ms"),
        ("plot_spikes time_unit", np.nan * ms, ValueError, "time_unit is a unit of time, such as ms; nan * second was"),
        ("plot_spikes axes", 3, TypeError, "axes are those of matplotlib, such as plt.gca(), or None; 3 was given."),
        ("plot_state unit", 3 * mA, DimensionMismatchError, "unit is a unit of 'v'"),
    ],
)
def test_the_words(parts, argument, value, error, message):
    with pytest.raises(error) as refusal:
        ARGUMENTS[argument][0](parts, value)
    # The example's groups have numbered names.
    assert message in re.sub(r"'neurongroup\w*'", "'neurons'", str(refusal.value))


def test_a_parameter_is_one_argument(parts):
    with pytest.raises(ValueError, match=r"so none is given twice; \w+\.w, \w+\.v, \w+\.w were given\."):
        parts.function_with(parameters=[parts.synapses.w, parts.neurons.v, parts.synapses.w])
