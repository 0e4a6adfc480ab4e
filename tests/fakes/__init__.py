"""Stand-ins for what cannot run in a unit test: strict, shipped and tested themselves."""
