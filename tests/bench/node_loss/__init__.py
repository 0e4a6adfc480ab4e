"""How long a call is silent when its media node is killed."""
