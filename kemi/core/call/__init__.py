"""One call: what is remembered of it, the three state tables, and the steps from an event to the actions it needs."""
