"""What our ng client can do: requests per second, delays, and its share of a set-up: `python -m tests.bench.ng`."""
