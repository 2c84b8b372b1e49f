"""What ``brian-qif perturb`` finds, writes and refuses."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from brian2 import ms

from brian_qif import EventSolver, SpikeFunctionLoss
from brian_qif.cli import main
from brian_qif.protocols.balanced_network import build_balanced_network
from brian_qif.protocols.run_folder import fingerprint
from brian_qif.protocols.spike_perturbation import network_of_run, perturb, perturb_network
from tests.training.spike_files import write_pattern_file

RUN = ["--hidden", "5", "--batch-size", "8", "--epochs", "2"]
# Spikes as they are in the file, which lasts for 34 ms: delay lines would be far longer.
RAW = {"taps": 1, "time_step": 0.0}
SMALL = {"samples": 2, "repeats": 2, "sizes": (1e-6, 1e-3), "distances": ()}


@pytest.fixture(scope="module", params=["lif", "qif"])
def place(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(f"perturbation_{request.param}")
    train = write_pattern_file(folder / "train.h5", 0, 24)
    test = write_pattern_file(folder / "test.h5", 1, 6)
    (folder / "raw.json").write_text(json.dumps(RAW))
    files = ["--train", str(train), "--test", str(test), "--inputs", "12", "--neuron", request.param]
    assert main(["train", *files, *RUN, "--config", str(folder / "raw.json"), "--out", str(folder / "run")]) == 0
    return folder


def tables(folder):
    return [pd.read_csv(folder / f"{name}.csv") for name in ("perturbations", "changes", "courses")]


def test_a_shift_of_input_spikes(place, tmp_path):
    summary = perturb(place / "run", place / "test.h5", tmp_path / "out", **SMALL)
    perturbations, changes, courses = tables(tmp_path / "out")
    assert len(perturbations) == 2 * 2 * 3  # samples, repeats, and sizes with the control
    assert summary["found"]["largest_difference_without_perturbation"] == 0
    control = perturbations[perturbations["control"]]
    assert (control["loss_change"] == 0).all() and (control["size"] == 0).all()
    small = perturbations[perturbations["size"] == 1e-6]
    np.testing.assert_allclose(small["loss_change"], small["loss_change_linear"], rtol=0.02, atol=1e-9)
    own = changes[(changes["size"] > 0) & (changes["response_layer"] == "stimulus")]
    assert (own["shifted"] == 1).all() and (own["first_after"].abs() < 1e-15).all()
    np.testing.assert_allclose(own["largest_shift"], own["size"], rtol=1e-9)
    assert set(courses["response_layer"]) == {"hidden", "readout"}
    first = courses[courses["size"] == 1e-3].groupby("response_layer")["perturbations"].first()
    assert (first == 4).all()
    order = pd.read_csv(tmp_path / "out" / "rank_order.csv")
    assert list(order["time_before"].rank()) == list(order["rank_before"] + 1)
    assert list(order["time_after"].rank()) == list(order["rank_after"] + 1)
    example = changes[(changes["sample"] == 0) & (changes["repeat"] == 0) & (changes["size"] == 1e-3)]
    (hidden,) = example[example["response_layer"] == "hidden"].itertuples()
    assert (order["rank_before"] != order["rank_after"]).sum() == hidden.moved_in_rank
    for name in ("raster", "rank_order", "distance", "dose_response", "layers"):
        assert (tmp_path / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "out" / "summary.json").read_text("utf-8")) == summary
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert page.count("data:image/png;base64,") == 5 and 'src="http' not in page
    assert "seed 0" in page and f"brian2 {summary['versions']['brian2']}" in page


@pytest.mark.parametrize("kind", ["add", "delete", "weight"])
def test_other_kinds_of_hidden_changes(place, tmp_path, kind):
    options = {**SMALL, "sizes": (1e-4, 1e-2) if kind == "weight" else None}
    summary = perturb(place / "run", place / "test.h5", tmp_path / "out", kind, "hidden", **options)
    perturbations, changes, _ = tables(tmp_path / "out")
    assert len(perturbations) == (12 if kind == "weight" else 4)
    assert (changes[changes["response_layer"] == "hidden"]["victor_purpura"] == 0).all()  # nobody tells them
    moved = perturbations[~perturbations["control"]]["loss_change"]
    assert (moved != 0).any()
    assert summary["found"]["perturbations"] == (8 if kind == "weight" else 4)


def test_the_same_numbers_again(place, tmp_path):
    options = {**SMALL, "seed": 3, "layer": "hidden"}
    perturb(place / "run", place / "test.h5", tmp_path / "whole", **options)
    perturb(place / "run", place / "test.h5", tmp_path / "threads", threads=2, **options)
    shutil.copytree(tmp_path / "whole", tmp_path / "half")
    next((tmp_path / "half" / "pieces").iterdir()).unlink()
    (tmp_path / "half" / "summary.json").unlink()
    perturb(place / "run", place / "test.h5", tmp_path / "half", **options)
    for name in ("perturbations.csv", "changes.csv", "courses.csv", "summary.json"):
        expected = (tmp_path / "whole" / name).read_bytes()
        assert (tmp_path / "half" / name).read_bytes() == expected == (tmp_path / "threads" / name).read_bytes()
    with pytest.raises(ValueError, match="other settings: seed was 3, now 4"):
        perturb(place / "run", place / "test.h5", tmp_path / "whole", **{**options, "seed": 4})


def test_a_folder_is_of_one_network_one_loss_and_one_solver(tmp_path):
    numbers = {"sizes": (1e-6,), "repeats": 1, "distances": ()}

    def study(degree, power=2, **more):
        network = build_balanced_network("qif", size=20, degree=degree, duration=200 * ms)
        loss = SpikeFunctionLoss(network["neurons"], lambda t, i: (np.sum(t**power), power * t ** (power - 1)))
        return perturb_network(network, 200 * ms, "neurons", tmp_path, loss=loss, **numbers, **more)

    assert study(5)["found"] == study(5)["found"]
    with pytest.raises(ValueError, match="other settings: loss was 'SpikeFunctionLoss, .* of the first sample', now"):
        study(5, power=3)
    with pytest.raises(ValueError, match="belongs to a run with other settings: network was"):
        study(8)
    with pytest.raises(ValueError, match="other settings: .*; solver was None, now"):
        study(5, solver=EventSolver(dtype="float32"))


def test_a_worker_that_has_another_run_says_so(place):
    run = str(place / "run")
    assert network_of_run(run, "hidden", fingerprint(place / "run" / "checkpoint.npz")).layer == "hidden"
    with pytest.raises(ValueError, match="run' is another run here than where the study was begun"):
        network_of_run(run, "hidden", "0" * 64)


def test_the_workers_of_a_dask_scheduler_give_the_same_bits(place, tmp_path):
    distributed = pytest.importorskip("distributed")
    perturb(place / "run", place / "test.h5", tmp_path / "here", **SMALL)
    settings = {"n_workers": 1, "threads_per_worker": 2, "host": "127.0.0.1", "dashboard_address": None}
    with distributed.LocalCluster(processes=True, **settings) as cluster:
        there = {**SMALL, "scheduler": cluster.scheduler_address}
        perturb(place / "run", place / "test.h5", tmp_path / "there", **there)
    for name in ("perturbations.csv", "changes.csv", "courses.csv", "summary.json"):
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def test_distances_and_parquet(place, tmp_path):
    for library in ("elephant", "pyspike", "pyarrow"):
        pytest.importorskip(library)
    options = {**SMALL, "distances": ("victor_purpura", "spike")}
    perturb(place / "run", place / "test.h5", tmp_path, table="parquet", **options)
    found = pd.read_csv(tmp_path / "spike_distances.csv")
    assert set(found["measure"]) == {"victor_purpura", "spike"} and set(found["size"]) == {1e-6, 1e-3}
    assert (tmp_path / "spike_distances.png").exists()
    assert len(pd.read_parquet(tmp_path / "perturbations.parquet")) == 12


def test_the_command(place, tmp_path, capsys):
    command = ["perturb", str(place / "run"), "--file", str(place / "test.h5"), "--out", str(tmp_path / "out")]
    small = ["--samples", "2", "--repeats", "1", "--sizes", "1e-5", "--distances", "--layer", "input"]
    assert main([*command, *small]) == 0
    shown = capsys.readouterr().out
    assert "loss_change_median" in shown and f"Written into '{tmp_path / 'out'}'" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--layer", "hidden_2"], "There is no spiking layer 'hidden_2'; there are stimulus, hidden."),
        (["--spike", "5000"], "counted from 0; there is no spike 5000."),
        (["--sizes", "1e-3", "0"], "Sizes have to be positive and finite, not 0."),
        (["--sizes", "-1"], "Sizes have to be positive and finite, not -1."),
        (["--samples", "0"], "'samples' has to be at least 1, not 0."),
        (["--samples", "7"], "has 6 samples, fewer than the 7 asked for."),
        (["--repeats", "0"], "'repeats' has to be at least 1, not 0."),
        (["--kind", "add", "--sizes", "1e-3"], "'add' has no size: a spike is there or not."),
        (["--kind", "add", "--spike", "1"], "'add' changes no spike that is there; leave 'spike' out."),
        (["--seed", "-1"], "'seed' has to be at least 0, not -1."),
        (["--threads", "0"], "'threads' has to be at least 1, not 0."),
        (["--scheduler", "nonsense://"], "No Dask scheduler answers at 'nonsense://'"),
    ],
)
def test_bad_input_is_refused_by_name(place, tmp_path, capsys, arguments, said):
    if "--scheduler" in arguments:
        pytest.importorskip("distributed")
    command = ["perturb", str(place / "run"), "--file", str(place / "test.h5"), "--out", str(tmp_path / "out")]
    assert main([*command, "--distances", *([] if "--samples" in arguments else ["--samples", "2"]), *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("extra", [["--recurrent"], ["--hidden", "5", "4"], ["--config", "FIRST"]])
def test_other_trained_networks(place, tmp_path, extra):
    first = tmp_path / "first.json"
    # Small steps: the readout still spikes as it did at the beginning.
    small = {"learning_rate": 1e-3, "readout_learning_rate": 1e-3}
    first.write_text(json.dumps({**RAW, **small, "output": "first spike"}))
    files = ["--train", str(place / "train.h5"), "--test", str(place / "test.h5"), "--inputs", "12"]
    extra = [str(first) if word == "FIRST" else word for word in extra]
    extra += [] if "--config" in extra else ["--config", str(place / "raw.json")]
    neuron = place.name.split("_")[1].rstrip("0123456789")
    assert main(["train", *files, "--neuron", neuron, *RUN, *extra, "--out", str(tmp_path / "run")]) == 0
    summary = perturb(tmp_path / "run", place / "test.h5", tmp_path / "out", "shift", "hidden", **SMALL)
    perturbations, changes, _ = tables(tmp_path / "out")
    assert summary["found"]["largest_difference_without_perturbation"] == 0
    small = perturbations[perturbations["size"] == 1e-6]
    assert (small["loss_change_linear"] != 0).any()
    np.testing.assert_allclose(small["loss_change"], small["loss_change_linear"], rtol=0.02, atol=1e-9)
    behind = "hidden" if "--recurrent" in extra else "hidden_2" if "--hidden" in extra else "readout"
    own = changes[(changes["response_layer"] == behind) & (changes["size"] == 1e-3)]
    assert (own["shifted"] > 0).any()


def test_no_run(tmp_path, capsys):
    assert main(["perturb", str(tmp_path)]) == 2
    assert "holds no run: settings.json is missing." in capsys.readouterr().err


def test_perturbations_heal_among_lif_neurons_and_grow_among_qif_neurons(tmp_path):
    rates = {}
    for neuron in ("lif", "qif"):
        network = build_balanced_network(neuron, size=60, degree=12, duration=500 * ms)
        summary = perturb_network(
            network, 500 * ms, "neurons", tmp_path / neuron, repeats=12, sizes=(1e-8,), distances=()
        )
        (row,) = [row for row in summary["found"]["by_layer"] if row["layer"] == "neurons"]
        rates[neuron] = row["growth_rate_median"]
    assert rates["lif"] < -5 and rates["qif"] > 5
