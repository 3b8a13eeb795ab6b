"""Reading and comparing origins and hosts."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import string

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.origins import (
    Authority,
    Origin,
    hostMatches,
    isLoopbackHost,
    originOf,
    parseAuthority,
    parseOrigin,
)

NOT_AN_AUTHORITY = (
    "",
    ".",
    ":",
    ":80",
    " example.com",
    "example.com ",
    "example.com\n",
    "example.com\0",
    "exam ple.com",
    "example.com,example.org",
    "example.com/",
    "example.com/path",
    "example.com?query",
    "example.com#fragment",
    "example.com\\.evil.org",
    "user@example.com",
    "user:password@example.com",
    "example.com:port",
    "example.com:80:80",
    "example.com:-1",
    "example.com:+80",
    "example.com: 80",
    "example.com:65536",
    "example.com:99999",
    "example.com:000080",
    "example.com:٨٠",
    "bücher.example",
    "%65xample.com",
    "*",
    "*.example.com",
    "::1",
    "[]",
    "[::1",
    "::1]",
    "[::1]x",
    "[[::1]]",
    "[::1%eth0]",
    "[::1::]",
    "[1:2]",
    "[:]",
    "[.]",
    "[example.com]",
    "[v1.a]",
)

NOT_AN_ORIGIN = (
    "",
    "NULL",
    "null null",
    "null,https://example.com",
    "example.com",
    "example.com:443",
    "//example.com",
    "://example.com",
    "https:example.com",
    "https:/example.com",
    "https://",
    "https:///",
    "https://example.com/",
    "https://example.com/path",
    "https://example.com?query",
    "https://example.com#fragment",
    "https://user@example.com",
    "https://example.com@evil.org",
    "https://example.com https://evil.org",
    "https://example.com,https://evil.org",
    "https://example.com:65536",
    "https://*.example.com",
    "https://example.com\x00.evil.org",
    "https://https://example.com",
    "1https://example.com",
    "ht tps://example.com",
    " https://example.com",
    "https://example.com\t",
    "ħttps://example.com",
)


class ParseAuthorityTests(SynchronousTestCase):
    """``host`` and ``host:port``."""

    def test_valid(self) -> None:
        """Names and addresses are read, with or without a port, into one spelling."""
        for text, host, port in (
            ("example.com", "example.com", None),
            ("EXAMPLE.Com", "example.com", None),
            ("example.com.", "example.com", None),
            ("example.com.:80", "example.com", 80),
            ("example.com:8443", "example.com", 8443),
            # RFC 3986 section 3.2.3: the port may be empty.
            ("example.com:", "example.com", None),
            ("example.com:0", "example.com", 0),
            ("example.com:00080", "example.com", 80),
            ("example.com:65535", "example.com", 65535),
            ("localhost", "localhost", None),
            ("my_host-1", "my_host-1", None),
            ("xn--bcher-kva.example", "xn--bcher-kva.example", None),
            ("127.0.0.1:80", "127.0.0.1", 80),
            ("[::1]", "[::1]", None),
            ("[::1]:8080", "[::1]", 8080),
            ("[0:0:0:0:0:0:0:1]:8080", "[::1]", 8080),
            ("[2001:DB8::0:1]", "[2001:db8::1]", None),
        ):
            self.assertEqual(parseAuthority(text), Authority(host, port), text)

    def test_invalid(self) -> None:
        """Everything else is a ValueError."""
        for text in NOT_AN_AUTHORITY:
            try:
                found = parseAuthority(text)
            except ValueError:
                continue
            self.fail(f"{text!r} was read as {found}")

    def test_onlyIPv6InBrackets(self) -> None:
        """Brackets are for IPv6 (RFC 3986 section 3.2.2): an IPv4 address in them is no
        host, and so no second spelling of one."""
        for text in ("[127.0.0.1]", "[1.2.3.4]:80"):
            try:
                found = parseAuthority(text)
            except ValueError:
                continue
            self.fail(f"{text!r} was read as {found}")

    def test_everyByte(self) -> None:
        """A host holds letters, digits, dots, hyphens and underscores only."""
        allowed = f"{string.ascii_letters}{string.digits}._-"
        for code in range(256):
            text = f"a{chr(code)}b"
            try:
                found: Authority | None = parseAuthority(text)
            except ValueError:
                found = None
            expected = Authority(text.lower(), None) if chr(code) in allowed else None
            self.assertEqual(found, expected, f"character {code:#x}")

    def test_trailingDots(self) -> None:
        """A host that was read is not empty and has no trailing dot, however many were
        sent."""
        for text in ("a.", "a..", "a...:80", "..", "...", "..:80"):
            try:
                host, _ = parseAuthority(text)
            except ValueError:
                continue
            self.assertFalse(host.endswith("."), f"{text!r} was read as {host!r}")

    @settings(derandomize=True, deadline=None, max_examples=200)
    @given(
        st.text("aZ09.-_:[]fF@/ ", max_size=16)
        | st.text("aB.:8", max_size=6)
        | st.ip_addresses(v=6).map(lambda address: f"[{address.exploded}]:1")
    )
    def test_readAgain(self, text: str) -> None:
        """Only a ValueError is ever raised; what was read has one spelling, and reading
        that again changes nothing."""
        try:
            host, port = parseAuthority(text)
        except ValueError:
            return
        written = host if port is None else f"{host}:{port}"
        self.assertEqual(parseAuthority(written), (host, port), repr(text))
        self.assertEqual(host, host.lower())
        self.assertTrue(port is None or 0 <= port <= 65535, repr(text))


class ParseOriginTests(SynchronousTestCase):
    """``scheme://host[:port]`` and ``null``."""

    def test_valid(self) -> None:
        """Scheme and host are in lower case, the scheme's port is filled in."""
        for text, expected in (
            ("https://example.com", Origin("https", "example.com", 443)),
            ("HTTPS://Example.COM", Origin("https", "example.com", 443)),
            ("https://example.com:443", Origin("https", "example.com", 443)),
            # RFC 3986 section 3.2.3: an empty port is the scheme's.
            ("https://example.com:", Origin("https", "example.com", 443)),
            ("https://example.com.", Origin("https", "example.com", 443)),
            ("http://example.com", Origin("http", "example.com", 80)),
            ("http://example.com:8080", Origin("http", "example.com", 8080)),
            ("ws://example.com", Origin("ws", "example.com", 80)),
            ("wss://example.com", Origin("wss", "example.com", 443)),
            ("http://[0::1]:81", Origin("http", "[::1]", 81)),
            # Browser extensions have origins too.
            ("moz-extension://a1-b2", Origin("moz-extension", "a1-b2", None)),
            ("a+b.c://d:5", Origin("a+b.c", "d", 5)),
        ):
            self.assertEqual(parseOrigin(text), expected, text)

    def test_null(self) -> None:
        """Sandboxed and local pages send ``null``, which is no origin."""
        self.assertIsNone(parseOrigin("null"))

    def test_H11_invalid(self) -> None:
        """Everything else is a ValueError: paths, lists, user information, a
        wildcard."""
        for text in NOT_AN_ORIGIN:
            try:
                found = parseOrigin(text)
            except ValueError:
                continue
            self.fail(f"{text!r} was read as {found}")

    def test_H11_tricks(self) -> None:
        """No origin that merely looks like another one is equal to it."""
        own = parseOrigin("https://example.com")
        for text in (
            "http://example.com",
            "https://example.com:444",
            "https://example.com:80",
            "https://example.com.evil.org",
            "https://evil-example.com",
            "https://evilexample.com",
            "https://www.example.com",
            "https://example.co",
            "https://example.comm",
            "https://example",
            "wss://example.com",
            "null",
        ):
            self.assertNotEqual(parseOrigin(text), own, text)

    def test_originOf(self) -> None:
        """A request's own origin has the scheme's port where Host left it out."""
        for scheme, authority, expected in (
            ("http", Authority("a", None), Origin("http", "a", 80)),
            ("https", Authority("a", None), Origin("https", "a", 443)),
            ("https", Authority("a", 8443), Origin("https", "a", 8443)),
            ("https", Authority("a", 0), Origin("https", "a", 0)),
            ("other", Authority("a", None), Origin("other", "a", None)),
        ):
            self.assertEqual(originOf(scheme, authority), expected)


