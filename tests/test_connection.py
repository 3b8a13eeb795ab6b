"""One open connection: its states, its limits, what it reads and what it writes."""

from __future__ import annotations

import inspect
import os
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

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
from twisted_ws.errors import (
    ConnectionFailed,
    InternalError,
    InvalidPayload,
    MessageTooBig,
    PolicyViolation,
    ProtocolError,
)
from twisted_ws.frames import FrameDecoder, encodeFrame
from twisted_ws.options import Options

from .support import receiveAll

# First bytes of frames (RFC 6455 section 5.2): FIN and the opcode.
CONTINUE, CONTINUE_END = 0x00, 0x80
TEXT_BEGIN, TEXT = 0x01, 0x81
BINARY_BEGIN, BINARY = 0x02, 0x82
CLOSE, PING, PONG = 0x88, 0x89, 0x8A

KEY = b"\x37\xfa\x21\x3d"
MIB = 1024 * 1024

_Error = TypeVar("_Error", bound=Exception)
_Arguments = ParamSpec("_Arguments")


def raised(
    kind: type[_Error],
    call: Callable[_Arguments, object],
    *arguments: _Arguments.args,
    **named: _Arguments.kwargs,
) -> _Error:
    """Give the error that a call must raise."""
    try:
        call(*arguments, **named)
    except kind as error:
        return error
    raise AssertionError(f"{call} raised no {kind.__name__}: {arguments!r} {named!r}")


def fixedKey(size: int) -> bytes:
    """Stand in for the system's random bytes."""
    return KEY[:size]


def connect(role: Role, **limits: Any) -> Connection:
    """Make a connection that masks with a known key."""
    return Connection(role, Options(**limits), fixedKey)


def server(**limits: Any) -> Connection:
    """Make a server's connection."""
    return connect(Role.SERVER, **limits)


def sentBy(role: Role, first: int, payload: bytes = b"") -> bytes:
    """Write a frame as one side has to."""
    return encodeFrame(first, payload, KEY if role is Role.CLIENT else None)


def sentTo(role: Role, first: int, payload: bytes = b"") -> bytes:
    """Write a frame as the other side has to."""
    return encodeFrame(first, payload, None if role is Role.CLIENT else KEY)


def toServer(first: int, payload: bytes = b"") -> bytes:
    """Write a client's frame."""
    return sentTo(Role.SERVER, first, payload)


def header(first: int, length: int) -> bytes:
    """Write the header of a client's frame whose payload does not follow."""
    if length < 126:
        return bytes((first, 0x80 | length)) + KEY
    if length < 65536:
        return bytes((first, 0xFE)) + length.to_bytes(2, "big") + KEY
    return bytes((first, 0xFF)) + length.to_bytes(8, "big") + KEY


def failure(events: list[Event], what: object) -> ConnectionFailed:
    """Give the error of the one event that there must be."""
    assert len(events) == 1 and isinstance(events[0], Failed), (what, events)
    return events[0].error


def assertFails(data: bytes, code: int, what: object, **limits: int) -> None:
    """Check that a server fails a connection, whole and byte for byte, with a code."""
    assert failure(server(**limits).receive(data), what).closeCode == code, what
    connection = server(**limits)
    events: list[Event] = []
    for byte in data:
        events += connection.receive(bytes((byte,)))
    assert failure(events, what).closeCode == code, what


class Row(NamedTuple):
    """What one call does in one state: the frame it writes, the state after it."""

    first: int | None
    payload: bytes
    after: State


def lose(connection: Connection) -> bytes:
    """Tell of the end of TCP, which writes nothing."""
    connection.lose()
    return b""


CALLS: dict[str, Callable[[Connection], bytes]] = {
    "sendText": lambda connection: connection.sendText("é"),
    "sendBytes": lambda connection: connection.sendBytes(b"\xff"),
    "ping": lambda connection: connection.ping(b"1"),
    "pong": lambda connection: connection.pong(b"2"),
    "close": lambda connection: connection.close(4000, "bye"),
    "replyClose": lambda connection: connection.replyClose(),
    "fail": lambda connection: connection.fail(ProtocolError("why")),
    "lose": lose,
}

# What the peer's Close frame carries in the states that it leads to.
PEER_CLOSE = b"\x03\xe9going"

OPEN, CLOSE_SENT, CLOSE_RECEIVED = State.OPEN, State.CLOSE_SENT, State.CLOSE_RECEIVED
CLOSED, FAILED, LOST = State.CLOSED, State.FAILED, State.LOST


def silent(state: State) -> dict[str, Row]:
    """Make the rows of a state in which no call does anything."""
    return {name: Row(None, b"", state) for name in CALLS}


TABLE: dict[State, dict[str, Row]] = {
    OPEN: {
        "sendText": Row(TEXT, b"\xc3\xa9", OPEN),
        "sendBytes": Row(BINARY, b"\xff", OPEN),
        "ping": Row(PING, b"1", OPEN),
        "pong": Row(PONG, b"2", OPEN),
        "close": Row(CLOSE, b"\x0f\xa0bye", CLOSE_SENT),
        "replyClose": Row(None, b"", OPEN),
        "fail": Row(CLOSE, b"\x03\xeawhy", FAILED),
        "lose": Row(None, b"", LOST),
    },
    # Section 5.5.1: no data after a Close frame.
    CLOSE_SENT: {
        **silent(CLOSE_SENT),
        "fail": Row(None, b"", FAILED),
        "lose": Row(None, b"", LOST),
    },
    CLOSE_RECEIVED: {
        "sendText": Row(TEXT, b"\xc3\xa9", CLOSE_RECEIVED),
        "sendBytes": Row(BINARY, b"\xff", CLOSE_RECEIVED),
        "ping": Row(PING, b"1", CLOSE_RECEIVED),
        "pong": Row(PONG, b"2", CLOSE_RECEIVED),
        "close": Row(None, b"", CLOSE_RECEIVED),
        "replyClose": Row(CLOSE, b"\x03\xe9", CLOSED),
        "fail": Row(CLOSE, b"\x03\xeawhy", FAILED),
        "lose": Row(None, b"", CLOSED),
    },
    CLOSED: silent(CLOSED),
    FAILED: silent(FAILED),
    LOST: silent(LOST),
}


