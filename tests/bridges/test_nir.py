"""Networks to NIR and back: the same spikes, the same numbers, and what NIR cannot say by name."""

import numpy as np
import pytest
from brian2 import Mohm, Network, NeuronGroup, SpikeGeneratorGroup, Synapses, ms, mV, nA, second
from brian2.units import DimensionMismatchError

from brian_qif import EventSolver
from brian_qif.models import LeakyIntegratorGroup, LIFGroup, QIFGroup

nir = pytest.importorskip("nir", reason="NIR is not installed")

from brian_qif.bridges.nir import export_nir, import_nir  # noqa: E402  (needs NIR)

SOLVER = EventSolver(backend="reference")
TIMES, UNITS = np.array([1, 3, 4, 8, 9, 15, 22, 30]) * ms, np.array([0, 1, 2, 0, 1, 2, 0, 1])


def stimulus():
    return SpikeGeneratorGroup(3, UNITS, TIMES, name="stimulus")


def connected(source, target, weights, name, on_pre="I_post += w", **keywords):
    synapses = Synapses(source, target, "w : 1", on_pre=on_pre, name=name, **keywords)
    synapses.connect()
    synapses.w = weights
    return synapses


@pytest.fixture
def network():
    """A recurrent LIF layer, delays on both kinds of sides, and a readout."""
    generator = np.random.default_rng(3)
    source = stimulus()
    neurons = LIFGroup(4, tau_m=20 * ms, tau_s=5 * ms, name="neurons")
    readout = LeakyIntegratorGroup(2, tau_m=15 * ms, tau_s=10 * ms, name="readout")
    into = connected(source, neurons, generator.uniform(2, 6, 12), "into")
    into.delay = np.repeat([0.5, 1.0, 1.5], 4) * ms
    loop = connected(neurons, neurons, generator.normal(size=16), "loop", delay=1 * ms)
    out = connected(neurons, readout, generator.normal(size=8), "out")
    out.delay = np.tile([0.25, 2], 4) * ms
    neurons.v, neurons.I = generator.uniform(0, 0.5, 4), generator.uniform(0, 1, 4)
    return Network(source, neurons, readout, into, loop, out), neurons, readout


def outcome(net, neurons, readout):
    trajectory = SOLVER.simulate(net, 60 * ms)
    spikes = trajectory.spikes[neurons]
    return np.asarray(spikes.t), spikes.i, np.asarray(trajectory.state(readout, "v", [20, 40, 60] * ms))


def test_a_round_trip_through_a_file_gives_the_same_spikes(network, tmp_path):
    original, neurons, readout = network
    expected = outcome(original, neurons, readout)
    assert len(expected[0]) >= 8
    nir.write(tmp_path / "network.nir", export_nir(original))
    back = import_nir(nir.read(tmp_path / "network.nir"))
    back.groups["stimulus"].set_spikes(UNITS, TIMES)
    times, units, voltages = outcome(back.network, back.groups["neurons"], back.groups["readout"])
    np.testing.assert_array_equal(units, expected[1])
    np.testing.assert_allclose(times, expected[0], rtol=1e-11)
    np.testing.assert_allclose(voltages, expected[2], rtol=1e-10)
    assert [len(some) for some in back.synapses.values()] == [1, 1, 1]


def test_volts_become_numbers():
    source = stimulus()
    neurons = NeuronGroup(
        2,
        "dv/dt = (-70*mV - v + r*J)/(20*ms) : volt\ndJ/dt = -J/(5*ms) : amp\nr : ohm (constant)",
        threshold="v > -50*mV",
        reset="v = -65*mV",
        name="neurons",
        method="exact",
    )
    neurons.v, neurons.r = -70 * mV, [100, 200] * Mohm
    synapses = Synapses(source, neurons, "w : amp", on_pre="J_post += w", name="into")
    synapses.connect()
    synapses.w = np.linspace(0.4, 1.5, 6) * nA
    original = Network(source, neurons, synapses)
    graph = export_nir(original)
    node = graph.nodes["neurons"]
    np.testing.assert_allclose(node.r, [1e8, 2e8])
    np.testing.assert_allclose([node.v_leak, node.v_threshold, node.v_reset], np.outer([-0.07, -0.05, -0.065], [1, 1]))
    np.testing.assert_allclose(graph.nodes["into"].weight, np.linspace(0.4e-9, 1.5e-9, 6).reshape(3, 2).T)
    assert node.metadata == {}
    back = import_nir(graph)
    back.groups["stimulus"].set_spikes(UNITS, TIMES)
    expected = SOLVER.simulate(original, 60 * ms).spikes[neurons]
    found = SOLVER.simulate(back.network, 60 * ms).spikes[back.groups["neurons"]]
    assert len(expected.t) > 2
    np.testing.assert_allclose(found.t, expected.t, rtol=1e-11)


