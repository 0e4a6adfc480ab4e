"""One log line per finished request, the same for both shells. Never logs SDP or a DTMF digit."""

import logging

from rtpengine.ng.errors import NgError, NgUnknownCall
from rtpengine.ng.protocol import Outcome
from rtpengine.pool import NodeAddress


def log_outcome(logger: logging.Logger, address: NodeAddress, outcome: Outcome) -> None:
    """Log how a request ended: failures as warning, replies as debug.

    "No such call" is debug, too: it is how a call that ended by itself shows, and often as good as success.
    """
    failed = isinstance(outcome.result, NgError)
    harmless = not failed or isinstance(outcome.result, NgUnknownCall)
    level = logging.DEBUG if harmless else logging.WARNING
    if not logger.isEnabledFor(level):
        return
    request = outcome.request
    logger.log(
        level,
        "event=%s node=%s call_id=%s command=%s cookie=%s retransmissions=%d dur_ms=%.1f%s",
        "ng_request_failed" if failed else "ng_reply_received",
        address,
        getattr(request.command, "call_id", "-"),
        request.command.command.replace(" ", "_"),
        request.cookie.decode(),
        request.retransmissions,
        outcome.elapsed_s * 1000,
        f' error={type(outcome.result).__name__} reason="{outcome.result}"' if failed else "",
    )
