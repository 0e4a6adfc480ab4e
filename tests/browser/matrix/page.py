"""The cells of the matrix as one page of Markdown.

Knows cells and the page. Must not know how cells are tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.browser.matrix.cells import BROWSERS, Bundle, Cell, Client, Engine, Way

PAGE: Final = Path(__file__).resolve().parents[3] / "docs" / "clients.md"

_HEAD: Final = """# Clients

Written by `make docs` from `tests/browser/matrix/cells.py`; never edited.

**✓** is a call in `tests/browser/matrix/test_matrix.py`: the unmodified client in the real browser, over HAProxy and
the real IMS core, with an IMS phone at the other end. Page and phone recognise each other's tone; with video, both
decode the other's pictures. **audio** instead of ✓: a video call in which only audio comes about, by design. **–** does
not work yet, with the reason below. What else the SDK does, call by call, is in [mapping.md](mapping.md).
"""

_OUTGOING: Final = """## The page calls

two-way: one sendrecv line of each kind. one-way: one sendonly line, the gateway brings the other direction. split: a
sendonly and a recvonly line of each kind, made by the page. max-bundle: the page's `bundlePolicy`, with which it has
one transport for everything; the gateway has one for each kind, so it refuses video and audio goes on. An offer of one
line does not show that policy, and Chromium then takes nothing without a BUNDLE group: the operator sets
`gateway_max_bundle_pages`, as those calls do here.
"""

_INCOMING: Final = """## The page is called

two-way: the page is offered one sendrecv line of each kind. The SDK is offered a line for each direction, in a BUNDLE
group for each kind, because its Contact has the feature tag `+g.one-way-streams` unless it is told otherwise
([mapping.md](mapping.md)). The phones of these calls give audio and video the same payload type; a browser could not
tell those lines apart, so it gets another one for audio. Forked: another page has
registered for the same person, rings too and is told that the call was answered elsewhere.
"""

_TAIL: Final = """## What SIP.js and JsSIP do not do

Found in their sources, not by calls of the matrix:

- Where the core challenges INVITE (401, 407) the page has the gateway's answer by then, and takes no other one: SIP.js
  with `earlyMedia: true` hangs up a call that is answered in another dialog, JsSIP has no sound in it. So the gateway
  goes on with the first dialog and answer; `tests/browser/matrix/test_challenged.py` calls so with both, and the SDK.
- JsSIP prefers `qop="auth-int"`, and hashes a body that the core does not get. The gateway takes that option away from
  what INVITE and UPDATE are asked, where `auth` is beside it; where a core asks for nothing else no page can call.
- `session.on("icecandidate", event => event.ready())` of JsSIP sends the offer at the first candidate, audio's:
  video then seems to have no transport of its own, as with max-bundle, and is refused. Wait for one of each line.
- `hold`, `unhold` and `renegotiate` of JsSIP with `useUpdate: true` send UPDATE whatever the far end takes, and the
  gateway passes it on. Where the far end has none (405, 501; many PSTN gateways) JsSIP ends the call: leave it out, and
  it is a re-INVITE. Firmware and native clients of your own do the same: an offer in a running call is a re-INVITE.
- `inviteWithoutSdp: true` of SIP.js: a page's INVITE needs a description, else it gets 488.
- They read no URI in From, To, Contact and Refer-To but sip: and sips:. The gateway gives them a number as a SIP URI; a
  REFER of the core to something else, as `Refer-To: <urn:service:...>`, they drop without an answer.
- JsSIP answers 416 to any request with a sips: URI in To, and to a REFER with one in Refer-To: who dials
  `sips:alice@...` does not reach it. Nor does a page reach anybody so: the gateway answers 416.
- They escape `;` and `=` in the user part of whatever they call or refer to. The gateway writes a number's parameters
  as such again (`7042;phone-context=...`), as the core would look for a user of that name.
- A subscription ends when its gateway is restarted, or the page goes to another one. SIP.js (state `Terminated`) and
  JsSIP (`terminated`) say so at their next refresh, and the application subscribes again: ask for a short time where
  an hour without presence or busy lamps is too long.
- Of a subscription that the network forks they take one fork, and answer 481 to the NOTIFYs of all others.
- JsSIP knows its subscription by the 200 to SUBSCRIBE alone, and answers 481 to a NOTIFY that overtakes it (RFC 6665
  §4.1.2.4 has them do that): it emits `accepted`, but nobody notifies it. Subscribe again if no NOTIFY follows.
- A page that calls with `anonymous: true` knows only the Contact it registered as its own, and is reached there.

## Firefox

- Uses no candidate on the loopback interface, whatever `media.peerconnection.ice.loopback` says: a gateway on the
  same machine needs a relay address of a real interface.
- Debian's build has no H.264 until its plugin is downloaded; it offers VP8, VP9 and AV1.
- Has no telephone-event at 48 kHz, so it is answered Opus alone; DTMF goes by SIP INFO.
- Without a sound device an AudioContext stays suspended; calls work, meters made of it do not.
"""

_AUDIO_ONLY: Final = "audio"
_WORKS: Final = "✓"

Row = tuple[Client, str]
Column = tuple[Engine, bool]

_COLUMNS: Final[Sequence[Column]] = [(engine, video) for engine in BROWSERS for video in (False, True)]
_ALONE: Final[Sequence[Column]] = [(Engine.NONE, video) for video in (False, True)]


def page_from_cells(cells: Iterable[Cell]) -> str:
    """Return the page."""
    found = list(cells)
    parts = [_HEAD]
    for way, text in ((Way.OUTGOING, _OUTGOING), (Way.INCOMING, _INCOMING)):
        parts.append(text)
        here = [cell for cell in found if cell.way is way]
        for columns in (_COLUMNS, _ALONE):
            parts.append("\n".join(_table(here, columns)) + "\n")
    return "\n".join([*parts, _TAIL])


def _table(cells: Sequence[Cell], columns: Sequence[Column]) -> Iterator[str]:
    rows: dict[Row, dict[Column, Cell]] = {}
    for cell in cells:
        if (column := (cell.engine, cell.video)) in columns:
            rows.setdefault(_row(cell), {})[column] = cell
    yield "| client | " + " | ".join(_title(column) for column in columns) + " |"
    yield "|---|" + "---|" * len(columns)
    order = list(Client)
    for (client, words), found in sorted(rows.items(), key=lambda item: order.index(item[0][0])):
        yield (f"| {client}, {words} | " + " | ".join(_text(found, column) for column in columns) + " |")


def _row(cell: Cell) -> Row:
    words: list[str] = [cell.shape]
    if cell.bundle is Bundle.MAX:
        words.append(cell.bundle)
    if cell.beside:
        words.append("forked")
    return cell.client, ", ".join(words)


def _title(column: Column) -> str:
    engine, video = column
    return f"{engine}, {'audio + video' if video else 'audio'}"


def _text(found: Mapping[Column, Cell], column: Column) -> str:
    cell = found.get(column)
    if cell is None:
        return ""
    return _WORKS if cell.sees or not cell.video else _AUDIO_ONLY
