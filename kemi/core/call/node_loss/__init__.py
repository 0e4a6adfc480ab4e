"""A media node is dead: its calls move to another one."""