def begin(role: Role, *calls: str) -> Connection:
    """Make a connection and lead it through calls; ``receive`` takes a Close frame."""
    connection = connect(role)
    for name in calls:
        if name == "receive":
            connection.receive(sentTo(role, CLOSE, PEER_CLOSE))
        else:
            CALLS[name](connection)
    return connection


# Every way into every state, with the outcome there.
WAYS: dict[State, dict[tuple[str, ...], tuple[int, str]]] = {
    OPEN: {(): (1006, "")},
    CLOSE_SENT: {("close",): (1006, "")},
    CLOSE_RECEIVED: {("receive",): (1001, "going")},
    CLOSED: {
        ("receive", "replyClose"): (1001, "going"),
        ("close", "receive"): (1001, "going"),
        ("receive", "lose"): (1001, "going"),
    },
    FAILED: {
        ("fail",): (1002, "why"),
        ("close", "fail"): (1002, "why"),
        ("receive", "fail"): (1002, "why"),
    },
    LOST: {("lose",): (1006, ""), ("close", "lose"): (1006, "")},
}


class StateTests(SynchronousTestCase):
    """The table of states."""

    def test_tableIsWhole(self) -> None:
        """Every state has a row for every call, and ways into it."""
        assert set(TABLE) == set(WAYS) == set(State)
        for state, rows in TABLE.items():
            assert set(rows) == set(CALLS), state

    def test_calls(self) -> None:
        """Every call in every state writes the frame that the table says, or nothing,
        and leads to the state that it says."""
        for role in Role:
            for state, ways in WAYS.items():
                for way in ways:
                    for name, row in TABLE[state].items():
                        what = (role, state, way, name)
                        connection = begin(role, *way)
                        assert connection.state is state, what
                        expected = b""
                        if row.first is not None:
                            expected = sentBy(role, row.first, row.payload)
                        assert CALLS[name](connection) == expected, what
                        assert connection.state is row.after, what

    def test_outcome(self) -> None:
        """The outcome is what the peer's Close frame said, or why this side failed the
        connection; 1006 while there is neither (sections 7.1.5 and 7.1.6)."""
        for role in Role:
            for ways in WAYS.values():
                for way, outcome in ways.items():
                    assert begin(role, *way).outcome == outcome, (role, way)

    def test_closeReceived(self) -> None:
        """The peer's Close frame leads from OPEN to CLOSE_RECEIVED, where the answer is
        still to be written, and from CLOSE_SENT to CLOSED, where there is none."""
        for role in Role:
            for calls, after in (((), CLOSE_RECEIVED), (("close",), CLOSED)):
                connection = begin(role, *calls)
                events = connection.receive(sentTo(role, CLOSE, PEER_CLOSE))
                assert events == [CloseReceived(1001, "going")], (role, calls)
                assert connection.state is after, (role, calls)

    def test_receive(self) -> None:
        """Messages and control frames arrive in OPEN and CLOSE_SENT, and change no
        state; a failure is told of and left to the caller to act on."""
        incoming: tuple[tuple[int, bytes, Event], ...] = (
            (TEXT, b"\xc3\xa9", "é"),
            (BINARY, b"\xff", b"\xff"),
            (PING, b"p", Ping(b"p")),
            (PONG, b"q", Pong(b"q")),
        )
        for role in Role:
            for calls, state in (((), OPEN), (("close",), CLOSE_SENT)):
                connection = begin(role, *calls)
                for first, payload, event in incoming:
                    what = (role, state, event)
                    assert connection.receive(sentTo(role, first, payload)) == [event]
                    assert connection.state is state, what
                error = failure(connection.receive(sentTo(role, 0x83)), role)
                assert error.closeCode == 1002, (role, state)
                assert connection.state is state, (role, state)
                assert connection.outcome == (1002, str(error)), (role, state)

    def test_failAfterFailed(self) -> None:
        """After Failed, fail() writes the Close frame with the error's code and
        text."""
        for role in Role:
            connection = connect(role)
            error = failure(connection.receive(sentTo(role, TEXT, b"\xff")), role)
            assert isinstance(error, InvalidPayload)
            expected = sentBy(role, CLOSE, b"\x03\xef" + str(error).encode())
            assert connection.fail(error) == expected
            assert connection.state is FAILED
            assert connection.outcome == (1007, str(error))

    def test_sendAfterFailed(self) -> None:
        """Between Failed and fail() the application may still answer what came
        before."""
        connection = server()
        events = connection.receive(toServer(TEXT, b"x") + b"\xff\xff")
        assert events[0] == "x"
        assert connection.sendText("y") == sentBy(Role.SERVER, TEXT, b"y")

    def test_closeAhead(self) -> None:
        """A Close frame that was read and not looked at when TCP ends is the outcome at
        once, and what is before it still comes."""
        many = toServer(TEXT, b"x") * 3000
        for calls in ((), ("close",)):
            for behind, outcome in (
                (toServer(CLOSE, PEER_CLOSE), (1001, "going")),
                (toServer(CLOSE), (1005, "")),
                (toServer(CLOSE, b"x"), (1006, "")),
                (toServer(PING, PEER_CLOSE), (1006, "")),
                (toServer(0x83) + toServer(CLOSE), (1006, "")),
                (toServer(CLOSE, PEER_CLOSE)[:-1], (1006, "")),
            ):
                connection = begin(Role.SERVER, *calls)
                events = connection.receive(many + behind)
                assert connection.hasMore
                connection.lose()
                assert connection.outcome == outcome
                after = LOST if outcome[0] == 1006 else CLOSED
                assert connection.state is after
                while connection.hasMore:
                    events += connection.receive(b"")
                assert events[:3000] == ["x"] * 3000

    def test_replyClose(self) -> None:
        """The answer carries the peer's code without its reason, and nothing if there
        was no code (section 5.5.1)."""
        for role in Role:
            for payload, answer in (
                (b"", b""),
                (b"\x03\xe8", b"\x03\xe8"),
                (b"\x03\xf3oops", b"\x03\xf3"),
                (b"\x13\x87", b"\x13\x87"),
            ):
                connection = connect(role)
                connection.receive(sentTo(role, CLOSE, payload))
                assert connection.replyClose() == sentBy(role, CLOSE, answer), payload

    def test_noCode(self) -> None:
        """A Close frame without a code is told of as 1005 (section 7.1.5)."""
        connection = server()
        assert connection.receive(toServer(CLOSE)) == [CloseReceived(1005, "")]
        assert connection.outcome == (1005, "")

    def test_closeDefaults(self) -> None:
        """A close without arguments is a normal one."""
        assert server().close() == b"\x88\x02\x03\xe8"

    def test_lateFailure(self) -> None:
        """A failure after the peer's Close frame replaces its code in the outcome."""
        connection = begin(Role.SERVER, "receive")
        connection.fail(InternalError("hook raised"))
        assert connection.outcome == (1011, "hook raised")

    def test_isMidMessage(self) -> None:
        """A connection knows whether a message or a frame has begun and not ended."""
        for data, expected in (
            (b"", False),
            (toServer(TEXT, b"x"), False),
            (toServer(TEXT, b"x")[:1], True),
            (toServer(TEXT, b"x")[:-1], True),
            (toServer(PING, b"x")[:-1], True),
            (toServer(TEXT_BEGIN, b"x"), True),
            (toServer(TEXT_BEGIN), True),
            (toServer(BINARY_BEGIN, b"x") + toServer(PING), True),
            (toServer(BINARY_BEGIN, b"x") + toServer(CONTINUE, b"y"), True),
            (toServer(BINARY_BEGIN, b"x") + toServer(CONTINUE_END), False),
        ):
            for step in (1, len(data) or 1):
                connection = server()
                assert not connection.isMidMessage
                for at in range(0, len(data), step):
                    connection.receive(data[at : at + step])
                assert connection.isMidMessage is expected, (data, step)


