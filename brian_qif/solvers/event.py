"""The public face of the event-driven solver."""

from __future__ import annotations

import numpy as np
from brian2 import Network, get_local_namespace, get_logger, prefs

from brian_qif.plan.network_plan import NetworkPlan
from brian_qif.plan.reader import NetworkReading, read_network
from brian_qif.solvers.explanation import explain_network
from brian_qif.solvers.partition import prepare_in_parts
from brian_qif.solvers.reference import ReferenceBackend
from brian_qif.solvers.simulation import NetworkSolver
from brian_qif.solvers.sweeps import Backend, PreparedNetwork, find_backend, register_backend

register_backend(ReferenceBackend())

logger = get_logger("brian_qif.solvers.event")


class EventSolver(NetworkSolver):
    """Simulate a network of LIF, QIF and leaky neurons from spike to spike, without a time grid.

    Between events every neuron follows its closed-form solution; a spike time is the root of that solution. Spike
    times are therefore exact up to rounding, times the sensitivity of the trajectory. A QIF neuron spikes at
    infinity; there is no cut-off.

    Parameters
    ----------
    backend : str, optional
        "cpp" for generated C++ (compiled on first use and cached), "reference" for NumPy. By default the
        preference ``brian_qif.backend``, whose value "auto" takes generated C++ where a compiler is found and
        the reference, with a warning, where none is.
    numeric : bool or "always", optional
        Whether neurons without a closed form are integrated numerically, to about 1e-12 (NumPy reference only). With
        "always" all neurons are, which checks the closed forms; neurons that spike at infinity cannot be.
    threads : int, optional
        How many parts of one trial generated code computes side by side; the result has the same bits for any number.
        A part is some hundred neurons of a group that does not hear itself, not even through other groups. Recurrent
        groups and small ones are computed whole, short trials by one thread, and everything by the NumPy reference.
        A batch of samples uses a thread per sample already, and gains nothing here.
    dtype : str or `numpy.dtype`, optional
        "float64", or "float32" for states, weights and adjoints in single precision: faster and smaller, generated C++
        alone. Times stay double; spike times and slopes are then accurate to some 1e-6 relative times the sensitivity
        of the trajectory (docs/accuracy.md), enough to train with.

    Notes
    -----
    Supported are every `NeuronGroup` whose equations are those of leaky or quadratic integrate-and-fire neurons, under
    any names and in any units: with a constant drive, any number of exponentially decaying synaptic currents,
    parameters that differ between neurons, a reset to a value or by subtraction, a constant refractory period that
    holds the voltage; `SpikeGeneratorGroup`; and `Synapses`, also of parts of groups, that add a weight to a synaptic
    current (``on_pre="I_post += w"``) or to the voltage at once (``v_post += w``), dense or sparse, recurrent or not,
    with one delay or one per synapse. :meth:`explain` shows what was understood; everything else is refused by name.
    Synaptic delays and spike times are used as given, not rounded to the clock.

    With ``numeric`` any `NeuronGroup` with smooth equations joins them: one comparison as its threshold, any statements
    on its state variables as its reset, and synapses that add to any of them.

    Generated code takes LIF and leaky neurons with one synaptic current, and QIF neurons with one current,
    tau_m = 2 tau_s, and spikes at infinity; for the others, "auto" takes the reference.

    Arrivals at the same time are all added before time goes on, in any order with the same result. Two neurons that
    reach their threshold at the same time both spike there. A spike that arrives exactly when a neuron spikes
    finds it after its reset. Where arrivals on the voltage lift a neuron over its threshold, it spikes at once, when
    all arrivals of that time are in; the slope by its time is that of the last excitatory one.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif import EventSolver
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> trajectory = EventSolver().simulate(network, 40*ms)
    >>> trajectory.spikes[neurons].t
    array([16.37521292, 18.22973083]) * msecond
    >>> text = EventSolver.explain(network)  # flow, event, jump and adjoint of every group
    """

    def __init__(
        self, backend: str | None = None, numeric: bool | str = False, threads: int = 1, dtype: str = "float64"
    ):
        if backend is not None and not isinstance(backend, str):
            raise TypeError(f"backend is a name such as 'cpp' or 'reference', or None; {backend!r} was given.")
        if backend is not None and backend != "auto":
            find_backend(backend)
        if not (isinstance(numeric, (bool, np.bool_)) or (isinstance(numeric, str) and numeric == "always")):
            raise ValueError(f"numeric is True, False or 'always'; it is {numeric!r}.")
        if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or threads < 1:
            raise ValueError(f"threads is a whole number, 1 or more; it is {threads!r}.")
        self.backend, self.numeric, self.threads, self.dtype = backend, numeric, int(threads), _precision(dtype)
        if numeric and self.dtype != "float64":
            raise ValueError("Neurons without a closed form are integrated in double precision alone: dtype='float64'.")

    def __repr__(self):
        exactness = f"spike times exact up to rounding{' in single precision' if self.dtype == 'float32' else ''}"
        if self.numeric:
            exactness = "spike times to about 1e-12"
            exactness += ", exact up to rounding where there is a closed form" if self.numeric is True else ""
        threads = f", {self.threads} threads" if self.threads > 1 else ""
        return f"<EventSolver, backend {self.backend or prefs['brian_qif.backend']!r}{threads}: {exactness}>"

    def read(self, network: Network, namespace: dict | None) -> NetworkReading:
        """The network as this solver takes it."""
        return read_network(network, namespace, self.numeric)

    @staticmethod
    def explain(network: Network, namespace: dict | None = None, level: int = 0) -> str:
        """What the solver understands of a network: flow, event, jump and adjoint of every group, as text.

        Parameters
        ----------
        network : `brian2.Network`
        namespace : dict, optional
            As in :meth:`simulate`.

        Returns
        -------
        str
            To be printed.

        Raises
        ------
        NotImplementedError
            For what is not supported, by the term that stands in the way.
        """
        namespace = get_local_namespace(level=level + 1) if namespace is None else namespace
        return explain_network(read_network(network, namespace, numeric=True))

    def prepare(self, plan: NetworkPlan) -> PreparedNetwork:
        """A plan, packed for the backend that this solver uses."""
        return prepare_in_parts(plan, self.find_backend(plan), self.threads, self.dtype)

    def find_backend(self, plan: NetworkPlan) -> Backend:
        """The backend that runs a plan.

        Raises
        ------
        NotImplementedError
            If the backend that was asked for cannot run this plan.
        """
        name = prefs["brian_qif.backend"] if self.backend is None else self.backend
        if name == "auto":
            generated = find_backend("cpp")
            refusal = generated.refusal(plan, self.dtype)
            if refusal is None:
                return generated
            if self.dtype != "float64":
                raise NotImplementedError(f"Single precision needs generated C++. {refusal} Or take dtype='float64'.")
            logger.warn(
                f"{refusal} The NumPy reference is used instead, which is far slower.",
                "slow_backend",
                once=True,
            )
            name = "reference"
        backend = find_backend(name)
        refusal = backend.refusal(plan, self.dtype)
        if refusal is not None:
            raise NotImplementedError(f"The backend '{backend.name}' cannot run this network: {refusal}")
        return backend


def _precision(dtype) -> str:
    """The name of a precision that there is.

    Raises
    ------
    ValueError
        For any other.
    """
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = None
    if dtype is None or name not in ("float64", "float32"):
        raise ValueError(f"dtype is 'float64' or 'float32'; it is {dtype!r}.")
    return name
