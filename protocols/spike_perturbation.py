"""Change one spike or one weight of a network, and follow what comes of it."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from brian_qif.arguments import check_sample
from brian_qif.files import write_atomically, write_json
from brian_qif.protocols.checks import (
    folder_for_output,
    refuse_below,
    refuse_unless_object,
    refuse_unless_whole,
    several,
)
from brian_qif.protocols.data_choice import SYNTHETIC
from brian_qif.protocols.parallel import claim_folder, refuse_no_address, run_pieces
from brian_qif.protocols.perturbation_pieces import SIZED, SIZES, Plan, chosen_perturbations, perturb_sample
from brian_qif.protocols.perturbation_report import draw_all, write_report
from brian_qif.protocols.perturbation_summary import summarise, tables_of
from brian_qif.protocols.perturbed_network import KINDS, PerturbedNetwork, refuse_unknown_kind
from brian_qif.protocols.preparation import encoding_of
from brian_qif.protocols.run_folder import digest_of, fingerprint
from brian_qif.protocols.spike_distances import MEASURES, require_libraries
from brian_qif.protocols.trained_network import load_network
from brian_qif.protocols.trained_run import (
    learned_names,
    read_settings,
    recipe_in,
    refuse_other_inputs,
    refuse_other_names,
)
from brian_qif.solvers.simulation import duration_in_seconds
from brian_qif.training.datasets import SpikeDataset
from brian_qif.training.progress import Progress

TABLES = ("csv", "parquet")
_TIMES = 200  # at which states are compared


def perturb(run, file=None, out=None, kind="shift", layer="stimulus", samples=10, scheduler=None, **options):
    """Perturb a trained network on samples of a file.

    Parameters
    ----------
    run : str or os.PathLike
        The folder of a run of ``brian-qif train``.
    file : str or os.PathLike, optional
        HDF5 file in the layout of `SpikeDataset`; by default the test part of the SYNTHETIC digits of the package.
    out : str or os.PathLike, optional
        The folder, by default ``perturbed_KIND_LAYER`` in that of the run. What is finished in it is kept.
    kind : 'add', 'delete', 'shift' or 'weight'
        A spike more, a spike less, a spike later, or one weight more: see `PerturbedNetwork` for what that means where
        the spike is one of hidden neurons.
    layer : str
        Whose spike, or the weight of whose synapses: ``stimulus`` (also called ``input``), ``hidden``, ``hidden_2``...
    samples : int
        How many samples, evenly spread over the file.
    scheduler : str, optional
        The address of a Dask scheduler, whose workers compute instead. They have to find the folder of the run under
        the same name.
    **options
        See `perturb_network`.

    Returns
    -------
    dict
        What summary.json holds.

    Raises
    ------
    TypeError
        If a path, a name or a number is none, or an option follows from the run.
    ImportError
        If a library for distances or tables, or Dask for a scheduler, is missing.
    OSError
        If there is no run or no file, the folder cannot be written, or the scheduler does not answer.
    ValueError
        If something is asked for that is not there, the run or the file is damaged, labels mean something else, or the
        folder holds a study with other settings.

    Examples
    --------
    >>> from brian_qif.protocols.spike_perturbation import perturb
    >>> summary = perturb(
    ...     "results/qif", "digits_test.h5", "shifted", layer="input", samples=1, repeats=1, sizes=(1e-6,), distances=()
    ... )
    >>> summary["found"]["largest_difference_without_perturbation"]
    0.0
    """
    refuse_below(1, "samples", samples)
    refuse_unknown_kind(kind)
    if not isinstance(layer, str):
        raise TypeError(f"'layer' is a name such as 'input' or 'hidden'; {layer!r} was given.")
    if scheduler is not None:
        refuse_no_address(scheduler)
    for name in ("network", "duration", "stimulus", "loss", "time_scale", "about", "elsewhere"):
        if name in options:
            raise TypeError(f"'{name}' follows from the run; perturb_network takes any.")
    settings = read_settings(run)
    file, inputs = embedded_test() if file is None else file, settings["inputs"]
    refuse_other_inputs(file, inputs, run)
    layer = "stimulus" if layer == "input" else layer
    out = folder_for_output(Path(run) / f"perturbed_{kind}_{layer}" if out is None else out)
    encoding = encoding_of(recipe_in(settings), inputs)
    with SpikeDataset(file, n_units=inputs, n_classes=settings["classes"], encoding=encoding) as dataset:
        refuse_other_names(dataset, learned_names(run)[1], run)
        if samples > len(dataset):
            raise ValueError(f"'{file}' has {len(dataset)} samples, fewer than the {samples} asked for.")
        numbers = np.unique(np.linspace(0, len(dataset) - 1, samples).astype(int))
        chosen = {int(k): dataset[int(k)] for k in numbers}
        synthetic = dataset.synthetic
    trained = load_network(run)
    said_of_it = {
        "run": Path(run).name,
        "checkpoint": fingerprint(Path(run) / "checkpoint.npz"),
        "neuron": settings["neuron"],
        "file": Path(file).name,
        "data": fingerprint(file),
        "synthetic": synthetic,
    }
    place = str(Path(run).resolve()), layer, said_of_it["checkpoint"]
    elsewhere = None if scheduler is None else (scheduler, partial(network_of_run, *place))
    return perturb_network(
        trained.network,
        trained.duration,
        layer,
        out,
        kind=kind,
        samples=chosen,
        stimulus=trained.stimulus,
        loss=trained.loss,
        time_scale=recipe_in(settings).tau_m,
        about=said_of_it,
        elsewhere=elsewhere,
        **options,
    )


@lru_cache(maxsize=2)
def network_of_run(run, layer, checkpoint):
    """The network of a run with this fingerprint, of which a layer can be perturbed; made once by each worker."""
    if fingerprint(Path(run) / "checkpoint.npz") != checkpoint:
        raise ValueError(f"'{run}' is another run here than where the study was begun; all workers need the same.")
    made = load_network(run)
    return PerturbedNetwork(made.network, made.duration, layer, made.loss, made.stimulus, times=_times(made.duration))


def _times(duration):
    return np.linspace(0, float(duration), _TIMES, endpoint=False)


def perturb_network(
    network,
    duration,
    layer,
    out,
    kind="shift",
    sizes=None,
    samples=None,
    stimulus=None,
    loss=None,
    repeats=5,
    spike=None,
    seed=0,
    time_scale=0.01,
    distances=MEASURES,
    table="csv",
    threads=1,
    solver=None,
    about=None,
    elsewhere=None,
    report=None,
):
    """Perturb any network that `EventSolver` takes.

    Parameters
    ----------
    network, duration, layer, stimulus, loss, solver
        See `PerturbedNetwork`. Names in the equations have to be defined by the groups.
    out : str or os.PathLike
        The folder for the tables, pictures, summary.json and report.html. What is finished in it is kept.
    kind, sizes, repeats, spike, seed, time_scale
        See `Plan`; sizes are by default 1e-9 to 1e-2.
    samples : dict, optional
        By their numbers, the samples (`SpikeSample`) whose spikes the stimulus gets; without, the network is run as it
        is.
    distances : sequence of str
        Spike-train distances over time, of one example in each size: 'victor_purpura', 'van_rossum' (elephant), 'spike'
        (PySpike). May be empty.
    table : 'csv' or 'parquet'
        The format of the tables.
    threads : int
        Samples computed at a time; it changes no number.
    about : dict, optional
        What else decides the outcome, to be kept among the settings; by default a digest of network and samples,
        and what the loss is of the first one.
    elsewhere : tuple, optional
        The address of a Dask scheduler, and a function without arguments by which its workers make the same
        `PerturbedNetwork`, with the default solver.
    report : None, 'text', 'stderr' or callable
        Where progress is reported.

    Returns
    -------
    dict
        What summary.json holds.

    Raises
    ------
    ImportError
        If a library for distances or tables is missing.
    ValueError
        If something is asked for that is not there, or the folder holds a study with other settings.

    Examples
    --------
    >>> from brian2 import second
    >>> from brian_qif.protocols.balanced_network import build_balanced_network
    >>> from brian_qif.protocols.spike_perturbation import perturb_network
    >>> network = build_balanced_network("qif", size=20, degree=5, duration=0.2*second)
    >>> summary = perturb_network(network, 0.2*second, "neurons", "one_spike", sizes=(1e-6,), repeats=1, distances=())
    >>> summary["found"]["largest_difference_without_perturbation"]
    0.0
    """
    refuse_unknown_kind(kind)
    sizes = tuple(several("sizes", (SIZES if kind in SIZED else ()) if sizes is None else sizes, "numbers"))
    plan = Plan(kind, sizes, repeats, seed, spike, time_scale)
    refuse_below(1, "threads", threads)
    require_libraries(distances)
    distances = list(distances)
    _require_table(table)
    Progress(report)
    out = folder_for_output(out)
    samples = _checked_samples({0: None} if samples is None else samples)
    refuse_unless_object("about", about)
    if elsewhere is not None:
        if not (isinstance(elsewhere, tuple) and len(elsewhere) == 2 and callable(elsewhere[1])):
            raise TypeError(f"'elsewhere' is an address and a function, or None; {elsewhere!r} was given.")
        refuse_no_address(elsewhere[0])
    seconds = duration_in_seconds(duration)
    perturbed = PerturbedNetwork(network, duration, layer, loss, stimulus, solver, times=_times(duration))
    number, sample = next(iter(samples.items()))
    first = perturbed.run(sample)
    chosen_perturbations(perturbed, first, number, plan)  # what it refuses is refused before there is a folder
    about = _identity(perturbed, samples, first) if about is None else about
    about = about if solver is None else {**about, "solver": repr(solver)}
    asked = {**asdict(plan), "sizes": list(plan.sizes), "samples": list(samples)}
    settings = {**about, "layer": perturbed.layer, "duration": seconds, **asked}
    folder = claim_folder(out, settings)
    found = _compute(perturbed, samples, plan, folder / "pieces", threads, elsewhere, report)
    tables = tables_of(found, perturbed)
    for name, frame in tables.items():
        _write_table(frame, folder / f"{name}.{table}")
    summary = {"settings": settings, "found": summarise(tables, perturbed)}
    pictures = draw_all(folder, perturbed, next(iter(samples.items())), plan, tables, distances, summary)
    write_report(folder, summary, tables, pictures)
    write_json(folder / "summary.json", summary)
    return summary


def _identity(perturbed, samples, first):
    """By what the study is known again; a loss may be any function, so it is known by what it said of a trial."""
    heard = [one if one is None else [*map(np.asarray, (one.times, one.units, one.label))] for one in samples.values()]
    # To the digits in which all machines agree.
    loss = None if perturbed.loss is None else f"{type(perturbed.loss).__name__}, {first.loss:.9g} of the first sample"
    return {"network": digest_of([perturbed.reading.plan, heard]), "loss": loss}


def _compute(perturbed, samples, plan, folder, threads, elsewhere, report):
    """The pieces of a study, one for each sample."""
    scheduler, network_there = (None, None) if elsewhere is None else elsewhere
    source, function = (perturbed, perturb_sample) if scheduler is None else (network_there, _perturb_there)
    pieces = {f"sample_{k}": (source, sample, k, plan) for k, sample in samples.items()}
    threads = int(min(threads, len(pieces)))
    found = run_pieces(function, pieces, folder, threads, scheduler, prefer="threads", report=report)
    for name, piece in found.items():
        parts = [piece.get(part) for part in ("perturbations", "changes", "courses")] if isinstance(piece, dict) else []
        if not parts or not all(isinstance(part, list) and part and isinstance(part[0], dict) for part in parts):
            raise ValueError(
                f"'{folder / name}.json' is damaged: it is none of this study. Remove it, and the same call computes it"
                " again."
            )
    return found


def _checked_samples(samples):
    if not isinstance(samples, dict):
        raise TypeError(f"'samples' is a dict or None; {samples!r} was given.")
    if not samples:
        raise ValueError("At least one sample is needed; an empty dict was given.")
    for number, sample in samples.items():
        refuse_below(0, "the number of a sample", number)
        if sample is not None:
            check_sample(sample)
            refuse_unless_whole(f"the label of sample {number}", getattr(sample, "label", None))
    return {int(number): sample for number, sample in samples.items()}


def _perturb_there(network_there, sample, number, plan):
    return perturb_sample(network_there(), sample, number, plan)


def embedded_test():
    """The file of test samples that comes with the package."""
    from brian_qif.data.embedded import embedded_files

    return embedded_files()[1]


def _require_table(table):
    if not isinstance(table, str) or table not in TABLES:
        raise ValueError(f"Tables are written as {' or '.join(TABLES)}, not as {table!r}.")
    if table == "parquet" and find_spec("pyarrow") is None:
        raise ImportError("Parquet needs pyarrow: pip install pyarrow, or choose csv.")


def _write_table(frame, path):
    if path.suffix == ".parquet":
        write_atomically(path, partial(frame.to_parquet, index=False))
    else:
        write_atomically(path, frame.to_csv(index=False).encode())


def add_arguments(parser):
    """Give a parser the arguments of ``brian-qif perturb``."""
    parser.add_argument("run", metavar="RUN_DIR", help="folder of a training")
    parser.add_argument(
        "--file", metavar="FILE", help="HDF5 file (SHD layout; default: the SYNTHETIC digits of the package)"
    )
    parser.add_argument("--kind", choices=KINDS, default="shift", help="what is changed (default: %(default)s)")
    parser.add_argument(
        "--layer",
        default="stimulus",
        metavar="NAME",
        help="whose spike, or the weight of whose synapses: input, hidden, hidden_2, ... (default: input)",
    )
    parser.add_argument(
        "--sizes",
        type=float,
        nargs="+",
        metavar="X",
        help="shifts in seconds, or changes of a weight in root mean squares of its like (default: 1e-9 to 1e-2)",
    )
    parser.add_argument("--samples", type=int, default=10, metavar="N", help="samples (default: %(default)s)")
    parser.add_argument(
        "--repeats", type=int, default=5, metavar="N", help="spikes or weights per sample (default: %(default)s)"
    )
    parser.add_argument("--spike", type=int, metavar="K", help="change the K-th spike of the layer, not random ones")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="decides what is drawn (default: %(default)s)")
    parser.add_argument(
        "--distances",
        nargs="*",
        default=list(MEASURES),
        choices=MEASURES,
        metavar="NAME",
        help=f"spike-train distances of the example: {', '.join(MEASURES)} (default: all; they need elephant, pyspike)",
    )
    parser.add_argument("--table", choices=TABLES, default="csv", help="format of the tables (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="samples at a time; changes no number")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="Dask scheduler whose workers compute instead")
    parser.add_argument("--out", metavar="DIR", help="folder; what is finished in it is kept (default: in RUN_DIR)")


def run(arguments):
    """Carry out ``brian-qif perturb``; the lines to show."""
    options = {name: value for name, value in vars(arguments).items() if name != "command"}
    summary = perturb(options.pop("run"), **options, report="text")
    settings, found = summary["settings"], summary["found"]
    lines = [SYNTHETIC] if settings["synthetic"] else []
    shown = pd.DataFrame(found["by_size"]).to_string(index=False, float_format="{:.3g}".format)
    layer = "stimulus" if arguments.layer == "input" else arguments.layer
    out = arguments.out or Path(arguments.run) / f"perturbed_{arguments.kind}_{layer}"
    return "\n".join([*lines, shown, f"Written into '{out}': report.html, summary.json, tables and pictures."])
