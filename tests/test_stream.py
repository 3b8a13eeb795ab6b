"""Stream protocols over WebSocket: the factory, the endpoints, what a peer may send; in
memory, and between the endpoints on loopback."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from base64 import b64encode
from typing import Any, cast

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.application.internet import ClientService
from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import (
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    NoProtocol,
)
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from tests.clients import connect, within
from tests.loopback import LoopbackCase
from tests.processes import freePort
from tests.test_streamtransport import Stream, StreamCase
from twisted_ws.clientoptions import ClientOptions
from twisted_ws.connection import CloseReceived
from twisted_ws.errors import ConnectFailed, HandshakeRefused, InvalidOption, InvalidURL
from twisted_ws.factory import WebSocketServerFactory
from twisted_ws.options import ServerOptions
from twisted_ws.stream import (
    StreamFactory,
    StreamProtocol,
    WebSocketStreamClientEndpoint,
    WebSocketStreamServerEndpoint,
)
from twisted_ws.testing import BINARY, closing, frame, text
from twisted_ws.tls import TLSServerEndpoint, selfSignedContext

reactor: Any = _reactor


class StartedFactory(Factory):
    """Counts how often it was started and stopped.

    :param protocols: what it gives, in turn
    """

    noisy = False

    def __init__(self, *protocols: Any) -> None:
        self.protocols = list(protocols)
        self.starts = self.stops = 0

    def startFactory(self) -> None:
        """Count."""
        self.starts += 1

    def stopFactory(self) -> None:
        """Count."""
        self.stops += 1

    def buildProtocol(self, addr: Any) -> Any:
        """Give the next one."""
        return self.protocols.pop(0)


class MessageTests(StreamCase):
    """What a peer may send, and what not."""

    def test_messages(self) -> None:
        """Binary messages are the stream's bytes, however they are cut; what the
        protocol returns is nothing to wait for."""
        stream, peer = self.stream(Stream(dataReceived=lambda *_: Deferred()))
        peer.send(frame(BINARY, b"a"), frame(2, b"b"), frame(0x80, b"c"))
        self.assertEqual(stream.received, [b"a", b"bc"])

    def test_text(self) -> None:
        """Text is refused with 1003, and nothing behind it is delivered."""
        stream, peer = self.stream()
        peer.send(text("hello"), frame(BINARY, b"more"), text("again"))
        self.assertEqual(stream.received, [])
        self.assertEqual(peer.closeFrame, (1003, "a stream consists of bytes"))
        peer.send(closing(1003))
        self.assertIsInstance(stream.reason, ConnectionLost)

    def test_base64(self) -> None:
        """With base64 it is text that has the bytes, each message on its own."""
        stream, peer = self.stream(None, "Sec-WebSocket-Protocol: base64")
        self.assertEqual(peer.response.headers["sec-websocket-protocol"], "base64")
        peer.send(text(b64encode(b"hello").decode()), text("YQ=="), text(""))
        self.assertEqual(stream.received, [b"hello", b"a"])

    def test_notBase64(self) -> None:
        """Text that is not base64 is refused with 1007, binary messages with 1003."""
        for message in ("a", "YQ", "YQ==\n", "\u2603", "%%%%"):
            stream, peer = self.stream(None, "Sec-WebSocket-Protocol: base64")
            peer.send(text(message))
            self.assertEqual(peer.closeFrame, (1007, "text that is not base64"))
            self.assertEqual(stream.received, [])
        stream, peer = self.stream(None, "Sec-WebSocket-Protocol: base64")
        peer.send(frame(BINARY, b"x"))
        self.assertEqual(peer.closeFrame, (1003, "binary, though base64 was agreed"))

    def test_raises(self) -> None:
        """A protocol that raises is logged, and ends the connection with 1011."""

        def fail(*_: object) -> None:
            raise RuntimeError("broken")

        stream, peer = self.stream(Stream(dataReceived=fail))
        peer.send(frame(BINARY, b"x"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(peer.closeFrame, (1011, "internal error"))
        peer.hangUp()
        self.assertEqual(stream.losses, 1)

    def test_raisesAtOnce(self) -> None:
        """So does one that raises in ``connectionMade``."""

        def fail(*_: object) -> None:
            raise RuntimeError("broken")

        stream, peer = self.stream(Stream(connectionMade=fail))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(peer.closeFrame, (1011, "internal error"))
        peer.hangUp()
        self.assertEqual(stream.losses, 1)


class FactoryTests(StreamCase):
    """``StreamFactory`` on a server."""

    def test_subprotocols(self) -> None:
        """Of binary and base64 the first is preferred, whatever the client prefers;
        without either none is chosen, and what the options chose stays."""
        for offered, options, chosen in (
            ("binary, base64", (), "binary"),
            ("base64, binary", (), "binary"),
            ("base64", (), "base64"),
            ("chat", (), None),
            ("", (), None),
            ("mqtt, binary", ("mqtt",), "mqtt"),
            ("base64, binary", ("base64",), "base64"),
        ):
            headers = [f"Sec-WebSocket-Protocol: {offered}"] if offered else []
            _, peer = self.stream(None, *headers, subprotocols=options)
            found = peer.response.headers.get("sec-websocket-protocol")
            self.assertEqual(found, chosen, offered)

    def test_address(self) -> None:
        """The factory gets the peer's address, as from every port."""
        addresses: list[Any] = []

        class Asked(Factory):
            def buildProtocol(self, addr: Any) -> Any:
                addresses.append(addr)
                return Stream()

        peer = self.serve(StreamFactory(Asked())).open()
        self.assertEqual(addresses, [peer.transport.getPeer()])

    def test_none(self) -> None:
        """Where the factory gives none the answer is 503."""
        factory = StartedFactory(None)
        peer = self.serve(StreamFactory(factory)).open()
        self.assertEqual(peer.response.status, 503)

    def test_size(self) -> None:
        """The size of messages is a number of bytes."""
        for size in (0, -1, "64KiB", None):
            with self.assertRaisesRegex(InvalidOption, "messageSize"):
                StreamFactory(Factory(), size)  # type: ignore[arg-type]

    def test_neverOpen(self) -> None:
        """A protocol that never was connected is told of no end."""
        stream = Stream()
        protocol = StreamProtocol(stream)
        protocol.connectionLost(None)  # type: ignore[arg-type]
        self.assertEqual(stream.losses, 0)


