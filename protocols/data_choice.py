"""Which spike trains a training uses, and which it is tested on."""

from __future__ import annotations

from contextlib import contextmanager

from brian_qif.data.embedded import embedded_files
from brian_qif.protocols.checks import first_other_name
from brian_qif.training.datasets import SpikeDataset, refuse_no_share

SYNTHETIC = "The data are SYNTHETIC speech: they show that training works, and nothing about real speech."


def chosen_files(train=None, test=None, validate=None):
    """The files given, or those that come with the package where none is.

    Parameters
    ----------
    train, test : str or os.PathLike, optional
        HDF5 files.
    validate : float, optional
        The share of the training file that is held out; then there is no test file.

    Returns
    -------
    train, test : str or os.PathLike
        The test file is None where a part of the training file takes its place.

    Raises
    ------
    TypeError
        If the share is no number.
    ValueError
        If only one file is given, or a test file that would not be used, or the share is not between 0 and 1.
    """
    if validate is not None:
        if test is not None:
            raise ValueError("With 'validate', a part of the training file is the test; do not give 'test'.")
        refuse_no_share(validate)
        return (embedded_files()[0] if train is None else train), None
    if train is None and test is None:
        return embedded_files()
    if train is None or test is None:
        given, missing = ("test", "train") if train is None else ("train", "test")
        raise ValueError(
            f"'{given}' is given without '{missing}': give both files, or neither for the SYNTHETIC digits that come"
            " with the package."
        )
    return train, test


@contextmanager
def opened(train, test, inputs, validate=None, seed=0, encoding=None):
    """The data sets for training and for the test, open as long as they are used.

    Parameters
    ----------
    train, test : str or os.PathLike
        From `chosen_files`.
    inputs : int
        The number of channels.
    validate : float, optional
        The share of the training file that is held out.
    seed : int
        Decides what is held out.
    encoding : SpikeEncoding, optional
        How the samples are brought to the input neurons.

    Yields
    ------
    training, test : SpikeDataset

    Raises
    ------
    ValueError
        If a file is wrong, or labels of the test file mean something else.
    """
    with SpikeDataset(train, n_units=inputs, encoding=encoding) as whole:
        if validate is not None:
            yield whole.split(validate, seed=seed)
            return
        with SpikeDataset(test, n_units=inputs, n_classes=whole.n_classes, encoding=encoding) as test_set:
            refuse_other_classes(whole, test_set)
            yield whole, test_set


def refuse_other_classes(training, test):
    """Refuse two data sets of which one calls a class by another name than the other.

    Parameters
    ----------
    training, test : SpikeDataset

    Raises
    ------
    ValueError
        If their labels do not mean the same.
    """
    found = first_other_name(training.class_names, test.class_names)
    if found is not None:
        k, one, other = found
        raise ValueError(
            f"'{test.path}' calls class {k} '{other}', but '{training.path}' calls it '{one}': their labels do not"
            " mean the same."
        )
