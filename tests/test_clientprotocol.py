"""The client's end of a connection: request, answer, frames; errors for all else."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import os
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, NoProtocol

from tests.remote import ClientTestCase, Line, closing, frame, response
from tests.support import firedWith
from twisted_ws import connection
from twisted_ws.errors import (
    CertificateRefused,
    ConnectFailed,
    ConnectionClosed,
    HandshakeRefused,
    HandshakeTimeout,
    InvalidHandshake,
    SlowConsumer,
)
from twisted_ws.interfaces import ClosedCleanly, ClosedUncleanly
from twisted_ws.memory import MemoryTransport
from twisted_ws.offers import DeflateParameters
from twisted_ws.options import Options
from twisted_ws.testing import BINARY, CLOSE, PING, PONG, TEXT, Recorder, echoing


class OpeningTests(ClientTestCase):
    """The 101."""

    def test_request(self) -> None:
        """The request goes out as soon as there is a connection, without delay by
        Nagle's algorithm."""
        line, results = self.requested()
        self.assertEqual(line.head.partition("\r\n")[0], "GET / HTTP/1.1")
        self.assertEqual(line.fields["host"], "example.com")
        self.assertTrue(line.transport.noDelay)
        self.assertEqual(results, [])

    def test_open(self) -> None:
        """The Deferred fires with the application's protocol behind the 101 and never
        before; hooks are called in their order."""
        recorder = Recorder()
        line, results = self.requested(recorder)
        self.assertEqual((results, recorder.calls), ([], []))
        line.accept()
        self.assertEqual(results, [recorder])
        self.assertEqual(recorder.names, ["negotiationStarted", "negotiationFinished"])
        transport = recorder.transport
        response = transport.response
        assert response is not None
        self.assertEqual((response.status, response.version), (101, (1, 1)))
        self.assertEqual(transport.request.peer, line.transport.getPeer())
        self.assertEqual(transport.request.localAddress, line.transport.getHost())
        self.assertIsNone(transport.request.peerCertificate)
        self.assertEqual((transport.subprotocol, transport.extensions), (None, ()))

    def test_bytewise(self) -> None:
        """The answer may come byte for byte, with a 100 and a 103 before it."""
        recorder = Recorder()
        line, results = self.requested(recorder)
        early = response("100 Continue") + response(103, "Link: </a>; rel=preload")
        line.send(early, segment=1)
        self.assertEqual(results, [])
        line.accept()
        self.assertEqual(results, [recorder])

    def test_framesBehindTheAnswer(self) -> None:
        """Frames in the segment of the 101 are delivered, after the Deferred fired."""
        events: list[str] = []
        recorder = Recorder(
            textMessageReceived=lambda _, text: events.append(text),
            negotiationFinished=lambda _: events.append("finished"),
        )
        line, _ = self.requested(recorder)
        self.connecting.addCallback(lambda _: events.append("fired"))
        line.accept(then=frame(TEXT, b"a") + frame(TEXT, b"b"))
        self.assertEqual(events, ["finished", "fired", "a", "b"])

    def test_sending(self) -> None:
        """What hooks and callbacks of the Deferred send while the connection opens goes
        out in one write."""
        recorder = Recorder(
            negotiationStarted=lambda it: it.transport.sendTextMessage("1"),
            negotiationFinished=lambda it: it.transport.sendTextMessage("2"),
        )
        line, _ = self.requested(recorder)
        self.connecting.addCallback(lambda _: recorder.transport.sendTextMessage("3"))
        before = len(line.transport.writes)
        line.accept()
        self.assertEqual(line.frames, [(TEXT, b"1"), (TEXT, b"2"), (TEXT, b"3")])
        written = [each for each in line.transport.writes[before:] if each]
        self.assertEqual(len(written), 1)

    def test_decisionPending(self) -> None:
        """buildProtocol and negotiationStarted may take their time: frames wait, and
        reading pauses when many have come."""
        building: Deferred[Any] = Deferred()
        starting: Deferred[None] = Deferred()
        recorder = Recorder(negotiationStarted=lambda _: starting)
        line, results = self.requested(lambda _: building)
        line.accept(then=frame(TEXT, b"early"))
        building.callback(recorder)
        line.send(frame(BINARY, bytes(20_000)))
        self.assertFalse(line.transport.reading)
        self.assertEqual((results, recorder.names), ([], ["negotiationStarted"]))
        starting.callback(None)
        line.pump()
        self.assertEqual(results, [recorder])
        self.assertEqual(recorder.messages, ["early", bytes(20_000)])

    def test_coroutine(self) -> None:
        """The application's factory may be a coroutine function."""
        recorder = Recorder()

        async def build(request: Any) -> Recorder:
            self.assertEqual(request.path, "/")
            return recorder

        line, results = self.requested(build)
        line.accept()
        self.assertEqual(results, [recorder])

    def test_subprotocol(self) -> None:
        """The subprotocol that the server chose is the transport's."""
        recorder = Recorder()
        line, _ = self.requested(recorder, subprotocols=("v2", "v1"))
        self.assertEqual(line.fields["sec-websocket-protocol"], "v2, v1")
        line.accept("Sec-WebSocket-Protocol: v1")
        self.assertEqual(recorder.transport.subprotocol, "v1")

    def test_TLS(self) -> None:
        """Over TLS not a byte of the request goes out before that is done."""
        results = self.connect(Recorder(), "wss://example.com/")
        line = self.remote.attempts[0].succeed(tlsDone=False)
        self.assertEqual(line.received, b"")
        line.protocol.handshakeCompleted()
        line.pump()
        line.accept()
        self.assertEqual(len(results), 1)

    def test_TLSWithAnother(self) -> None:
        """Twisted before 24 ends a connection whose certificate has the wrong name, and
        says that TLS is done all the same: then nothing is asked."""
        self.connect(Recorder(), "wss://example.com/")
        line = self.remote.attempts[0].succeed(tlsDone=False)
        line.transport.disconnecting = True
        line.protocol.handshakeCompleted()
        self.assertEqual(line.transport.writes, [])

    def test_noNagle(self) -> None:
        """A transport without that algorithm, or that fails to do without it, is good
        enough."""
        self.connect(Recorder())
        self.remote.attempts[0].succeed()

        def fail(_: bool) -> None:
            raise OSError

        line, _ = self.requested()
        for method in (fail, None):
            transport: Any = line.transport
            transport.setTcpNoDelay = method
            line.protocol.connectionMade()


