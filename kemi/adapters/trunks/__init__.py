"""Carriers: their calls, their health, their room."""
