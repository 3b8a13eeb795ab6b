"""A connection to a server under attack, and what is made of what it sends.

On real sockets of loopback.
"""

# pytest-twisted has no types.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_twisted  # type: ignore[import-untyped]
from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol

from twisted_ws import TLSServerEndpoint, WebSocketServerFactory, selfSignedContext
from twisted_ws.adversary import (
    Broken,
    NotLoopback,
    Target,
    Wire,
    isLoopback,
    readAnswer,
)
from twisted_ws.peerbytes import ACCEPT, BINARY, TEXT, frame, text
from twisted_ws.tap import Echo

reactor: Any = _reactor
ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
)


class Server(Protocol):
    """Does as the test says when the head of a request, or more, has come."""

    transport: Any
    then: Callable[[Any], object]
    made: list[Server]

    def connectionMade(self) -> None:
        """Nothing has come."""
        self.made.append(self)
        self.received = b""
        self.isDone = False

    def dataReceived(self, data: bytes) -> None:
        """Take it, and do that."""
        self.received += data
        if b"\r\n\r\n" in self.received and not self.isDone:
            self.isDone = True
            self.then(self)


@asynccontextmanager
async def against(
    then: Callable[[Any], object] | None = None, **options: Any
) -> AsyncIterator[Target]:
    """Give the target of a server that does something, or of one of this package."""
    factory: Any = WebSocketServerFactory(Echo)
    made: list[Server] = []
    if then is not None:
        doing = {"then": staticmethod(then), "made": made}
        factory = Factory.forProtocol(type("Doing", (Server,), doing))
        factory.noisy = False
    port: Any = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(
        factory
    )
    options.setdefault("patience", 0.2)
    target = Target(
        reactor, options.pop("host", "127.0.0.1"), port.getHost().port, **options
    )
    try:
        yield target
    finally:
        await target.release()
        await port.stopListening()
        if then is None:
            await factory.abortConnections()
        for each in made:
            # One that does not read has not noticed.
            each.transport.abortConnection()


def accept(*data: bytes) -> Callable[[Any], object]:
    """Give what accepts, and sends something behind that."""
    return lambda server: server.transport.write(ACCEPTED + b"".join(data))


async def saying(check: Any) -> str:
    """Give what a check that fails has seen."""
    with pytest.raises(Broken) as caught:
        await check
    return str(caught.value)


def test_loopback() -> None:
    """What can only be this machine is loopback, and no name but one."""
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        assert isLoopback(host)
    for host in ("192.0.2.1", "0.0.0.0", "::", "example.com", "127.0.0.1.evil.example"):  # noqa: S104
        assert not isLoopback(host)


def test_readAnswer() -> None:
    """An answer is read with tolerance, and what is none is not."""
    found = readAnswer(b"HTTP/1.0 200\r\nA:b\r\na : c\r\n\r\nrest")
    assert found == (200, {"a": ["b", "c"]}, b"rest")
    for data in (
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 x\r\n\r\n",
    ):
        assert readAnswer(data) is None


@pytest_twisted.ensureDeferred
async def test_request() -> None:
    """A request has the target's host, path and headers; a row may change any."""
    target = Target(reactor, "::1", 80, path="/a", headers=("Cookie: b",))
    assert b"GET /a HTTP/1.1\r\n" in target.request()
    assert b"\r\nHost: [::1]:80\r\n" in target.request()
    assert b"Cookie: b" in target.request()
    assert b"Cookie" not in target.request(without=("cookie",))
    assert b"Host: [::1]" not in target.request("Host: other")
    assert target.origin == "http://[::1]:80"


def test_mistakes() -> None:
    """What cannot be waited for, or sent, is refused at once."""
    for patience in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="positive"):
            Target(reactor, "127.0.0.1", 1, patience=patience)
    with pytest.raises(ValueError, match="positive"):
        Target(reactor, "127.0.0.1", 1, maxMessageSize=0)