class AnswerTests(ClientTestCase):
    """Answers that are none."""

    def test_C01_accept(self) -> None:
        """An answer that does not fit the request fails with an error that says which
        of its headers is wrong."""
        for lines, without, what in (
            (("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",), "", "Accept"),
            ((), "Sec-WebSocket-Accept", "Sec-WebSocket-Accept"),
            ((), "Upgrade", "Upgrade"),
            ((), "Connection", "Connection"),
            (("Sec-WebSocket-Protocol: chat",), "", "Sec-WebSocket-Protocol"),
            (("Sec-WebSocket-Extensions: x",), "", "Sec-WebSocket-Extensions"),
        ):
            recorder = Recorder()
            line, results = self.requested(recorder)
            line.accept(*lines, without=without)
            error = self.failed(results, InvalidHandshake)
            self.assertIn(what, error.what)
            self.assertTrue(line.transport.aborted)
            self.assertEqual(recorder.calls, [])

    def test_C02_refusal(self) -> None:
        """Another status is an error with status, headers and body."""
        line, results = self.requested()
        line.send(response("403 Forbidden", "X: y", "Content-Length: 4", body=b"nope!"))
        error = self.failed(results, HandshakeRefused)
        self.assertEqual(
            (error.status, error.body, error.reason), (403, b"nope", "Forbidden")
        )
        self.assertEqual(error.headers.get("x"), "y")
        self.assertFalse(error.truncated)
        self.assertEqual(str(error), "the server answered 403 Forbidden")
        self.assertTrue(line.transport.aborted)

    def test_C02_bodyUntilTheEnd(self) -> None:
        """A body without a length ends with the connection; one with a length that the
        connection does not reach is marked."""
        for head, truncated in (("X: y", False), ("Content-Length: 9", True)):
            line, results = self.requested()
            line.send(response("503", head, body=b"later"))
            self.assertEqual(results, [])
            line.hangUp()
            error = self.failed(results, HandshakeRefused)
            self.assertEqual((error.body, error.truncated), (b"later", truncated))
            self.assertEqual(str(error), "the server answered 503 Service Unavailable")

    def test_C02_largeBody(self) -> None:
        """64 KiB of a body are kept; what follows is not waited for."""
        line, results = self.requested()
        line.send(response("500", body=bytes(70_000)))
        error = self.failed(results, HandshakeRefused)
        self.assertEqual((len(error.body), error.truncated), (65536, True))

    def test_C02_slowBody(self) -> None:
        """A body that does not end has the time that the answer has."""
        line, results = self.requested()
        line.send(response("500", "Content-Length: 9", body=b"part"))
        self.remote.advance(11)
        error = self.failed(results, HandshakeRefused)
        self.assertEqual((error.body, error.truncated), (b"part", True))

    def test_C03_garbage(self) -> None:
        """What is not an HTTP response is an error at the first line of it."""
        for data in (
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"HTTP/1.1 101 Switching\n\n",
            b"\r\n",
            b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n",
            b"\x15\x03\x03\x00\x02\x02\x0a" * 2000,
        ):
            line, results = self.requested()
            line.send(data)
            error = self.failed(results, InvalidHandshake)
            self.assertEqual(error.what, "response")
            self.assertTrue(line.transport.aborted)

    def test_C03_endless(self) -> None:
        """Endless lines and endless headers end at the limits, 1xx answers included."""
        for piece in (b"HTTP/1.1 101 " + b"a" * 9000, b"A: b\r\n" * 200, b"A" * 20_000):
            line, results = self.requested()
            line.send(b"" if piece[:1] == b"H" else b"HTTP/1.1 101 x\r\n", piece)
            self.failed(results, InvalidHandshake)
        line, results = self.requested()
        line.send(response(100, "A: " + "b" * 4000) * 9)
        self.failed(results, InvalidHandshake)

    def test_C03_silence(self) -> None:
        """Without a whole answer it is over after 10 seconds, however busily bytes
        trickle."""
        line, results = self.requested()
        for byte in b"HTTP/1.1 ":
            line.send(bytes([byte]))
            self.remote.advance(1)
        self.assertEqual(results, [])
        self.remote.advance(2)
        error = self.failed(results, HandshakeTimeout)
        self.assertEqual((error.option, error.seconds), ("handshakeTimeout", 10))
        self.assertIn("answer", str(error))
        self.assertTrue(line.transport.aborted)

    def test_C03_silentTLS(self) -> None:
        """The TLS handshake is part of that time."""
        results = self.connect(Recorder(), "wss://example.com/")
        self.remote.attempts[0].succeed(tlsDone=False)
        self.remote.advance(11)
        error = self.failed(results, HandshakeTimeout)
        self.assertIn("TLS", str(error))

    def test_C03_drop(self) -> None:
        """A connection that ends before the 101 is an error that says when."""
        for url, data, words in (
            ("wss://a", None, "TLS handshake"),
            ("ws://a", b"", "without an answer"),
            ("ws://a", b"HTTP/1.1 101 x\r\n", "in the middle"),
        ):
            results = self.connect(Recorder(), url)
            line = self.remote.attempts[-1].succeed(tlsDone=data is not None)
            line.send(data or b"")
            line.hangUp()
            error = self.failed(results, ConnectFailed)
            self.assertIn(words, str(error))
            self.assertIsInstance(error.__cause__, ConnectionDone)

    def test_C04_redirect(self) -> None:
        """A redirect ends the connection without waiting for its body; the next one is
        another connection."""
        line, results = self.requested()
        line.send(response(307, "Location: /x", "Content-Length: 9"))
        self.assertTrue(line.transport.aborted)
        self.assertEqual(results, [])
        self.assertEqual(len(self.remote.attempts), 2)
        self.connecting.cancel()

    def test_C05_TLS(self) -> None:
        """What ends TLS is told, before the request and behind it."""
        trouble = SSL.Error([("SSL routines", "", "certificate verify failed")])
        for done in (False, True):
            results = self.connect(Recorder(), "wss://example.com/")
            line = self.remote.attempts[-1].succeed(tlsDone=done)
            line.vanish(trouble)
            error = self.failed(results, CertificateRefused)
            self.assertIs(error.__cause__, trouble)
            self.assertIn("example.com", str(error))

    def test_C03_afterTheError(self) -> None:
        """What comes after an error is ignored, whatever the application does."""
        line, results = self.requested()
        protocol = line.protocol
        line.send(b"rubbish\r\n")
        protocol.failConnection(SlowConsumer("late"))
        protocol.lineReceived(b"more\r")
        protocol.lineLengthExceeded(b"more")
        protocol.dataReceived(b"more")
        self.failed(results, InvalidHandshake)


