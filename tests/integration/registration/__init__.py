"""The life of a registration on the real daemons: bindings, lost connections, reg-event, Redis, restarts."""
