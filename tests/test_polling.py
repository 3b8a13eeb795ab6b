"""Many sockets are polled together, and ports have their connections so."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import select
import socket
from typing import Any
from unittest import skipUnless

from twisted.internet import tcp
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IProtocolFactory,
    IReactorFDSet,
    IReactorTime,
    IReadDescriptor,
    IStreamServerEndpoint,
)
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import Factory, Protocol
from twisted.python import context
from twisted.python.failure import Failure
from twisted.python.log import ILogContext
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.sockets import FDReactor, HalfCloseable, Noting, makeServer
from twisted_ws import polling
from twisted_ws.polling import (
    ALONE_UNTIL_DIRECT,
    DIRECT,
    FastServerEndpoint,
    Poller,
    sharedPoller,
)
from twisted_ws.transport import FastServer

hasEpoll = skipUnless(hasattr(select, "epoll"), "no epoll on this system")


class _Case(SynchronousTestCase):
    """A poller, its reactor, and connections."""

    def setUp(self) -> None:
        self.reactor = FDReactor()
        self.poller = Poller(self.reactor)

    def connect(self, protocol: Noting | None = None) -> tuple[Any, FastServer, Any]:
        """Make a connection.

        :returns: the peer's socket, the transport, the protocol
        """
        near, peer = socket.socketpair()
        self.addCleanup(peer.close)
        self.addCleanup(near.close)
        server, made = makeServer(near, self.poller, protocol)
        return peer, server, made

    def turn(self) -> None:
        """Let the reactor have a turn."""
        for reader in list(self.reactor.readers):
            context.call({ILogContext: {"system": "-"}}, reader.doRead)


@hasEpoll
class PollerTests(_Case):
    """Many sockets are one descriptor of the reactor."""

    def setUp(self) -> None:
        super().setUp()
        # One is many.
        self.patch(polling, "DIRECT", 0)

    def test_interfaces(self) -> None:
        """It is a descriptor to the reactor; to its sockets it is the reactor."""
        self.connect()
        for interface in (IReadDescriptor, IReactorFDSet, IReactorTime):
            self.assertTrue(verifyObject(interface, self.poller))
        self.assertEqual(self.poller.getReaders(), [self.poller])
        self.poller.callLater(3, lambda: None).cancel()
        self.assertEqual(self.poller.logPrefix(), "-")
        self.assertGreaterEqual(self.poller.fileno(), 0)

    def test_reading(self) -> None:
        """What comes goes to whom it is for, with the log prefix of that one."""
        peers = [self.connect() for _ in range(3)]
        self.assertEqual(self.reactor.readers, [self.poller])
        for number, (peer, _, _) in enumerate(peers):
            peer.send(b"%d" % number)
        self.turn()
        for number, (_, server, protocol) in enumerate(peers):
            self.assertEqual(protocol.got, [b"%d" % number])
            self.assertEqual(protocol.prefixes, [server.logstr])

    def test_logPrefixAfterwards(self) -> None:
        """Behind its turn the prefix is nobody's."""
        peer, _, _ = self.connect()
        peer.send(b"x")

        def read() -> object:
            self.poller.doRead()
            return context.get(ILogContext)["system"]

        self.assertEqual(context.call({ILogContext: {"system": "a"}}, read), "-")

    def test_pausing(self) -> None:
        """One that is paused is not read; without any, the reactor has nothing to
        watch."""
        peer, server, protocol = self.connect()
        server.pauseProducing()
        server.pauseProducing()
        self.assertEqual(self.reactor.readers, [])
        peer.send(b"x")
        server.resumeProducing()
        self.turn()
        self.assertEqual(protocol.got, [b"x"])

    def test_writing(self) -> None:
        """What did not go at once goes when there is room, also while reading is
        paused; and then there is nothing to watch for."""
        peer, server, _ = self.connect()
        data = b"x" * (1 << 20)
        server.write(data)
        server.pauseProducing()
        got = b""
        while len(got) < len(data):
            got += peer.recv(1 << 20)
            self.turn()
        self.assertEqual(got, data)
        self.assertEqual(self.reactor.readers, [])
        server.resumeProducing()
        self.assertEqual(self.reactor.readers, [self.poller])

    def test_bothAtOnce(self) -> None:
        """What comes is read and what waits is written in one turn; what is read first
        may stop the writing."""
        peer, server, protocol = self.connect()
        for pauses in (False, True):
            server.startWriting()
            peer.send(b"x")
            if pauses:
                protocol.hook = lambda data: server.stopWriting()
            self.turn()
            self.assertEqual(protocol.got.pop(), b"x")

    def test_ends(self) -> None:
        """When the peer closes, the protocol is told, and nothing is watched."""
        peer, _, protocol = self.connect()
        peer.close()
        self.turn()
        protocol.lost.trap(ConnectionDone)
        self.assertEqual(self.reactor.readers, [])

    def test_halfClosed(self) -> None:
        """A protocol that knows halves is told of each, and can write in between."""
        peer, server, protocol = self.connect(HalfCloseable())
        peer.shutdown(socket.SHUT_WR)
        self.turn()
        self.assertEqual((protocol.halves, protocol.lost), ("read", None))
        server.write(b"bye")
        self.assertEqual(peer.recv(9), b"bye")
        server.loseWriteConnection()
        self.turn()
        self.assertEqual(protocol.halves, "readwrite")
        server.loseConnection()
        self.turn()
        protocol.lost.trap(ConnectionDone)

    def test_broken(self) -> None:
        """When a connection breaks, that depends on what it was watched for, as in the
        reactor."""
        for prepare, expected in (
            (lambda server: None, ConnectionDone),
            (FastServer.stopReading, ConnectionLost),
        ):
            _, server, protocol = self.connect()
            server.startWriting()
            prepare(server)
            self.assertIs(
                self.poller._serve(server, select.EPOLLHUP),
                CONNECTION_DONE if expected is ConnectionDone else None,
            )
            if expected is ConnectionDone:
                self.poller._lose(server, CONNECTION_DONE, wasRead=True)
            protocol.lost.trap(expected)

    def test_writeError(self) -> None:
        """An error that writing meets ends the connection."""
        _, server, protocol = self.connect()
        self.patch(server, "doWrite", lambda: CONNECTION_LOST)
        server.startWriting()
        self.turn()
        protocol.lost.trap(ConnectionLost)

    def test_exception(self) -> None:
        """A protocol that raises loses its connection, and the others do not notice."""
        peers = [self.connect() for _ in range(3)]

        def hook(data: bytes) -> None:
            raise ZeroDivisionError("broken")

        peers[1][2].hook = hook
        for peer, _, _ in peers:
            peer.send(b"x")
        self.turn()
        self.assertEqual([protocol.got for _, _, protocol in peers], [[b"x"]] * 3)
        self.assertEqual(
            [protocol.lost is None for _, _, protocol in peers], [True, False, True]
        )
        peers[1][2].lost.trap(ZeroDivisionError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_exceptionAtTheEnd(self) -> None:
        """A protocol that raises when its connection is lost is nobody else's trouble
        either."""
        peers = [self.connect() for _ in range(3)]

        def connectionLost(reason: Failure) -> None:
            raise ZeroDivisionError("broken")

        peers[1][2].connectionLost = connectionLost
        for peer, _, _ in peers[:2]:
            peer.close()
        self.turn()
        self.assertIsNotNone(peers[0][2].lost)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_endedByAnother(self) -> None:
        """One that was ended by what another one got is left alone."""
        peers = [self.connect() for _ in range(2)]
        for peer, server, protocol in peers:
            others = [each for _, each, _ in peers if each is not server]
            protocol.hook = lambda data, other=others[0]: other.connectionLost(
                Failure(ConnectionAborted())
            )
            peer.send(b"x")
        self.turn()
        self.assertEqual(sum(bool(protocol.got) for _, _, protocol in peers), 1)

    def test_closedElsewhere(self) -> None:
        """A socket that somebody else has closed is forgotten."""
        _, server, protocol = self.connect()
        server.socket.close()
        server.connectionLost(Failure(CONNECTION_DONE))
        self.assertEqual(self.reactor.readers, [])
        self.assertIsNotNone(protocol.lost)

    def test_duplicatedElsewhere(self) -> None:
        """So is one whose descriptor was duplicated before, and the others go on."""
        peer, server, _ = self.connect()
        other, _, protocol = self.connect()
        self.addCleanup(server.socket.dup().close)
        server.socket.close()
        server.connectionLost(Failure(CONNECTION_DONE))
        peer.send(b"x")
        other.send(b"y")
        self.turn()
        self.assertEqual(protocol.got, [b"y"])
        self.assertEqual(self.poller._epoll.poll(0), [])

    def test_raisesUnhashable(self) -> None:
        """What a protocol raises may be anything."""

        class Unhashable(Exception):
            __hash__ = None  # type: ignore[assignment]

        def hook(data: bytes) -> None:
            raise Unhashable("broken")

        peer, _, protocol = self.connect()
        protocol.hook = hook
        peer.send(b"x")
        self.turn()
        protocol.lost.trap(Unhashable)
        self.assertEqual(len(self.flushLoggedErrors(Unhashable)), 1)

    def test_reactorStops(self) -> None:
        """When the reactor lets go of all, every connection is told; one that raises
        does not keep it from the others."""
        peers = [self.connect() for _ in range(3)]

        def connectionLost(reason: Failure) -> None:
            raise ZeroDivisionError("broken")

        peers[0][2].connectionLost = connectionLost
        self.poller.connectionLost(Failure(CONNECTION_LOST))
        for _, _, protocol in peers[1:]:
            protocol.lost.trap(ConnectionLost)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.reactor.readers, [])

    def test_takenOut(self) -> None:
        """Where the reactor was emptied, with sockets left, new ones are polled."""
        self.connect()
        self.reactor.readers.clear()
        peer, _, protocol = self.connect()
        peer.send(b"x")
        self.turn()
        self.assertEqual(protocol.got, [b"x"])
        self.assertEqual(self.reactor.readers, [self.poller])

    def test_abort(self) -> None:
        """Aborting works through the reactor's clock."""
        _, server, protocol = self.connect()
        server.abortConnection()
        self.reactor.advance(0)
        protocol.lost.trap(ConnectionAborted)

    def test_otherDescriptors(self) -> None:
        """What is not one of its sockets goes to the reactor."""
        other = object()
        self.poller.addReader(other)
        self.poller.addWriter(other)
        self.assertEqual((self.reactor.readers, self.reactor.writers), ([other],) * 2)
        self.poller.removeReader(other)
        self.poller.removeWriter(other)
        self.assertEqual((self.reactor.readers, self.reactor.writers), ([], []))

    def test_shared(self) -> None:
        """Each reactor has one, as long as anything uses it."""
        one = sharedPoller(self.reactor)
        self.assertIs(sharedPoller(self.reactor), one)
        self.assertIsNot(sharedPoller(FDReactor()), one)

    def test_noEpoll(self) -> None:
        """Without ``epoll`` the reactor itself polls."""
        self.patch(polling, "select", object())
        self.assertIs(sharedPoller(self.reactor), self.reactor)


