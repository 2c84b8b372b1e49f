"""Search for the settings with which a network of LIF or QIF neurons learns best, judged on speakers held out."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
from brian2 import ms

from brian_qif.protocols.checks import folder_for_output, plain_numbers, refuse_below
from brian_qif.protocols.data_choice import SYNTHETIC, chosen_files
from brian_qif.protocols.networks import NEURONS
from brian_qif.protocols.preparation import DIVERGED, encoding_of, initialise, prepare_trainer, trial_duration
from brian_qif.protocols.recipes import recipe_of
from brian_qif.protocols.run_folder import fingerprint
from brian_qif.protocols.search_space import search_space, searched_recipe, start_of
from brian_qif.protocols.shd_training import add_solver_arguments, solver_of
from brian_qif.training.datasets import SpikeDataset, said_units
from brian_qif.training.progress import Progress

SPLITS = ("speaker", "sample")


def search_settings(
    train=None,
    out=None,
    neuron="qif",
    trials=50,
    epochs=10,
    hidden=128,
    inputs=None,
    validate=0.2,
    split="speaker",
    solver="event",
    device="runtime",
    dt=0.5 * ms,
    surrogate=False,
    storage=None,
    study=None,
    heartbeat=30,
    seed=0,
    threads=None,
    report=None,
):
    """Search with Optuna; several workers share the trials of one study when they are started with the same storage.

    The test file takes no part: a share of the training file is held out, and its accuracy after the last epoch is
    what is maximised. A training that comes to numbers that are not finite, or to activity without bound, counts as an
    accuracy of 0.

    Parameters
    ----------
    train : str or os.PathLike, optional
        HDF5 file; by default the SYNTHETIC digits that come with the package.
    out : str or os.PathLike, optional
        The folder for trials.csv, best.json, search.json and pictures, by default ``results/search_`` and the model.
    neuron : 'lif' or 'qif'
        The model of the hidden neurons. Its own recipe is the first trial; limits are the same for all models.
    trials : int
        How many trials are to be finished in the end, those of all workers and of earlier starts included.
    epochs : int
        The length of a trial; one that is below the median of the others is given up after an epoch, from the second.
    hidden, inputs, threads
        See `train_on_recordings`.
    validate : float
        The share of the training file that is held out.
    split : 'speaker' or 'sample'
        Whether whole speakers are held out.
    solver, device, dt
        See `train_on_recordings`. With the clock-driven solver, ``tau_s`` is searched too.
    surrogate : bool
        Take a surrogate gradient of the clock-driven solver, and search its shape and slope.
    storage : str or optuna.storages.BaseStorage, optional
        A database, as a URL; by default the SQLite file ``study.db`` in ``out``. A study in it goes on.
    study : str, optional
        The name of the study, by default that of the model.
    heartbeat : int
        Seconds between signs of life of a worker. What a worker leaves behind is taken over after three times as long.
    seed : int
        Decides what is held out, the values that are tried, initial weights and the order of samples.
    report : None, 'text', 'stderr' or callable
        Where progress is reported.

    Returns
    -------
    dict
        What search.json holds.

    Raises
    ------
    ImportError
        If Optuna is not installed.
    OSError
        If the storage cannot be opened or the folder not be written.
    ValueError
        If a file or a setting is wrong, or the study was made with other settings.

    Examples
    --------
    >>> from brian_qif.protocols.search import search_settings
    >>> summary = search_settings("digits_train.h5", "search", trials=1, epochs=1, hidden=4, split="sample")
    >>> summary["trials"]
    {'complete': 1}
    """
    numbers = {"trials": trials, "epochs": epochs, "hidden": hidden, "heartbeat": heartbeat}
    for name, value in {**numbers, "inputs": inputs, "threads": threads}.items():
        refuse_below(1, name, value, optional=name in ("inputs", "threads"))
    if split not in SPLITS:
        raise ValueError(f"Data are split by {' or '.join(SPLITS)}, not by {split!r}.")
    if surrogate and solver != "clock":
        raise ValueError("The event-driven solver is exact and has no surrogate; take the solver 'clock' for one.")
    refuse_below(0, "seed", seed)
    hidden, epochs, inputs, seed = plain_numbers(hidden, epochs, inputs, seed)
    solver_of(recipe_of(neuron), solver, device, dt)
    search_study, search_report = _optuna_parts()
    train, _ = chosen_files(train, validate=validate)
    inputs = said_units(train) or 700 if inputs is None else inputs
    folder = writable_folder(f"results/search_{neuron}" if out is None else out)
    storage = f"sqlite:///{(folder / 'study.db').resolve()}" if storage is None else storage
    progress = Progress(report)
    space = search_space(inputs, solver, surrogate)
    chosen = {"name": solver, "device": device, "dt": dt}
    judge = _Judge(train, inputs, validate, split, neuron, hidden, epochs, seed, threads, chosen)
    settings = {
        **{"neuron": neuron, "hidden": hidden, "epochs": epochs, "inputs": inputs, "seed": seed},
        **{"validate": validate, "split": split, "training_data": fingerprint(train)},
        **{"solver": solver, "device": device if solver == "clock" else None},
        **{"dt": float(dt) if solver == "clock" else None, "surrogate": surrogate},
        "space": {name: repr(limits) for name, limits in space.items()},
    }
    opened = search_study.open_storage(storage, heartbeat)
    start = start_of(neuron, inputs, solver, surrogate)
    shared = search_study.open_study(opened, study or neuron, settings, start, epochs, seed)
    if judge.synthetic:
        progress.line(SYNTHETIC)
    progress.line(f"Held out: {judge.held_out}.")

    def objective(trial):
        return judge(trial, searched_recipe(neuron, inputs, search_study.suggest(trial, space)))

    def say(study, trial):
        progress.line(_line(study, trial, trials))

    search_study.carry_out(shared, opened, objective, trials, say)
    return search_report.write_report(shared, folder, settings, judge.synthetic, judge.chance)


class _Judge:
    """Trains with a recipe and says how well the network does on what was held out."""

    def __init__(self, train, inputs, validate, split, neuron, hidden, epochs, seed, threads, solver):
        self.train, self.inputs, self.validate, self.split = train, inputs, validate, split
        self.neuron, self.hidden, self.epochs, self.seed, self.threads = neuron, hidden, epochs, seed, threads
        self.solver = solver
        with self._samples() as (_, validation):
            self.synthetic, self.held_out = (
                validation.synthetic,
                f"{len(validation)} samples of {_speakers(validation)}",
            )
            self.chance = float(np.bincount(validation.labels).max() / len(validation))

    @contextmanager
    def _samples(self, encoding=None):
        """What is learned and what is held out; the same samples whatever the encoding."""
        with SpikeDataset(self.train, n_units=self.inputs, encoding=encoding) as samples:
            yield samples.split(self.validate, by=self.split, seed=self.seed)

    def __call__(self, trial, recipe):
        encoding = encoding_of(recipe, self.inputs)
        with self._samples(encoding) as (training, validation):
            return self._judge(trial, recipe, encoding, training, validation)

    def _judge(self, trial, recipe, encoding, training, validation):
        from optuna import TrialPruned

        sizes = (training.n_units, self.hidden, training.n_classes)
        solver = solver_of(recipe, **self.solver)
        duration = trial_duration(training)
        trainer = prepare_trainer(
            self.neuron, sizes, duration, recipe, self.seed, self.threads, solver=solver, encoding=encoding
        )
        trial.set_user_attr("recipe", asdict(recipe))
        notes = {}

        def watch(trainer):
            found = trainer.evaluate(validation)
            last = trainer.history.iloc[-1]
            notes.update(
                {
                    "epochs": trainer.epoch,
                    "validation_accuracy": found.accuracy,
                    "validation_loss": found.loss,
                    "train_accuracy": float(last["accuracy"]),
                    "silent_share_hidden": float(last["silent_share_hidden"]),
                    "rate_hidden_hertz": float(last["rate_hidden"]),
                    "seconds_per_epoch": float(trainer.history["seconds"].mean()),
                }
            )
            trial.set_user_attr("notes", notes)
            trial.report(found.accuracy, trainer.epoch)
            if trainer.epoch < self.epochs and trial.should_prune():
                raise TrialPruned

        try:
            initialise(trainer, training, sizes, recipe, self.seed)
        except ValueError as error:
            return _failed(trial, "no initial activity", error)
        try:
            trainer.train(training.as_recorded(), self.epochs, after_epoch=watch)
        except DIVERGED as error:
            return _failed(trial, "diverged", error)
        return notes["validation_accuracy"]


def _failed(trial, outcome, error):
    trial.set_user_attr("outcome", outcome)
    trial.set_user_attr("reason", str(error))
    return 0.0


def _optuna_parts():
    """The modules that need Optuna, which only a search does."""
    try:
        from brian_qif.protocols import search_report, search_study
    except ImportError as error:
        if error.name not in ("optuna", "sqlalchemy"):
            raise
        raise ImportError("A search needs Optuna: pip install 'brian_qif[search]'.") from error
    return search_study, search_report


def writable_folder(path):
    """A folder for output, made where it is missing.

    Parameters
    ----------
    path : str or os.PathLike
        The folder.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    OSError
        If it is a file or cannot be written.
    """
    folder = folder_for_output(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"The output folder '{folder}' cannot be written: {error.strerror or error}.") from error
    return folder


def _speakers(samples):
    numbers = np.unique(samples.speakers)
    return f"speaker{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _line(study, trial, total):
    finished = [one for one in study.get_trials(deepcopy=False) if one.state.name in ("COMPLETE", "PRUNED")]
    values = [one.value for one in finished if one.state.name == "COMPLETE"]
    notes = trial.user_attrs.get("notes", {})
    if "outcome" in trial.user_attrs:
        said = trial.user_attrs["outcome"]
    elif trial.state.name == "PRUNED":
        said = f"given up after epoch {notes['epochs']} at {notes['validation_accuracy']:.3f}"
    else:
        said = f"validation accuracy {trial.value:.3f}"
    best = f", best so far {max(values):.3f}" if values else ""
    return f"Trial {trial.number}, {len(finished)} of {total} finished: {said}{best}."


def add_arguments(parser):
    """Give a parser the arguments of ``brian-qif search``."""
    parser.add_argument(
        "--train",
        metavar="FILE",
        help="HDF5 file, of which a part is held out (SHD layout; default: the SYNTHETIC digits of the package)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder for tables, pictures and best.json (default: results/search_ and the model)",
    )
    parser.add_argument(
        "--neuron", choices=sorted(NEURONS), default="qif", help="model of the hidden neurons (default: %(default)s)"
    )
    for name, default, text in (
        ("trials", 50, "trials that are to be finished in the end, by all workers together"),
        ("epochs", 10, "length of a trial"),
        ("hidden", 128, "number of hidden neurons"),
        ("inputs", None, "number of input neurons (default: what the training file says, else 700)"),
        ("seed", 0, "what is held out, the values tried, initial weights and order of samples"),
        ("threads", None, "samples computed at a time; changes no bit"),
        ("heartbeat", 30, "seconds between signs of life; what a dead worker leaves is taken over after 3 times this"),
    ):
        shown = "" if default is None else " (default: %(default)s)"
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=text + shown)
    parser.add_argument(
        "--validate", type=float, default=0.2, metavar="X", help="share that is held out (default: %(default)s)"
    )
    parser.add_argument(
        "--split", choices=SPLITS, default="speaker", help="whether whole speakers are held out (default: %(default)s)"
    )
    add_solver_arguments(parser)
    parser.add_argument(
        "--surrogate",
        action="store_true",
        help="clock-driven solver: surrogate gradients in place of slopes through spike times; with their shape and"
        " slope searched",
    )
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="database that the workers share, as Optuna takes it (default: sqlite, study.db in --out)",
    )
    parser.add_argument("--study", metavar="NAME", help="name of the study; one that is there goes on (default: model)")


def _solver_options(settings):
    if settings["solver"] == "event":
        return ""
    return f" --solver clock --device {settings['device']} --dt {1e3 * settings['dt']:g}"


def run(arguments):
    """Carry out ``brian-qif search``; the lines to show at the end."""
    settings = {name: value for name, value in vars(arguments).items() if name != "command"}
    found = search_settings(**settings, report="text")
    marked = [SYNTHETIC] if found["synthetic"] else []
    counts = ", ".join(f"{number} {state}" for state, number in found["trials"].items())
    lines = [*marked, f"Trials: {counts}."]
    if found["best"] is None:
        lines.append("No trial came to its end with a finite loss, so there is no best.json.")
    else:
        best = found["best"]
        lines.append(
            f"Best: trial {best['number']}, validation accuracy {best['validation_accuracy']:.3f} (always the commonest"
            f" class: {found['chance']:.3f}). Train with it: brian-qif train --neuron {found['settings']['neuron']}"
            f"{_solver_options(found['settings'])} --config {Path(found['folder']) / 'best.json'}"
        )
    return "\n".join([*lines, f"Written into '{found['folder']}': {', '.join(found['files'])}."])
