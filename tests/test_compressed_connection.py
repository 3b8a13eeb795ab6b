"""One open connection that agreed on permessage-deflate."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import tracemalloc
import zlib
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.connection import (
    INFLATED_PER_RECEIVE,
    CloseReceived,
    Connection,
    Event,
    Failed,
    Ping,
    Role,
)
from twisted_ws.deflate import PreparedMessage
from twisted_ws.errors import MessageTooBig
from twisted_ws.frames import FrameDecoder, encodeFrame
from twisted_ws.offers import DeflateParameters
from twisted_ws.options import Options

from .support import receiveAll

MIB = 1024 * 1024
KEY = b"\x37\xfa\x21\x3d"
TAIL = b"\0\0\xff\xff"

# First bytes: FIN, RSV1 and the opcode.
TEXT, BINARY, CONTINUE, CONTINUE_END = 0x81, 0x82, 0x00, 0x80
ZTEXT, ZBINARY, ZTEXT_BEGIN, ZBINARY_BEGIN = 0xC1, 0xC2, 0x41, 0x42

# Text whose bytes come apart when it is cut.
TEXTS = (
    "the first of three texts about one thing",
    "another one, which says other things about it, and more of them",
    "a third one; it has words of the first and of the other text",
)
WORDS = "Wörter, wörter, wörter und andere Wörter: 日本語 \U0001f600"

steady = settings(deadline=None, derandomize=True, max_examples=80)


def make(
    role: Role = Role.SERVER,
    parameters: DeflateParameters | None = None,
    **options: Any,
) -> Connection:
    """Make a connection with compression."""
    if parameters is None:
        parameters = DeflateParameters()
    return Connection(
        role, Options(**options), lambda size: KEY[:size], deflate=parameters
    )


def frame(first: int, payload: bytes = b"") -> bytes:
    """Write a client's frame."""
    return encodeFrame(first, payload, KEY)


def sent(data: bytes, role: Role = Role.SERVER) -> list[tuple[int, bytes]]:
    """Read the frames that one side wrote."""
    decoder = FrameDecoder(masked=role is Role.CLIENT, reservedBits=0x40)
    frames = decoder.feed(data)
    assert decoder.error is None and not decoder.isMidFrame
    return frames


class Sender:
    """Compresses as a peer does."""

    def __init__(self, level: int = 6) -> None:
        self._compressor = zlib.compressobj(level, zlib.DEFLATED, -15)

    def __call__(self, message: str | bytes) -> bytes:
        data = message.encode() if isinstance(message, str) else message
        if not data:
            return b"\0"
        wire = self._compressor.compress(data)
        wire += self._compressor.flush(zlib.Z_SYNC_FLUSH)
        return wire.removesuffix(TAIL)


def fragments(
    first: int, payload: bytes, size: int, between: bytes = b""
) -> list[bytes]:
    """Write a message in frames of so many payload bytes each."""
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)]
    wire = []
    for number, piece in enumerate(pieces):
        opcode = first & 0x7F if number == 0 else CONTINUE
        fin = 0x80 if number == len(pieces) - 1 else 0
        wire.append(frame(opcode | fin, piece) + (between if not fin else b""))
    return wire


def bytewise(connection: Connection, data: bytes) -> list[Event]:
    """Receive byte for byte."""
    events: list[Event] = []
    for at in range(len(data)):
        events += receiveAll(connection, data[at : at + 1])
    return events


