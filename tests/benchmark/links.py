"""Connections of the load generator: plain or TLS, each costs as little as it can."""

from __future__ import annotations

import re
import select
import socket
import ssl
import time
import zlib
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted_ws.frames import FIN, RSV1, Opcode
from twisted_ws.handshake import acceptFor

from .wire import Script, replies, request, unmasked

__all__ = [
    "PATIENCE",
    "Link",
    "LoadFailed",
    "SecureLink",
    "acceptLink",
    "clientContext",
    "expect",
    "expectClient",
    "openLink",
    "verify",
]

PATIENCE = 20.0
"""Seconds without progress after which a measurement has failed."""
BUFFER = bytearray(2 * 1024 * 1024)
"""Where all connections read to."""
_CIPHER = bytearray(512 * 1024)
_CIPHER_VIEW = memoryview(_CIPHER)
_VIEW = memoryview(BUFFER)


class LoadFailed(Exception):
    """A server did not do what it has to."""


class Link:
    """A connection that does not block.

    :param connection: its socket, connected
    """

    __slots__ = (
        "fileno",
        "inflater",
        "partial",
        "poll",
        "position",
        "read",
        "rest",
        "send",
        "socket",
        "unread",
    )

    secure = False

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.fileno = connection.fileno()
        # Without a Python frame of its own, in the loop that has to be fast.
        self.read: Callable[[bytearray], int] = connection.recv_into
        self.send: Callable[[bytes | memoryview], int] = connection.send
        # Bytes of the reply that has begun, if replies are counted by their size.
        self.partial = 0
        # And what came of it, if they are told apart by their heads.
        self.unread = b""
        # Which message of the script is next.
        self.position = 0
        self.rest: deque[bytes | memoryview] = deque()
        self.poll: select.epoll | None = None
        self.inflater = zlib.decompressobj(-15)

    def keep(self, data: bytes | memoryview) -> None:
        """Send the rest later.

        :param data: what the socket did not take
        """
        if self.poll is not None and not self.rest:
            self.poll.modify(self.fileno, select.EPOLLIN | select.EPOLLOUT)
        self.rest.append(data)

    def flush(self) -> None:
        """Send what was kept, as far as the socket takes it."""
        rest = self.rest
        while rest:
            data = memoryview(rest[0])
            try:
                sent = self.socket.send(data)
            except BlockingIOError:
                return
            if sent < len(data):
                rest[0] = data[sent:]
                return
            rest.popleft()
        if self.poll is not None:
            self.poll.modify(self.fileno, select.EPOLLIN)

    def write(self, data: bytes | memoryview) -> None:
        """Send bytes, now or later.

        :param data: what to send
        """
        if self.rest and not self.secure:
            self.keep(data)
            return
        try:
            sent = self.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self.keep(memoryview(data)[sent:])

    def wait(self, size: int) -> bytes:
        """Wait for so many bytes, sending what was kept meanwhile.

        :param size: how many at least
        :raises LoadFailed: they do not come
        """
        found = bytearray()
        deadline = time.monotonic() + PATIENCE
        while len(found) < size:
            events = select.POLLIN | (select.POLLOUT if self.rest else 0)
            waiter = select.poll()
            waiter.register(self.fileno, events)
            left = deadline - time.monotonic()
            if left <= 0 or not (ready := waiter.poll(left * 1000)):
                raise LoadFailed(f"no reply in {PATIENCE:g} s")
            if ready[0][1] & select.POLLOUT:
                self.flush()
            if ready[0][1] & ~select.POLLOUT:
                count = self.read(BUFFER)
                if count == 0:
                    raise LoadFailed("the server closed the connection")
                if count > 0:
                    found += _VIEW[:count]
        return bytes(found)

    def close(self) -> None:
        """Close it, without a closing handshake."""
        self.socket.close()


class SecureLink(Link):
    """The same with TLS.

    :param connection: its socket, connected, with a timeout
    :param context: for TLS
    """

    __slots__ = ("_any", "_incoming", "_outgoing", "_receive", "_transmit", "tls")

    secure = True

    def __init__(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname="localhost"
        )
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                connection.sendall(self._outgoing.read())
                data = connection.recv(65536)
                if not data:
                    raise LoadFailed("the connection ended in the handshake") from None
                self._incoming.write(data)
        connection.sendall(self._outgoing.read())
        super().__init__(connection)
        self._any: Any = self.tls
        self._receive = connection.recv_into
        self._transmit = connection.send
        self.read = self._readRecords
        self.send = self._sendRecords

    @property
    def agreed(self) -> str:
        """Version and cipher."""
        cipher = self.tls.cipher()
        return f"{self.tls.version()} {cipher[0] if cipher else ''}"

    def _readRecords(self, buffer: bytearray) -> int:
        size = self._receive(_CIPHER)
        if not size:
            return 0
        incoming, tls, found = self._incoming, self._any, 0
        incoming.write(_CIPHER_VIEW[:size])
        view = memoryview(buffer)
        # Without asking when nothing is left, which ends in an exception.
        while incoming.pending:
            try:
                # Into the buffer, as typeshed does not know of this class.
                found += tls.read(len(view) - found, view[found:])
            except ssl.SSLWantReadError:
                break
        return found or -1

    def _sendRecords(self, data: bytes | memoryview) -> int:
        self.tls.write(data)
        sealed = self._outgoing.read()
        if self.rest:
            self.keep(sealed)
            return len(data)
        try:
            sent = self._transmit(sealed)
        except BlockingIOError:
            sent = 0
        if sent < len(sealed):
            self.keep(memoryview(sealed)[sent:])
        return len(data)


