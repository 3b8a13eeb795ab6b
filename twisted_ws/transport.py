"""A faster way between sockets and protocols, for plain TCP and for what runs on it.

Three things cost more in a stock transport than all that becomes of a short message,
and each is done otherwise, two of them here and the third by :mod:`twisted_ws.polling`:

- What is written goes to the socket at once (:class:`FastServer`), not when the poller
  says that there is room, which there nearly always is: asking costs two system calls
  and a turn of the reactor. Only what is written right behind it waits for that.
- What has filled one read is read on at once, up to a limit.
- The sockets of a port are polled together, so that what the reactor does around each
  event, such as setting a log prefix, is done once for many.

The reactor stays as it is, whichever it is, and so does everything that a transport
promises: order, producers, half-closing, errors.

This module touches private names of Twisted's TCP; :data:`SUPPORTED` says whether this
Twisted has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from time import monotonic
from typing import Any

from twisted.internet import tcp
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python.failure import Failure

__all__ = [
    "SUPPORTED",
    "FastServer",
    "canWriteNow",
    "eagerWrite",
    "writeNow",
]

READ_SIZE = 68 * 1024
"""Bytes asked for in one read: enough for a frame of 64 KiB, its header, and what TLS
adds. Twice as much is slower: memory of such a size comes from the kernel, page by
page, each time."""
READS_PER_EVENT = 4
"""Most reads, each of which filled :data:`READ_SIZE`, before others have their turn."""
_READS = range(READS_PER_EVENT)
BURST = 50e-6
"""Seconds within which a second write, with nothing read in between, waits for others
to go with: a system call costs 5 µs, as much as many short messages."""

# What a connection must have beside what its class shows.
_NAMES = (
    "TLS",
    "_aborting",
    "_maybePauseProducer",
    "_tempDataBuffer",
    "_writeDisconnected",
    "_writeDisconnecting",
    "connected",
    "dataBuffer",
    "disconnecting",
    "offset",
    "producer",
    "streamingProducer",
)

# Writing at once


def canWriteNow(transport: Any) -> bool:
    """Tell whether :func:`writeNow` is for a transport: a stock one of plain TCP, in a
    Twisted that is as expected.

    :param transport: what a protocol got from ``makeConnection``
    """
    return (
        isinstance(transport, tcp.Connection)
        and not isinstance(transport, FastServer)
        # One that can send file descriptors, or does something else with the bytes.
        and type(transport).writeSomeData is tcp.Connection.writeSomeData
        and type(transport).write is tcp.Connection.write
        and SUPPORTED
    )


def writeNow(connection: Any, data: bytes) -> None:
    """Write; at once, as far as the socket takes it and if that changes nothing but the
    time. It does if something waits before it, if the connection is about to end or a
    layer of TLS was put on it, or if a pull producer must be asked for more when this
    has gone. An error of the socket ends nothing here: the reactor meets it again, and
    ends the connection as it always does.

    :param connection: a ``twisted.internet.tcp.Connection``
    :param data: what is to be written
    """
    if (
        connection._tempDataBuffer
        or connection.dataBuffer
        or connection.disconnecting
        or connection._aborting
        or connection._writeDisconnecting
        or connection._writeDisconnected
        or not connection.connected
        or connection.TLS
        or type(data) is not bytes
        or (connection.producer is not None and not connection.streamingProducer)
    ):
        tcp.Connection.write(connection, data)
        return
    try:
        # Not writeSomeData(), which costs 0.4 µs more.
        sent = connection.socket.send(data)
    except OSError:
        sent = 0
    left = len(data) - sent
    if left > connection.bufferSize:
        # As doWrite() leaves what it could not send: without a copy.
        connection.dataBuffer = data
        connection.offset = sent
        connection._maybePauseProducer()
        connection.startWriting()
    elif left:
        tcp.Connection.write(connection, data[sent:])


def eagerWrite(transport: Any) -> Callable[[bytes], object]:
    """Give what writes to a transport that is already there, at once if that can be.

    :param transport: the transport
    :returns: a function that takes bytes; the transport's ``write`` where there is no
        better one
    """
    if canWriteNow(transport):
        return partial(writeNow, transport)
    write: Callable[[bytes], object] = transport.write
    return write


# Reading


class FastServer(tcp.Server):
    """The server's end of a TCP connection: as its base class, but that it writes at
    once and reads on. ``Port.transport`` makes them, with a
    :class:`~twisted_ws.polling.Poller` or a reactor."""

    _reading = False
    # Whether the protocol is being told what was read, and wanted the end meanwhile.
    _telling = False
    _ending = False
    # When something was sent at once; not since something was read.
    _wrote = 0.0
    pollMask = 0
    """For which events a :class:`~twisted_ws.polling.Poller` watches it."""
    isDirect = False
    """Whether the real reactor looks after it, in place of the poller."""

    def write(self, data: bytes) -> None:
        """Write; now, as far as the socket takes it. Of several in a row, with nothing
        read in between, those behind the first go together in the next turn.

        :param data: any number of bytes
        """
        now = monotonic()
        if now - self._wrote > BURST:
            self._wrote = now
            writeNow(self, data)
        else:
            super().write(data)  # type: ignore[no-untyped-call]

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Write pieces as one; now, as far as the socket takes it.

        :param iovec: the pieces
        """
        pieces = list(iovec)
        if all(type(piece) is bytes for piece in pieces):
            self.write(b"".join(pieces))
        else:
            super().writeSequence(pieces)  # type: ignore[no-untyped-call]

    def startReading(self) -> None:
        """Have the protocol told what comes, from now on."""
        self._reading = True
        super().startReading()  # type: ignore[no-untyped-call]

    def stopReading(self) -> None:
        """Have the protocol told nothing, from now on."""
        self._reading = False
        super().stopReading()  # type: ignore[no-untyped-call]

    def doRead(  # type: ignore[override]
        self,
    ) -> ConnectionDone | ConnectionLost | None:
        """Read what is there, and tell the protocol.

        :returns: why the connection has ended, if it has
        """
        self._wrote = 0.0
        self._telling = True
        why: ConnectionDone | ConnectionLost | None = None
        for _ in _READS:
            try:
                data = self.socket.recv(READ_SIZE)
            except BlockingIOError:
                break
            except OSError:
                why = CONNECTION_LOST
                break
            if not data:
                why = CONNECTION_DONE
                break
            self.protocol.dataReceived(data)
            # What was told may have paused it or ended it.
            if len(data) < READ_SIZE or not self._reading:
                break
        self._telling = False
        return self._end() if self._ending else why

    # The end

    def loseConnection(self) -> None:
        """End the connection when all is written. If that is so, as when the protocol
        says so in ``dataReceived``, it ends as soon as that has returned; to have the
        poller say first that there is room for nothing would take another turn."""
        if self._telling and self.connected and not self.disconnecting and not self.TLS:
            self._ending = True
            self._reading = False
            self.disconnecting = True
        else:
            super().loseConnection()  # type: ignore[no-untyped-call]

    def _end(self) -> ConnectionDone | None:
        """The protocol has returned, and wanted the end.

        :returns: the end, if nothing has to be done before it
        """
        if self._aborting:
            return None
        if not (self._tempDataBuffer or self.dataBuffer) and self.producer is None:
            return CONNECTION_DONE
        self._ending = self.disconnecting = False
        super().loseConnection()  # type: ignore[no-untyped-call]
        return None

    def readConnectionLost(self, reason: Failure) -> None:
        """Reading is over.

        :param reason: how
        """
        if self._ending:
            # By this end, and writing too.
            self.connectionLost(reason)
        else:
            super().readConnectionLost(reason)


# Whether all of it is there


def _isSupported() -> bool:
    """Tell whether this Twisted's connections have the private names used here."""
    try:
        probe = tcp.Connection.__new__(tcp.Connection)
        FileDescriptor.__init__(probe, object())  # type: ignore[arg-type]
    except Exception:
        return False
    return all(hasattr(probe, name) for name in _NAMES)


SUPPORTED = _isSupported()
"""Whether this Twisted is one for which the transports here are made; otherwise the
stock ones are used."""
