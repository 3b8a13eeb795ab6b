"""A server's connection between its request and the 101: judged, decided, answered.

:class:`DecidingProtocol` gets a request that is whole. The factory that serves its path
judges it by its options, and its application decides; the answer is a 101, behind which
frames begin, or a refusal. How the request came and how a refusal is written is a
subclass's: :class:`twisted_ws.server.ServerProtocol` has a connection of its own,
:mod:`twisted_ws.resource` takes over one of twisted.web.
"""

from __future__ import annotations

from abc import abstractmethod
from contextlib import suppress
from functools import lru_cache
from inspect import isawaitable
from typing import Any, Protocol

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from .connection import Connection, Role
from .errors import ConnectionFailed, HandshakeRejected
from .handshake import Request, ServerHandshake
from .interfaces import asDeferred
from .offers import DeflateParameters
from .options import ServerOptions
from .origins import isLoopbackHost
from .protocol import WireProtocol
from .redaction import Later, nameAddress
from .timers import Deadlines
from .tls import peerCertificate

__all__ = ["Admission", "DecidingProtocol", "listensOnLoopbackOnly"]

_log = Logger()


class Admission(Protocol):
    """What a connection asks of its factory, which
    :class:`twisted_ws.factory.WebSocketServerFactory` gives."""

    options: ServerOptions
    handshake: ServerHandshake
    site: Any

    @property
    def clock(self) -> IReactorTime:
        """The reactor."""

    @property
    def deadlines(self) -> Deadlines:
        """The deadlines of all connections."""

    def factoryFor(self, request: Request, /) -> Any:
        """Give the factory that serves a request's path: this one, or another."""

    def protocolForRequest(self, request: Request, /) -> Any:
        """Decide on a request."""

    def isWebSocketOnly(self, path: str, /) -> bool:
        """Tell whether there is no page at a path, as WebSocket is there."""

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


@lru_cache(64)
def _sharedAddress(address: Any) -> Any:
    return address


def _shared(address: Any) -> Any:
    """Give one object for all that are equal: a server has few addresses."""
    if type(address) in (IPv4Address, IPv6Address):
        return _sharedAddress(address)
    return address


@lru_cache(64)
def _answer(deflate: DeflateParameters) -> tuple[str, ...]:
    """Give the extensions of a connection with compression, the same object for all
    that have agreed on the same."""
    return (str(deflate),)


def _nameExtensions(extensions: tuple[str, ...]) -> str:
    return ", ".join(extensions) or "none"


class DecidingProtocol(WireProtocol):
    """One connection that a client made, from its request on.

    :param factory: of the port or resource that it came to; has options, handshake and
        clock, and knows who decides
    """

    options: ServerOptions

    __slots__ = ("_serving", "_where", "factory")

    _refused = False
    _decision: Deferred[Any] | None = None

    def __init__(self, factory: Admission) -> None:
        super().__init__(factory.options, factory.clock, factory.deadlines)
        self.factory = factory
        # Where the path leads to; the factory itself, unless that has routes.
        self._serving = factory
        # What is asked for, for logs, until it is decided on.
        self._where: object = "a request that was not finished"

    def connectionMade(self) -> None:
        """There is a transport."""
        self.factory.connectionOpened(self)
        if hasattr(self.transport, "setTcpNoDelay"):
            # Small frames must not wait for the acknowledgement of those before. UNIX
            # sockets have the method too, and on older Twisted fail in it.
            with suppress(OSError):
                self.transport.setTcpNoDelay(True)

    # The decision

    def admit(self, request: Request, pending: bytes = b"") -> None:
        """Have a request judged by the factory that serves its path, and decided.

        :param request: what :meth:`ServerHandshake.parse` gave
        :param pending: what came behind its head
        :raises HandshakeRejected: it is not to be; nothing has been asked of the
            application
        """
        loopbackOnly = listensOnLoopbackOnly(self.transport)
        try:
            serving = self.factory.factoryFor(request)
        except HandshakeRejected:
            # Who may not connect at all does not learn what there is.
            self.factory.handshake.judge(request, loopbackOnly)
            raise
        serving.handshake.judge(request, loopbackOnly)
        self.factory.checkLimits(self)
        if serving is not self.factory:
            self._serving = serving
            self.options = serving.options
            serving.connectionOpened(self)
            serving.checkLimits(self)
        request.peer = self.transport.getPeer()
        request.localAddress = _shared(self.transport.getHost())
        request.peerCertificate = peerCertificate(self.transport)
        self.adopt(request, pending)

    def adopt(self, request: Request, pending: bytes = b"") -> None:
        """Have a valid request decided, and go on from there.

        :param request: what :meth:`ServerHandshake.read` gave
        :param pending: what came behind its head
        """
        self.request = request
        if pending:
            self._pendingBytes = pending
        try:
            result = self._serving.protocolForRequest(request)
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
        if self._decision is not None:
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
            self.extensions = _answer(deflate)
        try:
            result = application.negotiationStarted(self)
        except BaseException:
            self._decisionFailed(Failure())
            return
        self._whenDecided(result, self._accepted)

    def _accepted(self, _: object) -> None:
        if self._decision is not None:
            self._decision = None
        if self._isOver():
            return
        if self.options.logAccepted:
            _log.debug(
                "Accepted {where} from {peer}, extensions: {extensions}",
                where=self._where,
                peer=Later(nameAddress, self.request.peer),
                extensions=Later(_nameExtensions, self.extensions),
            )
        head = ServerHandshake.accept(self.request, self.extensions)
        self._where = "an open connection"
        self.request.compact()
        self._open(head)

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
        """Take frames that came before the 101. Reading goes on for a while, because
        only so is the peer seen to leave while the decision is pending.

        :param data: any bytes
        """
        if self._refused:
            return
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

    @abstractmethod
    def _refuse(self, rejection: HandshakeRejected) -> None:
        """Answer with a complete HTTP response; nothing comes of the request.

        :param rejection: the response
        """

    def _logRefusal(self, rejection: HandshakeRejected) -> None:
        why = getattr(rejection, "why", "")
        _log.info(
            "Refused {where} from {peer}: {why}",
            where=self._where,
            peer=self._peer(),
            why=f"{rejection.status} {why}" if why else str(rejection),
        )

    # The end

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The transport below is gone.

        :param reason: how
        """
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

    def _released(self) -> None:
        self.factory.connectionClosed(self)
        if self._serving is not self.factory:
            self._serving.connectionClosed(self)

    def shutDown(self, code: int, reason: str) -> None:
        """The server is going away: close, however far the connection has come.

        :param code: for the Close frame
        :param reason: for the Close frame
        """
        if self._opened:
            self.loseConnection(code, reason)
        elif not self._isOver():
            self._refuse(HandshakeRejected(503, self.factory.retryHeaders()))
            self._cancelDecision()
