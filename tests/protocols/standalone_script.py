"""Let a trained network hear samples as a standalone program: ``python standalone_script.py RUN OUT``."""

import sys

import numpy as np
from brian2 import BrianLogger, StateMonitor, device, ms, set_device

from brian_qif import load_network
from tests.protocols.test_trained_network import heard

BrianLogger.suppress_name("unused_brian_object")
folder, out = sys.argv[1:]
set_device("cpp_standalone", directory=f"{out}.program", debug=False)
samples = heard()
trained = load_network(folder, trials=len(samples))
trained.present(*samples, dt=0.1 * ms)
monitor = StateMonitor(trained.readout, "v", True)
trained.network.add(monitor)
trained.network.run(trained.duration)
np.save(out, trained.outputs(monitor))
device.delete(force=True)
