"""How much a call costs: load client, fast callee, twin gateways, and the runner that compares them.

Run with `python -m tests.bench --help`.
"""
