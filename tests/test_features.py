"""docs/topics/features.rst: each line of its table is so, of all four packages.

A test checks a line for those of the packages that are installed, and skips if none of
the others is.
"""

# pytest-twisted has no types.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import asyncio
import importlib
import inspect
import ssl
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted  # type: ignore[import-untyped]
from OpenSSL import SSL

import twisted_ws
from docs.features import FEATURES, Feature
from tests.clients import Client, connectRaw, within
from tests.test_examples import writeCertificate
from tests.test_from_autobahn import serving as servingAutobahn
from tests.test_twisted_web_compat import ours, theirs
from tests.test_twisted_web_compat import serving as servingWeb
from twisted_ws.connection import CloseReceived

ROWS = {row.name: row for row in FEATURES}


def load(name: str) -> Any:
    """Import a module of another package; None where it is not installed."""
    with warnings.catch_warnings():
        # Of them about Python and each other.
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except ImportError:
            return None


autobahn = load("autobahn.twisted.websocket")
web = load("twisted.web.websocket")
websockets = load("websockets.asyncio.server")
websocketsClient = load("websockets.asyncio.client")

needsAutobahn = pytest.mark.skipif(autobahn is None, reason="needs Autobahn")
needsWeb = pytest.mark.skipif(web is None, reason="needs twisted.web.websocket")
needsWebsockets = pytest.mark.skipif(websockets is None, reason="needs websockets")
needsAll = pytest.mark.skipif(
    None in (autobahn, web, websockets),
    reason="needs Autobahn, twisted.web.websocket and websockets",
)


def row(name: str, *cells: str) -> None:
    """Check what the page says."""
    assert ROWS[name][2:] == cells


def yesNo(*found: object) -> tuple[str, ...]:
    """Give cells."""
    return tuple("yes" if each else "no" for each in found)


def defaultOf(function: Any, name: str) -> Any:
    """Give a parameter's default."""
    return inspect.signature(function).parameters[name].default


def parametersOf(function: Any) -> set[str]:
    """Give the names of a function's parameters."""
    return set(inspect.signature(function).parameters)


def test_everyRow() -> None:
    """Every line has a test of its name."""
    for each in FEATURES:
        assert isinstance(each, Feature)
        assert f"test_{each.name}" in globals(), each.name


@needsAll
def test_loops() -> None:
    """What they run on."""
    # Once that for Twisted is imported, that for asyncio cannot be.
    folder = Path(inspect.getfile(load("autobahn"))).parent
    assert (folder / "asyncio" / "websocket.py").exists()
    assert load("websockets.sync.client") and load("websockets.asyncio.client")
    row("loops", "Twisted, asyncio", "Twisted", "asyncio, threads", "Twisted")


async def head(port: int, *headers: str) -> bytes:
    """Ask for WebSocket, and give the head of the answer."""
    client = Client(f"localhost:{port}", "/", headers)
    await connectRaw(port, client)
    await within(client.opened)
    client.transport.abortConnection()
    await client.whenLost()
    return client.head


async def heads(*headers: str) -> list[bytes]:
    """Ask all four."""
    found = []
    async with servingAutobahn(autobahn.WebSocketServerProtocol) as port:
        found.append(await head(port, *headers))
    for make in (theirs, ours):
        async with servingWeb(make) as (_, port):
            found.append(await head(port, *headers))
    found.insert(2, headOfWebsockets(*headers))
    return found


