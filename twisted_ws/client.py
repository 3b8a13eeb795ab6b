"""The client: from a URL to an open connection, or to an error that says why not.

An :class:`_Opening` is one way to a connection: it reaches the server, follows
redirects and answers challenges, each on a TCP connection of its own, which is a
``ClientProtocol``.

When a Deferred is cancelled, what was opened for it is closed.
"""

from __future__ import annotations

import os
from inspect import isawaitable
from typing import Any, NoReturn

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from zope.interface import implementer

from .clienthandshake import Challenge, ClientHandshake, redirectTarget
from .clientoptions import ClientOptions
from .clientprotocol import ClientProtocol, Redirected
from .clienttls import ClientTLS
from .errors import (
    ConnectFailed,
    HandshakeError,
    HandshakeRefused,
    HandshakeTimeout,
    InvalidURL,
    ProxyFailed,
    RedirectRefused,
    TooManyRedirects,
)
from .factory import Application, checkApplication
from .headers import Headers, ResponseHead
from .interfaces import asDeferred
from .proxies import proxyEndpoint
from .proxyurls import proxyFor
from .redaction import loggable
from .urls import WebSocketURL, parseURL
from .websocket import QueueProtocol, WebSocket

__all__ = ["WebSocketClientEndpoint", "connect"]

_log = Logger()

_MOST_CHALLENGES = 3
"""Challenges that are answered on the way to one connection; an answer that is refused
as often is wrong."""


class _OneConnection(Factory):
    """The factory that an endpoint gets: for one protocol that is there already.

    :param protocol: the protocol
    """

    noisy = False

    def __init__(self, protocol: ClientProtocol) -> None:
        self._one = protocol

    def buildProtocol(self, addr: IAddress | None) -> ClientProtocol:
        """Give the protocol.

        :param addr: the server's address
        """
        return self._one


def _cancellable(running: Deferred[Any]) -> Deferred[Any]:
    """Give a Deferred like another one, but that always says that it was cancelled if
    it was: Twisted's endpoints then tell of a failed connection or an unknown name.

    :param running: belongs to the new one
    """
    wasCancelled = False

    def cancel(_: object) -> None:
        nonlocal wasCancelled
        wasCancelled = True
        try:
            running.cancel()
        except Exception:
            # It fires all the same.
            _log.failure("Cancelling {running}", running=running)

    def fired(result: Any) -> None:
        if not wasCancelled:
            waiting.callback(result)

    waiting: Deferred[Any] = Deferred(cancel)
    running.addBoth(fired)
    return waiting