def test_synapses_on_the_voltage_are_lif_and_li_nodes():
    source = stimulus()
    neurons = NeuronGroup(2, "dv/dt = -v/(20*ms) : 1", threshold="v > 1", reset="v = 0", name="neurons", method="exact")
    readout = NeuronGroup(1, "dv/dt = -v/(20*ms) : 1", name="readout", method="exact")
    into = connected(source, neurons, np.linspace(0.4, 0.9, 6), "into", on_pre="v_post += w")
    out = connected(neurons, readout, [0.5, -0.25], "out", on_pre="v_post += w")
    original = Network(source, neurons, readout, into, out)
    graph = export_nir(original)
    assert type(graph.nodes["neurons"]) is nir.LIF and type(graph.nodes["readout"]) is nir.LI
    np.testing.assert_allclose(graph.nodes["neurons"].r, graph.nodes["neurons"].tau)
    back = import_nir(graph)
    back.groups["stimulus"].set_spikes(UNITS, TIMES)
    expected = outcome(original, neurons, readout)
    found = outcome(back.network, back.groups["neurons"], back.groups["readout"])
    assert len(expected[0]) > 2
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11)


def graph_of(*between, neuron=None):
    """Input, what is between, and one kind of neurons."""
    ones = np.ones(2)
    neuron = neuron or nir.CubaLIF(
        tau_syn=0.005 * ones, tau_mem=0.02 * ones, r=2 * ones, v_leak=0.1 * ones, v_threshold=ones, w_in=0.005 * ones
    )
    names = [f"between_{k}" for k in range(len(between))]
    nodes = {"input": nir.Input(input_type={"input": np.array([3])}), "0_lif": neuron}
    nodes |= dict(zip(names, between, strict=True))
    nodes["output"] = nir.Output(output_type={"output": np.array([2])})
    chain = ["input", *names, "0_lif", "output"]
    return nir.NIRGraph(nodes, list(zip(chain[:-1], chain[1:], strict=True)))


WEIGHT = np.array([[1.0, 2.0, 3.0], [0.0, 4.0, 5.0]])


def test_equations_of_a_node_are_followed_between_spikes():
    """dI/dt = (-I + w_in S)/tau_syn with a delta function S, and a bias, against their solution."""
    bias = np.array([0.05, 0.1])
    built = import_nir(graph_of(nir.Affine(weight=WEIGHT, bias=bias / 0.005)))
    built.groups["input"].set_spikes([0], [4] * ms)
    trajectory = SOLVER.simulate(built.network, 20 * ms)
    t, t_0, tau_s, tau_m = 0.015, 0.004, 0.005, 0.02

    def kernel(since):
        return tau_s / (tau_s - tau_m) * (np.exp(-since / tau_s) - np.exp(-since / tau_m))

    rise = 1 - np.exp(-t / tau_m)  # of the steady part; the current begins at zero, so the bias comes with its decay
    expected = 0.1 + 2 * (WEIGHT[:, 0] * kernel(t - t_0) + bias * 0.005 / 0.005 * (rise - kernel(t)))
    voltage = trajectory.state(built.groups["0_lif"], "v", t * second)
    assert np.all(expected < 1)
    np.testing.assert_allclose(voltage, expected, rtol=1e-12)


def test_scales_and_delays_act_where_they_stand():
    delay = np.array([1.0, 2.0, 3.0]) * 1e-3
    scale = np.array([2.0, -1.0])
    graph = graph_of(nir.Delay(delay=delay), nir.Linear(weight=WEIGHT), nir.Scale(scale=scale))
    (synapses,) = import_nir(graph).synapses["input", "0_lif"]
    found = np.zeros((2, 3))
    found[synapses.j[:], synapses.i[:]] = synapses.w[:]
    np.testing.assert_allclose(found, WEIGHT * scale[:, None], rtol=1e-14)
    np.testing.assert_allclose(np.asarray(synapses.delay[:]), delay[synapses.i[:]], rtol=1e-14)
    (sparse,) = import_nir(graph, zero_weights=False).synapses["input", "0_lif"]
    assert len(sparse.i) == 5


