import json

import pytest

from brian_qif.cli import main
from brian_qif.protocols.benchmark import measure_speed

SMALL = {"inputs": 20, "hidden": 6, "outputs": 3, "events": 200, "samples": 6}


@pytest.mark.parametrize("neuron", ["lif", "qif"])
def test_figures(neuron):
    figures = measure_speed(neuron, **SMALL)
    assert 0 < figures["forward_ms"] < figures["gradient_ms"]
    assert figures["gradient_norm"] > 0
    assert 2 <= figures["mean_spikes_per_hidden_neuron"] <= 15
    assert figures["min_spikes_per_hidden_neuron"] > 0
    assert (figures["dtype"], figures["threads"], figures["loss"]) == ("float64", 1, "CrossEntropyLoss")


def test_command(capsys):
    sizes = [text for name, value in SMALL.items() for text in (f"--{name}", str(value))]
    assert main(["bench", "--neuron", "lif", "--json", *sizes]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert {"forward_ms", "gradient_ms", "threads", "versions"} <= set(figures)
    assert {name: figures[name] for name in SMALL} == SMALL
    assert main(["bench", *sizes]) == 0
    table = capsys.readouterr().out
    assert "forward ms" in table
    assert "version of brian2" in table


def test_settings_that_make_no_sense(capsys):
    assert main(["bench", "--samples", "0"]) == 2
    assert capsys.readouterr().err == "brian-qif bench: error: 'samples' has to be at least 1, not 0.\n"
    with pytest.raises(ValueError, match="There is no neuron 'adex' here; there are lif, qif"):
        measure_speed("adex")
