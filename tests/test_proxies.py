"""Connections through proxies: in memory on a ``Clock``, and on real sockets.

The proxies are in this process. Nothing sleeps here: whatever is waited for is a
Deferred with a deadline.
"""

# The assertions of trial, and pytest-twisted, have no types.
# mypy: allow-untyped-calls, disallow-untyped-decorators=False

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from tempfile import NamedTemporaryFile
from typing import Any

import pytest
import pytest_twisted  # type: ignore[import-untyped]
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    wrapClientTLS,
)
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    DNSLookupError,
    NoProtocol,
)
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    IReactorPluggableNameResolver,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import (
    Certificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.certificates import keyToPEM, makeCertificate, makeKey, toPEM
from tests.clients import reactor, within
from tests.support import firedWith, logged
from twisted_ws.errors import HandshakeError, ProxyFailed
from twisted_ws.headers import Headers
from twisted_ws.httpconnect import ConnectNegotiation
from twisted_ws.memory import MemoryTransport
from twisted_ws.proxies import TunnelEndpoint, proxyEndpoint
from twisted_ws.proxyurls import parseProxyURL
from twisted_ws.tls import TLSServerEndpoint, loadContext

SECRET = "hunter2"  # noqa: S105
PROXY = "http://proxy.example:3128"
SOCKS = "socks5h://proxy.example:1080"
OK = b"HTTP/1.1 200 OK\r\n\r\n"
SOCKS_OK = b"\x05\x00", b"\x05\x00\x00\x01" + bytes(6)
MIB = 1024 * 1024


# In memory


class Resolver:
    """Looks up names, at once or when it is told.

    :param addresses: what there is, by name
    """

    def __init__(self, addresses: dict[str, list[str]]) -> None:
        self.addresses = addresses
        self.asked: list[str] = []
        self.held: list[Callable[[], None]] | None = None
        """What to do later; None for doing it at once."""

    def resolveHostName(
        self, receiver: Any, hostName: str, *rest: Any, **more: Any
    ) -> Any:
        """Look up a name."""
        self.asked.append(hostName)
        found = self.addresses.get(hostName, [hostName] if hostName[0] in "1:" else [])

        def tell() -> None:
            receiver.resolutionBegan(self)
            for each in found:
                kind = IPv6Address if ":" in each else IPv4Address
                receiver.addressResolved(kind("TCP", each, more.get("portNumber", 0)))
            receiver.resolutionComplete()

        if self.held is None:
            tell()
        else:
            self.held.append(tell)
        return self


@implementer(IReactorPluggableNameResolver)
class Reactor(MemoryReactorClock):
    """A reactor without a network.

    :param nameResolver: looks up names
    """

    nameResolver: Any

    def __init__(self, nameResolver: Resolver) -> None:
        super().__init__()
        self.nameResolver = nameResolver

    def installNameResolver(self, resolver: Any) -> Any:
        """Is not needed."""


class Recorder(Protocol):
    """A protocol that writes down how it is called.

    :param reactions: what to do in ``connectionMade`` and ``dataReceived``, by name;
        called with the recorder
    """

    transport: Any

    def __init__(self, **reactions: Callable[[Recorder], object]) -> None:
        self.reactions = reactions
        self.calls: list[str] = []
        self.received = b""
        self.reason: Any = None
        self.lost: Deferred[Any] = Deferred()
        self.waiting: list[tuple[int, Deferred[bytes]]] = []

    def _called(self, name: str) -> None:
        self.calls.append(name)
        self.reactions.get(name, bool)(self)

    def connectionMade(self) -> None:
        """Write it down."""
        self._called("connectionMade")

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        assert self.reason is None
        self.received += data
        self._called("dataReceived")
        for size, waiting in self.waiting[:]:
            if len(self.received) >= size:
                self.waiting.remove((size, waiting))
                waiting.callback(self.received)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Keep it."""
        assert self.reason is None
        self.reason = reason.value
        self._called("connectionLost")
        self.lost.callback(reason.value)

    def has(self, size: int) -> Deferred[bytes]:
        """Wait for so many bytes."""
        if len(self.received) >= size:
            return succeed(self.received)
        waiting: Deferred[bytes] = Deferred()
        self.waiting.append((size, waiting))
        return waiting


@implementer(IHalfCloseableProtocol)
class HalfRecorder(Recorder):
    """A recorder that wants to know of halves."""

    def readConnectionLost(self) -> None:
        """Write it down."""
        self._called("readConnectionLost")

    def writeConnectionLost(self) -> None:
        """Write it down."""
        self._called("writeConnectionLost")


@implementer(IHandshakeListener)
class ListeningRecorder(Recorder):
    """A recorder that wants to know of the handshake of TLS."""

    def handshakeCompleted(self) -> None:
        """Write it down."""
        self._called("handshakeCompleted")


class RecordingFactory(Factory):
    """A factory for one protocol.

    :param protocol: the protocol, or what to raise, or None
    """

    noisy = False

    def __init__(self, protocol: Any) -> None:
        self.result = protocol
        self.built: list[Any] = []
        self.calls: list[str] = []

    def buildProtocol(self, addr: Any) -> Any:
        """Give the protocol."""
        self.built.append(addr)
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result

    def doStart(self) -> None:
        """Write it down."""
        self.calls.append("doStart")

    def doStop(self) -> None:
        """Write it down."""
        self.calls.append("doStop")


class Attempt:
    """One connection through a proxy, in memory.

    :param url: the proxy's
    :param host: the destination
    :param protocol: the application's, or what ``buildProtocol`` does instead
    :param hold: whether names are looked up only when told
    :param fired: what to do when the tunnel stands
    :param options: for ``proxyEndpoint``
    """

    def __init__(
        self,
        url: str = PROXY,
        host: str = "example.com",
        protocol: Any = ...,
        hold: bool = False,
        fired: Callable[[], object] = bool,
        **options: Any,
    ) -> None:
        self.resolver = Resolver(
            {
                "proxy.example": ["192.0.2.9"],
                "example.com": ["10.0.0.1", "::1", "10.0.0.2"],
                "six.example": ["fd00::1", "10.0.0.1"],
            }
        )
        if hold:
            self.resolver.held = []
        self.reactor = Reactor(self.resolver)
        self.protocol = Recorder() if protocol is ... else protocol
        self.factory = RecordingFactory(self.protocol)
        self.endpoint = proxyEndpoint(self.reactor, url, host, 443, **options)
        self.connecting = self.endpoint.connect(self.factory)
        self.results = firedWith(self.connecting)
        self.connecting.addCallback(lambda _: fired())
        self.transport: Any = None

    @property
    def failure(self) -> Any:
        """The error that ``connect`` fired with."""
        (result,) = self.results
        assert isinstance(result, Failure), result
        return result.value

    def accept(self, *segments: bytes) -> Any:
        """Have the proxy accept the connection, and send something.

        :returns: the transport
        """
        client: Any = self.reactor.tcpClients[0]
        self.transport = MemoryTransport(
            self.reactor, IPv4Address("TCP", "192.0.2.9", 3128)
        )
        protocol = client[2].buildProtocol(self.transport.getPeer())
        self.transport.protocol = protocol
        protocol.makeConnection(self.transport)
        self.send(*segments)
        return self.transport

    def send(self, *segments: bytes) -> None:
        """Have the proxy send something, as long as it is read."""
        for segment in segments:
            if self.transport.reading:
                self.transport.protocol.dataReceived(segment)

    @property
    def written(self) -> bytes:
        """What the proxy was sent."""
        return b"".join(self.transport.writes)

    def end(self) -> None:
        """Let what is left happen; then nothing must be left."""
        self.reactor.advance(0)
        if self.transport is not None:
            assert self.transport.late == []
            self.transport.vanish()
        for held in self.resolver.held or []:
            held()
        assert len(self.results) == 1, self.results
        assert self.reactor.getDelayedCalls() == []


class MemoryCase(SynchronousTestCase):
    """Makes attempts, of which nothing must be left."""

    def attempt(self, *arguments: Any, **named: Any) -> Attempt:
        """Make one; see :class:`Attempt`."""
        made = Attempt(*arguments, **named)
        self.addCleanup(made.end)
        return made


class CallTests(SynchronousTestCase):
    """What :func:`proxyEndpoint` itself refuses."""

    def test_refused(self) -> None:
        """What cannot be is an error of the call, without the secrets in it."""
        clock = Reactor(Resolver({}))
        for url, host, port, headers in (
            ("ftp://proxy", "example.com", 80, {}),
            (f"http://me:{SECRET}%0d%0a@proxy", "example.com", 80, {}),
            (PROXY, "", 80, {}),
            (PROXY, "exa mple.com", 80, {}),
            (PROXY, "example.com\r\nX: y", 80, {}),
            (PROXY, "bücher.example", 80, {}),
            (PROXY, "example.com:80", 80, {}),
            (PROXY, "[::1]:80", 80, {}),
            (PROXY, "::z", 80, {}),
            (PROXY, "a" * 256, 80, {}),
            (PROXY, "example.com", 0, {}),
            (PROXY, "example.com", 65536, {}),
            (PROXY, "example.com", 80, {"A": f"{SECRET}\r\nB: c"}),
            (PROXY, "example.com", 80, {"A b": SECRET}),
            (PROXY, "example.com", 80, [("Host", SECRET)]),
            (SOCKS, "example.com", 80, {"A": "b"}),
        ):
            with self.assertRaises(ValueError, msg=(url, host)) as caught:
                proxyEndpoint(clock, url, host, port, headers=headers)
            self.assertNotIn(SECRET, str(caught.exception))

    def test_repr(self) -> None:
        """A ``repr`` says where to, and holds no secret."""
        clock = Reactor(Resolver({}))
        url = f"https://{SECRET}:{SECRET}@proxy"
        headers = {"Proxy-Authorization": SECRET}
        found = proxyEndpoint(clock, url, "::1", 443, headers=headers)
        expected = "<TunnelEndpoint [::1]:443 through https://…@proxy:443>"
        self.assertEqual(repr(found), expected)
        found = proxyEndpoint(clock, parseProxyURL(SOCKS), "[::1]", 443)
        expected = "<TunnelEndpoint [::1]:443 through socks5h://proxy.example:1080>"
        self.assertEqual(repr(found), expected)
        verifyObject(IStreamClientEndpoint, found)


class TunnelTests(MemoryCase):
    """Tunnels that come to stand."""

    def test_connect(self) -> None:
        """CONNECT: the Deferred fires when the tunnel stands, with the application's
        protocol, connected to the transport itself."""
        made = self.attempt(
            f"http://me:{SECRET}@proxy.example:3128", headers={"User-Agent": "x"}
        )
        (client,) = made.reactor.tcpClients
        self.assertEqual(client[:2], ("192.0.2.9", 3128))
        transport = made.accept()
        lines = made.written.split(b"\r\n")
        self.assertEqual(lines[0], b"CONNECT example.com:443 HTTP/1.1")
        self.assertEqual(lines[1:3], [b"Host: example.com:443", b"User-Agent: x"])
        self.assertTrue(lines[3].startswith(b"Proxy-Authorization: Basic "))
        self.assertEqual((made.results, made.factory.built), ([], []))
        made.send(OK[:-1])
        self.assertEqual((made.results, made.protocol.calls), ([], []))
        made.send(OK[-1:])
        self.assertEqual(made.results, [made.protocol])
        self.assertEqual(made.protocol.calls, ["connectionMade"])
        self.assertIs(made.protocol.transport, transport)
        self.assertEqual(made.factory.built, [transport.getPeer()])
        made.send(b"a", b"b")
        made.protocol.transport.write(b"c")
        self.assertEqual(made.protocol.received, b"ab")
        self.assertEqual(transport.writes[1:], [b"c"])
        transport.vanish(ConnectionLost())
        self.assertIsInstance(made.protocol.reason, ConnectionLost)

    def test_socks(self) -> None:
        """SOCKS5, with authentication, in as many steps as it has."""
        made = self.attempt(f"socks5h://me:{SECRET}@proxy.example")
        self.assertEqual(made.reactor.tcpClients[0][:2], ("192.0.2.9", 1080))
        transport = made.accept(b"\x05", b"\x02", b"\x01\x00", SOCKS_OK[1] + b"hello")
        self.assertEqual(
            transport.writes,
            [
                b"\x05\x02\x00\x02",
                b"\x01\x02me\x07" + SECRET.encode(),
                b"\x05\x01\x00\x03\x0bexample.com\x01\xbb",
            ],
        )
        self.assertEqual(made.results, [made.protocol])
        self.assertEqual(made.protocol.received, b"hello")
        # The name was for the proxy to look up.
        self.assertEqual(made.resolver.asked, ["proxy.example"])

    def test_socksResolvesHere(self) -> None:
        """With ``socks5`` the name is looked up here, and its first address counts; an
        address is not looked up."""
        for host, expected, asked in (
            ("example.com", b"\x01\x0a\x00\x00\x01", True),
            ("six.example", b"\x04\xfd" + bytes(14) + b"\x01", True),
            ("10.0.0.7", b"\x01\x0a\x00\x00\x07", False),
            ("[::1]", b"\x04" + bytes(15) + b"\x01", False),
        ):
            made = self.attempt("socks5://proxy.example", host)
            made.accept(*SOCKS_OK)
            self.assertEqual(
                made.transport.writes[1], b"\x05\x01\x00" + expected + b"\x01\xbb"
            )
            self.assertEqual(host in made.resolver.asked, asked)
            self.assertEqual(made.results, [made.protocol])

    def test_bytesBehindTheAnswer(self) -> None:
        """What comes with the proxy's last word is delivered: once the Deferred has
        fired, before anything later."""
        made = self.attempt()
        order: list[object] = []
        made.protocol.reactions["dataReceived"] = lambda _: order.append(
            len(made.results)
        )
        made.accept(OK + b"abc", b"def")
        self.assertEqual(made.protocol.received, b"abcdef")
        self.assertEqual(order, [1, 1])

    def test_closedAtOnce(self) -> None:
        """What closes the connection right away gets no bytes any more."""
        made = self.attempt(
            protocol=Recorder(
                connectionMade=lambda found: found.transport.loseConnection()
            )
        )
        made.accept(OK + b"abc").flush()
        self.assertEqual(made.results, [made.protocol])
        self.assertEqual(made.protocol.calls, ["connectionMade", "connectionLost"])
        made = self.attempt(fired=lambda: made.transport.vanish())
        made.accept(OK + b"abc")
        self.assertEqual(made.results, [made.protocol])
        self.assertEqual(made.protocol.calls, ["connectionMade", "connectionLost"])

    def test_lostWhileBeingMade(self) -> None:
        """A connection that ends within ``connectionMade`` fires the errback."""
        made = self.attempt(
            protocol=Recorder(connectionMade=lambda _: made.transport.vanish())
        )
        made.accept(OK + b"abc")
        self.assertIsInstance(made.failure, ConnectionLost)
        self.assertEqual(made.protocol.calls, ["connectionMade", "connectionLost"])

    def test_factoryIsStarted(self) -> None:
        """The application's factory is told when it is used and when no more."""
        made = self.attempt()
        self.assertEqual(made.factory.calls, [])
        factory: Any = made.reactor.tcpClients[0][2]
        factory.doStart()
        factory.doStop()
        self.assertEqual(made.factory.calls, ["doStart", "doStop"])
        made.accept(OK)

    def test_otherEndpoints(self) -> None:
        """An endpoint of another kind, whose transport does not tell its protocol,
        does as well."""
        clock = Clock()
        transport = MemoryTransport(clock)
        built: list[Any] = []

        class Direct:
            """Connects at once."""

            def connect(self, factory: Any) -> Deferred[Any]:
                """Connect."""
                built.append(factory.buildProtocol(None))
                built[0].makeConnection(transport)
                return succeed(built[0])

        def negotiate(host: str) -> ConnectNegotiation:
            return ConnectNegotiation(f"{host}:443", Headers())

        endpoint: Any = Direct()
        protocol = HalfRecorder()
        found = TunnelEndpoint(clock, endpoint, "example.com", negotiate, 30, name="x")
        results = firedWith(found.connect(RecordingFactory(protocol)))
        built[0].dataReceived(OK + b"abc")
        self.assertEqual((results, protocol.received), ([protocol], b"abc"))
        self.assertEqual(clock.getDelayedCalls(), [])
        self.assertEqual(repr(found), "<TunnelEndpoint x>")

    def test_manyTimes(self) -> None:
        """An endpoint connects as often as it is asked to."""
        made = self.attempt()
        made.accept(OK)
        again = firedWith(made.endpoint.connect(RecordingFactory(Recorder())))
        del made.reactor.tcpClients[0]
        made.accept(b"\x05")
        self.assertIsInstance(again[0].value, ProxyFailed)
        self.assertTrue(made.transport.aborted)


class FailureTests(MemoryCase):
    """Tunnels that come to nothing. The Deferred fires always, and the connection is
    closed."""

    def _fails(self, made: Attempt) -> ProxyFailed:
        """Check that an attempt has failed, and closed the connection."""
        error = made.failure
        self.assertIsInstance(error, ProxyFailed)
        self.assertIsInstance(error, HandshakeError)
        if made.transport is not None and made.transport.connected:
            self.assertTrue(made.transport.aborted)
        self.assertEqual(made.factory.built, [])
        assert isinstance(error, ProxyFailed)
        return error

    def test_C02_refused(self) -> None:
        """A CONNECT that is refused: status, headers and body; a 407 is told from
        others."""
        made = self.attempt()
        made.accept(
            b"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\n"
            b"Content-Length: 3\r\n\r\nnoX",
            b"more",
        )
        error = self._fails(made)
        self.assertEqual((error.status, error.body), (407, b"noX"))
        self.assertEqual(error.headers.get("Proxy-Authenticate"), "Basic")
        self.assertTrue(error.wantsCredentials)
        made = self.attempt(SOCKS)
        made.accept(b"\x05\x00\x05\x05")
        self.assertEqual(self._fails(made).reply, 5)

    def test_C03_droppedAnywhere(self) -> None:
        """Whenever the proxy hangs up, cleanly or not."""
        refusal = b"HTTP/1.1 403 x\r\n\r\nbody"
        talks = [(PROXY, [OK]), (SOCKS, [*SOCKS_OK]), (PROXY, [refusal])]
        for url, segments in talks:
            whole = b"".join(segments)
            for size in range(len(whole) + (whole == refusal)):
                for cause in (ConnectionDone(), ConnectionLost("reset")):
                    made = self.attempt(url)
                    made.accept(*(whole[at : at + 1] for at in range(size)))
                    self.assertEqual(made.results, [])
                    made.transport.vanish(cause)
                    error = self._fails(made)
                    if whole == refusal and size >= len(whole) - 4:
                        self.assertEqual(error.status, 403)
                        self.assertEqual(error.body, b"body"[: size - len(whole) + 4])
                        self.assertIsNone(error.__cause__)
                    else:
                        self.assertIn("closed the connection before", error.why)
                        self.assertIs(error.__cause__, cause)

    def test_C03_garbage(self) -> None:
        """What does not speak the protocol."""
        for url in (PROXY, SOCKS):
            made = self.attempt(url)
            made.accept(b"220 mail.example.com ESMTP\r\n", b"more")
            self.assertIn("does not answer in", self._fails(made).why)

    def test_C03_endless(self) -> None:
        """A head without an end is not read to the end."""
        made = self.attempt()
        made.accept(b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 200)
        self.assertIn("over 100 header lines", self._fails(made).why)

    def test_unreachable(self) -> None:
        """A proxy that cannot be connected to, or found."""
        made = self.attempt()
        factory: Any = made.reactor.tcpClients[0][2]
        factory.clientConnectionFailed(
            made.reactor.connectors[0], Failure(ConnectionRefusedError("no\nway"))
        )
        made.reactor.advance(1)
        error = self._fails(made)
        self.assertIn("the proxy cannot be reached: ", error.why)
        self.assertTrue(error.why.isprintable())
        self.assertIsInstance(error.__cause__, ConnectionRefusedError)
        made = self.attempt("http://nowhere.example")
        error = self._fails(made)
        self.assertIsInstance(error.__cause__, DNSLookupError)

    def test_destinationNotFound(self) -> None:
        """A destination that ``socks5`` finds no address for; nothing is connected to,
        and the message says what may help."""
        made = self.attempt("socks5://proxy.example", "nowhere.example")
        error = self._fails(made)
        self.assertIn("socks5h://", error.why)
        self.assertIsInstance(error.__cause__, DNSLookupError)
        self.assertEqual(made.reactor.tcpClients, [])

    def test_noProtocol(self) -> None:
        """A factory that gives no protocol, or raises: that error, as with every
        endpoint."""
        for result, expected in (
            (None, NoProtocol),
            (ZeroDivisionError(), ZeroDivisionError),
            (SystemExit(), SystemExit),
        ):
            made = self.attempt(protocol=result)
            made.accept(OK + b"abc", b"def")
            self.assertIsInstance(made.failure, expected)
            self.assertTrue(made.transport.aborted)

    def test_brokenProtocol(self) -> None:
        """A protocol whose ``connectionMade`` raises: the reactor closes the
        connection, and the Deferred fires with that."""
        made = self.attempt(protocol=Recorder(connectionMade=lambda _: 1 / 0))
        self.assertRaises(ZeroDivisionError, made.accept, OK + b"abc")
        self.assertEqual(made.results, [])
        made.transport.vanish(ZeroDivisionError())
        self.assertIsInstance(made.failure, ZeroDivisionError)
        self.assertEqual(made.protocol.calls, ["connectionMade", "connectionLost"])


class TimeTests(MemoryCase):
    """The time is up, or nobody wants to wait any more."""

    def _stages(self) -> list[tuple[str, Callable[[], Attempt], str]]:
        """Give ways into every stage, and what the timeout's error then says."""

        def looking() -> Attempt:
            return self.attempt("socks5://proxy.example", hold=True, timeout=9)

        def finding() -> Attempt:
            return self.attempt(hold=True, timeout=9)

        def connecting() -> Attempt:
            return self.attempt(timeout=9)

        def asking(*segments: bytes, url: str = PROXY) -> Attempt:
            made = self.attempt(url, timeout=9)
            made.accept(*segments)
            return made

        silence = "the proxy did not answer in 9 seconds"
        return [
            ("looking", looking, "address was not found in time"),
            ("finding", finding, silence),
            ("connecting", connecting, silence),
            ("asking", asking, silence),
            ("answering", lambda: asking(OK[:-1]), silence),
            ("socks", lambda: asking(SOCKS_OK[0], url=SOCKS), silence),
            ("refusing", lambda: asking(b"HTTP/1.1 403 x\r\n\r\nab"), "403 Forbidden"),
        ]

    def test_C03_timeout(self) -> None:
        """At every stage, the time is up after ``timeout`` seconds in all, and not
        before; a refusal that goes on is told as such."""
        for stage, begin, expected in self._stages():
            made = begin()
            made.reactor.advance(8.9)
            self.assertEqual(made.results, [], stage)
            made.reactor.advance(0.2)
            self.assertIsInstance(made.failure, ProxyFailed, stage)
            self.assertIn(expected, str(made.failure))
            if made.transport is not None:
                self.assertFalse(made.transport.connected, stage)
            if stage == "refusing":
                self.assertEqual(made.failure.body, b"ab")

    def test_C03_trickle(self) -> None:
        """A byte a second does not buy time."""
        made = self.attempt(timeout=9)
        made.accept()
        for at in range(8):
            made.send(OK[at : at + 1])
            made.reactor.advance(1)
        self.assertEqual(made.results, [])
        made.send(OK[8:9])
        made.reactor.advance(1)
        self.assertIn("did not answer in 9 seconds", made.failure.why)

    def test_cancel(self) -> None:
        """Cancelling at any stage fires the errback and closes what was opened."""
        for stage, begin, _ in self._stages():
            made = begin()
            made.connecting.cancel()
            self.assertIsInstance(made.failure, Exception, stage)
            made.reactor.advance(0)
            if made.transport is not None:
                self.assertFalse(made.transport.connected, stage)
            for connector in made.reactor.connectors:
                if made.transport is None:
                    self.assertTrue(connector.stoppedConnecting, stage)
            made.reactor.advance(20)
            self.assertEqual(made.reactor.getDelayedCalls(), [], stage)

    def test_cancelWhileBeingMade(self) -> None:
        """Cancelling within ``connectionMade`` too: the protocol is told of the end."""
        made = self.attempt(
            protocol=Recorder(connectionMade=lambda _: made.connecting.cancel())
        )
        made.accept(OK + b"abc")
        self.assertIsInstance(made.failure, CancelledError)
        made.reactor.advance(0)
        self.assertIsInstance(made.protocol.reason, ConnectionAborted)

    def test_cancelLate(self) -> None:
        """Once the tunnel stands, neither time nor cancelling does anything."""
        made = self.attempt()
        made.accept(OK)
        made.connecting.cancel()
        made.reactor.advance(60)
        self.assertEqual(made.results, [made.protocol])
        self.assertTrue(made.transport.connected)

    def test_S05_nothingIsLogged(self) -> None:
        """Neither the errors nor the log hold a secret; nothing is logged at all."""
        with logged() as lines:
            for answer in (b"HTTP/1.1 407 x\r\n\r\n", b"\x05\xff", b"x", b""):
                for scheme in ("http", "socks5h"):
                    made = self.attempt(f"{scheme}://me:{SECRET}@proxy.example")
                    made.accept(answer)
                    made.transport.vanish()
                    self.assertNotIn(SECRET, f"{made.failure} {made.failure!r}")
                    self.assertNotIn(SECRET, made.results[0].getTraceback())
        self.assertEqual(lines, [])


# On real sockets


class Relay(Protocol):
    """Passes bytes on, as a proxy does once the tunnel stands, and no faster than the
    other end takes them.

    :param other: where to
    """

    transport: Any

    def __init__(self, other: Any) -> None:
        self.other = other

    def connectionMade(self) -> None:
        """Join the two ends."""
        self.other.joined(self)

    def dataReceived(self, data: bytes) -> None:
        """Pass bytes on."""
        self.other.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass the end on."""
        self.other.transport.unregisterProducer()
        self.other.transport.loseConnection()


@implementer(IHalfCloseableProtocol)
class HalfRelay(Relay):
    """A relay that passes the end of a half on as such."""

    def readConnectionLost(self) -> None:
        """Pass it on."""
        self.other.transport.unregisterProducer()
        self.other.transport.loseWriteConnection()

    def writeConnectionLost(self) -> None:
        """Is nobody's concern."""


class Proxy(Protocol):
    """An honest proxy for CONNECT and SOCKS5, just good enough to be tested with.

    :param server: runs it
    """

    transport: Any
    relay: Any = None

    def __init__(self, server: Proxies) -> None:
        self.server = server
        self.buffer = b""
        self.greeted = False

    def connectionMade(self) -> None:
        """Be counted."""
        self.server.connections.append(self)
        self.lost: Deferred[Any] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Take a request, then bytes to pass on."""
        self.server.received += data
        if self.relay is not None:
            self.relay.transport.write(data)
            return
        self.buffer += data
        if self.server.answer is not None:
            self.server.answer(self)
        elif self.buffer.startswith(b"CONNECT ") and b"\r\n\r\n" in self.buffer:
            self.server.targets.append(self.buffer.split(b" ")[1].decode())
            self.join(b"HTTP/1.0 200 Connection established\r\n\r\n")
        elif self.buffer[:1] == b"\x05" and not self.greeted:
            self.greeted = True
            self.buffer = b""
            self.transport.write(b"\x05\x00")
        elif self.greeted:
            self.server.targets.append(self.buffer[4:-2].decode("latin-1"))
            self.join(SOCKS_OK[1])

    def join(self, success: bytes) -> None:
        """Connect to the one server that there is, and say so."""
        self.transport.pauseProducing()
        self.success = success
        kind = HalfRelay if IHalfCloseableProtocol.providedBy(self) else Relay
        port = self.server.destination
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        endpoint.connect(Factory.forProtocol(lambda: kind(self)))

    def joined(self, relay: Any) -> None:
        """Pass on bytes from now on."""
        self.relay = relay
        relay.transport.registerProducer(self.transport, True)
        self.transport.registerProducer(relay.transport, True)
        self.transport.write(self.success)
        self.transport.resumeProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass the end on."""
        self.lost.callback(reason.value)
        if self.relay is not None:
            self.relay.transport.unregisterProducer()
            self.relay.transport.loseConnection()


@implementer(IHalfCloseableProtocol)
class HalfProxy(Proxy):
    """A proxy that passes the end of a half on as such."""

    def readConnectionLost(self) -> None:
        """Pass it on."""
        self.relay.transport.unregisterProducer()
        self.relay.transport.loseWriteConnection()

    def writeConnectionLost(self) -> None:
        """Is nobody's concern."""


class Proxies:
    """A proxy and a server behind it, on loopback.

    :param application: makes the protocols of the server
    :param secure: whether the server is reached over TLS
    :param secureProxy: whether the proxy is
    """

    def __init__(
        self,
        application: Callable[[], Protocol],
        secure: bool = False,
        secureProxy: bool = False,
        protocol: type[Proxy] = Proxy,
    ) -> None:
        self.application = application
        self.secure = secure
        self.secureProxy = secureProxy
        self.protocol = protocol
        self.answer: Callable[[Proxy], object] | None = None
        """What the proxy does with each segment, in place of being honest."""
        self.connections: list[Proxy] = []
        self.targets: list[str] = []
        self.received = b""
        """What the proxy saw."""
        self.applications: list[Any] = []
        self.ports: list[Any] = []

    async def start(self) -> None:
        """Listen."""
        behind = await self._listen(self._serve, self.secure)
        self.destination = behind.getHost().port
        port = await self._listen(lambda: self.protocol(self), self.secureProxy)
        self.port = port.getHost().port

    def _serve(self) -> Protocol:
        self.applications.append(self.application())
        protocol: Protocol = self.applications[-1]
        return protocol

    async def _listen(self, make: Callable[[], Protocol], secure: bool) -> Any:
        endpoint: Any = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        if secure:
            endpoint = TLSServerEndpoint(endpoint, CONTEXT)
        factory: Any = Factory()
        factory.noisy = False
        # Without setting the protocol's factory, which it may have.
        factory.buildProtocol = lambda _: make()
        port = await endpoint.listen(factory)
        self.ports.append(port)
        return port

    async def stop(self) -> None:
        """Close everything."""
        for port in self.ports:
            await within(port.stopListening())
        for each in (*self.connections, *self.applications):
            if not each.lost.called:
                each.transport.abortConnection()
        for each in (*self.connections, *self.applications):
            await within(each.lost)

    def endpoint(self, scheme: str, host: str = "localhost", **options: Any) -> Any:
        """Give an endpoint that leads to the server through the proxy.

        :param scheme: of the proxy's URL
        :param host: of the proxy
        :param options: for ``proxyEndpoint``
        """
        options.setdefault("contextFactory", trusting)
        url = f"{scheme}://me:{SECRET}@{host}:{self.port}"
        found: Any = proxyEndpoint(
            reactor, url, "localhost", self.destination, **options
        )
        if self.secure:
            found = wrapClientTLS(trusting("localhost"), found)
        return found

    async def connect(self, scheme: str, protocol: Any, **options: Any) -> Any:
        """Connect a protocol to the server."""
        factory = RecordingFactory(protocol)
        return await within(self.endpoint(scheme, **options).connect(factory))


def _makeContext() -> tuple[SSL.Context, Any, bytes]:
    key = makeKey()
    certificate = toPEM(makeCertificate("localhost", key))
    with NamedTemporaryFile() as file:
        file.write(certificate + keyToPEM(key))
        file.flush()
        context = loadContext(file.name)
    trust = trustRootFromCertificates([Certificate.loadPEM(certificate)])
    return context, trust, certificate


CONTEXT, TRUST, PEM = _makeContext()


def trusting(host: str) -> Any:
    """Give settings of TLS that trust the certificate of the tests."""
    return optionsForClientTLS(host, trustRoot=TRUST)


@asynccontextmanager
async def running(*arguments: Any, **named: Any) -> AsyncIterator[Proxies]:
    """Run a proxy and a server for a while; see :class:`Proxies`."""
    proxies = Proxies(*arguments, **named)
    await proxies.start()
    try:
        yield proxies
    finally:
        await proxies.stop()


def echoing() -> Recorder:
    """Make a protocol that greets, and sends back what it gets."""

    def echo(found: Recorder) -> None:
        found.received, data = b"", found.received
        found.transport.write(data)

    return Recorder(
        connectionMade=lambda found: found.transport.write(b"hi "), dataReceived=echo
    )


everyProxy = pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h"])


@everyProxy
@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
@pytest_twisted.ensureDeferred
async def test_tunnel(scheme: str, secure: bool) -> None:
    """Through every kind of proxy, with TLS on top and without, a mebibyte comes back
    whole; the proxy was asked for the right thing, and the addresses are its own."""
    async with running(echoing, secure, scheme == "https") as proxies:
        client = Recorder()
        assert await proxies.connect(scheme, client) is client
        data = b"0123456789abcdef" * (MIB // 16)
        client.transport.write(data)
        assert await within(client.has(3 + MIB)) == b"hi " + data
        assert client.transport.getPeer().port == proxies.port
        assert client.transport.getHost().host == "127.0.0.1"
        (target,) = proxies.targets
        if scheme == "socks5":
            assert target == "\x7f\x00\x00\x01"
        elif scheme == "socks5h":
            assert target == "\tlocalhost"
        else:
            assert target == f"localhost:{proxies.destination}"
        assert (data in proxies.received) == (not secure)
        client.transport.loseConnection()
        await within(client.lost)
        assert isinstance(client.reason, ConnectionDone)


@everyProxy
@pytest_twisted.ensureDeferred
async def test_abort(scheme: str) -> None:
    """``abortConnection`` works on a transport that leads through a proxy."""
    async with running(echoing, False, scheme == "https") as proxies:
        client = Recorder()
        await proxies.connect(scheme, client)
        client.transport.abortConnection()
        # Over TLS it is the latter, with and without a proxy.
        kinds = (ConnectionAborted, ConnectionLost)
        assert isinstance(await within(client.lost), kinds)
        await within(proxies.connections[0].lost)


@everyProxy
@pytest_twisted.ensureDeferred
async def test_producers(scheme: str) -> None:
    """A producer is paused while nothing is read at the other end, and resumed; and
    reading can be paused."""
    async with running(Recorder, False, scheme == "https") as proxies:
        client = Recorder()
        await proxies.connect(scheme, client)
        producer = Producer(client.transport)
        client.transport.registerProducer(producer, True)
        (server,) = proxies.applications
        server.transport.pauseProducing()
        producer.resumeProducing()
        await within(producer.paused)
        assert producer.sent < 64 * MIB
        server.transport.resumeProducing()
        await within(producer.resumed)
        client.transport.unregisterProducer()
        await within(server.has(producer.sent))


class Producer:
    """Writes until it is paused.

    :param consumer: the transport
    """

    def __init__(self, consumer: Any) -> None:
        self.consumer = consumer
        self.sent = 0
        self.paused: Deferred[None] = Deferred()
        self.resumed: Deferred[None] = Deferred()
        self._going = False

    def resumeProducing(self) -> None:
        """Begin; after a pause that was all."""
        if not self.paused.called:
            self._going = True
            self._produce()
        elif not self.resumed.called:
            self.resumed.callback(None)

    def _produce(self) -> None:
        if self._going:
            self.consumer.write(bytes(65536))
            self.sent += 65536
            reactor.callLater(0, self._produce)

    def pauseProducing(self) -> None:
        """Stop."""
        self._going = False
        if not self.paused.called:
            self.paused.callback(None)

    def stopProducing(self) -> None:
        """Stop."""
        self._going = False


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
@pytest_twisted.ensureDeferred
async def test_halfClose(scheme: str) -> None:
    """Halves of the connection can be closed, and a protocol that wants to know is
    told of both."""

    def answer(found: Recorder) -> None:
        found.transport.write(b"you sent %d" % len(found.received))
        found.transport.loseConnection()

    def server() -> Recorder:
        return HalfRecorder(readConnectionLost=answer)

    async with running(server, protocol=HalfProxy) as proxies:
        told: Deferred[None] = Deferred()
        client = HalfRecorder(readConnectionLost=lambda _: told.callback(None))
        await proxies.connect(scheme, client)
        client.transport.write(b"x" * 100_000)
        client.transport.loseWriteConnection()
        assert await within(client.has(15)) == b"you sent 100000"
        await within(told)
        assert client.calls[:2] == ["connectionMade", "writeConnectionLost"]
        assert client.reason is None
        client.transport.loseConnection()
        assert isinstance(await within(client.lost), ConnectionDone)


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
@pytest_twisted.ensureDeferred
async def test_halfCloseUnwanted(scheme: str) -> None:
    """A protocol that knows no halves loses the connection with the first."""

    def close(found: Recorder) -> None:
        found.transport.loseWriteConnection()

    def server() -> Recorder:
        return HalfRecorder(connectionMade=close)

    async with running(server, protocol=HalfProxy) as proxies:
        client = Recorder()
        await proxies.connect(scheme, client)
        assert isinstance(await within(client.lost), ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_handshakeListener() -> None:
    """Behind a proxy over TLS, a protocol that waits for the handshake of TLS is told
    that it is done; behind another one there is none."""
    async with running(echoing, secureProxy=True) as proxies:
        client = ListeningRecorder()
        await proxies.connect("https", client)
        await within(client.has(3))
        assert client.calls[:2] == ["connectionMade", "handshakeCompleted"]
    async with running(echoing) as proxies:
        client = ListeningRecorder()
        await proxies.connect("http", client)
        await within(client.has(3))
        assert "handshakeCompleted" not in client.calls


@pytest_twisted.ensureDeferred
async def test_halfCloseOverTLS() -> None:
    """Over TLS to the proxy there are no halves; a protocol that knows some works."""
    async with running(echoing, secureProxy=True) as proxies:
        client = HalfRecorder()
        await proxies.connect("https", client)
        await within(client.has(3))
        client.transport.loseConnection()
        await within(client.lost)
        assert "readConnectionLost" not in client.calls


@pytest.mark.parametrize(
    ("host", "hook", "words", "kind"),
    [
        ("localhost", None, "certificate verify failed", SSL.Error),
        ("127.0.0.1", trusting, "is for another name", VerificationError),
    ],
    ids=["untrusted", "otherName"],
)
@pytest_twisted.ensureDeferred
async def test_C05_certificate(host: str, hook: Any, words: str, kind: Any) -> None:
    """A proxy whose certificate nobody vouches for, or that is for somebody else, is
    not used, and sees nothing of the request."""
    async with running(echoing, secureProxy=True) as proxies:
        with pytest.raises(ProxyFailed, match=words) as caught:
            await proxies.connect("https", Recorder(), host=host, contextFactory=hook)
        assert isinstance(caught.value.__cause__, kind)
        for each in proxies.connections:
            await within(each.lost)
        assert proxies.received == b""


@pytest_twisted.ensureDeferred
async def test_C05_serverBehind() -> None:
    """The server's certificate is checked through the tunnel as it is without, and TLS
    with the proxy vouches for nobody else."""
    async with running(echoing, True, True) as proxies:
        tunnel = proxyEndpoint(
            reactor,
            f"https://localhost:{proxies.port}",
            "localhost",
            proxies.destination,
            contextFactory=trusting,
        )
        endpoint = wrapClientTLS(optionsForClientTLS("localhost"), tunnel)
        client = Recorder()
        await within(endpoint.connect(RecordingFactory(client)))
        assert isinstance(await within(client.lost), SSL.Error)
        assert client.received == b""


@everyProxy
@pytest_twisted.ensureDeferred
async def test_C03_hangsUp(scheme: str) -> None:
    """A proxy that hangs up, or resets the connection, when it has heard what is
    wanted."""
    async with running(echoing, secureProxy=scheme == "https") as proxies:
        for close in ("loseConnection", "abortConnection"):

            def answer(proxy: Proxy, close: str = close) -> None:
                getattr(proxy.transport, close)()

            proxies.answer = answer
            with pytest.raises(ProxyFailed, match="closed the connection"):
                await proxies.connect(scheme, Recorder())


@everyProxy
@pytest_twisted.ensureDeferred
async def test_C03_silent(scheme: str) -> None:
    """A proxy that says nothing: the time is up, and the connection closed."""
    async with running(echoing, secureProxy=scheme == "https") as proxies:
        proxies.answer = bool
        with pytest.raises(ProxyFailed, match=r"did not answer in 0\.3 seconds"):
            await proxies.connect(scheme, Recorder(), timeout=0.3)
        await within(proxies.connections[0].lost)


@everyProxy
@pytest_twisted.ensureDeferred
async def test_cancelClosesTCP(scheme: str) -> None:
    """Who gives up has closed the connection."""
    async with running(echoing, secureProxy=scheme == "https") as proxies:
        asked: Deferred[None] = Deferred()
        proxies.answer = lambda _: asked.callback(None)
        connecting = proxies.endpoint(scheme).connect(RecordingFactory(Recorder()))
        await within(asked)
        connecting.cancel()
        with pytest.raises(CancelledError):
            await connecting
        await within(proxies.connections[0].lost)


@pytest_twisted.ensureDeferred
async def test_wrongKindOfPort() -> None:
    """TLS to a proxy without, and none to one with: an error, soon where the other end
    says anything."""
    async with running(echoing) as proxies:
        proxies.answer = lambda proxy: proxy.transport.write(
            b"HTTP/1.1 400 Bad\r\n\r\n"
        )
        with pytest.raises(ProxyFailed, match="cannot be talked to over TLS"):
            await proxies.connect("https", Recorder())
    async with running(echoing, secureProxy=True) as proxies:
        with pytest.raises(ProxyFailed, match="closed the connection"):
            await proxies.connect("http", Recorder())
        # So little is sent that the other end waits for more.
        with pytest.raises(ProxyFailed, match=r"did not answer in 0\.1 seconds"):
            await proxies.connect("socks5h", Recorder(), timeout=0.1)


@pytest_twisted.ensureDeferred
async def test_nobodyListens() -> None:
    """A port that nobody listens on."""
    async with running(echoing) as proxies:
        endpoint = proxies.endpoint("http")
        await within(proxies.ports.pop().stopListening())
        with pytest.raises(ProxyFailed, match="cannot be reached") as caught:
            await within(endpoint.connect(RecordingFactory(Recorder())))
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)
