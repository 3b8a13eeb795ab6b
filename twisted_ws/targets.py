"""Where a bridge may lead: an endpoint string, or a file of named ones.

The file is the one that websockify's ``TokenFile`` reads, a target in each line, and a
target may be any client endpoint string too::

    # name: where
    desk: 192.0.2.7:5900
    server: [2001:db8::7]:5900
    console: unix_socket:/run/console.sock
    far: wss:example.com:resource=/vnc
"""

from __future__ import annotations

import os
import re
from itertools import takewhile
from typing import Any, NamedTuple

from twisted.internet.endpoints import (
    HostnameEndpoint,
    UNIXClientEndpoint,
    clientFromString,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import Logger

__all__ = ["Target", "Targets", "readTarget", "readTargets"]

_log = Logger()

_PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+):(\d+)")
_NAME_END = re.compile(r":\s")
_UNIX = "unix_socket:"
# Where an endpoint string is taken apart; a backslash takes that from what follows it.
_COLON = re.compile(r"(?<!\\):")
_EQUALS = re.compile(r"(?<!\\)=")
_SETTLED = 1.0
"""Seconds after which a file without an end of line at its end counts as written."""


class Target(NamedTuple):
    """Where to."""

    endpoint: IStreamClientEndpoint
    """Connects there."""
    description: str
    """What was written, for logs: without the named parts of an endpoint string, which
    may be passwords."""


def readTarget(reactor: Any, text: str) -> Target:
    """Read where a bridge leads.

    :param reactor: the reactor
    :param text: ``HOST:PORT``, or a client endpoint string
    :raises ValueError: it is neither
    """
    matched = _PLACE.fullmatch(text)
    if matched is not None:
        port = int(matched[2])
        if not 0 < port < 65536:
            raise ValueError(f"{port} is not a port")
        return Target(HostnameEndpoint(reactor, matched[1].strip("[]"), port), text)
    if text.startswith(_UNIX):
        return Target(UNIXClientEndpoint(reactor, text[len(_UNIX) :]), text)
    try:
        return Target(clientFromString(reactor, text), _withoutNamed(text))
    except Exception as error:
        # Parsers raise whatever comes to their mind; all of it is the user's.
        raise ValueError(
            f"neither HOST:PORT nor a client endpoint string that can be used: "
            f"{type(error).__name__}: {error}"
        ) from None


def _withoutNamed(text: str) -> str:
    """Give an endpoint string up to its first part with a name."""
    parts = _COLON.split(text)
    kept = list(takewhile(lambda part: not _EQUALS.search(part), parts))
    return ":".join(kept if len(kept) == len(parts) else [*kept, "…"])


def readTargets(reactor: Any, text: str) -> dict[str, Target]:
    """Read a file of targets.

    :param reactor: the reactor
    :param text: what is in it
    :raises ValueError: a line that cannot be used; tells which, and not what is in it,
        as a name may be a secret
    """
    found: dict[str, Target] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, *rest = _NAME_END.split(line, maxsplit=1)
        if not rest or not name:
            raise ValueError(f"line {number} is not of the form 'name: target'")
        if name in found:
            raise ValueError(f"line {number} has a name that was there before")
        try:
            found[name] = readTarget(reactor, rest[0].strip())
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    return found


class Targets:
    """The targets in a file. When that changes they are read anew: at the next lookup,
    which costs a ``stat``. While it cannot be used the ones before stay in force, and
    the log says why.

    :param reactor: the reactor
    :param path: the file
    :raises ValueError: it cannot be used
    :raises OSError: it cannot be read
    """

    def __init__(self, reactor: Any, path: str) -> None:
        self._reactor = reactor
        # The process may change its directory when it becomes a daemon.
        self._path = os.path.abspath(path)
        self._signature = self._sign()
        self._targets = readTargets(reactor, self._read())

    def __len__(self) -> int:
        return len(self._targets)

    def find(self, name: str) -> Target | None:
        """Look a target up.

        :param name: its name; a lookup tells nobody how much of it was right, as only
            hashes are compared until one is the same
        """
        self._refresh()
        return self._targets.get(name)

    def _sign(self) -> tuple[int, int, int]:
        """Give what changes when the file does."""
        status = os.stat(self._path)
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _read(self) -> str:
        with open(self._path, encoding="utf-8") as file:
            return file.read()

    def _refresh(self) -> None:
        """Read the file again, if it has changed."""
        try:
            signature: tuple[int, ...] | None = self._sign()
        except OSError as error:
            self._complain(None, error.strerror or str(error))
            return
        if signature == self._signature:
            return
        try:
            text = self._read()
            if self._isBeingWritten(text) or self._sign() != signature:
                return
            targets = readTargets(self._reactor, text)
        except OSError as error:
            self._complain(signature, error.strerror or str(error))
        except ValueError as error:
            self._complain(signature, str(error))
        else:
            self._signature = signature
            self._targets = targets
            _log.info("Targets read again: there are {count}", count=len(targets))

    def _isBeingWritten(self, text: str) -> bool:
        """Tell whether to look again later: half of a line may make sense, and lead to
        port 59 in place of 5900."""
        age = self._reactor.seconds() - os.stat(self._path).st_mtime
        return not text.endswith("\n") and 0 <= age < _SETTLED

    def _complain(self, signature: tuple[int, ...] | None, why: str) -> None:
        """Say once that a state of the file is of no use."""
        if signature != self._signature:
            self._signature = signature  # type: ignore[assignment]
            _log.error(
                "The targets stay as they were, as {path} cannot be used: {why}",
                path=self._path,
                why=why,
            )
