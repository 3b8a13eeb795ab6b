"""The exception tree, and what each error carries."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from twisted_ws import errors
from twisted_ws.closing import isLegalOnWire
from twisted_ws.errors import (
    RESPONSE_FRAMING,
    BadHandshake,
    ConnectFailed,
    ConnectionClosed,
    ConnectionFailed,
    HandshakeError,
    HandshakeRefused,
    HandshakeRejected,
    HandshakeTimeout,
    InvalidHandshake,
    InvalidOption,
    InvalidPayload,
    MessageTooBig,
    PolicyViolation,
    ProtocolError,
    ProxyFailed,
    RedirectRefused,
    TLSConfigurationError,
    TooManyRedirects,
    WebSocketError,
)
from twisted_ws.headers import Headers

_TREE_LINE = re.compile(r"    ([│├└─ ]*)(\w+)(?: \((\w+)\))?(?: +(.*))?")


def treeInDocstring() -> dict[str, tuple[set[str], str]]:
    """Read the tree that the module's docstring draws.

    :returns: for each name, its parents and the remark beside it
    """
    lines = (errors.__doc__ or "").splitlines()
    found: dict[str, tuple[set[str], str]] = {}
    path: list[str] = []
    for line in lines:
        matched = _TREE_LINE.fullmatch(line)
        if matched is None:
            continue
        depth = len(matched[1]) // 4
        parents = {path[depth - 1]} if depth else {"Exception"}
        if matched[3]:
            parents.add(matched[3])
        path[depth:] = [matched[2]]
        found[matched[2]] = (parents, matched[4] or "")
    return found


def definedErrors() -> dict[str, type[BaseException]]:
    """Give the exceptions that the module defines, by name."""
    return {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type)
        and issubclass(value, BaseException)
        and value.__module__ == errors.__name__
    }


class TreeTests(SynchronousTestCase):
    """The exceptions as a family."""

    def test_docstringDrawsTheTree(self) -> None:
        """The tree in the module's docstring is the one in the code."""
        drawn = {name: parents for name, (parents, _) in treeInDocstring().items()}
        coded = {
            name: {parent.__name__ for parent in value.__bases__}
            for name, value in definedErrors().items()
        }
        self.assertEqual(drawn, coded)

    def test_oneBase(self) -> None:
        """Whoever catches WebSocketError catches all, and all are public."""
        for name, value in definedErrors().items():
            self.assertTrue(issubclass(value, WebSocketError), name)
            self.assertIn(name, errors.__all__)

    def test_closeCodes(self) -> None:
        """Each error that fails a connection has a code that a Close frame may carry,
        and it is the one that the docstring tells."""
        for name, value in definedErrors().items():
            if not issubclass(value, ConnectionFailed) or value is ConnectionFailed:
                continue
            self.assertTrue(isLegalOnWire(value.closeCode), name)
            remark = treeInDocstring()[name][1]
            if remark.isdigit():
                self.assertEqual(value.closeCode, int(remark), name)

    def test_RFCCodes(self) -> None:
        """Codes are those of RFC 6455 section 7.4.1; each text is kept."""
        for kind, code in (
            (ProtocolError, 1002),
            (InvalidPayload, 1007),
            (PolicyViolation, 1008),
            (MessageTooBig, 1009),
        ):
            error = kind("what the peer did")
            self.assertEqual((error.closeCode, str(error)), (code, "what the peer did"))


