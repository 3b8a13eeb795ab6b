"""Real protocols over WebSocket under load: ``python -m tests.stream_load``.

Sends 100 MiB through each of AMP, Perspective Broker, SSH and HTTP, over WebSocket on
loopback, with a receiver that stops reading now and then. Prints the speed, and by how
much the process has grown beyond what a tenth of that takes, which may not be more than
16 MiB. Another number of MiB can be given; the suite runs the same with less.
"""

# Much of Twisted has no types, and its subclasses neither.
# mypy: allow-untyped-calls

from __future__ import annotations

import hashlib
import resource
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from twisted.internet import reactor as _reactor
from twisted.internet.defer import (
    Deferred,
    DeferredSemaphore,
    ensureDeferred,
    gatherResults,
)
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater, react
from twisted.protocols import amp
from twisted.python.failure import Failure
from twisted.spread import pb
from twisted.web.client import Agent
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from zope.interface import implementer

from twisted_ws.stream import (
    WebSocketStreamClientEndpoint,
    WebSocketStreamServerEndpoint,
)

reactor: Any = _reactor

MIB = 1024 * 1024
MOST_GROWTH = 16 * MIB
_OUTSTANDING = 16
_PAUSE_EVERY = 2 * MIB


def pieces(size: int, each: int) -> list[tuple[int, int]]:
    """Give where the pieces of so many bytes begin, and how long they are."""
    return [(at, min(each, size - at)) for at in range(0, size, each)]


def content(at: int, size: int) -> bytes:
    """Give bytes that differ from place to place."""
    return at.to_bytes(8, "big") + bytes(size - 8) if size > 8 else b"x" * size


class Check:
    """Takes bytes, and stops reading now and then.

    :param transport: gives the transport to pause
    """

    def __init__(self, transport: Callable[[], Any]) -> None:
        self._transport = transport
        self._digest = hashlib.sha256()
        self._untilPause = _PAUSE_EVERY
        self.received = 0

    def take(self, data: bytes) -> None:
        """Take some."""
        self._digest.update(data)
        self.received += len(data)
        self._untilPause -= len(data)
        if self._untilPause <= 0:
            self._untilPause = _PAUSE_EVERY
            transport = self._transport()
            transport.pauseProducing()
            reactor.callLater(0.005, transport.resumeProducing)

    @property
    def digest(self) -> bytes:
        """What they add up to."""
        return self._digest.digest()


def expected(size: int, each: int) -> bytes:
    """Give the digest of all that is sent."""
    digest = hashlib.sha256()
    for at, length in pieces(size, each):
        digest.update(content(at, length))
    return digest.digest()


@asynccontextmanager
async def served(factory: Any) -> AsyncIterator[WebSocketStreamClientEndpoint]:
    """Serve a factory over WebSocket, and give an endpoint that leads there.

    :param factory: of the protocols
    """
    below = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    port = await WebSocketStreamServerEndpoint(below).listen(factory)
    try:
        url = f"ws://127.0.0.1:{port.getHost().port}/"
        yield WebSocketStreamClientEndpoint(reactor, url)
    finally:
        await port.stopListening()
        # What both ends do when a connection is closed.
        await deferLater(reactor, 0.05)


class Ending(Protocol):
    """Mixed into a protocol, tells of its end."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.ended: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell."""
        super().connectionLost(reason)
        self.ended.callback(None)


def released(result: Any, permits: DeferredSemaphore) -> Any:
    """Let the next call begin, when one has been answered."""
    permits.release()
    return result


# AMP


class Take(amp.Command):
    """Takes a piece."""

    arguments: ClassVar[Any] = [(b"data", amp.String())]
    response: ClassVar[Any] = [(b"received", amp.Integer())]


class TakingAMP(amp.AMP):
    """The server."""

    def __init__(self) -> None:
        super().__init__()
        self.check = Check(lambda: self.transport)

    @Take.responder
    def take(self, data: bytes) -> dict[str, int]:
        """Take a piece."""
        self.check.take(data)
        return {"received": self.check.received}


class EndingAMP(Ending, amp.AMP):
    """The client."""


async def throughAMP(size: int) -> None:
    """Send with AMP, some calls at a time."""
    each = 60_000
    servers: list[TakingAMP] = []

    def build() -> TakingAMP:
        servers.append(TakingAMP())
        return servers[-1]

    async with served(Factory.forProtocol(build)) as endpoint:
        client = await endpoint.connect(Factory.forProtocol(EndingAMP))
        permits = DeferredSemaphore(_OUTSTANDING)
        calls = []
        for at, length in pieces(size, each):
            await permits.acquire()
            call = client.callRemote(Take, data=content(at, length))
            calls.append(call.addBoth(released, permits))
            calls = [call for call in calls if not call.called]
        await gatherResults(calls)
        assert servers[0].check.digest == expected(size, each)
        client.transport.loseConnection()
        await client.ended


# Perspective Broker


class TakingRoot(pb.Root):
    """The server."""

    def __init__(self) -> None:
        self.broker: Any = None
        self.check = Check(lambda: self.broker.transport)

    def rootObject(self, broker: Any) -> TakingRoot:
        """Note the connection."""
        self.broker = broker
        return self

    def remote_take(self, data: bytes) -> int:
        """Take a piece."""
        self.check.take(data)
        return self.check.received


async def throughPB(size: int) -> None:
    """Send with Perspective Broker, some calls at a time."""
    each = 256 * 1024
    root = TakingRoot()
    async with served(pb.PBServerFactory(root)) as endpoint:
        factory = pb.PBClientFactory()
        broker = await endpoint.connect(factory)
        lost: Deferred[None] = Deferred()
        broker.notifyOnDisconnect(lambda: lost.callback(None))
        remote = await factory.getRootObject()
        permits = DeferredSemaphore(_OUTSTANDING)
        calls = []
        for at, length in pieces(size, each):
            await permits.acquire()
            call = remote.callRemote("take", content(at, length))
            calls.append(call.addBoth(released, permits))
            calls = [call for call in calls if not call.called]
        await gatherResults(calls)
        assert root.check.digest == expected(size, each)
        factory.disconnect()
        await lost


