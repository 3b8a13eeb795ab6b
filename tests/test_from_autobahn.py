"""docs/howto/from-autobahn.rst: what it says of Autobahn, and of this package, is so.

The names in its tables are looked up in both, the defaults are compared, and what both
do is tried on loopback.
"""

# pytest-twisted has no types, nor has most of Autobahn.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import importlib
import inspect
import re
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted  # type: ignore[import-untyped]
from OpenSSL import SSL
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol

import twisted_ws
from tests.clients import Client, connect, reactor, within
from tests.test_examples import Child, program, refusal
from twisted_ws.connection import CloseReceived, Pong
from twisted_ws.errors import ConnectionClosed, InvalidOption
from twisted_ws.frames import FIN, Opcode, encodeFrame
from twisted_ws.options import ServerOptions

PAGE = Path(__file__).resolve().parent.parent / "docs" / "howto" / "from-autobahn.rst"
_LISTENING = re.compile(r"Listening on port (\d+)")
_LITERAL = re.compile(r"``(.+?)``")
_NAME = re.compile(r"[A-Za-z_][\w.]*")

# What stands in the tables as code, but is a name of neither.
ASIDE = {"1000", "Chat", "ValueError", "compress", "dict", "listen", "str", "wss"}

try:
    with warnings.catch_warnings():
        # Of Autobahn about Python and Twisted.
        warnings.simplefilter("ignore")
        autobahn: Any = importlib.import_module("autobahn.twisted.websocket")
        resource: Any = importlib.import_module("autobahn.twisted.resource")
        types: Any = importlib.import_module("autobahn.websocket.types")
except ImportError:
    autobahn = None

needsAutobahn = pytest.mark.skipif(autobahn is None, reason="needs Autobahn")


def cells() -> Iterator[list[str]]:
    """Give the cells of each row of the tables, but for their heads."""
    for table in re.findall(
        r"^\.\. list-table::\n(?:   .*\n|\n)+", PAGE.read_text("utf-8"), re.MULTILINE
    ):
        for row in table.split("   * - ")[2:]:
            yield [" ".join(cell.split()) for cell in row.split("     - ")]


def names(cell: str) -> Iterator[str]:
    """Give the names in a cell."""
    for literal in _LITERAL.findall(cell):
        found = _NAME.match(literal)
        if found is not None and found[0] not in ASIDE:
            yield found[0]


def known(where: dict[str, set[str]], name: str) -> bool:
    """Tell whether a name is one of a package.

    :param where: names by what stands before them, and by nothing
    :param name: with a dot or without
    """
    prefix, dot, rest = name.rpartition(".")
    return rest in where[prefix if dot else ""]


def ours() -> dict[str, set[str]]:
    """Give the names of this package."""
    transport = set(dir(twisted_ws.WebSocketTransport))
    request = set(dir(twisted_ws.Request))
    options = set(dir(ServerOptions())) | set(dir(twisted_ws.ClientOptions()))
    return {
        "": {*twisted_ws.__all__, *dir(twisted_ws.WebSocketProtocol), *options}
        | {*dir(twisted_ws.Headers), *dir(ConnectionClosed(1000)), *request}
        | {*dir(twisted_ws.WebSocketClientEndpoint), *dir(Factory), "buildProtocol"},
        "transport": transport,
        "request": request,
        "reason": {"value"},
        "WebSocketClientEndpoint": set(dir(twisted_ws.WebSocketClientEndpoint)),
    }


def theirs() -> dict[str, set[str]]:
    """Give the names of Autobahn."""
    server, client = autobahn.WebSocketServerFactory(), autobahn.WebSocketClientFactory
    protocols = (autobahn.WebSocketServerProtocol, autobahn.WebSocketClientProtocol)
    found = {name for each in protocols for name in dir(each)}
    found |= {*dir(autobahn), *dir(resource), *dir(types)}
    for function in (
        server.setProtocolOptions,
        client.setProtocolOptions,
        client.setSessionParameters,
        autobahn.listenWS,
        autobahn.connectWS,
    ):
        found |= set(inspect.signature(function).parameters)
    # Set on instances, at the latest when the connection is made.
    found |= set(vars(autobahn.WebSocketServerProtocol()))
    return {
        "": found | {"ReconnectingClientFactory"},
        "factory": {*dir(server)},
        "request": set(types.ConnectionRequest.__slots__),
    }


def test_namesHere() -> None:
    """Every name in a column "here" is there."""
    where, found = ours(), 0
    for row in cells():
        for name in names(row[2] if len(row) == 4 else row[1]):
            assert known(where, name), name
            found += 1
    assert found > 50


