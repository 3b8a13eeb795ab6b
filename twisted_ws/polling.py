"""Many sockets polled as one, and what has a port use that.

:class:`Poller` looks after many of the faster transports in one turn of the reactor;
:class:`FastServerEndpoint` puts both of them below another endpoint. The reactor stays
as it is, whichever it is. Where something is not as expected (a UNIX socket, a reactor
or a Twisted of another build) the stock transport is used.
"""

from __future__ import annotations

import select
from typing import Any
from weakref import WeakValueDictionary

from twisted.internet import tcp
from twisted.internet.defer import Deferred
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

from .transport import SUPPORTED, FastServer

__all__ = ["FastServerEndpoint", "Poller", "sharedPoller"]

_log = Logger()

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

# Polling


@implementer(IReadDescriptor, IReactorFDSet)
class Poller:
    """Polls many sockets as one descriptor of the real reactor (``epoll`` within
    whatever that uses).

    To its sockets it is their reactor: what it is asked for that is not about polling
    them, it hands to the real one.

    As long as there are few sockets, they are looked after by the real reactor; and of
    many, one that is alone again and again, until many have something to say at a time.

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
        if not old and not socket.isDirect and self._areFew():
            socket.isDirect = True
            self._direct.append(socket)
        if socket.isDirect:
            self._tellReactor(socket, old)
            if not mask:
                # It may be gone, or come again.
                socket.isDirect = False
                self._direct.remove(socket)
            return
        fd = socket.fileno()
        if not old:
            self._register(socket, fd)
        elif not mask or fd == -1:
            self._forget(socket, fd)
        else:
            self._epoll.modify(fd, mask)

    def _areFew(self) -> bool:
        """Tell whether a new socket is for the real reactor, as there are not many; the
        first one too many takes the others back."""
        if self._sockets or len(self._direct) < DIRECT:
            return not self._sockets
        self._takeBack()
        return False

    def _register(self, socket: FastServer, fd: int) -> None:
        """Poll a socket that was not polled.

        :param fd: its descriptor; -1 if somebody else has closed it
        """
        if fd == -1:
            socket.pollMask = 0
            return
        if self._epoll is None:
            self._epoll = select.epoll()
        self._epoll.register(fd, socket.pollMask)
        # Each time: trial takes all out of the reactor behind tests that left some.
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
        self._epoll.close()
        self._epoll = select.epoll()
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
            # Without a mask, it is the poller's.
            self._watch(socket, 0)
            socket.pollMask = mask
            self._register(socket, socket.fileno())


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
