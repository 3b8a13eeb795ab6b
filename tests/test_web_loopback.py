"""WebSocket inside twisted.web on real TCP and real TLS, on loopback.

What :mod:`tests.test_loopback` holds of a port of our own is held of one of twisted.web
too: those tests are run here once more, with a site in front. Then what is only here.
"""

# pytest-twisted has no types.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted  # type: ignore[import-untyped]
from twisted.internet import ssl
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.threads import deferToThread
from twisted.protocols.policies import ThrottlingFactory
from twisted.web.rewrite import RewriterResource
from twisted.web.server import Request as WebRequest
from twisted.web.server import Site
from twisted.web.vhost import NameVirtualHost
from zope.interface import implementer

from tests import test_loopback
from tests.certificates import keyToPEM, makeCertificate, makeKey, toPEM
from tests.clients import Client, connectRaw, reactor, requestHead, within
from tests.test_demo_page import CHROMIUM, Browser, hashOfKey

# Run here again.
from tests.test_loopback import (  # noqa: F401
    Reader,
    overBoth,
    serving,
    test_clientCloses,
    test_echo,
    test_echoByHandler,
    test_F11_floodByAPeerThatNeverReads,
    test_F11_pingFloodByAPeerThatNeverReads,
    test_F12_slowConsumer,
    test_F12_slowConsumerCatchesUp,
    test_H03_bytewise,
    test_H03_framesWhileDeciding,
    test_independentClient,
    test_pausedApplication,
    test_peerVanishes,
    test_pings,
    test_protocolErrorReachesThePeer,
    test_requestIsDescribed,
    test_serverCloses,
    test_T02_unansweredClose,
    test_T04_everyoneIsToldGoodbye,
    test_T04_restart,
    until,
)
from tests.webserver import Page, Tree
from twisted_ws import Request, ServerOptions, WebSocketResource, WebSocketServerFactory
from twisted_ws.connection import Ping
from twisted_ws.tap import Echo

MIB = 1024 * 1024


@implementer(IStreamServerEndpoint)
class SiteEndpoint:
    """Listens with a site, whatever it is told to listen with.

    :param endpoint: where
    :param site: with what
    """

    def __init__(self, endpoint: Any, site: Site) -> None:
        self._endpoint = endpoint
        self._site = site

    def listen(self, protocolFactory: Any) -> Deferred[Any]:
        """Listen.

        :param protocolFactory: knows the connections
        """
        listening: Deferred[Any] = self._endpoint.listen(self._site)
        return listening


class Server(test_loopback.Server):
    """A site with WebSocket at and under its root, and pages there.

    :param arguments: as for ``test_loopback.Server``
    :param named: as there
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.pages = Page(b"")
        self.pages.putChild(b"", Page(b"the page"))
        self.pages.putChild(b"large", Page(bytes(4 * MIB)))
        with warnings.catch_warnings():
            # Of Twisted about Twisted.
            warnings.simplefilter("ignore", DeprecationWarning)
            site = Site(WebSocketResource(self.factory, self.pages))
        site.noisy = False
        self.service._endpoints = [
            SiteEndpoint(each, site) for each in self.service._endpoints
        ]


@pytest.fixture(autouse=True)
def insideTwistedWeb(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have ``serving`` make servers of this module."""
    monkeypatch.setattr(test_loopback, "Server", Server)


