"""Promises of a connection that hold for any bytes, however they are cut."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.closing import isLegalOnWire
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
from twisted_ws.errors import ConnectionFailed
from twisted_ws.frames import encodeFrame
from twisted_ws.options import Options

from .support import receiveAll as takeAll

# So small that random messages go over them now and then.
LIMITS = Options(maxMessageSize=20, maxFragments=3)

steady = settings(deadline=None, derandomize=True, max_examples=100)

roles = st.sampled_from(Role)
cuts = st.lists(st.integers(0, 300), max_size=20)

# Text as it should be, as it must not be, and everything.
payloads = st.one_of(
    st.text(max_size=8).map(str.encode),
    st.binary(max_size=24),
    st.sampled_from((b"\xe2\x82", b"\xac", b"\xed\xa0", b"\x80", b"\xf4\x90", b"\xff")),
)
opcodes = st.sampled_from((*(1, 2) * 4, 0, 0, 9, 10, 8, 8, 3, 11))
keys = st.binary(min_size=4, max_size=4)
rarely = st.sampled_from((False,) * 15 + (True,))
reasons = st.text(max_size=30)
codes = st.sampled_from((1000, 1001, 1003, 1007, 1014, 3000, 4000, 4999))


def split(data: bytes, points: Sequence[int]) -> list[bytes]:
    """Cut data at some of its bytes."""
    inside = sorted({0, *(at % (len(data) + 1) for at in points)})
    ends = [*inside[1:], len(data)]
    return [data[start:end] for start, end in zip(inside, ends, strict=True)]


@st.composite
def closePayloads(draw: st.DrawFn) -> bytes:
    """Payloads of Close frames, most of them good."""
    code = draw(codes) if not draw(rarely) else draw(st.integers(0, 65535))
    return code.to_bytes(2, "big") + draw(reasons).encode()


@st.composite
def frames(draw: st.DrawFn, role: Role) -> bytes:
    """Frames for a role, of which one in a few breaks a rule."""
    opcode = draw(opcodes)
    first = opcode
    if opcode >= 8 or draw(st.booleans()):
        first |= 0x80
    if draw(rarely):
        first ^= draw(st.sampled_from((0x10, 0x20, 0x40, 0x80)))
    payload = draw(closePayloads() if opcode == 8 else payloads)
    key = draw(keys) if (role is Role.SERVER) != draw(rarely) else None
    frame = encodeFrame(first, payload, key)
    if draw(rarely):
        # Its length written longer than need be, or another one.
        size = draw(st.sampled_from((len(payload), 126, 65536, 1 << 62, 1 << 63)))
        frame = bytes((first, frame[1] | 127)) + size.to_bytes(8, "big") + frame[2:]
    return frame


@st.composite
def goodMessages(draw: st.DrawFn, role: Role) -> bytes:
    """Messages within the limits, in up to three fragments that may cut characters,
    with pings and pongs between them."""
    isText = draw(st.booleans())
    text, data = st.text(max_size=5).map(str.encode), st.binary(max_size=20)
    payload = draw(text if isText else data)
    pieces = split(payload, draw(st.lists(st.integers(0, 20), max_size=2)))
    wire = b""
    for number, piece in enumerate(pieces):
        first = 0 if number else 1 if isText else 2
        if number == len(pieces) - 1:
            first |= 0x80
        key = draw(keys) if role is Role.SERVER else None
        while draw(st.integers(0, 3)) == 0:
            control = draw(st.sampled_from((0x89, 0x8A)))
            wire += encodeFrame(control, draw(st.binary(max_size=5)), key)
        wire += encodeFrame(first, piece, key)
    return wire


@st.composite
def streams(draw: st.DrawFn, role: Role) -> bytes:
    """Good messages, then frames of which some are not, the last one perhaps cut short,
    perhaps with rubbish behind them."""
    pieces = draw(st.lists(goodMessages(role), max_size=4))
    pieces += draw(st.lists(frames(role), max_size=4))
    if draw(rarely):
        pieces.append(draw(st.binary(max_size=20)))
    stream = b"".join(pieces)
    return stream[: len(stream) - draw(st.integers(0, 3))]


@st.composite
def traffic(draw: st.DrawFn) -> tuple[Role, bytes]:
    """A role and what its peer sends."""
    role = draw(roles)
    return role, draw(st.one_of(streams(role), streams(role), st.binary(max_size=60)))


def describe(event: Event) -> object:
    """Give an event in a form that compares: errors do not."""
    if isinstance(event, Failed):
        return type(event.error), str(event.error)
    # A text message and a binary one differ, and so do the kinds of control frames.
    return type(event), event


def receiveAll(connection: Connection, segments: Sequence[bytes]) -> list[object]:
    """Feed segments to a connection."""
    return [describe(event) for each in segments for event in takeAll(connection, each)]


class PropertyTests(SynchronousTestCase):
    """What holds for any bytes."""

    @steady
    @given(traffic(), cuts)
    @example((Role.SERVER, b"\x81\x82\0\0\0\0\xed\xa0"), [7])
    @example(
        (Role.CLIENT, b"\x01\x01\xe2\x80\x02\x82\xac\x81\x03\xe2\x82\xac"), [9, 10]
    )
    def test_anySplit(self, sent: tuple[Role, bytes], points: list[int]) -> None:
        """The same bytes bring the same events, however they are cut."""
        role, data = sent
        whole = Connection(role, LIMITS)
        expected = receiveAll(whole, [data])
        for segments in (split(data, points), split(data, range(len(data)))):
            other = Connection(role, LIMITS)
            assert receiveAll(other, segments) == expected, segments
            assert other.state is whole.state
            assert other.outcome == whole.outcome
            if other.outcome == (1006, ""):
                assert other.isMidMessage is whole.isMidMessage

    @steady
    @given(traffic(), cuts)
    def test_onlyDocumentedEvents(
        self, sent: tuple[Role, bytes], points: list[int]
    ) -> None:
        """Any bytes bring messages within the limit, pings, pongs, and at the end at
        most one CloseReceived or Failed, with a legal code; nothing is raised, and each
        of them can be answered as the documentation says."""
        role, data = sent
        connection = Connection(role, LIMITS)
        isOver = False
        for segment in split(data, points):
            for event in takeAll(connection, segment):
                assert not isOver, event
                isOver = self._answer(connection, event)
        assert isOver == (connection.outcome != (1006, ""))
        assert isOver == (connection.state in (State.CLOSED, State.FAILED))

    def _answer(self, connection: Connection, event: Event) -> bool:
        """Act on an event as a server does, and check it; tell whether it is the last
        one."""
        if isinstance(event, str):
            assert len(event.encode()) <= LIMITS.maxMessageSize
            assert connection.sendText(event)
        elif isinstance(event, bytes):
            assert len(event) <= LIMITS.maxMessageSize
            assert connection.sendBytes(event)
        elif isinstance(event, Ping):
            assert len(event.payload) <= 125
            assert connection.pong(event.payload)
        elif isinstance(event, Pong):
            assert len(event.payload) <= 125
        elif isinstance(event, CloseReceived):
            assert event.code == 1005 or isLegalOnWire(event.code), event
            assert len(event.reason.encode()) <= 123
            assert connection.state is State.CLOSE_RECEIVED
            assert connection.outcome == (event.code, event.reason)
            assert connection.replyClose()
            return True
        else:
            assert isinstance(event, Failed)
            assert isinstance(event.error, ConnectionFailed)
            assert event.error.closeCode in (1002, 1007, 1009), event
            assert connection.state is State.OPEN
            assert connection.outcome == (event.error.closeCode, str(event.error))
            assert connection.fail(event.error)
            return True
        return False

    @steady
    @given(st.lists(st.tuples(traffic(), cuts), min_size=1, max_size=3))
    def test_onlyDocumentedEventsUnanswered(
        self, pieces: list[tuple[tuple[Role, bytes], list[int]]]
    ) -> None:
        """The same goes for a caller that answers nothing, and after the end, and for a
        peer that forgets which role it has."""
        (role, _), _ = pieces[0]
        connection = Connection(role, LIMITS)
        events = [
            event
            for (_, data), points in pieces
            for segment in split(data, points)
            for event in takeAll(connection, segment)
        ]
        for event in events[:-1]:
            assert isinstance(event, (str, bytes, Ping, Pong)), event
        for event in events[-1:]:
            kinds = (str, bytes, Ping, Pong, CloseReceived, Failed)
            assert isinstance(event, kinds), event


# Payloads around the places where the length field grows, and small ones.
sizes = st.sampled_from((0, 1, 125, 126, 127, 65535, 65536, 70000))
texts = st.one_of(
    st.text(), sizes.map(lambda size: "é" * (size // 2) + "x" * (size % 2))
)
binaries = st.one_of(st.binary(), sizes.map(lambda size: b"\xff" * size))
controls = st.one_of(st.binary(max_size=125), st.just(b"\xff" * 125))
messages = st.lists(
    st.one_of(texts, binaries, controls.map(Ping), controls.map(Pong)), max_size=10
)
closes = st.one_of(st.none(), st.tuples(codes, reasons))


def send(connection: Connection, event: Event) -> bytes:
    """Write what the peer should receive as this event."""
    if isinstance(event, str):
        return connection.sendText(event)
    if isinstance(event, bytes):
        return connection.sendBytes(event)
    if isinstance(event, Ping):
        return connection.ping(event.payload)
    assert isinstance(event, Pong)
    return connection.pong(event.payload)


class RoundTripTests(SynchronousTestCase):
    """What one side writes the other one reads."""

    @steady
    @given(roles, messages, closes, cuts)
    def test_oneWay(
        self,
        role: Role,
        sent: list[Event],
        closing: tuple[int, str] | None,
        points: list[int],
    ) -> None:
        """Any messages, pings, pongs and a close come out as they went in, from client
        to server and from server to client."""
        sender = Connection(role, Options())
        other = Role.CLIENT if role is Role.SERVER else Role.SERVER
        receiver = Connection(other, Options())
        wire = b"".join(send(sender, event) for event in sent)
        expected = [*sent]
        if closing is not None:
            wire += sender.close(*closing)
            expected.append(CloseReceived(*closing))
            # Nothing goes out behind it.
            wire += b"".join(send(sender, event) for event in sent)
        received: list[Event] = []
        for segment in split(wire, [*points, len(wire) // 2]):
            received += takeAll(receiver, segment)
        assert [describe(each) for each in received] == [
            describe(each) for each in expected
        ]
        assert not receiver.isMidMessage
        if closing is None:
            assert sender.state is receiver.state is State.OPEN
            return
        assert sender.receive(receiver.replyClose()) == [CloseReceived(closing[0], "")]
        assert sender.state is receiver.state is State.CLOSED
        assert receiver.outcome == closing

    @steady
    @given(
        st.lists(
            st.tuples(
                st.booleans(),
                st.one_of(
                    st.text(max_size=40),
                    st.binary(max_size=200),
                    controls.map(Ping),
                    controls.map(Pong),
                ),
            ),
            max_size=20,
        ),
        closes,
        closes,
    )
    def test_bothWays(
        self,
        sent: list[tuple[bool, Event]],
        clientCloses: tuple[int, str] | None,
        serverCloses: tuple[int, str] | None,
    ) -> None:
        """Both sides may talk at once, and close at once; what was on its way arrives,
        and both learn the other's code."""
        client = Connection(Role.CLIENT, Options())
        server = Connection(Role.SERVER, Options())
        toServer = b"".join(send(client, event) for mine, event in sent if mine)
        toClient = b"".join(send(server, event) for mine, event in sent if not mine)
        forServer: list[Event] = [event for mine, event in sent if mine]
        forClient: list[Event] = [event for mine, event in sent if not mine]
        if clientCloses is not None:
            toServer += client.close(*clientCloses)
            forServer.append(CloseReceived(*clientCloses))
        if serverCloses is not None:
            toClient += server.close(*serverCloses)
            forClient.append(CloseReceived(*serverCloses))
        for connection, data, expected in (
            (server, toServer, forServer),
            (client, toClient, forClient),
        ):
            assert receiveAll(connection, [data]) == [
                describe(each) for each in expected
            ]
        # Where only one of them closed, the other one answers now.
        client.receive(server.replyClose())
        server.receive(client.replyClose())
        isClosed = clientCloses is not None or serverCloses is not None
        expectedState = State.CLOSED if isClosed else State.OPEN
        assert client.state is server.state is expectedState
        if clientCloses is not None:
            assert server.outcome == clientCloses
        if serverCloses is not None:
            assert client.outcome == serverCloses
