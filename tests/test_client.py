"""From a URL to a connection: reaching servers, redirects, challenges, cancelling."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any, cast

from twisted.application.internet import ClientService
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from zope.interface.verify import verifyObject

from tests.remote import (
    SERVER,
    ClientTestCase,
    FakeEndpoint,
    Line,
    closing,
    frame,
    response,
)
from tests.support import firedWith, logged
from twisted_ws import client
from twisted_ws.client import WebSocketClientEndpoint, connect
from twisted_ws.clienthandshake import Challenge
from twisted_ws.clientoptions import ClientOptions
from twisted_ws.errors import (
    ConnectFailed,
    HandshakeRefused,
    HandshakeTimeout,
    InvalidURL,
    ProxyFailed,
    RedirectRefused,
    TLSConfigurationError,
    TooManyRedirects,
)
from twisted_ws.headers import Headers
from twisted_ws.interfaces import WebSocketProtocol
from twisted_ws.memory import MemoryTransport
from twisted_ws.testing import TEXT, Recorder
from twisted_ws.urls import parseURL
from twisted_ws.websocket import WebSocket

BASIC = "Basic dTpw"


class ReachingTests(ClientTestCase):
    """How a server is reached."""

    def test_places(self) -> None:
        """Host and port are the URL's; wss has TLS on top, for that host."""
        for url, place, wrapped in (
            ("ws://example.com", ("example.com", 80), None),
            ("wss://example.com", ("example.com", 443), ("example.com", True)),
            ("wss://[::1]:8443/x", ("::1", 8443), ("::1", True)),
            ("ws://bücher.de", ("xn--bcher-kva.de", 80), None),
        ):
            self.connect(Recorder(), url)
            attempt = self.remote.attempts[-1]
            self.assertEqual((attempt.place, attempt.wrapped), (place, wrapped))
            attempt.succeed()

    def test_endpoint(self) -> None:
        """Another endpoint leads there in place of DNS and TCP, with TLS on top for
        wss; the request is still that of the URL."""
        for url, wrapped in (("ws://h:81", None), ("wss://h:81", ("h", True))):
            recorder = Recorder()
            endpoint = FakeEndpoint(self.remote)
            line, results = self.requested(recorder, url, endpoint=endpoint)
            self.assertIsNone(line.attempt.place)
            self.assertEqual(line.attempt.wrapped, wrapped)
            self.assertEqual(line.fields["host"], "h:81")
            line.accept()
            self.assertEqual(results, [recorder])

    def test_interface(self) -> None:
        """It is an endpoint, which says in a log where it leads."""
        endpoint = self.makeEndpoint("ws://u:p@h/?secret")
        verifyObject(IStreamClientEndpoint, endpoint)
        self.assertEqual(repr(endpoint), "<WebSocketClientEndpoint ws://h/?…>")
        self.assertEqual(
            WebSocketClientEndpoint(None, parseURL("ws://h")).options, ClientOptions()
        )

    def test_applications(self) -> None:
        """A class, a callable that takes the request, and a factory with buildProtocol,
        Twisted's among them; mistakes are found at the call."""

        class Own(WebSocketProtocol):
            pass

        class Building:
            def buildProtocol(self, request: Any) -> Own:
                assert request.path == "/"
                return Own()

        twisted = cast(Any, Factory).forProtocol(Own)
        for application in (Own, lambda _: Own(), Building(), twisted):
            line, results = self.requested(application)
            line.accept()
            self.assertIsInstance(results[0], Own)
        for mistake in (Building, None, "x"):
            with self.assertRaises(TypeError):
                self.connect(mistake)

    def test_manyConnections(self) -> None:
        """One endpoint makes any number of connections, at a time too."""
        endpoint = self.makeEndpoint()
        recorders = [Recorder(), Recorder()]
        waiting = list(recorders)
        found = [
            firedWith(endpoint.connect(lambda _: waiting.pop(0))) for _ in recorders
        ]
        for attempt in self.remote.attempts:
            attempt.succeed().accept()
        self.assertEqual(found, [[each] for each in recorders])

    def test_failures(self) -> None:
        """What keeps from reaching the server is ConnectFailed, with the cause."""
        for error in (
            DNSLookupError("no such name"),
            OSError("x"),
            RuntimeError("\x1b"),
        ):
            results = self.connect(Recorder())
            self.remote.attempts[-1].fail(error)
            failed = self.failed(results, ConnectFailed)
            self.assertIs(failed.__cause__, error)
            self.assertIn("example.com", str(failed))
            self.assertTrue(str(failed).isprintable())

    def test_endpointRaises(self) -> None:
        """An endpoint that raises is an endpoint that fails."""

        class Broken:
            def __init__(self, error: Exception) -> None:
                self.error = error

            def connect(self, _: object) -> None:
                raise self.error

        for error in (RuntimeError("broken"), ValueError("broken")):
            results = self.connect(Recorder(), endpoint=Broken(error))
            self.assertIn("broken", str(self.failed(results, ConnectFailed)))

    def test_hostThatTwistedRefuses(self) -> None:
        """A name that Twisted's endpoints take for none is an invalid URL."""
        results = self.connect(Recorder())
        self.remote.attempts[-1].fail(ValueError("invalid hostname: my_host"))
        self.assertIn("my_host", str(self.failed(results, InvalidURL)))

    def test_late(self) -> None:
        """An endpoint that cannot be cancelled and connects after all finds the
        connection closed at once."""
        results = self.connect(Recorder())
        attempt = self.remote.attempts[0]
        self.connecting.cancel()
        self.failed(results, CancelledError)
        self.assertTrue(attempt.cancelled)
        line = Line(attempt, MemoryTransport(self.remote.clock, SERVER))
        self.remote.lines.append(line)
        self.assertTrue(line.transport.aborted)
        self.assertEqual(line.transport.writes, [])

    def test_cancelConnecting(self) -> None:
        """Cancelling while TCP connects is CancelledError, whatever the endpoint calls
        it."""
        results = self.connect(Recorder())
        attempt = self.remote.attempts[0]

        def cancelled(deferred: Deferred[Any]) -> None:
            deferred.errback(ConnectingCancelledError(SERVER))

        attempt.connected._canceller = cancelled
        self.connecting.cancel()
        self.failed(results, CancelledError)

    def test_brokenCanceller(self) -> None:
        """An endpoint that raises when it is cancelled is logged, and the Deferred
        fires."""

        def fail(_: object) -> None:
            raise RuntimeError("no")

        results = self.connect(Recorder())
        self.remote.attempts[0].connected._canceller = fail
        self.connecting.cancel()
        self.failed(results, CancelledError)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_C03_openTimeout(self) -> None:
        """All of connecting has 30 seconds, and then the Deferred fires, whatever it is
        that takes so long."""
        results = self.connect(Recorder())
        self.remote.advance(29)
        self.assertEqual(results, [])
        self.remote.advance(2)
        error = self.failed(results, HandshakeTimeout)
        self.assertEqual((error.option, error.seconds), ("openTimeout", 30))
        self.assertTrue(self.remote.attempts[0].cancelled)
        line, results = self.requested(lambda _: Deferred(), openTimeout=5)
        line.accept()
        self.remote.advance(6)
        self.failed(results, HandshakeTimeout)
        self.assertTrue(line.transport.aborted)

    def test_options(self) -> None:
        """A certificate that cannot be used is found when the endpoint is made."""
        with self.assertRaises(TLSConfigurationError):
            self.makeEndpoint(trustRoots="/nowhere/roots.pem")
        with self.assertRaises(InvalidURL):
            self.makeEndpoint("http://h")

    def test_S05_secrets(self) -> None:
        """Nothing is logged of a secret while connecting."""
        with logged() as lines:
            line, _ = self.requested(
                None, "ws://u:secret@h/?secret", cookies={"a": "secret"}
            )
            line.accept()
        self.assertNotIn("secret", "".join(lines))


