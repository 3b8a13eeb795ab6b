"""The two implementations of the frames, driven side by side.

What one does the other does: :class:`Twins` raises :class:`Differ` where it does not.
The tests use it, and so does :mod:`tests.sanitize`, with an interpreter in which little
else is loaded.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from twisted_ws import frames

KEY = b"\x37\xfa\x21\x3d"
Buffer = bytes | bytearray | memoryview


class Differ(AssertionError):
    """The implementations do not do the same."""


def same(what: str, one: object, other: object) -> None:
    """Hold two results against each other.

    :param what: what they are results of
    :raises Differ: they are not equal, or not of the same type
    """
    if type(one) is not type(other) or one != other:
        raise Differ(f"{what}: Python {one!r:.200}, C {other!r:.200}")


def outcome(function: Callable[..., Any], *arguments: Any) -> Any:
    """Give what a function returns, or the type of what it raises."""
    try:
        return function(*arguments)
    except Exception as error:
        return type(error)


class Twins:
    """A decoder of each kind.

    :param native: the module in C
    :param masked: whether frames are masked
    :param reservedBits: as for the decoders
    """

    def __init__(self, native: Any, masked: bool, reservedBits: int = 0) -> None:
        self.masked = masked
        self._python = frames.FrameDecoder(masked, reservedBits)
        self._native = native.FrameDecoder(masked, reservedBits)

    def _check(self, what: str, one: object, other: object) -> None:
        same(what, one, other)
        python, native = self._python, self._native
        same("type of the error", type(python.error), type(native.error))
        same("error", str(python.error), str(native.error))
        for name in (
            "pending",
            "partial",
            "received",
            "isASCII",
            "hasMore",
            "isMidFrame",
        ):
            same(name, getattr(python, name), getattr(native, name))

    def feed(self, data: Buffer) -> list[tuple[int, bytes]]:
        """Feed both.

        :param data: for the one in C; the other gets bytes
        :returns: the frames
        """
        found = self._python.feed(bytes(data))
        self._check("frames", found, self._native.feed(data))
        return found

    def feedMessages(
        self, data: Buffer, limit: int
    ) -> tuple[list[str | bytes], list[tuple[int, bytes]]]:
        """Feed both, for messages.

        :param data: likewise
        :param limit: the largest message
        """
        found = self._python.feedMessages(bytes(data), limit)
        self._check("messages", found, self._native.feedMessages(data, limit))
        return found

    def fork(self) -> Twins:
        """Fork both."""
        other = object.__new__(Twins)
        other.masked = self.masked
        other._python = self._python.fork()
        other._native = self._native.fork()
        other._check("fork", None, None)
        return other

    @property
    def error(self) -> Exception | None:
        """What is wrong."""
        return self._python.error

    @property
    def hasMore(self) -> bool:
        """Whether there are more frames."""
        return self._python.hasMore


def drawFrame(draw: random.Random, masked: bool) -> bytes:
    """Draw a frame, which is good more often than not."""
    first = draw.choice((0x81, 0x81, 0x82, 0x82, 0x01, 0x80, 0x00, 0x89, 0xC1, 0x88))
    size = draw.choice((0, 1, 2, 3, 7, 8, 9, 31, 125, 126, 127, 1023, 1024, 1025, 5000))
    if draw.random() < 0.03:
        size = draw.choice((65535, 65536, 65537, 200_000))
    if first & 0x08:
        size = min(size, 125)
    payload = draw.choice((b"a", b"\xc3\xa9", b"\xff", b"\xed\xa0\x80")) * size
    key = draw.randbytes(4) if masked else None
    return frames.encodeFrame(first, payload[:size], key)


def drawStream(draw: random.Random, masked: bool) -> bytes:
    """Draw a stream: frames, perhaps with some bytes changed, with hostile headers, or
    with nothing but chance in it."""
    stream = bytearray()
    for _ in range(draw.randrange(1, 12)):
        chance = draw.random()
        if chance < 0.9:
            stream += drawFrame(draw, masked)
        elif chance < 0.95:
            length = draw.choice(
                (0, 1, 65535, 1 << 31, 1 << 40, 1 << 62, (1 << 63) - 1)
            )
            length = draw.choice((length, length | 1 << 63))
            bit = 0x80 if masked else 0
            stream += bytes((draw.choice((0x81, 0x82)), 127 | bit))
            stream += length.to_bytes(8, "big") + draw.randbytes(draw.randrange(2000))
        else:
            stream += draw.randbytes(draw.randrange(40))
    if draw.random() < 0.1:
        stream += frames.encodeFrame(0x82, b"", KEY if masked else None) * 2500
    if draw.random() < 0.3:
        for _ in range(draw.randrange(1, 4)):
            stream[draw.randrange(len(stream))] = draw.randrange(256)
    return bytes(stream)


def drawSegments(draw: random.Random, stream: bytes) -> Iterator[Buffer]:
    """Cut a stream anywhere, into objects of any kind."""
    at = 0
    most = draw.choice((1, 3, 20, 600, 5000, 65536, 1 << 20))
    if len(stream) // most > 5000:
        most = 600
    while at < len(stream):
        size = draw.randrange(most + 1)
        segment = stream[at : at + size]
        at += size
        kind = draw.randrange(5)
        if kind == 0:
            yield bytearray(segment)
        elif kind == 1:
            # At an odd address.
            yield memoryview(b"x" + segment)[1:]
        else:
            yield segment


def checkRandomly(native: Any, seed: int) -> None:
    """Draw a stream and how it comes, and hold both against each other at each step.

    :param native: the module in C
    :param seed: what to draw from
    :raises Differ: they do not do the same
    """
    draw = random.Random(seed)
    masked = draw.random() < 0.7
    twins = Twins(native, masked, draw.choice((0, frames.RSV1)))
    limit = draw.choice((0, 1, 125, 1024, 1 << 20, 1 << 70))
    for segment in drawSegments(draw, drawStream(draw, masked)):
        if draw.random() < 0.1:
            other = twins.fork()
            other.feed(segment)
            if draw.random() < 0.5:
                twins = other
                continue
        if draw.random() < 0.5:
            twins.feed(segment)
        else:
            twins.feedMessages(segment, limit)
        while twins.hasMore and draw.random() < 0.8:
            twins.feed(b"")


def checkFunctions(native: Any, size: int) -> None:
    """Hold masking and writing against each other for one size, at each alignment.

    :param native: the module in C
    :param size: of the payload
    :raises Differ: they do not do the same
    """
    draw = random.Random(size)
    for letters in ("a~", "aé", "a𝄞"):
        text = "".join(draw.choices(letters, k=size))
        for used in (None, b"key!"):
            same(
                f"frame of {size} letters",
                frames.encodeFrame(0x81, text, used),
                native.encodeFrame(0x81, text, used),
            )
    whole = draw.randbytes(size + 16)
    key = draw.randbytes(4)
    for start in range(16):
        data = memoryview(whole)[start : start + size]
        expected = frames.mask(bytes(data), key)
        for each in (data, bytes(data), bytearray(data)):
            same(f"mask of {size} bytes", expected, native.mask(each, key))
        for used in (None, key):
            same(
                f"frame of {size} bytes",
                frames.encodeFrame(0x82, bytes(data), used),
                native.encodeFrame(0x82, data, used),
            )
