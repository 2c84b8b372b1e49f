"""Loss landscapes: against single evaluations, the theory and finer looks; interrupted, spread out, and refused."""

import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from brian_qif import SpikeGradient, load_network
from brian_qif.cli import main
from brian_qif.protocols.discontinuities import order_swaps, scan_line
from brian_qif.protocols.landscape_findings import Plan
from brian_qif.protocols.landscape_pieces import GRID, LINES, compared, positions
from brian_qif.protocols.landscape_subject import probe_of, read_subjects
from brian_qif.protocols.loss_landscape import landscape
from brian_qif.protocols.loss_line import LossLine, Moment
from brian_qif.protocols.reproduction_studies import landscape_section
from brian_qif.protocols.shd_training import train_on_recordings
from brian_qif.training.checkpoints import read_checkpoint, write_checkpoint
from tests.training.spike_files import write_pattern_file, write_spike_file

SMALL = {"grid": 5, "samples": 4, "lines": 1, "line_extent": 0.8, "line_points": 11, "directions": 3, "cells": 4}
SMALL["pairs"] = 2
TABLES = ("grid.csv", "samples.csv.gz", "changes.csv", "summary.json", "report.html")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    train = write_pattern_file(folder / "train.h5", 0, 40)
    # Spikes as they are in the file, which lasts for 34 ms: delay lines would be far longer.
    raw = {"taps": 1, "time_step": 0.0}
    settings = {"train": train, "test": train, "inputs": 12, "batch_size": 8, "learning_rate": 0.02, "epochs": 3}
    settings["config"] = raw
    for neuron in ("lif", "qif"):
        train_on_recordings(out=folder / neuron, neuron=neuron, hidden=6, **settings)
    train_on_recordings(out=folder / "wide", neuron="lif", hidden=7, **settings)
    return folder


@pytest.fixture(scope="module")
def studied(runs):
    folder = runs / "study"
    summary = landscape(runs / "lif", runs / "qif", runs / "train.h5", folder, dtype="float64", threads=1, **SMALL)
    return summary, folder


def subjects_of(runs, **settings):
    settings = {"samples": SMALL["samples"], **settings}
    return read_subjects([runs / "lif", runs / "qif"], runs / "train.h5", **settings)[0]


def gradient_of(run):
    trained = load_network(run)
    gradient = SpikeGradient(trained.network, trained.loss, trained.parameters, namespace={})
    return trained, gradient


@pytest.mark.parametrize("number", [0, 1])
def test_the_grid_holds_what_single_evaluations_give(runs, studied, number):
    subject = subjects_of(runs)[number]
    trained, gradient = gradient_of(subject.run)
    directions = [probe_of(subject).direction(GRID, k) for k in (0, 1)]
    places, table = positions(5, 1.0), pd.read_csv(studied[1] / "grid.csv")
    own = table[table["network"] == subject.label].set_index(["row", "column"])
    for row, column in ((0, 3), (2, 2), (4, 0)):
        corner = [v + places[row] * u for v, u in zip(gradient.values(), directions[1], strict=True)]
        moments = [
            LossLine(gradient, trained.stimulus, subject.duration, sample, corner, directions[0])(places[column])
            for sample in subject.samples
        ]
        found = own.loc[row, column]
        assert found["loss"] == pytest.approx(np.mean([moment.loss for moment in moments]), rel=1e-12)
        assert found["slope_x"] == pytest.approx(np.mean([moment.slope for moment in moments]), rel=1e-9)
        spikes = np.mean([len(moment.trains["hidden"][0]) for moment in moments])
        assert found["spikes_per_neuron"] == pytest.approx(spikes / 6, rel=1e-12)
    assert (own.loc[2, 2]["x"], own.loc[2, 2]["y"]) == (0, 0)
    right = trained.classify(subject.samples)[0].argmax(axis=1) == [sample.label for sample in subject.samples]
    assert studied[0]["networks"][subject.label]["accuracy_at_the_network"] == np.mean(right)


def test_both_networks_get_the_same_directions(runs):
    lif, qif = (probe_of(subject) for subject in subjects_of(runs, normalise="none"))
    for key in ((GRID, 0), (GRID, 1), (LINES, 0)):
        for one, other in zip(lif.direction(*key), qif.direction(*key), strict=True):
            np.testing.assert_array_equal(one, other)
    scaled = [probe_of(subject).direction(GRID, 0)[0].reshape(12, 6) for subject in subjects_of(runs)]
    np.testing.assert_allclose((scaled[0] / scaled[1]).std(axis=0), 0, atol=1e-9)  # one factor per neuron
    sizes = [np.linalg.norm(subject.values[0].reshape(12, 6), axis=0) for subject in subjects_of(runs)]
    np.testing.assert_allclose([np.linalg.norm(own, axis=0) for own in scaled], sizes, rtol=1e-12)


