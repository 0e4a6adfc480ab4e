"""Packets of a stranger at all ports of a call, and what becomes of them: `python -m tests.bench.injection`."""
