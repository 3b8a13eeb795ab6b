"""Deadlines of thousands of connections with one delayed call.

A delayed call of the reactor costs 15 to 50 µs and 400 bytes, and moving one at every
message costs more than the message. Here a connection says when it wants to be looked
at next; it is put in the bucket of that moment, and stays there however much traffic
comes meanwhile. When the moment is there, it looks for itself whether anything is due,
and says when to look again.
"""

from __future__ import annotations

import math
from typing import Protocol
from weakref import WeakValueDictionary

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

__all__ = ["RESOLUTION", "Deadlines", "Watched", "sharedDeadlines"]

_log = Logger()

RESOLUTION = 0.125
"""Seconds by which a deadline may be noticed late."""

# In place of a bucket's number: it is being looked at.
_LOOKING = -1


class Watched(Protocol):
    """Something with deadlines."""

    watchedUntil: int
    """The bucket that it is in; 0 when in none. Kept by :class:`Deadlines`."""

    def deadlineReached(self, now: float) -> float | None:
        """Do what is due.

        :param now: seconds, as the clock counts them
        :returns: when to look again, None for never
        """


class Deadlines:
    """Looks after deadlines, to :data:`RESOLUTION` seconds, never early.

    :param clock: the reactor, or a ``Clock``
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._buckets: dict[int, set[Watched]] = {}
        self._call: IDelayedCall | None = None
        self._callFor = 0

    def watch(self, watched: Watched, when: float) -> None:
        """Look at something at a certain time, in place of the time set before.

        :param watched: what to look at
        :param when: seconds, as the clock counts them
        """
        # At least 1, as 0 says that it is in no bucket.
        bucket = max(1, math.ceil(when / RESOLUTION))
        if watched.watchedUntil == bucket:
            return
        self.forget(watched)
        watched.watchedUntil = bucket
        members = self._buckets.get(bucket)
        if members is None:
            members = self._buckets[bucket] = set()
            if self._call is None or bucket < self._callFor:
                self._schedule()
        members.add(watched)

    def forget(self, watched: Watched) -> None:
        """Look at something no more.

        :param watched: what was to be looked at, or was not
        """
        bucket = watched.watchedUntil
        watched.watchedUntil = 0
        if bucket in (0, _LOOKING):
            return
        members = self._buckets[bucket]
        members.discard(watched)
        if not members:
            del self._buckets[bucket]
            if bucket == self._callFor:
                self._schedule()

    def _schedule(self) -> None:
        """Have the delayed call come at the first bucket; there is none without one, so
        that a reactor can stop clean."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
            self._callFor = 0
        if self._buckets:
            self._callFor = min(self._buckets)
            delay = max(0.0, self._callFor * RESOLUTION - self._clock.seconds())
            self._call = self._clock.callLater(delay, self._look)

    def _look(self) -> None:
        self._call = None
        now = self._clock.seconds()
        due = sorted(each for each in self._buckets if each * RESOLUTION <= now)
        members = [watched for bucket in due for watched in self._buckets.pop(bucket)]
        for watched in members:
            watched.watchedUntil = _LOOKING
        for watched in members:
            # Looking at one may have forgotten another, or set it a new time.
            if watched.watchedUntil == _LOOKING:
                watched.watchedUntil = 0
                self._lookAt(watched, now)
        self._schedule()

    def _lookAt(self, watched: Watched, now: float) -> None:
        try:
            again = watched.deadlineReached(now)
        except Exception:
            # One connection's trouble must not cost the others their deadlines.
            _log.failure("Looking at the deadlines of {watched!r}", watched=watched)
            return
        if again is not None:
            self.watch(watched, again)


# By the clock's id, which nothing else has as long as the value lives and holds it.
_shared: WeakValueDictionary[int, Deadlines] = WeakValueDictionary()


def sharedDeadlines(clock: IReactorTime) -> Deadlines:
    """Give the deadlines that all clients on a clock have together.

    :param clock: the reactor, or a ``Clock``
    """
    found = _shared.get(id(clock))
    if found is None:
        found = _shared[id(clock)] = Deadlines(clock)
    return found
