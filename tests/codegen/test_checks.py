"""What the compiled backend refuses before generated code reads an array, word for word."""

from dataclasses import replace

import numpy as np
import pytest

from brian_qif.solvers.sweeps import Request, Seeds, Wanted, find_backend
from tests.codegen.plans import DURATION, mixed_network

PLAN = mixed_network(0)
STIMULUS, LINEAR, QUADRATIC, READOUT = range(4)


@pytest.fixture(scope="module")
def prepared():
    return find_backend("cpp").prepare(PLAN)


SPIKES = {
    "unit too large": (
        [0.01],
        [6],
        ValueError,
        "'stimulus' has 6 neurons, so its units go from 0 to 5; one of them is 6.",
    ),
    "negative unit": (
        [0.01],
        [-1],
        ValueError,
        "'stimulus' has 6 neurons, so its units go from 0 to 5; one of them is -1.",
    ),
    "descending": (
        [0.02, 0.01],
        [0, 1],
        ValueError,
        "The spike times of 'stimulus' must be numbers in ascending order; sort them with units.",
    ),
    "a NaN at the end": (
        [0.02, np.nan],
        [0, 1],
        ValueError,
        "The spike times of 'stimulus' must be numbers in ascending order; sort them with units.",
    ),
    "another length": (
        [0.01, 0.02],
        [0],
        ValueError,
        "The spikes of 'stimulus' need one unit per time; times have the shape (2,) and units (1,).",
    ),
    "fractions as units": (
        [0.01],
        [1.5],
        TypeError,
        "The units of the spikes of 'stimulus' must be integers; they are float64.",
    ),
}


@pytest.mark.parametrize("case", SPIKES)
def test_spikes_that_do_not_fit(case, prepared):
    times, units, error, message = SPIKES[case]
    with pytest.raises(error) as caught:
        prepared.forward(Request(DURATION), {STIMULUS: (np.array(times), np.array(units))})
    assert str(caught.value) == message


def test_no_spikes_at_all_are_fine(prepared):
    record = prepared.forward(Request(DURATION), {STIMULUS: (np.zeros(0), np.zeros(0))})
    assert len(record.spike_times[STIMULUS]) == 0


def test_spikes_outside_the_trial_are_left_out(prepared):
    times = np.array([-0.01, 0.0, 0.03, DURATION, DURATION + 0.01])
    record = prepared.forward(Request(DURATION), {STIMULUS: (times, np.arange(5))})
    assert list(record.spike_times[STIMULUS]) == [0.0, 0.03, DURATION]
    assert list(record.spike_units[STIMULUS]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("averages", "message"),
    [
        ({STIMULUS: 0.0}, "'stimulus' gives spikes and has no voltage to average."),
        (
            {QUADRATIC: 0.0},
            "The voltage of the QIF neurons 'quadratic' has no average: its integral over a spike diverges. "
            "Average leaky or LIF neurons.",
        ),
        ({READOUT: -1.0}, "The rate of the weighted average of 'readout' must be 0 or more; it is -1.0 /s."),
        ({READOUT: np.nan}, "The rate of the weighted average of 'readout' must be 0 or more; it is nan /s."),
    ],
)
def test_averages_that_do_not_exist(averages, message, prepared):
    with pytest.raises(ValueError) as caught:
        prepared.forward(Request(DURATION, averages))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("seeds", "wanted", "message"),
    [
        (
            Seeds(averages={READOUT: np.ones(2)}),
            Wanted(),
            "The seeds of 'readout' need one value per averaged neuron: 3; their shape is (2,).",
        ),
        (
            Seeds(averages={LINEAR: np.ones(5)}),
            Wanted(),
            "There is a seed for the average of 'linear', which was not requested.",
        ),
        (
            Seeds(),
            Wanted(initial=frozenset({STIMULUS})),
            "'stimulus' gives spikes and has no initial state.",
        ),
        (
            Seeds(),
            Wanted(spike_times=frozenset({LINEAR})),
            "The spike times of 'linear' are not given but follow from its inputs.",
        ),
    ],
)
def test_seeds_and_slopes_that_do_not_fit(seeds, wanted, message, prepared):
    record = prepared.forward(Request(DURATION, {READOUT: 0.0}))
    with pytest.raises(ValueError) as caught:
        prepared.reverse(record, seeds, wanted)
    assert str(caught.value) == message


def test_seeds_of_another_number_of_spikes(prepared):
    record = prepared.forward(Request(DURATION))
    count = len(record.spike_times[LINEAR])
    with pytest.raises(ValueError) as caught:
        prepared.reverse(record, Seeds(spike_times={LINEAR: np.ones(count + 1)}), Wanted())
    assert str(caught.value) == (
        f"The seeds of 'linear' need one value per spike: {count}; their shape is ({count + 1},)."
    )


def test_plans_without_a_closed_form_are_refused():
    backend = find_backend("cpp")
    assert backend.refusal(PLAN) is None
    other = PLAN.replacing(nodes={QUADRATIC: replace(PLAN.nodes[QUADRATIC], tau_s=5e-3)})
    assert backend.refusal(other) == (
        "'quadratic': generated code takes QIF neurons with tau_m = 2*tau_s that spike at infinity, without a "
        "constant drive above threshold."
    )


def test_a_state_that_is_not_finite_is_reported():
    huge = PLAN.nodes[READOUT].v + np.inf
    plan = PLAN.replacing(nodes={READOUT: replace(PLAN.nodes[READOUT], v=huge)})
    with pytest.raises(FloatingPointError, match="The state of 'readout' is not finite at 0.0 s."):
        find_backend("cpp").prepare(plan).forward(Request(DURATION))
