"""A page in a call gets another address: how long until both hear each other again.

Run with `python -m tests.bench.network_change`.
"""
