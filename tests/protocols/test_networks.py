"""The networks of the studies: layers, outputs, what is learned; and that a training of each goes downhill."""

from dataclasses import replace

import numpy as np
import pytest
from brian2 import ms, prefs, second

from brian_qif import ClockSolver, EventSolver, SpikeGradient, check_gradient
from brian_qif.protocols.networks import OUTPUTS, build_classifier
from brian_qif.protocols.preparation import encoding_of, initialise, prepare_trainer
from brian_qif.protocols.recipes import Recipe, recipe_of, with_steps
from brian_qif.training.datasets import SpikeSample

NAMES = ["input_synapses", "output_synapses", "recurrent_synapses", "input_synapses_2", "recurrent_synapses_2"]
SIZES = (12, 6, 3)


def words(count=24):
    """Three classes by where and when the spikes come."""
    generator = np.random.default_rng(1)
    samples = []
    for n in range(count):
        label = n % 3
        times = np.sort(generator.uniform(2e-3, 20e-3, 30) + 8e-3 * label)
        samples.append(SpikeSample(times, (generator.integers(0, 6, 30) + 3 * label) % 12, label, 0))
    return samples


def recipe(**more):
    rates = {"learning_rate": 0.02, "readout_learning_rate": 0.05, "clip": 5.0, "jitter": 0.0, "smoothing": 2.0}
    return Recipe(**{"tau_m": 10e-3, "initial_spikes": 3.0, "weight_time": 0.05, "batch_size": 8, **rates, **more})


def trained(neuron, sizes=SIZES, recurrent=False, epochs=6, **more):
    chosen, samples = recipe(**more), words()
    encoding = encoding_of(chosen, sizes[0])
    encoded = [encoding(sample) for sample in samples]
    sizes = (encoding.n_inputs, *sizes[1:])
    trainer = prepare_trainer(neuron, sizes, 60 * ms, chosen, 0, 1, recurrent, encoding=encoding)
    initialise(trainer, encoded, sizes, chosen)
    first = trainer.evaluate(encoded).loss
    trainer.train(samples, epochs)
    return trainer, first, trainer.evaluate(encoded).loss


def test_layers_and_their_parameters():
    learned = {"learn_time_constants": True, "learn_hidden_time_constants": True}
    classifier = build_classifier("lif", 5, (4, 3), 2, recurrent=True, delay=2 * ms, input_delay=1 * ms, **learned)
    names = [f"{view.group.name}.{view.name}" for view in classifier.parameters]
    own = ["output_synapses_pre.delay", "readout.tau_m", "readout.tau_s", "input_synapses_pre.delay"]
    assert names == [f"{name}.w" for name in NAMES] + own + ["hidden.tau_m", "hidden_2.tau_m"]
    roles = ["input", "readout", "recurrent", "deeper", "recurrent", "delay", *["time constant"] * 2, "input delay"]
    assert classifier.roles == roles + ["hidden time constant"] * 2
    assert classifier.deeper[0].synapses.source is classifier.hidden
    assert classifier.output_synapses.source is classifier.deeper[0].neurons
    assert len(classifier.deeper[0].recurrent_synapses) == 6


def test_weights_alone_decay():
    made = replace(recipe_of("lif", inputs=12), weight_decay=1e-3, taps=1, merge=1)
    assert prepare_trainer("lif", (12, 4, 3), 60 * ms, made, 0, 1).optimiser.weight_decay == 1e-3
    learning = replace(made, hidden_time_constant_rate=1e-4, delay_rate=1e-4)
    trainer = prepare_trainer("lif", (12, 4, 3), 60 * ms, learning, 0, 1)
    assert trainer.optimiser.weight_decay == [1e-3, 1e-3, 0.0, 0.0]  # weights, a delay and a time constant


def test_weights_onto_every_layer_have_step_sizes_and_lifts_of_their_own():
    chosen = recipe(recurrent_learning_rate=1e-3, deeper_learning_rate=5e-3, lift=0.01, ceiling=9.0)
    trainer = prepare_trainer("lif", (12, (4, 3), 3), 60 * ms, chosen, 0, 1, recurrent=True)
    assert trainer.optimiser.learning_rate == [0.02, 0.05, 1e-3, 5e-3, 1e-3]
    assert [floor.lift for floor in trainer.floors] == [0.01, 0.0025]
    assert {floor.maximum for floor in trainer.floors} == {9.0}
    doubled = with_steps(chosen, learning_rate=0.04)
    rates = [getattr(doubled, f"{name}learning_rate") for name in ("", "readout_", "recurrent_", "deeper_")]
    assert rates == pytest.approx([0.04, 0.1, 2e-3, 1e-2], rel=1e-12)


