"""The pages: their headers, and what of a directory is shown and what is not."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from html import unescape
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple, cast

from twisted.internet import task
from twisted.internet.task import Clock, Cooperator
from twisted.internet.testing import StringTransport
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Site

from tests.processes import removeDirectory
from twisted_ws.factory import WebSocketServerFactory
from twisted_ws.interfaces import WebSocketProtocol
from twisted_ws.pages import PageRequest, demoSite, fileSite


class Response(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


class Transport(StringTransport):
    """A transport in memory that can be aborted."""

    def abortConnection(self) -> None:
        """End it."""
        self.loseConnection()

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Do nothing."""


class PagesCase(SynchronousTestCase):
    """Requests as they really arrive, through the strict parser of the server."""

    def setUp(self) -> None:
        """Collect what is logged."""
        self.logged: list[str] = []

        def observe(event: LogEvent) -> None:
            self.logged.append(formatEvent(event))

        publisher: Any = globalLogPublisher
        publisher.addObserver(observe)
        self.addCleanup(publisher.removeObserver, observe)

    def ask(
        self, site: Site, target: str, *headers: str, method: str = "GET"
    ) -> Response:
        """Send a request and read the response to its end."""
        if not any(each.lower().startswith("host:") for each in headers):
            headers = ("Host: example.com:8443", *headers)
        return self.send(site, f"{method} {target} HTTP/1.1", *headers)

    def send(self, site: Site, requestLine: str, *headers: str) -> Response:
        """Send just this and read the response to its end."""
        clock: Any = Clock()
        site.reactor = clock
        # What feeds a file to a transport is kept going by the reactor else.
        cooperator = Cooperator(scheduler=lambda turn: clock.callLater(0, turn))
        self.patch(task, "_theCooperator", cooperator)
        factory = WebSocketServerFactory(
            WebSocketProtocol, path="/ws", site=cast(Any, site), reactor=clock
        )
        protocol = factory.buildProtocol(None)
        transport = Transport()
        protocol.makeConnection(transport)
        request = "\r\n".join([requestLine, *headers, "", ""])
        protocol.dataReceived(request.encode("latin-1"))
        clock.pump([0] * 10)
        self.assertTrue(transport.disconnecting, transport.value()[:500])
        head, _, body = transport.value().partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        pairs = [line.split(": ", 1) for line in rest]
        self.assertEqual(len(pairs), len({name.lower() for name, _ in pairs}), rest)
        found = {name.lower(): value for name, value in pairs}
        if requestLine.endswith("1.1"):
            self.assertEqual(found.get("connection"), "close")
        if requestLine.startswith("HEAD "):
            self.assertEqual(body, b"")
        elif "content-length" in found:
            self.assertEqual(len(body), int(found["content-length"]))
        return Response(int(first.split(" ")[1]), found, body)

    def assertQuiet(self, *secrets: str) -> None:
        """Hold that no error, no warning of twisted.web and no secret was logged."""
        for line in self.logged:
            for word in ("Traceback", "Warning", "Unhandled", "decode", *secrets):
                self.assertNotIn(word, line)


