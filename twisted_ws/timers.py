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
        # With the number once more, so that all in a bucket share the object.
        self._buckets: dict[int, tuple[int, set[Watched]]] = {}
        self._call: IDelayedCall | None = None
        self._callFor = 0

    def watch(self, watched: Watched, when: float) -> None:
        """Look at something at a certain time, in place of the time set before.

        :param watched: what to look at
        :param when: seconds, as the clock counts them
        """
        # At least 1, as 0 says that it is in no bucket.
        number = max(1, math.ceil(when / RESOLUTION))
        before = watched.watchedUntil
        if before == number:
            return
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = (number, set())
        watched.watchedUntil = bucket[0]
        bucket[1].add(watched)
        if before > 0:
            self._remove(watched, before)
        if self._call is None or number < self._callFor:
            self._schedule()

    def forget(self, watched: Watched) -> None:
        """Look at something no more.

        :param watched: what was to be looked at, or was not
        """
        before = watched.watchedUntil
        if before:
            watched.watchedUntil = 0
        if before > 0:
            self._remove(watched, before)
            if not self._buckets:
                self._schedule()

    def _remove(self, watched: Watched, number: int) -> None:
        """Take something out of a bucket. The delayed call stays: to come once for
        nothing costs less than to be moved for each connection that opens and ends."""
        members = self._buckets[number][1]
        members.discard(watched)
        if not members:
            del self._buckets[number]

    def _schedule(self) -> None:
        """Have the delayed call come at the first bucket; there is none without one, so
        that a reactor can stop clean."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._buckets:
            self._callFor = min(self._buckets)
            delay = max(0.0, self._callFor * RESOLUTION - self._clock.seconds())
            self._call = self._clock.callLater(delay, self._look)

    def _look(self) -> None:
        self._call = None
        now = self._clock.seconds()
        due = sorted(each for each in self._buckets if each * RESOLUTION <= now)
        members = [
            watched for bucket in due for watched in self._buckets.pop(bucket)[1]
        ]
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
