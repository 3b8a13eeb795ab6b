"""Servers as processes on a core of their own, and what they take of it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.processes import environment

__all__ = ["Cores", "Program", "ProgramFailed"]

PATIENCE = 20.0
"""Seconds that a server has to start."""
_TICKS = os.sysconf("SC_CLK_TCK")


class ProgramFailed(Exception):
    """A server does not run."""


class Cores:
    """Which core is whose: the first for servers, the second for the load. With one
    core only both are the same."""

    def __init__(self) -> None:
        self.all = sorted(os.sched_getaffinity(0))
        self.server = self.all[0]
        self.load = self.all[min(1, len(self.all) - 1)]

    def busy(self) -> float:
        """Give the seconds that anything has taken of both, to a hundredth."""
        wanted = {f"cpu{each}" for each in (self.server, self.load)}
        ticks = 0
        for line in Path("/proc/stat").read_text().splitlines():
            name, *numbers = line.split()
            if name in wanted:
                # User, nice, system; then idle and waiting; interrupts, and what the
                # hypervisor took. Guests are counted in the first.
                user, nice, system, _, _, *rest = map(int, numbers[:8])
                ticks += user + nice + system + sum(rest)
        return ticks / _TICKS

    def __enter__(self) -> Cores:
        os.sched_setaffinity(0, {self.load})
        return self

    def __exit__(self, *exception: object) -> None:
        os.sched_setaffinity(0, self.all)


class Program:
    """A server that runs.

    :param name: for messages
    :param command: starts it
    :param port: where it listens then
    :param directory: where it runs, and where its output goes
    :param core: where it runs, too
    :param more: more environment variables
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        port: int,
        directory: Path,
        core: int,
        more: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.port = port
        self._log = directory / f"{name}-{port}.log"
        here = os.sched_getaffinity(0)
        with open(self._log, "wb") as output:
            # What is started inherits the core, with every thread that it makes.
            os.sched_setaffinity(0, {core})
            try:
                self._process = subprocess.Popen(
                    command,
                    cwd=directory,
                    env={**environment(), **(more or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            finally:
                os.sched_setaffinity(0, here)
        self.process = self._process.pid

    def __enter__(self) -> Program:
        try:
            self._waitUntilListening()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def _waitUntilListening(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ProgramFailed(self.explain("does not listen"))
            time.sleep(0.05)

    def explain(self, what: str) -> str:
        """Say what is wrong, with the last line that it has written.

        :param what: what is wrong
        """
        lines = self._log.read_text("utf-8", "replace").split("\n")
        said = [each.strip() for each in lines if each.strip()]
        return f"{what}; it said: {said[-1]}" if said else what

    def end(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(PATIENCE / 10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def processor(self) -> float:
        """Give the seconds of processor time that all its threads have taken, to the
        nanosecond: its clock, as ``clock_getcpuclockid(3)`` numbers it."""
        try:
            return time.clock_gettime(~self.process << 3 | 2)
        except OSError:
            raise ProgramFailed(self.explain("has ended")) from None

    def memory(self) -> int:
        """Give the bytes of memory that it has (resident set)."""
        status = Path(f"/proc/{self.process}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        if found is None:
            raise ProgramFailed(self.explain("has ended"))
        return int(found[1]) * 1024