class DemoTests(PagesCase):
    """The demo page."""

    def policy(self, *headers: str) -> dict[str, list[str]]:
        """Give the page's Content-Security-Policy, by directive."""
        response = self.ask(demoSite("/"), "/", *headers)
        text = response.headers["content-security-policy"]
        directives = [each.split(" ") for each in text.split("; ")]
        return {name: values for name, *values in directives}

    def test_page(self) -> None:
        """It is at / only, in UTF-8, with headers that keep browsers strict."""
        response = self.ask(demoSite("/"), "/")
        self.assertEqual(response.status, 200)
        self.assertEqual(response.body.count(b"<title>twisted_ws</title>"), 1)
        for name, value in (
            ("content-type", "text/html; charset=utf-8"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-cache"),
        ):
            self.assertEqual(response.headers[name], value)
        for target in ("/index.html", "/a/b", "/%2e%2e/", "/demo.html"):
            self.assertEqual(self.ask(demoSite("/"), target).status, 404, target)
        self.assertQuiet()

    def test_inlineElements(self) -> None:
        """The policy allows the one script and the one style that are in the page, by
        their real hashes, and nothing else inline."""
        page = self.ask(demoSite("/"), "/").body
        policy = self.policy()
        for element, directive in ((b"script", "script-src"), (b"style", "style-src")):
            opening = re.findall(b"<%s\\b[^>]*>" % element, page)
            self.assertEqual(opening, [b"<%s>" % element])
            (content,) = re.findall(
                b"<%s>(.*?)</%s>" % (element, element), page, re.DOTALL
            )
            digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
            self.assertEqual(policy[directive], [f"'sha256-{digest}'"])
        self.assertNotRegex(page.decode(), r"<[^>]*\s(on\w+|style)\s*=")
        self.assertFalse(b"javascript:" in page)
        for directive in ("default-src", "base-uri", "form-action", "frame-ancestors"):
            self.assertEqual(policy[directive], ["'none'"])

    def test_connectsToItsOwnHost(self) -> None:
        """It may connect to the host that it was asked for at, and no other; what is no
        host does not get as far as the policy."""
        for host in ("example.com:8443", "[::1]:80", "localhost"):
            self.assertEqual(
                self.policy(f"Host: {host}")["connect-src"],
                ["'self'", f"ws://{host}", f"wss://{host}"],
            )
        for host in ("a; script-src *", "a b", "a,b", "'self'", "*", "a/b", ""):
            response = self.ask(demoSite("/"), "/", f"Host: {host}")
            self.assertEqual(response.status, 400, host)

    def test_hostOfHTTP10(self) -> None:
        """HTTP/1.0 needs no host, and may say anything about it: what is none stays out
        of the policy."""
        for headers in (
            (),
            ("Host: a; script-src *",),
            ("Host: a b",),
            ("Host: \xff",),
            ("Host: a", "Host: b; script-src *"),
        ):
            response = self.send(demoSite("/"), "GET / HTTP/1.0", *headers)
            policy = response.headers["content-security-policy"]
            self.assertIn(" wss://localhost;", policy)
            self.assertEqual(policy.count("script-src"), 1)

    def test_path(self) -> None:
        """It knows where the WebSocket is; the path cannot break out of the page."""
        for path in ("/", "/ws", "/a\"><script>alert(1)</script>&'"):
            page = self.ask(demoSite(path), "/").body.decode("utf-8")
            (found,) = re.findall(r'name="websocket-path" content="([^"]*)"', page)
            self.assertEqual(unescape(found), path)
            self.assertEqual(page.count("<script"), 1)
            self.assertFalse("{{path}}" in page)
        source = files("twisted_ws").joinpath("demo.html").read_text("utf-8")
        self.assertEqual(source.count("{{path}}"), 1)

    def test_echoes(self) -> None:
        """It knows whether the server echoes, so that it does not probe others."""
        for echoes, word in ((True, "yes"), (False, "no")):
            page = self.ask(demoSite("/", echoes), "/").body.decode("utf-8")
            (found,) = re.findall(r'name="websocket-echoes" content="([^"]*)"', page)
            self.assertEqual(found, word)

    def test_nothingFromElsewhere(self) -> None:
        """The page loads nothing: no other host is named as a source."""
        page = self.ask(demoSite("/"), "/").body.decode("utf-8")
        self.assertNotRegex(page, r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//")
        self.assertNotRegex(page, r"@import|url\(\s*[\"']?(?:https?:)?//")

    def test_head(self) -> None:
        """HEAD gives the same headers without the body, and nothing in the log."""
        got = self.ask(demoSite("/"), "/?token=secret")
        head = self.ask(demoSite("/"), "/?token=secret", method="HEAD")
        self.assertEqual(head.status, 200)
        for headers in (got.headers, head.headers):
            headers.pop("date")
        self.assertEqual(head.headers, got.headers)
        self.assertEqual(self.ask(demoSite("/"), "/no", method="HEAD").status, 404)
        self.assertQuiet("secret")


class FileTests(PagesCase):
    """Files of a directory."""

    def setUp(self) -> None:
        """Make a directory with files in and beside it."""
        super().setUp()
        self.parent = tempfile.mkdtemp(prefix="twisted_ws-")
        self.addCleanup(removeDirectory, self.parent)
        Path(self.parent, "secret.txt").write_text("secret")
        self.directory = os.path.join(self.parent, "public")
        for name, content in (
            ("hello.txt", "hello, world"),
            ("snow \u2603.txt", "snow"),
            ("with/index.html", "<p>index"),
            ("without/file.txt", "file"),
            (".hidden", "secret"),
            (".git/config", "secret"),
            ("with/.htpasswd", "secret"),
        ):
            path = Path(self.directory, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def get(self, target: str, *headers: str, method: str = "GET") -> Response:
        """Ask for a file."""
        return self.ask(fileSite(self.directory), target, *headers, method=method)

    def test_files(self) -> None:
        """Files, and the index of a directory."""
        for target, body in (
            ("/hello.txt", b"hello, world"),
            ("/hello.txt?query=whatever", b"hello, world"),
            ("/snow%20%E2%98%83.txt", b"snow"),
            ("/with/", b"<p>index"),
            ("/without/file.txt", b"file"),
        ):
            response = self.get(target)
            self.assertEqual((response.status, response.body), (200, body), target)
            self.assertEqual(response.headers["x-content-type-options"], "nosniff")
        self.assertTrue(
            self.get("/hello.txt").headers["content-type"].startswith("text/plain")
        )
        self.assertEqual(self.get("/with").status, 302)

    def test_noListing(self) -> None:
        """A directory without an index is not found; what is in it is not told."""
        for target in ("/", "/without/"):
            response = self.get(target)
            self.assertEqual(response.status, 404, target)
            self.assertNotIn(b"file.txt", response.body)

    def test_notFound(self) -> None:
        """What is not there, or under a file, or hidden."""
        for target in (
            *("/none", "/hello.txt/more", "/none/hello.txt", "/hello.txt/"),
            *("/.hidden", "/.git/config", "/.git/", "/with/.htpasswd", "/%2ehidden"),
        ):
            response = self.get(target)
            self.assertEqual(response.status, 404, target)
            self.assertNotIn(b"secret", response.body)
        self.assertQuiet()

    def test_traversal(self) -> None:
        """Nothing outside of the directory, however it is written."""
        for target in (
            *("/../secret.txt", "/..%2fsecret.txt", "/%2e%2e/secret.txt"),
            *("/with/../../secret.txt", "/with/..%2f..%2fsecret.txt", "//secret.txt"),
            *("/%2e%2e%2fsecret.txt", "/..\\secret.txt", "/..%5csecret.txt"),
            *("/%2fetc%2fpasswd", "//etc/passwd", "/%c0%ae%c0%ae/secret.txt"),
            f"/{self.parent}/secret.txt".replace("//", "/"),
        ):
            response = self.get(target)
            self.assertEqual(response.status, 404, target)
            self.assertNotIn(b"root:", response.body)
            self.assertNotEqual(response.body, b"secret")
        self.assertQuiet()

    def test_oddNames(self) -> None:
        """Names that the system or twisted.web trip over are not found, without a word
        in the log."""
        for target in ("/%00", "/hello.txt%00.html", "/%ff%fe", f"/{'x' * 5000}"):
            self.assertEqual(self.get(target).status, 404, target)
        self.assertQuiet()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_head(self) -> None:
        """HEAD gives the headers of GET without the body."""
        response = self.get("/hello.txt", method="HEAD")
        self.assertEqual(response.status, 200)
        self.assertEqual(response.headers["content-length"], "12")
        self.assertEqual(self.get("/none?token=secret", method="HEAD").status, 404)
        self.assertQuiet("secret")

    def test_otherMethods(self) -> None:
        """Files are only read."""
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
            response = self.get("/hello.txt", method=method)
            self.assertEqual(response.status, 405)
            self.assertEqual(response.headers["allow"], "GET, HEAD")

    def test_ranges(self) -> None:
        """A download can go on where it broke off. Many ranges in one request, which
        would send a file many times, and other odd ones get the whole file."""
        for value, status, body in (
            ("bytes=7-", 206, b"world"),
            ("bytes=0-4", 206, b"hello"),
            ("bytes=0-9999", 206, b"hello, world"),
            ("bytes=9999-", 416, b""),
            ("bytes=0-0,0-0,0-0,0-,0-", 200, b"hello, world"),
            ("bytes=-9999", 200, b"hello, world"),
            ("bytes=5-1", 200, b"hello, world"),
            ("bytes=" + "9" * 5000 + "-", 200, b"hello, world"),
            ("pages=1-2", 200, b"hello, world"),
            ("\xff", 200, b"hello, world"),
        ):
            response = self.get("/hello.txt", f"Range: {value}")
            self.assertEqual((response.status, response.body), (status, body), value)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_S05_requestsInLogs(self) -> None:
        """What a request says of itself in logs has no query."""
        site: Any = fileSite(self.directory)
        self.assertIs(site.requestFactory, PageRequest)
        request = PageRequest.__new__(PageRequest)
        request.method, request.uri = b"GET", b"/hello\x1b.txt?token=secret"
        self.assertEqual(repr(request), "<GET /hello\\x1b.txt?…>")


class ImportTests(SynchronousTestCase):
    """The module itself."""

    def test_warningsAsErrors(self) -> None:
        """It can be imported where warnings are errors."""
        command = [sys.executable, "-W", "error", "-c", "import twisted_ws.tap"]
        root = Path(__file__).parent.parent
        result = subprocess.run(
            command, cwd=root, capture_output=True, timeout=30, check=False
        )
        self.assertEqual(result.returncode, 0, result.stderr)
