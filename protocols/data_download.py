"""Download a published data set, such as the Spiking Heidelberg Digits."""

from __future__ import annotations

from brian_qif.data.download import SETS, VARIABLE, download


def fetch_published(name, folder=None, progress=True):
    """Fetch a published data set, unless it is there already.

    Parameters
    ----------
    name : str
        ``'shd'``.
    folder : str or os.PathLike, optional
        By default what the variable ``BRIAN_QIF_DOWNLOADS`` names, else ``brian_qif`` in the user's cache folder.
    progress : bool
        Whether a bar on standard error shows how far it is.

    Returns
    -------
    dict
        The paths of the unpacked files by their names, and the terms of use under ``'terms'``.

    Raises
    ------
    ValueError
        If there is no such set, or a file is not the published one.
    OSError
        If a file cannot be fetched or written.
    """
    files = {path.name: path for path in download(name, folder, progress)}
    return {**files, "terms": SETS[name].terms}


def add_arguments(parser):
    """Give a parser the arguments of ``brian-qif data download``."""
    parser.add_argument("name", choices=sorted(SETS), help="the data set")
    parser.add_argument(
        "--folder",
        metavar="DIR",
        help=f"where to (default: what the variable {VARIABLE} names, else brian_qif in the user's cache folder)",
    )


def run(arguments):
    """Carry out ``brian-qif data download``; the lines to show at the end."""
    files = fetch_published(arguments.name, arguments.folder)
    terms = files.pop("terms")
    return "\n".join([f"{terms}.", *(str(path) for path in files.values())])
