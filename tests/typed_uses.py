"""What type checkers know of the package, as users see it; run by none but mypy.

``test_typing.py`` has it checked. A comment ``type: ignore`` stands where a mistake has
to be found: if it is not, mypy says that the comment is of no use.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from typing_extensions import assert_type

from twisted_ws import (
    ApplicationFactory,
    Challenge,
    ClientOptions,
    ConnectionClosed,
    HandlerProtocol,
    Headers,
    Request,
    ResponseHead,
    Route,
    Routes,
    ServerOptions,
    WebSocket,
    WebSocketClientEndpoint,
    WebSocketClientService,
    WebSocketProtocol,
    WebSocketResource,
    WebSocketServerFactory,
    WebSocketTransport,
    connect,
    reconnecting,
)


class Chat(WebSocketProtocol):
    """Hooks that are plain methods."""

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        super().negotiationStarted(transport)
        assert_type(transport.request, Request)
        assert_type(transport.request.headers, Headers)
        assert_type(transport.response, ResponseHead | None)
        assert_type(transport.subprotocol, str | None)

    def negotiationFinished(self) -> None:
        self.transport.sendTextMessage("hello")
        self.transport.sendTextMessage(b"hello")  # type: ignore[arg-type]
        self.transport.sendBytesMessage(b"hello", compress=False)
        self.transport.sendBytesMessage("hello")  # type: ignore[arg-type]

    def textMessageReceived(self, message: str) -> None:
        assert_type(self.transport.whenDrained(), Deferred[None])

    def bytesMessageReceived(self, data: bytes) -> None:
        assert_type(self.transport.whenClosed(), Deferred[ConnectionClosed])

    def pingReceived(self, payload: bytes) -> None:
        self.transport.ping(payload)

    def pongReceived(self, payload: bytes) -> None:
        assert_type(self.transport.roundTripTime, float | None)

    def sendBufferFull(self) -> None:
        assert_type(self.transport.bufferedAmount, int)

    def sendBufferDrained(self) -> None:
        assert_type(self.transport.isCongested, bool)

    def connectionLost(self, reason: Failure) -> None:
        pass

    def say(self, text: str) -> int:
        """What only this application has."""
        return len(text)


class Coroutines(WebSocketProtocol):
    """Hooks that are coroutines."""

    async def negotiationStarted(self, transport: WebSocketTransport) -> None:
        super().negotiationStarted(transport)

    async def negotiationFinished(self) -> None:
        pass

    async def textMessageReceived(self, message: str) -> None:
        await self.transport.whenDrained()

    async def bytesMessageReceived(self, data: bytes) -> int:
        return len(data)

    async def pingReceived(self, payload: bytes) -> None:
        pass

    async def pongReceived(self, payload: bytes) -> None:
        pass

    async def sendBufferFull(self) -> None:
        pass

    async def sendBufferDrained(self) -> None:
        pass

    async def connectionLost(self, reason: Failure) -> None:
        pass


class Deferreds(WebSocketProtocol):
    """Hooks that give Deferreds."""

    def negotiationFinished(self) -> Deferred[None]:
        return self.transport.whenDrained()

    def textMessageReceived(self, message: str) -> Deferred[int]:
        return succeed(1)

    def bytesMessageReceived(self, data: bytes) -> Deferred[None] | None:
        return None


class Mistaken(WebSocketProtocol):
    """Hooks that cannot be."""

    def textMessageReceived(self, message: bytes) -> None:  # type: ignore[override]
        pass

    def bytesMessageReceived(self, data: bytes) -> int:  # type: ignore[override]
        return 1


class Chats:
    """A factory."""

    def buildProtocol(self, request: Request) -> Chat:
        return Chat()


class LaterChats:
    """A factory that has to ask somebody."""

    async def buildProtocol(self, request: Request) -> Chat:
        return Chat()


class SometimesLaterChats:
    """A factory that sometimes has to."""

    def buildProtocol(self, request: Request) -> Chat | Deferred[Chat]:
        return succeed(Chat())


def chat(request: Request) -> Chat:
    return Chat()


async def chatLater(request: Request) -> Chat:
    return Chat()


def chatFor(user: str, request: Request) -> Chat:
    return Chat()


async def talk(webSocket: WebSocket) -> None:
    async for message in webSocket:
        assert_type(message, str | bytes)
        await webSocket.send(message)


def notBuilt(request: str) -> Chat:
    return Chat()


async def endpoints(reactor: Any) -> None:
    """Endpoints give what the application makes."""
    endpoint = WebSocketClientEndpoint.fromURL(reactor, "ws://localhost/")
    assert_type(endpoint, WebSocketClientEndpoint)
    assert_type(endpoint.connect(Chat), Deferred[Chat])
    assert_type(await endpoint.connect(Coroutines), Coroutines)
    assert_type((await endpoint.connect(Chat)).say("hello"), int)
    for one in (
        endpoint.connect(chat),
        endpoint.connect(chatLater),
        endpoint.connect(partial(chatFor, "Ada")),
        endpoint.connect(lambda _: Chat()),
        endpoint.connect(lambda _: succeed(Chat())),
        endpoint.connect(Chats()),
        endpoint.connect(LaterChats()),
        endpoint.connect(SometimesLaterChats()),
    ):
        assert_type(one, Deferred[Chat])
    endpoint.connect(5)  # type: ignore[call-overload]
    endpoint.connect(notBuilt)  # type: ignore[arg-type]
    (await endpoint.connect(Chat)).sing()  # type: ignore[attr-defined]


def factories() -> None:
    """What builds has the type of what is built."""
    one: ApplicationFactory[Chat] = Chats()
    later: ApplicationFactory[Awaitable[Chat]] = LaterChats()
    other: ApplicationFactory[Coroutines] = Chats()  # type: ignore[assignment]
    print(one, later, other)


async def services(reactor: Any) -> None:
    """So has a service."""
    endpoint = WebSocketClientEndpoint.fromURL(reactor, "ws://localhost/")
    service = WebSocketClientService(endpoint, Chat)
    assert_type(service, WebSocketClientService[Chat])
    assert_type(service.whenConnected(), Deferred[Chat])
    assert_type((await service.whenConnected(failAfterFailures=3)).say("x"), int)
    for one in (
        WebSocketClientService(endpoint, chat),
        WebSocketClientService(endpoint, Chats()),
        WebSocketClientService(endpoint, lambda _: Chat()),
        WebSocketClientService(endpoint, Chat, prepareConnection=lambda it: it.say("")),
    ):
        assert_type(one, WebSocketClientService[Chat])
    # It waits for none.
    WebSocketClientService(endpoint, chatLater)  # type: ignore[type-var]
    WebSocketClientService(endpoint, LaterChats())  # type: ignore[type-var]
    assert_type(service.stopService(), Deferred[None])


async def coroutines(reactor: Any) -> None:
    """What coroutines get."""
    assert_type(connect(reactor, "ws://localhost/"), Deferred[WebSocket])
    async with await connect(reactor, "ws://localhost/") as webSocket:
        assert_type(webSocket, WebSocket)
        assert_type(await webSocket.receive(), str | bytes)
        assert_type(await webSocket.close(4000, "enough"), ConnectionClosed)
        await webSocket.send(5)  # type: ignore[arg-type]
    assert_type(reconnecting(reactor, "ws://localhost/"), AsyncIterator[WebSocket])
    async for each in reconnecting(reactor, "ws://localhost/"):
        assert_type(each, WebSocket)


def servers() -> None:
    """What a server takes."""
    for application in (Chat, chat, chatLater, Chats(), LaterChats()):
        WebSocketServerFactory(application)
    WebSocketServerFactory(lambda _: Chat(), ServerOptions(maxMessageSize=65536))
    WebSocketServerFactory.fromHandler(talk, path="/talk")
    WebSocketServerFactory.fromHandler(chat)  # type: ignore[arg-type]
    WebSocketServerFactory(5)  # type: ignore[arg-type]
    WebSocketServerFactory(Chat, ClientOptions())  # type: ignore[arg-type]
    ServerOptions(maxMessageSize="much")  # type: ignore[arg-type]
    HandlerProtocol(talk)
    routes = Routes({"/chat": Chat, "/talk": Route.fromHandler(talk)}, default=chat)
    assert_type(WebSocketResource(routes), WebSocketResource)
    WebSocketResource(Chat)
    Routes({5: Chat})  # type: ignore[dict-item]


class Deciding(WebSocketServerFactory):
    """A factory that decides itself, at once."""

    def protocolForRequest(self, request: Request) -> Chat:
        return Chat()


class DecidingLater(WebSocketServerFactory):
    """Likewise, later."""

    async def protocolForRequest(self, request: Request) -> Chat:
        return Chat()


async def answer(challenge: Challenge) -> str | None:
    return None


def answerAtOnce(challenge: Challenge) -> str:
    return "Bearer x"


ClientOptions(answerChallenge=answer)
ClientOptions(answerChallenge=answerAtOnce)
ClientOptions(answerChallenge=5)  # type: ignore[arg-type]
ClientOptions(answerChallenge=chat)  # type: ignore[arg-type]
