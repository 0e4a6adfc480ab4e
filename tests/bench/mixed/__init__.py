"""Many calls of every kind, most of them in trouble, and what they leave behind: `python -m tests.bench.mixed`."""
