"""A faster way between sockets and protocols, for plain TCP and for what runs on it.

Three things cost more in a stock transport than all that becomes of a short message,
and each is done otherwise here:

- What is written goes to the socket at once (:class:`FastServer`), not when the poller
  says that there is room, which there nearly always is: asking costs two system calls
  and a turn of the reactor. Only what is written right behind it waits for that.
- What has filled one read is read on at once, up to a limit.
- The sockets of a port are polled together (:class:`Poller`), so that what the reactor
  does around each event, such as setting a log prefix, is done once for many.

:class:`FastServerEndpoint` puts all of it below another endpoint. The reactor stays as
it is, whichever it is, and so does everything that a transport promises: order,
producers, half-closing, errors. Where something is not as expected (a UNIX socket, a
reactor or a Twisted of another build) the stock transport is used.

This module touches private names of Twisted's TCP; :data:`SUPPORTED` says whether this
Twisted has them.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any
from weakref import WeakValueDictionary

from twisted.internet import tcp
from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorFDSet,
    IReadDescriptor,
    IStreamServerEndpoint,
)
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.logger import Logger
from twisted.python import context
from twisted.python.failure import Failure
from twisted.python.log import ILogContext
from zope.interface import directlyProvides, implementer, providedBy

__all__ = [
    "SUPPORTED",
    "FastServer",
    "FastServerEndpoint",
    "Poller",
    "canSendNow",
    "eagerWrite",
    "sendNow",
    "sharedPoller",
]

_log = Logger()

READ_SIZE = 68 * 1024
"""Bytes asked for in one read: enough for a frame of 64 KiB, its header, and what TLS
adds. Twice as much is slower: memory of such a size comes from the kernel, page by
page, each time."""
READS_PER_EVENT = 4
"""Most reads, each of which filled :data:`READ_SIZE`, before others have their turn."""
BURST = 50e-6
"""Seconds within which a second write, with nothing read in between, waits for others
to go with: a system call costs 5 µs, as much as many short messages."""
EVENTS_PER_POLL = 256
"""Most sockets that are looked after in one turn of the reactor."""
ALONE_UNTIL_DIRECT = 64
"""Polls in a row that found one and the same socket, until that is given to the reactor
itself: polling twice costs 3 to 5 µs, and pays from about three sockets at a time."""
DIRECT = 4
"""Most sockets at a time that are given to the reactor itself."""

_READ = getattr(select, "EPOLLIN", 1)
_WRITE = getattr(select, "EPOLLOUT", 4)
_BROKEN = getattr(select, "EPOLLERR", 8) | getattr(select, "EPOLLHUP", 16)

# By class: what an application raises need not be hashable.
_REASONS: dict[type[BaseException], Failure] = {
    type(why): Failure(why) for why in (CONNECTION_DONE, CONNECTION_LOST)
}

# What a connection must have beside what its class shows.
_NAMES = (
    "TLS",
    "_tempDataBuffer",
    "_writeDisconnected",
    "_writeDisconnecting",
    "connected",
    "dataBuffer",
    "disconnecting",
    "producer",
    "streamingProducer",
)

# Writing at once


def canSendNow(transport: Any) -> bool:
    """Tell whether :func:`sendNow` is for a transport: a stock one of plain TCP, in a
    Twisted that is as expected.

    :param transport: what a protocol got from ``makeConnection``
    """
    return (
        isinstance(transport, tcp.Connection)
        and not isinstance(transport, FastServer)
        # One that can send file descriptors, or does something else with the bytes.
        and type(transport).writeSomeData is tcp.Connection.writeSomeData
        and all(hasattr(transport, name) for name in _NAMES)
    )


def sendNow(connection: Any, data: bytes) -> bytes | None:
    """Send what a TCP connection's socket takes, if that changes nothing but the time.

    :param connection: a ``twisted.internet.tcp.Connection``
    :param data: what is to be written
    :returns: what is left for its own ``write``, which is all of it if something waits
        before it, if the connection is about to end or a layer of TLS was put on it, or
        if a pull producer must be asked for more when this has gone. An error is left
        too: met again by the reactor, it ends the connection as it always does, never
        within a ``write``. None if nothing is left
    """
    if (
        connection._tempDataBuffer
        or connection.dataBuffer
        or connection.disconnecting
        or connection._writeDisconnecting
        or connection._writeDisconnected
        or not connection.connected
        or connection.TLS
        or type(data) is not bytes
        or (connection.producer is not None and not connection.streamingProducer)
    ):
        return data
    try:
        # Not writeSomeData(), which costs 0.4 µs more.
        sent = connection.socket.send(data)
    except OSError:
        return data
    return None if sent == len(data) else data[sent:]


def eagerWrite(transport: Any) -> Callable[[bytes], object]:
    """Give what writes to a transport that is already there, at once if that can be.

    :param transport: the transport
    :returns: a function that takes bytes; the transport's ``write`` where there is no
        better one
    """
    write: Callable[[bytes], object] = transport.write
    if not canSendNow(transport):
        return write

    def writeNow(data: bytes) -> None:
        rest = sendNow(transport, data)
        if rest is not None:
            write(rest)

    return writeNow


# Reading


class FastServer(tcp.Server):
    """The server's end of a TCP connection: as its base class, but that it writes at
    once and reads on. ``Port.transport`` makes them, with a :class:`Poller` or a
    reactor."""

    _reading = False
    # When something was sent at once; not since something was read.
    _wrote = 0.0
    pollMask = 0
    """For which events a :class:`Poller` watches it."""
    isDirect = False
    """Whether the real reactor looks after it, in place of the :class:`Poller`."""

    def write(self, data: bytes) -> None:
        """Write; now, as far as the socket takes it. Of several in a row, with nothing
        read in between, those behind the first go together in the next turn.

        :param data: any number of bytes
        """
        now = monotonic()
        if now - self._wrote > BURST:
            self._wrote = now
            rest = sendNow(self, data)
            if rest is None:
                return
            data = rest
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
        # No loop yet: nearly always one read takes all that is there.
        try:
            data = self.socket.recv(READ_SIZE)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        self.protocol.dataReceived(data)
        if len(data) < READ_SIZE:
            return None
        return self._readOn()

    def _readOn(self) -> ConnectionDone | ConnectionLost | None:
        for _ in range(READS_PER_EVENT - 1):
            # What was told before may have paused it or ended it.
            if not self._reading:
                return None
            try:
                data = self.socket.recv(READ_SIZE)
            except BlockingIOError:
                return None
            except OSError:
                return CONNECTION_LOST
            if not data:
                return CONNECTION_DONE
            self.protocol.dataReceived(data)
            if len(data) < READ_SIZE:
                return None
        return None


# Polling


@implementer(IReadDescriptor, IReactorFDSet)
class Poller:
    """Polls many sockets as one descriptor of the real reactor (``epoll`` within
    whatever that uses).

    To its sockets it is their reactor: what it is asked for that is not about polling
    them, it hands to the real one.

    A socket that is alone again and again is looked after by the real reactor, until
    many have something to say at a time.

    Memory: about 100 bytes for each socket that is watched; a file descriptor.

    :param reactor: the real reactor
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        # Made with the first connection: before that, daemons fork.
        self._epoll: Any = None
        self._sockets: dict[int, FastServer] = {}
        self._direct: list[FastServer] = []
        # Which socket was alone in the last polls, and in how many.
        self._lastAlone = -1
        self._aloneFor = 0
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        # Time, threads, other kinds of descriptor.
        return getattr(self._reactor, name)

    # What sockets ask for

    def addReader(self, reader: Any) -> None:
        """Watch for something to read.

        :param reader: what to tell
        """
        if isinstance(reader, FastServer):
            self._watch(reader, reader.pollMask | _READ)
        else:
            self._reactor.addReader(reader)

    def addWriter(self, writer: Any) -> None:
        """Watch for room to write.

        :param writer: what to tell
        """
        if isinstance(writer, FastServer):
            self._watch(writer, writer.pollMask | _WRITE)
        else:
            self._reactor.addWriter(writer)

    def removeReader(self, reader: Any) -> None:
        """Watch no more for something to read.

        :param reader: what was told
        """
        if isinstance(reader, FastServer):
            self._watch(reader, reader.pollMask & ~_READ)
        else:
            self._reactor.removeReader(reader)

    def removeWriter(self, writer: Any) -> None:
        """Watch no more for room to write.

        :param writer: what was told
        """
        if isinstance(writer, FastServer):
            self._watch(writer, writer.pollMask & ~_WRITE)
        else:
            self._reactor.removeWriter(writer)

    def _watch(self, socket: FastServer, mask: int) -> None:
        """Watch a socket for certain events only.

        :param mask: for which
        """
        old, socket.pollMask = socket.pollMask, mask
        if mask == old:
            return
        if socket.isDirect:
            self._tellReactor(socket, old)
            if not mask:
                # It may be gone, or come again.
                socket.isDirect = False
                self._direct.remove(socket)
            return
        fd = socket.fileno()
        if not mask or fd == -1:
            self._forget(socket, fd)
        elif old:
            self._epoll.modify(fd, mask)
        else:
            if self._epoll is None:
                self._epoll = select.epoll()
            self._epoll.register(fd, mask)
            if not self._sockets:
                self._reactor.addReader(self)
            self._sockets[fd] = socket

    def _forget(self, socket: FastServer, fd: int) -> None:
        """Watch a socket no more.

        :param fd: its descriptor; -1 if somebody else has closed it
        """
        if fd == -1:
            socket.pollMask = 0
            self._renew(socket)
            return
        self._epoll.unregister(fd)
        del self._sockets[fd]
        if not self._sockets:
            self._reactor.removeReader(self)

    def _renew(self, lost: FastServer) -> None:
        """Begin anew without a socket that cannot be taken out: where its descriptor
        was duplicated before it was closed, it would be told of for ever."""
        if self._sockets:
            self._reactor.removeReader(self)
        # Under its number: to a reactor another one behind doRead() is the end of all.
        with select.epoll() as fresh:
            os.dup2(fresh.fileno(), self._epoll.fileno(), inheritable=False)
        for fd, socket in list(self._sockets.items()):
            if socket is lost:
                del self._sockets[fd]
            else:
                self._epoll.register(fd, socket.pollMask)
        if self._sockets:
            self._reactor.addReader(self)

    def _tellReactor(self, socket: FastServer, old: int) -> None:
        """Have the real reactor watch a socket as its mask says.

        :param old: how it watches it now
        """
        changed = old ^ socket.pollMask
        if changed & _READ:
            if old & _READ:
                self._reactor.removeReader(socket)
            else:
                self._reactor.addReader(socket)
        if changed & _WRITE:
            if old & _WRITE:
                self._reactor.removeWriter(socket)
            else:
                self._reactor.addWriter(socket)

    # What the real reactor asks for

    def fileno(self) -> int:
        """Give the descriptor that is readable when any of the sockets has something
        to say."""
        number: int = self._epoll.fileno()
        return number

    def logPrefix(self) -> str:
        """Give what stands before what is logged, until a socket gives its own."""
        return "-"

    def doRead(self) -> None:
        """Look after the sockets that have something to say."""
        events = self._epoll.poll(0, EVENTS_PER_POLL)
        sockets = self._sockets
        # The reactor has made this for the poller's turn: what is logged gets the
        # prefix of its own connection, as always, for 0.1 µs in place of 1.4.
        logContext = context.get(ILogContext)
        for fd, event in events:
            # One that was looked after before it may have ended it.
            socket = sockets.get(fd)
            if socket is None:
                continue
            logContext["system"] = socket.logPrefix()
            try:
                # Nearly always it is this, so it is not left to a method.
                why = socket.doRead() if event == _READ else self._serve(socket, event)
            except BaseException as error:
                # As the reactor does: the trouble of one is not to be that of others.
                _log.failure("Unhandled error of {transport!r}", transport=socket)
                why = error
            if why is not None:
                self._lose(socket, why, wasRead=True)
        logContext["system"] = self.logPrefix()
        if len(events) == 1:
            self._wasAlone(events[0][0])
        elif len(events) > 2 * DIRECT and self._direct:
            self._takeBack()

    def _serve(self, socket: FastServer, event: int) -> BaseException | None:
        """Look after a socket that has room to write, or is broken.

        :returns: what reading it told
        """
        if event & _BROKEN and not event & _READ:
            # All that came before was read.
            if socket.pollMask & _READ:
                return CONNECTION_DONE
            self._lose(socket, CONNECTION_LOST)
            return None
        why = socket.doRead() if event & _READ else None
        if why is None and event & socket.pollMask & _WRITE:
            end = socket.doWrite()  # type: ignore[no-untyped-call]
            if end is not None:
                self._lose(socket, end)
        return why

    def _lose(
        self, socket: FastServer, why: BaseException, wasRead: bool = False
    ) -> None:
        """A connection has ended, in one direction or both.

        :param why: how
        :param wasRead: whether it was reading that told so
        """
        try:
            self.removeReader(socket)
            reason = _REASONS.get(type(why)) or Failure(why)
            if wasRead and why is CONNECTION_DONE:
                # It may be half-closed only.
                socket.readConnectionLost(reason)
            else:
                self.removeWriter(socket)
                socket.connectionLost(reason)
        except BaseException:
            _log.failure("Unhandled error of {transport!r}", transport=socket)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has stopped, or lets go of all its descriptors.

        :param reason: what is told to each connection
        """
        for socket in list(self._sockets.values()):
            try:
                socket.connectionLost(reason)
            except BaseException:
                _log.failure("Unhandled error of {transport!r}", transport=socket)

    # With the poller or with the reactor

    def _wasAlone(self, fd: int) -> None:
        """Give a socket that is alone again and again to the real reactor."""
        if fd != self._lastAlone:
            self._lastAlone, self._aloneFor = fd, 1
            return
        self._aloneFor += 1
        socket = self._sockets.get(fd)
        if self._aloneFor < ALONE_UNTIL_DIRECT or socket is None:
            return
        self._aloneFor = 0
        if len(self._direct) == DIRECT:
            self._takeBack()
        mask = socket.pollMask
        self._watch(socket, 0)
        socket.isDirect = True
        self._direct.append(socket)
        self._watch(socket, mask)

    def _takeBack(self) -> None:
        """Look after all sockets again."""
        for socket in list(self._direct):
            mask = socket.pollMask
            # Without a mask, it is one of the poller's again.
            self._watch(socket, 0)
            self._watch(socket, mask)


_shared: WeakValueDictionary[int, Poller] = WeakValueDictionary()


def sharedPoller(reactor: Any) -> Any:
    """Give the poller that all ports of a reactor have together.

    :param reactor: the reactor
    :returns: a :class:`Poller`; the reactor itself where there is no ``epoll``
    """
    if not hasattr(select, "epoll"):
        return reactor
    # The value holds the reactor, so nothing else has its id meanwhile.
    found = _shared.get(id(reactor))
    if found is None:
        found = _shared[id(reactor)] = Poller(reactor)
    return found


# Listening


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


@implementer(IStreamServerEndpoint)
class FastServerEndpoint:
    """Listens as another endpoint does, with faster transports if it is one of TCP.

    :param endpoint: what listens: one of TCP, IPv4 or IPv6, an adopted socket; others
        stay as they are
    """

    def __init__(self, endpoint: IStreamServerEndpoint) -> None:
        self._endpoint = endpoint

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """Listen.

        :param protocolFactory: makes the protocols
        :returns: fires with the listening port
        """
        listening: Deferred[Any] = self._endpoint.listen(protocolFactory)
        return listening.addCallback(_speedUp)


def _speedUp(port: IListeningPort) -> IListeningPort:
    """Have a port make faster transports, if it makes the stock ones of TCP."""
    if SUPPORTED and isinstance(port, tcp.Port) and port.transport is tcp.Server:
        poller = sharedPoller(port.reactor)

        def makeTransport(
            socket: Any, protocol: Any, client: Any, on: Any, number: int, _: Any
        ) -> FastServer:
            return FastServer(socket, protocol, client, on, number, poller)

        # Twisted's documentation names this attribute for the purpose.
        port.transport = makeTransport  # type: ignore[assignment]
    return port
