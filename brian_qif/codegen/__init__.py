"""Backends: generated C++ of the event-driven sweeps, and the clock-driven passes as Brian2 objects."""
