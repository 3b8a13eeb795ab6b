"""HTTP CONNECT (RFC 9110 section 9.3.6), the client's side.

A :class:`ConnectNegotiation` gives the request, takes what the proxy sends, and says
when the tunnel stands, or how it was refused.
"""

from __future__ import annotations

from .clienthandshake import ResponseBody, basicAuthorization
from .errors import ProxyFailed
from .headers import (
    Headers,
    MalformedHead,
    ResponseHead,
    parseResponseHead,
    statusPhrase,
)
from .knobs import KIB

__all__ = [
    "MAX_BODY",
    "MAX_HEAD",
    "MAX_HEADERS",
    "MAX_LINE",
    "ConnectNegotiation",
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
# What belongs to the request's form. There is no body to frame.
_OWN_HEADERS = ("Host", "Content-Length", "Transfer-Encoding")


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
            fields.append(("Proxy-Authorization", basicAuthorization(user, password)))
        head = [f"CONNECT {authority} HTTP/1.1"]
        head += [f"{name}: {value}" for name, value in fields]
        self._request = "\r\n".join([*head, "", ""]).encode("latin-1")
        self._buffer = bytearray()
        self._searched = 0
        self._headSize = 0
        self._lines: list[bytes] = []
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
        status = body.head.status
        text = f"{status} {statusPhrase(status)}".rstrip()
        return ProxyFailed(
            f"the proxy refused the tunnel: {text}",
            status=status,
            headers=body.head.headers,
            body=body.content,
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
        head = _parseHead(lines)
        if head.status == 101:
            raise ProxyFailed("the proxy switched to a protocol nobody asked for")
        if head.status < 200:
            # An interim answer (RFC 9110 section 15.2): another one follows.
            return
        if head.status < 300:
            # Content-Length and Transfer-Encoding mean nothing here, says section
            # 9.3.6: all that follows comes through the tunnel.
            self.isDone = True
            self.rest = bytes(self._buffer)
        else:
            self._body = ResponseBody(head, MAX_BODY)
            self._body.feed(bytes(self._buffer))
        self._buffer.clear()


def _parseHead(lines: list[bytes]) -> ResponseHead:
    try:
        return parseResponseHead(lines)
    except MalformedHead as error:
        raise ProxyFailed(f"the proxy's answer is not HTTP: {error}") from None
