import numpy as np
import pytest
from brian2 import NeuronGroup, SpikeGeneratorGroup, Synapses, ms, mV, second, volt
from brian2.units.fundamentalunits import DimensionMismatchError

from brian_qif.training.remedies import ActivityFloor, NeuronClip, SharedBySource


def make_synapses(dense, unit="1"):
    stimulus = SpikeGeneratorGroup(4, [], [] * second)
    neurons = NeuronGroup(3, f"I : {unit}")
    synapses = Synapses(stimulus, neurons, f"w : {unit}", on_pre="I_post += w")
    if dense:
        synapses.connect()
    else:
        synapses.connect(i=[3, 0, 2, 1, 1], j=[1, 1, 0, 2, 1])
    return synapses


@pytest.mark.parametrize("dense", [True, False])
def test_clip_limits_the_norm_of_each_neuron(dense):
    synapses = make_synapses(dense)
    post = np.array(synapses.j[:])
    slopes = np.random.default_rng(0).standard_normal(len(post)) * np.array([0.1, 5.0, 10.0])[post]
    before = slopes.copy()
    NeuronClip([synapses.w], 2.0)([slopes])
    for neuron in range(3):
        own, old = slopes[post == neuron], before[post == neuron]
        norm = np.linalg.norm(old)
        expected = old if norm <= 2 else old * 2 / norm
        np.testing.assert_allclose(own, expected, rtol=1e-14)
    assert np.linalg.norm(before[post == 1]) > 2


def test_clip_leaves_other_parameters_alone():
    synapses = make_synapses(dense=True)
    slopes = [np.full(12, 9.0), np.full(12, 9.0)]
    NeuronClip([synapses.w, synapses.w], [None, 1.0])(slopes)
    np.testing.assert_array_equal(slopes[0], 9)
    np.testing.assert_allclose(np.linalg.norm(slopes[1].reshape(4, 3), axis=0), 1, rtol=1e-14)


def test_clip_of_neurons_own_values():
    neurons = NeuronGroup(3, "v : 1")
    slopes = np.array([0.5, -4.0, 3.0])
    NeuronClip([neurons.v], 2.0)([slopes])
    np.testing.assert_allclose(slopes, [0.5, -2.0, 2.0], rtol=1e-15)


def test_limits_that_make_no_sense():
    synapses = make_synapses(dense=True)
    with pytest.raises(ValueError, match="There are 1 parameters but 2 limits of the slope"):
        NeuronClip([synapses.w], [1.0, 2.0])
    with pytest.raises(ValueError, match="A limit of the slope has to be positive, not -1"):
        NeuronClip([synapses.w], -1)


@pytest.mark.parametrize("dense", [True, False])
def test_floor_raises_the_weights_of_quiet_neurons(dense):
    synapses = make_synapses(dense, "volt")
    post = np.array(synapses.j[:])
    floor = ActivityFloor(synapses.w, minimum=1.0, lift=2 * mV)
    counts = {synapses.target.name: np.array([[0, 1, 3], [1, 1, 0]])}
    start = np.linspace(0, 1, len(post))
    weights, lifted = floor(start, counts, factor=0.5)
    assert lifted == 1
    np.testing.assert_allclose(weights - start, np.where(post == 0, 1e-3, 0.0), atol=1e-15)


def test_ceiling_lowers_the_weights_of_busy_neurons():
    synapses = make_synapses(dense=False, unit="volt")
    floor = ActivityFloor(synapses.w, minimum=1.0, lift=2 * mV, maximum=6.0)
    counts = np.array([[0, 5, 9], [1, 5, 4]])
    weights, lifted = floor(np.zeros(len(synapses)), {synapses.target.name: counts}, factor=0.5)
    assert lifted == 1
    assert np.array_equal(weights, np.array([1e-3, 0.0, -1e-3])[synapses.j[:]])
    assert floor.settings()["maximum"] == 6.0


def test_floor_without_quiet_neurons_changes_nothing():
    synapses = make_synapses(dense=True)
    weights = np.ones(12)
    same, lifted = ActivityFloor(synapses.w)(weights, {synapses.target.name: np.full((2, 3), 5)})
    assert same is weights
    assert lifted == 0


def test_floor_finds_its_weights_among_the_parameters():
    synapses, other = make_synapses(dense=True), make_synapses(dense=True)
    floor = ActivityFloor(synapses.w)
    assert floor.find([other.w, synapses.w]) == 1
    with pytest.raises(ValueError, match="lifts .*w, which is not among the parameters"):
        floor.find([other.w])


def test_floors_that_make_no_sense():
    synapses = make_synapses(dense=True, unit="volt")
    with pytest.raises(DimensionMismatchError, match="The lift has to have the unit of the weights"):
        ActivityFloor(synapses.w, lift=1 * ms)
    with pytest.raises(ValueError, match="have to be positive"):
        ActivityFloor(synapses.w, lift=-1 * mV)
    with pytest.raises(ValueError, match="ceiling of activity has to be above the floor, 1.0; it is 0.5"):
        ActivityFloor(synapses.w, lift=1 * mV, maximum=0.5)
    with pytest.raises(TypeError, match="variable of synapses, such as synapses.w"):
        ActivityFloor(synapses.target.I, lift=1 * volt)


def test_what_is_shared_gets_the_sum_of_its_slopes():
    synapses = make_synapses(False)  # from 3, 0, 2, 1, 1 as they are connected
    shared = SharedBySource([synapses.delay])
    shared.find([synapses.w, synapses.delay])
    weights, delays = np.arange(5.0), np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    found = shared([weights, delays])
    assert found[0] is weights
    sources = np.asarray(synapses.i[:])
    np.testing.assert_array_equal(found[1], [delays[sources == source].sum() for source in sources])
    assert found[1][sources == 1].tolist() == [delays[sources == 1].sum()] * 2
    shared.check([weights, sources * 1e-3])


def test_what_cannot_be_shared():
    synapses = make_synapses(True)
    shared = SharedBySource([synapses.delay])
    with pytest.raises(ValueError, match="is to be shared, but it is not among the parameters"):
        shared.find([synapses.w])
    shared.find([synapses.delay])
    with pytest.raises(ValueError, match="is to be shared by the synapses of a neuron, but differs"):
        shared.check([np.arange(12.0)])
    with pytest.raises(TypeError, match="a variable of synapses with a value for each"):
        SharedBySource([synapses.target.I])