class FrameTests(SynchronousTestCase):
    """What no frame may be, rows F01 to F04."""

    def test_F01_masking(self) -> None:
        """An unmasked frame to a server and a masked one to a client are 1002, whatever
        they carry (section 5.1)."""
        for role in Role:
            for first in (TEXT, TEXT_BEGIN, BINARY, CLOSE, PING, PONG):
                for size in (0, 1, 125, 126, 65536):
                    what = (role, first, size)
                    payload = b"\x03\xe8" + bytes(size - 2) if size > 1 else bytes(size)
                    if size > 125 and first >= CLOSE:
                        continue
                    wrong = sentBy(role, first, payload)
                    error = failure(connect(role).receive(wrong), what)
                    assert error.closeCode == 1002, what
                    # Two bytes tell.
                    error = failure(connect(role).receive(wrong[:2]), what)
                    assert error.closeCode == 1002, what

    def test_F02_firstBytes(self) -> None:
        """Of the 256 first bytes, those with reserved bits, reserved opcodes or a
        fragmented control frame are 1002, at the start and inside a message."""
        starts = {TEXT_BEGIN, TEXT, BINARY_BEGIN, BINARY}
        continues = {CONTINUE, CONTINUE_END}
        control = {CLOSE, PING, PONG}
        for first in range(256):
            frame = toServer(first)
            for before, allowed in (
                (b"", starts | control),
                (toServer(BINARY_BEGIN, b"x"), continues | control),
            ):
                if first not in allowed:
                    assertFails(before + frame, 1002, (first, before))
                    continue
                for event in server().receive(before + frame):
                    assert not isinstance(event, Failed), (first, before)

    def test_F03_lengths(self) -> None:
        """A length that is not in its shortest form, or has its top bit set, is 1002,
        without waiting for more of the frame (section 5.2)."""
        for first in (TEXT, TEXT_BEGIN, BINARY, BINARY_BEGIN):
            for length in (0, 1, 125):
                assertFails(
                    bytes((first, 0xFE)) + length.to_bytes(2, "big"), 1002, length
                )
            for length in (0, 1, 125, 126, 65535, 1 << 63, (1 << 64) - 1):
                assertFails(
                    bytes((first, 0xFF)) + length.to_bytes(8, "big"), 1002, length
                )
        for length in (126, 65535):
            events = server().receive(header(BINARY, length) + masked(bytes(length)))
            assert events == [encoded(bytes(length))], length

    def test_F04_controlFrames(self) -> None:
        """A control frame that is fragmented or longer than 125 bytes is 1002, on its
        first two bytes; one of 125 bytes is fine (section 5.5)."""
        for first in (CLOSE, PING, PONG):
            assertFails(bytes((first & 0x7F, 0x80)), 1002, first)
            assertFails(bytes((first, 0x80 | 126)), 1002, first)
            assertFails(bytes((first, 0x80 | 127)), 1002, first)
        longest = b"\x03\xe8" + b"x" * 123
        assert server().receive(toServer(PING, longest)) == [Ping(longest)]
        assert server().receive(toServer(PONG, longest)) == [Pong(longest)]
        assert server().receive(toServer(CLOSE, longest)) == [
            CloseReceived(1000, "x" * 123)
        ]

    def test_F04_turns(self) -> None:
        """A continuation without a start, and a new message inside a message, are 1002,
        on the header."""
        done = toServer(TEXT, b"done")
        ended = toServer(BINARY_BEGIN, b"a") + toServer(CONTINUE_END, b"b")
        for first in (CONTINUE, CONTINUE_END):
            assertFails(header(first, 5), 1002, first)
            for before, event in ((done, "done"), (ended, b"ab")):
                events = server().receive(before + header(first, 5))
                assert events[:-1] == [event], first
                assert failure(events[-1:], first).closeCode == 1002
        for begun in (TEXT_BEGIN, BINARY_BEGIN):
            for first in (TEXT, TEXT_BEGIN, BINARY, BINARY_BEGIN):
                for middle in (b"", toServer(CONTINUE, b"b"), toServer(CONTINUE)):
                    data = toServer(begun, b"a") + middle + header(first, 5)
                    assertFails(data, 1002, (begun, first, middle))

    def test_order(self) -> None:
        """What came before a bad frame in the same segment is given before Failed."""
        for bad, code in (
            (b"\xff\xff", 1002),
            (toServer(TEXT, b"\xff"), 1007),
            (header(BINARY, MIB + 1), 1009),
            (toServer(CLOSE, b"x"), 1002),
        ):
            data = (
                toServer(TEXT, b"one")
                + toServer(PING, b"two")
                + toServer(BINARY_BEGIN, b"th")
                + toServer(PONG, b"four")
                + toServer(CONTINUE_END, b"ree")
            )
            events = server().receive(data + bad)
            assert events[:-1] == ["one", Ping(b"two"), Pong(b"four"), b"three"]
            assert failure(events[-1:], bad).closeCode == code, bad

    def test_controlInsideMessage(self) -> None:
        """Control frames come through at once between the fragments of a message and
        leave it whole (section 5.4)."""
        connection = server()
        assert connection.receive(toServer(TEXT_BEGIN, b"\xe2")) == []
        assert connection.receive(toServer(PING, b"\xff")) == [Ping(b"\xff")]
        assert connection.receive(toServer(CONTINUE, b"\x82")) == []
        assert connection.receive(toServer(PONG)) == [Pong(b"")]
        assert connection.receive(toServer(CONTINUE_END, b"\xac!")) == ["€!"]


