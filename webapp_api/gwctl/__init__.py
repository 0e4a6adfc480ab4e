"""`gwctl`, the operator's command line, one module for each noun.

program.py    what all commands share: --json, exit codes, help with examples and the shape of the JSON
place.py      which configuration counts, and the parts made of it
machine/      what is asked of this machine: the control endpoint, and all checks of `gwctl doctor`
"""
