"""Servers in processes of their own, started with ``twistd`` or ``twist``."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

PATIENCE = 20.0
"""Seconds after which a test that waits fails."""


def program(name: str) -> list[str]:
    """Give the command for a program of Twisted: the script beside this Python, as
    users have it, or else the function behind it.

    :param name: ``twistd`` or ``twist``
    """
    script = Path(sys.executable).with_name(name)
    if script.exists():
        return [sys.executable, str(script)]
    module = {
        "twistd": "from twisted.scripts.twistd import run",
        "twist": "from twisted.application.twist._twist import Twist; run = Twist.main",
    }[name]
    return [
        sys.executable,
        "-c",
        f"import sys; sys.argv[0] = {name!r}; {module}; run()",
    ]


def environment() -> dict[str, str]:
    """Give an environment in which a child finds this package, installed or not."""
    root = str(Path(__file__).parent.parent)
    path = os.pathsep.join(
        each for each in (root, os.environ.get("PYTHONPATH")) if each
    )
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def freePort() -> int:
    """Find a TCP port on loopback that is free just now."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        number: int = trial.getsockname()[1]
        return number


def run(
    name: str, arguments: Sequence[str], directory: str
) -> subprocess.CompletedProcess[str]:
    """Run a program that ends by itself.

    :param name: ``twistd`` or ``twist``
    :param arguments: its arguments
    :param directory: where it runs
    """
    return subprocess.run(
        [*program(name), *arguments],
        cwd=directory,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class Server:
    """A server that runs until it is told to stop, on one port of loopback.

    :param directory: where it runs, a fresh one
    :param arguments: for ``websocket``, besides port and interface
    :param name: ``twistd`` or ``twist``
    """

    def __init__(self, directory: str, *arguments: str, name: str = "twistd") -> None:
        self.port = freePort()
        command = [*program(name)]
        if name == "twistd":
            command += ["-n", "--pidfile", "twistd.pid"]
        command += ["websocket", "--interface", "127.0.0.1", "--port", str(self.port)]
        self._output = b""
        self.process = subprocess.Popen(
            [*command, *arguments],
            cwd=directory,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Server:
        try:
            self.waitFor(r"Listening on|\"Listening", PATIENCE)
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def waitFor(self, pattern: str, seconds: float = PATIENCE) -> str:
        """Read its output until something appears there.

        :param pattern: a regular expression
        :param seconds: how long to wait
        :returns: what matched
        """
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        while True:
            matched = re.search(pattern, self.output)
            if matched is not None:
                return matched[0]
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, left))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert data, f"no {pattern!r} in the output:\n{self.output}"
            self._output += data

    @property
    def output(self) -> str:
        """What it has written, as far as it was read."""
        return self._output.decode("utf-8", "replace")

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Wait for its end and give its exit status; read the rest of its output."""
        rest, _ = self.process.communicate(timeout=PATIENCE)
        self._output += rest
        return self.process.returncode

    def memory(self) -> int:
        """Give the bytes of memory that it uses (resident set)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        matched = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert matched is not None
        return int(matched[1]) * 1024


def removeDirectory(path: str) -> None:
    """Remove a directory with all that is in it.

    :param path: which
    """
    shutil.rmtree(path, ignore_errors=True)