class HandshakeRejectedTests(SynchronousTestCase):
    """Refusing a handshake."""

    def test_defaults(self) -> None:
        """Without a body the response says its status in words."""
        rejection = HandshakeRejected(403)
        self.assertEqual(rejection.status, 403)
        self.assertEqual(rejection.body, b"403 Forbidden\n")
        self.assertEqual(
            list(rejection.headers), [("Content-Type", "text/plain; charset=utf-8")]
        )
        self.assertEqual(str(rejection), "403 Forbidden")
        self.assertIsInstance(rejection, HandshakeError)

    def test_text(self) -> None:
        """A text body is sent as UTF-8, and its type said."""
        rejection = HandshakeRejected(401, {"WWW-Authenticate": "Basic"}, "Grüße")
        self.assertEqual(rejection.body, "Grüße".encode())
        self.assertEqual(
            list(rejection.headers),
            [
                ("WWW-Authenticate", "Basic"),
                ("Content-Type", "text/plain; charset=utf-8"),
            ],
        )

    def test_ownContentType(self) -> None:
        """A Content-Type that was given, in any case, is the only one."""
        given = [("content-type", "application/json")]
        rejection = HandshakeRejected(403, given, "{}")
        self.assertEqual(list(rejection.headers), given)
        self.assertEqual(given, [("content-type", "application/json")])

    def test_bytes(self) -> None:
        """A body of bytes is sent as it is, without a type that nobody gave."""
        rejection = HandshakeRejected(403, (), b"\xff\x00")
        self.assertEqual(rejection.body, b"\xff\x00")
        self.assertEqual(len(rejection.headers), 0)
        self.assertEqual(HandshakeRejected(403, (), b"").body, b"")

    def test_statusRange(self) -> None:
        """Only a status that refuses can be given: 300 to 599."""
        for status in (300, 302, 404, 599):
            self.assertEqual(HandshakeRejected(status).status, status)
        for status in (-1, 0, 100, 101, 200, 299, 600, 1000):
            raised = self.assertRaises(ValueError, HandshakeRejected, status)
            self.assertIn(str(status), str(raised))

    def test_unknownStatus(self) -> None:
        """A status without a registered phrase works too."""
        self.assertTrue(HandshakeRejected(499).body.startswith(b"499"))

    def test_serversOwnHeaders(self) -> None:
        """Headers that say where a response ends are the server's own, in any case."""
        self.assertEqual(
            RESPONSE_FRAMING,
            {"connection", "content-length", "date", "transfer-encoding"},
        )
        for name in (
            *RESPONSE_FRAMING,
            "Connection",
            "CONTENT-LENGTH",
            "Transfer-Encoding",
        ):
            raised = self.assertRaises(ValueError, HandshakeRejected, 403, {name: "x"})
            self.assertIn(name, str(raised))

    def test_H15_injection(self) -> None:
        """A header that would end its line or start another one is a ValueError at
        once."""
        for name, value in (
            ("Location", "/\r\nSet-Cookie: a=b"),
            ("Location", "/\n"),
            ("Location", "/\r"),
            ("Location", "/\0"),
            ("Location", "/\N{LATIN SMALL LETTER L WITH STROKE}"),
            ("Loc\r\nation", "/"),
            ("Location:", "/"),
            ("", "/"),
        ):
            with self.assertRaises(ValueError):
                HandshakeRejected(302, [(name, value)])


class BadHandshakeTests(SynchronousTestCase):
    """A request that breaks a rule."""

    def test_body(self) -> None:
        """The reason is in the body and kept for the log."""
        error = BadHandshake(405, "WebSocket needs GET", {"Allow": "GET"})
        self.assertEqual(error.status, 405)
        self.assertEqual(error.why, "WebSocket needs GET")
        self.assertEqual(error.body, b"405 Method Not Allowed: WebSocket needs GET\n")
        self.assertEqual(error.headers.get("allow"), "GET")
        self.assertFalse(error.lingering)
        self.assertIsInstance(error, HandshakeRejected)

    def test_lingering(self) -> None:
        """It can say that the peer may still be sending."""
        self.assertTrue(BadHandshake(400, "a body", lingering=True).lingering)


class ConnectionClosedTests(SynchronousTestCase):
    """How a connection ended."""

    def test_text(self) -> None:
        """Its text says how, with which code, and why, if that is known."""
        for closed, expected in (
            (ConnectionClosed(1006), "WebSocket closed uncleanly, code 1006"),
            (
                ConnectionClosed(1000, wasClean=True),
                "WebSocket closed cleanly, code 1000",
            ),
            (
                ConnectionClosed(4001, "kicked", True),
                "WebSocket closed cleanly, code 4001: kicked",
            ),
        ):
            self.assertEqual(str(closed), expected)

    def test_attributes(self) -> None:
        """Code, reason and cleanness are attributes, and the arguments."""
        closed = ConnectionClosed(1001, "bye", True)
        self.assertEqual(
            (closed.code, closed.reason, closed.wasClean), (1001, "bye", True)
        )
        self.assertEqual(closed.args, (1001, "bye", True))
        self.assertEqual(ConnectionClosed(1006).args, (1006, "", False))


