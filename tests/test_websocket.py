"""A connection as an object for coroutines."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred

from tests.support import WireTestCase, firedWith, logged
from twisted_ws.errors import ConnectionClosed
from twisted_ws.frames import RSV1, FrameDecoder
from twisted_ws.handshake import Request
from twisted_ws.interfaces import ClosedCleanly, ClosedUncleanly
from twisted_ws.memory import CLIENT
from twisted_ws.testing import PING, PONG, RawPeer, closing, frame, request, text
from twisted_ws.websocket import QUEUED_MESSAGES, Handler, HandlerProtocol, WebSocket

BIG = "x" * 100_000
"""More than the transport takes at once."""


class WebSocketCase(WireTestCase):
    """Connections that are served by a coroutine."""

    def setUp(self) -> None:
        """Make what is waited for in vain. Without a reference to it the coroutines
        that wait could be collected as garbage, in the middle of a test."""
        super().setUp()
        self._never: Deferred[None] = Deferred()

    def running(self, handler: Handler) -> Callable[[Request], HandlerProtocol]:
        """Give an application that runs a handler for each connection."""
        return lambda _: HandlerProtocol(handler)

    def handled(self, handler: Handler, *extra: str, **options: Any) -> RawPeer:
        """Open a connection to a handler.

        :param handler: serves it
        :param extra: header lines
        :param options: for the server
        """
        peer = self.serve(self.running(handler), **options).open(*extra)
        self.assertEqual(peer.response.status, 101)
        return peer

    def held(self, **options: Any) -> tuple[RawPeer, WebSocket]:
        """Open a connection whose handler does nothing, for ever.

        :param options: for the server
        :returns: its two ends
        """
        found: list[WebSocket] = []

        async def hold(webSocket: WebSocket) -> None:
            found.append(webSocket)
            await self._never

        peer = self.handled(hold, **options)
        return peer, found[0]

    def ending(self, peer: RawPeer, how: str) -> None:
        """Have a connection end.

        :param peer: of the connection
        :param how: ``broken``, ``failed``, ``empty`` or a close code of the peer
        """
        if how == "broken":
            peer.vanish()
        elif how == "failed":
            peer.send(b"\xff\xff")
            peer.hangUp()
        elif how == "empty":
            peer.send(closing(None))
        else:
            peer.send(closing(int(how), "why"))
        self.assertFalse(peer.isConnected)


class IterationTests(WebSocketCase):
    """``async for``."""

    def iterate(self, how: str) -> tuple[list[Any], list[Any]]:
        """Send two messages to a loop and end the connection.

        :returns: what the loop got, and how it ended: its Deferred's result
        """
        peer, webSocket = self.held()
        got: list[Any] = []

        async def loop() -> str:
            async for message in webSocket:
                got.append(message)
            return "ended"

        result = firedWith(ensureDeferred(loop()))
        peer.send(text("a"), frame(0x82, b"b"))
        self.assertEqual((got, result), (["a", b"b"], []))
        self.ending(peer, how)
        return got, result

    def test_good(self) -> None:
        """The loop ends when the peer closes with 1000, 1001 or no code."""
        for how in ("1000", "1001", "empty"):
            got, result = self.iterate(how)
            self.assertEqual((got, result), (["a", b"b"], ["ended"]), how)

    def test_bad(self) -> None:
        """It raises ConnectionClosed, with code and reason, when the peer closes with
        another code, or the connection ends without a closing handshake."""
        for how, code, kind in (
            ("1002", 1002, ClosedCleanly),
            ("1011", 1011, ClosedCleanly),
            ("4000", 4000, ClosedCleanly),
            ("broken", 1006, ClosedUncleanly),
            ("failed", 1002, ClosedUncleanly),
        ):
            got, result = self.iterate(how)
            self.assertEqual(got, ["a", b"b"])
            self.assertEqual(len(result), 1, how)
            self.assertIsInstance(result[0].value, kind)
            self.assertEqual(result[0].value.code, code)
            if how.isdigit():
                self.assertEqual(result[0].value.reason, "why")

    def test_uncleanWithGoodCode(self) -> None:
        """A good code is not enough: without a closing handshake the loop raises."""
        peer, webSocket = self.held()
        webSocket.finish(ClosedUncleanly(1000))

        async def loop() -> None:
            async for _ in webSocket:
                """Never comes here."""

        failure = self.failureResultOf(ensureDeferred(loop()), ConnectionClosed)
        self.assertEqual(failure.value.code, 1000)
        peer.vanish()

    def test_queuedFirst(self) -> None:
        """What came before the end is iterated over first."""
        peer, webSocket = self.held()
        peer.send(text("a"), text("b"), closing())
        self.assertTrue(webSocket.hasEnded)

        async def loop() -> list[Any]:
            return [message async for message in webSocket]

        self.assertEqual(self.successResultOf(ensureDeferred(loop())), ["a", "b"])
        self.assertEqual(self.successResultOf(ensureDeferred(loop())), [])

    def test_bareObject(self) -> None:
        """Request, subprotocol and peer are at hand, and the transport for the rest."""
        found: list[WebSocket] = []

        async def handler(webSocket: WebSocket) -> None:
            found.append(webSocket)

        self.handled(handler, "Sec-WebSocket-Protocol: a", subprotocols=("a",))
        self.assertEqual(found[0].request.path, "/")
        self.assertEqual(found[0].subprotocol, "a")
        self.assertEqual(found[0].getPeer(), CLIENT)
        self.assertIs(found[0].transport.request, found[0].request)


class ReceiveTests(WebSocketCase):
    """``receive()`` and the queue behind it."""

    def test_order(self) -> None:
        """Messages come in order, those that waited before those that come."""
        peer, webSocket = self.held()
        peer.send(text("a"), text("b"))
        self.assertEqual(self.successResultOf(webSocket.receive()), "a")
        self.assertEqual(self.successResultOf(webSocket.receive()), "b")
        waiting = webSocket.receive()
        self.assertNoResult(waiting)
        peer.send(text("c"))
        self.assertEqual(self.successResultOf(waiting), "c")

    def test_severalWaiters(self) -> None:
        """Each of several waiters gets one message, the first one the first."""
        peer, webSocket = self.held()
        results = [firedWith(webSocket.receive()) for _ in range(3)]
        peer.send(text("a"), text("b"))
        self.assertEqual(results, [["a"], ["b"], []])
        peer.send(text("c"), text("d"))
        self.assertEqual(results[2], ["c"])
        self.assertEqual(self.successResultOf(webSocket.receive()), "d")

    def test_cancel(self) -> None:
        """A cancelled ``receive()`` takes no message, whichever waiter it was; one that
        has its message keeps it."""
        for cancelled in range(3):
            peer, webSocket = self.held()
            waiting = [webSocket.receive() for _ in range(3)]
            waiting[cancelled].cancel()
            self.failureResultOf(waiting.pop(cancelled), CancelledError)
            peer.send(text("a"), text("b"), text("c"))
            for waiter, message in zip(waiting, "ab", strict=True):
                waiter.cancel()
                self.assertEqual(self.successResultOf(waiter), message)
            self.assertEqual(self.successResultOf(webSocket.receive()), "c")

    def test_cancelCoroutine(self) -> None:
        """Cancelling a coroutine that receives, for one by a timeout, loses none."""
        peer, webSocket = self.held()

        async def take() -> Any:
            return await webSocket.receive()

        taking = ensureDeferred(take())
        taking.addTimeout(5, peer.server.clock)
        peer.advance(6)
        self.failureResultOf(taking)
        peer.send(text("a"))
        self.assertEqual(self.successResultOf(webSocket.receive()), "a")

    def test_ended(self) -> None:
        """At the end all waiters fail with how it ended, and so does who asks later;
        what came before is still to be had."""
        peer, webSocket = self.held()
        waiting = [webSocket.receive(), webSocket.receive()]
        self.assertFalse(webSocket.hasEnded)
        peer.send(closing(1001, "bye"))
        self.assertTrue(webSocket.hasEnded)
        for waiter in (*waiting, webSocket.receive()):
            failure = self.failureResultOf(waiter, ConnectionClosed)
            self.assertEqual((failure.value.code, failure.value.reason), (1001, "bye"))
        peer, webSocket = self.held()
        peer.send(text("a"))
        peer.vanish()
        self.assertEqual(self.successResultOf(webSocket.receive()), "a")
        self.failureResultOf(webSocket.receive(), ConnectionClosed)

    def test_receivingAgainAtTheEnd(self) -> None:
        """Who asks again in answer to the end gets the same answer, and no loop."""
        peer, webSocket = self.held()
        results: list[Any] = []
        waiter: Deferred[Any] = webSocket.receive()
        waiter.addErrback(lambda _: webSocket.receive())
        waiter.addErrback(results.append)
        peer.vanish()
        self.assertEqual([each.value.code for each in results], [1006])

    def test_bounded(self) -> None:
        """With ``QUEUED_MESSAGES`` waiting nothing more is read from the peer, until
        all are taken; none is lost."""
        peer, webSocket = self.held()
        messages = [str(number) for number in range(3 * QUEUED_MESSAGES)]
        peer.send(*map(text, messages[: QUEUED_MESSAGES - 1]))
        self.assertTrue(peer.transport.reading)
        peer.send(text(messages[QUEUED_MESSAGES - 1]))
        self.assertFalse(peer.transport.reading)
        peer.send(*map(text, messages[QUEUED_MESSAGES:]))
        self.assertTrue(peer.unread)
        got: list[Any] = []
        for taken in range(1, QUEUED_MESSAGES + 1):
            self.assertFalse(peer.transport.reading)
            got.append(self.successResultOf(webSocket.receive()))
            self.assertEqual(len(got), taken)
        self.assertTrue(peer.transport.reading)
        peer.pump()
        while len(got) < len(messages):
            got.append(self.successResultOf(webSocket.receive()))
            peer.pump()
        self.assertEqual(got, messages)
        self.assertEqual(len(webSocket._queue), 0)
        self.assertTrue(peer.transport.reading)

    def test_boundedBySize(self) -> None:
        """Messages that are large fill the queue sooner, text and bytes alike; what was
        compressed counts as what it is."""
        for message in (bytes(100_000), "x" * 100_000):
            peer, webSocket = self.held()
            for _ in range(9):
                if isinstance(message, str):
                    peer.send(text(message))
                else:
                    peer.send(frame(0x82, message))
            self.assertEqual(len(webSocket._queue), 3)
            self.assertFalse(peer.transport.reading)
            for left in (2, 1, 0):
                got = self.successResultOf(webSocket.receive())
                self.assertEqual(got, message)
                self.assertEqual(webSocket._queuedSize, 100_000 * left)
            self.assertTrue(peer.transport.reading)
            peer.pump()
            self.assertEqual(len(webSocket._queue), 3)
            webSocket.discard()
            self.assertEqual(webSocket._queuedSize, 0)

    def test_compressedSegment(self) -> None:
        """A segment full of messages that are large once they are decompressed leaves
        no more of them in memory than others would."""
        found: list[WebSocket] = []

        async def hold(webSocket: WebSocket) -> None:
            found.append(webSocket)
            await self._never

        peer = self.handled(hold, "Sec-WebSocket-Extensions: permessage-deflate")
        compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
        wire = b""
        for _ in range(50):
            data = compressor.compress(bytes(200_000)) + compressor.flush(2)
            wire += frame(0xC2, data[:-4])
        self.assertLess(len(wire), 65536)
        peer.send(wire)
        peer.advance(1, 0.125)
        protocol = peer.protocol
        held = sum(len(each) for each in (*found[0]._queue, *protocol._events))
        self.assertLess(held, 1_000_000)
        for _ in range(50):
            got = self.successResultOf(found[0].receive())
            self.assertEqual(len(got), 200_000)
            peer.advance(0.125, 0.125)

    def test_oneSegment(self) -> None:
        """However many messages come at once, the queue holds no more than its size:
        the others wait as bytes or events, in order."""
        peer, webSocket = self.held()
        messages = [str(number) for number in range(100)]
        peer.send(b"".join(map(text, messages)), closing())
        self.assertEqual(len(webSocket._queue), QUEUED_MESSAGES)
        got = []
        for _ in messages:
            got.append(self.successResultOf(webSocket.receive()))
            peer.pump()
            self.assertTrue(len(webSocket._queue) <= QUEUED_MESSAGES)
        self.assertEqual(got, messages)
        self.failureResultOf(webSocket.receive(), ConnectionClosed)

    def test_lostWhileFull(self) -> None:
        """A connection that breaks with a full queue ends all the same, and everything
        that had come is delivered."""
        peer, webSocket = self.held()
        messages = [str(number) for number in range(100)]
        peer.send(b"".join(map(text, messages)))
        peer.vanish()
        self.assertTrue(webSocket.hasEnded)
        got = [self.successResultOf(webSocket.receive()) for _ in messages]
        self.assertEqual(got, messages)
        self.failureResultOf(webSocket.receive(), ConnectionClosed)


class SendTests(WebSocketCase):
    """``send()`` and ``ping()``."""

    def send(self, webSocket: WebSocket, message: Any) -> Deferred[None]:
        """Start to send."""
        return ensureDeferred(webSocket.send(message))

    def test_kinds(self) -> None:
        """A str goes as text, bytes and their like as binary, else it is a
        TypeError."""
        peer, webSocket = self.held()
        for message in ("ä", b"b", bytearray(b"c"), memoryview(b"d")):
            self.successResultOf(self.send(webSocket, message))
        peer.pump()
        self.assertEqual(peer.messages, ["ä", b"b", b"c", b"d"])
        for wrong in (1, None, ["a"]):
            self.failureResultOf(self.send(webSocket, wrong), TypeError)

    def test_compress(self) -> None:
        """A message may be sent without compression, or with."""

        async def answer(webSocket: WebSocket) -> None:
            await webSocket.send("x" * 100)
            await webSocket.send("x" * 100, compress=False)
            await webSocket.send(b"x" * 20, compress=True)

        peer = self.handled(answer, "Sec-WebSocket-Extensions: permessage-deflate")
        frames = FrameDecoder(False, RSV1).feed(peer.response.body)
        self.assertEqual([first for first, _ in frames], [0xC1, 0x81, 0xC2, 0x88])

    def test_waits(self) -> None:
        """It waits while the peer does not read, and goes on when that does."""
        peer, webSocket = self.held()
        peer.reads = False
        self.successResultOf(self.send(webSocket, "small"))
        sending = self.send(webSocket, BIG)
        self.assertNoResult(sending)
        more = self.send(webSocket, "more")
        self.assertNoResult(more)
        peer.reads = True
        peer.pump()
        self.successResultOf(sending)
        self.successResultOf(more)
        self.assertEqual(peer.messages, ["small", BIG, "more"])

    def test_bounded(self) -> None:
        """A loop that sends for ever to a peer that does not read stands still."""
        peer, webSocket = self.held()
        peer.reads = False
        sent: list[int] = []

        async def loop() -> None:
            while True:
                await webSocket.send(BIG)
                sent.append(1)

        looping = firedWith(ensureDeferred(loop()))
        self.assertEqual((sent, looping), ([], []))
        self.assertTrue(webSocket.transport.bufferedAmount < 2 * len(BIG))
        peer.vanish()
        self.assertEqual([type(each.value) for each in looping], [ClosedUncleanly])

    def test_endsWhileWaiting(self) -> None:
        """It raises ConnectionClosed when the connection ends while it waits."""
        peer, webSocket = self.held()
        peer.reads = False
        sending = self.send(webSocket, BIG)
        peer.vanish()
        failure = self.failureResultOf(sending, ConnectionClosed)
        self.assertEqual(failure.value.code, 1006)

    def test_afterTheEnd(self) -> None:
        """It raises ConnectionClosed after the end, whatever it is given."""
        for how in ("1000", "4000", "broken"):
            peer, webSocket = self.held()
            self.ending(peer, how)
            for message in ("a", b"b", None):
                failure = self.failureResultOf(
                    self.send(webSocket, message), ConnectionClosed
                )
                self.assertEqual(
                    failure.value.code, 1006 if how == "broken" else int(how)
                )

    def test_afterCloseFrame(self) -> None:
        """Behind a Close frame nothing can be sent: that is told, once the connection
        has ended, and no message is dropped in silence. What came before a peer's may
        still be answered."""
        peer, webSocket = self.held()
        webSocket.transport.loseConnection(4000)
        sending = ensureDeferred(webSocket.send("late"))
        self.assertNoResult(sending)
        peer.send(closing(4000))
        closed = self.failureResultOf(sending, ConnectionClosed).value
        self.assertEqual(closed.code, 4000)
        self.assertEqual(peer.messages, [])

        async def answer(webSocket: WebSocket) -> None:
            await webSocket.send(await webSocket.receive())

        peer = self.handled(answer)
        peer.send(text("in time") + closing())
        self.assertEqual(peer.messages, ["in time"])

    def test_ping(self) -> None:
        """A ping goes out; its payload is limited."""
        peer, webSocket = self.held()
        self.successResultOf(ensureDeferred(webSocket.ping(b"p")))
        self.successResultOf(ensureDeferred(webSocket.ping()))
        peer.pump()
        self.assertEqual(peer.frames, [(PING, b"p"), (PING, b"")])
        self.failureResultOf(ensureDeferred(webSocket.ping(bytes(126))), ValueError)
        peer.send(frame(PONG, b"p"))
        self.assertTrue(peer.isConnected)


class CloseTests(WebSocketCase):
    """``close()`` and ``async with``."""

    def test_outcome(self) -> None:
        """It sends the Close frame, waits for the end, and returns how it ended."""
        for arguments, sent in (
            ((), (1000, "")),
            ((4000, "why"), (4000, "why")),
        ):
            peer, webSocket = self.held()
            outcome = ensureDeferred(webSocket.close(*arguments))
            peer.pump()
            self.assertEqual(peer.closeFrame, sent)
            self.assertNoResult(outcome)
            peer.send(closing(4001, "as you like"))
            closed = self.successResultOf(outcome)
            self.assertEqual(
                (closed.code, closed.reason, closed.wasClean),
                (4001, "as you like", True),
            )
            self.assertIs(
                self.successResultOf(ensureDeferred(webSocket.close())), closed
            )

    def test_endedAtOnce(self) -> None:
        """When it returns the connection has ended for all other methods, too."""
        peer, webSocket = self.held()

        async def closeAndSend() -> None:
            closed = await webSocket.close()
            self.assertTrue(webSocket.hasEnded)
            failure = self.failureResultOf(webSocket.receive(), ConnectionClosed)
            self.assertIs(failure.value, closed)
            await webSocket.send("late")

        sending = ensureDeferred(closeAndSend())
        peer.send(closing())
        self.failureResultOf(sending, ConnectionClosed)

    def test_unanswered(self) -> None:
        """Without an answer it returns after ``closeTimeout`` seconds, with 1006."""
        peer, webSocket = self.held()
        outcome = ensureDeferred(webSocket.close())
        peer.advance(peer.server.options.closeTimeout - 1)
        self.assertNoResult(outcome)
        peer.advance(2)
        closed = self.successResultOf(outcome)
        self.assertEqual((closed.code, closed.wasClean), (1006, False))

    def test_wrongCode(self) -> None:
        """A code that may not be sent is a ValueError, and nothing is lost by it."""
        peer, webSocket = self.held()
        peer.send(text("a"))
        for arguments in ((1005,), (999,), (1000, "x" * 124)):
            failing: Any = webSocket.close(*arguments)
            self.failureResultOf(ensureDeferred(failing), ValueError)
        peer.send(text("b"))
        self.assertEqual(self.successResultOf(webSocket.receive()), "a")
        self.assertEqual(self.successResultOf(webSocket.receive()), "b")

    def test_discards(self) -> None:
        """Messages that waited, and that come after it, are dropped: a full queue keeps
        nobody from reading the peer's Close frame."""
        peer, webSocket = self.held()
        peer.send(*(text("a") for _ in range(5 * QUEUED_MESSAGES)))
        self.assertFalse(peer.transport.reading)
        outcome = ensureDeferred(webSocket.close())
        peer.pump()
        peer.send(*(text("b") for _ in range(5 * QUEUED_MESSAGES)), closing())
        self.assertTrue(self.successResultOf(outcome).wasClean)
        self.failureResultOf(webSocket.receive(), ConnectionClosed)

    def test_waiterAtClose(self) -> None:
        """Who receives meanwhile gets no message any more, but the end."""
        peer, webSocket = self.held()
        waiting = webSocket.receive()
        ensureDeferred(webSocket.close())
        peer.send(text("late"))
        self.assertNoResult(waiting)
        peer.send(closing())
        self.failureResultOf(waiting, ConnectionClosed)

    def test_contextManager(self) -> None:
        """``async with`` closes with 1000 at its end, and waits; it gives the object
        itself."""
        peer, webSocket = self.held()

        async def use() -> str:
            async with webSocket as same:
                self.assertIs(same, webSocket)
            return "through"

        using = ensureDeferred(use())
        peer.pump()
        self.assertEqual(peer.closeFrame, (1000, ""))
        self.assertNoResult(using)
        peer.send(closing())
        self.assertEqual(self.successResultOf(using), "through")

    def test_contextManagerRaises(self) -> None:
        """If the block raises it closes with 1011, and hands on the exception."""
        peer, webSocket = self.held()

        async def use() -> None:
            async with webSocket:
                raise KeyError("oops")

        using = ensureDeferred(use())
        peer.pump()
        self.assertEqual(peer.closeFrame, (1011, ""))
        self.assertNoResult(using)
        peer.send(closing(1011))
        self.failureResultOf(using, KeyError)

    def test_contextManagerCancelled(self) -> None:
        """If the block is cancelled it closes with 1001."""
        peer, webSocket = self.held()

        async def use() -> None:
            async with webSocket:
                await webSocket.receive()

        using = ensureDeferred(use())
        using.cancel()
        peer.pump()
        self.assertEqual(peer.closeFrame, (1001, ""))
        peer.send(closing(1001))
        self.failureResultOf(using, CancelledError)

    def test_contextManagerEnded(self) -> None:
        """If the connection has ended there is nothing to wait for."""
        peer, webSocket = self.held()

        async def use() -> None:
            async with webSocket:
                await webSocket.receive()

        using = ensureDeferred(use())
        peer.vanish()
        self.failureResultOf(using, ConnectionClosed)


