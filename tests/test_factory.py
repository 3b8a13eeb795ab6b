"""The server's factory: who is let in, with what, and how many."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any, cast

import twisted.internet
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from tests.support import RecordingSuccessor, Server, WireTestCase, address, logged
from twisted_ws.errors import HandshakeRejected, InvalidOption
from twisted_ws.factory import WebSocketServerFactory
from twisted_ws.handshake import Request
from twisted_ws.interfaces import WebSocketProtocol
from twisted_ws.options import ServerOptions
from twisted_ws.testing import (
    CLOSE,
    RawPeer,
    Recorder,
    closing,
    plainGet,
    request,
    text,
)
from twisted_ws.timers import Deadlines
from twisted_ws.websocket import WebSocket


class Building:
    """An application that decides in ``buildProtocol``.

    :param result: what it gives
    """

    def __init__(self, result: Any) -> None:
        self.result = result
        self.requests: list[Request] = []

    def buildProtocol(self, request: Request) -> Any:
        """Give the result."""
        self.requests.append(request)
        return self.result


class CallableBuilding(Building):
    """One that could be called, too."""

    def __call__(self, request: Request) -> Any:
        """Must not be."""
        raise AssertionError(request)


class ArgumentsTests(WireTestCase):
    """What a factory is made from."""

    def test_notAnApplication(self) -> None:
        """What cannot decide on a request is a TypeError that says what can."""
        application: Any
        for application in (None, 1, "echo", b"echo", [], object()):
            with self.assertRaisesRegex(TypeError, "buildProtocol") as caught:
                WebSocketServerFactory(application)
            self.assertIn(repr(application), str(caught.exception))

    def test_factoryClass(self) -> None:
        """The class of a factory is a TypeError that says to give an instance."""
        for kind in (Building, CallableBuilding, WebSocketServerFactory):
            with self.assertRaisesRegex(TypeError, "instance") as caught:
                WebSocketServerFactory(kind)
            self.assertIn(kind.__name__, str(caught.exception))

    def test_protocolClassThatBuilds(self) -> None:
        """The class of a protocol may have a ``buildProtocol`` of its own."""

        class Both(WebSocketProtocol):
            def buildProtocol(self, addr: object) -> None:
                """Is something else."""

        self.assertEqual(self.serve(Both).open().response.status, 101)

    def test_path(self) -> None:
        """A path that does not begin with a slash is a ValueError."""
        for path in ("", "chat", "ws://example.com/", " /chat"):
            with self.assertRaisesRegex(ValueError, "slash") as caught:
                WebSocketServerFactory(Recorder, path=path)
            self.assertIn(repr(path), str(caught.exception))

    def test_defaults(self) -> None:
        """Without more than an application: default options, every path, no site."""
        factory = WebSocketServerFactory(Recorder)
        self.assertEqual(factory.options, ServerOptions())
        self.assertIsNone(factory.path)
        self.assertIsNone(factory.site)
        self.assertIs(factory.application, Recorder)
        self.assertFalse(factory.noisy)

    def test_reactor(self) -> None:
        """The reactor is the one given; by default the one that is there when it is
        first asked for."""
        given = Clock()
        clock: Any = given
        factory = WebSocketServerFactory(Recorder, reactor=clock)
        self.assertIs(factory.clock, given)
        self.assertIs(factory.deadlines, factory.deadlines)
        factory = WebSocketServerFactory(Recorder)
        # So that there is one to patch: nothing else may have installed it yet.
        from twisted.internet import reactor  # noqa: F401

        running = Clock()
        self.patch(twisted.internet, "reactor", running)
        self.assertIs(factory.clock, running)
        self.patch(twisted.internet, "reactor", Clock())
        self.assertIs(factory.clock, running)
        self.assertIsInstance(factory.deadlines, Deadlines)

    def test_reactorIsNotInstalled(self) -> None:
        """Making a factory installs no reactor."""
        program = (
            "import sys, twisted_ws\n"
            "twisted_ws.WebSocketServerFactory(twisted_ws.WebSocketProtocol)\n"
            "sys.exit('twisted.internet.reactor' in sys.modules)\n"
        )
        done = subprocess.run([sys.executable, "-c", program], timeout=30)
        self.assertEqual(done.returncode, 0)

    def test_changeOptions(self) -> None:
        """Options are changed for connections to come, the handshake's too; others keep
        their values."""
        server = self.serve(maxHeaders=50)
        friend = "Origin: http://friend.example"
        self.assertEqual(server.open(friend).response.status, 403)
        server.factory.changeOptions(allowedOrigins=("http://friend.example",))
        self.assertEqual(server.open(friend).response.status, 101)
        self.assertEqual(server.factory.options.maxHeaders, 50)
        with self.assertRaises(InvalidOption):
            server.factory.changeOptions(maxHeaders=0)


class ApplicationTests(WireTestCase):
    """Every form of an application."""

    def assertServes(self, application: Any) -> Recorder:
        """It lets a connection in, to a recorder that gets its messages.

        :returns: the recorder
        """
        server = self.serve(application)
        peer = server.open(target="/a?b=c")
        peer.send(text("hello"))
        self.assertEqual(peer.response.status, 101)
        recorder = self._recorders[-1]
        self.assertEqual(recorder.messages, ["hello"])
        return recorder

    def test_class(self) -> None:
        """A class is called without arguments, for each connection anew."""
        made: list[Recorder] = []

        class Made(Recorder):
            def __init__(self) -> None:
                super().__init__()
                made.append(self)

        server = self.serve(Made)
        peers = [server.open(), server.open()]
        for peer in peers:
            peer.send(text("a"))
        self.assertEqual([each.messages for each in made], [["a"], ["a"]])

    def test_callable(self) -> None:
        """A callable gets the request."""
        requests: list[Request] = []

        def decide(asked: Request) -> Recorder:
            requests.append(asked)
            return self.record()

        self.assertServes(decide)
        found = [(each.path, each.query) for each in requests]
        self.assertEqual(found, [("/a", {"b": ["c"]})])

    def test_object(self) -> None:
        """An object's ``buildProtocol`` gets the request, also if it is callable."""
        for kind in (Building, CallableBuilding):
            application = kind(self.record())
            self.assertServes(application)
            self.assertEqual([each.path for each in application.requests], ["/a"])

    def test_later(self) -> None:
        """All but a class may give a Deferred or be a coroutine."""

        async def coroutine(_: Request) -> Recorder:
            return self.record()

        class Coroutine:
            async def buildProtocol(self, asked: Request) -> Recorder:
                return await coroutine(asked)

        for application in (
            coroutine,
            Coroutine(),
            lambda _: succeed(self.record()),
            Building(succeed(self.record())),
        ):
            self.assertServes(application)

    def test_waiting(self) -> None:
        """Until a decision is there the peer gets no answer."""
        decision: Deferred[Any] = Deferred()
        peer = self.serve(lambda _: decision).open()
        self.assertEqual(peer.received, b"")
        decision.callback(self.record())
        peer.pump()
        self.assertEqual(peer.response.status, 101)

    def test_none(self) -> None:
        """None refuses with 404, at once or later."""
        for application in (
            lambda _: None,
            lambda _: succeed(None),
            Building(None),
        ):
            self.assertEqual(self.serve(application).open().response.status, 404)

    def test_rejected(self) -> None:
        """HandshakeRejected is the answer, raised at once or later, and by a class."""

        def refuse(_: object = None) -> Any:
            raise HandshakeRejected(401, {"WWW-Authenticate": "Basic"}, "who?")

        async def refuseLater(asked: Request) -> Any:
            refuse(asked)

        class Refusing(Recorder):
            def __init__(self) -> None:
                refuse()

        class RefusingFactory:
            buildProtocol = staticmethod(refuse)

        for application in (refuse, refuseLater, Refusing, RefusingFactory()):
            response = self.serve(application).open().response
            self.assertEqual((response.status, response.body), (401, b"who?"))
            self.assertEqual(response.headers["www-authenticate"], "Basic")

    def test_H16_broken(self) -> None:
        """Anything else that is raised is a 500, and logged."""

        def fail(_: Request) -> Any:
            raise KeyError("oops")

        with logged() as lines:
            peer = self.serve(fail).open()
        self.assertEqual(peer.response.status, 500)
        self.assertTrue(any("failed" in line for line in lines), lines)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_overridden(self) -> None:
        """``protocolForRequest`` may be overridden in place of an application."""
        recorder = self.record()

        class Factory(WebSocketServerFactory):
            def protocolForRequest(self, request: Request) -> Any:
                return recorder if request.path == "/a" else None

        server = self.serve()
        clock: Any = server.clock
        server.factory = Factory(WebSocketProtocol, reactor=clock)
        self.assertEqual(server.open(target="/a").response.status, 101)
        self.assertEqual(server.open(target="/b").response.status, 404)

    def test_handler(self) -> None:
        """A coroutine function serves connections, with all arguments of the class."""

        async def handler(webSocket: WebSocket) -> None:
            await webSocket.send(await webSocket.receive())

        server = self.serve()
        clock: Any = server.clock
        server.factory = WebSocketServerFactory.fromHandler(
            handler, ServerOptions(subprotocols=("a",)), path="/ws", reactor=clock
        )
        self.assertEqual(server.factory.options.subprotocols, ("a",))
        self.assertEqual(server.open().response.status, 404)
        for message in ("first", "second"):
            peer = server.open(target="/ws")
            peer.send(text(message))
            self.assertEqual(peer.messages, [message])
            self.assertEqual(peer.closeFrame, (1000, ""))


