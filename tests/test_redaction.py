"""What may go into a log."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.logger import eventAsJSON, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.redaction import (
    MAX_LOGGED,
    Later,
    loggable,
    nameAddress,
    nameRequest,
    withoutQuery,
)


class LoggableTests(SynchronousTestCase):
    """One line, printable, short."""

    def test_plainText(self) -> None:
        """Printable text is logged as it is, backslashes and other scripts included."""
        for text in ("", "GET /chat", "back\\slash", "Grüße", "日本語", "🙂"):
            self.assertEqual(loggable(text), text)

    def test_otherObjects(self) -> None:
        """Anything with a ``str`` can be logged."""
        for value, expected in (
            (None, "None"),
            (1002, "1002"),
            (b"a\r\nb", "b'a\\r\\nb'"),
            (ValueError("bad\nvalue"), "bad\\nvalue"),
        ):
            self.assertEqual(loggable(value), expected)

    def test_address(self) -> None:
        """Host and port; what has none is written as it is."""
        self.assertEqual(
            nameAddress(IPv4Address("TCP", "192.0.2.1", 80)), "192.0.2.1:80"
        )
        self.assertEqual(nameAddress(None), "None")

    def test_S04_controlCharacters(self) -> None:
        """Line ends, escape sequences and what reorders a line are escaped as in a
        Python string."""
        for text, expected in (
            ("a\nb", "a\\nb"),
            ("a\r\nINFO forged", "a\\r\\nINFO forged"),
            ("\x1b[2J", "\\x1b[2J"),
            ("\x00\x07\x7f", "\\x00\\x07\\x7f"),
            ("\x85", "\\x85"),
            ("\u2028\u2029", "\\u2028\\u2029"),
            ("user\u202egnp.exe", "user\\u202egnp.exe"),
            ("\ufeff", "\\ufeff"),
            ("\ud800", "\\ud800"),
            ("é\té", "é\\té"),
        ):
            self.assertEqual(loggable(text), expected)

    def test_S04_everyControlByte(self) -> None:
        """No control character of ISO 8859-1 comes through."""
        for code in (*range(0x20), *range(0x7F, 0xA0)):
            logged = loggable(f"a{chr(code)}b")
            self.assertTrue(logged.isprintable(), f"character {code:#x}")
            self.assertTrue(logged.startswith("a\\"), f"character {code:#x}")

    def test_S04_longValues(self) -> None:
        """A long value is cut, and its length is told."""
        self.assertEqual(MAX_LOGGED, 200)
        self.assertEqual(loggable("x" * 200), "x" * 200)
        self.assertEqual(loggable("x" * 201), "x" * 200 + "… (201 characters)")
        self.assertEqual(loggable("\n" * 8, limit=2), "\\n\\n… (8 characters)")
        self.assertEqual(loggable("abc", limit=3), "abc")

    @settings(derandomize=True, deadline=None, max_examples=200)
    @given(st.text(st.characters(), max_size=400))
    def test_S04_anyText(self, text: str) -> None:
        """Whatever the text, what is logged is printable, on one line, and bounded."""
        for logged in (loggable(text), withoutQuery(text)):
            self.assertTrue(logged.isprintable(), repr(text))
            # The longest escape has ten characters: a backslash, U and eight digits.
            self.assertTrue(len(logged) <= 10 * MAX_LOGGED + 30, repr(text))


class WithoutQueryTests(SynchronousTestCase):
    """A request target, without what may be a secret in it."""

    def test_S05_query(self) -> None:
        """The query goes, that there was one stays visible."""
        for target, expected in (
            ("/", "/"),
            ("/chat", "/chat"),
            ("/chat?", "/chat?…"),
            ("/chat?token=secret", "/chat?…"),
            ("/chat?a=1?b=2", "/chat?…"),
            ("*", "*"),
            ("", ""),
            ("http://example.com/chat?token=secret", "http://example.com/chat?…"),
        ):
            self.assertEqual(withoutQuery(target), expected)

    def test_S05_userInformation(self) -> None:
        """User and password of a URL go."""
        for target, expected in (
            ("http://me:secret@example.com/", "http://…@example.com/"),
            ("wss://secret@example.com/a?b", "wss://…@example.com/a?…"),
            ("ws://me:sec@ret@example.com/", "ws://…@example.com/"),
            # In a path it means nothing.
            ("/@me", "/@me"),
        ):
            self.assertEqual(withoutQuery(target), expected)

    def test_S04_targetIsEscaped(self) -> None:
        """A target is escaped and cut like every other value."""
        self.assertEqual(withoutQuery("/\x1b[2J?a"), "/\\x1b[2J?…")
        self.assertEqual(
            withoutQuery("/" + "a" * 8000),
            "/" + "a" * 199 + "… (8001 characters)",
        )


class LaterTests(SynchronousTestCase):
    """Text that is made when it is written."""

    def test_later(self) -> None:
        """It is made of its arguments at that time, and not before."""
        made: list[object] = []

        def make(*arguments: object) -> str:
            made.append(arguments)
            return "text"

        later = Later(make, 1, "a")
        self.assertEqual(made, [])
        self.assertEqual(f"{later}", "text")
        self.assertEqual(made, [(1, "a")])

    def test_S05_request(self) -> None:
        """A request is named without its query, however it is written."""
        later = Later(nameRequest, "GET\n", "/a?secret")
        for text in (str(later), repr(later), f"{later!r}", f"{[later]}"):
            self.assertIn("GET\\n /a?…", text)
            self.assertNotIn("secret", text)
        self.assertEqual(
            formatEvent({"log_format": "{where}", "where": later}), "GET\\n /a?…"
        )
        self.assertNotIn("secret", eventAsJSON({"log_format": "x", "where": later}))