class HandlerTests(WebSocketCase):
    """What becomes of a connection when its handler is through."""

    def test_returns(self) -> None:
        """A handler that returns closes with 1000, at once or later."""

        async def atOnce(_: WebSocket) -> None:
            """Return."""

        async def later(webSocket: WebSocket) -> None:
            await webSocket.send(await webSocket.receive())

        peer = self.handled(atOnce)
        self.assertEqual(peer.closeFrame, (1000, ""))
        peer = self.handled(later)
        self.assertIsNone(peer.closeFrame)
        peer.send(text("a"))
        self.assertEqual(peer.messages, ["a"])
        self.assertEqual(peer.closeFrame, (1000, ""))
        peer.send(closing())
        self.assertFalse(peer.isConnected)

    def test_H16_raises(self) -> None:
        """A handler that raises closes with 1011, tells the peer nothing, and is
        logged; at once or later."""

        async def atOnce(_: WebSocket) -> None:
            raise KeyError("secret")

        async def later(webSocket: WebSocket) -> None:
            await webSocket.receive()
            raise KeyError("secret")

        for handler in (atOnce, later):
            with logged() as lines:
                peer = self.handled(handler)
                peer.send(text("a"))
            self.assertEqual(peer.closeFrame, (1011, "internal error"))
            self.assertNotIn(b"secret", peer.received)
            self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
            self.assertTrue(any("handler failed" in each for each in lines), lines)

    def test_notACoroutine(self) -> None:
        """A handler that is a plain function is such an error, too."""
        handler: Any = lambda _: None  # noqa: E731
        peer = self.handled(handler)
        self.assertEqual(peer.closeFrame, (1011, "internal error"))
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_connectionClosed(self) -> None:
        """That the connection ended under the handler is no error, whatever it was
        waiting for."""

        async def receiving(webSocket: WebSocket) -> None:
            while True:
                await webSocket.receive()

        async def iterating(webSocket: WebSocket) -> None:
            async for _ in webSocket:
                """Take all."""

        async def sending(webSocket: WebSocket) -> None:
            while True:
                await webSocket.send(BIG)

        async def using(webSocket: WebSocket) -> None:
            async with webSocket:
                await webSocket.receive()

        async def raisingLate(webSocket: WebSocket) -> None:
            await webSocket.transport.whenClosed()
            await webSocket.send("a")

        for handler in (receiving, iterating, sending, using, raisingLate):
            for how in ("broken", "1000", "4000"):
                if handler is sending and how != "broken":
                    # It would send for ever to a peer that reads.
                    continue
                peer = self.serve(self.running(handler)).connect()
                peer.reads = handler is not sending
                with logged() as lines:
                    peer.send(request())
                    self.ending(peer, how)
                self.assertEqual(self.flushLoggedErrors(), [], (handler, how))
                self.assertFalse(any("failed" in each for each in lines), lines)

    def test_othersConnectionClosed(self) -> None:
        """That another connection ended under it is an error, both while its own lasts
        and when that has ended."""

        async def handler(webSocket: WebSocket) -> None:
            await waiting
            raise ConnectionClosed(1006)

        for ended in (False, True):
            waiting: Deferred[None] = Deferred()
            peer = self.handled(handler)
            if ended:
                peer.vanish()
            waiting.callback(None)
            peer.pump()
            if not ended:
                self.assertEqual(peer.closeFrame, (1011, "internal error"))
            self.assertEqual(len(self.flushLoggedErrors(ConnectionClosed)), 1)

    def test_raisesAfterTheEnd(self) -> None:
        """Any other error is logged after the end, too, and leaves nothing behind."""

        async def handler(webSocket: WebSocket) -> None:
            async for _ in webSocket:
                """Take all."""
            raise KeyError("oops")

        peer = self.handled(handler)
        peer.send(closing())
        self.assertFalse(peer.isConnected)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertEqual(peer.server.clock.getDelayedCalls(), [])

    def test_closesByItself(self) -> None:
        """A handler may close with a code of its own; that it returns, or raises,
        behind that changes nothing for the peer."""

        async def closes(webSocket: WebSocket) -> None:
            await webSocket.close(4000, "enough")

        async def closesAndRaises(webSocket: WebSocket) -> None:
            await webSocket.close(4000, "enough")
            raise KeyError

        for handler, errors in ((closes, 0), (closesAndRaises, 1)):
            peer = self.handled(handler)
            self.assertEqual(peer.closeFrame, (4000, "enough"))
            peer.send(closing(4000))
            self.assertFalse(peer.isConnected)
            self.assertEqual(len(self.flushLoggedErrors(KeyError)), errors)

    def test_discards(self) -> None:
        """When the handler is through, however that came, what still comes is dropped,
        and a full queue is no obstacle to the peer's Close frame."""

        async def returns(_: WebSocket) -> None:
            await going[-1]

        async def raises(_: WebSocket) -> None:
            await going[-1]
            raise KeyError

        going: list[Deferred[None]] = []
        for handler, errors in ((returns, 0), (raises, 1)):
            going.append(Deferred())
            peer = self.handled(handler)
            peer.send(*(text("a") for _ in range(100)))
            self.assertFalse(peer.transport.reading)
            going[-1].callback(None)
            peer.send(*(text("b") for _ in range(100)), closing())
            self.assertFalse(peer.isConnected)
            self.assertEqual(len(self.flushLoggedErrors(KeyError)), errors)

    def test_messagesMeanwhile(self) -> None:
        """The connection does not wait for the handler: pings are answered while it
        does something else, and messages wait for it."""
        done: Deferred[None] = Deferred()
        got: list[Any] = []

        async def handler(webSocket: WebSocket) -> None:
            await done
            got.append(await webSocket.receive())

        peer = self.handled(handler)
        peer.send(text("a"), frame(PING, b"p"))
        self.assertEqual(peer.frames, [(PONG, b"p")])
        done.callback(None)
        self.assertEqual(got, ["a"])

    def test_receivesInTurn(self) -> None:
        """A handler that answers each message does so in order, within one segment."""

        async def handler(webSocket: WebSocket) -> None:
            async for message in webSocket:
                await webSocket.send(message)

        peer = self.handled(handler)
        messages: list[Any] = [str(number) for number in range(200)]
        peer.send(b"".join(map(text, messages)))
        self.assertEqual(peer.messages, messages)
        self.assertTrue(peer.transport.reading)
