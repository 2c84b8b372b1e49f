"""The leaky integrate-and-fire neuron with an exponentially decaying synaptic current."""

from __future__ import annotations

from typing import Any

from brian2 import NeuronGroup, Quantity

from brian_qif.models.checks import (
    check_exact_formula,
    check_level,
    check_size,
    check_time_constant,
    declare_synaptic_time,
    unit_name,
)

EQUATIONS = """
dv/dt = (-v + I)/tau_m : {unit}
dI/dt = -I/tau_s : {unit}
tau_m : second (shared, constant)
tau_s : second (shared, constant)
v_th : {unit} (shared, constant)
v_reset : {unit} (shared, constant)
"""


class LIFGroup(NeuronGroup):
    """Leaky integrate-and-fire neurons.

    Equations::

        dv/dt = (-v + I)/tau_m
        dI/dt = -I/tau_s
        spike at v > v_th, then v = v_reset

    ======== ======================== ======== ===========================
    name     meaning                  unit     default
    ======== ======================== ======== ===========================
    tau_m    membrane time constant   second   none
    tau_s    synaptic time constant   second   tau_m/2
    v_th     threshold                1 or any 1
    v_reset  voltage after a spike    as v_th  0
    ======== ======================== ======== ===========================

    Variables are the voltage ``v`` and the synaptic current ``I``, both in the unit of ``v_th`` and 0 at the start; a
    synapse of weight w acts as ``I_post += w``. The parameters are variables of the group, shared by its neurons.

    Parameters
    ----------
    N : int
        Number of neurons.
    tau_m, tau_s : `brian2.Quantity`
        Time constants. Without ``tau_s``, it is no parameter: it is half of ``tau_m``, and follows it.
    v_th, v_reset : float or `brian2.Quantity`
        Threshold and reset; with a unit (volt), v and I have it too.
    method : str, optional
        State updater for clock-driven simulation. The default is "exact"; its formula divides by the difference of
        the time constants, so for equal ones the default is "rk4".
    **keywords
        Handed to `brian2.NeuronGroup` (``name``, ``dt``, ``clock``, ``order``).

    Raises
    ------
    DimensionMismatchError
        For a parameter with another unit.
    ValueError
        For time constants that are not positive and finite, or a reset at or above the threshold.

    See Also
    --------
    QIFGroup, LeakyIntegratorGroup

    References
    ----------
    Gerstner, Kistler, Naud & Paninski, Neuronal Dynamics, Cambridge University Press (2014), chapter 1.

    Examples
    --------
    >>> from brian2 import ms, mV
    >>> from brian_qif.models import LIFGroup
    >>> neurons = LIFGroup(10, tau_m=20*ms, tau_s=5*ms, v_th=15*mV, v_reset=0*mV)
    >>> neurons.tau_m[:]
    20. * msecond
    """

    def __init__(
        self,
        N: int,
        tau_m: Quantity,
        tau_s: Quantity | None = None,
        v_th: float | Quantity = 1.0,
        v_reset: float | Quantity | None = None,
        method: str | None = None,
        **keywords: Any,
    ):
        size = check_size(N)
        check_time_constant("tau_m", tau_m)
        if tau_s is not None:
            check_time_constant("tau_s", tau_s)
        check_level("v_th", v_th, v_th, "v_th is a number or a voltage")
        v_reset = 0 * v_th if v_reset is None else v_reset
        check_level("v_reset", v_reset, v_th, "v_reset has the unit of v_th")
        if not v_reset < v_th:
            raise ValueError(f"v_reset must lie below v_th; v_reset = {v_reset} and v_th = {v_th} were given.")
        if method is None:
            method = "rk4" if tau_s is not None and float(tau_m) == float(tau_s) else "exact"
        equations = declare_synaptic_time(EQUATIONS.format(unit=unit_name(Quantity(v_th))), tau_s)
        super().__init__(size, equations, threshold="v > v_th", reset="v = v_reset", method=method, **keywords)
        self.tau_m, self.v_th, self.v_reset = tau_m, v_th, v_reset
        if tau_s is not None:
            self.tau_s = tau_s

    def before_run(self, run_namespace: dict | None = None) -> None:
        """Called by Brian2 when a run starts; refuses time constants for which the method has no formula."""
        check_exact_formula(self)
        super().before_run(run_namespace=run_namespace)
