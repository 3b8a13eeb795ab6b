"""The server's end up to the 101: requests in, a decision, an answer out."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IHandshakeListener
from twisted.logger import LogLevel, capturedLogs
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.support import RecordingSuccessor, Server, WireTestCase, logged
from twisted_ws.connection import Connection, Role
from twisted_ws.deflate import PreparedMessage
from twisted_ws.errors import HandshakeRejected
from twisted_ws.frames import RSV1, FrameDecoder
from twisted_ws.handshake import Request
from twisted_ws.offers import DeflateParameters
from twisted_ws.options import Options, ServerOptions
from twisted_ws.peerbytes import ACCEPT
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

SECRET = "c2VjcmV0"  # noqa: S105


def later(_: Request, result: Any) -> Deferred[Any]:
    """Decide with a Deferred that has fired."""
    return succeed(result)


async def soon(_: Request, result: Any) -> Any:
    """Decide with a coroutine that waits for nothing."""
    return result


class HandshakeTests(WireTestCase):
    """Requests for WebSocket."""

    def answer(self, data: bytes, **options: Any) -> RawPeer:
        """Send bytes on a fresh connection."""
        peer = self.serve(**options).connect()
        peer.send(data)
        return peer

    def refused(self, data: bytes, status: int, **options: Any) -> RawPeer:
        """Send bytes that must be refused, in a complete response behind which the
        connection ends; whole and bytewise."""
        for segment in (1 << 16, 1):
            peer = self.serve(**options).connect()
            peer.send(data, segment=segment)
            found = peer.response
            self.assertEqual(found.status, status, data[:300])
            self.assertEqual(found.headers["content-length"], str(len(found.body)))
            self.assertTrue(found.headers["connection"].startswith("close"))
            self.assertIn("date", found.headers)
            self.assertNotIn(b"Traceback", found.body)
            ended = not peer.isConnected or peer.transport.writeClosed
            self.assertTrue(ended, data[:300])
            peer.hangUp()
            self.assertFalse(peer.isConnected)
        return peer

    def test_accepted(self) -> None:
        """A request gets the 101 with the right accept key."""
        peer = self.answer(request())
        self.assertEqual(peer.response.status, 101)
        self.assertEqual(
            peer.response.headers,
            {
                "upgrade": "websocket",
                "connection": "Upgrade",
                "sec-websocket-accept": ACCEPT.decode(),
            },
        )
        self.assertTrue(peer.transport.noDelay)

    def test_H01_lenient(self) -> None:
        """What browsers and proxies send is accepted: several Connection tokens, any
        case, tabs and spaces, empty list elements."""
        for extra in (
            ("Connection: keep-alive, Upgrade",),
            ("connection: UPGRADE", "UPGRADE: WebSocket"),
            ("Connection:\t , ,upgrade ,\t", "Upgrade: , websocket, "),
            ("Connection: keep-alive", "Connection: upgrade"),
        ):
            head = request(*extra[:1]).replace(b"\r\n\r\n", b"\r\n")
            head += "".join(f"{each}\r\n" for each in extra[1:]).encode() + b"\r\n"
            for segment in (1 << 16, 1):
                peer = self.serve().connect()
                peer.send(head, segment=segment)
                self.assertEqual(peer.response.status, 101, extra)

    def test_H02_severalLines(self) -> None:
        """Several lines of subprotocols or extensions are one list."""
        found: list[Request] = []

        def decide(asked: Request) -> Recorder:
            found.append(asked)
            return self.record()

        peer = self.serve(decide, subprotocols=("b",)).connect()
        head = request("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Extensions: x; y=1")
        head = head[:-2] + b"Sec-WebSocket-Protocol: b\r\nSec-WebSocket-Extensions: z"
        peer.send(head + b"\r\n\r\n")
        self.assertEqual(peer.response.headers["sec-websocket-protocol"], "b")
        self.assertEqual(found[0].subprotocols, ("a", "b"))
        self.assertEqual(found[0].extensionOffers, (("x", (("y", "1"),)), ("z", ())))

    def test_H03_segments(self) -> None:
        """The request comes whole or byte by byte, frames stand in the same segment or
        not, the decision is there at once or later: the messages are echoed behind the
        101, in order."""
        frames = text("one") + frame(TEXT, b"two") + text("three")
        waiting: list[Deferred[Any]] = []

        def wait(_: Request, result: Any) -> Deferred[Any]:
            waiting.append(Deferred())
            return waiting[-1].addCallback(lambda _: result)

        async def waitLonger(asked: Request, result: Any) -> Any:
            return await wait(asked, result)

        decide: Callable[[Request, Any], Any]
        for decide in (lambda _, result: result, later, soon, wait, waitLonger):
            for segment in (1, 7, 200, 1 << 16):
                recorder = echoing()
                self._recorders.append(recorder)
                server = self.serve(
                    lambda asked, decide=decide, recorder=recorder: decide(
                        asked, recorder
                    )
                )
                peer = server.connect()
                peer.send(request() + frames, segment=segment)
                if waiting:
                    self.assertEqual(peer.received, b"")
                    self.assertEqual(recorder.calls, [])
                    waiting.pop().callback(None)
                    peer.pump()
                self.assertEqual(peer.messages, ["one", "two", "three"])
                self.assertEqual(recorder.names[1], "negotiationFinished")

    def test_H04_requestLine(self) -> None:
        """Another method is 405, another version 505, no or several Hosts 400; an
        absolute target is accepted and its authority wins."""
        self.refused(request(method="POST"), 405)
        self.refused(request(version="HTTP/1.0"), 505)
        self.refused(request(version="HTTP/0.9"), 505)
        self.refused(request(version="HTTP/2.0"), 505)
        self.refused(request(without=("Host",)), 400)
        twice = request().replace(b"\r\n\r\n", b"\r\nHost: example.com\r\n\r\n")
        self.refused(twice, 400)
        target = "http://example.org:8080/chat?x=1"
        found: list[Request] = []

        def decide(asked: Request) -> Recorder:
            found.append(asked)
            return self.record()

        peer = self.serve(decide).open("Host: example.net", target=target)
        self.assertEqual(peer.response.status, 101)
        self.assertEqual(found[0].authority.host, "example.org")
        self.assertEqual((found[0].path, found[0].queryString), ("/chat", "x=1"))
        self.assertEqual(found[0].peer, peer.transport.getPeer())
        self.assertEqual(found[0].localAddress, peer.transport.getHost())

    def test_H05_key(self) -> None:
        """A key that is missing, repeated or not 16 bytes in base64 is 400."""
        self.refused(request(without=("Sec-WebSocket-Key",)), 400)
        twice = request()[:-2] + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        self.refused(twice, 400)
        for key in ("", "dGhl", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ=*"):
            self.refused(request(f"Sec-WebSocket-Key: {key}"), 400)

    def test_H06_version(self) -> None:
        """A version that is missing or not 13 is 426, and the one to use is named."""
        for data in (
            request(without=("Sec-WebSocket-Version",)),
            request("Sec-WebSocket-Version: 12"),
            request("Sec-WebSocket-Version: 13, 8"),
        ):
            peer = self.refused(data, 426)
            self.assertEqual(peer.response.headers["sec-websocket-version"], "13")
            self.assertEqual(peer.response.headers["connection"], "close, Upgrade")

    def test_H07_body(self) -> None:
        """A request with a body is 400, and none of it is read as anything."""
        decided: list[Request] = []
        for line in ("Content-Length: 18", "Transfer-Encoding: chunked"):
            body = request(target="/smuggled") + text("smuggled")
            server = self.serve(decided.append)
            peer = server.connect()
            peer.send(request(line) + body)
            self.assertEqual(peer.response.status, 400)
            self.assertEqual(peer.received.count(b"HTTP/1.1"), 1)
            self.assertTrue(peer.transport.writeClosed)
            peer.send(body)
            self.assertEqual(peer.received.count(b"HTTP/1.1"), 1)
            self.refused(request(line) + body, 400)
        self.assertEqual(decided, [])

    def test_H08_form(self) -> None:
        """What is not plainly HTTP is 400."""
        for line in (
            " folded: value",
            "\tfolded: value",
            "Name : value",
            "Na me: value",
            "N\x85me: value",
            "Näme: value",
            ": value",
            "no colon",
            *(f"Name: a{chr(code)}b" for code in range(0x20) if chr(code) not in "\t"),
            "Name: a\x7fb",
        ):
            self.refused(request(line), 400)
        for start in (b"GET / ", b"GET  / HTTP/1.1", b"G\x00T / HTTP/1.1", b"\x16\x03"):
            self.refused(start + b"\r\n\r\n", 400)

    def test_H08_bareLineFeed(self) -> None:
        """A peer that ends lines with LF alone is told so at once."""
        self.refused(request().replace(b"\r\n", b"\n"), 400)
        self.refused(b"GET / HTTP/1.1\n", 400)
        self.refused(b"\n", 400)
        self.refused(request()[:-2] + b"\n", 400)

    def test_emptyLinesFirst(self) -> None:
        """A few empty lines before the request line are ignored; thousands, each of
        which costs time, are not."""
        peer = self.answer(b"\r\n\r\n" + request())
        self.assertEqual(peer.response.status, 101)
        self.refused(b"\r\n" * 5, 400)
        self.refused(b"\r\n" * 8193, 400)

    def test_H09_size(self) -> None:
        """A line over 8 KiB, a head over 16 KiB, over 100 header lines are 431; exactly
        the limits pass."""
        line = "X: " + "x" * (8192 - 3)
        self.assertEqual(self.answer(request(line)).response.status, 101)
        self.refused(request(line + "x"), 431)
        self.refused(b"GET /" + b"x" * 8300, 431)
        full = request("X: ", "Y: ")
        room = 16 * 1024 - len(full)
        first = "x" * 8150
        fits = request(f"X: {first}", "Y: " + "y" * (room - 8150))
        self.assertEqual(len(fits), 16 * 1024)
        self.assertEqual(self.answer(fits).response.status, 101)
        self.refused(request(f"X: {first}", "Y: " + "y" * (room - 8149)), 431)
        few = [f"X{number}: " for number in range(100 - 5)]
        self.assertEqual(self.answer(request(*few)).response.status, 101)
        self.refused(request(*few, "One: more"), 431)

    def test_H09_endless(self) -> None:
        """A line without end is not kept: what comes behind the 431 is dropped."""
        peer = self.answer(b"x" * 9000)
        self.assertEqual(peer.response.status, 431)
        for _ in range(20):
            peer.send(b"x" * 60_000)
        self.assertEqual(peer.unread, 0)
        self.assertEqual(peer.protocol.clearLineBuffer(), b"")
        self.assertEqual(peer.protocol._pendingBytes, b"")

    def test_H10_timeout(self) -> None:
        """A head that is not finished after 10 seconds is 408, whether nothing came,
        half of it, or a byte each second."""
        for silent, start in ((True, b""), (True, b"GET / HT"), (False, b"GET /")):
            peer = self.serve().connect()
            peer.send(start)
            for second in range(10):
                self.assertEqual(peer.received, b"", str(second))
                if not silent:
                    peer.send(b"x")
                peer.advance(1)
            peer.advance(0.125)
            self.assertEqual(peer.response.status, 408)
            self.assertTrue(peer.transport.writeClosed)
            peer.send(b"more")
            peer.advance(10.125)
            self.assertFalse(peer.isConnected)
            self.assertTrue(peer.transport.aborted)

    def test_H10_decisionsMayTakeLonger(self) -> None:
        """The time that the application takes to decide does not count."""
        decision: Deferred[Any] = Deferred()
        peer = self.serve(lambda _: decision).open()
        peer.advance(100, 5)
        decision.callback(self.record())
        peer.pump()
        self.assertEqual(peer.response.status, 101)

    def test_H10_handshakeOfTLS(self) -> None:
        """A TLS handshake has the same deadline; there is nobody to say 408 to."""
        peer = self.serve().connect(secure=True)
        peer.advance(9)
        self.assertFalse(peer.transport.aborted)
        with logged() as lines:
            peer.advance(1.25)
        self.assertTrue(peer.transport.aborted)
        self.assertEqual(peer.transport.writes, [])
        self.assertFalse(peer.isConnected)
        expected = "TLS handshake with 192.0.2.7:50123 took too long"
        self.assertEqual([each for each in lines if "TLS" in each], [expected])

    def test_H10_behindTLS(self) -> None:
        """When the TLS handshake is done, the deadline says 408; closing waits for the
        peer's close_notify, but no longer than 10 seconds."""
        peer = self.serve().connect(secure=True)
        self.assertTrue(IHandshakeListener.providedBy(peer.protocol))
        peer.advance(5)
        peer.protocol.handshakeCompleted()
        peer.advance(5.125)
        self.assertEqual(peer.response.status, 408)
        self.assertTrue(peer.isConnected)
        peer.advance(10.25)
        self.assertFalse(peer.isConnected)

    def test_H11_origin(self) -> None:
        """A foreign Origin is 403, unless allowed; none is accepted, and the own."""
        for origin in (
            "https://example.com",
            "http://example.com:81",
            "http://example.com.evil.test",
            "http://evil-example.com",
            "null",
            "http://example.com http://example.com",
            "http://user@example.com",
            "",
        ):
            self.refused(request(f"Origin: {origin}"), 403)
        twice = request("Origin: http://example.com")[:-2]
        self.refused(twice + b"Origin: http://example.com\r\n\r\n", 403)
        for options, origin in (
            ({}, "http://example.com"),
            ({"allowedOrigins": ("https://a.test", "null")}, "https://a.test"),
            ({"allowedOrigins": ("https://a.test", "null")}, "null"),
            ({"dangerouslyAllowAnyOrigin": True}, "https://b.test"),
        ):
            peer = self.serve(**options).open(f"Origin: {origin}")
            self.assertEqual(peer.response.status, 101, origin)
        secure = self.serve().open("Origin: https://example.com", secure=True)
        self.assertEqual(secure.response.status, 101)

    def test_H12_host(self) -> None:
        """A Host that is not allowed is 403, also for pages; on loopback only, loopback
        names are."""
        self.refused(request(), 403, allowedHosts=("example.org",))
        self.refused(plainGet(), 403, allowedHosts=("example.org",))
        for bound, host, status in (
            ("127.0.0.1", "evil.test", 403),
            ("127.0.0.1", "127.0.0.1.evil.test", 403),
            ("::1", "evil.test", 403),
            ("127.0.0.1", "localhost:8080", 101),
            ("127.0.0.1", "[::1]", 101),
            ("192.0.2.1", "evil.test", 101),
        ):
            for secure in (False, True):
                peer = self.serve().connect(bound=bound, secure=secure)
                if secure:
                    peer.protocol.handshakeCompleted()
                peer.send(request(f"Host: {host}"))
                self.assertEqual(peer.response.status, status, (bound, host, secure))

    def test_H13_subprotocolNames(self) -> None:
        """A subprotocol's name that is no token is 400."""
        for name in ("a b", "ä", "a/b", '"a"', "a\x80"):
            self.refused(request(f"Sec-WebSocket-Protocol: {name}"), 400)

    def test_H15_nothingIsInjected(self) -> None:
        """A value that would end its header line is a ValueError where it is given, and
        nothing of it is written: the peer gets a plain 500, or what the application
        makes of it."""
        evil = ("a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\x00b")
        for value in evil:
            for decide in (
                lambda asked, value=value: asked.responseHeaders.add("X", value),
                lambda asked, value=value: asked.responseHeaders.add(value, "x"),
                lambda asked, value=value: asked.selectSubprotocol(value),
                lambda asked, value=value: _reject(302, {"Location": value}),
                lambda asked, value=value: _reject(401, {value: "x"}),
            ):
                peer = self.serve(decide).open("Sec-WebSocket-Protocol: a")
                self.assertEqual(peer.response.status, 500)
                self.assertNotIn("set-cookie", peer.response.headers)
                self.assertNotIn("x", peer.response.headers)
                self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_H15_framingIsTheServers(self) -> None:
        """An application cannot change where a response ends."""
        for name in ("Content-Length", "connection", "Transfer-Encoding"):
            self.assertRaises(ValueError, HandshakeRejected, 403, {name: "5"})
            with self.assertRaises(ValueError):
                _reject(403, {name: "5"})

    def test_H19_plain(self) -> None:
        """A request that does not ask for WebSocket is 426, with what to upgrade to."""
        peer = self.refused(plainGet(), 426)
        self.assertEqual(peer.response.headers["upgrade"], "websocket")
        self.assertEqual(peer.response.headers["sec-websocket-version"], "13")
        self.assertEqual(peer.response.headers["connection"], "close, Upgrade")
        self.refused(plainGet("Content-Length: 4", method="POST") + b"body", 426)
        self.refused(plainGet("Upgrade: h2c"), 426)
        self.refused(b"GET / HTTP/1.0\r\n\r\n", 426)
        self.refused(b"GET / HTTP/2.0\r\n\r\n", 505)
        self.refused(b"GET / HTTP/1.1\r\n\r\n", 400)
        peer = self.serve().connect()
        peer.send(plainGet(method="HEAD"))
        self.assertEqual((peer.response.status, peer.response.body), (426, b""))

    def test_S04_logLines(self) -> None:
        """What the peer sends cannot forge log lines or reach a terminal; it is cut."""
        with logged() as lines:
            for data in (
                request("Origin: http://\x1b[2J.test"),
                request("X: a\nERROR forged"),
                request(target="/\x9b31m\x85" + "x" * 5000),
                request("Host: \x9b.test"),
                request(target="/" + "x" * 5000, method="POST"),
                request(target="/%0aERROR", method="POST"),
            ):
                peer = self.serve(allowedHosts=("example.com",)).connect()
                peer.send(data)
                self.assertTrue(peer.response.status >= 400)
        self.assertEqual(len(lines), 6)
        for line in lines:
            self.assertTrue(line.isprintable(), repr(line))
            self.assertTrue(len(line) < 500, repr(line))

    def test_S05_secrets(self) -> None:
        """Tokens, cookies and credentials of a request are in no log line, whatever
        becomes of the request."""

        def decide(asked: Request) -> Any:
            if asked.path == "/raises":
                raise RuntimeError(f"cannot decide on {asked!r}")
            return {"/none": None}.get(asked.path, self.record())

        headers = (
            f"Authorization: Basic {SECRET}",
            f"Cookie: session={SECRET}",
            f"Sec-WebSocket-Protocol: bearer.{SECRET}",
            f"Proxy-Authorization: {SECRET}",
        )
        query = f"?token={SECRET}"
        with logged() as lines:
            server = self.serve(decide)
            for target in ("/", "/none", "/raises", f"http://u:{SECRET}@example.com/"):
                for method in ("GET", "POST"):
                    data = request(*headers, target=target + query, method=method)
                    server.connect().send(data)
            server.connect().send(plainGet(*headers, target="/" + query))
            server.connect().send(request(*headers, "Bad", target="/" + query))
            server.connect().send(request(*headers, target="/" + query)[:-2])
            server.advance(30)
        self.assertTrue(len(lines) >= 10, lines)
        for line in lines:
            self.assertNotIn(SECRET, line)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_refusalIsLogged(self) -> None:
        """A refusal is one line with what, whom, status and why."""
        with logged() as lines:
            self.serve(lambda _: None).open(target="/chat?x=1")
        self.assertEqual(
            lines,
            ["Refused GET /chat?… from 192.0.2.7:50123: 404 Not Found"],
        )

    def test_S03_plaintextOnTLS(self) -> None:
        """A TLS handshake that fails is one log line, in words."""
        for arguments, said in (
            (([("SSL routines", "", "http request")],), "http request (plaintext on"),
            (([("", "", "wrong version number")],), "wrong version number (plaintext"),
            (([("", "", "bad\x1b[2J certificate")],), "bad\\x1b[2J certificate"),
            ((-1, "Unexpected EOF"), "connection closed"),
            ((), "connection closed"),
        ):
            peer = self.serve().connect(secure=True)
            with logged() as lines:
                peer.vanish(SSL.Error(*arguments))
            line = next(each for each in lines if "TLS" in each)
            self.assertIn("TLS handshake with 192.0.2.7:50123 failed: ", line)
            self.assertIn(said, line)
        peer = self.serve().open(secure=True)
        with logged() as lines:
            peer.vanish(SSL.Error())
        self.assertEqual(lines, [])

    def test_peersWithoutPort(self) -> None:
        """A peer on a UNIX socket, which has no port, can be logged, too."""
        with logged() as lines:
            peer = self.serve(lambda _: None).connect(UNIXAddress(b"/run/x"))
            peer.send(request())
        self.assertEqual(peer.response.status, 404)
        self.assertIn("from UNIXAddress('/run/x'): 404", lines[0])


