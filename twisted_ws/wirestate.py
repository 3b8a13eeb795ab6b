"""What the wire protocol knows of its connection, in little memory.

An instance's dict shares its names with those of all others, and so takes little more
than slots do, as long as no more than thirty names were ever set on any of them. From
then on each takes over a kilobyte. So what every connection sets, and what is looked at
for each segment, are slots here, of 8 bytes each; the rest are class attributes until
they are set, which they never are on most connections.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from .connection import Connection, Event
from .handshake import Request
from .options import Options
from .sending import SendBuffer
from .timers import Deadlines

__all__ = ["NO_EVENTS", "WireState"]

NO_EVENTS: list[Event] = []
"""Nothing waits to be delivered. Shared, and so never changed."""


class WireState:
    """The attributes of :class:`twisted_ws.protocol.WireProtocol`, of which it has to
    be the first base class, for their defaults stand in its mixins and in Twisted.

    :param options: limits and times
    :param clock: the reactor
    :param deadlines: where deadlines are kept
    """

    __slots__ = (
        "_application",
        "_busyReceiving",
        "_clock",
        "_connection",
        "_deadlines",
        "_deaf",
        "_delivering",
        "_events",
        "_lastPing",
        "_lastReceived",
        "_lost",
        "_opened",
        "_owesReading",
        "_paused",
        "_pingedAt",
        "_pings",
        "_readingPaused",
        "_sending",
        "connected",
        "extensions",
        "line_mode",
        "options",
        "request",
        "roundTripTime",
        "transport",
        "watchedUntil",
    )

    # Set when the request has come, and when it is accepted.
    request: Request
    _sending: SendBuffer

    def __init__(
        self, options: Options, clock: IReactorTime, deadlines: Deadlines
    ) -> None:
        self.options = options
        self._clock = clock
        self._deadlines = deadlines
        # Of Twisted's classes:
        self.transport: Any = None
        self.connected = 0
        self.line_mode = 1
        self._busyReceiving = False
        # Of the mixins:
        self.extensions: tuple[str, ...] = ()
        self.roundTripTime: float | None = None
        self.watchedUntil = 0
        self._connection: Connection | None = None
        self._lastPing: tuple[bytes, float] | None = None
        self._lastReceived = 0.0
        self._lost: Failure | None = None
        self._opened = False
        self._pingedAt: float | None = None
        self._pings = 0
        self._readingPaused = False
        # Of the wire protocol itself:
        self._application: Any = None
        self._deaf = False
        self._delivering = False
        self._events = NO_EVENTS
        self._owesReading = False
        self._paused = 0