class RedirectTests(ClientTestCase):
    """Redirects (THREATS C04)."""

    def redirect(self, line: Line, location: str, status: int = 302) -> Any:
        """Send one; give the next attempt."""
        count = len(self.remote.attempts)
        line.send(response(status, f"Location: {location}"))
        self.assertTrue(line.transport.aborted)
        return self.remote.attempts[count]

    def test_followed(self) -> None:
        """Each of the statuses is followed, on a new connection."""
        for status in (301, 302, 303, 307, 308):
            recorder = Recorder()
            line, results = self.requested(recorder)
            attempt = self.redirect(line, "http://other:81/x?y", status)
            self.assertEqual(attempt.place, ("other", 81))
            line = attempt.succeed()
            self.assertEqual(line.head.partition("\r\n")[0], "GET /x?y HTTP/1.1")
            line.accept()
            self.assertEqual(results, [recorder])
            self.assertEqual(recorder.transport.request.path, "/x")

    def test_C04_atMostFive(self) -> None:
        """The sixth is an error."""
        line, results = self.requested()
        for number in range(5):
            line = self.redirect(line, f"/{number}").succeed()
        line.send(response(302, "Location: /secret"))
        error = self.failed(results, TooManyRedirects)
        self.assertEqual(error.location, "/secret")
        self.assertNotIn("secret", str(error))

    def test_C04_notOutOfTLS(self) -> None:
        """From wss to ws none is followed, on the same host neither; from ws to wss
        one is."""
        for location in ("ws://example.com/", "http://example.com/"):
            line, results = self.requested(None, "wss://example.com/")
            line.send(response(302, f"Location: {location}"))
            self.failed(results, RedirectRefused)
        line, results = self.requested()
        attempt = self.redirect(line, "https://example.com/")
        self.assertEqual(attempt.wrapped, ("example.com", False))
        attempt.succeed().accept()
        self.assertEqual(len(results), 1)

    def test_C04_credentials(self) -> None:
        """Credentials, cookies, headers and the client's certificate stay with their
        origin: another port or scheme is another one."""
        for location, kept in (
            ("/x", True),
            ("ws://example.com:80/x", True),
            ("ws://example.com:81/x", False),
            ("wss://example.com/x", False),
            ("ws://sub.example.com/x", False),
            ("ws://u:p@other/x", False),
        ):
            line, _ = self.requested(
                None,
                "ws://u:p@example.com/",
                cookies={"c": "1"},
                headers={"X-Key": "k"},
            )
            self.assertEqual(line.fields["authorization"], BASIC)
            line = self.redirect(line, location).succeed()
            for name in ("authorization", "cookie", "x-key"):
                self.assertEqual(name in line.fields, kept, location)

    def test_C04_awayAndBack(self) -> None:
        """What was dropped stays so, back at the first origin too."""
        line, _ = self.requested(None, "wss://u:p@example.com/")
        self.assertEqual(line.attempt.wrapped, ("example.com", True))
        line = self.redirect(line, "wss://other/").succeed()
        line = self.redirect(line, "wss://example.com/").succeed()
        self.assertNotIn("authorization", line.fields)
        self.assertEqual(line.attempt.wrapped, ("example.com", False))

    def test_none(self) -> None:
        """With maxRedirects=0 a redirect is a refusal like others; so is one without a
        Location."""
        line, results = self.requested(maxRedirects=0)
        line.send(response(302, "Location: /x", "Content-Length: 0"))
        self.assertEqual(self.failed(results, HandshakeRefused).status, 302)
        line, results = self.requested()
        line.send(response(302, "Content-Length: 0"))
        self.assertEqual(self.failed(results, HandshakeRefused).status, 302)

    def test_endpoint(self) -> None:
        """An endpoint that is given leads to one server: redirects to others are
        refused."""
        endpoint = FakeEndpoint(self.remote)
        line, results = self.requested(endpoint=endpoint)
        line = self.redirect(line, "/x").succeed()
        line.send(response(302, "Location: http://other/"))
        self.assertIn("endpoint", str(self.failed(results, RedirectRefused)))

    def test_hostThatTwistedRefuses(self) -> None:
        """A redirect to a name that Twisted's endpoints take for none is one that is
        not followed: the URL that was given is good."""
        line, results = self.requested()
        self.redirect(line, "//my_host/").fail(ValueError("invalid hostname: my_host"))
        error = self.failed(results, RedirectRefused)
        self.assertEqual(error.location, "//my_host/")
        self.assertIn("my_host", str(error))

    def test_cancel(self) -> None:
        """Cancelling on the second connection closes that."""
        line, results = self.requested()
        line = self.redirect(line, "/x").succeed()
        self.connecting.cancel()
        self.failed(results, CancelledError)
        self.assertTrue(line.transport.aborted)


