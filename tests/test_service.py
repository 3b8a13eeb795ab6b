"""The service: where it listens, what it says when it cannot, how it stops."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import errno
import os
import socket
import unittest
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorUDP, IStreamServerEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import (
    MemoryReactorClock,
    StringTransportWithDisconnection,
)
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from twisted_ws import service
from twisted_ws.codec import versionLine
from twisted_ws.factory import WebSocketServerFactory
from twisted_ws.interfaces import WebSocketProtocol
from twisted_ws.service import (
    CannotStart,
    IPv6Endpoint,
    WebSocketService,
    tcpEndpoints,
)

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
# The peer's answer to a Close frame with 1001, masked with zeros.
GOODBYE = b"\x88\x82\0\0\0\0" + (1001).to_bytes(2, "big")
CLOSE_1001 = b"\x88\x0c" + (1001).to_bytes(2, "big") + b"going away"


class Port:
    """A listening port that only counts what happens to it."""

    def __init__(self, address: object) -> None:
        self._address = address
        self.stopped = 0
        self.stopping: Deferred[None] = succeed(None)
        self.onStop: Callable[[], None] = lambda: None

    def getHost(self) -> object:
        """Give its address."""
        return self._address

    def stopListening(self) -> Deferred[None]:
        """Stop."""
        self.onStop()
        self.stopped += 1
        return self.stopping


@implementer(IStreamServerEndpoint)
class Endpoint:
    """An endpoint with a result that is given.

    :param result: a port, an error, or a Deferred of either
    """

    def __init__(self, result: Any) -> None:
        self._result = result
        self.factories: list[object] = []

    def listen(self, protocolFactory: object) -> Deferred[Any]:
        """Give the result."""
        self.factories.append(protocolFactory)
        if isinstance(self._result, Deferred):
            return self._result
        if isinstance(self._result, Exception):
            return fail(self._result)
        return succeed(self._result)


class Transport(StringTransportWithDisconnection):
    """A transport in memory that can be aborted."""

    aborted = False
    lost = False

    def loseConnection(self) -> None:
        """Note it; the other end has to see it before it is lost."""
        self.lost = True

    def abortConnection(self) -> None:
        """End it."""
        self.aborted = True
        self.connected = True
        super().loseConnection()

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Do nothing."""


def port(host: str = "127.0.0.1", number: int = 8080) -> Port:
    """Make a port."""
    return Port(IPv4Address("TCP", host, number))


class ServiceCase(SynchronousTestCase):
    """A clock, a factory, and the log."""

    def setUp(self) -> None:
        """Make them."""
        self.clock = Clock()
        self.factory = WebSocketServerFactory(
            WebSocketProtocol, reactor=cast(Any, self.clock)
        )
        self.logged: list[str] = []

        def observe(event: LogEvent) -> None:
            self.logged.append(formatEvent(event))

        publisher: Any = globalLogPublisher
        publisher.addObserver(observe)
        self.addCleanup(publisher.removeObserver, observe)

    def serve(self, *results: Any, drain: float = 10.0) -> WebSocketService:
        """Make a service with one endpoint for each result."""
        return WebSocketService(
            [Endpoint(each) for each in results], self.factory, drain
        )

    def connect(self, opened: bool = True) -> Transport:
        """Make a connection."""
        protocol = self.factory.buildProtocol(None)
        transport = Transport()
        transport.protocol = protocol
        protocol.makeConnection(transport)
        if opened:
            protocol.dataReceived(REQUEST)
            self.assertIn(b" 101 ", transport.value())
            transport.clear()
        return transport


class ListeningTests(ServiceCase):
    """Starting."""

    def test_severalEndpoints(self) -> None:
        """All endpoints listen with the one factory; each port is in the log."""
        ports = [port(), Port(UNIXAddress("/run/ws"))]
        endpoints = [Endpoint(each) for each in ports]
        serving = WebSocketService(endpoints, self.factory)
        serving.startService()
        self.assertEqual(serving.ports, ports)
        for endpoint in endpoints:
            self.assertEqual(endpoint.factories, [self.factory])
        self.assertEqual(self.logged[0], versionLine())
        self.assertIn("Listening on 127.0.0.1 port 8080", self.logged)
        self.assertTrue([each for each in self.logged if "/run/ws" in each])

    def test_withPrivileges(self) -> None:
        """twistd has a service listen while it has privileges, and start afterwards:
        it listens once."""
        endpoint = Endpoint(port())
        serving = WebSocketService([endpoint], self.factory)
        serving.privilegedStartService()
        self.assertEqual(len(serving.ports), 1)
        serving.startService()
        self.assertEqual(len(endpoint.factories), 1)

    def test_secondFails(self) -> None:
        """When the second endpoint fails the first stops listening: nothing is half
        started. It ends the process with one line and status 1."""
        first = port()
        error = CannotListenError("127.0.0.1", 80, OSError(errno.EACCES, "no"))
        serving = self.serve(first, error, port())
        with self.assertRaises(CannotStart) as caught:
            serving.startService()
        self.assertEqual(first.stopped, 1)
        self.assertEqual(serving.ports, [])
        # A SystemExit with a text prints it and ends with status 1. twistd cleans up
        # behind an Exception.
        self.assertIsInstance(caught.exception, SystemExit)
        self.assertIsInstance(caught.exception, Exception)
        self.assertEqual(caught.exception.code, str(caught.exception))

    def test_failsLater(self) -> None:
        """An endpoint that fails when the service runs already: the log says so."""
        later: Deferred[Any] = Deferred()
        serving = self.serve(later)
        serving.startService()
        later.errback(CannotListenError("127.0.0.1", 80, OSError(errno.EACCES, "no")))
        (line,) = [each for each in self.logged if "cannot listen" in each]
        self.assertIn("127.0.0.1, port 80", line)
        self.successResultOf(serving.stopService())

    def test_listensLater(self) -> None:
        """An endpoint that takes its time is listening when it is; one that never got
        there is cancelled when the service stops, without a word in the log."""
        later: Deferred[Any] = Deferred()
        never: Deferred[Any] = Deferred()
        serving = self.serve(later, never)
        serving.startService()
        there = port()
        later.callback(there)
        self.assertEqual(serving.ports, [there])
        self.successResultOf(serving.stopService())
        self.assertEqual(there.stopped, 1)
        self.assertFalse([each for each in self.logged if "cannot" in each])