def get(path: str, *headers: str) -> bytes:
    """Write a request for a page."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
    return "\r\n".join(lines).encode()


class Browsing(Client):
    """A client that gets pages first, on the same connection.

    :param port: of the server
    """

    def __init__(self, port: int) -> None:
        super().__init__(f"localhost:{port}")
        self.requesting = False
        self.pages = b""

    def dataReceived(self, data: bytes) -> None:
        """Take bytes: of pages, or of WebSocket once that was asked for."""
        if self.requesting:
            super().dataReceived(data)
        else:
            self.pages += data

    def upgrade(self, *behind: bytes) -> None:
        """Ask for WebSocket.

        :param behind: bytes in the same segment
        """
        self.requesting = True
        self.transport.write(b"".join([self.request, *behind]))


@overBoth
@pytest_twisted.ensureDeferred
async def test_keepAlive(secure: bool) -> None:
    """Pages, a refusal and WebSocket on one connection, with frames in the segment of
    the request; and a large message after that."""
    async with serving(Echo, secure) as server:
        client = Browsing(server.port)
        await connectRaw(server.port, client, server.certificate)
        client.transport.write(get("/"))
        await until(lambda: client.pages.endswith(b"the page"), "the page came")
        foreign = client.request.replace(b"Host:", b"Origin: http://evil\r\nHost:")
        client.pages = b""
        client.transport.write(foreign)
        await until(lambda: b"lists them\n" in client.pages, "the refusal came")
        assert client.pages.startswith(b"HTTP/1.1 403 ")
        assert len(server.factory.connections) == 0
        client.upgrade(client.connection.sendText("early"))
        assert await client.receive() == "early"
        client.sendBytes(bytes(MIB))
        assert await client.receive() == bytes(MIB)
        client.close()
        await client.whenLost()


@overBoth
@pytest_twisted.ensureDeferred
async def test_unreadPage(secure: bool) -> None:
    """A request for WebSocket behind a large page that the client is slow to read: all
    of both comes, in order."""
    async with serving(Echo, secure) as server:
        client = Browsing(server.port)
        await connectRaw(server.port, client, server.certificate)
        client.transport.pauseProducing()
        client.transport.write(get("/large"))
        client.transport.write(client.request + client.connection.sendText("early"))
        other = await server.connect()
        for _ in range(20):
            other.sendText("and me?")
            assert await other.receive() == "and me?"
        client.transport.resumeProducing()

        def whole() -> bool:
            _, _, body = client.pages.partition(b"\r\n\r\n")
            return len(body) > 4 * MIB and body.endswith(b"\x81\x05early")

        await until(whole, "page, 101 and answer came")
        rest = client.pages.partition(b"\r\n\r\n")[2][4 * MIB :]
        assert rest.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        client.transport.abortConnection()
        await within(client.lost)


@overBoth
@pytest_twisted.ensureDeferred
async def test_T01_silentPeer(secure: bool) -> None:
    """Keepalive takes the place of the channel's timeout."""
    options = ServerOptions(pingInterval=0.2, pingTimeout=0.3)
    async with serving(Echo, secure, options) as server:
        client = await server.connect()
        client.answering = False
        assert isinstance(await client.receive(), Ping)
        close = await client.receive()
        assert close.code == 1011
        client.transport.loseConnection()
        await client.whenLost()


@pytest_twisted.ensureDeferred
async def test_H17_peerLeaves() -> None:
    """A client that leaves while the application decides is noticed."""
    cancelled: list[Any] = []
    decision: Deferred[Any] = Deferred(cancelled.append)
    asked: list[Request] = []

    def decide(request: Request) -> Deferred[Any]:
        asked.append(request)
        return decision

    async with serving(decide, False) as server:
        reader = Reader(requestHead(f"localhost:{server.port}")[1])
        await connectRaw(server.port, reader)
        await until(lambda: asked, "the application was asked")
        finished = asked[0].webRequest.notifyFinish()
        finished.addErrback(lambda _: None)
        reader.transport.loseConnection()
        await within(finished)
        assert cancelled == [decision]
        assert reader.received == b""


class OwnRequest(WebRequest):
    """What a site may make of requests."""


class OwnSite(Site):
    """What an application may make of a site."""

    requestFactory = OwnRequest


