"""The implementation of the frames in C beside the one in Python: the same to the
letter, no reference too many or too few, and no harm from what it is given."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import array
import gc
import importlib.util
import random
import sys
import tracemalloc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.twins import (
    KEY,
    Twins,
    checkFunctions,
    checkRandomly,
    drawStream,
    outcome,
    same,
)
from twisted_ws import frames
from twisted_ws.errors import ProtocolError

speedups: Any
try:
    from twisted_ws import _speedups as speedups
except ImportError:
    _MISSING: str | None = "the accelerator is not built"
else:
    _MISSING = None

ROUNDS = 40
# Whoever counts objects has a few of their own.
SLACK = 20
BINARY = 0x82
TEXT = 0x81
anyCase = settings(derandomize=True, deadline=None, max_examples=300)


class Ball:
    """Something that can be watched going away."""


class TwinTests(SynchronousTestCase):
    """Both do the same."""

    skip = _MISSING

    def test_drawn(self) -> None:
        """Streams good and bad, cut and forked anywhere, as objects of any kind."""
        for seed in range(400):
            checkRandomly(speedups, seed)

    def test_everyCut(self) -> None:
        """Streams cut once, at every place, and forked there."""
        for seed in range(12):
            draw = random.Random(seed)
            masked = seed % 3 > 0
            stream = drawStream(draw, masked)[:1500]
            for place in range(len(stream) + 1):
                twins = Twins(speedups, masked, frames.RSV1)
                twins.feedMessages(stream[:place], 1024)
                other = twins.fork()
                twins.feed(stream[place:])
                other.feedMessages(stream[place:], 1024)

    @anyCase
    @given(
        st.lists(
            st.binary(max_size=40)
            | st.builds(
                frames.encodeFrame,
                st.sampled_from([0x81, 0x82, 0x01, 0x80, 0x89, 0xC1]),
                st.binary(max_size=200) | st.text(max_size=200).map(str.encode),
                st.just(KEY) | st.none(),
            ),
            max_size=8,
        ),
        st.booleans(),
        st.sampled_from([0, frames.RSV1]),
        st.lists(st.integers(0, 1500), max_size=6).map(sorted),
        st.integers(0, 300),
    )
    def test_any(
        self,
        pieces: list[bytes],
        masked: bool,
        reservedBits: int,
        cuts: list[int],
        limit: int,
    ) -> None:
        """Any bytes in any segments."""
        data = b"".join(pieces)
        twins = Twins(speedups, masked, reservedBits)
        for number, (start, end) in enumerate(
            zip([0, *cuts], [*cuts, len(data)], strict=True)
        ):
            if number % 2:
                twins.feed(data[start:end])
            else:
                twins.feedMessages(data[start:end], limit)

    def test_functions(self) -> None:
        """Masking and writing, at all alignments, for small sizes and around large
        ones."""
        for size in (*range(201), 1023, 1024, 1025, 8191, 8192, 16385, 65535, 65536):
            checkFunctions(speedups, size)

    def test_firstBytes(self) -> None:
        """Every first byte, and numbers that are none."""
        for first in (*range(-3, 260), 1 << 62, 1 << 64, -(1 << 64), True):
            one = outcome(frames.encodeFrame, first, b"abc")
            same(str(first), one, outcome(speedups.encodeFrame, first, b"abc"))

    def test_mistakes(self) -> None:
        """What one takes for a mistake the other does, too."""
        for name, arguments in (
            ("mask", ()),
            ("mask", (b"a",)),
            ("mask", (b"a", KEY, 1)),
            ("mask", ("a", KEY)),
            ("mask", (b"a", 5)),
            ("mask", (None, KEY)),
            ("encodeFrame", ()),
            ("encodeFrame", (BINARY,)),
            ("encodeFrame", (BINARY, b"a", KEY, 1)),
            ("encodeFrame", (BINARY, "\ud800")),
            ("encodeFrame", ("a", b"a")),
            ("encodeFrame", (1.5, b"a")),
            ("encodeFrame", (BINARY, b"a", 1.5)),
            ("FrameDecoder", ()),
            ("FrameDecoder", (True, 5)),
            ("FrameDecoder", (True, "a")),
            ("FrameDecoder", (True, [])),
            ("FrameDecoder", (True, 0, 0)),
        ):
            one = outcome(getattr(frames, name), *arguments)
            other = outcome(getattr(speedups, name), *arguments)
            where = f"{name}{arguments}"
            self.assertIsInstance(one, type, where)
            self.assertIs(one, other, where)
        masked: Any
        for masked in (1, [], "a", None):
            same(
                f"masked is {masked!r}",
                [str(frames.FrameDecoder(masked).feed(b"\x81\0"))],
                [str(speedups.FrameDecoder(masked).feed(b"\x81\0"))],
            )

    def test_keyword(self) -> None:
        """A decoder is made with names for its arguments, too."""
        decoder = speedups.FrameDecoder(reservedBits=frames.RSV1, masked=False)
        self.assertEqual(decoder.feed(b"\xc1\0"), [(0xC1, b"")])


class ArgumentTests(SynchronousTestCase):
    """Where the one in C is stricter, or must be."""

    skip = _MISSING

    def test_keySize(self) -> None:
        """A key that has not four bytes is refused, where Python reads what it can."""
        for key in (b"", b"abc", b"abcde", bytearray(5)):
            for call in (
                lambda key=key: speedups.mask(b"data", key),
                lambda key=key: speedups.encodeFrame(BINARY, b"data", key),
            ):
                error = self.assertRaises(ValueError, call)
                self.assertEqual(str(error), f"a key has 4 bytes, not {len(key)}")

    def test_buffers(self) -> None:
        """Whatever has bytes in a row is taken; what has none or has gaps is not."""
        decoder = speedups.FrameDecoder(False)
        data = frames.encodeFrame(BINARY, b"abcd")
        for each in (
            bytearray(data),
            memoryview(data),
            array.array("B", data),
            array.array("H", data),
            type("Bytes", (bytes,), {})(data),
        ):
            self.assertEqual(decoder.feed(each), [(BINARY, b"abcd")])
            self.assertEqual(decoder.feedMessages(each, 9), ([b"abcd"], []))
            self.assertEqual(speedups.encodeFrame(BINARY, each)[2:], data)
            masked = speedups.mask(each, KEY)
            self.assertEqual(masked, frames.mask(data, KEY))
        for bad, expected in (
            ("a", TypeError),
            (None, TypeError),
            (5, TypeError),
            ([1], TypeError),
            (memoryview(data)[::2], BufferError),
        ):
            self.assertRaises(expected, decoder.feed, bad)
            self.assertRaises(expected, decoder.feedMessages, bad, 9)
            self.assertRaises(expected, speedups.mask, bad, KEY)
            self.assertRaises(expected, speedups.mask, b"a", bad)
            if not isinstance(bad, str):
                self.assertRaises(expected, speedups.encodeFrame, BINARY, bad)
        self.assertRaises(TypeError, decoder.feedMessages, data)
        self.assertRaises(TypeError, decoder.feedMessages, data, "a")
        # None of that came to the decoder.
        self.assertFalse(decoder.isMidFrame)

    def test_bufferIsReleased(self) -> None:
        """What was fed can be changed afterwards, and that changes nothing."""
        decoder = speedups.FrameDecoder(False)
        for data in (
            bytearray(frames.encodeFrame(BINARY, b"abcd")[:-2]),
            bytearray(b"cd"),
        ):
            found = decoder.feed(data)
            data[:] = bytes(100)
        self.assertEqual(found, [(BINARY, b"abcd")])

    def test_left(self) -> None:
        """Frames that were left are there for the next segment, of any kind."""
        small = frames.encodeFrame(TEXT, b"")
        decoder = speedups.FrameDecoder(False)
        decoder.feed(bytearray(small * (frames.FRAMES_PER_FEED + 1)))
        self.assertEqual(decoder.feed(memoryview(small)), [(TEXT, b"")] * 2)
        decoder.feed(small * (frames.FRAMES_PER_FEED + 1))
        self.assertRaises(TypeError, decoder.feed, "a")
        self.assertEqual(decoder.feed(b""), [(TEXT, b"")])

    def test_closed(self) -> None:
        """A decoder's attributes are for reading, its type is not for subclassing."""
        decoder = speedups.FrameDecoder(False)
        for name in ("error", "pending", "partial", "hasMore", "isMidFrame", "other"):
            self.assertRaises(AttributeError, setattr, decoder, name, None)
        self.assertRaises(TypeError, type, "Sub", (type(decoder),), {})
        self.assertRaises(TypeError, setattr, type(decoder), "feed", None)

    def test_whileInUse(self) -> None:
        """Code that runs while a segment is taken, because the garbage collector does,
        cannot use the decoder."""
        decoder = speedups.FrameDecoder(False)
        seen: list[object] = []

        class Cycle:
            def __init__(self) -> None:
                self.me = self

            def __del__(self) -> None:
                for method in (lambda: decoder.feed(b""), decoder.fork):
                    try:
                        method()
                    except RuntimeError as error:
                        seen.append(str(error))
                # These are only looked at.
                seen.append((decoder.pending, decoder.hasMore))

        before = gc.get_threshold()
        data = frames.encodeFrame(0x01, b"abc") * 1000
        try:
            gc.collect()
            gc.set_threshold(1, 1000, 1000)
            for _ in range(20):
                Cycle()
                found = decoder.feed(data)
        finally:
            gc.set_threshold(*before)
        self.assertEqual(len(found), 1000)
        for each in seen:
            if isinstance(each, str):
                self.assertEqual(each, "the decoder is in use, or has failed")

    def test_forkWhileFed(self) -> None:
        """Code that runs while a decoder is forked, because the garbage collector does,
        and feeds it, leaves two decoders that are whole."""
        large = bytes(range(250)) * 400
        data = frames.encodeFrame(BINARY, large)
        half = len(data) // 2
        fed: list[int] = []

        class Cycle:
            def __init__(self, decoder: Any) -> None:
                self.me = self
                self.decoder = decoder

            def __del__(self) -> None:
                self.decoder.feed(data[100:half])
                fed.append(1)

        before = gc.get_threshold()
        try:
            gc.collect()
            for _ in range(20):
                gc.set_threshold(0)
                decoder = speedups.FrameDecoder(False)
                decoder.feed(data[:100])
                Cycle(decoder)
                gc.set_threshold(1, 1000, 1000)
                other = decoder.fork()
                gc.set_threshold(0)
                gc.collect()
                # Some versions of Python collect in the middle, others behind it.
                at = 100 if len(other.partial) < 100 else half
                self.assertEqual(other.feed(data[at:]), [(BINARY, large)])
                self.assertEqual(decoder.feed(data[half:]), [(BINARY, large)])
        finally:
            gc.set_threshold(*before)
        self.assertEqual(len(fed), 20)


