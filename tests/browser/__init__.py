"""Calls by real browsers through the whole lab."""
