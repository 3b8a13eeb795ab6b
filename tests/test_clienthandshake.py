"""The client's side of the opening handshake, without a connection."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.clienthandshake import (
    Challenge,
    ClientHandshake,
    ResponseBody,
    basicAuthorization,
    isRedirect,
    readRetryAfter,
    redirectTarget,
)
from twisted_ws.clientoptions import ClientOptions
from twisted_ws.errors import InvalidHandshake, RedirectRefused
from twisted_ws.headers import Headers, ResponseHead
from twisted_ws.peerbytes import ACCEPT, KEY
from twisted_ws.urls import parseURL

NONCE = b"the sample nonce"
BASIC = "Basic dTpw"


def handshake(
    url: str = "ws://example.com/chat", arguments: Any = None, **options: Any
) -> ClientHandshake:
    """Make one with the key of RFC 6455's example."""
    return ClientHandshake(
        parseURL(url),
        ClientOptions(**options),
        makeKey=lambda count: NONCE[:count],
        **(arguments or {}),
    )


def head(
    status: int, *fields: tuple[str, str], version: tuple[int, int] = (1, 1)
) -> ResponseHead:
    """Make a response's head."""
    return ResponseHead(version, status, "", Headers(fields))


def accepting(*replaced: tuple[str, str], without: str = "") -> ResponseHead:
    """Make the head of a good 101, with some headers replaced."""
    fields = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": ACCEPT.decode(),
    }
    names = {name for name, _ in replaced}
    kept = [
        pair for pair in fields.items() if pair[0] not in names and pair[0] != without
    ]
    return head(101, *kept, *replaced)


class RequestTests(SynchronousTestCase):
    """What is asked."""

    def test_bytes(self) -> None:
        """The request of RFC 6455 section 1.2, Host first."""
        self.assertEqual(
            handshake(compression="none").encode(),
            b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: " + KEY + b"\r\n"
            b"Sec-WebSocket-Version: 13\r\nUser-Agent: twisted_ws\r\n\r\n",
        )

    def test_C06_key(self) -> None:
        """The key has 16 bytes of the system's random numbers, fresh for each."""
        keys = {
            ClientHandshake(parseURL("ws://h"), ClientOptions()).request.key
            for _ in range(64)
        }
        self.assertEqual({len(key) for key in keys}, {24})
        self.assertEqual(len(keys), 64)

    def test_request(self) -> None:
        """The application sees what was asked."""
        made = handshake(
            "wss://h:81/a?b=c", subprotocols=("x", "y"), origin="https://o"
        )
        request = made.request
        self.assertEqual((request.path, request.queryString), ("/a", "b=c"))
        self.assertEqual((request.authority.host, request.authority.port), ("h", 81))
        self.assertTrue(request.secure)
        self.assertEqual(request.subprotocols, ("x", "y"))
        self.assertEqual(request.origin, "https://o")
        for name, value in (
            ("Host", "h:81"),
            ("Origin", "https://o"),
            ("Sec-WebSocket-Protocol", "x, y"),
        ):
            self.assertEqual(request.headers.getAll(name), [value])

    def test_options(self) -> None:
        """Headers, cookies and credentials are sent; an own User-Agent or
        Authorization replaces the other one."""
        made = handshake(
            "ws://url:url@h",
            headers={"X-Key": "k", "user-agent": "mine"},
            cookies=[("a", "1"), ("b", "2")],
            user="u",
            password="p",
        )
        headers = made.request.headers
        self.assertEqual(headers.getAll("X-Key"), ["k"])
        self.assertEqual(headers.getAll("User-Agent"), ["mine"])
        self.assertEqual(headers.getAll("Cookie"), ["a=1; b=2"])
        self.assertEqual(headers.getAll("Authorization"), [BASIC])
        made = handshake("ws://u:p@h", headers=[("Authorization", "Bearer t")])
        self.assertEqual(made.request.headers.getAll("Authorization"), ["Bearer t"])

    def test_credentials(self) -> None:
        """Those of the URL are for Basic; an answer to a challenge goes before all."""
        for url, expected in (("ws://u:p@h", BASIC), ("ws://u@h", "Basic dTo=")):
            found = handshake(url).request.headers
            self.assertEqual(found.getAll("Authorization"), [expected])
        found = handshake("ws://h", user="u").request.headers
        self.assertEqual(found.getAll("Authorization"), ["Basic dTo="])
        found = handshake(
            "ws://u:p@h",
            {"authorization": "Digest x"},
            headers=[("Authorization", "Bearer t")],
        ).request.headers
        self.assertEqual(found.getAll("Authorization"), ["Digest x"])

    def test_C04_untrusted(self) -> None:
        """To another origin go no credentials, cookies or headers, but User-Agent."""
        made = handshake(
            "ws://u:p@h",
            {"trusted": False},
            headers=[("X-Key", "k"), ("Authorization", "x"), ("User-Agent", "mine")],
            cookies={"a": "1"},
            user="u",
            password="p",
        )
        names = {name for name, _ in made.request.headers}
        self.assertEqual(
            names,
            {
                "Host",
                "Upgrade",
                "Connection",
                "Sec-WebSocket-Key",
                "Sec-WebSocket-Version",
                "Sec-WebSocket-Extensions",
                "User-Agent",
            },
        )

    def test_basic(self) -> None:
        """RFC 7617 section 2.1's example, in UTF-8."""
        self.assertEqual(basicAuthorization("test", "123£"), "Basic dGVzdDoxMjPCow==")


