"""Run all models under one of Brian2's targets and print every spike: ``python device_script.py cython``."""

import sys
import tempfile

import numpy as np
from brian2 import Network, SpikeGeneratorGroup, SpikeMonitor, Synapses, device, ms, mV, prefs, set_device

from brian_qif.models import LeakyIntegratorGroup, LIFGroup, QIFGroup

target = sys.argv[1]
if target == "cpp_standalone":
    set_device("cpp_standalone", build_on_run=False)
else:
    prefs.codegen.target = target

generator = np.random.default_rng(5)
stimulus = SpikeGeneratorGroup(10, np.arange(10), np.sort(generator.uniform(0, 60, 10)).round(1) * ms + 0.05 * ms)
groups = [
    LIFGroup(4, tau_m=20 * ms, tau_s=5 * ms),
    QIFGroup(4, tau_m=20 * ms, tau_s=10 * ms, v_rest=-65 * mV, v_crit=-50 * mV),
]
units = [1.0, 15 * mV]
readout = LeakyIntegratorGroup(2, tau_m=20 * ms, tau_s=5 * ms)
network = Network(stimulus, *groups, readout)
monitors = []
for group, unit, name in zip(groups, units, ("1", "volt"), strict=True):
    synapses = Synapses(stimulus, group, f"w : {name}", on_pre="I_post += w", delay=1 * ms)
    synapses.connect()
    synapses.w = generator.uniform(0.5, 3.0, 40) * unit
    monitors.append(SpikeMonitor(group))
    network.add(synapses, monitors[-1])
onward = Synapses(groups[0], readout, "w : 1", on_pre="I_post += w")
onward.connect()
onward.w = 1
network.add(onward)
network.run(100 * ms)
if target == "cpp_standalone":
    with tempfile.TemporaryDirectory() as folder:
        device.build(directory=folder, compile=True, run=True, debug=False)
        results = [(np.array(m.t), np.array(m.i)) for m in monitors]
        device.delete(force=True)
else:
    results = [(np.array(m.t), np.array(m.i)) for m in monitors]
for number, (times, indices) in enumerate(results):
    for time, index in zip(times, indices, strict=True):
        print(number, index, f"{time * 1e3:.4f}")