@pytest_twisted.ensureDeferred
async def test_names() -> None:
    """A name is looked up; one that leads to another machine ends before a byte is
    sent."""
    async with against(host="localhost") as target:
        await (await target.open()).ping(b"a")

        class Elsewhere(Wire):
            """As a connection to somewhere else."""

            def connectionMade(self) -> None:
                """Say where it leads."""
                real = self.transport

                class Transport:
                    def getPeer(self) -> Any:
                        return type("Address", (), {"host": "192.0.2.1"})

                    def abortConnection(self) -> None:
                        real.abortConnection()

                self.transport = Transport()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("twisted_ws.adversary.Wire", Elsewhere)
            with pytest.raises(NotLoopback):
                await target.connect()


@pytest_twisted.ensureDeferred
async def test_IPv6() -> None:
    """IPv6 will do."""
    factory = WebSocketServerFactory(Echo)
    endpoint = TCP6ServerEndpoint(reactor, 0, interface="::1")
    try:
        port: Any = await endpoint.listen(factory)
    except CannotListenError:
        pytest.skip("needs IPv6")
    target = Target(reactor, "::1", port.getHost().port)
    try:
        await (await target.open()).ping(b"a")
    finally:
        await target.release()
        await port.stopListening()
        await factory.abortConnections()


@pytest_twisted.ensureDeferred
async def test_TLS() -> None:
    """So will TLS, to a name and to an address, with whatever certificate."""
    factory = WebSocketServerFactory(Echo)
    context, _ = selfSignedContext()
    inner = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    port: Any = await TLSServerEndpoint(inner, context).listen(factory)
    for host in ("localhost", "127.0.0.1"):
        target = Target(reactor, host, port.getHost().port, secure=True)
        assert target.origin.startswith("https://")
        wire = await target.open()
        wire.send(text("hello"))
        assert await wire.until(lambda: (TEXT, b"hello") in wire.frames)  # noqa: B023
        await target.release()
    await port.stopListening()
    await factory.abortConnections()


@pytest_twisted.ensureDeferred
async def test_noConnection() -> None:
    """Where nobody listens, that is said."""
    async with against() as target:
        port = target.port
    closed = Target(reactor, "127.0.0.1", port)
    assert "no connection: " in await saying(closed.connect())


@pytest_twisted.ensureDeferred
async def test_refuses() -> None:
    """A refusal is the status, and the end."""
    good = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno"

    def refuse(server: Any) -> None:
        server.transport.write(good)
        server.transport.loseConnection()

    async with against(refuse) as target:
        answer = await target.refuses("x", target.request(), 400)
        assert (answer.status, answer.rest) == (400, b"no")
        assert await saying(target.refuses("x", target.request(), 403)) == (
            "x: answered 400, not 403"
        )
        assert await saying(target.accepts("x", target.request())) == (
            "x: answered 400, not 101"
        )
        assert await saying(target.open()) == (
            "the opening handshake was answered with 400"
        )
    async with against(lambda server: server.transport.write(good)) as target:
        assert await saying(target.refuses("x", target.request(), 400)) == (
            "x: answered 400, but left the connection open"
        )
        wire = await target.connect()
        wire.send(target.request())
        assert await saying(wire.closeCode()) == "answered 400"
    async with against(lambda server: server.transport.loseConnection()) as target:
        for check in (
            target.refuses("x", target.request(), 400),
            target.accepts("x", target.request()),
        ):
            assert (await saying(check)).startswith(
                "x: closed the connection without an answer, not "
            )


@pytest_twisted.ensureDeferred
async def test_accepts() -> None:
    """A request is accepted with the right answer to its key."""
    async with against() as target:
        await target.accepts("x", target.request())
    wrong = ACCEPTED.replace(ACCEPT, ACCEPT.lower())
    async with against(lambda server: server.transport.write(wrong)) as target:
        assert await saying(target.accepts("x", target.request())) == (
            "x: answered 101 with a wrong Sec-WebSocket-Accept"
        )


