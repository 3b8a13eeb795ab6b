"""The standard streams on the reactor."""

# The assertions of trial, and pytest-twisted, have no types.
# mypy: allow-untyped-calls, disallow-untyped-decorators=False

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest_twisted  # type: ignore[import-untyped]
from twisted.internet.defer import Deferred
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.clients import reactor, within
from tests.processes import environment
from twisted_ws.stdio import (
    LONGEST_LINE,
    Input,
    LineSplitter,
    Output,
    Streams,
    openMissing,
    writeNow,
)


@contextlib.contextmanager
def closing(*descriptors: int) -> Iterator[None]:
    """Close descriptors in the end, those that are still open."""
    try:
        yield
    finally:
        for each in descriptors:
            with contextlib.suppress(OSError):
                os.close(each)


def isBlocking(descriptor: int) -> bool:
    """Tell the mode of a descriptor."""
    return not fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_NONBLOCK


class Reading:
    """Reads a descriptor.

    :param descriptor: which
    """

    def __init__(self, descriptor: int) -> None:
        self.data = b""
        self.ends = 0
        self.ended: Deferred[None] = Deferred()
        self.input = Input(reactor, descriptor, self._received, self._ended)

    def _received(self, data: bytes) -> None:
        self.data += data

    def _ended(self) -> None:
        self.ends += 1
        self.ended.callback(None)


class Writing:
    """Writes to a descriptor.

    :param descriptor: which
    """

    def __init__(self, descriptor: int) -> None:
        self.broken: Deferred[OSError | None] = Deferred()
        self.output = Output(reactor, descriptor, self.broken.callback)


@pytest_twisted.ensureDeferred
async def test_input() -> None:
    """What comes is read, to the end, which is told once. The descriptor stays as it
    is."""
    reader, writer = os.pipe()
    with closing(reader, writer):
        reading = Reading(reader)
        reading.input.startReading()
        os.write(writer, b"abc")
        os.close(writer)
        await within(reading.ended)
        assert reading.data == b"abc"
        assert isBlocking(reader)
        reading.input.connectionLost(Failure(CONNECTION_DONE))
        assert reading.ends == 1


@pytest_twisted.ensureDeferred
async def test_inputFile() -> None:
    """A file is read too, which not every poller of the system would tell of."""
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 100_000)
        file.seek(0)
        reading = Reading(file.fileno())
        reading.input.startReading()
        await within(reading.ended)
        assert reading.data == b"x" * 100_000


@pytest_twisted.ensureDeferred
async def test_inputHangsUp() -> None:
    """A terminal that is gone ends the input."""
    master, slave = pty.openpty()
    with closing(master, slave):
        reading = Reading(slave)
        reading.input.startReading()
        os.close(master)
        await within(reading.ended)


@pytest_twisted.ensureDeferred
async def test_output() -> None:
    """All is written, in order, however slowly it is read; meanwhile there is no room,
    and what waits for it is told. The descriptor stays as it is."""
    reader, writer = os.pipe()
    with closing(reader, writer):
        writing = Writing(writer)
        assert writing.output.whenRoom() is None
        data = os.urandom(300_000)
        writing.output.write(data)
        waiting = writing.output.whenRoom()
        assert waiting is not None
        assert isBlocking(writer)

        def readAll() -> bytes:
            found = b""
            while len(found) < len(data):
                found += os.read(reader, 65536)
            return found

        assert await within(deferToThread(readAll)) == data
        await within(waiting)
        assert writing.output.whenRoom() is None
        writing.output.write(b"end")
        await within(writing.output.finish())
        assert os.read(reader, 10) == b"end"
        await within(writing.output.finish())
        assert not writing.broken.called


@pytest_twisted.ensureDeferred
async def test_outputFile() -> None:
    """A file is written in large pieces."""
    with tempfile.TemporaryFile() as file:
        writing = Writing(file.fileno())
        writing.output.write(b"x" * 1_000_000)
        await within(writing.output.finish())
        assert file.seek(0, os.SEEK_END) == 1_000_000


@pytest_twisted.ensureDeferred
async def test_outputNobodyReads() -> None:
    """That a pipe has no reader is told before the next write; who waits for room does
    not wait any more, and what is written is dropped."""
    reader, writer = os.pipe()
    with closing(reader, writer):
        writing = Writing(writer)
        writing.output.write(b"x" * 300_000)
        waiting = writing.output.whenRoom()
        assert waiting is not None
        idle = Writing(os.dup(writer))
        with closing(idle.output.fileno()):
            os.close(reader)
            assert await within(idle.broken) is None
            assert await within(writing.broken) is None
            await within(waiting)
            writing.output.write(b"more")
            assert writing.output.whenRoom() is None
            await within(writing.output.finish())


@pytest_twisted.ensureDeferred
async def test_outputError() -> None:
    """Other errors are told as what they are."""
    with open("/dev/full", "wb", buffering=0) as full:
        writing = Writing(full.fileno())
        writing.output.write(b"x")
        error: Any = await within(writing.broken)
        assert isinstance(error, OSError)


