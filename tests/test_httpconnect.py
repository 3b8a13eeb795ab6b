"""HTTP CONNECT, byte by byte."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import time
from base64 import b64decode

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.errors import ProxyFailed
from twisted_ws.headers import Headers
from twisted_ws.httpconnect import (
    MAX_BODY,
    MAX_HEAD,
    MAX_HEADERS,
    MAX_LINE,
    ConnectNegotiation,
)

SECRET = "hunter2"  # noqa: S105
OK = b"HTTP/1.1 200 OK\r\n\r\n"


def negotiate(*headers: tuple[str, str], user: str | None = None) -> ConnectNegotiation:
    """Begin a negotiation for example.com.

    :param headers: further ones
    :param user: with the password that nobody may see
    """
    return ConnectNegotiation("example.com:443", Headers(headers), user, SECRET)


def answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    """Write a response."""
    head = "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""])
    return head.encode("latin-1") + body


class RequestTests(SynchronousTestCase):
    """What the proxy is asked."""

    def test_plain(self) -> None:
        """A request without user and headers: authority form, Host and no more."""
        self.assertEqual(
            negotiate().start(),
            b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
        )
        found = ConnectNegotiation("[::1]:80", Headers()).start()
        self.assertEqual(found, b"CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n")

    def test_credentials(self) -> None:
        """User and password go as Basic authentication, in UTF-8."""
        head = negotiate(user="mé").start().decode().split("\r\n")
        name, value = head[2].split(": ")
        self.assertEqual(name, "Proxy-Authorization")
        self.assertEqual(b64decode(value[6:]).decode(), f"mé:{SECRET}")
        self.assertEqual(head[3:], ["", ""])

    def test_headers(self) -> None:
        """Further headers follow, in their order; one with credentials takes the place
        of the user's."""
        head = negotiate(
            ("User-Agent", "x"), ("proxy-authorization", "Other y"), user="me"
        )
        self.assertEqual(
            head.start().split(b"\r\n")[2:],
            [b"User-Agent: x", b"proxy-authorization: Other y", b"", b""],
        )

    def test_ownHeaders(self) -> None:
        """Headers that would change what the request means are refused."""
        for name in ("Host", "content-length", "Transfer-Encoding"):
            self.assertRaises(ValueError, negotiate, (name, "1"))

    def test_secretsStayInside(self) -> None:
        """A ``repr`` does not hold the password."""
        self.assertNotIn(SECRET, repr(negotiate(user=SECRET)))


class TunnelTests(SynchronousTestCase):
    """Answers that open the tunnel."""

    def test_wholeBytewiseAndWithATail(self) -> None:
        """Every 2xx does, however it is cut, and what follows is the tunnel's."""
        for head in (
            OK,
            b"HTTP/1.0 200 Connection established\r\n\r\n",
            b"HTTP/1.1 200\r\n\r\n",
            b"HTTP/1.1 200 \r\n\r\n",
            b"HTTP/1.1 299 caf\xe9\tx\r\nVia: 1.1 x\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
            b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 x\r\n\r\n" + OK,
        ):
            for tail in (b"", b"\r\n", b"HTTP/1.1 101 x\r\n\r\n\x81\x01x"):
                whole = negotiate()
                self.assertEqual(whole.receive(head + tail), b"")
                self.assertEqual((whole.isDone, whole.rest), (True, tail))
                bytewise = negotiate()
                for at in range(len(head)):
                    self.assertFalse(bytewise.isDone, head[:at])
                    self.assertEqual(bytewise.receive(head[at : at + 1]), b"")
                self.assertEqual((bytewise.isDone, bytewise.rest), (True, b""))

    def test_bodyFramingIsIgnored(self) -> None:
        """``Content-Length`` and ``Transfer-Encoding`` mean nothing in a success
        (RFC 9110 section 9.3.6)."""
        for header in ("Content-Length: 3", "Transfer-Encoding: chunked"):
            found = negotiate()
            found.receive(answer("200 OK", header, body=b"abcdef"))
            self.assertEqual((found.isDone, found.rest), (True, b"abcdef"))

    def test_exactlyAtTheLimits(self) -> None:
        """A line, a head and a number of lines at the limit pass."""
        line = b"X: " + b"a" * (MAX_LINE - 3)
        found = negotiate()
        found.receive(b"HTTP/1.1 200 OK\r\n" + line + b"\r\n\r\n")
        self.assertTrue(found.isDone)
        found = negotiate()
        found.receive(answer("200 OK", *["X: y"] * MAX_HEADERS))
        self.assertTrue(found.isDone)
        start = b"HTTP/1.1 200 OK\r\n" + line + b"\r\n"
        last = b"Y: " + b"b" * (MAX_HEAD - len(start) - 3 - 4)
        head = start + last + b"\r\n\r\n"
        self.assertEqual(len(head), MAX_HEAD)
        found = negotiate()
        found.receive(head + bytes(70_000))
        self.assertEqual((found.isDone, len(found.rest)), (True, 70_000))


