"""Decisions, tested as functions."""
