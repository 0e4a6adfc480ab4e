"""What faults do to running and new calls, and how long they do it: `python -m tests.faults`, `make test-faults`."""
