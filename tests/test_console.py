"""A terminal where a line can be typed while messages come in.

Each test has a pseudo-terminal of its own; the console is on the reactor of the tests.
"""

# pytest-twisted has no types.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted  # type: ignore[import-untyped]
from twisted.internet.defer import Deferred

from tests.clients import reactor, within
from tests.terminals import Terminal, until
from twisted_ws.console import Console, RawMode
from twisted_ws.interfaces import HookResult
from twisted_ws.stdio import LONGEST_LINE, Streams

LEFT, RIGHT, UP, DOWN = "\x1b[D", "\x1b[C", "\x1b[A", "\x1b[B"


class Conversation:
    """A console in a terminal.

    :param terminal: the terminal
    :param streams: standard streams
    :param environment: variables
    :param whole: as for the console
    """

    def __init__(
        self,
        terminal: Terminal,
        streams: Streams,
        environment: dict[str, str],
        whole: bool = False,
    ) -> None:
        self.terminal = terminal
        self.lines: list[bytes] = []
        self.results: list[HookResult] = []
        """What the next lines have to be waited for."""
        self.ends = 0
        self.broken: list[OSError | None] = []
        self.console = Console(
            reactor,
            streams,
            self._entered,
            self._ended,
            self.broken.append,
            whole,
            environment,
        )

    def _entered(self, line: bytes) -> HookResult:
        self.lines.append(line)
        return self.results.pop(0) if self.results else None

    def _ended(self) -> None:
        self.ends += 1

    async def untilSeen(self, pattern: str) -> None:
        """Wait until something is on the screen."""

        def isSeen() -> bool:
            while self.terminal.read():
                pass
            return bool(re.search(pattern, "\n".join(self.terminal.screen.lines)))

        await until(isSeen, f"{pattern!r} on the screen")

    async def type(self, text: str, expected: str) -> None:
        """Press keys, and wait for what is then seen around the cursor, which is
        written as a bar."""
        self.terminal.type(text)

        def isSeen() -> bool:
            while self.terminal.read():
                pass
            return "|".join(map(str.rstrip, self.terminal.screen.cursor)) == expected

        await until(isSeen, f"{expected!r} on the screen")


@contextlib.asynccontextmanager
async def talking(
    columns: int = 80, environment: dict[str, str] | None = None
) -> AsyncIterator[Conversation]:
    """Have a console in a terminal, where lines are edited."""
    terminal = Terminal(columns)
    output = os.dup(terminal.slave)
    streams = Streams(terminal.slave, output, terminal.slave)
    if environment is None:
        environment = {"TERM": "xterm", "NO_COLOR": "1"}
    conversation = Conversation(terminal, streams, environment)
    conversation.console.begin()
    try:
        yield conversation
        if terminal.master >= 0:
            finished = conversation.console.finish(["the end"])
            await conversation.untilSeen("the end")
            await within(finished)
            assert terminal.isAsBefore
    finally:
        conversation.console.giveBack()
        conversation.console.stopReading()
        conversation.console.abort()
        os.close(output)
        terminal.close()


@pytest_twisted.ensureDeferred
async def test_typed() -> None:
    """What is typed is seen, is edited with keys, and is handed over with Enter; the
    line then is empty."""
    async with talking() as conversation:
        assert conversation.terminal.isRaw
        assert conversation.console.isEdited
        await conversation.type("helo", "> helo|")
        await conversation.type(LEFT, "> hel|o")
        await conversation.type("l", "> hell|o")
        await conversation.type("\r", ">|")
        conversation.terminal.type("two\n")
        await until(lambda: conversation.lines == [b"hello", b"two"], "both lines")


