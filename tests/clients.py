"""Clients for the tests: one for the reactor, one that blocks.

Both are made of :class:`twisted_ws.connection.Connection` in the client's role. They
are what a well-behaved peer is, and can be told to behave badly.
"""

from __future__ import annotations

import os
import socket
import ssl
from base64 import b64encode
from collections import deque
from types import TracebackType
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.python.failure import Failure

from twisted_ws.connection import CloseReceived, Connection, Event, Ping, Role
from twisted_ws.handshake import acceptFor
from twisted_ws.options import Options

reactor: Any = _reactor

PATIENCE = 20.0
"""Seconds after which a test that waits fails."""

# What comes from the server under test is bounded by the test.
_LIMITS = Options(maxMessageSize=64 * 1024 * 1024)


def within(waiting: Deferred[Any], seconds: float = PATIENCE) -> Deferred[Any]:
    """Wait no longer than that.

    :param waiting: for what
    :param seconds: how long
    """
    return waiting.addTimeout(seconds, reactor)


def requestHead(
    host: str, path: str = "/", headers: tuple[str, ...] = ()
) -> tuple[str, bytes]:
    """Write a request for WebSocket.

    :param host: for the Host header
    :param path: the target
    :param headers: further header lines
    :returns: the key in it, and its bytes
    """
    key = b64encode(os.urandom(16)).decode("ascii")
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        *headers,
        "",
        "",
    ]
    return key, "\r\n".join(lines).encode("ascii")


class Client(Protocol):
    """A client on the reactor. It answers pings and the Close frame, unless told not
    to.

    :param host: for the Host header
    :param path: the target
    :param headers: further header lines
    """

    transport: Any

    def __init__(
        self, host: str, path: str = "/", headers: tuple[str, ...] = ()
    ) -> None:
        self.key, self.request = requestHead(host, path, headers)
        self.requesting = True
        """Whether it sends the request by itself."""
        self.answering = True
        """Whether it answers pings and the Close frame."""
        self.connection = Connection(Role.CLIENT, _LIMITS)
        self.head = b""
        """The response's head, and behind a refusal its body."""
        self.upgraded = False
        self.opened: Deferred[Client] = Deferred()
        """Fires when the head has come, or the connection is gone."""
        self.lost: Deferred[Any] = Deferred()
        """Fires when the connection is gone, with how it went."""
        self.isLost = False
        self.events: deque[Event] = deque()
        self._waiter: Deferred[Event] | None = None

    def connectionMade(self) -> None:
        """Ask for WebSocket."""
        if self.requesting:
            self.transport.write(self.request)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes.

        :param data: any bytes
        """
        if not self.upgraded:
            self.head += data
            head, end, data = self.head.partition(b"\r\n\r\n")
            if not end or not head.startswith(b"HTTP/1.1 101 "):
                return
            self.head = head + end
            assert acceptFor(self.key).encode("ascii") in head
            self.upgraded = True
            self.opened.callback(self)
        for event in self.connection.receive(data):
            if self.answering and isinstance(event, Ping):
                self.transport.write(self.connection.pong(event.payload))
            if self.answering and isinstance(event, CloseReceived):
                self.transport.write(self.connection.replyClose())
            self._happened(event)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone.

        :param reason: how
        """
        self.isLost = True
        if not self.opened.called:
            self.opened.callback(self)
        if self._waiter is not None:
            self._waiter.errback(reason)
        self.lost.callback(reason.value)

    def _happened(self, event: Event) -> None:
        if self._waiter is None:
            self.events.append(event)
        else:
            waiter, self._waiter = self._waiter, None
            waiter.callback(event)

    def receive(self) -> Deferred[Any]:
        """Give the next event, pings and Close frames among them."""
        waiter: Deferred[Event] = Deferred()
        if self.events:
            waiter.callback(self.events.popleft())
        else:
            assert not self.isLost, "the connection is gone"
            self._waiter = waiter
        return within(waiter)

    def sendText(self, text: str) -> None:
        """Send a text message.

        :param text: its text
        """
        self.transport.write(self.connection.sendText(text))

    def sendBytes(self, data: bytes) -> None:
        """Send a binary message.

        :param data: its payload
        """
        self.transport.write(self.connection.sendBytes(data))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Start the closing handshake.

        :param code: for the Close frame
        :param reason: for the Close frame
        """
        self.transport.write(self.connection.close(code, reason))

    def whenLost(self) -> Deferred[Any]:
        """Give how the connection ended, when it has."""
        return within(self.lost)


async def connectRaw(
    port: int, protocol: Protocol, certificate: x509.Certificate | None = None
) -> None:
    """Connect any protocol to a port on loopback.

    :param port: the port
    :param protocol: gets the connection
    :param certificate: the server's, for TLS with it as the only one that is trusted
    """
    endpoint: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", port, timeout=10)
    if certificate is not None:
        trusted = Certificate.loadPEM(certificate.public_bytes(Encoding.PEM))
        endpoint = wrapClientTLS(optionsForClientTLS("localhost", trusted), endpoint)
    factory = Factory.forProtocol(lambda: protocol)
    factory.noisy = False
    await within(endpoint.connect(factory))


async def connect(
    port: int,
    certificate: x509.Certificate | None = None,
    path: str = "/",
    headers: tuple[str, ...] = (),
) -> Client:
    """Open a WebSocket connection to a port on loopback.

    :param port: the port
    :param certificate: the server's, for TLS with it as the only one that is trusted
    :param path: the target
    :param headers: further header lines
    """
    client = Client(f"localhost:{port}", path, headers)
    await connectRaw(port, client, certificate)
    await within(client.opened)
    assert client.upgraded, client.head
    return client


class BlockingClient:
    """A client on a socket that blocks, for servers in other processes.

    :param port: the server's port on loopback
    :param secure: whether to speak TLS, with whatever certificate
    :param path: the target
    """

    def __init__(self, port: int, secure: bool, path: str = "/") -> None:
        self.socket = connectSocket(port, secure)
        self.connection = Connection(Role.CLIENT, _LIMITS)
        self._events: deque[Event] = deque()
        key, request = requestHead(f"localhost:{port}", path)
        self.socket.sendall(request)
        head = b""
        while b"\r\n\r\n" not in head:
            data = self.socket.recv(65536)
            assert data, head
            head += data
        head, _, rest = head.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ") and acceptFor(key).encode() in head
        self._events += self.connection.receive(rest)

    def __enter__(self) -> BlockingClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def send(self, message: str | bytes) -> None:
        """Send a message.

        :param message: str goes as text, bytes as binary
        """
        if isinstance(message, str):
            self.socket.sendall(self.connection.sendText(message))
        else:
            self.socket.sendall(self.connection.sendBytes(message))

    def receive(self) -> Event:
        """Give the next event."""
        while not self._events:
            data = self.socket.recv(1 << 20)
            assert data, "the connection has ended"
            self._events += self.connection.receive(data)
        return self._events.popleft()

    def replyClose(self) -> None:
        """Answer the Close frame."""
        self.socket.sendall(self.connection.replyClose())

    def atEnd(self) -> bool:
        """Tell whether the server has ended the connection, reset included."""
        try:
            return self.socket.recv(1) == b""
        except (ConnectionResetError, ssl.SSLError):
            return True


def connectSocket(port: int, secure: bool) -> socket.socket:
    """Connect a blocking socket to a port on loopback.

    :param port: the port
    :param secure: whether to speak TLS, with whatever certificate
    """
    plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    if not secure:
        return plain
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        return context.wrap_socket(plain, server_hostname="localhost")
    except BaseException:
        plain.close()
        raise
