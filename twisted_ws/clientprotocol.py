"""The client's end of a connection, up to the 101: a request, lines, a judgement.

:class:`ClientProtocol` sends the request, reads the answer in line mode, and has it
judged by :mod:`twisted_ws.clienthandshake`. Behind a 101 the application's protocol is
made, and frames begin in raw mode; anything else is an error for who waits.
"""

from __future__ import annotations

from contextlib import suppress
from inspect import isawaitable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import NoProtocol
from twisted.internet.interfaces import IHandshakeListener, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from .clienthandshake import ClientHandshake, ResponseBody, isRedirect
from .clientoptions import ClientOptions
from .clienttls import tlsFailure
from .connection import Connection, Role
from .errors import (
    ConnectFailed,
    ConnectionFailed,
    HandshakeError,
    HandshakeRefused,
    HandshakeTimeout,
    InternalError,
    InvalidHandshake,
)
from .factory import Application, buildFrom
from .headers import MalformedHead, ResponseHead, parseResponseHead
from .interfaces import asDeferred
from .protocol import WireProtocol
from .timers import sharedDeadlines
from .tls import peerCertificate

__all__ = ["ClientProtocol", "Redirected"]

_log = Logger()


class Redirected(Exception):
    """The response is a redirect that may be followed.

    :param head: the response
    """

    def __init__(self, head: ResponseHead) -> None:
        super().__init__(head)
        self.head = head


