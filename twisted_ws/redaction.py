"""What of a peer's words may go into a log, and how.

Everything a peer sends can hold line ends that forge log lines, escape sequences that
take over a terminal, secrets, and megabytes. Log calls pass it through here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = [
    "MAX_LOGGED",
    "Later",
    "loggable",
    "nameAddress",
    "nameRequest",
    "withoutQuery",
]

MAX_LOGGED = 200
"""Characters of one value that are logged at most."""


def loggable(value: object, limit: int = MAX_LOGGED) -> str:
    """Write a value on one line: control characters and everything else that is not
    plainly printable escaped as in a Python string, and cut short.

    :param value: text or anything with a ``str``
    :param limit: characters kept, before escaping
    """
    text = str(value)
    kept = text[:limit]
    if not kept.isprintable():
        kept = "".join(
            each if each.isprintable() else each.encode("unicode_escape").decode()
            for each in kept
        )
    return f"{kept}… ({len(text)} characters)" if len(text) > limit else kept


def nameAddress(address: Any) -> str:
    """Give an address for a log: host and port, if it has them.

    :param address: what ``getPeer`` of a transport gives
    """
    host = getattr(address, "host", None)
    return loggable(address if host is None else f"{host}:{address.port}")


def withoutQuery(target: str) -> str:
    """Give a request target for a log: the query goes, as it may hold a token.

    :param target: as sent
    """
    path, question, _ = target.partition("?")
    path, hash_, _ = path.partition("#")
    question = question or hash_
    # User information of a target that is not a path may be a password.
    if "@" in path and (path.startswith("//") or not path.startswith("/")):
        scheme, slashes, _ = path.partition("://")
        path = f"{scheme if slashes else ''}{slashes}…@{path.rpartition('@')[2]}"
    return loggable(f"{path}?…" if question else path)


def nameRequest(method: str, target: str) -> str:
    """Give a request for a log.

    :param method: as sent
    :param target: as sent
    """
    return f"{loggable(method, 20)} {withoutQuery(target)}"


class Later:
    """Text for a log that is made when somebody writes the log. Most debug messages
    are written nowhere, and their parts cost more than they do themselves.

    :param make: makes the text
    :param arguments: for it
    """

    __slots__ = ("_arguments", "_make")

    def __init__(self, make: Callable[..., str], *arguments: object) -> None:
        self._make = make
        self._arguments = arguments

    def __str__(self) -> str:
        return self._make(*self._arguments)

    # No log is to show what the text leaves out.
    __repr__ = __str__
