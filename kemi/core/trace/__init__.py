"""What is kept of a call so that somebody can see later what happened: its messages, decisions and media.

entries.py is the shape that the gateway writes, Redis keeps, and explain-call and the console read.
"""
