"""Calls: events in, actions out; how they begin, what is told of them, what outlives a process."""
