import numpy as np
import pytest
from brian2 import ms, mV, second, volt
from brian2.units.fundamentalunits import DimensionMismatchError

from brian_qif.training.optimisers import Adam
from brian_qif.training.schedules import ConstantSchedule, CosineSchedule


def adam_by_the_paper(values, slope_of, rate, steps, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Algorithm 1 of Kingma & Ba, one number at a time."""
    values = list(values)
    first, second_moment = [0.0] * len(values), [0.0] * len(values)
    for t in range(1, steps + 1):
        slopes = slope_of(np.array(values))
        for i, g in enumerate(slopes):
            first[i] = beta_1 * first[i] + (1 - beta_1) * g
            second_moment[i] = beta_2 * second_moment[i] + (1 - beta_2) * g * g
            mean = first[i] / (1 - beta_1**t)
            square = second_moment[i] / (1 - beta_2**t)
            values[i] -= rate * mean / (square**0.5 + epsilon)
    return np.array(values)


def slope_of(values):
    return np.array([2.0, 20.0, -0.3]) * (values - np.array([1.0, -2.0, 0.5]))


def take_steps(optimiser, values, steps):
    for _ in range(steps):
        (values,) = optimiser.step([values], [slope_of(values)])
    return values


def test_follows_the_published_algorithm():
    optimiser = Adam(0.05)
    optimiser.prepare([3])
    start = np.array([0.3, 0.4, 0.5])
    np.testing.assert_allclose(
        take_steps(optimiser, start, 25), adam_by_the_paper(start, slope_of, 0.05, 25), rtol=1e-13
    )


def test_the_given_arrays_are_left_alone():
    optimiser = Adam(0.1)
    optimiser.prepare([2])
    values, slopes = np.ones(2), np.ones(2)
    optimiser.step([values], [slopes])
    np.testing.assert_array_equal(values, 1)
    np.testing.assert_array_equal(slopes, 1)


def test_step_sizes_have_the_unit_of_their_parameter():
    optimiser = Adam([0.5 * mV, 2 * ms, 3.0])
    optimiser.prepare([1, 1, 1], [volt.dim, second.dim, mV.dim / mV.dim])
    steps = optimiser.step([np.zeros(1)] * 3, [np.array([1e3]), np.array([-1e3]), np.array([7.0])])
    np.testing.assert_allclose(np.concatenate(steps), [-0.5e-3, 2e-3, -3.0], rtol=1e-8)


def test_several_step_sizes_in_one_quantity():
    optimiser = Adam([1, 2] * ms)
    optimiser.prepare([1, 1], [second.dim, second.dim])
    steps = optimiser.step([np.zeros(1)] * 2, [np.array([-1e3])] * 2)
    np.testing.assert_allclose(np.concatenate(steps), [1e-3, 2e-3], rtol=1e-9)


@pytest.mark.parametrize("rate", [1 * ms, [1 * mV, 1 * ms], 0.1])
def test_a_step_size_in_another_unit_is_refused(rate):
    with pytest.raises(DimensionMismatchError, match="The step size of synapses.w has to have the unit of synapses.w"):
        Adam(rate).prepare([1, 1], [volt.dim, volt.dim], ["synapses.w"] * 2)


def test_a_bound_in_another_unit_is_refused():
    with pytest.raises(DimensionMismatchError, match="The lower bound of synapses.delay"):
        Adam(1 * ms, bounds=(0 * mV, None)).prepare([1], [second.dim], ["synapses.delay"])


def test_bounds_end_a_step():
    optimiser = Adam([1.0, 1.0], bounds=[(0.0, None), None])
    optimiser.prepare([2, 1])
    first, second_parameter = optimiser.step([np.array([0.5, 3.0]), np.zeros(1)], [np.array([1.0, 1.0]), np.ones(1)])
    np.testing.assert_allclose(first, [0.0, 2.0], rtol=1e-7)
    np.testing.assert_allclose(second_parameter, [-1.0], rtol=1e-7)


def test_weight_decay_is_apart_from_the_slope():
    optimiser = Adam(0.1, weight_decay=0.25)
    optimiser.prepare([2])
    (values,) = optimiser.step([np.array([4.0, -8.0])], [np.zeros(2)], factor=0.5)
    np.testing.assert_array_equal(values, [3.5, -7.0])


def test_weight_decay_of_each_parameter():
    optimiser = Adam(0.1, weight_decay=[0.25, 0])
    optimiser.prepare([1, 1])
    np.testing.assert_array_equal(optimiser.step([np.array([4.0])] * 2, [np.zeros(1)] * 2), [[3.0], [4.0]])
    assert optimiser.settings()["weight_decay"] == [0.25, 0.0]
    with pytest.raises(ValueError, match="There are 3 parameters but 2 entries in the list with one weight decay for"):
        optimiser.prepare([1, 1, 1])


def test_going_on_from_a_state_gives_the_same_bits():
    start = np.array([0.3, 0.4, 0.5])
    whole = Adam(0.05)
    whole.prepare([3])
    expected = take_steps(whole, start, 20)
    halves = Adam(0.05)
    halves.prepare([3])
    middle = take_steps(halves, start, 9)
    state = halves.state()
    resumed = Adam(0.05)
    resumed.prepare([3])
    resumed.load_state(state)
    np.testing.assert_array_equal(take_steps(resumed, middle, 11), expected)


def test_a_state_of_other_parameters_is_refused():
    optimiser = Adam()
    optimiser.prepare([3])
    other = Adam()
    other.prepare([4])
    with pytest.raises(ValueError, match="does not fit: parameter 0 has 3 values"):
        optimiser.load_state(other.state())


def test_a_scalar_parameter():
    optimiser = Adam(0.5)
    optimiser.prepare([()])
    (value,) = optimiser.step([np.array(2.0)], [np.array(3.0)])
    assert np.shape(value) == ()
    assert float(value) == pytest.approx(1.5, rel=1e-8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta_1": 1.0}, "'beta_1' has to be at least 0 and below 1, not 1.0"),
        ({"beta_2": -0.1}, "'beta_2' has to be at least 0 and below 1"),
        ({"epsilon": 0.0}, "'epsilon' has to be positive"),
        ({"weight_decay": 1.5}, "'weight_decay' has to be at least 0"),
        ({"weight_decay": [0.1, -1.0]}, "'weight_decay' has to be at least 0"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        Adam(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": 0.0}, "The step size of parameter 0 has to be positive and finite, not 0.0"),
        ({"learning_rate": [1.0, float("nan")]}, "The step size of parameter 1 has to be positive"),
        ({"learning_rate": [1.0]}, "There are 2 parameters but 1 entries in the list with one step size for each"),
        ({"bounds": (2.0, 1.0)}, "The lower bound of parameter 0 lies above its upper bound"),
        ({"bounds": [None]}, "There are 2 parameters but 1 entries in the list with one pair of bounds"),
    ],
)
def test_settings_that_do_not_fit_the_parameters(settings, message):
    with pytest.raises(ValueError, match=message):
        Adam(**settings).prepare([1, 1])


def test_a_step_before_the_parameters_are_known():
    with pytest.raises(RuntimeError, match="call prepare\\(shapes\\) first"):
        Adam().step([np.zeros(1)], [np.zeros(1)])


def test_schedules():
    assert ConstantSchedule()(0.7) == 1
    cosine = CosineSchedule(final=0.1)
    assert cosine(0) == 1
    assert cosine(0.5) == pytest.approx(0.55, rel=1e-14)
    assert cosine(1) == pytest.approx(0.1, rel=1e-14)
    with pytest.raises(ValueError, match="between 0 and 1, not 2"):
        CosineSchedule(2)
