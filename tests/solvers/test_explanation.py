"""What `EventSolver.explain` says."""

from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, Synapses, ms, mV

from brian_qif import EventSolver


def test_a_neuron_in_volts_is_explained():
    E, R, tau, v_th = -65 * mV, 2.0, 20 * ms, -50 * mV
    stimulus = SpikeGeneratorGroup(2, [0, 1, 0], [1, 2, 3] * ms, name="stimulus")
    group = NeuronGroup(
        3,
        "dV/dt = (E - V + R*s)/tau : volt (unless refractory)\nds/dt = -s/(5*ms) : volt",
        threshold="V > v_th",
        reset="V = E",
        refractory=2 * ms,
        method="euler",
        name="neurons",
    )
    group.V = E
    synapses = Synapses(stimulus, group, "w : volt", on_pre="s_post += w", delay=1 * ms, name="synapses")
    synapses.connect()
    text = EventSolver.explain(Network(stimulus, group, synapses), {"E": E, "R": R, "tau": tau, "v_th": v_th})
    assert (
        text
        == """\
stimulus: 3 given spikes of 2 neurons

neurons: 3 neurons, leaky integrate-and-fire
  V = E + u
  s = (1/R)*j
  flow: tau_m*du/dt = -u + j
    with tau_m = tau
    with tau_s = 5*ms
    solved in closed form
  event: V rises through v_th
  jump: V = E, and stays there for 0.002 s
  adjoint: lambda_u = (lambda_u*f_after - lambda_t)/f_before, f = du/dt, lambda_t the slope by the spike's time

synapses_pre: 6 synapses from stimulus to neurons; a spike adds w to s after 0.001 s

Simulated in this order: neurons"""
    )


def test_a_neuron_without_closed_form_is_explained():
    group = NeuronGroup(
        1, "dv/dt = (v - v**3)/(10*ms) : 1", threshold="v > 0.9", reset="v = 0.1", method="euler", name="neurons"
    )
    assert EventSolver.explain(Network(group)).startswith(
        "neurons: 1 neurons, integrated numerically (EventSolver(numeric=True))\n  flow: dv/dt = "
    )


def test_a_quadratic_neuron_without_rest_is_explained():
    group = NeuronGroup(
        1,
        "dv/dt = (v**2 + 4 + I)/(10*ms) : 1\ndI/dt = -I/(5*ms) : 1",
        threshold="v > 50",
        reset="v = -50",
        method="euler",
        name="neurons",
    )
    text = EventSolver.explain(Network(group))
    assert "solved for u = p/q, by a power series in time whose remainder is below rounding" in text
    assert "event: v rises through 50\n  jump: v = -50" in text
