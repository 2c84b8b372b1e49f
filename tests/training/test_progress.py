import pytest
from brian2 import ms, mV, second
from brian2.units.fundamentalunits import DimensionMismatchError

from brian_qif.training.progress import Progress, in_words


@pytest.mark.parametrize(("report", "stream"), [("text", "out"), ("stdout", "out"), ("stderr", "err")])
def test_lines_go_where_they_are_wanted(capsys, report, stream):
    Progress(report).line("Half of it")
    written = capsys.readouterr()
    assert getattr(written, stream) == "Half of it\n"
    assert getattr(written, "err" if stream == "out" else "out") == ""


def test_silence(capsys):
    Progress(None).line("Half of it")
    assert capsys.readouterr() == ("", "")


def test_lines_within_the_period_are_left_out():
    lines = []
    seldom = Progress(lines.append, 1000 * second)
    seldom.update("Half of it", 0.5)
    assert lines == []
    Progress(lines.append, 0 * ms).update("Half of it", 0.5)
    assert lines == ["Half of it, about 0 s left"]


def test_nothing_is_known_at_the_start():
    assert Progress().time_left(0) == "time left unknown"


@pytest.mark.parametrize(("seconds", "words"), [(12.4, "12 s"), (80, "1 min 20 s"), (7260, "2 h 1 min")])
def test_spans_of_time(seconds, words):
    assert in_words(seconds) == words


def test_what_is_refused():
    with pytest.raises(
        ValueError, match="A report goes to None, 'text', 'stdout', 'stderr' or a function, not to 'log'"
    ):
        Progress("log")
    with pytest.raises(DimensionMismatchError):
        Progress("text", 1 * mV)
