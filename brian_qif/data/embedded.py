"""The small synthetic data set that comes with the package."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "embedded"


def embedded_files() -> tuple[Path, Path]:
    """The training file and the test file of SYNTHETIC spoken digits that come with the package.

    70 of the 700 channels of the auditory chain, 20 classes, 12 voices, of which 4 and 5 are in the test file only.

    Returns
    -------
    tuple of two pathlib.Path
        Files for `SpikeDataset`, for training and for the test. Their attribute ``command`` says how they were made.

    Examples
    --------
    >>> from brian_qif.data.embedded import embedded_files
    >>> [path.name for path in embedded_files()]
    ['synthetic_digits_train.h5', 'synthetic_digits_test.h5']
    """
    return _FOLDER / "synthetic_digits_train.h5", _FOLDER / "synthetic_digits_test.h5"