@pytest_twisted.ensureDeferred
async def test_keys() -> None:
    """Keys do what they do in other programs, however the terminal calls them."""
    async with talking() as conversation:
        await conversation.type("ab cd", "> ab cd|")
        for keys, expected in (
            ("\x01", ">|ab cd"),
            ("\x06", "> a|b cd"),
            ("\x05", "> ab cd|"),
            ("\x02", "> ab c|d"),
            ("\x14", "> ab dc|"),
            ("\x1b[H", ">|ab dc"),
            ("\x1b[F", "> ab dc|"),
            ("\x1b[1~", ">|ab dc"),
            ("\x1b[4~", "> ab dc|"),
            ("\x1b[7~", ">|ab dc"),
            ("\x1b[8~", "> ab dc|"),
            ("\x1bOH", ">|ab dc"),
            ("\x1bOC", "> a|b dc"),
            ("\x1bOD", ">|ab dc"),
            ("\x1bOF", "> ab dc|"),
            ("\x1b[1;5D", "> ab|dc"),
            ("\x1bb", ">|ab dc"),
            ("\x1b[1;5C", "> ab| dc"),
            ("\x1b[3~", "> ab|dc"),
            ("\x04", "> ab|c"),
            ("\x7f\x08", ">|c"),
            ("\x0b", ">|"),
            ("\x19\x19", "> cc|"),
            ("\x15", ">|"),
            ("one two\x17", "> one|"),
            ("\x1b\x7f", ">|"),
            # Alone they do nothing.
            ("\x1b[15~\x1bx\x00\x1d\x1b[99z", ">|"),
            ("\t", "> ^I|"),
        ):
            await conversation.type(keys, expected)


@pytest_twisted.ensureDeferred
async def test_history() -> None:
    """Arrows give back what was entered before."""
    async with talking() as conversation:
        await conversation.type("one\rtwo\rthr", "> thr|")
        for key, expected in (
            (UP, "> two|"),
            ("\x10", "> one|"),
            ("\x1bOB", "> two|"),
            (DOWN, "> thr|"),
            ("\x1bOA", "> two|"),
            ("\x0e", "> thr|"),
        ):
            await conversation.type(key, expected)


@pytest_twisted.ensureDeferred
async def test_unicode() -> None:
    """Characters of several bytes and of two columns are one character each, also when
    their bytes come one by one; bytes that are none are shown as such."""
    async with talking() as conversation:
        for byte in "é漢😀".encode():
            os.write(conversation.terminal.master, bytes([byte]))
        await conversation.type("", "> é漢😀|")
        await conversation.type(LEFT, "> é漢|😀")
        await conversation.type("\x7f\x7f", ">|😀")
        os.write(conversation.terminal.master, b"\xff\r")
        await until(lambda: conversation.lines, "the line")
        assert conversation.lines == ["\ufffd😀".encode()]


@pytest_twisted.ensureDeferred
async def test_messagesCome() -> None:
    """What is said stands above the line that is typed, which stays as it is."""
    async with talking() as conversation:
        await conversation.type("hello" + LEFT * 2, "> hel|lo")
        conversation.console.say(["one", "漢字"], "in")
        conversation.console.say(["x" * 200], "notice")
        await conversation.type("p", "> help|lo")
        assert conversation.terminal.screen.lines == [
            "one",
            "漢字",
            "x" * 80,
            "x" * 80,
            "x" * 40,
            "> helplo",
        ]


@pytest_twisted.ensureDeferred
async def test_longLine() -> None:
    """A line that is longer than the terminal is wide stays on one row, also when the
    terminal gets another size."""
    async with talking(20) as conversation:
        await conversation.type("0123456789" * 5, "> 4567890123456789|")
        await conversation.type("\x01", ">|01234567890123456")
        conversation.terminal.resize(10, 24)
        conversation.console.redraw()
        await conversation.type("", ">|0123456")
        conversation.terminal.resize(4, 24)
        conversation.console.redraw()
        await conversation.type("", ">|0")
        conversation.terminal.resize(0, 0)
        assert conversation.console.size() == (80, 24)
        conversation.console.redraw()
        await conversation.type("", f">|{'0123456789' * 5}")
        conversation.terminal.type("\r")
        await until(lambda: conversation.lines, "the line")
        assert conversation.lines == [b"0123456789" * 5]


@pytest_twisted.ensureDeferred
async def test_veryLongLine() -> None:
    """A very long line that is pasted comes whole."""
    async with talking() as conversation:
        text = "0123456789" * 20_000
        # Who blocks here keeps the console from reading.
        os.set_blocking(conversation.terminal.master, False)
        left = text.encode()
        while left:
            with contextlib.suppress(BlockingIOError):
                left = left[os.write(conversation.terminal.master, left[:1000]) :]
            await deferTurns()
            while conversation.terminal.read():
                pass
        conversation.terminal.type("\r")
        await until(lambda: conversation.lines, "the line")
        assert conversation.lines == [text.encode()]


