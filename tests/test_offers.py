"""permessage-deflate: what clients offer, what servers agree to."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.compression import DeflateSettings
from twisted_ws.headers import splitList, splitParameters
from twisted_ws.offers import (
    DeflateOffer,
    DeflateParameters,
    agree,
    checkAnswer,
    offersFor,
)
from twisted_ws.options import Options


def settingsFor(**options: Any) -> DeflateSettings:
    """Give the settings that options make; not None."""
    found = Options(**options).deflateSettings
    assert found is not None
    return found


def parsed(header: str) -> list[tuple[str, list[tuple[str, str | None]]]]:
    """Read a header as the handshake does."""
    return [splitParameters(each) for each in splitList(header)]


def answered(offer: str, **options: Any) -> str | None:
    """Give what a server answers to the header of a client, None for nothing."""
    found = agree(parsed(offer), settingsFor(**options))
    return None if found is None else str(found)


class OfferTests(SynchronousTestCase):
    """A client's offers."""

    def offered(self, **options: Any) -> str:
        """Give the header that a client with certain options sends."""
        return ", ".join(map(str, offersFor(Options(**options).deflateSettings)))

    def test_none(self) -> None:
        """Without compression nothing is offered."""
        self.assertEqual(self.offered(compression="none"), "")
        self.assertEqual(offersFor(None), ())

    def test_presets(self) -> None:
        """Each preset's offer; one that limits the server's window has a second one for
        servers that cannot."""
        plain = "permessage-deflate; client_max_window_bits"
        self.assertEqual(self.offered(compression="large"), plain)
        self.assertEqual(
            self.offered(compression="small"),
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12, "
            "permessage-deflate; client_max_window_bits=12",
        )
        self.assertEqual(
            self.offered(compression="shared"),
            "permessage-deflate; server_no_context_takeover; "
            "client_no_context_takeover; client_max_window_bits",
        )

    def test_withoutNumber(self) -> None:
        """Only the client's bits lose their number, and only at 15."""
        self.assertEqual(
            str(DeflateOffer(serverMaxWindowBits=15)),
            "permessage-deflate; server_max_window_bits=15",
        )
        self.assertEqual(str(DeflateOffer()), "permessage-deflate")


class AgreementTests(SynchronousTestCase):
    """A server's answers."""

    def test_browsers(self) -> None:
        """What Chromium and Firefox offer is accepted."""
        self.assertEqual(
            answered("permessage-deflate; client_max_window_bits"),
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        )
        self.assertEqual(
            answered("permessage-deflate"),
            "permessage-deflate; server_max_window_bits=12",
        )

    def test_parameters(self) -> None:
        """Each parameter that a client may ask for is met, and named in the answer."""
        for offer, answer in (
            ("", ""),
            ("; server_no_context_takeover", "; server_no_context_takeover"),
            ("; client_no_context_takeover", "; client_no_context_takeover"),
            ("; server_max_window_bits=15", "; server_max_window_bits=15"),
            ("; server_max_window_bits=9", "; server_max_window_bits=9"),
            ('; server_max_window_bits="10"', "; server_max_window_bits=10"),
            ("; client_max_window_bits", ""),
            ("; client_max_window_bits=15", ""),
            ("; client_max_window_bits=8", "; client_max_window_bits=8"),
            (
                "; client_max_window_bits=10; server_max_window_bits=11; "
                "client_no_context_takeover; server_no_context_takeover",
                "; server_no_context_takeover; client_no_context_takeover; "
                "server_max_window_bits=11; client_max_window_bits=10",
            ),
        ):
            self.assertEqual(
                answered(f"permessage-deflate{offer}", compression="large"),
                f"permessage-deflate{answer}",
                offer,
            )

    def test_options(self) -> None:
        """What the server's options ask for is in the answer, unasked; but the client's
        window only where the client says that it can be limited."""
        limited = {
            "serverNoContextTakeover": True,
            "clientNoContextTakeover": True,
            "serverMaxWindowBits": 10,
            "clientMaxWindowBits": 11,
        }
        forgets = "server_no_context_takeover; client_no_context_takeover"
        self.assertEqual(
            answered("permessage-deflate", **limited),
            f"permessage-deflate; {forgets}; server_max_window_bits=10",
        )
        self.assertEqual(
            answered("permessage-deflate; client_max_window_bits", **limited),
            f"permessage-deflate; {forgets}; server_max_window_bits=10; "
            f"client_max_window_bits=11",
        )
        self.assertEqual(
            answered(
                "permessage-deflate; client_max_window_bits=9; "
                "server_max_window_bits=14",
                **limited,
            ),
            f"permessage-deflate; {forgets}; server_max_window_bits=10; "
            f"client_max_window_bits=9",
        )

    def test_D04_declined(self) -> None:
        """An offer with a parameter that is unknown, repeated, out of range, or with a
        value too many or too few is declined; the next one may do."""
        for wrong in (
            "unknown",
            "unknown=1",
            "server_no_context_takeover=1",
            "client_no_context_takeover=true",
            "server_no_context_takeover; server_no_context_takeover",
            "client_max_window_bits; client_max_window_bits",
            "server_max_window_bits=10; server_max_window_bits=10",
            "server_max_window_bits",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=08",
            "server_max_window_bits=+9",
            "server_max_window_bits=a",
            "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits=010",
            "client_max_window_bits=1_0",
            "Server_Max_Window_Bits=10",
        ):
            offer = f"permessage-deflate; {wrong}"
            self.assertIsNone(answered(offer), wrong)
            self.assertEqual(
                answered(f"{offer}, permessage-deflate", compression="large"),
                "permessage-deflate",
                wrong,
            )

    def test_window8(self) -> None:
        """zlib compresses with no window of 8 bits, so that an offer that asks the
        server for one is declined; the next one may do."""
        eight = "permessage-deflate; server_max_window_bits=8"
        self.assertIsNone(answered(eight))
        self.assertEqual(
            answered(f"{eight}, {eight}; client_max_window_bits, {eight[:-1]}9"),
            "permessage-deflate; server_max_window_bits=9",
        )

    def test_others(self) -> None:
        """Other extensions are passed over."""
        self.assertIsNone(answered("x-webkit-deflate-frame, foo; bar=1"))
        self.assertIsNone(answered(""))
        self.assertEqual(
            answered("foo, permessage-deflate", compression="large"),
            "permessage-deflate",
        )

    def test_sides(self) -> None:
        """Each side's window and takeover are its own."""
        parameters = DeflateParameters(True, False, 10, 11)
        self.assertEqual(parameters.sentBy(True), (10, False))
        self.assertEqual(parameters.sentBy(False), (11, True))


