"""Header fields, lists, parameters, heads of messages."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from typing import SupportsIndex

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.headers import (
    Headers,
    MalformedHead,
    RequestHead,
    isToken,
    parseRequestHead,
    parseResponseHead,
    splitList,
    splitParameters,
    statusPhrase,
)

# RFC 9110 section 5.6.2, written out once more.
TOKEN_CHARACTERS = frozenset(f"!#$%&'*+-.^_`|~{string.digits}{string.ascii_letters}")
# Section 5.5: tab, space, visible characters, and obs-text.
VALUE_CODES = frozenset({0x09, *range(0x20, 0x7F), *range(0x80, 0x100)})
# H08 of the threat model: none of these may be anywhere in a head but the tab.
CONTROL_CODES = frozenset({*range(0x20), 0x7F})

REQUEST_LINE = b"GET /chat HTTP/1.1"

Parameters = list[tuple[str, "str | None"]]


class CountingText(str):
    """Text that counts the characters that are taken out of it by index."""

    taken: int = 0

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        """Count, then do as text does."""
        found = super().__getitem__(key)
        self.taken += max(len(found), 1)
        return found


def readFields(*lines: bytes) -> list[tuple[str, str]]:
    """Give the fields of a request with these header lines."""
    return list(parseRequestHead([REQUEST_LINE, *lines]).headers)


def readOrNone(*lines: bytes) -> RequestHead | None:
    """Read a head, or give None where it is refused."""
    try:
        return parseRequestHead(list(lines))
    except MalformedHead:
        return None


class TokenTests(SynchronousTestCase):
    """Tokens."""

    def test_H13_everyCharacter(self) -> None:
        """Of all characters up to U+017F exactly those of RFC 9110 make a token, alone,
        first, last and between others."""
        for code in range(0x180):
            character = chr(code)
            expected = character in TOKEN_CHARACTERS
            for text in (
                character,
                f"{character}a",
                f"a{character}",
                f"a{character}b",
            ):
                self.assertEqual(isToken(text), expected, repr(text))

    def test_empty(self) -> None:
        """Nothing is no token."""
        self.assertFalse(isToken(""))

    def test_lookalikes(self) -> None:
        """Letters and digits of other scripts are none."""
        for text in ("\uff41", "\u0663", "\u212a", "ch\xe4t", "\ud800"):
            self.assertFalse(isToken(text), repr(text))

    def test_statusPhrase(self) -> None:
        """A status has its registered phrase, an unknown one an empty one."""
        for status, expected in (
            (101, "Switching Protocols"),
            (200, "OK"),
            (400, "Bad Request"),
            (403, "Forbidden"),
            (426, "Upgrade Required"),
            (431, "Request Header Fields Too Large"),
            (505, "HTTP Version Not Supported"),
            (299, ""),
            (599, ""),
            (0, ""),
            (-1, ""),
        ):
            self.assertEqual(statusPhrase(status), expected, str(status))


class HeadersTests(SynchronousTestCase):
    """The container of header fields."""

    def test_making(self) -> None:
        """It is made of a mapping or of pairs, and copied from another one."""
        pairs = [("A", "1"), ("b", "2"), ("a", "3")]
        sources: tuple[Mapping[str, str] | Iterable[tuple[str, str]], ...] = (
            pairs,
            tuple(pairs),
            iter(pairs),
            Headers(pairs),
        )
        for source in sources:
            self.assertEqual(list(Headers(source)), pairs)
        self.assertEqual(list(Headers({"A": "1"})), [("A", "1")])
        self.assertEqual(list(Headers()), [])

    def test_copyIsApart(self) -> None:
        """A copy does not change with what it was made of."""
        first = Headers({"a": "1"})
        second = Headers(first)
        second.add("b", "2")
        self.assertEqual((len(first), len(second)), (1, 2))

    def test_H01_anyCase(self) -> None:
        """Names match in any case; they stay as they were written."""
        headers = Headers([("Sec-WebSocket-Key", "a"), ("SEC-WEBSOCKET-KEY", "b")])
        for name in ("sec-websocket-key", "Sec-Websocket-Key", "SEC-WEBSOCKET-KEY"):
            self.assertEqual(headers.get(name), "a")
            self.assertEqual(headers.getAll(name), ["a", "b"])
            self.assertIn(name, headers)
        self.assertEqual(
            [name for name, _ in headers], ["Sec-WebSocket-Key", "SEC-WEBSOCKET-KEY"]
        )

    def test_missing(self) -> None:
        """A field that is not there gives None or what was asked for instead."""
        headers = Headers({"a": ""})
        self.assertIsNone(headers.get("b"))
        self.assertEqual(headers.get("b", "x"), "x")
        self.assertEqual(headers.get("a", "x"), "")
        self.assertEqual(headers.getAll("b"), [])
        self.assertNotIn("b", headers)
        self.assertNotIn(1, headers)
        self.assertIn("a", headers)

    def test_length(self) -> None:
        """Its length is the number of lines, each time a name stands there."""
        headers = Headers()
        self.assertEqual(len(headers), 0)
        headers.add("a", "1")
        headers.add("a", "2")
        self.assertEqual(len(headers), 2)

    def test_equality(self) -> None:
        """Equal are the same fields in the same order; it cannot be hashed, as it can
        change."""
        self.assertEqual(Headers({"a": "1"}), Headers([("a", " 1 ")]))
        self.assertNotEqual(Headers({"a": "1"}), Headers({"a": "2"}))
        self.assertNotEqual(Headers({"a": "1"}), [("a", "1")])
        self.assertRaises(TypeError, hash, Headers())

    def test_S05_repr(self) -> None:
        """Its repr shows names only, as values may be credentials."""
        headers = Headers([("Authorization", "Basic c2VjcmV0"), ("Cookie", "a=b")])
        self.assertEqual(repr(headers), "<Headers Authorization, Cookie>")

    def test_whiteSpace(self) -> None:
        """Spaces and tabs around a value are dropped, those inside stay."""
        self.assertEqual(Headers({"a": " \t1 \t2\t "}).get("a"), "1 \t2")

    def test_fromChecked(self) -> None:
        """A parser's lines are taken over without another look, and can be added to."""
        headers = Headers.fromChecked("A: 1\r\nB:\t2:3 ")
        self.assertEqual((headers.get("a"), headers.get("b")), ("1", "2:3"))
        headers.add("b", "3")
        self.assertEqual(list(headers), [("A", "1"), ("B", "2:3"), ("b", "3")])
        self.assertEqual(headers.getAll("B"), ["2:3", "3"])
        self.assertEqual(list(Headers.fromChecked("")), [])

    def test_joined(self) -> None:
        """Written as one text and read from it they are the same, however often and
        whatever was looked at or added in between."""
        pairs = [("A", "1"), ("b", ""), ("a", "x: y"), ("C", "caf\xe9")]
        headers = Headers.fromChecked(Headers().joined())
        self.assertEqual((len(headers), list(headers)), (0, []))
        for number, (name, value) in enumerate(pairs, 1):
            headers.add(name, value)
            self.assertEqual(headers.joined(), headers.joined())
            headers = Headers.fromChecked(headers.joined())
            self.assertEqual(headers.getAll(name)[-1], value)
            self.assertEqual(list(headers), pairs[:number])
            self.assertEqual(headers, Headers(pairs[:number]))
        self.assertEqual(headers.getAll("a"), ["1", "x: y"])
        self.assertIn("C", headers)
        self.assertEqual(len(headers), 4)

    def test_listIsApart(self) -> None:
        """The list of values that is given out is nobody else's."""
        headers = Headers.fromChecked("A: 1")
        headers.getAll("a").append("2")
        headers.getAll("b").append("3")
        self.assertEqual(headers.getAll("a"), ["1"])
        self.assertEqual((headers.getAll("b"), headers.getAll("c")), ([], []))

    def test_H15_everyCharacterInValue(self) -> None:
        """Of all characters up to U+017F those of ISO 8859-1 that are no control
        characters, and the tab, can stand in a value; nothing is added otherwise."""
        for code in (*range(0x180), 0x2028, 0xD800, 0x1F600):
            headers = Headers()
            value = f"a{chr(code)}b"
            if code in VALUE_CODES:
                headers.add("name", value)
                self.assertEqual(headers.get("name"), value)
                continue
            raised = self.assertRaises(ValueError, headers.add, "name", value)
            self.assertIn("name", str(raised))
            self.assertEqual(len(headers), 0, f"character {code:#x}")

    def test_H15_atTheEnds(self) -> None:
        """A line end at the end of a value is refused, not dropped as white space."""
        for value in ("a\n", "a\r\n", "\na", "\r", "\x00", "a\x0b", "a\x0c"):
            self.assertRaises(ValueError, Headers, {"name": value})

    def test_H15_names(self) -> None:
        """A name that is not a token is refused."""
        for name in ("", " a", "a ", "a:", "a\r\nb", "a\n", "é", "a b", "\0"):
            raised = self.assertRaises(ValueError, Headers, [(name, "value")])
            self.assertIn(repr(name), str(raised))