class MessageTests(ServiceCase):
    """What is said when a port cannot be listened on."""

    def message(self, error: Exception) -> str:
        """Give it; it is one line."""
        with self.assertRaises(CannotStart) as caught:
            self.serve(error).startService()
        text = str(caught.exception)
        self.assertNotIn("\n", text)
        self.assertTrue(text.startswith("cannot listen"), text)
        return text

    def test_messages(self) -> None:
        """Each cause: where, why, and what to do about it."""

        def unable(where: Any, at: Any, error: Any) -> CannotListenError:
            return CannotListenError(where, at, error)

        def system(number: int) -> OSError:
            return OSError(number, os.strerror(number))

        cases: list[tuple[Exception, tuple[str, ...]]] = [
            (
                unable("", 8080, system(errno.EADDRINUSE)),
                ("on all interfaces, port 8080: it is in use", "--port", "--listen"),
            ),
            (
                unable("::1", 8080, system(errno.EADDRINUSE)),
                ("on ::1, port 8080: it is in use",),
            ),
            (
                unable("", 443, system(errno.EACCES)),
                ("port 443: permission denied", "below 1024", "CAP_NET", "--port"),
            ),
            (unable("", 443, system(errno.EPERM)), ("permission denied",)),
            (
                unable("192.0.2.1", 80, system(errno.EADDRNOTAVAIL)),
                ("on 192.0.2.1, port 80: this machine has no such", "--interface"),
            ),
            (
                unable("nowhere", 80, socket.gaierror(-2, "Name not known")),
                ("on nowhere, port 80: this machine has no such address",),
            ),
            (
                unable("", 80, OSError(errno.ENOBUFS, "No buffer space available")),
                ("port 80: no buffer space available: choose another",),
            ),
            (
                unable(None, "/run/ws", system(errno.EACCES)),
                ("on /run/ws: permission denied", "--listen"),
            ),
            (
                unable(None, b"/run/ws", "Cannot acquire lock"),
                ("on /run/ws: it is in use", "--listen"),
            ),
            (
                FileNotFoundError(errno.ENOENT, "No such file", "1", None, b"/x.lock"),
                ("cannot listen: no such file: /x.lock",),
            ),
            (
                PermissionError(errno.EACCES, "Permission denied"),
                ("cannot listen: permission denied",),
            ),
            (ValueError("whatever it is"), ("cannot listen: whatever it is",)),
        ]
        for error, parts in cases:
            text = self.message(error)
            for part in parts:
                self.assertIn(part, text)
            self.assertNotIn("Errno", text)