class ApplicationTests(ClientTestCase):
    """Applications that fail while the connection opens."""

    def test_raises(self) -> None:
        """What the factory or negotiationStarted raises is what the Deferred fails
        with; the server, for which the connection is open, is told 1011."""
        error = RuntimeError("no")

        def fail(*_: object) -> None:
            raise error

        async def failLater(*_: object) -> None:
            raise error

        for application in (
            fail,
            failLater,
            Recorder(negotiationStarted=fail),
            Recorder(negotiationStarted=failLater),
        ):
            line, results = self.requested(application)
            line.accept()
            self.assertIs(self.failed(results, RuntimeError), error)
            self.assertEqual(line.frames, [(CLOSE, b"\x03\xf3internal error")])
            self.assertTrue(line.transport.writeClosed)
            line.hangUp()
            if isinstance(application, Recorder):
                self.assertEqual(application.names, ["negotiationStarted"])

    def test_plainProtocol(self) -> None:
        """A protocol need not inherit from anything, nor have more than one hook."""

        class Plain:
            def negotiationStarted(self, transport: object) -> None:
                pass

        line, results = self.requested(lambda _: Plain())
        line.accept()
        self.assertIsInstance(results[0], Plain)

    def test_none(self) -> None:
        """A factory that gives no protocol is an error as with Twisted's endpoints."""
        line, results = self.requested(lambda _: None)
        line.accept()
        self.failed(results, NoProtocol)

    def test_failedAndSilent(self) -> None:
        """A server that does not close such a connection is left after 10 seconds."""
        line, results = self.requested(lambda _: None)
        line.accept()
        self.failed(results, NoProtocol)
        self.remote.advance(11)
        self.assertTrue(line.transport.aborted)

    def test_lost(self) -> None:
        """If the server leaves while the application takes its time, the Deferred says
        so, the application's is cancelled, and those that the transport gave out
        fire."""
        cancelled: list[Any] = []
        waiting: Deferred[None] = Deferred(cancelled.append)
        closed: list[Any] = []

        def start(recorder: Recorder) -> Deferred[None]:
            recorder.transport.whenClosed().addCallback(closed.append)
            return waiting

        recorder = Recorder(negotiationStarted=start)
        line, results = self.requested(recorder)
        line.accept()
        line.hangUp()
        error = self.failed(results, ConnectFailed)
        self.assertIn("application", str(error))
        self.assertEqual(cancelled, [waiting])
        self.assertEqual(recorder.names, ["negotiationStarted"])
        self.assertIsInstance(closed[0], ConnectionClosed)

    def test_lostWhileBuilding(self) -> None:
        """Likewise while the factory takes its time, deaf to cancelling."""
        building: Deferred[Any] = Deferred(lambda it: it.callback(Recorder()))
        line, results = self.requested(lambda _: building)
        line.accept()
        line.vanish()
        self.failed(results, ConnectFailed)

    def test_abortedByTheApplication(self) -> None:
        """An application that aborts in negotiationStarted gets an error, not a
        connection."""
        recorder = Recorder(
            negotiationStarted=lambda it: it.transport.abortConnection()
        )
        line, results = self.requested(recorder)
        line.accept()
        self.remote.advance(0)
        self.failed(results, ConnectFailed)

    def test_tooMuch(self) -> None:
        """An application that sends more than maxSendBuffer before the connection is
        open gets an error, not a connection."""

        def start(recorder: Recorder) -> None:
            for _ in range(3):
                recorder.transport.sendBytesMessage(bytes(65536))

        recorder = Recorder(negotiationStarted=start)
        line, results = self.requested(
            recorder, highWaterMark=65536, maxSendBuffer=65536
        )
        line.accept()
        self.failed(results, SlowConsumer)
        self.assertEqual(recorder.names, ["negotiationStarted"])

    def test_closedEarly(self) -> None:
        """loseConnection in negotiationStarted closes behind the opening; while that
        is pending it has closeTimeout."""
        waiting: Deferred[None] = Deferred()

        def start(recorder: Recorder) -> Deferred[None]:
            recorder.transport.loseConnection(4000)
            return waiting

        line, results = self.requested(Recorder(negotiationStarted=start))
        line.accept()
        self.remote.advance(11)
        self.assertTrue(line.transport.aborted)
        self.failed(results, ConnectFailed)

    def test_cancelledInTheHook(self) -> None:
        """negotiationFinished may cancel the very Deferred that is about to fire."""
        recorder = Recorder(negotiationFinished=lambda _: self.connecting.cancel())
        line, results = self.requested(recorder)
        line.accept()
        self.failed(results, CancelledError)
        self.assertTrue(line.transport.aborted)
        self.remote.advance(0)
        self.assertEqual(recorder.names[-1], "connectionLost")

    def test_failedHook(self) -> None:
        """A negotiationFinished that raises fails the open connection with 1011."""

        def fail(_: object) -> None:
            raise RuntimeError("no")

        recorder = Recorder(negotiationFinished=fail)
        line, results = self.requested(recorder)
        line.accept()
        self.assertEqual(results, [recorder])
        self.assertEqual(line.frames[-1][1][:2], b"\x03\xf3")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class FrameTests(ClientTestCase):
    """The open connection, in the client's role."""

    def _failsWith(self, data: bytes, code: int) -> None:
        recorder = Recorder()
        line = self.opened(recorder)
        line.send(data)
        self.assertEqual(line.frames[-1][0], CLOSE)
        self.assertEqual(int.from_bytes(line.frames[-1][1][:2], "big"), code)
        line.hangUp()
        self.assertEqual(recorder.reason.code, code)

    def test_F01_maskedFrame(self) -> None:
        """A frame of a server that is masked fails with 1002."""
        self._failsWith(b"\x81\x81\x00\x00\x00\x00a", 1002)

    def test_F02_reserved(self) -> None:
        """Reserved bits and opcodes fail with 1002 on the client too."""
        for first in (0xC1, 0xA1, 0x91, 0x83, 0x8B):
            self._failsWith(frame(first, b""), 1002)

    def test_F04_control(self) -> None:
        """Control frames in fragments, and continuations of nothing, likewise."""
        for first in (PING & 0x7F, 0x80, 0x00):
            self._failsWith(frame(first, b""), 1002)

    def test_F05_tooBig(self) -> None:
        """A message over maxMessageSize fails with 1009 on its header."""
        self._failsWith(b"\x82\x7f" + (2**20 + 1).to_bytes(8, "big"), 1009)

    def test_F06_invalidText(self) -> None:
        """Text that is not UTF-8 fails with 1007."""
        self._failsWith(frame(TEXT, b"\xff"), 1007)

    def test_F07_close(self) -> None:
        """A Close frame that nobody may send fails with 1002."""
        self._failsWith(closing(1005), 1002)

    def test_F11_pings(self) -> None:
        """While the server does not read, at most one pong waits, the newest."""
        recorder = Recorder()
        line = self.opened(recorder, highWaterMark=1 << 20)
        line.reads = False
        recorder.transport.sendBytesMessage(bytes(65536))
        line.send(b"".join(frame(PING, bytes([each])) for each in range(9)))
        line.reads = True
        line.pump()
        self.assertEqual(line.frames[1:], [(PONG, b"\x08")])

    def test_F12_slowConsumer(self) -> None:
        """A server that does not read is left at maxSendBuffer."""
        recorder = Recorder()
        line = self.opened(recorder, highWaterMark=65536, maxSendBuffer=1 << 20)
        line.reads = False
        for _ in range(40):
            recorder.transport.sendBytesMessage(bytes(65536))
        self.remote.advance(11)
        self.assertEqual(recorder.reason.code, 1008)

    def test_echo(self) -> None:
        """Messages go both ways."""
        line = self.opened(echoing())
        line.send(frame(TEXT, b"a"), frame(BINARY, b"b"))
        self.assertEqual(line.frames, [(TEXT, b"a"), (BINARY, b"b")])

    def test_C06_maskKeys(self) -> None:
        """Each frame has a key of its own, of the system's random numbers; an
        application has no way to choose one."""
        keys = [b"abcd", b"efgh", b"ijkl"]
        asked: list[int] = []

        def urandom(count: int) -> bytes:
            asked.append(count)
            return keys.pop(0)

        recorder = Recorder()
        line, _ = self.requested(recorder)
        defaults: Any = connection.Connection.__init__.__defaults__
        self.patch(
            connection.Connection.__init__,
            "__defaults__",
            tuple(urandom if each is os.urandom else each for each in defaults),
        )
        line.accept()
        for _ in range(3):
            recorder.transport.sendTextMessage("same")
        line.pump()
        wire = line.received.partition(b"\r\n\r\n")[2]
        frames = [wire[at : at + 10] for at in range(0, len(wire), 10)]
        self.assertEqual([each[2:6] for each in frames], [b"abcd", b"efgh", b"ijkl"])
        self.assertEqual(asked, [4, 4, 4])

    def test_compression(self) -> None:
        """What was agreed is on the transport, and holds both ways; a bomb is 1009."""
        recorder = Recorder()
        line, _ = self.requested(recorder)
        agreed = "permessage-deflate; client_max_window_bits=12"
        line.accept(f"Sec-WebSocket-Extensions: {agreed}")
        self.assertEqual(recorder.transport.extensions, (agreed,))
        recorder.transport.sendTextMessage("word " * 100)
        line.pump()
        wire = line.received.partition(b"\r\n\r\n")[2]
        self.assertLess(len(wire), 50)
        server = connection.Connection(
            connection.Role.SERVER,
            Options(),
            deflate=DeflateParameters(clientMaxWindowBits=12),
        )
        self.assertEqual(server.receive(wire), ["word " * 100])
        line.send(server.sendText("answer " * 100))
        self.assertEqual(recorder.messages, ["answer " * 100])
        big = connection.Connection(
            connection.Role.SERVER, Options(), deflate=DeflateParameters(True)
        )
        line.send(big.sendBytes(bytes(2**21)))
        self.assertEqual(recorder.messages, ["answer " * 100])
        self.assertEqual(line.frames[-1][1][:2], (1009).to_bytes(2, "big"))

    def test_C06_default(self) -> None:
        """Those are os.urandom's."""
        defaults = connection.Connection.__init__.__defaults__
        assert defaults is not None
        self.assertIn(os.urandom, defaults)
        recorder = Recorder()
        line = self.opened(recorder)
        for _ in range(64):
            recorder.transport.sendTextMessage("")
        line.pump()
        wire = line.received.partition(b"\r\n\r\n")[2]
        keys = {wire[at + 2 : at + 6] for at in range(0, len(wire), 6)}
        self.assertEqual(len(keys), 64)


