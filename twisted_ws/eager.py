"""Writing to TCP at once, in place of in the next turn of the reactor.

Twisted keeps what is written until its poller says that the socket has room, which it
nearly always has: asking costs a system call to begin and one to end, a turn of the
reactor and its dispatch, about as much as all else that becomes of a short message.

This is the one module that touches private names of Twisted. Where they are not what is
expected, writing is done as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.tcp import Connection

__all__ = ["eagerWrite"]

_NAMES = (
    "_tempDataBuffer",
    "_writeDisconnected",
    "connected",
    "dataBuffer",
    "disconnecting",
    "writeSomeData",
)


def eagerWrite(transport: Any) -> Callable[[bytes], object]:
    """Give what writes to a transport, at once if it is one of plain TCP.

    What is written so comes in order with what is written otherwise, and is subject to
    the same limits: what the socket does not take waits as it always does. An error is
    left for Twisted to find.

    :param transport: the transport
    :returns: a function that takes bytes; the transport's ``write`` where there is no
        better one
    """
    write: Callable[[bytes], object] = transport.write
    if (
        not isinstance(transport, Connection)
        or getattr(transport, "TLS", False)
        or not all(hasattr(transport, name) for name in _NAMES)
    ):
        return write
    below: Any = transport

    def writeNow(data: bytes) -> None:
        if (
            below.dataBuffer
            or below._tempDataBuffer
            or below.disconnecting
            or below._writeDisconnected
            or not below.connected
        ):
            write(data)
            return
        rest = memoryview(data)
        while rest:
            sent = below.writeSomeData(rest)
            if not isinstance(sent, int) or sent <= 0:
                # An exception in place of a number is met again by the reactor.
                write(bytes(rest))
                return
            rest = rest[sent:]

    return writeNow
