"""What the tests of the client share: servers without a network, by the byte.

A :class:`Remote` stands for all hosts there are. A client that connects makes an
:class:`Attempt`, which the test lets succeed or fail; what comes of it is a
:class:`Line`, whose far end the test is.
"""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.support import firedWith
from twisted_ws import client
from twisted_ws.client import WebSocketClientEndpoint
from twisted_ws.clientoptions import ClientOptions
from twisted_ws.clienttls import ClientTLS
from twisted_ws.frames import RSV1, FrameDecoder, encodeFrame
from twisted_ws.handshake import acceptFor
from twisted_ws.memory import MemoryTLSTransport, MemoryTransport
from twisted_ws.testing import CLOSE, RawPeer, Recorder

SERVER = IPv4Address("TCP", "192.0.2.1", 80)


def frame(first: int, payload: bytes = b"") -> bytes:
    """Write a frame as a server does: not masked.

    :param first: its first byte
    :param payload: its payload
    """
    return encodeFrame(first, payload, None)


def closing(code: int = 1000, reason: str = "") -> bytes:
    """Write a Close frame as a server does."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode())


def response(status: int | str, *lines: str, body: bytes = b"") -> bytes:
    """Write a response.

    :param status: the status, with a reason or without
    :param lines: header lines
    :param body: what follows
    """
    head = "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""])
    return head.encode("latin-1") + body


class Line(RawPeer):
    """A TCP connection of a client, with the test at the server's end.

    :param attempt: what it comes of
    :param transport: the client's end
    """

    def __init__(self, attempt: Attempt, transport: MemoryTransport) -> None:
        self.attempt = attempt
        # As a Peer has a server with a factory, so this has an attempt.
        super().__init__(attempt, transport)  # type: ignore[arg-type]

    @property
    def head(self) -> str:
        """The request, without the empty line at its end."""
        head, end, _ = self.received.partition(b"\r\n\r\n")
        assert end, self.received
        return head.decode("latin-1")

    @property
    def fields(self) -> dict[str, str]:
        """The request's headers, by names in lower case; none is there twice."""
        found: dict[str, str] = {}
        for line in self.head.split("\r\n")[1:]:
            name, _, value = line.partition(": ")
            assert name.lower() not in found, line
            found[name.lower()] = value
        return found

    def accept(self, *lines: str, then: bytes = b"", without: str = "") -> None:
        """Answer with a 101.

        :param lines: header lines; one with a name that is there replaces it
        :param then: bytes behind it
        :param without: the name of a header to leave out
        """
        known = {
            "upgrade": "Upgrade: websocket",
            "connection": "Connection: Upgrade",
            "sec-websocket-accept": "Sec-WebSocket-Accept: "
            + acceptFor(self.fields["sec-websocket-key"]),
        }
        names = {each.partition(":")[0].lower() for each in lines} | {without.lower()}
        kept = [line for name, line in known.items() if name not in names]
        self.send(response("101 Switching Protocols", *kept, *lines), then)

    @property
    def frames(self) -> list[tuple[int, bytes]]:
        """The frames that the client sent, which must all be whole and masked."""
        decoder = FrameDecoder(masked=True, reservedBits=RSV1)
        frames = decoder.feed(self.received.partition(b"\r\n\r\n")[2])
        assert decoder.error is None and not decoder.isMidFrame, self.received
        return frames


