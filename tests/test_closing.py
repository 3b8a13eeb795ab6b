"""Close codes and the payload of Close frames."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.closing import (
    MAX_REASON_BYTES,
    CloseCode,
    checkClose,
    describeCode,
    encodeClose,
    isLegalOnWire,
    parseClose,
)
from twisted_ws.errors import InvalidPayload, ProtocolError

# RFC 6455 section 7.4 and the IANA registry of close codes, written out once more.
ASSIGNED = {*range(1000, 1004), *range(1007, 1015)}
LEGAL = ASSIGNED | set(range(3000, 5000))

NOT_UTF8 = (
    b"\x80",
    b"\xff",
    b"abc\xe4",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x82",
)


class CodeTests(SynchronousTestCase):
    """Which codes there are."""

    def test_F07_legalOnWire(self) -> None:
        """Of all codes that two bytes can hold, those may be sent that are assigned or
        belong to libraries and applications."""
        found = {code for code in range(65536) if isLegalOnWire(code)}
        self.assertEqual(found, LEGAL)

    def test_outOfTwoBytes(self) -> None:
        """What two bytes cannot hold is not legal either."""
        for code in (-1, -1000, 65536, 65536 + 1000):
            self.assertFalse(isLegalOnWire(code), str(code))

    def test_names(self) -> None:
        """The names stand for the registered numbers, and three are never sent."""
        self.assertEqual(
            {int(code) for code in CloseCode}, ASSIGNED | {1005, 1006, 1015}
        )
        self.assertEqual(CloseCode.NO_STATUS, 1005)
        self.assertEqual(CloseCode.ABNORMAL, 1006)
        self.assertEqual(CloseCode.TLS_HANDSHAKE, 1015)

    def test_describe(self) -> None:
        """Every code can be put in words, each registered one in words of its own."""
        words = {describeCode(code) for code in CloseCode}
        self.assertEqual(len(words), len(CloseCode))
        self.assertEqual(describeCode(1000), "normal closure")
        for codes, expected in (
            ((3000, 3999), "registered by a library"),
            ((4000, 4999), "private to the application"),
            ((-1, 0, 999, 1004, 1016, 2999, 5000, 65535), "not assigned"),
        ):
            for code in codes:
                self.assertEqual(describeCode(code), expected, str(code))


class CheckCloseTests(SynchronousTestCase):
    """What an application may close with."""

    def test_accepted(self) -> None:
        """Every legal code passes, with a reason of up to 123 bytes."""
        self.assertEqual(MAX_REASON_BYTES, 123)
        for code in LEGAL:
            checkClose(code, "")
        for reason in ("bye", "x" * 123, "é" * 61, "🙂" * 30):
            checkClose(1000, reason)

    def test_illegalCode(self) -> None:
        """A code that may not be sent is a ValueError that says what may."""
        for code in (-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536):
            raised = self.assertRaises(ValueError, checkClose, code, "")
            self.assertIn(str(code), str(raised))
            self.assertIn("3000 to 4999", str(raised))

    def test_longReason(self) -> None:
        """A reason over 123 bytes of UTF-8 is a ValueError that says how long it is."""
        for reason, size in (("x" * 124, 124), ("é" * 62, 124), ("🙂" * 31, 124)):
            raised = self.assertRaises(ValueError, checkClose, 1000, reason)
            self.assertIn(f"{size} bytes", str(raised))

    def test_surrogate(self) -> None:
        """A lone surrogate, which UTF-8 cannot hold, is a ValueError."""
        self.assertRaises(ValueError, checkClose, 1000, "\ud800")


class PayloadTests(SynchronousTestCase):
    """The payload of a Close frame, written and read."""

    def test_encode(self) -> None:
        """Two bytes of code, then the reason in UTF-8 (section 5.5.1)."""
        for code, reason, expected in (
            (1000, "", b"\x03\xe8"),
            (1001, "bye", b"\x03\xe9bye"),
            (4999, "é", b"\x13\x87\xc3\xa9"),
            (CloseCode.NORMAL, "", b"\x03\xe8"),
        ):
            self.assertEqual(encodeClose(code, reason), expected)
        self.assertEqual(encodeClose(3000), b"\x0b\xb8")

    def test_noStatus(self) -> None:
        """No code is an empty payload, both ways."""
        self.assertEqual(encodeClose(CloseCode.NO_STATUS), b"")
        self.assertEqual(encodeClose(1005), b"")
        self.assertEqual(parseClose(b""), (1005, ""))

    def test_F07_oneByte(self) -> None:
        """A payload of one byte is a protocol error, whatever the byte."""
        for byte in range(256):
            self.assertRaises(ProtocolError, parseClose, bytes([byte]))

    def test_F07_everyCode(self) -> None:
        """Of all 65,536 codes the legal ones are read, the others a protocol error."""
        for code in range(65536):
            payload = code.to_bytes(2, "big")
            try:
                found: tuple[int, str] | None = parseClose(payload)
            except ProtocolError as error:
                found = None
                self.assertEqual(error.closeCode, 1002)
                self.assertIn(str(code), str(error))
            self.assertEqual(found, (code, "") if code in LEGAL else None, str(code))

    def test_F07_reasonNotUTF8(self) -> None:
        """A reason that is not UTF-8 is 1007."""
        for reason in NOT_UTF8:
            raised = self.assertRaises(InvalidPayload, parseClose, b"\x03\xe8" + reason)
            self.assertEqual(raised.closeCode, 1007)
            # The exception that is logged does not drag the payload along.
            self.assertTrue(raised.__suppress_context__)

    def test_F07_codeBeforeReason(self) -> None:
        """With code and reason both wrong it is the code, which comes first."""
        self.assertRaises(ProtocolError, parseClose, b"\x03\xed\xff")

    @settings(derandomize=True, deadline=None, max_examples=100)
    @given(st.sampled_from(sorted(LEGAL)), st.text(max_size=30))
    def test_roundTrip(self, code: int, reason: str) -> None:
        """What was written is read back, and fits into a control frame."""
        checkClose(code, reason)
        payload = encodeClose(code, reason)
        self.assertTrue(len(payload) <= 125)
        self.assertEqual(parseClose(payload), (code, reason))

    @settings(derandomize=True, deadline=None, max_examples=200)
    @given(st.binary(max_size=125))
    def test_anyPayload(self, payload: bytes) -> None:
        """Any payload is read or is one of the two errors; what was read is what
        encoding it gives again."""
        try:
            code, reason = parseClose(payload)
        except (ProtocolError, InvalidPayload):
            return
        self.assertEqual(encodeClose(code, reason), payload)
