"""The client on real TCP, TLS and UNIX sockets, with servers on the same reactor.

Nothing sleeps here: whatever is waited for is a Deferred with a deadline.
"""

# pytest-twisted has no types.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import datetime
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_twisted  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.application.internet import ClientService
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.endpoints import (
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
)
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from tests.certificates import keyToPEM, makeCertificate, makeKey, toPEM
from tests.clients import reactor, within
from tests.processes import removeDirectory
from twisted_ws import (
    Backoff,
    CertificateRefused,
    ClientOptions,
    ConnectFailed,
    ConnectionClosed,
    HandshakeRejected,
    Request,
    ServerOptions,
    TLSFailed,
    TLSServerEndpoint,
    WebSocket,
    WebSocketClientEndpoint,
    WebSocketProtocol,
    WebSocketServerFactory,
    connect,
    loadContext,
    reconnecting,
)
from twisted_ws.tap import Echo

pytestmark = pytest.mark.filterwarnings("error")

AUTHORITY_KEY = makeKey()
AUTHORITY = makeCertificate("authority", AUTHORITY_KEY, ca=True)


def loopback(port: int = 0) -> TCP4ServerEndpoint:
    """Give an endpoint on loopback."""
    return TCP4ServerEndpoint(reactor, port, interface="127.0.0.1")


@pytest.fixture
def directory() -> Iterator[str]:
    """Give a directory for a test."""
    path = tempfile.mkdtemp(prefix="twisted_ws-")
    yield path
    removeDirectory(path)


@asynccontextmanager
async def listening(endpoint: Any, factory: Any) -> AsyncIterator[Any]:
    """Listen for a while, and end every connection then."""
    port = await within(endpoint.listen(factory))
    try:
        yield port
    finally:
        await within(port.stopListening())
        if isinstance(factory, WebSocketServerFactory):
            await within(factory.abortConnections())


def write(directory: str, name: str, *parts: bytes) -> str:
    """Write a file and give its path."""
    path = Path(directory, name)
    path.write_bytes(b"".join(parts))
    return str(path)


def secured(directory: str, name: str = "localhost", days: int = 1) -> Any:
    """Give an endpoint with TLS, and the path of the authority's certificate.

    :param directory: for files
    :param name: whom the certificate names
    :param days: how long it is good; negative, and it was
    """
    key = makeKey()
    certificate = makeCertificate(name, key, (AUTHORITY, AUTHORITY_KEY))
    if days < 0:
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(certificate.subject)
            .issuer_name(AUTHORITY.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=9))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
            .sign(AUTHORITY_KEY, hashes.SHA256())
        )
    path = write(directory, "server.pem", toPEM(certificate), keyToPEM(key))
    context = loadContext(path)
    roots = write(directory, "roots.pem", toPEM(AUTHORITY))
    return TLSServerEndpoint(loopback(), context), context, roots


def nameOf(certificate: X509) -> str:
    """Give the name in a certificate."""
    (found,) = certificate.to_cryptography().subject
    return str(found.value)


async def until(condition: Callable[[list[Any]], object], what: str) -> None:
    """Let the reactor turn until something is so; there is a deadline.

    :param condition: called with what the reactor reads from, tells whether it is so
    :param what: for the message when it never is
    """
    deadline = reactor.seconds() + 15
    while not condition(reactor.getReaders()):
        assert reactor.seconds() < deadline, f"never happened: {what}"
        await deferLater(reactor, 0.005)


