"""Recorded spikes and states as tables, as neo objects, and drawn."""

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, SpikeMonitor, Synapses, mA, ms, mV, second, volt

from brian_qif import EventSolver
from brian_qif.bridges.tables import spike_table, state_table
from brian_qif.models import LIFGroup
from brian_qif.plotting.trajectories import plot_spikes, plot_state

SOLVER = EventSolver(backend="reference")


@pytest.fixture(scope="module")
def trial():
    stimulus = SpikeGeneratorGroup(2, [0, 1, 0], [2, 5, 9] * ms, name="stimulus")
    neurons = LIFGroup(3, tau_m=20 * ms, tau_s=5 * ms, v_th=10 * mV, v_reset=0 * mV, name="neurons")
    synapses = Synapses(stimulus, neurons, "w : volt", on_pre="I_post += w")
    synapses.connect()
    synapses.w = [60, 90, 0] * 2 * mV
    monitor = SpikeMonitor(neurons, name="monitor")
    network = Network(stimulus, neurons, synapses, monitor)
    trajectory = SOLVER.simulate(network, 40 * ms)
    network.run(40 * ms)
    return trajectory, monitor, neurons, stimulus


def test_a_row_per_spike(trial):
    trajectory, _, neurons, _ = trial
    table = spike_table(trajectory)
    assert list(table.columns) == ["group", "neuron", "time"]
    assert dict(table["group"].value_counts()) == {"neurons": len(trajectory.spikes[neurons].t), "stimulus": 3}
    own = spike_table(trajectory, groups=[neurons])
    np.testing.assert_array_equal(own["time"], np.asarray(trajectory.spikes[neurons].t))
    np.testing.assert_array_equal(own["neuron"], trajectory.spikes[neurons].i)
    assert len(own) > 2


def test_a_monitor_gives_the_same_table_on_its_grid(trial):
    trajectory, monitor, _, _ = trial
    exact, clocked = spike_table(trajectory, groups=["neurons"]), spike_table(monitor)
    assert set(clocked["group"]) == {"neurons"}
    assert list(clocked.sort_values(["neuron", "time"])["neuron"]) == sorted(exact["neuron"])
    np.testing.assert_array_equal(np.sort(clocked["time"]), np.sort(np.asarray(monitor.t)))


def test_no_spikes_are_an_empty_table():
    network = Network(LIFGroup(1, tau_m=20 * ms, tau_s=5 * ms))
    table = spike_table(SOLVER.simulate(network, 1 * ms))
    assert len(table) == 0 and list(table.columns) == ["group", "neuron", "time"]


def test_a_row_per_time_and_neuron(trial):
    trajectory, _, neurons, _ = trial
    table = state_table(trajectory, neurons, "v", [10, 20] * ms)
    assert list(table["neuron"]) == [0, 1, 2] * 2 and table.attrs["unit"] == "volt"
    states = trajectory.state(neurons, "v", [10, 20] * ms)
    np.testing.assert_array_equal(table["v"].to_numpy().reshape(2, 3), np.asarray(states))
    assert len(state_table(trajectory, neurons, "v", 10 * ms)) == 3


def test_spike_trains_of_neo(trial):
    pytest.importorskip("neo", reason="neo is not installed")
    from brian_qif.bridges.neo import spike_trains

    trajectory, monitor, neurons, _ = trial
    trains = spike_trains(trajectory, neurons)
    spikes = trajectory.spikes[neurons]
    assert len(trains) == 3 and len(trains[2]) == 0
    for neuron, train in enumerate(trains):
        np.testing.assert_array_equal(train.magnitude, np.asarray(spikes.t)[spikes.i == neuron])
        assert train.annotations == {"group": "neurons", "neuron": neuron}
        assert str(train.units.dimensionality) == "s" and float(train.t_stop) == 0.04
    assert [len(train) for train in spike_trains(monitor)] == [len(train) for train in trains]


def test_a_signal_of_neo_has_its_unit(trial):
    pytest.importorskip("neo", reason="neo is not installed")
    from brian_qif.bridges.neo import state_signal

    trajectory, _, neurons, _ = trial
    signal = state_signal(trajectory, neurons, "v", [10, 20, 21] * ms)
    assert signal.shape == (3, 3) and signal.name == "neurons.v"
    shown = trajectory.state(neurons, "v", [10, 20, 21] * ms)
    np.testing.assert_allclose(signal.rescale("mV").magnitude, np.asarray(shown / mV), rtol=1e-12)
    currents = NeuronGroup(1, "dJ/dt = -J/(5*ms) : amp\ndv/dt = (-v + J*ohm)/(9*ms) : volt", name="currents")
    currents.J = 2 * mA
    own = SOLVER.simulate(Network(currents), 5 * ms)
    assert float(state_signal(own, currents, "J", [0] * ms).rescale("mA").magnitude[0, 0]) == pytest.approx(2.0)


def test_rasters_and_lines_have_labels(trial):
    from matplotlib.figure import Figure

    trajectory, monitor, neurons, _ = trial
    upper, middle, lower = Figure().subplots(3)
    assert plot_spikes(trajectory, neurons, axes=upper) is upper
    (dots,) = upper.lines
    np.testing.assert_allclose(dots.get_xdata(), np.asarray(trajectory.spikes[neurons].t / ms))
    assert upper.get_xlabel() == "time (ms)" and upper.get_ylabel() == "neuron of neurons"
    plot_spikes(monitor, time_unit=second, axes=middle, marker="|")
    assert middle.get_xlabel() == "time (s)" and middle.lines[0].get_marker() == "|"
    plot_state(trajectory, neurons, "v", np.linspace(0, 40, 9) * ms, unit=mV, axes=lower)
    assert len(lower.lines) == 3 and lower.get_ylabel() == "v (mV)"
    plot_state(trajectory, neurons, "v", [1, 2] * ms, unit=volt, axes=lower)
    assert lower.get_ylabel() == "v (V)"


def test_what_recorded_nothing_is_refused(trial):
    trajectory, monitor, _, stimulus = trial
    with pytest.raises(TypeError, match="Recorded spikes are a Trajectory, as a solver gives it, or a SpikeMonitor"):
        spike_table([1, 2])
    with pytest.raises(TypeError, match=r"Which group of the trajectory\? It has stimulus, neurons\."):
        plot_spikes(trajectory)
    with pytest.raises(ValueError, match="The monitor 'monitor' recorded 'neurons', not 'stimulus'"):
        plot_spikes(monitor, stimulus)
    with pytest.raises(ValueError, match="'other' is not part of the network, which holds stimulus, neurons"):
        spike_table(trajectory, groups=["other"])
