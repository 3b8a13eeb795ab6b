"""Proxies' URLs, the environment's variables, and ``no_proxy``."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.proxyurls import (
    ProxyURL,
    asciiHost,
    bypassesProxy,
    parseProxyURL,
    proxyFor,
)

# What must never show in a message.
SECRET = "hunter2"  # noqa: S105


class URLTests(SynchronousTestCase):
    """Proxies' URLs."""

    def test_forms(self) -> None:
        """Each scheme, with and without port, user and password; names, addresses; no
        scheme at all."""
        for text, expected in (
            ("http://proxy", ("http", "proxy", 80, None, "")),
            ("http://proxy:3128/", ("http", "proxy", 3128, None, "")),
            ("HTTPS://Proxy.Example.COM.", ("https", "proxy.example.com", 443)),
            ("socks5://10.0.0.1", ("socks5", "10.0.0.1", 1080)),
            ("socks5h://[::1]:9050", ("socks5h", "[::1]", 9050)),
            ("http://[0:0::1]", ("http", "[::1]", 80)),
            ("proxy", ("http", "proxy", 80)),
            ("proxy:3128", ("http", "proxy", 3128)),
            ("me:secret@proxy:3128", ("http", "proxy", 3128, "me", "secret")),
            (" http://proxy:3128\n", ("http", "proxy", 3128)),
            ("http://me@proxy", ("http", "proxy", 80, "me", "")),
            ("http://me:@proxy", ("http", "proxy", 80, "me", "")),
            ("http://:secret@proxy", ("http", "proxy", 80, "", "secret")),
            ("http://@proxy", ("http", "proxy", 80, None, "")),
            ("http://me:a:b@proxy", ("http", "proxy", 80, "me", "a:b")),
            ("http://me:p%40s%2Fs%C3%A9@proxy", ("http", "proxy", 80, "me", "p@s/sé")),
            ("http://me:a@b/@proxy", ("http", "proxy", 80, "me", "a@b/")),
            ("socks5://a%3Ab:c@proxy", ("socks5", "proxy", 1080, "a:b", "c")),
            ("http://Bücher.example:81", ("http", "xn--bcher-kva.example", 81)),
        ):
            found = parseProxyURL(text)
            self.assertEqual(tuple(found), (*expected, None, "")[:5], text)

    def test_refused(self) -> None:
        """What is no proxy's URL; the message never holds the password."""
        for text in (
            "",
            "http://",
            "http://:80",
            "ftp://proxy",
            "socks4://proxy",
            "://proxy",
            "http://proxy/path",
            "http://proxy//",
            "http://proxy?query",
            "http://proxy#fragment",
            "http://proxy:0",
            "http://proxy:65536",
            "http://proxy:port",
            "http://pro xy",
            "http://pro\r\nxy",
            "http://[::1",
            "http://[::z]",
            "http://::1",
            "http://\ud800.example",
            "http://-ü-.example",
            f"http://me:{SECRET}%0d%0aX-Evil:1@proxy",
            f"http://me%00:{SECRET}@proxy",
            f"http://me:{SECRET}%7f@proxy",
            f"http://me:{SECRET}\r\n@proxy",
            f"http://me:{SECRET}%ff@proxy",
            f"http://me:{SECRET}\ud800@proxy",
            f"http://a%3Ab:{SECRET}@proxy",
            f"http://me:{SECRET}@proxy/x",
            f"me:{SECRET}@ proxy",
            f"socks4://me:{SECRET}@proxy",
            f"http://me:x@{SECRET}/@proxy:80/x",
            f"socks5://:{SECRET}@proxy",
            f"socks5://{'a' * 256}:{SECRET}@proxy",
            f"socks5h://me:{SECRET * 40}@proxy",
            f"socks5h://me:{'é' * 128}{SECRET}@proxy",
        ):
            with self.assertRaises(ValueError, msg=repr(text)) as caught:
                parseProxyURL(text)
            self.assertNotIn(SECRET, str(caught.exception))
            self.assertNotIn(SECRET, repr(caught.exception.__cause__))
            self.assertTrue(str(caught.exception).isprintable(), text)

    def test_longestForSOCKS(self) -> None:
        """User and password of 255 bytes each fit."""
        found = parseProxyURL(f"socks5://{'a' * 255}:{'b' * 255}@proxy")
        self.assertEqual((found.user, found.password), ("a" * 255, "b" * 255))

    def test_reprHidesCredentials(self) -> None:
        """Neither user nor password are in what gets into logs."""
        found = parseProxyURL(f"https://{SECRET}:{SECRET}@[::1]")
        self.assertEqual(str(found), "https://…@[::1]:443")
        self.assertEqual(repr(found), "<ProxyURL https://…@[::1]:443>")
        self.assertEqual(str(parseProxyURL("proxy")), "http://proxy:80")
        self.assertNotIn(SECRET, f"{found} {found!r} {[found]}")

    @given(st.text(max_size=40))
    def test_anything(self, text: str) -> None:
        """Any text is a proxy's URL or a ``ValueError``."""
        try:
            found = parseProxyURL(f"http://{text}")
        except ValueError:
            return
        self.assertIsInstance(found, ProxyURL)
        self.assertTrue(0 < found.port < 65536)
        self.assertTrue(found.host.isascii() and found.host.isprintable())

    def test_linear(self) -> None:
        """A long URL takes no longer than it must."""
        start = time.process_time()
        for text in ("http://" + ":" * 200_000, "@" * 200_000, "http://" * 30_000):
            self.assertRaises(ValueError, parseProxyURL, text)
        self.assertLess(time.process_time() - start, 2)

    def test_asciiHost(self) -> None:
        """Names become what DNS has; what is in ASCII stays."""
        self.assertEqual(asciiHost("Example.com"), "Example.com")
        self.assertEqual(asciiHost("faß.de"), "xn--fa-hia.de")
        self.assertRaises(ValueError, asciiHost, "\u0301.example")