@pytest_twisted.ensureDeferred
async def test_clear() -> None:
    """Ctrl-L clears the screen, not the line."""
    async with talking() as conversation:
        conversation.console.say(["one"], "in")
        await conversation.type("ab", "> ab|")
        conversation.terminal.type("\x0c")
        await conversation.untilSeen(r"\A> ab\Z")


@pytest_twisted.ensureDeferred
async def test_controlD() -> None:
    """Ctrl-D ends the input on an empty line, once, and removes a character on
    another."""
    async with talking() as conversation:
        await conversation.type("a\x01\x04", ">|")
        conversation.terminal.type("\x04\x04x")
        await until(lambda: conversation.ends, "the end")
        await deferTurns()
        assert (conversation.ends, conversation.lines) == (1, [])


async def deferTurns() -> None:
    """Let the reactor turn a few times."""
    for _ in range(3):
        waiting: Deferred[None] = Deferred()
        reactor.callLater(0, waiting.callback, None)
        await waiting


@pytest_twisted.ensureDeferred
async def test_waits() -> None:
    """A line that has to be waited for holds up those behind it, and the end; whether
    it fails is not this module's business."""
    async with talking() as conversation:
        first: Deferred[None] = Deferred()
        second: Deferred[None] = Deferred()
        conversation.results = [first, second]
        conversation.terminal.type("one\rtwo\rthree\r\x04")
        await until(lambda: conversation.lines, "a line")
        await deferTurns()
        assert conversation.lines == [b"one"]
        first.callback(None)
        assert conversation.lines == [b"one", b"two"]
        assert not conversation.ends
        second.errback(ValueError("of who sends it"))
        assert conversation.lines == [b"one", b"two", b"three"]
        await until(lambda: conversation.ends, "the end")


@pytest_twisted.ensureDeferred
async def test_stops() -> None:
    """When it is told to stop, no more lines are handed over, and no end is told."""
    async with talking() as conversation:
        first: Deferred[None] = Deferred()
        conversation.results = [first]
        conversation.terminal.type("one\rtwo\r")
        await until(lambda: conversation.lines, "a line")
        conversation.console.stopReading()
        first.callback(None)
        await deferTurns()
        assert conversation.lines == [b"one"]
        assert not conversation.ends


@pytest_twisted.ensureDeferred
async def test_modes() -> None:
    """The terminal is given back while the program is stopped, and at the end."""
    async with talking() as conversation:
        terminal = conversation.terminal
        await conversation.type("ab", "> ab|")
        conversation.console.suspend()
        assert terminal.isAsBefore
        conversation.console.resume()
        assert terminal.isRaw
        await conversation.type("c", "> abc|")
        conversation.console.giveBack()
        assert terminal.isAsBefore
        # Too late for all of these.
        conversation.console.resume()
        conversation.console.redraw()
        conversation.console.suspend()
        assert terminal.isAsBefore
        conversation.console.begin()


@pytest_twisted.ensureDeferred
async def test_hangUp() -> None:
    """A terminal that is gone ends the input, and is no error when it is given back."""
    async with talking() as conversation:
        await conversation.type("ab", "> ab|")
        conversation.terminal.hangUp()
        await until(lambda: conversation.ends, "the end")
        mode = RawMode(conversation.terminal.slave)
        conversation.console.say(["lost"], "in")
        mode.leave()
        await until(lambda: conversation.broken, "an output that is broken")


