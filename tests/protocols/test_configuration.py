"""Configurations of ``brian-qif train --config``."""

import json
from dataclasses import replace

import pytest

from brian_qif.protocols.configuration import configured_recipe
from brian_qif.protocols.recipes import recipe_of
from brian_qif.protocols.shd_training import train_on_recordings
from tests.training.spike_files import write_pattern_file


def test_values_take_the_place_of_the_recipe(tmp_path):
    path = tmp_path / "best.json"
    path.write_text(json.dumps({"tau_m": 0.013, "batch_size": 4, "gain": 7}), "utf-8")
    recipe, own = configured_recipe(path, "lif", inputs=70), recipe_of("lif", inputs=70)
    assert (recipe.tau_m, recipe.batch_size, recipe.gain) == (0.013, 4, 7.0)
    assert (recipe.clip, recipe.lift) == (own.clip, own.lift)
    assert configured_recipe(None, "lif", inputs=70) == own


def test_the_command_line_wins():
    config = {"learning_rate": 0.01, "readout_learning_rate": 0.03, "batch_size": 4}
    recipe = configured_recipe(config, "qif", batch_size=9, learning_rate=0.02)
    assert (recipe.batch_size, recipe.learning_rate) == (9, 0.02)
    assert recipe.readout_learning_rate == pytest.approx(0.06, rel=1e-12)


@pytest.mark.parametrize("neuron", ["lif", "qif"])
@pytest.mark.parametrize("output", ["maximum", "first spike"])
def test_every_output_begins_with_settings_of_its_own(neuron, output):
    own = recipe_of(neuron, output=output)
    assert own.output == output and own.output_mean > 0 and own.readout_tau_m > recipe_of(neuron).readout_tau_m
    assert configured_recipe({"output": output}, neuron) == own
    assert configured_recipe(None, neuron, output=output) == own
    assert configured_recipe({"output": "average", "tau_m": 0.013}, neuron, output=output) == replace(own, tau_m=0.013)
    # Step sizes follow the number of channels as those of averages do.
    narrow, usual = recipe_of(neuron, inputs=70, output=output), recipe_of(neuron, inputs=70)
    ratio = own.learning_rate / recipe_of(neuron).learning_rate
    assert narrow.learning_rate == pytest.approx(ratio * usual.learning_rate, rel=1e-12)


def test_several_layers_begin_with_settings_of_their_own():
    one, two = (configured_recipe(None, "qif", layers=layers) for layers in (1, 2))
    assert (one.ceiling, two.ceiling, two.clip) == (0.0, 15.0, 1.0) and two == replace(one, ceiling=15.0, clip=1.0)
    assert configured_recipe(None, "lif", layers=2) == configured_recipe(None, "lif")
    assert configured_recipe({"clip": 2.0, "ceiling": 0.0}, "qif", layers=2) == replace(one, clip=2.0)


def test_an_output_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="There is no output 'loudest' here; there are average, maximum"):
        configured_recipe({"output": "loudest"}, "qif")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"tau_n": 1, "hidden": 3}', "has hidden, tau_n, which no recipe has; there are tau_m, learning_rate"),
        ('{"batch_size": 2.5}', "gives batch_size the value 2.5; it has to be a whole number"),
        ('{"tau_m": "20*ms"}', "gives tau_m the value '20\\*ms'; it has to be a finite number"),
        ('{"tau_m": NaN}', "gives tau_m the value nan; it has to be a finite number"),
        ('{"tau_m": true}', "gives tau_m the value True; it has to be a finite number"),
        ("{", "is not JSON"),
        ("[1]", "has to hold one object"),
    ],
)
def test_what_is_refused(tmp_path, text, message):
    path = tmp_path / "config.json"
    path.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=message):
        configured_recipe(path, "qif")
    with pytest.raises(FileNotFoundError, match="There is no configuration"):
        configured_recipe(tmp_path / "none.json", "qif")


def test_a_training_uses_it(tmp_path):
    train = write_pattern_file(tmp_path / "train.h5", 0, 20)
    summary = train_on_recordings(
        train=train, test=train, out=tmp_path / "out", inputs=12, hidden=5, epochs=1, config={"tau_m": 0.013}
    )
    assert summary["settings"]["tau_m"] == 0.013
    assert summary["settings"]["batch_size"] == recipe_of("qif").batch_size
