"""Mixed calls for hours: none may fail, and nothing may grow: `python -m tests.bench.soak --hours 1`."""
