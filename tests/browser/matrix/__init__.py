"""Unmodified clients × browsers × directions × media, each with media both ways; docs/clients.md is made from it."""