# SSH


def whyNoSSH() -> str | None:
    """Say why there is no SSH here, if so."""
    try:
        import twisted.conch.ssh.keys  # noqa: F401
    except ImportError as error:
        return f"twisted.conch cannot be imported: {error}"
    return None


async def throughSSH(size: int) -> None:
    """Send through a channel of SSH, as fast as its window allows."""
    from tests import ssh_load

    each = 32_000
    check: list[Check] = []
    async with served(ssh_load.serverFactory(check)) as endpoint:
        client = await endpoint.connect(
            Factory.forProtocol(
                lambda: ssh_load.Client(
                    content(at, length) for at, length in pieces(size, each)
                )
            )
        )
        assert await client.answered == expected(size, each)
        client.transport.loseConnection()
        await client.ended


# HTTP


@implementer(IAgentEndpointFactory)
class OverWebSocket:
    """Leads an Agent to one place, whatever the URI.

    :param endpoint: leads there
    """

    def __init__(self, endpoint: WebSocketStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, uri: Any) -> WebSocketStreamClientEndpoint:
        """Give it."""
        return self._endpoint


class Page(Resource):
    """Gives bytes, as fast as they are taken, and takes a body.

    :param size: how many
    """

    isLeaf = True
    each = 50_000

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def render_GET(self, request: Any) -> object:
        """Give them."""
        request.registerProducer(_Pages(request, pieces(self._size, self.each)), False)
        return NOT_DONE_YET

    def render_POST(self, request: Any) -> bytes:
        """Give the digest of the body."""
        digest = hashlib.sha256()
        while data := request.content.read(MIB):
            digest.update(data)
        return digest.digest()


class _Pages:
    """A pull producer."""

    def __init__(self, request: Any, parts: list[tuple[int, int]]) -> None:
        self._request = request
        self._parts = iter(parts)

    def resumeProducing(self) -> None:
        """Write one."""
        for at, length in self._parts:
            self._request.write(content(at, length))
            return
        self._request.unregisterProducer()
        self._request.finish()

    def stopProducing(self) -> None:
        """The client is gone."""


@implementer(IBodyProducer)
class Body:
    """What is sent with POST; paused while the server does not read.

    :param size: how many bytes
    :param each: in pieces of how many
    """

    def __init__(self, size: int, each: int) -> None:
        self.length = size
        self._parts = iter(pieces(size, each))
        self._paused = False
        self._consumer: Any = None
        self._done: Deferred[None] = Deferred()

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """Begin."""
        self._consumer = consumer
        self.resumeProducing()
        return self._done

    def resumeProducing(self) -> None:
        """Go on."""
        self._paused = False
        while not self._paused:
            part = next(self._parts, None)
            if part is None:
                self._paused = True
                self._done.callback(None)
            else:
                self._consumer.write(content(*part))

    def pauseProducing(self) -> None:
        """Stop for now."""
        self._paused = True

    def stopProducing(self) -> None:
        """Stop."""
        self._paused = True


class Reader(Protocol):
    """Reads a response's body, with pauses."""

    def __init__(self) -> None:
        self.check = Check(lambda: self.transport)
        self.done: Deferred[bytes] = Deferred()
        self.data = b""

    def dataReceived(self, data: bytes) -> None:
        """Take some."""
        self.data = data[-64:]
        self.check.take(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is read."""
        self.done.callback(self.check.digest)


async def throughHTTP(size: int) -> None:
    """Get with ``twisted.web``'s Agent from its Site, and post."""
    site = Site(Page(size))
    async with served(site) as endpoint:
        agent: Any = Agent.usingEndpointFactory(reactor, OverWebSocket(endpoint))
        response = await agent.request(b"GET", b"http://localhost/")
        reader = Reader()
        response.deliverBody(reader)
        assert await reader.done == expected(size, Page.each)
        body = Body(size, Page.each)
        response = await agent.request(b"POST", b"http://localhost/", None, body)
        reader = Reader()
        response.deliverBody(reader)
        await reader.done
        assert reader.data == expected(size, Page.each)


PROTOCOLS: dict[str, Callable[[int], Coroutine[Any, Any, None]]] = {
    "AMP": throughAMP,
    "Perspective Broker": throughPB,
    "SSH": throughSSH,
    "HTTP, there and back": throughHTTP,
}


def peak() -> int:
    """Give the most bytes of memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def measure(size: int) -> bool:
    """Send so many bytes through each, and print how that went.

    :param size: how many
    :returns: whether the process has grown too much
    """
    failed = False
    for name, through in PROTOCOLS.items():
        why = whyNoSSH() if through is throughSSH else None
        if why is not None:
            print(f"{name:22} skipped: {why}")
            continue
        await through(size // 10)
        before, began = peak(), time.monotonic()
        await through(size)
        took, grown = time.monotonic() - began, peak() - before
        failed = failed or grown > MOST_GROWTH
        print(
            f"{name:22} {size / MIB / took:6.1f} MiB/s, grown by {grown / MIB:.1f} MiB"
        )
    return failed


def main(_: object, mebibytes: str = "100") -> Deferred[None]:
    """Measure; exits with 1 if the process has grown too much.

    :param mebibytes: how much
    """

    async def run() -> None:
        if await measure(int(mebibytes) * MIB):
            raise SystemExit(1)

    return ensureDeferred(run())


if __name__ == "__main__":
    react(main, sys.argv[1:])
