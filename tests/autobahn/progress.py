"""What ``wstest`` prints while it runs: which cases there are, and how far it is."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Callable
from pathlib import Path

from .cases import categoryOf, categoryTitle

# As a client it calls itself "Autobahn Testsuite Version", as a server "Autobahn
# WebSocket".
_VERSION = re.compile(
    r"(?:Testsuite(?: Version)?|Autobahn WebSocket) ([0-9][0-9.]*)", re.IGNORECASE
)
_CASES = re.compile(r"Cases = (\[.*\])")
_RUNNING = re.compile(r"Running test case ID ([0-9.]+) ")


class Progress:
    """Follows the output file of ``wstest`` and tells a person about it now and then.

    There is a line for each new category, and one whenever ``interval`` has gone by.

    :param path: the file; what is appended to it later is seen by :meth:`update`.
    :param say: called with each line.
    :param interval: the longest silence, in seconds.
    :param clock: seconds that only grow.

    :ivar version: the Testsuite's version, empty until it was printed.
    :ivar cases: the cases that ``wstest`` said it would run.
    :ivar current: the case that was begun last, empty before the first.
    """

    def __init__(
        self,
        path: Path,
        say: Callable[[str], None],
        interval: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.version = ""
        self.cases: list[str] = []
        self.current = ""
        self._begun = 0
        self._path = path
        self._offset = 0
        self._say = say
        self._interval = interval
        self._clock = clock
        self._startTime = self._lastTime = clock()

    def update(self) -> None:
        """Read what is new, and say so if it is time to."""
        with self._path.open("rb") as output:
            output.seek(self._offset)
            data = output.read()
        # The last line may be half written.
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.decode("utf-8", "replace").splitlines():
            self._lineReceived(line)
        if self.current and self._clock() - self._lastTime >= self._interval:
            self._tell("")

    def _lineReceived(self, line: str) -> None:
        if match := _RUNNING.match(line):
            previous, self.current = self.current, match[1]
            self._begun += 1
            category = categoryOf(self.current)
            if not previous or categoryOf(previous) != category:
                self._tell(f": {categoryTitle(category)}")
        elif match := _CASES.match(line):
            # The list is printed as a Python literal.
            self.cases = [str(case) for case in ast.literal_eval(match[1])]
        elif not self.version and (match := _VERSION.search(line)):
            self.version = match[1]

    def _tell(self, remark: str) -> None:
        self._lastTime = self._clock()
        elapsed = self._lastTime - self._startTime
        self._say(
            f"{elapsed:6.0f} s  {self._begun:3}/{len(self.cases)}"
            f"  case {self.current}{remark}"
        )