def test_jumps_inside_the_trial_are_those_of_lif_networks(studied):
    summary, folder = studied
    changes = pd.read_csv(folder / "changes.csv")
    qif, lif = summary["networks"]["QIF"], summary["networks"]["LIF"]
    assert qif["jumps_inside_trial"] == qif["changes_inside_trial"] == 0
    assert qif["jump_cells_share"] == 0
    assert lif["jumps_inside_trial"] > 0
    for label, own in summary["networks"].items():
        rows = changes[changes["network"] == label]
        jumps = rows[(rows["kind"] != "unresolved") & (rows["jump"] != 0)]
        assert own["jumps_inside_trial"] + own["jumps_at_end"] == len(jumps)
        assert own["jumps_per_unit_length"] == pytest.approx(len(jumps) / 1.6)
        carried = jumps["jump"].abs().sum() / own["variation_of_lines"]
        assert own["jump_share_of_variation"] == pytest.approx(carried, rel=1e-9) and carried <= 1
    assert f"{lif['jumps_inside_trial']} inside the trial" in summary["statements"][0]


def test_a_look_ten_times_finer_finds_no_jump_that_was_missed(runs):
    subject = subjects_of(runs)[0]
    trained, gradient = gradient_of(subject.run)
    direction = probe_of(subject).direction(LINES, 1)
    line = LossLine(gradient, trained.stimulus, subject.duration, subject.samples[1], gradient.values(), direction)
    found = [scan_line(line, -0.8, 0.8, points) for points in (31, 301)]
    places = [np.array([change.position for change in scan.changes if change.jump]) for scan in found]
    assert len(places[0]) == len(places[1]) > 0
    np.testing.assert_allclose(places[0], places[1], atol=1e-11)
    # A dense sampling that is no scan: a step without a located jump is the steep, continuous loss beside a spike that
    # has just appeared, and falls with the width of the interval, at the slowest with its root.
    dense = np.linspace(-0.8, 0.8, 3001)
    steps = np.abs(np.diff([line(place, with_slope=False).loss for place in dense]))
    steps[np.searchsorted(dense, places[0]) - 1] = 0
    assert np.count_nonzero(steps > 1e-3) > 0
    for k in np.flatnonzero(steps > 2e-3):  # twice the tolerance of the scan
        finer = [line(place, with_slope=False).loss for place in np.linspace(dense[k], dense[k + 1], 101)]
        assert np.max(np.abs(np.diff(finer))) < 0.3 * steps[k]


def test_spike_trains_are_compared_neuron_by_neuron():
    def train(*units):
        return np.array(units), np.bincount(units, minlength=4)

    assert compared(train(0, 1, 2), train(0, 1, 2)) == (0, 0.0)
    assert compared(train(0, 1, 2), train(2, 1, 0)) == (0, 4 / 3)
    assert compared(train(0, 1, 0, 2), train(0, 0, 1, 2)) == (0, 0.5)
    assert compared(train(0, 3, 1), train(1, 0)) == (1, 1.0)
    assert compared(train(3), train(0)) == (2, 0.0)


def test_the_report_needs_no_other_file(studied):
    summary, folder = studied
    text = (folder / "report.html").read_text("utf-8")
    assert re.findall(r'(?:src|href)="(?!data:)', text) == []
    pictures = [name for name in summary["files"] if name.endswith(".png")]
    assert len(pictures) == 8 and text.count("data:image/png;base64,") == 8
    assert all((folder / name).stat().st_size > 0 for name in summary["files"])
    version = f"brian2 {summary['versions']['brian2']}"
    for said in (*summary["statements"], "published ratio", "<td>seed</td><td>0</td>", version):
        assert said in html.unescape(text)
    assert json.loads((folder / "summary.json").read_text("utf-8")) == json.loads(json.dumps(summary))