class TimeTests(ClientTestCase):
    """Keepalive and closing, in the client's role."""

    def test_T01_silentServer(self) -> None:
        """A silent server is pinged after 20 seconds, and left with 1011 after 20
        more."""
        recorder = Recorder()
        line = self.opened(recorder)
        self.remote.advance(19)
        self.assertEqual(line.frames, [])
        self.remote.advance(2)
        self.assertEqual([first for first, _ in line.frames], [PING])
        self.remote.advance(20)
        self.assertEqual(line.frames[-1][1][:2], b"\x03\xf3")
        line.hangUp()
        self.assertEqual(recorder.reason.code, 1011)

    def test_T01_roundTripTime(self) -> None:
        """A pong gives the round-trip time."""
        recorder = Recorder()
        line = self.opened(recorder)
        self.assertIsNone(recorder.transport.roundTripTime)
        self.remote.advance(21)
        sent = line.frames[0][1]
        self.remote.advance(0.25, 0.25)
        line.send(frame(PONG, sent))
        # The deadline was at 1020, and the clock went on to 1021 behind it.
        self.assertEqual(recorder.transport.roundTripTime, 1.25)
        recorder.transport.ping(b"mine")
        self.remote.advance(0.25, 0.25)
        line.send(frame(PONG, b"mine"))
        self.assertEqual(recorder.transport.roundTripTime, 0.25)

    def test_T02_serverClosesFirst(self) -> None:
        """After the closing handshake the client waits for the server to end the TCP
        connection, whoever began with it."""
        for begins in ("server", "client"):
            recorder = Recorder()
            line = self.opened(recorder)
            if begins == "client":
                recorder.transport.loseConnection(4000, "bye")
                line.send(closing(4000))
            else:
                line.send(closing(4000))
            self.assertEqual(line.frames[-1][1][:2], b"\x0f\xa0")
            self.assertFalse(line.transport.disconnecting or line.transport.writeClosed)
            self.remote.advance(5)
            self.assertTrue(line.isConnected)
            self.assertIsNone(recorder.reason)
            line.hangUp()
            self.assertIsInstance(recorder.reason, ClosedCleanly)
            self.assertEqual(recorder.reason.code, 4000)

    def test_T02_serverDoesNotClose(self) -> None:
        """For that it has 10 seconds."""
        recorder = Recorder()
        line = self.opened(recorder)
        line.send(closing())
        self.remote.advance(11)
        self.assertTrue(line.transport.aborted)
        self.assertIsInstance(recorder.reason, ClosedCleanly)

    def test_T02_noAnswer(self) -> None:
        """A Close frame without an answer likewise."""
        recorder = Recorder()
        line = self.opened(recorder)
        recorder.transport.loseConnection()
        self.remote.advance(11)
        self.assertTrue(line.transport.aborted)
        self.assertIsInstance(recorder.reason, ClosedUncleanly)
        self.assertEqual(recorder.reason.code, 1006)

    def test_T02_whileAHookRuns(self) -> None:
        """The answer to a Close frame is found while a hook runs, and the server's end
        of TCP then too."""
        closed: list[Any] = []

        async def receive(recorder: Recorder, _: str) -> None:
            recorder.transport.loseConnection()
            closed.append(await recorder.transport.whenClosed())

        recorder = Recorder(textMessageReceived=receive)
        line = self.opened(recorder)
        line.send(frame(TEXT, b"x"))
        line.send(closing())
        self.assertFalse(line.transport.disconnecting)
        line.hangUp()
        self.assertEqual(len(closed), 1)
        self.assertTrue(closed[0].wasClean)

    def test_T03_slowMessage(self) -> None:
        """A message that does not end fails with 1008, where messageTimeout is set."""
        recorder = Recorder()
        line = self.opened(recorder, messageTimeout=5)
        line.send(frame(0x01, b"begin"))
        self.remote.advance(6)
        self.assertEqual(line.frames[-1][1][:2], b"\x03\xf0")

    def test_lost(self) -> None:
        """A connection that breaks is told as 1006."""
        recorder = Recorder()
        line = self.opened(recorder)
        waiting = firedWith(recorder.transport.whenClosed())
        line.vanish()
        self.assertEqual(recorder.reason.code, 1006)
        self.assertIs(waiting[0], recorder.reason)


