"""Reports on a long computation, in the manner of Brian2's ``report`` argument."""

from __future__ import annotations

import sys
import time

from brian2 import check_units, second


class Progress:
    """Says every now and then how far a computation is and how long it will still take.

    Parameters
    ----------
    report : None, 'text', 'stdout', 'stderr' or callable
        Where to: nowhere, standard output, standard error, or a function of one line of text.
    period : Quantity
        The shortest time between two reports within an epoch.

    Raises
    ------
    ValueError
        If the report is none of these.
    """

    @check_units(period=second)
    def __init__(self, report=None, period=10 * second):
        streams = {"text": "stdout", "stdout": "stdout", "stderr": "stderr"}
        if not (report is None or callable(report) or (isinstance(report, str) and report in streams)):
            raise ValueError(f"A report goes to None, 'text', 'stdout', 'stderr' or a function, not to {report!r}.")
        self._report, self._stream = report, streams.get(report) if isinstance(report, str) else None
        self._period = float(period)
        self._begin = self._last = time.perf_counter()

    def line(self, text):
        """Report one line now."""
        self._last = time.perf_counter()
        if callable(self._report):
            self._report(text)
        elif self._stream is not None:
            # Looked up at each line, as Brian2 does, so that a stream that was replaced meanwhile is used.
            stream = getattr(sys, self._stream)
            stream.write(text + "\n")
            stream.flush()

    def start(self):
        """Count the time of the estimate from now on."""
        self._begin = self._last = time.perf_counter()

    def update(self, text, done):
        """Report one line with the time left, unless the last one is too recent.

        Parameters
        ----------
        text : str
            What is being done.
        done : float
            The share of the whole that is done since the start, between 0 and 1.
        """
        if time.perf_counter() - self._last >= self._period:
            self.line(f"{text}, {self.time_left(done)}")

    def time_left(self, done):
        """The estimated time left, in words."""
        if done <= 0:
            return "time left unknown"
        elapsed = time.perf_counter() - self._begin
        return f"about {in_words(elapsed * (1 - done) / done)} left"


def in_words(seconds):
    """A span of time for people, such as '1 min 20 s'."""
    seconds = int(round(seconds))
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"
