"""The standard streams on the reactor: bytes in, lines out of them, bytes out.

Twisted's ``StandardIO`` switches descriptors to non-blocking mode, for every process
that has the same terminal or pipe, and for good. :class:`Input` and :class:`Output`
leave them as they are, and read and write no more than what cannot block.
"""

from __future__ import annotations

import fcntl
import os
import select
import stat
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python.failure import Failure
from zope.interface import implementer

from .knobs import MIB

__all__ = [
    "LONGEST_LINE",
    "Input",
    "LineSplitter",
    "Output",
    "Streams",
    "openMissing",
    "writeNow",
]

LONGEST_LINE = 16 * MIB
"""Bytes of a line of the standard input, or of all of it where that is one message."""

_READ_AT_ONCE = 64 * 1024


class Streams(NamedTuple):
    """The file descriptors of the standard streams."""

    stdin: int = 0
    stdout: int = 1
    stderr: int = 2


class Input(FileDescriptor):
    """Reads a file descriptor that others may have too, so that it stays in the mode
    that it is in: nothing is read but what is there.

    :param reactor: the reactor
    :param descriptor: what to read
    :param received: called with bytes
    :param ended: called once at the end
    """

    def __init__(
        self,
        reactor: Any,
        descriptor: int,
        received: Callable[[bytes], object],
        ended: Callable[[], object],
    ) -> None:
        super().__init__(reactor)
        self._descriptor = descriptor
        self._received = received
        self._ended: Callable[[], object] | None = ended
        self.connected = 1

    def fileno(self) -> int:
        """Give the file descriptor."""
        return self._descriptor

    def doRead(self) -> Exception | None:
        """Read; the reactor calls it when there is something."""
        try:
            data = os.read(self._descriptor, _READ_AT_ONCE)
        except (BlockingIOError, InterruptedError):
            # Another process was faster.
            return None
        except OSError:
            # EIO: the terminal is gone, or belongs to another job.
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        self._received(data)
        return None

    def connectionLost(self, reason: Failure) -> None:
        """There is nothing more to read.

        :param reason: why
        """
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        self.connected = 0
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()

    def stop(self) -> None:
        """Read nothing more, and do not tell."""
        self._ended = None
        self.stopReading()  # type: ignore[no-untyped-call]


@implementer(IPushProducer)
class _Room:
    """Knows whether much is waiting to be written: a producer that is told so.

    :param cleared: called when there is room again
    """

    def __init__(self, cleared: Callable[[], object]) -> None:
        self._cleared = cleared
        self.isFull = False

    def pauseProducing(self) -> None:
        """Much is waiting."""
        self.isFull = True

    def resumeProducing(self) -> None:
        """There is room again."""
        self.isFull = False
        self._cleared()

    def stopProducing(self) -> None:
        """Nothing is written any more; who waits is told by the output itself."""


class Output(FileDescriptor):
    """Writes to a file descriptor that others may have too, so that it stays in the
    mode that it is in: nothing is written but what there is room for.

    :param reactor: the reactor
    :param descriptor: where to write
    :param broken: called if nothing can be written any more, with the reason, or None
        if that is only that nobody reads it
    """

    def __init__(
        self,
        reactor: Any,
        descriptor: int,
        broken: Callable[[OSError | None], object],
    ) -> None:
        super().__init__(reactor)
        self._descriptor = descriptor
        self._broken = broken
        self._error: OSError | None = None
        self._waiters: list[Deferred[None]] = []
        self._room = _Room(self._tell)
        self._ending = False
        self.connected = 1
        mode = os.fstat(descriptor).st_mode
        # A pipe that is ready has room for that much; a file always has.
        self._atOnce = _READ_AT_ONCE if stat.S_ISREG(mode) else select.PIPE_BUF
        self.registerProducer(self._room, True)
        if stat.S_ISFIFO(mode) and _isWriteOnly(descriptor):
            # How one is told, before the next write, that nobody reads a pipe.
            self.startReading()  # type: ignore[no-untyped-call]

    def fileno(self) -> int:
        """Give the file descriptor."""
        return self._descriptor

    def doRead(self) -> Exception:
        """A pipe is readable at this end when the other one is closed."""
        return CONNECTION_LOST

    def writeSomeData(self, data: Any) -> Any:
        """Write; the reactor calls it when there is room.

        :param data: bytes
        :returns: how many were written
        """
        try:
            return os.write(self._descriptor, data[: self._atOnce])
        except (BlockingIOError, InterruptedError):
            return 0
        except BrokenPipeError:
            return CONNECTION_LOST
        except OSError as error:
            self._error = error
            return CONNECTION_LOST

    def whenRoom(self) -> Deferred[None] | None:
        """Give what to wait for before more is written; None when there is room."""
        if not self._room.isFull or not self.connected:
            return None
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        return waiter

    def finish(self) -> Deferred[None]:
        """Write what is left.

        :returns: fires when that is done, or cannot be done
        """
        waiter: Deferred[None] = Deferred()
        if self.connected:
            self._ending = True
            self._waiters.append(waiter)
            self.unregisterProducer()
            self.loseConnection()  # type: ignore[no-untyped-call]
        else:
            waiter.callback(None)
        return waiter

    def abort(self) -> None:
        """Do without what is left to be written."""
        if self.connected:
            self._ending = True
            self.connectionLost(Failure(CONNECTION_DONE))

    def connectionLost(self, reason: Failure) -> None:
        """Nothing is written any more.

        :param reason: why
        """
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        self.connected = 0
        self._tell()
        if not self._ending:
            self._broken(self._error)

    def _tell(self) -> None:
        waiters, self._waiters = self._waiters, []
        for each in waiters:
            each.callback(None)


def _isWriteOnly(descriptor: int) -> bool:
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    return flags & os.O_ACCMODE == os.O_WRONLY


class LineSplitter:
    """Lines out of bytes.

    :param whole: whether all of it is one line
    """

    def __init__(self, whole: bool) -> None:
        self._whole = whole
        self._buffer = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes.

        :param data: any number
        :returns: the lines that they complete, without their ends
        """
        self._buffer += data
        lines = []
        while not self._whole:
            end = self._buffer.find(b"\n", self._searched)
            if end < 0:
                break
            lines.append(bytes(self._buffer[:end]).removesuffix(b"\r"))
            del self._buffer[: end + 1]
            self._searched = 0
        self._searched = len(self._buffer)
        return lines

    @property
    def isTooLong(self) -> bool:
        """Whether the line that is not complete is over ``LONGEST_LINE``."""
        return len(self._buffer) > LONGEST_LINE

    def end(self) -> list[bytes]:
        """Give what is left at the end: a line without its end."""
        return [bytes(self._buffer)] if self._buffer else []

    def clear(self) -> None:
        """Forget what is not complete."""
        self._buffer.clear()


def writeNow(descriptor: int, data: bytes) -> None:
    """Write something short, which has to be there before the program goes on.

    :param descriptor: where
    :param data: what
    """
    try:
        os.write(descriptor, data)
    except OSError:
        # Nobody reads it.
        return


def openMissing() -> None:
    """See to it that there are three standard streams: where one was closed, the next
    thing that the program opens would take its place."""
    for descriptor in Streams():
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest number that is free is the one that is missing.
            os.open(os.devnull, os.O_RDWR)
