"""What compression may cost, and who does it: presets, settings and engines.

How messages are compressed on the wire is :mod:`twisted_ws.deflate`'s. Here is what an
operator chooses: how much memory a connection may take for it, how hard to try, and
which library does the work.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple, Protocol, cast

__all__ = [
    "ENGINES",
    "PRESETS",
    "Compressor",
    "Decompressor",
    "DeflateSettings",
    "Engine",
    "Preset",
    "findEngine",
]


class Compressor(Protocol):
    """What an engine's ``compressobj`` gives."""

    def compress(self, data: bytes, /) -> bytes:
        """Compress some more."""

    def flush(self, mode: int, /) -> bytes:
        """Give everything up to here."""


class Decompressor(Protocol):
    """What an engine's ``decompressobj`` gives."""

    @property
    def eof(self) -> bool:
        """Whether the block that was marked as the last one has ended."""

    @property
    def unused_data(self) -> bytes:
        """What came behind that block."""

    def decompress(self, data: bytes, maxLength: int, /) -> bytes:
        """Decompress some more, to at most so many bytes."""


class Engine(NamedTuple):
    """A library that deflates and inflates, with the interface of :mod:`zlib`."""

    name: str
    """As the option ``compressionEngine`` has it."""
    compressobj: Callable[[int, int, int, int], Compressor]
    """Takes level, method, window bits and memory level."""
    decompressobj: Callable[[int, bytes], Decompressor]
    """Takes window bits and the bytes that count as decompressed before."""
    error: type[Exception]
    """What it raises for bytes that are not DEFLATE."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Options are pickled, for other processes; functions of libraries are not.
        return findEngine, (self.name,)


ENGINES = {
    "zlib": ("zlib", ""),
    "zlib-ng": ("zlib_ng.zlib_ng", "zlib-ng"),
}
"""The engines that are known: the name of each, its module, and what to install."""


@cache
def findEngine(name: str) -> Engine:
    """Give an engine by its name.

    :param name: one of :data:`ENGINES`
    :raises ValueError: there is none of that name, or it is not installed
    """
    if name not in ENGINES:
        raise ValueError(f"{name!r} is not one of {', '.join(ENGINES)}")
    module, package = ENGINES[name]
    try:
        library: Any = import_module(module)
    except ImportError:
        raise ValueError(
            f"{name} is not installed: pip install 'twisted_ws[{package}]'"
        ) from None
    # Both take these by position too, but for the dictionary.
    return Engine(
        name,
        cast(Callable[[int, int, int, int], Compressor], library.compressobj),
        lambda bits, window: library.decompressobj(bits, zdict=window),
        library.error,
    )


class Preset(NamedTuple):
    """What one connection may keep for compression."""

    contextTakeover: bool
    """Whether messages are compressed with those before them in mind."""
    windowBits: int
    """How far back: two to this power bytes."""
    memoryLevel: int
    """How much the compressor takes beside its window: 512 bytes times two to this
    power."""
    threshold: int
    """Bytes from which on a message is compressed: on its own a short one gains
    nothing, and with those before it in mind much."""


PRESETS: dict[str, Preset | None] = {
    "none": None,
    "shared": Preset(False, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, 256),
    "small": Preset(True, 12, 4, 64),
    "large": Preset(True, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, 64),
}
"""The values of the option ``compression``: ``none`` turns it off; ``shared`` keeps
nothing for a connection between messages, all share one compressor; ``small`` and
``large`` keep some. docs/topics/compression has the figures."""


class DeflateSettings(NamedTuple):
    """What the options say of permessage-deflate, presets filled in."""

    serverNoContextTakeover: bool
    """Whether the server forgets each message when it compresses the next."""
    clientNoContextTakeover: bool
    """Whether the client does."""
    serverMaxWindowBits: int
    """How far back the server's compressor may look, as a power of two."""
    clientMaxWindowBits: int
    """How far back the client's may."""
    level: int
    """How hard to try, 1 to 9."""
    memoryLevel: int
    """How much memory the compressor takes beside its window, 1 to 9."""
    threshold: int
    """Bytes from which on a message is compressed."""
    engine: Engine
    """What does it."""
