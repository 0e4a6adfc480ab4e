"""Hostile clients on the internet side of a whole site: floods, scanners, smuggling; and who is banned for it."""