class EnvironmentTests(SynchronousTestCase):
    """Which proxy the environment names."""

    def test_variables(self) -> None:
        """Each variable, for its scheme; the first that is set counts."""
        names = {
            "wss": (
                "wss_proxy",
                "WSS_PROXY",
                "https_proxy",
                "HTTPS_PROXY",
                "all_proxy",
                "ALL_PROXY",
            ),
            "ws": ("ws_proxy", "WS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"),
        }
        for scheme, order in names.items():
            environ = {"PATH": "/bin", "http_proxy_": "x", "ftp_proxy": "x"}
            url = f"{scheme}://example.com/"
            self.assertIsNone(proxyFor(url, environ))
            for name in reversed(order):
                environ[name] = f"http://{name}"
                self.assertEqual(proxyFor(url, environ), f"http://{name}")
        self.assertEqual(proxyFor("WSS://example.com", {"https_proxy": "p"}), "p")

    def test_otherScheme(self) -> None:
        """A proxy for one scheme is not for the other."""
        self.assertIsNone(proxyFor("ws://example.com", {"https_proxy": "http://p"}))
        self.assertIsNone(proxyFor("wss://example.com", {"http_proxy": "http://p"}))

    def test_httpoxy(self) -> None:
        """``HTTP_PROXY`` counts for nothing: in a CGI program it is a header."""
        environ = {"HTTP_PROXY": "http://evil", "HTTP_PROXY_": "http://evil"}
        for scheme in ("ws", "wss"):
            self.assertIsNone(proxyFor(f"{scheme}://example.com", environ))

    def test_empty(self) -> None:
        """An empty variable is not set; white space around a value is no part of it."""
        environ = {"https_proxy": " ", "HTTPS_PROXY": "", "all_proxy": " http://p\n"}
        self.assertEqual(proxyFor("wss://example.com", environ), "http://p")

    def test_exceptions(self) -> None:
        """``no_proxy`` counts before ``NO_PROXY``, with the URL's port, the scheme's
        default one filled in."""
        environ = {"all_proxy": "http://p", "NO_PROXY": "example.com"}
        self.assertIsNone(proxyFor("wss://example.com", environ))
        environ["no_proxy"] = "example.org:443, [::1]:80, example.net:8443"
        for url, expected in (
            ("wss://example.com", "http://p"),
            ("wss://me:secret@EXAMPLE.org/path?query", None),
            ("ws://example.org", "http://p"),
            ("ws://[::1]/", None),
            ("wss://[::1]/", "http://p"),
            ("wss://example.net", "http://p"),
            ("wss://example.net:8443", None),
        ):
            self.assertEqual(proxyFor(url, environ), expected, url)
        environ["no_proxy"] = "bücher.example"
        self.assertIsNone(proxyFor("wss://xn--bcher-kva.example", environ))
        environ["no_proxy"] = "xn--bcher-kva.example"
        self.assertIsNone(proxyFor("wss://Bücher.example", environ))

    def test_refused(self) -> None:
        """What is no WebSocket URL; the message does not hold it."""
        for url in (
            "",
            "example.com",
            "http://example.com",
            f"wss://me:{SECRET}@",
            f"wss://me:{SECRET}@example.com:port",
            f"wss://me:{SECRET}@example.com:65536",
            f"wss://me:{SECRET}@[::1",
            "wss://\u0301.example",
        ):
            with self.assertRaises(ValueError) as caught:
                proxyFor(url, {"all_proxy": "http://p"})
            self.assertNotIn(SECRET, str(caught.exception))