class PathTests(WireTestCase):
    """Where WebSocket is served."""

    def test_everywhere(self) -> None:
        """Without a path: on every one."""
        server = self.serve()
        for target in ("/", "/ws", "/a/b?c"):
            self.assertEqual(server.open(target=target).response.status, 101)

    def test_one(self) -> None:
        """With a path: there, whatever the query, and 404 elsewhere, without asking
        the application."""
        asked: list[str] = []

        def decide(request: Request) -> Recorder:
            asked.append(request.path)
            return self.record()

        server = self.serve(decide, path="/ws")
        for target, status in (
            ("/ws", 101),
            ("/ws?a=b", 101),
            ("/", 404),
            ("/ws/", 404),
            ("/WS", 404),
            ("/ws/more", 404),
            ("/wss", 404),
        ):
            peer = server.open(target=target)
            self.assertEqual(peer.response.status, status, target)
        self.assertEqual(asked, ["/ws", "/ws"])

    def test_site(self) -> None:
        """Requests for pages go to the site; without one they are 426."""
        successor = RecordingSuccessor()
        server = self.serve(site=Building(successor))
        server.connect().send(plainGet(target="/page"))
        self.assertTrue(successor.received.startswith(b"GET /page HTTP/1.1\r\n"))
        peer = self.serve().connect()
        peer.send(plainGet())
        self.assertEqual(peer.response.status, 426)


