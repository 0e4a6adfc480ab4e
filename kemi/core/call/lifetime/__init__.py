"""How long a call lives: session timers, ends, and a restart of the gateway."""