@pytest_twisted.ensureDeferred
async def test_outputAborts() -> None:
    """What nobody reads can be given up, whether or not its end is waited for."""
    reader, writer = os.pipe()
    with closing(reader, writer):
        writing = Writing(writer)
        writing.output.write(b"x" * 300_000)
        finished = writing.output.finish()
        writing.output.abort()
        await within(finished)
        writing.output.abort()
        assert not writing.broken.called


class DescriptorTests(SynchronousTestCase):
    """What the system may say."""

    def test_others(self) -> None:
        """Where another process has made a descriptor non-blocking, nothing is lost by
        it."""
        reader, writer = os.pipe()
        with closing(reader, writer):
            os.set_blocking(reader, False)
            os.set_blocking(writer, False)
            reading, writing = Reading(reader), Writing(writer)
            self.assertIsNone(reading.input.doRead())
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(writer, bytes(65536))
            self.assertEqual(writing.output.writeSomeData(b"x"), 0)
            writing.output.abort()

    def test_gone(self) -> None:
        """What is closed has ended."""
        reader, writer = os.pipe()
        with closing(reader, writer):
            reading, writing = Reading(reader), Writing(writer)
            os.close(reader)
            self.assertIs(reading.input.doRead(), CONNECTION_LOST)
            self.assertIs(writing.output.writeSomeData(b"x"), CONNECTION_LOST)
            self.assertIs(writing.output.doRead(), CONNECTION_LOST)
            writing.output.abort()

    def test_socket(self) -> None:
        """A socket, or a pipe open for both, is not asked whether its reader is
        there: what comes on it would be taken for that."""
        one, other = socket.socketpair()
        with one, other:
            writing = Writing(one.fileno())
            self.assertNotIn(writing.output, reactor.getReaders())
            writing.output.abort()
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "pipe")
            os.mkfifo(path)
            both = os.open(path, os.O_RDWR)
            with closing(both):
                writing = Writing(both)
                self.assertNotIn(writing.output, reactor.getReaders())
                writing.output.abort()

    def test_stopped(self) -> None:
        """An input that was stopped does not tell its end."""
        reader, writer = os.pipe()
        with closing(reader, writer):
            reading = Reading(reader)
            reading.input.stop()
            reading.input.connectionLost(Failure(CONNECTION_DONE))
            self.assertEqual(reading.ends, 0)

    def test_now(self) -> None:
        """What is written at once is there at once; if nobody reads it, so be it."""
        reader, writer = os.pipe()
        with closing(reader, writer):
            writeNow(writer, b"abc")
            self.assertEqual(os.read(reader, 10), b"abc")
            os.close(reader)
            writeNow(writer, b"abc")


class LineTests(SynchronousTestCase):
    """Lines out of bytes."""

    def test_lines(self) -> None:
        """A line ends with LF or CR LF; what is behind the last one is a line too."""
        data = b"one\r\ntwo\n\n\rthr\ree"
        for size in (1, 2, 100):
            splitter = LineSplitter(False)
            found = []
            for at in range(0, len(data), size):
                found += splitter.feed(data[at : at + size])
            self.assertEqual(found, [b"one", b"two", b""])
            self.assertEqual(splitter.end(), [b"\rthr\ree"])
        self.assertEqual(LineSplitter(False).end(), [])

    def test_whole(self) -> None:
        """As one message it has no lines."""
        splitter = LineSplitter(True)
        self.assertEqual(splitter.feed(b"a\nb\r\n"), [])
        self.assertEqual(splitter.end(), [b"a\nb\r\n"])
        self.assertEqual(LineSplitter(True).end(), [])

    def test_longest(self) -> None:
        """A line may have 16 MiB, and no byte more."""
        splitter = LineSplitter(False)
        line = bytes(LONGEST_LINE)
        self.assertEqual(splitter.feed(line), [])
        self.assertFalse(splitter.isTooLong)
        self.assertEqual(splitter.feed(b"\n"), [line])
        splitter.feed(line)
        splitter.feed(b"x")
        self.assertTrue(splitter.isTooLong)
        splitter.clear()
        self.assertFalse(splitter.isTooLong)
        self.assertEqual(splitter.end(), [])


class MissingTests(SynchronousTestCase):
    """A program that is started without standard streams."""

    def test_allThere(self) -> None:
        """Those that are there stay."""
        before = [os.fstat(each) for each in Streams()]
        openMissing()
        self.assertEqual([os.fstat(each) for each in Streams()], before)

    def test_missing(self) -> None:
        """Nothing that it opens takes their place."""
        code = (
            "import os\n"
            "from twisted_ws.stdio import openMissing\n"
            "os.close(0); os.close(1)\n"
            "openMissing()\n"
            "null = os.stat(os.devnull).st_rdev\n"
            "ok = all(os.fstat(each).st_rdev == null for each in (0, 1))\n"
            "os.write(2, b'ok' if ok else b'no')\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(done.stderr, b"ok")
