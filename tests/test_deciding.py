"""Between request and 101: who decides, when, and what becomes of the connection."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import contextlib
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import CancelledError, Deferred, fail, succeed

from tests.support import RoutesServer, WireTestCase, logged
from twisted_ws.deciding import listensOnLoopbackOnly
from twisted_ws.errors import HandshakeRejected, InternalError
from twisted_ws.factory import WebSocketServerFactory
from twisted_ws.handshake import Request
from twisted_ws.memory import MemoryPort, MemoryTransport
from twisted_ws.options import ServerOptions
from twisted_ws.testing import (
    PONG,
    TEXT,
    RawPeer,
    Recorder,
    closing,
    frame,
    request,
    text,
)

SECRET = "c2VjcmV0"  # noqa: S105


class RequestTests(WireTestCase):
    """Requests that are whole, until they are decided on."""

    def test_withoutNoDelay(self) -> None:
        """A transport that knows no Nagle, such as a UNIX socket's, will do."""
        server = self.serve()
        peer = server.connect()
        del type(peer.transport).setTcpNoDelay
        try:
            other = server.open()
        finally:
            type(peer.transport).setTcpNoDelay = _setTcpNoDelay  # type: ignore[method-assign]
        self.assertEqual(other.response.status, 101)

    def test_noDelayFails(self) -> None:
        """One that has the method but fails in it will do, too."""

        def refuse(_: bool) -> None:
            raise OSError(95, "not supported")

        server = self.serve()
        transport = MemoryTransport(server.clock)
        transport.setTcpNoDelay = refuse  # type: ignore[method-assign,assignment]
        peer = RawPeer(server, transport)
        server.peers.append(peer)
        peer.send(request())
        self.assertEqual(peer.response.status, 101)

    def test_H03_manyEarlyFrames(self) -> None:
        """Frames that come before the decision are kept up to 16 KiB, then reading
        pauses until there is a decision; none is lost."""
        decision: Deferred[Any] = Deferred()
        recorder = self.record()
        peer = self.serve(lambda _: decision).connect()
        messages = [str(number) * 500 for number in range(100)]
        peer.send(request(), *(text(each) for each in messages), segment=1000)
        self.assertFalse(peer.transport.reading)
        self.assertTrue(len(peer.protocol._pendingBytes) < 18 * 1024)
        decision.callback(recorder)
        peer.pump()
        self.assertEqual(recorder.messages, messages)

    def test_H03_earlyFramesRefused(self) -> None:
        """Behind a refusal, frames that came early are read and dropped, so that the
        response is not destroyed on its way."""
        decision: Deferred[Any] = Deferred()
        peer = self.serve(lambda _: decision).connect()
        peer.send(request(), text("x" * 20_000), segment=1000)
        self.assertFalse(peer.transport.reading)
        decision.callback(None)
        peer.pump()
        self.assertEqual(peer.response.status, 404)
        self.assertTrue(peer.transport.writeClosed)
        self.assertEqual(peer.unread, 0)
        peer.hangUp()
        self.assertFalse(peer.isConnected)

    def test_H03_decisionWhileWriting(self) -> None:
        """A peer that answers the 101 before its write returns is heard in order."""
        decision: Deferred[Any] = Deferred()
        recorder = self.record(negotiationFinished=lambda each: each.transport.ping())
        peer = self.serve(lambda _: decision).connect()
        peer.send(request(), text("early"))
        answers = [text("late"), frame(PONG)]

        def answer(_: bytes) -> None:
            if answers:
                peer.protocol.dataReceived(answers.pop(0))

        peer.transport.onWrite = answer
        decision.callback(recorder)
        self.assertEqual(
            recorder.names,
            [
                "negotiationStarted",
                "negotiationFinished",
                "textMessageReceived",
                "textMessageReceived",
                "pongReceived",
            ],
        )
        self.assertEqual(recorder.messages, ["early", "late"])

    def test_logAccepted(self) -> None:
        """What is accepted is logged if that is wanted."""
        for wanted in (False, True):
            with logged() as lines:
                peer = self.serve(lambda _: self.record(), logAccepted=wanted)
                peer.open(target="/chat?token=x")
            accepted = [each for each in lines if "Accepted" in each]
            self.assertEqual(len(accepted), int(wanted))
            for line in accepted:
                self.assertIn("Accepted GET /chat?… from ", line)

    def test_H16_decisionRaises(self) -> None:
        """When the decision raises or fails, the peer gets 500 without detail, and the
        traceback is in the log."""

        def raising(_: Request) -> Any:
            raise RuntimeError(SECRET)

        async def failing(_: Request) -> Any:
            raise RuntimeError(SECRET)

        waiting: Deferred[Any] = Deferred()
        decide: Any
        for decide in (
            raising,
            failing,
            lambda _: fail(RuntimeError(SECRET)),
            lambda _: waiting,
            lambda _: self.record(negotiationStarted=raising),
            lambda _: self.record(negotiationStarted=failing),
        ):
            with logged() as lines:
                peer = self.serve(decide).open(target=f"/chat?token={SECRET}")
                if not waiting.called and peer.received == b"":
                    waiting.errback(RuntimeError(SECRET))
                    peer.pump()
            self.assertEqual(peer.response.status, 500)
            self.assertNotIn(SECRET.encode(), peer.received)
            self.assertFalse(peer.isConnected)
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
            self.assertIn("Deciding on GET /chat?… failed", lines[0])

    def test_H16_notAnApplication(self) -> None:
        """An application that has no hooks is 500, too."""
        peer = self.serve(lambda _: object()).open()
        self.assertEqual(peer.response.status, 500)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)

    def test_H17_peerLeaves(self) -> None:
        """When the peer leaves while the decision is pending, a Deferred and what a
        coroutine waits for are cancelled, and nothing is written."""
        cancelled: list[object] = []

        async def wait(_: object) -> Any:
            await Deferred(cancelled.append)

        decide: Any
        for decide in (
            lambda _: Deferred(cancelled.append),
            wait,
            lambda _: self.record(negotiationStarted=wait),
        ):
            for leave in (RawPeer.hangUp, RawPeer.vanish):
                peer = self.serve(decide).open()
                leave(peer)
                self.assertEqual(len(cancelled), 1)
                self.assertEqual(peer.transport.writes, [])
                self.assertEqual(peer.transport.late, [])
                cancelled.clear()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_H17_decisionInSpite(self) -> None:
        """A coroutine that decides although it was cancelled decides on nothing: its
        application's hooks are not called."""
        recorder = Recorder()

        async def stubborn(_: Request) -> Recorder:
            with contextlib.suppress(CancelledError):
                await Deferred()
            return recorder

        peer = self.serve(stubborn).open()
        peer.vanish()
        self.assertEqual(recorder.calls, [])

        async def persistent(each: Recorder) -> None:
            await stubborn(each)  # type: ignore[arg-type]
            each.transport.sendTextMessage("nobody is there")

        started = self.record(negotiationStarted=persistent)
        peer = self.serve(lambda _: started).open()
        peer.vanish()
        self.assertEqual(started.names, ["negotiationStarted", "connectionLost"])

    def test_H17_cleaningUpComesFirst(self) -> None:
        """What negotiationStarted does when it is cancelled is done before
        connectionLost is called."""
        order = []

        async def started(each: Recorder) -> None:
            try:
                await Deferred()
            finally:
                order.append("cleaned up")

        recorder = self.record(
            negotiationStarted=started, connectionLost=lambda _: order.append("lost")
        )
        self.serve(lambda _: recorder).open().vanish()
        self.assertEqual(order, ["cleaned up", "lost"])

    def test_H17_cancellingRaises(self) -> None:
        """A canceller that raises is logged, and the connection ends all the same."""

        def refuse(_: object) -> None:
            raise RuntimeError("not cancelled")

        server = self.serve(lambda _: Deferred(refuse))
        server.open().vanish()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(server.factory.connections, set())