class CompressionTests(SynchronousTestCase):
    """permessage-deflate, offered and answered."""

    NAME = "Sec-WebSocket-Extensions"

    def test_offers(self) -> None:
        """What the options say is offered, in one header, and the application sees it;
        without compression there is no such header."""
        made = handshake()
        offers = (
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12, "
            "permessage-deflate; client_max_window_bits=12"
        )
        self.assertEqual(made.request.headers.getAll(self.NAME), [offers])
        self.assertEqual(
            made.request.extensionOffers[1],
            ("permessage-deflate", (("client_max_window_bits", "12"),)),
        )
        off = handshake(compression="none")
        self.assertNotIn(self.NAME, off.request.headers)
        self.assertEqual(off.request.extensionOffers, ())

    def test_agreed(self) -> None:
        """What the server answers holds; a server may do without."""
        for answer, bits in (
            ("permessage-deflate; server_max_window_bits=10", (10, 12)),
            ('permessage-deflate;server_max_window_bits="9"', (9, 12)),
            ("permessage-deflate; client_max_window_bits=10", (15, 10)),
        ):
            made = handshake()
            (agreed,) = made.judge(accepting((self.NAME, answer)))
            found = made.request.deflate
            assert found is not None
            self.assertEqual(agreed, str(found))
            self.assertEqual(
                (found.serverMaxWindowBits, found.clientMaxWindowBits), bits
            )
        made = handshake()
        self.assertEqual(made.judge(accepting()), ())
        self.assertIsNone(made.request.deflate)

    def test_D04_answers(self) -> None:
        """An answer that is malformed, that no offer allows, that is there twice, or
        that was not asked for ends the handshake, and the error says which header."""
        good = "permessage-deflate"
        for options, answers in (
            ({}, (f"{good}; unknown",)),
            ({}, (f"{good}; server_max_window_bits=16",)),
            ({}, (f"{good}; server_max_window_bits=08",)),
            ({}, (f"{good}; client_max_window_bits",)),
            ({}, (f"{good}; client_max_window_bits=",)),
            ({}, (f"{good}; client_no_context_takeover=1",)),
            ({}, (f"{good}; x; x",)),
            ({}, (good, good)),
            ({}, (f"{good}, {good}",)),
            ({}, ("permessage-foo",)),
            ({"compression": "none"}, (good,)),
            ({"compression": "shared"}, (good,)),
        ):
            made = handshake(**options)
            fields = [(self.NAME, each) for each in answers]
            error = self.assertRaises(InvalidHandshake, made.judge, accepting(*fields))
            self.assertEqual(error.what, self.NAME, answers)
            self.assertIsNone(made.request.deflate)


class JudgeTests(SynchronousTestCase):
    """What is answered."""

    def test_good(self) -> None:
        """Names and tokens count in any case, Connection in a list."""
        made = handshake(subprotocols=("x", "y"))
        fields = (
            ("Upgrade", "WebSocket"),
            ("Connection", "keep-alive, UPGRADE"),
            ("Sec-WebSocket-Protocol", "y"),
            ("Sec-WebSocket-Extensions", " ,"),
        )
        self.assertEqual(made.judge(accepting(*fields)), ())
        self.assertEqual(made.request.subprotocol, "y")
        made = handshake(subprotocols=("x",))
        made.judge(accepting())
        self.assertIsNone(made.request.subprotocol)

    def test_C01_rules(self) -> None:
        """Each rule of section 4.1 that is broken is named."""
        accept = "Sec-WebSocket-Accept"
        protocol = "Sec-WebSocket-Protocol"
        extensions = "Sec-WebSocket-Extensions"
        for response, what in (
            (accepting(without="Upgrade"), "Upgrade"),
            (accepting(("Upgrade", "h2c")), "Upgrade"),
            (accepting(("Upgrade", "websocket, h2c")), "Upgrade"),
            (accepting(without="Connection"), "Connection"),
            (accepting(("Connection", "close")), "Connection"),
            (accepting(without=accept), accept),
            (accepting((accept, ACCEPT.decode().lower())), accept),
            (accepting((accept, "")), accept),
            (accepting((accept, ACCEPT.decode()), (accept, ACCEPT.decode())), accept),
            (accepting((protocol, "y")), protocol),
            (accepting((protocol, "X")), protocol),
            (accepting((protocol, "")), protocol),
            (accepting((protocol, "x"), (protocol, "x")), protocol),
            (accepting((extensions, "permessage-foo")), extensions),
            (accepting()._replace(version=(1, 0)), "response"),
            (accepting()._replace(version=(2, 0)), "response"),
        ):
            with self.assertRaises(InvalidHandshake) as caught:
                handshake(subprotocols=("x",)).judge(response)
            self.assertEqual(caught.exception.what, what)
            self.assertIn(caught.exception.why, str(caught.exception))

    def test_noneOffered(self) -> None:
        """A subprotocol where none was offered is wrong too."""
        with self.assertRaises(InvalidHandshake):
            handshake().judge(accepting(("Sec-WebSocket-Protocol", "x")))


