"""What is said of a finished training."""

from __future__ import annotations

import platform
from importlib.metadata import version

import numpy as np

from brian_qif import __version__
from brian_qif.protocols.recipes import REGULARISERS, REMEDIES


def summarise(trainer, training_set, test_set, settings):
    """Accuracies, losses, settings, remedies and versions of a finished training, as plain text and numbers."""
    history = trainer.history
    trained, tested = trainer.evaluate(training_set), trainer.evaluate(test_set)
    known = np.isin(test_set.speakers, training_set.speakers)
    right = tested.predictions == tested.labels
    return {
        "neuron": settings["neuron"],
        "hidden": settings["hidden"],
        "epochs": settings["epochs"],
        "seed": settings["seed"],
        "seconds": float(history["seconds"].sum()),
        "train_accuracy": trained.accuracy,
        "test_accuracy": tested.accuracy,
        "test_accuracy_by_speaker": {str(k): value for k, value in tested.accuracy_by_speaker.items()},
        "test_accuracy_known_speakers": float(right[known].mean()) if known.any() else None,
        "test_accuracy_unknown_speakers": float(right[~known].mean()) if not known.all() else None,
        "train_loss": trained.loss,
        "test_loss": tested.loss,
        "class_names": list(training_set.class_names),
        "training_speakers": np.unique(training_set.speakers).tolist(),
        "samples": {
            "train": len(training_set),
            "test": len(test_set),
            "test_known_speakers": int(known.sum()),
        },
        "silent_share_hidden": float(history["silent_share_hidden"].iloc[-1]),
        "grazing_samples": int(history["grazing_samples"].sum()),
        "rate_hidden_hertz": float(history["rate_hidden"].iloc[-1]),
        "settings": settings,
        "trainer": trainer.settings(),
        "remedies": REMEDIES,
        "regularisers": {name: text for name, text in REGULARISERS.items() if settings[name]},
        "threads": trainer.batch.threads,
        "synthetic": training_set.synthetic or test_set.synthetic,
        "sources": {"train": training_set.source, "test": test_set.source},
        "versions": {
            "brian_qif": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("brian2", "numpy", "h5py")},
        },
    }


def title_of(summary):
    """One line for the picture of a run."""
    sizes = f"{summary['settings']['inputs']}-{summary['hidden']}-{summary['settings']['classes']}"
    marked = " on SYNTHETIC speech" if summary["synthetic"] else ""
    return (
        f"{summary['neuron'].upper()} {sizes}, seed {summary['seed']}:"
        f" test accuracy {summary['test_accuracy']:.3f}{marked}"
    )