class FailureCase(SynchronousTestCase):
    """Checks failures."""

    def fails(self, data: bytes) -> ProxyFailed:
        """Check that bytes are the same failure, whole and one by one."""
        errors = []
        for step in (len(data), 1):
            found = negotiate(user="me")
            with self.assertRaises(ProxyFailed, msg=repr(data[:100])) as caught:
                for at in range(0, len(data), step):
                    found.receive(data[at : at + step])
            self.assertFalse(found.isDone)
            errors.append(caught.exception)
        self.assertEqual(errors[0].why, errors[1].why)
        self.assertEqual(errors[0].body, errors[1].body)
        self.assertIn("proxy", errors[0].why)
        error: ProxyFailed = errors[0]
        return error


class GarbageTests(FailureCase):
    """What is not HTTP."""

    def test_C03_firstBytes(self) -> None:
        """What answers in another protocol, as soon as that shows."""
        for data, hint in (
            (b"\x05\xff", True),
            (b"\x00", True),
            (b"\x04", True),
            (b"\x15\x03", False),
            (b"SSH", False),
            (b"\r", False),
            (b"HTTP/2", False),
            (b"http/1.1", False),
            (b"HTTP/1x", False),
        ):
            error = self.fails(data)
            self.assertEqual("is it a SOCKS proxy?" in error.why, hint, data)
            self.assertIn("does not answer in HTTP/1", error.why)
            self.assertIsNone(error.status)

    def test_C03_malformed(self) -> None:
        """A head that breaks HTTP's rules."""
        for head in (
            b"HTTP/1.1 abc OK\r\n\r\n",
            b"HTTP/1.1 20 OK\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 099 OK\r\n\r\n",
            b"HTTP/1.1  200 OK\r\n\r\n",
            b"HTTP/1.\r\n\r\n",
            b"HTTP/1.11 200 OK\r\n\r\n",
            b"HTTP/1.1 200OK\r\n\r\n",
            b"HTTP/1.1 200 O\x00K\r\n\r\n",
            b"HTTP/1.1 200 O\rK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: \x01\r\n\r\n",
            b"HTTP/1.1 407 OK\r\nA: b\rc\r\n\r\n",
            b"HTTP/1.1 200 OK\n",
            b"HTTP/1.1 200 OK\r\nA: b\n",
            b"HTTP/1.1 100 Continue\r\n\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nx",
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        ):
            self.assertIsNone(self.fails(head).status, head)

    def test_C03_tooLarge(self) -> None:
        """A line, a head or a number of lines over the limit, when the limit is passed
        and not when the line ends."""
        start = b"HTTP/1.1 200 OK\r\n"
        error = self.fails(start + b"X: " + b"a" * (MAX_LINE - 1))
        self.assertIn("a line over 8192 bytes", error.why)
        error = self.fails(start + b"X: " + b"a" * (MAX_LINE - 2) + b"\r\n")
        self.assertIn("a line over 8192 bytes", error.why)
        line = b"X: " + b"a" * 4000 + b"\r\n"
        self.assertIn("a head over 16384 bytes", self.fails(start + line * 5).why)
        interim = b"HTTP/1.1 100 x\r\n\r\n"
        self.assertIn("a head over 16384 bytes", self.fails(interim * 1000).why)
        lines = ["X: y"] * (MAX_HEADERS + 1)
        self.assertIn("over 100 header lines", self.fails(answer("200", *lines)).why)

    def test_C03_linear(self) -> None:
        """A head at the limits, byte for byte, takes no time."""
        start = time.process_time()
        for _ in range(5):
            found = negotiate()
            head = b"HTTP/1.1 200 OK\r\nX: " + b"a" * 8000 + b"\r\nY: " + b"b" * 8000
            for at in range(len(head)):
                found.receive(head[at : at + 1])
        self.assertLess(time.process_time() - start, 5)

    @given(st.lists(st.binary(max_size=300), max_size=8))
    def test_anything(self, segments: list[bytes]) -> None:
        """Whatever follows a status line, the negotiation ends, goes on, or fails as
        said."""
        found = negotiate(user="me")
        try:
            for segment in [b"HTTP/1.1 407 x\r\n", *segments]:
                found.receive(segment)
                self.assertFalse(found.isDone)
        except ProxyFailed as error:
            self.assertNotIn(SECRET, str(error))


