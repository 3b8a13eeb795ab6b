"""How to test an application with pytest and pytest-twisted.

Run it from the top of the checkout::

    python -m pytest docs/examples/testing_pytest.py
"""

# pytest-twisted has no types.
# mypy: disallow-untyped-decorators=False

from typing import Any

import pytest_twisted  # type: ignore[import-untyped]
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint

from twisted_ws import HandlerProtocol, WebSocket, WebSocketServerFactory, connect
from twisted_ws.testing import MemoryServer, Recorder, Verdict, attack, connectedPair


async def shout(webSocket: WebSocket) -> None:
    """Answer louder: the application."""
    async for message in webSocket:
        if isinstance(message, str):
            await webSocket.send(message.upper())


def test_shout() -> None:
    """A message comes back louder. Nothing of this needs a reactor."""
    pair = connectedPair(HandlerProtocol(shout), Recorder())
    pair.client.transport.sendTextMessage("hello")
    pair.pump()
    assert pair.client.messages == ["HELLO"]


@pytest_twisted.ensureDeferred
async def test_shoutToCoroutine() -> None:
    """The same, with a client that is a coroutine."""
    server = MemoryServer(lambda _: HandlerProtocol(shout))
    connecting = connect(server.clock, "ws://example.com/", endpoint=server.endpoint)
    server.pump()
    webSocket = await connecting
    await webSocket.send("hello")
    server.pump()
    assert await webSocket.receive() == "HELLO"
    server.pairs[0].lose()


@pytest_twisted.ensureDeferred
async def test_hostilePeers() -> None:
    """On a real port, hostile peers get what they deserve."""
    factory = WebSocketServerFactory.fromHandler(shout)
    endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    port: Any = await endpoint.listen(factory)
    rows = ["H07", "H11", "F05", "D01"]
    outcomes = await attack(reactor, "127.0.0.1", port.getHost().port, rows=rows)
    await port.stopListening()
    await factory.abortConnections()
    assert [str(each) for each in outcomes if each.verdict is Verdict.FAILED] == []