class Attempt:
    """A client wants a connection.

    :param remote: the hosts
    :param place: host and port; None for an endpoint that is given
    :param protocolFactory: what the endpoint got
    """

    def __init__(
        self, remote: Remote, place: tuple[str, int] | None, protocolFactory: Any
    ) -> None:
        self.remote = remote
        self.clock = remote.clock
        self.place = place
        self.factory = protocolFactory
        self.cancelled = False
        self.connected: Deferred[Any] = Deferred(self._cancel)
        self.secure = remote.wrapped is not None
        self.wrapped, remote.wrapped = remote.wrapped, None
        """Whose certificate is expected, and whether the client's may be shown."""

    def _cancel(self, _: object) -> None:
        self.cancelled = True

    def succeed(self, tlsDone: bool = True) -> Line:
        """Have the connection made.

        :param tlsDone: for ``wss``, whether TLS is done with
        """
        kind = MemoryTLSTransport if self.secure else MemoryTransport
        line = Line(self, kind(self.remote.clock, SERVER))
        self.remote.lines.append(line)
        if not self.connected.called:
            self.connected.callback(line.protocol)
        if self.secure and tlsDone:
            line.protocol.handshakeCompleted()
        line.pump()
        return line

    def fail(self, error: Exception) -> None:
        """Have it fail."""
        self.connected.errback(error)

    def advance(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass."""
        self.remote.advance(seconds, step)


@implementer(IStreamClientEndpoint)
class FakeEndpoint:
    """Leads to a :class:`Remote`.

    :param remote: the hosts
    :param place: host and port, if it knows them
    """

    def __init__(self, remote: Remote, place: tuple[str, int] | None = None) -> None:
        self._remote = remote
        self._place = place

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """Make an attempt."""
        attempt = Attempt(self._remote, self._place, protocolFactory)
        self._remote.attempts.append(attempt)
        return attempt.connected


class Remote:
    """All hosts there are, for clients on a clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        # Not 0, which is false.
        self.clock.advance(1000)
        self.attempts: list[Attempt] = []
        self.lines: list[Line] = []
        self.wrapped: tuple[str, bool] | None = None

    def hostnameEndpoint(
        self, _: object, host: str, port: int, timeout: float
    ) -> FakeEndpoint:
        """Stand in for Twisted's HostnameEndpoint."""
        assert timeout > 0
        return FakeEndpoint(self, (host, port))

    def wrap(self, _: object, endpoint: Any, host: str, trusted: bool = True) -> Any:
        """Stand in for ``ClientTLS.wrap``."""
        self.wrapped = (host, trusted)
        return endpoint

    def advance(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass.

        :param seconds: how long
        :param step: how much at a time
        """
        left = seconds
        while True:
            self.clock.advance(min(step, left))
            for line in self.lines:
                line.pump()
            left -= step
            if left <= 0:
                return


class ClientTestCase(SynchronousTestCase):
    """Has a :class:`Remote`, and leaves nothing behind."""

    def setUp(self) -> None:
        """Put the remote in place of the network."""
        self.remote = remote = Remote()
        self.patch(client, "HostnameEndpoint", remote.hostnameEndpoint)
        # A method of the class, which gets the instance.
        self.patch(
            ClientTLS,
            "wrap",
            lambda tls, *arguments: remote.wrap(tls, *arguments),
        )

    def makeEndpoint(
        self, url: str = "ws://example.com/", **options: Any
    ) -> WebSocketClientEndpoint:
        """Make an endpoint to the remote.

        :param url: where to
        :param options: for ClientOptions; ``endpoint`` for the endpoint
        """
        endpoint = options.pop("endpoint", None)
        return WebSocketClientEndpoint.fromURL(
            self.remote.clock, url, ClientOptions(**options), endpoint=endpoint
        )

    def connect(
        self, application: Any, url: str = "ws://example.com/", **options: Any
    ) -> list[Any]:
        """Start to connect.

        :param application: a factory, or a Recorder for the one connection
        :param url: where to
        :param options: as for :meth:`makeEndpoint`
        :returns: a list that gets the result
        """
        if isinstance(application, Recorder):
            recorder = application

            def application(_: object) -> Recorder:
                return recorder

        self.connecting = self.makeEndpoint(url, **options).connect(application)
        return firedWith(self.connecting)

    def requested(
        self, application: Any = None, url: str = "ws://example.com/", **options: Any
    ) -> tuple[Line, list[Any]]:
        """Give the line of a client that has sent its request, and the list that gets
        the result."""
        results = self.connect(application or Recorder(), url, **options)
        return self.remote.attempts[-1].succeed(), results

    def opened(self, recorder: Recorder, **options: Any) -> Line:
        """Give the line of an open connection.

        :param recorder: its application
        :param options: as for :meth:`makeEndpoint`
        """
        line, results = self.requested(recorder, **options)
        line.accept()
        self.assertEqual(results, [recorder])
        return line

    def failed(self, results: list[Any], kind: type[Exception]) -> Any:
        """Check that connecting failed with an error of a kind, and give it."""
        self.assertEqual(len(results), 1, results)
        self.assertIsInstance(results[0].value, kind)
        return results[0].value

    def tearDown(self) -> None:
        """Nothing was written too late; nothing is left over once all are gone."""
        for line in self.remote.lines:
            self.assertEqual(line.transport.late, [], "written after the end")
            line.vanish()
        self.remote.advance(120, 5)
        self.assertEqual(self.remote.clock.getDelayedCalls(), [], "delayed calls left")
