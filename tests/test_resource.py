"""WebSocket inside twisted.web, byte by byte."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any, NamedTuple

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.guard import BasicCredentialFactory, HTTPAuthSessionWrapper
from twisted.web.http import HTTPChannel
from twisted.web.iweb import IRequest
from twisted.web.resource import EncodingResourceWrapper, Resource
from twisted.web.rewrite import RewriterResource
from twisted.web.server import GzipEncoderFactory, Site
from twisted.web.server import Request as WebRequest
from twisted.web.test.requesthelper import DummyChannel
from twisted.web.util import DeferredResource
from twisted.web.vhost import NameVirtualHost, VHostMonsterResource

from tests.support import WireTestCase, firedWith, logged
from tests.webserver import Leaf, Page, Tree, WebServer
from twisted_ws.connection import Connection, Role
from twisted_ws.errors import HandshakeRejected
from twisted_ws.factory import WebSocketServerFactory
from twisted_ws.handshake import Request
from twisted_ws.options import Options, ServerOptions
from twisted_ws.peerbytes import ACCEPT
from twisted_ws.resource import WebSocketResource, _Channel, checkTwistedWeb
from twisted_ws.routes import Routes
from twisted_ws.testing import (
    TEXT,
    RawPeer,
    Recorder,
    closing,
    echoing,
    frame,
    plainGet,
    request,
    text,
)


class Answer(NamedTuple):
    """One response of several on a connection."""

    status: int
    headers: dict[str, str]
    body: bytes


def answers(peer: RawPeer) -> list[Answer]:
    """Read all responses that a peer got, with lengths that are told."""
    found = []
    data = peer.received
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        assert end, data
        statusLine, *lines = head.decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, value = line.split(": ", 1)
            headers[name.lower()] = value
        status = int(statusLine.split(" ")[1])
        length = len(data) if status == 101 else int(headers.get("content-length", 0))
        found.append(Answer(status, headers, data[:length]))
        assert len(data) >= length
        data = data[length:]
    return found


class WebTestCase(WireTestCase):
    """Has servers of twisted.web."""

    serverKind = WebServer

    def tearDown(self) -> None:
        """As for all connections; and nobody has any left."""
        super().tearDown()
        for server in self._servers:
            for peer in server.peers:
                self.assertIsNone(peer.transport.producer)

    def web(self, application: Any = None, **arguments: Any) -> WebServer:
        """Make a server."""
        server = self.serve(application, **arguments)
        assert isinstance(server, WebServer)
        return server


class UpgradeTests(WebTestCase):
    """The 101, and what comes of the channel."""

    def test_accepted(self) -> None:
        """The 101 says what it says on a port of its own, and what twisted.web says in
        all responses; frames go to and fro."""
        for secure in (False, True):
            peer = self.web(echoing()).open(secure=secure)
            self.assertEqual(peer.response.status, 101)
            headers = dict(peer.response.headers)
            self.assertIn("TwistedWeb", headers.pop("server"))
            self.assertEqual(
                headers,
                {
                    "upgrade": "websocket",
                    "connection": "Upgrade",
                    "sec-websocket-accept": ACCEPT.decode(),
                },
            )
            self.assertTrue(peer.transport.noDelay)
            peer.send(text("hello"))
            self.assertEqual(peer.messages, ["hello"])
            peer.send(closing(4001, "bye"))
            self.assertEqual(peer.closeFrame, (4001, ""))
            self.assertEqual(peer.isConnected, secure)

    def test_underIt(self) -> None:
        """WebSocket is served under its place, too; the path is the whole one."""
        paths = []

        def decide(asked: Request) -> Recorder:
            paths.append((asked.path, asked.query))
            return self.record()

        server = self.web(decide)
        for target in ("/ws", "/ws/", "/ws/a/b%2Fc?x=y"):
            self.assertEqual(server.open(target=target).response.status, 101)
        self.assertEqual(
            paths, [("/ws", {}), ("/ws/", {}), ("/ws/a/b%2Fc", {"x": ["y"]})]
        )

    def test_factorysPath(self) -> None:
        """A factory with a path serves there only."""
        server = self.web(path="/ws/chat")
        self.assertEqual(server.open(target="/ws/chat").response.status, 101)
        self.assertEqual(server.open(target="/ws").response.status, 404)

    def test_routes(self) -> None:
        """Routes work with whole paths, and with options of their own."""
        found = []

        def feed(asked: Request) -> Recorder:
            found.append(asked.pathParameters["name"])
            return self.record()

        server = self.web()
        routes = Routes({"/ws/feed/{name}": feed}, reactor=server.clock)
        server.root.putChild(b"ws", WebSocketResource(routes))
        self.assertEqual(server.open(target="/ws/feed/a%2Fb").response.status, 101)
        self.assertEqual(server.open(target="/ws").response.status, 404)
        self.assertEqual(found, ["a/b"])
        self.assertEqual(len(routes.connections), 1)

    def test_keepAlive(self) -> None:
        """A page, a refusal, and then WebSocket, all on one connection."""
        for segment in (1 << 16, 1):
            peer = self.web(echoing()).connect()
            peer.send(plainGet(), segment=segment)
            peer.send(plainGet(target="/ws"), segment=segment)
            foreign = request("Origin: http://evil.example", target="/ws")
            peer.send(foreign, segment=segment)
            peer.send(plainGet(target="/nothing"), segment=segment)
            peer.send(request(target="/ws"), text("hello"), segment=segment)
            found = answers(peer)
            self.assertEqual([each.status for each in found], [200, 426, 403, 404, 101])
            self.assertEqual(found[0].body, b"the page")
            self.assertEqual(found[4].body, bytes([TEXT, 5]) + b"hello")

    def test_pipelined(self) -> None:
        """Page, WebSocket and frames may come in one segment, or byte for byte."""
        for segment in (1 << 16, 1):
            peer = self.web(echoing()).connect()
            # What looks like a line is none.
            wire = [plainGet(), request(target="/ws"), text("a"), text("\r\n\r\n")]
            peer.send(*wire, segment=segment)
            found = answers(peer)
            self.assertEqual([each.status for each in found], [200, 101])
            self.assertEqual(found[1].body, b"\x81\x01a\x81\x04\r\n\r\n")

    def test_H01_lenient(self) -> None:
        """What browsers and proxies send is accepted."""
        for extra in (
            ["Connection: keep-alive, Upgrade"],
            ["Connection:\t,upgrade ,", "Upgrade: , WebSocket,"],
            ["UPGRADE: h2c", "upgrade: WEBSOCKET"],
        ):
            self.assertEqual(self.web().open(*extra).response.status, 101, extra)

    def test_H02_severalLines(self) -> None:
        """Several lines are one list."""
        server = self.web(subprotocols=("three",))
        peer = server.open(
            "Sec-WebSocket-Protocol: one, two",
            "Sec-WebSocket-Protocol: three",
            "Sec-WebSocket-Extensions: x-one",
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover",
        )
        headers = peer.response.headers
        self.assertEqual(headers["sec-websocket-protocol"], "three")
        self.assertIn("permessage-deflate", headers["sec-websocket-extensions"])

    def test_H03_whileDeciding(self) -> None:
        """Frames that come while the application decides are kept, those of the same
        segment and later ones."""
        for segment in (1 << 16, 1):
            decision: Deferred[Any] = Deferred()
            server = self.web(lambda _, found=decision: found)
            peer = server.connect()
            peer.send(request(target="/ws"), text("one"), text("\r\n"), segment=segment)
            peer.send(text("two"), segment=segment)
            self.assertEqual(peer.received, b"")
            recorder = self.record()
            decision.callback(recorder)
            peer.pump()
            self.assertEqual(peer.response.status, 101)
            self.assertEqual(recorder.messages, ["one", "\r\n", "two"])

    def test_H03_inFront(self) -> None:
        """Those that come while resources in front take their time are kept, too."""
        found: Deferred[Any] = Deferred()

        def root(resource: Any) -> Any:
            return _Waiting(found, resource)

        recorder = self.record()
        peer = self.web(lambda _: recorder, root=root).connect()
        peer.send(request(target="/ws"))
        # Twisted before 23.10 takes a line for the next request.
        peer.send(text("one"), text("two"))
        peer.send(text("\r\n"))
        peer.send(bytes([0x82, 0xFE, 0x80, 0x00, 0, 0, 0, 0]), bytes(0x8000))
        self.assertFalse(peer.transport.reading)
        found.callback(None)
        peer.pump()
        self.assertEqual(peer.response.status, 101)
        self.assertEqual(recorder.messages, ["one", "two", "\r\n", bytes(0x8000)])
        self.assertTrue(peer.transport.reading)

    def test_H03_manyEarlyFrames(self) -> None:
        """No more of them is read than a head may have bytes."""
        decision: Deferred[Any] = Deferred()
        peer = self.web(lambda _: decision, maxHeadSize=16384).connect()
        peer.send(request(target="/ws"))
        peer.send(*[text("x" * 1000)] * 100, segment=4096)
        self.assertFalse(peer.transport.reading)
        self.assertGreater(peer.unread, 70_000)
        recorder = self.record()
        decision.callback(recorder)
        peer.pump()
        self.assertEqual(recorder.messages, ["x" * 1000] * 100)

    def test_unreadResponse(self) -> None:
        """An earlier response that the peer has not read yet holds nothing up for
        ever: reading, and later writing, go on."""
        server = self.web(echoing())
        server.root.putChild(b"large", Page(bytes(200_000)))
        peer = server.connect()
        peer.reads = False
        peer.send(plainGet(target="/large"), plainGet(target="/large"))
        self.assertTrue(peer.transport.producerPaused)
        # Twisted's channel reads no further; what it has read it goes on with.
        peer.transport.reading = True
        peer.send(request(target="/ws"), text("one"))
        peer.send(text("two"))
        peer.reads = True
        peer.pump()
        found = answers(peer)
        self.assertEqual([each.status for each in found], [200, 200, 101])
        self.assertEqual(found[2].body, b"\x81\x03one\x81\x03two")
        self.assertEqual(peer.unread, 0)

    def test_released(self) -> None:
        """Nothing of the channel remains on the transport: neither its producer nor its
        timeout; and without keepalive there is no delayed call at all."""
        server = self.web(pingInterval=0)
        peer = server.open()
        protocol = next(iter(server.factory.connections))
        self.assertIs(peer.transport.producer, protocol._sending)
        self.assertEqual(server.clock.getDelayedCalls(), [])
        server.advance(1000, 50)
        self.assertTrue(peer.isConnected)

    def test_timeoutOfTheChannel(self) -> None:
        """While the application decides, the channel's timeout does not run; after a
        refusal it does."""
        decision: Deferred[Any] = Deferred()
        server = self.web(lambda _: decision)
        peer = server.open()
        server.advance(300, 10)
        self.assertTrue(peer.isConnected)
        decision.errback(HandshakeRejected(403))
        peer.pump()
        self.assertEqual(peer.response.status, 403)
        server.advance(59, 1)
        self.assertTrue(peer.isConnected)
        server.advance(2, 1)
        self.assertFalse(peer.isConnected)

    def test_request(self) -> None:
        """The application gets our request, and through it that of twisted.web."""
        found: list[Request] = []

        def decide(asked: Request) -> Recorder:
            found.append(asked)
            return self.record()

        server = self.web(decide)
        peer = server.open(
            "Cookie: a=b", "Origin: http://example.com", target="/ws?q=1"
        )
        asked = found[0]
        self.assertEqual(
            (asked.path, asked.queryString, asked.origin, asked.secure),
            ("/ws", "q=1", "http://example.com", False),
        )
        self.assertEqual(asked.peer, peer.transport.getPeer())
        self.assertEqual(asked.localAddress, peer.transport.getHost())
        self.assertIsNone(asked.avatar)
        self.assertTrue(IRequest.providedBy(asked.webRequest))
        self.assertEqual(asked.webRequest.getCookie(b"a"), b"b")
        self.assertEqual(asked.webRequest.code, 101)
        self.assertNotIn("q=1", repr(asked))

    def test_responseIsOver(self) -> None:
        """Who writes to twisted.web's request after the 101 gets an exception, and the
        peer nothing."""
        found: list[Request] = []

        def decide(asked: Request) -> Recorder:
            found.append(asked)
            return self.record()

        peer = self.web(decide).open()
        self.assertRaises(RuntimeError, found[0].webRequest.write, b"hello")
        self.assertEqual(peer.frames, [])

    def test_secure(self) -> None:
        """Over TLS the origin is https, and the certificate is there."""
        found: list[Request] = []

        def decide(asked: Request) -> Recorder:
            found.append(asked)
            return self.record()

        server = self.web(decide)
        peer = server.connect(secure=True)
        certificate = object()
        peer.transport.certificate = certificate  # type: ignore[attr-defined]
        peer.send(request("Origin: https://example.com", target="/ws"))
        self.assertEqual(peer.response.status, 101)
        self.assertTrue(found[0].secure)
        self.assertIs(found[0].peerCertificate, certificate)
        other = server.open("Origin: http://example.com", secure=True)
        self.assertEqual(other.response.status, 403)

    def test_headers(self) -> None:
        """Cookies and headers of twisted.web's response go out with the 101, but for
        those that describe a body or are the handshake's; the application's own
        come before."""

        def decide(asked: Request) -> Recorder:
            web = asked.webRequest
            web.addCookie("one", "1")
            web.responseHeaders.addRawHeader("Set-Cookie", "two=2")
            web.setHeader("Strict-Transport-Security", "max-age=1")
            web.setHeader("X-Both", "web")
            web.setHeader("Content-Language", "en")
            web.setHeader("Upgrade", "h2c")
            web.setHeader("Sec-WebSocket-Accept", "x")
            asked.responseHeaders.add("X-Both", "application")
            asked.responseHeaders.add("Set-Cookie", "three=3")
            return self.record()

        peer = self.web(decide).open()
        head = peer.received.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        names = [line.partition(":")[0].lower() for line in head[1:]]
        cookies = [line.partition(": ")[2] for line in head if "ookie:" in line]
        self.assertEqual(sorted(cookies), ["one=1", "three=3", "two=2"])
        self.assertIn("X-Both: application", head)
        self.assertEqual(names.count("x-both"), 1)
        self.assertIn("strict-transport-security", names)
        self.assertNotIn("content-language", names)
        self.assertNotIn("date", names)
        self.assertEqual(names.count("upgrade"), 1)
        self.assertEqual(names.count("sec-websocket-accept"), 1)

    def test_H15_headers(self) -> None:
        """One that cannot be sent is answered with 500, and nothing of it is sent; the
        application that was there hears of the end."""

        def decide(asked: Request) -> Recorder:
            asked.webRequest.setHeader("X-Bad", b"a\0b")
            return recorder

        recorder = self.record()
        peer = self.web(decide).open()
        self.assertEqual(peer.response.status, 500)
        self.assertEqual(recorder.names, ["negotiationStarted", "connectionLost"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_session(self) -> None:
        """A session of twisted.web begins on a page and is found here, and one that
        begins here has its cookie in the 101."""
        sessions: list[Any] = []

        class Shop(Page):
            def render_GET(self, web: Any) -> bytes:
                sessions.append(web.getSession())
                return b""

        def decide(asked: Request) -> Recorder:
            sessions.append(asked.webRequest.getSession())
            return self.record()

        for secure in (False, True):
            sessions.clear()
            server = self.web(decide)
            server.root.putChild(b"shop", Shop(b""))
            peer = server.connect(secure=secure)
            peer.send(plainGet(target="/shop"))
            cookie = answers(peer)[0].headers["set-cookie"].partition(";")[0]
            peer.send(request(f"Cookie: {cookie}", target="/ws"))
            self.assertEqual(answers(peer)[1].status, 101)
            self.assertIs(sessions[0], sessions[1])
            other = server.open(secure=secure)
            self.assertIn("set-cookie", other.response.headers)
            for session in dict.fromkeys(sessions):
                session.expire()

    def test_avatar(self) -> None:
        """The application finds whom the resource was made for."""
        found = []

        def decide(asked: Request) -> Recorder:
            found.append(asked.avatar)
            return self.record()

        for page in (None, Page(b"")):
            server = self.web(decide, avatar="ada", page=page)
            self.assertEqual(server.open(target="/ws").response.status, 101)
            self.assertEqual(server.open(target="/ws/x").response.status, 101)
        self.assertEqual(found, ["ada"] * 4)

    def test_end(self) -> None:
        """When the connection ends, everyone who waits for twisted.web's request is
        told."""
        results: list[list[Any]] = []

        def decide(asked: Request) -> Recorder:
            results.append(firedWith(asked.webRequest.notifyFinish()))
            return self.record()

        server = self.web(decide)
        for end in (RawPeer.vanish, RawPeer.hangUp, lambda peer: peer.send(closing())):
            peer = server.open()
            self.assertEqual(results[-1], [])
            end(peer)
            self.assertFalse(peer.isConnected)
            self.assertEqual(len(results[-1]), 1)
            self.assertEqual(server.factory.connections, set())

    def test_gzip(self) -> None:
        """A resource that compresses responses does not come between."""

        def root(resource: Any) -> Any:
            return EncodingResourceWrapper(resource, [GzipEncoderFactory()])

        server = self.web(echoing(), root=root)
        peer = server.open("Accept-Encoding: gzip", target="/")
        self.assertNotIn("content-encoding", peer.response.headers)
        peer.send(text("hello"))
        self.assertEqual(peer.messages, ["hello"])

    def test_otherFactories(self) -> None:
        """A site whose protocol is the channel itself works as well."""
        server = self.web(echoing())
        server.site.protocol = HTTPChannel  # type: ignore[assignment]
        peer = server.open()
        peer.send(text("hello"))
        self.assertEqual(peer.messages, ["hello"])

    def test_S05_log(self) -> None:
        """The site logs it with its status, and without its query."""
        with logged() as lines:
            server = self.web()
            server.site.logFile = Lines(lines)
            foreign = "Origin: http://evil.example"
            peer = server.open(foreign, target="/ws?token=secret1")
            peer.send(request(target="/ws?token=secret2"))
            self.assertEqual([each.status for each in answers(peer)], [403, 101])
        everything = "\n".join(lines)
        self.assertNotIn("secret", everything)
        self.assertIn('"GET /ws HTTP/1.1" 403', everything)
        self.assertIn('"GET /ws HTTP/1.1" 101 -', everything)
        self.assertIn("Refused GET /ws?… from 192.0.2.7:50123: 403", everything)

    def test_noLog(self) -> None:
        """A channel that belongs to no factory logs nothing."""
        server = self.web()
        build: Any = server.site.buildProtocol

        def buildProtocol(address: Any) -> Any:
            channel = build(address)
            channel.factory = None
            return channel

        server.site.buildProtocol = buildProtocol  # type: ignore[method-assign]
        self.assertEqual(server.open().response.status, 101)


class Lines:
    """A file for a log.

    :param lines: what is written to it
    """

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def write(self, line: str | bytes) -> None:
        """Keep a line; older Twisted writes it in bytes."""
        self.lines.append(line if isinstance(line, str) else line.decode())


class _Waiting(Resource):
    """A resource in front that takes its time.

    :param found: fires when it may go on
    :param resource: what is behind it
    """

    def __init__(self, found: Deferred[Any], resource: Any) -> None:
        super().__init__()
        self._found = found
        self._resource = resource

    def getChildWithDefault(self, name: bytes, request: Any) -> Any:
        """Give what is behind it, later."""
        return DeferredResource(self._found.addCallback(lambda _: self._resource))


class RefusalTests(WebTestCase):
    """What is not accepted."""

    def refused(
        self, data: bytes, status: int, keeps: bool = True, **arguments: Any
    ) -> Answer:
        """Send bytes that must be refused, whole and bytewise; and then a request for
        a page, which is answered if the connection is kept."""
        for segment in (1 << 16, 1):
            with logged():
                peer = self.web(**arguments).connect()
                peer.send(data, segment=segment)
                found = answers(peer)
                self.assertEqual([each.status for each in found], [status], data[:300])
                self.assertNotIn(b"Traceback", found[0].body)
                self.assertIn("date", found[0].headers)
                self.assertEqual(peer.isConnected, keeps)
                options = found[0].headers.get("connection", "").split(", ")
                self.assertEqual("close" in options, not keeps)
                if keeps:
                    peer.send(plainGet(), segment=segment)
                    self.assertEqual(answers(peer)[1].status, 200)
        return found[0]

    def test_H04_requestLine(self) -> None:
        """Other methods get 405, HTTP/1.0 gets 505, no or several Hosts 400."""
        found = self.refused(request(target="/ws", method="PUT"), 405)
        self.assertEqual(found.headers["allow"], "GET")
        self.refused(request(target="/ws", version="HTTP/1.0"), 505, False)
        self.refused(request(target="/ws", without=("host",)), 400, False)
        two = request("Host: a", "Host: b", target="/ws")
        self.refused(two, 400, False)

    def test_H04_wholeURL(self) -> None:
        """A whole URL in the request line counts in place of Host, where twisted.web
        finds the resource by it."""
        found: list[Request] = []

        def decide(asked: Request) -> Recorder:
            found.append(asked)
            return self.record()

        server = self.web(decide, root=lambda resource: resource)
        peer = server.open(target="http://other.example/ws?x")
        self.assertEqual(peer.response.status, 101)
        asked = found[0]
        self.assertEqual(
            (asked.authority.host, asked.path, asked.queryString),
            ("other.example", "/ws", "x"),
        )

    def test_H05_key(self) -> None:
        """A key that is none gets 400."""
        for key in ("", "AAAA", "not base64 at all here!!"):
            data = request(f"Sec-WebSocket-Key: {key}", target="/ws")
            self.refused(data, 400, False)
        self.refused(request(target="/ws", without=("Sec-WebSocket-Key",)), 400, False)

    def test_H06_version(self) -> None:
        """Another version gets 426, and is told which would do."""
        found = self.refused(request("Sec-WebSocket-Version: 8", target="/ws"), 426)
        self.assertEqual(found.headers["sec-websocket-version"], "13")
        self.assertEqual(found.headers["upgrade"], "websocket")
        self.assertEqual(found.headers["connection"], "Upgrade")

    def test_H06_closing(self) -> None:
        """With a client that wants the end of the connection, it says both."""
        other = self.web().connect()
        other.send(plainGet("Connection: close", target="/ws"))
        self.assertEqual(other.response.headers["connection"], "close, Upgrade")
        self.assertFalse(other.isConnected)

    def test_H07_body(self) -> None:
        """A request with a body gets 400, and nothing of it is taken for a request."""
        inside = plainGet()
        length = request(f"Content-Length: {len(inside)}", target="/ws")
        self.refused(length + inside + inside, 400, False)
        chunked = request("Transfer-Encoding: chunked", target="/ws")
        chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(inside), inside)
        self.refused(chunked + chunk, 400, False)
        peer = self.web().open("Content-Length: 0")
        self.assertEqual(peer.response.status, 101)

    def test_H08_form(self) -> None:
        """What twisted.web lets through and our own parser does not gets 400."""
        for header in ("X: a\x01b", "X: a\x7fb", "Cookie: a\x1bb"):
            self.refused(request(header, target="/ws"), 400, False)
        self.refused(request(target="/ws/\x80"), 400, False)

    def test_H09_size(self) -> None:
        """A head that is too large, but not for twisted.web, gets 431."""
        many = [f"X-{number}: a" for number in range(100)]
        self.refused(request(*many, target="/ws"), 431)
        self.refused(request("X: " + "a" * 8190, target="/ws"), 431)
        large = request("X: " + "a" * 400, target="/ws")
        self.refused(large, 431, maxHeadSize=256, maxHeaderLine=256)
        self.refused(
            request("X: " + "a" * 100, target="/ws"),
            431,
            maxHeadSize=256,
            maxHeaderLine=256,
        )
        fits = self.web().open("X: " + "a" * 8189)
        self.assertEqual(fits.response.status, 101)

    def test_H11_origin(self) -> None:
        """A foreign origin gets 403."""
        for origin in ("http://evil.example", "null", "https://example.com"):
            self.refused(request(f"Origin: {origin}", target="/ws"), 403)
        server = self.web(allowedOrigins=("http://friend.example",))
        peer = server.open("Origin: http://friend.example")
        self.assertEqual(peer.response.status, 101)

    def test_H12_host(self) -> None:
        """A host that is not allowed gets 403; on loopback, all but loopback names."""
        self.refused(request(target="/ws"), 403, allowedHosts=("other.example",))
        server = self.web()
        for host, status in (("example.com", 403), ("localhost:8080", 101)):
            peer = server.connect(bound="127.0.0.1")
            peer.send(request(f"Host: {host}", target="/ws"))
            self.assertEqual(peer.response.status, status, host)

    def test_H13_subprotocols(self) -> None:
        """Names that are no tokens get 400."""
        data = request("Sec-WebSocket-Protocol: a b", target="/ws")
        self.refused(data, 400, False)

    def test_H16_raises(self) -> None:
        """A decision that raises is answered with 500, and logged."""

        def fail(_: Request) -> None:
            raise ZeroDivisionError("secret")

        async def failLater(_: Request) -> None:
            raise ZeroDivisionError("secret")

        for application in (fail, failLater):
            peer = self.web(application).open()
            self.assertEqual(peer.response.status, 500)
            self.assertNotIn(b"secret", peer.received)
            self.assertTrue(peer.isConnected)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_H16_brokenFactory(self) -> None:
        """So is a factory that cannot even be asked."""
        server = self.web()
        factory: Any = server.factory
        factory.factoryFor = lambda _: 1 / 0
        self.assertEqual(server.open().response.status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_H17_peerLeaves(self) -> None:
        """When the peer leaves, the decision is cancelled and nothing is written; what
        waits for twisted.web's request is told."""
        cancelled: list[Any] = []
        finished: list[list[Any]] = []
        decision: Deferred[Any] = Deferred(cancelled.append)

        def decide(asked: Request) -> Deferred[Any]:
            finished.append(firedWith(asked.webRequest.notifyFinish()))
            return decision

        peer = self.web(decide).open()
        peer.vanish()
        self.assertEqual(cancelled, [decision])
        self.assertEqual(len(finished[0]), 1)
        self.assertEqual(peer.received, b"")

    def test_H17_decidedInSpite(self) -> None:
        """A decision that does not heed being cancelled changes nothing any more."""
        recorder = self.record(negotiationStarted=lambda _: waiting)
        waiting: Deferred[Any] = Deferred(lambda each: each.callback(None))
        peer = self.web(lambda _: recorder).open()
        peer.vanish()
        self.assertTrue(waiting.called)
        self.assertEqual(peer.received, b"")
        self.assertEqual(recorder.names, ["negotiationStarted", "connectionLost"])

    def test_H17_beforeUs(self) -> None:
        """When it leaves while resources in front take their time, nothing is asked."""
        found: Deferred[Any] = Deferred()
        server = self.web(root=lambda resource: _Waiting(found, resource))
        peer = server.open()
        peer.vanish()
        found.callback(None)
        self.assertEqual(self._recorders, [])

    def test_H18_limits(self) -> None:
        """One connection too many gets 503; those that ended do not count, nor do
        refusals and pages."""
        server = self.web(maxConnections=1, maxConnectionsPerAddress=1)
        for _ in range(3):
            self.assertEqual(server.open(without=("host",)).response.status, 400)
        first = server.open()
        self.assertEqual(first.response.status, 101)
        peer = server.open()
        self.assertEqual(peer.response.status, 503)
        self.assertEqual(peer.response.headers["retry-after"], "10")
        self.assertEqual(peer.response.headers["connection"], "close")
        self.assertFalse(peer.isConnected)
        first.vanish()
        self.assertEqual(server.open().response.status, 101)

    def test_H19_plain(self) -> None:
        """An ordinary request gets 426, whatever its method."""
        for data in (
            plainGet(target="/ws"),
            plainGet("Upgrade: h2c", target="/ws"),
            plainGet(target="/ws/x", method="OPTIONS"),
            plainGet("Content-Length: 2", target="/ws", method="POST") + b"ab",
        ):
            found = self.refused(data, 426)
            self.assertEqual(found.headers["upgrade"], "websocket")
            self.assertEqual(found.headers["sec-websocket-version"], "13")
            self.assertIn(b"426 Upgrade Required", found.body)

    def test_head(self) -> None:
        """HEAD gets the headers alone."""
        peer = self.web().connect()
        peer.send(plainGet(target="/ws", method="HEAD"))
        self.assertTrue(peer.received.startswith(b"HTTP/1.1 426 Upgrade Required\r\n"))
        self.assertTrue(peer.received.endswith(b"\r\n\r\n"))
        self.assertIn(b"Content-Length: 49\r\n", peer.received)

    def test_response(self) -> None:
        """A refusal of the application's is sent as it is, its headers in place of
        twisted.web's, cookies beside others."""

        def decide(asked: Request) -> None:
            asked.webRequest.addCookie("one", "1")
            asked.webRequest.setHeader("X-Kept", "yes")
            raise HandshakeRejected(
                401,
                [
                    ("WWW-Authenticate", "Basic"),
                    ("WWW-Authenticate", "Bearer"),
                    ("Set-Cookie", "two=2"),
                    ("Server", "none of yours"),
                    ("X-Latin", "\xe9"),
                ],
                "who are you?",
            )

        peer = self.web(decide).open()
        head, _, body = peer.received.partition(b"\r\n\r\n")
        self.assertEqual(body, b"who are you?")
        lines = [line.lower() for line in head.split(b"\r\n")]
        self.assertEqual(lines[0], b"http/1.1 401 unauthorized")
        for line in (
            b"www-authenticate: basic",
            b"www-authenticate: bearer",
            b"set-cookie: one=1",
            b"set-cookie: two=2",
            b"server: none of yours",
            b"x-kept: yes",
            b"x-latin: \xe9",
            b"content-length: 12",
        ):
            self.assertIn(line, lines)
        self.assertEqual(len([line for line in lines if b"server:" in line]), 1)
        self.assertNotIn(b"connection: close", lines)

    def test_odd(self) -> None:
        """A status without a phrase, and one without a body."""

        def decide(asked: Request) -> None:
            raise HandshakeRejected(int(asked.queryString))

        server = self.web(decide)
        peer = server.open(target="/ws?599")
        self.assertEqual(peer.response.status, 599)
        peer = server.open(target="/ws?304")
        self.assertEqual((peer.response.status, peer.response.body), (304, b""))
        peer.send(plainGet())
        self.assertEqual(answers(peer)[1].status, 200)

    def test_none(self) -> None:
        """No protocol is 404."""
        self.assertEqual(self.web(lambda _: None).open().response.status, 404)

    def test_late(self) -> None:
        """A refusal that took its time keeps the connection as well."""
        decision: Deferred[Any] = Deferred()
        peer = self.web(lambda _: decision).open()
        decision.errback(HandshakeRejected(403))
        peer.send(plainGet(), request(target="/ws", without=("host",)))
        self.assertEqual([each.status for each in answers(peer)], [403, 200, 400])

    def test_earlyFramesRefused(self) -> None:
        """Bytes that came behind a request that is refused are no request: whatever
        they say, nothing is served by them, and the connection ends."""
        for when in ("at once", "later"):
            for inside in (text("hello"), plainGet(), b"\r\n"):
                decision: Deferred[Any] = Deferred()
                peer = self.web(lambda _, found=decision: found).connect()
                if when == "at once":
                    decision.errback(HandshakeRejected(403))
                    peer.send(request(target="/ws"), inside)
                else:
                    peer.send(request(target="/ws"), inside)
                    peer.send(inside)
                    decision.errback(HandshakeRejected(403))
                    peer.pump()
                found = answers(peer)
                self.assertEqual([each.status for each in found], [403])
                self.assertEqual(found[0].headers["connection"], "close")
                self.assertFalse(peer.isConnected)

    def test_earlyFramesAfterRefusal(self) -> None:
        """What comes on a connection that is about to end is dropped."""
        decision: Deferred[Any] = Deferred()
        peer = self.web(lambda _: decision).connect()
        peer.send(request(target="/ws"), text("a"))
        peer.reads = False
        decision.errback(HandshakeRejected(403))
        peer.protocol.dataReceived(plainGet())
        peer.reads = True
        peer.pump()
        self.assertEqual([each.status for each in answers(peer)], [403])

    def test_inNegotiationStarted(self) -> None:
        """An application that refuses when it is there already hears of the end at
        once, though the connection lasts; and can do no harm to it."""

        def refuse(recorder: Recorder) -> None:
            recorder.transport.sendTextMessage("never")
            raise HandshakeRejected(403)

        def nothing(recorder: Recorder) -> None:
            recorder.transport.sendTextMessage("never")
            recorder.transport.loseConnection()
            recorder.transport.abortConnection()
            recorder.transport.resumeProducing()

        recorder = Recorder(negotiationStarted=refuse, connectionLost=nothing)
        server = self.web(recorder)
        peer = server.open()
        self.assertEqual(peer.response.status, 403)
        self.assertEqual(recorder.names, ["negotiationStarted", "connectionLost"])
        self.assertEqual(recorder.reason.code, 1006)
        self.assertEqual(server.factory.connections, set())
        nothing(recorder)
        peer.send(plainGet())
        self.assertEqual(answers(peer)[1].status, 200)

    def test_leavingInNegotiationStarted(self) -> None:
        """One that waits there when the peer leaves is cancelled, and then told."""
        waiting: Deferred[Any] = Deferred()
        recorder = Recorder(negotiationStarted=lambda _: waiting)
        peer = self.web(recorder).open()
        peer.vanish()
        self.assertEqual(recorder.names, ["negotiationStarted", "connectionLost"])
        self.assertIsInstance(firedWith(waiting), list)

    def test_notHTTP1(self) -> None:
        """A connection that cannot be taken over is refused with 501, and logged."""
        for channel, header in (
            (DummyChannel(), b"websocket"),
            (None, b"websocket"),
            (None, b""),
        ):
            web = WebRequest(DummyChannel(), False)
            web.channel = channel  # type: ignore[assignment]
            web.requestHeaders.setRawHeaders(b"upgrade", [header])
            web.uri = web.path = b"/ws"
            web.clientproto = b"HTTP/1.1"
            web.gotLength(0)
            with logged() as lines:
                WebSocketResource(Recorder).render(web)
            if channel is not None:
                written = channel.transport.written.getvalue()
                self.assertTrue(written.startswith(b"HTTP/1.1 501 "))
                self.assertIn(
                    "DummyChannel is no HTTP/1.1 connection", "\n".join(lines)
                )
            else:
                self.assertEqual(lines, [])

    def test_HTTP2(self) -> None:
        """In HTTP/2 there are no such headers as Upgrade and Connection."""
        channel = DummyChannel()
        web = WebRequest(channel, False)
        web.uri = web.path = b"/ws"
        web.clientproto = b"HTTP/2"
        web.gotLength(0)
        WebSocketResource(Recorder).render(web)
        head = channel.transport.written.getvalue().partition(b"\r\n\r\n")[0]
        self.assertTrue(head.startswith(b"HTTP/2 426 "))
        names = [line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]]
        self.assertNotIn(b"upgrade", names)
        self.assertNotIn(b"connection", names)
        self.assertIn(b"sec-websocket-version", names)

    def test_outOfOrder(self) -> None:
        """A request that is rendered before the one ahead of it has its response, as
        Twisted did before 23.10, ends the connection."""
        server = self.web()
        rendered: list[Any] = []

        class Slow(Page):
            def render_GET(self, web: Any) -> Any:
                rendered.append(web)
                return 1

        server.root.putChild(b"slow", Slow(b""))
        peer = server.connect()
        peer.send(plainGet(target="/slow"))
        channel = rendered[0].channel
        web = WebRequest(channel, False)
        web.requestHeaders.setRawHeaders(b"upgrade", [b"websocket"])
        channel.requests.append(web)
        server.resource.render(web)
        self.assertTrue(peer.transport.aborted)
        server.advance(0.1)
        self.assertEqual(peer.received, b"")

    def test_head505(self) -> None:
        """A version that is none gets 400 or, from twisted.web, nothing better."""
        peer = self.web().connect()
        peer.send(request(target="/ws", version="HTTP/1.x"))
        self.assertEqual(answers(peer)[0].status, 400)


