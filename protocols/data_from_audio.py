"""Turn recordings into spike trains, in the layout of the Spiking Heidelberg Digits."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from brian_qif import __version__
from brian_qif.data.hearing import hear
from brian_qif.data.sound import read_sound
from brian_qif.data.spike_file import write_spike_file
from brian_qif.training.progress import Progress

_TOGETHER = 4  # recordings per call of the chain
_COLUMNS = ("file", "label", "speaker")


def spikes_from_audio(files, out, labels, channels=700, seed=0, source=None, report=None):
    """Turn recordings into a file of labelled spike trains.

    Parameters
    ----------
    files : sequence of str or os.PathLike
        Recordings of one word each: WAV, or FLAC with the package soundfile. Several channels are mixed into one.
    out : str or os.PathLike
        The HDF5 file to be written.
    labels : str or os.PathLike
        A table (CSV) with the columns ``file`` and ``label`` and, if known, ``speaker``. ``file`` is a path as given in
        ``files``, or its last part alone where that is unambiguous. Labels are names of classes, or their numbers from
        0 on; speakers are numbers or names. Names are numbered in the order of the whole table: files that are made
        from parts of the same one, for training and test, have the same classes and speakers.
    channels : int
        The number of channels of the auditory chain.
    seed : int
        Decides everything random.
    source : str, optional
        Where the recordings come from, a sentence kept in the file.
    report : None, 'text', 'stderr' or callable
        Where progress is reported.

    Returns
    -------
    int
        The number of samples.

    Raises
    ------
    FileNotFoundError
        If a recording or the table is missing.
    FileExistsError
        If the output is there already.
    ModuleNotFoundError
        If a recording is no WAV file and soundfile is not installed.
    ValueError
        If a recording cannot be used, or the table lacks it.
    """
    if channels < 2:
        raise ValueError(f"'channels' has to be at least 2, not {channels}.")
    if seed < 0:
        raise ValueError(f"'seed' has to be at least 0, not {seed}.")
    if not files:
        raise ValueError("There is no recording to turn into spikes.")
    if Path(out).exists():
        raise FileExistsError(f"There is a file '{out}' already; choose another name.")
    table = _read_table(labels)
    rows = _rows_of(files, table, labels)
    classes, class_of = _numbered([row["label"] for row in table])
    names, speaker_of = _numbered([row["speaker"] for row in table])
    numbers, speakers = [class_of[row["label"]] for row in rows], [speaker_of[row["speaker"]] for row in rows]
    attributes = {"version": __version__, "seed": seed, "speakers": ", ".join(names)}
    samples = _samples(files, numbers, speakers, channels, seed, Progress(report))
    return write_spike_file(
        out, samples, classes, channels, source or "recordings, by brian-qif data from-audio", attributes
    )


def _read_table(path):
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no table of labels '{path}'.")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"The table of labels '{path}' is no CSV file: {error}.") from error
    present = rows[0].keys() if rows else ()
    if not {"file", "label"} <= set(present):
        raise ValueError(
            f"The table of labels '{path}' needs the columns file and label in its first line, and rows below it."
        )
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values() or not row["file"] or not row["label"]:
            raise ValueError(f"Line {number} of the table of labels '{path}' is not complete.")
    return [{name: row.get(name, "0") or "0" for name in _COLUMNS} for row in rows]


def _rows_of(files, rows, path):
    """The row of each recording, found by its path or else by the path's last part."""
    found = []
    for file in files:
        fitting = [row for row in rows if Path(row["file"]) == Path(file)]
        fitting = fitting or [row for row in rows if Path(row["file"]).name == Path(file).name]
        if len(fitting) != 1:
            problem = "no row" if not fitting else f"{len(fitting)} rows"
            raise ValueError(f"The table of labels '{path}' has {problem} for '{file}'; it needs one.")
        found.append(fitting[0])
    return found


def _numbered(texts):
    """Names, and the number of each text: numbers stand for themselves, others are numbered as they come."""
    if all(text.isdecimal() for text in texts):
        numbers = {text: int(text) for text in texts}
        largest = max(numbers.values())
        if largest > np.iinfo(np.uint16).max:
            raise ValueError(f"Labels and speakers are numbers below 65536, not {largest}.")
        return [str(number) for number in range(largest + 1)], numbers
    names = list(dict.fromkeys(texts))
    return names, {name: number for number, name in enumerate(names)}


def _samples(files, labels, speakers, channels, seed, progress):
    """Times, units, label and speaker of each recording."""
    for start in range(0, len(files), _TOGETHER):
        group = range(start, min(start + _TOGETHER, len(files)))
        sounds = []
        for place in group:
            sounds.append(read_sound(files[place]))
        generators = [np.random.default_rng([seed, place]) for place in group]
        for place, (times, units) in zip(group, hear(sounds, generators, channels), strict=True):
            yield times, units, labels[place], speakers[place]
        progress.update(f"{group.stop} of {len(files)} recordings", group.stop / len(files))


def add_arguments(parser):
    """Give a parser the arguments of ``brian-qif data from-audio``."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="recordings of one word each (WAV; FLAC by soundfile)")
    parser.add_argument("--out", required=True, metavar="FILE", help="HDF5 file to be written (SHD layout)")
    parser.add_argument(
        "--labels", required=True, metavar="CSV", help="table with the columns file, label and, if known, speaker"
    )
    parser.add_argument(
        "--channels", type=int, default=700, metavar="N", help="channels of the auditory chain (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="decides everything random (default: %(default)s)"
    )
    parser.add_argument("--source", metavar="TEXT", help="where the recordings come from, kept in the file")


def run(arguments):
    """Carry out ``brian-qif data from-audio``; the line to show at the end."""
    names = ("files", "out", "labels", "channels", "seed", "source")
    number = spikes_from_audio(**{name: getattr(arguments, name) for name in names}, report="text")
    return f"Written into '{arguments.out}': {number} samples."
