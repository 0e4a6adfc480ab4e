"""Says what a program would not take of its settings: settings_are_good.py MODULE < SETTINGS

MODULE has a function settings_from_text that raises ValueError.  Exit status 1 and the fault; 0 when nothing is wrong,
and where MODULE is not to be had, for the machine itself looks again before it takes them.
"""

import importlib
import re
import sys


def main() -> None:
    """Look."""
    try:
        module = importlib.import_module(sys.argv[1])
    except ModuleNotFoundError:
        return
    text = sys.stdin.read()
    try:
        module.settings_from_text(text)
    except ValueError as error:
        sys.exit(f"{error}{name_at(str(error), text)}")


def name_at(fault: str, text: str) -> str:
    """Name what stands at the line of a fault: nobody has seen these lines, and they may have secrets."""
    found = re.search(r"\(at line (\d+),", fault)
    line = text.split("\n")[int(found[1]) - 1] if found else ""
    name = re.match(r"\s*([\w-]+)\s*=", line)
    return f": {name[1]}" if name else ""


if __name__ == "__main__":
    main()