class Listener(Protocol):
    """Keeps the decrypted bytes that come, and says when it is over."""

    def __init__(self) -> None:
        self.received = b""
        self.asked: Deferred[None] = Deferred()
        """Fires when the first bytes have come."""
        self.lost: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.received += data
        if not self.asked.called:
            self.asked.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over."""
        self.lost.callback(None)


def listenerAndFactory() -> tuple[Listener, Any]:
    """Make a Listener for one connection, and a factory of it."""
    listener = Listener()
    factory = Factory.forProtocol(lambda: listener)
    factory.noisy = False
    return listener, factory


# Carriers


@pytest_twisted.ensureDeferred
async def test_plain() -> None:
    """Messages of every size come back over TCP, by name and by address."""
    async with listening(loopback(), WebSocketServerFactory(Echo)) as port:
        for host in ("localhost", "127.0.0.1"):
            url = f"ws://{host}:{port.getHost().port}/"
            async with await within(connect(reactor, url)) as webSocket:
                for message in ("", "ä" * 1000, bytes(1 << 20)):
                    await webSocket.send(message)
                    assert await within(webSocket.receive()) == message


@pytest_twisted.ensureDeferred
async def test_ipv6() -> None:
    """An IPv6 address in the URL is connected to, and is in the Host header."""
    seen: list[str | None] = []

    def build(request: Request) -> Echo:
        seen.append(request.headers.get("Host"))
        return Echo()

    endpoint = TCP6ServerEndpoint(reactor, 0, interface="::1")
    try:
        async with listening(endpoint, WebSocketServerFactory(build)) as port:
            place = f"[::1]:{port.getHost().port}"
            async with await within(connect(reactor, f"ws://{place}/")):
                assert seen == [place]
    except CannotListenError:
        pytest.skip("this machine has no IPv6")


@pytest_twisted.ensureDeferred
async def test_unix(directory: str) -> None:
    """A UNIX socket leads to the server, with TLS on top if the URL says so."""
    path = os.path.join(directory, "socket")
    _, context, roots = secured(directory)
    options = ClientOptions(trustRoots=roots)
    plain = UNIXServerEndpoint(reactor, path)
    for scheme, endpoint in (("ws", plain), ("wss", TLSServerEndpoint(plain, context))):
        async with listening(endpoint, WebSocketServerFactory(Echo)):
            client = UNIXClientEndpoint(reactor, path)
            waiting = connect(
                reactor, f"{scheme}://localhost/", options, endpoint=client
            )
            async with await within(waiting) as webSocket:
                await webSocket.send("x")
                assert await within(webSocket.receive()) == "x"


@pytest_twisted.ensureDeferred
async def test_tls(directory: str) -> None:
    """wss with a trusted certificate: messages come back, and the certificate can be
    seen."""
    endpoint, _, roots = secured(directory)
    async with listening(endpoint, WebSocketServerFactory(Echo)) as port:
        url = f"wss://localhost:{port.getHost().port}/"
        async with await within(
            connect(reactor, url, ClientOptions(trustRoots=roots))
        ) as webSocket:
            await webSocket.send(bytes(1 << 20))
            assert await within(webSocket.receive()) == bytes(1 << 20)
            transport: Any = webSocket.transport
            assert nameOf(transport.request.peerCertificate) == "localhost"


@pytest_twisted.ensureDeferred
async def test_muchAtOnce() -> None:
    """A client that sends much at once gets all answers of a server that stops reading
    until its answers are read: the two do not wait for each other."""
    async with listening(loopback(), WebSocketServerFactory(Echo)) as port:
        url = f"ws://127.0.0.1:{port.getHost().port}/"
        options = ClientOptions(compression="none")
        async with await within(connect(reactor, url, options)) as webSocket:
            # Several times what the buffers of two kernels and two transports hold.
            for number in range(400):
                webSocket.transport.sendBytesMessage(bytes((number % 256,)) * 40_000)
            for number in range(400):
                message = await within(webSocket.receive())
                assert message == bytes((number % 256,)) * 40_000


@pytest_twisted.ensureDeferred
async def test_withoutALPN(directory: str) -> None:
    """A server that ends TLS when a client offers ALPN, as those do that are made with
    Twisted's own ``CertificateOptions``, is connected to."""
    endpoint, context, roots = secured(directory)
    context.set_alpn_select_callback(lambda _, offered: b"")
    async with listening(endpoint, WebSocketServerFactory(Echo)) as port:
        url = f"wss://localhost:{port.getHost().port}/"
        async with await within(
            connect(reactor, url, ClientOptions(trustRoots=roots))
        ) as webSocket:
            await webSocket.send("x")
            assert await within(webSocket.receive()) == "x"


@pytest_twisted.ensureDeferred
async def test_clientCertificate(directory: str) -> None:
    """A client's certificate is shown to a server that asks; without one, such a server
    ends TLS, and that is told."""
    endpoint, context, roots = secured(directory)
    context.load_verify_locations(roots)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    key = makeKey()
    certificate = makeCertificate("ada", key, (AUTHORITY, AUTHORITY_KEY))
    own = write(directory, "client.pem", toPEM(certificate), keyToPEM(key))
    names: list[str] = []

    def build(request: Request) -> Echo:
        names.append(nameOf(request.peerCertificate))
        return Echo()

    async with listening(endpoint, WebSocketServerFactory(build)) as port:
        url = f"wss://localhost:{port.getHost().port}/"
        options = ClientOptions(trustRoots=roots, clientCertificate=own)
        async with await within(connect(reactor, url, options)):
            assert names == ["ada"]
        with pytest.raises(TLSFailed) as caught:
            await within(connect(reactor, url, ClientOptions(trustRoots=roots)))
        assert type(caught.value) is TLSFailed


