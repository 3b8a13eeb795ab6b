"""A peer that misbehaves: connections to a server on a port, and what came of them.

A :class:`Target` is a server under attack; a :class:`Wire` is a connection to it. All
waiting has an end, and what comes is bounded. :mod:`twisted_ws.attacks` has the rest.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from ipaddress import ip_address
from math import inf
from typing import Any, NamedTuple

from OpenSSL import SSL
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.python.failure import Failure
from zope.interface import implementer

from .codec import FrameDecoder
from .frames import RSV1
from .peerbytes import ACCEPT, CLOSE, PING, PONG, frame, request
from .redaction import loggable

__all__ = ["Answer", "Broken", "NotLoopback", "Passed", "Target", "Wire", "isLoopback"]

_MOST_KEPT = 64 * 1024 * 1024
_MOST_FRAMES = 500_000  # An object for each costs much more than its two bytes.
_RECEIVE_BUFFER = 64 * 1024
_MOST_TOLD = 3
_STEP = 1 << 20


class Broken(Exception):
    """A promise was not kept.

    :param seen: what was seen, in a few words
    """


class Passed(Exception):
    """There is nothing to be seen from outside.

    :param why: the reason
    """


class NotLoopback(ValueError):
    """The server is on another machine, and nobody said that it may be attacked.

    :param host: its name or address
    """

    def __init__(self, host: str) -> None:
        super().__init__(
            f"{loggable(host)} is not a loopback address. These are attacks: they may "
            f"slow down or stop a server, and on one that is not yours may be a crime"
        )


def isLoopback(host: str) -> bool:
    """Tell whether an address can only be this machine.

    :param host: an address, or ``localhost``
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Answer(NamedTuple):
    """The answer to a request, read with tolerance: servers of all kinds give one."""

    status: int
    headers: dict[str, list[str]]
    """By name in lower case."""
    rest: bytes
    """What stands behind the head."""


