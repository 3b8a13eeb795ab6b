"""Staying connected with hooks: ClientService that knows its application."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from twisted.application.internet import ClientService
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from tests.remote import ClientTestCase, response
from tests.support import firedWith
from twisted_ws.clientservice import WebSocketClientService
from twisted_ws.handshake import Request
from twisted_ws.interfaces import WebSocketProtocol


class Own(WebSocketProtocol):
    """An application."""


class Building:
    """A factory."""

    def buildProtocol(self, request: Request) -> Own:
        """Make an application."""
        assert request.path == "/"
        return Own()


class ServiceTests(ClientTestCase):
    """WebSocketClientService."""

    def start(self, application: Any, **arguments: Any) -> Any:
        """Start a service, and stop it behind the test."""
        service: Any = WebSocketClientService(
            self.makeEndpoint(), application, **arguments
        )
        service.startService()

        def stop() -> None:
            stopped = firedWith(service.stopService())
            for line in self.remote.lines:
                line.vanish()
            self.assertEqual(stopped, [None])

        self.addCleanup(stop)
        return service

    def test_applications(self) -> None:
        """A class, a callable and a factory: whenConnected gives what they make, after
        the 101."""
        for application in (Own, lambda _: Own(), Building()):
            service = self.start(application)
            self.assertIsInstance(service, ClientService)
            found = firedWith(service.whenConnected())
            line = self.remote.attempts[-1].succeed()
            self.assertEqual(found, [])
            line.accept()
            (protocol,) = found
            self.assertIsInstance(protocol, Own)
            self.assertEqual(protocol.transport.request.path, "/")

    def test_mistakes(self) -> None:
        """What is no application is told at once."""
        mistakes: tuple[Any, ...] = (Building, None, "x")
        for mistake in mistakes:
            with self.assertRaises(TypeError):
                WebSocketClientService(self.makeEndpoint(), mistake)

    def test_failures(self) -> None:
        """whenConnected fails after as many failures as are said; the waits are those
        of the policy, on the endpoint's reactor."""
        told: list[int] = []

        def wait(failures: int) -> float:
            told.append(failures)
            return 5.0

        service = self.start(Own, retryPolicy=wait)
        results = firedWith(service.whenConnected(failAfterFailures=2))
        for number in (1, 2):
            self.assertEqual(results, [])
            self.remote.attempts[-1].fail(OSError("down"))
            self.remote.advance(4.5)
            self.assertEqual(len(self.remote.attempts), number)
            self.remote.advance(0.5)
            self.assertEqual(len(self.remote.attempts), number + 1)
        self.assertEqual(told, [1, 2])
        self.assertIn("down", str(results[0].value))

    def test_refused(self) -> None:
        """A refusal counts as a failure."""
        service = self.start(Own)
        results = firedWith(service.whenConnected(failAfterFailures=1))
        line = self.remote.attempts[-1].succeed()
        line.send(response(403, "Content-Length: 0"))
        self.assertEqual(results[0].value.status, 403)

    def test_clock(self) -> None:
        """Another clock may be given for the waits."""
        clock = Clock()
        self.start(Own, retryPolicy=lambda _: 1.0, clock=clock)
        self.remote.attempts[-1].fail(OSError("down"))
        self.remote.advance(2)
        self.assertEqual(len(self.remote.attempts), 1)
        clock.advance(1)
        self.assertEqual(len(self.remote.attempts), 2)

    def test_prepare(self) -> None:
        """whenConnected waits for what prepares the connection."""
        prepared: list[Own] = []
        ready: Deferred[None] = Deferred()

        def prepare(protocol: Own) -> Deferred[None]:
            prepared.append(protocol)
            return ready

        service = self.start(Own, prepareConnection=prepare)
        found = firedWith(service.whenConnected())
        self.remote.attempts[-1].succeed().accept()
        self.assertEqual((found, len(prepared)), ([], 1))
        ready.callback(None)
        self.assertEqual(found, prepared)

    def test_stop(self) -> None:
        """Who waits when it is stopped is told."""
        service = self.start(Own)
        results = firedWith(service.whenConnected())
        service.stopService()
        results[0].trap(CancelledError)

    def test_reconnects(self) -> None:
        """After a loss it connects again, with a new protocol."""
        service = self.start(Own, retryPolicy=lambda _: 1.0)
        line = self.remote.attempts[-1].succeed()
        line.accept()
        (first,) = firedWith(service.whenConnected())
        line.vanish()
        found = firedWith(service.whenConnected())
        self.remote.advance(1)
        self.remote.attempts[-1].succeed().accept()
        self.assertIsInstance(found[0], Own)
        self.assertIsNot(found[0], first)
