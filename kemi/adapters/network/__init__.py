"""The home network: the way into it, requests outside calls, routing, and a home part of our own."""
