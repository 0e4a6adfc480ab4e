"""What is asked of this machine itself: the gateway's control endpoint, and all that `gwctl doctor` looks at.

The only part of the web package that uses the settings of the gateway and of the relay, and talks to their sockets:
a doctor looks at everything that runs.
"""
