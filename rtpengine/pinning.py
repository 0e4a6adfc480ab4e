"""When rtpengine is to be made to look at sources: after each answer, before anything else is said of the medium."""

from collections.abc import Callable

from rtpengine.ng.commands import Answer, Offer, SubscribeAnswer
from rtpengine.ng.errors import NgError
from rtpengine.ng.replies import SdpReply
from rtpengine.sessions import IMS_TAG, Sequence, T


def pinning(sequence: Sequence[T], knock: Callable[[str], None]) -> Sequence[T]:
    """Carry a sequence out, and call `knock` with rtpengine's latest text for IMS after each answer in it.

    The text names the port for `rtpengine.transport.knock`. A participant that listens to IMS at that moment counts,
    too, and what is said later does not undo it (10.5): so not only at the end of the sequence.
    """
    text = ""
    try:
        step = next(sequence)
        while True:
            try:
                replies = yield step
            except NgError as error:
                step = sequence.throw(error)
                continue
            together = zip(step, replies, strict=True) if isinstance(step, tuple) else [(step, replies)]
            for command, reply in together:
                match command, reply:
                    case Offer(from_tag=tag), SdpReply() if tag != IMS_TAG:
                        text = reply.sdp
                    case Answer(), SdpReply():
                        text = reply.sdp if command.from_tag == IMS_TAG else text
                        knock(text)
                    case SubscribeAnswer(), _ if text:
                        knock(text)
            step = sequence.send(replies)
    except StopIteration as stop:
        result: T = stop.value
        return result