class RequestHeadTests(SynchronousTestCase):
    """Request lines and header lines."""

    def test_simple(self) -> None:
        """Method, target, version and fields come out, the method in its own case."""
        head = parseRequestHead([b"GET /chat?a=b HTTP/1.1", b"Host: example.com"])
        self.assertEqual(
            head,
            RequestHead("GET", "/chat?a=b", (1, 1), Headers({"Host": "example.com"})),
        )
        head = parseRequestHead([b"get http://a/ HTTP/0.9"])
        self.assertEqual(head, ("get", "http://a/", (0, 9), Headers()))

    def test_H01_whiteSpace(self) -> None:
        """Spaces and tabs around a value, or none, mean nothing."""
        for line in (
            b"Upgrade:websocket",
            b"Upgrade: websocket",
            b"Upgrade:\twebsocket",
            b"Upgrade: \t websocket\t \t",
            b"Upgrade:websocket ",
        ):
            self.assertEqual(readFields(line), [("Upgrade", "websocket")], str(line))

    def test_H01_connection(self) -> None:
        """The Connection header as browsers and proxies write it holds Upgrade."""
        for line in (
            b"Connection: Upgrade",
            b"connection: upgrade",
            b"CONNECTION:UPGRADE",
            b"Connection: keep-alive, Upgrade",
            b"Connection: Upgrade,keep-alive",
            b"Connection:\tkeep-alive\t,\tUpgrade\t",
            b"Connection: , ,Upgrade,,",
        ):
            head = parseRequestHead([REQUEST_LINE, line])
            value = head.headers.get("Connection") or ""
            names = [each.lower() for each in splitList(value)]
            self.assertIn("upgrade", names, str(line))

    def test_H02_severalLines(self) -> None:
        """Several lines of a field all come out, in order."""
        head = parseRequestHead(
            [
                REQUEST_LINE,
                b"Sec-WebSocket-Protocol: a, b",
                b"Host: x",
                b"sec-websocket-protocol: c",
            ]
        )
        values = head.headers.getAll("Sec-WebSocket-Protocol")
        self.assertEqual(values, ["a, b", "c"])
        self.assertEqual(splitList(",".join(values)), ["a", "b", "c"])

    def test_emptyValue(self) -> None:
        """A value may be empty, and may hold colons and obs-text."""
        for line, value in (
            (b"a:", ""),
            (b"a: \t ", ""),
            (b"a::", ":"),
            (b"a: b: c", "b: c"),
            (b"a: \xe9\x85", "é\x85"),
        ):
            self.assertEqual(readFields(line), [("a", value)], str(line))

    def test_H08_headerLines(self) -> None:
        """Folded lines, space before the colon, and lines without a name or a colon are
        refused."""
        for line in (
            b"",
            b" ",
            b" folded",
            b"\tfolded",
            b" folded: value",
            b"\tfolded: value",
            b"name : value",
            b"name\t: value",
            b": value",
            b":",
            b"name",
            b"name value",
            b"na me: value",
            b"name\r: value",
            b"name: a\r\n b",
            b"name: a\nSet-Cookie: b",
            b"name: a\r",
            b"name: a\n",
            b"name: \r",
            b"\x00name: a",
            b"\xef\xbb\xbfname: a",
            b"n\xc3\xa4me: a",
            b"name\x85: a",
        ):
            for lines in ([line], [b"Host: a", line], [line, b"Host: a"]):
                head = readOrNone(REQUEST_LINE, *lines)
                self.assertIsNone(head, f"{line!r} was accepted")

    def test_H08_lineEndInside(self) -> None:
        """A line that holds what would pass for the next one is refused as well."""
        for end in (b"\r\n", b"\n", b"\r"):
            for line in (b"A: 1" + end + b"B: 2", b"A: 1" + end):
                for lines in ((line,), (b"C: 3", line), (line, b"C: 3")):
                    with self.assertRaises(MalformedHead) as caught:
                        readFields(*lines)
                    self.assertIn("control byte", str(caught.exception))

    def test_H08_everyByteInName(self) -> None:
        """A name holds bytes of tokens only; the others, 0x85 and all control bytes
        among them, are refused wherever in the name they stand."""
        for code in range(256):
            byte = bytes([code])
            for name in (byte, byte + b"a", b"a" + byte, b"a" + byte + b"b"):
                head = readOrNone(REQUEST_LINE, name + b": value")
                if chr(code) in TOKEN_CHARACTERS:
                    expected = [(name.decode("ascii"), "value")]
                elif byte == b":" and name[:1] != b":":
                    # The name ends there.
                    expected = [("a", name[2:].decode("ascii") + ": value")]
                else:
                    self.assertIsNone(head, f"byte {code:#x} in {name!r}")
                    continue
                assert head is not None, f"byte {code:#x} in {name!r}"
                self.assertEqual(list(head.headers), expected)

    def test_H08_everyByteInValue(self) -> None:
        """A value holds no control byte but the tab, wherever in it."""
        for code in range(256):
            byte = bytes([code])
            self.assertEqual(
                code in VALUE_CODES, code not in CONTROL_CODES or code == 0x09
            )
            for value in (byte, byte + b"a", b"a" + byte, b"a" + byte + b"b"):
                head = readOrNone(REQUEST_LINE, b"name:" + value)
                if code in VALUE_CODES:
                    assert head is not None, f"byte {code:#x} in {value!r}"
                    self.assertEqual(
                        head.headers.get("name"), value.decode("latin-1").strip(" \t")
                    )
                else:
                    self.assertIsNone(head, f"byte {code:#x} in {value!r}")

    def test_H08_everyByteInRequestLine(self) -> None:
        """A method is a token, a target is visible ASCII, a version has two digits; a
        further space is as wrong as any other byte."""
        for code in range(256):
            byte = bytes([code])
            for method in (byte, b"G" + byte, byte + b"T", b"G" + byte + b"T"):
                self.assertEqual(
                    readOrNone(method + b" / HTTP/1.1") is not None,
                    chr(code) in TOKEN_CHARACTERS,
                    f"byte {code:#x} in method {method!r}",
                )
            for target in (byte, b"/" + byte, byte + b"/", b"/" + byte + b"a"):
                self.assertEqual(
                    readOrNone(b"GET " + target + b" HTTP/1.1") is not None,
                    0x21 <= code <= 0x7E,
                    f"byte {code:#x} in target {target!r}",
                )
            for line in (
                b"GET / " + byte + b"HTTP/1.1",
                b"GET / HTTP/1.1" + byte,
                b"GET / HTTP/1." + byte + b"1",
                b"GET / HTTP/1" + byte + b"1" if byte != b"." else b"",
            ):
                self.assertIsNone(readOrNone(line), repr(line))

    def test_H08_versions(self) -> None:
        """A version is HTTP/, a digit, a dot and a digit, in just this case."""
        for code in range(256):
            byte = bytes([code])
            for version, expected in (
                (b"HTTP/" + byte + b".1", (code - 0x30, 1)),
                (b"HTTP/1." + byte, (1, code - 0x30)),
            ):
                head = readOrNone(b"GET / " + version)
                if 0x30 <= code <= 0x39:
                    assert head is not None, version
                    self.assertEqual(head.version, expected)
                else:
                    self.assertIsNone(head, str(version))
        for version in (
            b"",
            b"http/1.1",
            b"HTTP/11",
            b"HTTP/1",
            b"HTTP/1.10",
            b"HTTP/10.1",
            b"HTTP/+1.1",
            b"HTTPS/1.1",
            b"ICY/1.1",
        ):
            self.assertIsNone(readOrNone(b"GET / " + version), str(version))

    def test_H08_requestLines(self) -> None:
        """What is not three parts with one space between is refused."""
        for line in (
            b"",
            b" ",
            b"  ",
            b"GET",
            b"GET /",
            b"GET  HTTP/1.1",
            b"GET  / HTTP/1.1",
            b"GET /  HTTP/1.1",
            b" GET / HTTP/1.1",
            b"GET / HTTP/1.1 ",
            b"GET\t/\tHTTP/1.1",
            b"GET /a b HTTP/1.1",
            b"GET / HTTP/1.1\r",
            b"\r\nGET / HTTP/1.1",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        ):
            self.assertIsNone(readOrNone(line), repr(line))

    def test_S05_messageHoldsNothing(self) -> None:
        """What is said about a malformed head holds nothing that the peer sent."""
        for lines in (
            [b"s3cr3t"],
            [b"s3cr3t / x/y"],
            [b"(s3cr3t / HTTP/1.1"],
            [b"GET /\x00s3cr3t HTTP/1.1"],
            [b"GET / s3cr3t"],
            [REQUEST_LINE, b"(s3cr3t: a"],
            [REQUEST_LINE, b"s3cr3t"],
            [REQUEST_LINE, b"Cookie: \x00s3cr3t"],
        ):
            raised = self.assertRaises(MalformedHead, parseRequestHead, lines)
            self.assertNotIn("3cr3", str(raised))
            self.assertIsInstance(raised, ValueError)

    @settings(derandomize=True, deadline=None, max_examples=200)
    @given(
        st.lists(
            st.binary(max_size=40)
            | st.just(REQUEST_LINE)
            | st.from_regex(rb"[a-z -]{1,5}: ?[\x00-\xff]{0,5}", fullmatch=True),
            min_size=1,
            max_size=5,
        ),
        st.booleans(),
    )
    def test_H08_anyLines(self, lines: list[bytes], startsWell: bool) -> None:
        """Any lines are either refused with the one error or give clean fields."""
        head = readOrNone(*([REQUEST_LINE] if startsWell else []), *lines)
        if head is None:
            return
        self.assertTrue(isToken(head.method))
        # The container's own check finds nothing, and changes nothing.
        self.assertEqual(Headers(head.headers), head.headers)