def headOfWebsockets(*headers: str) -> bytes:
    """Ask websockets, which has a loop of its own."""

    async def ask() -> bytes:
        async def handler(connection: Any) -> None:
            await connection.wait_closed()

        async with websockets.serve(handler, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(Client("localhost", "/", headers).request)
            answer = await reader.readuntil(b"\r\n\r\n")
            writer.close()
            await writer.wait_closed()
            return answer

    return asyncio.run(ask())


@needsAll
@pytest_twisted.ensureDeferred
async def test_origin() -> None:
    """A page of another site is let in, or not."""
    found = await heads("Origin: https://example.org")
    assert [each[9:12] for each in found] == [b"101", b"101", b"101", b"403"]
    row("origin", *yesNo(*(each[9:12] != b"101" for each in found)))


@needsAll
@pytest_twisted.ensureDeferred
async def test_compression() -> None:
    """An offer of compression is taken, or not."""
    found = await heads("Sec-WebSocket-Extensions: permessage-deflate")
    assert all(each.startswith(b"HTTP/1.1 101 ") for each in found)
    row("compression", *yesNo(*(b"permessage-deflate" in each for each in found)))


@needsAll
def test_messageLimit() -> None:
    """The defaults."""
    assert autobahn.WebSocketServerFactory().maxMessagePayloadSize == 0
    # It has no options at all.
    assert parametersOf(web.WebSocketResource.__init__) == {"self", "factory"}
    assert defaultOf(websockets.serve, "max_size") == 2**20
    assert twisted_ws.ServerOptions().maxMessageSize == 2**20
    row("messageLimit", "no limit", "no limit, and none to set", "1 MiB", "1 MiB")


@needsAll
def test_connectionLimit() -> None:
    """The defaults."""
    assert autobahn.WebSocketServerFactory().maxConnections == 0
    assert parametersOf(web.WebSocketResource.__init__) == {"self", "factory"}
    names = parametersOf(websockets.serve)
    assert not [name for name in names if "connections" in name or "limit" in name[:5]]
    assert twisted_ws.ServerOptions().maxConnections == 10_000
    none = "no limit, and none to set"
    row("connectionLimit", "no limit", none, none, "10,000")


@needsAll
def test_keepalive() -> None:
    """The defaults."""
    assert parametersOf(web.WebSocketResource.__init__) == {"self", "factory"}
    row(
        "keepalive",
        *yesNo(
            autobahn.WebSocketServerFactory().autoPingInterval,
            False,
            defaultOf(websockets.serve, "ping_interval"),
            twisted_ws.ServerOptions().pingInterval,
        ),
    )


async def isVerifiedByWebsockets() -> bool:
    """Tell whether a certificate that nobody has signed is refused."""
    with tempfile.TemporaryDirectory() as directory:
        pem = Path(directory) / "pem"
        writeCertificate(pem, "localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)

        async def handler(connection: Any) -> None:
            await connection.wait_closed()

        async with websockets.serve(handler, "127.0.0.1", 0, ssl=context) as server:
            port = server.sockets[0].getsockname()[1]
            try:
                await websocketsClient.connect(f"wss://localhost:{port}", proxy=None)
            except ssl.SSLCertVerificationError:
                return True
    return False


@needsAll
def test_verification() -> None:
    """The defaults; here and in Autobahn tests try it."""
    from twisted.internet.ssl import ClientContextFactory

    mode = ClientContextFactory().getContext().get_verify_mode()
    assert mode == SSL.VERIFY_NONE
    assert "ClientContextFactory()" in inspect.getsource(autobahn.connectWS)
    policy = defaultOf(web.WebSocketClientEndpoint.new, "tlsPolicy")
    assert type(policy).__name__ == "BrowserLikePolicyForHTTPS"
    assert asyncio.run(isVerifiedByWebsockets())
    assert not twisted_ws.ClientOptions().dangerouslyDisableCertificateVerification
    row("verification", "not with ``connectWS``", "yes", "yes", "yes")


@needsAll
def test_subprotocols() -> None:
    """There is a way to say which."""
    row(
        "subprotocols",
        *yesNo(
            "protocols"
            in parametersOf(autobahn.WebSocketClientFactory.setSessionParameters),
            "subprotocol"
            in inspect.getsource(inspect.getmodule(web.WebSocketResource.render_GET)),  # type: ignore[arg-type]
            "subprotocols" in parametersOf(websockets.serve),
            hasattr(twisted_ws.ServerOptions, "subprotocols"),
        ),
    )


@needsAll
@pytest_twisted.ensureDeferred
async def test_codes() -> None:
    """What is sent when an application asks for it. ``test_from_autobahn.py`` tries
    Autobahn, and ``test_closing.py`` every code."""
    sent = {}
    for make in (theirs, ours):
        for code in (1001, 1003, 2999):
            async with servingWeb(make) as (factory, port):
                client = Client(f"localhost:{port}")
                await connectRaw(port, client)
                await within(client.opened)
                assert await client.receive() == "welcome"
                try:
                    factory.made[0].transport.loseConnection(code)
                except ValueError:
                    sent[make, code] = False
                    client.transport.abortConnection()
                else:
                    sent[make, code] = True
                await client.whenLost()
                assert (CloseReceived(code, "") in client.events) == (
                    sent[make, code] and code != 2999
                )
    events = load("wsproto.events")
    for code in (1001, 1014, 2999, 9999):
        wire = load("wsproto.connection").Connection(
            load("wsproto.connection").ConnectionType.SERVER
        )
        closing = wire.send(events.CloseConnection(code))
        assert closing == b"\x88\x02" + code.to_bytes(2, "big")
    assert sent[theirs, 2999] and not sent[ours, 2999]
    assert sent[ours, 1001] and sent[ours, 1003]
    legal = "all that are legal"
    row("codes", "1000, 3000 to 4999", "all that are legal, and others", legal, legal)


@needsAll
@pytest_twisted.ensureDeferred
async def test_peersCode() -> None:
    """``connectionLost`` has it, or has it not."""
    found = []
    for make in (theirs, ours):
        async with servingWeb(make) as (factory, port):
            client = Client(f"localhost:{port}")
            await connectRaw(port, client)
            await within(client.opened)
            client.close(4001, "enough")
            await client.whenLost()
        found.append(getattr(factory.made[0].reason, "code", None) == 4001)
    hasCode = "code" in parametersOf(autobahn.WebSocketServerProtocol.onClose)
    has = hasattr(websockets.ServerConnection, "close_code")
    row("peersCode", *yesNo(hasCode, found[0], has, found[1]))


@needsWebsockets
def test_asyncHooks() -> None:
    """``test_from_autobahn.py`` tries Autobahn, ``test_protocol.py`` this package and
    ``test_twisted_web_compat.py`` the other."""
    assert not [name for name in dir(websockets.ServerConnection) if name[:2] == "on"]
    row("asyncHooks", "``onConnect`` only", "no", "has no hooks", "yes")


@needsAll
def test_iteration() -> None:
    """What gets messages can be iterated over."""
    kinds = (
        autobahn.WebSocketServerProtocol,
        web.WebSocketTransport,
        websockets.ServerConnection,
        twisted_ws.WebSocket,
    )
    row("iteration", *yesNo(*(hasattr(kind, "__aiter__") for kind in kinds)))


@needsAll
def test_reconnecting() -> None:
    """What connects can be iterated over."""
    url = "ws://localhost/"
    kinds = (
        autobahn.WebSocketClientFactory,
        web.WebSocketClientEndpoint,
        websocketsClient.connect,
        type(twisted_ws.reconnecting(None, url)),
    )
    row("reconnecting", *yesNo(*(hasattr(kind, "__aiter__") for kind in kinds)))


@needsAll
def test_slowPeers() -> None:
    """Sending is a coroutine."""
    functions = (
        autobahn.WebSocketServerProtocol.sendMessage,
        web.WebSocketTransport.sendTextMessage,
        websockets.ServerConnection.send,
        twisted_ws.WebSocket.send,
    )
    found = [inspect.iscoroutinefunction(each) for each in functions]
    row("slowPeers", *yesNo(*found))


@needsAll
def test_refusing() -> None:
    """What an application can say no with. The other's ``buildProtocol`` can raise, and
    has no way to say what is answered."""
    types = load("autobahn.websocket.types")
    assert parametersOf(types.ConnectionDeny) == {"code", "reason"}
    assert "process_request" in parametersOf(websockets.serve)
    names = parametersOf(twisted_ws.HandshakeRejected)
    assert {"status", "headers", "body"} <= names
    full = "status, headers, body"
    row("refusing", "status, reason", "500 only", full, full)


@needsAll
def test_resource() -> None:
    """There is a ``WebSocketResource``."""
    modules = (load("autobahn.twisted.resource"), web, load("websockets"), twisted_ws)
    row("resource", *yesNo(*(hasattr(each, "WebSocketResource") for each in modules)))


@needsAll
def test_streams() -> None:
    """There is something that makes a transport for other protocols of a connection."""
    found = (
        hasattr(autobahn, "WrappingWebSocketServerFactory"),
        any("rapping" in name or "Stream" in name for name in dir(web)),
        any("Stream" in name for name in dir(websockets)),
        hasattr(twisted_ws, "StreamFactory"),
    )
    row("streams", *yesNo(*found))


@needsAll
def test_proxies() -> None:
    """There is a parameter for one."""
    functions = (
        autobahn.WebSocketClientFactory.setSessionParameters,
        web.WebSocketClientEndpoint.new,
        websocketsClient.connect.__init__,
        twisted_ws.ClientOptions,
    )
    row("proxies", *yesNo(*("proxy" in parametersOf(each) for each in functions)))


@needsAll
def test_prepared() -> None:
    """A message can be framed before it is sent."""
    broadcast = inspect.getsource(load("websockets.asyncio.connection").broadcast)
    # For each connection.
    assert "connection.protocol.send_text" in broadcast
    row(
        "prepared",
        *yesNo(
            hasattr(autobahn.WebSocketServerFactory, "prepareMessage"),
            hasattr(web.WebSocketTransport, "sendPrepared"),
            False,
            hasattr(twisted_ws.WebSocketTransport, "sendPrepared"),
        ),
    )


@needsAll
def test_parts() -> None:
    """There is something that gives, or gets, parts."""
    row(
        "parts",
        *yesNo(
            hasattr(autobahn.WebSocketServerProtocol, "onMessageFrameData"),
            [name for name in dir(web.WebSocketProtocol) if "Frame" in name],
            hasattr(websockets.ServerConnection, "recv_streaming"),
            [name for name in dir(twisted_ws.WebSocketProtocol) if "Frame" in name],
        ),
    )


@needsAll
def test_native() -> None:
    """There are sources in C."""
    found = [
        list(Path(inspect.getfile(package)).parent.glob("**/*.c"))
        for package in (load("autobahn"), load("websockets"), twisted_ws)
    ]
    assert "wsproto" in inspect.getsource(load("twisted.web._websocket_impl"))
    assert not list(Path(inspect.getfile(load("wsproto"))).parent.glob("**/*.c"))
    row("native", *yesNo(found[0], False, found[1], found[2]))


@needsAll
def test_wamp() -> None:
    """There is a module for it."""
    names = ("autobahn", "twisted.web", "websockets", "twisted_ws")
    row("wamp", *yesNo(*(load(f"{name}.wamp") for name in names)))


@needsAll
def test_types() -> None:
    """There is the marker."""
    packages = (load("autobahn"), load("twisted"), load("websockets"), twisted_ws)
    found = [
        (Path(inspect.getfile(package)).parent / "py.typed").exists()
        for package in packages
    ]
    row("types", *yesNo(*found))