def clientContext() -> ssl.SSLContext:
    """Give a context for a client that trusts whatever certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def openLink(
    port: int,
    context: ssl.SSLContext | None = None,
    script: Script | None = None,
    upgrade: bool = True,
) -> Link:
    """Connect, and do the handshake.

    :param port: the server's on loopback
    :param context: for TLS
    :param script: what will be sent; has compression offered, if it is compressed
    :param upgrade: whether it is a WebSocket
    :raises LoadFailed: it did not go well
    """
    offer = None if script is None else script.offer
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    try:
        link = Link(connection) if context is None else SecureLink(connection, context)
        if not upgrade:
            # Says so when it has taken the connection.
            link.wait(1)
            return link
        key, head = request(port, offer)
        link.write(head)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += link.wait(1)
        if not answer.startswith(b"HTTP/1.1 101 "):
            raise LoadFailed(f"refused: {answer[:80]!r}")
        head, _, rest = answer.partition(b"\r\n\r\n")
        if acceptFor(key).encode() not in head or rest:
            raise LoadFailed(f"not the answer to this handshake: {answer[:200]!r}")
        if offer is not None and b"permessage-deflate" not in head:
            raise LoadFailed("the server does not compress")
        return link
    except BaseException:
        connection.close()
        raise


def acceptLink(listening: socket.socket, script: Script, window: int) -> Link:
    """Take a client's connection, as a server, and its first messages.

    :param listening: where it comes
    :param script: what its messages are answered with
    :param window: how many it sends by itself
    :raises LoadFailed: it does something else
    """
    listening.settimeout(PATIENCE)
    connection, _ = listening.accept()
    try:
        link = Link(connection)
        head = b""
        while b"\r\n\r\n" not in head:
            head += link.wait(1)
        head, _, data = head.partition(b"\r\n\r\n")
        found = re.search(rb"(?i)\r\nsec-websocket-key: *(\S+)", head)
        if found is None or data:
            raise LoadFailed(f"not a request for WebSocket: {head[:80]!r}")
        answer = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Accept: "
            f"{acceptFor(found[1].decode())}\r\n\r\n"
        )
        link.write(answer.encode())
        expectClient(link, script, window)
        return link
    except BaseException:
        connection.close()
        raise


def expectClient(link: Link, script: Script, count: int = 1) -> None:
    """Compare the next messages that come from a client.

    :param link: the connection, on which nothing else is under way
    :param script: what they are answered with
    :param count: how many
    :raises LoadFailed: they are others
    """
    size = script.replySize
    assert size is not None
    data = link.wait(count * size)
    for at in range(0, count * size, size):
        frame = data[at : at + size]
        if frame[0] != FIN | Opcode.TEXT or unmasked(frame) != script.expected[0]:
            raise LoadFailed(f"another message came: {frame[:40]!r}")
    if len(data) != count * size:
        raise LoadFailed("more came than was asked for")


def verify(link: Link, script: Script, count: int = 1) -> None:
    """Send messages one by one, and compare what comes back.

    :param link: the connection, on which nothing is under way
    :param script: what to send
    :param count: how many messages
    :raises LoadFailed: something else comes back
    """
    for _ in range(count):
        number = link.position % len(script.frames)
        link.write(script.frames[number])
        link.position += 1
        expect(link, script, number)


def expect(link: Link, script: Script, number: int = 0) -> None:
    """Compare the next message that comes.

    :param link: the connection, on which nothing else is under way
    :param script: what was sent
    :param number: which message of it
    :raises LoadFailed: it is another
    """
    expected = script.expected[number]
    reply = link.wait(script.replySize or 2)
    if script.mirrored:
        if reply != expected:
            raise LoadFailed("other bytes came back")
        return
    while not (frames := list(replies(reply))):
        reply += link.wait(1)
    first, begin, end = frames[0]
    payload = reply[begin:end]
    if script.offer is not None:
        if first != FIN | RSV1 | Opcode.TEXT:
            raise LoadFailed(f"not a compressed text message: {reply[:40]!r}")
        payload = link.inflater.decompress(payload + b"\0\0\xff\xff")
    elif first != FIN | Opcode.TEXT:
        raise LoadFailed(f"not one text message: {reply[:40]!r}")
    if payload != expected or end != len(reply):
        raise LoadFailed(f"another message came back: {payload[:40]!r}")