class OpenTests(WebTestCase):
    """Connections that are open: as on a port of their own."""

    def test_T01_silent(self) -> None:
        """A silent peer is pinged, and then closed with 1011."""
        server = self.web()
        peer = server.open()
        server.advance(21, 0.5)
        self.assertEqual([first for first, _ in peer.frames], [0x89])
        server.advance(21, 0.5)
        self.assertEqual(peer.closeFrame and peer.closeFrame[0], 1011)

    def test_T02_closing(self) -> None:
        """A closing handshake that is not answered ends after a time."""
        recorder = Recorder(
            negotiationFinished=lambda each: each.transport.loseConnection()
        )
        server = self.web(recorder)
        peer = server.open()
        self.assertEqual(peer.closeFrame, (1000, ""))
        server.advance(11, 0.5)
        self.assertTrue(peer.transport.aborted)
        self.assertEqual(recorder.reason.code, 1006)

    def test_T03_messages(self) -> None:
        """A message that never ends fails with 1008, if that is asked for."""
        server = self.web(messageTimeout=5)
        peer = server.open()
        peer.send(frame(0x01, b"begun"))
        server.advance(6, 0.5)
        self.assertEqual(peer.closeFrame and peer.closeFrame[0], 1008)

    def test_T04_all(self) -> None:
        """closeConnections reaches all: those that are open, and those that are being
        decided on; what twisted.web has of others stays."""
        decision: Deferred[Any] = Deferred()
        decided: list[Any] = [self.record(), decision]
        server = self.web(lambda _: decided.pop(0))
        opened, pending, page = server.open(), server.open(), server.connect()
        page.send(plainGet())
        closed = firedWith(server.factory.closeConnections())
        opened.pump()
        self.assertEqual(opened.closeFrame, (1001, "going away"))
        pending.pump()
        self.assertEqual(pending.response.status, 503)
        self.assertFalse(pending.isConnected)
        self.assertTrue(page.isConnected)
        self.assertTrue(decision.called)
        self.assertEqual(closed, [])
        opened.send(closing(1001))
        server.advance(0)
        self.assertEqual(closed, [None])

    def test_T04_refused(self) -> None:
        """Nobody is told that all connections have ended before the reactor had a turn
        to write what those get that are being decided on."""
        server = self.web(lambda _: Deferred())
        pending = server.open()
        closed = firedWith(server.factory.closeConnections())
        self.assertEqual(closed, [])
        pending.pump()
        self.assertEqual(pending.response.status, 503)
        self.assertFalse(pending.isConnected)
        server.advance(0)
        self.assertEqual(closed, [None])
        self.assertEqual(server.factory.connections, set())

    def test_T04_abort(self) -> None:
        """abortConnections ends them at once, in whatever state."""
        decision: Deferred[Any] = Deferred()
        decided: list[Any] = [self.record(), decision]
        server = self.web(lambda _: decided.pop(0))
        opened, pending = server.open(), server.open()
        aborted = firedWith(server.factory.abortConnections())
        server.advance(0.1)
        self.assertEqual(aborted, [None])
        self.assertFalse(opened.isConnected or pending.isConnected)
        self.assertEqual(pending.received, b"")

    def test_F12_slowConsumer(self) -> None:
        """A peer that does not read is told of, and ends at maxSendBuffer."""
        recorder = echoing()
        server = self.web(recorder, highWaterMark=65536, maxSendBuffer=131072)
        peer = server.open()
        peer.reads = False
        peer.transport.reading = True
        for _ in range(8):
            recorder.transport.sendBytesMessage(bytes(50_000))
        self.assertIn("sendBufferFull", recorder.names)
        peer.reads = True
        peer.pump()
        self.assertEqual(peer.closeFrame and peer.closeFrame[0], 1008)

    def test_backpressure(self) -> None:
        """Nothing is read while a hook waits, or while the peer does not read."""
        waiting: Deferred[None] = Deferred()
        recorder = Recorder(textMessageReceived=lambda *_: waiting)
        peer = self.web(recorder).open()
        peer.send(text("one"))
        self.assertFalse(peer.transport.reading)
        peer.send(text("two"))
        self.assertEqual(peer.unread, 9)
        waiting.callback(None)
        peer.pump()
        self.assertEqual(recorder.messages, ["one", "two"])
        peer.reads = False
        recorder.transport.sendBytesMessage(bytes(100_000))
        self.assertFalse(peer.transport.reading)
        peer.reads = True
        peer.pump()
        self.assertTrue(peer.transport.reading)

    def test_D01_compression(self) -> None:
        """Messages are compressed as agreed."""
        peer = self.web(echoing()).open("Sec-WebSocket-Extensions: permessage-deflate")
        extension = peer.response.headers["sec-websocket-extensions"]
        self.assertTrue(extension.startswith("permessage-deflate"))
        from twisted_ws.offers import DeflateParameters

        client = Connection(Role.CLIENT, Options(), deflate=DeflateParameters())
        peer.send(client.sendText("hello " * 100))
        self.assertEqual(client.receive(peer.response.body), ["hello " * 100])


