"""Limits and call policy on a real gateway: floods, guessed passwords, forbidden numbers, calls that must end."""
