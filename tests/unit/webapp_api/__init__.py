"""The web service, without a server."""
