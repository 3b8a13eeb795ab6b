"""Many deadlines with one delayed call: in time, all of them, and none left over."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.timers import RESOLUTION, Deadlines, sharedDeadlines

TIMES = st.floats(0, 60, allow_nan=False)


class Looked:
    """Writes down when it is looked at.

    :param then: what to do when it is; its result is when to look again
    """

    def __init__(self, then: Callable[[float], float | None] | None = None) -> None:
        self.watchedUntil = 0
        self.seen: list[float] = []
        self._then = then

    def deadlineReached(self, now: float) -> float | None:
        """Write it down."""
        self.seen.append(now)
        return None if self._then is None else self._then(now)


class DeadlinesTests(SynchronousTestCase):
    """What :class:`Deadlines` does with the clock."""

    def setUp(self) -> None:
        """Have a clock that does not stand at a bucket."""
        self.clock = Clock()
        self.clock.advance(1000.01)
        self.start = self.clock.seconds()
        self.deadlines = Deadlines(self.clock)

    def calls(self) -> list[float]:
        """The times of the delayed calls."""
        return [call.getTime() for call in self.clock.getDelayedCalls()]

    def test_oneCall(self) -> None:
        """However many are watched there is one delayed call, at the earliest time."""
        watched = [Looked() for _ in range(1000)]
        for number, each in enumerate(watched):
            self.deadlines.watch(each, self.start + 20 - number / 100)
            self.assertEqual(len(self.calls()), 1)
        (when,) = self.calls()
        first = self.start + 20 - 9.99
        self.assertTrue(first <= when <= first + RESOLUTION, when)
        while self.calls():
            self.assertEqual(len(self.calls()), 1)
            self.clock.advance(RESOLUTION)
        for each in watched:
            self.assertEqual(len(each.seen), 1)
            self.assertEqual(each.watchedUntil, 0)

    def test_callStaysInPlace(self) -> None:
        """The delayed call is not moved for a deadline that is later or in the same
        bucket."""
        one, two = Looked(), Looked()
        self.deadlines.watch(one, 1010)
        (call,) = self.clock.getDelayedCalls()
        self.deadlines.watch(two, 1010)
        self.deadlines.watch(two, 1010 - RESOLUTION / 2)
        self.deadlines.watch(two, 1020)
        self.deadlines.forget(two)
        self.assertEqual(self.clock.getDelayedCalls(), [call])
        self.assertEqual(self.calls(), [1010])

    @given(whens=st.lists(TIMES, max_size=8), steps=st.lists(st.floats(0, 9)))
    @settings(deadline=None, max_examples=60, derandomize=True)
    def test_inTime(self, whens: list[float], steps: list[float]) -> None:
        """None is looked at early, each at most ``RESOLUTION`` late, or at the first
        moment in which the reactor does anything after that; and then no more."""
        clock = Clock()
        deadlines = Deadlines(clock)
        watched = [(when, Looked()) for when in whens]
        for when, each in watched:
            deadlines.watch(each, when)
        before = 0.0
        for step in [*steps, 100.0]:
            clock.advance(step)
            now = clock.seconds()
            for when, each in watched:
                if each.seen:
                    self.assertEqual(len(each.seen), 1)
                    self.assertTrue(each.seen[0] >= when, (when, each.seen))
                    continue
                self.assertTrue(now < when + RESOLUTION, (when, before, now))
            before = now
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_resolution(self) -> None:
        """With a reactor that comes in time, nothing is ``RESOLUTION`` late."""
        for fraction in range(0, 100, 7):
            when = self.clock.seconds() + 1 + fraction / 300
            each = Looked()
            self.deadlines.watch(each, when)
            (call,) = self.calls()
            self.clock.advance(call - self.clock.seconds())
            # An addition may have been rounded down: then it comes again at once.
            for late in self.calls():
                self.clock.advance(late - self.clock.seconds())
            (seen,) = each.seen
            self.assertTrue(when <= seen < when + RESOLUTION, (when, seen))
            self.assertEqual(self.calls(), [])

    def test_callTooEarly(self) -> None:
        """A delayed call that comes before its time, as rounding may have it, changes
        nothing but that there is another one."""
        each = Looked()
        self.deadlines.watch(each, 1010)
        (call,) = self.clock.getDelayedCalls()
        call.reset(1)
        self.clock.advance(2)
        self.assertEqual(each.seen, [])
        self.assertEqual(self.calls(), [1010])
        self.clock.advance(8)
        self.assertEqual(len(each.seen), 1)

    def test_past(self) -> None:
        """What is due already is looked at in the next turn, not within ``watch``; also
        on a clock that has just begun."""
        for clock in (self.clock, Clock()):
            deadlines = Deadlines(clock)
            for when in (-5.0, 0.0, clock.seconds() - RESOLUTION):
                each = Looked()
                deadlines.watch(each, when)
                self.assertEqual(each.seen, [])
                clock.advance(RESOLUTION)
                self.assertEqual(len(each.seen), 1, when)
                self.assertEqual(clock.getDelayedCalls(), [])

    def test_lookingAgain(self) -> None:
        """It is looked at again when it says so, and no more once it says never."""
        times = [1003.0, 1003.0, 1007.5]
        each = Looked(lambda now: times.pop(0) if times else None)
        self.deadlines.watch(each, 1002)
        self.clock.pump([0.125] * 100)
        self.assertEqual(
            [bucketOf(seen) for seen in each.seen], [1002, 1003, 1003, 1007.5]
        )
        self.assertEqual(self.calls(), [])

    def test_watchReplaces(self) -> None:
        """A time that is set takes the place of the one before, be it earlier or
        later. The delayed call moves for an earlier one only, and else comes once for
        nothing."""
        each = Looked()
        for when, call in ((1010, 1010), (1005, 1005), (1030, 1005), (1020, 1005)):
            self.deadlines.watch(each, when)
            self.assertEqual(self.calls(), [call])
        self.clock.advance(1006 - self.start)
        self.assertEqual(each.seen, [])
        self.assertEqual(self.calls(), [1020])
        self.clock.advance(13)
        self.assertEqual(each.seen, [])
        self.clock.advance(50)
        self.assertEqual(len(each.seen), 1)

    def test_forget(self) -> None:
        """What is forgotten is not looked at; with the last one the delayed call goes.
        With the first one it stays, and comes once for nothing."""
        one, two, three = Looked(), Looked(), Looked()
        self.deadlines.watch(one, 1010)
        self.deadlines.watch(two, 1010)
        self.deadlines.watch(three, 1020)
        self.deadlines.forget(one)
        self.assertEqual(self.calls(), [1010])
        self.deadlines.forget(two)
        self.assertEqual(self.calls(), [1010])
        self.clock.advance(1011 - self.start)
        self.assertEqual(self.calls(), [1020])
        self.assertEqual([len(each.seen) for each in (one, two, three)], [0, 0, 0])
        self.deadlines.forget(three)
        self.assertEqual(self.calls(), [])
        # Forgotten twice, or never watched: nothing happens.
        self.deadlines.forget(three)
        self.deadlines.forget(Looked())
        self.assertEqual(self.deadlines._buckets, {})
        self.deadlines.watch(one, 1015)
        self.clock.advance(60)
        self.assertEqual([len(each.seen) for each in (one, two, three)], [1, 0, 0])

    def test_forgetWithin(self) -> None:
        """One that is forgotten while another is looked at is not looked at any more,
        whether it was due in the same moment or later; itself it may forget too."""
        watched: list[Looked] = []

        def forgetAll(now: float) -> None:
            for each in watched:
                self.deadlines.forget(each)

        watched += [Looked(forgetAll) for _ in range(3)]
        for each, when in zip(watched, (1010, 1010, 1020), strict=True):
            self.deadlines.watch(each, when)
        self.clock.advance(60)
        self.assertEqual(sum(len(each.seen) for each in watched), 1)
        self.assertEqual(watched[2].seen, [])
        self.assertEqual(self.calls(), [])
        self.assertEqual(self.deadlines._buckets, {})

    def test_watchWithin(self) -> None:
        """One that gets a new time while another is looked at is looked at then, also
        if it was due in the same moment; and so is the one looked at itself."""
        watched: list[Looked] = []

        def putOff(now: float) -> None:
            if now < 1015:
                for each in watched:
                    self.deadlines.watch(each, 1030)
                    self.deadlines.watch(each, 1020)

        watched += [Looked(putOff) for _ in range(3)]
        for each in watched:
            self.deadlines.watch(each, 1010)
        self.clock.advance(1012 - self.start)
        self.assertEqual(sum(len(each.seen) for each in watched), 1)
        self.assertEqual(self.calls(), [1020])
        self.clock.advance(60)
        self.assertEqual(sum(len(each.seen) for each in watched), 4)
        self.assertEqual(self.calls(), [])

    def test_putOffAndForgottenWithin(self) -> None:
        """A time that is set for now and taken back, all while another is looked at,
        leaves nothing behind."""
        other = Looked()

        def then(now: float) -> None:
            self.deadlines.watch(other, now)
            self.deadlines.forget(other)

        each = Looked(then)
        self.deadlines.watch(each, 1010)
        self.clock.advance(20)
        self.assertEqual(len(each.seen), 1)
        self.assertEqual(other.seen, [])
        self.assertEqual(self.calls(), [])

    def test_exception(self) -> None:
        """One that raises is logged and looked at no more; the others are looked at in
        the same moment, and those that are later in theirs."""

        def fail(now: float) -> None:
            raise ZeroDivisionError

        broken = Looked(fail)
        others = [Looked() for _ in range(20)]
        for each in others[:10]:
            self.deadlines.watch(each, 1010)
        self.deadlines.watch(broken, 1010)
        for each in others[10:19]:
            self.deadlines.watch(each, 1010)
        self.deadlines.watch(others[19], 1020)
        self.clock.advance(11)
        self.assertEqual([len(each.seen) for each in others], [1] * 19 + [0])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.clock.advance(60)
        self.assertEqual(len(others[19].seen), 1)
        self.assertEqual(len(broken.seen), 1)
        self.assertEqual(self.calls(), [])

    def test_lateReactor(self) -> None:
        """After a reactor was busy for long, all that became due is looked at in one
        go, the earliest bucket first."""
        order: list[int] = []

        def noted(number: int) -> Looked:
            return Looked(lambda now: order.append(number))

        for number in (3, 1, 2, 0):
            self.deadlines.watch(noted(number), 1010 + number)
        self.clock.advance(1000)
        self.assertEqual(order, [0, 1, 2, 3])
        self.assertEqual(self.calls(), [])


class SharedTests(SynchronousTestCase):
    """``sharedDeadlines``."""

    def test_oneForAClock(self) -> None:
        """All who ask for the deadlines on a clock get the same, and nobody keeps
        them."""
        clock, other = Clock(), Clock()
        shared = sharedDeadlines(clock)
        self.assertIs(sharedDeadlines(clock), shared)
        self.assertIsNot(sharedDeadlines(other), shared)
        kept = weakref.ref(shared)
        del shared
        gc.collect()
        self.assertIsNone(kept())
        self.assertIsNotNone(sharedDeadlines(clock))


def bucketOf(seen: float) -> float:
    """Give the bucket's time in which something was looked at."""
    return seen // RESOLUTION * RESOLUTION
