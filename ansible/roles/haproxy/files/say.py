"""Says one command to HAProxy's admin socket: say.py SOCKET COMMAND...

Exit status 1 when HAProxy complains, 2 when it does not run.
"""

import socket
import sys

TIMEOUT_S = 5.0


def main() -> int:
    """Say it, and print the answer."""
    path, *words = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(TIMEOUT_S)
        try:
            line.connect(path)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            print(f"{path}: {error.strerror}", file=sys.stderr)
            return 2
        line.sendall((" ".join(words) + "\n").encode())
        answer = b"".join(iter(lambda: line.recv(65536), b"")).decode().strip()
    print(answer)
    # These answer nothing when they did it, and that all is so already.
    return 1 if answer and words[0] in ("set", "disable", "enable") and "already" not in answer else 0


if __name__ == "__main__":
    sys.exit(main())
