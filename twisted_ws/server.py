"""The server's end of a connection, up to the 101: lines, a decision, an answer.

:class:`ServerProtocol` reads the request head in line mode and has it judged by
:mod:`twisted_ws.handshake`; the factory's application decides; the answer is a 101,
behind which frames begin in raw mode, or a complete HTTP response. A request that does
not ask for WebSocket goes to twisted.web, if the factory has a site.
"""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import formatdate
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from .deciding import Admission, DecidingProtocol, listensOnLoopbackOnly
from .errors import BadHandshake, HandshakeRejected
from .handshake import (
    ServerHandshake,
    encodeRefusal,
    plainRequest,
    readTarget,
)
from .headers import MalformedHead, RequestHead, parseRequestHead
from .redaction import Later, nameRequest
from .tls import describeTLSError, isSecure

__all__ = ["ServerProtocol"]

_log = Logger()

# No line has come; never changed.
_NO_LINES: list[bytes] = []
_HEAD_END = b"\r\n\r\n"
_LEADING_EMPTY_LINES = 4
"""Most empty lines before a request. Each costs a copy of the segment behind it, so
thousands would take long."""
_PAGE_TIMEOUT = 60.0
"""Seconds that a page may take without a byte of it being written: its reader is gone,
or never was one."""


@implementer(IHandshakeListener)
class ServerProtocol(DecidingProtocol):
    """One connection that a client made to a port of ours.

    :param factory: decides, and has options, handshake and clock
    """

    __slots__ = ("_lines",)

    _headSize = 0
    _isHead = False
    _tlsDone = True
    _successor: Any = None

    # Not CRLF, so that a line that ends in a bare LF is seen at once; a peer that knows
    # no other would have to wait until its time is up.
    delimiter = b"\n"

    def __init__(self, factory: Admission) -> None:
        super().__init__(factory)
        # The request line and header lines that have come; None when the head is over.
        self._lines: list[bytes] | None = _NO_LINES

    @property
    def MAX_LENGTH(self) -> int:  # type: ignore[override]
        """Most bytes of a line, with its CR."""
        return self.options.maxHeaderLine + 1

    # The request head, in line mode

    def connectionMade(self) -> None:
        """The TCP connection has been made; with TLS, that handshake comes first."""
        if isSecure(self.transport):
            self._tlsDone = False
        super().connectionMade()
        end = self._clock.seconds() + self.options.handshakeTimeout
        self._deadlines.watch(self, end)

    def handshakeCompleted(self) -> None:
        """The TLS handshake is done (``IHandshakeListener``)."""
        self._tlsDone = True

    def _headDataReceived(self, data: bytes) -> Any:
        """Take bytes before there are frames: the whole head at once, if it can be."""
        lines = self._wholeHead(data) if self._lines is _NO_LINES else None
        if lines is None:
            return super()._headDataReceived(data)
        rest = data[data.index(_HEAD_END) + len(_HEAD_END) :]
        if rest:
            self._buffer = rest
        # From here on as LineReceiver does it behind a line: what is received while the
        # head is being dealt with waits behind what came with it.
        self._busyReceiving = True
        try:
            self._headReceived(lines)
        finally:
            self._busyReceiving = False
        if self._buffer and not self.transport.disconnecting:
            return super()._headDataReceived(b"")
        return None

    def _wholeHead(self, data: bytes) -> list[bytes] | None:
        """Cut the first segment of a connection into lines at once, as nearly every
        head comes in one.

        :param data: the segment
        :returns: the lines of the head; None if it has not come whole, or if
            :meth:`lineReceived` may find fault with any of it, and is to say so
        """
        if self._buffer or self._headSize or self._busyReceiving:
            return None
        options = self.options
        size = data.find(_HEAD_END)
        if size <= 0 or size + len(_HEAD_END) > options.maxHeadSize:
            return None
        lines = data[:size].split(b"\r\n")
        if (
            len(lines) > options.maxHeaders + 1
            or max(map(len, lines)) > options.maxHeaderLine
            or data.count(b"\n", 0, size) >= len(lines)
            or not lines[0]
        ):
            return None
        return lines

    def lineReceived(self, line: bytes) -> None:
        """Take a line of the request head.

        :param line: without its LF
        """
        if self._lines is None:
            return
        self._headSize += len(line) + 1
        if self._headSize > self.options.maxHeadSize:
            self._refuse(_tooLarge(f"a head over {self.options.maxHeadSize} bytes"))
            return
        if not line.endswith(b"\r"):
            why = "a line of the request does not end in CR LF"
            self._refuse(BadHandshake(400, why, lingering=True))
            return
        line = line[:-1]
        if line:
            if len(self._lines) > self.options.maxHeaders:
                self._refuse(_tooLarge(f"over {self.options.maxHeaders} header lines"))
            elif self._lines is _NO_LINES:
                self._lines = [line]
            else:
                self._lines.append(line)
        elif self._lines:
            self._headReceived(self._lines)
        elif self._headSize > _LEADING_EMPTY_LINES * 2:
            why = "empty lines before the request line"
            self._refuse(BadHandshake(400, why, lingering=True))
        # Else one that is to be ignored (RFC 9112 section 2.2).

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line is longer than ``maxHeaderLine``.

        :param line: what has come
        """
        if self._lines is not None:
            self._refuse(_tooLarge(f"a line over {self.options.maxHeaderLine} bytes"))

    def _headReceived(self, lines: list[bytes]) -> None:
        self._lines = None
        self.setRawMode()  # type: ignore[no-untyped-call]
        self._where = "a request that is not HTTP"
        try:
            head = parseRequestHead(lines)
        except MalformedHead as error:
            self._refuse(BadHandshake(400, str(error), lingering=True))
            return
        if head.method == "HEAD":
            self._isHead = True
        self._where = Later(nameRequest, head.method, head.target)
        try:
            if plainRequest(head):
                self._plainRequest(head, lines)
            else:
                self._upgradeRequest(head)
        except HandshakeRejected as rejection:
            self._refuse(rejection)

    def _upgradeRequest(self, head: RequestHead) -> None:
        """Judge a request for WebSocket, and have it decided.

        :raises HandshakeRejected: it is not to be
        """
        self.admit(ServerHandshake.parse(head, isSecure(self.transport)))

    def _plainRequest(self, head: RequestHead, lines: list[bytes]) -> None:
        """Give a request that does not ask for WebSocket to twisted.web.

        :raises HandshakeRejected: there is no site, or it is not to be
        """
        if head.version[0] != 1:
            raise BadHandshake(505, "this server speaks HTTP/1.1")
        if head.version >= (1, 1):
            authority, path, _ = readTarget(head)
            self.factory.handshake.checkHost(
                authority,
                isSecure(self.transport),
                listensOnLoopbackOnly(self.transport),
            )
        else:
            path = head.target.partition("?")[0]
        site = self.factory.site
        # With the root for both, browsers that ask for a page get it.
        if site is None or (self.factory.isWebSocketOnly(path) and path != "/"):
            hasBody = "Content-Length" in head.headers or (
                "Transfer-Encoding" in head.headers
            )
            raise BadHandshake(
                426,
                "this is a WebSocket server",
                {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"},
                lingering=hasBody,
            )
        if head.method not in ("GET", "HEAD"):
            raise BadHandshake(
                405, "pages are only read here", {"Allow": "GET, HEAD"}, lingering=True
            )
        self.factory.handshake.checkBody(head.headers)
        self.factory.checkLimits(self)
        successor: Any = site.buildProtocol(self.transport.getPeer())
        if successor is None:
            # So a factory says no, to the connection as a whole.
            self._abort()
            return
        self._successor = successor
        # The head's, which may be later.
        self._deadlines.forget(self)
        self._pageProgress()
        successor.makeConnection(_PageTransport(self.transport, self))
        successor.dataReceived(_singleRequest(head, lines))

    def _pageProgress(self) -> None:
        """Something of a page was written: it may take that long again."""
        self._endBy = self._clock.seconds() + _PAGE_TIMEOUT
        if not self.watchedUntil:
            self._watch()

    def _pageWritten(self) -> None:
        """The page is written; what remains is to send it and to close."""
        self._setEnd()

    def _earlyData(self, data: bytes) -> None:
        """Take what follows the request head before there are frames."""
        if self._successor is not None:
            self._successor.dataReceived(data)
        else:
            super()._earlyData(data)

    # Refusals

    def _refuse(self, rejection: HandshakeRejected) -> None:
        """Answer with a complete HTTP response and close the connection behind it."""
        self._logRefusal(rejection)
        self._lines = None
        self._refused = True
        self.clearLineBuffer()  # type: ignore[no-untyped-call]
        self.setRawMode()  # type: ignore[no-untyped-call]
        date = formatdate(self._clock.seconds(), usegmt=True)
        self.transport.write(encodeRefusal(rejection, date, self._isHead))
        if getattr(rejection, "lingering", False) or self._pendingBytes:
            self._linger()
        else:
            self._deaf = True
            self._setEnd()
            self.transport.loseConnection()

    def deadlineReached(self, now: float) -> float | None:
        """Do what is due.

        :param now: seconds
        :returns: when to look again
        """
        if self._lines is None or self._lost is not None:
            return super().deadlineReached(now)
        if self._tlsDone:
            self._refuse(BadHandshake(408, "the request took too long", lingering=True))
            return self._nextDeadline()
        _log.info("TLS handshake with {peer} took too long", peer=self._peer())
        self._lines = None
        self._abort()
        return None

    # The end

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The transport below is gone.

        :param reason: how
        """
        if not self._tlsDone and reason.check(SSL.Error):
            _log.info(
                "TLS handshake with {peer} failed: {why}",
                peer=self._peer(),
                why=describeTLSError(reason.value),
            )
        super().connectionLost(reason)
        if self._successor is not None:
            self._successor.connectionLost(reason)

    def shutDown(self, code: int, reason: str) -> None:
        """The server is going away: close, however far the connection has come.

        :param code: for the Close frame
        :param reason: for the Close frame
        """
        if self._successor is not None:
            # A response is on its way, and the connection ends behind it.
            return
        if self._lines is None:
            super().shutDown(code, reason)
            return
        self._lines = None
        self._refused = self._deaf = True
        if isSecure(self.transport):
            # Nothing was asked, so nothing is owed. TLS would wait for the peer's
            # goodbye, and browsers keep spare connections.
            self._abort()
        else:
            self._setEnd()
            self.transport.loseConnection()


