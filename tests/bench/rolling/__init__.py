"""Calls while two gateways are upgraded one after the other; each machine is a network namespace."""
