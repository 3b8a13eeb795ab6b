"""The numbering of the Testsuite's cases, and the patterns that choose among them."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: What each category of cases is about. There is no category 8 or 11.
CATEGORY_TITLES = {
    1: "Framing",
    2: "Pings and pongs",
    3: "Reserved bits",
    4: "Opcodes",
    5: "Fragmentation",
    6: "UTF-8 handling",
    7: "Close handling",
    9: "Limits and performance",
    10: "Automatic fragmentation",
    12: "Compression, different payloads",
    13: "Compression, different parameters",
}

#: The cases run when none are named: all.
DEFAULT_CASES = tuple(f"{category}.*" for category in CATEGORY_TITLES)

_PATTERN = re.compile(r"[0-9*]+(\.[0-9*]+)*")


def splitPatterns(words: Iterable[str]) -> list[str]:
    """Take patterns apart that are separated by commas, spaces or both.

    A bare category stands for all its cases: ``9`` is ``9.*``.

    :param words: the command line's arguments.
    :returns: one pattern an item, as the Testsuite understands them.
    :raises ValueError: for something that is no pattern, or when there is none at all.
    """
    patterns = []
    for pattern in re.split(r"[,\s]+", " ".join(words).strip(", \t\n")):
        if not _PATTERN.fullmatch(pattern):
            raise ValueError(f"{pattern!r} is not a case pattern such as 6.* or 7.1.6")
        patterns.append(f"{pattern}.*" if pattern.isdigit() else pattern)
    return patterns


def caseKey(case: str) -> tuple[int, ...]:
    """The numbers of a case, so that 9.2.1 sorts before 10.1.1.

    :param case: the dotted name.
    :returns: its numbers.
    :raises ValueError: if it is not made of dotted numbers.
    """
    return tuple(int(number) for number in case.split("."))


def categoryOf(case: str) -> int:
    """The category that a case belongs to.

    :param case: the dotted name.
    :returns: its first number.
    :raises ValueError: if it is not made of dotted numbers.
    """
    return caseKey(case)[0]


def categoryTitle(category: int) -> str:
    """What a category is about.

    :param category: its number.
    :returns: a few words; those of an unknown category say that it is unknown.
    """
    return CATEGORY_TITLES.get(category, "(unknown)")
