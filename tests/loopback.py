"""Test cases on the reactor that run under trial and under pytest.

Trial runs the reactor for each test that returns a Deferred. Under pytest it runs
already, in a greenlet of pytest-twisted, and cannot be run again: there a test waits by
switching to it.
"""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import pytest_twisted  # type: ignore[import-untyped]
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

__all__ = ["LoopbackCase"]

# The part of pytest that runs classes of this kind.
UNDER_PYTEST = "_pytest.unittest" in sys.modules

if TYPE_CHECKING:
    _Case = SynchronousTestCase
else:
    _Case = SynchronousTestCase if UNDER_PYTEST else TestCase


class LoopbackCase(_Case):
    """A test case with tests of the form ``return self.finish(self.run())``."""

    timeout = 60

    def finish(self, work: Coroutine[Any, Any, None] | Deferred[None]) -> Any:
        """Have a test's work done.

        :param work: what it does
        :returns: what the test is to return
        """
        if isinstance(work, Coroutine):
            work = ensureDeferred(work)
        if not UNDER_PYTEST:
            return work
        pytest_twisted.blockon(work)
        return None

    def addCleanup(  # type: ignore[override]
        self, function: Callable[..., Any], *arguments: Any, **named: Any
    ) -> None:
        """Have something done when the test is over, and waited for.

        :param function: does it, and may return a Deferred
        :param arguments: for the function
        :param named: likewise
        """

        def wait() -> Any:
            result = function(*arguments, **named)
            if UNDER_PYTEST and isinstance(result, Deferred):
                return pytest_twisted.blockon(result)
            return result

        super().addCleanup(wait)
