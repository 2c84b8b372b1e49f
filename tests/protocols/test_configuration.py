"""Configurations of ``brian-qif train --config``."""

import json

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