class MemoryTests(SynchronousTestCase):
    """References and memory."""

    skip = _MISSING

    def use(self) -> None:
        """Go once through everything, errors too."""
        small = frames.encodeFrame(TEXT, "é".encode(), KEY)
        bad = frames.encodeFrame(TEXT, b"\xff", KEY)
        large = frames.encodeFrame(BINARY, bytes(5000), KEY)
        for data in (
            small * (frames.FRAMES_PER_FEED + 3) + large,
            small + bad + small + large[:100],
            large + small[:3],
            small + b"\xff\xff",
            small + b"\x81\0",
            b"\x82\xfe\0\0",
        ):
            for at in (0, 1, 7, 40, len(data) - 1):
                decoder = speedups.FrameDecoder(True)
                decoder.feedMessages(data[:at], 4000)
                for each in (decoder.fork(), decoder):
                    each.feedMessages(data[at:], 4000)
                    _ = (each.error, each.pending, each.partial, each.hasMore)
                    each.fork().feed(b"")
                    each.feed(b"")
        outcome(decoder.feed, "a")
        outcome(decoder.feedMessages, b"", "a")
        for arguments in ((b"abc", KEY), (b"", KEY), (b"a", b"b"), ("a", KEY), ()):
            outcome(speedups.mask, *arguments)
            outcome(speedups.encodeFrame, BINARY, *arguments)
            outcome(speedups.encodeFrame, 256, *arguments)
        outcome(speedups.FrameDecoder, True, 5)

    def test_references(self) -> None:
        """Of what is always there no reference is gained or lost."""
        always = [
            *(b"", KEY, ProtocolError, frames._VALID, frames._VALID[0], speedups),
            *(frames._explainFirstByte, speedups.FrameDecoder, TEXT, 5, str, ()),
        ]
        self.use()
        gc.collect()
        before = [sys.getrefcount(each) for each in always]
        for _ in range(ROUNDS):
            self.use()
        gc.collect()
        for each, count in zip(always, before, strict=True):
            found = sys.getrefcount(each)
            self.assertTrue(
                abs(found - count) < SLACK, f"{each!r:.50}: {found - count}"
            )

    def test_objects(self) -> None:
        """No object stays, and no memory."""
        self.use()
        gc.collect()
        tracemalloc.start()
        try:
            self.use()
            gc.collect()
            objects = len(gc.get_objects())
            memory = tracemalloc.get_traced_memory()[0]
            for _ in range(ROUNDS):
                self.use()
            gc.collect()
            objects = len(gc.get_objects()) - objects
            memory = tracemalloc.get_traced_memory()[0] - memory
        finally:
            tracemalloc.stop()
        self.assertTrue(objects < SLACK, f"{objects} objects")
        self.assertTrue(memory < 20 * ROUNDS, f"{memory} bytes")

    def test_cycle(self) -> None:
        """A decoder whose error was raised, so that it leads back to it, goes away."""
        ball = Ball()
        watched = weakref.ref(ball)

        def fail(decoder: Any, ball: Ball) -> None:
            decoder.feed(b"\xff\xff")
            try:
                raise decoder.error
            except ProtocolError:
                pass

        fail(speedups.FrameDecoder(False), ball)
        del ball
        gc.collect()
        self.assertIsNone(watched())

    def test_payloadFollowsWhatIsSent(self) -> None:
        """A payload costs at most three times what was sent of it, at any time, and one
        that is whole no more than its size."""
        for length in (1 << 20, 1 << 40):
            header = bytes((BINARY, 127)) + length.to_bytes(8, "big")
            decoder = speedups.FrameDecoder(False)
            chunk = bytes(10_000)
            tracemalloc.start()
            try:
                decoder.feed(header)
                for number in range(1, 100):
                    tracemalloc.reset_peak()
                    decoder.feed(chunk)
                    peak = tracemalloc.get_traced_memory()[1]
                    most = 3 * number * len(chunk) + 5000
                    self.assertTrue(peak < most, f"{number}: {peak} bytes")
            finally:
                tracemalloc.stop()
        decoder = speedups.FrameDecoder(False)
        data = frames.encodeFrame(BINARY, bytes(300_000))
        found: list[tuple[int, bytes]] = []
        for at in range(0, len(data), 70_000):
            found += decoder.feed(data[at : at + 70_000])
        [(_, payload)] = found
        self.assertEqual(sys.getsizeof(payload), sys.getsizeof(bytes(300_000)))

    def test_size(self) -> None:
        """A decoder takes no more than the one in Python."""
        small, large = speedups.FrameDecoder(True), frames.FrameDecoder(True)
        self.assertLessEqual(sys.getsizeof(small), sys.getsizeof(large) + 40)


