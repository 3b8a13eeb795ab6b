"""What the tests of the Twisted side share beside :mod:`twisted_ws.testing`."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from twisted_ws.connection import Connection, Event
from twisted_ws.options import ServerOptions
from twisted_ws.routes import Routes
from twisted_ws.testing import MemoryServer, RawPeer, Recorder

_Result = TypeVar("_Result")


class Server(MemoryServer):
    """A factory on a clock, and its peers.

    :param application: for the factory
    :param arguments: for the factory, and fields of its options
    """

    def __init__(self, application: Any, **arguments: Any) -> None:
        limits = {
            each: arguments.pop(each)
            for each in list(arguments)
            if each in ServerOptions.__dataclass_fields__
        }
        super().__init__(application, ServerOptions(**limits), **arguments)


class RoutesServer(Server):
    """A server with routes."""

    def makeFactory(self, application: Any, **arguments: Any) -> Routes:
        """Make the factory.

        :param application: patterns and what they serve
        :param arguments: for it
        """
        return Routes(
            application, options=self.options, reactor=self.clock, **arguments
        )


def receiveAll(connection: Connection, data: bytes) -> list[Event]:
    """Give all the events that some bytes bring, those of later turns included.

    :param connection: takes the bytes
    :param data: the bytes
    """
    events = connection.receive(data)
    while connection.hasMore:
        events += connection.receive(b"")
    return events


@implementer(IProtocol)
class RecordingSuccessor:
    """A protocol that a connection is handed over to."""

    def __init__(self) -> None:
        self.received = b""
        self.lost: Failure | None = None
        self.transport: Any = None

    def makeConnection(self, transport: Any) -> None:
        """Take the transport."""
        self.transport = transport

    def connectionMade(self) -> None:
        """Is not called by ``makeConnection`` here."""

    def dataReceived(self, data: bytes) -> None:
        """Keep bytes."""
        self.received += data

    def connectionLost(self, reason: Failure) -> None:
        """Keep the reason."""
        self.lost = reason


class WireTestCase(SynchronousTestCase):
    """Holds every connection to what is true of all of them, when its test is over."""

    serverKind: type[Server] = Server
    """What :meth:`serve` makes."""

    def setUp(self) -> None:
        """Note servers and recorders from now on."""
        self._servers: list[Server] = []
        self._recorders: list[Recorder] = []

    def serve(self, application: Any = None, **arguments: Any) -> Server:
        """Make a server.

        :param application: a :class:`Recorder` for its one connection, or whatever a
            factory takes; by default a recorder for each
        :param arguments: for :class:`Server`
        """
        if application is None:
            application = self.record
        elif isinstance(application, Recorder):
            recorder = application
            self._recorders.append(recorder)

            def application(_: object) -> Recorder:
                return recorder

        server = self.serverKind(application, **arguments)
        self._servers.append(server)
        return server

    def record(self, _: object = None, **reactions: Callable[..., Any]) -> Recorder:
        """Make a recorder.

        :param reactions: as for :class:`Recorder`
        """
        recorder = Recorder(**reactions)
        self._recorders.append(recorder)
        return recorder

    def opened(self, recorder: Recorder, **arguments: Any) -> RawPeer:
        """Give the peer of an open connection.

        :param recorder: its application
        :param arguments: for :class:`Server`; ``secure`` says that it is over TLS
        """
        secure = arguments.pop("secure", False)
        peer = self.serve(recorder, **arguments).open(secure=secure)
        self.assertEqual(peer.response.status, 101)
        return peer

    def tearDown(self) -> None:
        """Nothing was written too late; nothing is left over once all are gone."""
        for server in self._servers:
            for peer in server.peers:
                self.assertEqual(peer.transport.late, [], "written after the end")
                peer.vanish()
            server.advance(60, 5)
            self.assertEqual(server.factory.connections, set())
            self.assertEqual(server.clock.getDelayedCalls(), [], "delayed calls left")
            self.assertIsNone(server.factory.deadlines._call)
            self.assertEqual(server.factory._perAddress, {})
        for recorder in self._recorders:
            names = recorder.names
            if names:
                self.assertEqual(names[0], "negotiationStarted", names)
                self.assertEqual(names[-1], "connectionLost", names)
                self.assertEqual(names.count("connectionLost"), 1, names)
                self.assertTrue(names.count("negotiationFinished") <= 1, names)


def firedWith(deferred: Deferred[_Result]) -> list[Any]:
    """Give a list that the Deferred's result, or failure, is put in.

    :param deferred: any
    """
    results: list[Any] = []
    deferred.addBoth(results.append)
    return results


@contextmanager
def logged() -> Iterator[list[str]]:
    """Collect what is logged within, as it is written; to be looked at afterwards."""
    lines: list[str] = []
    with capturedLogs() as events:
        yield lines
    lines.extend(formatEvent(event) for event in events)


def address(host: str) -> IPv4Address | IPv6Address:
    """Give the address of a client on a host."""
    kind = IPv6Address if ":" in host else IPv4Address
    return kind("TCP", host, 50000)