def encoded(payload: bytes) -> Event:
    """Name a binary message as the event that it is."""
    return payload


class LimitTests(SynchronousTestCase):
    """How much of a message is taken, rows F05, F09 and F10."""

    LIMITS = (1, 2, 125, 126, 127, 65535, 65536, 65537, MIB)

    def test_F05_exactly(self) -> None:
        """A message of exactly the limit passes, in one frame or many."""
        for limit in self.LIMITS:
            message = b"m" * limit
            half = limit // 2
            for kind, begun, event in (
                (TEXT, TEXT_BEGIN, message.decode()),
                (BINARY, BINARY_BEGIN, encoded(message)),
            ):
                for data in (
                    toServer(kind, message),
                    toServer(begun, message) + toServer(CONTINUE_END),
                    toServer(begun) + toServer(CONTINUE_END, message),
                    toServer(begun, message[:half])
                    + toServer(CONTINUE)
                    + toServer(CONTINUE_END, message[half:]),
                ):
                    # Twice, as no message may weigh on the next one.
                    events = server(maxMessageSize=limit).receive(data * 2)
                    assert events == [event, event], (limit, kind)

    def test_F05_oneMore(self) -> None:
        """One byte over the limit is 1009 as soon as the header has come that makes it
        so, in one frame or many."""
        for limit in self.LIMITS:
            half = limit // 2
            for kind, begun in ((TEXT, TEXT_BEGIN), (BINARY, BINARY_BEGIN)):
                for before, last in (
                    (b"", header(kind, limit + 1)),
                    (b"", header(begun, limit + 1)),
                    (toServer(begun, b"m" * limit), header(CONTINUE, 1)),
                    (toServer(begun, b"m" * limit), header(CONTINUE_END, 1)),
                    (toServer(begun), header(CONTINUE_END, limit + 1)),
                    (
                        toServer(begun, b"m" * half) + toServer(PING),
                        header(CONTINUE_END, limit + 1 - half),
                    ),
                ):
                    what = (limit, kind, last)
                    connection = server(maxMessageSize=limit)
                    events = connection.receive(before + last[:-1])
                    assert all(isinstance(each, Ping) for each in events), what
                    error = failure(connection.receive(last[-1:]), what)
                    assert isinstance(error, MessageTooBig), what
                    assert error.closeCode == 1009, what

    def test_F05_complete(self) -> None:
        """A complete frame over the limit that comes in one segment is refused, too."""
        for first in (TEXT, TEXT_BEGIN, BINARY, BINARY_BEGIN):
            assertFails(toServer(first, b"12345"), 1009, first, maxMessageSize=4)

    def test_F05_default(self) -> None:
        """Without being told, a connection takes messages of one MiB."""
        connection = Connection(Role.SERVER, Options())
        assert connection.receive(toServer(BINARY, bytes(MIB))) == [bytes(MIB)]
        error = failure(connection.receive(header(BINARY, MIB + 1)), "default")
        assert error.closeCode == 1009

    def test_F05_hugeLengths(self) -> None:
        """A frame of up to 2 to the power of 63 bytes costs nothing to refuse."""
        for length in (MIB + 1, 1 << 32, 1 << 62, (1 << 63) - 1):
            connection = server()
            with memory() as used:
                events = connection.receive(header(TEXT, length) + b"x" * 1000)
                assert failure(events, length).closeCode == 1009, length
            assert used.peak < 20_000, (length, used.peak)

    def test_F05_controlFramesDoNotCount(self) -> None:
        """Control frames inside a message are no part of it, for neither limit."""
        connection = server(maxMessageSize=4, maxFragments=2)
        noise = (toServer(PING, b"12345") + toServer(PONG, b"67890")) * 10
        data = toServer(BINARY_BEGIN, b"ab") + noise + toServer(CONTINUE_END, b"cd")
        events = connection.receive(data)
        assert len(events) == 21 and events[-1] == b"abcd"

    def test_F09_fragments(self) -> None:
        """A message may have maxFragments fragments, empty ones included, and not one
        more; each message is counted on its own."""
        for limit in (1, 2, 3, 10):
            for kind, begun, event in (
                (TEXT, TEXT_BEGIN, ""),
                (BINARY, BINARY_BEGIN, encoded(b"")),
            ):
                connection = server(maxFragments=limit)
                message = toServer(kind)
                if limit > 1:
                    message = toServer(begun) + toServer(CONTINUE) * (limit - 2)
                    message += toServer(CONTINUE_END)
                assert connection.receive(message * 2) == [event] * 2, limit
                begun_ = toServer(begun) + toServer(CONTINUE) * (limit - 1)
                assert connection.receive(begun_) == [], limit
                # On its header, like a message that is too long.
                error = failure(connection.receive(header(CONTINUE_END, 3)), limit)
                assert isinstance(error, MessageTooBig), limit

    def test_F09_manyFragments(self) -> None:
        """Without being told, a connection takes 131,072 fragments."""
        connection = Connection(Role.SERVER, Options())
        rest = toServer(CONTINUE, b"x") * 131_071
        assert receiveAll(connection, toServer(TEXT_BEGIN, b"x") + rest) == []
        error = failure(connection.receive(toServer(CONTINUE_END)), "one more")
        assert error.closeCode == 1009
        connection = Connection(Role.SERVER, Options())
        data = toServer(BINARY_BEGIN, b"x") + rest[7:] + toServer(CONTINUE_END, b"x")
        assert receiveAll(connection, data) == [b"x" * 131_072]

    def test_F09_memoryOfFragments(self) -> None:
        """One-byte fragments take at most three times the memory of the bytes sent, and
        what is kept of them is little more than the message."""
        # In segments as a transport reads them, and each on its own.
        for begun, count, step in (
            (BINARY_BEGIN, 30_000, 65536),
            (TEXT_BEGIN, 5_000, 65536),
            (BINARY_BEGIN, 3_000, 7),
            (TEXT_BEGIN, 3_000, 7),
        ):
            what = (begun, count, step)
            data = toServer(begun, b"x") + toServer(CONTINUE, b"x") * (count - 1)
            connection = server()
            with memory() as used:
                for at in range(0, len(data), step):
                    assert receiveAll(connection, data[at : at + step]) == []
            # The frames of one segment are objects while it is handled.
            assert used.peak < 3 * len(data) + 16 * step, (what, used.peak)
            # Python itself keeps room for the next few thousand of them.
            allowed = 1.5 * count + 2 * step + 10_000
            assert used.kept < allowed, (what, used.kept)
            with memory() as used:
                events = connection.receive(toServer(CONTINUE_END))
            message = b"x" * count
            assert events == [message if begun == BINARY_BEGIN else message.decode()]
            assert used.peak < 3 * count, (what, used.peak)

    def test_F09_memoryOfEmptyFragments(self) -> None:
        """Empty fragments leave nothing behind, however many."""
        for begun in (TEXT_BEGIN, BINARY_BEGIN):
            connection = server()
            data = toServer(CONTINUE) * 1000
            connection.receive(toServer(begun) + data)
            with memory() as used:
                for _ in range(5):
                    assert connection.receive(data) == []
            assert used.kept < 2000, (begun, used.kept)

    def test_F10_memoryOfSegments(self) -> None:
        """A large frame in small segments takes at most three times its size, the
        message that is handed over included."""
        for first, event in ((TEXT, "x" * MIB), (BINARY, encoded(b"x" * MIB))):
            data = toServer(first, b"x" * MIB)
            connection = server()
            events: list[Event] = []
            with memory() as used:
                for at in range(0, len(data), 1460):
                    events += connection.receive(data[at : at + 1460])
            assert events == [event]
            assert used.peak < 3 * MIB, (first, used.peak)
            assert used.kept < MIB + 20_000, (first, used.kept)

    def test_F10_linearTime(self) -> None:
        """A large frame in tiny segments takes time linear in its size, and so does a
        message in tiny fragments."""
        for first in (TEXT, BINARY):
            assertLinear(inOneFrame, first)
            assertLinear(inFragments, first)


