"""Registration: bindings, what answers mean, what the core reports, requests of our own."""
