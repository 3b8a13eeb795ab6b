"""What idle connections take: measured in small, and held to a bound."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import io
import os
import sys
from contextlib import redirect_stdout
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from tests.memory_costs import MORE, main, parts, residentKiB, traced

# With 3.11 an idle connection takes 1.5 KiB without compression. Other versions differ
# by a few hundred bytes.
MOST = 2 * 1024


class CostsTests(SynchronousTestCase):
    """The script's figures."""

    def test_bound(self) -> None:
        """What Python allocates for a connection, without its transport, is bounded;
        also after pings, which set further attributes on it."""
        for pinged in (False, True):
            size = traced(1000, "none", pinged)
            self.assertTrue(800 < size < MOST, size)

    def test_boundInBrowsers(self) -> None:
        """A browser's header lines are kept as they came, and come to little more."""
        for pinged in (False, True):
            plain, browser = (
                traced(1000, more, pinged) for more in ("none", "browser")
            )
            lines = len(MORE["browser"])
            self.assertTrue(browser - plain < lines + 400, (plain, browser))

    def test_parts(self) -> None:
        """The parts are a connection's own, and what is shared is not among them."""
        plain, browser = parts(), parts("browser")
        for name in ("ServerProtocol", "Connection", "Request", "header lines"):
            self.assertIn(name, plain)
        self.assertEqual(set(browser) - set(plain), {"Deflater"})
        self.assertEqual(set(plain) - set(browser), set())
        for name in ("Options", "ServerOptions", "Clock", "Deadlines", "list"):
            self.assertNotIn(name, plain)
        self.assertTrue(sum(plain.values()) < traced(1000))

    @skipUnless(sys.platform == "linux", "the memory is read from /proc")
    def test_main(self) -> None:
        """The tables are printed, with figures in every row."""
        output = io.StringIO()
        with redirect_stdout(output):
            main(count=10, warm=2)
        text = output.getvalue()
        self.assertEqual(text.count(".. list-table::"), 2)
        for row in ("a browser", "ServerProtocol", "together", "allocated, once"):
            self.assertIn(row, text)

    @skipUnless(sys.platform == "linux", "the memory is read from /proc")
    def test_resident(self) -> None:
        """The memory of a process is read; of what is none it is said."""
        self.assertTrue(residentKiB(os.getpid()) > 1024)
        # A thread of the kernel, or whatever says nothing of its memory.
        with self.assertRaises((ValueError, OSError)):
            residentKiB(2)