class ChallengeTests(ClientTestCase):
    """401 and 407."""

    def setUp(self) -> None:
        """Have a hook that notes what it is asked."""
        super().setUp()
        self.asked: list[Challenge] = []
        self.answers: list[Any] = ["Bearer a", "Bearer b", "Bearer c", "Bearer d"]

    def answer(self, challenge: Challenge) -> Any:
        """Answer with the next one."""
        self.asked.append(challenge)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def refuse(self, line: Line, status: int = 401) -> None:
        """Ask who is there."""
        head = response(status, "WWW-Authenticate: Bearer", "Content-Length: 4")
        line.send(head + b"body")

    def test_answered(self) -> None:
        """The answer goes out as Authorization, on a new connection."""
        recorder = Recorder()
        line, results = self.requested(recorder, answerChallenge=self.answer)
        self.refuse(line)
        asked = self.asked[0]
        self.assertEqual((asked.status, asked.attempt), (401, 1))
        self.assertEqual(asked.challenges, ("Bearer",))
        self.assertEqual(str(asked.url), "ws://example.com/")
        line = self.remote.attempts[1].succeed()
        self.assertEqual(line.fields["authorization"], "Bearer a")
        line.accept()
        self.assertEqual(results, [recorder])

    def test_later(self) -> None:
        """The hook may take its time, as a coroutine or with a Deferred."""
        waiting: list[Deferred[str]] = []

        def wait(_: Challenge) -> Deferred[str]:
            waiting.append(Deferred())
            return waiting[-1]

        async def answer(challenge: Challenge) -> str:
            return await wait(challenge)

        for hook in (answer, wait):
            line, results = self.requested(answerChallenge=hook)
            self.refuse(line)
            count = len(self.remote.attempts)
            waiting[-1].callback("Bearer later")
            line = self.remote.attempts[count].succeed()
            self.assertEqual(line.fields["authorization"], "Bearer later")
            self.assertEqual(results, [])

    def test_givesUp(self) -> None:
        """None gives up: the refusal is the error. So it is without a hook."""
        self.answers = [None]
        for hook in (self.answer, None):
            line, results = self.requested(answerChallenge=hook)
            self.refuse(line)
            error = self.failed(results, HandshakeRefused)
            self.assertEqual((error.status, error.body), (401, b"body"))
        self.assertEqual(len(self.remote.attempts), 2)

    def test_wrong(self) -> None:
        """It is asked three times, each with its number, and not for other statuses."""
        line, results = self.requested(answerChallenge=self.answer)
        for number in (1, 2, 3):
            self.refuse(line)
            self.assertEqual(self.asked[-1].attempt, number)
            line = self.remote.attempts[-1].succeed()
        self.refuse(line)
        self.failed(results, HandshakeRefused)
        self.assertEqual(len(self.asked), 3)
        line, results = self.requested(answerChallenge=self.answer)
        self.refuse(line, 403)
        self.failed(results, HandshakeRefused)
        self.assertEqual(len(self.asked), 3)

    def test_raises(self) -> None:
        """What the hook raises is the error; a value that cannot be sent is one."""
        self.answers = [KeyError("x"), "a\r\nb", b"Bearer x"]
        for kind in (KeyError, ValueError, TypeError):
            line, results = self.requested(answerChallenge=self.answer)
            self.refuse(line)
            self.failed(results, kind)

    def test_cancel(self) -> None:
        """Cancelling while the hook takes its time cancels it."""
        cancelled: list[Any] = []
        line, results = self.requested(
            answerChallenge=lambda _: Deferred(cancelled.append)
        )
        self.refuse(line)
        self.connecting.cancel()
        self.failed(results, CancelledError)
        self.assertEqual(len(cancelled), 1)

    def test_C04_dropped(self) -> None:
        """The answer stays with its origin too."""
        line, _ = self.requested(answerChallenge=self.answer)
        self.refuse(line)
        line = self.remote.attempts[1].succeed()
        line.send(response(302, "Location: //other/"))
        line = self.remote.attempts[2].succeed()
        self.assertNotIn("authorization", line.fields)

    def test_C04_notAsked(self) -> None:
        """Who a redirect led to, on another origin, cannot ask for what the
        application gives to the first one; the first one's own 401 behind a redirect
        is answered."""
        line, results = self.requested(answerChallenge=self.answer)
        line.send(response(302, "Location: /login"))
        line = self.remote.attempts[-1].succeed()
        self.refuse(line)
        self.assertEqual(len(self.asked), 1)
        line = self.remote.attempts[-1].succeed()
        line.send(response(302, "Location: //other/"))
        self.refuse(self.remote.attempts[-1].succeed())
        self.assertEqual(self.failed(results, HandshakeRefused).status, 401)
        self.assertEqual(len(self.asked), 1)

    def test_proxy(self) -> None:
        """A proxy's 407 is answered likewise; the answer is for the proxy only."""
        seen: list[Any] = []
        choose = WebSocketClientEndpoint.endpointFor

        def endpointFor(*arguments: Any) -> Any:
            seen.append(arguments[-1])
            return choose(*arguments)

        self.patch(client.WebSocketClientEndpoint, "endpointFor", endpointFor)
        headers = Headers({"Proxy-Authenticate": "Basic"})
        for answers in (["Basic x"], [None]):
            self.answers = list(answers)
            results = self.connect(Recorder(), answerChallenge=self.answer)
            self.remote.attempts[-1].fail(ProxyFailed("no", 407, headers))
            self.assertEqual(self.asked[-1].challenges, ("Basic",))
        self.failed(results, ProxyFailed)
        self.assertEqual(seen, [None, "Basic x", None])
        line = self.remote.attempts[1].succeed()
        self.assertNotIn("authorization", line.fields)
        self.assertNotIn("proxy-authorization", line.fields)

    def test_proxyAnswerOfNoStr(self) -> None:
        """An answer that is no str is the hook's fault, not a failed connection, which
        would be tried again and again."""
        self.answers = [b"Basic x"]
        results = self.connect(Recorder(), answerChallenge=self.answer)
        self.remote.attempts[-1].fail(ProxyFailed("no", 407))
        self.assertIn("answerChallenge", str(self.failed(results, TypeError)))

    def test_C04_proxyAnswer(self) -> None:
        """On the way to another origin, for which the environment may name another
        proxy, the answer to a proxy's challenge is left behind; on the way to the same
        one it is kept."""
        seen: list[Any] = []
        choose = WebSocketClientEndpoint.endpointFor

        def endpointFor(*arguments: Any) -> Any:
            seen.append(arguments[-1])
            return choose(*arguments)

        self.patch(client.WebSocketClientEndpoint, "endpointFor", endpointFor)
        self.answers = ["Basic x"]
        self.connect(Recorder(), answerChallenge=self.answer)
        self.remote.attempts[-1].fail(ProxyFailed("no", 407))
        for location in ("/same", "//other/"):
            line = self.remote.attempts[-1].succeed()
            line.send(response(302, f"Location: {location}"))
        self.assertEqual(seen, [None, "Basic x", "Basic x", None])

    def test_proxyFails(self) -> None:
        """Other failures of a proxy are errors."""
        for error in (ProxyFailed("no", 502), ProxyFailed("no", wantsCredentials=True)):
            results = self.connect(Recorder(), answerChallenge=self.answer)
            self.remote.attempts[-1].fail(error)
            self.assertIs(self.failed(results, ProxyFailed), error)
        self.assertEqual(self.asked, [])


