"""What can go wrong between us and a media relay.

NgError
├── NgTimeout           no reply within the deadline, retransmissions included
├── NgUnreachable       the network refused the datagram (ICMP port unreachable, no route)
├── NgBadDatagram       what arrived, or was to be sent, is not a valid ng message
├── NgErrorReply        the daemon refused the command and said why
│   ├── NgUnknownCall   ... because it has no such call (any more)
│   └── NgOverloaded    ... because it reached a configured load limit
└── NoNodeError         every node of the pool is failed or drained

Texts carry no SDP and no DTMF digit: they end up in logs.
"""


class NgError(Exception):
    """Anything that keeps a command from being carried out."""


class NgTimeout(NgError):
    """No reply within the deadline."""

    def __init__(self, command: str, waited_s: float) -> None:
        super().__init__(f"no reply to '{command}' within {waited_s:.3f} s")
        self.command = command
        self.waited_s = waited_s


class NgUnreachable(NgError):
    """The network refused the datagram."""


class NgBadDatagram(NgError):
    """A message that breaks the protocol; `offset` in bytes tells where it was noticed, if known."""

    def __init__(self, problem: str, offset: int | None = None) -> None:
        super().__init__(problem if offset is None else f"{problem} at byte {offset}")
        self.problem = problem
        self.offset = offset


class NgErrorReply(NgError):
    """The daemon answered, but refused the command."""

    def __init__(self, command: str, error_reason: str) -> None:
        super().__init__(f"'{command}' refused: {error_reason}")
        self.command = command
        self.error_reason = error_reason


class NgUnknownCall(NgErrorReply):
    """The daemon has no call with this call-id: never had, or it timed out, or the daemon was restarted."""


class NgOverloaded(NgErrorReply):
    """The daemon reached one of its load limits and takes no new call."""


class NoNodeError(NgError):
    """Every node of the pool is failed or drained."""
