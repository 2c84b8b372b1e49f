"""A whole check of the clock-driven solver on GeNN, against runtime mode, and a log of it.

Run it as ``python -m tests.genn_log`` where GeNN is installed; ``brian-qif devices`` tells whether it is. It takes a
minute or two, most of it in the compiler, and ends with an error if anything differs by more than rounding.
"""

import datetime
import os
import platform
import sys
import time
from functools import partial

import brian2
import numpy as np
from brian2 import BrianLogger, Network, NeuronGroup, SpikeGeneratorGroup, Synapses, ms, mV, prefs

from brian_qif import ClockSolver, SpikeFunctionLoss, SpikeGradient, __version__
from brian_qif.codegen.genn_installation import genn_version, installed_version, what_is_missing
from brian_qif.models import LIFGroup, QIFGroup
from brian_qif.protocols.devices import compiler
from brian_qif.training.optimisers import Adam
from brian_qif.training.trainer import Trainer
from tests.training.small_network import make_classifier, make_words

DURATION = 100 * ms
# Largest difference that rounding may make: relative to the value, and to the largest slope by a parameter.
BOUND = 1e-9
# Weights in units in which a neuron of each kind spikes some times in a trial.
DRIVE = {LIFGroup: (1.2, 0.4), QIFGroup: (2.5, 4.0)}


CONDUCTANCES = """
dv/dt = (E_L - v + g_e*(E_e - v) + g_i*(E_i - v))/tau_m : volt (unless refractory)
dg_e/dt = -g_e/(5*ms) : 1
dg_i/dt = -g_i/(10*ms) : 1
tau_m : second (constant)
"""
POTENTIALS = {"E_L": -60 * mV, "E_e": 0 * mV, "E_i": -80 * mV, "V_T": -50 * mV}


class Log:
    """Lines as they come, and whether all was well."""

    def __init__(self):
        self.good = True

    def say(self, text=""):
        print(text, flush=True)

    def check(self, what, difference):
        """Compare a difference with the bound."""
        fine = bool(difference <= BOUND)
        self.good &= fine
        self.say(f"  {what:<42} {difference:.1e}{'' if fine else '  TOO LARGE'}")


def random_spikes(generator, size, count):
    """Spikes in the first 80 ms, none of a neuron twice in a step."""
    units, times = generator.integers(size, size=count), np.sort(generator.uniform(0, 80, count))
    _, first = np.unique(np.stack([units, np.floor(times * 10)]), axis=1, return_index=True)
    return SpikeGeneratorGroup(size, units[np.sort(first)], times[np.sort(first)] * ms)


def conductances(device):
    """40 inputs, and 12 neurons of a script that excite and inhibit each other, refractory for 3 ms."""
    generator = np.random.default_rng(1)
    stimulus = random_spikes(generator, 40, 400)
    neurons = NeuronGroup(
        12,
        CONDUCTANCES,
        threshold="v > V_T",
        reset="v = E_L",
        refractory=3 * ms,
        method="exponential_euler",
        namespace=POTENTIALS,
    )
    neurons.v, neurons.tau_m = -60 * mV, 20 * ms
    parts = []
    for source, port, condition, weight, delay in (
        (stimulus, "g_e", "(i + j) % 3 == 0", 0.15, 0),
        (neurons, "g_e", "i != j and i < 9", 0.03, 1),
        (neurons, "g_i", "i != j and i >= 9", 0.2, 2),
    ):
        synapses = Synapses(source, neurons, "w : 1", on_pre=f"{port}_post += w", delay=delay * ms)
        synapses.connect(condition=condition)
        synapses.w = weight * generator.uniform(0.5, 1.5, len(synapses))
        parts.append(synapses)
    loss = SpikeFunctionLoss(neurons, lambda t, i: (np.sum((1 + i) * t**2), 2 * (1 + i) * t))
    parameters = [*(synapses.w for synapses in parts), neurons.tau_m, (neurons, "V_T"), neurons.v]
    parameters += [stimulus.spike_time, parts[1].delay]
    names = ["input weights", "excitation", "inhibition", "tau_m", "V_T", "initial v", "input spikes", "a delay"]
    return SpikeGradient(Network(stimulus, neurons, *parts), loss, parameters, ClockSolver(device)), neurons, names


