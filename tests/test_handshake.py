"""The server's side of the opening handshake, on request heads without a socket."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.errors import BadHandshake, HandshakeRejected, InvalidOption
from twisted_ws.handshake import (
    Request,
    ResponseHeaders,
    ServerHandshake,
    acceptFor,
    encodeRefusal,
    plainRequest,
    readTarget,
)
from twisted_ws.headers import Headers, MalformedHead, RequestHead, parseRequestHead
from twisted_ws.options import ServerOptions
from twisted_ws.origins import Authority

# The nonce and the accept value of the example in RFC 6455 section 1.3.
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

# The least that section 4.2.1 asks for.
FIELDS = (
    "Host: example.com",
    "Upgrade: websocket",
    "Connection: Upgrade",
    f"Sec-WebSocket-Key: {KEY}",
    "Sec-WebSocket-Version: 13",
)

DATE = "Mon, 27 Jul 2026 12:28:53 GMT"

TOKEN_BYTES = frozenset(
    b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)
CONTROL_BYTES = (*range(0x09), *range(0x0A, 0x20), 0x7F)

ANY = ServerOptions()

_Error = TypeVar("_Error", bound=Exception)
_Arguments = ParamSpec("_Arguments")


def raised(
    kind: type[_Error],
    call: Callable[_Arguments, object],
    *arguments: _Arguments.args,
    **named: _Arguments.kwargs,
) -> _Error:
    """Give the error that a call must raise."""
    try:
        call(*arguments, **named)
    except kind as error:
        return error
    raise AssertionError(f"{call} raised no {kind.__name__}: {arguments!r} {named!r}")


def makeHead(
    *extra: str, drop: Sequence[str] = (), first: str = "GET /chat HTTP/1.1"
) -> RequestHead:
    """Parse a good request, some of its fields dropped and others added."""
    kept = [each for each in FIELDS if each.partition(":")[0] not in drop]
    return parseRequestHead([line.encode("latin-1") for line in (first, *kept, *extra)])


def accepted(
    head: RequestHead,
    options: ServerOptions = ANY,
    secure: bool = True,
    loopbackOnly: bool = False,
) -> Request:
    """Give the request that a head is read as."""
    return ServerHandshake(options).read(head, secure, loopbackOnly)


def refused(
    head: RequestHead,
    status: int,
    what: object,
    options: ServerOptions = ANY,
    secure: bool = True,
    loopbackOnly: bool = False,
) -> BadHandshake:
    """Give the refusal of a head, which must have this status."""
    try:
        ServerHandshake(options).read(head, secure, loopbackOnly)
    except BadHandshake as caught:
        error = caught
    else:
        raise AssertionError(f"not refused: {what!r}")
    assert error.status == status, (what, error.status, error.why)
    return error


class AcceptTests(SynchronousTestCase):
    """The key's answer and the 101."""

    def test_acceptFor(self) -> None:
        """The accept value is that of RFC 6455's example, and of any other key."""
        assert acceptFor(KEY) == ACCEPT
        assert acceptFor("x3JJHMbDL1EzLkh9GBhXDw==") == "HSmrc0sMlYUkAGmm5OPpG2HaGWk="

    def test_accept(self) -> None:
        """The 101 has the fields of section 4.2.2 and nothing else."""
        assert ServerHandshake.accept(accepted(makeHead())) == (
            b"HTTP/1.1 101 Switching Protocols\r\n"
            b"Upgrade: websocket\r\n"
            b"Connection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            b"\r\n"
        )

    def test_acceptWithSubprotocolAndHeaders(self) -> None:
        """The 101 names the subprotocol agreed, then the application's headers in
        order, repeated ones and ISO 8859-1 included."""
        request = accepted(makeHead("Sec-WebSocket-Protocol: chat, superchat"))
        request.selectSubprotocol("superchat")
        request.responseHeaders.add("Set-Cookie", "a=1")
        request.responseHeaders.add("X-Name", " caf\xe9\t")
        request.responseHeaders.add("Set-Cookie", "b=2")
        assert ServerHandshake.accept(request) == (
            b"HTTP/1.1 101 Switching Protocols\r\n"
            b"Upgrade: websocket\r\n"
            b"Connection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            b"Sec-WebSocket-Protocol: superchat\r\n"
            b"Set-Cookie: a=1\r\n"
            b"X-Name: caf\xe9\r\n"
            b"Set-Cookie: b=2\r\n"
            b"\r\n"
        )

    def test_requestFields(self) -> None:
        """A request tells all that was asked for, as sent."""
        head = makeHead(
            "Origin: https://EXAMPLE.com",
            "Sec-WebSocket-Protocol: chat",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x",
            first="GET /a%20b?x=1&x=2&y=&z=%C3%A9+e HTTP/1.1",
        )
        request = accepted(head, secure=True)
        assert request.path == "/a%20b"
        assert request.queryString == "x=1&x=2&y=&z=%C3%A9+e"
        assert request.query == {"x": ["1", "2"], "y": [""], "z": ["é e"]}
        assert request.headers is head.headers
        assert request.authority == Authority("example.com", None)
        assert request.secure
        assert request.key == KEY
        assert request.origin == "https://EXAMPLE.com"
        assert request.subprotocols == ("chat",)
        assert request.subprotocol is None
        assert request.extensionOffers == (
            ("permessage-deflate", (("client_max_window_bits", None),)),
            ("x", ()),
        )
        assert len(request.responseHeaders) == 0
        assert request.peer is request.localAddress is request.peerCertificate is None
        plain = accepted(makeHead(), secure=False)
        assert not plain.secure
        assert (plain.origin, plain.queryString, plain.query) == (None, "", {})
        assert (plain.subprotocols, plain.extensionOffers) == ((), ())

    def test_subprotocolChoice(self) -> None:
        """The server's first subprotocol that the client offers is agreed, unless the
        application chooses another one of the client's, or none."""
        table: tuple[tuple[tuple[str, ...], str, str | None], ...] = (
            ((), "a, b", None),
            (("a",), "", None),
            (("a",), "b", None),
            (("a", "b"), "b, a", "a"),
            (("c", "b"), "a, b", "b"),
            (("A",), "a", None),
        )
        for known, offered, expected in table:
            request = accepted(
                makeHead(f"Sec-WebSocket-Protocol: {offered}"),
                ServerOptions(subprotocols=known),
            )
            assert request.subprotocol == expected, (known, offered)
        request = accepted(
            makeHead("Sec-WebSocket-Protocol: a, b"), ServerOptions(subprotocols=("a",))
        )
        request.selectSubprotocol("b")
        assert request.subprotocol == "b"
        request.selectSubprotocol(None)
        assert request.subprotocol is None
        assert b"Protocol:" not in ServerHandshake.accept(request)

    def test_subprotocolNotOffered(self) -> None:
        """Choosing a subprotocol that the client did not offer is a ValueError that
        says what it did offer, and changes nothing (section 4.2.2)."""
        for offer, listed in (("chat, superchat", "chat, superchat"), ("", "none")):
            request = accepted(makeHead(f"Sec-WebSocket-Protocol: {offer}"))
            for name in ("other", "Chat", "", "chat, superchat"):
                error = raised(ValueError, request.selectSubprotocol, name)
                assert str(error).endswith(f"offers {listed}"), str(error)
                assert request.subprotocol is None


