"""Listeners to events: how many are held at what price, and how long an event takes: `python -m tests.bench.events`."""
