"""Mutants of real calls: messages of running calls, spoiled and sent again from every side."""