class RedirectTests(SynchronousTestCase):
    """Redirects."""

    def test_statuses(self) -> None:
        """Five statuses are redirects, with a Location."""
        for status in range(300, 309):
            expected = status in (301, 302, 303, 307, 308)
            self.assertEqual(isRedirect(head(status, ("Location", "/x"))), expected)
        self.assertFalse(isRedirect(head(301)))

    def test_target(self) -> None:
        """It leads where Location says; what is not ASCII there is UTF-8."""
        for location, expected in (
            ("/x", "ws://h/x"),
            ("https://o/", "wss://o/"),
            ("/\xc3\xa4", "ws://h/%C3%A4"),
        ):
            found = redirectTarget(
                parseURL("ws://h"), head(302, ("Location", location))
            )
            self.assertEqual(found, parseURL(expected))

    def test_C04_refused(self) -> None:
        """Not followed: out of TLS, to two places, to none."""
        for url, locations in (
            ("wss://h", ["ws://h/x"]),
            ("wss://h", ["http://o/"]),
            ("ws://h", ["/a", "/b"]),
            ("ws://h", ["mailto:x"]),
            ("ws://h", ["/\xff"]),
        ):
            response = head(302, *(("Location", each) for each in locations))
            with self.assertRaises(RedirectRefused) as caught:
                redirectTarget(parseURL(url), response)
            self.assertEqual(caught.exception.location, locations[0])
            self.assertNotIn(locations[0], str(caught.exception))


class RetryAfterTests(SynchronousTestCase):
    """``Retry-After``."""

    def _read(self, value: str, date: str | None = None) -> float | None:
        fields = [("Retry-After", value)]
        if date is not None:
            fields.append(("Date", date))
        return readRetryAfter(Headers(fields), 1_000_000.0)

    def test_seconds(self) -> None:
        """A number of seconds."""
        self.assertEqual(self._read("0"), 0)
        self.assertEqual(self._read("120"), 120)

    def test_date(self) -> None:
        """A date, which is held against the server's own, or else the time given; one
        that is past is now."""
        date = "Mon, 12 Jan 1970 13:47:10 GMT"
        self.assertEqual(self._read(date), 30)
        self.assertEqual(self._read(date, "Mon, 12 Jan 1970 13:47:00 GMT"), 10)
        self.assertEqual(self._read(date, "rubbish"), 30)
        self.assertEqual(self._read("Mon, 12 Jan 1970 13:47:10 -0000"), 30)
        self.assertEqual(self._read("Mon, 12 Jan 1970 13:00:00 GMT"), 0)

    def test_neither(self) -> None:
        """What is neither counts for nothing."""
        for value in ("", "soon", "-1", "1.5", "9" * 400, "Mon, 99 Foo 1970 1:1:1 GMT"):
            self.assertIsNone(self._read(value), value)
        self.assertIsNone(readRetryAfter(Headers(), 0))


class ChallengeTests(SynchronousTestCase):
    """``Challenge``."""

    def test_challenges(self) -> None:
        """The challenges are those of who asks."""
        headers = Headers(
            [
                ("WWW-Authenticate", 'Basic realm="a"'),
                ("WWW-Authenticate", "Bearer"),
                ("Proxy-Authenticate", "Negotiate"),
            ]
        )
        url = parseURL("ws://h")
        asked = Challenge(url, 401, headers, 1)
        self.assertFalse(asked.isProxy)
        self.assertEqual(asked.challenges, ('Basic realm="a"', "Bearer"))
        asked = Challenge(url, 407, headers, 1)
        self.assertTrue(asked.isProxy)
        self.assertEqual(asked.challenges, ("Negotiate",))
        # A proxy that asks as a server does.
        asked = Challenge(
            parseURL("ws://h"), 407, Headers([("WWW-Authenticate", "Basic")]), 1
        )
        self.assertEqual(asked.challenges, ("Basic",))