class AnswerTests(SynchronousTestCase):
    """A client's view of the answer."""

    def checked(self, answer: str, **options: Any) -> DeflateParameters:
        """Give what a client with certain options takes an answer for."""
        ((_, parameters),) = parsed(f"permessage-deflate{answer}")
        return checkAnswer(offersFor(settingsFor(**options)), parameters)

    def assertWrong(self, answer: str, why: str, **options: Any) -> None:
        """Hold that an answer is refused for a reason."""
        error = self.assertRaises(ValueError, self.checked, answer, **options)
        self.assertEqual(str(error), why)

    def test_good(self) -> None:
        """Every answer that an offer allows; what it leaves out has its default."""
        self.assertEqual(
            self.checked("", compression="large")[:4], (False, False, 15, 15)
        )
        self.assertEqual(self.checked("")[:4], (False, False, 15, 12))
        self.assertEqual(
            self.checked("; server_max_window_bits=10; client_max_window_bits=9")[:4],
            (False, False, 10, 9),
        )
        # More than was asked for.
        self.assertEqual(
            self.checked("; server_no_context_takeover; client_no_context_takeover")[
                :4
            ],
            (True, True, 15, 12),
        )
        # What a client offers for itself it does.
        self.assertEqual(
            self.checked("; server_no_context_takeover", compression="shared")[:4],
            (True, True, 15, 15),
        )
        self.assertEqual(
            str(self.checked("; client_max_window_bits=9; server_max_window_bits=15")),
            "permessage-deflate; server_max_window_bits=15; client_max_window_bits=9",
        )

    def test_D04_answers(self) -> None:
        """An answer that is malformed, or that no offer allows, is refused, and the
        error says why."""
        for wrong, why in (
            ("; unknown", "unknown is not a parameter of permessage-deflate"),
            (
                "; client_max_window_bits",
                "client_max_window_bits is not a number from 8 to 15",
            ),
            (
                "; server_max_window_bits=16",
                "server_max_window_bits is not a number from 8 to 15",
            ),
            (
                "; server_no_context_takeover; server_no_context_takeover",
                "server_no_context_takeover is there more than once",
            ),
            (
                "; client_no_context_takeover=1",
                "client_no_context_takeover takes no value",
            ),
        ):
            self.assertWrong(wrong, why)
        self.assertWrong(
            "", "server_no_context_takeover was asked for", compression="shared"
        )
        offer = DeflateOffer(serverMaxWindowBits=10)
        for parameters in ([], [("server_max_window_bits", "11")]):
            error = self.assertRaises(ValueError, checkAnswer, [offer], parameters)
            self.assertEqual(str(error), "server_max_window_bits is over 10")
        error = self.assertRaises(
            ValueError, checkAnswer, [DeflateOffer()], [("client_max_window_bits", "9")]
        )
        self.assertEqual(str(error), "client_max_window_bits was not offered")
        error = self.assertRaises(ValueError, checkAnswer, [], [])
        self.assertEqual(str(error), "it was not offered")