@implementer(IHandshakeListener)
class ClientProtocol(WireProtocol):
    """One connection to a server.

    :param handshake: the request, and what the answer has to be
    :param options: limits and times
    :param clock: the reactor
    :param application: makes the application's protocol
    """

    options: ClientOptions
    # A server stops reading from whom it cannot send to. With a client that does so as
    # well, each would wait for the other: to send much to an echo is enough.
    pausesWhenCongested = False

    # Not CRLF, so that a line that ends in a bare LF is seen at once.
    delimiter = b"\n"

    _lines: list[bytes] | None = None
    _headSize = 0
    _body: ResponseBody | None = None
    _decision: Deferred[Any] | None = None
    _stage = "TLS"
    _givenUp = False

    def __init__(
        self,
        handshake: ClientHandshake,
        options: ClientOptions,
        clock: IReactorTime,
        application: Application,
    ) -> None:
        super().__init__(options, clock, sharedDeadlines(clock))
        self.request = handshake.request
        self._handshake = handshake
        self._build = application
        self.outcome: Deferred[Any] = Deferred(self._cancelled)
        """Fires with the application's protocol when the connection is open, or with
        the error that it is not. Cancelling it closes the connection."""
        self._told = False

    @property
    def MAX_LENGTH(self) -> int:  # type: ignore[override]
        """Most bytes of a line, with its CR."""
        return self.options.maxHeaderLine + 1

    # The request

    def connectionMade(self) -> None:
        """The TCP connection has been made."""
        if self._givenUp:
            # An endpoint that could not be cancelled has connected after all.
            self._abort()
            return
        setTcpNoDelay = getattr(self.transport, "setTcpNoDelay", None)
        if setTcpNoDelay is not None:
            # As on the server.
            with suppress(OSError):
                setTcpNoDelay(True)
        end = self._clock.seconds() + self.options.handshakeTimeout
        self._deadlines.watch(self, end)
        if not self._handshake.url.secure:
            self._ask()

    def handshakeCompleted(self) -> None:
        """The TLS handshake is done, and the certificate is good
        (``IHandshakeListener``)."""
        if not self._handshake.url.secure:
            # It is TLS of the endpoint's own, or to a proxy; asked is already.
            return
        # On older Twisted this is called too when the name is wrong.
        if not self._isOver() and not self.transport.disconnecting:
            self._ask()

    def _ask(self) -> None:
        self._stage = "the server's answer"
        self._lines = []
        self.transport.write(self._handshake.encode())

    # The response

    def lineReceived(self, line: bytes) -> None:
        """Take a line of the response head.

        :param line: without its LF
        """
        if self._lines is None:
            return
        self._headSize += len(line) + 1
        if self._headSize > self.options.maxHeadSize:
            self._invalid(f"a head over {self.options.maxHeadSize} bytes")
        elif not line.endswith(b"\r"):
            self._invalid("a line of its head does not end in CR LF")
        elif len(line) > 1 and len(self._lines) > self.options.maxHeaders:
            self._invalid(f"over {self.options.maxHeaders} header lines")
        elif len(line) > 1 or not self._lines:
            self._lines.append(line[:-1])
            if len(self._lines) == 1:
                # What is not HTTP need not have an end that could be waited for.
                self._parse(self._lines)
        else:
            head = self._parse(self._lines)
            if head is not None:
                self._headReceived(head)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line is longer than ``maxHeaderLine``.

        :param line: what has come
        """
        if self._lines is not None:
            self._invalid(f"a line over {self.options.maxHeaderLine} bytes")

    def _parse(self, lines: list[bytes]) -> ResponseHead | None:
        """Read what has come of a head; if it is none, that is the end."""
        try:
            return parseResponseHead(lines)
        except MalformedHead as error:
            self._invalid(str(error))
            return None

    def _headReceived(self, head: ResponseHead) -> None:
        if head.status < 200 and head.status != 101:
            # RFC 9110 section 15.2: another response follows.
            self._lines = []
            return
        self._lines = None
        self.setRawMode()  # type: ignore[no-untyped-call]
        if head.status == 101:
            self._accepted(head)
        elif self.options.maxRedirects and isRedirect(head):
            self._fail(Redirected(head))
        else:
            self._body = ResponseBody(head, self.options.maxResponseBody)
            self._bodyReceived(b"")

    def _bodyReceived(self, data: bytes) -> None:
        assert self._body is not None  # noqa: S101
        self._body.feed(data)
        if self._body.isComplete:
            self._refused()

    def _refused(self) -> None:
        body, self._body = self._body, None
        assert body is not None  # noqa: S101
        body.finish()
        head = body.head
        self._fail(
            HandshakeRefused(
                head.status, head.headers, body.content, head.reason, body.truncated
            )
        )

    def _invalid(self, why: str) -> None:
        self._fail(InvalidHandshake("response", why))

    def _earlyData(self, data: bytes) -> None:
        """Take what follows the response's head before there are frames."""
        if self._body is not None:
            self._bodyReceived(data)
        elif not self._isOver():
            self._pendingBytes += data
            if len(self._pendingBytes) > self.options.maxHeadSize:
                self._readingPaused = True
                self.transport.pauseProducing()

    # The application

    def _accepted(self, head: ResponseHead) -> None:
        """The server agrees: have the application's protocol made."""
        try:
            self.extensions = self._handshake.judge(head)
        except InvalidHandshake as error:
            self._fail(error)
            return
        self._deadlines.forget(self)
        self.response = head
        self.request.peer = self.transport.getPeer()
        self.request.localAddress = self.transport.getHost()
        self.request.peerCertificate = peerCertificate(self.transport)
        deflate = self.request.deflate
        self._prepare(Connection(Role.CLIENT, self.options, deflate=deflate))
        try:
            result = buildFrom(self._build, self.request)
        except BaseException:
            self._applicationFailed(Failure())
            return
        self._whenDecided(result, self._built)

    def _whenDecided(self, result: Any, then: Any) -> None:
        """Go on with a result now, or when it is there."""
        if isinstance(result, Deferred) or isawaitable(result):
            # It may have fired, and then there may be the next one to wait for already.
            decision = self._decision = asDeferred(result)
            decision.addCallback(then)
            decision.addErrback(self._applicationFailed)
        else:
            then(result)

    def _built(self, application: Any) -> None:
        self._decision = None
        if self._isOver():
            return
        try:
            if application is None:
                raise NoProtocol()
            # What ClientService puts around a protocol waits for just this call.
            makeConnection = getattr(application, "makeConnection", None)
            if makeConnection is not None:
                makeConnection(self)
            result = application.negotiationStarted(self)
        except BaseException:
            self._applicationFailed(Failure())
            return
        self._application = application
        self._whenDecided(result, self._ready)

    def _ready(self, _: object) -> None:
        self._decision = None
        if self._isOver():
            return
        _log.debug(
            "Connected to {url} at {peer}", url=self._handshake.url, peer=self._peer()
        )
        if self._readingPaused:
            self._readingPaused = False
            self.transport.resumeProducing()
        self._open(b"")

    def _established(self) -> None:
        """Tell who waits for the connection, before there can be a message."""
        # Unless the hook has cancelled just that.
        if not self._told:
            self._told = True
            self.outcome.callback(self._application)

    def _applicationFailed(self, failure: Failure) -> None:
        """The application did not make its protocol. For the server the connection is
        open, so it is told."""
        self._decision = None
        if self._isOver():
            return
        connection = self._connection
        assert connection is not None  # noqa: S101
        self._deaf = True
        self.transport.write(connection.fail(InternalError("internal error")))
        self._linger()
        self._tell(failure)

    # Failures

    def _isOver(self) -> bool:
        """Whether the connection has ended, or is bound to."""
        return self._lost is not None or self._givenUp or self._deaf

    def failConnection(self, error: ConnectionFailed) -> None:
        """Fail the connection; before it is open, have the Deferred fail.

        :param error: why; carries the close code
        """
        if self._opened:
            super().failConnection(error)
        elif not self._isOver():
            self._applicationFailed(Failure(error))

    def _fail(self, error: Exception) -> None:
        """The opening handshake has failed: end the connection and say so."""
        self._giveUp()
        self._tell(Failure(error))

    def _tell(self, failure: Failure) -> None:
        if not self._told:
            self._told = True
            self.outcome.errback(failure)

    def _cancelled(self, _: object) -> None:
        # The Deferred fires by itself.
        self._told = True
        self._giveUp()

    def _giveUp(self) -> None:
        """End the connection, or refuse it when it is made."""
        self._givenUp = True
        self._lines = self._body = None
        decision, self._decision = self._decision, None
        if decision is not None:
            try:
                decision.cancel()
            except Exception:
                _log.failure("Cancelling what the application does for a connection")
        self._deadlines.forget(self)
        if self.transport is not None:
            self.clearLineBuffer()  # type: ignore[no-untyped-call]
            self.setRawMode()  # type: ignore[no-untyped-call]
            self._abort()

    def giveUp(self) -> None:
        """The connection will not be needed, if it is made at all."""
        self._told = True
        self._giveUp()

    def deadlineReached(self, now: float) -> float | None:
        """Do what is due.

        :param now: seconds
        :returns: when to look again
        """
        if self._connection is not None or self._isOver():
            return super().deadlineReached(now)
        if self._body is not None:
            # What came of it has to do.
            self._refused()
        else:
            seconds = self.options.handshakeTimeout
            self._fail(HandshakeTimeout("handshakeTimeout", seconds, self._stage))
        return None

    # The end

    def _endTCP(self) -> None:
        """Wait for the server to end the TCP connection (RFC 6455 section 7.1.1), for
        ``closeTimeout`` at most."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The transport below is gone.

        :param reason: how
        """
        self._lost = reason
        if not self._opened:
            # An application whose connection was never open is not told of its end.
            self._finished = True
            if self._body is not None:
                self._refused()
            else:
                self._tell(Failure(self._explain(reason)))
            self._giveUp()
        super().connectionLost(reason)

    def _explain(self, reason: Failure) -> HandshakeError:
        """Say why there is no answer."""
        found = tlsFailure(reason, self._handshake.url.host)
        if found is not None:
            return found
        if self._stage == "TLS":
            why = "the connection ended in the TLS handshake"
        elif self._connection is not None:
            why = "the connection ended before the application was ready for it"
        elif self._headSize:
            why = "the connection ended in the middle of the server's answer"
        else:
            why = "the server ended the connection without an answer"
        return ConnectFailed(why, reason.value)
