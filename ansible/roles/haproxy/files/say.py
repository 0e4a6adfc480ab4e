"""Says one command to HAProxy's admin socket: say.py SOCKET COMMAND...

Exit status 1 when HAProxy complains, or runs and does not listen there; 3 when it does not run.
"""

import socket
import subprocess
import sys
from contextlib import suppress

TIMEOUT_S = 5.0


def main() -> int:
    """Say it, and print the answer."""
    path, *words = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(TIMEOUT_S)
        try:
            line.connect(path)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            runs = is_running()
            what = "HAProxy runs, and has its admin socket elsewhere" if runs else "HAProxy does not run"
            print(f"{path}: {error.strerror}: {what}", file=sys.stderr)
            return 1 if runs else 3
        line.sendall((" ".join(words) + "\n").encode())
        answer = b"".join(iter(lambda: line.recv(65536), b"")).decode().strip()
    print(answer)
    # These answer nothing when they did it, and that all is so already.
    return 1 if answer and words[0] in ("set", "disable", "enable") and "already" not in answer else 0


def is_running() -> bool:
    """Whether the service runs."""
    with suppress(FileNotFoundError):
        asked = ["systemctl", "is-active", "--quiet", "haproxy"]
        return subprocess.run(asked, check=False).returncode == 0  # noqa: S603 - a program of the system
    return False


if __name__ == "__main__":
    sys.exit(main())
