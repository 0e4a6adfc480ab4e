"""What is wrong with a node's configuration: every file by itself, and the files beside each other.

Each program refuses a wrong value of its own at start, one at a time; this finds all of them before, and says where
they are and what to do.
"""
