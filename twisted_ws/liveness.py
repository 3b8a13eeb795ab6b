"""When things are due on one connection: keepalive, slow messages, the end.

One deadline at a time is with :class:`twisted_ws.timers.Deadlines`, the earliest;
bytes that arrive only leave the time behind.
"""

from __future__ import annotations

from abc import abstractmethod

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from .connection import Connection, Event
from .errors import ConnectionFailed, PeerSilent, PolicyViolation
from .options import Options
from .sending import SendBuffer
from .timers import Deadlines

__all__ = ["Liveness"]


class Liveness:
    """The part of a connection that knows about time; mixed into the wire protocol."""

    options: Options
    watchedUntil = 0
    roundTripTime: float | None = None
    _clock: IReactorTime
    _deadlines: Deadlines
    _connection: Connection | None = None
    _sending: SendBuffer
    _opened = False
    _lost: Failure | None = None
    _readingPaused = False
    _lastReceived = 0.0
    _pingedAt: float | None = None
    _lastPing: tuple[bytes, float] | None = None
    _pings = 0
    _messageBegan: float | None = None
    _endBy: float | None = None

    @abstractmethod
    def ping(self, payload: bytes = b"") -> None:
        """Send a ping.

        :param payload: what its pong will carry
        """

    @abstractmethod
    def failConnection(self, error: ConnectionFailed) -> None:
        """Fail the connection.

        :param error: why
        """

    @abstractmethod
    def _abort(self) -> None:
        """End the connection at once: its time is up."""

    def _setEnd(self) -> None:
        """Have the connection aborted in ``closeTimeout`` seconds (THREATS: a peer that
        does not answer, or does not read, holds nothing for longer)."""
        self._endBy = self._clock.seconds() + self.options.closeTimeout
        self._watch()

    def _watch(self) -> None:
        """Be looked at when the next thing can be due."""
        when = self._nextDeadline()
        if when is not None and self._lost is None:
            self._deadlines.watch(self, when)

    def _nextDeadline(self) -> float | None:
        if self._endBy is not None:
            return self._endBy
        times = []
        if self._messageBegan is not None:
            times.append(self._messageBegan + self.options.messageTimeout)
        if self._pingedAt is not None:
            due = self._pingedAt + self.options.pingTimeout
            # If it is answered by then it is time for another one.
            again = self._pingedAt + self.options.pingInterval
            times.append(again if self._clock.seconds() < again < due else due)
        elif self.options.pingInterval and self._opened:
            times.append(self._lastReceived + self.options.pingInterval)
        return min(times, default=None)

    def deadlineReached(self, now: float) -> float | None:
        """Do what is due; :class:`twisted_ws.timers.Deadlines` calls it.

        :param now: seconds
        :returns: when to look again, None for never
        """
        if self._endBy is not None or self._lost is not None:
            if self._lost is None and self._endBy is not None and now < self._endBy:
                return self._endBy
            self._abort()
            return None
        if self._readingPaused or (self._opened and self._sending.isFull):
            # A peer that does not read, for which it may have reasons, finds no ping.
            self._heardAgain(now)
        error = self._overdueMessage(now) or self._silence(now)
        if error is not None:
            self.failConnection(error)
        # What was done may have ended it at once: connectionLost has seen to the rest.
        return self._nextDeadline() if self._lost is None else None

    def _heardAgain(self, now: float) -> None:
        """Reading was paused until now. What the peer sent was not read, so that its
        silence, or a message that did not go on, says nothing.

        :param now: seconds
        """
        if self._messageBegan is not None:
            # Not now: pauses can be had for a ping, and would give a message for ever.
            self._messageBegan += now - self._lastReceived
        self._lastReceived = now

    def _overdueMessage(self, now: float) -> ConnectionFailed | None:
        """Find a message that takes longer than ``messageTimeout``."""
        limit = self.options.messageTimeout
        if self._messageBegan is None or now < self._messageBegan + limit:
            return None
        return PolicyViolation(f"message not finished within {limit:g} seconds")

    def _silence(self, now: float) -> ConnectionFailed | None:
        """Ping a silent peer; find one that stays silent (RFC 6455 section 5.5.2)."""
        if self._pingedAt is not None:
            if self._lastReceived >= self._pingedAt:
                self._pingedAt = None
            elif now >= self._pingedAt + self.options.pingTimeout:
                silent = now - self._lastReceived
                return PeerSilent(f"no sign of life for {silent:.0f} seconds")
        interval = self.options.pingInterval if self._opened else 0
        if interval and self._pingedAt is None and now >= self._lastReceived + interval:
            self._pingedAt = now
            self._pings += 1
            self.ping(self._pings.to_bytes(4, "big"))
        return None

    def _pongArrived(self, payload: bytes) -> None:
        """Take the round-trip time, if it answers the last ping."""
        if self._lastPing is not None and self._lastPing[0] == payload:
            self.roundTripTime = self._clock.seconds() - self._lastPing[1]
            self._lastPing = None

    def _timeMessage(self, events: list[Event]) -> None:
        """Note when the message that is under way began (``messageTimeout``).

        :param events: what the last segment brought
        """
        if self._connection is None or not self._connection.isMidMessage:
            self._messageBegan = None
        elif self._messageBegan is None or any(
            isinstance(event, (str, bytes)) for event in events
        ):
            self._messageBegan = self._lastReceived
            self._watch()
