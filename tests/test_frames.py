"""Frames and masking, against the tables of RFC 6455 section 5.

The cases on the wire stand in :class:`FrameCases`, which names no implementation: a
second one is run through all of them by another subclass at the module's end.
"""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.errors import ConnectionFailed, ProtocolError
from twisted_ws.frames import (
    FIN,
    FRAMES_PER_FEED,
    MAX_CONTROL_PAYLOAD,
    RSV1,
    FrameDecoder,
    Opcode,
    encodeFrame,
    mask,
)

if TYPE_CHECKING:
    _Base = SynchronousTestCase
else:
    # The cases are no tests of their own until a subclass says what they test.
    _Base = object

KEY = b"\x37\xfa\x21\x3d"
TEXT = FIN | 0x1
BINARY = FIN | 0x2
PING = FIN | 0x9
LARGEST = (1 << 63) - 1

anyCase = settings(
    derandomize=True,
    deadline=None,
    max_examples=150,
    # Each implementation is a class that runs the same method.
    suppress_health_check=[HealthCheck.differing_executors],
)

Frame = tuple[int, bytes]


class Encode(Protocol):
    """What writes a frame."""

    def __call__(
        self, first: int, payload: bytes | str, key: bytes | None = None, /
    ) -> bytes: ...


class Decoder(Protocol):
    """What an implementation of the decoder has."""

    error: ConnectionFailed | None
    pending: tuple[int, int] | None
    partial: bytes

    def __init__(self, masked: bool, reservedBits: int = 0) -> None: ...

    @property
    def hasMore(self) -> bool: ...

    @property
    def isMidFrame(self) -> bool: ...

    def fork(self) -> Decoder: ...

    def feed(self, data: bytes, /) -> list[Frame]: ...

    def feedMessages(
        self, data: bytes, limit: int, /
    ) -> tuple[list[str | bytes], list[Frame]]: ...


def maskNaively(data: bytes, key: bytes) -> bytes:
    """Mask as RFC 6455 section 5.3 writes it: byte by byte."""
    return bytes(byte ^ key[at % 4] for at, byte in enumerate(data))


def writeHeader(
    first: int, length: int, masked: bool = False, form: int | None = None
) -> bytes:
    """Write a header without its key.

    :param first: the first byte
    :param length: the payload's length
    :param masked: whether to set the mask bit
    :param form: bytes of the extended length: 0, 2 or 8; the default is the shortest
    """
    if form is None:
        form = 0 if length < 126 else 2 if length < 65536 else 8
    short = {0: length, 2: 126, 8: 127}[form]
    extended = length.to_bytes(form, "big") if form else b""
    return bytes([first, short | (0x80 if masked else 0)]) + extended


def writeFrame(first: int, payload: bytes, key: bytes | None = None) -> bytes:
    """Write a frame, by other means than the code under test."""
    header = writeHeader(first, len(payload), key is not None)
    return header + (payload if key is None else key + maskNaively(payload, key))


