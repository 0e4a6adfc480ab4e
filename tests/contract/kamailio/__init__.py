"""A real Kamailio on loopback."""
