"""Says which files a service that runs has not read yet: newer_files.py SERVICE HOW PATH...

HOW is "restart", or "reload" for a service whose main process makes new children when it is told to read them again.
Prints those of the files that changed after the service, or its newest child, was started, one a line; one that does
not run reads them when it starts.  A link counts itself, and not what it leads to.
"""

import os
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    """Look."""
    service, how, *paths = sys.argv[1:]
    properties = "ActiveState,ActiveEnterTimestamp,ActiveEnterTimestampMonotonic,MainPID"
    done = subprocess.run(  # noqa: S603 - a program of the system
        ["systemctl", "show", "--timestamp=unix", "-p", properties, service],  # noqa: S607 - the test has one of its own
        check=True,
        capture_output=True,
        text=True,
    )
    said = dict(line.split("=", 1) for line in done.stdout.splitlines())
    if said["ActiveState"] not in ("active", "reloading"):
        return
    # Files have the clock of then, which may have been put back since: only what is newer by both of them is.
    by_now = time.time() - time.monotonic() + int(said["ActiveEnterTimestampMonotonic"]) / 1e6
    by_then = float(said["ActiveEnterTimestamp"].removeprefix("@"))
    began = max(by_now, by_then)
    if how == "reload":
        began = max([began, *births(int(said["MainPID"]))])
    for path in paths:
        # A clock that was put back has files of the future, for which no restart would be late enough.
        if os.path.lexists(path) and began < os.lstat(path).st_ctime <= time.time():
            print(path)


def births(parent: int) -> list[float]:
    """Return when the children of a process were born, in seconds since 1970 (proc(5): /proc/PID/stat)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[1]) == parent:
            age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
            found.append(time.time() - age_s)
    return found


if __name__ == "__main__":
    main()
