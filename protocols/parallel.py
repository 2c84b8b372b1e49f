"""Named pieces of a study, spread over cores or machines by joblib; each that is finished is kept as a file."""

from __future__ import annotations

import json
from contextlib import contextmanager

from joblib import Parallel, delayed, parallel_config

from brian_qif.files import write_atomically
from brian_qif.protocols.checks import read_json, read_object
from brian_qif.protocols.search import writable_folder
from brian_qif.training.checkpoints import refuse_other_settings
from brian_qif.training.progress import Progress

_SETTINGS = "settings.json"


def claim_folder(folder, settings):
    """Make a folder for a study, or compare with the study that was begun in it.

    Parameters
    ----------
    folder : str or os.PathLike
    settings : dict
        All that decides the numbers, as JSON can hold it; kept in settings.json.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    OSError
        If the folder cannot be written.
    ValueError
        If it holds a study with other settings, and the message names those that differ, or its settings are damaged.
    """
    place = writable_folder(folder)
    text = json.dumps(settings, indent=2)
    path = place / _SETTINGS
    if path.exists():
        refuse_other_settings(read_object(path, " Choose another folder."), json.loads(text), place)
    else:
        write_atomically(path, (text + "\n").encode())
    return place


def run_pieces(function, pieces, folder, workers=1, scheduler=None, prefer="processes", report=None):
    """Compute the pieces that are not there yet, in any order, and read them all.

    Whoever is killed meanwhile loses the unfinished pieces alone: the same call goes on, to the same numbers.

    Parameters
    ----------
    function : callable
        ``function(*arguments)`` gives a piece as JSON can hold it. With processes or a scheduler it is a function of a
        module, and arguments can be pickled.
    pieces : dict
        By the name of the piece, which becomes that of its file, the arguments.
    folder : str or os.PathLike
        Where the pieces are kept, as NAME.json.
    workers : int
        Pieces computed at a time; -1 for all cores. With one, they are computed here.
    scheduler : str, optional
        The address of a Dask scheduler, such as ``tcp://host:8786``, whose workers compute instead. Where it has one
        worker with one thread alone, joblib computes here.
    prefer : 'processes' or 'threads'
        What the workers are, without a scheduler.
    report : None, 'text', 'stderr' or callable
        Where progress is reported, with the time left.

    Returns
    -------
    dict
        What the function gave, by name, in the order of ``pieces``.

    Raises
    ------
    ImportError
        If a scheduler is given and Dask is not installed.
    ValueError
        If there are fewer workers than one.
    """
    if not isinstance(workers, int) or (workers != -1 and workers < 1):
        raise ValueError(f"'workers' has to be at least 1, or -1 for all cores, not {workers!r}.")
    place, progress = writable_folder(folder), Progress(report)
    missing = [name for name in pieces if not _file(place, name).exists()]
    if len(missing) < len(pieces):
        progress.line(f"{len(pieces) - len(missing)} of {len(pieces)} are there already.")
    progress.start()
    for done, (name, result) in enumerate(_computed(function, pieces, missing, workers, scheduler, prefer), 1):
        write_atomically(_file(place, name), json.dumps(result).encode())
        left = f", {progress.time_left(done / len(missing))}" if done < len(missing) else ""
        progress.line(f"{name}: {done} of {len(missing)} computed{left}.")
    again = " Remove it, and the same call computes it again."
    return {name: read_json(_file(place, name), again) for name in pieces}


def refuse_no_address(scheduler):
    """Refuse what is no address of a scheduler.

    Raises
    ------
    TypeError
        If it is no text.
    ValueError
        If it is empty.
    """
    if scheduler == "":
        raise ValueError("A scheduler is an address such as 'tcp://host:8786'; an empty text was given.")
    if not isinstance(scheduler, str):
        raise TypeError(f"A scheduler is an address such as 'tcp://host:8786', or None; {scheduler!r} was given.")


def _file(place, name):
    return place / f"{name}.json"


def _computed(function, pieces, names, workers, scheduler, prefer):
    """Names and results, as they are finished."""
    if scheduler is None and workers == 1:
        for name in names:
            yield _named(function, name, pieces[name])
        return
    with backend(workers, scheduler, prefer):
        # One task at a time, so that no worker takes several pieces and loses them all when it is killed.
        work = (delayed(_named)(function, name, pieces[name]) for name in names)
        yield from Parallel(return_as="generator_unordered", batch_size=1)(work)


def _named(function, name, arguments):
    return name, function(*arguments)


@contextmanager
def backend(workers, scheduler=None, prefer="processes"):
    """What joblib's tasks run on, as a context.

    Parameters
    ----------
    workers, scheduler, prefer
        See `run_pieces`.

    Raises
    ------
    ImportError
        If a scheduler is given and Dask is not installed.
    OSError
        If the scheduler does not answer.
    """
    if scheduler is None:
        with parallel_config("threading" if prefer == "threads" else "loky", n_jobs=workers):
            yield
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise ImportError("A scheduler needs Dask: pip install 'brian_qif[cluster]'.") from error
    try:
        client = Client(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise OSError(
            f"No Dask scheduler answers at '{scheduler}': start one ('dask scheduler', 'dask worker ADDRESS'), or leave"
            " --scheduler out."
        ) from error
    with client, parallel_config("dask"):
        yield