def _reject(status: int, headers: dict[str, str]) -> None:
    raise HandshakeRejected(status, headers)


class CompressionTests(WireTestCase):
    """permessage-deflate, as a server agrees on it."""

    OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    ANSWER = "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"

    def test_agreed(self) -> None:
        """What was agreed is in the 101, on the transport and in the log, and holds."""
        recorder = echoing()
        server = self.serve(recorder, logAccepted=True)
        with logged() as lines:
            peer = server.open(self.OFFER)
        self.assertEqual(peer.response.headers["sec-websocket-extensions"], self.ANSWER)
        self.assertEqual(recorder.transport.extensions, (self.ANSWER,))
        self.assertIn(f"extensions: {self.ANSWER}", "\n".join(lines))
        client = Connection(
            Role.CLIENT, Options(), deflate=DeflateParameters(False, False, 12, 12)
        )
        for message in ("word " * 100, b"bytes " * 100, "short"):
            sent = (
                client.sendText(message)
                if isinstance(message, str)
                else client.sendBytes(message)
            )
            before = len(peer.received)
            peer.send(sent)
            answer = peer.received[before:]
            self.assertLess(len(answer), 60)
            self.assertEqual(client.receive(answer), [message])

    def test_uncompressedByChoice(self) -> None:
        """An application may send a message without compression, or short ones with."""
        recorder = self.record()
        peer = self.serve(recorder).open(self.OFFER)
        recorder.transport.sendTextMessage("x" * 100, False)
        recorder.transport.sendBytesMessage(b"x" * 100, compress=False)
        recorder.transport.sendTextMessage("x" * 20, compress=True)
        recorder.transport.sendPrepared(PreparedMessage("prepared"))
        peer.pump()
        frames = FrameDecoder(False, RSV1).feed(peer.response.body)
        self.assertEqual(
            frames[:2] + frames[3:],
            [(0x81, b"x" * 100), (0x82, b"x" * 100), (0x81, b"prepared")],
        )
        self.assertEqual(frames[2][0], 0xC1)

    def test_notOffered(self) -> None:
        """A client that offers nothing, or something else, gets no extension."""
        for extra in ((), ("Sec-WebSocket-Extensions: x-webkit-deflate-frame",)):
            recorder = self.record()
            peer = self.serve(recorder).open(*extra)
            self.assertNotIn("sec-websocket-extensions", peer.response.headers)
            self.assertEqual(recorder.transport.extensions, ())

    def test_off(self) -> None:
        """With compression off, or where the application says so for a request, the
        offer is declined."""

        def without(asked: Request) -> Recorder:
            self.assertEqual(str(asked.deflate), self.ANSWER)
            asked.deflate = None
            return self.record()

        for peer in (
            self.serve(compression="none").open(self.OFFER),
            self.serve(without).open(self.OFFER),
        ):
            self.assertNotIn("sec-websocket-extensions", peer.response.headers)
            peer.send(frame(0xC1, b"\0"))
            self.assertEqual(peer.closeFrame and peer.closeFrame[0], 1002)

    def test_decidedTooLate(self) -> None:
        """What holds is what held when the application was made: a change after that
        is in neither the 101 nor the frames."""

        def late(recorder: Recorder) -> None:
            recorder.transport.request.deflate = None

        peer = self.serve(self.record(negotiationStarted=late)).open(self.OFFER)
        self.assertEqual(peer.response.headers["sec-websocket-extensions"], self.ANSWER)

    def test_D04_offers(self) -> None:
        """Offers that cannot be met are declined, and the connection is made without;
        what is not even of the right form is refused."""
        for offer, status, answer in (
            ("permessage-deflate; unknown", 101, None),
            ("permessage-deflate; server_max_window_bits=8", 101, None),
            ("permessage-deflate; client_max_window_bits=", 400, None),
            ("permessage-deflate; =", 400, None),
            (
                "permessage-deflate; server_max_window_bits=7, permessage-deflate",
                101,
                "permessage-deflate; server_max_window_bits=12",
            ),
        ):
            peer = self.serve().open(f"Sec-WebSocket-Extensions: {offer}")
            self.assertEqual(peer.response.status, status, offer)
            self.assertEqual(
                peer.response.headers.get("sec-websocket-extensions"), answer, offer
            )

    def test_H14_offers(self) -> None:
        """150 offers are read in one pass, the last one accepted."""
        offers = ", ".join(["permessage-deflate; server_max_window_bits=8"] * 150)
        peer = self.serve().open(
            f"Sec-WebSocket-Extensions: {offers}, permessage-deflate", self.OFFER
        )
        self.assertEqual(
            peer.response.headers["sec-websocket-extensions"],
            "permessage-deflate; server_max_window_bits=12",
        )

    def test_D01_bomb(self) -> None:
        """A bomb gets a Close frame with 1009, and the application nothing of it."""
        recorder = self.record()
        peer = self.serve(recorder).open(self.OFFER)
        deflater = zlib.compressobj(9, zlib.DEFLATED, -12)
        bomb = deflater.compress(bytes(64 * 1024 * 1024))
        bomb += deflater.flush(zlib.Z_SYNC_FLUSH)
        peer.send(frame(0xC2, bomb[:-4]))
        self.assertEqual(peer.closeFrame, (1009, "message over 1048576 bytes"))
        self.assertEqual(recorder.messages, [])

    def test_D03_invalid(self) -> None:
        """What is not DEFLATE gets 1007."""
        peer = self.serve().open(self.OFFER)
        peer.send(frame(0xC1, b"\xff"))
        self.assertEqual(
            peer.closeFrame, (1007, "a compressed message is not in DEFLATE's form")
        )

    def test_F13_slices(self) -> None:
        """Messages that are large once they are decompressed come a few in each turn of
        the reactor; the peer is not read meanwhile; one that pauses gets the others in
        order when it goes on."""

        def pause(recorder: Recorder, message: bytes) -> None:
            recorder.transport.pauseProducing()

        for reactions in ({}, {"bytesMessageReceived": pause}):
            recorder = self.record(**reactions)
            server = self.serve(recorder)
            peer = server.open(self.OFFER)
            deflater = zlib.compressobj(9, zlib.DEFLATED, -12)
            wire = []
            for number in range(10):
                data = deflater.compress(bytes((number,)) * 200_000)
                data += deflater.flush(zlib.Z_SYNC_FLUSH)
                wire.append(frame(0xC2, data[:-4]))
            peer.send(*wire, text("last"))
            self.assertLess(len(recorder.messages), 3)
            turns = 0
            while len(recorder.messages) < 11 and turns < 40:
                turns += 1
                server.turn()
                recorder.transport.resumeProducing()
            self.assertGreater(turns, 3)
            self.assertEqual(
                recorder.messages,
                [*(bytes((n,)) * 200_000 for n in range(10)), "last"],
            )

    def test_D01_heldMessages(self) -> None:
        """Messages that wait for a hook count as what they are, not as what they were
        on the wire: while the answer to a Close frame is looked for behind them,
        ``maxMessageSize`` bytes are kept and hardly more."""
        never: Deferred[None] = Deferred()

        def closeAndWait(recorder: Recorder, message: str) -> Deferred[None]:
            recorder.transport.loseConnection()
            return never

        recorder = self.record(textMessageReceived=closeAndWait)
        peer = self.serve(recorder).open(self.OFFER)
        peer.send(text("now"))
        deflater = zlib.compressobj(9, zlib.DEFLATED, -12)
        for _ in range(20):
            data = deflater.compress(bytes(200_000)) + deflater.flush(zlib.Z_SYNC_FLUSH)
            peer.send(frame(0xC2, data[:-4]))
            peer.server.turn()
        self.assertFalse(peer.transport.reading)
        held = sum(len(each) for each in peer.protocol._events)
        self.assertLess(held, 1_500_000)
        self.assertGreater(peer.unread, 0)

    def test_isClosing(self) -> None:
        """The transport tells that it is closing from the first Close frame on, and
        that the peer does not read."""
        for end in (
            lambda recorder, peer: recorder.transport.loseConnection(),
            lambda recorder, peer: peer.send(closing()),
            lambda recorder, peer: peer.vanish(),
            lambda recorder, peer: recorder.transport.abortConnection(),
            lambda recorder, peer: peer.send(frame(0x83)),
        ):
            recorder = self.record()
            peer = self.opened(recorder)
            self.assertFalse(recorder.transport.isClosing)
            self.assertTrue(recorder.transport.maySend)
            self.assertFalse(recorder.transport.isCongested)
            end(recorder, peer)
            self.assertTrue(recorder.transport.isClosing)
            self.assertFalse(recorder.transport.maySend)


