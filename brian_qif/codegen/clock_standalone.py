"""Runs the networks of a clock-driven gradient as C++ programs that Brian2 builds once.

What changes from run to run is in files that the built program reads: values of arrays, spikes, and tables. They are
written again before every run, and the results are read from the files that it leaves.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from brian2 import defaultclock, prefs, second
from brian2.core.variables import DynamicArrayVariable
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice
from brian2.devices.device import all_devices, get_device, reset_device, set_device

from brian_qif.codegen.clock_devices import Runtime
from brian_qif.codegen.clock_forward import ClockObjects
from brian_qif.codegen.compiler import cache_directory
from brian_qif.solvers.clock_tasks import Values, register_device

# A device of Brian2's kind, but not its instance: what the script builds on that is left alone.
_DEVICE = "brian_qif_cpp_standalone"
all_devices[_DEVICE] = CPPStandaloneDevice()

# Brian2's program takes what is due next from the row after its present one; every thread has its own synapses.
_FILL_QUEUE = """
{{
    std::ifstream file("static_arrays/{pathway}_queue", std::ios::binary);
    int32_t pair[2];
    const int threads = {pathway}._nb_threads;
    const int share = std::max(1, (int) ({pathway}.sources.size() / threads));
    while (file.read((char*) pair, sizeof(pair)))
    {{
        CSpikeQueue* queue = {pathway}.queue[std::min(pair[1] / share, threads - 1)];
        queue->queue[(queue->offset + 1 + pair[0]) % queue->queue.size()].push_back(pair[1]);
    }}
}}
"""


@contextmanager
def brian2_device(name: str, preferences: dict | None = None, **options):
    """A device of Brian2 as new, with preferences; afterwards the script's own device, clock and preferences again."""
    step, before = defaultclock.dt, {key: prefs[key] for key in preferences or {}}
    prefs.update(preferences or {})
    set_device(name, **options)
    try:
        device = get_device()
        device.reinit()
        device.activate(**options)
        yield device
    finally:
        # Brian2 takes the step of the device that is left over to the one that it goes back to.
        defaultclock.dt = step
        reset_device()
        prefs.update(before)


