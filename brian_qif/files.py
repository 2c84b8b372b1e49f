"""Files that are either the old ones or the new ones, never half of each."""

from __future__ import annotations

import json
import os
from pathlib import Path


def write_atomically(path, content):
    """Replace a file in one go.

    The bytes go into a file beside it, reach the disk, and only then take its name. Whoever is killed meanwhile
    leaves the old file as it was.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    content : bytes or callable
        What to write, or a function that writes it into the binary file it is given.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full. The old file stays.
    """
    path = Path(path)
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(beside, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path, value):
    """Replace a JSON file in one go, see :func:`write_atomically`."""
    write_atomically(path, f"{json.dumps(value, indent=2)}\n".encode())