@hasEpoll
class DirectTests(_Case):
    """A few sockets are for the reactor itself, and so is one of many that is alone."""

    def setUp(self) -> None:
        super().setUp()
        # The first that are too many for it.
        self.many = [self.connect() for _ in range(DIRECT + 1)]

    def test_few(self) -> None:
        """A few are looked after by the reactor; with one more all are the poller's,
        and those that come then."""
        for _, server, _ in self.many:
            server.connectionLost(Failure(CONNECTION_DONE))
        self.assertEqual(self.reactor.readers, [])
        few = [self.connect() for _ in range(DIRECT)]
        self.assertEqual(self.reactor.readers, [server for _, server, _ in few])
        few[0][0].send(b"x")
        self.turn()
        self.assertEqual(few[0][2].got, [b"x"])
        few[1][1].startWriting()
        self.assertEqual(self.reactor.writers, [few[1][1]])
        few.append(self.connect())
        self.assertEqual(
            (self.reactor.readers, self.reactor.writers), ([self.poller], [])
        )
        self.assertEqual(few[1][1].pollMask, select.EPOLLIN | select.EPOLLOUT)
        for peer, server, protocol in few:
            peer.send(b"y")
            self.turn()
            self.assertEqual(protocol.got[-1], b"y")
            self.connect()
            server.connectionLost(Failure(CONNECTION_DONE))
        self.assertEqual(self.reactor.readers, [self.poller])

    def test_fewPause(self) -> None:
        """One that pauses makes room for another, and comes back as a new one."""
        for _, server, _ in self.many:
            server.connectionLost(Failure(CONNECTION_DONE))
        few = [self.connect()[1] for _ in range(DIRECT)]
        few[0].pauseProducing()
        few.append(self.connect()[1])
        self.assertEqual(self.reactor.readers, few[1:])
        few[0].resumeProducing()
        self.assertEqual(self.reactor.readers, [self.poller])

    def test_fewClosedElsewhere(self) -> None:
        """Of a few, one that somebody else has closed is not polled with the others."""
        for _, server, _ in self.many:
            server.connectionLost(Failure(CONNECTION_DONE))
        few = [self.connect() for _ in range(DIRECT)]
        few[0][1].socket.close()
        more, _, protocol = self.connect()
        self.assertEqual(few[0][1].pollMask, 0)
        more.send(b"x")
        self.turn()
        self.assertEqual(protocol.got, [b"x"])

    def alone(self, peer: Any, turns: int = ALONE_UNTIL_DIRECT) -> None:
        """Have one connection be alone for some turns."""
        for _ in range(turns):
            peer.send(b"x")
            self.turn()

    def test_direct(self) -> None:
        """One that is alone again and again is given to the reactor itself, for reading
        and for writing."""
        peer, server, protocol = self.connect()
        self.alone(peer, ALONE_UNTIL_DIRECT - 1)
        self.assertEqual(self.reactor.readers, [self.poller])
        self.alone(peer, 1)
        self.assertEqual(self.reactor.readers, [self.poller, server])
        self.alone(peer, 3)
        self.assertEqual(len(protocol.got), ALONE_UNTIL_DIRECT + 3)
        server.startWriting()
        self.assertEqual(self.reactor.writers, [server])
        server.stopWriting()
        self.assertEqual(self.reactor.writers, [])
        peer.close()
        server.connectionLost(Failure(CONNECTION_DONE))
        self.assertEqual(self.poller._direct, [])
        self.assertEqual(self.reactor.readers, [self.poller])

    def test_turnsDoNotCount(self) -> None:
        """It has to be the same one all the time, and alone."""
        one, _, _ = self.connect()
        other, _, _ = self.connect()
        for _ in range(3):
            self.alone(one, ALONE_UNTIL_DIRECT - 1)
            self.alone(other, 1)
        self.assertEqual(self.reactor.readers, [self.poller])

    def test_pausedDirect(self) -> None:
        """One that is paused is the poller's again when it resumes."""
        peer, server, protocol = self.connect()
        self.alone(peer)
        server.pauseProducing()
        self.assertEqual(self.poller._direct, [])
        server.resumeProducing()
        self.assertEqual(self.reactor.readers, [self.poller])
        self.alone(peer, 1)
        self.assertEqual(len(protocol.got), ALONE_UNTIL_DIRECT + 1)

    def test_takenBack(self) -> None:
        """With many at a time, all are polled together again; with more than a few that
        were alone, too."""
        peer, server, _ = self.connect()
        others = [self.connect() for _ in range(2 * DIRECT + 1)]
        self.alone(peer)
        self.assertEqual(self.reactor.readers, [self.poller, server])
        for other, _, _ in others:
            other.send(b"x")
        self.turn()
        self.assertEqual(self.reactor.readers, [self.poller])
        for other, _, _ in others[: DIRECT + 1]:
            self.alone(other)
        self.assertEqual(self.reactor.readers, [self.poller, others[DIRECT][1]])

    def test_goneMeanwhile(self) -> None:
        """One that ended in its last turn is given to nobody."""
        peer, server, protocol = self.connect()
        self.alone(peer, ALONE_UNTIL_DIRECT - 1)
        protocol.hook = lambda data: server.connectionLost(Failure(CONNECTION_DONE))
        self.alone(peer, 1)
        self.assertEqual(self.reactor.readers, [self.poller])
        self.assertEqual(self.poller._direct, [])