def test_the_tables_are_tidy(studied):
    summary, folder = studied
    grid, samples = pd.read_csv(folder / "grid.csv"), pd.read_csv(folder / "samples.csv.gz")
    assert len(grid) == 2 * 25 and len(samples) == 2 * 25 * 4
    means = samples.groupby(["network", "row", "column"])["loss"].mean()
    np.testing.assert_allclose(means, grid.set_index(["network", "row", "column"])["loss"], rtol=1e-12)
    assert sorted(samples["sample"].unique()) == summary["data"]["samples"]
    lines = pd.read_csv(studied[1] / "lines.csv")
    (means, ours), own = lines[lines["sample"].isna()].groupby("network"), lines[lines["sample"].notna()]
    assert len(means[1]) == len(ours[1]) == 5 and own["position"].abs().max() == 0.8
    at_the_network = lines[lines["sample"].isna() & (lines["position"] == 0)].set_index("network")["loss"]
    for label, found in summary["networks"].items():
        assert at_the_network[label] == pytest.approx(found["loss_at_the_network"], rel=1e-12)


def test_single_precision_draws_the_same_picture(runs, studied, tmp_path):
    sizes = {**SMALL, "lines": 0, "directions": 0, "cells": 0}
    landscape(runs / "qif", None, runs / "train.h5", tmp_path / "out", threads=1, **sizes)
    double = pd.read_csv(studied[1] / "grid.csv").query("network == 'QIF'")
    single = pd.read_csv(tmp_path / "out" / "grid.csv")
    # Rounding of 6e-8, times the sensitivity of the trajectories.
    np.testing.assert_allclose(single["loss"], double["loss"], rtol=1e-3)


