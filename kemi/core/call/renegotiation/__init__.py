"""Offers in a running session, of the page, of the core and of our own."""
