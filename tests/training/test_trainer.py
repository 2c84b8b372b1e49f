import numpy as np
import pandas as pd
import pytest
from brian2 import ms, seed
from brian2.units.fundamentalunits import DimensionMismatchError

from brian_qif.training.optimisers import Adam
from brian_qif.training.remedies import ActivityFloor
from brian_qif.training.schedules import CosineSchedule
from tests.training.small_network import DURATION, make_trainer, make_words


def assert_same_bits(values, others):
    for value, other in zip(values, others, strict=True):
        np.testing.assert_array_equal(value, other)


@pytest.mark.parametrize("neuron", ["lif", "qif"])
def test_learns_to_tell_patterns_apart(neuron):
    optimiser = Adam([0.04, 0.2])
    trainer, classifier = make_trainer(neuron, schedule=CosineSchedule(), optimiser=optimiser, batch_size=4)
    words = make_words(32)
    before = trainer.evaluate(words)
    history = trainer.train(words, epochs=8)
    after = trainer.evaluate(words)
    assert after.loss < 0.5 * before.loss
    assert after.accuracy > 0.9
    assert 1 < float(history["rate_hidden"].iloc[-1]) * float(DURATION) < 10
    np.testing.assert_array_equal(classifier.input_synapses.w[:], trainer.values[0])
    np.testing.assert_array_equal(classifier.output_synapses.w[:], trainer.values[1])


def test_one_step_is_adam_on_the_mean_gradient():
    trainer, _ = make_trainer(batch_size=6, optimiser=Adam([0.02, 0.1]))
    words = make_words(6)
    start = [value.copy() for value in trainer.values]
    result = trainer.batch(words, DURATION, values=start)
    optimiser = Adam([0.02, 0.1])
    optimiser.prepare([60, 15])
    expected = optimiser.step(start, [slope / 6 for slope in result.slopes])
    history = trainer.train(words, epochs=1)
    for value, wanted in zip(trainer.values, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-9)
    assert history["loss"][0] == pytest.approx(result.losses.mean(), rel=1e-12)
    norm = np.linalg.norm(result.slopes[0]) / 6
    assert history["gradient_norm_input_synapses_w"][0] == pytest.approx(norm, rel=1e-12)


def test_the_number_of_threads_changes_no_bit():
    words = make_words(20)
    trainers = [make_trainer(threads=threads)[0] for threads in (1, 3)]
    for trainer in trainers:
        trainer.train(words, epochs=2)
    assert_same_bits(trainers[0].values, trainers[1].values)
    assert not np.array_equal(trainers[0].values[0], make_trainer()[0].values[0])


def test_the_seed_decides_the_order():
    words = make_words(20)
    outcomes = []
    for number in (3, 3, 4):
        trainer, _ = make_trainer(seed=number)
        trainer.train(words, epochs=1)
        outcomes.append(trainer.values[0])
    np.testing.assert_array_equal(outcomes[0], outcomes[1])
    assert not np.array_equal(outcomes[0], outcomes[2])


def test_without_a_seed_that_of_brian_decides():
    numbers = []
    for _ in range(2):
        seed(11)
        numbers.append(make_trainer(seed=None)[0].seed)
    assert numbers[0] == numbers[1]


def test_resuming_gives_the_bits_of_an_uninterrupted_run(tmp_path):
    words, file = make_words(20), tmp_path / "checkpoint.npz"
    settings = {"schedule": CosineSchedule(), "clip": [0.5, None]}
    whole, _ = make_trainer(**settings)
    whole.train(words, epochs=4)

    def stop_after_two(trainer):
        if trainer.epoch == 2:
            raise KeyboardInterrupt

    first, _ = make_trainer(**settings)
    with pytest.raises(KeyboardInterrupt):
        first.train(words, epochs=4, checkpoint=file, after_epoch=stop_after_two)
    resumed, classifier = make_trainer(**settings)
    resumed.load(file)
    assert resumed.epoch == 2
    np.testing.assert_array_equal(classifier.input_synapses.w[:], resumed.values[0])
    history = resumed.train(words, epochs=4, checkpoint=file)
    assert_same_bits(resumed.values, whole.values)
    pd.testing.assert_frame_equal(
        history.drop(columns="seconds"), whole.history.drop(columns="seconds"), check_exact=True
    )


