"""Everything that may stand in a Brian2 network is either read or refused by name."""

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    PoissonGroup,
    PoissonInput,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    ms,
    network_operation,
)
from brian2.units import DimensionMismatchError

from brian_qif.models import LIFGroup
from brian_qif.plan.reader import read_network


@pytest.fixture
def parts():
    stimulus = SpikeGeneratorGroup(2, [0, 1], [2, 5] * ms, name="stimulus")
    neurons = LIFGroup(2, tau_m=20 * ms, tau_s=5 * ms, name="neurons")
    synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w", name="synapses")
    synapses.connect()
    synapses.w = [1, 2, 3, 4]
    return stimulus, neurons, synapses


def refusal(*objects, error=NotImplementedError):
    with pytest.raises(error) as caught:
        read_network(Network(*objects))
    return str(caught.value)


def test_a_network_is_read(parts):
    stimulus, neurons, synapses = parts
    reading = read_network(Network(*parts, SpikeMonitor(neurons), StateMonitor(neurons, "v", record=True)))
    plan = reading.plan
    assert [node.name for node in plan.nodes] == ["stimulus", "neurons"]
    assert plan.nodes[1].kind == "lif"
    assert plan.nodes[1].tau_m == 0.02
    assert list(plan.pathways[0].weights) == [1, 2, 3, 4]
    assert plan.components == ((1,),)


def test_constants_of_the_script_are_found():
    tau, v_th = 10 * ms, 1.5
    equations = "dv/dt = (0.25 - v + 2*I)/tau : 1\ndI/dt = -I/(5*ms) : 1"
    group = NeuronGroup(1, equations, threshold="v > v_th", reset="v = 0", method="exact", name="own")
    node = read_network(Network(group), {"tau": tau, "v_th": v_th}).plan.nodes[0]
    assert node.tau_m == pytest.approx(0.01, rel=1e-15)
    assert (node.v_offset[0], node.current_scale[0, 0]) == pytest.approx((0.25, 0.5), rel=1e-15)
    assert (node.threshold[0], node.reset[0], node.v[0]) == pytest.approx((1.25, -0.25, -0.25), rel=1e-15)


def test_layers_come_before_those_that_hear_them():
    groups = [LIFGroup(1, tau_m=20 * ms, tau_s=5 * ms, name=name) for name in ("c", "a", "b")]
    c, a, b = groups
    links = [Synapses(x, y, "w : 1", on_pre="I_post += w") for x, y in ((c, a), (a, c), (c, b))]
    for link in links:
        link.connect()
    plan = read_network(Network(*groups, *links)).plan
    names = [{plan.nodes[k].name for k in component} for component in plan.components]
    assert names == [{"a", "c"}, {"b"}]


def test_fans_hold_the_synapses_of_one_neuron_and_one_delay(parts):
    _, _, synapses = parts
    synapses.delay = [1, 2, 3, 3] * ms
    pathway = read_network(Network(*parts)).plan.pathways[0]
    assert list(pathway.order) == [0, 1, 2, 3]
    assert list(pathway.fan_start) == [0, 1, 2, 4]
    assert list(pathway.fan_pointer) == [0, 2, 3]
    assert pathway.fan_delay == pytest.approx([1e-3, 2e-3, 3e-3])


def test_parts_of_groups_are_read():
    before, after = (LIFGroup(size, tau_m=20 * ms, tau_s=5 * ms) for size in (4, 5))
    link = Synapses(before[2:], after[1:3], "w : 1", on_pre="I_post += w")
    link.connect()
    link.w = [1, 2, 3, 4]
    pathway = read_network(Network(before, after, link)).plan.pathways[0]
    assert list(zip(pathway.pre, pathway.post, pathway.weights, strict=True)) == [
        (2, 1, 1.0),
        (2, 2, 2.0),
        (3, 1, 3.0),
        (3, 2, 4.0),
    ]


def test_weights_may_be_expressions_of_parameters_and_constants(parts):
    stimulus, neurons, _ = parts
    g_max = 3.0
    link = Synapses(
        stimulus, neurons, "w : 1\ngain : 1 (shared)\neffective = gain*w : 1", on_pre="I_post -= g_max*effective"
    )
    link.connect()
    link.w, link.gain = [1, 2, 3, 4], 0.5
    reading = read_network(Network(stimulus, neurons, link), {"g_max": g_max})
    assert list(reading.plan.pathways[0].weights) == [-1.5, -3.0, -4.5, -6.0]