class LimitsTests(WireTestCase):
    """How many are let in."""

    def ask(self, server: Server, host: Any) -> RawPeer:
        """Have a client on a host ask for WebSocket; it stays connected if let in."""
        peer = server.connect(address(host) if isinstance(host, str) else host)
        peer.send(request())
        return peer

    def assertLetIn(self, server: Server, host: Any) -> RawPeer:
        """A client on a host is let in."""
        peer = self.ask(server, host)
        self.assertEqual(peer.response.status, 101, host)
        return peer

    def assertRefused(self, server: Server, host: Any) -> None:
        """A client on a host gets 503 and is told when to come again."""
        peer = self.ask(server, host)
        self.assertEqual(peer.response.status, 503, host)
        seconds = peer.response.headers["retry-after"]
        self.assertEqual(seconds, str(server.options.retryAfter))
        self.assertIn(b"too many connections", peer.response.body)
        peer.hangUp()
        self.assertFalse(peer.isConnected)

    def test_H18_all(self) -> None:
        """One more than ``maxConnections`` is refused, until one has gone."""
        server = self.serve(maxConnections=2, retryAfter=7)
        first = self.assertLetIn(server, "192.0.2.1")
        self.assertLetIn(server, "192.0.2.2")
        for _ in range(3):
            self.assertRefused(server, "192.0.2.3")
        first.vanish()
        self.assertLetIn(server, "192.0.2.3")
        self.assertRefused(server, "192.0.2.4")

    def test_H18_handshakes(self) -> None:
        """Connections that have not asked yet count, too."""
        server = self.serve(maxConnections=1)
        silent = server.connect()
        self.assertRefused(server, "192.0.2.3")
        silent.hangUp()
        self.assertLetIn(server, "192.0.2.3")

    def test_H18_unlimited(self) -> None:
        """0 sets no limit, and no address is remembered without one."""
        server = self.serve(maxConnections=0)
        for _ in range(20):
            self.assertLetIn(server, "192.0.2.1")
        self.assertEqual(server.factory._perAddress, {})

    def test_H18_address(self) -> None:
        """One more than ``maxConnectionsPerAddress`` from an address is refused, until
        one has gone; other addresses are let in."""
        server = self.serve(maxConnectionsPerAddress=2)
        first = self.assertLetIn(server, "192.0.2.1")
        self.assertLetIn(server, "192.0.2.1")
        for _ in range(3):
            self.assertRefused(server, "192.0.2.1")
        self.assertLetIn(server, "192.0.2.2")
        first.vanish()
        self.assertLetIn(server, "192.0.2.1")
        self.assertRefused(server, "192.0.2.1")

    def test_H18_addressOfHandshakes(self) -> None:
        """An address is counted before it asks."""
        server = self.serve(maxConnectionsPerAddress=1)
        silent = server.connect(address("192.0.2.1"))
        self.assertRefused(server, "192.0.2.1")
        silent.hangUp()
        self.assertLetIn(server, "192.0.2.1")

    def test_H18_network(self) -> None:
        """An IPv6 peer counts by its /64; an IPv4 one in IPv6 form by its own."""
        for first, same, other in (
            ("2001:db8::1", "2001:db8::ffff:1:2:3", "2001:db8:0:1::1"),
            ("2001:DB8:0::1", "2001:db8::2", "2001:db9::1"),
            ("fe80::1%eth0", "fe80::2%eth1", "fe80:0:0:1::1%eth0"),
            ("::ffff:192.0.2.1", "::ffff:c000:201", "::ffff:192.0.2.2"),
            ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ):
            server = self.serve(maxConnectionsPerAddress=1)
            self.assertLetIn(server, first)
            self.assertRefused(server, same)
            self.assertLetIn(server, other)

    def test_H18_unix(self) -> None:
        """Peers on a UNIX socket have no address, and are not taken for one; the limit
        for all holds for them."""
        server = self.serve(maxConnectionsPerAddress=1, maxConnections=3)
        for name in (None, b"", b"/run/a"):
            self.assertLetIn(server, UNIXAddress(name))
        self.assertRefused(server, UNIXAddress(None))

    def test_H18_addressKnownLater(self) -> None:
        """Behind a proxy that names the peer in its first line, a peer is counted by
        its own address; the proxy's count goes down."""
        server = self.serve(maxConnectionsPerAddress=1)
        proxy = address("192.0.2.99")
        for host, status in (
            ("192.0.2.1", 101),
            ("192.0.2.2", 101),
            ("192.0.2.1", 503),
        ):
            peer = server.connect(proxy)
            self.assertEqual(server.factory._perAddress["192.0.2.99"], 1)
            peer.transport._peer = address(host)
            peer.send(request())
            self.assertEqual(peer.response.status, status)
            self.assertNotIn("192.0.2.99", server.factory._perAddress)

    def test_H18_countingDown(self) -> None:
        """However connections end, nothing is counted when none is left."""
        server = self.serve(maxConnectionsPerAddress=1)
        for end in (RawPeer.vanish, RawPeer.hangUp):
            for data in (b"", b"GET", request(), plainGet(), request("Host: [")):
                peer = server.connect()
                peer.send(data)
                end(peer)
                server.advance(30, 10)
                self.assertEqual(server.factory.connections, set(), data)
                self.assertEqual(server.factory._perAddress, {}, data)


