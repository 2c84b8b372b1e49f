"""Neuron models: Brian2 groups with visible equations, one model per file."""

from brian_qif.models.leaky_integrator import LeakyIntegratorGroup
from brian_qif.models.lif import LIFGroup
from brian_qif.models.qif import QIFGroup

__all__ = ["LIFGroup", "LeakyIntegratorGroup", "QIFGroup"]