class TestRefusals:
    def test_poisson_group(self, parts):
        assert refusal(*parts, PoissonGroup(3, 10 / ms / 1000, name="noise")) == (
            "The solver does not simulate: PoissonGroup 'noise' (give its spikes by a "
            "SpikeGeneratorGroup). It takes NeuronGroup, SpikeGeneratorGroup and Synapses; monitors may stay."
        )

    def test_poisson_input(self, parts):
        message = refusal(*parts, PoissonInput(parts[1], "I", 5, 10 / ms / 1000, weight=1))
        assert "does not simulate: PoissonInput 'poissoninput" in message

    def test_network_operation(self, parts):
        operation = network_operation(lambda: None)
        assert "does not simulate: NetworkOperation" in refusal(*parts, operation)

    def test_run_regularly(self, parts):
        parts[1].run_regularly("v = 0", dt=1 * ms)
        assert "CodeRunner 'neurons_run_regularly' of 'neurons'" in refusal(*parts)

    def test_custom_event(self, parts):
        own = NeuronGroup(
            1,
            "dv/dt = (-v + I)/(20*ms) : 1\ndI/dt = -I/(5*ms) : 1",
            threshold="v > 1",
            reset="v = 0",
            events={"half": "v > 0.5"},
            method="exact",
            name="own",
        )
        assert "event 'half' of 'own'" in refusal(own)

    def test_inactive_object(self, parts):
        parts[2].active = False
        assert "'synapses' is switched off (active = False): leave it out of the network" in refusal(*parts)

    def test_periodic_generator(self):
        stimulus = SpikeGeneratorGroup(1, [0], [1] * ms, period=5 * ms, name="stimulus")
        assert refusal(stimulus) == "'stimulus' repeats its spikes (period); list all spikes instead."

    def test_refractory_period(self):
        own = NeuronGroup(
            1,
            "dv/dt = (-v + I)/(20*ms) : 1\ndI/dt = -I/(5*ms) : 1",
            threshold="v > 1",
            reset="v = 0",
            refractory=2 * ms,
            method="exact",
            name="own",
        )
        assert refusal(own) == (
            "'own': The voltage 'v' goes on changing while the neuron is refractory; write its equation with the flag "
            "(unless refractory), so that it stays at its reset."
        )

    def test_synapse_statement(self, parts):
        link = Synapses(parts[0], parts[1], "w : 1", on_pre="v_post = w", name="link")
        link.connect()
        assert refusal(*parts, link) == (
            "'link': on_pre = 'v_post = w' is not supported; write on_pre = 'I_post += w' or 'v_post += w' with a "
            "weight 'w' that is a variable of the synapses."
        )

    def test_weight_of_another_unit(self, parts):
        link = Synapses(parts[0], parts[1], "w : volt", on_pre="I_post += w", name="link")
        link.connect()
        with pytest.raises(DimensionMismatchError, match="adds another unit than that of 'I_post'"):
            read_network(Network(*parts, link))

    def test_postsynaptic_pathway(self, parts):
        link = Synapses(parts[0], parts[1], "w : 1", on_pre="I_post += w", on_post="w += 1", name="link")
        link.connect()
        assert "variables that change with time or with spikes" in refusal(*parts, link)

    def test_synaptic_dynamics(self, parts):
        link = Synapses(parts[0], parts[1], "dw/dt = -w/ms : 1 (event-driven)", on_pre="I_post += w", name="link")
        link.connect()
        assert "'link'" in refusal(*parts, link)

    def test_unconnected_synapses(self, parts):
        link = Synapses(parts[0], parts[1], "w : 1", on_pre="I_post += w", name="link")
        assert refusal(*parts, link, error=ValueError) == "'link' has no synapses: call connect() first."

    def test_group_outside_the_network(self, parts):
        _, neurons, synapses = parts
        assert refusal(neurons, synapses, error=ValueError) == (
            "'synapses' connects 'stimulus', which is not part of the network."
        )

    def test_a_name_that_is_not_defined(self):
        own = NeuronGroup(
            1,
            "dv/dt = (-v + I)/nowhere : 1\ndI/dt = -I/(5*ms) : 1",
            threshold="v > 1",
            reset="v = 0",
            method="exact",
            name="own",
        )
        assert refusal(own, error=ValueError) == (
            "'own': 'nowhere' in its equations is neither a variable of the group nor a name of the script around the "
            "call; define it, or hand it over as namespace={...}."
        )

    def test_initial_voltage_above_threshold(self, parts):
        parts[1].v = [0.5, 1.0]
        assert refusal(*parts, error=ValueError) == (
            "'neurons': neuron 1 starts at or above its threshold; start it below."
        )

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_undefined_state(self, parts, value):
        parts[1].I = [0, value]
        assert refusal(*parts, error=ValueError) == f"'neurons': the initial I of neuron 1 is {value}."

    def test_undefined_weight(self, parts):
        parts[2].w = [1, 2, np.nan, 4]
        assert refusal(*parts, error=ValueError) == "'synapses': w[2] is nan; weights must be finite."

    def test_spikes_that_may_be_on_their_way(self, parts):
        parts[2].delay = 1 * ms
        network = Network(*parts)
        network.run(1 * ms)
        with pytest.raises(NotImplementedError, match="spikes may be on their way that cannot be read back"):
            read_network(network)
