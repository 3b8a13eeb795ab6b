"""What peers write and read, byte by byte."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.frames import RSV1
from twisted_ws.testing import (
    CLOSE,
    PING,
    TEXT,
    MemoryServer,
    Recorder,
    closing,
    frame,
    readFrames,
    readResponse,
    request,
)


class BytesTests(SynchronousTestCase):
    """What peers write and read."""

    def test_request(self) -> None:
        """A header line replaces the one of its name, and any can be left out."""
        data = request("host: a", "X: y", without=("Upgrade",), method="PUT")
        lines = data.decode().split("\r\n")
        self.assertEqual(lines[0], "PUT / HTTP/1.1")
        self.assertEqual([each for each in lines if "ost" in each], ["host: a"])
        self.assertNotIn("Upgrade: websocket", lines)
        self.assertEqual(lines[-2:], ["", ""])

    def test_closing(self) -> None:
        """A Close frame may be empty."""
        self.assertEqual(readFrames(closing(None), masked=True), [(CLOSE, b"")])

    def test_emptyClose(self) -> None:
        """An empty Close frame reads as the code that stands for none."""
        peer = MemoryServer(Recorder()).open()
        peer.send(closing(None))
        self.assertEqual(peer.closeFrame, (1005, ""))

    def test_manyFrames(self) -> None:
        """However many frames come, all are read."""
        many = frame(PING) * 3000
        self.assertEqual(len(readFrames(many, masked=True)), 3000)

    def test_strict(self) -> None:
        """What is not whole, or wrong, is an error of the test."""
        for data in (b"\x81", b"\x81\x80abcd", b"\xc1\x00"):
            self.assertRaises(AssertionError, readFrames, data)
        self.assertEqual(readFrames(b"\xc1\x00", compressed=True), [(TEXT | RSV1, b"")])
        for data in (
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.0 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\r\na: c\r\n\r\n",
        ):
            self.assertRaises(AssertionError, readResponse, data)
        found = readResponse(
            b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\nx"
        )
        self.assertEqual(found, (200, {"set-cookie": "b"}, b"x"))