class ReceiveTests(SynchronousTestCase):
    """Messages that come compressed."""

    def assertReceives(self, wire: bytes, expected: list[Any], **options: Any) -> None:
        """Hold that bytes bring certain events, whole, byte for byte, with a tail."""
        for take in (receiveAll, bytewise):
            self.assertEqual(take(make(**options), wire), expected)
        tail = [*expected, Ping(b"tail")]
        self.assertEqual(receiveAll(make(**options), wire + frame(0x89, b"tail")), tail)

    def assertFails(self, wire: bytes, code: int, why: str, **options: Any) -> None:
        """Hold that bytes fail the connection, whole and byte for byte."""
        for take in (receiveAll, bytewise):
            events = take(make(**options), wire)
            self.assertEqual(len(events), 1, events)
            failed = events[0]
            assert isinstance(failed, Failed), failed
            self.assertEqual((failed.error.closeCode, str(failed.error)), (code, why))

    def test_oneFrame(self) -> None:
        """Text and binary, empty and long, with earlier messages in mind."""
        sender = Sender()
        messages: list[str | bytes]
        messages = [WORDS, WORDS.encode(), "", b"", "x" * 5000, WORDS]
        wire = b"".join(
            frame(ZTEXT if isinstance(each, str) else ZBINARY, sender(each))
            for each in messages
        )
        self.assertReceives(wire, list(messages))

    def test_fragments(self) -> None:
        """A compressed message in fragments, control frames between them."""
        for message, first in ((WORDS, ZTEXT), (WORDS.encode(), ZBINARY)):
            for size in (1, 7, 1000):
                sender = Sender()
                wire = fragments(first, sender(message), size, frame(0x89, b"?"))
                pings = [Ping(b"?")] * (len(wire) - 1)
                wire += fragments(first, sender(message), size)
                self.assertReceives(b"".join(wire), [*pings, message, message])

    def test_mixed(self) -> None:
        """Messages that are not compressed stand between those that are, and are no
        part of what those refer to."""
        sender = Sender()
        wire = (
            frame(ZTEXT, sender(WORDS))
            + frame(TEXT, b"plain")
            + frame(0x01, "sö".encode()[:2])
            + frame(CONTINUE_END, "ö".encode()[1:])
            + frame(ZTEXT, sender(WORDS))
            + frame(BINARY, b"")
        )
        self.assertReceives(wire, [WORDS, "plain", "sö", WORDS, b""])

    def test_emptyFragments(self) -> None:
        """Fragments without a byte, and a last one that has them all, or none."""
        payload = Sender()(WORDS)
        for pieces in ((b"", b"", payload), (payload, b"", b""), (b"", payload, b"")):
            wire = (
                frame(ZTEXT_BEGIN, pieces[0])
                + frame(CONTINUE, pieces[1])
                + frame(CONTINUE_END, pieces[2])
            )
            self.assertReceives(wire, [WORDS])
        # Of the empty message one byte is left (section 7.2.3.6): none is not whole.
        self.assertFails(
            frame(ZTEXT), 1007, "a compressed message is not in DEFLATE's form"
        )

    def test_F02_notAgreed(self) -> None:
        """Without an agreement a compressed frame is an error, and also with one where
        the bit may not stand."""
        events = Connection(Role.SERVER, Options()).receive(frame(ZTEXT, b"\0"))
        assert isinstance(events[0], Failed)
        self.assertEqual(events[0].error.closeCode, 1002)
        why = "reserved bits set that were not negotiated"
        for first in (0xC0, 0x40, 0xC9, 0xC8, 0xA1, 0x91, 0xF1):
            self.assertFails(frame(first, b"\0"), 1002, why)
        off = Connection(
            Role.SERVER, Options(compression="none"), deflate=DeflateParameters()
        )
        self.assertIsInstance(off.receive(frame(ZTEXT, b"\0"))[0], Failed)

    def test_cutBehindHeaders(self) -> None:
        """Segments may end right behind a frame's header, or anywhere else, in each of
        several messages that refer to those before."""
        sender = Sender()
        frames = [frame(ZTEXT, sender(each)) for each in (*TEXTS, *TEXTS[::-1])]
        for cuts in ((6, 9, 6, 8, 0, 6), (6, 6, 7, 6, 6, 11), (0, 6, 6, 12, 6, 6)):
            connection = make()
            events: list[Event] = []
            for wire, cut in zip(frames, cuts, strict=True):
                events += receiveAll(connection, wire[:cut])
                events += receiveAll(connection, wire[cut:])
            self.assertEqual(events, [*TEXTS, *TEXTS[::-1]])

    def test_F04_turns(self) -> None:
        """A compressed message inside another is an error."""
        for first in (ZTEXT, ZBINARY_BEGIN, TEXT):
            wire = frame(ZTEXT_BEGIN, b"") + frame(first, b"")
            self.assertFails(wire, 1002, "new message inside a fragmented one")

    def test_D01_bomb(self) -> None:
        """64 MiB in 64 KiB fail with 1009 after 1 MiB, with under 4 MiB of memory, in
        one frame, in fragments, and in a frame that is not complete."""
        bomb = Sender(9)(bytes(64 * MIB))
        self.assertLess(len(bomb), 66_000)
        whole = frame(ZBINARY, bomb)
        for wire in (whole, b"".join(fragments(ZBINARY, bomb, 1000)), whole[:-1]):
            connection = make()
            tracemalloc.start()
            try:
                events = receiveAll(connection, wire)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            self.assertEqual(len(events), 1)
            assert isinstance(events[0], Failed)
            self.assertIsInstance(events[0].error, MessageTooBig)
            self.assertLess(peak, 4 * MIB)

    def test_D01_exactly(self) -> None:
        """Exactly ``maxMessageSize`` passes, counted after decompression; one byte more
        does not. That holds for what does not compress too."""
        for message in (b"a" * 1000, os.urandom(1000)):
            wire = frame(ZBINARY, Sender()(message))
            self.assertReceives(wire, [message], maxMessageSize=1000)
            why = "message over 999 bytes"
            self.assertFails(wire, 1009, why, maxMessageSize=999)
            pieces = b"".join(fragments(ZBINARY, Sender()(message), 10))
            self.assertReceives(pieces, [message], maxMessageSize=1000)
            self.assertFails(pieces, 1009, why, maxMessageSize=999)

    def test_D01_onTheHeader(self) -> None:
        """A frame that is too long for any message within the limit is refused on its
        header."""
        header = bytes((ZBINARY, 0xFF)) + (2 * MIB).to_bytes(8, "big") + KEY
        self.assertFails(header, 1009, f"message over {MIB} bytes")
        # And so is the fragment with which it gets too long.
        wire = frame(ZBINARY_BEGIN, Sender()(b"x" * 10)) + bytes((CONTINUE, 0xFE))
        wire += (1000).to_bytes(2, "big") + KEY
        self.assertFails(wire, 1009, "message over 100 bytes", maxMessageSize=100)

    def test_flushedFragments(self) -> None:
        """A sender may flush behind each byte, which makes a message much longer than
        it is without compression."""
        sender = Sender()
        wire = b""
        for number in range(100):
            first = ZTEXT_BEGIN if number == 0 else CONTINUE
            wire += frame(first, sender("x") + TAIL)
        wire += frame(CONTINUE_END, b"\0")
        self.assertReceives(wire, ["x" * 100], maxMessageSize=100)

    def test_F09_fragments(self) -> None:
        """Fragments of compressed messages count too."""
        pieces = b"".join(fragments(ZBINARY, Sender()(b"hello world"), 2))
        why = "message of over 2 fragments"
        self.assertFails(pieces, 1009, why, maxFragments=2)

    def test_F06_text(self) -> None:
        """Text is checked as it is decompressed: what cannot be text fails with 1007 in
        the frame or fragment where it stands, complete or not."""
        wrong = b"good \xed\xa0\x80 " + b"and more" * 100
        payload = Sender()(wrong)
        self.assertFails(frame(ZTEXT, payload), 1007, "text is not UTF-8")
        pieces = fragments(ZTEXT, payload, 8)
        self.assertFails(b"".join(pieces), 1007, "text is not UTF-8")
        connection = make()
        found = [
            number for number, each in enumerate(pieces) if connection.receive(each)
        ]
        self.assertLess(found[0], len(pieces) - 1)
        connection = make()
        whole = frame(ZTEXT, payload)
        half = [n for n in range(len(whole)) if connection.receive(whole[n : n + 1])]
        self.assertLess(half[0], len(whole) - 1)
        # Cut in the middle of a character, with nothing behind.
        for cut in (b"\xc3", b"\xe2\x82"):
            wire = frame(ZTEXT, Sender()(b"x" + cut))
            self.assertFails(wire, 1007, "text is not UTF-8")
            wire = b"".join(fragments(ZTEXT, Sender()(b"x" + cut), 2))
            self.assertFails(wire, 1007, "text is not UTF-8")

    def test_D03_invalid(self) -> None:
        """What is not DEFLATE, or not whole, fails with 1007 and delivers nothing."""
        form = "a compressed message is not in DEFLATE's form"
        for first in (ZTEXT, ZBINARY):
            self.assertFails(frame(first, b"\xff\xff"), 1007, form)
            cut = Sender()(os.urandom(100))[:-20]
            for take in (receiveAll, bytewise):
                events = take(make(), frame(first, cut))
                self.assertEqual([type(each) for each in events], [Failed])
            whole = "a compressed message is not whole"
            stored = bytes.fromhex("000500faff48656c6c6f00")
            self.assertFails(frame(first, stored[:-5]), 1007, whole)

    def test_D02_lastBlocks(self) -> None:
        """Messages whose blocks are marked as the last, with ones between them that
        refer back."""
        last = bytes.fromhex("f348cdc9c9070000")
        again = bytes.fromhex("f200110000")
        wire = b"".join(frame(ZTEXT, each) for each in (last, again, last, again))
        self.assertReceives(wire, ["Hello"] * 4)
        pieces = fragments(ZTEXT, last, 3) + fragments(ZTEXT, again, 2)
        self.assertReceives(b"".join(pieces), ["Hello"] * 2)
        # A few in each frame are few, over many frames and messages too.
        few = frame(ZBINARY, b"\3\0\3\0")
        self.assertReceives(few * 20, [b""] * 20)
        several = frame(ZBINARY_BEGIN, b"\3\0" * 16) + frame(CONTINUE, b"\3\0" * 16)
        self.assertReceives(several + frame(CONTINUE_END, b"\3\0"), [b""])
        bad = frame(ZBINARY, b"\3\0" * 1000)
        why = "too many last blocks in a compressed frame"
        self.assertFails(bad, 1007, why)
        self.assertFails(frame(ZBINARY_BEGIN, b"\3\0" * 1000), 1007, why)

    def test_F08_afterClose(self) -> None:
        """Behind a Close frame nothing is decompressed."""
        wire = frame(ZTEXT_BEGIN, b"") + frame(0x88) + frame(ZTEXT, b"\xff")
        for take in (receiveAll, bytewise):
            self.assertEqual(take(make(), wire), [CloseReceived(1005, "")])


