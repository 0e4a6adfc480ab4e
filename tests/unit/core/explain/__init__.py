"""Verdicts on built traces."""
