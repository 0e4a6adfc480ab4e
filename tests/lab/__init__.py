"""The lab: the gateway with a whole IMS world around it, on loopback, in seconds."""
