"""`gwctl doctor` on a machine that runs, with planted faults."""
