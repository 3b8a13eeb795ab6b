"""Listening and shutting down, as a Twisted service."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence, Sized
from typing import Any, Protocol, cast

from twisted.application.service import Service
from twisted.internet.defer import (
    CancelledError,
    Deferred,
    gatherResults,
    maybeDeferred,
    succeed,
)
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorSocket,
    IReactorTime,
    IStreamServerEndpoint,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from .codec import versionLine

__all__ = [
    "CannotStart",
    "IPv6Endpoint",
    "Served",
    "WebSocketService",
    "tcpEndpoints",
]

_log = Logger()

# What Twisted says when another process has a UNIX socket's lock.
_LOCKED = "Cannot acquire lock"

BACKLOG = 1024
"""Connections that the kernel keeps until they are accepted."""


class CannotStart(SystemExit, Exception):
    """A port cannot be listened on: ends the process with one line and status 1.

    It is an ``Exception`` too, so that ``twistd`` cleans up behind it.
    """


@implementer(IStreamServerEndpoint)
class IPv6Endpoint:
    """Listens on all IPv6 addresses, and on IPv6 only, so that the same port can be
    used for IPv4 beside it and peers do not appear as ``::ffff:192.0.2.1``.

    :param reactor: the reactor
    :param port: the port, 0 for any
    """

    def __init__(self, reactor: IReactorSocket, port: int) -> None:
        self._reactor = reactor
        self._port = port

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """Listen.

        :param protocolFactory: makes the protocols
        :returns: fires with the listening port, or ``CannotListenError``
        """
        return maybeDeferred(self._listen, protocolFactory)

    def _listen(self, protocolFactory: IProtocolFactory) -> IListeningPort:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as listening:
            listening.setblocking(False)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                listening.bind(("::", self._port))
                listening.listen(BACKLOG)
            except OSError as error:
                raise CannotListenError("::", self._port, error) from None
            # The reactor works on a duplicate.
            return self._reactor.adoptStreamPort(
                listening.fileno(),
                socket.AF_INET6,
                protocolFactory,  # type: ignore[arg-type]
            )


def hasIPv6() -> bool:
    """Tell whether this machine can listen on IPv6."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as trial:
            trial.bind(("::", 0))
    except OSError:
        return False
    return True


def tcpEndpoints(
    reactor: Any, port: int, interface: str = ""
) -> list[IStreamServerEndpoint]:
    """Give the endpoints for a port.

    :param reactor: the reactor
    :param port: the port, 0 for any
    :param interface: an IPv4 or IPv6 address; empty for all of both
    """
    if ":" in interface:
        return [TCP6ServerEndpoint(reactor, port, BACKLOG, interface)]
    endpoints: list[IStreamServerEndpoint] = [
        TCP4ServerEndpoint(reactor, port, BACKLOG, interface)
    ]
    if not interface and IReactorSocket.providedBy(reactor) and hasIPv6():
        endpoints.append(IPv6Endpoint(reactor, port))
    return endpoints


class Served(Protocol):
    """A factory that can say goodbye, as
    :class:`~twisted_ws.factory.WebSocketServerFactory` does and
    :class:`~twisted_ws.bridge.ForwardingFactory`."""

    @property
    def connections(self) -> Sized:
        """All connections."""

    @property
    def clock(self) -> IReactorTime:
        """The reactor."""

    def closeConnections(self) -> Deferred[None]:
        """Close all connections; fires when none is left."""

    def abortConnections(self) -> Deferred[None]:
        """End all connections at once; fires when none is left."""


