"""Audit of what the project is built of and of its own tree: `python -m tests.audit` (`make audit`)."""