def _setTcpNoDelay(self: Any, enabled: bool) -> None:
    self.noDelay = enabled


class DecisionTests(WireTestCase):
    """What an application may decide, and do while it does."""

    def test_refusals(self) -> None:
        """An application refuses with any status, headers and body, at once or later,
        when asked or from negotiationStarted."""
        for status, headers in (
            (401, {"WWW-Authenticate": 'Basic realm="x"'}),
            (302, {"Location": "https://example.com/login"}),
            (403, {}),
            (503, {"Retry-After": "120"}),
        ):

            def refuse(_: object, status: int = status, headers: Any = headers) -> Any:
                raise HandshakeRejected(status, headers, f"because {status}")

            async def refuseSoon(_: object, refuse: Any = refuse) -> Any:
                await succeed(None)
                refuse(None)

            decide: Any
            for decide in (
                refuse,
                refuseSoon,
                lambda _, refuse=refuse: succeed(None).addCallback(refuse),
                lambda _, refuse=refuse: self.record(negotiationStarted=refuse),
                lambda _, refuse=refuseSoon: self.record(negotiationStarted=refuse),
            ):
                peer = self.serve(decide).open()
                found = peer.response
                self.assertEqual(found.status, status)
                self.assertEqual(found.body, f"because {status}".encode())
                for name, value in headers.items():
                    self.assertEqual(found.headers[name.lower()], value)
                self.assertFalse(peer.isConnected)

    def test_none(self) -> None:
        """None, at once or later, is 404."""

        async def nobody(_: Request) -> None:
            return None

        for decide in (
            lambda _: None,
            lambda _: succeed(None),
            nobody,
        ):
            peer = self.serve(decide).open()
            self.assertEqual(peer.response.status, 404)
            self.assertFalse(peer.isConnected)

    def test_answer(self) -> None:
        """Cookies and the subprotocol that the application chose are in the 101."""

        def decide(asked: Request) -> Recorder:
            asked.responseHeaders.add("Set-Cookie", "a=1; HttpOnly")
            asked.responseHeaders.add("Set-Cookie", "b=2")
            asked.selectSubprotocol("v2")
            return recorder

        recorder = self.record()
        server = self.serve(decide, subprotocols=("v1",))
        peer = server.open("Sec-WebSocket-Protocol: v1, v2")
        head = peer.received.decode()
        self.assertIn("\r\nSet-Cookie: a=1; HttpOnly\r\nSet-Cookie: b=2\r\n", head)
        self.assertEqual(peer.response.headers["sec-websocket-protocol"], "v2")
        self.assertEqual(recorder.transport.subprotocol, "v2")
        self.assertEqual(recorder.transport.request.path, "/")
        self.assertEqual(recorder.transport.extensions, ())
        self.assertEqual(recorder.transport.getPeer(), peer.transport.getPeer())
        self.assertEqual(recorder.transport.getHost(), peer.transport.getHost())

    def test_certificate(self) -> None:
        """The request carries the TLS client's certificate."""
        found: list[Any] = []
        peer = self.serve(found.append).connect(secure=True)
        certificate = peer.transport.certificate = object()  # type: ignore[attr-defined]
        peer.protocol.handshakeCompleted()
        peer.send(request())
        self.assertIs(found[0].peerCertificate, certificate)
        self.assertTrue(found[0].secure)

    def test_sendingInNegotiationStarted(self) -> None:
        """What is sent in negotiationStarted goes out behind the 101, also when that is
        a coroutine which goes on later."""
        waiting: Deferred[None] = Deferred()

        def started(each: Recorder) -> None:
            each.transport.sendTextMessage("first")
            each.transport.ping(b"p")

        async def startedSlowly(each: Recorder) -> None:
            started(each)
            await waiting
            each.transport.sendBytesMessage(b"second")

        peer = self.serve(self.record(negotiationStarted=started)).open()
        self.assertEqual(peer.frames, [(TEXT, b"first"), (0x89, b"p")])
        recorder = self.record(negotiationStarted=startedSlowly)
        peer = self.serve(recorder).open()
        peer.send(text("early"))
        self.assertEqual(peer.received, b"")
        self.assertEqual(recorder.names, ["negotiationStarted"])
        waiting.callback(None)
        peer.pump()
        self.assertEqual(peer.messages, ["first", b"second"])
        self.assertEqual(
            recorder.names,
            ["negotiationStarted", "negotiationFinished", "textMessageReceived"],
        )

    def test_sendingMuchInNegotiationStarted(self) -> None:
        """That the send buffer is full is said after negotiationFinished."""

        def started(each: Recorder) -> None:
            each.transport.sendBytesMessage(b"x" * 200_000)

        recorder = Recorder(negotiationStarted=started)
        peer = self.serve(recorder).open()
        self.assertEqual(peer.messages, [b"x" * 200_000])
        self.assertEqual(
            recorder.names,
            [
                "negotiationStarted",
                "negotiationFinished",
                "sendBufferFull",
                "sendBufferDrained",
            ],
        )

    def test_sendingTooMuchInNegotiationStarted(self) -> None:
        """Over ``maxSendBuffer`` bytes before the 101 are refused with 500."""
        waiting: Deferred[None] = Deferred()

        async def started(each: Recorder) -> None:
            for _ in range(4):
                each.transport.sendBytesMessage(b"x" * 40_000)
            await waiting

        recorder = Recorder(negotiationStarted=started)
        server = self.serve(recorder, highWaterMark=65536, maxSendBuffer=65536)
        peer = server.open()
        self.assertEqual(peer.response.status, 500)
        self.assertFalse(peer.isConnected)
        self.assertTrue(waiting.called)

    def test_losingInNegotiationStarted(self) -> None:
        """loseConnection in negotiationStarted closes behind the 101."""

        def started(each: Recorder) -> None:
            each.transport.sendTextMessage("sorry")
            each.transport.loseConnection(4000, "no")

        peer = self.serve(Recorder(negotiationStarted=started)).open()
        self.assertEqual(peer.messages, ["sorry"])
        self.assertEqual(peer.closeFrame, (4000, "no"))
        peer.send(closing(4000))
        self.assertFalse(peer.isConnected)

    def test_losingAndWaiting(self) -> None:
        """That ends after ``closeTimeout`` also when the answer never comes."""

        def started(each: Recorder) -> Deferred[None]:
            each.transport.loseConnection()
            return Deferred()

        peer = self.serve(Recorder(negotiationStarted=started)).open()
        peer.advance(10.25)
        self.assertFalse(peer.isConnected)

    def test_abortingInNegotiationStarted(self) -> None:
        """abortConnection in negotiationStarted ends all, whatever follows."""

        def aborting(each: Recorder) -> None:
            each.transport.abortConnection()

        def raising(each: Recorder) -> None:
            aborting(each)
            raise HandshakeRejected(403)

        for started in (aborting, raising):
            peer = self.serve(Recorder(negotiationStarted=started)).open()
            peer.server.turn()
            self.assertFalse(peer.isConnected)
            self.assertEqual(peer.transport.writes, [])

    def test_failingInNegotiationStarted(self) -> None:
        """failConnection before the 101 is a refusal; a second one is nothing."""

        def failing(each: Recorder) -> None:
            wire: Any = each.transport
            wire.failConnection(InternalError("broken"))
            wire.failConnection(InternalError("broken"))

        peer = self.serve(Recorder(negotiationStarted=failing)).open()
        self.assertEqual(peer.response.status, 500)
        self.assertFalse(peer.isConnected)

    def test_vanishingInEachPhase(self) -> None:
        """Hooks are called as far as the connection came, connectionLost for those whom
        negotiationStarted was called for."""
        for sent, expected in (
            (b"", []),
            (request()[:20], []),
            (
                request() + text("x")[:3],
                ["negotiationStarted", "negotiationFinished", "connectionLost"],
            ),
        ):
            for leave in (RawPeer.hangUp, RawPeer.vanish):
                recorder = Recorder()
                server = self.serve(recorder)
                peer = server.connect()
                peer.send(sent)
                leave(peer)
                self.assertEqual(recorder.names, expected)
                self.assertEqual(server.factory.connections, set())

    def test_failingWhenOpen(self) -> None:
        """failConnection behind the 101 sends a Close frame."""
        recorder = Recorder()
        peer = self.opened(recorder)
        peer.protocol.failConnection(InternalError("broken"))
        peer.pump()
        self.assertEqual(peer.closeFrame, (1011, "broken"))

    def test_duckTyped(self) -> None:
        """A class with the hooks of ``twisted.web.websocket`` and no others works."""
        calls: list[Any] = []

        class Application:
            def negotiationStarted(self, transport: Any) -> None:
                self.transport = transport

            def negotiationFinished(self) -> None:
                calls.append("finished")

            def textMessageReceived(self, data: str) -> None:
                self.transport.sendTextMessage(data.upper())

            def bytesMessageReceived(self, data: bytes) -> None:
                self.transport.sendBytesMessage(data * 2)

            def connectionLost(self, reason: Any) -> None:
                calls.append(reason.value.code)

        peer = self.serve(Application).open()
        peer.send(frame(0x89, b"p"), frame(PONG, b"q"), text("a"), frame(0x82, b"b"))
        self.assertEqual(peer.messages, ["A", b"bb"])
        peer.send(closing(1001))
        self.assertEqual(calls, ["finished", 1001])


