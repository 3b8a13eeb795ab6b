"""The server's end of a connection, up to the 101: lines, a decision, an answer.

:class:`ServerProtocol` reads the request head in line mode and has it judged by
:mod:`twisted_ws.handshake`; the factory's application decides; the answer is a 101,
behind which frames begin in raw mode, or a complete HTTP response. A request that does
not ask for WebSocket goes to twisted.web, if the factory has a site.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from email.utils import formatdate
from inspect import isawaitable
from typing import Any, Protocol

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from .connection import Connection, Role
from .errors import BadHandshake, ConnectionFailed, HandshakeRejected
from .handshake import (
    Request,
    ServerHandshake,
    encodeRefusal,
    plainRequest,
    readTarget,
)
from .headers import MalformedHead, RequestHead, parseRequestHead
from .interfaces import asDeferred
from .options import ServerOptions
from .origins import isLoopbackHost
from .protocol import WireProtocol
from .redaction import loggable, withoutQuery
from .timers import Deadlines
from .tls import isSecure, peerCertificate

__all__ = ["Admission", "ServerProtocol", "listensOnLoopbackOnly"]

_log = Logger()

_LEADING_EMPTY_LINES = 4
"""Most empty lines before a request. Each costs a copy of the segment behind it, so
thousands would take long."""
_PAGE_TIMEOUT = 60.0
"""Seconds that a page may take without a byte of it being written: its reader is gone,
or never was one."""


class Admission(Protocol):
    """What a connection asks of its factory, which
    :class:`twisted_ws.factory.WebSocketServerFactory` gives."""

    options: ServerOptions
    handshake: ServerHandshake
    path: str | None
    site: Any

    @property
    def clock(self) -> IReactorTime:
        """The reactor."""

    @property
    def deadlines(self) -> Deadlines:
        """The deadlines of all connections."""

    def protocolForRequest(self, request: Request, /) -> Any:
        """Decide on a request."""

    def checkPath(self, path: str) -> None:
        """Refuse a request for WebSocket where there is none."""

    def checkLimits(self, connection: Any, /) -> None:
        """Refuse one connection too many."""

    def retryHeaders(self) -> dict[str, str]:
        """Give the headers of a 503."""

    def connectionOpened(self, connection: Any, /) -> None:
        """Count a connection."""

    def connectionClosed(self, connection: Any, /) -> None:
        """Count a connection no more."""


def listensOnLoopbackOnly(transport: Any) -> bool:
    """Tell whether the port that accepted a connection is bound to loopback.

    :param transport: what the protocol got from ``makeConnection``; the answer is no
        where it does not tell its port
    """
    # Under TLS, or another wrapper, the TCP transport is the transport's transport.
    while transport is not None and not hasattr(transport, "server"):
        transport = getattr(transport, "transport", None)
    port = getattr(transport, "server", None)
    if port is None:
        return False
    return isLoopbackHost(str(getattr(port.getHost(), "host", "")))


@implementer(IHandshakeListener)
class ServerProtocol(WireProtocol):
    """One connection that a client made.

    :param factory: decides, and has options, handshake and clock
    """

    factory: Any
    options: ServerOptions

    _lines: list[bytes] | None = None
    _headSize = 0
    _method = ""
    _where = "a request that was not finished"
    _refused = False
    _decision: Deferred[Any] | None = None
    _tlsDone = True
    _successor: Any = None

    countedBy: str | None = None
    """The address that the factory counts it by."""

    # Not CRLF, so that a line that ends in a bare LF is seen at once; a peer that knows
    # no other would have to wait until its time is up.
    delimiter = b"\n"

    def __init__(self, factory: Admission) -> None:
        super().__init__(factory.options, factory.clock, factory.deadlines)
        self.factory = factory
        # With the CR.
        self.MAX_LENGTH = factory.options.maxHeaderLine + 1
        self._lines = []

    # The request head, in line mode

    def connectionMade(self) -> None:
        """The TCP connection has been made; with TLS, that handshake comes first."""
        self._tlsDone = not isSecure(self.transport)
        self.factory.connectionOpened(self)
        if hasattr(self.transport, "setTcpNoDelay"):
            # Small frames must not wait for the acknowledgement of those before. UNIX
            # sockets have the method too, and on older Twisted fail in it.
            with suppress(OSError):
                self.transport.setTcpNoDelay(True)
        end = self._clock.seconds() + self.options.handshakeTimeout
        self._deadlines.watch(self, end)

    def handshakeCompleted(self) -> None:
        """The TLS handshake is done (``IHandshakeListener``)."""
        self._tlsDone = True

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
        self._deadlines.forget(self)
        self.setRawMode()  # type: ignore[no-untyped-call]
        self._where = "a request that is not HTTP"
        try:
            head = parseRequestHead(lines)
        except MalformedHead as error:
            self._refuse(BadHandshake(400, str(error), lingering=True))
            return
        self._method = head.method
        self._where = f"{loggable(head.method, 20)} {withoutQuery(head.target)}"
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
        request = self.factory.handshake.read(
            head, isSecure(self.transport), listensOnLoopbackOnly(self.transport)
        )
        self.factory.checkPath(request.path)
        self.factory.checkLimits(self)
        request.peer = self.transport.getPeer()
        request.localAddress = self.transport.getHost()
        request.peerCertificate = peerCertificate(self.transport)
        self.adopt(request)

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
        if site is None or (path == self.factory.path and path != "/"):
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

    # The decision

    def adopt(self, request: Request, pending: bytes = b"") -> None:
        """Have a valid request decided, and go on from there.

        :param request: what :meth:`ServerHandshake.read` gave
        :param pending: what came behind its head
        """
        self.request = request
        self._pendingBytes = pending
        try:
            result = self.factory.protocolForRequest(request)
        except BaseException:
            self._decisionFailed(Failure())
            return
        self._whenDecided(result, self._decided)

    def _whenDecided(self, result: Any, then: Any) -> None:
        """Go on with a result now, or when it is there: a Deferred is made only for
        those who return one."""
        if isinstance(result, Deferred) or isawaitable(result):
            # It may have fired, and then there may be the next one to wait for already.
            decision = self._decision = asDeferred(result)
            decision.addCallback(then)
            decision.addErrback(self._decisionFailed)
        else:
            then(result)

    def _cancelDecision(self) -> None:
        decision, self._decision = self._decision, None
        if decision is not None:
            try:
                decision.cancel()
            except Exception:
                _log.failure("Cancelling the decision on {where}", where=self._where)

    def _isOver(self) -> bool:
        """Whether the connection has ended, or is bound to."""
        return self._lost is not None or self._refused or self._deaf

    def _decided(self, application: Any) -> None:
        self._decision = None
        if self._isOver():
            return
        if application is None:
            self._refuse(HandshakeRejected(404))
            return
        self._application = application
        deflate = self.request.deflate
        self._prepare(Connection(Role.SERVER, self.options, deflate=deflate))
        if deflate is not None:
            self.extensions = (str(deflate),)
        try:
            result = application.negotiationStarted(self)
        except BaseException:
            self._decisionFailed(Failure())
            return
        self._whenDecided(result, self._accepted)

    def _accepted(self, _: object) -> None:
        self._decision = None
        if self._isOver():
            return
        _log.debug(
            "Accepted {where} from {peer}, extensions: {extensions}",
            where=self._where,
            peer=self._peer(),
            extensions=", ".join(self.extensions) or "none",
        )
        self._open(self.factory.handshake.accept(self.request, self.extensions))

    def _decisionFailed(self, failure: Failure) -> None:
        self._decision = None
        if self._isOver():
            # Cancelled, because the peer left or the server shuts down.
            return
        if not isinstance(failure.value, HandshakeRejected):
            _log.failure("Deciding on {where} failed", failure, where=self._where)
            self._refuse(HandshakeRejected(500))
        else:
            self._refuse(failure.value)

    def _earlyData(self, data: bytes) -> None:
        """Take what follows the request head before there are frames."""
        if self._successor is not None:
            self._successor.dataReceived(data)
        elif not self._refused:
            # Frames that came before the 101. Reading goes on for a while, because only
            # so is the peer seen to leave while the decision is pending.
            self._pendingBytes += data
            if len(self._pendingBytes) > self.options.maxHeadSize:
                self._readingPaused = True
                self.transport.pauseProducing()

    # Refusals

    def failConnection(self, error: ConnectionFailed) -> None:
        """Fail the connection; before the 101, refuse the request.

        :param error: why; carries the close code
        """
        if self._opened:
            super().failConnection(error)
        elif not self._isOver():
            self._logFailure(error)
            self._refuse(HandshakeRejected(500))

    def _refuse(self, rejection: HandshakeRejected) -> None:
        """Answer with a complete HTTP response and close the connection behind it."""
        why = getattr(rejection, "why", "")
        _log.info(
            "Refused {where} from {peer}: {why}",
            where=self._where,
            peer=self._peer(),
            why=f"{rejection.status} {why}" if why else str(rejection),
        )
        self._lines = None
        self._refused = True
        self.clearLineBuffer()  # type: ignore[no-untyped-call]
        self.setRawMode()  # type: ignore[no-untyped-call]
        date = formatdate(self._clock.seconds(), usegmt=True)
        self.transport.write(encodeRefusal(rejection, date, self._method == "HEAD"))
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
                why=_describeTLSError(reason.value),
            )
        self._lost = reason
        # First of all: connectionLost is the last hook, negotiationStarted may be
        # running still.
        self._cancelDecision()
        if self._application is None:
            # No application knows of it yet.
            self._finished = True
        super().connectionLost(reason)
        if self._application is None:
            self._released()
        if self._successor is not None:
            self._successor.connectionLost(reason)

    def _released(self) -> None:
        self.factory.connectionClosed(self)

    def shutDown(self, code: int, reason: str) -> None:
        """The server is going away: close, however far the connection has come.

        :param code: for the Close frame
        :param reason: for the Close frame
        """
        if self._opened:
            self.loseConnection(code, reason)
        elif self._isOver() or self._successor is not None:
            # A response is on its way, and the connection ends behind it.
            return
        elif self._lines is not None:
            self._lines = None
            self._refused = self._deaf = True
            if isSecure(self.transport):
                # Nothing was asked, so nothing is owed. TLS would wait for the peer's
                # goodbye, and browsers keep spare connections.
                self._abort()
            else:
                self._setEnd()
                self.transport.loseConnection()
        else:
            self._refuse(HandshakeRejected(503, self.factory.retryHeaders()))
            self._cancelDecision()


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


def _describeTLSError(error: object) -> str:
    """Say in words what OpenSSL found."""
    arguments = getattr(error, "args", ())
    entries = arguments[0] if arguments and isinstance(arguments[0], list) else []
    reasons = ", ".join(str(entry[-1]) for entry in entries) or "connection closed"
    if "http request" in reasons or "wrong version number" in reasons:
        reasons += " (plaintext on a TLS port?)"
    return loggable(reasons)
