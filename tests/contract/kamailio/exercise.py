"""What is done to a message once by a real Kamailio and once by the strict fake; both must give the same."""

from __future__ import annotations

from typing import Any

VARIABLES = (
    "$rm", "$ci", "$ft", "$tt", "$cs", "$fu", "$tu", "$ru", "$pr", "$ct", "$cT", "$rb", "$hdrc(X-Two)",
    "$(hdr(X-Two)[0])", "$(hdr(X-Two)[1])", "$(hdr(X-Two)[2])", "$(hdr(X-Fold)[0])",
    "$(hdr(X-Raw)[0]{s.encode.hexa})", "$T(id_index)", "$hdr(From)", "$hdr(To)", "$hdrc(Contact)", "$hdrc(Supported)",
    "$(hdr(Supported)[0])", "$hdrc(Refer-To)", "$hdrc(Event)",
)  # fmt: skip
AFTER = (
    "$ft", "$tt", "$cs", "$fu", "$tu", "$rm", "$hdrc(X-Two)", "$hdrc(To)", "$hdrc(CSeq)", "$hdrc(Contact)",
    "$hdrc(Supported)", "$hdrc(Refer-To)", "$hdrc(Event)",
)  # fmt: skip
MESSAGE = b"""MESSAGE sip:bob@ims.example;x=1 SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKprobe;rport
Max-Forwards: 70
From: "Alice; <x>" <sip:alice@ims.example;p=q>;tag=page;y=z
t: <sip:bob@ims.example>
Call-ID: call-\xc3\xa9
CSeq: 0042 MESSAGE
m: <sip:x@page.invalid;transport=ws>;+sip.ice
k: 100rel
r: <sip:carol@ims.example>
o: presence
X-Two: one
X-Two: two, three
X-Fold: a
  b
X-Raw: a\xffb
Content-Type: application/sdp
Content-Length: 7

v=0
a
"""


def exercise(ksr: Any) -> dict[str, Any]:
    """Read and change the current message with ``ksr``; return all that could be seen of it."""
    before = {name: ksr.pv.get(name) for name in VARIABLES}
    try:
        ksr.pv.get("$(hdr(X-Raw)[0])")
        strict = False
    except UnicodeDecodeError:
        strict = True
    results = {
        "body": ksr.textops.has_body(),
        "nothing": ksr.textops.subst_hf("From", "/;nothing=x//", "a"),
        "tag": ksr.textops.subst_hf("From", "/;tag=[^;> ]+/;tag=ours/i", "a"),
    }
    whole = ksr.pv.get("$(mb{s.encode.hexa})")
    for name in ("X-Two", "Contact", "Supported", "Refer-To", "Event"):
        ksr.hdr.remove(name)
    ksr.hdr.append("X-End: 1\r\nX-End: 2\r\n")
    ksr.hdr.insert("X-Start: 1\r\nX-Start: 2\r\n")
    for name, value in (("To", "<sip:bob@ims.example>;tag=anew"), ("CSeq", "78 MESSAGE")):
        ksr.hdr.remove(name)
        ksr.hdr.append(f"{name}: {value}\r\n")
    unseen = ksr.pv.get("$ft"), ksr.pv.get("$hdrc(X-Two)"), ksr.pv.get("$hdrc(X-End)"), ksr.pv.get("$tt")
    ksr.textopsx.msg_apply_changes()
    after = {name: ksr.pv.get(name) for name in AFTER}
    for name in ("X-Start", "X-End"):
        after[name] = [ksr.pv.get(f"$(hdr({name})[{index}])") for index in (0, 1)]
    return {
        "before": before,
        "whole": whole,
        "strict": strict,
        "results": results,
        "unseen": list(unseen),
        "after": after,
    }