class ShutDownTests(WireTestCase):
    """A server that goes away, for each phase of a connection."""

    def test_T04_head(self) -> None:
        """A connection that has not finished its request is closed."""
        server = self.serve()
        peer = server.connect()
        peer.send(request()[:20])
        done = server.factory.closeConnections()
        peer.pump()
        self.assertFalse(peer.isConnected)
        self.assertEqual(peer.received, b"")
        self.successResultOf(done)

    def test_T04_lateBytes(self) -> None:
        """What still comes then is dropped, whole lines and too long ones."""
        server = self.serve()
        peer = server.connect(secure=True)
        peer.protocol.handshakeCompleted()
        server.factory.closeConnections()
        peer.send(b"GET / HTTP/1.1\r\n")
        peer.send(b"x" * 9000)
        self.assertEqual(peer.received, b"")
        peer.hangUp()

    def test_T04_aborted(self) -> None:
        """One that was aborted just now is left alone."""
        decision: Deferred[Any] = Deferred()
        server = self.serve(lambda _: decision)
        peer = server.open()
        server.factory.abortConnections()
        done = server.factory.closeConnections()
        server.turn()
        self.successResultOf(done)
        self.assertEqual(peer.transport.writes, [])


class PlainTests(WireTestCase):
    """Requests for pages, handed to twisted.web."""

    def site(self, **arguments: Any) -> Server:
        """Make a server with a site that has a page."""
        server = self.serve(**arguments)

        class Page(Resource):
            isLeaf = True

            def render_GET(self, asked: Any) -> bytes:
                connection = asked.getHeader("connection")
                return f"<{asked.uri.decode()} {connection}>".encode()

        server.factory.site = Site(Page(), reactor=server.clock)
        return server

    def test_H19_page(self) -> None:
        """A GET gets its page, and the connection ends behind it although the client
        asked for more: it cannot come back for WebSocket."""
        for segment in (1, 1 << 16):
            peer = self.site().connect()
            keep = plainGet("Connection: keep-alive", "Keep-Alive: timeout=5")
            peer.send(keep + plainGet(target="/second"), segment=segment)
            self.assertEqual(peer.response.status, 200)
            self.assertEqual(peer.response.headers["connection"], "close")
            self.assertEqual(peer.response.body, b"</ close>")
            self.assertFalse(peer.isConnected)

    def test_head(self) -> None:
        """A HEAD gets the head."""
        peer = self.site().connect()
        peer.send(plainGet(method="HEAD"))
        self.assertEqual((peer.response.status, peer.response.body), (200, b""))
        self.assertFalse(peer.isConnected)

    def test_oldVersion(self) -> None:
        """A GET of HTTP/1.0 without Host gets its page, too."""
        peer = self.site().connect()
        peer.send(b"GET /old HTTP/1.0\r\n\r\n")
        self.assertIn(b"</old close>", peer.received)
        self.assertFalse(peer.isConnected)

    def test_otherMethods(self) -> None:
        """Other methods are 405, bodies 400; neither reaches the site."""
        for data, status in (
            (plainGet("Content-Length: 3", method="POST") + b"abc", 405),
            (plainGet(method="OPTIONS"), 405),
            (plainGet("Content-Length: 3") + b"abc", 400),
            (plainGet("Transfer-Encoding: chunked"), 400),
        ):
            peer = self.site().connect()
            peer.send(data)
            self.assertEqual(peer.response.status, status)
            if status == 405:
                self.assertEqual(peer.response.headers["allow"], "GET, HEAD")
            peer.hangUp()
            self.assertFalse(peer.isConnected)

    def test_path(self) -> None:
        """On the path of the WebSocket a plain request gets 426, elsewhere its page;
        a request for WebSocket elsewhere gets 404."""
        peer = self.site(path="/").connect()
        peer.send(plainGet())
        self.assertEqual(peer.response.status, 200)
        for data, status in (
            (plainGet(target="/ws?x"), 426),
            (plainGet(target="/"), 200),
            (b"GET /ws?x HTTP/1.0\r\n\r\n", 426),
            (request(target="/ws?x"), 101),
            (request(target="/"), 404),
            (request(target="/ws/"), 404),
        ):
            peer = self.site(path="/ws").connect()
            peer.send(data)
            self.assertEqual(peer.response.status, status, data)

    def test_H18_limits(self) -> None:
        """Pages count for the limits, too."""
        server = self.site(maxConnections=1)
        server.connect()
        peer = server.connect()
        peer.send(plainGet())
        self.assertEqual(peer.response.status, 503)

    def test_handOver(self) -> None:
        """What comes behind the request, and the end, go to the successor; the server
        leaves both to it when it shuts down."""
        successor = RecordingSuccessor()

        class Factory:
            def buildProtocol(self, _: object) -> RecordingSuccessor:
                return successor

        server = self.serve(site=Factory())
        peer = server.connect()
        peer.send(plainGet("Cookie: a=b") + b"more")
        peer.send(b" and more")
        head = b"GET / HTTP/1.1\r\nHost: example.com\r\nCookie: a=b\r\n"
        end = b"Connection: close\r\n\r\n"
        self.assertEqual(successor.received, head + end + b"more and more")
        done = server.factory.closeConnections()
        self.assertTrue(peer.transport.reading)
        peer.advance(30)
        self.assertNoResult(done)
        peer.hangUp()
        self.assertIsNotNone(successor.lost)
        self.successResultOf(done)

    def test_absoluteForm(self) -> None:
        """A whole URL in the request line counts in place of the Host header, and is
        handed over as a path and a Host header; Expect is not handed over."""
        successor = RecordingSuccessor()

        class Factory:
            def buildProtocol(self, _: object) -> RecordingSuccessor:
                return successor

        peer = self.serve(site=Factory()).connect()
        peer.send(
            b"GET http://Example.com:81/a?b HTTP/1.1\r\nHost: other.example\r\n"
            b"Expect: 100-continue\r\nX: y\r\n\r\n"
        )
        self.assertEqual(
            successor.received,
            b"GET /a?b HTTP/1.1\r\nX: y\r\nConnection: close\r\n"
            b"Host: example.com:81\r\n\r\n",
        )

    def test_pageThatIsNotRead(self) -> None:
        """A page has a minute for each piece of it, and ``closeTimeout`` for the end;
        nobody holds a connection with one for ever."""
        successor = RecordingSuccessor()

        class Factory:
            def buildProtocol(self, _: object) -> RecordingSuccessor:
                return successor

        server = self.serve(site=Factory())
        peer = server.connect()
        peer.send(plainGet())
        transport = successor.transport
        self.assertEqual(transport.getPeer(), peer.transport.getPeer())
        for _ in range(3):
            peer.advance(50)
            transport.write(b"piece")
        peer.advance(50)
        transport.writeSequence([b"and ", b"more"])
        peer.advance(59)
        self.assertFalse(peer.transport.aborted)
        peer.advance(2)
        self.assertTrue(peer.transport.aborted)
        self.assertEqual(peer.received, b"piece" * 3 + b"and more")
        for seconds, aborted in ((9, False), (2, True)):
            if not aborted:
                peer = server.connect(secure=True)
                peer.send(plainGet())
                successor.transport.write(b"all")
                successor.transport.loseConnection()
            peer.advance(seconds)
            self.assertEqual(peer.transport.aborted, aborted)

    def test_pageWithLateHandshakeTimeout(self) -> None:
        """That minute is no longer where a request may take longer."""
        successor = RecordingSuccessor()

        class Factory:
            def buildProtocol(self, _: object) -> RecordingSuccessor:
                return successor

        peer = self.serve(site=Factory(), handshakeTimeout=600).connect()
        peer.send(plainGet())
        successor.transport.write(b"all")
        for seconds, aborted in ((59, False), (2, True)):
            peer.advance(seconds)
            self.assertEqual(peer.transport.aborted, aborted)

    def test_shutDownBeforeTheRequest(self) -> None:
        """A connection that has not sent its request when the server shuts down is
        ended at once, over TLS too, where closing would wait for the peer."""
        server = self.serve()
        for secure in (False, True):
            server.connect(secure=secure).send(b"GET / HTTP/1.1\r\n")
        done = server.factory.closeConnections()
        server.advance(0)
        self.successResultOf(done)
        self.assertEqual(server.clock.getDelayedCalls(), [])

    def test_aborted(self) -> None:
        """Connections that were handed over are aborted with the others."""
        server = self.serve(site=_Keeping())
        peer = server.connect()
        peer.send(plainGet())
        done = server.factory.abortConnections()
        server.turn()
        self.assertFalse(peer.isConnected)
        self.successResultOf(done)

    def test_siteSaysNo(self) -> None:
        """A site's factory that gives no protocol ends the connection."""

        class Factory:
            def buildProtocol(self, _: object) -> None:
                return None

        server = self.serve(site=Factory())
        peer = server.connect()
        peer.send(plainGet())
        server.turn()
        self.assertFalse(peer.isConnected)