class WebSocketService(Service):
    """Listens on endpoints with one factory; when stopped, says goodbye first.

    :param endpoints: where to listen
    :param factory: what to serve
    :param drain: seconds that connections get, when stopped, to answer the Close frame
        with 1001 that they are sent; then they are aborted
    """

    def __init__(
        self,
        endpoints: Sequence[IStreamServerEndpoint],
        factory: Served,
        drain: float = 10.0,
    ) -> None:
        self._endpoints = endpoints
        self.factory = factory
        self._drain = drain
        self.ports: list[IListeningPort] = []
        """What it listens on."""
        self._listening: list[Deferred[Any]] = []

    def privilegedStartService(self) -> None:
        """Listen, while the process may still use ports below 1024.

        :raises CannotStart: a port cannot be listened on
        """
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        _log.info("{version}", version=versionLine())
        for endpoint in self._endpoints:
            listening = endpoint.listen(cast(Any, self.factory))
            failures: list[Failure] = []
            listening.addCallbacks(self._listens, failures.append)
            self._listening.append(listening)
            if failures:
                self._stopListening()
                raise CannotStart(_describe(failures[0])) from None
            # An endpoint may also find out later that it cannot.
            listening.addCallback(self._listensNot, failures)

    def startService(self) -> None:
        """Listen, unless that was done with privileges.

        :raises CannotStart: a port cannot be listened on
        """
        super().startService()  # type: ignore[no-untyped-call]
        if not self._listening:
            self.privilegedStartService()

    def _listens(self, port: IListeningPort) -> None:
        self.ports.append(port)
        address: Any = port.getHost()
        host = getattr(address, "host", None)
        where = address if host is None else f"{host} port {address.port}"
        _log.info("Listening on {where}", where=where)

    def _listensNot(self, _: object, failures: list[Failure]) -> None:
        """Say so if an endpoint failed when the service had started already; that it
        was cancelled because the service stops is no failure."""
        for failure in failures:
            if not failure.check(CancelledError):
                _log.critical("{why}", why=_describe(failure))

    def stopService(self) -> Deferred[None]:
        """Stop listening, close every connection with 1001, and after ``drain`` seconds
        abort those that have not answered.

        :returns: fires when no connection is left
        """
        super().stopService()  # type: ignore[no-untyped-call]
        stopped = self._stopListening()
        closed = self._closeConnections()
        both = gatherResults([stopped, closed])
        return both.addCallback(lambda _: None)

    def _stopListening(self) -> Deferred[Any]:
        for listening in self._listening:
            listening.cancel()
        self._listening = []
        ports, self.ports = self.ports, []
        return gatherResults([maybeDeferred(port.stopListening) for port in ports])

    def _closeConnections(self) -> Deferred[None]:
        count = len(self.factory.connections)
        if not count:
            return succeed(None)
        _log.info(
            "Closing all connections ({count}), for up to {drain} seconds",
            count=count,
            drain=self._drain,
        )
        closed = self.factory.closeConnections()
        abort = self.factory.clock.callLater(self._drain, self._abortConnections)

        def finished(_: object) -> None:
            if abort.active():
                abort.cancel()

        return closed.addCallback(finished)

    def _abortConnections(self) -> None:
        _log.info(
            "Aborting the connections that did not close ({count})",
            count=len(self.factory.connections),
        )
        self.factory.abortConnections()


def _describe(failure: Failure) -> str:
    """Say why a port cannot be listened on, and what to do."""
    error = failure.value
    if not isinstance(error, CannotListenError):
        return f"cannot listen: {_reason(error)}"
    if isinstance(error.port, int):
        where = f"{error.interface or 'all interfaces'}, port {error.port}"
        choose = "choose another with --port, --interface or --listen"
    else:
        where = os.fsdecode(error.port)
        choose = "choose another with --listen"
    number = getattr(error.socketError, "errno", None)
    if number == errno.EADDRINUSE or error.socketError == _LOCKED:
        remedy = f"it is in use: stop the other program, or {choose}"
    elif number in (errno.EACCES, errno.EPERM) and isinstance(error.port, int):
        remedy = (
            "permission denied: ports below 1024 need root or CAP_NET_BIND_SERVICE; "
            "or choose another with --port or --listen"
        )
    elif number == errno.EADDRNOTAVAIL or isinstance(
        error.socketError, socket.gaierror
    ):
        remedy = f"this machine has no such address: {choose}"
    else:
        remedy = f"{_reason(error.socketError)}: {choose}"
    return f"cannot listen on {where}: {remedy}"


def _reason(error: object) -> str:
    """Write an error of the system without its number, and with the one file that
    matters: of a lock's symbolic link that is where it was to be."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    filename = error.filename2 or error.filename
    reason = error.strerror[:1].lower() + error.strerror[1:]
    return reason if filename is None else f"{reason}: {os.fsdecode(filename)}"