class EndpointCase(LoopbackCase):
    """A listening endpoint on loopback."""

    async def listen(self, factory: Factory, **arguments: Any) -> str:
        """Listen, and give the URL.

        :param factory: of the protocols
        :param arguments: for :class:`WebSocketStreamServerEndpoint`
        """
        below: Any = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        self.roots: Any = None
        secure = arguments.pop("secure", False)
        if secure:
            context, certificate = selfSignedContext()
            self.roots = Certificate.loadPEM(certificate.public_bytes(Encoding.PEM))
            below = TLSServerEndpoint(below, context)
        endpoint = WebSocketStreamServerEndpoint(below, **arguments)
        self.port = await endpoint.listen(factory)
        self.addCleanup(self.port.stopListening)
        scheme = "wss" if secure else "ws"
        return f"{scheme}://localhost:{self.port.getHost().port}"

    def connectStream(
        self, url: str, factory: Factory, options: ClientOptions | None = None
    ) -> Deferred[Any]:
        """Connect a stream."""
        return within(
            WebSocketStreamClientEndpoint(reactor, url, options).connect(factory)
        )


def waiting(**reactions: Any) -> tuple[Stream, Deferred[Any]]:
    """Give a stream, and what fires when its connection has ended."""
    lost: Deferred[Any] = Deferred()
    stream = Stream(
        connectionLost=lambda stream: lost.callback(stream.reason), **reactions
    )
    return stream, within(lost)


def echo(stream: Stream, data: bytes) -> None:
    """React to data by sending it back."""
    stream.transport.write(data)


