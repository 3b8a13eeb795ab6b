"""Pseudo-terminals: what is on their screen, and programs that run in them."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from twisted.internet.task import deferLater

from tests.clients import reactor
from tests.processes import PATIENCE, environment
from twisted_ws.lineedit import cellsOf

# Makes the terminal that it was started in the one whose Ctrl-C it gets.
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
_SEQUENCE = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])")


def clientEnvironment(**variables: str) -> dict[str, str]:
    """Give an environment for a client: with the package, without proxies.

    :param variables: what else is in it
    """
    found = {
        name: value
        for name, value in environment().items()
        if not name.lower().endswith("_proxy")
    }
    return {**found, "TERM": "xterm", "NO_COLOR": "1", **variables}


async def until(condition: Callable[[], object], what: str) -> None:
    """Let the reactor turn until something is so.

    :param condition: whether it is so
    :param what: for the message when it never is
    """
    deadline = reactor.seconds() + PATIENCE
    while not condition():
        assert reactor.seconds() < deadline, f"never happened: {what}"
        await deferLater(reactor, 0.005)


class Screen:
    """What a terminal shows that was sent some text. It knows what the program under
    test uses, and nothing else.

    :param columns: its width
    """

    def __init__(self, columns: int = 80) -> None:
        self.columns = columns
        self.lines = [""]
        """Its lines from the first one ever, without blanks at their ends; wide
        characters count once."""
        self._cells: list[list[str]] = [[]]
        self._row = 0
        self._column = 0

    def feed(self, text: str) -> None:
        """Write something.

        :param text: as the program sent it
        """
        at = 0
        while at < len(text):
            matched = _SEQUENCE.match(text, at)
            if matched is not None:
                self._obey(matched[1], matched[2])
                at = matched.end()
            else:
                self._put(text[at])
                at += 1
        self.lines = ["".join(row).rstrip() for row in self._cells]

    def _obey(self, argument: str, what: str) -> None:
        if what == "J":
            del self._cells[self._row + (0 if argument == "2" else 1) :]
            if argument == "2":
                self._cells.append([])
                self._row = len(self._cells) - 1
            del self._cells[self._row][self._column :]
        elif what == "C":
            self._column = min(self._column + int(argument), self.columns - 1)
        elif what == "H":
            self._row = self._column = 0
        else:
            assert what == "m", what

    def _put(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._down()
        else:
            shown, width = cellsOf(character)
            assert shown == character, f"control character {character!r}"
            if self._column + width > self.columns:
                self._column = 0
                self._down()
            row = self._cells[self._row]
            row.extend(" " * (self._column - len(row)))
            if width:
                row[self._column : self._column + width] = [
                    character,
                    *[""][: width - 1],
                ]
            else:
                row[self._column - 1] += character
            self._column += width

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._cells):
            self._cells.append([])

    @property
    def cursor(self) -> tuple[str, str]:
        """What stands in the cursor's line before it and behind it."""
        row = self._cells[self._row]
        row = row + [" "] * (self._column - len(row))
        return "".join(row[: self._column]), "".join(row[self._column :])


class Terminal:
    """A pseudo-terminal.

    :param columns: its width
    :param rows: its height
    """

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.master, self.slave = pty.openpty()
        self.screen = Screen(columns)
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        self.output = ""
        """All that was written to it."""
        self._undecoded = b""

    def close(self) -> None:
        """Be gone."""
        for descriptor in (self.master, self.slave):
            if descriptor >= 0:
                os.close(descriptor)
        self.master = self.slave = -1

    def hangUp(self) -> None:
        """Close the end at which one sits."""
        os.close(self.master)
        self.master = -1

    def resize(self, columns: int, rows: int) -> None:
        """Have another size.

        :param columns: its width
        :param rows: its height
        """
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, size)
        self.screen.columns = columns or 80

    @property
    def isRaw(self) -> bool:
        """Whether keys are read one by one, without echo."""
        flags = termios.tcgetattr(self.slave)[3]
        assert bool(flags & termios.ICANON) == bool(flags & termios.ECHO)
        return not flags & termios.ICANON

    @property
    def isAsBefore(self) -> bool:
        """Whether its mode is the one that it had."""
        return termios.tcgetattr(self.slave) == self.before

    def type(self, text: str) -> None:
        """Press keys.

        :param text: what they send
        """
        os.write(self.master, text.encode())

    def read(self, seconds: float = 0.0) -> bool:
        """Take what was written to it.

        :param seconds: how long to wait for that
        :returns: whether there was anything
        """
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = self._undecoded + os.read(self.master, 65536)
        except OSError:
            # Nobody has its other end any more.
            return False
        text = data.decode("utf-8", "ignore")
        self._undecoded = data[len(text.encode()) :]
        self.output += text
        self.screen.feed(text)
        return True

    def waitFor(self, pattern: str, where: str = "output") -> None:
        """Read until something appears.

        :param pattern: a regular expression
        :param where: ``output`` for all that was written, ``screen`` for what is seen
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            text = self.output if where == "output" else "\n".join(self.screen.lines)
            if re.search(pattern, text):
                return
            left = deadline - time.monotonic()
            assert left > 0 and self.read(left), f"no {pattern!r} in\n{self.output!r}"


class Program:
    """A program that runs in a terminal of its own.

    :param terminal: the terminal
    :param arguments: for Python
    :param redirect: standard streams that are something else
    """

    def __init__(
        self, terminal: Terminal, arguments: Sequence[str], **redirect: Any
    ) -> None:
        self.terminal = terminal
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.slave)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _TAKE_TERMINAL, *arguments],
            env=clientEnvironment(),
            start_new_session=True,
            **{**streams, **redirect},
        )

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        self.terminal.close()

    def send(self, number: int) -> None:
        """Send it a signal.

        :param number: which
        """
        os.kill(self.process.pid, number)

    def waitUntilStopped(self) -> None:
        """Wait until it is stopped, as by Ctrl-Z."""
        pid, status = os.waitpid(self.process.pid, os.WUNTRACED)
        assert pid and os.WIFSTOPPED(status), status
        assert os.WSTOPSIG(status) == signal.SIGSTOP

    def wait(self) -> int:
        """Wait for its end; read what it writes meanwhile.

        :returns: its exit status
        """
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it goes on:\n{self.terminal.output}"
            self.terminal.read(0.02)
        while self.terminal.read():
            pass
        return self.process.returncode
