"""What the programs that are compared have in common: their command line."""

from __future__ import annotations

import argparse
import json
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

__all__ = [
    "LEVELS",
    "MEMORY_LEVEL",
    "WINDOW_BITS",
    "Settings",
    "message",
    "run",
    "runOnUvloop",
]

WINDOW_BITS = 12
MEMORY_LEVEL = 5
LEVELS = {"equal": 6, "fast": 1}
"""How hard to compress, where that can be set."""


def message(size: int) -> str:
    """Give what clients send.

    :param size: its characters, all of ASCII
    """
    return ("The quick brown fox jumps over the lazy dog. " * (size // 45 + 1))[:size]


@dataclass(frozen=True)
class Settings:
    """What a program is to do.

    :ivar port: where a server listens on 127.0.0.1, or a client connects to.
    :ivar broadcast: whether a message goes to all, not only back.
    :ivar certificate: the file with certificate and key, for TLS.
    :ivar deflate: ``equal`` or ``fast``, for terms as equal as can be, with a
        compression level of 6 or 1, or ``defaults`` for those of the library.
    :ivar maxSize: the largest message, None for the library's default.
    :ivar connections: how many a client opens.
    :ivar window: how many messages it sends on each by itself.
    :ivar size: their bytes.
    """

    port: int
    broadcast: bool
    certificate: str | None
    deflate: str | None
    maxSize: int | None
    connections: int
    window: int
    size: int

    @property
    def context(self) -> ssl.SSLContext | None:
        """A context of the standard library, if there is to be TLS."""
        if self.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        return context

    @property
    def endpoint(self) -> str:
        """Twisted's description of where to listen."""
        if self.certificate is None:
            return f"tcp:{self.port}:interface=127.0.0.1"
        return (
            f"ssl:{self.port}:interface=127.0.0.1:certKey={self.certificate}"
            f":privateKey={self.certificate}"
        )

    @property
    def level(self) -> int | None:
        """How hard to compress, None for the library's default."""
        return None if self.deflate is None else LEVELS.get(self.deflate)

    @property
    def url(self) -> str:
        """Where a client connects to."""
        return f"ws://127.0.0.1:{self.port}/"

    @property
    def message(self) -> str:
        """What a client sends."""
        return message(self.size)


def run(serve: Callable[[Settings], object], *distributions: str, **facts: Any) -> None:
    """Read the command line, and do what it says.

    :param serve: runs the program, forever
    :param distributions: those whose versions matter, its own first
    :param facts: what else there is to know about it
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--describe", action="store_true")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--broadcast", action="store_true")
    parser.add_argument("--certificate")
    parser.add_argument("--deflate", choices=["equal", "fast", "defaults"])
    parser.add_argument("--max-size", type=int, dest="maxSize")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--window", type=int, default=1)
    parser.add_argument("--size", type=int, default=256)
    options = vars(parser.parse_args())
    if options.pop("describe"):
        found = {}
        for each in distributions:
            try:
                found[each] = version(each)
            except PackageNotFoundError:
                found[each] = "none"
        print(json.dumps({"versions": found, **facts}))
        sys.exit()
    serve(Settings(**options))


def runOnUvloop(serve: Callable[[Settings], Any], *distributions: str) -> None:
    """The same for a program on asyncio, with uvloop.

    :param serve: a coroutine function that runs the program, forever
    :param distributions: those whose versions matter
    """
    import uvloop  # type: ignore[import-not-found, unused-ignore]

    run(
        lambda settings: uvloop.run(serve(settings)),
        *distributions,
        "uvloop",
        # That of Python; Twisted has the one that comes with cryptography.
        openssl=ssl.OPENSSL_VERSION,
    )
