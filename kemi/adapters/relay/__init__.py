"""The relay: media actions as ng commands, the nodes, and what running calls are watched for."""