class StoppingTests(ServiceCase):
    """Draining (THREATS T04)."""

    def test_T04_nobodyThere(self) -> None:
        """Without connections it stops at once, and leaves no delayed call."""
        there = port()
        serving = self.serve(there)
        serving.startService()
        self.successResultOf(serving.stopService())
        self.assertEqual(there.stopped, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_T04_everyoneAnswers(self) -> None:
        """The port is closed before the connections are; each gets 1001; when the last
        one is gone it has stopped, with no delayed call left."""
        there = port()
        serving = self.serve(there)
        serving.startService()
        transports = [self.connect() for _ in range(3)]
        order: list[list[bytes]] = []
        there.onStop = lambda: order.append([each.value() for each in transports])
        stopping = serving.stopService()
        self.assertEqual(order, [[b"", b"", b""]])
        for transport in transports:
            self.assertNoResult(stopping)
            self.assertEqual(transport.value(), CLOSE_1001)
            self.assertFalse(transport.lost)
            transport.protocol.dataReceived(GOODBYE)
            self.assertTrue(transport.lost)
            transport.abortConnection()
        self.successResultOf(stopping)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertTrue([each for each in self.logged if "connections (3)" in each])
        self.assertFalse([each for each in self.logged if "Aborting" in each])

    def test_T04_nobodyAnswers(self) -> None:
        """Who has not answered when the drain time is over is aborted, not before."""
        serving = self.serve(port(), drain=4.0)
        serving.startService()
        answering, silent = self.connect(), self.connect()
        starting = self.connect(opened=False)
        stopping = serving.stopService()
        answering.protocol.dataReceived(GOODBYE)
        answering.abortConnection()
        self.assertTrue(starting.lost)
        self.clock.advance(3.9)
        self.assertFalse(silent.aborted or starting.aborted)
        self.assertNoResult(stopping)
        self.clock.advance(0.2)
        self.assertTrue(silent.aborted and starting.aborted)
        self.successResultOf(stopping)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertTrue([each for each in self.logged if "not close (2)" in each])

    def test_T04_noTime(self) -> None:
        """With a drain time of 0 they are aborted in the next turn."""
        serving = self.serve(port(), drain=0)
        serving.startService()
        transport = self.connect()
        stopping = serving.stopService()
        self.assertEqual(transport.value(), CLOSE_1001)
        self.clock.advance(0)
        self.successResultOf(stopping)
        self.assertTrue(transport.aborted)

    def test_waitsForThePort(self) -> None:
        """It has stopped when the port is closed, too."""
        there = port()
        there.stopping = Deferred()
        serving = self.serve(there)
        serving.startService()
        stopping = serving.stopService()
        self.assertNoResult(stopping)
        there.stopping.callback(None)
        self.successResultOf(stopping)

    def test_startsAgain(self) -> None:
        """After stopping it can be started anew."""
        endpoint = Endpoint(port())
        serving = WebSocketService([endpoint], self.factory)
        serving.startService()
        self.successResultOf(serving.stopService())
        serving.startService()
        self.assertEqual(len(endpoint.factories), 2)
        self.assertEqual(len(serving.ports), 1)


class EndpointTests(SynchronousTestCase):
    """Endpoints for a port."""

    def hosts(self, interface: str) -> list[tuple[int, str]]:
        """Give the ports and interfaces that get listened on."""
        reactor = MemoryReactorClock()
        for endpoint in tcpEndpoints(reactor, 8080, interface):
            endpoint.listen(cast(Any, WebSocketServerFactory(WebSocketProtocol)))
        return [(each[0], each[3]) for each in reactor.tcpServers]

    def test_interface(self) -> None:
        """An address of either kind is listened on alone."""
        for interface in ("127.0.0.1", "::1", "localhost"):
            self.assertEqual(self.hosts(interface), [(8080, interface)])

    def test_reactorWithoutSockets(self) -> None:
        """A reactor that cannot adopt sockets listens on IPv4."""
        # This one says that it can, and would really listen.
        self.patch(service, "IReactorSocket", IReactorUDP)
        self.assertEqual(self.hosts(""), [(8080, "")])

    def test_allInterfaces(self) -> None:
        """Otherwise it is all of IPv4, and all of IPv6 where there is IPv6."""
        from twisted.internet import reactor

        for there in (True, False):
            self.patch(service, "hasIPv6", lambda there=there: there)
            endpoints = tcpEndpoints(reactor, 8080)
            self.assertIsInstance(endpoints[0], TCP4ServerEndpoint)
            kinds = [type(each) for each in endpoints[1:]]
            self.assertEqual(kinds, [IPv6Endpoint] if there else [])

    def test_hasIPv6(self) -> None:
        """No IPv6 is what a socket says that cannot be made or bound."""
        self.assertIsInstance(service.hasIPv6(), bool)

        def broken(*_: object) -> None:
            raise OSError(errno.EAFNOSUPPORT, "no IPv6 here")

        self.patch(socket, "socket", broken)
        self.assertFalse(service.hasIPv6())


class IPv6Tests(SynchronousTestCase):
    """Listening on all of IPv6."""

    def setUp(self) -> None:
        """See whether there is any."""
        if not service.hasIPv6():
            raise unittest.SkipTest("this machine has no IPv6")
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.factory = WebSocketServerFactory(WebSocketProtocol)

    def listen(self, number: int) -> Deferred[Any]:
        """Listen, and stop in the end."""
        endpoint = IPv6Endpoint(self.reactor, number)
        listening = endpoint.listen(cast(Any, self.factory))
        return listening

    def test_beside4(self) -> None:
        """The port is for IPv6 only: IPv4 can have the same one beside it."""
        six = self.successResultOf(self.listen(0))
        try:
            address = six.getHost()
            self.assertEqual(address.host, "::")
            endpoint = TCP4ServerEndpoint(self.reactor, address.port)
            four = self.successResultOf(endpoint.listen(cast(Any, self.factory)))
            four.stopListening()
        finally:
            six.stopListening()

    def test_taken(self) -> None:
        """A port that is taken is Twisted's error, with where and why."""
        six = self.successResultOf(self.listen(0))
        try:
            number = six.getHost().port
            error = self.failureResultOf(self.listen(number), CannotListenError).value
            self.assertEqual((error.interface, error.port), ("::", number))
            self.assertEqual(error.socketError.errno, errno.EADDRINUSE)
        finally:
            six.stopListening()
