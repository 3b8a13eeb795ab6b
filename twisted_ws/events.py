"""What an open connection tells of: messages, pings and pongs, and its end."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from .errors import ConnectionFailed

__all__ = ["CloseReceived", "Event", "Failed", "Ping", "Pong"]


class Ping(NamedTuple):
    """A Ping frame came; answer with ``Connection.pong``."""

    payload: bytes


class Pong(NamedTuple):
    """A Pong frame came, asked for or not."""

    payload: bytes


class CloseReceived(NamedTuple):
    """The peer's Close frame came; answer with ``Connection.replyClose``."""

    code: int
    reason: str


class Failed(NamedTuple):
    """The peer broke a rule; answer with ``Connection.fail``."""

    error: ConnectionFailed


Event: TypeAlias = str | bytes | Ping | Pong | CloseReceived | Failed
"""What ``Connection.receive`` tells of: a text message is a str, a binary one bytes."""
