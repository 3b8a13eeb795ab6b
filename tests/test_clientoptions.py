"""A client's options; what is true of every option stands in ``test_options``."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.clientoptions import ClientOptions
from twisted_ws.errors import InvalidOption


class ClientOptionsTests(SynchronousTestCase):
    """What a client asks for."""

    def refused(self, **options: Any) -> InvalidOption:
        """Give the error for an option."""
        error: InvalidOption = self.assertRaises(
            InvalidOption, ClientOptions, **options
        )
        self.assertIn(error.name, options)
        self.assertNotIn("secret", str(error))
        return error

    def test_defaults(self) -> None:
        """The figures of the threat model."""
        made = ClientOptions()
        for name, expected in (
            ("maxRedirects", 5),
            ("handshakeTimeout", 10.0),
            ("openTimeout", 30.0),
            ("maxResponseBody", 65536),
            ("useEnvironmentProxies", False),
            ("dangerouslyDisableCertificateVerification", False),
        ):
            self.assertEqual(getattr(made, name), expected, name)

    def test_subprotocols(self) -> None:
        """Subprotocols are tokens, and each is there once."""
        self.assertEqual(
            ClientOptions(subprotocols=("a", "b")).subprotocols, ("a", "b")
        )
        self.refused(subprotocols=("a b",))
        self.assertIn("twice", self.refused(subprotocols=("a", "b", "a")).why)

    def test_pairs(self) -> None:
        """Headers and cookies come as a mapping or as pairs, and become a tuple."""
        pairs = (("a", "1"), ("b", "2"))
        given: Any
        for name in ("headers", "cookies"):
            for given in (dict(pairs), pairs, list(pairs), iter(pairs)):
                made = ClientOptions(**{name: given})
                self.assertEqual(getattr(made, name), pairs)
                hash(made)
            for given in (
                "secret",
                ["secret"],
                [("secret",)],
                {"secret": 1},
                1,
                [None],
            ):
                self.refused(**{name: given})

    def test_headers(self) -> None:
        """Headers can be sent, and are none that the handshake writes."""
        for name in ("Host", "upgrade", "Sec-WebSocket-Key", "Content-Length"):
            self.assertIn("handshake", self.refused(headers={name: "x"}).why)
        for name, option in (
            ("Cookie", "cookies"),
            ("origin", "origin"),
            ("Sec-WebSocket-Protocol", "subprotocols"),
        ):
            self.assertIn(option, self.refused(headers={name: "x"}).why)
        for name, value in (
            ("a b", "x"),
            ("a", "secret\r\nB: c"),
            ("a", "secret\u0100"),
        ):
            self.refused(headers={name: value})

    def test_cookies(self) -> None:
        """Cookies have tokens for names and no semicolon in their values."""
        ClientOptions(cookies={"a": '"b c, d"', "e": "", "f": "\xe4"})
        for name, value in (("a b", "x"), ("a", "secret;"), ("a", "secret\n")):
            self.refused(cookies={name: value})

    def test_texts(self) -> None:
        """The others are text, or None."""
        for name in ("origin", "user", "proxy"):
            value: Any = "x"
            made = ClientOptions(**{name: value})
            self.assertEqual(getattr(made, name), "x")
            for value in (1, b"x", ("x",)):
                self.refused(**{name: value})
        self.refused(origin="x\r\ny")
        self.refused(answerChallenge="Bearer secret")
        ClientOptions(answerChallenge=print)

    def test_user(self) -> None:
        """A password has a user, and that has no colon; neither has what Basic
        authentication cannot say."""
        ClientOptions(user="u", password="p:p")
        self.refused(password="secret")
        self.refused(user="u:secret")
        for bad in ("secret\r\n", "secret\0", "secret\x7f", "secret\ud800"):
            self.refused(user=bad)
            self.refused(user="u", password=bad)

    def test_verification(self) -> None:
        """Whom to trust, and to verify nothing, do not go together."""
        error = self.refused(
            trustRoots="x", dangerouslyDisableCertificateVerification=True
        )
        self.assertEqual(error.name, "trustRoots")

    def test_S05_repr(self) -> None:
        """What may be secret is not in the repr."""
        made = ClientOptions(
            headers={"X": "secret"},
            cookies={"c": "secret"},
            user="secret",
            password="secret",
            proxy="http://u:secret@p",
            clientCertificate="secret.pem",
            answerChallenge=partial(print, "secret"),
        )
        self.assertNotIn("secret", repr(made))
        self.assertIn("maxRedirects=5", repr(made))
