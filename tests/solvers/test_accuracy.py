"""Spike times and slopes of every kind of neuron against 50 digits, in units of eps kappa."""

from dataclasses import replace

import numpy as np
import pytest

from tests.accuracy import COARSE_NUMPY, DOUBLE, MODELS, PRECISIONS, WIRINGS, example_plan, measure, sensitive_plan

# A spike time is the sum of some ten steps, each rounded by half a unit in the last place, and the root at its end.
TIMES = 4
# A slope is a sum over as many steps, of products of adjoint and state that are rounded themselves; kappa is measured
# by changes of random sign, which fall short of the sum of absolute values by a factor of a few.
SLOPES = 60 if COARSE_NUMPY else 20


def assert_accurate(plan, largest=1e-12, **keywords):
    """Within C eps kappa, and, where the sensitivity is ordinary, within a number too: ``largest`` for doubles."""
    ordinary = largest
    for found in measure(plan, **keywords):
        single = PRECISIONS[found.backend][1] == "float32"
        largest = ordinary * (np.finfo("float32").eps / np.finfo(float).eps if single else 1)
        assert found.times_in_units <= TIMES, found
        assert found.slopes_in_units <= SLOPES, found
        assert found.times <= largest, found
        assert all(error <= largest for error in found.slopes.values()), found


@pytest.mark.parametrize("model", MODELS)
def test_times_and_slopes_are_exact_up_to_rounding(model):
    assert_accurate(example_plan(model, "recurrent", size=2, inputs=3))


@pytest.mark.parametrize("model", ["lif", "qif"])
def test_errors_of_a_sensitive_neuron_are_those_of_its_input(model):
    plan = sensitive_plan(model, 1e-8)
    found = measure(plan, 0.6, DOUBLE)
    assert found[0].kappa > 1e4
    assert_accurate(plan, largest=1e-7, duration=0.6, backends=DOUBLE)


def test_an_error_of_many_units_is_noticed():
    # One weight is off by 1e-13 of itself: far less than any other test sees.
    plan = example_plan("lif", "recurrent", size=2, inputs=3)
    weights = plan.pathways[0].weights.copy()
    weights[0] *= 1 + 1e-13
    wrong = plan.replacing(pathways={0: replace(plan.pathways[0], weights=weights)})
    (found,) = measure(plan, backends=("reference",), solved_as=wrong)
    assert found.times_in_units > TIMES or found.slopes_in_units > SLOPES


@pytest.mark.long
@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("model", MODELS)
def test_the_whole_table(model, wiring):
    assert_accurate(example_plan(model, wiring))


@pytest.mark.long
@pytest.mark.parametrize("distance", 10.0 ** -np.arange(2, 11))
@pytest.mark.parametrize("model", ["lif", "qif"])
def test_ever_more_sensitive_neurons(model, distance):
    assert_accurate(sensitive_plan(model, distance), largest=np.inf, duration=0.6, backends=DOUBLE)
