"""The gradient of one task by brian_qif and by other packages, in one run: ``python -m tests.benchmarks.peers``."""
