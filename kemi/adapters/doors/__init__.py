"""What comes in at all, and how much of it: what a request passes before anything is made of it."""
