"""Which application serves which path."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.support import RoutesServer, WireTestCase
from twisted_ws.errors import BadHandshake, HandshakeRejected, InvalidOption
from twisted_ws.factory import WebSocketServerFactory
from twisted_ws.handshake import Request
from twisted_ws.headers import Headers
from twisted_ws.interfaces import WebSocketProtocol
from twisted_ws.options import ServerOptions
from twisted_ws.origins import Authority
from twisted_ws.routes import Route, Routes
from twisted_ws.testing import Recorder, plainGet, request, text
from twisted_ws.websocket import WebSocket


class First(WebSocketProtocol):
    """An application."""


class Second(WebSocketProtocol):
    """Another application."""


class Third(WebSocketProtocol):
    """A third one."""


def requestFor(path: str) -> Request:
    """Make a request for a path."""
    return Request(path, "", Headers(), Authority("example.com", None), False)


class MatchingTests(SynchronousTestCase):
    """Patterns and paths."""

    def served(self, routes: Routes, path: str) -> Any:
        """Give the application for a path, None if there is none, and parameters."""
        asked = requestFor(path)
        try:
            factory = routes.factoryFor(asked)
        except BadHandshake as rejection:
            self.assertEqual(rejection.status, 404)
            self.assertEqual(dict(asked.pathParameters), {})
            return None
        return factory.application, dict(asked.pathParameters)

    def test_literals(self) -> None:
        """A path is compared whole, segment by segment."""
        routes = Routes({"/": First, "/chat": Second, "/chat/room": Third})
        for path, application in (
            ("/", First),
            ("/chat", Second),
            ("/chat/room", Third),
        ):
            self.assertEqual(self.served(routes, path), (application, {}))
        for path in (
            "/chat/",
            "//chat",
            "/Chat",
            "/chat/room/1",
            "/cha",
            "//",
            "/chat/",
        ):
            self.assertIsNone(self.served(routes, path), path)

    def test_parameters(self) -> None:
        """A part in braces stands for one segment that is not empty."""
        routes = Routes({"/feed/{name}": First, "/{a}/x/{b}": Second})
        self.assertEqual(self.served(routes, "/feed/news"), (First, {"name": "news"}))
        self.assertEqual(self.served(routes, "/1/x/2"), (Second, {"a": "1", "b": "2"}))
        for path in ("/feed/", "/feed", "/feed/a/b", "//x/2"):
            self.assertIsNone(self.served(routes, path), path)

    def test_decoding(self) -> None:
        """Both sides are percent-decoded as UTF-8, values by segment, so that a slash
        may be in one; a path that is not UTF-8 matches no pattern."""
        routes = Routes(
            {"/caf\u00e9/{dr\u00e4nk}": First, "/100%25/a%2fb": Second}, default=Third
        )
        drink = "dr\u00e4nk"
        for path, expected in (
            ("/caf%C3%A9/a%2Fb%20c", (First, {drink: "a/b c"})),
            ("/%63af%c3%a9/%7Bx%7D", (First, {drink: "{x}"})),
            ("/caf%C3%A9/+", (First, {drink: "+"})),
            ("/100%25/a%2Fb", (Second, {})),
            ("/100%25/a/b", (Third, {})),
            ("/caf%E9/x", (Third, {})),
            ("/caf%C3%A9/%FF", (Third, {})),
        ):
            self.assertEqual(self.served(routes, path), expected, path)

    def test_overlap(self) -> None:
        """Where patterns differ first, the literal one is better, whatever their order
        and whatever comes behind."""
        patterns = {
            "/feed/news": "both literal",
            "/feed/{name}": "first literal",
            "/{kind}/news": "second literal",
            "/{kind}/{name}": "none",
            "/feed/{name}/x": "longer",
            "/{kind}/news/{more}": "longer with literals",
        }
        for names in (list(patterns), list(reversed(patterns))):
            served = {pattern: WebSocketServerFactory(First) for pattern in names}
            routes = Routes(served)
            for path, expected in (
                ("/feed/news", "both literal"),
                ("/feed/sport", "first literal"),
                ("/blog/news", "second literal"),
                ("/blog/sport", "none"),
                ("/feed/news/x", "longer"),
                ("/feed/news/y", "longer with literals"),
            ):
                factory = routes.factoryFor(requestFor(path))
                found = [each for each, which in served.items() if which is factory]
                self.assertEqual([patterns[each] for each in found], [expected], path)

    def test_linear(self) -> None:
        """However patterns overlap, a path is gone through once: long ones and such as
        make others go back and forth take no time to speak of."""
        deep = 12
        patterns = {}
        for number in range(1 << deep):
            parts = ["a" if number >> bit & 1 else f"{{p{bit}}}" for bit in range(deep)]
            patterns["/" + "/".join([*parts, "end"])] = First
        routes = Routes(patterns)
        for path in (
            "/a" * deep + "/END",
            "/a" * deep,
            "/a" * 100_000,
            "/" * 100_000,
            "/" + "a%2F" * 100_000,
        ):
            began = time.process_time()
            self.assertIsNone(self.served(routes, path))
            self.assertLess(time.process_time() - began, 0.5, path[:40])
        self.assertEqual(self.served(routes, "/a" * deep + "/end")[1], {})

    def test_malformed(self) -> None:
        """What is no pattern is an error when it is given, which says what is wrong."""
        for pattern, why in (
            ("chat", "begins with a slash"),
            ("", "begins with a slash"),
            ("/a b", "without spaces"),
            ("/a\n", "without spaces"),
            ("/a?b", "query or a fragment"),
            ("/a#b", "query or a fragment"),
            ("/a%2", "two hexadecimal digits"),
            ("/%zz", "two hexadecimal digits"),
            ("/caf%E9", "not UTF-8"),
            ("/a{b}", "around a whole segment"),
            ("/{a}b", "around a whole segment"),
            ("/{a", "around a whole segment"),
            ("/a}", "around a whole segment"),
            ("/{", "around a whole segment"),
            ("/{}", "no identifier: ''"),
            ("/{a-b}", "no identifier: 'a-b'"),
            ("/{a}/{a}", "'a' twice"),
            (b"/a", "is not a str"),
        ):
            routes: Any = {pattern: First}
            error = self.assertRaises(ValueError, Routes, routes)
            self.assertIn(why, str(error), pattern)
            self.assertIn(repr(pattern), str(error))

    def test_twice(self) -> None:
        """Two patterns for the same paths are an error."""
        for one, other in (
            ("/{a}", "/{b}"),
            ("/a", "/%61"),
            ("/x/{a}/y", "/x/{b}/y"),
        ):
            error = self.assertRaises(ValueError, Routes, {one: First, other: Second})
            self.assertIn(f"{other!r} matches the same paths as {one!r}", str(error))

    def test_applications(self) -> None:
        """What may be served is what a factory may serve, a route, or a factory."""
        options = ServerOptions(maxMessageSize=1000)
        own = ServerOptions(maxMessageSize=10)
        factory = WebSocketServerFactory(Third)
        routes = Routes(
            {"/1": First, "/2": Route(Second), "/3": Route(Second, own), "/4": factory},
            options=options,
        )
        found = [routes.factoryFor(requestFor(f"/{number}")) for number in range(1, 5)]
        self.assertEqual(
            [each.application for each in found], [First, Second, Second, Third]
        )
        self.assertEqual(
            [each.options for each in found],
            [options, options, own, ServerOptions()],
        )
        self.assertIs(found[3], factory)
        self.assertEqual(routes.factories, found)
        self.assertEqual(routes.patterns, ["/1", "/2", "/3", "/4"])

    def test_default(self) -> None:
        """The default has every other path, of whatever form."""
        routes = Routes({"/a": First}, Route(Second))
        self.assertEqual(self.served(routes, "/a"), (First, {}))
        for path in ("/", "/b", "/%FF", "/a/b"):
            self.assertEqual(self.served(routes, path), (Second, {}))
        self.assertEqual(
            [each.application for each in routes.factories], [First, Second]
        )
        self.assertEqual(self.served(Routes({}, First), "/"), (First, {}))
        self.assertIsNone(self.served(Routes({}), "/"))

    def test_wrongApplications(self) -> None:
        """What cannot be served is an error when it is given."""
        nothing: Any = 5
        for wrong, why in (
            (nothing, "neither a protocol class"),
            (Routes({}), "a route cannot be Routes"),
        ):
            for make in (
                lambda each: Routes({"/a": each}),
                lambda each: Routes({}, each),
            ):
                error = self.assertRaises(TypeError, make, wrong)
                self.assertIn(why, str(error))
        withPath = WebSocketServerFactory(First, path="/b")
        error = self.assertRaises(ValueError, Routes, {"/a": withPath})
        self.assertIn("a path of its own, '/b'", str(error))

    def test_changeOptions(self) -> None:
        """Options are changed on all routes, each once."""
        factory = WebSocketServerFactory(First, ServerOptions(pingInterval=1))
        routes = Routes({"/a": factory, "/b": factory, "/{c}/d": Second}, Third)
        self.assertEqual(len(routes.factories), 4)
        routes.changeOptions(maxMessageSize=77)
        for each in (routes, *routes.factories):
            self.assertEqual(each.options.maxMessageSize, 77)
        self.assertEqual(factory.options.pingInterval, 1)
        self.assertRaises(InvalidOption, routes.changeOptions, maxMessageSize=-1)

    def test_undecided(self) -> None:
        """Asked to decide itself, it refuses."""
        refused = self.assertRaises(
            HandshakeRejected, Routes({}).protocolForRequest, requestFor("/")
        )
        self.assertEqual(refused.status, 404)


class ServingTests(WireTestCase):
    """Connections that come by a route."""

    serverKind = RoutesServer

    def test_parameters(self) -> None:
        """The application finds the values in the request."""
        found = []

        def decide(asked: Request) -> Recorder:
            found.append(dict(asked.pathParameters))
            return self.record()

        peer = self.serve({"/feed/{name}": decide}).open(target="/feed/caf%C3%A9?x=y")
        self.assertEqual(peer.response.status, 101)
        self.assertEqual(found, [{"name": "caf\u00e9"}])

    def test_notFound(self) -> None:
        """Other paths get 404; but who may not connect at all gets 403 there, too."""
        server = self.serve({"/a": First})
        self.assertEqual(server.open(target="/b").response.status, 404)
        foreign = server.open("Origin: http://evil.example", target="/b")
        self.assertEqual(foreign.response.status, 403)

    def test_F05_limits(self) -> None:
        """Each route has its own limit for messages."""
        small = self.record()
        large = self.record()
        server = self.serve(
            {
                "/small": Route(lambda _: small, ServerOptions(maxMessageSize=10)),
                "/large": lambda _: large,
            }
        )
        for path, recorder in (("/small", small), ("/large", large)):
            peer = server.open(target=path)
            peer.send(text("0123456789"), text("0123456789a"))
            if recorder is small:
                self.assertEqual(peer.closeFrame and peer.closeFrame[0], 1009)
        self.assertEqual(small.messages, ["0123456789"])
        self.assertEqual(large.messages, ["0123456789", "0123456789a"])

    def test_H11_origins(self) -> None:
        """Each route has its own origins and hosts."""
        server = self.serve(
            {
                "/open": Route(
                    self.record,
                    ServerOptions(allowedOrigins=("http://friend.example",)),
                ),
                "/host": Route(
                    self.record, ServerOptions(allowedHosts=("other.example",))
                ),
                "/closed": self.record,
            }
        )
        friend = "Origin: http://friend.example"
        for path, header, status in (
            ("/open", friend, 101),
            ("/open", "Origin: http://evil.example", 403),
            ("/closed", friend, 403),
            ("/host", "Host: other.example", 101),
            ("/host", "Host: example.com", 403),
            ("/closed", "Host: other.example", 101),
        ):
            found = server.open(header, target=path).response.status
            self.assertEqual(found, status, (path, header))

    def test_subprotocols(self) -> None:
        """Each route has its own subprotocols, and its compression."""
        server = self.serve(
            {
                "/a": Route(
                    self.record,
                    ServerOptions(subprotocols=("one",), compression="none"),
                ),
                "/b": Route(self.record, ServerOptions(subprotocols=("two",))),
            }
        )
        for path, name, compressed in (("/a", "one", False), ("/b", "two", True)):
            headers = server.open(
                "Sec-WebSocket-Protocol: one, two",
                "Sec-WebSocket-Extensions: permessage-deflate",
                target=path,
            ).response.headers
            self.assertEqual(headers["sec-websocket-protocol"], name)
            self.assertIs("sec-websocket-extensions" in headers, compressed)

    def test_T01_pings(self) -> None:
        """Each route has its own times."""
        quick = ServerOptions(pingInterval=1, pingTimeout=1)
        server = self.serve({"/a": Route(self.record, quick), "/b": self.record})
        one, other = server.open(target="/a"), server.open(target="/b")
        server.advance(3, 0.25)
        self.assertEqual(one.closeFrame and one.closeFrame[0], 1011)
        self.assertIsNone(other.closeFrame)

    def test_H18_counted(self) -> None:
        """Connections are counted by the whole and by their route, and are gone from
        both when they have ended."""
        each = WebSocketServerFactory(
            self.record, ServerOptions(maxConnections=1, maxConnectionsPerAddress=1)
        )
        server = self.serve(
            {"/a": each, "/b": self.record},
            maxConnections=3,
            maxConnectionsPerAddress=3,
        )
        first = server.open(target="/a")
        self.assertEqual(first.response.status, 101)
        refused = server.open(target="/a").response
        self.assertEqual((refused.status, refused.headers["retry-after"]), (503, "10"))
        self.assertEqual(len(each.connections), 1)
        self.assertEqual(each.connections, server.factory.connections)
        self.assertEqual(server.open(target="/b").response.status, 101)
        self.assertEqual(server.open(target="/b").response.status, 101)
        self.assertEqual(server.open(target="/b").response.status, 503)
        first.vanish()
        self.assertEqual(each.connections, set())
        self.assertEqual(each._perAddress, {})
        self.assertEqual(server.open(target="/a").response.status, 101)

    def test_T04_close(self) -> None:
        """A route's factory closes its own connections, the whole all."""
        each = WebSocketServerFactory(self.record)
        server = self.serve({"/a": each, "/b": self.record})
        one, other = server.open(target="/a"), server.open(target="/b")
        each.closeConnections()
        one.pump()
        self.assertEqual(one.closeFrame, (1001, "going away"))
        self.assertIsNone(other.closeFrame)
        server.factory.closeConnections()
        other.pump()
        self.assertEqual(other.closeFrame, (1001, "going away"))

    def test_handler(self) -> None:
        """A route may be served by a coroutine."""

        async def greet(webSocket: WebSocket) -> None:
            await webSocket.send(webSocket.request.pathParameters["name"])

        peer = self.serve({"/{name}": Route.fromHandler(greet)}).open(target="/ada")
        self.assertEqual(peer.messages, ["ada"])

    def test_H19_pages(self) -> None:
        """A pattern hides pages at its paths, but for the root; the default none."""
        root = Resource()
        page = Resource()
        page.render_GET = lambda _: b"a page"  # type: ignore[attr-defined]
        for name in (b"", b"chat", b"other"):
            root.putChild(name, page)
        server = self.serve({}, site=None)
        routes = Routes(
            {"/": self.record, "/chat": self.record},
            self.record,
            reactor=server.clock,
            site=Site(root, reactor=server.clock),
        )
        server.factory = routes
        for path, status in (("/", 200), ("/other", 200), ("/chat", 426)):
            peer = server.connect()
            peer.send(plainGet(target=path))
            self.assertEqual(peer.response.status, status, path)
        peer = server.connect()
        peer.send(request(target="/other"))
        self.assertEqual(peer.response.status, 101)
