"""Bridges to other libraries, each an extra of its own; none is imported before somebody asks for it."""