@pytest_twisted.ensureDeferred
async def test_fails() -> None:
    """A connection fails with a Close frame of the right code."""
    async with against(accept(frame(0x88)[:1] + b"\x02\x03\xea")) as target:
        await target.fails("x", b"", 1002)
        assert await saying(target.fails("x", b"", 1007)) == (
            "x: closed with 1002, not 1007"
        )
    async with against(accept(b"\x85\x00")) as target:
        assert (await saying(target.fails("x", b"", 1002))).startswith(
            "x: something came that is no frame: reserved opcode 0x5"
        )
    async with against(accept(b"\x8a\x00")) as target:
        assert await saying(target.fails("x", b"", 1002)) == (
            "x: a pong came, and within 0.2 s no more, not 1002"
        )
    async with against(accept(b"\x89\x00")) as target:
        assert "opcode 9 came" in await saying(target.fails("x", b"", 1002))


@pytest_twisted.ensureDeferred
async def test_manyFrames() -> None:
    """Frames are read to the last one, however many come at once."""
    async with against(accept(b"\x8a\x00" * 3000, b"\x8a\x01a")) as target:
        wire = await target.open()
        await wire.pong(b"a")
        assert len(wire.frames) == 3001


@pytest_twisted.ensureDeferred
async def test_endlessFrames() -> None:
    """A server that sends empty frames without an end is cut off: each costs an object
    for two bytes."""

    def pour(server: Any) -> None:
        server.transport.write(ACCEPTED + bytes([BINARY | 0x80, 0]) * 600_000)

    async with against(pour) as target:
        wire = await target.open()
        assert await wire.hasEnded(20)
        assert wire.describe() == "sent more than 500000 frames"
        assert len(wire.frames) < 550_000


@pytest_twisted.ensureDeferred
async def test_flood() -> None:
    """A flood ends when nobody takes it, when it is long enough, or with the
    connection."""
    chunk = bytes(65536)
    async with against(accept()) as target:
        wire = await target.open()
        assert await wire.flood(chunk, 1 << 20) == 1 << 20

    def stop(server: Any) -> None:
        server.transport.write(ACCEPTED)
        server.transport.pauseProducing()

    async with against(stop) as target:
        wire = await target.open()
        assert await wire.flood(chunk, 1 << 26) < 1 << 26

    def leave(server: Any) -> None:
        server.transport.write(ACCEPTED)
        reactor.callLater(0.05, server.transport.abortConnection)

    async with against(leave) as target:
        wire = await target.open()
        assert await wire.flood(chunk, 1 << 34) < 1 << 34
        assert wire.isLost


@pytest_twisted.ensureDeferred
async def test_all() -> None:
    """Of several checks all are made, and the first failures are told."""
    made: list[int] = []

    async def check(number: int) -> None:
        made.append(number)
        if number:
            raise Broken(f"number {number}")

    target = Target(reactor, "127.0.0.1", 1)
    await target.all(check(0), check(0))
    assert await saying(target.all(check(0), check(1), check(2))) == (
        "number 1; number 2"
    )
    assert await saying(target.all(*(check(n) for n in range(6)))) == (
        "number 1; number 2; number 3; and 2 more of that kind"
    )
    assert len(made) == 11


@pytest_twisted.ensureDeferred
async def test_cancelled() -> None:
    """Waiting can be cancelled, and leaves nothing."""
    async with against(accept()) as target:
        wire = await target.open()
        waiting: Deferred[Any] = ensureDeferred(wire.closeCode(60))
        waiting.cancel()
        with pytest.raises(CancelledError):
            await waiting
        pausing: Deferred[Any] = ensureDeferred(target.pause(60))
        pausing.cancel()
        with pytest.raises(CancelledError):
            await pausing
        assert not wire._waiters
        assert all(
            call.getTime() < reactor.seconds() + 50
            for call in reactor.getDelayedCalls()
        )
