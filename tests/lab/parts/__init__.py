"""The parts of the lab, one module each: how a daemon is configured, started and known to be ready."""