class EndpointTests(EndpointCase):
    """The two endpoints, with each other."""

    async def _echoes(self, secure: bool) -> None:
        server, serverLost = waiting(dataReceived=echo)
        got: Deferred[Any] = Deferred()

        def receive(stream: Stream, _: bytes) -> None:
            if sum(map(len, stream.received)) == 300_000:
                got.callback(None)

        client, clientLost = waiting(dataReceived=receive)
        serverFactory, clientFactory = StartedFactory(server), StartedFactory(client)
        url = await self.listen(serverFactory, path="/stream", secure=secure)
        self.assertEqual((serverFactory.starts, serverFactory.stops), (1, 0))
        found = await self.connectStream(
            f"{url}/stream",
            clientFactory,
            ClientOptions(compression="none", trustRoots=self.roots),
        )
        self.assertIs(found, client)
        self.assertEqual((clientFactory.starts, clientFactory.stops), (1, 0))
        client.transport.write(bytes(300_000))
        await within(got)
        client.transport.loseConnection()
        for lost in (clientLost, serverLost):
            self.assertIsInstance(await lost, ConnectionDone)
        await self.port.stopListening()
        self.assertEqual((clientFactory.starts, clientFactory.stops), (1, 1))
        self.assertEqual((serverFactory.starts, serverFactory.stops), (1, 1))

    def test_plain(self) -> Any:
        """A stream goes there and back; both are told of a clean end, and both
        factories were started and stopped."""
        return self.finish(self._echoes(False))

    def test_tls(self) -> Any:
        """The same over TLS."""
        return self.finish(self._echoes(True))

    def test_aborted(self) -> Any:
        """One side aborts: the other is told of a loss."""

        async def run() -> None:
            server, serverLost = waiting()
            client, clientLost = waiting()
            url = await self.listen(StartedFactory(server))
            await self.connectStream(url, StartedFactory(client))
            client.transport.abortConnection()
            self.assertIsInstance(await serverLost, ConnectionLost)
            self.assertIsInstance(await clientLost, ConnectionLost)

        return self.finish(run())

    def test_base64(self) -> Any:
        """A client that offers base64 only speaks it, if the server agrees."""

        async def run() -> None:
            server, serverLost = waiting(dataReceived=echo)

            def leave(stream: Stream, _: bytes) -> None:
                stream.transport.loseConnection()

            client, clientLost = waiting(dataReceived=leave)
            url = await self.listen(StartedFactory(server))
            options = ClientOptions(subprotocols=("base64",))
            await self.connectStream(url, StartedFactory(client), options)
            client.transport.write(b"hello")
            await clientLost
            await serverLost
            self.assertEqual(client.received, [b"hello"])
            self.assertEqual(client.transport.webSocket.subprotocol, "base64")

        return self.finish(run())

    def test_otherClient(self) -> Any:
        """A client of another make sees plain binary messages."""

        async def run() -> None:
            server, serverLost = waiting(dataReceived=echo)
            await self.listen(StartedFactory(server))
            client = await connect(
                self.port.getHost().port, headers=("Sec-WebSocket-Protocol: binary",)
            )
            self.assertIn(b"Sec-WebSocket-Protocol: binary\r\n", client.head)
            client.sendBytes(b"hello")
            self.assertEqual(await client.receive(), b"hello")
            client.close()
            self.assertEqual(await client.receive(), CloseReceived(1000, ""))
            await client.whenLost()
            await serverLost

        return self.finish(run())

    def test_defaults(self) -> None:
        """Without options there is no compression; with options they hold."""
        below: Any = object()
        plain = WebSocketStreamServerEndpoint(below)
        self.assertEqual(plain.options, ServerOptions(compression="none"))
        options = ServerOptions(compression="large")
        self.assertIs(
            WebSocketStreamServerEndpoint(below, None, options).options, options
        )
        client = WebSocketStreamClientEndpoint(reactor, "ws://localhost/")
        self.assertEqual(client.options, ClientOptions(compression="none"))
        self.assertIn("ws://localhost/", repr(client))

    def test_mistakes(self) -> None:
        """What cannot work is said when the endpoint is made."""
        below: Any = object()
        with self.assertRaisesRegex(ValueError, "does not begin with a slash"):
            WebSocketStreamServerEndpoint(below, "chat")
        with self.assertRaises(InvalidOption):
            WebSocketStreamServerEndpoint(below, messageSize=0)
        with self.assertRaises(InvalidOption):
            WebSocketStreamClientEndpoint(reactor, "ws://localhost/", messageSize=0)
        with self.assertRaises(InvalidURL):
            WebSocketStreamClientEndpoint(reactor, "http://localhost/")