@implementer(IStreamServerEndpoint)
class _Endpoint:
    """Listens on what it is told to.

    :param port: it
    """

    def __init__(self, port: Any) -> None:
        self.port = port

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """Listen.

        :param protocolFactory: is noted
        """
        self.factory = protocolFactory
        return succeed(self.port)


class FastServerEndpointTests(SynchronousTestCase):
    """What listens makes our transports, where they fit."""

    def listen(self, port: Any) -> Any:
        """Listen.

        :param port: on what
        """
        endpoint = _Endpoint(port)
        factory: Any = Factory()
        listening = FastServerEndpoint(endpoint).listen(factory)
        self.assertIs(self.successResultOf(listening), port)
        self.assertIs(endpoint.factory, factory)
        return port

    def test_tcp(self) -> None:
        """A port of TCP makes them."""
        port = self.listen(tcp.Port(0, Factory(), reactor=FDReactor()))
        arguments: Any = (Protocol(), ("192.0.2.7", 1), None, 8)
        near, far = socket.socketpair()
        self.addCleanup(far.close)
        self.addCleanup(near.close)
        made = port.transport(near, *arguments, port.reactor)
        self.assertIsInstance(made, FastServer)
        self.assertIsInstance(made.reactor, Poller)
        made.stopReading()

    def test_others(self) -> None:
        """Another kind of port stays as it is, and so does one whose transports were
        chosen, and every one with a Twisted that is not as expected."""

        class OtherPort:
            transport = tcp.Server

        self.assertIs(self.listen(OtherPort()).transport, tcp.Server)

        class OtherServer(tcp.Server):
            pass

        chosen = tcp.Port(0, Factory(), reactor=FDReactor())
        chosen.transport = OtherServer
        self.assertIs(self.listen(chosen).transport, OtherServer)
        self.patch(polling, "SUPPORTED", False)
        port = self.listen(tcp.Port(0, Factory(), reactor=FDReactor()))
        self.assertIs(port.transport, tcp.Server)
