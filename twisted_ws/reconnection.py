"""Staying connected: which errors are worth another try, when, and an iterator.

:func:`reconnecting` is for coroutines; protocols have
``twisted.application.internet.ClientService``, which the endpoint works under.
"""

from __future__ import annotations

import random
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import deferLater
from twisted.logger import Logger

from .client import WebSocketClientEndpoint
from .clienthandshake import readRetryAfter
from .clientoptions import ClientOptions
from .clienttls import isCertificateError
from .errors import (
    CertificateRefused,
    ConnectFailed,
    HandshakeRefused,
    HandshakeTimeout,
    InvalidOption,
    ProxyFailed,
)
from .redaction import loggable
from .websocket import QueueProtocol, WebSocket

__all__ = ["Backoff", "isWorthRetrying", "reconnecting"]

_log = Logger()

# 408 and 425 ask for another try; 429 and the others say when.
_PASSING = frozenset({408, 425, 429})
# Of a SOCKS proxy (RFC 1928 section 6): not allowed by its rules, command or address
# type not supported.
_FINAL_REPLIES = frozenset({2, 7, 8})


def isWorthRetrying(error: BaseException) -> bool:
    """Tell whether what failed now may succeed later, with nothing changed here.

    Worth a retry are a network or a server that is not there, TLS that broke off,
    timeouts, and the statuses 408, 425, 429 and 500 to 599, of a proxy too. Final is
    what somebody has to repair: other statuses, a certificate that is not trusted, an
    answer that is not WebSocket, a redirect that may not be followed, an invalid URL or
    option, a proxy that wants other credentials, allows no such connection or cannot be
    used at all, and every error that is not of this package.

    :param error: what ``connect()`` failed with
    """
    if isinstance(error, HandshakeRefused):
        return error.status in _PASSING or 500 <= error.status <= 599
    if isinstance(error, ProxyFailed):
        if error.status is None:
            cause = error.__cause__
            return not (
                error.wantsCredentials
                or error.reply in _FINAL_REPLIES
                or isinstance(cause, ValueError)
                or isCertificateError(cause)
            )
        return error.status in _PASSING or 500 <= error.status <= 599
    return isinstance(error, (ConnectFailed, HandshakeTimeout)) and not isinstance(
        error, CertificateRefused
    )


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """How long to wait before another try.

    The wait begins with ``first`` and doubles up to ``most``. Of each, a random part up
    to a half is left out, so that the clients of a server that was restarted do not
    come back all at once.

    :raises InvalidOption: a number below 0, not finite, or ``first`` over ``most``
    """

    first: float = 1.0
    """Seconds before the first try after a loss or a failure."""

    most: float = 60.0
    """Seconds that it grows to."""

    lasting: float = 10.0
    """Seconds after which a connection counts as one that lasted: the wait after its
    loss is the first one again."""

    mostAsked: float = 3600.0
    """Seconds that are waited at most when the server asks for it (``Retry-After``)."""

    def __post_init__(self) -> None:
        for name in ("first", "most", "lasting", "mostAsked"):
            value = getattr(self, name)
            if (
                isinstance(value, bool)
                or not isinstance(value, (int, float))
                # As hugely as a float can be: the reactor's clock is one.
                or not 0 <= value <= sys.float_info.max
            ):
                raise InvalidOption(name, f"{value!r:.40} is not a number of seconds")
        if self.first > self.most:
            raise InvalidOption("first", f"{self.first} is over most, {self.most}")

    def delay(self, failures: int, part: float) -> float:
        """Give the seconds to wait.

        :param failures: tries and connections since one that lasted, at least 1
        :param part: a random number from 0 to 1
        """
        # As far as doubling goes in a float; most is reached long before.
        full = min(self.most, self.first * 2.0 ** min(failures - 1, 64))
        return full * (1 - part / 2)


def reconnecting(
    reactor: Any,
    url: str,
    options: ClientOptions | None = None,
    *,
    endpoint: IStreamClientEndpoint | None = None,
    backoff: Backoff | None = None,
    retry: Callable[[Exception], bool] = isWorthRetrying,
) -> AsyncIterator[WebSocket]:
    """Iterate over connections: a new one each time the one before has ended.

    Such as this::

        async for webSocket in reconnecting(reactor, "wss://example.com/feed"):
            with suppress(ConnectionClosed):
                async for message in webSocket:
                    ...

    It goes on until the loop is left, or until an error that is not worth a retry,
    which is raised. Going on to the next connection closes the one before, if it is
    open still; leaving the loop does not, so put ``async with webSocket`` into it if it
    can be left early.

    :param reactor: the reactor
    :param url: where to
    :param options: as for :func:`connect`
    :param endpoint: as for :func:`connect`
    :param backoff: how long to wait between
    :param retry: tells which errors are worth another try
    :returns: an iterator, for one coroutine; cancelling that ends the attempt or the
        wait that is under way
    :raises InvalidURL: here, and not later
    :raises TLSConfigurationError: here, and not later
    """
    made = WebSocketClientEndpoint.fromURL(reactor, url, options, endpoint=endpoint)
    return _Reconnecting(reactor, made, backoff or Backoff(), retry)


class _Reconnecting:
    """The iterator.

    :param reactor: the reactor
    :param endpoint: opens connections
    :param backoff: how long to wait
    :param retry: which errors to wait after
    """

    def __init__(
        self,
        reactor: Any,
        endpoint: WebSocketClientEndpoint,
        backoff: Backoff,
        retry: Callable[[Exception], bool],
    ) -> None:
        self._reactor = reactor
        self._endpoint = endpoint
        self._backoff = backoff
        self._retry = retry
        self._current: WebSocket | None = None
        self._failures = 0
        # When the connection was opened, and when it ended.
        self._opened = self._ended = 0.0

    def __aiter__(self) -> _Reconnecting:
        return self

    async def __anext__(self) -> WebSocket:
        if self._current is not None:
            await self._leave(self._current)
        while True:
            try:
                protocol: QueueProtocol = await self._endpoint.connect(QueueProtocol)
            except CancelledError:
                raise
            except Exception as error:
                if not self._retry(error):
                    raise
                await self._wait(error)
                continue
            self._current = protocol.webSocket
            self._opened = self._ended = self._reactor.seconds()
            protocol.transport.whenClosed().addCallback(self._noteEnd)
            return self._current

    def _noteEnd(self, _: object) -> None:
        self._ended = self._reactor.seconds()

    async def _leave(self, webSocket: WebSocket) -> None:
        """Have the connection closed, and wait for the next one."""
        self._current = None
        closed = await webSocket.close()
        if self._ended - self._opened >= self._backoff.lasting:
            self._failures = 0
        await self._wait(closed)

    async def _wait(self, error: Exception) -> None:
        """Wait as long as it takes after an error."""
        self._failures += 1
        seconds = self._backoff.delay(self._failures, random.random())
        if isinstance(error, (HandshakeRefused, ProxyFailed)):
            asked = readRetryAfter(error.headers, self._reactor.seconds())
            if asked is not None:
                seconds = max(seconds, min(asked, self._backoff.mostAsked))
        _log.info(
            "Connecting to {url} again in {seconds:.1f} seconds: {why}",
            url=self._endpoint.url,
            seconds=seconds,
            why=loggable(error),
        )
        await deferLater(self._reactor, seconds, lambda: None)