class ResponseHeadTests(SynchronousTestCase):
    """``parseResponseHead``."""

    def test_parts(self) -> None:
        """Version, status, reason and fields are found; a reason may be missing, with
        the space before it."""
        for line, expected in (
            (b"HTTP/1.1 101 Switching Protocols", ((1, 1), 101, "Switching Protocols")),
            (b"HTTP/1.0 200 ", ((1, 0), 200, "")),
            (b"HTTP/1.1 999", ((1, 1), 999, "")),
            (b"HTTP/1.1 404 \xe4\t!  ", ((1, 1), 404, "\xe4\t!  ")),
        ):
            head = parseResponseHead([line, b"A:  b ", b"a: c"])
            self.assertEqual((head.version, head.status, head.reason), expected)
            self.assertEqual(head.headers.getAll("A"), ["b", "c"])

    def test_C03_malformed(self) -> None:
        """What is not plainly a status line, or a header line, is refused."""
        for line in (
            b"",
            b"HTTP/1.1",
            b"HTTP/1.1 ",
            b"HTTP/1.1 20 OK",
            b"HTTP/1.1 2000 OK",
            b"HTTP/1.1 099 OK",
            b"HTTP/1.1  200 OK",
            b"HTTP/1.1 200OK",
            b"HTTP/11 200 OK",
            b"http/1.1 200 OK",
            b"ICY 200 OK",
            b" HTTP/1.1 200 OK",
            b"HTTP/1.1 200 O\x00K",
            b"HTTP/1.1 200 O\rK",
        ):
            self.assertRaises(MalformedHead, parseResponseHead, [line])
        for line in (b" folded", b"A : b", b"A", b": b", b"A: \x00", b"A\x85: b"):
            self.assertRaises(
                MalformedHead, parseResponseHead, [b"HTTP/1.1 200 OK", line]
            )