@needsAutobahn
def test_namesOfAutobahn() -> None:
    """Every name in a column of Autobahn's is there."""
    where, found = theirs(), 0
    where[""] |= {"is_open", "is_closed"}
    where[""] |= {"websocket_protocol_in_use", "websocket_extensions_in_use"}
    for row in cells():
        for name in names(row[0]):
            assert known(where, name), name
            found += 1
    assert found > 50


def test_defaultsHere() -> None:
    """The defaults of options are those in the table."""
    rows = [row for row in cells() if len(row) == 4]
    assert len(rows) == 8
    for _, _, here, value in rows:
        (name,) = names(here)
        default = getattr(ServerOptions(), name)
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        assert value == f"``{shown}``", name


def test_noLimit() -> None:
    """0 turns two of the options off, and is refused for the others."""
    for _, _, here, _ in (row for row in cells() if len(row) == 4):
        (name,) = names(here)
        nothing: dict[str, Any] = {name: 0}
        if name in ("maxConnections", "pingInterval"):
            ServerOptions(**nothing)
        elif name != "allowedOrigins":
            with pytest.raises(InvalidOption):
                ServerOptions(**nothing)


@needsAutobahn
def test_defaultsOfAutobahn() -> None:
    """So are those of Autobahn; the options that the list names are there as well."""
    factory = autobahn.WebSocketServerFactory()
    for option, value, *_ in (row for row in cells() if len(row) == 4):
        (name,) = names(option)
        assert repr(getattr(factory, name)).replace("'", '"') == value.strip("`")
    accepted = (
        factory.setProtocolOptions,
        autobahn.WebSocketClientFactory("ws://localhost").setProtocolOptions,
    )
    parameters = {
        name for each in accepted for name in inspect.signature(each).parameters
    }
    text = PAGE.read_text("utf-8").partition("In Autobahn 0 stands")[2]
    listed = re.findall(r"^\* (.*?):? ", text.partition("Servers and clients")[0], re.M)
    assert len(listed) > 4
    for name in (name for each in listed for name in names(each)):
        assert name in parameters
    assert factory.failByDrop is True
    assert factory.autoFragmentSize == 0


# The two programs


def conversation(server: Child, path: str, **arguments: Any) -> list[Any]:
    """Talk to one of them."""
    from tests.test_examples import connect as connectBlocking

    port = int(server.find(_LISTENING)[1])
    seen: list[Any] = []
    with connectBlocking(port, path, **arguments) as client:
        seen.append(client.subprotocol)
        seen.append(client.recv())
        client.send("Zo\u00eb")
        seen.append(client.recv())
        client.send(b"\0")
        with pytest.raises(Exception, match="words, please"):
            client.recv()
        seen.append(client.close_code)
    server.find(re.compile("closed True 4000 words, please"))
    return seen


@needsAutobahn
def test_sameServerTwice() -> None:
    """The two programs on the page do the same; what differs is on the page."""
    pytest.importorskip("websockets", reason="needs the package websockets as a client")
    seen: dict[str, list[Any]] = {"shout_autobahn": [], "shout_ported": []}
    statuses: dict[str, list[int]] = {}
    for name, results in seen.items():
        with program(name, "0") as server:
            for arguments in (
                {},
                {"subprotocols": ["quiet", "loud"]},
                {"subprotocols": ["quiet"]},
                {"origin": "https://example.com"},
            ):
                results.append(conversation(server, "/shout", **arguments))
            port = int(server.find(_LISTENING)[1])
            evil = {"Origin": "https://example.org"}
            refused = [refusal(port), refusal(port, "/shout", evil)]
            statuses[name] = [each.status for each in refused]
            endings = "".join(server.lines).count("closed False 1006")
            assert (endings > 0) == (name == "shout_autobahn")
    assert seen["shout_autobahn"] == seen["shout_ported"]
    assert seen["shout_ported"][1] == ["loud", "Speak up!", "ZO\u00cb", 4000]
    assert statuses == {"shout_autobahn": [404, 400], "shout_ported": [404, 403]}


# What Autobahn does


@asynccontextmanager
async def serving(protocol: Any, **options: Any) -> AsyncIterator[int]:
    """Run a server of Autobahn's for a while, on loopback."""
    factory = autobahn.WebSocketServerFactory()
    factory.protocol = protocol
    factory.noisy = False
    factory.setProtocolOptions(allowNullOrigin=True, **options)
    endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    port: Any = await within(endpoint.listen(factory))
    try:
        yield port.getHost().port
    finally:
        await within(port.stopListening())


def base() -> Any:
    """Give the class of Autobahn's server protocols."""
    return autobahn.WebSocketServerProtocol


