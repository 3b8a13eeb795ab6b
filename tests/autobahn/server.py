"""Tests our server: ``wstest`` is the client, ``twistd websocket`` the server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .processes import freePort, waitUntilListening
from .progress import Progress
from .report import Summary
from .running import (
    AGENT,
    MAX_MESSAGE_SIZE,
    START_TIMEOUT,
    Run,
    checkRunning,
    follow,
)

_SIDE = "server"


def makeSpec(url: str) -> dict[str, object]:
    """Say whom ``wstest`` is to test, in its own terms.

    :param url: the server to test.
    :returns: what only this mode has in the specification file.
    """
    return {"servers": [{"agent": AGENT, "url": url}]}


def serverCommand(port: int) -> list[str]:
    """The command that starts our echo server on the loopback interface.

    :param port: the port to listen on.
    :returns: the program and its arguments.
    """
    return [
        *twistdCommand(Path(sys.executable)),
        "--nodaemon",
        "--pidfile=",
        "websocket",
        "--port",
        str(port),
        "--interface",
        "127.0.0.1",
        "--max-message-size",
        str(MAX_MESSAGE_SIZE),
    ]


def twistdCommand(python: Path) -> list[str]:
    """How to start ``twistd`` with a certain Python.

    :param python: the interpreter.
    :returns: the script beside it, or what that script does when there is none.
    """
    script = python.with_name("twistd")
    if script.exists():
        return [str(script)]
    return [str(python), "-c", "from twisted.scripts.twistd import run; run()"]


def runServer(
    run: Run, say: Callable[[str], None], running: str | None = None
) -> Summary:
    """Run the Testsuite against a server, and stop everything that was started.

    :param run: what is to be done.
    :param say: called with each line of progress.
    :param running: the URL of a server that is there already, ``None`` to start ours.
    :returns: the results.
    :raises RunFailed: if there are none.
    """
    run.forget(_SIDE)
    with (
        _server(run, running) as url,
        run.startWstest("fuzzingclient", makeSpec(url)) as wstest,
    ):
        progress = Progress(wstest.logPath, say)
        follow(wstest, progress, run.timeout)
    return run.results(_SIDE, progress, wstest)


@contextmanager
def _server(run: Run, running: str | None) -> Iterator[str]:
    if running:
        yield running
        return
    port = freePort()
    with run.startOurs(_SIDE, serverCommand(port)) as server:
        waitUntilListening(server, port, START_TIMEOUT)
        yield f"ws://127.0.0.1:{port}"
        checkRunning(server)
