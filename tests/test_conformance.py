"""What RFC 6455 asks of an endpoint, as tables of bytes and of what they must bring.

The tables come first, in the order of the Autobahn Testsuite's categories 1 to 7 and
10, and can be read beside the RFC. Every case is run for both roles: whole, byte for
byte, with a tail, and cut at random points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.connection import (
    CloseReceived,
    Connection,
    Event,
    Failed,
    Ping,
    Pong,
    Role,
    State,
)
from twisted_ws.options import Options

from .support import receiveAll

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

NO_STATUS = 1005
"""Stands for a Close frame without a code (section 7.1.5)."""


class Frame(NamedTuple):
    """A frame, good or bad, as section 5.2 draws it."""

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0

    def write(self, key: bytes | None) -> bytes:
        """Give the frame's bytes, masked where there is a key."""
        size = len(self.payload)
        bit = 0 if key is None else 0x80
        wire = bytearray((self.fin << 7 | self.rsv << 4 | self.opcode,))
        if size <= 125:
            wire.append(bit | size)
        elif size <= 0xFFFF:
            wire.append(bit | 126)
            wire += size.to_bytes(2, "big")
        else:
            wire.append(bit | 127)
            wire += size.to_bytes(8, "big")
        if key is None:
            return bytes(wire + self.payload)
        keys = (key * (size // 4 + 1))[:size]
        return bytes(wire + key) + bytes(
            a ^ b for a, b in zip(self.payload, keys, strict=True)
        )


class Case(NamedTuple):
    """What a peer sends and what must come of it."""

    name: str
    section: str
    """Where RFC 6455 says so."""
    frames: tuple[Frame, ...]
    events: tuple[Event, ...]
    """What is received, ``Failed`` left out."""
    code: int | None = None
    """The code in the Close frame that answers, None if the connection goes on."""


def closePayload(code: int, reason: bytes = b"") -> bytes:
    """Write the payload of a Close frame (section 5.5.1)."""
    return code.to_bytes(2, "big") + reason


SIZES = (0, 1, 125, 126, 127, 128, 65535, 65536)

FRAMING = (
    *(
        Case(f"text of {size}", "5.6", (Frame(TEXT, b"*" * size),), ("*" * size,))
        for size in SIZES
    ),
    *(
        Case(
            f"binary of {size}",
            "5.6",
            (Frame(BINARY, b"\xfe" * size),),
            (b"\xfe" * size,),
        )
        for size in SIZES
    ),
    Case(
        "messages one after another",
        "5.6",
        (Frame(TEXT, b"a"), Frame(BINARY, b"b"), Frame(TEXT), Frame(BINARY)),
        ("a", b"b", "", b""),
    ),
)

PINGS = (
    Case("ping without payload", "5.5.2", (Frame(PING),), (Ping(b""),)),
    Case("ping with text", "5.5.2", (Frame(PING, b"Hello"),), (Ping(b"Hello"),)),
    Case(
        "ping with what is not text",
        "5.5.2",
        (Frame(PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),),
        (Ping(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),),
    ),
    Case("ping of 125", "5.5", (Frame(PING, b"\xfe" * 125),), (Ping(b"\xfe" * 125),)),
    Case("ping of 126", "5.5", (Frame(PING, b"\xfe" * 126),), (), 1002),
    Case("ping of 65536", "5.5", (Frame(PING, b"\xfe" * 65536),), (), 1002),
    Case("pong without payload", "5.5.3", (Frame(PONG),), (Pong(b""),)),
    Case("pong unasked", "5.5.3", (Frame(PONG, b"un"),), (Pong(b"un"),)),
    Case("pong of 125", "5.5", (Frame(PONG, b"\xfe" * 125),), (Pong(b"\xfe" * 125),)),
    Case("pong of 126", "5.5", (Frame(PONG, b"\xfe" * 126),), (), 1002),
    Case(
        "pong unasked, then ping",
        "5.5.3",
        (Frame(PONG, b"un"), Frame(PING, b"asked")),
        (Pong(b"un"), Ping(b"asked")),
    ),
    Case(
        "ten pings",
        "5.5.2",
        tuple(Frame(PING, b"payload-%d" % number) for number in range(10)),
        tuple(Ping(b"payload-%d" % number) for number in range(10)),
    ),
    Case(
        "pings around messages",
        "5.5.2",
        (Frame(PING, b"1"), Frame(TEXT, b"a"), Frame(PING, b"2"), Frame(BINARY, b"b")),
        (Ping(b"1"), "a", Ping(b"2"), b"b"),
    ),
)

# Section 5.2: MUST be 0 unless an extension is negotiated that defines them.
RESERVED_BITS = (
    *(
        Case(f"{what}, RSV {rsv}", "5.2", (Frame(opcode, payload, rsv=rsv),), (), 1002)
        for rsv in range(1, 8)
        for what, opcode, payload in (
            ("empty text", TEXT, b""),
            ("text", TEXT, b"Hello"),
            ("binary", BINARY, b"\xff"),
            ("long binary", BINARY, b"\xff" * 300),
            ("continuation", CONTINUATION, b"x"),
            ("close", CLOSE, closePayload(1000)),
            ("ping", PING, b"p"),
            ("pong", PONG, b"p"),
        )
    ),
    *(
        Case(
            f"good message, then RSV {rsv}, then ping",
            "5.2",
            (Frame(TEXT, b"good"), Frame(TEXT, b"bad", rsv=rsv), Frame(PING)),
            ("good",),
            1002,
        )
        for rsv in range(1, 8)
    ),
    *(
        Case(
            f"{what} inside a message, RSV {rsv}",
            "5.2",
            (
                Frame(TEXT, b"begun", fin=False),
                Frame(opcode, b"p", rsv=rsv),
                Frame(CONTINUATION, b"ended"),
            ),
            (),
            1002,
        )
        for rsv in range(1, 8)
        for what, opcode in (("ping", PING), ("continuation", CONTINUATION))
    ),
)

# Section 5.2: if an unknown opcode is received, the connection MUST be failed.
OPCODES = tuple(
    case
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    for case in (
        Case(f"opcode {opcode}", "5.2", (Frame(opcode),), (), 1002),
        Case(
            f"opcode {opcode} with payload",
            "5.2",
            (Frame(opcode, b"reserved"),),
            (),
            1002,
        ),
        Case(
            f"opcode {opcode}, not final", "5.2", (Frame(opcode, fin=False),), (), 1002
        ),
        Case(
            f"opcode {opcode} after a message, then ping",
            "5.2",
            (Frame(TEXT, b"good"), Frame(opcode, b"x"), Frame(PING)),
            ("good",),
            1002,
        ),
        Case(
            f"opcode {opcode} inside a message",
            "5.2",
            (
                Frame(BINARY, b"begun", fin=False),
                Frame(opcode),
                Frame(CONTINUATION, b"ended"),
            ),
            (),
            1002,
        ),
    )
)


def fragments(
    opcode: int, *pieces: bytes, between: tuple[Frame, ...] = ()
) -> tuple[Frame, ...]:
    """Write a message in fragments (section 5.4), with other frames between them."""
    frames: list[Frame] = []
    for number, piece in enumerate(pieces):
        if number:
            frames += between
        last = number == len(pieces) - 1
        frames.append(Frame(CONTINUATION if number else opcode, piece, fin=last))
    return tuple(frames)


PING_1 = Frame(PING, b"1")

FRAGMENTATION = (
    # Section 5.5: control frames MUST NOT be fragmented.
    *(
        Case(f"{what} in two fragments", "5.5", fragments(opcode, b"a", b"b"), (), 1002)
        for what, opcode in (("close", CLOSE), ("ping", PING), ("pong", PONG))
    ),
    Case(
        "fragmented ping inside a message",
        "5.5",
        (Frame(TEXT, b"a", fin=False), Frame(PING, fin=False)),
        (),
        1002,
    ),
    *(
        Case(
            f"text of {len(pieces)} fragments: {pieces}",
            "5.4",
            fragments(TEXT, *pieces),
            (b"".join(pieces).decode(),),
        )
        for pieces in (
            (b"a", b"b"),
            (b"a", b"b", b"c"),
            (b"", b""),
            (b"", b"a"),
            (b"a", b""),
            (b"", b"", b""),
            (b"", b"a", b""),
            (b"a", b"", b"b"),
            (b"fragment",) * 20,
        )
    ),
    *(
        Case(
            f"binary of {len(pieces)} fragments of up to {max(map(len, pieces))}",
            "5.4",
            fragments(BINARY, *pieces),
            (b"".join(pieces),),
        )
        for pieces in (
            (b"\xfe", b"\xff"),
            (b"", b""),
            (b"\xff" * 125, b"\xff" * 126, b"\xff" * 127),
            (b"\xff" * 65535, b"\xff" * 65536),
        )
    ),
    Case(
        "ping between fragments",
        "5.4",
        fragments(TEXT, b"a", b"b", between=(PING_1,)),
        (Ping(b"1"), "ab"),
    ),
    Case(
        "pings between five fragments, one empty",
        "5.4",
        fragments(BINARY, b"a", b"b", b"", b"c", b"d", between=(PING_1, Frame(PONG))),
        (*(Ping(b"1"), Pong(b"")) * 4, b"abcd"),
    ),
    Case(
        "two fragmented messages",
        "5.4",
        (*fragments(TEXT, b"a", b"b"), *fragments(BINARY, b"c", b"d")),
        ("ab", b"cd"),
    ),
    Case(
        "whole message after a fragmented one",
        "5.4",
        (*fragments(TEXT, b"a", b"b"), Frame(TEXT, b"c")),
        ("ab", "c"),
    ),
    Case("message never ended", "5.4", (Frame(TEXT, b"a", fin=False),), ()),
    *(
        Case(f"{what} continuation without a start", "5.4", frames, (), 1002)
        for what, frames in (
            ("last", (Frame(CONTINUATION, b"x"), Frame(TEXT, b"y"))),
            ("first", (Frame(CONTINUATION, b"x", fin=False), Frame(TEXT, b"y"))),
            ("empty", (Frame(CONTINUATION),)),
        )
    ),
    Case(
        "continuation after a ping",
        "5.4",
        (PING_1, Frame(CONTINUATION, b"x")),
        (Ping(b"1"),),
        1002,
    ),
    *(
        Case(
            f"continuation after the end of a message, final {fin}",
            "5.4",
            (*fragments(TEXT, b"a", b"b"), Frame(CONTINUATION, b"c", fin=fin)),
            ("ab",),
            1002,
        )
        for fin in (False, True)
    ),
    *(
        Case(
            f"opcode {second}, final {fin}, inside a message of opcode {first}",
            "5.4",
            (
                Frame(first, b"a", fin=False),
                Frame(second, b"b", fin=fin),
                Frame(CONTINUATION, b"c"),
            ),
            (),
            1002,
        )
        for first in (TEXT, BINARY)
        for second in (TEXT, BINARY)
        for fin in (False, True)
    ),
    Case(
        "new message after a ping inside a message",
        "5.4",
        (Frame(TEXT, b"a", fin=False), PING_1, Frame(TEXT, b"b")),
        (Ping(b"1"),),
        1002,
    ),
)

# Both ends of every row of RFC 3629 section 4, and what is easily got wrong: the
# byte order mark, noncharacters, the code points next to the surrogates, the last two
# of each plane.
CODE_POINTS = (
    *(0x0, 0x7F, 0x80, 0x7FF, 0x800, 0xFFF, 0x1000, 0xCFFF, 0xD000, 0xD7FF),
    *(0xE000, 0xFDD0, 0xFDEF, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000),
    *(0x40000, 0x100000),
    *(plane << 16 | low for plane in range(1, 17) for low in (0xFFFE, 0xFFFF)),
)

TEXTS = (
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "zß水🍌",
    "e\u0301 \u200f \u202e",
    "\ufeffmark",
    "\x00\x01\r\n\x7f",
    "".join(map(chr, CODE_POINTS)),
)

# What no decoder may take, however it goes on: RFC 3629 sections 3 and 4.
IMPOSSIBLE = (
    # Continuation bytes without a start.
    *(b"\x80", b"\xbf", b"\x80\xbf", b"\x80\xbf\x80\xbf\x80\xbf"),
    # Bytes that are in no sequence.
    *(b"\xc0", b"\xc1", b"\xf5", b"\xf7", b"\xf8", b"\xfb", b"\xfc", b"\xfd"),
    *(b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"),
    # Longer than needed: a slash, NUL, and the last code point of each length.
    *(b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf"),
    *(b"\xf8\x80\x80\x80\xaf", b"\xfc\x80\x80\x80\x80\xaf"),
    *(b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80"),
    *(b"\xf8\x80\x80\x80\x80", b"\xfc\x80\x80\x80\x80\x80"),
    *(b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf"),
    *(b"\xf8\x87\xbf\xbf\xbf", b"\xfc\x83\xbf\xbf\xbf\xbf"),
    # Surrogates, alone and in pairs.
    *(b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf"),
    *(b"\xed\xb0\x80", b"\xed\xbe\x80", b"\xed\xbf\xbf"),
    *(b"\xed\xa0\x80\xed\xb0\x80", b"\xed\xaf\xbf\xed\xbf\xbf"),
    # Above U+10FFFF.
    *(b"\xf4\x90\x80\x80", b"\xf4\xbf\xbf\xbf", b"\xf5\x80\x80\x80"),
    *(b"\xf7\xbf\xbf\xbf", b"\xf8\x88\x80\x80\x80", b"\xfb\xbf\xbf\xbf\xbf"),
    *(b"\xfc\x84\x80\x80\x80\x80", b"\xfd\xbf\xbf\xbf\xbf\xbf"),
    # A sequence that another character interrupts.
    *(b"\xc2 ", b"\xdf ", b"\xe0\xa0 ", b"\xe1 ", b"\xe1\x80 ", b"\xed\x9f "),
    *(b"\xef\xbf ", b"\xf0 ", b"\xf0\x90 ", b"\xf0\x90\x80 ", b"\xf4\x8f\xbf "),
    *(b"\xc3\xc3\xa9", b"\xe2\x82\xc3\xa9", b"\xf0\x9f\x98\xe2\x82\xac"),
    *(b"\xc3\x28", b"\xe2\x28\xa1", b"\xf0\x28\x8c\xbc", b"\xf0\x90\x28\xbc"),
)

# The beginnings of characters: wrong where the message ends.
CUT_OFF = (
    *(b"\xc2", b"\xdf", b"\xe0", b"\xe0\xa0", b"\xe0\xbf", b"\xe1", b"\xe1\x80"),
    *(b"\xec\xbf", b"\xed", b"\xed\x80", b"\xed\x9f", b"\xee", b"\xef\xbf"),
    *(b"\xf0", b"\xf0\x90", b"\xf0\xbf\xbf", b"\xf1", b"\xf3\xbf", b"\xf3\xbf\xbf"),
    *(b"\xf4", b"\xf4\x80", b"\xf4\x8f", b"\xf4\x8f\xbf"),
)

UTF8 = (
    *(
        Case(f"text {text!r}", "5.6", (Frame(TEXT, text.encode()),), (text,))
        for text in TEXTS
    ),
    *(
        Case(
            f"text {text!r}, a byte a fragment",
            "5.6",
            fragments(TEXT, *(bytes((byte,)) for byte in text.encode())),
            (text,),
        )
        for text in TEXTS
    ),
    *(
        Case(
            f"text {text!r}, pings inside its characters",
            "5.6",
            fragments(
                TEXT, *(bytes((byte,)) for byte in text.encode()), between=(PING_1,)
            ),
            (*(Ping(b"1"),) * (len(text.encode()) - 1), text),
        )
        for text in TEXTS
    ),
    *(
        Case(
            f"U+{point:04X}",
            "8.1",
            (Frame(TEXT, chr(point).encode()),),
            (chr(point),),
        )
        for point in CODE_POINTS
    ),
    *(
        case
        for bad in (*IMPOSSIBLE, *CUT_OFF)
        for case in (
            Case(f"bad {bad!r}", "8.1", (Frame(TEXT, bad),), (), 1007),
            Case(
                f"bad {bad!r} after a good message",
                "8.1",
                (Frame(TEXT, b"good"), Frame(TEXT, "κόσμε".encode() + bad)),
                ("good",),
                1007,
            ),
            Case(
                f"bad {bad!r} in fragments",
                "8.1",
                fragments(TEXT, *(bytes((byte,)) for byte in b"x" + bad)),
                (),
                1007,
            ),
            Case(f"bad {bad!r} as binary", "5.6", (Frame(BINARY, bad),), (bad,)),
        )
    ),
    *(
        Case(
            f"bad {bad!r} in a message that never ends",
            "8.1",
            (Frame(TEXT, b"x", fin=False), Frame(CONTINUATION, bad, fin=False)),
            (),
            1007,
        )
        for bad in IMPOSSIBLE
    ),
    *(
        Case(
            f"half {half!r} in a message that never ends",
            "8.1",
            (Frame(TEXT, half, fin=False), PING_1),
            (Ping(b"1"),),
        )
        for half in CUT_OFF
    ),
)

# Section 7.4 and the IANA registry.
LEGAL_CODES = (
    *(1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014),
    *(3000, 3001, 3999, 4000, 4001, 4999),
)
ILLEGAL_CODES = (
    *(0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999),
    *(5000, 5001, 9999, 32768, 65535),
)
BYE = Frame(CLOSE, closePayload(1000, b"bye"))

CLOSING = (
    Case(
        "close without payload",
        "7.1.5",
        (Frame(CLOSE),),
        (CloseReceived(1005, ""),),
        NO_STATUS,
    ),
    *(
        Case(
            f"close of the byte {byte}",
            "5.5.1",
            (Frame(CLOSE, bytes((byte,))),),
            (),
            1002,
        )
        for byte in (0, 3, 0xFF)
    ),
    *(
        Case(
            f"close of {size}",
            "5.5.1",
            (Frame(CLOSE, closePayload(1000, b"*" * (size - 2))),),
            (CloseReceived(1000, "*" * (size - 2)),),
            1000,
        )
        for size in range(3, 126)  # Without a reason, see the codes below.
    ),
    *(
        Case(
            f"close of {size}",
            "5.5",
            (Frame(CLOSE, closePayload(1000, b"*" * (size - 2))),),
            (),
            1002,
        )
        for size in (126, 127, 65535, 65536)
    ),
    *(
        Case(
            f"close with {code}",
            "7.4",
            (Frame(CLOSE, closePayload(code)),),
            (CloseReceived(code, ""),),
            code,
        )
        for code in LEGAL_CODES
    ),
    *(
        Case(
            f"close with {code} and a reason",
            "7.4",
            (Frame(CLOSE, closePayload(code, "waß".encode())),),
            (CloseReceived(code, "waß"),),
            code,
        )
        for code in LEGAL_CODES
    ),
    *(
        Case(
            f"close with {code} and reason {reason!r}",
            "7.4",
            (Frame(CLOSE, closePayload(code, reason)),),
            (),
            1002,
        )
        for code in ILLEGAL_CODES
        for reason in (b"", b"why")
    ),
    *(
        Case(
            f"close with bad reason {bad!r}",
            "8.1",
            (Frame(CLOSE, closePayload(1000, b"x" + bad)),),
            (),
            1007,
        )
        for bad in (*IMPOSSIBLE, *CUT_OFF)
    ),
    Case(
        "messages before close",
        "7.1",
        (Frame(TEXT, b"a"), Frame(PING, b"1"), BYE),
        ("a", Ping(b"1"), CloseReceived(1000, "bye")),
        1000,
    ),
    *(
        Case(
            f"{what} after close",
            "5.5.1",
            (BYE, *frames),
            (CloseReceived(1000, "bye"),),
            1000,
        )
        for what, frames in (
            ("text", (Frame(TEXT, b"late"),)),
            ("ping", (PING_1,)),
            ("another close", (Frame(CLOSE, closePayload(1001)),)),
            ("bad text", (Frame(TEXT, b"\xff"),)),
            ("a bad frame", (Frame(7, b"x", rsv=7),)),
            ("a lot", (Frame(BINARY, bytes(65536)), Frame(TEXT), PING_1)),
        )
    ),
    Case(
        "close inside a message",
        "7.1.6",
        (Frame(TEXT, b"a", fin=False), BYE, Frame(CONTINUATION, b"b")),
        (CloseReceived(1000, "bye"),),
        1000,
    ),
    Case(
        "close inside a character",
        "7.1.6",
        (Frame(TEXT, b"\xe2", fin=False), BYE),
        (CloseReceived(1000, "bye"),),
        1000,
    ),
    Case(
        "close after a failure",
        "7.1.7",
        (Frame(TEXT, b"a", rsv=4), BYE),
        (),
        1002,
    ),
)


def cut(data: bytes, size: int) -> tuple[bytes, ...]:
    """Cut data into pieces of one size."""
    return tuple(data[at : at + size] for at in range(0, len(data), size))


LARGE_TEXT = "Ein Übermaß an Daten: 水🍌. " * 2000

LARGE = (
    *(
        Case(
            f"text of 65536 in fragments of {size}",
            "5.4",
            fragments(TEXT, *cut(b"*" * 65536, size)),
            ("*" * 65536,),
        )
        for size in (64, 1300, 65535)
    ),
    Case(
        "binary of 65536 in fragments of 1300, pings between",
        "5.4",
        fragments(BINARY, *cut(b"\xfe" * 65536, 1300), between=(PING_1,)),
        (*(Ping(b"1"),) * 50, b"\xfe" * 65536),
    ),
    Case(
        "text in fragments that cut its characters",
        "5.4",
        fragments(TEXT, *cut(LARGE_TEXT.encode(), 997)),
        (LARGE_TEXT,),
    ),
    Case(
        "text in fragments, the last byte wrong",
        "8.1",
        fragments(TEXT, *cut(b"*" * 65535 + b"\xff", 1300)),
        (),
        1007,
    ),
)

CATEGORIES = {
    1: FRAMING,
    2: PINGS,
    3: RESERVED_BITS,
    4: OPCODES,
    5: FRAGMENTATION,
    6: UTF8,
    7: CLOSING,
    10: LARGE,
}

# What a client masks with here; this side as a client has zeros, which leave its frames
# readable.
KEY = b"\x37\xfa\x21\x3d"
ZEROS = bytes(4)


@cache
def write(case: Case, role: Role) -> bytes:
    """Give what the peer of a role sends."""
    key = KEY if role is Role.SERVER else None
    return b"".join(frame.write(key) for frame in case.frames)


def connect(role: Role) -> Connection:
    """Make a connection with the default limits."""
    return Connection(role, Options(), bytes)


def check(
    case: Case,
    role: Role,
    segments: Sequence[bytes],
    tail: tuple[Event, ...] = (),
) -> None:
    """Run a case: hold events, answers and final state against the table."""
    what = (case.name, case.section, role, len(segments))
    key = ZEROS if role is Role.CLIENT else None
    connection = connect(role)
    events: list[Event] = []
    for segment in segments:
        events += receiveAll(connection, segment)
    for event in events:
        if isinstance(event, Ping):
            pong = Frame(PONG, event.payload).write(key)
            assert connection.pong(event.payload) == pong, what
    final = events[-1] if events else None
    if case.code is None:
        assert events == [*case.events, *tail], (what, events)
        assert connection.state is State.OPEN, what
    elif isinstance(final, Failed):
        assert events[:-1] == list(case.events), (what, events)
        assert final.error.closeCode == case.code, (what, final)
        answer = connection.fail(final.error)
        reason = str(final.error).encode()
        expected = Frame(CLOSE, closePayload(case.code, reason)).write(key)
        assert answer == expected, (what, answer)
        assert connection.state is State.FAILED, what
    else:
        assert events == list(case.events), (what, events)
        payload = b"" if case.code == NO_STATUS else closePayload(case.code)
        assert connection.replyClose() == Frame(CLOSE, payload).write(key), what
        assert connection.state is State.CLOSED, what


class ConformanceTests(SynchronousTestCase):
    """The cases above, category by category."""

    def test_casesAreDistinct(self) -> None:
        """No two cases of a category send the same, so that none is there in vain."""
        for number, cases in CATEGORIES.items():
            assert len({case.frames for case in cases}) == len(cases), number

    def test_category1(self) -> None:
        """Framing: every size of length field, text and binary."""
        self._checkAll(FRAMING)

    def test_category2(self) -> None:
        """Pings and pongs: answered with their payload, up to 125 bytes."""
        self._checkAll(PINGS)

    def test_category3(self) -> None:
        """Reserved bits: 1002 in every frame."""
        self._checkAll(RESERVED_BITS)

    def test_category4(self) -> None:
        """Reserved opcodes: 1002 in every place."""
        self._checkAll(OPCODES)

    def test_category5(self) -> None:
        """Fragmentation: fragments in turn, control frames between them."""
        self._checkAll(FRAGMENTATION)

    def test_category6(self) -> None:
        """UTF-8: all of it, and nothing else."""
        self._checkAll(UTF8)

    def test_category7(self) -> None:
        """Closing: codes, reasons, and silence after."""
        self._checkAll(CLOSING)

    def test_category10(self) -> None:
        """Large messages in many fragments."""
        self._checkAll(LARGE)

    def _checkAll(self, cases: tuple[Case, ...]) -> None:
        """Run cases whole, byte for byte, and with something behind them."""
        tail = Frame(PING, b"tail")
        for case in cases:
            for role in Role:
                data = write(case, role)
                check(case, role, [data])
                check(case, role, [b"", data, b""])
                # A large case byte for byte takes its time; one role is enough.
                if len(data) < 10_000 or role is Role.SERVER:
                    check(case, role, cut(data, 1))
                more = tail.write(KEY if role is Role.SERVER else None)
                check(case, role, [data + more], (Ping(b"tail"),))
                if case.code is not None:
                    check(case, role, [data + b"\xff" * 50, more, b"\x00\x81"])

    @settings(deadline=None, derandomize=True, max_examples=12)
    @given(
        st.lists(st.integers(0, 40), max_size=8),
        st.lists(st.integers(0, 70_000), max_size=4),
    )
    def test_splits(self, near: list[int], far: list[int]) -> None:
        """Every case comes to the same wherever its bytes are cut."""
        for cases in CATEGORIES.values():
            for case in cases:
                for role in Role:
                    data = write(case, role)
                    points = sorted({0, *(at % (len(data) + 1) for at in near + far)})
                    ends = [*points[1:], len(data)]
                    segments = [
                        data[start:end] for start, end in zip(points, ends, strict=True)
                    ]
                    check(case, role, segments)


# RFC 3629 section 4, the syntax of UTF-8: for each row the range of every byte.
TAIL = (0x80, 0xBF)
SYNTAX: tuple[tuple[tuple[int, int], ...], ...] = (
    ((0x00, 0x7F),),
    ((0xC2, 0xDF), TAIL),
    ((0xE0, 0xE0), (0xA0, 0xBF), TAIL),
    ((0xE1, 0xEC), TAIL, TAIL),
    ((0xED, 0xED), (0x80, 0x9F), TAIL),
    ((0xEE, 0xEF), TAIL, TAIL),
    ((0xF0, 0xF0), (0x90, 0xBF), TAIL, TAIL),
    ((0xF1, 0xF3), TAIL, TAIL, TAIL),
    ((0xF4, 0xF4), (0x80, 0x8F), TAIL, TAIL),
)


def judge(data: bytes) -> tuple[int | None, bool]:
    """Read data by the table above: at which byte it cannot be UTF-8 any more, and
    whether it ends behind a character."""
    possible = SYNTAX
    for index, byte in enumerate(data):
        possible = tuple(row[1:] for row in possible if row[0][0] <= byte <= row[0][1])
        if not possible:
            return index, False
        if possible == ((),):
            possible = SYNTAX
    return None, possible is SYNTAX


def bytewise(frames: Sequence[Frame]) -> Iterator[bytes]:
    """Write frames in segments, each of which brings one byte of payload, and what is
    before that byte; an empty frame comes on its own."""
    for frame in frames:
        wire = frame.write(KEY)
        start = len(wire) - len(frame.payload) + 1
        yield wire[:start]
        for at in range(start, len(wire)):
            yield wire[at : at + 1]


def checkBytes(payload: bytes, what: object) -> None:
    """Feed text to a server, byte for byte and in several forms: it must be refused
    with the first impossible byte, and not before."""
    first, isWhole = judge(payload)
    last = len(payload) - 1
    for form, frames, isEnded in (
        ("frame", [Frame(TEXT, payload)], True),
        ("fragments of 3", list(fragments(TEXT, *cut(payload, 3))), True),
        ("fragments of 1", list(fragments(TEXT, *cut(payload, 1))), True),
        ("unfinished frame", [Frame(TEXT, payload + b"x" * 300)], False),
        (
            "unfinished fragment",
            [Frame(TEXT, fin=False), Frame(CONTINUATION, payload + b"x" * 300)],
            False,
        ),
    ):
        connection = connect(Role.SERVER)
        offset = -1 if form == "unfinished fragment" else 0
        for index, segment in enumerate(bytewise(frames), offset):
            if index > last:
                break
            events = connection.receive(segment)
            if index == first or (index == last and isEnded and not isWhole):
                assert len(events) == 1, (what, form, index, events)
                assert isinstance(events[0], Failed), (what, form, index, events)
                assert events[0].error.closeCode == 1007, (what, form, index)
                break
            if index == last and isEnded:
                assert events == [payload.decode()], (what, form, index)
            else:
                assert events == [], (what, form, index, events)


class Utf8Tests(SynchronousTestCase):
    """Text is judged at the first impossible byte (section 8.1)."""

    def test_F06_sequences(self) -> None:
        """Every sequence of the tables is refused at its first impossible byte, or
        taken, at the start of a message, inside it and at its end."""
        good = (chr(point).encode() for point in CODE_POINTS)
        for sequence in (*IMPOSSIBLE, *CUT_OFF, *good):
            for before in (b"", b"ab", "κ€😀".encode()):
                for after in (b"", b"ok", "é".encode()):
                    payload = before + sequence + after
                    checkBytes(payload, payload)

    def test_F06_tablesAreRight(self) -> None:
        """The tables hold what they say they do."""
        for sequence in IMPOSSIBLE:
            first, _ = judge(sequence)
            assert first is not None, sequence
        for sequence in CUT_OFF:
            assert judge(sequence) == (None, False), sequence
        for point in CODE_POINTS:
            assert judge(chr(point).encode()) == (None, True), point

    def test_F06_boundaries(self) -> None:
        """Every first byte, followed by every byte next to a limit of the syntax, is
        refused at the right byte, in a frame whose end is far away."""
        edges = (0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF)
        ends = (0x7F, 0x80, 0xBF, 0xC0)
        for lead in range(0x80, 0x100):
            for second in edges:
                if judge(bytes((lead, second)))[0] is not None:
                    checkUnfinished(bytes((lead, second)))
                    continue
                for third in ends:
                    for fourth in ends:
                        checkUnfinished(bytes((lead, second, third, fourth)))


def checkUnfinished(payload: bytes) -> None:
    """Feed the beginning of a long text, byte for byte."""
    first, _ = judge(payload)
    connection = connect(Role.CLIENT)
    wire = Frame(TEXT, payload + b"x" * 100).write(None)
    assert connection.receive(wire[:2]) == []
    for index, byte in enumerate(payload):
        events = connection.receive(bytes((byte,)))
        if index == first:
            assert len(events) == 1, (payload, index, events)
            assert isinstance(events[0], Failed), (payload, index, events)
            assert events[0].error.closeCode == 1007, (payload, index)
            return
        assert events == [], (payload, index, events)
    assert first is None, payload
