"""A readout: leaky neurons without a threshold."""

from __future__ import annotations

from typing import Any

from brian2 import NeuronGroup, Quantity

from brian_qif.models.checks import check_exact_formula, check_size, check_time_constant

EQUATIONS = """
dv/dt = (-v + I)/tau_m : 1
dI/dt = -I/tau_s : 1
tau_m : second (shared, constant)
tau_s : second (shared, constant)
"""


class LeakyIntegratorGroup(NeuronGroup):
    """Leaky integrators that do not spike, for instance one per class of a readout.

    Equations::

        dv/dt = (-v + I)/tau_m
        dI/dt = -I/tau_s

    ======== ======================== ======== ===========================
    name     meaning                  unit     default
    ======== ======================== ======== ===========================
    tau_m    membrane time constant   second   none
    tau_s    synaptic time constant   second   none
    ======== ======================== ======== ===========================

    Variables are the voltage ``v`` and the synaptic current ``I``, without unit and 0 at the start; a synapse of
    weight w acts as ``I_post += w``. The parameters are variables of the group, shared by its neurons.

    Parameters
    ----------
    N : int
        Number of neurons.
    tau_m, tau_s : `brian2.Quantity`
        Time constants.
    method : str, optional
        State updater for clock-driven simulation: "exact", or "rk4" for equal time constants.
    **keywords
        Handed to `brian2.NeuronGroup` (``name``, ``dt``, ``clock``, ``order``).

    Raises
    ------
    DimensionMismatchError
        For a time constant that is not a time.
    ValueError
        For time constants that are not positive and finite.

    See Also
    --------
    LIFGroup, QIFGroup

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif.models import LeakyIntegratorGroup
    >>> readout = LeakyIntegratorGroup(20, tau_m=20*ms, tau_s=10*ms)
    >>> len(readout)
    20
    """

    def __init__(self, N: int, tau_m: Quantity, tau_s: Quantity, method: str | None = None, **keywords: Any):
        size = check_size(N)
        check_time_constant("tau_m", tau_m)
        check_time_constant("tau_s", tau_s)
        if method is None:
            method = "rk4" if float(tau_m) == float(tau_s) else "exact"
        super().__init__(size, EQUATIONS, method=method, **keywords)
        self.tau_m, self.tau_s = tau_m, tau_s

    def before_run(self, run_namespace: dict | None = None) -> None:
        """Called by Brian2 when a run starts; refuses time constants for which the method has no formula."""
        check_exact_formula(self)
        super().before_run(run_namespace=run_namespace)