class BodyTests(SynchronousTestCase):
    """``ResponseBody``."""

    def _read(
        self,
        data: bytes,
        *fields: tuple[str, str],
        status: int = 200,
        most: int = 100,
        segment: int = 1,
    ) -> tuple[bytes, bool, bool]:
        """Give what is kept, whether it was complete without the end, and whether it
        is marked as cut short."""
        body = ResponseBody(head(status, *fields), most)
        for at in range(0, len(data), segment):
            body.feed(data[at : at + segment])
        complete = body.isComplete
        body.finish()
        return body.content, complete, body.truncated

    def _everyWay(self, data: bytes, *fields: tuple[str, str], **more: Any) -> Any:
        results = {
            self._read(data, *fields, segment=segment, **more)
            for segment in (1, 2, 7, 10_000)
        }
        self.assertEqual(len(results), 1, results)
        return results.pop()

    def test_length(self) -> None:
        """A body of a length ends there."""
        length = ("Content-Length", "3")
        self.assertEqual(self._everyWay(b"abcd", length), (b"abc", True, False))
        self.assertEqual(self._everyWay(b"ab", length), (b"ab", False, True))
        self.assertEqual(
            self._everyWay(b"ab", ("Content-Length", "0")), (b"", True, False)
        )
        # Twice the same, which RFC 9112 section 6.3 takes for once.
        self.assertEqual(self._everyWay(b"abcd", length, length)[1], True)

    def test_untilTheEnd(self) -> None:
        """Without a length, or with one that is none, it goes on to the end."""
        for fields in (
            [],
            [("Content-Length", "x")],
            [("Content-Length", "-1")],
            [("Content-Length", "1"), ("Content-Length", "2")],
            [("Transfer-Encoding", "gzip"), ("Content-Length", "1")],
        ):
            self.assertEqual(self._everyWay(b"abc", *fields), (b"abc", False, False))

    def test_none(self) -> None:
        """204 and 304 have none."""
        for status in (204, 304):
            self.assertEqual(self._everyWay(b"x", status=status), (b"", True, False))

    def test_limit(self) -> None:
        """At the limit it is complete and marked, if it has more."""
        for fields in ([], [("Content-Length", "5")]):
            self.assertEqual(
                self._everyWay(b"abcde", *fields, most=3), (b"abc", True, True)
            )
        length = ("Content-Length", "3")
        self.assertEqual(
            self._everyWay(b"abcde", length, most=3), (b"abc", True, False)
        )
        self.assertEqual(self._everyWay(b"a", most=0), (b"", True, True))
        self.assertEqual(self._everyWay(b"abc", most=3), (b"abc", False, False))

    def test_chunked(self) -> None:
        """Chunks are put together, without their extensions and the trailer."""
        coding = ("Transfer-Encoding", "gzip, Chunked")
        data = b"3\r\nabc\r\n0A ; x=y\r\n0123456789\r\n0\r\nT: u\r\n\r\nmore"
        self.assertEqual(self._everyWay(data, coding), (b"abc0123456789", True, False))
        self.assertEqual(self._everyWay(b"3\r\nab", coding), (b"ab", False, True))
        self.assertEqual(self._everyWay(b"3\r\nabc\r\n", coding)[1:], (False, True))
        self.assertEqual(self._everyWay(data, coding, most=5), (b"abc01", True, True))
        self.assertEqual(
            self._everyWay(data, coding, most=13), (b"abc0123456789", True, False)
        )

    def test_brokenChunks(self) -> None:
        """What is not chunks ends it, marked."""
        coding = ("Transfer-Encoding", "chunked")
        for data in (
            b"x\r\n",
            b"\r\n",
            b"-1\r\n",
            b"f" * 16 + b"\r\n",
            b"1\r\nab\r\n",
            b"1" * 2000,
        ):
            self.assertEqual(self._everyWay(data, coding)[1:], (True, True), data)

    def test_linear(self) -> None:
        """A body in chunks of one byte takes linear time."""
        times = []
        for count in (10_000, 40_000):
            body = ResponseBody(head(200, ("Transfer-Encoding", "chunked")), 1 << 20)
            began = time.perf_counter()
            body.feed(b"1\r\nx\r\n" * count)
            times.append(time.perf_counter() - began)
            self.assertEqual(len(body.content), count)
        self.assertLess(times[1], 12 * times[0] + 0.05)
