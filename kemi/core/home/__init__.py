"""The home network of a gateway without an IMS core: who its users are, where their pages are, how they are reached."""