class StandaloneProgram:
    """A network as a program in a folder of its own; the folder goes with the object."""

    def __init__(self, build: Callable[[], ClockObjects], values: Values):
        cache_directory().mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(prefix="clock_", dir=cache_directory(), ignore_cleanup_errors=True)
        self.directory = Path(self._folder.name)
        with self._brian2_device() as self.device:
            self._make(build, values)
            self._static = dict(self.device.static_arrays)
            self._results = {
                variable: os.path.basename(self.device.get_array_filename(variable)) for variable in self._variables()
            }

    def _brian2_device(self):
        return brian2_device(_DEVICE, build_on_run=False)

    def _make(self, build, values: Values) -> None:
        self.objects = made = build()
        self.dt = next(iter(made.network.objects)).clock.dt_
        self._files: dict[str, str] = {}
        for label, array in self._complete(values).items():
            self._files[label] = self._set(label, array)
        for label, (units, steps) in values.spikes.items():
            made.spikes[label].set_spikes(units, steps * self.dt * second)
        for label in values.queues or ():
            self.device.insert_code("before_network_run", _FILL_QUEUE.format(pathway=made.queues[label].name))
        made.network.run(made.duration * second, namespace={})
        self._build()

    def _build(self) -> None:
        self.device.build(directory=str(self.directory), compile=True, run=False, with_output=False)

    def _command(self) -> list[str]:
        return [str(self.directory / "main")]

    def _complete(self, values: Values) -> dict[str, np.ndarray]:
        """The values of all arrays that a run needs: all that there are where it goes on from another one."""
        if values.queues is None:
            return values.arrays
        variables = {label: owner.variables[name] for label, (owner, name) in self.objects.arrays.items()}
        return {label: values.arrays.get(label, np.zeros(max(1, x.size))) for label, x in variables.items()}

    def _set(self, label: str, array) -> str | None:
        """Give a variable a value, and find the file that will hold it; None where it is compiled in."""
        owner, name = self.objects.arrays[label]
        variable = owner.variables[name]
        array = np.asarray(array, dtype=float)
        if variable.scalar:
            variable.set_value(float(np.ravel(array)[0]))
            return None
        # As Brian2 does it, which would compile in the value of a single neuron.
        target = self.device.get_array_name(variable, access_data=False)
        file = self.device.static_array(target, np.ravel(array))
        self.device.main_queue.append(("set_by_array", (target, file, isinstance(variable, DynamicArrayVariable))))
        return file

    @property
    def compiled_in(self) -> tuple[str, ...]:
        """The labels of values that do not come from files."""
        return tuple(label for label, file in self._files.items() if file is None)

    def _variables(self):
        yield from (owner.variables[name] for owner, name in self.objects.arrays.values())
        for monitor in self.objects.monitors.values():
            yield from (monitor.variables[name] for name in [*getattr(monitor, "record_variables", ()), "t"])
            if "i" in monitor.variables:
                yield monitor.variables["i"]

    def run(self, values: Values) -> None:
        """Write what has changed and start the program."""
        for label, array in self._complete(values).items():
            if self._files[label] is not None:
                self._write(self._files[label], array)
        for label, pairs in (values.queues or {}).items():
            pairs.astype(np.int32).tofile(self.directory / "static_arrays" / f"{self.objects.queues[label].name}_queue")
        for label, (units, steps) in values.spikes.items():
            group = self.objects.spikes[label].name
            self._write(f"_static_array__dynamic_array_{group}_neuron_index", units)
            self._write(f"_static_array__dynamic_array_{group}__timebins", steps)
            self._write(f"_static_array__dynamic_array_{group}_spike_time", steps * self.dt)
        for label, table in values.tables.items():
            self._write(f"{self.objects.tables[label].name}_values", table)
        (self.directory / "results").mkdir(exist_ok=True)
        finished = subprocess.run(
            self._command(), cwd=self.directory, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        if finished.returncode != 0:
            raise RuntimeError(f"The compiled simulation failed:\n{finished.stdout}{finished.stderr}")

    def _write(self, name: str, values) -> None:
        kept = self._static[name]
        values = np.ascontiguousarray(values, dtype=kept.dtype)
        if values.size != kept.size:
            raise ValueError(f"{name} was built for {kept.size} values; {values.size} were given.")
        values.tofile(self.directory / "static_arrays" / name)

    def _read(self, variable) -> np.ndarray:
        return np.fromfile(self.directory / "results" / self._results[variable], dtype=variable.dtype)

    def monitor(self, label: str, name: str) -> np.ndarray:
        """What a monitor recorded of a variable: one row per step for states."""
        return self._read(self.objects.monitors[label].variables[name])

    def array(self, label: str) -> np.ndarray:
        """The final values of a variable."""
        owner, name = self.objects.arrays[label]
        return self._read(owner.variables[name])

    def arrays(self) -> dict[str, np.ndarray]:
        """The final values of all variables, by label."""
        return {label: self.array(label) for label in self.objects.arrays}


def room_for(count: int) -> int:
    """A number of spikes to build for, which some more spikes will need as well."""
    return 2 << max(4, int(count).bit_length())


def padded(values: Values, rooms: dict[str, int], beyond: int) -> Values:
    """Spikes filled up, with spikes that come after the end, to the numbers that a program has room for."""
    spikes = {}
    for label, (units, steps) in values.spikes.items():
        missing = rooms[label] - len(units)
        steps = np.concatenate([steps, beyond + 1 + np.arange(missing)])
        spikes[label] = (np.concatenate([units, np.zeros(missing, dtype=int)]), steps)
    return Values(values.arrays, spikes, values.tables, values.queues)


class Standalone(Runtime):
    """Brian2's C++ standalone mode; OpenMP as its preference says."""

    name = "cpp_standalone"
    program = StandaloneProgram
    built_for = "devices.cpp_standalone.openmp_threads"  # the preference with which programs change

    def __init__(self):
        super().__init__()
        self._compiled_in: dict[object, tuple[str, ...]] = {}

    def _run(self, key, build, values: Values, steps: int):
        # What was built for many spikes will do for fewer.
        rooms = self.seen.setdefault((key, "rooms"), {})
        for label, (units, _) in values.spikes.items():
            if len(units) > rooms.get(label, 0):
                rooms[label] = room_for(len(units))
        values = padded(values, {label: rooms.setdefault(label, room_for(0)) for label in values.spikes}, steps)
        key = (key, tuple(rooms.items()), values.queues is None, prefs[self.built_for])

        def known_by():
            # What is compiled in is part of what the program is known by.
            return key, tuple(float(np.ravel(values.arrays[label])[0]) for label in self._compiled_in.get(key, ()))

        if known_by() not in self._programs:
            program = self.program(build, values)
            self._compiled_in[key] = program.compiled_in
            self._programs[known_by()] = program
        self._programs[known_by()].run(values)
        return self._programs[known_by()]


register_device(Standalone())
