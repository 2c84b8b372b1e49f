"""Runs the forward and the reverse network of a clock-driven gradient on one of Brian2's devices."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
from brian2 import Clock, second
from brian2.devices.device import get_device

from brian_qif.codegen.clock_forward import ClockObjects, forward_objects
from brian_qif.codegen.clock_reverse import reverse_objects
from brian_qif.plan.network_plan import NetworkPlan
from brian_qif.solvers.clock_tasks import Layout, Task, Values, register_device, step_length

# Seconds after which everything is looked through again for what nobody needs any more.
_COLLECTED_EVERY = 10.0
_last_collection = -_COLLECTED_EVERY
# Python 3.12 freezes some hundred immortal objects by itself; whoever else freezes, freezes all of an interpreter, and
# that is four thousand before anything is imported.
_FROZEN_BY_PYTHON = 2000


@contextmanager
def without_old_objects() -> Iterator[None]:
    """Spare Brian2's collection of garbage all objects that are there already.

    `brian2.Network.run` collects whenever it is called. Of a short run that takes most of the time (0.2 s and more,
    where many libraries are loaded), so that it looks at new objects only, and at all of them now and then.
    """
    global _last_collection
    now = time.monotonic()
    if gc.get_freeze_count() > _FROZEN_BY_PYTHON or now - _last_collection > _COLLECTED_EVERY:
        _last_collection = now
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class RuntimeProgram:
    """Brian2 objects in this process, made once and run often."""

    def __init__(self, build: Callable[[], ClockObjects]):
        self.objects = build()
        self.objects.network.store("qif_start")

    def run(self, values: Values) -> None:
        made = self.objects
        made.network.restore("qif_start")
        for label, array in values.arrays.items():
            owner, name = made.arrays[label]
            variable = owner.variables[name]
            variable.set_value(np.asarray(array, dtype=float) if not variable.scalar else float(np.ravel(array)[0]))
        for label, pairs in (values.queues or {}).items():
            put_on_the_way(made.queues[label], pairs)
        dt = next(iter(made.network.objects)).clock.dt_
        for label, (units, steps) in values.spikes.items():
            made.spikes[label].set_spikes(units, steps * dt * second)
        for label, table in values.tables.items():
            made.tables[label].values[...] = table
        with without_old_objects():
            made.network.run(made.duration * second, namespace={})

    def monitor(self, label: str, name: str) -> np.ndarray:
        """What a monitor recorded of a variable: one row per step for states."""
        return np.array(self.objects.monitors[label].variables[name].get_value())

    def array(self, label: str) -> np.ndarray:
        """The final values of a variable."""
        owner, name = self.objects.arrays[label]
        return np.array(owner.variables[name].get_value())

    def arrays(self) -> dict[str, np.ndarray]:
        """The final values of all variables, by label."""
        return {label: self.array(label) for label in self.objects.arrays}


def put_on_the_way(pathway, pairs: np.ndarray) -> None:
    """Fill the queue of a pathway: pairs of a step, counted from the next one, and the synapse that acts then."""
    if pathway.queue is None:
        pathway.queue = get_device().spike_queue(pathway.source.start, pathway.source.stop)
    steps, synapses = pairs.T
    dt, length = (
        pathway.source.clock.dt_,
        int(np.max(np.round(pathway._delays.get_value() / pathway.source.clock.dt_))) + 1,
    )
    # Brian2 2.11 has the compiled queue alone, under the name of the other one too.
    if type(pathway.queue).__module__.endswith("cythonspikequeue"):
        rows = [synapses[steps == step].tolist() for step in range(length)]
        pathway.queue._restore_from_full_state((0, rows))
    else:
        room = max(1, int(np.max(np.bincount(steps, minlength=1))))
        pathway.queue._restore_from_full_state((dt, pairs, (length, room)))


class Runtime:
    """Brian2's runtime mode, with the target (numpy, cython) that the user chose."""

    name = "runtime"

    def __init__(self):
        self._programs: dict[object, RuntimeProgram] = {}
        self.seen: dict[object, object] = {}

    def missing(self) -> str | None:
        """What this machine lacks for the device, and how to get it."""
        return None

    def refusal(self, plan: NetworkPlan) -> str | None:
        """What stands in the way of a plan."""
        return None

    def clock(self, plan: NetworkPlan) -> Clock:
        """The clock of a network that is being made."""
        return Clock(dt=step_length(plan) * second, name="qif_clock*")

    def forward(self, plan: NetworkPlan, layout: Layout, key: str, values: Values):
        """Run the forward network; what it left can be read from the program until it is run again."""
        build = partial(self._built, forward_objects, plan, layout)
        return self._run(("forward", key, layout), build, values, layout.steps)

    def reverse(self, plan: NetworkPlan, layout: Layout, task: Task, key: str, values: Values):
        """Run the reverse network."""
        steps = layout.steps + task.extra + 1
        build = partial(self._built, reverse_objects, plan, layout, task)
        return self._run(("reverse", key, layout, task), build, values, steps)

    def _built(self, build: Callable[..., ClockObjects], plan: NetworkPlan, *shape) -> ClockObjects:
        return build(plan, *shape, self.clock(plan))

    def _run(self, key, build, values: Values, steps: int):
        if key not in self._programs:
            self._programs[key] = RuntimeProgram(build)
        self._programs[key].run(values)
        return self._programs[key]


register_device(Runtime())