class CancelTests(ClientTestCase):
    """Cancelling."""

    def _cancelled(self, line: Line, results: list[Any]) -> None:
        self.connecting.cancel()
        self.failed(results, CancelledError)
        self.assertTrue(line.transport.aborted)

    def test_cancelWaiting(self) -> None:
        """While the answer is waited for."""
        self._cancelled(*self.requested())

    def test_cancelInTheHead(self) -> None:
        """In the middle of it."""
        line, results = self.requested()
        line.send(b"HTTP/1.1 101 x\r\nA: b\r\n")
        self._cancelled(line, results)

    def test_cancelInTheBody(self) -> None:
        """While the body of a refusal comes."""
        line, results = self.requested()
        line.send(response(500, body=b"abc"))
        self._cancelled(line, results)

    def test_cancelInTLS(self) -> None:
        """In the TLS handshake."""
        results = self.connect(Recorder(), "wss://example.com/")
        self._cancelled(self.remote.attempts[0].succeed(tlsDone=False), results)

    def test_cancelWhileTheApplicationDecides(self) -> None:
        """While the application takes its time, which is cancelled too."""
        cancelled: list[Any] = []
        waiting: Deferred[Any] = Deferred(cancelled.append)
        line, results = self.requested(lambda _: waiting)
        line.accept()
        self._cancelled(line, results)
        self.assertEqual(cancelled, [waiting])

    def test_giveUp(self) -> None:
        """A protocol that is not needed any more ends the connection that is made for
        it all the same, and says nothing."""
        self.connect(Recorder())
        attempt = self.remote.attempts[0]
        self.connecting.cancel()
        line = Line(attempt, MemoryTransport(self.remote.clock))
        self.remote.lines.append(line)
        self.assertTrue(line.transport.aborted)
        line.vanish()
        self.assertEqual(line.transport.writes, [])

    def test_brokenCanceller(self) -> None:
        """A canceller of the application that raises is logged, and keeps nothing
        open."""

        def fail(_: object) -> None:
            raise RuntimeError("no")

        waiting: Deferred[Any] = Deferred(fail)
        line, results = self.requested(lambda _: waiting)
        line.accept()
        self._cancelled(line, results)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_cancelWhenOpen(self) -> None:
        """Once it has fired, cancelling does nothing."""
        recorder = Recorder()
        line, results = self.requested(recorder)
        line.accept()
        self.connecting.cancel()
        self.assertEqual(results, [recorder])
        self.assertTrue(line.isConnected)