class InterpreterTests(SynchronousTestCase):
    """The module is its own in each interpreter."""

    skip = _MISSING

    def load(self) -> Any:
        """Load it once more."""
        spec = importlib.util.spec_from_file_location(
            speedups.__name__, speedups.__file__
        )
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def test_twice(self) -> None:
        """Loaded twice, each has a decoder of its own, which works, and goes away with
        its module."""
        other = self.load()
        self.assertIsNot(other.FrameDecoder, speedups.FrameDecoder)
        decoder = other.FrameDecoder(False)
        watched = weakref.ref(other.FrameDecoder)
        del other
        gc.collect()
        self.assertEqual(decoder.feed(b"\x81\1a"), [(TEXT, b"a")])
        decoder.feed(b"\xff\xff")
        self.assertIsInstance(decoder.error, ProtocolError)
        del decoder
        gc.collect()
        self.assertIsNone(watched())

    def test_ownGIL(self) -> None:
        """It works in an interpreter with a GIL of its own."""
        if sys.version_info < (3, 12):
            raise SkipTest("this Python has one GIL for all interpreters")
        name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
        interpreters = importlib.import_module(name)
        places = [str(Path(each.__file__).parent) for each in (speedups, frames)]
        # Not the package itself, which imports what does not work there.
        code = f"""if True:
            import sys, types
            package = types.ModuleType("twisted_ws")
            package.__path__ = {places!r}
            sys.modules["twisted_ws"] = package
            from twisted_ws import _speedups
            decoder = _speedups.FrameDecoder(False)
            assert decoder.feed(b"\\x81\\1a\\xff\\xff") == [(0x81, b"a")]
            assert str(decoder.error) == "reserved opcode 0xf"
        """
        for _ in range(2):
            number = interpreters.create()
            try:
                # Raises, or in later versions gives, what went wrong.
                self.assertIsNone(interpreters.run_string(number, code))
            finally:
                interpreters.destroy(number)

    def test_rulesMissing(self) -> None:
        """Without the rules of the module in Python it cannot be loaded."""
        for name in ("_VALID", "_explainFirstByte", "ProtocolError", "FRAMES_PER_FEED"):
            kept = getattr(frames, name)
            delattr(frames, name)
            try:
                self.assertRaises(AttributeError, self.load)
            finally:
                setattr(frames, name, kept)
        self.patch(frames, "FRAMES_PER_FEED", "many")
        self.assertRaises(TypeError, self.load)

    def test_tableMissing(self) -> None:
        """A table of first bytes that is none is not read."""
        for bad in (b"", "a" * 256, None):
            self.patch(frames, "_VALID", {0: bad})
            make: Callable[[bool], object] = self.load().FrameDecoder
            self.assertRaises(SystemError, make, False)

    def test_errorRaises(self) -> None:
        """What fails while an error is explained comes out, and the decoder cannot be
        used any more, as it is not known where it stands."""

        def explain(first: int) -> None:
            raise KeyError(first)

        self.patch(frames, "_explainFirstByte", explain)
        decoder = self.load().FrameDecoder(False)
        self.assertRaises(KeyError, decoder.feed, b"\x81\0\xff\xff")
        self.assertIsNone(decoder.error)
        for call in (lambda: decoder.feed(b""), decoder.fork):
            self.assertRaises(RuntimeError, call)