def _tooLarge(what: str) -> BadHandshake:
    return BadHandshake(431, f"the request has {what}", lingering=True)


def _singleRequest(head: RequestHead, lines: list[bytes]) -> bytes:
    """Write a request head anew so that its response ends the connection.

    The connection is handed over whole, and twisted.web cannot hand it back for a
    WebSocket handshake in a later request. A whole URL in the request line becomes a
    path and a Host header, which is all that twisted.web reads.
    """
    dropped = {b"connection", b"keep-alive", b"expect"}
    added = [b"Connection: close"]
    first = lines[0]
    if not head.target.startswith("/") and head.version >= (1, 1):
        authority, path, query = readTarget(head)
        port = "" if authority.port is None else f":{authority.port}"
        target = f"{path}?{query}" if query else path
        first = f"{head.method} {target} HTTP/1.1".encode("ascii")
        dropped.add(b"host")
        added.append(f"Host: {authority.host}{port}".encode("ascii"))
    kept = [
        line for line in lines[1:] if line.partition(b":")[0].lower() not in dropped
    ]
    return b"\r\n".join([first, *kept, *added, b"", b""])


class _PageTransport:
    """The transport as twisted.web gets it: the same, but what is written is noticed,
    so that a page whose reader does not read does not stay for ever."""

    def __init__(self, transport: Any, connection: ServerProtocol) -> None:
        self._transport = transport
        self._connection = connection

    def write(self, data: bytes) -> None:
        self._connection._pageProgress()
        self._transport.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self._connection._pageProgress()
        self._transport.writeSequence(data)

    def loseConnection(self) -> None:
        self._connection._pageWritten()
        self._transport.loseConnection()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
