"""What is decided of a page's INVITE beside its session description: `python -m tests.bench.decisions`."""
