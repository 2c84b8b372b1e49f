"""The quadratic integrate-and-fire neuron with an exponentially decaying synaptic current."""

from __future__ import annotations

from typing import Any

import numpy as np
from brian2 import DimensionMismatchError, NeuronGroup, Quantity, get_dimensions, have_same_dimensions

from brian_qif.arguments import check_dimensions
from brian_qif.models.checks import (
    check_level,
    check_size,
    check_time_constant,
    declare_synaptic_time,
    unit_name,
)

# In both forms, x = (v - v_rest)/(v_crit - v_rest) follows x*(x - 1) once I is negligible, so from x it takes the time
# tau_m*log(x/(x - 1)) to reach infinity, and the same time from minus infinity to 1 - x. Brian2 holds v for hold - dt
# after a spike (refractoriness); the reset puts v where it is at the end of that time.
EQUATIONS = """
dv/dt = (v*(v - 1) + I)/tau_m : 1 (unless refractory)
dI/dt = -I/tau_s : 1
hold = dt + dt*ceil(2*tau_m*log(v_cut/(v_cut - 1))/dt) : second
tau_m : second (shared, constant)
tau_s : second (shared, constant)
v_cut : 1 (shared, constant)
"""
RESET = "v = 1/(1 - exp((hold - dt)/tau_m)*(v - 1)/v)"

PHYSICAL_EQUATIONS = """
dv/dt = ((v - v_rest)*(v - v_crit)/(v_crit - v_rest) + I)/tau_m : {unit} (unless refractory)
dI/dt = -I/tau_s : {unit}
hold = dt + dt*ceil(2*tau_m*log((v_cut - v_rest)/(v_cut - v_crit))/dt) : second
tau_m : second (shared, constant)
tau_s : second (shared, constant)
v_rest : {unit} (shared, constant)
v_crit : {unit} (shared, constant)
v_cut : {unit} (shared, constant)
"""
PHYSICAL_RESET = "v = v_rest + (v_crit - v_rest)/(1 - exp((hold - dt)/tau_m)*(v - v_crit)/(v - v_rest))"

DEFAULT_CUT = 100


