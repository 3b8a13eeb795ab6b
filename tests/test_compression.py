"""Presets and engines: what compression may cost, and who does it."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import zlib
from unittest import mock

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from twisted_ws import compression
from twisted_ws.compression import ENGINES, PRESETS, Engine, findEngine

TAIL = b"\0\0\xff\xff"
SYNC_FLUSH, FULL_FLUSH = 2, 3


def engineOrSkip(name: str) -> Engine:
    """Give an engine; a test that needs one which is not installed is skipped."""
    try:
        return findEngine(name)
    except ValueError as error:
        raise SkipTest(str(error)) from None


class EngineTests(SynchronousTestCase):
    """The seam between us and the libraries that compress."""

    def test_unknown(self) -> None:
        """An engine that is not known is refused, with those that are."""
        error = self.assertRaises(ValueError, findEngine, "brotli")
        self.assertEqual(str(error), "'brotli' is not one of zlib, zlib-ng")

    def test_notInstalled(self) -> None:
        """One that is not installed is refused, with the command that installs it."""
        # What was found is remembered.
        findEngine.cache_clear()
        self.addCleanup(findEngine.cache_clear)
        with mock.patch.dict(
            compression.ENGINES, {"zlib-ng": ("twisted_ws_no_such_module", "zlib-ng")}
        ):
            error = self.assertRaises(ValueError, findEngine, "zlib-ng")
        self.assertEqual(
            str(error),
            "zlib-ng is not installed: pip install 'twisted_ws[zlib-ng]'",
        )

    def _each(self, name: str) -> None:
        engine = engineOrSkip(name)
        self.assertEqual(engine.name, name)
        text = b"the same words, the same words, the same words, other words"
        for bits in range(9, 16):
            compressor = engine.compressobj(6, 8, -bits, 8)
            first = compressor.compress(text) + compressor.flush(SYNC_FLUSH)
            second = compressor.compress(text) + compressor.flush(SYNC_FLUSH)
            self.assertTrue(first.endswith(TAIL) and second.endswith(TAIL))
            self.assertLess(len(second), len(first))
            # Python's own reads it, and each reads Python's.
            for decompressor in (
                zlib.decompressobj(-bits),
                engine.decompressobj(-bits, b""),
            ):
                self.assertEqual(decompressor.decompress(first, 1000), text)
                self.assertEqual(decompressor.decompress(second, 1000), text)
            alone = engine.decompressobj(-bits, text)
            self.assertEqual(alone.decompress(second + b"\1\0\0\xff\xff!", 1000), text)
            self.assertTrue(alone.eof)
            self.assertEqual(alone.unused_data, b"!")
        with self.assertRaises(engine.error):
            engine.decompressobj(-15, b"").decompress(b"\xff\xff\xff", 1000)

    def test_zlib(self) -> None:
        """Python's zlib does what is asked of an engine."""
        self._each("zlib")

    def test_zlibNG(self) -> None:
        """So does zlib-ng."""
        self._each("zlib-ng")

    def _window(self, name: str) -> None:
        """Hold a compressor to its window: a decompressor with no more than that must
        understand it, which is given one byte of room at a time so that it has nothing
        but its window to look back into."""
        engine = engineOrSkip(name)
        for bits in range(9, 16):
            size = 1 << bits
            for level in (1, 3, 6, 9):
                noise = b"".join(
                    zlib.crc32(bytes((level, bits, at & 255, at >> 8))).to_bytes(
                        4, "big"
                    )
                    for at in range(size)
                )
                for distance in (size - 300, size - 1, size, size + 1, size + 200):
                    data = noise[:40] + noise[100 : 100 + distance - 40] + noise[:60]
                    compressor = engine.compressobj(level, 8, -bits, 8)
                    wire = compressor.compress(data) + compressor.flush(FULL_FLUSH)
                    decompressor = zlib.decompressobj(-bits)
                    found = bytearray()
                    while len(found) < len(data):
                        found += decompressor.decompress(wire, 1)
                        wire = decompressor.unconsumed_tail
                    self.assertEqual(found, data, (bits, level, distance))

    def test_windowOfZlib(self) -> None:
        """Python's zlib never refers to anything beyond its window."""
        self._window("zlib")

    def test_windowOfZlibNG(self) -> None:
        """Nor does zlib-ng."""
        self._window("zlib-ng")

    def test_names(self) -> None:
        """Every engine is one of these, and zlib needs no installing."""
        self.assertEqual(list(ENGINES), ["zlib", "zlib-ng"])
        self.assertEqual(findEngine("zlib").error, zlib.error)


class PresetTests(SynchronousTestCase):
    """What the presets stand for."""

    def test_order(self) -> None:
        """They are named by how much they take: nothing, nothing between messages,
        some, all there is."""
        self.assertEqual(list(PRESETS), ["none", "shared", "small", "large"])
        shared, small, large = (PRESETS[name] for name in ("shared", "small", "large"))
        assert shared and small and large
        self.assertIsNone(PRESETS["none"])
        self.assertFalse(shared.contextTakeover)
        self.assertTrue(small.contextTakeover and large.contextTakeover)
        self.assertLess(small.windowBits, large.windowBits)
        self.assertLess(small.memoryLevel, large.memoryLevel)