class TreeTests(WebTestCase):
    """Its place among other resources."""

    def fetch(self, server: WebServer, target: str, *extra: str) -> Answer:
        """Get a page."""
        peer = server.connect()
        peer.send(plainGet(*extra, target=target))
        return answers(peer)[0]

    def test_page(self) -> None:
        """A page serves what does not ask for WebSocket, at its place and under it."""
        page = Page(b"above")
        page.putChild(b"child", Page(b"below"))
        server = self.web(page=page)
        for target, status, body in (
            ("/ws", 200, b"above"),
            ("/ws/child", 200, b"below"),
            ("/ws/none", 404, None),
        ):
            found = self.fetch(server, target)
            self.assertEqual(found.status, status)
            if body is not None:
                self.assertEqual(found.body, body)
            self.assertEqual(server.open(target=target).response.status, 101)

    def test_pageAtTheRoot(self) -> None:
        """The root may be one: pages and WebSocket at the same paths."""
        page = Page(b"")
        page.putChild(b"", Page(b"root"))
        server = self.web(page=page, root=lambda resource: resource)
        self.assertEqual(self.fetch(server, "/").body, b"root")
        for target in ("/", "/x"):
            self.assertEqual(server.open(target=target).response.status, 101)

    def test_leaf(self) -> None:
        """A page that is a leaf gets the rest of the path."""
        server = self.web(page=Leaf(b"leaf"))
        self.assertEqual(self.fetch(server, "/ws/a/b").body, b"leaf a/b")
        self.assertEqual(self.fetch(server, "/ws").body, b"leaf ")

    def test_putChild(self) -> None:
        """Children go to the page; without one there can be none."""
        server = self.web(page=Page(b""))
        server.resource.putChild(b"x", Page(b"child"))
        self.assertEqual(self.fetch(server, "/ws/x").body, b"child")
        alone = WebSocketResource(Recorder)
        self.assertRaises(TypeError, alone.putChild, b"x", Page(b""))

    def test_childOfALeaf(self) -> None:
        """Asked for a child all the same, as resources in front may, it has the rest of
        the path."""
        resource = WebSocketResource(Recorder)
        web = WebRequest(DummyChannel(), False)
        web.prepath, web.postpath = [b"ws", b"x"], [b"y"]
        child = resource.getChildWithDefault(b"x", web)
        self.assertTrue(child.isLeaf)
        self.assertEqual((web.prepath, web.postpath), ([b"ws"], [b"x", b"y"]))

    def test_virtualHosts(self) -> None:
        """Each name may have its own."""
        recorders = {"one": self.record(), "two": self.record()}

        def root(_: Any) -> Any:
            hosts = NameVirtualHost()
            for name, recorder in recorders.items():

                def give(_: Any, found: Recorder = recorder) -> Recorder:
                    return found

                factory = WebSocketServerFactory(give, reactor=clock[0])
                hosts.addHost(f"{name}.example".encode(), WebSocketResource(factory))
            return hosts

        clock: list[Any] = [self.web().clock]
        server = self.web(root=root)
        for name, recorder in recorders.items():
            for target in ("/", "/x"):
                with self.subTest(name=name, target=target):
                    recorder.calls.clear()
                    peer = server.open(f"Host: {name}.example", target=target)
                    self.assertEqual(peer.response.status, 101)
                    self.assertEqual(recorder.names[0], "negotiationStarted")
                    peer.vanish()
        self.assertEqual(server.open("Host: other", target="/").response.status, 404)
        self.assertEqual(clock[0].getDelayedCalls(), [])

    def test_virtualHostMonster(self) -> None:
        """Behind a proxy that puts scheme and host in front of the path, those count,
        for the origin, too."""
        found: list[Request] = []

        def decide(asked: Request) -> Recorder:
            found.append(asked)
            return self.record()

        def root(resource: Any) -> Any:
            top = Tree()
            top.putChild(b"vhost", VHostMonsterResource())
            top.putChild(b"ws", resource)
            return top

        server = self.web(decide, root=root)
        peer = server.open(
            "Origin: https://public.example",
            target="/vhost/https/public.example:443/ws/x?q=1",
        )
        self.assertEqual(peer.response.status, 101)
        asked = found[0]
        self.assertEqual(
            (asked.authority.host, asked.path, asked.secure),
            ("public.example", "/ws/x", True),
        )
        refused = server.open(
            "Origin: http://example.com",
            target="/vhost/https/public.example:443/ws",
        )
        self.assertEqual(refused.response.status, 403)

    def test_rewrite(self) -> None:
        """A path that was rewritten is the path; the query stays."""
        found: list[Request] = []

        def decide(asked: Request) -> Recorder:
            found.append(asked)
            return self.record()

        def rule(web: Any) -> None:
            if web.postpath[:1] == [b"old"]:
                web.postpath[0] = b"ws"
                web.path = b"/" + b"/".join(web.prepath + web.postpath)

        def root(resource: Any) -> Any:
            top = Tree()
            top.putChild(b"ws", resource)
            return RewriterResource(top, rule)

        peer = self.web(decide, root=root).open(target="/old/x?q=1")
        self.assertEqual(peer.response.status, 101)
        self.assertEqual((found[0].path, found[0].queryString), ("/ws/x", "q=1"))

    def test_siteSubclass(self) -> None:
        """A site may make requests of its own kind."""

        class Own(WebRequest):
            pass

        class OwnSite(Site):
            requestFactory = Own

        found: list[Request] = []

        def decide(asked: Request) -> Recorder:
            found.append(asked)
            return self.record()

        server = self.web(decide)
        server.site = OwnSite(server.root, reactor=server.clock)
        self.assertEqual(server.open().response.status, 101)
        self.assertIsInstance(found[0].webRequest, Own)

    def test_guard(self) -> None:
        """Who twisted.web.guard let in reaches the factory, all share one; who it does
        not is challenged on a connection that lasts; and logging out is the end of the
        connection."""
        loggedOut: list[bytes] = []
        found: list[Any] = []

        class Realm:
            def requestAvatar(self, name: Any, _: Any, *interfaces: Any) -> Any:
                resource = WebSocketResource(server.factory, avatar=name)
                return interfaces[0], resource, lambda: loggedOut.append(name)

        def decide(asked: Request) -> Recorder:
            found.append(asked.avatar)
            return self.record()

        server = self.web(decide)
        checker = InMemoryUsernamePasswordDatabaseDontUse(ada=b"secret", bob=b"other")
        guard = HTTPAuthSessionWrapper(
            Portal(Realm(), [checker]),  # type: ignore[arg-type]
            [BasicCredentialFactory(b"example")],
        )
        server.root.putChild(b"ws", guard)
        peer = server.open()
        self.assertEqual(peer.response.status, 401)
        # ada:secret
        peer.send(request("Authorization: Basic YWRhOnNlY3JldA==", target="/ws/x"))
        self.assertEqual([each.status for each in answers(peer)], [401, 101])
        # bob:other
        other = server.open("Authorization: Basic Ym9iOm90aGVy")
        self.assertEqual(other.response.status, 101)
        self.assertEqual(found, [b"ada", b"bob"])
        self.assertEqual(len(server.factory.connections), 2)
        self.assertEqual(loggedOut, [])
        peer.send(closing())
        self.assertEqual(loggedOut, [b"ada"])


