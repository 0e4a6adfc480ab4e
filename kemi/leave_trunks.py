"""Signs the gateway off at its trunks before Kamailio is stopped: ``python3 -m kemi.leave_trunks``, as ExecStop.

A carrier that goes on sending calls to a gateway that is gone waits for each of them.  Kamailio tells nobody that it is
about to stop, so this asks its control endpoint and waits until the carriers have answered, or for ``PATIENCE_S``.
After the start the gateway registers again by itself.

Exit status: 0 when no registration is left, 1 when one may be, or when no gateway answers.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from typing import Any, Final

from kemi.settings import ControlSettings, load_settings

PATIENCE_S: Final = 3.0
_LOOK_S: Final = 0.1
_ASK_S: Final = 1.0
_STAYS: Final = frozenset({"registered", "asking", "leaving"})


def main() -> int:
    """Leave all trunks of the gateway whose settings are in GATEWAY_SETTINGS."""
    settings = load_settings()
    if not any(trunk.register for trunk in settings.trunks):
        return 0
    try:
        left = leave(settings.control)
    except (OSError, http.client.HTTPException, ValueError) as error:
        print(f"the gateway does not answer: {error}", file=sys.stderr)
        return 1
    if left:
        print(f"still registered at {', '.join(left)}", file=sys.stderr)
    return int(bool(left))


def leave(control: ControlSettings, patience_s: float = PATIENCE_S) -> list[str]:
    """Give the order and wait; return the trunks where the gateway may still be registered.

    Raise OSError, HTTPException or ValueError where the control endpoint does not do as it is asked.
    """
    _ask(control, "PUT", "/v1/trunks/leave", {"leave": True})
    until = time.monotonic() + patience_s
    while True:
        shown = _ask(control, "GET", "/v1/trunks")["trunks"]
        now = time.time()  # a carrier that did not take our leave knows us for as long as it said
        left = [one for one in shown if one["registration"] in _STAYS or one["registered_until"] > now]
        if time.monotonic() >= until or not any(one["registration"] in _STAYS for one in left):
            return [str(one["trunk"]) for one in left]
        time.sleep(_LOOK_S)


def _ask(control: ControlSettings, method: str, path: str, body: object = None) -> dict[str, Any]:
    connection = http.client.HTTPConnection(control.address, control.port, timeout=_ASK_S)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Authorization": f"Bearer {control.secret}"})
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise ValueError(f"{method} {path} got {response.status}")
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError(f"{method} {path} got no object")
    return found


if __name__ == "__main__":
    sys.exit(main())
