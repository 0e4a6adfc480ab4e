"""From the callee's answer to the first sound in the page and at the phone: `python -m tests.bench.first_audio`."""