class RequestTests(SynchronousTestCase):
    """What a request must be like, rows H01 to H08."""

    def test_longPath(self) -> None:
        """A path is given as it was sent, however long it is."""
        for size in (1, 128, 129, 5000):
            path = "/" + "a" * (size - 1)
            head = makeHead()._replace(target=f"{path}?b")
            request = accepted(head)
            assert (request.path, request.queryString) == (path, "b")

    def test_compact(self) -> None:
        """A request whose header lines were put away is the same as before."""
        request = accepted(makeHead("X: a", "x: b"))
        seen = (list(request.headers), request.key, request.path)
        request.headers.add("X", "c")
        for _ in range(2):
            request.compact()
            assert isinstance(request._headers, str)
            assert (list(request.headers)[:-1], request.key, request.path) == seen
            assert request.headers.getAll("x") == ["a", "b", "c"]
            assert request.headers is request.headers

    def test_H01_fieldsInEveryForm(self) -> None:
        """Upgrade and Connection are lists in any case, with other elements, empty ones
        and white space, on one line or several."""
        table = (
            ("Upgrade: websocket", "Connection: keep-alive, Upgrade"),
            ("Upgrade: WebSocket", "Connection: Upgrade"),
            ("UPGRADE: WEBSOCKET", "CONNECTION: UPGRADE"),
            ("upgrade: websocket", "connection: upgrade"),
            ("uPGRADE:websocket", "cONNECTION:upgrade"),
            ("Upgrade: \t websocket \t ", "Connection:\t\tUpgrade\t"),
            ("Upgrade: , ,websocket,,", "Connection: ,,\t, Upgrade ,"),
            ("Upgrade: h2c, websocket", "Connection: close\t,\tupgrade"),
            ("Upgrade: h2c", "Upgrade: websocket", "Connection: Upgrade"),
            ("Upgrade: websocket", "Connection: keep-alive", "Connection: Upgrade"),
            ("Upgrade: websocket", "Connection: Upgrade", "Connection: Upgrade"),
            ("Upgrade: websocket", 'Connection: "a, b", Upgrade'),
        )
        for lines in table:
            head = makeHead(*lines, drop=("Upgrade", "Connection"))
            assert not plainRequest(head), lines
            assert accepted(head).path == "/chat", lines

    def test_H01_otherFields(self) -> None:
        """The handshake's other fields have names in any case, too, and white space
        around their values."""
        lines = [b"GET / HTTP/1.1"]
        for each in FIELDS:
            name, _, value = each.partition(": ")
            lines.append(f"{name.swapcase()}:\t {value} \t".encode())
        lines.append(b"oRIGIN:https://example.com")
        lines.append(b"sEC-wEBsOCKET-pROTOCOL:\tchat ,")
        lines.append(b"SEC-WEBSOCKET-EXTENSIONS: , x ;\ty =\t1,,")
        request = accepted(parseRequestHead(lines))
        assert request.key == KEY
        assert request.origin == "https://example.com"
        assert request.subprotocols == ("chat",)
        assert request.extensionOffers == (("x", (("y", "1"),)),)

    def test_plainRequest(self) -> None:
        """A request whose Upgrade does not name websocket is ordinary HTTP."""
        table = (
            (),
            ("Upgrade:",),
            ("Upgrade: h2c",),
            ("Upgrade: websockets",),
            ("Upgrade: web socket",),
            ("Upgrade: websocket2, xwebsocket",),
            ('Upgrade: "websocket"',),
            ("X-Upgrade: websocket",),
        )
        for lines in table:
            assert plainRequest(makeHead(*lines, drop=("Upgrade",))), lines

    def test_connectionWithoutUpgrade(self) -> None:
        """Without Upgrade in Connection, a proxy may not have meant it: 400 (section
        4.2.1)."""
        table = (
            (),
            ("Connection:",),
            ("Connection: keep-alive",),
            ("Connection: close",),
            ("Connection: upgraded",),
            ("Connection: up grade",),
            ('Connection: "upgrade"',),
            ("Connection: 'upgrade'",),
            ("Proxy-Connection: Upgrade",),
        )
        for lines in table:
            refused(makeHead(*lines, drop=("Connection",)), 400, lines)

    def test_H02_linesAreMerged(self) -> None:
        """Several lines of subprotocols or extensions are one list, in order."""
        request = accepted(
            makeHead(
                "Sec-WebSocket-Protocol: a",
                "Sec-WebSocket-Extensions: x; p",
                "sec-websocket-protocol: b, c",
                "Sec-WebSocket-Protocol:",
                "sec-websocket-extensions: y, x; q=1",
                "SEC-WEBSOCKET-PROTOCOL: , d,",
            )
        )
        assert request.subprotocols == ("a", "b", "c", "d")
        assert request.extensionOffers == (
            ("x", (("p", None),)),
            ("y", ()),
            ("x", (("q", "1"),)),
        )

    def test_H04_method(self) -> None:
        """A method other than GET, which is told apart by case, gets 405 and is told
        which one would do; its body may still be on the way."""
        for method in ("POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "get", "Get", "G"):
            error = refused(makeHead(first=f"{method} / HTTP/1.1"), 405, method)
            assert error.headers.getAll("Allow") == ["GET"], method
            assert error.lingering, method

    def test_H04_version(self) -> None:
        """HTTP before 1.1, or of another major version, gets 505, whatever the method;
        a later 1.x is as good as 1.1."""
        for version in ("0.0", "0.9", "1.0", "2.0", "2.1", "3.0", "9.9"):
            for method in ("GET", "POST"):
                line = f"{method} / HTTP/{version}"
                refused(makeHead(first=line), 505, line)
        for version in ("1.1", "1.2", "1.9"):
            assert accepted(makeHead(first=f"GET / HTTP/{version}")).path == "/"

    def test_H04_host(self) -> None:
        """A request has one Host field with a valid host, else it gets 400."""
        table: tuple[tuple[str, ...], ...] = (
            (),
            ("Host: example.com", "Host: example.com"),
            ("Host: example.com", "host: evil.example"),
            ("Host:", "Host: example.com"),
            *(
                (f"Host: {value}",)
                for value in (
                    "",
                    ".",
                    ":80",
                    "exa mple.com",
                    "user@example.com",
                    "user:pass@example.com",
                    "example.com/",
                    "example.com?x",
                    "example.com#",
                    "example.com\\",
                    "example.com, example.com",
                    "example.com,evil.example",
                    "example.com:65536",
                    "example.com:999999",
                    "example.com:-1",
                    "example.com:+80",
                    "example.com:80a",
                    "example.com:80:80",
                    "example.com: 80",
                    "http://example.com",
                    "::1",
                    "[::1",
                    "::1]",
                    "[]",
                    "[::g]",
                    "[1:2:3]",
                    "[::1]x",
                    "[fe80::1%25eth0]",
                    "ex\xe4mple.com",
                    "%65xample.com",
                    '"example.com"',
                )
            ),
        )
        for lines in table:
            refused(makeHead(*lines, drop=("Host",)), 400, lines)

    def test_H04_hostForms(self) -> None:
        """Host is read with or without port, in lower case, without a trailing dot, an
        IPv6 address in its short form."""
        table = (
            ("example.com", "example.com", None),
            ("EXAMPLE.com.", "example.com", None),
            ("example.com:", "example.com", None),
            ("example.com:0", "example.com", 0),
            ("example.com:65535", "example.com", 65535),
            ("a_b-c.example", "a_b-c.example", None),
            ("192.0.2.1:8080", "192.0.2.1", 8080),
            ("[::1]", "[::1]", None),
            ("[0:0:0::1]:443", "[::1]", 443),
            ("[2001:DB8::A]:1", "[2001:db8::a]", 1),
        )
        for value, host, port in table:
            head = makeHead(f"Host: {value}", drop=("Host",))
            assert accepted(head).authority == Authority(host, port), value

    def test_H04_target(self) -> None:
        """A target is a path, or a URL whose authority wins over Host (RFC 9112 section
        3.2.2); a URL without a path means the root."""
        own = Authority("example.com", None)
        other = Authority("other.example", None)
        table = (
            ("/", own, "/", ""),
            ("/chat", own, "/chat", ""),
            ("/?", own, "/", ""),
            ("/a?b?c=/d", own, "/a", "b?c=/d"),
            ("//evil.example/x", own, "//evil.example/x", ""),
            ("/http://other.example/", own, "/http://other.example/", ""),
            ("/%0d%0a;x", own, "/%0d%0a;x", ""),
            ("/..//./a", own, "/..//./a", ""),
            ("http://other.example/", other, "/", ""),
            ("http://other.example", other, "/", ""),
            ("https://other.example/a/b?c", other, "/a/b", "c"),
            ("ws://other.example?token=1", other, "/", "token=1"),
            ("wss://other.example/?", other, "/", ""),
            ("http://other.example?/a", other, "/", "/a"),
            ("HTTP://OTHER.EXAMPLE./A", other, "/A", ""),
            ("http://other.example//x", other, "//x", ""),
            (
                "http://other.example:8080/",
                Authority("other.example", 8080),
                "/",
                "",
            ),
            ("http://other.example/@a:b", other, "/@a:b", ""),
            ("ws://[::1]:80/x", Authority("[::1]", 80), "/x", ""),
            ("ws://[0::1]?x", Authority("[::1]", None), "/", "x"),
        )
        for target, authority, path, query in table:
            head = makeHead(first=f"GET {target} HTTP/1.1")
            assert readTarget(head) == (authority, path, query), target
            request = accepted(head)
            assert request.authority == authority, target
            assert (request.path, request.queryString) == (path, query), target

    def test_H04_badTarget(self) -> None:
        """User information, fragments, and what is neither a path nor a URL of a web
        server get 400."""
        for target in (
            "*",
            "chat",
            "?x",
            "#x",
            ".",
            "other.example",
            "other.example:443",
            "/#",
            "/chat#top",
            "/?x#y",
            "http:",
            "http:/",
            "http://",
            "http:///chat",
            "http://?x",
            "http://:80/",
            "http:other.example",
            "http:/other.example",
            "://other.example/",
            "ftp://other.example/",
            "file:///etc/passwd",
            "httpx://other.example/",
            "javascript:alert(1)",
            "http://user@other.example/",
            "http://user:pass@other.example/",
            "http://@other.example/",
            "http://example.com@other.example",
            "http://other.example#x",
            "http://other.example/#",
            "http://other.example:99999/",
            "http://other.example:x/",
            "http://other.example:80:80/",
            "http://other.example\\@example.com/",
            "http://other%2eexample/",
            "http://[::1/",
            "http://[]/",
            "http://[x]/",
            "http://[::1]x/",
        ):
            refused(makeHead(first=f"GET {target} HTTP/1.1"), 400, target)

    def test_H04_targetNeedsHost(self) -> None:
        """A URL as target does not make up for a missing or doubled Host."""
        line = "GET http://other.example/ HTTP/1.1"
        refused(makeHead(first=line, drop=("Host",)), 400, "no Host")
        refused(makeHead("Host: other.example", first=line), 400, "two Hosts")

    def test_H05_key(self) -> None:
        """The key is sent once and is 16 bytes in base64, else 400."""
        table: tuple[tuple[str, ...], ...] = (
            (),
            (f"Sec-WebSocket-Key: {KEY}", f"Sec-WebSocket-Key: {KEY}"),
            (f"Sec-WebSocket-Key: {KEY}", f"sec-websocket-key: {KEY[::-1]}"),
            *(
                (f"Sec-WebSocket-Key: {value}",)
                for value in (
                    "",
                    "=",
                    "A" * 22,
                    "A" * 24,
                    "A" * 23 + "=",
                    "A" * 22 + "= ",
                    "A" * 20 + "====",
                    "=" * 24,
                    "AAAA==" + "A" * 18,
                    "==" + "A" * 22,
                    "A" * 26 + "==",
                    "A" * 18 + "==",
                    "A" * 21 + "-==",
                    "A" * 21 + "_==",
                    "A" * 21 + "*==",
                    "A" * 10 + " " + "A" * 11 + "==",
                    "A" * 10 + "\t" + "A" * 11 + "==",
                    "A" * 21 + "\xe9==",
                    f'"{KEY}"',
                    f"{KEY},",
                    f"{KEY}, {KEY}",
                    f"{KEY};x",
                    "the sample nonce",
                )
            ),
        )
        for lines in table:
            refused(makeHead(*lines, drop=("Sec-WebSocket-Key",)), 400, lines)

    def test_H05_goodKeys(self) -> None:
        """Any 16 bytes are a key."""
        for key in ("A" * 22 + "==", "/" * 21 + "w==", "+/" * 11 + "A==", KEY):
            key = key[-24:]
            line = f"Sec-WebSocket-Key: {key}"
            head = makeHead(line, drop=("Sec-WebSocket-Key",))
            assert accepted(head).key == key

    def test_H06_version(self) -> None:
        """Without version 13, once, the answer is 426 and says which version would do
        (section 4.4)."""
        table: tuple[tuple[str, ...], ...] = (
            (),
            ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13"),
            ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"),
            *(
                (f"Sec-WebSocket-Version: {value}",)
                for value in (
                    "",
                    "0",
                    "7",
                    "8",
                    "12",
                    "14",
                    "013",
                    "+13",
                    "-13",
                    "13.0",
                    "1 3",
                    "13, 8",
                    "13, 13",
                    "13,",
                    '"13"',
                    "\xb9\xb3",
                    "thirteen",
                    "255",
                )
            ),
        )
        for lines in table:
            head = makeHead(*lines, drop=("Sec-WebSocket-Version",))
            error = refused(head, 426, lines)
            assert error.headers.getAll("Sec-WebSocket-Version") == ["13"], lines
            # RFC 9110 section 15.5.22: a 426 names the protocol to upgrade to.
            assert error.headers.getAll("Upgrade") == ["websocket"], lines

    def test_H07_body(self) -> None:
        """A request that announces a body gets 400 before all but method and version is
        looked at, and is marked as one whose sender may go on sending."""
        table = (
            ("Content-Length: 1",),
            ("content-length: 5",),
            ("Content-Length: 18446744073709551616",),
            ("Content-Length: 0, 0",),
            ("Content-Length: 0, 5",),
            ("Content-Length: 0", "Content-Length: 5"),
            ("Content-Length: 5", "Content-Length: 0"),
            ("Content-Length:",),
            ("Content-Length: 00",),
            ("Content-Length: +0",),
            ("Content-Length: -0",),
            ("Content-Length: 0x0",),
            ("Content-Length: 0.0",),
            ("Content-Length: \xb2",),
            ("Transfer-Encoding: chunked",),
            ("transfer-encoding: CHUNKED",),
            ("Transfer-Encoding: gzip, chunked",),
            ("Transfer-Encoding: identity",),
            ("Transfer-Encoding:",),
            ("Content-Length: 0", "Transfer-Encoding: chunked"),
        )
        for lines in table:
            for drop in ((), ("Host", "Connection", "Sec-WebSocket-Version")):
                error = refused(makeHead(*lines, drop=drop), 400, lines)
                assert error.lingering, lines
                assert "body" in error.why, lines
            headers = makeHead(*lines).headers
            raised(BadHandshake, ServerHandshake.checkBody, headers)

    def test_H07_emptyBody(self) -> None:
        """A length of 0 announces no body."""
        assert accepted(makeHead("Content-Length: 0")).path == "/chat"
        # Two are for parsers to disagree on.
        refused(makeHead("Content-Length: 0", "content-length:0"), 400, "two")

    def test_H08_headerLines(self) -> None:
        """Folded lines, white space before a colon, lines without a name or a colon are
        no header lines."""
        for line in (
            b"",
            b" ",
            b":",
            b": value",
            b"Name",
            b"Name value",
            b" folded",
            b"\tfolded",
            b" Name: folded",
            b"\tName: folded",
            b"Name : value",
            b"Name\t: value",
            b" : value",
            b"Two Names: value",
            b'"Name": value',
            b"Name(comment): value",
            b"GET / HTTP/1.1",
            b"N\xc3\xa4me: value",
        ):
            raised(MalformedHead, withLine, line)

    def test_H08_bytesOfNames(self) -> None:
        """Of all bytes, 0x85 included, only those of tokens may stand in a name."""
        for byte in range(256):
            if byte == ord(":"):
                # Ends the name wherever it stands, but not before it has begun.
                continue
            one = bytes((byte,))
            for line in (one + b"X: v", b"X" + one + b"X: v", b"X" + one + b": v"):
                if byte in TOKEN_BYTES:
                    name, _, _ = line.decode("ascii").partition(":")
                    assert withLine(line).headers.getAll(name) == ["v"], line
                else:
                    raised(MalformedHead, withLine, line)

    def test_H08_bytesOfValues(self) -> None:
        """No control byte may stand in a value, a bare CR or LF and NUL included; every
        other byte may, and white space around the value is not part of it."""
        for byte in range(256):
            one = bytes((byte,))
            for value in (one + b"v", b"v" + one + b"v", b"v" + one, one):
                if byte in CONTROL_BYTES:
                    raised(MalformedHead, withLine, b"X: " + value)
                else:
                    read = withLine(b"X: " + value).headers.get("X")
                    assert read == value.decode("latin-1").strip(" \t"), value

    def test_H08_requestLine(self) -> None:
        """A request line is a token, visible ASCII and a version, with one space
        between."""
        for line in (
            b"",
            b"GET",
            b"GET /",
            b"GET / ",
            b" GET / HTTP/1.1",
            b"GET  / HTTP/1.1",
            b"GET /  HTTP/1.1",
            b"GET / HTTP/1.1 ",
            b"GET / HTTP/1.1 x",
            b"GET /a b HTTP/1.1",
            b"GET\t/\tHTTP/1.1",
            b"GET\t/ HTTP/1.1",
            b"G(T / HTTP/1.1",
            b"G\xc9T / HTTP/1.1",
            b" / HTTP/1.1",
            b"GET  HTTP/1.1",
            b"GET / http/1.1",
            b"GET / HTTP/1",
            b"GET / HTTP/1.",
            b"GET / HTTP/1.10",
            b"GET / HTTP/11.1",
            b"GET / HTTP/a.b",
            b"GET / HTTP/1,1",
            b"GET / HTTP/-1.1",
            b"GET / HTTP/\xb9.\xb9",
            b"GET / XHTTP/1.1",
            b"GET / HTTP/1.1\r",
            b"GET / HTTP/1.1\n",
            b"GET / ICY/1.1",
        ):
            raised(MalformedHead, parseRequestHead, [line])

    def test_H08_bytesOfRequestLine(self) -> None:
        """No control byte and none beyond ASCII may stand in method or target."""
        for byte in (*range(0x21), *range(0x7F, 0x100)):
            one = bytes((byte,))
            for line in (
                b"G" + one + b"T / HTTP/1.1",
                b"GET /" + one + b" HTTP/1.1",
                b"GET /" + one + b"x HTTP/1.1",
                b"GET / HTTP/1." + one,
            ):
                raised(MalformedHead, parseRequestHead, [line])


def withLine(line: bytes) -> RequestHead:
    """Parse a request that has one more line."""
    fields = [each.encode() for each in FIELDS]
    return parseRequestHead([b"GET / HTTP/1.1", *fields, line])


class OriginTests(SynchronousTestCase):
    """Which pages may connect, row H11."""

    def test_H11_ownOrigin(self) -> None:
        """A page of the server's own origin may connect: scheme, host and port are the
        request's, with default ports filled in and hosts normalised."""
        table = (
            ("https://example.com", "example.com", True),
            ("https://example.com:443", "example.com", True),
            ("https://example.com", "example.com:443", True),
            ("https://example.com:443", "example.com:443", True),
            ("https://example.com:8443", "example.com:8443", True),
            ("https://example.com:80", "example.com:80", True),
            ("http://example.com", "example.com", False),
            ("http://example.com:80", "example.com", False),
            ("http://example.com", "example.com:80", False),
            ("http://example.com:443", "example.com:443", False),
            ("http://example.com:8080", "example.com:8080", False),
            ("HTTPS://EXAMPLE.COM", "example.com", True),
            ("https://example.com", "Example.COM:443", True),
            ("https://example.com.", "example.com", True),
            ("https://example.com", "example.com.", True),
            ("https://example.com.:443", "example.com.", True),
            ("http://localhost:9000", "localhost:9000", False),
            ("http://127.0.0.1", "127.0.0.1:80", False),
            ("https://[::1]", "[::1]", True),
            ("https://[::1]:443", "[::1]", True),
            ("https://[::1]:8443", "[0:0:0:0:0:0:0:1]:8443", True),
            ("https://[2001:DB8:0::1]", "[2001:db8::1]:443", True),
        )
        for origin, host, secure in table:
            what = (origin, host, secure)
            head = makeHead(f"Host: {host}", f"Origin: {origin}", drop=("Host",))
            assert accepted(head, secure=secure).origin == origin, what

    def test_H11_foreignOrigin(self) -> None:
        """Every other origin gets 403, however near it looks."""
        table: tuple[tuple[str, str, bool], ...] = (
            ("http://example.com", "example.com", True),
            ("http://example.com:443", "example.com", True),
            ("https://example.com", "example.com", False),
            ("https://example.com:80", "example.com", False),
            ("http://example.com:443", "example.com", False),
            ("https://example.com", "example.com:8443", True),
            ("https://example.com:8443", "example.com", True),
            ("https://[::1]", "[::1]:8443", True),
            ("https://[::2]", "[::1]", True),
            ("https://[::1]", "localhost", True),
            ("https://127.0.0.1", "localhost", True),
            ("https://[::ffff:192.0.2.1]", "192.0.2.1", True),
            ("https://192.0.2.1", "[::ffff:192.0.2.1]", True),
            ("https://192.0.2.10", "192.0.2.1", True),
            *(
                (origin, "example.com", True)
                for origin in (
                    "https://evil.org",
                    # Suffix tricks.
                    "https://example.com.evil.org",
                    "https://example.community",
                    "https://example.com-evil.org",
                    "https://example.com_",
                    "https://example.com..",
                    # Prefix tricks.
                    "https://evilexample.com",
                    "https://evil-example.com",
                    "https://www.example.com",
                    "https://.example.com",
                    "https://xexample.com",
                    # Less of it.
                    "https://example.co",
                    "https://xample.com",
                    "https://com",
                    "https://example",
                    # Other ports and schemes.
                    "https://example.com:444",
                    "https://example.com:4430",
                    "https://example.com:44",
                    "https://example.com:0",
                    "wss://example.com",
                    "ws://example.com",
                    "httpsx://example.com",
                    "xhttps://example.com",
                    "ftp://example.com",
                    "file://example.com",
                    "moz-extension://example.com",
                    # User information.
                    "https://user@example.com",
                    "https://user:password@example.com",
                    "https://@example.com",
                    "https://example.com@evil.org",
                    "https://example.com:443@evil.org",
                    "https://evil.org@example.com",
                    "https://evil.org\\@example.com",
                    # More than an origin.
                    "https://example.com/",
                    "https://example.com/chat",
                    "https://example.com?",
                    "https://example.com#",
                    "https://example.com:443/",
                    "https://evil.org/https://example.com",
                    "https://evil.org?https://example.com",
                    "https://evil.org#https://example.com",
                    # Not one origin.
                    "",
                    "null",
                    "Null",
                    "NULL",
                    "*",
                    "example.com",
                    "example.com:443",
                    "//example.com",
                    "://example.com",
                    "https",
                    "https:",
                    "https://",
                    "https:example.com",
                    "https:/example.com",
                    "https:///example.com",
                    "https:\\\\example.com",
                    "https://https://example.com",
                    "about:blank",
                    "1https://example.com",
                    "https://:443",
                    "https://example.com:https",
                    "https://example.com:65979",
                    "https://example.com:-443",
                    "https://example.com: 443",
                    "https://exam ple.com",
                    "https://example.com\t.evil.org",
                    "https://ex%61mple.com",
                    "https://example\xadcom",
                    "https://ex\xe4mple.com",
                    "https://[example.com]",
                    "https://[::1",
                    "https://::1",
                    '"https://example.com"',
                    # Lists of two.
                    "https://example.com https://evil.org",
                    "https://evil.org https://example.com",
                    "https://example.com https://example.com",
                    "https://example.com, https://evil.org",
                    "https://evil.org,https://example.com",
                    "https://example.com,https://example.com",
                    "https://example.com null",
                    "null, https://example.com",
                )
            ),
        )
        for origin, host, secure in table:
            what = (origin, host, secure)
            head = makeHead(f"Host: {host}", f"Origin: {origin}", drop=("Host",))
            refused(head, 403, what, secure=secure)

    def test_H11_twoHeaders(self) -> None:
        """Two Origin fields get 403, also when each alone would do."""
        own, foreign = "Origin: https://example.com", "Origin: https://evil.org"
        allowed = ServerOptions(allowedOrigins=("https://evil.org", "null"))
        for options in (ANY, allowed):
            for lines in (
                (own, own),
                (own, foreign),
                (foreign, own),
                (own, "origin: null"),
                ("Origin:", own),
                (own, "ORIGIN:"),
            ):
                refused(makeHead(*lines), 403, lines, options)

    def test_H11_allowedOrigins(self) -> None:
        """Origins of the list may connect as well, compared as the own one is."""
        options = ServerOptions(
            allowedOrigins=(
                "https://app.example.org",
                "https://Shop.Example.NET.:8443",
                "http://[0::1]:3000",
                "http://plain.example:80",
                "moz-extension://0a1b",
            )
        )
        for origin in (
            "https://example.com",
            "https://app.example.org",
            "https://app.example.org:443",
            "HTTPS://App.Example.Org",
            "https://app.example.org.",
            "https://shop.example.net:8443",
            "http://[::1]:3000",
            "http://plain.example",
            "moz-extension://0a1b",
        ):
            head = makeHead(f"Origin: {origin}")
            assert accepted(head, options).origin == origin, origin
        for origin in (
            "null",
            "http://app.example.org",
            "https://app.example.org:444",
            "https://app.example.org.evil.org",
            "https://xapp.example.org",
            "https://example.org",
            "https://a.app.example.org",
            "https://app.example.org/",
            "https://u@app.example.org",
            "https://shop.example.net",
            "https://shop.example.net:443",
            "http://shop.example.net:8443",
            "http://[::1]",
            "http://[::2]:3000",
            "http://localhost:3000",
            "https://plain.example",
            "moz-extension://0a1b:1",
            "chrome-extension://0a1b",
            "https://app.example.org, https://app.example.org",
        ):
            refused(makeHead(f"Origin: {origin}"), 403, origin, options)

    def test_H11_null(self) -> None:
        """``null`` may connect only where the list names it."""
        options = ServerOptions(allowedOrigins=("null",))
        assert accepted(makeHead("Origin: null"), options).origin == "null"
        for origin in ("NULL", "null,null", "https://null", "https://evil.org", ""):
            refused(makeHead(f"Origin: {origin}"), 403, origin, options)

    def test_H11_noOrigin(self) -> None:
        """A request without Origin is not a browser's and is accepted, whatever the
        list says."""
        for allowed in ((), ("https://app.example.org",)):
            request = accepted(makeHead(), ServerOptions(allowedOrigins=allowed))
            assert request.origin is None

    def test_H11_targetsAuthority(self) -> None:
        """With a URL as target, the own origin is that of the URL, not of Host."""
        line = "GET https://other.example/ HTTP/1.1"
        own = makeHead("Origin: https://other.example", first=line)
        assert accepted(own).origin == "https://other.example"
        refused(makeHead("Origin: https://example.com", first=line), 403, line)

    def test_H11_anyOrigin(self) -> None:
        """With dangerouslyAllowAnyOrigin all of them may, unreadable ones included; the
        application sees what was sent."""
        options = ServerOptions(dangerouslyAllowAnyOrigin=True)
        for origin in ("https://evil.org", "null", "", "a b", "https://example.com/"):
            assert accepted(makeHead(f"Origin: {origin}"), options).origin == origin
        two = makeHead("Origin: https://a.example", "Origin: https://b.example")
        assert accepted(two, options).origin == "https://a.example"
        assert accepted(makeHead(), options).origin is None


class HostTests(SynchronousTestCase):
    """Which names a server answers to, row H12."""

    def test_H12_allowedHosts(self) -> None:
        """With a list, other hosts get 403; an entry without a port allows every port,
        one with a port only that one."""
        options = ServerOptions(
            allowedHosts=("example.com", "Api.Example.Com.:8443", "[0::1]:9")
        )
        good = (
            "example.com",
            "example.com:443",
            "example.com:1",
            "EXAMPLE.COM.",
            "api.example.com:8443",
            "api.example.com.:8443",
            "[::1]:9",
        )
        bad = (
            "evil.org",
            "example.com.evil.org",
            "evilexample.com",
            "www.example.com",
            "example.co",
            "com",
            "api.example.com",
            "api.example.com:443",
            "api.example.com:84",
            "[::1]",
            "[::1]:99",
            "localhost",
            "127.0.0.1",
        )
        for loopbackOnly in (False, True):
            for host in good:
                head = makeHead(f"Host: {host}", drop=("Host",))
                assert accepted(head, options, loopbackOnly=loopbackOnly), host
            for host in bad:
                head = makeHead(f"Host: {host}", drop=("Host",))
                refused(head, 403, host, options, loopbackOnly=loopbackOnly)

    def test_H12_defaultPort(self) -> None:
        """A request that leaves the default port out names that port (RFC 9110 section
        4.2): it matches an entry with the port, as browsers never write it."""
        table = (
            ("example.com:443", True, "example.com", True),
            ("example.com:80", False, "example.com", True),
            ("example.com:80", True, "example.com", False),
            ("example.com:443", False, "example.com", False),
            ("example.com:8443", True, "example.com", False),
        )
        for entry, secure, host, allowed in table:
            options = ServerOptions(allowedHosts=(entry,))
            head = makeHead(f"Host: {host}", drop=("Host",))
            what = (entry, secure, host)
            if allowed:
                try:
                    accepted(head, options, secure)
                except BadHandshake as error:
                    raise AssertionError(f"{what} got {error.status}") from error
            else:
                refused(head, 403, what, options, secure)

    def test_H12_loopbackOnly(self) -> None:
        """A server on loopback only answers to loopback's names and addresses alone, so
        that a page cannot reach it under a name of its own."""
        for host in (
            "localhost",
            "localhost:8080",
            "LOCALHOST",
            "localhost.",
            "app.localhost",
            "a.b.localhost.:1",
            "127.0.0.1",
            "127.0.0.1:8080",
            "127.9.8.7",
            "[::1]",
            "[::1]:8080",
            "[0:0:0:0:0:0:0:1]",
        ):
            head = makeHead(f"Host: {host}", drop=("Host",))
            assert accepted(head, loopbackOnly=True).headers.get("Host") == host
        for host in (
            "evil.org",
            "example.com",
            "localhost.evil.org",
            "evil-localhost",
            "notlocalhost",
            "localhost.localdomain",
            "localhostx",
            "127.0.0.1.evil.org",
            "127.0.0.1.nip.io",
            "127.0.0.1x",
            "127.1",
            "127.0.0.256",
            "2130706433",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "0.0.0.0",  # noqa: S104
            "128.0.0.1",
            "10.0.0.1",
            "192.168.0.1",
            "[::]",
            "[::2]",
            "[fe80::1]",
            "[2001:db8::1]",
        ):
            head = makeHead(f"Host: {host}", drop=("Host",))
            refused(head, 403, host, loopbackOnly=True)
            assert accepted(head).headers.get("Host") == host

    def test_H12_targetsAuthority(self) -> None:
        """With a URL as target, the list is held against the URL's host."""
        options = ServerOptions(allowedHosts=("example.com",))
        refused(makeHead(first="GET http://evil.org/ HTTP/1.1"), 403, "evil", options)
        head = makeHead(
            "Host: evil.org", first="GET http://example.com/ HTTP/1.1", drop=("Host",)
        )
        assert accepted(head, options).authority.host == "example.com"

    def test_H12_anyHost(self) -> None:
        """With dangerouslyAllowAnyHost every valid host will do."""
        options = ServerOptions(dangerouslyAllowAnyHost=True)
        head = makeHead("Host: evil.org", drop=("Host",))
        assert accepted(head, options, loopbackOnly=True).authority.host == "evil.org"
        refused(makeHead(drop=("Host",)), 400, "no Host", options, loopbackOnly=True)

    def test_H12_checkHost(self) -> None:
        """The check stands on its own too, for requests that are not for WebSocket."""
        handshake = ServerHandshake(ANY)
        handshake.checkHost(Authority("localhost", 80), False, True)
        handshake.checkHost(Authority("evil.org", 80), False, False)
        error = raised(
            BadHandshake, handshake.checkHost, Authority("evil.org", 80), False, True
        )
        assert error.status == 403


class OfferTests(SynchronousTestCase):
    """Subprotocols and extensions that a client offers, rows H13 and H14."""

    def test_H13_subprotocolNames(self) -> None:
        """A subprotocol's name is a token, else 400: of all that a header value may
        hold, only the bytes of tokens go."""
        for byte in (0x09, *range(0x20, 0x7F), *range(0x80, 0x100)):
            character = chr(byte)
            value = f"good, a{character}b"
            head = makeHead(f"Sec-WebSocket-Protocol: {value}")
            if byte in TOKEN_BYTES:
                expected: tuple[str, ...] = ("good", f"a{character}b")
            elif character == ",":
                expected = ("good", "a", "b")
            else:
                refused(head, 400, value)
                continue
            assert accepted(head).subprotocols == expected, value

    def test_H13_otherForms(self) -> None:
        """Quotes, comments and URLs are no names; a list may be empty."""
        for value in (
            '"chat"',
            '"chat, superchat"',
            'chat, "',
            "chat; q=1",
            "chat (x)",
            "chat superchat",
            "https://example.com/chat",
            "caf\xe9",
            "caf\xc3\xa9",
            "\xa0",
            "[chat]",
            "a=b",
        ):
            refused(makeHead(f"Sec-WebSocket-Protocol: {value}"), 400, value)
        for value in ("", ",", " , ,", "\t"):
            head = makeHead(f"Sec-WebSocket-Protocol: {value}")
            assert accepted(head).subprotocols == (), value

    def test_extensionOffers(self) -> None:
        """Offers are read with their parameters, a quoted value without its quotes; any
        number of offers, known or not (section 9.1)."""
        table: tuple[
            tuple[str, tuple[tuple[str, tuple[tuple[str, str | None], ...]], ...]], ...
        ] = (
            ("", ()),
            (", ,", ()),
            ("x", (("x", ()),)),
            ("x, x", (("x", ()), ("x", ()))),
            ("x;a", (("x", (("a", None),)),)),
            ("x ; a = 1 ;b", (("x", (("a", "1"), ("b", None))),)),
            ('x; a="1"', (("x", (("a", "1"),)),)),
            ('x; a="\\1\\0", y', (("x", (("a", "10"),)), ("y", ()))),
            ("x; a; a=2", (("x", (("a", None), ("a", "2"))),)),
        )
        for value, expected in table:
            head = makeHead(f"Sec-WebSocket-Extensions: {value}")
            assert accepted(head).extensionOffers == expected, value

    def test_badExtensions(self) -> None:
        """A header of extensions that is not of the right form gets 400."""
        for value in (
            ";",
            "; a",
            "x y",
            '"x"',
            "x/1",
            "x; a b",
            "x; =1",
            "x; a=",
            "x; a==1",
            "x; a=1 2",
            'x; a=""',
            'x; a="1 2"',
            'x; a="1, y"',
            'x; a="1',
            'x; a=1"',
            'x; a="1"2"',
            'x; a="1\\"',
            "x; a=(1)",
            "x; \xe4",
            "\xe4",
            "good, x; a=",
        ):
            refused(makeHead(f"Sec-WebSocket-Extensions: {value}"), 400, value)

    def test_H14_manyOffers(self) -> None:
        """A hundred and fifty offers are read, on one line or on many."""
        offer = 'permessage-deflate; server_max_window_bits="10"; x'
        expected = (
            "permessage-deflate",
            (("server_max_window_bits", "10"), ("x", None)),
        )
        line = f"Sec-WebSocket-Extensions: {', '.join([offer] * 150)}"
        assert accepted(makeHead(line)).extensionOffers == (expected,) * 150
        lines = [f"Sec-WebSocket-Extensions: {offer}"] * 150
        assert accepted(makeHead(*lines)).extensionOffers == (expected,) * 150

    def test_H14_linearTime(self) -> None:
        """Headers that would keep a backtracking parser busy for years are judged in
        time linear in their length."""
        size = 100_000
        for value, isGood in (
            ("," * size, True),
            (" ," * size + "x", True),
            ("x" + " " * size + "y", False),
            ("x" + ";" * size, False),
            ("x" + "; a" * size, True),
            ("x" + "; a=1" * size, True),
            ("x;" + "a=" * size, False),
            ("x; a=" + '"' * size, False),
            ('x; a="' + "\\" * size, False),
            ('x; a="' + '\\"' * size, False),
            ('x; a="' + "\\a" * size + '"', True),
            ('x; a="' + '", "' * size, False),
            ("x; " + "a" * size + "(", False),
            ("x; a" + "\t " * size + "(", False),
            ("a" * size + "\xe4", False),
        ):
            head = makeHead(f"Sec-WebSocket-Extensions: {value}")
            started = time.process_time()
            if isGood:
                accepted(head)
            else:
                refused(head, 400, value[:20])
            # Linear is a few hundredths of a second; quadratic many seconds at least.
            assert time.process_time() - started < 2, value[:20]


class InjectionTests(SynchronousTestCase):
    """What an application returns cannot end a header early, row H15."""

    def test_H15_values(self) -> None:
        """A control character in a header's value is a ValueError at the call, for
        every one of them and wherever it stands; nothing is added."""
        request = accepted(makeHead())
        for byte in CONTROL_BYTES:
            character = chr(byte)
            for value in (
                character,
                f"{character}a",
                f"a{character}",
                f"a{character}Set-Cookie: b",
            ):
                raised(ValueError, request.responseHeaders.add, "X", value)
                raised(ValueError, Headers, {"X": value})
                raised(ValueError, ResponseHeaders, [("X", value)])
                raised(ValueError, HandshakeRejected, 401, {"X": value})
                raised(ValueError, HandshakeRejected, 401, [("X", value)])
        # Cut down to a byte, this would be a line feed.
        raised(ValueError, request.responseHeaders.add, "X", "\u010a")
        assert len(request.responseHeaders) == 0
        assert ServerHandshake.accept(request).count(b"\r\n") == 5

    def test_H15_names(self) -> None:
        """A header's name is a token, else a ValueError at the call."""
        request = accepted(makeHead())
        names = [
            form
            for byte in range(256)
            if byte not in TOKEN_BYTES
            for form in (chr(byte), f"{chr(byte)}X", f"X{chr(byte)}", f"X{chr(byte)}Y")
        ]
        for name in ["", *names, "X\u010a", "X: a\r\nY"]:
            raised(ValueError, request.responseHeaders.add, name, "v")
            raised(ValueError, HandshakeRejected, 401, {name: "v"})
        assert len(request.responseHeaders) == 0

    def test_H15_redirect(self) -> None:
        """A redirect's target is a header value like others."""
        for target in (
            "https://example.com/\r\nSet-Cookie: a=b",
            "https://example.com/\n",
            "/\r",
            "/\0",
            "\r\n\r\n<script>",
        ):
            raised(ValueError, HandshakeRejected, 302, {"Location": target})

    def test_H15_subprotocol(self) -> None:
        """A subprotocol with a control character can neither be offered nor chosen nor
        set in the options."""
        request = accepted(makeHead("Sec-WebSocket-Protocol: chat"))
        for byte in CONTROL_BYTES:
            for name in (f"chat{chr(byte)}", f"{chr(byte)}chat", f"ch{chr(byte)}at"):
                raised(ValueError, request.selectSubprotocol, name)
                raised(InvalidOption, ServerOptions, subprotocols=(name,))
        assert request.subprotocol is None

    def test_H15_ownHeaders(self) -> None:
        """Headers that frame the response or make the handshake are the server's own:
        a ValueError, in any case."""
        framing = ("Connection", "Content-Length", "Transfer-Encoding")
        handshake = (
            "Upgrade",
            "Sec-WebSocket-Accept",
            "Sec-WebSocket-Extensions",
            "Sec-WebSocket-Protocol",
        )
        responseHeaders = ResponseHeaders()
        for name in (*framing, *handshake):
            for form in (name, name.lower(), name.upper(), name.swapcase()):
                raised(ValueError, responseHeaders.add, form, "x")
                raised(ValueError, ResponseHeaders, {form: "x"})
        assert len(responseHeaders) == 0
        for name in framing:
            for form in (name, name.lower(), name.upper(), name.swapcase()):
                raised(ValueError, HandshakeRejected, 401, {form: "x"})


class RefusalTests(SynchronousTestCase):
    """The responses that refuse a request."""

    def test_encodeRefusal(self) -> None:
        """A refusal is a complete response that closes the connection."""
        error = BadHandshake(403, "not you")
        assert encodeRefusal(error, DATE, False) == (
            b"HTTP/1.1 403 Forbidden\r\n"
            b"Date: Mon, 27 Jul 2026 12:28:53 GMT\r\n"
            b"Content-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: 23\r\n"
            b"Connection: close\r\n"
            b"\r\n"
            b"403 Forbidden: not you\n"
        )

    def test_applicationsRefusal(self) -> None:
        """An application's status, headers and body go out as given; text is UTF-8."""
        rejection = HandshakeRejected(
            401,
            [("WWW-Authenticate", 'Basic realm="caf\xe9"'), ("X", "1"), ("X", "2")],
            "pass wörd\n",
        )
        assert encodeRefusal(rejection, DATE, False) == (
            b"HTTP/1.1 401 Unauthorized\r\n"
            b"Date: Mon, 27 Jul 2026 12:28:53 GMT\r\n"
            b'WWW-Authenticate: Basic realm="caf\xe9"\r\n'
            b"X: 1\r\n"
            b"X: 2\r\n"
            b"Content-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: 11\r\n"
            b"Connection: close\r\n"
            b"\r\n"
            b"pass w\xc3\xb6rd\n"
        )

    def test_bytesBody(self) -> None:
        """A body in bytes goes out as it is, without a type of the server's."""
        for body in (b"\x00\xff\r\n", b""):
            rejection = HandshakeRejected(503, {"Retry-After": "10"}, body)
            assert encodeRefusal(rejection, DATE, False) == (
                b"HTTP/1.1 503 Service Unavailable\r\n"
                b"Date: Mon, 27 Jul 2026 12:28:53 GMT\r\n"
                b"Retry-After: 10\r\n"
                b"Content-Length: %d\r\n"
                b"Connection: close\r\n"
                b"\r\n"
                b"%b" % (len(body), body)
            )

    def test_ownType(self) -> None:
        """The application's Content-Type is kept."""
        rejection = HandshakeRejected(404, {"content-type": "text/html"}, "<p>no")
        assert encodeRefusal(rejection, DATE, False) == (
            b"HTTP/1.1 404 Not Found\r\n"
            b"Date: Mon, 27 Jul 2026 12:28:53 GMT\r\n"
            b"content-type: text/html\r\n"
            b"Content-Length: 5\r\n"
            b"Connection: close\r\n"
            b"\r\n"
            b"<p>no"
        )

    def test_head(self) -> None:
        """HEAD gets the head of what another method would get (RFC 9110 section
        9.3.2)."""
        for rejection in (
            BadHandshake(405, "WebSocket needs GET", {"Allow": "GET"}, True),
            HandshakeRejected(302, {"Location": "/x"}, b"bytes"),
            HandshakeRejected(304),
        ):
            whole = encodeRefusal(rejection, DATE, False)
            head = encodeRefusal(rejection, DATE, True)
            assert head == whole[: whole.index(b"\r\n\r\n") + 4]

    def test_notModified(self) -> None:
        """304 has neither body nor length (RFC 9110 section 15.4.5)."""
        for isHead in (False, True):
            rejection = HandshakeRejected(304, {"ETag": '"a"'}, b"ignored")
            assert encodeRefusal(rejection, DATE, isHead) == (
                b"HTTP/1.1 304 Not Modified\r\n"
                b"Date: Mon, 27 Jul 2026 12:28:53 GMT\r\n"
                b'ETag: "a"\r\n'
                b"Connection: close\r\n"
                b"\r\n"
            )

    def test_upgradeRequired(self) -> None:
        """A response with Upgrade names it in Connection (RFC 9110 section 7.8)."""
        error = refused(makeHead(drop=("Sec-WebSocket-Version",)), 426, "no version")
        body = b"426 Upgrade Required: this server speaks WebSocket version 13\n"
        assert encodeRefusal(error, DATE, False) == (
            b"HTTP/1.1 426 Upgrade Required\r\n"
            b"Date: Mon, 27 Jul 2026 12:28:53 GMT\r\n"
            b"Sec-WebSocket-Version: 13\r\n"
            b"Upgrade: websocket\r\n"
            b"Content-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: %d\r\n"
            b"Connection: close, Upgrade\r\n"
            b"\r\n"
            b"%b" % (len(body), body)
        )

    def test_unknownStatus(self) -> None:
        """A status without a phrase still has the space before it (RFC 9112 section
        4)."""
        wire = encodeRefusal(HandshakeRejected(599, (), b""), DATE, True)
        assert wire.startswith(b"HTTP/1.1 599 \r\nDate: ")


class SecrecyTests(SynchronousTestCase):
    """What a log may get to see."""

    MARK = "s3cr3t"

    def test_reprs(self) -> None:
        """No repr shows a query, a credential or a cookie."""
        head = makeHead(
            f"Authorization: Bearer {self.MARK}",
            f"Cookie: session={self.MARK}",
            f"Sec-WebSocket-Protocol: {self.MARK}",
            first=f"GET /chat?token={self.MARK} HTTP/1.1",
        )
        request = accepted(head)
        request.responseHeaders.add("Set-Cookie", f"session={self.MARK}")
        request.peer = "peer"
        assert repr(request) == "<Request '/chat' from peer>"
        rejection = HandshakeRejected(
            302, {"Location": f"/?token={self.MARK}"}, self.MARK
        )
        shown = (
            request,
            request.headers,
            request.responseHeaders,
            head,
            rejection,
            rejection.headers,
        )
        for each in shown:
            for text in (repr(each), str(each)):
                assert self.MARK not in text, (type(each).__name__, text)

    def test_refusals(self) -> None:
        """What a refusal says, to the peer and to the log, holds nothing that the peer
        sent."""
        mark = self.MARK
        table: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
            ((f"Host: {mark} x",), ("Host",)),
            ((f"Connection: {mark}",), ("Connection",)),
            ((f"Sec-WebSocket-Key: {mark}",), ("Sec-WebSocket-Key",)),
            ((f"Sec-WebSocket-Version: {mark}",), ("Sec-WebSocket-Version",)),
            ((f"Sec-WebSocket-Protocol: {mark} x",), ()),
            ((f"Sec-WebSocket-Extensions: {mark} x",), ()),
            ((f"Sec-WebSocket-Extensions: x; {mark} x",), ()),
            ((f"Sec-WebSocket-Extensions: x; x={mark} x",), ()),
            ((f"Origin: {mark}",), ()),
            ((f"Origin: https://{mark}",), ()),
            ((f"Content-Length: {mark}",), ()),
            ((f"Transfer-Encoding: {mark}",), ()),
        )
        heads = [(makeHead(*lines, drop=drop), lines) for lines, drop in table]
        heads.append((makeHead(first=f"{mark} / HTTP/1.1"), ("method",)))
        heads.append((makeHead(first=f"GET {mark} HTTP/1.1"), ("target",)))
        handshake = ServerHandshake(ANY)
        for head, what in heads:
            error = raised(BadHandshake, handshake.read, head, True, False)
            said = f"{error} {error!r} {error.why} {error.headers!r}"
            assert mark not in said, what
            assert mark.encode() not in encodeRefusal(error, DATE, False), what
