"""What waits to be sent on one connection: gathered, bounded, in order.

A Twisted transport takes whatever it is given and says through a producer when that is
too much (64 KiB) and when all of it is gone. :class:`SendBuffer` is that producer. From
the first on, frames wait here instead of there, where they can be counted, replaced and
dropped.

While a segment from the peer is handled, frames are gathered and written once at its
end: one write for each frame costs half as much again.

An application's producer is paused and resumed by :class:`Production`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import (
    IDelayedCall,
    IPushProducer,
    IReactorTime,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from .transport import canWriteNow, writeNow

__all__ = [
    "TRANSPORT_BUFFER",
    "Production",
    "PullToPush",
    "SendBuffer",
    "SendListener",
]

TRANSPORT_BUFFER = 64 * 1024
"""Bytes that a Twisted transport keeps before it pauses its producer."""

_NOTHING: list[bytes | bytearray] = []


class SendListener(Protocol):
    """Who is told what happens to a :class:`SendBuffer`."""

    def sendBufferFilled(self) -> None:
        """At least ``highWaterMark`` bytes wait."""

    def sendBufferEmptied(self) -> None:
        """Nothing waits any more, here or below."""

    def sendBufferOverflowed(self) -> None:
        """At least ``maxSendBuffer`` bytes waited when one more message was sent."""

    def roomToSend(self) -> None:
        """The transport has written everything."""


@implementer(IPushProducer)
class SendBuffer:
    """The frames that wait on one connection.

    Memory: ``maxSendBuffer`` bytes and the message that went over it.

    :param transport: where frames go; :meth:`start` registers with it
    :param highWaterMark: bytes, see ``Options``
    :param maxSendBuffer: bytes, see ``Options``
    :param listener: is told
    """

    __slots__ = (
        "_below",
        "_canWriteNow",
        "_congested",
        "_corked",
        "_eager",
        "_gathered",
        "_gatheredSize",
        "_highWaterMark",
        "_listener",
        "_maxSendBuffer",
        "_pong",
        "_queue",
        "_queuedSize",
        "_started",
        "_transport",
        "isFull",
    )

    def __init__(
        self,
        transport: ITransport,
        highWaterMark: int,
        maxSendBuffer: int,
        listener: SendListener,
    ) -> None:
        self._transport = transport
        # Whether the transport leaves it to us to write at once, and whether all is
        # written so: what answers a segment is.
        self._canWriteNow = False
        self._eager = False
        self._highWaterMark = highWaterMark
        self._maxSendBuffer = maxSendBuffer
        self._listener = listener
        self._started = False
        # Gathering until uncork(): begins corked, as nothing may go before the 101.
        self._corked = 1
        self._gathered = _NOTHING
        self._gatheredSize = 0
        # The transport said that it has enough; at least how much that is.
        self._congested = False
        self._below = 0
        self._queue = _NOTHING
        self._queuedSize = 0
        self._pong: bytes | None = None
        self.isFull = False
        """Whether ``highWaterMark`` was reached and not everything has left since."""

    @property
    def size(self) -> int:
        """Bytes that wait here and below; 0 unless the transport said that it has
        enough, and so with the promise that :meth:`resumeProducing` comes."""
        return self._queuedSize + self._below

    def start(self, head: bytes) -> None:
        """Make ready to let go what was gathered; :meth:`uncork` does.

        :param head: what goes before it, and counts for nothing
        """
        self._started = True
        self._canWriteNow = canWriteNow(self._transport)
        self._transport.registerProducer(self, True)  # type: ignore[attr-defined]
        self._transport.write(head)

    def writeEagerly(self) -> None:
        """Write at once from now on, as far as the socket takes it."""
        self._eager = True

    def cork(self) -> None:
        """Gather from now on; calls nest."""
        self._corked += 1

    def uncork(self) -> None:
        """Write what was gathered, at the last of nested calls."""
        self._corked -= 1
        if not self._corked and self._gathered:
            self._flush()

    def write(self, frame: bytes) -> None:
        """Send a frame, in order.

        :param frame: bytes of a whole frame; empty ones do nothing
        """
        if not frame:
            return
        if self._queuedSize + self._below + self._gatheredSize >= self._maxSendBuffer:
            self._listener.sendBufferOverflowed()
            return
        if self._corked:
            if self._gathered is _NOTHING:
                self._gathered = []
            self._gathered.append(frame)
            self._gatheredSize += len(frame)
            # A hook that sends much in one go must see the buffer fill up.
            if self._gatheredSize >= TRANSPORT_BUFFER and self._started:
                self._flush()
        else:
            self._pass(frame)

    def writeClose(self, frame: bytes) -> None:
        """Send a Close frame, in order; however much waits, it is no slow consumer's
        fault that the application says goodbye.

        :param frame: bytes of a whole frame
        """
        if self._corked:
            self._gathered = [*self._gathered, frame]
            self._gatheredSize += len(frame)
        else:
            self._pass(frame)

    def writePong(self, frame: bytes) -> None:
        """Send a pong. While the peer does not read, only the newest one is kept (RFC
        6455 section 5.5.3), so that a flood of pings costs nothing.

        :param frame: bytes of a whole frame
        """
        if self._congested:
            self._pong = frame
        else:
            self.write(frame)

    def writeLast(self, frame: bytes, dropping: bool = False) -> None:
        """Send a frame behind which nothing follows, with all that waits before it.

        :param frame: bytes of a Close frame, or none
        :param dropping: drop what has not been handed to the transport
        """
        waiting = [] if dropping else [*self._queue, *self._gathered]
        self._drop()
        if self._started:
            self._started = False
            # First of all, for nothing is to be told any more about what waits below.
            self._transport.unregisterProducer()  # type: ignore[attr-defined]
            data = b"".join([*waiting, frame])
            if data:
                self._transport.write(data)

    def stop(self) -> None:
        """Forget everything: the connection is gone."""
        self._drop()
        self._started = False
        self._congested = False
        self._below = 0

    def _drop(self) -> None:
        self._gathered = self._queue = _NOTHING
        self._gatheredSize = self._queuedSize = 0
        self._pong = None

    def _flush(self) -> None:
        frames, self._gathered = self._gathered, _NOTHING
        self._gatheredSize = 0
        self._pass(b"".join(frames), True)

    def _pass(self, data: bytes, atOnce: bool = False) -> None:
        """Hand on to the transport, or keep while that has enough.

        :param atOnce: whether nothing is likely to follow in this turn of the reactor
        """
        if not self._congested:
            if self._canWriteNow and (atOnce or self._eager):
                writeNow(self._transport, data)
            else:
                self._transport.write(data)
            if self._congested:
                # Paused within write(): what it holds is at least this.
                self._below = max(TRANSPORT_BUFFER, len(data))
                self._checkMark()
            return
        self._keep(data)
        self._queuedSize += len(data)
        self._checkMark()

    def _keep(self, data: bytes) -> None:
        """Put whole frames at the end of the queue, small ones together: an object for
        each would cost several times its bytes."""
        if self._queue is _NOTHING:
            self._queue = []
        queue = self._queue
        if len(data) >= TRANSPORT_BUFFER:
            queue.append(data)
        elif queue and len(queue[-1]) < TRANSPORT_BUFFER:
            queue[-1] += data
        else:
            queue.append(bytearray(data))

    def _checkMark(self) -> None:
        if not self.isFull and self.size >= self._highWaterMark:
            self.isFull = True
            self._listener.sendBufferFilled()

    # The transport's producer

    def pauseProducing(self) -> None:
        """The transport has enough."""
        self._congested = True
        self._below = TRANSPORT_BUFFER
        self._checkMark()

    def resumeProducing(self) -> None:
        """The transport has written everything."""
        self._congested = False
        self._below = 0
        if self._pong is not None:
            pong, self._pong = self._pong, None
            # Not write(), which may gather it: it would end up behind a Close frame.
            self._pass(pong)
        while self._queue and not self._congested:
            chunk = bytes(self._queue.pop(0))
            self._queuedSize -= len(chunk)
            self._pass(chunk)
        if self.isFull and self._hasRoom():
            self.isFull = False
            self._listener.sendBufferEmptied()
        # What that brought about may have filled it again, or ended the connection.
        if self._hasRoom():
            self._listener.roomToSend()

    def _hasRoom(self) -> bool:
        return self._started and not self._congested and not self._queue

    def stopProducing(self) -> None:
        """The connection is gone."""
        self.stop()


@implementer(IPushProducer)
class PullToPush:
    """Makes a push producer of a pull producer: asks it for more, once in every turn of
    the reactor, until it is paused.

    :param producer: the pull producer
    :param clock: the reactor
    :param failed: is called when the producer raises; it is asked no more then
    """

    def __init__(
        self, producer: Any, clock: IReactorTime, failed: Callable[[Failure], object]
    ) -> None:
        self._producer = producer
        self._clock = clock
        self._failed = failed
        self._call: IDelayedCall | None = None

    def resumeProducing(self) -> None:
        """Ask for more from now on."""
        if self._call is None:
            self._pull()

    def pauseProducing(self) -> None:
        """Ask for nothing more for now."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def stopProducing(self) -> None:
        """Ask for nothing more, and say so to the producer."""
        self.pauseProducing()
        self._producer.stopProducing()

    def _pull(self) -> None:
        # Before it produces, as that may pause it.
        self._call = self._clock.callLater(0, self._pull)
        try:
            self._producer.resumeProducing()
        except Exception:
            self.pauseProducing()
            self._failed(Failure())


