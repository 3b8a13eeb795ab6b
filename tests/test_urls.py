"""URLs of WebSocket."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.errors import InvalidURL, WebSocketError
from twisted_ws.origins import Origin
from twisted_ws.urls import parseURL, writeAuthority


class ParseTests(SynchronousTestCase):
    """``parseURL``."""

    def test_parts(self) -> None:
        """Each part is found, the port's default filled in."""
        for text, parts in (
            ("ws://h", (False, "h", 80, "/")),
            ("WSS://H.Example:8443/a/b?c=d", (True, "h.example", 8443, "/a/b?c=d")),
            ("wss://h?", (True, "h", 443, "/?")),
            ("ws://h:/?a?b", (False, "h", 80, "/?a?b")),
            ("ws://h.//x", (False, "h", 80, "//x")),
            ("ws://my_service:1", (False, "my_service", 1, "/")),
            ("ws://127.0.0.1:80", (False, "127.0.0.1", 80, "/")),
            ("ws://[2001:DB8::0:1]:81", (False, "2001:db8::1", 81, "/")),
        ):
            self.assertEqual(tuple(parseURL(text))[:4], parts, text)

    def test_international(self) -> None:
        """Names become what DNS has; paths and queries are percent-encoded as UTF-8,
        and what is encoded already stays."""
        url = parseURL("ws://Bücher.example/ä%20b?ü=%C3%BC|")
        self.assertEqual(url.host, "xn--bcher-kva.example")
        self.assertEqual(url.resource, "/%C3%A4%20b?%C3%BC=%C3%BC%7C")
        # UTS 46: the full stop of Japanese keyboards.
        self.assertEqual(parseURL("ws://例え。jp").host, "xn--r8jz45g.jp")

    def test_user(self) -> None:
        """User and password are decoded."""
        for text, user, password in (
            ("ws://h", None, None),
            ("ws://u@h", "u", None),
            ("ws://u:@h", "u", ""),
            ("ws://%C3%BC:a%3Ab%40:c@h", "ü", "a:b@:c"),
        ):
            url = parseURL(text)
            self.assertEqual((url.user, url.password, url.host), (user, password, "h"))

    def test_derived(self) -> None:
        """What follows from the parts: scheme, path, query, Host header, origin."""
        url = parseURL("wss://[::1]:8443/a?b")
        self.assertEqual((url.scheme, url.path, url.queryString), ("wss", "/a", "b"))
        self.assertEqual(writeAuthority(url), "[::1]:8443")
        self.assertEqual(url.origin, Origin("wss", "[::1]", 8443))
        for text in ("ws://h:80/", "wss://h:443/"):
            self.assertEqual(writeAuthority(parseURL(text)), "h")
        self.assertEqual(parseURL("ws://h:80").origin, parseURL("ws://h").origin)

    def test_text(self) -> None:
        """As text it is without user, password and query, which may be secret."""
        url = parseURL("ws://user:secret@h:81/a?token=secret")
        self.assertEqual(str(url), "ws://h:81/a?…")
        self.assertEqual(repr(url), "<WebSocketURL ws://h:81/a?…>")
        self.assertEqual(str(parseURL("ws://h/a")), "ws://h/a")

    def test_invalid(self) -> None:
        """What is not plainly such a URL is refused, without repeating what may be a
        password."""
        for text, words in (
            ("", "form"),
            ("h", "form"),
            ("ws:/secret", "form"),
            ("http://secret", "write ws://"),
            ("https://secret", "write wss://"),
            ("ftp://secret", "neither ws nor wss"),
            ("ws://", "host"),
            ("ws:///secret", "host"),
            ("ws://:80", "host"),
            ("ws://h:0", "port is 0"),
            ("ws://h:65536", "over 65535"),
            ("ws://h:8secret", "host"),
            ("ws://sec ret", "white space"),
            ("ws://h/secret\r\nX: y", "control"),
            ("ws://h\\@secret", "backslash"),
            ("ws://h/#secret", "%23"),
            ("ws://h/a#", "%23"),
            ("ws://[::1", "host"),
            ("ws://[secret]", "host"),
            ("ws://[fe80::1%25eth0]", "host"),
            ("ws://..secret", "host"),
            ("ws://sécret..x", "DNS"),
            ("ws://%73ecret", "host"),
            ("ws://%FF:secret@h", "UTF-8"),
            ("ws://u:%FF@secret", "UTF-8"),
            ("ws://u%3Asecret@h", "colon"),
            ("ws://u:secret%0D%0A@h", "control"),
            ("ws://h/\ud800", "surrogate"),
        ):
            with self.assertRaises(InvalidURL) as caught:
                parseURL(text)
            self.assertIn(words, str(caught.exception), text)
            self.assertNotIn("secret", str(caught.exception))
            self.assertIsInstance(caught.exception, ValueError)
            self.assertIsInstance(caught.exception, WebSocketError)


class JoinTests(SynchronousTestCase):
    """Where redirects lead."""

    def test_join(self) -> None:
        """A location is a URL, or relative to the one before; http stands for ws."""
        url = parseURL("ws://u:p@h:81/a/b?q")
        for location, expected in (
            ("/c", "ws://h:81/c"),
            ("c", "ws://h:81/a/c"),
            ("../c?d", "ws://h:81/c?d"),
            ("?d", "ws://h:81/a/b?d"),
            ("//x", "ws://x/"),
            ("https://x/y#z", "wss://x/y"),
            ("HTTP://x:82", "ws://x:82/"),
            ("wss://x/y", "wss://x/y"),
            ("#z", "ws://h:81/a/b?q"),
        ):
            self.assertEqual(url.join(location), parseURL(expected), location)
        self.assertEqual(parseURL("wss://h/").join("/x"), parseURL("wss://h/x"))

    def test_user(self) -> None:
        """A server chooses no user: neither its own, nor the one that there was."""
        url = parseURL("ws://u:p@h")
        for location in ("/x", "ws://v:q@h/x"):
            self.assertEqual(url.join(location), parseURL("ws://h/x"))

    def test_invalid(self) -> None:
        """What is not a URL of WebSocket or HTTP is refused."""
        for location in (
            "ftp://x",
            "javascript:x()",
            "http://[x",
            "/a b",
            "//:0",
            "\n",
        ):
            with self.assertRaises(InvalidURL):
                parseURL("ws://h").join(location)