def inOneFrame(first: int, size: int) -> bytes:
    """Write a message of that size in one frame."""
    return toServer(first, b"x" * size)


def inFragments(first: int, size: int) -> bytes:
    """Write a message of that size in fragments of 16 bytes."""
    begin = toServer(first & 0x0F, b"x" * 16)
    middle = toServer(CONTINUE, b"x" * 16) * (size // 16 - 2)
    return begin + middle + toServer(CONTINUE_END, b"x" * 16)


class Meter:
    """Memory that the body of a ``with`` took, in bytes."""

    peak = 0
    kept = 0


@contextmanager
def memory() -> Iterator[Meter]:
    """Measure the memory that Python allocates meanwhile."""
    meter = Meter()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        yield meter
        kept, peak = tracemalloc.get_traced_memory()
        meter.kept, meter.peak = kept - before, peak - before
    finally:
        tracemalloc.stop()


def assertLinear(make: Callable[[int, int], bytes], first: int) -> None:
    """Check that a message of 16 times the size takes about 16 times as long."""

    def cost(size: int) -> float:
        data = make(first, size)
        segments = [data[at : at + 16] for at in range(0, len(data), 16)]
        best = 1e9
        for _ in range(3):
            connection = server()
            started = time.process_time()
            for segment in segments:
                events = connection.receive(segment)
            best = min(best, time.process_time() - started)
            assert len(events) == 1 and not isinstance(events[0], Failed)
        return best

    small, large = cost(MIB // 64), cost(MIB // 4)
    # Copying what has come for each segment would make it over 100 times.
    assert large < 48 * small, (small, large)


class TextTests(SynchronousTestCase):
    """Text is UTF-8, row F06; the table of sequences is in test_conformance."""

    def test_F06_atTheFirstImpossibleByte(self) -> None:
        """Text that is not UTF-8 is 1007 at the first impossible byte, in a frame or a
        message that is far from its end."""
        connection = server()
        assert connection.receive(header(TEXT, 1000)) == []
        good = masked(b"caf\xc3\xa9 \xed")
        assert connection.receive(good) == []
        # U+D800 would go on like this: a surrogate.
        bad = masked(b"caf\xc3\xa9 \xed\xa0")[len(good) :]
        assert failure(connection.receive(bad), bad).closeCode == 1007

        connection = server()
        assert connection.receive(toServer(TEXT_BEGIN, b"\xf4")) == []
        assert connection.receive(header(CONTINUE, 10)) == []
        # Above U+10FFFF.
        bad = masked(b"\x90")
        assert failure(connection.receive(bad), bad).closeCode == 1007

    def test_F06_unfinished(self) -> None:
        """Text that ends inside a character is 1007."""
        for cut in (b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98"):
            assertFails(toServer(TEXT, b"x" + cut), 1007, cut)
            begun = toServer(TEXT_BEGIN, b"x")
            assertFails(begun + toServer(CONTINUE_END, cut), 1007, cut)
            begun = toServer(TEXT_BEGIN, b"x" + cut)
            assertFails(begun + toServer(CONTINUE_END), 1007, cut)

    def test_F06_eachMessageOnItsOwn(self) -> None:
        """No message inherits half a character from the one before it, however both
        came in."""
        euro = "€".encode()
        whole = toServer(TEXT, euro)
        parts = toServer(TEXT_BEGIN, euro[:1]) + toServer(CONTINUE_END, euro[1:])
        binary = toServer(BINARY_BEGIN, b"\xe2") + toServer(CONTINUE_END, b"\xff")
        long = toServer(TEXT_BEGIN, (euro * 4)[:7]) + toServer(CONTINUE_END, euro[1:])
        data = whole + whole + parts + binary + whole + parts + parts + long + whole
        expected = ["€", "€", "€", b"\xe2\xff", "€", "€", "€", "€€€", "€"]
        for step in range(1, 30):
            connection = server()
            events: list[Event] = []
            for at in range(0, len(data), step):
                events += connection.receive(data[at : at + step])
            assert events == expected, step

    def test_F06_binaryIsAnything(self) -> None:
        """Binary messages are not looked at."""
        everything = bytes(range(256))
        data = toServer(BINARY, everything)
        data += toServer(BINARY_BEGIN, everything) + toServer(CONTINUE_END, everything)
        connection = server()
        events: list[Event] = []
        for byte in data:
            events += connection.receive(bytes((byte,)))
        assert events == [everything, everything * 2]


def masked(payload: bytes) -> bytes:
    """Mask a payload."""
    return toServer(BINARY, payload)[len(header(BINARY, len(payload))) :]


class CloseTests(SynchronousTestCase):
    """Close frames and what comes after them, rows F07 and F08."""

    def test_F07_codes(self) -> None:
        """Of all codes, only those that may be on the wire are taken; others are 1002
        (section 7.4)."""
        legal = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
        for code in (*range(5001), 9999, 32768, 65535):
            payload = code.to_bytes(2, "big")
            for reason in (b"", b"why"):
                events = server().receive(toServer(CLOSE, payload + reason))
                if code in legal:
                    assert events == [CloseReceived(code, reason.decode())], code
                else:
                    assert failure(events, code).closeCode == 1002, code

    def test_F07_oneByte(self) -> None:
        """A payload of one byte is 1002, whichever it is."""
        for byte in range(256):
            assertFails(toServer(CLOSE, bytes((byte,))), 1002, byte)

    def test_F07_reason(self) -> None:
        """A reason that is not UTF-8 is 1007, also when a character is cut off; with a
        code that is wrong as well it is 1002."""
        for reason in (
            b"\xff",
            b"x\x80",
            b"\xc0\x80",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"x\xe2\x82",
            b"x" * 122 + b"\xc3",
        ):
            assertFails(toServer(CLOSE, b"\x03\xe8" + reason), 1007, reason)
            assertFails(toServer(CLOSE, b"\x03\xed" + reason), 1002, reason)
        longest = "€" * 41
        events = server().receive(toServer(CLOSE, b"\x03\xe8" + longest.encode()))
        assert events == [CloseReceived(1000, longest)]

    def test_F07_badCloseIsAnswered(self) -> None:
        """After a bad Close frame the connection is failed, not closed: the answer has
        this side's code, the outcome too."""
        connection = server()
        error = failure(connection.receive(toServer(CLOSE, b"\x03\xed")), 1005)
        assert connection.state is OPEN
        assert connection.replyClose() == b""
        assert connection.fail(error)[2:4] == b"\x03\xea"
        assert connection.outcome[0] == 1002

    def test_F08_ignored(self) -> None:
        """After the last event nothing is looked at, in the same segment or later, good
        or bad, and it changes neither state nor outcome."""
        good, bad = toServer(TEXT, b"late"), b"\xff" * 20
        more = (
            good,
            toServer(PING),
            toServer(CLOSE, b"\x03\xe8"),
            toServer(TEXT_BEGIN, b"x"),
            header(BINARY, 1 << 40),
            bad,
            b"",
            b"\x81",
        )
        for final in (
            toServer(CLOSE, PEER_CLOSE),
            toServer(CLOSE),
            b"\xff\xff",
            toServer(TEXT, b"\xff"),
            header(BINARY, MIB + 1),
            toServer(BINARY_BEGIN) + toServer(CLOSE, PEER_CLOSE),
            toServer(TEXT_BEGIN) + toServer(TEXT),
        ):
            for late in more:
                connection = server()
                assert len(connection.receive(final + late)) == 1, (final, late)
                state, outcome = connection.state, connection.outcome
                for again in more:
                    assert connection.receive(again) == [], (final, late, again)
                assert connection.state is state, (final, late)
                assert connection.outcome == outcome, (final, late)

    def test_F08_afterOwnFailure(self) -> None:
        """Once this side has failed the connection, nothing is looked at either; nor
        does the outcome change."""
        for calls in (("fail",), ("close", "fail"), ("receive", "fail")):
            connection = begin(Role.SERVER, *calls)
            for data in (
                toServer(TEXT, b"x"),
                toServer(CLOSE, PEER_CLOSE),
                b"\xff\xff",
            ):
                assert connection.receive(data) == [], calls
            assert connection.state is FAILED
            assert connection.outcome == (1002, "why")

    def test_F08_memory(self) -> None:
        """What comes after the end is not kept, nor is the message that was under
        way."""
        for final in (toServer(CLOSE), b"\xff\xff"):
            with memory() as used:
                connection = server()
                connection.receive(toServer(BINARY_BEGIN, bytes(100_000)))
                connection.receive(final)
                for _ in range(10):
                    connection.receive(header(BINARY, 1_000_000) + bytes(100_000))
            assert used.kept < 20_000, (final, used.kept)

    def test_closeInsideMessage(self) -> None:
        """A Close frame ends the connection in the middle of a message, of which
        nothing is delivered."""
        connection = server()
        data = toServer(TEXT_BEGIN, b"x") + toServer(CLOSE, PEER_CLOSE)
        data += toServer(CONTINUE_END, b"y")
        assert connection.receive(data) == [CloseReceived(1001, "going")]

    def test_closeCodes(self) -> None:
        """Only codes that may be on the wire can be closed with; others are a
        ValueError and change nothing."""
        legal = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
        for code in (-1, *range(5001), 65535, 65536, 1 << 40):
            connection = server()
            if code in legal:
                expected = b"\x88\x02" + code.to_bytes(2, "big")
                assert connection.close(code) == expected, code
                continue
            raised(ValueError, connection.close, code)
            assert connection.state is OPEN, code
            assert connection.sendText("") == b"\x81\x00", code

    def test_closeReasons(self) -> None:
        """A reason of up to 123 bytes in UTF-8 goes into the Close frame; a longer one,
        and one with a lone surrogate, is a ValueError and changes nothing."""
        for reason in ("", "x" * 123, "é" * 61, "€" * 41, "😀" * 30 + "abc"):
            payload = b"\x03\xe8" + reason.encode()
            assert server().close(1000, reason) == sentBy(Role.SERVER, CLOSE, payload)
        for reason in ("x" * 124, "é" * 62, "€" * 42, "😀" * 31, "\ud800", "x\udfff"):
            # The check is the same when there is nothing left to send.
            for calls in ((), ("close",), ("receive",), ("fail",)):
                connection = begin(Role.SERVER, *calls)
                state = connection.state
                raised(ValueError, connection.close, 1000, reason)
                assert connection.state is state, reason

    def test_longFailure(self) -> None:
        """A failure's text is cut to the 123 bytes that fit, never inside a
        character."""
        for text in (
            "x" * 123,
            "x" * 124,
            "x" * 10_000,
            *("x" * lead + "é" * 100 for lead in range(3)),
            *("x" * lead + "€" * 100 for lead in range(4)),
            *("x" * lead + "😀" * 100 for lead in range(5)),
        ):
            for role in Role:
                connection = connect(role)
                frame = connection.fail(PolicyViolation(text))
                decoder = FrameDecoder(masked=role is Role.CLIENT)
                ((first, payload),) = decoder.feed(frame)
                assert first == CLOSE and payload[:2] == b"\x03\xf0", text
                reason = payload[2:].decode()
                assert text.startswith(reason), text
                left = text[len(reason) : len(reason) + 1].encode()
                assert not left or len(payload) - 2 + len(left) > 123, text
                assert len(payload) <= 125, text
                # For the application's side nothing is cut.
                assert connection.outcome == (1008, text), text

    def test_failureWithoutText(self) -> None:
        """An error without text gives a Close frame with its code alone."""
        assert server().fail(PolicyViolation()) == b"\x88\x02\x03\xf0"

    def test_failureOfTheBaseClass(self) -> None:
        """An error without a code of its own puts none that is illegal on the wire
        (section 7.4.1: 1006 MUST NOT be set)."""
        frame = server().fail(ConnectionFailed("why"))
        peer = connect(Role.CLIENT)
        (event,) = peer.receive(frame)
        assert isinstance(event, CloseReceived), event

    def test_failureWithSurrogate(self) -> None:
        """An error text that UTF-8 cannot hold, such as one made from a file name,
        still gives a Close frame."""
        frame = server().fail(PolicyViolation("no \udcff here"))
        (event,) = connect(Role.CLIENT).receive(frame)
        assert isinstance(event, CloseReceived) and event.code == 1008, event


class SendTests(SynchronousTestCase):
    """What goes out."""

    def test_frames(self) -> None:
        """A message goes out in one frame with the shortest length, in clear from a
        server, masked from a client."""
        for size in (0, 1, 125, 126, 127, 65535, 65536, 2 * MIB):
            text, data = "é" * size, b"\xff" * size
            for role in Role:
                connection = connect(role)
                frame = sentBy(role, TEXT, text.encode())
                assert connection.sendText(text) == frame, (role, size)
                frame = sentBy(role, BINARY, data)
                assert connection.sendBytes(data) == frame, (role, size)

    def test_controlFrames(self) -> None:
        """Pings and pongs carry up to 125 bytes; more is a ValueError and sends
        nothing."""
        for role in Role:
            connection = connect(role)
            assert connection.ping() == sentBy(role, PING)
            for size in (0, 1, 124, 125):
                payload = b"\xfe" * size
                assert connection.ping(payload) == sentBy(role, PING, payload)
                assert connection.pong(payload) == sentBy(role, PONG, payload)
            for size in (126, 127, 65536):
                raised(ValueError, connection.ping, bytes(size))
                raised(ValueError, connection.pong, bytes(size))
            assert connection.state is OPEN
        # The check is the same when there is nothing left to send.
        raised(ValueError, begin(Role.SERVER, "close").ping, bytes(126))

    def test_bufferKinds(self) -> None:
        """Binary messages may come from other buffers, and are copied."""
        buffer = bytearray(b"abcd")
        connection = server()
        for data, payload in (
            (buffer, b"abcd"),
            (memoryview(buffer), b"abcd"),
            (memoryview(buffer)[1:3], b"bc"),
            (memoryview(buffer)[::2], b"ac"),
            (memoryview(b""), b""),
        ):
            frame = connection.sendBytes(cast(bytes, data))
            assert frame == sentBy(Role.SERVER, BINARY, payload), data
            assert type(frame) is bytes

    def test_wrongKinds(self) -> None:
        """Text for bytes, bytes for text, and what is neither, are a TypeError that
        names the kind; nothing is sent, and the connection goes on."""
        for calls in ((), ("close",)):
            for role in Role:
                connection = begin(role, *calls)
                state = connection.state
                noText: tuple[Any, ...] = (b"x", bytearray(b"x"), None, 1, ["x"])
                for wrong in noText:
                    error = raised(TypeError, connection.sendText, wrong)
                    assert type(wrong).__name__ in str(error), wrong
                noBytes: tuple[Any, ...] = ("x", None, 1, 1.5, [1], (b"x",))
                for wrong in noBytes:
                    error = raised(TypeError, connection.sendBytes, wrong)
                    assert type(wrong).__name__ in str(error), wrong
                assert connection.state is state

    def test_loneSurrogates(self) -> None:
        """Text that UTF-8 cannot hold is a UnicodeEncodeError; nothing is sent."""
        connection = server()
        for text in ("\ud800", "x\udfff", "\ud83d"):
            raised(UnicodeEncodeError, connection.sendText, text)
        assert connection.sendText("😀") == b"\x81\x04\xf0\x9f\x98\x80"

    def test_C06_freshKeys(self) -> None:
        """A client asks for four new bytes for every frame, control frames included,
        and masks that frame with them."""
        keys = [bytes((number, 2, 3, 4)) for number in range(9)]
        asked: list[int] = []

        def makeKey(size: int) -> bytes:
            asked.append(size)
            return keys[len(asked) - 1]

        connection = Connection(Role.CLIENT, Options(), makeKey)
        frames = (
            (connection.sendText("a"), TEXT, b"a"),
            (connection.sendText(""), TEXT, b""),
            (connection.sendBytes(b"b"), BINARY, b"b"),
            (connection.sendBytes(b"b"), BINARY, b"b"),
            (connection.ping(b"c"), PING, b"c"),
            (connection.ping(b"c"), PING, b"c"),
            (connection.pong(b"d"), PONG, b"d"),
            (connection.close(1000, "e"), CLOSE, b"\x03\xe8e"),
        )
        for (frame, first, payload), key in zip(frames, keys, strict=False):
            assert frame == encodeFrame(first, payload, key), (first, payload)
        # What is not sent takes no key.
        assert connection.sendText("late") == b""
        assert asked == [4] * 8

    def test_C06_everyClose(self) -> None:
        """The answer to a Close frame and that of a failure are masked as well."""
        for calls in (("receive", "replyClose"), ("fail",)):
            asked: list[int] = []

            def makeKey(size: int, asked: list[int] = asked) -> bytes:
                asked.append(size)
                return KEY

            connection = Connection(Role.CLIENT, Options(), makeKey)
            connection.receive(sentTo(Role.CLIENT, CLOSE, PEER_CLOSE))
            frame = CALLS[calls[-1]](connection)
            assert frame[1] & 0x80 and frame[2:6] == KEY, calls
            assert asked == [4], calls

    def test_C06_source(self) -> None:
        """Keys come from the system's generator unless a test says otherwise, and a
        server takes none."""
        makeKey = inspect.signature(Connection).parameters["makeKey"]
        assert makeKey.default is os.urandom
        one = Connection(Role.CLIENT, Options()).sendBytes(bytes(16))
        assert len(one) == 2 + 4 + 16
        assert one[6:] == one[2:6] * 4

        def noKey(size: int) -> bytes:
            raise AssertionError("a server masks nothing")

        connection = Connection(Role.SERVER, Options(), noKey)
        assert connection.sendText("a") == b"\x81\x01a"
        assert connection.close() == b"\x88\x02\x03\xe8"