class HostTests(SynchronousTestCase):
    """Which hosts a request may name."""

    def test_H12_loopback(self) -> None:
        """Loopback names and addresses can only mean this machine."""
        for host in (
            "localhost",
            "app.localhost",
            "a.b.localhost",
            "127.0.0.1",
            "127.255.255.254",
            "[::1]",
            "::1",
        ):
            self.assertTrue(isLoopbackHost(host), host)

    def test_H12_notLoopback(self) -> None:
        """Names that somebody else can point here, and other spellings of addresses, do
        not count as loopback."""
        for host in (
            "",
            "example.com",
            "localhost.example.com",
            "notlocalhost",
            "localhost.evil",
            "127.0.0.1.example.com",
            "127.0.0.1.nip.io",
            "0.0.0.0",  # noqa: S104
            "[::]",
            "10.0.0.1",
            "128.0.0.1",
            "127.1",
            "127.0.0.01",
            "0x7f.0.0.1",
            "2130706433",
            "[::2]",
            "[fe80::1]",
        ):
            self.assertFalse(isLoopbackHost(host), host)

    def test_H12_otherSpellings(self) -> None:
        """A Host header's other spelling of a loopback host is recognised."""
        for text in ("LOCALHOST:80", "localhost.", "App.LocalHost", "[0:0::1]:8080"):
            self.assertTrue(isLoopbackHost(parseAuthority(text).host), text)

    def test_H12_hostMatches(self) -> None:
        """An entry without a port allows every port, one with a port only that one; the
        host is compared whole."""
        for host, entry, expected in (
            ("example.com", "example.com", True),
            ("example.com:8443", "example.com", True),
            ("EXAMPLE.com.:1", "example.COM", True),
            ("example.com:8443", "example.com:8443", True),
            ("example.com:8444", "example.com:8443", False),
            ("example.com", "example.com:8443", False),
            ("[::0:1]:80", "[::1]", True),
            ("www.example.com", "example.com", False),
            ("example.com", "www.example.com", False),
            ("example.com.evil.org", "example.com", False),
            ("evilexample.com", "example.com", False),
            ("example.com:0", "example.com:0", True),
        ):
            found = hostMatches(parseAuthority(host), parseAuthority(entry))
            self.assertEqual(found, expected, f"{host} against {entry}")


class LongTests(SynchronousTestCase):
    """Text that is longer than any name in DNS."""

    def test_long(self) -> None:
        """It is read by the same rules as what is remembered, and is no address."""
        for size in (255, 256, 5000):
            host = "a" * size
            self.assertEqual(parseAuthority(host), (host, None))
            self.assertEqual(parseAuthority(f"{host}:80"), (host, 80))
            self.assertFalse(isLoopbackHost(host))
            with self.assertRaises(ValueError):
                parseAuthority(f"{host}/")
        self.assertFalse(isLoopbackHost("127.0.0.1" + "0" * 300))
        self.assertTrue(isLoopbackHost("a." * 200 + "localhost"))
