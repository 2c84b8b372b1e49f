"""The command ``brian-qif``: studies with spiking networks and exact gradients."""

from __future__ import annotations

import argparse
import sys

from brian2.units.fundamentalunits import DimensionMismatchError

from brian_qif._version import __version__
from brian_qif.solvers.sweeps import UnboundedActivityError

_INTERRUPTED = 130  # what a shell reports for a command that Ctrl-C ended
_WRONG_INPUT = (
    ValueError,
    OSError,
    NotImplementedError,
    ImportError,
    FloatingPointError,
    DimensionMismatchError,
    UnboundedActivityError,
)
_GOING_ON = {
    "train": " The last whole epoch is kept; --resume goes on.",
    "reproduce": " What is finished is kept; the same command goes on.",
    "perturb": " Finished samples are kept; the same command goes on.",
    "stability": " Finished runs are kept; the same command goes on.",
    "landscape": " What is finished is kept; the same command goes on.",
    "search": " Finished trials are kept; the same command goes on.",
}


def main(argv=None):
    """Run a command.

    Parameters
    ----------
    argv : list of str, optional
        The arguments behind the name of the command; those of the process where they are not given.

    Returns
    -------
    int
        0, or 2 where the input was wrong (one line on standard error says what), or 130 after Ctrl-C.
    """
    parser, studies = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 0
    name = arguments.command
    if name == "data":
        name += f" {arguments.data_command}"
        if arguments.data_command is None:
            parser.parse_args(["data", "--help"])
    try:
        text = studies[name](arguments)
    except _WRONG_INPUT as error:
        sys.stderr.write(f"brian-qif {name}: error: {_one_line(error)}\n")
        return 2
    except KeyboardInterrupt:
        resume = _GOING_ON.get(name, "")
        sys.stderr.write(f"\nbrian-qif {name}: stopped.{resume}\n")
        return _INTERRUPTED
    sys.stdout.write(text + "\n")
    return 0


def _parser():
    """The parser of all commands, and the function that carries out each."""
    # Here and not above: the library does not import its studies.
    from brian_qif.protocols import (
        benchmark,
        comparison,
        data_download,
        data_from_audio,
        data_info,
        data_synthesise,
        devices,
        loss_landscape,
        prediction,
        reproduction,
        search,
        shd_training,
        spike_perturbation,
        training_stability,
    )

    parser = argparse.ArgumentParser(
        prog="brian-qif", description="Exact spike-time gradients for LIF and QIF networks written in Brian2."
    )
    parser.add_argument("--version", action="version", version=f"brian-qif {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    text = "get, make and look at spike trains"
    data = commands.add_parser("data", help=text, description=f"{text[0].upper()}{text[1:]}.")
    data_commands = data.add_subparsers(dest="data_command", title="commands", metavar="COMMAND")
    studies = {}
    for name, study, text in (
        ("train", shd_training, "train a network on spike trains of spoken digits"),
        ("search", search, "search for the best settings, with any number of workers"),
        ("predict", prediction, "label spike trains by a trained network"),
        ("perturb", spike_perturbation, "change one spike or one weight and follow what comes of it"),
        ("reproduce", reproduction, "search and train LIF and QIF networks, and write a report"),
        ("landscape", loss_landscape, "draw the loss around trained networks and locate its jumps"),
        ("bench", benchmark, "time the forward and the reverse sweep"),
        ("stability", training_stability, "count the trainings that diverge, over seeds and step sizes"),
        ("compare", comparison, "draw several trainings into one picture"),
        ("devices", devices, "show what this machine has, and which solvers work on it"),
        ("data download", data_download, "fetch a published data set"),
        ("data from-audio", data_from_audio, "turn recordings into spike trains"),
        ("data synthesise", data_synthesise, "make synthetic spoken digits"),
        ("data info", data_info, "show what a file of spike trains holds"),
    ):
        group, last = (data_commands, name.split()[1]) if " " in name else (commands, name)
        study.add_arguments(group.add_parser(last, help=text, description=study.__doc__))
        studies[name] = study.run
    return parser, studies


def _one_line(error):
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