@overBoth
@pytest_twisted.ensureDeferred
async def test_H11_wrapped(secure: bool) -> None:
    """A site of another class, wrapped in a factory that counts bytes, with virtual
    hosts and rewriting in front; the origin is held against the host's name."""
    asked: list[Request] = []

    def decide(request: Request) -> Echo:
        asked.append(request)
        return Echo()

    def rewrite(request: WebRequest) -> None:
        postpath: Any = request.postpath
        if postpath[:1] == [b"old"]:
            postpath[0] = b"new"
            prepath: Any = request.prepath
            request.path = b"/" + b"/".join([*prepath, *postpath])

    async with serving(decide, secure) as server:
        root = Tree()
        root.putChild(b"new", WebSocketResource(server.factory))
        hosts: Any = NameVirtualHost()
        hosts.addHost(b"localhost", RewriterResource(root, rewrite))
        site: Any = OwnSite(hosts)  # type: ignore[no-untyped-call]
        wrapping: Any = ThrottlingFactory(site)
        wrapping.noisy = site.noisy = False
        endpoint: Any = server.service._endpoints[0]
        endpoint._site = wrapping
        await within(server.service.stopService())
        server.service.startService()
        scheme = "https" if secure else "http"
        origin = f"Origin: {scheme}://localhost:{server.port}"
        client = await server.connect("/old/x", (origin,))
        client.sendBytes(bytes(MIB))
        assert await client.receive() == bytes(MIB)
        client.close()
        await client.whenLost()
        (request,) = asked
        assert isinstance(request.webRequest, OwnRequest)
        assert (request.path, request.origin) == ("/new/x", origin[8:])
        foreign = Reader(
            requestHead("localhost", "/new", ("Origin: http://evil.example",))[1]
        )
        await connectRaw(server.port, foreign, server.certificate)
        await until(lambda: foreign.received, "the refusal came")
        assert foreign.received.startswith(b"HTTP/1.1 403 ")
        foreign.transport.loseConnection()
        await within(foreign.lost)
        await until(lambda: not wrapping.protocols, "the connections are gone")


# HTTP/2


class Noting(Tree):
    """A root that writes down what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str, bool]] = []

    def getChildWithDefault(self, name: bytes, request: WebRequest) -> Any:
        """Find a child.

        :param name: its name
        :param request: version and path of it are written down
        """
        self.asked.append(
            (
                request.clientproto.decode(),
                request.path.decode(),
                request.getHeader("upgrade") is not None,
            )
        )
        child: Any = super().getChildWithDefault(name, request)  # type: ignore[no-untyped-call]
        return child


PAGE = b"""<!doctype html><title>WebSocket beside HTTP/2</title><script>
async function talk() {
  const answer = await fetch('/ws');
  const webSocket = new WebSocket(`wss://${location.host}/ws`);
  const message = await new Promise((found, failed) => {
    webSocket.onopen = () => webSocket.send('hello');
    webSocket.onmessage = (event) => found(event.data);
    webSocket.onerror = failed;
  });
  const later = await fetch('/later');
  webSocket.close(4001);
  return [answer.status, message, later.status];
}
</script>"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """Give a directory for a while."""
    path = Path(tempfile.mkdtemp(prefix="twisted_ws-web-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


# Of Twisted about itself and about pyOpenSSL.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest_twisted.ensureDeferred
async def test_HTTP2(directory: Path) -> None:
    """Chromium gets pages by HTTP/2, and opens its WebSocket on another connection by
    HTTP/1.1; a page that fetches the place of WebSocket gets 426, and pages after that
    still come by HTTP/2."""
    pytest.importorskip("h2", reason="no HTTP/2: twisted[http2] brings it")
    pytest.importorskip("priority", reason="no HTTP/2: twisted[http2] brings it")
    key = makeKey()
    certificate = makeCertificate("localhost", key)
    pair: Any = ssl.PrivateCertificate.loadPEM(keyToPEM(key) + toPEM(certificate))
    root = Noting()
    root.putChild(b"", Page(PAGE))
    root.putChild(b"later", Page(b"later"))
    factory = WebSocketServerFactory(Echo)
    root.putChild(b"ws", WebSocketResource(factory))
    endpoint = SSL4ServerEndpoint(reactor, 0, pair.options(), interface="127.0.0.1")
    port: Any = await within(endpoint.listen(Site(root)))

    def browse() -> Any:
        with ExitStack() as stack:
            browser = Browser(directory, hashOfKey(certificate))
            stack.callback(browser.close)
            browser.open(f"https://localhost:{port.getHost().port}/")
            return browser.run("talk()")

    try:
        found = await within(deferToThread(browse), 60)
        assert found == [426, "hello", 200]
        asked = [each for each in root.asked if each[1] != "/favicon.ico"]
        assert asked == [
            ("HTTP/2", "/", False),
            ("HTTP/2", "/ws", False),
            ("HTTP/1.1", "/ws", True),
            ("HTTP/2", "/later", False),
        ]
    finally:
        await within(factory.closeConnections())
        await within(port.stopListening())
