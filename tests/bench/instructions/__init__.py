"""Machine instructions of the hot functions: `python -m tests.bench.instructions`."""
