"""Downloads of published data sets: verified, resumable, into a folder of the user's."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests
from tqdm import tqdm

VARIABLE = "BRIAN_QIF_DOWNLOADS"  # names the folder for all downloads
_CHUNK = 1 << 16  # bytes; of a broken transfer less than this is lost
_ATTEMPTS = 3
_SECONDS = 30.0  # without a byte, after which the connection counts as broken


@dataclass(frozen=True)
class PublishedFile:
    """A compressed file: its name, and the MD5 sums of itself and of what it unpacks to."""

    name: str
    packed: str
    unpacked: str

    @property
    def unpacked_name(self):
        """The name without ``.gz``."""
        return self.name.removesuffix(".gz")


@dataclass(frozen=True)
class PublishedSet:
    """A data set: where its files are, and under which terms."""

    address: str
    files: tuple[PublishedFile, ...]
    terms: str


SETS = {
    "shd": PublishedSet(
        address="https://zenkelab.org/datasets/",
        files=(
            PublishedFile("shd_train.h5.gz", "d47c9825dee33347913e8ce0f2be08b0", "8e9877c85f29a28dd353ea6a54402667"),
            PublishedFile("shd_test.h5.gz", "3062a80ec0c5719404d5b02e166543b1", "207ad1295a0ab611e22d1734989c254e"),
        ),
        terms="Spiking Heidelberg Digits, Cramer et al. (2022), CC BY 4.0",
    )
}


def download_folder(folder=None):
    """The folder for downloads.

    Parameters
    ----------
    folder : str or os.PathLike, optional
        By default what the variable ``BRIAN_QIF_DOWNLOADS`` names, else ``brian_qif`` in the user's cache folder.

    Returns
    -------
    pathlib.Path
    """
    return Path(folder or os.environ.get(VARIABLE) or pooch.os_cache("brian_qif"))


def download(name: str, folder: str | os.PathLike | None = None, progress: bool = True) -> list[Path]:
    """Fetch a published data set, unless it is there already.

    A transfer that was broken off goes on where it stopped, at once or when it is asked for again. Every file is
    compared with its published MD5 sum, packed and unpacked.

    Parameters
    ----------
    name : str
        ``'shd'``.
    folder : str or os.PathLike, optional
        See `download_folder`.
    progress : bool
        Whether a bar on standard error shows how far it is.

    Returns
    -------
    list of pathlib.Path
        The unpacked files.

    Raises
    ------
    ValueError
        If there is no such set, or a file is not the published one.
    OSError
        If a file cannot be fetched or written.

    Examples
    --------
    >>> from brian_qif.data.download import download
    >>> download("mnist")
    Traceback (most recent call last):
    ...
    ValueError: There is no data set 'mnist' to download; there are shd.
    """
    if name not in SETS:
        raise ValueError(f"There is no data set '{name}' to download; there are {', '.join(SETS)}.")
    published, folder = SETS[name], download_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for file in published.files:
        target = folder / file.unpacked_name
        if not (target.exists() and _sum(target) == file.unpacked):
            packed = _fetch(published.address + file.name, folder, file, progress)
            _unpack(packed, target, file)
            packed.unlink()
        found.append(target)
    return found


def _fetch(address, folder, file, progress):
    try:
        path = pooch.retrieve(
            address,
            known_hash=f"md5:{file.packed}",
            fname=file.name,
            path=folder,
            downloader=_ResumingDownloader(folder / f"{file.name}.part", progress),
        )
    except requests.RequestException as error:
        raise OSError(
            f"'{address}' could not be fetched: {_reason(error)}. What arrived is kept, and the same command goes on"
            " with it. Without a network, train on the data that come with the package, or make some by"
            " 'brian-qif data synthesise'."
        ) from error
    except ValueError as error:
        raise ValueError(
            f"What came from '{address}' is not the published file: its MD5 sum is another. It was deleted; try again"
            " later, or from another network if something in between changes files."
        ) from error
    return Path(path)


def _reason(error):
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answered {response.status_code} {response.reason}".rstrip()
    if isinstance(error, requests.Timeout):
        return f"nothing came for {_SECONDS:g} s"
    if isinstance(error, requests.ConnectionError) and not isinstance(error, _BrokenOffError):
        return "there is no connection to the server"
    return "the transfer was broken off"


class _BrokenOffError(requests.ConnectionError):
    """The server closed the connection before everything had come."""


class _ResumingDownloader:
    """For pooch: collects what comes in a partial file of its own, and asks the server only for what is missing."""

    def __init__(self, partial, progress):
        self.partial, self.progress = partial, progress

    def __call__(self, url, output_file, pooch_of_caller):
        """Fetch a file; pooch then checks what is in the output file."""
        for attempt in range(_ATTEMPTS):
            before = self._size()
            try:
                self._transfer(url)
                break
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                # Trying again is worth while only as long as something comes.
                if attempt == _ATTEMPTS - 1 or self._size() == before:
                    if isinstance(error, requests.exceptions.ChunkedEncodingError):
                        raise _BrokenOffError(str(error)) from error
                    raise
        os.replace(self.partial, output_file)

    def _size(self):
        return self.partial.stat().st_size if self.partial.exists() else 0

    def _transfer(self, url):
        present = self._size()
        headers = {"Range": f"bytes={present}-"} if present else {}
        # Unpacking on the way would make the sizes differ.
        headers["Accept-Encoding"] = "identity"
        with requests.get(url, headers=headers, stream=True, timeout=_SECONDS) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                self.partial.unlink()
                raise _BrokenOffError("the partial file did not fit")
            response.raise_for_status()
            if response.status_code != requests.codes.partial_content:
                present = 0
            length = response.headers.get("Content-Length", "")
            total = present + int(length) if length.isdecimal() else None
            name = self.partial.name.removesuffix(".part")
            bar = tqdm(
                total=total,
                initial=present,
                unit="B",
                unit_scale=True,
                desc=name,
                disable=not self.progress,
                leave=True,
            )
            with open(self.partial, "ab" if present else "wb") as file, bar:
                for chunk in response.iter_content(_CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
        if total is not None and self._size() < total:
            raise _BrokenOffError("fewer bytes than announced")


def _unpack(packed, target, file):
    partial = target.with_name(target.name + ".part")
    try:
        with gzip.open(packed) as source, open(partial, "wb") as sink:
            shutil.copyfileobj(source, sink, _CHUNK)
        if _sum(partial) != file.unpacked:
            raise ValueError(f"'{packed}' does not unpack to the published file: the MD5 sum is another.")
        os.replace(partial, target)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"'{packed}' cannot be unpacked: {error}.") from error
    finally:
        partial.unlink(missing_ok=True)


def _sum(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
