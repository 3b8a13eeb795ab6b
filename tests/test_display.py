"""What is shown on a terminal, and that nothing of it is obeyed there."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.display import (
    describeClose,
    describeError,
    escape,
    hexDump,
    messageLines,
    prettyJSON,
    readableSize,
)
from twisted_ws.errors import (
    CertificateRefused,
    ConnectFailed,
    ConnectionClosed,
    HandshakeRefused,
    ProxyFailed,
)
from twisted_ws.headers import Headers

HEAD = "12:00:00 < "

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def lines(
    message: str | bytes, columns: int = 80, rows: int = 10, asJSON: bool = False
) -> list[str]:
    """Show a message on a terminal."""
    return messageLines(message, HEAD, columns, rows, asJSON)


class TextTests(SynchronousTestCase):
    """Text messages."""

    def test_oneLine(self) -> None:
        """A message stands behind its head and its size in bytes of UTF-8."""
        self.assertEqual(lines("hello"), ["12:00:00 < 5 B  hello"])
        self.assertEqual(lines("café 漢字"), ["12:00:00 < 12 B  café 漢字"])
        self.assertEqual(lines(""), ["12:00:00 < 0 B"])

    def test_lines(self) -> None:
        """Further lines are indented, so that none looks like another message."""
        self.assertEqual(
            lines("a\n12:00:00 < 1 B  b\r\n"),
            [
                "12:00:00 < 21 B  a",
                "                 12:00:00 < 1 B  b\\r",
                "                 ",
            ],
        )

    def test_S04_escaped(self) -> None:
        """What a terminal would obey is escaped: all control characters, those of
        Latin-1 and those that turn the direction of text, too."""
        (found,) = lines("\x1b[2J\a\x7f\x9b31m\u202e\ufeff\t")
        self.assertEqual(
            found, "12:00:00 < 18 B  \\x1b[2J\\x07\\x7f\\x9b31m\\u202e\\ufeff\\t"
        )
        self.assertEqual(escape("x" * 1000), "x" * 1000)

    @given(st.text(), st.booleans())
    def test_S04_nothingIsObeyed(self, message: str, asJSON: bool) -> None:
        """Whatever is in a message, every line of it is printable."""
        for line in lines(message, asJSON=asJSON):
            self.assertTrue(line.isprintable(), ascii(line))


class JSONTests(SynchronousTestCase):
    """``--json``."""

    def test_pretty(self) -> None:
        """JSON is broken into lines, its pieces as they were written."""
        self.assertEqual(
            prettyJSON('{"a" : [1.10,1e999, {},[ ]],"a":"x, \\" {y}"\n, "b":null}'),
            '{\n  "a": [\n    1.10,\n    1e999,\n    {},\n    []\n  ],\n'
            '  "a": "x, \\" {y}",\n  "b": null\n}',
        )
        self.assertEqual(prettyJSON(" 12 "), "12")

    def test_shown(self) -> None:
        """Its lines are indented behind the head; other text is shown as it is."""
        self.assertEqual(
            lines('{"a":1}', asJSON=True),
            [
                "12:00:00 < 7 B  {",
                '                  "a": 1',
                "                }",
            ],
        )
        self.assertEqual(lines("{", asJSON=True), ["12:00:00 < 1 B  {"])
        self.assertEqual(lines("", asJSON=True), ["12:00:00 < 0 B"])

    def test_noJSON(self) -> None:
        """What is none, or is too deep to be read, is none."""
        for text in ("", "{", "{'a': 1}", "hello", '"\n"', "[" * 100_000):
            self.assertIsNone(prettyJSON(text), text[:10])

    def test_deep(self) -> None:
        """Indentation ends at 40 levels, so that a small message stays small."""
        depth = 200
        found = prettyJSON("[" * depth + "1," * 99 + "1" + "]" * depth)
        assert found is not None
        self.assertLess(len(found), 60_000)
        self.assertEqual(max(map(len, found.split("\n"))), 80 + 2)

    def test_growth(self) -> None:
        """A message that would become far longer than it is stays as it is."""
        rows = ",".join(["[" * 30 + "1" + "]" * 30] * 5000)
        self.assertIsNone(prettyJSON(f"[{rows}]"))
        self.assertIsNotNone(prettyJSON(json.dumps([1] * 100_000)))

    @given(_values, st.sampled_from([None, 1]))
    def test_same(self, value: object, indent: int | None) -> None:
        """It means the same as before."""
        text = json.dumps(value, indent=indent)
        found = prettyJSON(text)
        assert found is not None
        self.assertEqual(json.loads(found), value)


class BinaryTests(SynchronousTestCase):
    """Binary messages."""

    def test_short(self) -> None:
        """Up to 16 bytes stand behind the head."""
        self.assertEqual(lines(b"\x00\xff"), ["12:00:00 < 2 B binary  00 ff"])
        self.assertEqual(lines(b""), ["12:00:00 < 0 B binary"])
        self.assertEqual(len(lines(bytes(16))), 1)

    def test_long(self) -> None:
        """More are dumped, with their place and what they are in ASCII."""
        self.assertEqual(
            lines(b"0123456789abcdef\x1b[2J\xc3"),
            [
                "12:00:00 < 21 B binary",
                "00000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66"
                "  |0123456789abcdef|",
                "00000010  1b 5b 32 4a c3                                   |.[2J.|",
            ],
        )

    def test_cut(self) -> None:
        """As many rows as there are on the screen, and how much is missing."""
        found = lines(bytes(1600), rows=10)
        self.assertEqual(len(found), 11)
        self.assertEqual(found[0], "12:00:00 < 1.6 KiB binary")
        self.assertEqual(found[-1], "… 1456 bytes more")
        # One row is not given up to say that it is missing.
        for size in (145, 160):
            self.assertNotIn("more", lines(bytes(size), rows=10)[-1])
        self.assertEqual(lines(bytes(161), rows=10)[-1], "… 17 bytes more")

    def test_narrow(self) -> None:
        """Where 16 bytes do not fit on a row, 8 stand there."""
        for columns, width in ((80, 16), (78, 16), (77, 8), (40, 8)):
            found = hexDump(bytes(32), columns, 99)
            self.assertEqual(len(found), 32 // width)
            self.assertLess(len(found[0]), max(columns, 46))

    def test_size(self) -> None:
        """Sizes are easy to read."""
        for size, text in (
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024, "1.0 MiB"),
        ):
            self.assertEqual(readableSize(size), text)


class EndTests(SynchronousTestCase):
    """How connections end, or do not begin."""

    def test_closed(self) -> None:
        """Code, its meaning, and the reason, which is the peer's: escaped."""
        self.assertEqual(
            describeClose(ConnectionClosed(1000, "", True)),
            "Connection closed: 1000 (normal closure)",
        )
        self.assertEqual(
            describeClose(ConnectionClosed(4001, "a\x1b[31m", True)),
            "Connection closed: 4001 (private to the application): a\\x1b[31m",
        )
        self.assertEqual(
            describeClose(ConnectionClosed(1006)),
            "Connection not closed cleanly: 1006 (connection lost without a Close "
            "frame)",
        )

    def test_refused(self) -> None:
        """Status, the headers that say what to do, and the body: escaped."""
        error = HandshakeRefused(
            401,
            Headers(
                [
                    ("WWW-Authenticate", "Basic"),
                    ("www-authenticate", "Digest"),
                    ("X", "y"),
                ]
            ),
            b"\ngo \x1b[31maway\xff\nnow\n",
            "No\x1b",
        )
        self.assertEqual(
            describeError(error),
            [
                "the server answered 401 No\\x1b",
                "  WWW-Authenticate: Basic",
                "  WWW-Authenticate: Digest",
                "  go \\x1b[31maway\ufffd",
                "  now",
            ],
        )

    def test_longBody(self) -> None:
        """Of a long body the beginning is shown."""
        error = HandshakeRefused(500, Headers(), b"x" * 300 + b"\ny" * 30)
        found = describeError(error)
        self.assertEqual(len(found), 22)
        self.assertEqual(found[1], f"  {'x' * 200}… (300 characters)")
        self.assertEqual(found[-1], "  … 11 lines more")

    def test_proxy(self) -> None:
        """What a proxy says is shown in the same way."""
        error = ProxyFailed(
            "no tunnel", 407, Headers([("Proxy-Authenticate", "Basic")]), b"who?"
        )
        self.assertEqual(
            describeError(error),
            ["no tunnel", "  Proxy-Authenticate: Basic", "  who?"],
        )

    def test_others(self) -> None:
        """Other errors say it in one line, and what to do about a certificate."""
        self.assertEqual(describeError(ConnectFailed("gone\n")), ["gone\\n"])
        self.assertEqual(len(describeError(CertificateRefused("untrusted"))), 2)
