"""The control endpoint: what this node's own programs ask and tell."""
