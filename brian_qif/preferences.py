"""Preferences of the package, in Brian2's own system: ``prefs["brian_qif.backend"] = "reference"``."""

from brian2 import BrianPreference, prefs

prefs.register_preferences(
    "brian_qif",
    "Solvers and gradients (brian_qif)",
    backend=BrianPreference(
        default="auto",
        docs="Backend of the event-driven solver: 'cpp' (generated C++), 'reference' (NumPy), or 'auto', which takes "
        "generated C++ where a compiler is found.",
        validator=lambda value: value in ("auto", "cpp", "reference"),
    ),
    cache_directory=BrianPreference(
        default="",
        docs="Folder for compiled code; empty for a folder 'brian_qif' in the user's cache folder.",
        validator=lambda value: isinstance(value, str),
    ),
    extra_compile_args=BrianPreference(
        default=[],
        docs="Further flags for the compiler of generated code, after its own.",
        validator=lambda value: isinstance(value, list) and all(isinstance(flag, str) for flag in value),
    ),
    genn_gpu=BrianPreference(
        default=False,
        docs="Whether the device 'genn' of the clock-driven solver builds programs for a graphics card (CUDA), not for "
        "the processor. It has not been tried on a card yet.",
        validator=lambda value: isinstance(value, bool),
    ),
    samples_at_once=BrianPreference(
        default=32,
        docs="Samples that the clock-driven solver simulates side by side in training, as copies in one network.",
        validator=lambda value: isinstance(value, int) and value >= 1,
    ),
    threads=BrianPreference(
        default=0,
        docs="Samples that are simulated side by side in training; 0 for one per core.",
        validator=lambda value: isinstance(value, int) and value >= 0,
    ),
    trajectory_memory=BrianPreference(
        default=2_000_000_000,
        docs="Bytes that the clock-driven solver may take for the states of trials, which its reverse pass needs.",
        validator=lambda value: isinstance(value, (int, float)) and value > 0,
    ),
)