class QIFGroup(NeuronGroup):
    """Quadratic integrate-and-fire neurons, whose spike is the passage of the voltage through infinity.

    Equations in normal form, and in physical form where ``v_rest`` and ``v_crit`` are given::

        dv/dt = (v*(v - 1) + I)/tau_m
        dv/dt = ((v - v_rest)*(v - v_crit)/(v_crit - v_rest) + I)/tau_m
        dI/dt = -I/tau_s
        spike at v = infinity, then v = -infinity

    ======== =========================================== ======== =================================
    name     meaning                                     unit     default
    ======== =========================================== ======== =================================
    tau_m    membrane time constant                      second   none
    tau_s    synaptic time constant                      second   tau_m/2
    v_rest   resting voltage                             any      absent: normal form, 0
    v_crit   unstable voltage, above which v grows       v_rest   absent: normal form, 1
    v_cut    stand-in for infinity, clock-driven only    v_rest   100 times v_crit - v_rest above v_rest
    ======== =========================================== ======== =================================

    Variables are the voltage ``v`` (at the start 0, or ``v_rest``) and the synaptic current ``I``, in the unit of v; a
    synapse of weight w acts as ``I_post += w``. The parameters are variables of the group, shared by its neurons.

    Parameters
    ----------
    N : int
        Number of neurons.
    tau_m, tau_s : `brian2.Quantity`
        Time constants. With ``tau_m = 2*tau_s`` the event-driven solver has a closed form, and is fast. Without
        ``tau_s``, it is no parameter: it is half of ``tau_m``, and follows it.
    v_rest, v_crit : `brian2.Quantity`, optional
        Both or neither.
    v_cut : float or `brian2.Quantity`, optional
        See Notes.
    method : str
        State updater for clock-driven simulation.
    **keywords
        Handed to `brian2.NeuronGroup` (``name``, ``dt``, ``clock``, ``order``).

    Raises
    ------
    DimensionMismatchError
        For a parameter with another unit.
    ValueError
        For time constants that are not positive and finite, ``v_crit`` not above ``v_rest``, one of them alone, or
        ``v_cut`` less than ten times as far from ``v_rest`` as ``v_crit`` is.

    See Also
    --------
    LIFGroup, LeakyIntegratorGroup

    Notes
    -----
    `brian_qif.EventSolver` takes the spike at infinity (``spike_at_infinity``) and uses no cut-off. Brian2's
    clock-driven devices need one: the text equations report a spike at the step in which v exceeds ``v_cut``, hold v
    while it would go to infinity and come back (the variable ``hold``, one step included), and go on from where it then
    is. That time is computed for I = 0, which is negligible against v**2 there. Spikes are reported up to
    ``tau_m*log(v_cut/(v_cut - 1))`` before infinity, and on the time grid; docs/models.md has the measured error.

    References
    ----------
    Ermentrout & Kopell, SIAM J. Appl. Math. 46, 233 (1986); Latham et al., J. Neurophysiol. 83, 808 (2000);
    Klos & Memmesheimer, arXiv:2309.14523.

    Examples
    --------
    >>> from brian2 import ms, mV
    >>> from brian_qif.models import QIFGroup
    >>> neurons = QIFGroup(10, tau_m=20*ms, tau_s=10*ms, v_rest=-65*mV, v_crit=-50*mV)
    >>> print(neurons.v[0])
    -65. mV
    """

    def __init__(
        self,
        N: int,
        tau_m: Quantity,
        tau_s: Quantity | None = None,
        v_rest: Quantity | None = None,
        v_crit: Quantity | None = None,
        v_cut: float | Quantity | None = None,
        method: str = "rk4",
        **keywords: Any,
    ):
        size = check_size(N)
        check_time_constant("tau_m", tau_m)
        if tau_s is not None:
            check_time_constant("tau_s", tau_s)
        if (v_rest is None) != (v_crit is None):
            raise ValueError("v_rest and v_crit are given together (physical form) or not at all (normal form).")
        physical = v_rest is not None
        low: Any = v_rest if physical else 0.0
        high: Any = v_crit if physical else 1.0
        check_level("v_rest", low, low, "v_rest is a number or a voltage")
        check_level("v_crit", high, low, "v_crit has the unit of v_rest")
        # Brian2 takes a plain zero for any unit; here it would be the unit of the group.
        if not have_same_dimensions(low, high):
            raise DimensionMismatchError("v_crit has the unit of v_rest", get_dimensions(high), get_dimensions(low))
        if not low < high:
            raise ValueError(f"v_crit must lie above v_rest; v_rest = {low} and v_crit = {high} were given.")
        v_cut = low + DEFAULT_CUT * (high - low) if v_cut is None else v_cut
        check_dimensions(v_cut, low, "v_cut has the unit of v")
        if np.ndim(v_cut) != 0:
            raise ValueError(f"v_cut must be one number; {v_cut} was given.")
        if not 10 <= float((v_cut - low) / (high - low)) < np.inf:
            raise ValueError(
                f"v_cut stands in for infinity and must be at least {low + 10 * (high - low)}; {v_cut} was given."
            )
        equations = PHYSICAL_EQUATIONS.format(unit=unit_name(Quantity(low))) if physical else EQUATIONS
        super().__init__(
            size,
            declare_synaptic_time(equations, tau_s),
            threshold="v > v_cut",
            reset=PHYSICAL_RESET if physical else RESET,
            refractory="hold",
            method=method,
            **keywords,
        )
        self.add_attribute("spike_at_infinity")
        self.spike_at_infinity = True
        self.tau_m, self.v_cut = tau_m, v_cut
        if tau_s is not None:
            self.tau_s = tau_s
        if physical:
            self.v_rest, self.v_crit, self.v = v_rest, v_crit, v_rest
