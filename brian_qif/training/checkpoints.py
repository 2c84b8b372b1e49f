"""What a training keeps on its way, and goes on from."""

from __future__ import annotations

import json
import zipfile
import zlib

import numpy as np

from brian_qif.files import write_atomically

_DESCRIPTION = "description"


def write_checkpoint(path, arrays, description):
    """Write arrays and a description into one npz file, atomically and without pickle.

    Parameters
    ----------
    path : str or os.PathLike
        The file; by custom it ends in ``.npz``.
    arrays : dict of str to numpy.ndarray
        Stored bit by bit.
    description : dict
        Anything that JSON can hold; floats come back to the last bit.

    Raises
    ------
    OSError
        If it cannot be written. A checkpoint that was there stays.
    """
    text = np.array(json.dumps(description))
    write_atomically(path, lambda file: np.savez(file, **{_DESCRIPTION: text}, **arrays))


def read_checkpoint(path):
    """Read what :func:`write_checkpoint` wrote.

    Parameters
    ----------
    path : str or os.PathLike
        The file.

    Returns
    -------
    arrays : dict of str to numpy.ndarray
        The arrays.
    description : dict
        The description.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a checkpoint.
    """
    with open(path, "rb") as file:
        try:
            arrays = _arrays(file)
            description = json.loads(str(arrays.pop(_DESCRIPTION)))
        except (KeyError, ValueError, EOFError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"'{path}' is not a checkpoint of a training: {error}.") from error
    if not isinstance(description, dict):
        raise ValueError(f"'{path}' is not a checkpoint of a training: its description is no object.")
    return arrays, description


def _arrays(file):
    """What an npz file holds; NumPy takes others for arrays or pickles, and believes what damaged ones say of sizes."""
    if not zipfile.is_zipfile(file):
        raise ValueError("it is no npz file, or was cut short")
    with zipfile.ZipFile(file) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"its part '{damaged}' is damaged")
    file.seek(0)
    with np.load(file, allow_pickle=False) as content:
        return {name: content[name] for name in content.files}


def refuse_other_settings(kept, wanted, path):
    """Refuse to go on with other settings than those of a kept run.

    Parameters
    ----------
    kept, wanted : dict
        Names and values.
    path : str or os.PathLike
        Where the kept ones are from.

    Raises
    ------
    ValueError
        If they differ; the message names every setting that does, with both values.
    """
    differing = [name for name in {**kept, **wanted} if kept.get(name) != wanted.get(name)]
    if differing:
        listed = "; ".join(f"{name} was {kept.get(name)!r}, now {wanted.get(name)!r}" for name in differing)
        raise ValueError(f"'{path}' belongs to a run with other settings: {listed}.")
