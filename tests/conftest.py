"""Fixtures that all tests share."""

import pytest
from brian2 import BrianLogger, prefs

# Nothing here needs a compiler for Brian2's own code, and networks are made without being run.
prefs.codegen.target = "numpy"
BrianLogger.suppress_name("unused_brian_object")


@pytest.fixture(params=["reference"])
def backend(request):
    """Each backend of the event-driven solver."""
    return request.param
