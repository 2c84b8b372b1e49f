"""Studies with brian_qif: one per file, each a function and a command."""
