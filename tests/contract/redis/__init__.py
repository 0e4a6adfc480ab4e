"""What kemi/state asks of Redis, on a real one."""
