"""HTTP CONNECT (RFC 9110 section 9.3.6), the client's side.

A :class:`ConnectNegotiation` gives the request, takes what the proxy sends, and says
when the tunnel stands, or how it was refused.
"""

from __future__ import annotations

import re
from base64 import b64encode

from .errors import ProxyFailed
from .headers import Headers, MalformedHead, parseRequestHead, splitList, statusPhrase
from .options import KIB

__all__ = [
    "MAX_BODY",
    "MAX_HEAD",
    "MAX_HEADERS",
    "MAX_LINE",
    "ConnectNegotiation",
    "ResponseBody",
    "basicCredentials",
]

MAX_LINE = 8 * KIB
"""Bytes in a line of the proxy's answer at most."""
MAX_HEAD = 16 * KIB
"""Bytes in the head of the proxy's answer at most, that of interim ones included."""
MAX_HEADERS = 100
"""Header lines in the proxy's answer at most."""
MAX_BODY = 64 * KIB
"""Bytes that are kept of the body of a refusal at most."""

_START = b"HTTP/1."
_STATUS_LINE = re.compile(
    rb"HTTP/1\.[0-9] ([1-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?"
)
_DIGITS = re.compile(r"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
# A line of chunked coding holds a number; nobody sends long extensions with it.
_MAX_CHUNK_LINE = KIB
# What belongs to the request's form. There is no body to frame.
_OWN_HEADERS = ("Host", "Content-Length", "Transfer-Encoding")


def basicCredentials(user: str, password: str) -> str:
    """Write user and password for an ``Authorization`` or ``Proxy-Authorization``
    header (RFC 7617), as UTF-8.

    :param user: has no colon and no control characters
    :param password: has no control characters
    """
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode('ascii')}"