class MakingTests(SynchronousTestCase):
    """What a resource is made of."""

    def test_application(self) -> None:
        """An application gets a factory, with the options that are given."""
        options = ServerOptions(maxMessageSize=5)
        resource = WebSocketResource(Recorder, options=options)
        self.assertIs(resource.factory.application, Recorder)
        self.assertIs(resource.factory.options, options)
        self.assertTrue(resource.isLeaf)
        self.assertFalse(WebSocketResource(Recorder, Page(b"")).isLeaf)

    def test_wrong(self) -> None:
        """What is neither is an error, and so are options for a factory."""
        wrong: Any = 5
        self.assertRaises(TypeError, WebSocketResource, wrong)
        other: Any = Factory()
        error = self.assertRaises(TypeError, WebSocketResource, other)
        self.assertIn("protocols for connections", str(error))
        factory = WebSocketServerFactory(Recorder)
        self.assertRaises(
            TypeError, WebSocketResource, factory, options=ServerOptions()
        )

    def test_twistedWeb(self) -> None:
        """The installed Twisted has all that is used of it. When this fails, a new
        version has changed what is private to it: see ``_Channel``."""
        self.assertEqual(_Channel.missing(HTTPChannel), [])
        checkTwistedWeb()

    def test_otherTwistedWeb(self) -> None:
        """One that has not is an error that says so."""

        class Changed(HTTPChannel):
            def __init__(self) -> None:
                super().__init__()
                del self._dataBuffer

            @property
            def requests(self) -> Any:
                raise AttributeError

            @requests.setter
            def requests(self, _: Any) -> None:
                pass

        self.assertEqual(_Channel.missing(Changed), ["_dataBuffer", "requests"])
        error = self.assertRaises(RuntimeError, checkTwistedWeb, Changed)
        self.assertIn("HTTPChannel has no _dataBuffer, requests", str(error))
        self.assertIn("site=", str(error))
        self.assertEqual(_Channel.missing(object)[0], "clearLineBuffer")
