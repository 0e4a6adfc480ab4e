"""`python -m rtpengine`."""

from rtpengine.cli import main

main(prog_name="python -m rtpengine")
