"""What the modes have in common: a run of ``wstest`` beside a program of ours."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import RunFailed
from .processes import Child
from .progress import Progress
from .report import Summary, readReport
from .wstest import python2Environ

#: What our side is called in the Testsuite's reports.
AGENT = "twisted_ws"

#: Category 9 sends messages of up to 16 MiB, exactly.
MAX_MESSAGE_SIZE = 16 * 2**20

#: How long whoever listens may take until it does, in seconds.
START_TIMEOUT = 30.0

_ROOT = Path(__file__).resolve().parents[2]
_POLL_INTERVAL = 0.2


@dataclass(frozen=True)
class Run:
    """One run to be done.

    :ivar wstest: the Testsuite's program.
    :ivar directory: where reports, logs and the specification go; it exists.
    :ivar cases: patterns of the cases to run.
    :ivar exclude: patterns of cases not to run.
    :ivar timeout: the longest the whole of it may take, in seconds.
    :ivar environ: the environment of both children.
    """

    wstest: Path
    directory: Path
    cases: Sequence[str]
    exclude: Sequence[str]
    timeout: float
    environ: Mapping[str, str]

    def logPath(self, side: str) -> Path:
        """Where the program of ours writes to.

        :param side: what it is, ``server`` or ``client``.
        :returns: a path in the run's directory.
        """
        return self.directory / f"{side}.log"

    def forget(self, side: str) -> None:
        """Remove what an earlier run left, which must not pass for that of this one.

        :param side: what our program is.
        """
        for path in (self.directory / "index.json", self.logPath(side)):
            path.unlink(missing_ok=True)

    def startWstest(
        self, mode: str, spec: Mapping[str, object], *arguments: str
    ) -> Child:
        """Start the Testsuite's program.

        :param mode: which of its modes.
        :param spec: what that mode is to do, besides which cases and where to report.
        :param arguments: further ones, for the command line.
        :returns: the child, a context manager that stops it.
        :raises RunFailed: if it cannot be started.
        """
        path = self.directory / "spec.json"
        whole = {
            **spec,
            "outdir": str(self.directory),
            "cases": list(self.cases),
            "exclude-cases": list(self.exclude),
            "exclude-agent-cases": {},
        }
        path.write_text(json.dumps(whole, indent=2), encoding="utf-8")
        return Child(
            "wstest",
            [str(self.wstest), "--mode", mode, "--spec", str(path), *arguments],
            self.directory / "wstest.log",
            python2Environ(self.environ),
            self.directory,
        )

    def startOurs(self, side: str, command: Sequence[str]) -> Child:
        """Start a program of ours, with the tree that the runner is in: that is the one
        that is tested, installed or not.

        :param side: what it is, ``server`` or ``client``.
        :param command: the program and its arguments.
        :returns: the child, a context manager that stops it.
        :raises RunFailed: if it cannot be started.
        """
        path = [str(_ROOT), self.environ.get("PYTHONPATH", "")]
        environ = {**self.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
        return Child(
            f"the {side}", command, self.logPath(side), environ, self.directory
        )

    def results(self, side: str, progress: Progress, wstest: Child) -> Summary:
        """Read what was reported, when all is done.

        :param side: what our program was; the name of the mode, too.
        :param progress: what ``wstest`` said while it ran.
        :param wstest: the Testsuite's program.
        :returns: the results.
        :raises RunFailed: if there are none.
        """
        if not progress.cases:
            raise RunFailed(f"no case was run:{wstest.tail()}")
        try:
            results = readReport(self.directory, AGENT, progress.cases)
        except RunFailed as error:
            # As a client it takes "connection refused" for a successful end of the run.
            raise RunFailed(f"{error}; wstest said:{wstest.tail(3)}") from error
        remarks = []
        log = self.logPath(side)
        tracebacks = _countTracebacks(log)
        if tracebacks:
            # No peer should be able to bring one about.
            remarks.append(f"the {side} logged {tracebacks} tracebacks, see {log.name}")
        return Summary(side, progress.version, results, remarks)


def follow(child: Child, progress: Progress, timeout: float) -> None:
    """Wait until a child ends by itself, and tell how far the run is meanwhile.

    :param child: which.
    :param progress: follows what ``wstest`` prints.
    :param timeout: the longest wait, in seconds.
    :raises RunFailed: if it takes longer, or fails.
    """
    deadline = time.monotonic() + timeout
    status = None
    while status is None:
        if time.monotonic() >= deadline:
            raise RunFailed(
                f"{child.name} was still in case {progress.current or '(none)'} after "
                f"{timeout:g} s; see --timeout"
            )
        status = child.wait(_POLL_INTERVAL)
        progress.update()
    if status:
        raise RunFailed(f"{child.name} ended with status {status}:{child.tail()}")


def checkRunning(child: Child) -> None:
    """Make sure that a child lasted as long as it was needed.

    :param child: which.
    :raises RunFailed: if it has ended.
    """
    if child.status is not None:
        raise RunFailed(
            f"{child.name} ended with status {child.status} during the run:"
            f"{child.tail()}"
        )


def _countTracebacks(path: Path) -> int:
    if not path.exists():
        return 0
    return path.read_text(encoding="utf-8", errors="replace").count("Traceback (most")
