"""An application for tests: it writes down how it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.python.failure import Failure

from .interfaces import WebSocketProtocol, WebSocketTransport

__all__ = ["Recorder", "echo", "echoing"]


class Recorder(WebSocketProtocol):
    """Writes down how it is called.

    Both sides' applications may be one. It is for one connection: give it itself, or a
    callable that makes one for each.

    Memory: it keeps every message.

    :param reactions: what to do in hooks, by name; called with the recorder and the
        hook's arguments, and its result is the hook's
    """

    def __init__(self, **reactions: Callable[..., Any]) -> None:
        self.reactions = reactions
        self.calls: list[tuple[Any, ...]] = []
        """Name and arguments of each call."""
        self.reason: Any = None
        """How the connection ended: a :class:`ConnectionClosed`, None until then."""

    def _called(self, name: str, *arguments: Any) -> Any:
        self.calls.append((name, *arguments))
        reaction = self.reactions.get(name)
        return None if reaction is None else reaction(self, *arguments)

    @property
    def names(self) -> list[str]:
        """The names of the hooks that were called."""
        return [each[0] for each in self.calls]

    @property
    def messages(self) -> list[str | bytes]:
        """The messages that it got."""
        return [
            each[1]
            for each in self.calls
            if each[0] in ("textMessageReceived", "bytesMessageReceived")
        ]

    def negotiationStarted(self, transport: WebSocketTransport) -> Any:
        """Write it down."""
        self.transport = transport
        return self._called("negotiationStarted")

    def negotiationFinished(self) -> Any:
        """Write it down."""
        return self._called("negotiationFinished")

    def textMessageReceived(self, message: str) -> Any:
        """Write it down."""
        return self._called("textMessageReceived", message)

    def bytesMessageReceived(self, data: bytes) -> Any:
        """Write it down."""
        return self._called("bytesMessageReceived", data)

    def pingReceived(self, payload: bytes) -> Any:
        """Write it down."""
        return self._called("pingReceived", payload)

    def pongReceived(self, payload: bytes) -> Any:
        """Write it down."""
        return self._called("pongReceived", payload)

    def sendBufferFull(self) -> Any:
        """Write it down."""
        return self._called("sendBufferFull")

    def sendBufferDrained(self) -> Any:
        """Write it down."""
        return self._called("sendBufferDrained")

    def connectionLost(self, reason: Failure) -> Any:
        """Write it down."""
        self.reason = reason.value
        return self._called("connectionLost")


def echo(recorder: Recorder, message: str | bytes) -> None:
    """React to a message by sending it back.

    :param recorder: which got it
    :param message: the message
    """
    if isinstance(message, str):
        recorder.transport.sendTextMessage(message)
    else:
        recorder.transport.sendBytesMessage(message)


def echoing(_: object = None) -> Recorder:
    """Give a recorder that sends messages back. It is an application itself, which
    gives one to each connection.

    :param _: the request
    """
    return Recorder(textMessageReceived=echo, bytesMessageReceived=echo)