def command_of(runs, out, *more):
    sizes = [part for name, value in SMALL.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    files = [str(runs / "lif"), str(runs / "qif"), "--test", str(runs / "train.h5"), "--out", str(out)]
    return ["landscape", *files, *sizes, "--dtype", "float64", *more]


def test_killed_at_a_random_moment_it_goes_on_to_the_same_bits(runs, studied, tmp_path):
    generator = np.random.default_rng()
    least, more = int(generator.integers(1, 20)), generator.uniform(0, 0.1)
    out, pieces = tmp_path / "killed", tmp_path / "killed" / "pieces"
    command = [sys.executable, "-m", "brian_qif.cli", *command_of(runs, out, "--threads", "2")]
    environment = {**os.environ, "PYTHONPATH": ""}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True, stdout=subprocess.PIPE)
    until = time.monotonic() + 240
    while len(list(pieces.glob("*/*.npz"))) < least and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(more)
    assert process.poll() is None, "it ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {file: file.stat().st_mtime_ns for file in pieces.glob("*/*.npz")}
    total = sum(len(Plan(5, 1.0, 1, 0.8, 11, 3, 4, 2, "float64").pieces(one)) for one in subjects_of(runs))
    assert least <= len(kept) < total
    assert not (out / "summary.json").exists()
    assert main(command_of(runs, out, "--threads", "2")) == 0
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    for name in TABLES:
        assert (out / name).read_bytes() == (studied[1] / name).read_bytes(), (name, least, more)


def test_the_workers_of_a_dask_scheduler_give_the_same_bits(runs, studied, tmp_path):
    distributed = pytest.importorskip("distributed")
    settings = {"n_workers": 1, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": None}
    with distributed.LocalCluster(processes=True, **settings) as cluster:
        assert main(command_of(runs, tmp_path / "out", "--scheduler", cluster.scheduler_address)) == 0
    for name in TABLES:
        assert (tmp_path / "out" / name).read_bytes() == (studied[1] / name).read_bytes(), name


def test_a_scheduler_that_is_not_there_is_named(runs, tmp_path, monkeypatch, capsys):
    command = command_of(runs, tmp_path / "out", "--scheduler", "tcp://127.0.0.1:1")
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "distributed", None)
        assert main(command) == 2
    assert "pip install 'brian_qif[cluster]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"grid": 4},
            "'grid' has to be odd and at least 3, so that the network itself is a point, not 4; 5 is the next",
        ),
        (
            {"grid": 1},
            "'grid' has to be odd and at least 3, so that the network itself is a point, not 1; 3 is the next",
        ),
        ({"samples": 41}, "has 40 samples; 1 to 40 can be drawn, or all, not 41"),
        ({"pick": [3, 40]}, "picked by numbers from 0 to 39, each once"),
        ({"extent": 0.0}, "'extent' has to be positive and finite, not 0.0"),
        ({"threads": 0}, "'threads' has to be at least 1, not 0"),
        ({"line_points": 5}, "'line_points' has to be at least 11, not 5"),
        ({"test": None}, "was not tested on the digits of the package; name the file of its samples by --test"),
        ({"other": "wide"}, "has hidden 7, .* has 6: their parameters are not the same, so no direction is"),
        ({"run": "nowhere"}, "holds no run: settings.json is missing"),
        ({"grid": 7, "out": "study"}, "belongs to a run with other settings: grid was 5, now 7"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(runs, studied, tmp_path, settings, said):
    chosen = {**SMALL, "run": "lif", "other": None, "test": runs / "train.h5", "out": tmp_path / "out", **settings}
    for name in ("run", "other", "out"):
        chosen[name] = runs / chosen[name] if isinstance(chosen[name], str) else chosen[name]
    with pytest.raises((ValueError, OSError), match=said):
        landscape(**chosen, threads=1) if "threads" not in settings else landscape(**chosen)


def test_a_folder_without_its_network_and_one_that_diverged_are_refused(runs, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "settings.json").write_text((runs / "lif" / "settings.json").read_text("utf-8"), "utf-8")
    with pytest.raises(FileNotFoundError, match="holds no run: checkpoint.npz is missing"):
        landscape(broken, test=runs / "train.h5", out=tmp_path / "out")
    arrays, description = read_checkpoint(runs / "lif" / "checkpoint.npz")
    arrays["value_0"][3] = np.nan
    write_checkpoint(broken / "checkpoint.npz", arrays, description)
    with pytest.raises(ValueError, match="has weights that are not finite: the training diverged"):
        landscape(broken, test=runs / "train.h5", out=tmp_path / "out")


def test_the_same_spikes_with_other_labels_have_another_loss(runs):
    subject = subjects_of(runs)[0]
    turned = [replace(sample, label=(sample.label + 1) % 3) for sample in subject.samples]
    losses = [probe_of(own).at().trial(0).loss for own in (subject, replace(subject, samples=turned))]
    assert losses[0] != losses[1]


def test_labels_that_mean_something_else_are_refused(runs, tmp_path):
    keys = (b"zero", b"two", b"one")
    other = write_spike_file(tmp_path / "other.h5", [[0.01]] * 4, [[1]] * 4, [0, 1, 2, 0], keys=keys)
    with pytest.raises(ValueError, match="other.h5' calls class 1 'two', but '.*lif' learned it as 'one'"):
        landscape(runs / "lif", test=other, out=tmp_path / "out", threads=1, **SMALL)
    assert not (tmp_path / "out").exists()


def test_a_network_that_is_silent_everywhere_is_drawn(runs, tmp_path):
    arrays, description = read_checkpoint(runs / "lif" / "checkpoint.npz")
    shutil.copytree(runs / "lif", tmp_path / "silent")
    arrays["value_0"] *= 1e-6
    write_checkpoint(tmp_path / "silent" / "checkpoint.npz", arrays, description)
    numbers = {**SMALL, "grid": np.int64(3), "pairs": np.int32(2), "seed": np.int64(0), "lines": 0}
    summary = landscape(tmp_path / "silent", None, runs / "train.h5", threads=1, **numbers)
    assert summary["networks"]["LIF"]["lipschitz_p95"] == 0 and summary["settings"]["grid"] == 3
    assert (tmp_path / "silent" / "landscape" / "report.html").exists()
    section = landscape_section(SimpleNamespace(studies={"landscape": summary}, folder=tmp_path))
    assert section.table["LIF"].tolist() == ["0", "0", *4 * [""]]


def test_a_loss_that_is_not_finite_is_named(runs, tmp_path):
    with pytest.raises((FloatingPointError, RuntimeError), match="finite|no bound"):
        landscape(runs / "lif", None, runs / "train.h5", tmp_path / "out", extent=1e300, threads=1, **SMALL)


def test_places_moved_follow_pairs_that_were_swapped():
    # Diaconis and Graham (1977): the sum of displacements lies between the number of swapped pairs and its double.
    generator = np.random.default_rng(0)
    times, units = np.arange(60.0), generator.integers(6, size=60)
    order = np.argsort(times + generator.normal(scale=3, size=60), kind="stable")
    one, other = (Moment(0.0, 0.0, 0.0, {"hidden": (times, own)}) for own in (units, units[order]))
    counts = np.bincount(units, minlength=6)
    moved = compared((units, counts), (units[order], counts))[1] * 60
    assert 0 < order_swaps(one, other) <= moved <= 2 * order_swaps(one, other)