class SplitListTests(SynchronousTestCase):
    """Comma lists."""

    def test_H01_plain(self) -> None:
        """Elements come without the white space around them, empty ones not at all."""
        for text, expected in (
            ("", []),
            (" \t", []),
            (",", []),
            (" , ,\t,", []),
            ("a", ["a"]),
            ("a,b", ["a", "b"]),
            (" a ,\tb\t", ["a", "b"]),
            (",a,,b,", ["a", "b"]),
            ("a b, c", ["a b", "c"]),
            ("a; k=v, b", ["a; k=v", "b"]),
        ):
            self.assertEqual(splitList(text), expected, repr(text))

    def test_quoted(self) -> None:
        """A comma in a quoted string does not split, and a backslash hides a quote in
        it; outside of one it means nothing."""
        for text, expected in (
            ('"a,b"', ['"a,b"']),
            ('"a,b",c', ['"a,b"', "c"]),
            ('c, x="a,b" ,d', ["c", 'x="a,b"', "d"]),
            ('"a\\",b",c', ['"a\\",b"', "c"]),
            ('"a\\\\",b', ['"a\\\\"', "b"]),
            ('a\\,"b"', ["a\\", '"b"']),
            ('"",a', ['""', "a"]),
            ('"a""b,c",d', ['"a""b,c"', "d"]),
            ('", ",', ['", "']),
            (',"a",,', ['"a"']),
        ):
            self.assertEqual(splitList(text), expected, repr(text))

    def test_unfinished(self) -> None:
        """A quoted string without an end goes on to the end of the value."""
        for text in ('"', '"a,b', '"a\\', '"a,b\\"', '"\\'):
            self.assertEqual(splitList(text), [text])
            self.assertEqual(splitList(f"x,{text}"), ["x", text])

    def test_otherSeparator(self) -> None:
        """Another separator works alike."""
        self.assertEqual(splitList("a; b=c", ";"), ["a", "b=c"])
        self.assertEqual(splitList('a; b="c;d"; e', ";"), ["a", 'b="c;d"', "e"])

    @settings(derandomize=True, deadline=None, max_examples=200)
    @given(
        st.lists(
            st.text("ab=;", min_size=1, max_size=4)
            | st.text('ab,; \\"', max_size=6).map(
                lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
            ),
            max_size=6,
        ),
        st.sampled_from([",", ", ", "\t,", " ,, "]),
    )
    def test_joinedAndSplit(self, elements: list[str], separator: str) -> None:
        """What was joined with commas is split into the same again."""
        self.assertEqual(splitList(separator.join(elements)), elements)

    def test_H14_work(self) -> None:
        """Of a list twice as long, twice as many characters are looked at, and no more
        than each one three times, however the list was built."""
        for unit in ('"', '\\"', '"\\', '",', ',"a"', '"\\\\",', 'a="', '" ,\t', ',",'):
            counts = []
            for repeated in (1000, 2000, 4000):
                text = CountingText(unit * repeated)
                splitList(text)
                counts.append(text.taken)
                self.assertTrue(text.taken <= 3 * len(text), repr(unit))
            self.assertTrue(counts[1] <= 2 * counts[0] + 4, f"{unit!r}: {counts}")
            self.assertTrue(counts[2] <= 2 * counts[1] + 4, f"{unit!r}: {counts}")

    def test_H14_hugeLists(self) -> None:
        """Lists as long as a head can be come out right, whatever they are made of."""
        size = 8192
        for text, expected in (
            ("," * size, []),
            (" " * size + "a" + "\t" * size, ["a"]),
            ('"' * size, ['"' * size]),
            ('"' + "\\" * size, ['"' + "\\" * size]),
            ('"",' * size, ['""'] * size),
            ('"' + '\\"' * size + ",", ['"' + '\\"' * size + ","]),
            ('"' + "a," * size, ['"' + "a," * size]),
        ):
            # Not assertEqual, which compares what differs for minutes.
            self.assertTrue(splitList(text) == expected, f"{text[:10]!r}...")