@pytest.mark.parametrize("neuron", ["lif", "qif"])
@pytest.mark.parametrize("output", [name for name in OUTPUTS if name != "spike count"])
def test_gradients_of_deep_recurrent_networks_with_delays(neuron, output):
    weight_time = None if output == "maximum" else 30 * ms
    classifier = build_classifier(
        neuron,
        6,
        (5, 4),
        3,
        10 * ms,
        weight_time=weight_time,
        recurrent=True,
        output=output,
        early=0.1,
        delay=3 * ms,
        input_delay=1 * ms,
        learn_hidden_time_constants=True,
    )
    # Where an arrival passes a spike, slopes have a kink; with this seed none is so near that the test would meet it.
    generator = np.random.default_rng(2)
    scales = {"input": 1.5, "deeper": 1.5, "recurrent": 0.2, "readout": 2.0 if output == "first spike" else 0.5}
    for view, role in zip(classifier.parameters, classifier.roles, strict=True):
        if role in scales:
            spread = generator.uniform(0.3, 1.2, len(view)) if role != "recurrent" else generator.normal(size=len(view))
            view.group.w = scales[role] * spread
    for synapses in (classifier.output_synapses, classifier.input_synapses):
        synapses.delay = generator.uniform(1, 5, len(synapses)) * ms
    times = np.sort(generator.uniform(1e-3, 30e-3, 24))
    classifier.stimulus.set_spikes(np.arange(24) % 6, times * second)
    classifier.loss.label = 1
    gradient = SpikeGradient(classifier.network, classifier.loss, classifier.parameters, solver=EventSolver())
    _, slopes = gradient(50 * ms)
    assert all(np.any(np.asarray(slope) != 0) for slope in slopes)
    assert check_gradient(gradient, 50 * ms).passed


@pytest.mark.parametrize("neuron", ["lif", "qif"])
@pytest.mark.parametrize(
    "what",
    [
        {},
        {"sizes": (12, (6, 5), 3)},
        {"recurrent": True},
        {"output": "maximum"},
        {"output": "first spike", "weight_time": 5e-3, "early": 0.01},
        {"delay_rate": 1e-4, "time_constant_rate": 1e-4},
        {"input_delay_rate": 1e-4, "hidden_time_constant_rate": 1e-4},
        {"merge": 2, "time_step": 1e-3},
        {"virtual_times": 8},
    ],
    ids=str,
)
def test_every_kind_of_network_learns(neuron, what):
    trainer, before, after = trained(neuron, **what)
    assert after < before
    for label, value in zip(trainer.settings()["parameters"], trainer.values, strict=True):
        assert np.all(np.isfinite(value)), label
        assert "delay" not in label or np.all(value >= 0)


def test_delays_of_an_input_stay_the_same_for_all_hidden_neurons():
    trainer, _, _ = trained("qif", input_delay_rate=1e-4)
    delays = trainer.values[trainer.settings()["parameters"].index("input_synapses_pre_delay")].reshape(12, 6)
    assert np.all(delays == delays[:, :1]) and len(np.unique(delays)) > 6


def test_spike_counts_are_for_surrogates():
    with pytest.raises(NotImplementedError, match="For a SpikeCountCrossEntropyLoss, use ClockSolver"):
        prepare_trainer("lif", SIZES, 60 * ms, recipe(output="spike count"))
    before = prefs["codegen.target"]
    prefs["codegen.target"] = "numpy"
    try:
        chosen = recipe(output="spike count", gain=1.0, learning_rate=0.1)
        solver = ClockSolver(dt=1 * ms, surrogate="superspike")
        trainer = prepare_trainer("lif", SIZES, 60 * ms, chosen, solver=solver)
        initialise(trainer, words(), SIZES, chosen)
        first = trainer.evaluate(words()).loss
        trainer.train(words(), 3)
        assert trainer.evaluate(words()).loss < first
    finally:
        prefs["codegen.target"] = before


def test_the_first_layer_begins_as_before_whatever_comes_behind():
    shallow, deep = (prepare_trainer("qif", sizes, 60 * ms, recipe()) for sizes in (SIZES, (12, (6, 4), 3)))
    for trainer, sizes in ((shallow, SIZES), (deep, (12, (6, 4), 3))):
        initialise(trainer, words(), sizes, recipe())
    np.testing.assert_array_equal(shallow.values[0], deep.values[0])


def test_readout_weights_begin_with_a_mean_in_standard_deviations():
    weights = {}
    for mean in (0.0, 2.0):
        chosen = recipe(output_mean=mean, output_scale=0.5)
        trainer = prepare_trainer("lif", SIZES, 60 * ms, chosen)
        initialise(trainer, words(), SIZES, chosen)
        weights[mean] = trainer.values[trainer.settings()["parameters"].index("output_synapses_w")]
    np.testing.assert_allclose(weights[2.0] - weights[0.0], 2 * 0.5 / np.sqrt(SIZES[1]), rtol=1e-12)


@pytest.mark.parametrize(
    ("output", "floored"),
    [("average", ["input_synapses.w"]), ("first spike", ["input_synapses.w", "output_synapses.w"])],
)
def test_a_readout_that_spikes_has_a_floor_of_activity(output, floored):
    trainer = prepare_trainer("lif", SIZES, 60 * ms, recipe(output=output))
    assert [floor.settings()["weights"] for floor in trainer.floors] == floored


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"neuron": "izhikevich"}, "no neuron 'izhikevich'"),
        ({"output": "last"}, "no output 'last'"),
        ({"n_hidden": ()}, "at least one hidden layer"),
        ({"n_hidden": (4, 0)}, "hidden layer needs at least one neuron"),
        ({"trials": 0}, "At least one trial"),
        ({"output": "first spike", "learn_time_constants": True}, "of a leaky readout"),
        ({"tau_s": 5 * ms, "learn_hidden_time_constants": True}, "do not give tau_s"),
    ],
)
def test_what_cannot_be_built_is_refused(wrong, text):
    given = {"neuron": "lif", "n_inputs": 3, "n_hidden": 4, "n_classes": 2, **wrong}
    with pytest.raises(ValueError, match=text):
        build_classifier(**given)
