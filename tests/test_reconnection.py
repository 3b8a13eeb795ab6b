"""Staying connected: which errors are worth a retry, the waits, the iterator."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator
from typing import Any

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import CancelledError, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from tests.remote import ClientTestCase, FakeEndpoint, closing, frame, response
from tests.support import firedWith, logged
from twisted_ws.clientoptions import ClientOptions
from twisted_ws.errors import (
    CertificateRefused,
    ConnectFailed,
    HandshakeRefused,
    HandshakeTimeout,
    InvalidHandshake,
    InvalidOption,
    InvalidURL,
    ProxyFailed,
    RedirectRefused,
    TLSFailed,
    TooManyRedirects,
)
from twisted_ws.headers import Headers
from twisted_ws.reconnection import Backoff, isWorthRetrying, reconnecting
from twisted_ws.testing import TEXT
from twisted_ws.websocket import WebSocket


class RuleTests(SynchronousTestCase):
    """``isWorthRetrying``."""

    def test_worth(self) -> None:
        """The network, timeouts, and statuses that pass by themselves."""
        for error in (
            ConnectFailed("refused"),
            TLSFailed("broke off"),
            HandshakeTimeout("openTimeout", 30, "connecting"),
            ProxyFailed("not there"),
            *(HandshakeRefused(status, Headers()) for status in (408, 425, 429, 500)),
            *(HandshakeRefused(status, Headers()) for status in (502, 503, 504, 599)),
            ProxyFailed("bad gateway", 502),
            ProxyFailed("too many", 429),
        ):
            self.assertTrue(isWorthRetrying(error), repr(error))

    def test_final(self) -> None:
        """What somebody has to repair."""
        for error in (
            *(HandshakeRefused(status, Headers()) for status in (200, 302, 400, 401)),
            *(HandshakeRefused(status, Headers()) for status in (403, 404, 426, 600)),
            CertificateRefused("expired"),
            InvalidHandshake("Upgrade", "it is none"),
            RedirectRefused("ws://h", "out of TLS"),
            TooManyRedirects("ws://h", 5),
            InvalidURL("none"),
            InvalidOption("x", "y"),
            ProxyFailed("who are you", 407),
            ProxyFailed("forbidden", 403),
            ProxyFailed("wrong password", wantsCredentials=True),
            ProxyFailed("not allowed by its rules", reply=2),
            CancelledError(),
            RuntimeError(),
        ):
            self.assertFalse(isWorthRetrying(error), repr(error))

    def test_proxyCauses(self) -> None:
        """A proxy whose certificate is not trusted, or whose URL is none, is final; one
        that is not reached, or reaches nobody, is not."""
        untrusted = SSL.Error([("SSL routines", "", "certificate verify failed")])
        brokenOff = SSL.Error([("SSL routines", "", "unexpected eof while reading")])
        for cause, worth in (
            (untrusted, False),
            (VerificationError(errors=[]), False),
            (ValueError("no URL"), False),
            (brokenOff, True),
            (ConnectionRefusedError(), True),
        ):
            error = ProxyFailed("no")
            error.__cause__ = cause
            self.assertEqual(isWorthRetrying(error), worth, repr(cause))
        self.assertTrue(isWorthRetrying(ProxyFailed("host unreachable", reply=4)))


class BackoffTests(SynchronousTestCase):
    """``Backoff``."""

    def test_delays(self) -> None:
        """They double up to the most, and a random part of up to a half is left out."""
        backoff = Backoff(first=1, most=10)
        delays = [backoff.delay(failures, 0) for failures in range(1, 7)]
        self.assertEqual(delays, [1, 2, 4, 8, 10, 10])
        self.assertEqual(backoff.delay(3, 1), 2)
        self.assertEqual(backoff.delay(10**6, 0), 10)

    def test_invalid(self) -> None:
        """What cannot be waited for is refused."""
        for name in ("first", "most", "lasting", "mostAsked"):
            for value in (-1, math.inf, math.nan, None, "1", True, 10**400):
                with self.assertRaises(InvalidOption) as caught:
                    Backoff(**{name: value})  # type: ignore[arg-type]
                self.assertEqual(caught.exception.name, name)
        with self.assertRaises(InvalidOption):
            Backoff(first=61)
        self.assertEqual(Backoff(first=0, most=0).delay(1, 0), 0)


class IteratorTests(ClientTestCase):
    """``reconnecting``."""

    def setUp(self) -> None:
        """Leave no part of the waits out."""
        super().setUp()
        self.patch(random, "random", lambda: 0.0)
        self.results: list[Any] = []

    def start(self, url: str = "ws://example.com/", **arguments: Any) -> None:
        """Make an iterator, and ask it for the first connection."""
        self.iterator = reconnecting(self.remote.clock, url, **arguments)
        self.next()

    def next(self) -> None:
        """Ask it for the next one."""

        async def advance(iterator: AsyncIterator[WebSocket]) -> WebSocket:
            return await iterator.__anext__()

        self.waiting = ensureDeferred(advance(self.iterator))
        self.results = firedWith(self.waiting)

    def accept(self) -> Any:
        """Let the attempt that is under way succeed; give its line."""
        self.assertEqual(self.results, [])
        line = self.remote.attempts[-1].succeed()
        line.accept()
        self.assertIsInstance(self.results[0], WebSocket)
        return line

    def waits(self, seconds: float) -> None:
        """Check that the next attempt comes after so long, and not before."""
        count = len(self.remote.attempts)
        self.remote.advance(seconds - 0.5, 0.5)
        self.assertEqual(len(self.remote.attempts), count)
        self.remote.advance(0.5)
        self.assertEqual(len(self.remote.attempts), count + 1)

    def test_afterALoss(self) -> None:
        """A new connection after each loss, a second later."""
        self.start()
        for _ in range(2):
            line = self.accept()
            self.remote.advance(15)
            line.vanish()
            self.next()
            self.waits(1)
        self.accept()

    def test_quickLosses(self) -> None:
        """Connections that do not last make the wait grow; one that lasts makes it
        short again."""
        self.start()
        for seconds in (1, 2, 4, 8):
            self.accept().vanish()
            self.next()
            self.waits(seconds)
        line = self.accept()
        self.remote.advance(12)
        line.vanish()
        self.next()
        self.waits(1)
        self.accept()

    def test_lastingIsMeasuredAtItsEnd(self) -> None:
        """A connection lasted as long as it did, however late the loop goes on."""
        self.start()
        self.accept().vanish()
        self.remote.advance(100, 10)
        self.next()
        self.waits(1)
        self.accept().vanish()
        self.next()
        self.waits(2)
        self.accept()

    def test_refusals(self) -> None:
        """Refusals and network errors make the wait grow, up to a minute."""
        self.start()
        with logged() as lines:
            for seconds in (1, 2, 4, 8, 16, 32, 60, 60):
                line = self.remote.attempts[-1].succeed()
                line.send(response(503, "Content-Length: 0"))
                self.waits(seconds)
            self.remote.attempts[-1].fail(OSError("no network"))
            self.waits(60)
        self.assertIn("again in 1.0 seconds", lines[0])
        self.accept()

    def test_final(self) -> None:
        """An error that is final is raised; asked once more, it tries once more."""
        self.start()
        line = self.remote.attempts[-1].succeed()
        line.send(response(403, "Content-Length: 0"))
        self.failed(self.results, HandshakeRefused)
        self.next()
        self.accept()

    def test_retryAfter(self) -> None:
        """Retry-After is honoured in both forms, up to an hour, and never shortens the
        wait."""
        self.start()
        for value, seconds in (
            ("30", 30),
            ("Thu, 01 Jan 1970 00:00:10 GMT", 25),
            ("0", 4),
            ("99999999", 3600),
        ):
            line = self.remote.attempts[-1].succeed()
            date = "Date: Wed, 31 Dec 1969 23:59:45 GMT"
            line.send(response(429, f"Retry-After: {value}", date, "Content-Length: 0"))
            self.waits(seconds)
        self.accept()

    def test_proxyRetryAfter(self) -> None:
        """A proxy's too."""
        self.start()
        headers = Headers({"Retry-After": "9"})
        self.remote.attempts[-1].fail(ProxyFailed("busy", 503, headers))
        self.waits(9)
        self.accept()

    def test_closesTheOneBefore(self) -> None:
        """Going on closes the connection before, and waits for its end."""
        self.start()
        line = self.accept()
        line.send(frame(TEXT, b"unread"))
        self.next()
        line.pump()
        self.assertEqual(line.frames[-1][1], b"\x03\xe8")
        line.send(closing())
        line.hangUp()
        self.waits(1)
        self.accept()

    def test_ownRule(self) -> None:
        """The rule for errors may be another one; cancelling is no error."""
        asked: list[Exception] = []

        def retry(error: Exception) -> bool:
            asked.append(error)
            return True

        self.start(retry=retry, backoff=Backoff(first=3))
        line = self.remote.attempts[-1].succeed()
        line.send(response(404, "Content-Length: 0"))
        self.assertEqual(len(asked), 1)
        self.waits(3)
        self.waiting.cancel()
        self.failed(self.results, CancelledError)
        self.assertEqual(len(asked), 1)

    def test_cancelWait(self) -> None:
        """Cancelling ends the wait."""
        self.start()
        self.remote.attempts[-1].fail(OSError())
        self.waiting.cancel()
        self.failed(self.results, CancelledError)
        self.assertEqual(self.remote.clock.getDelayedCalls(), [])

    def test_arguments(self) -> None:
        """Options and endpoint are those of connect(); mistakes are raised at once."""
        with self.assertRaises(InvalidURL):
            reconnecting(self.remote.clock, "x")
        self.start(
            options=ClientOptions(subprotocols=("x",)),
            endpoint=FakeEndpoint(self.remote),
        )
        line = self.accept()
        self.assertIsNone(line.attempt.place)
        self.assertEqual(line.fields["sec-websocket-protocol"], "x")

    def test_loop(self) -> None:
        """It is what async for goes over."""
        seen: list[Any] = []

        async def read() -> None:
            async for webSocket in reconnecting(self.remote.clock, "ws://h"):
                async for message in webSocket:
                    seen.append(message)
                if len(seen) == 2:
                    break

        done = firedWith(ensureDeferred(read()))
        for _ in range(2):
            line = self.remote.attempts[-1].succeed()
            line.accept(then=frame(TEXT, b"m"))
            line.send(closing())
            line.hangUp()
            self.remote.advance(1)
        self.assertEqual((seen, done), (["m", "m"], [None]))
