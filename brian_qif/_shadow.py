"""Explain an import that finds the source folder instead of the installed package."""

from importlib.util import find_spec
from pathlib import Path


def refuse_shadowed_import(folder: Path) -> None:
    """Raise if ``brian_qif.models`` cannot be found because Python was started beside the source folder.

    The folders ``models`` and ``protocols`` become part of the package by installation; the source folder alone is not
    the package.

    Raises
    ------
    ImportError
        With what to do.
    """
    if find_spec("brian_qif.models") is None:
        raise ImportError(
            f"Python found the source folder {folder} instead of an installed brian_qif, and that folder alone is "
            "not the whole package. Start Python in another folder, or install from the source folder: pip install -e ."
        )