# Certificates


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    ("name", "days", "trusted"),
    [("localhost", 1, False), ("other.example", 1, True), ("localhost", -1, True)],
    ids=["untrusted", "wrong name", "expired"],
)
async def test_C05_refused(directory: str, name: str, days: int, trusted: bool) -> None:
    """A certificate of an authority that is not trusted, for another name, or that has
    expired is refused by default; not a byte of the request goes there."""
    endpoint, _, roots = secured(directory, name, days)
    listener, factory = listenerAndFactory()
    async with listening(endpoint, factory) as port:
        url = f"wss://user:secret@localhost:{port.getHost().port}/"
        options = ClientOptions(trustRoots=roots if trusted else None)
        with pytest.raises(CertificateRefused):
            await within(connect(reactor, url, options))
        await within(listener.lost)
        assert listener.received == b""


@pytest_twisted.ensureDeferred
async def test_C05_disabled(directory: str) -> None:
    """Only the option with the alarming name lets such a certificate through."""
    endpoint, _, _ = secured(directory, "other.example")
    options = ClientOptions(dangerouslyDisableCertificateVerification=True)
    async with listening(endpoint, WebSocketServerFactory(Echo)) as port:
        url = f"wss://localhost:{port.getHost().port}/"
        async with await within(connect(reactor, url, options)) as webSocket:
            await webSocket.send("x")
            assert await within(webSocket.receive()) == "x"


@pytest_twisted.ensureDeferred
async def test_C05_serverName(directory: str) -> None:
    """The server is told which name is asked for (SNI), verified or not."""
    endpoint, context, roots = secured(directory)
    names: list[bytes | None] = []
    context.set_tlsext_servername_callback(
        lambda connection: names.append(connection.get_servername())
    )
    async with listening(endpoint, WebSocketServerFactory(Echo)) as port:
        url = f"wss://localhost:{port.getHost().port}/"
        for options in (
            ClientOptions(trustRoots=roots),
            ClientOptions(dangerouslyDisableCertificateVerification=True),
        ):
            async with await within(connect(reactor, url, options)):
                pass
    assert names == [b"localhost", b"localhost"]


@pytest_twisted.ensureDeferred
async def test_S01_oldServer(directory: str) -> None:
    """A server that speaks no TLS 1.2 is refused, verified or not."""
    endpoint, context, roots = secured(directory)
    context.set_min_proto_version(SSL.TLS1_1_VERSION)
    context.set_max_proto_version(SSL.TLS1_1_VERSION)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    async with listening(endpoint, WebSocketServerFactory(Echo)) as port:
        url = f"wss://localhost:{port.getHost().port}/"
        for options in (
            ClientOptions(trustRoots=roots),
            ClientOptions(dangerouslyDisableCertificateVerification=True),
        ):
            with pytest.raises(TLSFailed, match="version"):
                await within(connect(reactor, url, options))


@pytest_twisted.ensureDeferred
async def test_S03_plaintextServer() -> None:
    """A server without TLS at a wss URL is an error that says so."""
    async with listening(loopback(), WebSocketServerFactory(Echo)) as port:
        with pytest.raises(TLSFailed, match="plaintext"):
            url = f"wss://localhost:{port.getHost().port}/"
            await within(connect(reactor, url))


# Not connecting


@pytest_twisted.ensureDeferred
async def test_C03_unreachable() -> None:
    """A port where nobody listens, and a name that nobody has."""
    port = await within(loopback().listen(Factory()))
    number = port.getHost().port
    await within(port.stopListening())
    for url in (f"ws://127.0.0.1:{number}", "ws://host.invalid", "ws://a_b.invalid"):
        kind = ValueError if "_" in url else ConnectFailed
        with pytest.raises(kind):
            await within(connect(reactor, url))


@pytest_twisted.ensureDeferred
async def test_C03_cancelled(directory: str) -> None:
    """Cancelling closes the connection, in TLS too."""
    tls, _, roots = secured(directory)
    for endpoint, scheme in ((loopback(), "ws"), (tls, "wss")):
        listener, factory = listenerAndFactory()
        async with listening(endpoint, factory) as port:
            url = f"{scheme}://localhost:{port.getHost().port}/"
            waiting = connect(reactor, url, ClientOptions(trustRoots=roots))
            await within(listener.asked)
            waiting.cancel()
            with pytest.raises(CancelledError):
                await waiting
            await within(listener.lost)


@pytest_twisted.ensureDeferred
async def test_cancelAtAnyMoment(directory: str) -> None:
    """Cancelling after any number of turns of the reactor leaves nothing open, and the
    Deferred fires."""
    tls, _, roots = secured(directory)
    options = ClientOptions(trustRoots=roots)
    for endpoint, scheme in ((loopback(), "ws"), (tls, "wss")):
        factory = WebSocketServerFactory(Echo)
        async with listening(endpoint, factory) as port:
            url = f"{scheme}://localhost:{port.getHost().port}/"
            before = set(reactor.getReaders())
            cancelled = 0
            for turns in range(40):
                waiting = connect(reactor, url, options)
                for _ in range(turns):
                    await deferLater(reactor, 0)
                waiting.cancel()
                try:
                    webSocket = await within(waiting)
                except CancelledError:
                    cancelled += 1
                else:
                    await within(ensureDeferred(webSocket.close()))
            await within(factory.whenIdle())
            await until(before.issuperset, "all closed")
            assert cancelled > 0