class ConnectingTests(EndpointCase):
    """When there is no connection."""

    def test_refused(self) -> Any:
        """The Deferred fails with why, and the factory is stopped."""

        async def run() -> None:
            url = await self.listen(StartedFactory(), path="/stream")
            factory = StartedFactory()
            with self.assertRaises(HandshakeRefused) as refused:
                await self.connectStream(f"{url}/elsewhere", factory)
            self.assertEqual(refused.exception.status, 404)
            nowhere = f"ws://127.0.0.1:{freePort()}/"
            with self.assertRaises(ConnectFailed) as failed:
                await self.connectStream(nowhere, factory)
            self.assertIsInstance(failed.exception.__cause__, ConnectionRefusedError)
            self.assertEqual((factory.starts, factory.stops), (2, 2))

        return self.finish(run())

    def test_noProtocol(self) -> Any:
        """A factory that gives none fails it with NoProtocol."""

        async def run() -> None:
            server, serverLost = waiting()
            url = await self.listen(StartedFactory(server))
            factory = StartedFactory(None)
            with self.assertRaises(NoProtocol):
                await self.connectStream(url, factory)
            self.assertEqual((factory.starts, factory.stops), (1, 1))
            self.assertIsInstance(await serverLost, ConnectionLost)

        return self.finish(run())

    def test_cancelled(self) -> Any:
        """Cancelled, it stops the factory, once."""

        async def run() -> None:
            factory = StartedFactory()
            endpoint = WebSocketStreamClientEndpoint(
                reactor,
                "ws://localhost/",
                endpoint=cast(Any, _Never()),
            )
            connecting = endpoint.connect(factory)
            connecting.cancel()
            with self.assertRaises(CancelledError):
                await connecting
            self.assertEqual((factory.starts, factory.stops), (1, 1))

        return self.finish(run())

    def test_cancelledWhenOpen(self) -> Any:
        """Cancelled by the protocol itself, in ``connectionMade``, it ends the
        connection, and stops the factory once."""

        async def run() -> None:
            server, serverLost = waiting()
            url = await self.listen(StartedFactory(server))
            connecting: list[Deferred[Any]] = []
            client, clientLost = waiting(
                connectionMade=lambda _: connecting[0].cancel()
            )
            factory = StartedFactory(client)
            endpoint = WebSocketStreamClientEndpoint(reactor, url)
            connecting.append(endpoint.connect(factory))
            with self.assertRaises(CancelledError):
                await connecting[0]
            await clientLost
            await serverLost
            await deferLater(reactor, 0)
            self.assertEqual((factory.starts, factory.stops), (1, 1))

        return self.finish(run())

    def test_clientService(self) -> Any:
        """``ClientService`` keeps a stream connected."""

        async def run() -> None:
            servers = [waiting(), waiting()]
            clients = [waiting(), waiting()]
            url = await self.listen(StartedFactory(*(each[0] for each in servers)))
            service = ClientService(
                WebSocketStreamClientEndpoint(reactor, url),
                StartedFactory(*(each[0] for each in clients)),
                retryPolicy=lambda _: 0,
            )
            service.startService()
            await within(service.whenConnected())
            servers[0][0].transport.loseConnection()
            await clients[0][1]
            # The service learns of it behind the protocol.
            await deferLater(reactor, 0)
            await within(service.whenConnected())
            await deferLater(reactor, 0)
            await within(service.stopService())
            await clients[1][1]
            for _, lost in servers:
                self.assertIsInstance(await lost, ConnectionDone)

        return self.finish(run())


class _Never:
    """An endpoint that never connects."""

    def connect(self, factory: object) -> Deferred[Any]:
        """Wait."""
        return Deferred()


class WrappingTests(SynchronousTestCase):
    """``StreamFactory`` on a client, without the endpoint."""

    def test_served(self) -> None:
        """It is an application for a server's factory."""
        factory = StreamFactory(Factory.forProtocol(Stream))
        self.assertIs(WebSocketServerFactory(factory).application, factory)