class ExceptionTests(SynchronousTestCase):
    """What ``no_proxy`` matches."""

    def _check(self, exceptions: str, yes: str, no: str) -> None:
        """Check which hosts, with ``/port`` where it is not 443, are excepted."""
        for hosts, expected in ((yes, True), (no, False)):
            for each in hosts.split():
                host, _, port = each.partition("/")
                found = bypassesProxy(host, int(port or 443), exceptions)
                self.assertEqual(found, expected, f"{exceptions!r}: {each}")

    def test_names(self) -> None:
        """A name stands for itself and all names under it, however it is written."""
        yes = "example.com EXAMPLE.com a.example.com a.b.example.com example.com."
        no = "example.org example.com.org badexample.com com 10.0.0.1 [::1]"
        for form in (
            "example.com",
            ".example.com",
            "*.example.com",
            "Example.COM.",
            " example.com ",
            "other,example.com",
            "other, example.com",
            "other\texample.com\n",
            ",,example.com,,",
        ):
            self._check(form, yes, no)

    def test_everything(self) -> None:
        """A ``*`` stands for every host, alone or among others; a part of a name it
        does not stand for."""
        for form in ("*", " * ", "example.org,*"):
            self._check(form, "example.com 10.0.0.1 ::1 localhost", "")
        self._check("exa*.com", "", "example.com exa.com")
        self._check("*example.com", "example.com", "badexample.com")

    def test_addresses(self) -> None:
        """Addresses, in any form of IPv6; a name's end is none."""
        self._check("10.0.0.1", "10.0.0.1 ::ffff:10.0.0.1", "10.0.0.10 a.10.0.0.1")
        self._check("::1", "::1 [::1] 0:0:0:0:0:0:0:1", "::2 localhost 127.0.0.1")
        self._check("[FD00::1]", "fd00::1 [fd00:0::1]", "fd00::2")
        self._check("0.1", "", "10.0.0.1")
        self._check(".0.0.1", "", "10.0.0.1")

    def test_networks(self) -> None:
        """Networks as CIDR writes them, of both families; names are not looked up."""
        self._check("10.0.0.0/8", "10.0.0.0 10.255.0.1 ::ffff:10.1.1.1", "11.0.0.1")
        self._check("10.1.2.3/8", "10.0.0.1", "11.0.0.1 localhost ::1")
        self._check("192.168.1.0/255.255.255.0", "192.168.1.9", "192.168.2.1")
        self._check("fd00::/8", "fd12::1 [fd12::1]", "fe80::1 253.0.0.1")
        self._check("0.0.0.0/0", "1.2.3.4", "::1 example.com")
        self._check("::/0", "::1", "1.2.3.4 example.com")

    def test_ports(self) -> None:
        """With a port behind it, an exception is for that port only."""
        self._check("example.com:8443", "example.com/8443 a.example.com/8443", "a")
        self._check("example.com:8443", "", "example.com example.com/80")
        self._check("10.0.0.1:80", "10.0.0.1/80", "10.0.0.1")
        self._check("10.0.0.0/8:80", "10.9.9.9/80", "10.9.9.9")
        self._check("[::1]:80", "::1/80", "::1")
        self._check("*:80", "example.com/80 10.0.0.1/80", "example.com")
        # This is an address, and not one with a port.
        self._check("::1:80", "::1:80", "::1/80")

    def test_nonsense(self) -> None:
        """What is none of this matches nothing, and hurts nobody."""
        self._check(
            ", . *. : :443 /8 300.0.0.1 10.0.0.0/99 [::1 example.com:port a:b:443 "
            "example.com:443:443x \u0301.com \ud800 -",
            "",
            "example.com 10.0.0.1 ::1 localhost a b",
        )
        self._check("", "", "example.com 10.0.0.1")

    @given(st.text(max_size=30), st.text(max_size=30))
    def test_anything(self, host: str, exceptions: str) -> None:
        """Nothing in the variable or the host raises an exception."""
        self.assertIsInstance(bypassesProxy(host, 443, exceptions), bool)

    def test_linear(self) -> None:
        """A long list takes no longer than it must."""
        start = time.process_time()
        for exceptions in (":443" * 50_000, "a:1," * 30_000, "." * 200_000):
            self.assertFalse(bypassesProxy("example.com", 443, exceptions))
        self.assertLess(time.process_time() - start, 5)