class ClientErrorTests(SynchronousTestCase):
    """What a client is told."""

    def test_refused(self) -> None:
        """A refusal has the response; its text has the server's words escaped, or the
        status's own."""
        headers = Headers({"A": "b"})
        error = HandshakeRefused(403, headers, b"body", "Go away\x9b", True)
        self.assertEqual(
            (error.status, error.body, error.truncated), (403, b"body", True)
        )
        self.assertIs(error.headers, headers)
        self.assertEqual(error.reason, "Go away\x9b")
        self.assertEqual(str(error), "the server answered 403 Go away\\x9b")
        error = HandshakeRefused(404, headers)
        self.assertEqual(str(error), "the server answered 404 Not Found")
        self.assertEqual((error.body, error.truncated), (b"", False))
        self.assertEqual(str(HandshakeRefused(999, headers)), "the server answered 999")

    def test_others(self) -> None:
        """The others say what happened, and where it can be changed."""
        invalid = InvalidHandshake("Upgrade", "it has none")
        self.assertEqual((invalid.what, invalid.why), ("Upgrade", "it has none"))
        self.assertIn("it has none", str(invalid))
        timeout = HandshakeTimeout("openTimeout", 30.0, "connecting")
        self.assertEqual(
            (timeout.option, timeout.seconds, timeout.stage),
            ("openTimeout", 30, "connecting"),
        )
        self.assertEqual(
            str(timeout), "connecting: not done in 30 seconds, see openTimeout"
        )
        redirect = RedirectRefused("ws://secret", "out of TLS")
        self.assertEqual(
            (redirect.location, redirect.why), ("ws://secret", "out of TLS")
        )
        self.assertNotIn("secret", str(redirect))
        many = TooManyRedirects("ws://secret", 5)
        self.assertEqual(many.location, "ws://secret")
        self.assertIn("5", str(many))
        self.assertIn("maxRedirects", str(many))

    def test_causes(self) -> None:
        """What there was before is the cause."""
        cause = OSError("x")
        error = ConnectFailed("no network", cause)
        self.assertIs(error.__cause__, cause)
        self.assertEqual((error.why, str(error)), ("no network", "no network"))
        self.assertIsNone(ConnectFailed("no network").__cause__)

    def test_proxy(self) -> None:
        """A proxy's refusal has what the proxy said."""
        plain = ProxyFailed("no tunnel")
        self.assertEqual((plain.status, plain.reply, plain.body), (None, None, b""))
        self.assertEqual((len(plain.headers), plain.wantsCredentials), (0, False))
        headers = Headers({"A": "b"})
        asked = ProxyFailed("who", 407, headers, b"x")
        self.assertTrue(asked.wantsCredentials)
        self.assertIs(asked.headers, headers)


class ConfigurationErrorTests(SynchronousTestCase):
    """Errors of whoever sets up a server."""

    def test_invalidOption(self) -> None:
        """It names the field, and is a ValueError."""
        error = InvalidOption("maxHeaders", "7 is too little")
        self.assertEqual(str(error), "maxHeaders: 7 is too little")
        self.assertEqual((error.name, error.why), ("maxHeaders", "7 is too little"))
        self.assertIsInstance(error, ValueError)

    def test_TLSConfigurationError(self) -> None:
        """It names the argument, and is a ValueError."""
        error = TLSConfigurationError("certificate", "a.pem: no such file")
        self.assertEqual(str(error), "certificate: a.pem: no such file")
        self.assertEqual(
            (error.argument, error.why), ("certificate", "a.pem: no such file")
        )
        self.assertIsInstance(error, ValueError)
