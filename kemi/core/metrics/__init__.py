"""What the gateway measures of itself for Prometheus: which series there are, and what of a call goes into which."""
