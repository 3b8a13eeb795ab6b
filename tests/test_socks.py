"""SOCKS5, byte by byte."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.errors import ProxyFailed
from twisted_ws.socks import SocksNegotiation

SECRET = "hunter2"  # noqa: S105
# A success, with each kind of address.
IPV4 = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x12\x34"
IPV6 = b"\x05\x00\x00\x04" + bytes(16) + b"\x12\x34"
NAME = b"\x05\x00\x00\x03\x0bexample.org\x12\x34"
NO_NAME = b"\x05\x00\x00\x03\x00\x12\x34"
REQUEST = b"\x05\x01\x00\x03\x0bexample.com\x01\xbb"
AUTHENTICATION = b"\x01\x02me\x07" + SECRET.encode()


def negotiate(*arguments: str) -> SocksNegotiation:
    """Begin a negotiation for example.com.

    :param arguments: user and password
    """
    return SocksNegotiation("example.com", 443, *arguments)


class NegotiationTests(SynchronousTestCase):
    """What goes to and fro."""

    def test_withoutAuthentication(self) -> None:
        """No user: one method is offered, and the request follows."""
        found = negotiate()
        self.assertEqual(found.start(), b"\x05\x01\x00")
        self.assertEqual(found.receive(b"\x05\x00"), REQUEST)
        self.assertFalse(found.isDone)
        self.assertEqual(found.receive(IPV4), b"")
        self.assertTrue(found.isDone)
        self.assertEqual(found.rest, b"")

    def test_withAuthentication(self) -> None:
        """With a user two methods are offered, and the proxy chooses."""
        found = negotiate("me", SECRET)
        self.assertEqual(found.start(), b"\x05\x02\x00\x02")
        self.assertEqual(found.receive(b"\x05\x02"), AUTHENTICATION)
        self.assertEqual(found.receive(b"\x01\x00"), REQUEST)
        self.assertEqual(found.receive(IPV4 + b"hello"), b"")
        self.assertEqual((found.isDone, found.rest), (True, b"hello"))
        found = negotiate("me", SECRET)
        self.assertEqual(found.receive(b"\x05\x00"), REQUEST)

    def test_emptyPassword(self) -> None:
        """An empty password is sent as such, and names in UTF-8."""
        found = negotiate("é")
        self.assertEqual(found.receive(b"\x05\x02"), b"\x01\x02\xc3\xa9\x00")

    def test_versionOfStatus(self) -> None:
        """The version before the status is not looked at; proxies get it wrong."""
        found = negotiate("me", SECRET)
        found.receive(b"\x05\x02")
        self.assertEqual(found.receive(b"\x05\x00"), REQUEST)

    def test_destinations(self) -> None:
        """Addresses go as addresses, names as names."""
        for host, expected in (
            ("10.0.0.1", b"\x01\x0a\x00\x00\x01"),
            ("fd00::1", b"\x04\xfd" + bytes(14) + b"\x01"),
            ("a.example", b"\x03\x09a.example"),
            ("a" * 255, b"\x03\xff" + b"a" * 255),
        ):
            found = SocksNegotiation(host, 0x1234)
            self.assertEqual(
                found.receive(b"\x05\x00"), b"\x05\x01\x00" + expected + b"\x12\x34"
            )

    def test_wholeBytewiseAndWithATail(self) -> None:
        """Every reply, however it is cut, and with bytes of the tunnel behind it."""
        for reply in (IPV4, IPV6, NAME, NO_NAME):
            for tail in (b"", b"\x05", b"HTTP/1.1 101"):
                whole = negotiate("me", SECRET)
                sent = whole.receive(b"\x05\x02\x01\x00" + reply + tail)
                self.assertEqual(sent, AUTHENTICATION + REQUEST)
                self.assertEqual((whole.isDone, whole.rest), (True, tail))
                bytewise = negotiate("me", SECRET)
                sent = b""
                for at, byte in enumerate(b"\x05\x02\x01\x00" + reply):
                    self.assertFalse(bytewise.isDone, at)
                    sent += bytewise.receive(bytes([byte]))
                self.assertEqual(sent, AUTHENTICATION + REQUEST)
                self.assertEqual((bytewise.isDone, bytewise.rest), (True, b""))

    @given(st.lists(st.binary(max_size=300), max_size=8))
    def test_anything(self, segments: list[bytes]) -> None:
        """Whatever a proxy sends, the negotiation ends, goes on, or fails as said, and
        keeps no more than a reply."""
        found = negotiate("me", SECRET)
        try:
            for segment in segments:
                found.receive(segment)
                if found.isDone:
                    return
                self.assertLess(len(found._buffer), 262)
        except ProxyFailed as error:
            self.assertNotIn(SECRET, str(error))


class FailureTests(SynchronousTestCase):
    """Refusals, and what is not SOCKS5."""

    def _fails(self, negotiation: SocksNegotiation, data: bytes) -> ProxyFailed:
        """Check that bytes are a failure, also one by one."""
        with self.assertRaises(ProxyFailed) as caught:
            for at in range(len(data)):
                negotiation.receive(data[at : at + 1])
        self.assertFalse(negotiation.isDone)
        self.assertTrue(str(caught.exception).startswith("the proxy"))
        error: ProxyFailed = caught.exception
        return error

    def test_C03_garbage(self) -> None:
        """What answers in another protocol, by its first byte already."""
        for first in (b"\x00", b"\x04", b"\x15", b"S"):
            error = self._fails(negotiate(), first)
            self.assertEqual(str(error), "the proxy does not answer in SOCKS5")
            self.assertFalse(error.wantsCredentials)
        error = self._fails(negotiate(), b"H")
        self.assertIn("is it an HTTP proxy?", str(error))
        error = self._fails(negotiate(), b"\x05\x00\x04")
        self.assertIn("reply is not SOCKS5", str(error))
        error = self._fails(negotiate(), b"\x05\x00\x05\x00\x00\x02\x00")
        self.assertIn("unknown kind of address", str(error))

    def test_methods(self) -> None:
        """Authentication that was not offered, and the want of it."""
        error = self._fails(negotiate(), b"\x05\xff")
        self.assertIn("give it a user and a password", str(error))
        self.assertTrue(error.wantsCredentials)
        error = self._fails(negotiate("me", SECRET), b"\x05\xff")
        self.assertIn("other than user and password", str(error))
        self.assertTrue(error.wantsCredentials)
        for negotiation, method in (
            (negotiate(), b"\x02"),
            (negotiate(), b"\x01"),
            (negotiate("me", SECRET), b"\x01"),
        ):
            error = self._fails(negotiation, b"\x05" + method)
            self.assertIn(f"method {method[0]} of authentication", str(error))
            self.assertFalse(error.wantsCredentials)

    def test_credentialsRefused(self) -> None:
        """User or password are wrong."""
        for status in (b"\x01", b"\xff"):
            error = self._fails(negotiate("me", SECRET), b"\x05\x02\x01" + status)
            self.assertEqual(str(error), "the proxy refused user and password")
            self.assertTrue(error.wantsCredentials)
            self.assertEqual((error.status, error.reply), (None, None))

    def test_replies(self) -> None:
        """Every reply of RFC 1928, and one that nobody knows; also without an address
        behind it."""
        for reply, words in (
            (1, "general failure"),
            (2, "not allowed by its rules"),
            (3, "network unreachable"),
            (4, "host unreachable"),
            (5, "connection refused"),
            (6, "TTL expired"),
            (7, "command not supported"),
            (8, "address type not supported"),
            (9, "no known reason"),
            (255, "no known reason"),
        ):
            error = self._fails(negotiate(), b"\x05\x00\x05" + bytes([reply]))
            self.assertEqual(error.reply, reply)
            self.assertEqual(
                str(error), f"the proxy did not connect: reply {reply}, {words}"
            )
            self.assertFalse(error.wantsCredentials)

    def test_failure(self) -> None:
        """The error for an end that came from elsewhere says what it is told."""
        error = negotiate().failure("went away")
        self.assertEqual(error.why, "the proxy went away")
        self.assertEqual((error.status, error.reply, error.body), (None, None, b""))

    def test_secretsStayInside(self) -> None:
        """A ``repr`` holds neither user nor password."""
        self.assertNotIn(SECRET, repr(negotiate(SECRET, SECRET)))
