"""The web API with a real Redis."""