def test_a_pulse_of_one_step_is_its_area():
    """A program in steps of 1 ms that adds the weight at a spike has w_in = tau_syn/dt, as export writes it."""
    source, neurons = stimulus(), LIFGroup(2, tau_m=20 * ms, tau_s=5 * ms, name="neurons")
    original = Network(source, neurons, connected(source, neurons, np.arange(6.0), "into"))
    graph = export_nir(original, spike_area=1 * ms)
    np.testing.assert_allclose(graph.nodes["neurons"].w_in, 5.0, rtol=1e-14)
    (synapses,) = import_nir(graph, spike_area=1 * ms).synapses["stimulus", "neurons"]
    np.testing.assert_allclose(np.sort(synapses.w[:]), np.arange(6.0), rtol=1e-13)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: QIFGroup(2, tau_m=20 * ms, tau_s=10 * ms), "quadratic integrate-and-fire neurons, for which"),
        (
            lambda: NeuronGroup(
                2, "dv/dt = (-v + I + K)/(20*ms) : 1\ndI/dt = -I/(5*ms) : 1\ndK/dt = -K/(9*ms) : 1",
                threshold="v > 1", reset="v = 0", name="neurons",
            ),
            "have 2 synaptic currents, and NIR's CubaLIF has one",
        ),
        (
            lambda: NeuronGroup(
                2, "dv/dt = (-v + I)/(20*ms) : 1 (unless refractory)\ndI/dt = -I/(5*ms) : 1",
                threshold="v > 1", reset="v = 0", refractory=2 * ms, name="neurons",
            ),
            "are refractory after a spike",
        ),
        (
            lambda: NeuronGroup(
                2, "dv/dt = (-v + I)/(20*ms) : 1\ndI/dt = -I/(5*ms) : 1", threshold="v > 1", reset="v -= 1",
                name="neurons",
            ),
            "subtract from the voltage at a spike",
        ),
    ],
)  # fmt: skip
def test_neurons_that_nir_cannot_say_are_refused_by_name(make, message):
    with pytest.raises(NotImplementedError, match=message):
        export_nir(Network(make()))


def test_synapses_that_nir_cannot_say_are_refused_by_name():
    source, neurons = stimulus(), LIFGroup(2, tau_m=20 * ms, tau_s=5 * ms, name="neurons")
    into = connected(source, neurons, 1.0, "into")
    into.delay = np.arange(6) * ms
    with pytest.raises(NotImplementedError, match="The delays of 'into' differ between synapses of one neuron"):
        export_nir(Network(source, neurons, into))
    into = connected(source, neurons, 1.0, "into2")
    direct = connected(source, neurons, 0.1, "direct", on_pre="v_post += w")
    with pytest.raises(NotImplementedError, match="synapses on the voltage beside it"):
        export_nir(Network(source, neurons, into, direct))


def test_nodes_that_have_no_synapses_are_refused_by_name():
    ones = np.ones(2)
    with pytest.raises(NotImplementedError, match="The node '0_lif' is a IF, which cannot be made"):
        import_nir(graph_of(nir.Linear(weight=WEIGHT), neuron=nir.IF(r=ones, v_threshold=ones)))
    with pytest.raises(NotImplementedError, match="'between_1' is a second matrix between neurons"):
        import_nir(graph_of(nir.Linear(weight=WEIGHT), nir.Linear(weight=np.eye(2))))
    with pytest.raises(NotImplementedError, match="The bias of 'between_0' would begin after a delay"):
        import_nir(graph_of(nir.Affine(weight=WEIGHT, bias=ones), nir.Delay(delay=0.001 * ones)))
    graph = graph_of(nir.Linear(weight=WEIGHT))
    graph.nodes["inner"] = graph_of(nir.Linear(weight=WEIGHT))
    with pytest.raises(NotImplementedError, match="The node 'inner' is a graph within the graph"):
        import_nir(graph)
    leaky = nir.LI(tau=0.01 * ones, r=ones, v_leak=0 * ones)
    graph = graph_of(nir.Linear(weight=WEIGHT), neuron=leaky)
    graph.nodes["back"], graph.edges = (
        nir.Linear(weight=np.eye(2)),
        [*graph.edges, ("0_lif", "back"), ("back", "0_lif")],
    )
    with pytest.raises(NotImplementedError, match="'0_lif' does not spike and gives its voltage to 'back'"):
        import_nir(graph)


def test_wrong_arguments_are_refused():
    with pytest.raises(TypeError, match="A nir.NIRGraph is needed, as nir.read gives it; str was given"):
        import_nir("network.nir")
    with pytest.raises(TypeError, match="A brian2.Network is needed"):
        export_nir("network")
    with pytest.raises(DimensionMismatchError, match="spike_area is a time"):
        export_nir(Network(), spike_area=1)
    with pytest.raises(ValueError, match="spike_area must be positive and finite; it is 0.0 s"):
        import_nir(graph_of(nir.Linear(weight=WEIGHT)), spike_area=0 * second)