class _Opening:
    """One way to a connection.

    :param endpoint: where to, and how
    :param application: makes the application's protocol
    """

    def __init__(
        self, endpoint: WebSocketClientEndpoint, application: Application
    ) -> None:
        self._endpoint = endpoint
        self._options = endpoint.options
        self._application = application
        self._url = endpoint.url
        # Whether the URL's origin is still the one that the application named.
        self._trusted = True
        self._authorization: str | None = None
        self._proxyAuthorization: str | None = None
        self._redirects = 0
        # Where the last redirect pointed, as sent.
        self._location: str | None = None
        self._challenges = 0

    async def run(self) -> Any:
        """Go the way.

        :returns: the application's protocol
        :raises HandshakeError: it leads nowhere
        """
        while True:
            try:
                return await self._tryOnce()
            except Redirected as redirected:
                self._follow(redirected.head)
            except HandshakeRefused as refused:
                if refused.status != 401 or not self._trusted:
                    # Another origin would be given what is for the one that the
                    # application named.
                    raise
                answer = await self._answer(401, refused.headers)
                if answer is None:
                    raise
                self._authorization = answer
            except ProxyFailed as failed:
                if failed.status is None or not failed.wantsCredentials:
                    raise
                answer = await self._answer(407, failed.headers)
                if answer is None:
                    raise
                self._proxyAuthorization = answer

    async def _tryOnce(self) -> Any:
        """Ask once, on a new connection."""
        handshake = ClientHandshake(
            self._url, self._options, self._authorization, self._trusted
        )
        protocol = ClientProtocol(
            handshake, self._options, self._endpoint.reactor, self._application
        )
        try:
            endpoint = self._endpoint.endpointFor(
                self._url, self._trusted, self._proxyAuthorization
            )
            await _cancellable(endpoint.connect(_OneConnection(protocol)))
        except (HandshakeError, CancelledError):
            protocol.giveUp()
            raise
        except ValueError as error:
            # Twisted's endpoints and TLS take no underscore in a name, for instance.
            protocol.giveUp()
            if self._endpoint.isFixed:
                # Not ours, and the URL is not what it dislikes.
                raise ConnectFailed(
                    f"the endpoint cannot connect: {loggable(error)}", error
                ) from error
            why = f"the URL's host: {loggable(error)}"
            if self._location is not None:
                # Nothing is wrong with the URL that the application gave.
                raise RedirectRefused(self._location, why) from error
            raise InvalidURL(why) from error
        except Exception as error:
            protocol.giveUp()
            place = self._url.authority.host
            raise ConnectFailed(
                f"cannot connect to {place}: {loggable(error)}", error
            ) from error
        return await protocol.outcome

    def _follow(self, head: ResponseHead) -> None:
        """Go where a redirect leads.

        :raises RedirectRefused: it is not to be followed
        """
        target = redirectTarget(self._url, head)
        location = head.headers.getAll("Location")[0]
        if self._redirects == self._options.maxRedirects:
            raise TooManyRedirects(location, self._redirects)
        self._redirects += 1
        self._location = location
        if target.origin == self._url.origin:
            # Behind user and password that came with the first URL.
            target = target._replace(user=self._url.user, password=self._url.password)
        else:
            if self._endpoint.isFixed:
                raise RedirectRefused(
                    location, "it leads to another server than the endpoint does"
                )
            # For good: who was sent away and back is not where the user sent it.
            self._trusted = False
            self._authorization = None
            # The environment may have another proxy for the new place.
            self._proxyAuthorization = None
        _log.debug("{url} redirects to {target}", url=self._url, target=target)
        self._url = target

    async def _answer(self, status: int, headers: Headers) -> str | None:
        """Ask the application who it is.

        :returns: a value for Authorization, None if there is none
        """
        answer = self._options.answerChallenge
        if answer is None or self._challenges == _MOST_CHALLENGES:
            return None
        self._challenges += 1
        result = answer(Challenge(self._url, status, headers, self._challenges))
        if isinstance(result, Deferred) or isawaitable(result):
            result = await _cancellable(asDeferred(result))
        if result is not None and not isinstance(result, str):
            raise TypeError(
                f"answerChallenge gives a str or None, not {type(result).__name__}"
            )
        return result


