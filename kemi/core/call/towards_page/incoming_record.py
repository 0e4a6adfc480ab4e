"""What only a call towards the page has to remember."""

from __future__ import annotations

from dataclasses import dataclass, field

from kemi.core.call.states import PRECONDITION, Precondition, PreconditionEvent, advance
from kemi.core.sdp.model import Direction


@dataclass(slots=True)
class Unacknowledged:
    """A provisional response to the core that we made reliable and that has no PRACK yet (RFC 3262 §3)."""

    rseq: int
    status: int
    reason_phrase: str
    described: bool
    """Whether it has a session description."""
    delay_s: float
    """How long until it is repeated."""
    waited_s: float = 0.0
    lines: list[str] = field(default_factory=list)
    """What the page said in its header fields: a repetition says it once more."""


@dataclass(slots=True)
class Incoming:
    """What only a call towards the page has to remember."""

    vias: list[str] = field(default_factory=list)
    """Via values of the core's INVITE, which the page never sees, as the responses to it have to carry them."""
    via: str = ""
    """Via of the page's first response, which names our INVITE to it."""
    identities: list[str] = field(default_factory=list)
    """Public identities of this page, whose response may be of any of them; the one that was called comes first."""
    withheld: bool = False
    """Who calls does not want to be known, whatever From says."""
    late_offer: bool = False
    """The core has sent no offer: it gets ours in the 2xx and answers in its ACK."""
    unreliable_refused: bool = False
    """The core takes no provisional response but a reliable one (Require: 100rel)."""
    takes_reliable: bool = False
    """The core has the extension, required or not."""
    unacknowledged: Unacknowledged | None = None
    progress: tuple[int, str] | None = None
    """Status and reason phrase of the page's newest 18x that waits for a PRACK."""
    progress_lines: list[str] = field(default_factory=list)
    """What the page said in it."""
    answer_held: bool = False
    """The page has answered, and its 2xx waits for a PRACK."""
    held_body: tuple[str, str] = ("", "")
    """Content-Type and body of that 2xx, where it has parts beside the description."""
    held_lines: list[str] = field(default_factory=list)
    """What the page said in its header fields."""
    directions: dict[str, Direction] = field(default_factory=dict)
    """What the page answered, per medium, as seen from the page."""
    ims_answer: str = ""
    """What the core was answered (or offered, where its offer is late); repeated in the 2xx."""
    precondition: Precondition = Precondition.NONE
    """What the caller requires before the page rings."""
    repeated: int = 0
    """How often our own reliable response was sent again."""
    returns: int = 0
    """How often its suspended INVITE was to be resumed to end it, or to call the page."""
    answered_reliably: bool = False
    """The core has that answer from a reliable provisional response: the 2xx has none (RFC 6337 §3.1.1)."""

    def move_precondition(self, event: PreconditionEvent) -> None:
        """Advance the preconditions."""
        self.precondition = advance(PRECONDITION, self.precondition, event)
