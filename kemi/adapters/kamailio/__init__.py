"""Kamailio's functions, typed: the only modules that import KSR, and what was read of the current message."""