def mayBeFirst(first: int, rsv1Allowed: bool) -> bool:
    """Tell what RFC 6455 sections 5.2 and 5.5 and RFC 7692 section 6 say of a first
    byte."""
    opcode = first & 0x0F
    if opcode not in (0x0, 0x1, 0x2, 0x8, 0x9, 0xA):
        return False
    if first & 0x30:
        return False
    if first & 0x40 and not (rsv1Allowed and opcode in (0x1, 0x2)):
        return False
    return bool(first & 0x80) or opcode < 0x8


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut bytes into segments."""
    ends = [*sorted(min(place, len(data)) for place in places), len(data)]
    starts = [0, *ends[:-1]]
    return [data[start:end] for start, end in zip(starts, ends, strict=True)]


class Case(NamedTuple):
    """Bytes on the wire and what they are."""

    name: str
    masked: bool
    data: bytes
    frames: list[Frame]
    error: str | None = None
    """A word of what is wrong, None if nothing is."""
    known: int = 0
    """After how many bytes the error can be known, whatever comes behind them."""
    reservedBits: int = 0


def bothRoles(
    name: str, frames: Sequence[Frame], key: bytes = KEY, reservedBits: int = 0
) -> list[Case]:
    """Make the cases of good frames, from a client and from a server."""
    return [
        Case(
            f"{name}, {'masked' if masked else 'in clear'}",
            masked,
            b"".join(
                writeFrame(first, payload, key if masked else None)
                for first, payload in frames
            ),
            list(frames),
            reservedBits=reservedBits,
        )
        for masked in (False, True)
    ]


def badHeader(
    name: str, error: str, first: int, length: int, form: int | None = None
) -> list[Case]:
    """Make the cases of a bad header: alone, and behind a good frame."""
    cases = []
    for masked in (False, True):
        key = KEY if masked else None
        bad = writeHeader(first, length, masked, form)
        good = writeFrame(BINARY, b"good", key)
        known = 2 if error != "length" else len(bad)
        role = "masked" if masked else "in clear"
        # As much payload as there would be, at most.
        rest = (key or b"") + bytes(min(length, 300))
        cases += [
            Case(f"{name}, {role}", masked, bad + rest, [], error, known),
            Case(
                f"{name}, {role}, behind a frame",
                masked,
                good + bad + rest,
                [(BINARY, b"good")],
                error,
                len(good) + known,
            ),
        ]
    return cases


# RFC 6455 section 5.7.
RFC_CASES = [
    Case("text", False, b"\x81\x05Hello", [(0x81, b"Hello")]),
    Case(
        "masked text",
        True,
        b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
        [(0x81, b"Hello")],
    ),
    Case("fragments", False, b"\x01\x03Hel\x80\x02lo", [(1, b"Hel"), (0x80, b"lo")]),
    Case("ping", False, b"\x89\x05Hello", [(0x89, b"Hello")]),
    Case(
        "masked pong",
        True,
        b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
        [(0x8A, b"Hello")],
    ),
    Case("256 bytes", False, b"\x82\x7e\x01\x00" + b"x" * 256, [(0x82, b"x" * 256)]),
]

GOOD_CASES = [
    *RFC_CASES,
    Case("nothing, masked", True, b"", []),
    Case("nothing, in clear", False, b"", []),
    *bothRoles("an empty message", [(TEXT, b"")]),
    *bothRoles("one byte", [(BINARY, b"\xff")]),
    *bothRoles("three bytes", [(BINARY, b"\0\xff\x80")]),
    *bothRoles("many small ones", [(TEXT, b"%d" % n) for n in range(50)]),
    *bothRoles("empty ones in a row", [(0x02, b"")] + [(0x00, b"")] * 9),
    *bothRoles("125 bytes", [(BINARY, bytes(range(125)))]),
    *bothRoles("126 bytes", [(BINARY, bytes(range(126)))]),
    *bothRoles("127 bytes", [(BINARY, bytes(range(127)))]),
    *bothRoles("control frames", [(0x88, b""), (0x89, b"x" * 125), (0x8A, b"ab")]),
    *bothRoles("ping in a message", [(0x01, b"a"), (0x89, b""), (0x80, b"b")]),
    *bothRoles("a key of zeros", [(BINARY, b"abcdefg")], key=bytes(4)),
    *bothRoles("a key of ones", [(BINARY, b"abcdefg")], key=b"\xff" * 4),
    *bothRoles(
        "RSV1",
        [(FIN | RSV1 | 0x1, b"abc"), (RSV1 | 0x2, b""), (0x80, b"d"), (TEXT, b"e")],
        reservedBits=RSV1,
    ),
]

BAD_CASES = [
    *badHeader("reserved opcode", "opcode", FIN | 0x3, 0),
    *badHeader("reserved control opcode", "opcode", FIN | 0xB, 5),
    *badHeader("RSV1", "reserved bits", FIN | 0x41, 5),
    *badHeader("RSV2", "reserved bits", FIN | 0x21, 5),
    *badHeader("RSV3", "reserved bits", FIN | 0x12, 200),
    *badHeader("RSV1 on a ping", "reserved bits", FIN | 0x49, 5),
    *badHeader("fragmented close", "fragmented", 0x08, 2),
    *badHeader("fragmented ping", "fragmented", 0x09, 0),
    *badHeader("ping of 126 bytes", "125", PING, 126),
    *badHeader("ping of 65536 bytes", "125", PING, 65536),
    *badHeader("ping of 5 bytes in 16 bits", "125", PING, 5, form=2),
    *badHeader("close of 126 bytes", "125", 0x88, 126),
    *(
        case
        for length in (0, 1, 124, 125)
        for case in badHeader(f"{length} in 16 bits", "length", BINARY, length, 2)
    ),
    *(
        case
        for length in (0, 1, 125, 126, 127, 255, 256, 65534, 65535)
        for case in badHeader(f"{length} in 64 bits", "length", BINARY, length, 8)
    ),
    *(
        case
        for length in (1 << 63, (1 << 63) + 5, (1 << 63) + 65536, (1 << 64) - 1)
        for case in badHeader(f"{length:#x}", "length", BINARY, length, 8)
    ),
    Case("masked by a server", False, writeFrame(TEXT, b"a", KEY), [], "masked", 2),
    Case("not masked by a client", True, writeFrame(TEXT, b"a"), [], "not masked", 2),
    Case("empty, masked by a server", False, b"\x81\x80" + KEY, [], "masked", 2),
    Case("empty, not masked by a client", True, b"\x81\x00", [], "not masked", 2),
    Case(
        "masked by a server, long",
        False,
        writeFrame(TEXT, b"a" * 70000, KEY)[:600],
        [],
        "masked",
        2,
    ),
    Case(
        "not masked by a client, long",
        True,
        writeFrame(TEXT, b"a" * 70000)[:600],
        [],
        "not masked",
        2,
    ),
    *(
        Case(
            f"RSV1 on {first:#x}",
            True,
            writeFrame(first, b"a", KEY),
            [],
            "reserved bits",
            2,
            RSV1,
        )
        for first in (RSV1, FIN | RSV1, FIN | RSV1 | 0x8, FIN | RSV1 | 0x9)
    ),
]

frames = st.lists(
    st.tuples(
        st.sampled_from([first for first in range(256) if mayBeFirst(first, False)]),
        st.binary(max_size=125),
    )
    | st.tuples(
        st.sampled_from([0x00, 0x01, 0x02, 0x80, 0x81, 0x82]),
        st.binary(max_size=300)
        | st.tuples(
            st.sampled_from([125, 126, 127, 16383, 16385, 65535, 65536, 65537]),
            st.binary(min_size=1, max_size=7),
        ).map(lambda drawn: (drawn[1] * drawn[0])[: drawn[0]]),
    ),
    max_size=6,
)
keys = st.binary(min_size=4, max_size=4)
places = st.lists(st.integers(0, 1000) | st.integers(0, 200000), max_size=8)


class FrameCases(_Base):
    """What is true of every implementation."""

    decoderClass: ClassVar[type[Decoder]]
    """The decoder under test."""
    maskFunction: staticmethod[[bytes, bytes], bytes]
    """The mask function under test."""

    # Helpers

    def make(self, masked: bool, reservedBits: int = 0) -> Decoder:
        """Make a decoder."""
        return self.decoderClass(masked=masked, reservedBits=reservedBits)

    def feedAll(self, decoder: Decoder, segments: Iterable[bytes]) -> list[Frame]:
        """Feed segments until there is an error, as a connection does."""
        found: list[Frame] = []
        for segment in segments:
            found += decoder.feed(segment)
            if decoder.error is not None:
                break
        for _, payload in found:
            self.assertIs(type(payload), bytes)
        return found

    def state(self, decoder: Decoder) -> tuple[str, object, bool]:
        """Give what a decoder says after all its segments."""
        if decoder.error is not None:
            return str(decoder.error), None, False
        return "", decoder.pending, decoder.isMidFrame

    def checkIdle(self, decoder: Decoder, where: str) -> None:
        """Check that a decoder is between two frames."""
        self.assertIsNone(decoder.error, where)
        self.assertIsNone(decoder.pending, where)
        self.assertEqual(decoder.partial, b"", where)
        self.assertFalse(decoder.isMidFrame, where)

    def checkError(self, decoder: Decoder, case: Case, where: str) -> None:
        """Check that a decoder has found what is wrong."""
        self.assertIsInstance(decoder.error, ProtocolError, where)
        assert decoder.error is not None
        self.assertEqual(decoder.error.closeCode, 1002, where)
        self.assertIn(case.error, str(decoder.error), where)

    def refusedAt(self, masked: bool, data: bytes, reservedBits: int = 0) -> bool:
        """Tell whether bytes in one segment are an error, and no frame."""
        decoder = self.make(masked, reservedBits)
        found = decoder.feed(data)
        if decoder.error is None:
            return False
        self.assertEqual(found, [])
        return True

    # Cases on the wire

    def test_goodWhole(self) -> None:
        """Frames in one segment are given back, and nothing is left."""
        for case in GOOD_CASES:
            decoder = self.make(case.masked, case.reservedBits)
            found = self.feedAll(decoder, [case.data])
            self.assertEqual(found, case.frames, case.name)
            self.checkIdle(decoder, case.name)

    def test_goodBytewise(self) -> None:
        """Frames in segments of one byte are the same frames, each given back with its
        last byte."""
        for case in GOOD_CASES:
            decoder = self.make(case.masked, case.reservedBits)
            found: list[Frame] = []
            size = 0
            for at in range(len(case.data)):
                brought = decoder.feed(case.data[at : at + 1])
                for first, payload in brought:
                    key = KEY if case.masked else None
                    size += len(writeFrame(first, payload, key))
                    self.assertEqual(at + 1, size, case.name)
                found += brought
                self.assertEqual(decoder.isMidFrame, at + 1 != size, case.name)
            self.assertEqual(found, case.frames, case.name)
            self.checkIdle(decoder, case.name)

    def test_goodInTwo(self) -> None:
        """Frames cut once, at each place, are the same frames."""
        for case in GOOD_CASES:
            for place in range(len(case.data) + 1):
                decoder = self.make(case.masked, case.reservedBits)
                found = self.feedAll(decoder, cut(case.data, [place]))
                self.assertEqual(found, case.frames, f"{case.name}, cut at {place}")
                self.checkIdle(decoder, f"{case.name}, cut at {place}")

    def test_goodWithTail(self) -> None:
        """Frames with the beginning of another one behind them are the same frames, and
        that one comes with the rest of it."""
        for case in GOOD_CASES:
            next_ = writeFrame(BINARY, b"tail" * 40, KEY if case.masked else None)
            for size in range(1, len(next_)):
                decoder = self.make(case.masked, case.reservedBits)
                where = f"{case.name}, tail of {size}"
                found = decoder.feed(case.data + next_[:size])
                self.assertEqual(found, case.frames, where)
                self.assertTrue(decoder.isMidFrame, where)
                found = decoder.feed(next_[size:])
                self.assertEqual(found, [(BINARY, b"tail" * 40)], where)
                self.checkIdle(decoder, where)

    def test_badWhole(self) -> None:
        """What is wrong is told, and frames before it in the same segment are given
        back."""
        for case in BAD_CASES:
            decoder = self.make(case.masked, case.reservedBits)
            self.assertEqual(decoder.feed(case.data), case.frames, case.name)
            self.checkError(decoder, case, case.name)

    def test_badBytewise(self) -> None:
        """What is wrong is told as soon as the bytes that show it are there, one by
        one; frames before it came in time."""
        for case in BAD_CASES:
            decoder = self.make(case.masked, case.reservedBits)
            known = case.data[: case.known]
            segments = [known[at : at + 1] for at in range(len(known))]
            self.assertEqual(self.feedAll(decoder, segments), case.frames, case.name)
            self.checkError(decoder, case, case.name)

    def test_badEarly(self) -> None:
        """What is wrong is told without a byte more than those that show it, in one
        segment or in two cut at any place."""
        for case in BAD_CASES:
            for place in range(case.known):
                decoder = self.make(case.masked, case.reservedBits)
                where = f"{case.name}, cut at {place}"
                segments = cut(case.data[: case.known], [place])
                self.assertEqual(self.feedAll(decoder, segments), case.frames, where)
                self.checkError(decoder, case, where)

    def test_badWithTail(self) -> None:
        """What stands behind an error is not looked at, be it a good frame."""
        for case in BAD_CASES:
            key = KEY if case.masked else None
            for tail in (b"\0", b"\xff" * 20, writeFrame(TEXT, b"good", key) * 3):
                decoder = self.make(case.masked, case.reservedBits)
                found = decoder.feed(case.data[: case.known] + tail)
                self.assertEqual(found, case.frames, case.name)
                self.checkError(decoder, case, case.name)

    def test_feedAfterError(self) -> None:
        """Nothing is decoded from an error on: later segments bring no frames, and the
        error stays."""
        for case in BAD_CASES:
            key = KEY if case.masked else None
            decoder = self.make(case.masked, case.reservedBits)
            decoder.feed(case.data)
            error = decoder.error
            for segment in (b"", writeFrame(TEXT, b"good", key), b"\xff" * 20):
                self.assertEqual(decoder.feed(segment), [], case.name)
                self.assertIs(decoder.error, error, case.name)

    # Headers

    def test_F02_everyFirstByte(self) -> None:
        """Of all 256 first bytes those of the RFC's table begin a frame, the others are
        an error once two bytes are there; RSV1 only where an extension has it."""
        for masked in (False, True):
            key = KEY if masked else None
            for reservedBits in (0, RSV1):
                for first in range(256):
                    where = f"{first:#x}, RSV {reservedBits:#x}, masked {masked}"
                    data = writeFrame(first, b"", key)
                    good = mayBeFirst(first, reservedBits == RSV1)
                    refused = self.refusedAt(masked, data[:2], reservedBits)
                    self.assertEqual(refused, not good, where)
                    if good:
                        decoder = self.make(masked, reservedBits)
                        self.assertEqual(decoder.feed(data), [(first, b"")], where)
                        self.checkIdle(decoder, where)

    def test_F02_whatIsWrong(self) -> None:
        """The error says which rule a first byte breaks."""
        for first in range(256):
            if mayBeFirst(first, False):
                continue
            if first & 0x0F not in (0x0, 0x1, 0x2, 0x8, 0x9, 0xA):
                expected = f"reserved opcode {first & 0x0F:#x}"
            elif first & 0x70:
                expected = "reserved bits"
            else:
                expected = "fragmented control frame"
            decoder = self.make(False)
            decoder.feed(bytes([first, 0]))
            self.assertIn(expected, str(decoder.error), f"{first:#x}")

    def test_F01_everyMaskBit(self) -> None:
        """The mask bit must be set by a client and must not by a server, for each
        opcode and each length; two bytes show it."""
        for first in (0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A):
            for second in range(256):
                tooLong = first & 0x08 and second & 0x7F > 125
                for masked in (False, True):
                    good = bool(second & 0x80) == masked and not tooLong
                    refused = self.refusedAt(masked, bytes([first, second]))
                    self.assertEqual(
                        refused, not good, f"{first:#x} {second:#x}, masked {masked}"
                    )

    def test_F04_controlLength(self) -> None:
        """A control frame has at most 125 bytes; two bytes show that it has more."""
        for masked in (False, True):
            key = KEY if masked else None
            for first in (0x88, 0x89, 0x8A):
                for size in range(126):
                    data = writeFrame(first, bytes(size), key)
                    self.assertEqual(
                        self.make(masked).feed(data), [(first, bytes(size))]
                    )
                for short in (126, 127):
                    data = bytes([first, short | (0x80 if masked else 0)])
                    self.assertTrue(self.refusedAt(masked, data), f"{data!r}")

    def test_F03_shortestForm(self) -> None:
        """Each length is accepted in its shortest form and in no other one, and the
        header alone shows it."""
        for length in (0, 1, 125, 126, 127, 255, 256, 65535, 65536, 65537, LARGEST):
            shortest = 0 if length < 126 else 2 if length < 65536 else 8
            for form in (0, 2, 8):
                if form < shortest:
                    continue
                for masked in (False, True):
                    data = writeHeader(BINARY, length, masked, form)
                    self.assertEqual(
                        self.refusedAt(masked, data),
                        form != shortest,
                        f"{length} in {form} bytes, masked {masked}",
                    )

    def test_F03_everyShort16(self) -> None:
        """Of all lengths in 16 bits, those under 126 are refused."""
        for length in (*range(300), *range(256, 65536, 251), 65535):
            data = writeHeader(BINARY, length, False, 2)
            self.assertEqual(self.refusedAt(False, data), length < 126, str(length))

    def test_F03_topBit(self) -> None:
        """The most significant bit of a 64-bit length must be 0, whatever follows."""
        for length in (65536, 65537, 1 << 32, LARGEST, 1 << 62):
            for masked in (False, True):
                good = writeHeader(BINARY, length, masked, 8)
                bad = writeHeader(BINARY, length | 1 << 63, masked, 8)
                self.assertFalse(self.refusedAt(masked, good), f"{length:#x}")
                self.assertTrue(self.refusedAt(masked, bad), f"{length:#x}")

    def test_lengths(self) -> None:
        """Payloads on both sides of each form's bounds come out whole, in one segment,
        in two, and byte by byte around their header."""
        pattern = bytes(range(251))
        for size in (0, 1, 125, 126, 127, 65535, 65536, 65537):
            payload = (pattern * (size // 251 + 1))[:size]
            for masked in (False, True):
                data = writeFrame(BINARY, payload, KEY if masked else None)
                for segments in (
                    [data],
                    cut(data, range(20)),
                    cut(data, [len(data) - 1]),
                    cut(data, [size // 2]),
                    cut(data, range(0, len(data), 1000)),
                ):
                    decoder = self.make(masked)
                    found = self.feedAll(decoder, segments)
                    # Not assertEqual: its message would show both.
                    self.assertTrue(
                        found == [(BINARY, payload)],
                        f"{size} bytes in {len(segments)} segments, masked {masked}",
                    )
                    self.checkIdle(decoder, f"{size} bytes")

    # State between segments

    def test_fresh(self) -> None:
        """A new decoder is between two frames."""
        for masked in (False, True):
            self.checkIdle(self.make(masked), "fresh")

    def test_reservedBitsDefault(self) -> None:
        """No extension is what a decoder is made for when nothing is said."""
        decoder = self.decoderClass(False)
        decoder.feed(bytes([FIN | RSV1 | 0x1, 0]))
        self.assertIsInstance(decoder.error, ProtocolError)

    def test_midHeader(self) -> None:
        """While a header is incomplete its frame has begun, but is not pending."""
        for length in (0, 1, 200, 70000):
            for masked in (False, True):
                header = writeHeader(BINARY, length, masked) + (KEY if masked else b"")
                decoder = self.make(masked)
                for at in range(len(header) - 1):
                    where = f"{length} bytes, masked {masked}, {at}"
                    self.assertEqual(decoder.feed(header[at : at + 1]), [], where)
                    self.assertTrue(decoder.isMidFrame, where)
                    self.assertIsNone(decoder.pending, where)
                    self.assertEqual(decoder.partial, b"", where)
                    self.assertEqual(decoder.feed(b""), [], where)
                    self.assertTrue(decoder.isMidFrame, where)
                found = decoder.feed(header[-1:])
                if length == 0:
                    self.assertEqual(found, [(BINARY, b"")])
                    self.checkIdle(decoder, "empty frame")
                else:
                    self.assertEqual(found, [])
                    self.assertEqual(decoder.pending, (BINARY, length))
                    self.assertTrue(decoder.isMidFrame)

    def test_pending(self) -> None:
        """A frame is pending from the end of its header to the last byte but one of its
        payload, with its whole length."""
        for masked in (False, True):
            data = writeFrame(0x01, b"abcdef", KEY if masked else None)
            header = len(data) - 6
            for size in range(header, len(data)):
                decoder = self.make(masked)
                self.assertEqual(decoder.feed(data[:size]), [])
                self.assertEqual(decoder.pending, (0x01, 6))
                self.assertTrue(decoder.isMidFrame)
                self.assertEqual(decoder.partial, b"abcdef"[: size - header])
                self.assertEqual(decoder.feed(data[size:]), [(0x01, b"abcdef")])
                self.checkIdle(decoder, str(size))

    def test_partial(self) -> None:
        """What the last segment brought of the pending payload is given unmasked, and
        only that, wherever the payload is cut."""
        payload = b"The quick brown fox"
        for masked in (False, True):
            data = writeFrame(TEXT, payload, KEY if masked else None)
            start = len(data) - len(payload)
            for size in range(1, 6):
                decoder = self.make(masked)
                decoder.feed(data[:start])
                self.assertEqual(decoder.partial, b"")
                for at in range(start, len(data) - size, size):
                    decoder.feed(data[at : at + size])
                    expected = payload[at - start : at - start + size]
                    self.assertEqual(decoder.partial, expected)
                    self.assertIs(type(decoder.partial), bytes)

    def test_partialOfNothing(self) -> None:
        """An empty segment brings nothing, and changes nothing else."""
        for masked in (False, True):
            data = writeFrame(TEXT, b"abcd", KEY if masked else None)
            decoder = self.make(masked)
            self.assertEqual(decoder.feed(b""), [])
            self.checkIdle(decoder, "before")
            decoder.feed(data[:-2])
            self.assertEqual(decoder.partial, b"ab")
            self.assertEqual(decoder.feed(b""), [])
            self.assertEqual(decoder.partial, b"")
            self.assertEqual(decoder.pending, (TEXT, 4))
            self.assertEqual(decoder.feed(data[-2:]), [(TEXT, b"abcd")])
            self.assertEqual(decoder.feed(b""), [])
            self.checkIdle(decoder, "after")

    def test_oneEndsOneBegins(self) -> None:
        """A segment that ends a frame and begins another one leaves that one pending,
        with its own partial payload, or held, with none."""
        for masked in (False, True):
            key = KEY if masked else None
            one = writeFrame(0x01, b"abcdef", key)
            two = writeFrame(BINARY, b"uvwxyz", key)
            decoder = self.make(masked)
            decoder.feed(one[:-3])
            self.assertEqual(decoder.feed(one[-3:] + two[:-4]), [(0x01, b"abcdef")])
            self.assertEqual(decoder.pending, (BINARY, 6))
            self.assertEqual(decoder.partial, b"uv")
            self.assertEqual(decoder.feed(two[-4:] + one[:1]), [(BINARY, b"uvwxyz")])
            self.assertIsNone(decoder.pending)
            self.assertEqual(decoder.partial, b"")
            self.assertTrue(decoder.isMidFrame)
            self.assertEqual(decoder.feed(one[1:]), [(0x01, b"abcdef")])
            self.checkIdle(decoder, "end")

    def test_errorBehindPending(self) -> None:
        """A pending frame that ends in the segment with an error is given back."""
        for masked in (False, True):
            good = writeFrame(TEXT, b"good", KEY if masked else None)
            decoder = self.make(masked)
            decoder.feed(good[:-1])
            self.assertEqual(decoder.feed(good[-1:] + b"\xff\xff"), [(TEXT, b"good")])
            self.assertIsInstance(decoder.error, ProtocolError)

    def test_F05_announcedOnly(self) -> None:
        """The largest length there is costs no memory before payload comes, so that the
        caller can refuse it by its header."""
        for masked in (False, True):
            for length in (1 << 30, 1 << 40, LARGEST):
                key = KEY if masked else b""
                decoder = self.make(masked)
                tracemalloc.start()
                try:
                    decoder.feed(writeHeader(BINARY, length, masked) + key + b"ab")
                    decoder.feed(b"cd")
                    peak = tracemalloc.get_traced_memory()[1]
                finally:
                    tracemalloc.stop()
                self.assertEqual(decoder.pending, (BINARY, length))
                self.assertEqual(len(decoder.partial), 2)
                self.assertTrue(peak < 100_000, f"{length}: {peak} bytes")

    def test_F10_tinySegments(self) -> None:
        """A large frame in segments of one byte costs at most three times its size, and
        comes out whole."""
        size = 70_000
        payload = bytes(range(250)) * (size // 250)
        for masked in (False, True):
            data = writeFrame(BINARY, payload, KEY if masked else None)
            segments = [data[at : at + 1] for at in range(len(data))]
            decoder = self.make(masked)
            found: list[Frame] = []
            tracemalloc.start()
            try:
                for segment in segments:
                    found += decoder.feed(segment)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            self.assertTrue(found == [(BINARY, payload)], f"masked {masked}")
            self.assertTrue(peak <= 3 * size + 20_000, f"{peak} bytes")
            self.checkIdle(decoder, f"masked {masked}")

    def test_F13_manySmallFrames(self) -> None:
        """Thousands of frames in one segment are all given back, in order, a limited
        number at a time."""
        for masked in (False, True):
            key = KEY if masked else None
            expected = [(BINARY, b"%d" % number) for number in range(5000)]
            data = b"".join(writeFrame(*frame, key) for frame in expected)
            decoder = self.make(masked)
            given = decoder.feed(data[:-1])
            self.assertEqual(len(given), FRAMES_PER_FEED)
            self.assertTrue(decoder.hasMore and decoder.isMidFrame)
            given += decoder.feed(data[-1:])
            while decoder.hasMore:
                given += decoder.feed(b"")
            self.assertTrue(given == expected)
            self.checkIdle(decoder, f"masked {masked}")

    def test_fork(self) -> None:
        """One that goes on from another's place, wherever that is, comes to the same on
        its own, and leaves the other as it was."""
        for case in (*GOOD_CASES, *BAD_CASES):
            for place in range(len(case.data) + 1):
                where = f"{case.name}, cut at {place}"
                decoder = self.make(case.masked, case.reservedBits)
                before = decoder.feed(case.data[:place])
                other = decoder.fork()
                self.assertIs(type(other), type(decoder), where)
                self.assertEqual(self.state(other), self.state(decoder), where)
                self.assertEqual(other.partial, decoder.partial, where)
                self.assertIs(other.error, decoder.error, where)
                for each in (other, decoder):
                    found = before + each.feed(case.data[place:])
                    self.assertEqual(found, case.frames, where)
                    if case.error is None:
                        self.checkIdle(each, where)
                    else:
                        self.checkError(each, case, where)

    def test_forkGoesItsOwnWay(self) -> None:
        """After it a payload under way and frames that were left are each one's own."""
        for masked in (False, True):
            key = KEY if masked else None
            data = writeFrame(BINARY, b"abcdef", key)
            decoder = self.make(masked)
            decoder.feed(data[:-3])
            other = decoder.fork()
            self.assertEqual(other.feed(data[-3:]), [(BINARY, b"abcdef")])
            self.assertEqual(decoder.partial, b"abc")
            rest = writeFrame(BINARY, b"abcuvw", key)[-3:]
            self.assertEqual(decoder.feed(rest), [(BINARY, b"abcuvw")])
            small = writeFrame(TEXT, b"", key)
            decoder.feed(small * (FRAMES_PER_FEED + 2))
            other = decoder.fork()
            self.assertEqual(other.feed(b""), [(TEXT, b"")] * 2)
            self.assertFalse(other.hasMore)
            self.assertTrue(decoder.hasMore)
            self.assertEqual(decoder.feed(small), [(TEXT, b"")] * 3)

    # Messages

    def test_messages(self) -> None:
        """The whole messages that a segment begins with come as such, up to a frame
        that is none: a control frame, a fragment, a compressed one, one over the limit,
        a text that is not UTF-8."""
        begin = [(TEXT, "h\u00e4llo".encode()), (BINARY, b"\xff"), (TEXT, b"")]
        for masked in (False, True):
            key = KEY if masked else None
            for end in (
                [],
                [(PING, b"a"), (TEXT, b"b")],
                [(0x01, b"a"), (0x80, b"b"), (TEXT, b"c")],
                [(FIN, b"a"), (TEXT, b"b")],
                [(FIN | RSV1 | 0x1, b"a"), (TEXT, b"b")],
                [(BINARY, b"1234567"), (TEXT, b"b")],
                [(TEXT, b"1234567"), (TEXT, b"b")],
                [(TEXT, b"\xff"), (TEXT, b"b")],
                [(TEXT, b"\xed\xa0\x80"), (TEXT, b"b")],
                [(TEXT, b"abc\xc3"), (BINARY, b"b")],
            ):
                data = b"".join(
                    writeFrame(first, payload, key) for first, payload in begin + end
                )
                for place in range(len(data) + 1):
                    decoder = self.make(masked, RSV1)
                    where = f"{end}, cut at {place}, masked {masked}"
                    messages, found = decoder.feedMessages(data[:place], 6)
                    if found:
                        found += decoder.feed(data[place:])
                    else:
                        more, found = decoder.feedMessages(data[place:], 6)
                        messages += more
                    self.assertEqual(messages, ["h\u00e4llo", b"\xff", ""], where)
                    self.assertEqual(found, end, where)
                    self.checkIdle(decoder, where)

    def test_messagesOfAnySize(self) -> None:
        """Messages are whole at each size; with a bad last byte they are frames."""
        for size in (1, 125, 126, 1023, 1024, 1025, 65535, 65536):
            text = b"a" * size
            bad = text[:-1] + b"\xff"
            for masked in (False, True):
                key = KEY if masked else None
                for limit in (size, 1 << 70):
                    decoder = self.make(masked)
                    data = writeFrame(TEXT, text, key) + writeFrame(TEXT, bad, key)
                    found = decoder.feedMessages(data, limit)
                    where = f"{size} bytes, masked {masked}"
                    self.assertTrue(found == ([text.decode()], [(TEXT, bad)]), where)
                decoder = self.make(masked)
                found = decoder.feedMessages(writeFrame(BINARY, text, key), size - 1)
                self.assertTrue(found == ([], [(BINARY, text)]), where)

    def test_messagesThenError(self) -> None:
        """An error is told behind the messages before it, and none come after it."""
        decoder = self.make(False)
        data = writeFrame(TEXT, b"a")
        self.assertEqual(decoder.feedMessages(data + b"\xff\xff", 5), (["a"], []))
        self.assertIsInstance(decoder.error, ProtocolError)
        self.assertEqual(decoder.feedMessages(data, 5), ([], []))

    def test_manyMessages(self) -> None:
        """Messages count as frames do: a limited number comes at a time."""
        for masked in (False, True):
            one = writeFrame(TEXT, b"a", KEY if masked else None)
            decoder = self.make(masked)
            sizes = []
            data = one * (2 * FRAMES_PER_FEED + 5)
            while data or decoder.hasMore:
                messages, found = decoder.feedMessages(data, 5)
                self.assertEqual((set(messages), found), ({"a"}, []))
                sizes.append(len(messages))
                data = b""
            self.assertEqual(sizes, [FRAMES_PER_FEED, FRAMES_PER_FEED, 5])

    # Any frames, any bytes

    @anyCase
    @given(frames, st.booleans(), keys, places)
    def test_anyFrames(
        self, drawn: list[Frame], masked: bool, key: bytes, cuts: list[int]
    ) -> None:
        """Any frames in any segments come out as they went in."""
        data = b"".join(
            encodeFrame(first, payload, key if masked else None)
            for first, payload in drawn
        )
        decoder = self.make(masked)
        found = self.feedAll(decoder, cut(data, cuts))
        self.assertTrue(found == drawn, "other frames came out")
        self.checkIdle(decoder, "after all")

    @anyCase
    @given(frames, st.booleans(), keys, st.integers(1, 70000), places)
    def test_anyFramesCutShort(
        self,
        drawn: list[Frame],
        masked: bool,
        key: bytes,
        missing: int,
        cuts: list[int],
    ) -> None:
        """Without their last bytes, those frames come out that are whole, and the one
        that is not is under way."""
        ends = [0]
        data = b""
        for first, payload in drawn:
            data += writeFrame(first, payload, key if masked else None)
            ends.append(len(data))
        size = max(len(data) - missing, 0)
        whole = sum(end <= size for end in ends) - 1
        decoder = self.make(masked)
        found = self.feedAll(decoder, cut(data[:size], cuts))
        self.assertTrue(found == drawn[:whole], "other frames came out")
        self.assertIsNone(decoder.error)
        self.assertEqual(decoder.isMidFrame, size != ends[whole])
        if decoder.pending is not None:
            first, payload = drawn[whole]
            self.assertEqual(decoder.pending, (first, len(payload)))

    @anyCase
    @given(
        st.lists(
            st.binary(max_size=30)
            | st.sampled_from(
                [
                    b"\x81\x05Hello",
                    b"\x82\xfe\x00\x80" + KEY + b"x" * 128,
                    b"\x82\x7e\x00\x80" + b"x" * 128,
                    b"\x82\x7f\0\0\0\0\0\1\0\0" + b"x" * 300,
                    b"\x01\x80" + KEY,
                    b"\x89\x82" + KEY,
                    b"\xc1\x00",
                    b"\x80\x7f",
                ]
            ),
            max_size=8,
        ),
        st.booleans(),
        st.sampled_from([0, RSV1]),
        st.lists(st.integers(0, 400), max_size=8),
    )
    def test_anyBytes(
        self, pieces: list[bytes], masked: bool, reservedBits: int, cuts: list[int]
    ) -> None:
        """Any bytes are frames or an error and never raise, and how they are cut makes
        no difference to the frames, the error, and what is pending."""
        data = b"".join(pieces)
        whole = self.make(masked, reservedBits)
        expected = self.feedAll(whole, [data])
        if whole.error is not None:
            self.assertIsInstance(whole.error, ProtocolError)
        for first, _ in expected:
            self.assertTrue(mayBeFirst(first, reservedBits == RSV1), f"{first:#x}")
        for segments in (cut(data, cuts), cut(data, range(len(data)))):
            decoder = self.make(masked, reservedBits)
            self.assertEqual(self.feedAll(decoder, segments), expected)
            self.assertEqual(self.state(decoder), self.state(whole))

    # Masking

    def test_maskSizes(self) -> None:
        """Masking is the XOR with the key over and over, and undoes itself, for sizes
        on both sides of every bound."""
        pattern = bytes(range(251))
        for size in (
            *range(70),
            *(125, 126, 127, 255, 256, 257),
            *(4095, 4096, 4097, 8191, 8192, 8193),
            *(16383, 16384, 16385, 24575, 24576, 24577),
            *(65535, 65536, 65537, 65536 + 3),
        ):
            data = (pattern * (size // 251 + 1))[:size]
            expected = maskNaively(data, KEY)
            masked = self.maskFunction(data, KEY)
            self.assertTrue(masked == expected, f"{size} bytes")
            self.assertIs(type(masked), bytes, f"{size} bytes")
            self.assertTrue(self.maskFunction(masked, KEY) == data, f"{size} bytes")

    def test_maskKeys(self) -> None:
        """Each byte of the key counts, zeros at its ends too."""
        for key in (
            bytes(4),
            b"\xff" * 4,
            b"\0\0\0\1",
            b"\1\0\0\0",
            b"\0\xff\0\xff",
            b"\x80\x01\x7f\xfe",
        ):
            for size in (0, 1, 3, 4, 5, 8, 16385, 24576):
                for data in (bytes(size), b"\xff" * size):
                    self.assertTrue(
                        self.maskFunction(data, key) == maskNaively(data, key),
                        f"{size} bytes, key {key!r}",
                    )

    def test_maskKeepsItsArguments(self) -> None:
        """Masking leaves the payload as it was, also where the key changes nothing."""
        data = b"abcdefgh" * 3000
        copy = bytes(bytearray(data))
        self.maskFunction(data, KEY)
        self.assertTrue(data == copy)
        self.assertTrue(self.maskFunction(data, bytes(4)) == copy)

    @anyCase
    @given(st.binary(max_size=200), keys)
    def test_anyMask(self, data: bytes, key: bytes) -> None:
        """Any payload is masked as the RFC says, and unmasked by the same."""
        masked = self.maskFunction(data, key)
        self.assertEqual(masked, maskNaively(data, key))
        self.assertEqual(self.maskFunction(masked, key), data)


class EncodeCases(_Base):
    """What is true of every implementation's way from frames to bytes."""

    encodeFunction: Encode
    """The function under test."""

    def test_text(self) -> None:
        """Text is written as UTF-8; a lone surrogate has none."""
        for text in ("", "abc", "aé", "𝄞" * 100, "x" * 70000):
            for key in (None, KEY):
                self.assertEqual(
                    self.encodeFunction(TEXT, text, key),
                    self.encodeFunction(TEXT, text.encode("utf-8"), key),
                )
        self.assertRaises(UnicodeEncodeError, self.encodeFunction, TEXT, "\ud800")

    def test_RFCExamples(self) -> None:
        """The examples of RFC 6455 section 5.7 come out byte for byte."""
        for case in RFC_CASES:
            key = KEY if case.masked else None
            found = b"".join(
                self.encodeFunction(first, payload, key)
                for first, payload in case.frames
            )
            self.assertEqual(found, case.data, case.name)

    def test_F03_shortestForm(self) -> None:
        """Lengths are written in their shortest form, for both roles."""
        for size, form in (
            (0, b"\x00"),
            (1, b"\x01"),
            (125, b"\x7d"),
            (126, b"\x7e\x00\x7e"),
            (127, b"\x7e\x00\x7f"),
            (255, b"\x7e\x00\xff"),
            (256, b"\x7e\x01\x00"),
            (65535, b"\x7e\xff\xff"),
            (65536, b"\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
            (65537, b"\x7f\x00\x00\x00\x00\x00\x01\x00\x01"),
        ):
            payload = b"x" * size
            found = self.encodeFunction(BINARY, payload)
            self.assertEqual(found[: 1 + len(form)], b"\x82" + form, str(size))
            self.assertTrue(found[1 + len(form) :] == payload, str(size))
            found = self.encodeFunction(BINARY, payload, KEY)
            masked = bytes([form[0] | 0x80]) + form[1:] + KEY
            self.assertEqual(found[: 1 + len(masked)], b"\x82" + masked, str(size))
            self.assertTrue(
                found[1 + len(masked) :] == maskNaively(payload, KEY), str(size)
            )

    def test_firstByte(self) -> None:
        """The first byte goes out as it was given: FIN, reserved bits, opcode."""
        for first in range(256):
            self.assertEqual(self.encodeFunction(first, b"a"), bytes([first, 1]) + b"a")
        self.assertEqual(
            self.encodeFunction(FIN | RSV1 | Opcode.TEXT, b""), b"\xc1\x00"
        )

    @settings(anyCase, max_examples=50)
    @given(frames, keys)
    def test_anyFrame(self, drawn: list[Frame], key: bytes) -> None:
        """Any frame is written as the reference writes it."""
        for first, payload in drawn:
            for each in (None, key):
                self.assertTrue(
                    self.encodeFunction(first, payload, each)
                    == writeFrame(first, payload, each)
                )


# Each implementation

try:
    from twisted_ws import _speedups
except ImportError:
    _MISSING: str | None = "the accelerator is not built"
else:
    _MISSING = None


class PythonFrameTests(FrameCases, SynchronousTestCase):
    """The decoder in Python."""

    decoderClass = FrameDecoder
    maskFunction = staticmethod(mask)


class PythonEncodeTests(EncodeCases, SynchronousTestCase):
    """The writer of frames in Python."""

    encodeFunction = staticmethod(encodeFrame)


class NativeFrameTests(FrameCases, SynchronousTestCase):
    """The decoder in C."""

    skip = _MISSING
    if _MISSING is None:
        decoderClass = _speedups.FrameDecoder
        maskFunction = staticmethod(_speedups.mask)


class NativeEncodeTests(EncodeCases, SynchronousTestCase):
    """The writer of frames in C."""

    skip = _MISSING
    if _MISSING is None:
        encodeFunction = staticmethod(_speedups.encodeFrame)


class OpcodeTests(SynchronousTestCase):
    """Names for numbers."""

    def test_values(self) -> None:
        """Opcodes and bits are those of RFC 6455 section 5.2."""
        self.assertEqual(
            {each.name: each.value for each in Opcode},
            {
                "CONTINUATION": 0,
                "TEXT": 1,
                "BINARY": 2,
                "CLOSE": 8,
                "PING": 9,
                "PONG": 10,
            },
        )
        self.assertEqual((FIN, RSV1, MAX_CONTROL_PAYLOAD), (0x80, 0x40, 125))

    def test_isControl(self) -> None:
        """Close, Ping and Pong are control frames, the others are not."""
        self.assertEqual(
            [each for each in Opcode if each.isControl],
            [Opcode.CLOSE, Opcode.PING, Opcode.PONG],
        )
