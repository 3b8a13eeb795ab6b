"""Reading text once that nearly all clients of a server send alike."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

__all__ = ["REMEMBERED", "remembering"]

REMEMBERED = 64
"""How many results each function remembers, the last ones."""

_Read = TypeVar("_Read")


def remembering(
    longest: int,
) -> Callable[[Callable[[str], _Read]], Callable[[str], _Read]]:
    """Have a function of a text remember its last results, which are shared then: they
    must be of a kind that nobody changes. What it raises is not remembered.

    Memory: :data:`REMEMBERED` results. Long text, of which a peer can make up much and
    which may become thousands of objects, is not remembered.

    :param longest: characters of the longest text that is
    """

    def decorate(read: Callable[[str], _Read]) -> Callable[[str], _Read]:
        remembered = lru_cache(REMEMBERED)(read)

        @wraps(read)
        def readOrRemember(text: str) -> _Read:
            return remembered(text) if len(text) <= longest else read(text)

        return readOrRemember

    return decorate
