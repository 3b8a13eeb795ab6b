"""Tests our client: ``wstest`` is the server, ``echoclient`` the client."""

from __future__ import annotations

import sys
from collections.abc import Callable

from .errors import RunFailed
from .processes import freePort, waitUntilListening
from .progress import Progress
from .report import Summary
from .running import START_TIMEOUT, Run, checkRunning, follow

_SIDE = "client"


def makeSpec(port: int) -> dict[str, object]:
    """Say where ``wstest`` is to listen, in its own terms.

    :param port: the port; it listens on every interface, there is no choice.
    :returns: what only this mode has in the specification file.
    """
    return {"url": f"ws://127.0.0.1:{port}"}


def clientCommand(port: int) -> list[str]:
    """The command that starts our client.

    :param port: the port that ``wstest`` listens on.
    :returns: the program and its arguments.
    """
    url = f"ws://127.0.0.1:{port}"
    return [sys.executable, "-m", "tests.autobahn.echoclient", url]


def runClient(run: Run, say: Callable[[str], None]) -> Summary:
    """Run our client through all cases, and stop everything that was started.

    :param run: what is to be done.
    :param say: called with each line of progress.
    :returns: the results.
    :raises RunFailed: if there are none.
    """
    run.forget(_SIDE)
    port = freePort()
    # Without the pages that it would serve on port 8080.
    with run.startWstest("fuzzingserver", makeSpec(port), "--webport", "0") as wstest:
        progress = Progress(wstest.logPath, say)
        waitUntilListening(wstest, port, START_TIMEOUT)
        with run.startOurs(_SIDE, clientCommand(port)) as client:
            try:
                follow(client, progress, run.timeout)
            except RunFailed:
                # When both have ended, it is the one that ended first.
                checkRunning(wstest)
                raise
            checkRunning(wstest)
    return run.results(_SIDE, progress, wstest)
