"""More calls than the gateway can take: what is left of them, with and without its overload control."""
