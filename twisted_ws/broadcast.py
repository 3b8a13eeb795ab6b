"""One message to many connections."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from .closing import CloseCode
from .deflate import PreparedMessage
from .interfaces import WebSocketTransport

__all__ = ["BroadcastResult", "SlowPolicy", "broadcast"]


class SlowPolicy(Enum):
    """What :func:`broadcast` does with a peer that does not read as fast as it is sent
    to: ``highWaterMark`` bytes wait for it."""

    QUEUE = "queue"
    """Send it all the same. The message waits with the others; a connection for which
    ``maxSendBuffer`` bytes wait is dropped with 1008."""
    SKIP = "skip"
    """Do without this message: for what the next one replaces, such as a price."""
    CLOSE = "close"
    """Close the connection with 1008, so that the peer comes back and starts afresh."""


class BroadcastResult(NamedTuple):
    """What became of a broadcast. Each connection is counted or listed once."""

    sent: int
    """Connections that the message was sent on, those in ``queued`` included."""
    queued: tuple[WebSocketTransport, ...]
    """Those of them that are congested: the message waits."""
    skipped: tuple[WebSocketTransport, ...]
    """Those that did not get it because they are congested (``SlowPolicy.SKIP``)."""
    dropped: tuple[WebSocketTransport, ...]
    """Those that were closed because they are congested (``SlowPolicy.CLOSE``), or
    because ``maxSendBuffer`` bytes waited already."""
    closing: int
    """Connections that were passed over because they are closing or have ended."""


def broadcast(
    transports: Iterable[WebSocketTransport],
    message: PreparedMessage | str | bytes,
    slow: SlowPolicy = SlowPolicy.QUEUE,
) -> BroadcastResult:
    """Send one message on many connections. It is framed once, and compressed once for
    each set of parameters that they have agreed on.

    :param transports: the connections; may be changed by what this brings about, such
        as ``connectionLost`` hooks that take one out
    :param message: a prepared one, or what to prepare: str for text, bytes for binary
    :param slow: what to do with a peer that does not read as fast as it is sent to
    :returns: what became of it
    :raises TypeError: the message is of another type
    :raises UnicodeEncodeError: a lone surrogate in it
    """
    if not isinstance(message, PreparedMessage):
        message = PreparedMessage(message)
    sent = closing = 0
    queued: list[WebSocketTransport] = []
    skipped: list[WebSocketTransport] = []
    dropped: list[WebSocketTransport] = []
    for transport in list(transports):
        if transport.isClosing:
            closing += 1
            continue
        if transport.isCongested and slow is not SlowPolicy.QUEUE:
            if slow is SlowPolicy.SKIP:
                skipped.append(transport)
            else:
                transport.loseConnection(CloseCode.POLICY_VIOLATION, "slow consumer")
                dropped.append(transport)
            continue
        transport.sendPrepared(message)
        if transport.isClosing:
            dropped.append(transport)
            continue
        sent += 1
        if transport.isCongested:
            queued.append(transport)
    return BroadcastResult(sent, tuple(queued), tuple(skipped), tuple(dropped), closing)
