"""The kit for tests: pairs, raw peers and recorders."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws import (
    ClientOptions,
    ConnectionClosed,
    HandshakeRefused,
    HandshakeRejected,
    InvalidHandshake,
    ServerOptions,
    WebSocketProtocol,
    connect,
)
from twisted_ws.client import WebSocketClientEndpoint
from twisted_ws.memory import CLIENT, SERVER
from twisted_ws.testing import (
    PING,
    PONG,
    TEXT,
    MemoryPair,
    MemoryServer,
    Recorder,
    closing,
    connectedPair,
    echoing,
    frame,
    plainGet,
    text,
)

PLAIN = ServerOptions(compression="none")


class PairTests(SynchronousTestCase):
    """:func:`connectedPair`."""

    def pair(self, **options: Any) -> MemoryPair:
        """Connect a recorder to one that echoes, without compression."""
        pair = connectedPair(echoing(), Recorder(), PLAIN, **options)
        self.addCleanup(self.leavesNothing, pair)
        return pair

    def leavesNothing(self, pair: MemoryPair) -> None:
        """Break the connection; nothing of it is left."""
        pair.lose()
        pair.advance(60, 5)
        self.assertFalse(pair.isConnected)
        self.assertEqual(pair.clock.getDelayedCalls(), [])

    def test_open(self) -> None:
        """It is open when it is given: both applications were told, and have each
        other's addresses."""
        pair = self.pair(url="ws://example.com/chat?room=1")
        self.assertEqual(pair.client.names[:2], pair.server.names[:2])
        self.assertEqual(
            pair.client.names, ["negotiationStarted", "negotiationFinished"]
        )
        self.assertEqual(pair.server.transport.request.path, "/chat")
        self.assertEqual(pair.server.transport.getPeer(), CLIENT)
        self.assertEqual(pair.client.transport.getPeer(), SERVER)
        self.assertEqual(pair.client.transport.getHost(), CLIENT)
        self.assertEqual(
            pair.opening and self.successResultOf(pair.opening), pair.client
        )

    def test_messages(self) -> None:
        """Messages go both ways when it is pumped, and not before."""
        pair = self.pair()
        pair.client.transport.sendTextMessage("one")
        pair.client.transport.sendBytesMessage(b"two")
        self.assertEqual(pair.server.messages, [])
        pair.pump()
        self.assertEqual(pair.server.messages, ["one", b"two"])
        self.assertEqual(pair.client.messages, ["one", b"two"])

    def test_applications(self) -> None:
        """A class and a callable will do, and options of both sides count."""
        pair = connectedPair(
            WebSocketProtocol,
            lambda _: Recorder(),
            ServerOptions(subprotocols=("chat",)),
            ClientOptions(subprotocols=("chat",), compression="none"),
            clock=Clock(),
        )
        self.assertIsInstance(pair.server, WebSocketProtocol)
        self.assertEqual(pair.client.transport.subprotocol, "chat")
        self.assertEqual(pair.client.transport.extensions, ())
        pair.lose()

    def test_refused(self) -> None:
        """A refusal is raised, and so is what else is wrong."""

        def refuse(_: object) -> Recorder:
            raise HandshakeRejected(403)

        error = self.assertRaises(HandshakeRefused, connectedPair, refuse, Recorder())
        self.assertEqual(error.status, 403)
        self.assertRaises(
            ValueError, connectedPair, Recorder(), Recorder(), url="wss://a.example/"
        )

    def test_later(self) -> None:
        """A server may take its time."""
        decision: Deferred[Recorder] = Deferred()
        pair = connectedPair(lambda _: decision, Recorder())
        self.assertIsNone(pair.client)
        self.assertIsNone(pair.server)
        decision.callback(Recorder())
        pair.pump()
        self.assertIn("negotiationFinished", pair.client.names)
        self.leavesNothing(pair)

    def test_chop(self) -> None:
        """Bytes arrive one by one where they are chopped so."""
        pair = self.pair()
        sizes: list[int] = []
        protocol = pair.serverTransport.protocol
        received = protocol.dataReceived

        def dataReceived(data: bytes) -> None:
            sizes.append(len(data))
            received(data)

        protocol.dataReceived = dataReceived
        pair.toServer.chop = 1
        pair.client.transport.sendTextMessage("hello")
        pair.pump()
        self.assertEqual(sizes, [1] * 11)
        self.assertEqual(pair.client.messages, ["hello"])

    def test_delay(self) -> None:
        """Bytes take their time, each way its own, and stay in order."""
        pair = self.pair()
        pair.toServer.delay = 1.5
        pair.toClient.delay = 0.5
        pair.client.transport.sendTextMessage("one")
        pair.pump()
        pair.toServer.delay = 0
        pair.client.transport.sendTextMessage("two")
        pair.advance(1.4, 0.1)
        self.assertEqual(pair.server.messages, [])
        self.assertEqual(pair.toServer.waiting, 18)
        pair.advance(0.1)
        self.assertEqual(pair.server.messages, ["one", "two"])
        self.assertEqual(pair.client.messages, [])
        # The clock alone will do.
        pair.clock.advance(0.5)
        self.assertEqual(pair.client.messages, ["one", "two"])

    def test_delayedEnd(self) -> None:
        """The end of a connection takes its time too."""
        pair = self.pair()
        pair.toServer.delay = pair.toClient.delay = 1
        pair.client.transport.loseConnection(4000, "bye")
        pair.pump()
        self.assertIsNone(pair.server.reason)
        pair.advance(1)
        self.assertIsNone(pair.client.reason)
        pair.advance(2)
        for end in (pair.server, pair.client):
            self.assertEqual((end.reason.code, end.reason.wasClean), (4000, True))
        self.assertFalse(pair.isConnected)

    def test_hold(self) -> None:
        """What is held arrives later, and nothing of it is lost."""
        pair = self.pair()
        pair.toClient.hold()
        pair.client.transport.sendTextMessage("one")
        pair.advance(5)
        self.assertEqual(pair.server.messages, ["one"])
        self.assertEqual(pair.client.messages, [])
        pair.toClient.release()
        self.assertEqual(pair.client.messages, ["one"])

    def test_drop(self) -> None:
        """Bytes are lost, and the rest arrives: here without their header."""
        pair = self.pair()
        pair.toServer.drop(6)
        pair.client.transport.sendTextMessage("lost")
        pair.pump()
        self.assertEqual(pair.server.messages, [])
        self.assertEqual(pair.client.reason.code, 1002)

    def test_cut(self) -> None:
        """Nothing comes through any more, no end either; keepalive finds out."""
        pair = self.pair()
        pair.toServer.cut()
        pair.client.transport.sendTextMessage("lost")
        pair.advance(60)
        self.assertEqual(pair.server.messages, [])
        self.assertEqual(pair.server.reason.code, 1011)
        pair.toServer.mend()

    def test_cutEnd(self) -> None:
        """A client that leaves unseen is not seen to leave."""
        pair = self.pair()
        pair.toServer.cut()
        pair.client.transport.abortConnection()
        pair.pump()
        self.assertIsNotNone(pair.client.reason)
        self.assertIsNone(pair.server.reason)

    def test_close(self) -> None:
        """Both sides learn how it was closed."""
        pair = self.pair()
        pair.server.transport.loseConnection(1001, "restart")
        pair.pump()
        self.assertEqual(pair.client.reason.reason, "restart")
        for end in (pair.server, pair.client):
            self.assertEqual((end.reason.code, end.reason.wasClean), (1001, True))

    def test_abort(self) -> None:
        """A side that aborts resets the other's connection."""
        pair = self.pair()
        pair.server.transport.abortConnection()
        pair.pump()
        self.assertEqual(pair.client.reason.code, 1006)
        self.assertIsInstance(pair.client.reason, ConnectionLost)

    def test_lose(self) -> None:
        """A connection that breaks takes along what was on its way."""
        pair = self.pair()
        pair.toServer.delay = 1
        pair.client.transport.sendTextMessage("one")
        pair.pump()
        pair.lose()
        self.assertFalse(pair.isConnected)
        for end in (pair.server, pair.client):
            self.assertIsInstance(end.reason, ConnectionClosed)
            self.assertEqual(end.messages, [])

    def test_backpressure(self) -> None:
        """A side that does not read holds the other one up."""
        pair = self.pair()
        pair.server.transport.pauseProducing()
        pair.toServer.hold()
        pair.client.transport.sendBytesMessage(bytes(200_000))
        pair.pump()
        pair.toServer.release()
        self.assertEqual(pair.server.messages, [])
        pair.server.transport.resumeProducing()
        pair.pump()
        self.assertEqual(pair.client.messages, [bytes(200_000)])

    def test_pumpInHook(self) -> None:
        """A hook may pump: what it asks for is done by who called it."""
        made: list[MemoryPair] = []

        def answer(recorder: Recorder, message: str) -> None:
            recorder.transport.sendTextMessage(message)
            made[0].pump()

        server = Recorder(textMessageReceived=answer)
        made.append(connectedPair(server, Recorder()))
        made[0].client.transport.sendTextMessage("one")
        made[0].pump()
        self.assertEqual(made[0].client.messages, ["one"])
        made[0].lose()


