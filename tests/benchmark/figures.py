"""Figures out of samples."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "FAILED",
    "Results",
    "Samples",
    "hasFailed",
    "middle",
    "ratios",
    "shown",
    "shownRange",
    "spread",
    "values",
]

Results = Mapping[str, Any]
"""All there is to tell: see :func:`tests.benchmark.arguments.measure`."""
Samples = Sequence[Mapping[str, Any]] | str
"""Those of a server in a scenario, one for each round; or why there are none."""
FAILED = "failed"
"""How the reason begins, if something went wrong and is not only impossible."""


def spread(found: Sequence[float]) -> tuple[float, float, float]:
    """Give median, least and largest.

    :param found: at least one
    """
    return statistics.median(found), min(found), max(found)


def values(samples: Samples, name: str) -> list[float] | None:
    """Give a figure of each round; None if there are none.

    :param samples: of one server in one scenario
    :param name: the figure: ``cost``, ``rate``, ``server``, ``load`` or ``others``
    """
    if isinstance(samples, str) or not samples:
        return None
    return [each[name] for each in samples]


def middle(samples: Samples, name: str) -> float | None:
    """Give the median of a figure; None if there is none.

    :param samples: of one server in one scenario
    :param name: the figure
    """
    found = values(samples, name)
    return None if found is None else statistics.median(found)


def ratios(theirs: Samples, ours: Samples, name: str) -> list[float] | None:
    """Give the ratio in each round, so that what slows down a whole round does not
    count: what a message costs others over what it costs ours, or our messages per
    second over theirs. More is better for ours. None if there are none.

    :param theirs: samples of another server
    :param ours: samples of ours
    :param name: ``cost`` or ``rate``
    """
    above, below = values(theirs, name), values(ours, name)
    if above is None or below is None:
        return None
    if name == "rate":
        above, below = below, above
    # Nothing has a rate that is not measured, such as memory.
    if not all(below) or not all(above):
        return None
    return [one / other for one, other in zip(above, below, strict=True)]


def hasFailed(samples: Samples) -> bool:
    """Tell whether something went wrong.

    :param samples: of one server in one scenario
    """
    return isinstance(samples, str) and samples.startswith(FAILED)


def shown(value: float | None) -> str:
    """Write a number with two or three digits.

    :param value: not negative; None for none
    """
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def shownRange(found: Sequence[float] | None) -> str:
    """Write numbers as their median, with least and largest if there are several.

    :param found: the numbers; None for none
    """
    if found is None:
        return "-"
    median, least, most = spread(found)
    if len(found) == 1:
        return shown(median)
    return f"{shown(median)} ({shown(least)}-{shown(most)})"
