"""Backends: generated C++ of the event-driven sweeps."""