def two_layers(group, device):
    """20 inputs, 30 neurons and 10 that hear them 2 ms later and each other after 1.5 ms."""
    generator = np.random.default_rng(7)
    stimulus = random_spikes(generator, 20, 160)
    hidden, output = group(30, tau_m=20 * ms, tau_s=10 * ms), group(10, tau_m=20 * ms, tau_s=10 * ms)
    weights, parts = (*DRIVE[group], 0.5), []
    for source, target, scale, delay in zip(
        (stimulus, hidden, output), (hidden, output, output), weights, (0, 2, 1.5), strict=True
    ):
        synapses = Synapses(source, target, "w : 1", on_pre="I_post += w", delay=delay * ms)
        synapses.connect()
        mean = 0.0 if source is output else 0.25
        synapses.w = scale * generator.normal(mean, 0.3, len(synapses))
        parts.append(synapses)
    loss = SpikeFunctionLoss(output, lambda t, i: (np.sum((1 + i) * t**2), 2 * (1 + i) * t))
    parameters = [*(synapses.w for synapses in parts), hidden.tau_m, output.tau_s, hidden.v]
    parameters += [stimulus.spike_time, parts[1].delay]
    names = ["input weights", "weights between", "recurrent weights", "tau_m", "tau_s", "initial v", "input spikes"]
    network = Network(stimulus, hidden, output, *parts)
    return SpikeGradient(network, loss, parameters, ClockSolver(device)), output, [*names, "the delay between"]


def timed(gradient):
    """The gradient, its seconds for the first time and for the second."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        value, slopes = gradient(DURATION)
        seconds.append(time.perf_counter() - start)
    return value, slopes, seconds


def compare_gradients(log, what, network):
    """Value, spikes and slopes on both devices."""
    log.say(f"\n{what}; {DURATION} in steps of 0.1 ms")
    (reference, same, names), (gradient, output, _) = network("runtime"), network("genn")
    known, others, runtime = timed(reference)
    value, slopes, seconds = timed(gradient)
    spikes, expected = gradient.trajectory.spikes[output], reference.trajectory.spikes[same]
    equal = np.array_equal(spikes.i, expected.i)
    log.good &= equal and len(spikes.i) > 0
    log.say(f"  {len(spikes.i)} spikes, {'of the same neurons' if equal else 'OF OTHER NEURONS'}")
    if equal:
        log.check("spike times differ by at most (s)", np.max(np.abs(np.asarray(spikes.t) - np.asarray(expected.t))))
    log.check("the loss, relative", abs(float(value) / float(known) - 1))
    for name, slope, other in zip(names, map(np.asarray, slopes), map(np.asarray, others), strict=True):
        scale = np.max(np.abs(other))
        log.good &= bool(scale > 0)
        log.check(f"{slope.size} slopes by {name}, relative", np.max(np.abs(slope - other)) / scale)
    log.say(f"  seconds: GeNN {seconds[0]:.1f} with building, then {seconds[1]:.2f}; runtime {runtime[1]:.2f}")


def compare_training(log):
    """Ten epochs of the same samples in the same order; 24 samples in batches of 8."""
    log.say("\nTraining: 12 inputs, 5 hidden QIF neurons, 3 classes; 30 steps of Adam")
    found = {}
    for device in ("runtime", "genn"):
        words, made = make_words(24), make_classifier("qif")
        trainer = Trainer(
            made.network,
            made.loss,
            made.parameters,
            made.stimulus,
            50 * ms,
            solver=ClockSolver(device),
            optimiser=Adam([0.02, 0.1]),
            batch_size=8,
            seed=3,
        )
        trainer.train(words, epochs=10)
        found[device] = trainer.history["loss"].to_numpy(), np.array(made.input_synapses.w)
    (known, others), (losses, weights) = found["runtime"], found["genn"]
    log.say(f"  mean loss of the first epoch {losses[0]:.6f}, of the last {losses[-1]:.6f}")
    log.check("losses, relative", np.max(np.abs(losses / known - 1)))
    log.check("learned weights, relative", np.max(np.abs(weights - others)) / np.max(np.abs(others)))


def main():
    """The whole check; 0 if all was well."""
    missing = what_is_missing()
    if missing is not None:
        sys.stderr.write(f"{missing}\n")
        return 2
    prefs.codegen.target = "numpy"
    BrianLogger.suppress_name("unused_brian_object")
    log, start = Log(), time.perf_counter()
    log.say(f"brian_qif {__version__} on GeNN, {datetime.date.today()}: python -m tests.genn_log")
    log.say(f"brian2 {brian2.__version__}, brian2genn {installed_version('brian2genn')}, GeNN {genn_version()}")
    log.say(f"Python {platform.python_version()}, NumPy {np.__version__}, {compiler().detail.rpartition(' (')[0]}")
    log.say(f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores, GeNN on the processor")
    log.say("Differences are from ClockSolver('runtime') with NumPy, those of slopes relative to the largest of them;")
    log.say(f"the bound is {BOUND:g}")
    for group in (LIFGroup, QIFGroup):
        what = f"{group.__name__}: 20 inputs, 30 neurons, 10 recurrent ones"
        compare_gradients(log, what, partial(two_layers, group))
    compare_gradients(log, "Conductance-based NeuronGroup: 40 inputs, 12 recurrent neurons", conductances)
    compare_training(log)
    log.say(f"\n{'All is well' if log.good else 'THERE ARE DIFFERENCES'}, {time.perf_counter() - start:.0f} s")
    return 0 if log.good else 1


if __name__ == "__main__":
    sys.exit(main())
