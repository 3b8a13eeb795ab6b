"""Which memory is kept, and when it is left to others to say so."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import subprocess
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.allocator import KEPT, MAPPED, keepFreedMemory


class _Library:
    """A C library.

    :param answer: what its ``mallopt`` returns
    """

    def __init__(self, answer: int = 1) -> None:
        self.set: dict[int, int] = {}
        self._answer = answer

    def mallopt(self, option: int, value: int) -> int:
        """Set an option."""
        self.set[option] = value
        return self._answer


class AllocatorTests(SynchronousTestCase):
    """``keepFreedMemory``."""

    def test_set(self) -> None:
        """Both thresholds are set, by the numbers of malloc.h."""
        library = _Library()
        self.assertTrue(keepFreedMemory({}, lambda name: library))
        self.assertEqual(library.set, {-3: MAPPED, -1: KEPT})

    def test_refused(self) -> None:
        """What glibc does not take is told."""
        self.assertFalse(keepFreedMemory({}, lambda name: _Library(0)))

    def test_ownChoice(self) -> None:
        """Who has told glibc otherwise has the last word."""
        for name in (
            "GLIBC_TUNABLES",
            "MALLOC_MMAP_THRESHOLD_",
            "MALLOC_TRIM_THRESHOLD_",
        ):
            # Loading anything would fail.
            self.assertFalse(keepFreedMemory({name: "1"}, None))

    def test_elsewhere(self) -> None:
        """Without glibc nothing is done."""
        self.assertFalse(keepFreedMemory({}, lambda name: object()))
        for error in (OSError, TypeError):

            def load(name: Any, error: type[Exception] = error) -> object:
                raise error("no such library")

            self.assertFalse(keepFreedMemory({}, load))

    def test_process(self) -> None:
        """It works in a process, or says that it does not."""
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "from twisted_ws.allocator import keepFreedMemory\n"
                "kept = keepFreedMemory({})\n"
                "print(kept, len(bytearray(1 << 23)))",
            ],
            capture_output=True,
            check=True,
            text=True,
        )
        self.assertIn(done.stdout, ("True 8388608\n", "False 8388608\n"))