class ServerTests(SynchronousTestCase):
    """:class:`MemoryServer` and its raw peers."""

    def test_raw(self) -> None:
        """A peer of bytes opens, sends and gets frames."""
        server = MemoryServer(echoing)
        peer = server.open("Sec-WebSocket-Protocol: chat", target="/room")
        self.assertEqual(peer.response.status, 101)
        peer.send(text("hello"), frame(PING, b"!"))
        self.assertEqual(peer.frames, [(TEXT, b"hello"), (PONG, b"!")])
        self.assertEqual(peer.messages, ["hello"])
        self.assertIsNone(peer.closeFrame)
        peer.send(closing(4001, "why"))
        self.assertEqual(peer.closeFrame, (4001, ""))
        self.assertFalse(peer.isConnected)

    def test_directions(self) -> None:
        """What goes to a raw peer and comes from it can be delayed and lost too."""
        server = MemoryServer(echoing)
        peer = server.open()
        peer.toServer.delay = 1
        peer.toPeer.delay = 1
        peer.send(text("one"))
        server.advance(1)
        self.assertEqual(peer.frames, [])
        server.advance(1)
        self.assertEqual(peer.messages, ["one"])
        peer.toPeer.cut()
        peer.send(text("two"))
        server.advance(3)
        self.assertEqual(peer.messages, ["one"])
        peer.vanish()
        server.advance(20)
        self.assertEqual(server.clock.getDelayedCalls(), [])

    def test_hangUp(self) -> None:
        """A peer that hangs up, or resets, is gone for the application."""
        for leave in ("hangUp", "vanish"):
            recorder = Recorder()
            peer = MemoryServer(recorder).open()
            getattr(peer, leave)()
            self.assertEqual(recorder.reason.code, 1006)
            self.assertFalse(peer.isConnected)

    def test_secure(self) -> None:
        """A connection can be as if over TLS."""
        recorder = Recorder()
        peer = MemoryServer(recorder).open(secure=True)
        self.assertTrue(recorder.transport.request.secure)
        self.assertEqual(peer.response.status, 101)

    def test_plain(self) -> None:
        """A peer may ask for a page, from wherever it likes."""
        peer = MemoryServer(Recorder).connect()
        peer.send(plainGet("Accept: */*", target="/page"))
        self.assertEqual(peer.response.status, 426)
        self.assertRaises(AssertionError, lambda: peer.frames)

    def test_endpoint(self) -> None:
        """A client gets there through the endpoint, and coroutines do."""
        server = MemoryServer(echoing())
        connecting = connect(
            server.clock, "ws://example.com/", endpoint=server.endpoint
        )
        server.pump()
        webSocket = self.successResultOf(connecting)
        self.successResultOf(webSocket.send("hello"))
        server.pump()
        self.assertEqual(self.successResultOf(webSocket.receive()), "hello")
        server.pairs[0].lose()

    def test_badAnswer(self) -> None:
        """What the client does not like is its error."""
        server = MemoryServer(echoing())
        endpoint = WebSocketClientEndpoint.fromURL(
            server.clock, "ws://example.com/", endpoint=server.endpoint
        )
        opening = endpoint.connect(Recorder)
        [pair] = server.pairs
        pair.toClient.drop(3)
        server.pump()
        self.failureResultOf(opening, InvalidHandshake)

    def test_turn(self) -> None:
        """A turn is what is due now, and not what that leaves for the next one."""
        server = MemoryServer(echoing())
        seen: list[int] = []

        def again() -> None:
            seen.append(1)
            server.clock.callLater(0, seen.append, 2)

        server.clock.callLater(0, again)
        server.clock.callLater(1, seen.append, 3)
        server.turn()
        self.assertEqual(seen, [1])
        server.turn()
        self.assertEqual(seen, [1, 2])