class ConnectNegotiation:
    """Asks an HTTP proxy for a tunnel. It never holds more than ``MAX_HEAD``,
    ``MAX_LINE``, ``MAX_BODY`` and the last segment.

    :param authority: ``host:port``, where to; an IPv6 address is in brackets
    :param headers: further headers of the request
    :param user: has no colon and no control characters; None for nobody. Where the
        headers have a ``Proxy-Authorization``, that counts.
    :param password: has no control characters
    :raises ValueError: a header is one that belongs to the request's form
    """

    isDone = False
    """Whether the tunnel stands."""
    rest = b""
    """What came through the tunnel right behind the proxy's answer."""

    def __init__(
        self,
        authority: str,
        headers: Headers,
        user: str | None = None,
        password: str = "",
    ) -> None:
        for name in _OWN_HEADERS:
            if name in headers:
                raise ValueError(f"header {name} is not for a CONNECT request")
        fields = [("Host", authority), *headers]
        if user is not None and "Proxy-Authorization" not in headers:
            fields.append(("Proxy-Authorization", basicCredentials(user, password)))
        head = [f"CONNECT {authority} HTTP/1.1"]
        head += [f"{name}: {value}" for name, value in fields]
        self._request = "\r\n".join([*head, "", ""]).encode("latin-1")
        self._buffer = bytearray()
        self._searched = 0
        self._headSize = 0
        self._lines: list[bytes] = []
        self._status = 0
        self._headers = Headers()
        self._body: ResponseBody | None = None

    def start(self) -> bytes:
        """Give the first, and only, bytes for the proxy."""
        return self._request

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the proxy.

        :param data: any bytes
        :returns: what to send to it, which is nothing
        :raises ProxyFailed: there will be no tunnel
        """
        if self._body is None:
            self._buffer += data
            self._readHead()
        else:
            self._body.feed(data)
        if self._body is not None and self._body.isComplete:
            raise self._refusal(self._body)
        return b""

    def failure(self, why: str) -> ProxyFailed:
        """Give the error for a negotiation that ends here: the proxy's refusal if it
        sent one, with what there is of its body.

        :param why: what the proxy did
        """
        if self._body is not None:
            return self._refusal(self._body)
        return ProxyFailed(f"the proxy {why}")

    def _refusal(self, body: ResponseBody) -> ProxyFailed:
        text = f"{self._status} {statusPhrase(self._status)}".rstrip()
        return ProxyFailed(
            f"the proxy refused the tunnel: {text}",
            status=self._status,
            headers=self._headers,
            body=bytes(body.content),
        )

    def _readHead(self) -> None:
        """Read lines, as far as there are any."""
        buffer = self._buffer
        while not self.isDone and self._body is None:
            start = bytes(buffer[: len(_START)])
            if not self._lines and not _START.startswith(start):
                # Said now: who speaks another protocol may wait for us for ever.
                hint = "; is it a SOCKS proxy?" if start[0] in (0, 4, 5) else ""
                raise ProxyFailed(f"the proxy does not answer in HTTP/1{hint}")
            end = buffer.find(b"\n", self._searched)
            size = (end if end >= 0 else len(buffer)) + 1
            # The line end does not count.
            if size > MAX_LINE + 2:
                raise ProxyFailed(f"the proxy sent a line over {MAX_LINE} bytes")
            if self._headSize + size > MAX_HEAD:
                raise ProxyFailed(f"the proxy sent a head over {MAX_HEAD} bytes")
            if end < 0:
                self._searched = len(buffer)
                return
            line = bytes(buffer[:size])
            del buffer[:size]
            self._searched = 0
            self._headSize += size
            if not line.endswith(b"\r\n"):
                raise ProxyFailed("a line of the proxy's answer does not end in CR LF")
            self._lineReceived(line[:-2])

    def _lineReceived(self, line: bytes) -> None:
        if line:
            if len(self._lines) > MAX_HEADERS:
                raise ProxyFailed(f"the proxy sent over {MAX_HEADERS} header lines")
            self._lines.append(line)
            return
        lines, self._lines = self._lines, []
        status, headers = _parseHead(lines)
        if status == 101:
            raise ProxyFailed("the proxy switched to a protocol nobody asked for")
        if status < 200:
            # An interim answer (RFC 9110 section 15.2): another one follows.
            return
        if status < 300:
            # Content-Length and Transfer-Encoding mean nothing here, says section
            # 9.3.6: all that follows comes through the tunnel.
            self.isDone = True
            self.rest = bytes(self._buffer)
        else:
            self._status, self._headers = status, headers
            self._body = ResponseBody(status, headers, MAX_BODY)
            self._body.feed(bytes(self._buffer))
        self._buffer.clear()


def _parseHead(lines: list[bytes]) -> tuple[int, Headers]:
    matched = _STATUS_LINE.fullmatch(lines[0]) if lines else None
    if matched is None:
        raise ProxyFailed("the proxy's answer does not begin with a status line")
    try:
        # Header lines are the same in requests, and judged as strictly.
        head = parseRequestHead([b"CONNECT * HTTP/1.1", *lines[1:]])
    except MalformedHead as error:
        raise ProxyFailed(f"the proxy's answer is not HTTP: {error}") from None
    return int(matched[1]), head.headers


class ResponseBody:
    """Collects the body of a response that is the last one on its connection.

    It is for somebody who wants to know why something was refused: a body that is
    framed wrongly ends where that shows, and that is no error.

    :param status: the response's status
    :param headers: the response's headers
    :param limit: bytes that are kept; with more, the body ends there
    """

    isComplete = False
    """Whether nothing more of the body will be kept. A body without a length ends with
    the connection."""

    def __init__(self, status: int, headers: Headers, limit: int) -> None:
        self.content = bytearray()
        """What there is of the body."""
        self._limit = limit
        self._isChunked = False
        self._pending = bytearray()
        self._chunkLeft = 0
        self._chunkEnds = False
        # RFC 9112 section 6.3, in its order.
        codings = splitList(",".join(headers.getAll("Transfer-Encoding")))
        lengths = headers.getAll("Content-Length")
        if status in (204, 304):
            self._limit = 0
        elif codings:
            self._isChunked = codings[-1].lower() == "chunked"
        elif len(lengths) == 1 and _DIGITS.fullmatch(lengths[0]):
            self._limit = min(limit, int(lengths[0]))
        self._keep(b"")

    def feed(self, data: bytes) -> None:
        """Take bytes of the body as they come.

        :param data: any bytes
        """
        if not self._isChunked:
            self._keep(data)
            return
        self._pending += data
        while not self.isComplete and self._readChunk():
            pass

    def _keep(self, data: bytes | bytearray) -> None:
        self.content += data[: self._limit - len(self.content)]
        self.isComplete = len(self.content) >= self._limit

    def _readChunk(self) -> bool:
        """Take the next line, or what there is of a chunk (RFC 9112 section 7.1).

        :returns: whether to go on; if not, more bytes are needed
        """
        pending = self._pending
        if self._chunkLeft:
            data = pending[: self._chunkLeft]
            del pending[: len(data)]
            self._chunkLeft -= len(data)
            self._keep(data)
            return bool(pending)
        end = pending.find(b"\n", 0, _MAX_CHUNK_LINE)
        if end < 0:
            self.isComplete = len(pending) >= _MAX_CHUNK_LINE
            return False
        line = bytes(pending[:end]).removesuffix(b"\r")
        del pending[: end + 1]
        if self._chunkEnds:
            self._chunkEnds = False
            self.isComplete = bool(line)
            return True
        size = line.partition(b";")[0].rstrip(b" \t")
        if _CHUNK_SIZE.fullmatch(size) is None:
            self.isComplete = True
            return True
        self._chunkLeft = int(size, 16)
        self._chunkEnds = True
        # The last chunk has size 0. Trailers behind it are nobody's concern.
        self.isComplete = not self._chunkLeft
        return True
