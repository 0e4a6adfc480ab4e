"""Adapters on a strict fake of Kamailio."""