def test_an_interrupted_epoch_leaves_no_trace():
    words = make_words(20)
    whole, _ = make_trainer()
    whole.train(words, epochs=2)
    trainer, _ = make_trainer()
    trainer.train(words, epochs=1)
    batch, calls = trainer.batch, []

    def interrupted(*arguments, **settings):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return batch(*arguments, **settings)

    trainer.batch = interrupted
    with pytest.raises(KeyboardInterrupt):
        trainer.train(words, epochs=2)
    assert trainer.epoch == 1
    trainer.batch = batch
    trainer.train(words, epochs=2)
    assert_same_bits(trainer.values, whole.values)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"batch_size": 4}, "batch_size was 8, now 4"),
        ({"seed": 4}, "seed was 3, now 4"),
        ({"clip": 1.0}, "clip was None, now"),
        ({"optimiser": Adam(0.5)}, "optimiser was"),
        ({"schedule": CosineSchedule()}, "schedule was"),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused(tmp_path, settings, named):
    file = tmp_path / "checkpoint.npz"
    make_trainer()[0].save(file)
    with pytest.raises(ValueError, match=f"belongs to a run with other settings: {named}"):
        make_trainer(**settings)[0].load(file)


@pytest.mark.parametrize(("what", "message"), [("slopes", "slope of input_synapses_w"), ("losses", "loss")])
def test_numbers_that_are_not_finite_end_the_training(what, message):
    trainer, _ = make_trainer()
    batch, start = trainer.batch, trainer.values

    def broken(*arguments, **settings):
        result = batch(*arguments, **settings)
        (result.slopes[0] if what == "slopes" else result.losses)[0] = np.nan
        return result

    trainer.batch = broken
    with pytest.raises(FloatingPointError, match=f"The {message} is not finite in epoch 1"):
        trainer.train(make_words(8), epochs=1)
    assert trainer.values is start
    assert trainer.epoch == 0


def test_evaluation_by_speaker():
    trainer, _ = make_trainer()
    words = make_words(30)
    evaluation = trainer.evaluate(words)
    right = evaluation.predictions == evaluation.labels
    np.testing.assert_array_equal(evaluation.labels, [word.label for word in words])
    assert evaluation.accuracy == pytest.approx(right.mean(), rel=1e-15)
    assert evaluation.accuracy_by_speaker == {0: right[::2].mean(), 1: right[1::2].mean()}


def test_silent_neurons_are_counted_and_lifted():
    trainer, classifier = make_trainer()
    words = make_words(8)
    values = trainer.gradient.values()
    values[0] = np.tile(np.where(np.arange(5) < 2, 0.0, 0.8), 12)
    trainer.gradient.write(values)
    trainer.restart()
    assert trainer.train(words, epochs=1)["silent_share_hidden"][0] == 0.4
    lifted, lifted_classifier = make_trainer()
    lifted.gradient.write(values)
    floor = ActivityFloor(lifted_classifier.input_synapses.w, minimum=1.0, lift=0.25)
    lifted, _ = make_trainer(floor=floor)
    lifted.gradient.write(values)
    lifted.restart()
    assert lifted.train(words, epochs=1)["lifted_neurons"][0] == 2
    weights = lifted.values[0].reshape(12, 5)
    np.testing.assert_array_equal(weights[:, :2], 0.25)
    np.testing.assert_array_equal(weights[:, 2:], trainer.values[0].reshape(12, 5)[:, 2:])


def test_progress_is_reported():
    lines = []
    trainer, _ = make_trainer()
    trainer.train(make_words(16), epochs=2, report=lines.append, report_period=0 * ms)
    assert [line.split(":")[0] for line in lines] == [
        "Epoch 1 of 2, 50%",
        "Epoch 1 of 2, 100%",
        "Epoch 1 of 2",
        "Epoch 2 of 2, 50%",
        "Epoch 2 of 2, 100%",
        "Epoch 2 of 2",
    ]
    assert all("left" in line for line in lines)


def test_settings_that_make_no_sense():
    with pytest.raises(ValueError, match="The batch size is a whole number, 1 or more; 0 was given"):
        make_trainer(batch_size=0)
    with pytest.raises(DimensionMismatchError, match="The step size of input_synapses_w"):
        make_trainer(optimiser=Adam(1 * ms))
    trainer, _ = make_trainer()
    with pytest.raises(ValueError, match="There are no samples to train on"):
        trainer.train([], epochs=1)
    trainer.train(make_words(4), epochs=2)
    with pytest.raises(ValueError, match="2 epochs are already done, more than the 1 asked for"):
        trainer.train(make_words(4), epochs=1)