@needsAutobahn
@pytest_twisted.ensureDeferred
async def test_whatIsAwaited() -> None:
    """``onConnect`` is waited for, and ``onMessage`` is not."""
    answer: Deferred[None] = Deferred()
    never: Deferred[None] = Deferred()
    seen: list[Any] = []

    class Waiting(base()):  # type: ignore[misc]
        async def onConnect(self, request: Any) -> None:
            seen.append((request.path, request.headers["x-some"]))
            await answer

        def onMessage(self, payload: bytes, isBinary: bool) -> Deferred[None]:
            seen.append((payload, isBinary))
            self.sendMessage(payload, isBinary)
            return never

    async with serving(Waiting) as port:
        headers = ("X-Some: thing",)
        opening = ensureDeferred(connect(port, path="/a%20b?x=1", headers=headers))
        deadline = reactor.seconds() + 15
        while not seen:
            assert reactor.seconds() < deadline
            turn: Deferred[None] = Deferred()
            reactor.callLater(0.01, turn.callback, None)
            await turn
        assert not opening.called
        answer.callback(None)
        client = await opening
        client.sendText("one")
        client.sendBytes(b"two")
        assert await client.receive() == "one"
        assert await client.receive() == b"two"
        client.close()
        await client.whenLost()
    assert seen == [("/a%20b", "thing"), (b"one", False), (b"two", True)]


@needsAutobahn
@pytest_twisted.ensureDeferred
async def test_pings() -> None:
    """Who overrides ``onPing`` has to answer."""

    class Silent(base()):  # type: ignore[misc]
        def onPing(self, payload: bytes) -> None:
            self.sendMessage(payload)

    for protocol, expected in ((base(), Pong(b"here?")), (Silent, "here?")):
        async with serving(protocol) as port:
            client = await connect(port)
            client.transport.write(client.connection.ping(b"here?"))
            assert await client.receive() == expected
            client.close()
            await client.whenLost()


@needsAutobahn
@pytest_twisted.ensureDeferred
async def test_closing() -> None:
    """``sendClose`` takes 1000 and 3000 to 4999, sends no code by itself, and cuts a
    reason off that is too long."""

    class Closing(base()):  # type: ignore[misc]
        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            text = payload.decode()
            if not text:
                self.sendClose()
                return
            try:
                self.sendClose(int(text), "x" * 200)
            except Exception as error:
                self.sendMessage(str(error).encode())

    async with serving(Closing) as port:
        client = await connect(port)
        for code in (1001, 1002, 1011, 2999, 5000):
            client.sendText(str(code))
            assert f"invalid close code {code}" in str(await client.receive())
        client.sendText("4000")
        assert await client.receive() == CloseReceived(4000, "x" * 123)
        await client.whenLost()
        client = await connect(port)
        client.sendText("")
        assert await client.receive() == CloseReceived(1005, "")
        await client.whenLost()


@needsAutobahn
@pytest_twisted.ensureDeferred
async def test_brokenRules() -> None:
    """With Autobahn's defaults a peer that breaks the rules gets no Close frame."""
    async with serving(base()) as port:
        client: Client = await connect(port)
        frame = encodeFrame(FIN | Opcode.TEXT, b"\xff", b"\1\2\3\4")
        client.transport.write(frame)
        await client.whenLost()
        assert list(client.events) == []


@needsAutobahn
def test_certificates() -> None:
    """``connectWS`` verifies no certificate by itself."""
    used: list[Any] = []

    class Connecting:
        def connectSSL(self, *arguments: Any) -> None:
            used.append(arguments[3])

    factory = autobahn.WebSocketClientFactory("wss://localhost/", reactor=Connecting())
    autobahn.connectWS(factory)
    assert used[0].getContext().get_verify_mode() == SSL.VERIFY_NONE


class Redirecting(Protocol):
    """Answers everything with a redirect."""

    def dataReceived(self, data: bytes) -> None:
        """Answer."""
        head = "HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:9/\r\n"
        self.transport.write(f"{head}Content-Length: 0\r\n\r\n".encode())  # type: ignore[union-attr]


@needsAutobahn
@pytest_twisted.ensureDeferred
async def test_redirect() -> None:
    """A client that is redirected ends with ``onClose`` and 1006."""
    ended: Deferred[Any] = Deferred()

    class Ending(autobahn.WebSocketClientProtocol):  # type: ignore[misc]
        def onClose(self, wasClean: bool, code: int, reason: str) -> None:
            ended.callback((wasClean, code))

    listening = Factory.forProtocol(Redirecting)
    listening.noisy = False
    endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    port: Any = await within(endpoint.listen(listening))
    factory = autobahn.WebSocketClientFactory(
        f"ws://127.0.0.1:{port.getHost().port}/", reactor=reactor
    )
    factory.protocol = Ending
    factory.noisy = False
    autobahn.connectWS(factory)
    assert await within(ended) == (False, 1006)
    await within(port.stopListening())