class Production:
    """The part of a connection that knows of an application's producer; mixed into the
    wire protocol."""

    _clock: IReactorTime
    _sending: SendBuffer
    _opened = False
    _ending = False
    _producer: Any = None

    @abstractmethod
    def _hookFailed(self, failure: Failure) -> None:
        """The application is broken.

        :param failure: how
        """

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        if self._producer is not None:
            raise RuntimeError(
                f"cannot register {producer!r}: another producer was never unregistered"
            )
        if self._ending:
            producer.stopProducing()
            return
        if not streaming:
            producer = PullToPush(producer, self._clock, self._hookFailed)
        self._producer = producer
        if not self._opened or self._sending.isFull:
            producer.pauseProducing()
        elif not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        producer, self._producer = self._producer, None
        if isinstance(producer, PullToPush):
            producer.pauseProducing()

    def attachProducer(self, producer: IPushProducer) -> None:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        self.registerProducer(producer, True)

    def detachProducer(self) -> None:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        self.unregisterProducer()

    def _pauseProducer(self) -> None:
        if self._producer is not None:
            self._producer.pauseProducing()

    def _resumeProducer(self) -> None:
        """Let the producer go on, unless the buffer has filled up again."""
        if self._producer is not None and not self._sending.isFull:
            self._producer.resumeProducing()

    def _stopProducer(self) -> None:
        """Nothing is sent any more: stop the producer, and those still to come."""
        self._ending = True
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                producer.stopProducing()
            except Exception:
                self._hookFailed(Failure())
