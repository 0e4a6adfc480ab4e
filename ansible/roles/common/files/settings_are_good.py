"""Says what a program would not take of its settings: settings_are_good.py MODULE < SETTINGS

MODULE has a function settings_from_text that raises ValueError.  Exit status 1 and the fault; 0 when nothing is wrong,
and where MODULE is not to be had, for the machine itself looks again before it takes them.
"""

import importlib
import sys


def main() -> None:
    """Look."""
    try:
        module = importlib.import_module(sys.argv[1])
    except ModuleNotFoundError:
        return
    try:
        module.settings_from_text(sys.stdin.read())
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
