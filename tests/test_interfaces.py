"""What an application gives and gets: hooks, and how a connection ended."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import types
from collections.abc import Generator
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.errors import ConnectionClosed
from twisted_ws.interfaces import (
    ClosedCleanly,
    ClosedUncleanly,
    WebSocketProtocol,
    asDeferred,
)


class ClosedTests(SynchronousTestCase):
    """How a connection ended, as Twisted's own code sees it."""

    def test_kinds(self) -> None:
        """A clean end is a ``ConnectionDone``, another one a ``ConnectionLost``."""
        clean = Failure(ClosedCleanly(1000, "", True))
        self.assertTrue(clean.check(ConnectionDone))
        self.assertIsNone(clean.check(ConnectionLost))
        self.assertTrue(clean.check(ConnectionClosed))
        unclean = Failure(ClosedUncleanly(1006))
        self.assertTrue(unclean.check(ConnectionLost))
        self.assertIsNone(unclean.check(ConnectionDone))
        self.assertTrue(unclean.check(ConnectionClosed))

    def test_fields(self) -> None:
        """Both carry code, reason and whether it was clean."""
        for kind in (ClosedCleanly, ClosedUncleanly):
            closed = kind(4000, "why", True)
            found = (closed.code, closed.reason, closed.wasClean)
            self.assertEqual(found, (4000, "why", True))

    def test_text(self) -> None:
        """They print as what happened to the WebSocket, not to TCP."""
        for closed, text in (
            (ClosedCleanly(1000, "", True), "WebSocket closed cleanly, code 1000"),
            (
                ClosedCleanly(1001, "bye", True),
                "WebSocket closed cleanly, code 1001: bye",
            ),
            (ClosedUncleanly(1006), "WebSocket closed uncleanly, code 1006"),
        ):
            self.assertEqual(str(closed), text)
            self.assertIn(text, Failure(closed).getErrorMessage())


class HooksTests(SynchronousTestCase):
    """The hooks that are not overridden."""

    def test_transport(self) -> None:
        """``negotiationStarted`` keeps the transport, and there is none to wait for."""
        protocol = WebSocketProtocol()
        transport: Any = object()
        self.assertIsNone(protocol.negotiationStarted(transport))
        self.assertIs(protocol.transport, transport)

    def test_defaults(self) -> None:
        """All others do nothing and return None, without a transport too."""
        protocol = WebSocketProtocol()
        for result in (
            protocol.negotiationFinished(),
            protocol.textMessageReceived("a"),
            protocol.bytesMessageReceived(b"a"),
            protocol.pingReceived(b""),
            protocol.pongReceived(b""),
            protocol.sendBufferFull(),
            protocol.sendBufferDrained(),
            protocol.connectionLost(Failure(ClosedUncleanly(1006))),
        ):
            self.assertIsNone(result)
        self.assertEqual(vars(protocol), {})


class _Awaitable:
    """Can be awaited, and is no coroutine."""

    def __init__(self, awaited: Deferred[Any]) -> None:
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._awaited.__await__()


class _Sender(_Awaitable):
    """One that has a method with the name of a coroutine's."""

    def send(self, message: str) -> None:
        """Do nothing."""


async def _coroutine(awaited: Deferred[Any]) -> Any:
    return await awaited


@types.coroutine
def _oldCoroutine(awaited: Deferred[Any]) -> Generator[Any, Any, Any]:
    return (yield from awaited.__await__())


class AsDeferredTests(SynchronousTestCase):
    """Whatever a hook returned to be waited for."""

    kinds: tuple[Any, ...] = (_coroutine, _oldCoroutine, _Awaitable, _Sender)

    def test_deferred(self) -> None:
        """A Deferred is given back itself."""
        deferred = succeed(1)
        self.assertIs(asDeferred(deferred), deferred)

    def test_results(self) -> None:
        """Every kind of awaitable gives its result, when it is there."""
        for kind in self.kinds:
            waiting: Deferred[Any] = Deferred()
            result = asDeferred(kind(waiting))
            self.assertNoResult(result)
            waiting.callback(kind)
            self.assertIs(self.successResultOf(result), kind)

    def test_failures(self) -> None:
        """Every kind of awaitable hands on what it raises."""
        for kind in self.kinds:
            waiting: Deferred[Any] = Deferred()
            result = asDeferred(kind(waiting))
            waiting.errback(Failure(KeyError(1)))
            self.failureResultOf(cast(Any, result), KeyError)

    def test_cancelling(self) -> None:
        """Cancelling reaches what is waited for."""
        for kind in self.kinds:
            cancelled: list[Any] = []
            waiting: Deferred[Any] = Deferred(cancelled.append)
            result = asDeferred(kind(waiting))
            result.cancel()
            self.assertEqual(cancelled, [waiting], kind)
            self.failureResultOf(result)
