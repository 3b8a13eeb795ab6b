"""Child processes that are always stopped, and ports for them to listen on."""

from __future__ import annotations

import socket
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from .errors import RunFailed

#: How long a child that was asked to stop may take, in seconds.
STOP_GRACE = 10.0

# A loopback connection is accepted or refused at once; the rest is scheduling.
_CONNECT_TIMEOUT = 1.0
_POLL_INTERVAL = 0.05

_TAIL_WIDTH = 200


class Child:
    """A child process that writes to a file; a context manager that stops it.

    :param name: what to call it in messages.
    :param command: the program and its arguments.
    :param logPath: the file that takes its output and errors; overwritten.
    :param environ: its whole environment.
    :param directory: where it runs.
    :raises RunFailed: if the program cannot be started.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        logPath: Path,
        environ: Mapping[str, str],
        directory: Path,
    ) -> None:
        self.name = name
        self.logPath = logPath
        try:
            with logPath.open("wb") as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=dict(environ),
                    cwd=directory,
                )
        except OSError as error:
            raise RunFailed(f"{name} does not start: {error}") from error

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        excType: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its exit status, or ``None`` while it runs; negative after a signal."""
        return self._process.poll()

    def wait(self, timeout: float) -> int | None:
        """Wait for it to end by itself.

        :param timeout: the longest wait, in seconds.
        :returns: its exit status, or ``None`` if it still runs.
        """
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, grace: float = STOP_GRACE) -> None:
        """Ask it to stop, then make it. Nothing happens if it has ended already.

        :param grace: seconds between asking and making.
        """
        if self.status is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        except BaseException:
            # A second Ctrl-C must not leave it behind.
            self._process.kill()
            self._process.wait()
            raise

    def tail(self, lines: int = 15) -> str:
        """The end of what it printed, indented for a message.

        :param lines: how many lines at most.
        :returns: those lines; the end of a very long one is left out.
        """
        with self.logPath.open(encoding="utf-8", errors="replace") as log:
            last = [line.rstrip()[:_TAIL_WIDTH] for line in deque(log, lines)]
        return "".join(f"\n    {line}" for line in last)


def freePort() -> int:
    """Find a TCP port on the loopback interface that nobody listens on.

    :returns: the port. Somebody else could still take it before it is used.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def waitUntilListening(child: Child, port: int, timeout: float) -> None:
    """Wait until a child accepts connections on the loopback interface.

    :param child: the one that is to listen.
    :param port: the port it is to listen on.
    :param timeout: the longest wait, in seconds.
    :raises RunFailed: if it ends, or does not accept in time.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if child.status is not None:
            raise RunFailed(
                f"{child.name} ended with status {child.status} instead of "
                f"listening:{child.tail()}"
            )
        try:
            socket.create_connection(("127.0.0.1", port), _CONNECT_TIMEOUT).close()
        except OSError:
            child.wait(_POLL_INTERVAL)
        else:
            return
    raise RunFailed(
        f"{child.name} does not listen on port {port} after {timeout:g} s:"
        f"{child.tail()}"
    )
