"""What can keep the Testsuite from being run."""

from __future__ import annotations


class RunFailed(Exception):
    """The run could not be done, or not to its end; the text says why."""


class NotInstalled(RunFailed):
    """Something that is allowed to be absent is absent: the run is skipped."""
