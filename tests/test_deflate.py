"""Messages in compressed form, and bytes that are none."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import tracemalloc
import zlib
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws import deflate
from twisted_ws.compression import Engine, findEngine
from twisted_ws.deflate import (
    Deflater,
    Inflater,
    PreparedMessage,
    deflaterFor,
    inflaterMaker,
    mostCompressed,
)
from twisted_ws.errors import InvalidPayload, MessageTooBig
from twisted_ws.frames import encodeFrame
from twisted_ws.offers import DeflateParameters

from .test_compression import engineOrSkip
from .test_offers import settingsFor

MIB = 1024 * 1024
TAIL = b"\0\0\xff\xff"
TEXT = b"A message with words, and words, and other words."
# RFC 7692 section 7.2.3: the same word in the forms that it gives there.
HELLO = bytes.fromhex("f248cdc9c90700")
HELLO_AGAIN = bytes.fromhex("f200110000")
HELLO_STORED = bytes.fromhex("000500faff48656c6c6f00")
HELLO_LAST = bytes.fromhex("f348cdc9c9070000")
HELLO_TWO_BLOCKS = bytes.fromhex("f248050000 00ffffcac9c90700")

steady = settings(deadline=None, derandomize=True, max_examples=60)


def inflater(
    bits: int = 15,
    takesOver: bool = True,
    limit: int = MIB,
    engine: str = "zlib",
) -> Inflater:
    """Make one."""
    return Inflater(findEngine(engine), bits, takesOver, limit)


def inPieces(into: Inflater, payload: bytes, size: int = 1) -> bytes:
    """Inflate one message piece by piece, as one frame."""
    into.beginFrame()
    for at in range(0, len(payload), size):
        into.feed(payload[at : at + size])
    return into.finish()


def compressed(data: bytes, last: bool = False) -> bytes:
    """Compress a message with zlib, ending its last block in the way asked for."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = compressor.compress(data)
    if last:
        # RFC 7692 section 7.2.3.4.
        return body + compressor.flush(zlib.Z_FINISH) + b"\0"
    return (body + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


class MessageTests(SynchronousTestCase):
    """Compressing and decompressing messages."""

    def pair(
        self, bits: int = 12, takesOver: bool = True, **options: Any
    ) -> tuple[Deflater, Inflater]:
        """Make both ends of one direction."""
        made = settingsFor(**options)
        return (
            Deflater(made, bits, takesOver),
            Inflater(made.engine, bits, takesOver, MIB),
        )

    def test_roundTrip(self) -> None:
        """What one end compresses the other has again, with each window and with and
        without takeover."""
        for bits in range(9, 16):
            for takesOver in (True, False):
                deflater, into = self.pair(bits, takesOver)
                for message in (TEXT, TEXT, b"", b"x" * 100_000, TEXT, bytes(70_000)):
                    payload = deflater.compress(message)
                    if payload is None:
                        self.assertEqual(message, b"")
                    else:
                        self.assertEqual(into.inflate(payload), message)

    def test_takeover(self) -> None:
        """With takeover a message that was sent before is nearly free; without, each is
        the same, and knows nothing of the others."""
        deflater, _ = self.pair()
        first, second = deflater.compress(TEXT), deflater.compress(TEXT)
        assert first and second
        self.assertLess(len(second), len(first) // 3)
        alone, _ = self.pair(takesOver=False)
        once, twice = alone.compress(TEXT), alone.compress(TEXT)
        self.assertEqual(once, twice)
        assert twice
        self.assertEqual(inflater(12, False).inflate(twice), TEXT)

    def test_notShorter(self) -> None:
        """A message that gets no shorter is not compressed. With takeover the next one
        is compressed as if it were the first, for the compressor has seen what the
        peer's decompressor has not."""
        self.assertIsNone(self.pair(takesOver=False)[0].compress(os.urandom(100)))
        deflater, into = self.pair()
        for message in (TEXT, TEXT + TEXT):
            payload = deflater.compress(message)
            assert payload
            self.assertEqual(into.inflate(payload), message)
            self.assertIsNone(deflater.compress(os.urandom(100)))
            self.assertIsNone(deflater._compressor)

    def test_empty(self) -> None:
        """The message without a byte has one byte in compressed form (section 7.2.3.6).
        It is understood, and not sent so."""
        deflater, into = self.pair()
        for _ in range(3):
            self.assertIsNone(deflater.compress(b""))
            self.assertEqual(into.inflate(b"\0"), b"")
        self.assertEqual(inPieces(into, b"\0"), b"")

    def test_forget(self) -> None:
        """What follows is compressed as if nothing came before."""
        deflater, _ = self.pair()
        deflater.compress(TEXT)
        deflater.forget()
        payload = deflater.compress(TEXT)
        assert payload
        self.assertEqual(inflater(12).inflate(payload), TEXT)

    def test_examples(self) -> None:
        """The examples of RFC 7692 section 7.2.3 are understood, whole and bytewise."""
        for payload in (HELLO, HELLO_STORED, HELLO_LAST, HELLO_TWO_BLOCKS):
            self.assertEqual(inflater().inflate(payload), b"Hello", payload)
            self.assertEqual(inPieces(inflater(), payload), b"Hello", payload)
        into = inflater()
        self.assertEqual(into.inflate(HELLO), b"Hello")
        self.assertEqual(into.inflate(HELLO_AGAIN), b"Hello")

    def test_D02_lastBlocks(self) -> None:
        """A block that is marked as the last one ends neither the message nor the
        window: what follows may refer to what came before."""
        into = inflater()
        for _ in range(3):
            self.assertEqual(into.inflate(HELLO_LAST), b"Hello")
            # Refers back to the word.
            self.assertEqual(into.inflate(HELLO_AGAIN), b"Hello")
            self.assertEqual(inPieces(into, HELLO_LAST), b"Hello")
            self.assertEqual(inPieces(into, HELLO_AGAIN), b"Hello")
        # What it refers to may be in the same message only.
        fresh = HELLO_LAST[:-1] + HELLO_AGAIN
        self.assertEqual(inflater().inflate(fresh), b"HelloHello")
        self.assertEqual(inPieces(inflater(), fresh), b"HelloHello")
        # Within one message: a last block, one that refers to it, another last one.
        both = HELLO_LAST[:-1] + HELLO_AGAIN + TAIL + HELLO_LAST
        self.assertEqual(into.inflate(both), b"HelloHelloHello")
        self.assertEqual(inPieces(into, both, 2), b"HelloHelloHello")

    def test_D02_withoutEmptyBlock(self) -> None:
        """A sender that puts no empty block behind its last one is understood too."""
        self.assertEqual(inflater().inflate(HELLO_LAST[:-1]), b"Hello")
        self.assertEqual(inPieces(inflater(), HELLO_LAST[:-1]), b"Hello")

    def test_D02_manyLastBlocks(self) -> None:
        """A frame of last blocks, each of which costs as much as a message, is refused
        after a few; so many in each frame are not."""
        once = HELLO_LAST[:-1]
        self.assertEqual(inflater().inflate(once * 16), b"Hello" * 16)
        for size in (1, 1 << 20):
            into = inflater()
            into.beginFrame()
            error = self.assertRaises(
                InvalidPayload, inPieces, into, b"\3\0" * MIB, size
            )
            self.assertEqual(str(error), "too many last blocks in a compressed frame")
        self.assertRaises(InvalidPayload, inflater().inflate, b"\3\0" * MIB)
        into = inflater()
        for _ in range(5):
            into.beginFrame()
            into.feed(once * 16)
        self.assertEqual(into.finish(), b"Hello" * 80)
        # Frames that are messages count on their own, however they come.
        into = inflater()
        for _ in range(20):
            self.assertEqual(into.inflate(once * 2), b"HelloHello")
        self.assertEqual(into.restarts, 20)

    def test_D01_bomb(self) -> None:
        """A bomb is decompressed to its limit and no further, and nothing of it is
        delivered; exactly the limit passes."""
        bomb = compressed(bytes(64 * MIB))
        self.assertLess(len(bomb), 66_000)
        for take in (
            inflater(15, True).inflate,
            lambda b: inPieces(inflater(), b, 4096),
        ):
            tracemalloc.start()
            try:
                error = self.assertRaises(MessageTooBig, take, bomb)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            self.assertEqual(str(error), "message over 1048576 bytes")
            self.assertLess(peak, 4 * MIB)
        for limit, size in ((100, 100), (100, 101), (1, 1), (1, 2), (MIB, MIB)):
            for last in (False, True):
                payload = compressed(b"a" * size, last)
                for whole in (True, False):
                    into = inflater(limit=limit)
                    take = into.inflate if whole else lambda b, i=into: inPieces(i, b)
                    if size > limit:
                        self.assertRaises(MessageTooBig, take, payload)
                    else:
                        self.assertEqual(take(payload), b"a" * size)

    def test_D01_bombBehindLastBlock(self) -> None:
        """The limit is that of the whole message, across last blocks."""
        half = compressed(b"a" * 60, last=True)
        for take in (
            inflater(limit=100).inflate,
            lambda b: inPieces(inflater(limit=100), b),
        ):
            self.assertRaises(MessageTooBig, take, half[:-1] + half)

    def test_D03_invalid(self) -> None:
        """Bytes that are not DEFLATE are refused, whole and in pieces."""
        for wrong in (b"\7", b"\xff\xff\xff", b"\1\5\0\0\0", HELLO_AGAIN, b"\6\0\0"):
            for take in (inflater().inflate, lambda b: inPieces(inflater(), b)):
                error = self.assertRaises(InvalidPayload, take, wrong)
                self.assertIn("a compressed message is not", str(error), wrong)

    def test_D03_truncated(self) -> None:
        """A message that was cut short is refused, wherever that was; it is never taken
        for a shorter one."""
        for data in (TEXT, os.urandom(200), bytes(1000), b"Hello"):
            for payload in (compressed(data), compressed(data, last=True)):
                # The last byte may be all padding, without which nothing is missing.
                # The first alone may be that of the empty message.
                for end in range(2, len(payload)):
                    for whole in (True, False):
                        into = inflater()
                        try:
                            found = (
                                into.inflate(payload[:end])
                                if whole
                                else inPieces(into, payload[:end])
                            )
                        except InvalidPayload:
                            continue
                        self.assertEqual(found, data, (payload, end))
                        self.assertGreaterEqual(end, len(payload) - 2)

    def test_D03_refersTooFar(self) -> None:
        """A message that refers to something before the window is refused; without
        takeover, so is one that refers to an earlier message."""
        for takesOver, bits in ((False, 15), (True, 9)):
            compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
            into = inflater(bits, takesOver)
            for message, good in (
                (TEXT, True),
                (os.urandom(600), True),
                (TEXT, False),
            ):
                payload = compressor.compress(message)
                payload += compressor.flush(zlib.Z_SYNC_FLUSH)
                payload = payload.removesuffix(TAIL)
                if good:
                    self.assertEqual(into.inflate(payload), message)
                else:
                    self.assertRaises(InvalidPayload, into.inflate, payload)

    def test_emptyPieces(self) -> None:
        """An empty piece begins nothing: the message may still come whole, and one that
        follows in pieces must find the window as it is then."""
        sender = zlib.compressobj(6, zlib.DEFLATED, -15)
        into = inflater()
        for message in (b"one word", b"other word", b"word after word", b"one word"):
            payload = sender.compress(message) + sender.flush(zlib.Z_SYNC_FLUSH)
            payload = payload.removesuffix(TAIL)
            into.beginFrame()
            self.assertEqual(into.feed(b""), b"")
            self.assertIsNone(into._decompressor)
            if message.startswith(b"word"):
                self.assertEqual(inPieces(into, payload), message)
            else:
                self.assertEqual(into.inflate(payload), message)

    def test_interrupted(self) -> None:
        """Compression that an exception ends leaves nothing of the message in a
        compressor: not in the shared one, which others would send it from."""

        class Broken:
            """A compressor whose memory runs out."""

            def compress(self, data: bytes) -> bytes:
                """Take it."""
                return b""

            def flush(self, mode: int) -> bytes:
                """Fail."""
                raise MemoryError

        for takesOver in (True, False):
            deflater, into = self.pair(11, takesOver)
            if takesOver:
                deflater._compressor = Broken()
            else:
                deflate._shared[deflater.key] = Broken()
            self.assertRaises(MemoryError, deflater.compress, b"secret" * 20)
            self.assertNotIn(deflater.key, deflate._shared)
            payload = deflater.compress(TEXT * 2)
            assert payload
            self.assertEqual(into.inflate(payload), TEXT * 2)

    def test_D05_nothingKept(self) -> None:
        """Before the first message, and without takeover between messages, nothing is
        allocated: no compressor, no decompressor, no window."""
        for takesOver in (True, False):
            deflater, into = self.pair(15, takesOver)
            self.assertIsNone(deflater._compressor)
            self.assertEqual((into._decompressor, into._window), (None, b""))
            payload = deflater.compress(TEXT)
            assert payload
            into.inflate(payload)
            inPieces(inflater(15, takesOver), payload)
            self.assertEqual(deflater._compressor is not None, takesOver)
            self.assertIsNone(into._decompressor)
            self.assertEqual(into._window, TEXT if takesOver else b"")
            self.assertEqual(into._message, b"")

    def test_D05_window(self) -> None:
        """With takeover exactly the window is kept between messages."""
        for bits in (9, 12, 15):
            into = inflater(bits)
            compressor = zlib.compressobj(6, zlib.DEFLATED, -bits)
            sent = b""
            for size in (10, 1000, 100, 40_000, 5, 32_768, 200):
                message = os.urandom(size)
                sent += message
                payload = compressor.compress(message)
                payload += compressor.flush(zlib.Z_SYNC_FLUSH)
                self.assertEqual(into.inflate(payload.removesuffix(TAIL)), message)
                self.assertEqual(into._window, sent[-(1 << bits) :])

    def test_mostCompressed(self) -> None:
        """No message within the limit is over it when compressed, however badly that
        works and however often it is flushed."""
        for size in (0, 1, 100, 10_000, 300_000):
            noise = os.urandom(size)
            for bits, memory, level in ((9, 1, 1), (15, 8, 6), (15, 9, 9), (12, 1, 0)):
                compressor = zlib.compressobj(level, zlib.DEFLATED, -bits, memory)
                wire = compressor.compress(noise) + compressor.flush(zlib.Z_SYNC_FLUSH)
                self.assertLessEqual(len(wire), mostCompressed(size, 1))
        compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
        wire = b"".join(
            compressor.compress(os.urandom(1)) + compressor.flush(zlib.Z_SYNC_FLUSH)
            for _ in range(1000)
        )
        self.assertLessEqual(len(wire), mostCompressed(1000, 1000))


class SidesTests(SynchronousTestCase):
    """Who compresses and decompresses with what."""

    def test_sides(self) -> None:
        """Each side compresses with its own parameters and decompresses with the
        other's."""
        made = settingsFor()
        parameters = DeflateParameters(True, False, 10, 11)
        for isServer, bits, takesOver in ((True, 10, False), (False, 11, True)):
            deflater = deflaterFor(parameters, made, isServer)
            into = inflaterMaker(parameters, made.engine, not isServer, 100)()
            assert deflater is not None
            self.assertEqual(deflater.key[1], bits)
            for _ in range(3):
                payload = deflater.compress(TEXT)
                assert payload is not None
                self.assertEqual(into.inflate(payload), TEXT)
            self.assertEqual(deflater._compressor is not None, takesOver)
            self.assertEqual(into._window != b"", takesOver)

    def test_window8(self) -> None:
        """A client that must keep to a window of 8 bits sends everything as it is; a
        server that does is understood."""
        parameters = DeflateParameters(False, False, 8, 8)
        made = settingsFor()
        self.assertIsNone(deflaterFor(parameters, made, False))
        into = inflaterMaker(parameters, made.engine, False, MIB)()
        self.assertEqual(into.inflate(HELLO), b"Hello")


def engines() -> Iterator[Engine]:
    """Give every engine that is installed."""
    for name in ("zlib", "zlib-ng"):
        try:
            yield findEngine(name)
        except ValueError:
            continue


class EngineTests(SynchronousTestCase):
    """The engines give the receiver the same."""

    messages = st.lists(
        st.one_of(
            st.binary(max_size=300),
            st.text(alphabet="abc ", max_size=400).map(str.encode),
            st.integers(0, 5000).map(lambda size: b"again and " * (size // 10)),
        ),
        max_size=6,
    )

    def test_installed(self) -> None:
        """CI has both; elsewhere the tests below compare one with itself."""
        engineOrSkip("zlib-ng")

    @steady
    @given(
        messages,
        st.integers(9, 15),
        st.booleans(),
        st.integers(1, 9),
        st.integers(1, 9),
    )
    def test_eachReadsEach(
        self,
        messages: list[bytes],
        bits: int,
        takesOver: bool,
        level: int,
        memoryLevel: int,
    ) -> None:
        """What one engine compressed each of them decompresses, whole and in pieces."""
        for sender in engines():
            made = settingsFor(
                compressionLevel=level,
                compressionMemoryLevel=memoryLevel,
                compressionEngine=sender.name,
            )
            deflater = Deflater(made, bits, takesOver)
            payloads = [deflater.compress(each) for each in messages]
            for receiver in engines():
                into = Inflater(receiver, bits, takesOver, MIB)
                pieces = Inflater(receiver, bits, takesOver, MIB)
                for message, payload in zip(messages, payloads, strict=True):
                    if payload is not None:
                        assert into.inflate(payload) == message
                        assert inPieces(pieces, payload, 7) == message

    @steady
    @given(st.binary(max_size=100), st.booleans())
    def test_anyBytes(self, data: bytes, valid: bool) -> None:
        """Any bytes give the same message with each engine, or an error with each; and
        the same in pieces."""
        payload = compressed(data) + b"\0" if valid else data
        found: set[bytes | int] = set()
        for engine in engines():
            for size in (1, 1000):
                into = Inflater(engine, 15, True, 500)
                try:
                    found.add(inPieces(into, payload, size))
                except (InvalidPayload, MessageTooBig) as error:
                    found.add(error.closeCode)
            try:
                found.add(Inflater(engine, 15, True, 500).inflate(payload))
            except (InvalidPayload, MessageTooBig) as error:
                found.add(error.closeCode)
        assert len(found) == 1, found


class PreparedMessageTests(SynchronousTestCase):
    """A message that is framed once for many."""

    def test_plain(self) -> None:
        """Without compression it is one frame, made once."""
        message = PreparedMessage("häh")
        first, payload, frame = message.form(None)
        self.assertEqual((first, payload), (0x81, "häh".encode()))
        self.assertEqual(frame, encodeFrame(0x81, payload))
        self.assertIs(message.form(None)[2], frame)
        kinds: tuple[Any, ...] = (b"ab", bytearray(b"ab"), memoryview(b"ab"))
        for data in kinds:
            self.assertEqual(PreparedMessage(data).form(None)[0], 0x82)
            self.assertEqual(PreparedMessage(data).payload, b"ab")

    def test_compressedOnce(self) -> None:
        """It is compressed once for each set of parameters, whether they have takeover
        or not, and on its own."""
        made = settingsFor()
        message = PreparedMessage("word " * 100)
        forms = [
            message.form(Deflater(made, bits, takesOver))
            for bits in (12, 15)
            for takesOver in (True, False)
        ]
        self.assertIs(forms[0][2], forms[1][2])
        self.assertIs(forms[2][2], forms[3][2])
        self.assertIsNot(forms[0][2], forms[2][2])
        for first, payload, frame in forms:
            self.assertEqual(first, 0xC1)
            self.assertEqual(frame, encodeFrame(first, payload))
            self.assertEqual(inflater(12, False).inflate(payload), b"word " * 100)

    def test_threshold(self) -> None:
        """It is compressed from the connection's threshold on, or as it was made."""
        short = "ab" * 10
        for compress, threshold, expected in (
            (None, 20, 0xC1),
            (None, 21, 0x81),
            (True, 21, 0xC1),
            (False, 20, 0x81),
        ):
            deflater = Deflater(settingsFor(compressionThreshold=threshold), 12, True)
            form = PreparedMessage(short, compress).form(deflater)
            self.assertEqual(form[0], expected, (compress, threshold))

    def test_notShorter(self) -> None:
        """What gets no shorter is sent as it is."""
        noise = os.urandom(200)
        first, payload, _ = PreparedMessage(noise).form(
            Deflater(settingsFor(), 12, True)
        )
        self.assertEqual((first, payload), (0x82, noise))

    def test_wrong(self) -> None:
        """Only text and bytes are messages; the payload is not shown in logs."""
        error = self.assertRaises(TypeError, PreparedMessage, {"a": 1})
        self.assertIn("str or bytes, not dict", str(error))
        self.assertRaises(UnicodeEncodeError, PreparedMessage, "\ud800")
        self.assertEqual(
            repr(PreparedMessage("secret")), "<PreparedMessage of 6 bytes>"
        )
