"""The open connection on a Twisted transport: frames, timers, hooks.

:class:`WireProtocol` is a ``LineReceiver``: lines while the opening handshake lasts,
which a subclass such as :class:`twisted_ws.server.ServerProtocol` reads, then raw mode
and frames. It is also the transport that the application's protocol gets.

The way of a byte: ``rawDataReceived`` → ``Connection.receive`` → events → hooks, in
order, → what they send is gathered and written at the end of the segment.

Reading pauses for any of the reasons in :class:`Pause`; events that were decoded before
a pause wait in order.
"""

from __future__ import annotations

from enum import IntFlag
from inspect import isawaitable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from .connection import (
    CloseReceived,
    Connection,
    Event,
    Failed,
    Ping,
    Pong,
    State,
)
from .errors import (
    ConnectionClosed,
    ConnectionFailed,
    InternalError,
    SlowConsumer,
)
from .interfaces import ClosedCleanly, ClosedUncleanly, asDeferred
from .liveness import Liveness
from .outgoing import Outgoing
from .redaction import loggable, nameAddress
from .sending import Production, SendBuffer
from .tls import isSecure
from .wirestate import NO_EVENTS, WireState

__all__ = ["EVENTS_PER_SLICE", "Pause", "WireProtocol"]

_log = Logger()

EVENTS_PER_SLICE = 256
"""Events delivered before other connections get their turn."""


class Pause(IntFlag):
    """Why nothing is delivered and read at the moment."""

    APPLICATION = 1
    """It called ``pauseProducing``."""
    HOOK = 2
    """A hook's coroutine or Deferred has not finished."""
    SENDING = 4
    """The peer does not read what it is sent."""
    SLICE = 8
    """One segment brought very many events; the others come in later turns."""


