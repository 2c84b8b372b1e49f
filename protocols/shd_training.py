"""Train a network of LIF or QIF neurons on spoken digits in the layout of the Spiking Heidelberg Digits."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace

import numpy as np
from brian2 import ms, second

from brian_qif import ClockSolver, EventSolver
from brian_qif.arguments import check_dimensions
from brian_qif.plotting.trainings import draw_curves
from brian_qif.protocols.checks import plain_numbers, refuse_below
from brian_qif.protocols.configuration import configured_recipe
from brian_qif.protocols.data_choice import SYNTHETIC, chosen_files, opened
from brian_qif.protocols.networks import NEURONS, OUTPUTS
from brian_qif.protocols.preparation import encoding_of, initialise, prepare_trainer, trial_duration
from brian_qif.protocols.recipes import RECIPES, SURROGATES
from brian_qif.protocols.run_folder import RunFolder, fingerprint
from brian_qif.protocols.summary import summarise, title_of
from brian_qif.training.datasets import said_units
from brian_qif.training.progress import Progress

SOLVERS = ("event", "clock")


def train_on_recordings(
    train=None,
    test=None,
    out=None,
    neuron="qif",
    hidden=128,
    epochs=10,
    batch_size=None,
    learning_rate=None,
    config=None,
    output=None,
    seed=0,
    threads=None,
    inputs=None,
    recurrent=False,
    solver="event",
    device="runtime",
    dt=0.5 * ms,
    dtype="float64",
    surrogate=None,
    surrogate_slope=None,
    validate=None,
    resume=False,
    report=None,
):
    """Train a classifier on one file of spike trains and test it once, at the end, on another.

    Parameters
    ----------
    train, test : str or os.PathLike, optional
        HDF5 files, see `SpikeDataset`; by default the SYNTHETIC digits that come with the package. The test file is
        checked at the start; its spikes reach the network only after the last epoch.
    out : str or os.PathLike, optional
        The folder for settings.json, checkpoint.npz, history.csv, summary.json and curves.png, by default
        ``results/`` and the name of the model.
    neuron : 'lif' or 'qif'
        The model of the hidden neurons. Each has its own `RECIPES` entry.
    hidden : int or sequence of int
        The number of hidden neurons, of each layer. The readout has one neuron per class of the training file.
    inputs : int, optional
        The number of channels, by default what the training file says in its attribute ``units``, else 700.
    recurrent : bool
        Whether the hidden neurons hear each other too, by weights that are learned.
    solver : 'event' or 'clock'
        `EventSolver`, or `ClockSolver` on a ``device`` with a step ``dt``.
    device : str
        See `ClockSolver`.
    dt : Quantity
        The step of the clock.
    dtype : str
        The precision of `EventSolver`, "float64" or "float32".
    surrogate, surrogate_slope : str, float, optional
        See `ClockSolver`; by default the recipe's, which has none.
    epochs : int
        The number of passes through the training file.
    batch_size : int, optional
        Samples per step, by default the recipe's.
    learning_rate : float, optional
        Adam's step size for the input weights, by default the recipe's. That of the readout's weights keeps its
        ratio to it.
    config : dict, str or os.PathLike, optional
        Values of the recipe's fields, or a JSON file with them. ``output``, ``batch_size``, ``learning_rate`` and the
        surrogate's shape and slope go before it.
    output : str, optional
        What the readout says of a class, see `brian_qif.protocols.networks.OUTPUTS`; by default the configuration's,
        else "average". Each begins with settings of its own.
    seed : int
        Decides the initial weights and the order of the samples.
    threads : int, optional
        Samples computed at a time, by default the preference ``brian_qif.threads``. It changes no bit of the outcome.
    validate : float, optional
        Hold out this share of the training file, whole speakers where it has several, and test on that; the test file
        is left alone. For choosing settings.
    resume : bool
        Go on with the run in ``out``, to the same bits as if it had not been interrupted.
    report : None, 'text', 'stderr' or callable
        Where progress is reported.

    Returns
    -------
    dict
        What summary.json holds.

    Raises
    ------
    OSError
        If the folder cannot be written, holds another run, or holds none that could go on.
    ValueError
        If a file or a setting is wrong, or differs from those of the run that goes on.

    Examples
    --------
    >>> from brian_qif.protocols.shd_training import train_on_recordings
    >>> summary = train_on_recordings("digits_train.h5", "digits_test.h5", "results/lif", "lif", hidden=4, epochs=1)
    >>> summary["samples"]
    {'train': 50, 'test': 10, 'test_known_speakers': 8}
    """
    layers = [hidden] if np.ndim(hidden) == 0 else list(hidden)
    numbers = {"epochs": epochs, "inputs": inputs, "batch_size": batch_size, "threads": threads}
    for name, value in [*numbers.items(), *[("hidden", size) for size in layers]]:
        refuse_below(1, name, value, optional=name in ("inputs", "batch_size", "threads"))
    refuse_below(0, "seed", seed)
    layers = plain_numbers(*layers)
    epochs, inputs, batch_size, seed = plain_numbers(epochs, inputs, batch_size, seed)
    configured_recipe(config, neuron, batch_size, learning_rate, output=output)
    train, test = chosen_files(train, test, validate)
    folder = RunFolder(f"results/{neuron}" if out is None else out, resume)
    inputs = said_units(train) or 700 if inputs is None else inputs
    recipe = configured_recipe(config, neuron, batch_size, learning_rate, inputs, output, len(layers))
    own = {"surrogate": surrogate, "surrogate_slope": surrogate_slope}
    recipe = replace(recipe, **{name: value for name, value in own.items() if value is not None})
    chosen = solver_of(recipe, solver, device, dt, dtype)
    encoding = encoding_of(recipe, inputs)
    with opened(train, test, inputs, validate, seed, encoding) as (training_set, test_set):
        settings = {
            "neuron": neuron,
            "hidden": layers[0] if len(layers) == 1 else layers,
            "epochs": epochs,
            "seed": seed,
            "inputs": inputs,
            "recurrent": recurrent,
            "solver": repr(chosen),
            "classes": training_set.n_classes,
            **asdict(recipe),
            "training_data": fingerprint(train),
            "test_data": None if test is None else fingerprint(test),
            "validate": validate,
        }
        folder.claim(settings)
        sizes = (encoding.n_inputs, settings["hidden"], training_set.n_classes)
        duration = trial_duration(training_set)
        trainer = prepare_trainer(neuron, sizes, duration, recipe, seed, threads, recurrent, chosen, encoding)
        progress = Progress(report)
        if training_set.synthetic or test_set.synthetic:
            progress.line(SYNTHETIC)
        if folder.checkpoint.exists():
            trainer.load(folder.checkpoint)
            progress.line(f"Going on after epoch {trainer.epoch} of {epochs}.")
        else:
            activity = initialise(trainer, training_set, sizes, recipe, seed)
            progress.line(f"Initial activity: {activity:.2f} spikes per hidden neuron and sample.")
        trainer.train(
            training_set.as_recorded(),
            epochs,
            report=report,
            checkpoint=folder.checkpoint,
            after_epoch=lambda trainer: folder.write_history(trainer.history),
        )
        summary = summarise(trainer, training_set, test_set, settings)
    folder.write_history(trainer.history)
    draw_curves(trainer.history, folder.curves, title=title_of(summary))
    folder.write_summary(summary)
    return summary


def solver_of(recipe, name="event", device="runtime", dt=0.5 * ms, dtype="float64"):
    """The solver of a training.

    Parameters
    ----------
    recipe : Recipe
        It says which surrogate is taken, if any.
    name, device, dt, dtype
        See `train_on_recordings`.

    Returns
    -------
    EventSolver or ClockSolver

    Raises
    ------
    ValueError
        If there is no such solver, or it has no such precision or surrogate.
    """
    if not isinstance(name, str) or name not in SOLVERS:
        raise ValueError(f"There is no solver '{name}'; there are {', '.join(SOLVERS)}.")
    if name == "event":
        if recipe.surrogate:
            raise ValueError("The event-driven solver is exact and has no surrogate; take the solver 'clock' for one.")
        if not isinstance(device, str) or device != "runtime":
            raise ValueError(f"The event-driven solver has no device; take the solver 'clock' for {device!r}.")
        if dt is not None:
            check_dimensions(dt, second, "The step dt is a time, for instance 0.5*ms")
        return EventSolver(dtype=dtype)
    if dtype != "float64":
        raise ValueError("The clock-driven solver computes in double precision alone; leave dtype as it is.")
    return ClockSolver(device, dt=dt, surrogate=recipe.surrogate or None, surrogate_slope=recipe.surrogate_slope)


def add_arguments(parser):
    """Give a parser the arguments of ``brian-qif train``."""
    parser.add_argument(
        "--train",
        metavar="FILE",
        help="HDF5 file to train on (SHD layout; default: the SYNTHETIC digits that come with the package)",
    )
    parser.add_argument(
        "--test",
        metavar="FILE",
        help="HDF5 file for the test, which is made once, after the last epoch (default: as above)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder for the checkpoint, history, summary and picture (default: results/ and the model's name)",
    )
    parser.add_argument(
        "--neuron", choices=sorted(NEURONS), default="qif", help="model of the hidden neurons (default: %(default)s)"
    )
    parser.add_argument(
        "--hidden",
        type=int,
        nargs="+",
        default=128,
        metavar="N",
        help="number of hidden neurons, of each layer where there are several (default: %(default)s)",
    )
    parser.add_argument(
        "--inputs",
        type=int,
        metavar="N",
        help="number of channels (default: what the training file says, else 700)",
    )
    parser.add_argument(
        "--output",
        choices=sorted(OUTPUTS),
        metavar="NAME",
        help=f"what the readout says of a class: {', '.join(sorted(OUTPUTS))} (default: average); each begins with"
        " settings of its own",
    )
    parser.add_argument(
        "--recurrent", action="store_true", help="hidden neurons hear each other too, by weights that are learned"
    )
    add_solver_arguments(parser)
    parser.add_argument(
        "--surrogate",
        choices=SURROGATES,
        help="clock-driven solver: the published approximation of this shape in place of slopes through spike times",
    )
    parser.add_argument(
        "--surrogate-slope",
        type=float,
        metavar="X",
        help="how steep it is, per unit of the threshold's variable (default: 10)",
    )
    parser.add_argument(
        "--dtype",
        choices=("float64", "float32"),
        default="float64",
        help="precision of the event-driven solver; float32 is faster (default: %(default)s)",
    )
    parser.add_argument(
        "--epochs", type=int, default=10, metavar="N", help="passes through the training file (default: %(default)s)"
    )
    parser.add_argument(
        "--batch-size", type=int, metavar="N", help=f"samples per step (default: {_defaults('batch_size')})"
    )
    parser.add_argument(
        "--learning-rate",
        type=float,
        metavar="X",
        help=f"Adam's step size for the input weights (default: {_defaults('learning_rate')}); that of the readout's"
        f" weights is in proportion (default: {_defaults('readout_learning_rate')})",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="JSON file with values of the recipe's fields, such as the best.json of a search; other options go before",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="initial weights and order of samples (default: %(default)s)"
    )
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="samples computed at a time (default: one per core unless the preference brian_qif.threads says"
        " otherwise); changes no bit of the outcome",
    )
    parser.add_argument(
        "--validate",
        type=float,
        metavar="X",
        help="hold out this share of the training file, whole speakers where it has several, and test on that instead"
        " of a test file: for choosing settings",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in --out, given the same settings, to the same bits as if it had not been interrupted",
    )


def add_solver_arguments(parser):
    """Give a parser the arguments that choose a solver."""
    parser.add_argument(
        "--solver",
        choices=SOLVERS,
        default="event",
        help="exact spike times, or Brian2's own steps on a clock, whose gradient has an error of order dt (default:"
        " %(default)s)",
    )
    parser.add_argument(
        "--device",
        default="runtime",
        metavar="NAME",
        help="Brian2 device of the clock-driven solver: runtime, cpp_standalone, genn or cuda_standalone (default:"
        " %(default)s)",
    )
    parser.add_argument(
        "--dt",
        type=_milliseconds,
        default=0.5 * ms,
        metavar="TIME",
        help="step of the clock-driven solver in milliseconds, such as 0.5 or 0.5ms (default: 0.5ms)",
    )


def _milliseconds(text):
    try:
        return float(text.removesuffix("ms")) * ms
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time such as 0.5ms") from None


def _defaults(name):
    return ", ".join(f"{neuron} {getattr(recipe, name):g}" for neuron, recipe in RECIPES.items())


def run(arguments):
    """Carry out ``brian-qif train``; the lines to show at the end."""
    settings = {name: value for name, value in vars(arguments).items() if name != "command"}
    summary = train_on_recordings(**settings, report="text")
    speakers = ", ".join(f"{name}: {value:.3f}" for name, value in summary["test_accuracy_by_speaker"].items())
    marked = f"{SYNTHETIC}\n" if summary["synthetic"] else ""
    out = f"results/{arguments.neuron}" if arguments.out is None else arguments.out
    return (
        f"{marked}Accuracy: training {summary['train_accuracy']:.3f}, test {summary['test_accuracy']:.3f}"
        f" (speaker {speakers}).\n"
        f"Written into '{out}': summary.json, history.csv, checkpoint.npz, curves.png."
    )