class ConnectTests(ClientTestCase):
    """``connect()``."""

    def test_webSocket(self) -> None:
        """It gives a WebSocket, messages behind the 101 included."""
        results = firedWith(connect(self.remote.clock, "ws://h/"))
        line = self.remote.attempts[0].succeed()
        line.accept(then=frame(TEXT, b"early"))
        webSocket = results[0]
        self.assertIsInstance(webSocket, WebSocket)
        self.assertEqual(firedWith(webSocket.receive()), ["early"])
        line.send(closing())
        line.hangUp()
        self.assertEqual(len(firedWith(webSocket.receive())), 1)

    def test_arguments(self) -> None:
        """Options and endpoint are passed on."""
        endpoint = FakeEndpoint(self.remote)
        connect(
            self.remote.clock,
            "ws://h/",
            ClientOptions(subprotocols=("x",)),
            endpoint=endpoint,
        )
        line = self.remote.attempts[0].succeed()
        self.assertIsNone(line.attempt.place)
        self.assertEqual(line.fields["sec-websocket-protocol"], "x")
        line.accept()

    def test_errors(self) -> None:
        """Every error comes out of the Deferred."""
        self.failed(firedWith(connect(self.remote.clock, "x")), InvalidURL)
        options = ClientOptions(trustRoots="/nowhere")
        found = firedWith(connect(self.remote.clock, "wss://h", options))
        self.failed(found, TLSConfigurationError)
        found = firedWith(connect(self.remote.clock, "ws://h"))
        self.remote.attempts[0].fail(DNSLookupError())
        self.failed(found, ConnectFailed)

    def test_cancel(self) -> None:
        """Cancelling closes what was opened."""
        waiting = connect(self.remote.clock, "ws://h")
        line = self.remote.attempts[0].succeed()
        results = firedWith(waiting)
        waiting.cancel()
        self.failed(results, CancelledError)
        self.assertTrue(line.transport.aborted)