class WireProtocol(WireState, Outgoing, Liveness, Production, LineReceiver):
    """One WebSocket connection on one transport, whichever end it is.

    It implements :class:`twisted_ws.interfaces.WebSocketTransport` for the application,
    ``Watched`` for its deadlines and ``SendListener`` for its send buffer.

    :param options: limits and times
    :param clock: the reactor
    :param deadlines: where deadlines are kept
    """

    pausesWhenCongested = True

    # These are never set on most connections: a class attribute costs nothing.
    _pendingBytes = b""
    _held = 0
    _hooksRunning = 0
    _slice: IDelayedCall | None = None
    _finished = False

    # The opening handshake's end

    def _prepare(self, connection: Connection) -> None:
        """Make ready to frame what the application sends; it goes nowhere yet.

        :param connection: the fresh state
        """
        self._connection = connection
        self._sending = SendBuffer(
            self.transport,
            self.options.highWaterMark,
            self.options.maxSendBuffer,
            self,
        )

    def _open(self, head: bytes) -> None:
        """Begin with frames, those in ``_pendingBytes`` first.

        :param head: the bytes that end the opening handshake
        """
        self.setRawMode()  # type: ignore[no-untyped-call]
        self._sending.start(head)
        self._opened = True
        # As long as the first hook runs, events wait, and what is sent is gathered.
        self._delivering = True
        pending = self._pendingBytes
        if pending:
            self._pendingBytes = b""
        self.rawDataReceived(pending)
        self._callHook("negotiationFinished")
        self._established()
        self._delivering = False
        self._sending.uncork()
        self._resumeProducer()
        self._goOn()
        self._watch()

    def _established(self) -> None:
        """The connection is open, and the application was told; messages come next."""

    # Receiving

    def dataReceived(self, data: bytes) -> Any:
        """Take bytes from the transport.

        :param data: any bytes
        """
        # LineReceiver's own loop is for lines; around raw bytes it costs 0.4 µs.
        if self.line_mode or self._busyReceiving:
            return self._headDataReceived(data)
        return self.rawDataReceived(data)

    def _headDataReceived(self, data: bytes) -> Any:
        """Take bytes while there are lines, or behind those that are being dealt with.

        :param data: any bytes
        """
        return LineReceiver.dataReceived(self, data)

    def rawDataReceived(self, data: bytes) -> None:
        """Take bytes after the opening handshake.

        :param data: any bytes
        """
        if not self._opened:
            self._earlyData(data)
            return
        self._lastReceived = self._clock.seconds()
        connection = self._connection
        if self._deaf or connection is None:
            return
        events = connection.receive(data)
        if self.options.messageTimeout:
            self._timeMessage(events)
        if self._paused or self._delivering or self._events:
            self._hold(events, len(data))
        elif events:
            self._deliver(events)
        elif connection.hasMore:
            self._goOn()
        if self._owesReading:
            self._owesReading = False
            if self._sending.isFull and self.pausesWhenCongested:
                self._pause(Pause.SENDING)

    def _hold(self, events: list[Event], size: int) -> None:
        """Keep events until they may be delivered.

        :param events: what came
        :param size: in how many bytes
        """
        assert self._connection is not None  # noqa: S101
        if self._events:
            self._events += events
        elif events:
            # Theirs is a list of its own.
            self._events = events
        # An event is an object of 50 bytes and more, also if its frame has 6; and a
        # message that was compressed is longer than what came.
        inflated = sum(len(each) for each in events if isinstance(each, (str, bytes)))
        held = max(size, inflated) + 64 * len(events)
        if held:
            self._held += held
        if events and self._connection.state is State.CLOSED:
            # The answer to our Close frame. The application may be waiting for just
            # this in a hook, with whenClosed(), so it cannot wait for the hook.
            self._sending.writeLast(b"")
            self._endTCP()
        self._adjustReading()

    def _earlyData(self, data: bytes) -> None:
        """Take bytes in raw mode that come before there are frames; a subclass whose
        opening handshake allows for that overrides it.

        :param data: any bytes
        """

    def _deliver(self, events: list[Event]) -> None:
        """Tell the application, until all is told or a pause is called for.

        :param events: what to tell; belongs to this method now
        """
        application = self._application
        self._delivering = True
        self._sending.cork()
        done = 0
        for event in events:
            done += 1
            kind = type(event)
            try:
                if kind is str:
                    result = application.textMessageReceived(event)
                elif kind is bytes:
                    result = application.bytesMessageReceived(event)
                else:
                    result = self._handleControl(event)
            except BaseException:
                # As Deferreds do: SystemExit and its like, too, are a broken hook.
                self._hookFailed(Failure())
                break
            if result is not None:
                self._waitFor(result)
            if self._paused or self._deaf:
                break
            if done == EVENTS_PER_SLICE and len(events) > done:
                self._takeTurns()
                break
        if done < len(events) and not self._deaf:
            # What came in while hooks ran stands in self._events already.
            self._events = events[done:] + self._events
        self._delivering = False
        self._sending.uncork()
        if (
            self._paused
            or self._events
            or self._readingPaused
            or self._lost
            or self._connection.hasMore  # type: ignore[union-attr]
        ):
            self._goOn()

    def _handleControl(self, event: Event) -> Any:
        """Do what an event asks for that is not a message.

        :returns: what the hook returned, if there is one
        """
        assert self._connection is not None  # noqa: S101
        if isinstance(event, Ping):
            self._sending.writePong(self._connection.pong(event.payload))
            return self._optionalHook("pingReceived", event.payload)
        if isinstance(event, Pong):
            self._pongArrived(event.payload)
            return self._optionalHook("pongReceived", event.payload)
        if isinstance(event, CloseReceived):
            self._finish(self._connection.replyClose())
        else:
            assert isinstance(event, Failed)  # noqa: S101
            self.failConnection(event.error)
        return None

    # Hooks

    def _callHook(self, name: str, *arguments: object) -> None:
        """Call a hook outside of :meth:`_deliver`, and wait for it if it asks to."""
        try:
            result = self._optionalHook(name, *arguments)
        except BaseException:
            self._hookFailed(Failure())
            return
        if result is not None:
            self._waitFor(result)

    def _optionalHook(self, name: str, *arguments: object) -> Any:
        # Classes written for twisted.web.websocket lack the hooks it does not know.
        hook = getattr(self._application, name, None)
        return None if hook is None else hook(*arguments)

    def _waitFor(self, result: Any) -> None:
        """Deliver nothing more until a hook has finished."""
        if not (isinstance(result, Deferred) or isawaitable(result)):
            return
        self._hooksRunning += 1
        self._paused |= Pause.HOOK
        waiting = asDeferred(result)
        waiting.addErrback(self._hookFailed)
        waiting.addBoth(self._hookDone)

    def _hookDone(self, _: object) -> None:
        self._hooksRunning -= 1
        if not self._hooksRunning:
            self._resume(Pause.HOOK)

    def _hookFailed(self, failure: Failure) -> None:
        """A hook raised: the application is broken, not the peer."""
        if failure.value is self._closed:
            # It waited for something when the connection ended: nobody's fault.
            return
        _log.failure(
            "A hook of {application} failed",
            failure,
            application=type(self._application).__name__,
        )
        self.failConnection(InternalError("internal error"))

    # Pausing

    def _pause(self, why: Pause) -> None:
        self._paused |= why
        self._adjustReading()

    def _resume(self, why: Pause) -> None:
        self._paused &= ~why
        self._goOn()

    def _goOn(self) -> None:
        """Deliver what waits, if nothing speaks against it, and read or not."""
        if self._delivering:
            return
        if self._events and not self._paused:
            events, self._events = self._events, NO_EVENTS
            self._deliver(events)
            return
        if not self._events:
            if self._held:
                self._held = 0
            if self._connection is not None and self._connection.hasMore:
                self._takeTurns()
        self._adjustReading()

    def _takeTurns(self) -> None:
        """Go on in a later turn of the reactor, so that others have theirs."""
        if self._slice is None:
            self._paused |= Pause.SLICE
            self._slice = self._clock.callLater(0, self._nextSlice)

    def _nextSlice(self) -> None:
        self._slice = None
        if not self._events and self._connection is not None:
            self._events = self._connection.receive(b"")
            if self.options.messageTimeout:
                self._timeMessage(self._events)
        self._resume(Pause.SLICE)

    def _adjustReading(self) -> None:
        """Have the transport read or not, as the pauses say; and if it is gone already
        and all that came is delivered, say so."""
        if self._lost is not None:
            if not (self._events or self._paused or self._delivering):
                self._conclude()
            return
        pause = self._paused != 0 and not self._deaf and not self._awaitsClose()
        if pause != self._readingPaused:
            self._readingPaused = pause
            if pause:
                self.transport.pauseProducing()
            else:
                self._heardAgain(self._clock.seconds())
                self.transport.resumeProducing()

    def _awaitsClose(self) -> bool:
        """Tell whether to read although nothing may be delivered: for the answer to our
        Close frame, and no further than is needed to find it behind one message."""
        connection = self._connection
        return (
            connection is not None
            and connection.state in (State.CLOSE_SENT, State.CLOSED)
            and self._held <= self.options.maxMessageSize
        )

    # SendListener

    def sendBufferFilled(self) -> None:
        """The peer reads slower than it is sent to."""
        if self.pausesWhenCongested and not self._owesReading:
            self._pause(Pause.SENDING)
        self._pauseProducer()
        self._callHook("sendBufferFull")

    def sendBufferEmptied(self) -> None:
        """The peer has caught up."""
        # However fast it is filled up again: something is read in between, or the Close
        # frame of a peer that reads all it is sent would never be found.
        self._owesReading = True
        self._callHook("sendBufferDrained")
        self._resumeProducer()
        self._resume(Pause.SENDING)

    def roomToSend(self) -> None:
        """Everything has been written below."""
        waiters, self._drainWaiters = self._drainWaiters, None
        for waiter in waiters or ():
            waiter.callback(None)

    def sendBufferOverflowed(self) -> None:
        """The peer does not read, and the application goes on sending."""
        most = self.options.maxSendBuffer
        self.failConnection(
            SlowConsumer(f"slow consumer: {most} bytes wait to be sent")
        )

    # Receiving and not (the application's transport)

    def pauseProducing(self) -> None:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        # Of a connection that is gone, what waits is delivered whatever the application
        # says: that ends by itself, and who would resume it?
        if self._lost is None:
            self._pause(Pause.APPLICATION)

    def resumeProducing(self) -> None:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        self._resume(Pause.APPLICATION)

    # Closing

    def loseConnection(self, code: int = 1000, reason: str = "") -> None:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        assert self._connection is not None  # noqa: S101
        frame = self._connection.close(code, reason)
        if frame:
            self._sending.writeClose(frame)
            self._stopProducer()
        if self._endBy is None:
            self._setEnd()
        # The answer must be read, whatever the application paused for.
        self._resume(Pause.APPLICATION | Pause.SENDING)

    def failConnection(self, error: ConnectionFailed) -> None:
        """Fail the connection (RFC 6455 section 7.1.7): send the Close frame, if none
        was sent, tell the application nothing more, end the TCP connection.

        :param error: why; carries the close code
        """
        if self._connection is None or self._finished or self._deaf:
            return
        self._logFailure(error)
        frame = self._connection.fail(error)
        self._finish(frame, isinstance(error, SlowConsumer))

    def abortConnection(self) -> None:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        if not self._finished:
            self._abort()

    def endNow(self) -> None:
        """End the connection at once, and do not wait for hooks that are running."""
        self._endBy = self._clock.seconds()
        self.abortConnection()

    def _abort(self) -> None:
        """Time is up: for the closing handshake, or for delivering what came before the
        connection was lost."""
        self._deaf = True
        self._events = NO_EVENTS
        if self._lost is None:
            if self._connection is not None:
                # A hook that is running may go on sending.
                self._connection.lose()
                self._sending.stop()
            self.transport.abortConnection()
        elif not self._delivering:
            self._conclude()

    def _finish(self, frame: bytes, dropping: bool = False) -> None:
        """Write the last frame and end the TCP connection behind it.

        :param frame: a Close frame, or none if it was sent before
        :param dropping: do without what waits to be sent
        """
        assert self._connection is not None  # noqa: S101
        self._deaf = True
        self._events = NO_EVENTS
        if self._lost is not None:
            return
        self._sending.writeLast(frame, dropping)
        self._stopProducer()
        if self._connection.state is State.CLOSED:
            # The closing handshake is complete: nothing may follow from the peer.
            self._setEnd()
            self._endTCP()
            # TLS goes on reading, for the peer's close_notify.
            self._adjustReading()
        else:
            self._linger()

    def _endTCP(self) -> None:
        """End the TCP connection, after a complete closing handshake."""
        self.transport.loseConnection()

    def _linger(self) -> None:
        """End a connection on which the peer may be sending still.

        Closing a TCP connection with unread bytes resets it, which can destroy what was
        just written on its way to the peer. So only this direction is closed, and what
        comes is read and dropped until the peer closes its own, for ``closeTimeout``
        seconds at most.
        """
        self._deaf = True
        self._setEnd()
        if isSecure(self.transport):
            # TLS does the same by itself: it waits for the peer's close_notify.
            self.transport.loseConnection()
        else:
            loseWrite = getattr(self.transport, "loseWriteConnection", None)
            if loseWrite is None:
                self.transport.loseConnection()
            else:
                loseWrite()
        self._adjustReading()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The transport below is gone.

        :param reason: how
        """
        self._lost = reason
        self._deadlines.forget(self)
        if self._connection is None:
            return
        self._connection.lose()
        self._sending.stop()
        clean = self._connection.state is State.CLOSED
        kind = ClosedCleanly if clean else ClosedUncleanly
        self._closed = kind(*self._connection.outcome, clean)
        self._tellWaiters(self._closed)
        # What had come before is still delivered, unless the connection failed; but
        # nobody resumes a connection that is gone, and a hook may take for ever.
        self._resume(Pause.APPLICATION | Pause.SENDING)
        if not self._finished:
            if self._endBy is None:
                self._endBy = self._clock.seconds() + self.options.closeTimeout
            self._deadlines.watch(self, self._endBy)

    def _tellWaiters(self, closed: ConnectionClosed) -> None:
        """Stop the producer, and fire every Deferred that was given out."""
        self._stopProducer()
        drainWaiters, self._drainWaiters = self._drainWaiters, None
        for drainWaiter in drainWaiters or ():
            drainWaiter.errback(Failure(closed))
        closeWaiters, self._closeWaiters = self._closeWaiters, None
        for closeWaiter in closeWaiters or ():
            closeWaiter.callback(closed)

    def _conclude(self) -> None:
        """Tell the application that it is over."""
        if self._finished:
            return
        self._finished = True
        self._deadlines.forget(self)
        if self._slice is not None:
            self._slice.cancel()
            self._slice = None
        self._callHook("connectionLost", Failure(self._closed))
        self._released()

    def _released(self) -> None:
        """Nothing more comes of this connection; a subclass tells its factory."""

    # What is said about it

    def _logFailure(self, error: ConnectionFailed) -> None:
        _log.info(
            "Closing WebSocket from {peer} with {code}: {why}",
            peer=self._peer(),
            code=error.closeCode,
            why=loggable(error),
        )

    def _peer(self) -> str:
        """Name the peer, for logs."""
        return nameAddress(self.transport.getPeer())