class _Keeping:
    """A factory whose protocols keep their connection."""

    def buildProtocol(self, _: object) -> RecordingSuccessor:
        """Give one."""
        return RecordingSuccessor()


def _padded(size: int) -> bytes:
    """Write a request whose head has that many bytes."""
    lines = [f"X-{number}: ".ljust(270, "x") for number in range(40)]
    bare = len(request(*lines, "X: "))
    assert size > bare
    return request(*lines, "X: " + "x" * (size - bare))


class WholeHeadTests(WireTestCase):
    """A head that comes in one segment is cut into lines at once. Nobody can tell it
    from one that is taken line by line."""

    FRAMES = frame(TEXT, b"one") + frame(TEXT, b"two")
    # Reads of the whole head in one go.
    AT_ONCE = (
        request(),
        request() + FRAMES,
        request() + FRAMES + closing(4000),
        request("X: a\rb".replace("\r", "\t")),
        request("X:"),
        request("X: caf\xe9"),
        request(target="/a?token=secret"),
        request(target="http://example.com/a?b"),
        request(*(f"X-{number}: y" for number in range(95))),
        _padded(16384),
        _padded(16384) + FRAMES,
        request("X: " + "x" * 8189),
        # Whose lines are in order, and what they say is not.
        request(method="POST"),
        request(version="HTTP/1.0"),
        request(version="HTTP/2.0"),
        request(version="HTTP/1"),
        request(without=("Host",)),
        request("Host: a", "Host: b"),
        request("Sec-WebSocket-Key: short"),
        request("Sec-WebSocket-Version: 12"),
        request("Origin: http://evil.example"),
        request("Content-Length: 5") + b"hello",
        request("X : y"),
        request(" folded"),
        request("X: a\0b"),
        request("X: a\rb"),
        request("X: y\r"),
        request("no colon"),
        request().replace(b"GET", b"G\0T"),
        b"\r" + request(),
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n" + FRAMES,
        b"\r\r\n\r\n",
        plainGet(),
        plainGet() + plainGet(target="/2"),
        plainGet(method="HEAD"),
        plainGet("Content-Length: 5", method="POST") + b"hello",
    )
    # Not so, because a line is at fault, or may be.
    BY_LINES = (
        b"\r\n\r\n",
        b"\r\n" * 3 + request(),
        b"\r\n" * 4 + request() + FRAMES,
        b"\r\n" * 5 + request(),
        b"\n" + request(),
        request().replace(b"\r\n", b"\n"),
        request().replace(b"\r\n", b"\n", 1),
        request("X: a\nb"),
        request()[:-2] + b"\n" + FRAMES,
        request()[:-2],
        request(*(f"X-{number}: y" for number in range(97))),
        _padded(16385),
        _padded(16385) + FRAMES,
        request("X: " + "x" * 8190),
        request(target="/" + "x" * 8200),
        b"x" * 20000,
        b"",
    )

    def outcome(
        self, data: bytes, byLines: bool, segment: int = 1 << 16, **arguments: Any
    ) -> tuple[Any, ...]:
        """Send bytes on a fresh connection.

        :param byLines: whether to take the head by lines in any case
        :returns: all that came of it
        """
        recorder = echoing()
        successors: list[RecordingSuccessor] = []

        class Site:
            def buildProtocol(self, _: object) -> RecordingSuccessor:
                successors.append(RecordingSuccessor())
                return successors[0]

        site = Site() if arguments.pop("site", False) else None
        decide = arguments.pop("decide", lambda _: recorder)
        with logged() as lines:
            peer = self.serve(decide, site=site, **arguments).connect()
            wholeHead = peer.protocol._wholeHead
            found: list[object] = []

            def noted(data: bytes) -> Any:
                found.append(None if byLines else wholeHead(data))
                return found[-1]

            peer.protocol._wholeHead = noted
            peer.send(data, segment=segment)
            peer.advance(11)
        self.isAtOnce = found[:1] not in ([], [None])
        return (
            peer.received,
            [call for call in recorder.calls if call[0] != "connectionLost"],
            str(recorder.reason),
            [(each.received, each.lost) for each in successors],
            (peer.isConnected, peer.transport.writeClosed),
            peer.protocol.line_mode,
            lines,
        )

    def test_sameOutcome(self) -> None:
        """The same answer, hooks, log lines and end, with pages and without."""
        for data, atOnce in (
            *((data, True) for data in self.AT_ONCE),
            *((data, False) for data in self.BY_LINES),
        ):
            for site in (False, True):
                expected = self.outcome(data, True, site=site)
                self.assertEqual(self.outcome(data, False, site=site), expected, data)
                self.assertEqual(self.isAtOnce, atOnce, data[:200])

    def test_sameAsBytewise(self) -> None:
        """The same as if each byte came alone, as far as that can be: not when the
        peer is told before it has sent everything."""
        for data in self.AT_ONCE:
            whole = self.outcome(data, False, site=True)
            self.assertEqual(self.outcome(data, False, 1, site=True), whole, data)
            self.assertFalse(self.isAtOnce)

    def test_sameWhenDecidedLater(self) -> None:
        """Frames behind the head wait for a decision that takes its time, and drop with
        a refusal."""
        for result in (echoing, lambda: None):
            outcomes = []
            for byLines in (False, True):
                waiting: Deferred[Any] = Deferred()
                data = request() + self.FRAMES
                outcomes.append(
                    self.outcome(data, byLines, decide=lambda _, w=waiting: w)
                )
                self.assertEqual(self.isAtOnce, not byLines)
                waiting.callback(result())
            self.assertEqual(outcomes[0], outcomes[1])

    def test_receivedWithin(self) -> None:
        """What comes while the head is being dealt with waits behind what came with
        it."""
        for byLines in (False, True):
            recorder = echoing()
            made: list[RawPeer] = []

            def decide(
                _: object, recorder: Recorder = recorder, made: list[RawPeer] = made
            ) -> Recorder:
                made[0].protocol.dataReceived(frame(TEXT, b"three"))
                return recorder

            peer = self.serve(decide).connect()
            made.append(peer)
            if byLines:
                peer.protocol._wholeHead = lambda _: None
            peer.send(request() + self.FRAMES)
            self.assertEqual(recorder.messages, ["one", "two", "three"], str(byLines))
            peer.send(frame(TEXT, b"four"))
            self.assertEqual(recorder.messages[3:], ["four"])

    def test_transportIsDisconnecting(self) -> None:
        """Behind a head whose answer has ended the connection nothing is looked at."""
        for byLines in (False, True):
            recorder = self.record(
                negotiationFinished=lambda one: one.transport.transport.loseConnection()
            )
            peer = self.serve(recorder).connect()
            if byLines:
                peer.protocol._wholeHead = lambda _: None
            peer.send(request() + self.FRAMES)
            self.assertEqual(recorder.messages, [], str(byLines))

    def test_optionsCount(self) -> None:
        """Limits other than the defaults hold at the byte."""
        data = request("X: " + "y" * 400, *(f"Y-{number}: z" for number in range(9)))
        size = len(data)
        longest = max(map(len, data.split(b"\r\n")))
        count = data.count(b"\r\n") - 2
        for limits, status in (
            ({"maxHeadSize": size, "maxHeaderLine": longest}, 101),
            ({"maxHeadSize": size - 1, "maxHeaderLine": longest}, 431),
            ({"maxHeaderLine": longest}, 101),
            ({"maxHeaderLine": longest - 1}, 431),
            ({"maxHeaders": count}, 101),
            ({"maxHeaders": count - 1}, 431),
        ):
            for byLines in (False, True):
                found = self.outcome(data, byLines, **limits)
                if not byLines:
                    self.assertEqual(self.isAtOnce, status == 101)
                answer = f"HTTP/1.1 {status} ".encode()
                self.assertTrue(found[0].startswith(answer), (limits, found[0]))


class LateTests(WireTestCase):
    """What comes when the server is going away already."""

    def test_T04_lateRequest(self) -> None:
        """Nothing is answered, whether there are lines or one that is too long."""
        for data in (request(), request()[:-2], b"x" * 20000):
            peer = self.serve().connect()
            peer.server.factory.closeConnections()
            peer.protocol.dataReceived(data)
            self.assertEqual(peer.received, b"")


class DefaultTests(WireTestCase):
    """What the rows above rest on."""

    def test_defaults(self) -> None:
        """The limits are on by default."""
        options = ServerOptions()
        self.assertEqual(options.handshakeTimeout, 10)
        self.assertEqual(options.maxHeaderLine, 8192)
        self.assertEqual(options.maxHeadSize, 16384)
        self.assertEqual(options.maxHeaders, 100)
        self.assertEqual(options.maxConnections, 10_000)

    def test_levels(self) -> None:
        """Being accepted is for debugging, if it is told at all; being refused is no
        error."""
        with capturedLogs() as events:
            self.serve().open()
            self.serve(logAccepted=True).open()
            self.serve(lambda _: None).open()
        levels = [each["log_level"] for each in events]
        self.assertEqual(levels, [LogLevel.debug, LogLevel.info])
