"""The gateway without an IMS core: its own home network."""
