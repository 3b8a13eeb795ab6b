"""The programs: which there are, whether they can run here, and talking to one."""

from __future__ import annotations

import importlib.util
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from .lines import readLine, writeLine

__all__ = ["OURS", "PEERS", "Implementation", "Program", "ProgramFailed"]

PATIENCE = 20.0
"""Seconds that a program may take to tell something."""

_ROOT = Path(__file__).resolve().parents[2]
_PEERS = Path(__file__).with_name("peers")


class ProgramFailed(Exception):
    """A program told something else than was expected, or nothing; the text says it."""


@dataclass(frozen=True)
class Implementation:
    """An implementation of WebSocket, and the program that drives it.

    :ivar name: what people call it.
    :ivar program: the file of the program, in ``peers``.
    :ivar modules: what it imports.
    """

    name: str
    program: str
    modules: Sequence[str] = ()

    def missing(self) -> str | None:
        """Why it cannot run here, None if it can."""
        if self.program.endswith(".js"):
            return _missingForNode(self.modules)
        for module in self.modules:
            try:
                found = importlib.util.find_spec(module)
            except ImportError:
                found = None
            if found is None:
                return f"{module} is not installed"
        return None

    def command(self) -> list[str]:
        """The command that starts its program."""
        if self.program.endswith(".js"):
            return ["node", str(_PEERS / self.program)]
        # Of ours, every warning is an error.
        options = ["-W", "error"] if self is OURS else []
        name = self.program.removesuffix(".py")
        return [sys.executable, *options, "-m", f"tests.interop.peers.{name}"]


OURS = Implementation("twisted_ws", "ours.py")
PEERS = (
    Implementation("websockets", "websockets.py", ["websockets.asyncio"]),
    Implementation("aiohttp", "aiohttp.py", ["aiohttp"]),
    Implementation("autobahn", "autobahn.py", ["autobahn.twisted"]),
    Implementation(
        "twisted.web.websocket",
        "twisted_web.py",
        ["wsproto", "twisted.web.websocket"],
    ),
    Implementation("ws", "ws.js", ["ws"]),
)


def _missingForNode(modules: Sequence[str]) -> str | None:
    if shutil.which("node") is None:
        return "node is not installed"
    for module in modules:
        script = f"require.resolve({module!r})"
        found = subprocess.run(
            ["node", "-e", script],
            cwd=_PEERS,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if found.returncode:
            return f"npm's {module} is not installed where NODE_PATH says"
    return None


class Program:
    """A program that runs; a context manager that ends it.

    :param implementation: which
    """

    def __init__(self, implementation: Implementation) -> None:
        self.name = implementation.name
        self.version = ""
        self.abilities: frozenset[str] = frozenset()
        path = os.pathsep.join(
            each for each in (str(_ROOT), os.environ.get("PYTHONPATH")) if each
        )
        self._told = bytearray()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by end()
        self._process = subprocess.Popen(
            implementation.command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONPATH": path},
        )

    def __enter__(self) -> Program:
        try:
            ready = self.expect("ready")
        except BaseException:
            self.end()
            raise
        self.version = ready["version"]
        self.abilities = frozenset(ready["abilities"])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """End it: it stops when nobody can tell it anything any more, or is made to."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE / 10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    @property
    def errors(self) -> str:
        """What it wrote to its standard error."""
        self._errors.seek(0)
        return self._errors.read().decode("utf-8", "replace")

    def do(self, what: str, **arguments: object) -> None:
        """Tell it to do something.

        :param what: the command; see :class:`tests.interop.side.Side`
        :param arguments: its arguments
        :raises ProgramFailed: it has ended
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(writeLine({"do": what, **arguments}))
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failed("has ended") from None

    def expect(self, event: str, **fields: object) -> dict[str, Any]:
        """Wait for the next thing that it tells.

        :param event: what that must be
        :param fields: what must belong to it
        :returns: all that belongs to it
        :raises ProgramFailed: it told something else, or nothing
        """
        told = self._next(event)
        for name, value in {"event": event, **fields}.items():
            if told.get(name) != value:
                expected = _short({"event": event, **fields})
                raise self._failed(f"told {_short(told)}, not {expected}")
        return told

    def _next(self, awaited: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        deadline = time.monotonic() + PATIENCE
        searched = 0
        while (end := self._told.find(b"\n", searched)) < 0:
            searched = len(self._told)
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._process.stdout], [], [], left)[0]:
                raise self._failed(f"did not tell {awaited!r} in {PATIENCE:g} s")
            data = os.read(self._process.stdout.fileno(), 1 << 20)
            if not data:
                raise self._failed("has ended")
            self._told += data
        line = bytes(self._told[:end])
        del self._told[: end + 1]
        return readLine(line)

    def _failed(self, what: str) -> ProgramFailed:
        errors = "".join(f"\n    {line}" for line in self.errors.splitlines()[-30:])
        return ProgramFailed(f"{self.name} {what}{errors}")


def _short(told: dict[str, Any]) -> str:
    text = ", ".join(f"{name}={value!r:.80}" for name, value in told.items())
    return f"({text})"