@pytest.mark.parametrize(
    ("environment", "edited", "coloured"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({}, False, False),
    ],
)
@pytest_twisted.ensureDeferred
async def test_terminals(
    environment: dict[str, str], edited: bool, coloured: bool
) -> None:
    """Colours are for terminals that obey, and users that want them; on others lines
    come as the terminal has edited them."""
    async with talking(environment=environment) as conversation:
        console = conversation.console
        assert console.isTyped
        assert console.isSeen
        assert console.isEdited == edited
        assert conversation.terminal.isRaw == edited
        console.say(["hello"], "in")
        await conversation.untilSeen("hello")
        expected = "\x1b[36mhello\x1b[m" if coloured else "hello"
        assert expected in conversation.terminal.output
        assert ("\x1b[3" in conversation.terminal.output) == coloured
        conversation.terminal.type("one\n")
        await until(lambda: conversation.lines, "the line")
        conversation.terminal.type("\x04")
        await until(lambda: conversation.ends, "the end")
        assert conversation.lines == [b"one"]


class Pipes:
    """Standard streams that are pipes."""

    def __init__(self) -> None:
        self.stdin, self.toStdin = os.pipe()
        self.fromStdout, self.stdout = os.pipe()
        self.fromStderr, self.stderr = os.pipe()

    @property
    def streams(self) -> Streams:
        """The program's ends."""
        return Streams(self.stdin, self.stdout, self.stderr)

    def close(self) -> None:
        """Close all of them."""
        for each in vars(self).values():
            if each >= 0:
                os.close(each)


@contextlib.asynccontextmanager
async def piping(whole: bool = False) -> AsyncIterator[tuple[Pipes, Conversation]]:
    """Have a console between pipes."""
    pipes = Pipes()
    terminal: Any = None
    conversation = Conversation(terminal, pipes.streams, {"TERM": "xterm"}, whole)
    conversation.console.begin()
    try:
        yield pipes, conversation
        await within(conversation.console.finish(["the end"]))
        assert os.read(pipes.fromStderr, 1000).endswith(b"the end\n")
    finally:
        conversation.console.stopReading()
        conversation.console.abort()
        pipes.close()


@pytest_twisted.ensureDeferred
async def test_pipes() -> None:
    """Between pipes lines come as they are; bytes go out as they are, and what else is
    said to the standard error, without colours."""
    async with piping() as (pipes, conversation):
        console = conversation.console
        assert not console.isTyped
        assert not console.isSeen
        assert not console.isEdited
        os.write(pipes.toStdin, b"one\n/two\xff")
        await until(lambda: conversation.lines, "a line")
        os.close(pipes.toStdin)
        pipes.toStdin = -1
        await until(lambda: conversation.ends, "the end")
        assert conversation.lines == [b"one", b"/two\xff"]
        assert console.put(b"\x1b\x00") is None
        assert console.say(["told"], "notice") is None
        assert os.read(pipes.fromStderr, 100) == b"told\n"
        await until(lambda: conversation.console.put(b"") is None, "room")
        # Of no use without a terminal, and no harm.
        console.redraw()
        console.resume()
        console.suspend()


@pytest_twisted.ensureDeferred
async def test_whole() -> None:
    """As one message, the whole input is one line."""
    async with piping(True) as (pipes, conversation):
        os.write(pipes.toStdin, b"one\ntwo\n")
        os.close(pipes.toStdin)
        pipes.toStdin = -1
        await until(lambda: conversation.ends, "the end")
        assert conversation.lines == [b"one\ntwo\n"]


@pytest_twisted.ensureDeferred
async def test_tooLong() -> None:
    """A line over 16 MiB ends the input; those before it come."""
    async with piping() as (pipes, conversation):
        os.set_blocking(pipes.toStdin, False)
        waiting = memoryview(b"one\n" + bytes(LONGEST_LINE + 1))
        while waiting:
            with contextlib.suppress(BlockingIOError):
                waiting = waiting[os.write(pipes.toStdin, waiting) :]
            await deferTurns()
        await until(lambda: conversation.ends, "the end")
        assert conversation.lines == [b"one"]
        assert conversation.console.isTooLong


@pytest_twisted.ensureDeferred
async def test_noRoom() -> None:
    """Who says much is told to wait."""
    async with piping() as (pipes, conversation):
        waiting = conversation.console.put(bytes(200_000))
        assert waiting is not None
        os.set_blocking(pipes.fromStdout, False)
        left = 200_000
        while left:
            with contextlib.suppress(BlockingIOError):
                left -= len(os.read(pipes.fromStdout, 65536))
            await deferTurns()
        await within(waiting)