class RefusalTests(FailureCase):
    """Answers that refuse the tunnel."""

    def test_statuses(self) -> None:
        """Status, headers and body are on the error; the status in words that are
        ours."""
        for status, words, wants in (
            (302, "302 Found", False),
            (304, "304 Not Modified", False),
            (401, "401 Unauthorized", True),
            (403, "403 Forbidden", False),
            (407, "407 Proxy Authentication Required", True),
            (502, "502 Bad Gateway", False),
            (599, "599", False),
        ):
            error = self.fails(answer(f"{status} Evil", "A: b", "Content-Length: 0"))
            self.assertEqual(error.status, status)
            self.assertEqual(error.why, f"the proxy refused the tunnel: {words}")
            self.assertEqual(error.headers, Headers([("A", "b"), *LENGTH_0]))
            self.assertEqual(error.wantsCredentials, wants)
            self.assertEqual((error.body, error.reply), (b"", None))

    def test_challenge(self) -> None:
        """Every challenge of a 407 is there for who can answer it."""
        error = self.fails(
            answer(
                "407 x",
                'Proxy-Authenticate: Basic realm="x"',
                "Proxy-Authenticate: Digest nonce=1",
                "Content-Length: 5",
                body=b"no!!!and more",
            )
        )
        self.assertEqual(
            error.headers.getAll("proxy-authenticate"),
            ['Basic realm="x"', "Digest nonce=1"],
        )
        self.assertEqual(error.body, b"no!!!")

    def test_tooLongABody(self) -> None:
        """At 64 KiB the body ends, announced or not."""
        body = b"x" * (MAX_BODY + 1)
        for headers in ((), (f"Content-Length: {MAX_BODY * 9}",)):
            found = negotiate()
            with self.assertRaises(ProxyFailed) as caught:
                found.receive(answer("403 x", *headers, body=body))
            self.assertEqual(caught.exception.body, body[:MAX_BODY])

    def test_endsBeforeItsBody(self) -> None:
        """When the connection ends, or the time, the refusal counts, with what there
        is of its body."""
        found = negotiate()
        found.receive(answer("403 x", "Content-Length: 9", body=b"abc"))
        error = found.failure("closed the connection")
        self.assertEqual((error.status, error.body), (403, b"abc"))
        found.receive(b"de")
        self.assertEqual(found.failure("did not answer").body, b"abcde")

    def test_endsBeforeAnAnswer(self) -> None:
        """Without a whole head there is no status, and the error says what it is
        told."""
        found = negotiate()
        found.receive(b"HTTP/1.1 403 Forbidden\r\n")
        error = found.failure("went away")
        self.assertEqual((error.why, error.status), ("the proxy went away", None))


LENGTH_0 = [("Content-Length", "0")]
