"""How long messages take when they come at a fixed rate.

The rate does not wait for the server: a message is due at its time, and what it took is
counted from then, whatever the ones before it do. A server that stalls for a second so
shows in every message that was due in that second, not in one.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Sequence

from .links import BUFFER, PATIENCE, Link, LoadFailed
from .load import Count, Stopwatch
from .wire import Script

__all__ = ["FixedRate", "percentile"]


def percentile(ordered: Sequence[float], part: float) -> float:
    """Give the value that so much is at most as large as.

    :param ordered: values in order, at least one
    :param part: from 0 to 1
    """
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


class FixedRate:
    """Sends at a fixed rate, on some connections in turn.

    :param links: the connections
    :param script: what is sent: the same message always
    :param rate: messages a second, on all connections together
    """

    def __init__(self, links: Sequence[Link], script: Script, rate: float) -> None:
        self._links, self._script, self._rate = links, script, rate
        self.seconds: list[float] = []
        """What the messages of the last run have taken, in order."""

    def run(self, seconds: float) -> Count:
        """Send for a while, and wait for all that is under way.

        :param seconds: how long
        :raises LoadFailed: something did not come back
        """
        with select.epoll() as poll, Stopwatch() as watch:
            for each in self._links:
                poll.register(each.fileno, select.EPOLLIN)
                each.poll = poll
            found = self._run(poll, seconds)
            for each in self._links:
                each.poll = None
        self.seconds = sorted(found)
        return watch.count(len(found))

    def summary(self) -> dict[str, float]:
        """Give the microseconds that parts of the messages of the last run have
        taken at most."""
        parts = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
        return {
            name: percentile(self.seconds, part) * 1e6 for name, part in parts.items()
        }

    def _run(self, poll: select.epoll, seconds: float) -> list[float]:
        links, clock, frame = self._links, time.perf_counter, self._script.frames[0]
        size = self._script.replySize
        assert size is not None
        byNumber = {each.fileno: each for each in links}
        due: dict[int, deque[float]] = {each.fileno: deque() for each in links}
        total = max(1, int(seconds * self._rate))
        found: list[float] = []
        began = clock()
        sent = 0
        following = began
        while len(found) < total:
            now = clock()
            while following <= now and sent < total:
                link = links[sent % len(links)]
                due[link.fileno].append(following)
                link.write(frame)
                sent += 1
                following = began + sent / self._rate
            # Without sleeping: the core is the load's own, and sleep is not exact.
            for number, event in poll.poll(0):
                link = byNumber[number]
                if event & select.EPOLLOUT:
                    link.flush()
                if not event & ~select.EPOLLOUT:
                    continue
                count = link.read(BUFFER)
                if count == 0:
                    raise LoadFailed("the server closed the connection")
                if count > 0:
                    count, link.partial = divmod(link.partial + count, size)
                    waiting, now = due[number], clock()
                    found.extend(now - waiting.popleft() for _ in range(count))
            if now > began + seconds + PATIENCE:
                raise LoadFailed(f"{total - len(found)} messages did not come back")
        return found