class SplitParametersTests(SynchronousTestCase):
    """Elements with parameters, as extension headers have them."""

    def test_valid(self) -> None:
        """A name, then flags and values; quotes and backslashes are taken off."""
        table: tuple[tuple[str, str, Parameters], ...] = (
            ("a", "a", []),
            ("a;b", "a", [("b", None)]),
            ("a; b; c=d", "a", [("b", None), ("c", "d")]),
            ("a;b=c", "a", [("b", "c")]),
            ("a\t;\tb = c\t", "a", [("b", "c")]),
            ('a; b="c"', "a", [("b", "c")]),
            ('a; b="\\c\\d"', "a", [("b", "cd")]),
            ('a; b = "c" ; d', "a", [("b", "c"), ("d", None)]),
            ("a; b; b=1; b", "a", [("b", None), ("b", "1"), ("b", None)]),
            ("a; b='c'", "a", [("b", "'c'")]),
            (
                "permessage-deflate; client_max_window_bits; "
                'server_max_window_bits="9"',
                "permessage-deflate",
                [("client_max_window_bits", None), ("server_max_window_bits", "9")],
            ),
        )
        for text, name, parameters in table:
            self.assertEqual(splitParameters(text), (name, parameters), repr(text))

    def test_malformed(self) -> None:
        """A name or value that is not a token is a ValueError (RFC 6455 section 9.1),
        a quoted value too if it is none without the quotes."""
        for text in (
            "",
            " ",
            ";",
            "a b",
            "a/b",
            "ä",
            '"a"',
            "a=b",
            "a; b c",
            "a; =c",
            "a; =",
            "a; b=",
            "a; b==c",
            "a; b=c d",
            "a; b=c=d",
            "a; ä=c",
            "a; b=ä",
            'a; "b"=c',
            'a; "b"',
            'a; b=""',
            'a; b="c d"',
            'a; b="c;d"',
            'a; b="c,d"',
            'a; b="c',
            'a; b="cd',
            'a; b="cd; e',
            'a; b=c"',
            'a; b="',
            'a; b="c"d',
            'a; b=c"d"',
            'a; b="c""d"',
            'a; b="c" "d"',
            'a; b="\\',
            'a; b="\\"',
            'a; b="\\""',
            'a; b="c\\ d"',
            "a\n",
            "a; b=c\n",
            "a; b=\nc",
            "a; b\n=c",
            "a; b\n",
            "a\x0b; b",
            'a; b="c\x00"',
        ):
            try:
                found = splitParameters(text)
            except ValueError:
                continue
            self.fail(f"{text!r} was read as {found}")

    def test_unfinishedQuote(self) -> None:
        """A quoted value whose last quote is hidden by a backslash has no end."""
        for text in ('a; b="c\\"', 'a; b="cd\\\\\\"'):
            try:
                found = splitParameters(text)
            except ValueError:
                continue
            self.fail(f"{text!r} was read as {found}")

    def test_emptyParameters(self) -> None:
        """Empty elements are for comma lists only: where a name or parameter is missing
        beside a semicolon, the handshake must fail (RFC 6455 section 9.1)."""
        for text in ("; a", ";a", "a;", "a; ", "a;; b", "a; ; b", "a; b=c;"):
            try:
                found = splitParameters(text)
            except ValueError:
                continue
            self.fail(f"{text!r} was read as {found}")

    def test_S05_messageHoldsNothing(self) -> None:
        """What is said about it holds nothing that the peer sent."""
        for text in ("x{}", "a; x{}", "a; b=x{}", 'a; b="x{}"'):
            raised = self.assertRaises(ValueError, splitParameters, text)
            self.assertNotIn("{", str(raised))

    @settings(derandomize=True, deadline=None, max_examples=200)
    @given(
        st.lists(
            st.tuples(
                st.text("ab-_1", min_size=1, max_size=4),
                st.none() | st.text("ab-_1", min_size=1, max_size=4),
                st.booleans(),
            ),
            max_size=5,
        )
    )
    def test_roundTrip(self, parameters: list[tuple[str, str | None, bool]]) -> None:
        """Parameters that were written, quoted or not, are read back."""
        written = "".join(
            f"; {key}"
            if value is None
            else f'; {key}="{value}"'
            if quoted
            else f";{key}={value}"
            for key, value, quoted in parameters
        )
        expected = [(key, value) for key, value, _ in parameters]
        self.assertEqual(splitParameters(f"name{written}"), ("name", expected))

    @settings(derandomize=True, deadline=None, max_examples=200)
    @given(st.text('ab=;," \\\t{é', max_size=20))
    def test_anyText(self, text: str) -> None:
        """Any text is a ValueError or gives tokens only."""
        try:
            name, parameters = splitParameters(text)
        except ValueError:
            return
        self.assertTrue(isToken(name), repr(text))
        for key, value in parameters:
            self.assertTrue(isToken(key), repr(text))
            self.assertTrue(value is None or isToken(value), repr(text))

    def test_H14_manyOffers(self) -> None:
        """A hundred and fifty offers in one header are read one by one."""
        offer = 'permessage-deflate; client_max_window_bits; x="\\1\\0"'
        elements = splitList(", ".join([offer] * 150))
        self.assertEqual(len(elements), 150)
        for element in elements:
            self.assertEqual(
                splitParameters(element),
                (
                    "permessage-deflate",
                    [("client_max_window_bits", None), ("x", "10")],
                ),
            )

    def test_H14_hugeElements(self) -> None:
        """Elements of 8 KiB that were built for backtracking parsers are judged like
        short ones."""
        size = 8192
        flags: Parameters = [("b", None)] * size
        value: Parameters = [("b", "c" * size)]
        for text, name, expected in (
            ("a" + ";b" * size, "a", flags),
            ('a; b="' + "\\c" * size + '"', "a", value),
            ("a" * size + " " * size, "a" * size, []),
        ):
            # Not assertEqual, which compares what differs for minutes.
            self.assertTrue(
                splitParameters(text) == (name, expected), f"{text[:10]!r}..."
            )
        for text in (
            'a; b="' + "\\" * size,
            'a; b="' + '\\"' * size + '"',
            "a; b=" + '"' * size,
            "a; b=" + '""' * size + "x",
            "a; b" + " " * size + "c",
            "a; b=c" + " " * size + "d",
            "a" * size + "é",
        ):
            self.assertRaises(ValueError, splitParameters, text)