# Staying connected


class Numbers(WebSocketProtocol):
    """Sends numbers, from a list that all connections share; confirmed ones never come
    again.

    :param numbers: what is to be sent yet
    """

    def __init__(self, numbers: list[int]) -> None:
        self._numbers = numbers

    def negotiationFinished(self) -> None:
        """Send the first one."""
        self._send()

    def textMessageReceived(self, message: str) -> None:
        """One is confirmed: send the next."""
        assert self._numbers.pop(0) == int(message)
        self._send()

    def _send(self) -> None:
        if self._numbers:
            self.transport.sendTextMessage(str(self._numbers[0]))


@asynccontextmanager
async def restarting(numbers: list[int]) -> AsyncIterator[Any]:
    """Run a server that can be killed and started again at its port: gives its URL, and
    a coroutine function that does that."""
    running: list[Any] = []

    async def start(port: int = 0) -> int:
        factory = WebSocketServerFactory(lambda _: Numbers(numbers))
        running[:] = [await within(loopback(port).listen(factory)), factory]
        found: int = running[0].getHost().port
        return found

    async def stop() -> None:
        await within(running[0].stopListening())
        await within(running[1].abortConnections())

    port = await start()

    async def restart() -> None:
        await stop()
        await start(port)

    try:
        yield f"ws://127.0.0.1:{port}/", restart
    finally:
        await stop()


@pytest_twisted.ensureDeferred
async def test_reconnecting() -> None:
    """A server that is killed and started again: each message that was handed to the
    loop comes once, in order."""
    numbers = list(range(30))
    seen: list[int] = []
    due = [10, 20, 99]
    async with restarting(numbers) as (url, restart):

        async def read() -> None:
            backoff = Backoff(first=0.05, most=0.2)
            async for webSocket in reconnecting(reactor, url, backoff=backoff):
                with suppress(ConnectionClosed):
                    async for message in webSocket:
                        assert isinstance(message, str)
                        if len(seen) == due[0]:
                            # Before it confirms: the server has to send it again.
                            del due[0]
                            await restart()
                            continue
                        seen.append(int(message))
                        await webSocket.send(message)
                        if len(seen) == 30:
                            await webSocket.close()
                            return

        await within(ensureDeferred(read()))
    assert seen == list(range(30))


@pytest_twisted.ensureDeferred
async def test_clientService() -> None:
    """Likewise under ClientService; each connection's end is told to its protocol."""
    numbers = list(range(30))
    seen: list[int] = []
    ended: list[ConnectionClosed] = []
    done: Deferred[None] = Deferred()
    async with restarting(numbers) as (url, restart):

        class Confirming(WebSocketProtocol):
            async def textMessageReceived(self, message: str) -> None:
                if len(seen) in (10, 20) and len(ended) < len(seen) // 10:
                    # Not seen yet, and not confirmed.
                    await restart()
                    return
                seen.append(int(message))
                self.transport.sendTextMessage(message)
                if len(seen) == 30:
                    done.callback(None)

            def connectionLost(self, reason: Failure) -> None:
                assert isinstance(reason.value, ConnectionClosed)
                ended.append(reason.value)

        service = ClientService(
            WebSocketClientEndpoint.fromURL(reactor, url),
            cast(Any, Factory).forProtocol(Confirming),
            retryPolicy=lambda _: 0.05,
            clock=reactor,
        )
        service.startService()
        protocol: Any = await within(service.whenConnected())
        assert isinstance(protocol, Confirming)
        await within(done)
        await within(service.stopService())
    assert seen == list(range(30))
    assert [each.code for each in ended[:2]] == [1006, 1006]
    assert len(ended) == 3


@pytest_twisted.ensureDeferred
async def test_C04_redirect() -> None:
    """A redirect to another port is followed; credentials stay behind."""
    seen: list[str | None] = []

    def build(request: Request) -> Echo:
        seen.append(request.headers.get("Authorization"))
        return Echo()

    def redirect(request: Request) -> None:
        seen.append(request.headers.get("Authorization"))
        raise HandshakeRejected(307, {"Location": f"ws://localhost:{number}/there"})

    options = ServerOptions()
    async with listening(loopback(), WebSocketServerFactory(build, options)) as port:
        number = port.getHost().port
        factory = WebSocketServerFactory(redirect, options)
        async with listening(loopback(), factory) as other:
            url = f"ws://u:p@localhost:{other.getHost().port}/here"
            webSocket: WebSocket = await within(connect(reactor, url))
            async with webSocket:
                assert webSocket.request.path == "/there"
    assert seen == ["Basic dTpw", None]