def readAnswer(data: bytes) -> Answer | None:
    """Read the answer to a request.

    :param data: all that came
    :returns: None when there is no head of a response
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    statusLine, *lines = head.decode("latin-1").split("\r\n")
    version, _, status = statusLine.partition(" ")
    if not end or not version.startswith("HTTP/") or not status[:3].isdecimal():
        return None
    headers: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), []).append(value.strip())
    return Answer(int(status[:3]), headers, rest)


class Wire(Protocol):
    """A connection to the server.

    Memory: what the server sends, at most 64 MiB or half a million frames.

    :param clock: the reactor
    :param patience: seconds to wait for what ought to come
    """

    transport: Any

    def __init__(self, clock: Any, patience: float) -> None:
        self._clock = clock
        self._patience = patience
        self.received = bytearray()
        """All that came, up to the 101 or, if there is none, the end."""
        self.answer: Answer | None = None
        """The answer to its request."""
        self.frames: list[tuple[int, bytes]] = []
        """The frames that came: first byte and payload."""
        self.isLost = False
        """Whether the connection has ended."""
        self.count = 0
        """Bytes that came."""
        self._decoder = FrameDecoder(masked=False, reservedBits=RSV1)
        self._waiters: list[Deferred[None]] = []

    # What happens

    def connectionMade(self) -> None:
        """The connection is made."""
        with suppress(AttributeError, OSError):
            self.transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes.

        :param data: any bytes
        """
        self.count += len(data)
        if self.count > _MOST_KEPT or len(self.frames) > _MOST_FRAMES:
            self.transport.abortConnection()
            return
        if self.answer is None or self.answer.status != 101:
            self.received += data
            before, self.answer = self.answer, readAnswer(bytes(self.received))
            if before is None and self.answer is not None:
                data = self.answer.rest
        if self.answer is not None and self.answer.status == 101:
            self.frames += self._decoder.feed(data)
            while self._decoder.hasMore and len(self.frames) <= _MOST_FRAMES:
                self.frames += self._decoder.feed(b"")
        self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection has ended.

        :param reason: how
        """
        self.isLost = True
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(None)

    # What a row of the table does

    def send(self, *data: bytes) -> None:
        """Send bytes.

        :param data: any bytes
        """
        self.transport.write(b"".join(data))

    async def until(
        self, condition: Callable[[], object], seconds: float | None = None
    ) -> bool:
        """Wait until something is so, or the connection has ended.

        :param condition: tells whether it is
        :param seconds: how long to wait, by default as patience has it
        :returns: whether it is
        """
        end = self._clock.seconds() + (seconds or self._patience)
        while not condition():
            left = end - self._clock.seconds()
            if self.isLost or left <= 0:
                return False
            waiter: Deferred[None] = Deferred(self._forget)
            self._waiters.append(waiter)
            call = self._clock.callLater(left, self._wake)
            try:
                await waiter
            finally:
                if call.active():
                    call.cancel()
        return True

    def _forget(self, waiter: Deferred[None]) -> None:
        self._waiters.remove(waiter)

    async def hasEnded(self, seconds: float | None = None) -> bool:
        """Wait for the end of the connection.

        :param seconds: how long
        """
        return await self.until(lambda: self.isLost, seconds)

    async def answered(self, seconds: float | None = None) -> Answer:
        """Wait for the answer to a request.

        :param seconds: how long
        :raises Broken: there is none
        """
        await self.until(lambda: self.answer, seconds)
        if self.answer is None:
            raise Broken(self.describe(seconds))
        return self.answer

    async def closeCode(self, seconds: float | None = None) -> int:
        """Wait for a Close frame.

        :param seconds: how long
        :returns: its code, 1005 for none
        :raises Broken: there is no Close frame
        """
        if not await self.until(self._closeFrames, seconds):
            raise Broken(self.describe(seconds))
        payload = self._closeFrames()[0]
        return int.from_bytes(payload[:2], "big") if payload else 1005

    def _closeFrames(self) -> list[bytes]:
        # From the end, where it would be: there may be many frames.
        return [payload for first, payload in self.frames[-2:] if first == CLOSE]

    async def ping(self, payload: bytes, seconds: float | None = None) -> None:
        """Send a ping and wait for its pong.

        :param payload: at most 125 bytes
        :param seconds: how long
        :raises Broken: there is no pong
        """
        self.send(frame(PING, payload))
        await self.pong(payload, seconds)

    async def pong(self, payload: bytes, seconds: float | None = None) -> None:
        """Wait for a pong.

        :param payload: its payload
        :param seconds: how long
        :raises Broken: there is none
        """
        wanted = (PONG, payload)
        if not await self.until(lambda: wanted in self.frames[-1000:], seconds):
            raise Broken(f"a ping got no pong: {self.describe(seconds)}")

    async def flood(self, chunk: bytes, most: int) -> int:
        """Send without an end, as long as the server takes it, and read nothing.

        :param chunk: what to send again and again
        :param most: bytes after which it ends all the same
        :returns: bytes that were taken
        """
        handle = self.transport.getHandle()
        with suppress(AttributeError, OSError):
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self.transport.pauseProducing()
        producer = _Flood(self, chunk, most)
        self.transport.registerProducer(producer, False)
        try:
            while producer.taken < most:
                before = producer.taken
                await self.until(producer.hasTaken(min(before + _STEP, most)))
                if producer.taken == before:
                    break
        finally:
            producer.taken = max(producer.taken, 0)
            producer.isOver = True
            if not self.isLost:
                self.transport.unregisterProducer()
                self.transport.resumeProducing()
        return producer.taken

    def describe(self, seconds: float | None = None) -> str:
        """Say what is seen of the server.

        :param seconds: how long it was waited for
        """
        code = self._closeFrames()
        if code:
            number = int.from_bytes(code[0][:2], "big") if code[0] else 1005
            return f"closed with {number}"
        if self.count > _MOST_KEPT:
            return "sent more than 64 MiB"
        if len(self.frames) > _MOST_FRAMES:
            return f"sent more than {_MOST_FRAMES} frames"
        if self.answer is not None and self.answer.status != 101:
            return f"answered {self.answer.status}"
        if self.answer is None:
            if self.received:
                return "something came that is no answer of HTTP"
            if self.isLost:
                return "closed the connection without an answer"
            return f"nothing came within {seconds or self._patience:g} s"
        if self._decoder.error is not None:
            return f"something came that is no frame: {self._decoder.error}"
        if self.isLost:
            return "closed the connection without a Close frame"
        if self.frames:
            names = {1: "a text message", 2: "a binary message", 10: "a pong"}
            known = names.get(opcode := self.frames[-1][0] & 15, f"opcode {opcode}")
            return f"{known} came, and within {seconds or self._patience:g} s no more"
        return f"nothing came within {seconds or self._patience:g} s"


class _Flood:
    """Writes a chunk each time that there is room."""

    def __init__(self, wire: Wire, chunk: bytes, most: int) -> None:
        self._wire = wire
        self._chunk = chunk
        self._most = most
        self.taken = -len(chunk)
        self.isOver = False

    def resumeProducing(self) -> None:
        """The last chunk was taken."""
        if self.isOver:
            return
        self.taken += len(self._chunk)
        if self.taken < self._most:
            self._wire.transport.write(self._chunk)
        self._wire._wake()

    def stopProducing(self) -> None:
        """The connection has ended."""
        self.isOver = True

    def hasTaken(self, enough: int) -> Callable[[], bool]:
        """Give a function that tells whether as much was taken."""
        return lambda: self.taken >= enough


@implementer(IOpenSSLClientConnectionCreator)
class _AnyCertificate:
    """TLS that believes everything: nothing that is sent is a secret.

    :param host: for SNI
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._context = CertificateOptions().getContext()

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Make a connection."""
        connection = SSL.Connection(self._context, None)
        if not (isIPAddress(self._host) or isIPv6Address(self._host)):
            connection.set_tlsext_host_name(self._host.encode("idna"))
        return connection


class Target:
    """A server under attack.

    :param reactor: the reactor
    :param host: its address; ``localhost`` is one too
    :param port: its port
    :param path: where it has WebSocket
    :param secure: whether it speaks TLS, with whatever certificate
    :param headers: header lines for each request, for a server that asks for them
    :param patience: seconds to wait for what ought to come
    :param maxMessageSize: the largest message that it is to take
    :param dangerouslyAttackAnyHost: lets the host be another machine
    :raises NotLoopback: it is another machine
    :raises ValueError: patience or size is not positive and finite
    """

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        *,
        path: str = "/",
        secure: bool = False,
        headers: tuple[str, ...] = (),
        patience: float = 2.0,
        maxMessageSize: int = 1024 * 1024,
        dangerouslyAttackAnyHost: bool = False,
    ) -> None:
        self._mayBeAnywhere = dangerouslyAttackAnyHost
        if not (isLoopback(host) or self._mayBeAnywhere):
            raise NotLoopback(host)
        if not (0 < patience < inf and maxMessageSize > 0):
            raise ValueError("patience and the largest message have to be positive")
        self.reactor = reactor
        self.host = host
        self.port = port
        self.path = path
        self.secure = secure
        self.headers = headers
        self.patience = patience
        self.maxMessageSize = maxMessageSize
        self._wires: list[Wire] = []
        shown = f"[{host}]" if isIPv6Address(host) else host
        self.authority = f"{shown}:{port}"
        """For ``Host``."""
        self.origin = f"http{'s' if secure else ''}://{self.authority}"
        """Of the server's own pages."""

    # Connections

    async def connect(self, secure: bool | None = None, host: str = "") -> Wire:
        """Connect.

        :param secure: with TLS or not, by default as the server has it
        :param host: another address
        :raises Broken: there is no connection
        """
        address = host or self.host
        endpoint: Any
        if isIPAddress(address):
            endpoint = TCP4ClientEndpoint(self.reactor, address, self.port, timeout=10)
        elif isIPv6Address(address):
            endpoint = TCP6ClientEndpoint(self.reactor, address, self.port, timeout=10)
        else:
            endpoint = HostnameEndpoint(self.reactor, address, self.port, timeout=10)
        if self.secure if secure is None else secure:
            endpoint = wrapClientTLS(_AnyCertificate(address), endpoint)
        wire = Wire(self.reactor, self.patience)
        factory = Factory.forProtocol(lambda: wire)
        factory.noisy = False
        try:
            await endpoint.connect(factory)
        except Exception as error:
            raise Broken(f"no connection: {loggable(error)}") from error
        self._wires.append(wire)
        if not (self._mayBeAnywhere or isLoopback(wire.transport.getPeer().host)):
            # A name may lead anywhere.
            wire.transport.abortConnection()
            raise NotLoopback(self.host)
        return wire

    def request(
        self,
        *extra: str,
        target: str = "",
        without: tuple[str, ...] = (),
        **named: Any,
    ) -> bytes:
        """Write a request.

        :param extra: header lines; one with a name that is there replaces it
        :param target: the request target, by default the path
        :param without: names of headers to leave out
        :param named: for :func:`twisted_ws.peerbytes.request`
        """
        names = {line.partition(":")[0].lower() for line in extra}
        names.update(name.lower() for name in without)
        own = [f"Host: {self.authority}", *self.headers]
        kept = [line for line in own if line.partition(":")[0].lower() not in names]
        return request(
            *kept, *extra, target=target or self.path, without=without, **named
        )

    async def open(self, *extra: str) -> Wire:
        """Open a WebSocket connection.

        :param extra: header lines
        :raises Broken: the server refuses
        """
        wire = await self.connect()
        wire.send(self.request(*extra))
        answer = await wire.answered()
        if answer.status != 101:
            raise Broken(f"the opening handshake was answered with {answer.status}")
        return wire

    async def pause(self, seconds: float) -> None:
        """Wait.

        :param seconds: how long
        """
        waiting: Deferred[None] = Deferred(lambda _: call.cancel())
        call = self.reactor.callLater(seconds, waiting.callback, None)
        await waiting

    async def release(self) -> None:
        """End all connections, and wait for that."""
        wires, self._wires = self._wires, []
        for wire in wires:
            if not wire.isLost:
                wire.transport.abortConnection()
        for wire in wires:
            await wire.hasEnded(10)

    # Judgements

    async def all(self, *checks: Coroutine[Any, Any, None]) -> None:
        """Make several checks at once.

        :param checks: coroutines
        :raises Broken: some of them did; says what the first of them saw
        """

        async def judge(check: Coroutine[Any, Any, None]) -> str:
            try:
                await check
            except Broken as broken:
                return str(broken)
            return ""

        running = [ensureDeferred(judge(check)) for check in checks]
        found = await gatherResults(running, consumeErrors=True)
        seen = [each for each in found if each]
        if seen:
            more = len(seen) - _MOST_TOLD
            told = "; ".join(seen[:_MOST_TOLD])
            raise Broken(told + (f"; and {more} more of that kind" if more > 0 else ""))

    async def refuses(self, what: str, data: bytes, status: int) -> Answer:
        """Check that a request is refused: a response, and then the end.

        :param what: what is wrong with it, in a few words
        :param data: the request
        :param status: that it ought to get
        :returns: the answer
        :raises Broken: it is not refused, or otherwise
        """
        wire = await self.connect()
        wire.send(data)
        try:
            answer = await wire.answered()
        except Broken as broken:
            raise Broken(f"{what}: {broken}, not {status}") from None
        if answer.status != status:
            raise Broken(f"{what}: answered {answer.status}, not {status}")
        if not await wire.hasEnded():
            raise Broken(f"{what}: answered {status}, but left the connection open")
        return readAnswer(bytes(wire.received)) or answer

    async def accepts(self, what: str, data: bytes) -> Wire:
        """Check that a request is accepted, with the right answer to its key.

        :param what: what is particular about it
        :param data: the request
        :raises Broken: it is not
        """
        wire = await self.connect()
        wire.send(data)
        try:
            answer = await wire.answered()
        except Broken as broken:
            raise Broken(f"{what}: {broken}, not 101") from None
        if answer.status != 101:
            raise Broken(f"{what}: answered {answer.status}, not 101")
        if answer.headers.get("sec-websocket-accept") != [ACCEPT.decode()]:
            raise Broken(f"{what}: answered 101 with a wrong Sec-WebSocket-Accept")
        return wire

    async def fails(
        self,
        what: str,
        data: bytes,
        code: int,
        *extra: str,
        seconds: float | None = None,
    ) -> None:
        """Check that a connection fails with a code.

        :param what: what is wrong with what is sent
        :param data: frames, or what ought to be some
        :param code: the close code that ought to come
        :param extra: header lines for the request
        :param seconds: how long to wait
        :raises Broken: it does not, or with another one
        """
        wire = await self.open(*extra)
        wire.send(data)
        try:
            found = await wire.closeCode(seconds)
        except Broken as broken:
            raise Broken(f"{what}: {broken}, not {code}") from None
        if found != code:
            raise Broken(f"{what}: closed with {found}, not {code}")