@implementer(IStreamClientEndpoint)
class WebSocketClientEndpoint:
    """Connects to a WebSocket server; make it with :meth:`fromURL`.

    :param reactor: the reactor
    :param url: where to
    :param options: what to ask for, limits, times
    :param endpoint: leads to the server, in place of DNS, TCP and a proxy
    :raises TLSConfigurationError: a certificate in the options cannot be used
    """

    def __init__(
        self,
        reactor: Any,
        url: WebSocketURL,
        options: ClientOptions | None = None,
        *,
        endpoint: IStreamClientEndpoint | None = None,
    ) -> None:
        self.reactor = reactor
        self.url = url
        self.options = options or ClientOptions()
        self._stream = endpoint
        self._tls = ClientTLS(self.options)

    @classmethod
    def fromURL(
        cls,
        reactor: Any,
        url: str,
        options: ClientOptions | None = None,
        *,
        endpoint: IStreamClientEndpoint | None = None,
    ) -> WebSocketClientEndpoint:
        """Make an endpoint.

        :param reactor: the reactor
        :param url: such as ``wss://example.com/feed``
        :param options: what to ask for, limits, times
        :param endpoint: any client endpoint that leads to the server, in place of DNS,
            TCP and a proxy: a UNIX socket, for instance. With a ``wss`` URL TLS goes on
            top. The URL says what is asked for, and whose certificate is expected.
        :raises InvalidURL: the URL is none of WebSocket
        :raises TLSConfigurationError: a certificate in the options cannot be used
        """
        return cls(reactor, parseURL(url), options, endpoint=endpoint)

    # What is built is no Twisted protocol, so what builds it is no Twisted factory.
    def connect(  # type: ignore[override]
        self, protocolFactory: Application
    ) -> Deferred[Any]:
        """Open a connection.

        :param protocolFactory: a class with the hooks of ``WebSocketProtocol``; a
            callable that gets the :class:`Request`; or an object with
            ``buildProtocol(request)``, such as a Twisted ``Factory``, which is what
            ``ClientService`` takes
        :returns: fires with the application's protocol when the server has answered
            101 and ``negotiationFinished`` was called, never before; or with a
            :exc:`HandshakeError`, or with what the application raised. Cancelling it
            closes what was opened.
        :raises TypeError: that is no factory
        """
        checkApplication(protocolFactory)
        seconds = self.options.openTimeout

        def timedOut(result: Any, _: float) -> NoReturn:
            raise HandshakeTimeout(
                "openTimeout", seconds, f"connecting to {self.url.authority.host}"
            ) from None

        opening = _Opening(self, protocolFactory)
        connecting: Deferred[Any] = ensureDeferred(opening.run())
        return connecting.addTimeout(seconds, self.reactor, timedOut)

    @property
    def isFixed(self) -> bool:
        """Whether there is one server only that this can reach."""
        return self._stream is not None

    def endpointFor(
        self, url: WebSocketURL, trusted: bool, proxyAuthorization: str | None
    ) -> IStreamClientEndpoint:
        """Choose how to reach a server.

        :param url: of the server
        :param trusted: whether the client's own certificate may be shown there
        :param proxyAuthorization: the answer to a proxy's challenge
        """
        endpoint = self._stream
        if endpoint is None:
            endpoint = self._reach(url, proxyAuthorization)
        if url.secure:
            endpoint = self._tls.wrap(endpoint, url.host, trusted)
        return endpoint

    def _reach(
        self, url: WebSocketURL, proxyAuthorization: str | None
    ) -> IStreamClientEndpoint:
        """Choose between the direct way and a proxy.

        :raises ProxyFailed: the environment names a proxy that cannot be
        """
        options = self.options
        proxy = options.proxy
        if proxy is None and options.useEnvironmentProxies:
            proxy = proxyFor(str(url), os.environ)
        if not proxy:
            return HostnameEndpoint(
                self.reactor, url.host, url.port, timeout=options.openTimeout
            )
        headers = {}
        if proxyAuthorization is not None:
            headers["Proxy-Authorization"] = proxyAuthorization
        try:
            return proxyEndpoint(
                self.reactor,
                proxy,
                url.host,
                url.port,
                timeout=options.openTimeout,
                contextFactory=self._tls.forProxy,
                headers=headers,
            )
        except ValueError as error:
            raise ProxyFailed(f"the proxy cannot be used: {error}") from error

    def __repr__(self) -> str:
        return f"<WebSocketClientEndpoint {self.url}>"


def connect(
    reactor: Any,
    url: str,
    options: ClientOptions | None = None,
    *,
    endpoint: IStreamClientEndpoint | None = None,
) -> Deferred[WebSocket]:
    """Open a connection, for a coroutine.

    Such as this::

        async with await connect(reactor, "wss://example.com/feed") as webSocket:
            async for message in webSocket:
                ...

    :param reactor: the reactor
    :param url: such as ``wss://example.com/feed``
    :param options: what to ask for, limits, times
    :param endpoint: see :meth:`WebSocketClientEndpoint.fromURL`
    :returns: fires with the connection when it is open, or with a
        :exc:`HandshakeError`, :exc:`InvalidURL` or :exc:`TLSConfigurationError`.
        Cancelling it closes what was opened.
    """

    async def openOne() -> WebSocket:
        made = WebSocketClientEndpoint.fromURL(reactor, url, options, endpoint=endpoint)
        protocol: QueueProtocol = await made.connect(QueueProtocol)
        return protocol.webSocket

    return ensureDeferred(openOne())
