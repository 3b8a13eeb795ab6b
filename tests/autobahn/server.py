"""Tests our server: ``wstest`` is the client, ``twistd websocket`` the server."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import RunFailed
from .processes import Child, freePort, waitUntilListening
from .progress import Progress
from .report import Summary, readReport
from .wstest import python2Environ

#: What the server is called in the Testsuite's reports.
AGENT = "twisted_ws"

#: Category 9 sends messages of up to 16 MiB, exactly.
MAX_MESSAGE_SIZE = 16 * 2**20

#: How long the server may take to listen, in seconds.
START_TIMEOUT = 30.0

_ROOT = Path(__file__).resolve().parents[2]
_LOG_NAME = "server.log"
_POLL_INTERVAL = 0.2


@dataclass(frozen=True)
class ServerRun:
    """One run to be done.

    :ivar wstest: the Testsuite's program.
    :ivar directory: where reports, logs and the specification go; it exists.
    :ivar cases: patterns of the cases to run.
    :ivar exclude: patterns of cases not to run.
    :ivar timeout: the longest the whole of it may take, in seconds.
    :ivar environ: the environment of both children.
    :ivar url: a server that is running already, or ``None`` to start ours.
    """

    wstest: Path
    directory: Path
    cases: Sequence[str]
    exclude: Sequence[str]
    timeout: float
    environ: Mapping[str, str]
    url: str | None = None


def makeSpec(
    url: str, directory: Path, cases: Sequence[str], exclude: Sequence[str]
) -> dict[str, object]:
    """Say what ``wstest`` is to do, in its own terms.

    :param url: the server to test.
    :param directory: where reports go.
    :param cases: patterns of the cases to run.
    :param exclude: patterns of cases not to run.
    :returns: what goes into the specification file.
    """
    return {
        "outdir": str(directory),
        "servers": [{"agent": AGENT, "url": url}],
        "cases": list(cases),
        "exclude-cases": list(exclude),
        "exclude-agent-cases": {},
    }


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


def runServer(run: ServerRun, say: Callable[[str], None]) -> Summary:
    """Run the Testsuite against a server, and stop everything that was started.

    :param run: what is to be done.
    :param say: called with each line of progress.
    :returns: the results.
    :raises RunFailed: if there are none.
    """
    # What an earlier run left must not pass for that of this one.
    for name in ("index.json", _LOG_NAME):
        (run.directory / name).unlink(missing_ok=True)
    with _server(run) as url:
        spec = makeSpec(url, run.directory, run.cases, run.exclude)
        specPath = run.directory / "spec.json"
        specPath.write_text(json.dumps(spec, indent=2), encoding="utf-8")
        command = [str(run.wstest), "--mode", "fuzzingclient", "--spec", str(specPath)]
        with Child(
            "wstest",
            command,
            run.directory / "wstest.log",
            python2Environ(run.environ),
            run.directory,
        ) as wstest:
            progress = Progress(wstest.logPath, say)
            _follow(wstest, progress, run.timeout)
    if not progress.cases:
        raise RunFailed(f"no case was run:{wstest.tail()}")
    try:
        results = readReport(run.directory, AGENT, progress.cases)
    except RunFailed as error:
        # wstest takes "connection refused" for a successful end of the run.
        raise RunFailed(f"{error}; wstest said:{wstest.tail(3)}") from error
    remarks = []
    tracebacks = _countTracebacks(run.directory / _LOG_NAME)
    if tracebacks:
        # No peer should be able to bring one about.
        remarks.append(f"the server logged {tracebacks} tracebacks, see {_LOG_NAME}")
    return Summary("server", progress.version, results, remarks)


def _countTracebacks(path: Path) -> int:
    if not path.exists():
        return 0
    return path.read_text(encoding="utf-8", errors="replace").count("Traceback (most")


@contextmanager
def _server(run: ServerRun) -> Iterator[str]:
    if run.url:
        yield run.url
        return
    port = freePort()
    # The tree that the runner is in is the one that is tested, installed or not.
    path = [str(_ROOT), run.environ.get("PYTHONPATH", "")]
    environ = {**run.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
    logPath = run.directory / _LOG_NAME
    with Child(
        "the server", serverCommand(port), logPath, environ, run.directory
    ) as server:
        waitUntilListening(server, port, START_TIMEOUT)
        yield f"ws://127.0.0.1:{port}"
        if server.status is not None:
            raise RunFailed(
                f"the server ended with status {server.status} during the run:"
                f"{server.tail()}"
            )


def _follow(wstest: Child, progress: Progress, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    status = None
    while status is None:
        if time.monotonic() >= deadline:
            raise RunFailed(
                f"wstest was still in case {progress.current or '(none)'} after "
                f"{timeout:g} s; see --timeout"
            )
        status = wstest.wait(_POLL_INTERVAL)
        progress.update()
    if status:
        raise RunFailed(f"wstest ended with status {status}:{wstest.tail()}")
