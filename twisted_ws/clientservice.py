"""Twisted's ``ClientService`` with the application's type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory

from .client import WebSocketClientEndpoint
from .factory import Application, ApplicationFactory, buildFrom, checkApplication
from .handshake import Request
from .interfaces import WebSocketProtocol

__all__ = ["WebSocketClientService"]

_Made = TypeVar("_Made", bound=WebSocketProtocol)


class _Building(Factory):
    """What ``ClientService`` takes: a factory.

    :param application: makes the protocols
    """

    noisy = False
    latest: Any = None
    """What was made last."""

    def __init__(self, application: Application) -> None:
        self._application = application

    # The endpoint calls it, with a request.
    def buildProtocol(self, addr: Any) -> Any:
        """Make a protocol.

        :param addr: the request
        """
        self.latest = buildFrom(self._application, addr)
        return self.latest


class WebSocketClientService(ClientService, Generic[_Made]):
    """Keeps a client connected, as ``ClientService`` does, of which it is one: starts
    and stops with an application, and connects again, later after each failure.

    It takes an application where that takes a factory, and type checkers know what
    :meth:`whenConnected` gives.

    :param endpoint: where to
    :param application: a class, which inherits from ``WebSocketProtocol``; a callable
        that gets the :class:`Request`; or an object whose ``buildProtocol`` does. Not a
        coroutine, and it may not return a Deferred: ``ClientService`` does not wait.
    :param retryPolicy: gets the number of failures so far, gives the seconds to wait;
        None is Twisted's, which grows up to a minute
    :param clock: None is the endpoint's reactor
    :param prepareConnection: gets each new protocol, and may return a Deferred;
        ``whenConnected`` waits for that
    :raises TypeError: that is no application
    """

    def __init__(
        self,
        endpoint: WebSocketClientEndpoint,
        application: type[_Made]
        | Callable[[Request], _Made]
        | ApplicationFactory[_Made],
        retryPolicy: Callable[[int], float] | None = None,
        clock: IReactorTime | None = None,
        prepareConnection: Callable[[_Made], object] | None = None,
    ) -> None:
        checkApplication(application)
        building = _Building(application)

        def prepare(_: object) -> object:
            # Not the object that ClientService puts around the protocol.
            return cast(Any, prepareConnection)(building.latest)

        super().__init__(
            endpoint,
            building,
            retryPolicy,
            endpoint.reactor if clock is None else clock,
            None if prepareConnection is None else prepare,
        )

    def whenConnected(  # type: ignore[override]
        self, failAfterFailures: int | None = None
    ) -> Deferred[_Made]:
        """Give the protocol that is connected, or the next one that is.

        :param failAfterFailures: after so many failures in a row, the Deferred fails
            with the last one's error; None waits on
        :returns: fires with the protocol; with ``CancelledError`` as its error when the
            service is stopped before
        """
        return cast("Deferred[_Made]", super().whenConnected(failAfterFailures))