class ShutDownTests(WireTestCase):
    """A server that goes away: connections in each phase, alone and all together."""

    phases = ("connected", "head", "deciding", "started", "open", "closing", "page")

    def prepare(self, *phases: str) -> tuple[Server, dict[str, RawPeer]]:
        """Make a server with a peer in each of some phases."""
        decisions: dict[str, Callable[[], Any]] = {
            "/deciding": lambda: Deferred(),
            "/started": lambda: self.record(negotiationStarted=lambda _: Deferred()),
            "/open": self.record,
            "/closing": self.record,
        }
        server = self.serve(
            lambda asked: decisions[asked.path](), site=Building(RecordingSuccessor())
        )
        peers: dict[str, RawPeer] = {}
        for phase in phases:
            peer = peers[phase] = server.connect()
            if phase == "head":
                peer.send(request()[:30])
            elif phase == "page":
                peer.send(plainGet())
            elif phase != "connected":
                peer.send(request(target=f"/{phase}"))
            if phase == "closing":
                cast(Any, peer.protocol).loseConnection(4000)
                peer.pump()
                self.assertEqual(peer.closeFrame, (4000, ""))
            self.assertTrue(peer.isConnected, phase)
        return server, peers

    def assertClean(self, server: Server) -> None:
        """Nothing is left, not a delayed call."""
        self.assertEqual(server.factory.connections, set())
        self.assertEqual(server.clock.getDelayedCalls(), [])

    def test_T04_idle(self) -> None:
        """Without a connection all is done at once, each time."""
        factory = self.serve().factory
        for _ in range(2):
            self.successResultOf(factory.whenIdle())
            self.successResultOf(factory.closeConnections())
            self.successResultOf(factory.abortConnections())

    def test_T04_close(self) -> None:
        """In each phase: a peer without WebSocket is closed, one with it is told 1001,
        a page is served to its end; when the peer is through nothing is left."""
        for phase in self.phases:
            server, peers = self.prepare(phase)
            peer = peers[phase]
            done = server.factory.closeConnections()
            idle = server.factory.whenIdle()
            peer.pump()
            if phase in ("connected", "head"):
                self.assertEqual(peer.received, b"", phase)
            elif phase in ("deciding", "started"):
                self.assertEqual(peer.response.status, 503, phase)
            else:
                self.assertNoResult(done)
                if phase == "open":
                    self.assertEqual(peer.closeFrame, (1001, "going away"))
                elif phase == "closing":
                    self.assertEqual(peer.closeFrame, (4000, ""))
                if phase == "page":
                    peer.hangUp()
                else:
                    peer.send(closing(1001))
            self.assertFalse(peer.isConnected, phase)
            self.successResultOf(done)
            self.successResultOf(idle)
            self.assertClean(server)

    def test_T04_silentPeers(self) -> None:
        """Peers that do not answer are given ``closeTimeout`` seconds; only a page
        takes as long as it takes."""
        phases = self.phases[:-1]
        server, peers = self.prepare(*phases)
        done = server.factory.closeConnections()
        server.advance(0)
        self.assertNoResult(done)
        server.advance(server.options.closeTimeout + 1)
        self.assertEqual([name for name in peers if peers[name].isConnected], [])
        self.successResultOf(done)
        self.assertClean(server)

    def test_T04_abort(self) -> None:
        """In each phase, and in all at once: aborting ends connections in the next
        turn, without a word."""
        for phases in (*((each,) for each in self.phases), self.phases):
            server, peers = self.prepare(*phases)
            before = {name: peers[name].received for name in peers}
            done = server.factory.abortConnections()
            self.assertNoResult(done)
            server.turn()
            for name, peer in peers.items():
                self.assertFalse(peer.isConnected, name)
                self.assertEqual(peer.received, before[name], name)
            self.successResultOf(done)
            self.assertClean(server)

    def test_T04_abortTheRest(self) -> None:
        """After a time of grace the rest can be aborted; all who wait are told."""
        server, _ = self.prepare(*self.phases)
        closed = server.factory.closeConnections(1012, "restart")
        server.advance(0.5)
        self.assertNoResult(closed)
        aborted = server.factory.abortConnections()
        server.turn()
        self.successResultOf(closed)
        self.successResultOf(aborted)
        self.assertClean(server)

    def test_T04_abortTwice(self) -> None:
        """Aborting twice, and closing behind it, is as good as once."""
        server, _ = self.prepare(*self.phases)
        waiting = [
            server.factory.abortConnections(),
            server.factory.abortConnections(),
            server.factory.closeConnections(),
        ]
        server.turn()
        for done in waiting:
            self.successResultOf(done)
        self.assertClean(server)

    def test_T04_closeTwice(self) -> None:
        """Closing twice sends one Close frame, with the first code."""
        server, peers = self.prepare("open")
        waiting = [
            server.factory.closeConnections(1001),
            server.factory.closeConnections(1012),
        ]
        peer = peers["open"]
        peer.pump()
        closes = [each for each in peer.frames if each[0] == CLOSE]
        self.assertEqual(closes, [(CLOSE, b"\x03\xe9going away")])
        peer.send(closing(1001))
        for done in waiting:
            self.successResultOf(done)
        self.assertClean(server)

    def test_T04_hooksThatHang(self) -> None:
        """Connections whose hooks never finish are let go: after ``closeTimeout``, or
        at once when aborted."""
        for abort in (False, True):
            hanging = self.record(textMessageReceived=lambda *_: Deferred())
            server = self.serve(hanging)
            peer = server.open()
            peer.send(text("a"))
            if abort:
                done = server.factory.abortConnections()
                server.turn()
                server.advance(0.25)
            else:
                done = server.factory.closeConnections()
                server.advance(2 * server.options.closeTimeout + 1)
            self.successResultOf(done)
            self.assertClean(server)

    def test_T04_newOnes(self) -> None:
        """New connections are still taken, and idle means without those, too."""
        server, peers = self.prepare("open")
        done = server.factory.closeConnections()
        late = server.open(target="/open")
        peers["open"].send(closing(1001))
        self.assertFalse(peers["open"].isConnected)
        self.assertNoResult(done)
        self.assertTrue(late.isConnected)
        late.vanish()
        self.successResultOf(done)

    def test_whenIdle(self) -> None:
        """It fires when the last connection has ended, and not before."""
        server, peers = self.prepare("open", "page")
        idle = [server.factory.whenIdle() for _ in range(2)]
        peers["open"].vanish()
        self.assertNoResult(idle[0])
        peers["page"].vanish()
        for each in idle:
            self.successResultOf(each)

    def test_whenIdleWaitsForHooks(self) -> None:
        """A connection is there as long as its hooks run: what came last is delivered
        before the server says that it is idle."""
        running: Deferred[None] = Deferred()
        server = self.serve(self.record(textMessageReceived=lambda *_: running))
        peer = server.open()
        peer.send(text("a"))
        idle = server.factory.whenIdle()
        peer.vanish()
        self.assertNoResult(idle)
        running.callback(None)
        self.successResultOf(idle)
        self.assertClean(server)
