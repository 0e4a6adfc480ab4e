"""What running calls cost the relay, and how many it holds; the same of Janus: `python -m tests.bench.media_load`."""
