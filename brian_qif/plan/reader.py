"""Read a Brian2 `Network` into a :class:`~brian_qif.plan.network_plan.NetworkPlan`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from brian2 import (
    BrianLogger,
    EventMonitor,
    Network,
    NeuronGroup,
    PopulationRateMonitor,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Subgroup,
    Synapses,
)
from brian2.devices.device import get_device

from brian_qif.equations.normal_form import NormalForm, UnsupportedModelError, recognise
from brian_qif.plan.network_plan import NetworkPlan, NeuronNode, Pathway, SourceNode
from brian_qif.plan.pathways import read_pathways
from brian_qif.plan.values import parameter_values, state_values

# tau_m = 2 tau_s is compared up to the rounding of the conversion to normal form.
RATIO_TOLERANCE = 1e-14

_MONITORS = (SpikeMonitor, EventMonitor, StateMonitor, PopulationRateMonitor)
_GROUP_PARTS = {"Thresholder", "Resetter", "StateUpdater", "SubexpressionUpdater"}


@dataclass(frozen=True)
class NetworkReading:
    """A plan together with what is needed to find the user's objects in it.

    ``forms`` maps the index of a neuron node to its normal form; ``weight_variables`` has, for each pathway,
    the pair (name of the `Synapses`, name of the variable that holds the weights).
    """

    plan: NetworkPlan
    forms: dict[int, NormalForm]
    weight_variables: tuple[tuple[str, str], ...]

    def node(self, group) -> int:
        """Index of the node of a group.

        Raises
        ------
        ValueError
            If the group is not in the network.
        """
        names = [node.name for node in self.plan.nodes]
        name = getattr(group, "name", group)
        if name not in names:
            raise ValueError(f"'{name}' is not part of the network, which holds {', '.join(names) or 'nothing'}.")
        return names.index(name)


def read_network(network: Network, namespace: dict | None = None) -> NetworkReading:
    """Read a network's wiring, parameters and present state.

    Parameters
    ----------
    network : `brian2.Network`
        `SpikeGeneratorGroup`, `NeuronGroup` of a supported form, and `Synapses` between them; monitors may be
        present and record nothing.
    namespace : dict, optional
        Where names in equations that no group defines are looked up.

    Returns
    -------
    `NetworkReading`

    Raises
    ------
    TypeError
        If it is not a `brian2.Network`.
    NotImplementedError
        For every kind of object that the event-driven solver does not simulate, by name.
    ValueError
        For values that leave the model undefined (a NaN, a threshold below the initial voltage).
    """
    if not isinstance(network, Network):
        raise TypeError(f"A brian2.Network is needed, such as Network(stimulus, neurons, synapses), not {network!r}.")
    _check_device()
    # Brian2 warns of objects that no run has used; what is read here is used without a run.
    BrianLogger.suppress_name("unused_brian_object")
    sources, neurons, synapses = _sort_objects(network)
    start = float(network.t)
    nodes: list[SourceNode | NeuronNode] = [_read_source(group) for group in sources]
    forms: dict[int, NormalForm] = {}
    for group in neurons:
        forms[len(nodes)] = form = _read_form(group)
        nodes.append(_read_neurons(group, form, namespace))
    pathways: list[Pathway] = []
    weight_variables: list[tuple[str, str]] = []
    for connection in synapses:
        for pathway, variable in read_pathways(connection, nodes, forms):
            if start > 0 and np.any(pathway.delays > 0):
                raise NotImplementedError(
                    f"The network has run already (t = {network.t}) and '{connection.name}' has delays: spikes may be "
                    "on their way that cannot be read back. Start from a network at t = 0, for instance after "
                    "restore()."
                )
            pathways.append(pathway)
            weight_variables.append((connection.name, variable))
    return NetworkReading(NetworkPlan(tuple(nodes), tuple(pathways), start), forms, tuple(weight_variables))


def _check_device():
    device = get_device()
    if type(device).__name__ != "RuntimeDevice":
        raise NotImplementedError(
            f"The event-driven solver reads a network's values, which Brian2's device "
            f"'{type(device).__name__}' does not give before a run: call set_device('runtime') first."
        )


def _sort_objects(network: Network):
    sources, neurons, synapses, refused = [], [], [], []
    for item in sorted(network.objects, key=lambda item: item.name):
        if not getattr(item, "active", True):
            refused.append(f"'{item.name}' is switched off (active = False): leave it out of the network")
        elif isinstance(item, SpikeGeneratorGroup):
            sources.append(item)
        elif isinstance(item, NeuronGroup):
            neurons.append(item)
        elif isinstance(item, Synapses):
            synapses.append(item)
        elif not isinstance(item, _MONITORS) and not _is_part(item, network):
            hint = (
                "connect the whole group" if isinstance(item, Subgroup) else "give its spikes by a SpikeGeneratorGroup"
            )
            refused.append(f"{type(item).__name__} '{item.name}' ({hint})")
    for group in neurons:
        extra = [part for part in group.contained_objects if type(part).__name__ not in _GROUP_PARTS]
        refused += [f"{type(part).__name__} '{part.name}' of '{group.name}'" for part in extra]
        refused += [f"event '{event}' of '{group.name}'" for event in group.events if event != "spike"]
    if refused:
        raise NotImplementedError(
            "The event-driven solver does not simulate: " + "; ".join(refused) + ". It takes NeuronGroup, "
            "SpikeGeneratorGroup and Synapses; monitors may stay."
        )
    return sources, neurons, synapses


def _is_part(item, network: Network) -> bool:
    """Whether Brian2 put the object into the network as part of another one."""
    return any(item in owner.contained_objects for owner in network.objects if owner is not item)


def _read_source(group: SpikeGeneratorGroup) -> SourceNode:
    if np.any(np.asarray(group.period_[:]) != 0):
        raise NotImplementedError(f"'{group.name}' repeats its spikes (period); list all spikes instead.")
    times = np.array(group._spike_time, dtype=float)
    order = np.argsort(times, kind="stable")
    units = np.array(group._neuron_index, dtype=np.int64)
    return SourceNode(group.name, len(group), times[order], units[order])


def _read_form(group: NeuronGroup) -> NormalForm:
    at_infinity = bool(getattr(group, "spike_at_infinity", False))
    if at_infinity and not np.all(group.variables["not_refractory"].get_value()):
        raise NotImplementedError(
            f"A neuron of '{group.name}' is on its way through infinity in the clock-driven run, so its voltage is not "
            "that of this moment. Run a little further, or start from restore()."
        )
    if not at_infinity and group._refractory is not False:
        raise NotImplementedError(
            f"'{group.name}' has a refractory period, which the event-driven solver does not know."
        )
    try:
        return recognise(group.user_equations, group.events.get("spike"), group.event_codes.get("spike"), at_infinity)
    except UnsupportedModelError as error:
        raise UnsupportedModelError(f"'{group.name}': {error}") from error


def _read_neurons(group: NeuronGroup, form: NormalForm, namespace) -> NeuronNode:
    value = parameter_values(group, form, namespace)
    for name in ("tau_m", "tau_s"):
        if not value[name] > 0 or not np.isfinite(value[name]):
            raise ValueError(f"'{group.name}': {name} = {value[name]} s; a time constant is positive and finite.")
    if form.kind == "qif" and abs(value["tau_m"] / (2 * value["tau_s"]) - 1) > RATIO_TOLERANCE:
        raise UnsupportedModelError(
            f"'{group.name}': tau_m = {value['tau_m']} s and tau_s = {value['tau_s']} s; the closed form of the "
            "quadratic neuron needs tau_m = 2*tau_s."
        )
    voltage = state_values(group, form.voltage)
    current = state_values(group, form.current)
    _refuse_undefined(group, form, voltage, current)
    node = dict(
        name=group.name,
        size=len(group),
        kind=form.kind,
        tau_m=value["tau_m"],
        tau_s=value["tau_s"],
        v=(voltage - value["v_offset"]) / value["v_scale"],
        current=current / value["current_scale"],
        v_offset=value["v_offset"],
        v_scale=value["v_scale"],
        current_scale=value["current_scale"],
    )
    if form.kind == "lif":
        node["threshold"] = (value["threshold"] - value["v_offset"]) / value["v_scale"]
        node["reset"] = (value["reset"] - value["v_offset"]) / value["v_scale"]
        _check_threshold(group, node)
    return NeuronNode(**node)


def _refuse_undefined(group, form, voltage, current):
    for name, values, bad in (
        (form.voltage, voltage, np.isnan(voltage) if form.kind == "qif" else ~np.isfinite(voltage)),
        (form.current, current, ~np.isfinite(current)),
    ):
        if np.any(bad):
            index = int(np.flatnonzero(bad)[0])
            raise ValueError(f"'{group.name}': the initial {name} of neuron {index} is {values[index]}.")


def _check_threshold(group, node):
    if not node["reset"] < node["threshold"]:
        raise ValueError(f"'{group.name}': the reset lies at or above the threshold, so a spike would never end.")
    above = np.flatnonzero(node["v"] >= node["threshold"])
    if len(above):
        raise ValueError(f"'{group.name}': neuron {above[0]} starts at or above its threshold; start it below.")
