"""One message to many connections."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from twisted_ws.broadcast import BroadcastResult, SlowPolicy, broadcast
from twisted_ws.deflate import PreparedMessage
from twisted_ws.testing import MemoryServer, RawPeer, Recorder, closing

from .support import WireTestCase

OFFER = "Sec-WebSocket-Extensions: permessage-deflate"


class BroadcastTests(WireTestCase):
    """``broadcast`` and what it tells."""

    def several(self, count: int, *extra: str, **options: Any) -> list[RawPeer]:
        """Give peers with open connections to one server."""
        server = self.serve(**options)
        return [server.open(*extra) for _ in range(count)]

    def transports(self, peers: list[RawPeer]) -> list[Any]:
        """Give the transports of their applications."""
        return [peer.protocol for peer in peers]

    def test_everyone(self) -> None:
        """Each connection gets the message, text as text and bytes as binary."""
        peers = self.several(3)
        for message in ("all", b"bytes", PreparedMessage("prepared")):
            result = broadcast(self.transports(peers), message)
            self.assertEqual(result, BroadcastResult(3, (), (), (), 0))
        for peer in peers:
            peer.pump()
            self.assertEqual(peer.messages, ["all", b"bytes", "prepared"])

    def test_nobody(self) -> None:
        """To nobody is allowed; to send something else is not, even to nobody."""
        self.assertEqual(broadcast([], "x"), BroadcastResult(0, (), (), (), 0))
        error = self.assertRaises(TypeError, broadcast, [], {"a": 1})
        self.assertIn("not dict", str(error))
        self.assertRaises(UnicodeEncodeError, broadcast, [], "\ud800")

    def test_oneFrame(self) -> None:
        """All connections with the same parameters are written the same bytes, which
        are made once."""
        peers = self.several(2, OFFER) + self.several(1)
        message = PreparedMessage("word " * 100)
        broadcast(self.transports(peers), message)
        first, second, plain = (peer.transport.writes[-1] for peer in peers)
        self.assertIs(first, second)
        self.assertLess(len(first), 100)
        self.assertGreater(len(plain), 500)

    def test_closing(self) -> None:
        """Connections that are closing, from either side, are passed over."""
        peers = self.several(4)
        transports = self.transports(peers)
        transports[0].loseConnection()
        peers[1].send(closing())
        peers[2].vanish()
        result = broadcast(transports, "x")
        self.assertEqual(result, BroadcastResult(1, (), (), (), 3))
        peers[3].pump()
        self.assertEqual(peers[3].messages, ["x"])

    def slow(self, **options: Any) -> tuple[MemoryServer, RawPeer, RawPeer]:
        """Give a peer that does not read, with 64 KiB waiting for it, and one that
        does."""
        peers = self.several(2, **options)
        peers[0].reads = False
        peers[0].protocol.sendBytesMessage(bytes(70_000), False)
        self.assertTrue(peers[0].protocol.isCongested)
        self.assertFalse(peers[1].protocol.isCongested)
        return peers[0].server, peers[0], peers[1]

    def test_queue(self) -> None:
        """By default a message waits for a slow peer, and is told to."""
        _, slow, fast = self.slow()
        result = broadcast([slow.protocol, fast.protocol], "x")
        self.assertEqual(result, BroadcastResult(2, (slow.protocol,), (), (), 0))
        slow.reads = True
        slow.pump()
        self.assertEqual(slow.messages[-1], "x")
        self.assertFalse(slow.protocol.isCongested)

    def test_overflow(self) -> None:
        """A connection whose buffer is full is dropped, as any message would do."""
        _, slow, fast = self.slow(maxSendBuffer=65536)
        result = broadcast([slow.protocol, fast.protocol], "x")
        self.assertEqual(result, BroadcastResult(1, (), (), (slow.protocol,), 0))
        self.assertTrue(slow.protocol.isClosing)
        fast.pump()
        self.assertEqual(fast.messages, ["x"])

    def test_skip(self) -> None:
        """With SKIP a slow peer goes without the message, and stays connected."""
        _, slow, fast = self.slow()
        result = broadcast([slow.protocol, fast.protocol], "x", SlowPolicy.SKIP)
        self.assertEqual(result, BroadcastResult(1, (), (slow.protocol,), (), 0))
        slow.reads = True
        slow.pump()
        self.assertEqual(slow.messages, [bytes(70_000)])
        self.assertFalse(slow.protocol.isClosing)

    def test_close(self) -> None:
        """With CLOSE a slow peer gets 1008 behind what waits for it."""
        _, slow, fast = self.slow()
        result = broadcast([slow.protocol, fast.protocol], "x", SlowPolicy.CLOSE)
        self.assertEqual(result, BroadcastResult(1, (), (), (slow.protocol,), 0))
        slow.reads = True
        slow.pump()
        self.assertEqual(slow.closeFrame, (1008, "slow consumer"))
        self.assertEqual(slow.messages, [bytes(70_000)])

    def test_changedMeanwhile(self) -> None:
        """The collection may change while a broadcast goes on: hooks take connections
        out of it."""
        members: set[Any] = set()

        def leave(recorder: Recorder) -> None:
            members.discard(recorder.transport)

        recorders: list[Recorder] = []

        def application(_: object) -> Recorder:
            recorders.append(self.record(sendBufferFull=leave))
            return recorders[-1]

        server = self.serve(application)
        peers = [server.open() for _ in range(3)]
        members.update(self.transports(peers))
        for peer in peers:
            peer.reads = False
        result = broadcast(members, bytes(70_000))
        self.assertEqual(result.sent, 3)
        self.assertEqual(members, set())
        self.assertEqual(set(result.queued), set(self.transports(peers)))