class ServingTests(WireTestCase):
    """A factory that has others serve."""

    serverKind = RoutesServer

    def test_other(self) -> None:
        """Its options hold, and both count the connection until it has ended."""
        other = WebSocketServerFactory(
            self.record, ServerOptions(maxConnections=1, compression="none")
        )
        server = self.serve({"/other": other, "/same": self.record})
        offer = "Sec-WebSocket-Extensions: permessage-deflate"
        peer = server.open(offer, target="/same")
        self.assertIn("sec-websocket-extensions", peer.response.headers)
        peer.vanish()
        peer = server.open(offer, target="/other")
        self.assertEqual(peer.response.status, 101)
        self.assertNotIn("sec-websocket-extensions", peer.response.headers)
        self.assertEqual(other.connections, server.factory.connections)
        self.assertEqual(server.open(target="/other").response.status, 503)
        peer.vanish()
        self.assertEqual(other.connections, set())

    def test_none(self) -> None:
        """Where there is nobody, who may not connect at all gets 403, others 404."""
        server = self.serve({})
        self.assertEqual(server.open().response.status, 404)
        foreign = server.open("Origin: http://evil.example")
        self.assertEqual(foreign.response.status, 403)


class ShutDownTests(WireTestCase):
    """The server goes away."""

    def test_T04_decision(self) -> None:
        """One that is being decided on gets 503, and the decision is cancelled."""
        cancelled: list[object] = []
        waiting = self.record(negotiationStarted=lambda _: Deferred(cancelled.append))
        decide: Any
        for decide in (lambda _: Deferred(cancelled.append), lambda _: waiting):
            server = self.serve(decide)
            peer = server.open()
            done = server.factory.closeConnections()
            peer.pump()
            self.assertEqual(peer.response.status, 503)
            self.assertEqual(peer.response.headers["retry-after"], "10")
            self.assertEqual(len(cancelled), 1)
            self.assertFalse(peer.isConnected)
            self.successResultOf(done)
            cancelled.clear()

    def test_T04_decidedInSpite(self) -> None:
        """A decision that comes all the same is too late."""

        async def stubborn(_: Request) -> Recorder:
            with contextlib.suppress(CancelledError):
                await Deferred()
            return recorder

        recorder = Recorder()
        server = self.serve(stubborn)
        peer = server.open()
        server.factory.closeConnections()
        peer.pump()
        self.assertEqual(peer.response.status, 503)
        self.assertEqual(recorder.calls, [])

    def test_T04_refused(self) -> None:
        """One that was refused is left to its end."""
        server = self.serve()
        peer = server.connect()
        peer.send(request("Content-Length: 1000"))
        server.factory.closeConnections()
        peer.pump()
        self.assertEqual(peer.received.count(b"HTTP/1.1"), 1)

    def test_T04_open(self) -> None:
        """An open one is closed with the code and reason given."""
        server = self.serve()
        peer = server.open()
        done = server.factory.closeConnections(1012, "restart")
        peer.pump()
        self.assertEqual(peer.closeFrame, (1012, "restart"))
        self.assertNoResult(done)
        peer.send(closing(1012))
        self.successResultOf(done)


class LoopbackTests(WireTestCase):
    """Whether the port is bound to loopback only."""

    def test_ports(self) -> None:
        """It is told from the port, TLS or not; a transport without one is not."""

        class Inner:
            server: Any = MemoryPort("127.0.0.1")

        class Outer:
            transport = Inner()

        class Path:
            def getHost(self) -> UNIXAddress:
                return UNIXAddress(b"/run/x")

        self.assertTrue(listensOnLoopbackOnly(Inner()))

        class Outermost:
            transport = Outer()

        self.assertTrue(listensOnLoopbackOnly(Outer()))
        self.assertTrue(listensOnLoopbackOnly(Outermost()))
        Inner.server = MemoryPort("192.0.2.1")
        self.assertFalse(listensOnLoopbackOnly(Inner()))
        Inner.server = Path()
        self.assertFalse(listensOnLoopbackOnly(Inner()))
        self.assertFalse(listensOnLoopbackOnly(object()))