class MemoryTests(SynchronousTestCase):
    """What compression costs a connection that does not use it."""

    def test_D05_idle(self) -> None:
        """A connection that agreed on compression, and one that used it and forgets,
        takes a few hundred bytes more than one that did not, and no buffers."""
        options = Options()
        sender = Sender()

        def taken(deflate: DeflateParameters | None, wire: bytes = b"") -> float:
            tracemalloc.start()
            try:
                before, _ = tracemalloc.get_traced_memory()
                made = []
                for _ in range(100):
                    made.append(Connection(Role.SERVER, options, deflate=deflate))
                    made[-1].receive(wire)
                    made[-1].sendText(WORDS) if wire else None
                after, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            return (after - before) / 100

        wire = frame(ZTEXT, sender("and so on " * 500)) + frame(ZTEXT, sender(""))
        wire += b"".join(fragments(ZTEXT, Sender()(WORDS), 5))
        forgetting = DeflateParameters(True, True)
        # What all of them share is there before.
        for wires in (b"", wire):
            taken(forgetting, wires)
            plain = taken(None)
            for each in (DeflateParameters(), forgetting):
                if each is forgetting or not wires:
                    self.assertLess(taken(each, wires) - plain, 400)


class SliceTests(SynchronousTestCase):
    """One segment may hold more than is good to decompress at once."""

    def many(self, count: int, size: int) -> bytes:
        """Write messages that compress well."""
        sender = Sender(9)
        return b"".join(frame(ZBINARY, sender(bytes(size))) for _ in range(count))

    def test_F13_slices(self) -> None:
        """Messages that are small on the wire and large in memory come a few at a time,
        in order; what arrives meanwhile comes behind them."""
        size = 200_000
        wire = self.many(20, size)
        self.assertLess(len(wire), 10_000)
        connection = make()
        begun = frame(TEXT, b"then") + frame(0x01, "sö".encode()[:2])
        first = connection.receive(wire + begun)
        self.assertEqual(first, [bytes(size)] * 2)
        self.assertTrue(connection.hasMore)
        events = list(first)
        # Cut inside the frame that was pending, and inside a character.
        for late in (frame(CONTINUE, b"\xb6")[:3], frame(CONTINUE, b"\xb6")[3:]):
            events += connection.receive(late)
            self.assertTrue(connection.hasMore)
        events += receiveAll(connection, frame(CONTINUE_END, b"!"))
        self.assertFalse(connection.hasMore)
        self.assertEqual(events, [bytes(size)] * 20 + ["then", "sö!"])

    def test_F13_fragments(self) -> None:
        """Fragments, and a frame that is not complete, count as well."""
        payload = Sender(9)(bytes(900_000))
        pieces = fragments(ZBINARY, payload, len(payload) // 8)
        connection = make()
        self.assertEqual(connection.receive(b"".join(pieces)), [])
        turns = 0
        events: list[Event] = []
        while connection.hasMore:
            turns += 1
            events += connection.receive(b"")
        self.assertEqual(events, [bytes(900_000)])
        self.assertGreater(turns, 1)
        # What a frame that is not complete brought is on the account of the next.
        connection = make()
        wire = frame(ZBINARY, payload)
        connection.receive(wire[:-1])
        self.assertEqual(
            connection.receive(wire[-1:] + frame(TEXT, b"x")), [bytes(900_000), "x"]
        )

    def test_F13_lastBlocks(self) -> None:
        """Last blocks, each of which costs as much as a message, end a slice sooner."""
        for first in (ZBINARY, None):
            connection = make()
            wire = b"" if first else frame(ZBINARY_BEGIN, b"")
            wire += frame(first or CONTINUE, b"\3\0" * 16) * 1000
            connection.receive(wire)
            turns = 0
            while connection.hasMore:
                turns += 1
                connection.receive(b"")
            # 256 of them in a slice.
            self.assertGreater(turns, 16_000 // 300)

    def test_F13_pendingBehindSlice(self) -> None:
        """A frame that is not complete behind a slice is not looked at twice, nor
        passed over, compressed or not."""
        sender = Sender(9)
        large = frame(ZBINARY, sender(bytes(INFLATED_PER_RECEIVE)))
        small = frame(ZTEXT, sender(WORDS))
        plain = frame(TEXT, WORDS.encode())
        for behind in (small, plain):
            for cut in range(len(behind)):
                connection = make()
                events = connection.receive(large + behind[:cut])
                self.assertTrue(connection.hasMore)
                events += connection.receive(b"")
                self.assertFalse(connection.hasMore)
                events += receiveAll(connection, behind[cut:])
                self.assertEqual(events, [bytes(INFLATED_PER_RECEIVE), WORDS], cut)
                # Or what is missing comes before the rest had its turn.
                connection = make()
                events = connection.receive(large + behind[:cut])
                events += receiveAll(connection, behind[cut:])
                self.assertEqual(events, [bytes(INFLATED_PER_RECEIVE), WORDS], cut)

    def test_closeAhead(self) -> None:
        """A Close frame behind a slice is found when TCP ends, in frames that wait and
        in bytes that came after them, and what is before it still comes."""
        large = frame(ZBINARY, Sender(9)(bytes(INFLATED_PER_RECEIVE)))
        close = frame(0x88, b"\x03\xe9bye")
        plain = frame(TEXT, b"between")
        for first, late in (
            (plain + close, b""),
            (plain, close),
            (plain[:5], plain[5:] + close),
            (plain[:8], plain[8:] + close),
        ):
            connection = make()
            events = connection.receive(large + first)
            self.assertTrue(connection.hasMore)
            if late:
                events += connection.receive(late)
            connection.lose()
            if connection.hasMore:
                self.assertEqual(connection.outcome, (1001, "bye"))
            while connection.hasMore:
                events += connection.receive(b"")
            self.assertEqual(
                events,
                [
                    bytes(INFLATED_PER_RECEIVE),
                    "between",
                    CloseReceived(1001, "bye"),
                ],
            )

    def test_errorBehindSlice(self) -> None:
        """An error is told behind the messages before it."""
        large = frame(ZBINARY, Sender(9)(bytes(INFLATED_PER_RECEIVE)))
        for wrong in (frame(0x83), frame(ZTEXT, b"\xff"), frame(0x88, b"x")):
            connection = make()
            events = connection.receive(large + wrong)
            self.assertEqual(len(events), 1)
            self.assertTrue(connection.hasMore)
            events = connection.receive(b"more")
            self.assertEqual([type(each) for each in events], [Failed])
            self.assertFalse(connection.hasMore)
            self.assertEqual(connection.receive(b"x"), [])

    def test_F13_memory(self) -> None:
        """A segment of 64 KiB with 64 MiB in it takes no more memory than a few
        messages, as long as they are taken."""
        wire = self.many(64, MIB)[:65536]
        connection = make()
        tracemalloc.start()
        try:
            count = len(connection.receive(wire))
            while connection.hasMore:
                count += len(connection.receive(b""))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertGreater(count, 50)
        self.assertLess(peak, 4 * MIB)


class SendTests(SynchronousTestCase):
    """Messages that are sent compressed."""

    def test_threshold(self) -> None:
        """Messages from the threshold on are compressed, others when asked to, none
        when told not to."""
        for size, compress, expected in (
            (63, None, False),
            (64, None, True),
            (10, True, True),
            (0, True, False),
            (1000, False, False),
        ):
            connection = make()
            ((first, _),) = sent(connection.sendText("x" * size, compress))
            self.assertEqual(first, ZTEXT if expected else TEXT, (size, compress))
            ((first, _),) = sent(connection.sendBytes(b"x" * size, compress))
            self.assertEqual(first, ZBINARY if expected else BINARY, (size, compress))

    def test_notAgreed(self) -> None:
        """Without an agreement nothing is compressed, asked for or not."""
        connection = Connection(Role.SERVER, Options())
        for compress in (None, True, False):
            ((first, _),) = sent(connection.sendText("x" * 1000, compress))
            self.assertEqual(first, TEXT)
            ((first, _),) = sent(connection.sendBytes(b"x" * 1000, compress))
            self.assertEqual(first, BINARY)

    def test_bothWays(self) -> None:
        """A client and a server understand each other, whatever they agreed on."""
        for parameters in (
            DeflateParameters(),
            DeflateParameters(True, False, 9, 15),
            DeflateParameters(False, True, 15, 9),
            DeflateParameters(True, True, 12, 12),
            DeflateParameters(clientMaxWindowBits=8),
        ):
            server, client = (
                make(Role.SERVER, parameters),
                make(Role.CLIENT, parameters),
            )
            for message in (WORDS, WORDS, "", os.urandom(500), b"x" * 100_000, WORDS):
                for sender, receiver in ((server, client), (client, server)):
                    if isinstance(message, str):
                        wire = sender.sendText(message)
                    else:
                        wire = sender.sendBytes(message)
                    self.assertEqual(receiveAll(receiver, wire), [message])

    def test_notShorter(self) -> None:
        """What gets no shorter without takeover goes as it is."""
        connection = make(parameters=DeflateParameters(True, True))
        noise = os.urandom(500)
        self.assertEqual(sent(connection.sendBytes(noise)), [(BINARY, noise)])

    def test_nothingAfterClose(self) -> None:
        """After the Close frame nothing is sent, and nothing compressed in vain."""
        for end in (lambda c: c.close(), lambda c: c.lose()):
            connection = make()
            end(connection)
            self.assertEqual(connection.sendText(WORDS), b"")
            self.assertEqual(connection.sendBytes(WORDS.encode(), True), b"")
            self.assertEqual(connection.sendPrepared(PreparedMessage(WORDS * 9)), b"")
            assert connection._deflater is not None
            self.assertIsNone(connection._deflater._compressor)

    def test_wrongKinds(self) -> None:
        """With compression too, text is str and binary is bytes."""
        connection: Any = make()
        self.assertRaises(TypeError, connection.sendText, b"x")
        self.assertRaises(TypeError, connection.sendBytes, "x")
        self.assertRaises(UnicodeEncodeError, connection.sendText, "\ud800" * 100)

    def test_prepared(self) -> None:
        """A prepared message goes between others; those behind it do not refer to what
        was before it, with takeover or not."""
        first, second, third = (each * 2 for each in TEXTS)
        message = PreparedMessage(second)
        for parameters in (DeflateParameters(), DeflateParameters(True, True)):
            for sender, receiver in (
                (Role.SERVER, Role.CLIENT),
                (Role.CLIENT, Role.SERVER),
            ):
                one, other = make(sender, parameters), make(receiver, parameters)
                expected: list[Event] = []
                events: list[Event] = []
                for each in (first, third, first):
                    events += receiveAll(other, one.sendText(each))
                    events += receiveAll(other, one.sendPrepared(message))
                    expected += [each, second]
                events += receiveAll(other, one.sendText(third + first))
                self.assertEqual(events, [*expected, third + first])

    def test_preparedPlain(self) -> None:
        """One that is not compressed leaves the context as it is."""
        one, other = make(), make(Role.CLIENT)
        short = PreparedMessage("short")
        first = one.sendText(WORDS * 3)
        between = one.sendPrepared(short)
        second = one.sendText(WORDS * 3)
        self.assertLess(len(second), len(first) // 2)
        events = receiveAll(other, first + between + second)
        self.assertEqual(events, [WORDS * 3, "short", WORDS * 3])
        plain = Connection(Role.SERVER, Options())
        self.assertEqual(sent(plain.sendPrepared(short)), [(TEXT, b"short")])

    def test_C06_prepared(self) -> None:
        """A client masks a prepared message with a fresh key each time."""
        client = Connection(Role.CLIENT, Options(), deflate=DeflateParameters())
        message = PreparedMessage(WORDS * 3)
        wires = {client.sendPrepared(message) for _ in range(5)}
        self.assertEqual(len(wires), 5)
        self.assertEqual(len({str(sent(each, Role.CLIENT)) for each in wires}), 1)


class PropertyTests(SynchronousTestCase):
    """What holds for any messages."""

    messages = st.lists(
        st.one_of(
            st.text(max_size=60),
            st.binary(max_size=60),
            st.text(alphabet="ab", min_size=50, max_size=400),
        ),
        max_size=6,
    )

    @steady
    @given(
        messages,
        st.lists(st.integers(0, 2000), max_size=12),
        st.integers(1, 50),
        st.booleans(),
        st.integers(9, 15),
    )
    def test_anyCut(
        self,
        messages: list[str | bytes],
        cuts: list[int],
        size: int,
        forgets: bool,
        bits: int,
    ) -> None:
        """Whatever is sent arrives, however it is fragmented and the bytes are cut."""
        parameters = DeflateParameters(forgets, forgets, bits, bits)
        client = make(Role.CLIENT, parameters)
        wire = b""
        for number, message in enumerate(messages):
            sending = (
                client.sendText(message)
                if isinstance(message, str)
                else client.sendBytes(message)
            )
            ((first, payload),) = sent(sending, Role.CLIENT)
            # A client's header: places where cuts are easily mishandled.
            cuts = [*cuts, len(wire), len(wire) + (6 if len(payload) < 126 else 8)]
            if number % 2 and payload:
                wire += b"".join(fragments(first, payload, size))
            else:
                wire += sending
        at = sorted({0, *(cut % (len(wire) + 1) for cut in cuts), len(wire)})
        server = make(Role.SERVER, parameters)
        events: list[Event] = []
        for start, end in pairwise(at):
            events += receiveAll(server, wire[start:end])
        assert events == messages

    @steady
    @given(
        st.lists(
            st.tuples(
                st.sampled_from((ZTEXT, ZBINARY, ZTEXT_BEGIN, CONTINUE_END)),
                st.binary(max_size=30),
            ),
            max_size=5,
        ),
        st.lists(st.integers(0, 200), max_size=5),
    )
    def test_anyBytes(self, frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
        """Whatever compressed frames carry, nothing is raised, and however the bytes
        are cut the same messages come, and the same code at the end."""
        wire = b"".join(frame(*each) for each in frames)
        at = sorted({0, *(cut % (len(wire) + 1) for cut in cuts), len(wire)})

        def outcome(segments: list[bytes]) -> list[object]:
            server = make(maxMessageSize=5000)
            return [
                each.error.closeCode if isinstance(each, Failed) else each
                for segment in segments
                for each in receiveAll(server, segment)
            ]

        cut = [wire[a:b] for a, b in pairwise(at)]
        assert outcome([wire]) == outcome(cut)
