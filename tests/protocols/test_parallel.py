"""Pieces of a study: kept one by one, computed by processes, threads and Dask, to the same numbers."""

import json
import os
import sys

import pytest

from brian_qif.protocols.parallel import claim_folder, run_pieces

PIECES = {f"piece_{k}": (k,) for k in range(4)}


def third_of(k):
    return {"value": k / 3, "where": os.getpid()}


def failing_at_two(k):
    if k == 2:
        raise ArithmeticError("two")
    return third_of(k)


def values(found):
    return {name: one["value"] for name, one in found.items()}


@pytest.mark.parametrize("how", [{"workers": 2}, {"workers": 2, "prefer": "threads"}])
def test_the_same_numbers_anywhere(tmp_path, how):
    here = run_pieces(third_of, PIECES, tmp_path / "here")
    there = run_pieces(third_of, PIECES, tmp_path / "there", **how)
    assert list(here) == list(there) == list(PIECES)
    assert values(here) == values(there) == {f"piece_{k}": k / 3 for k in range(4)}
    elsewhere = how.get("prefer") != "threads"
    assert all((one["where"] != os.getpid()) == elsewhere for one in there.values())


def test_what_is_finished_is_kept(tmp_path):
    with pytest.raises(ArithmeticError):
        run_pieces(failing_at_two, PIECES, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["piece_0.json", "piece_1.json"]
    (tmp_path / "piece_1.json").write_text(json.dumps({"value": "kept"}))
    lines = []
    found = run_pieces(third_of, PIECES, tmp_path, report=lines.append)
    assert values(found) == {"piece_0": 0.0, "piece_1": "kept", "piece_2": 2 / 3, "piece_3": 1.0}
    assert lines[0] == "2 of 4 are there already."
    assert lines[1].startswith("piece_2: 1 of 2 computed, about ") and lines[2] == "piece_3: 2 of 2 computed."


def test_a_dask_scheduler(tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        found = run_pieces(third_of, PIECES, tmp_path, scheduler=cluster.scheduler_address)
        assert cluster.scheduler.transition_counter >= len(PIECES)  # it had something to do
    assert values(found) == {f"piece_{k}": k / 3 for k in range(4)}


def test_dask_that_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"A scheduler needs Dask: pip install 'brian_qif\[cluster\]'."):
        run_pieces(third_of, PIECES, tmp_path, scheduler="tcp://127.0.0.1:1")


def test_a_folder_belongs_to_one_study(tmp_path):
    claim_folder(tmp_path / "study", {"seed": 1, "sizes": (1.0, 2.0)})
    claim_folder(tmp_path / "study", {"seed": 1, "sizes": (1.0, 2.0)})
    with pytest.raises(ValueError, match="other settings: seed was 1, now 2"):
        claim_folder(tmp_path / "study", {"seed": 2, "sizes": (1.0, 2.0)})
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="is a file; the output needs a folder"):
        claim_folder(tmp_path / "file", {})
    with pytest.raises(ValueError, match="'workers' has to be at least 1"):
        run_pieces(third_of, PIECES, tmp_path, workers=0)
