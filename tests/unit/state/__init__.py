"""Stores on a table in memory."""