class ClientServiceTests(ClientTestCase):
    """Under ``twisted.application.internet.ClientService``."""

    def setUp(self) -> None:
        """Make a service whose waits are one second for each failure."""
        super().setUp()
        self.recorders: list[Recorder] = []
        case = self

        class Building:
            def buildProtocol(self, request: Any) -> Recorder:
                case.recorders.append(Recorder())
                return case.recorders[-1]

        self.service = ClientService(
            self.makeEndpoint(),
            Building(),  # type: ignore[arg-type]
            retryPolicy=lambda failures: float(failures),
            clock=self.remote.clock,
        )
        self.service.startService()

    def tearDown(self) -> None:
        """Stop it."""
        stopped = firedWith(self.service.stopService())
        for line in self.remote.lines:
            line.vanish()
        self.remote.advance(1)
        self.assertEqual(stopped, [None])
        super().tearDown()

    def test_whenConnected(self) -> None:
        """whenConnected gives the application's protocol, after the 101 and not
        before."""
        found = firedWith(self.service.whenConnected())
        line = self.remote.attempts[0].succeed()
        self.assertEqual(found, [])
        line.accept()
        self.assertEqual(found, self.recorders)

    def test_backoff(self) -> None:
        """The waits grow while the server refuses, and begin anew after a connection
        that was open."""
        for number in (1, 2, 3):
            line = self.remote.attempts[-1].succeed()
            line.send(response(503, "Content-Length: 0"))
            self.remote.advance(number - 0.5, 0.5)
            self.assertEqual(len(self.remote.attempts), number)
            self.remote.advance(0.5)
            self.assertEqual(len(self.remote.attempts), number + 1)
        line = self.remote.attempts[-1].succeed()
        line.accept()
        line.vanish()
        self.assertEqual(self.recorders[0].names[-1], "connectionLost")
        self.remote.advance(1.5, 0.5)
        self.assertEqual(len(self.remote.attempts), 5)

    def test_stop(self) -> None:
        """stopService closes the connection with 1000, and fires when it is gone."""
        line = self.remote.attempts[0].succeed()
        line.accept()
        stopped = firedWith(self.service.stopService())
        line.pump()
        self.assertEqual(line.frames[-1][1], b"\x03\xe8")
        line.send(closing())
        self.assertEqual(stopped, [])
        line.hangUp()
        self.assertEqual(stopped, [None])

    def test_stopWhileConnecting(self) -> None:
        """While it connects, that is cancelled."""
        line = self.remote.attempts[0].succeed()
        stopped = firedWith(self.service.stopService())
        self.assertEqual(stopped, [None])
        self.assertTrue(line.transport.aborted)

    def test_brokenApplication(self) -> None:
        """An application that raises while its connection opens counts as a refusal."""

        def fail(_: object) -> None:
            raise RuntimeError("no")

        line = self.remote.attempts[0].succeed()
        self.patch(Recorder, "negotiationStarted", fail)
        line.accept()
        line.hangUp()
        self.remote.advance(1)
        self.assertEqual(len(self.remote.attempts), 2)
