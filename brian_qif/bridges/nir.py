"""Networks to and from NIR, the Neuromorphic Intermediate Representation.

NIR is an exchange format for spiking networks: a graph of nodes with equations, without units, initial states or spike
trains. What it can say of a network of this package are leaky (integrate-and-fire) neurons with one exponentially
decaying synaptic current or none, weights and delays; quadratic integrate-and-fire neurons it cannot.

A spike in NIR's equations is a pulse, and NIR does not say of which area: in continuous time it is a delta function,
of area 1 s; programs that step through time by dt mean a pulse of height 1 that lasts dt. The argument ``spike_area``
of both functions is that area, and both default to the delta function.

References
----------
Pedersen et al., Nature Communications 15, 8122 (2024).
"""

try:
    import nir  # noqa: F401  (what the functions below need, asked for here to say how to get it)
except ImportError as error:
    raise ImportError(
        "brian_qif.bridges.nir needs NIR: install nir, or brian_qif with its extra 'nir', for instance "
        "pip install '.[nir]' in its folder."
    ) from error

from brian_qif.bridges.nir_export import export_nir
from brian_qif.bridges.nir_import import NIRNetwork, import_nir

__all__ = ["NIRNetwork", "export_nir", "import_nir"]
