"""Offers and agreement on permessage-deflate (RFC 7692 section 7.1).

What a client offers, what a server makes of it, and how a client checks the answer.
What was agreed is :class:`DeflateParameters`; :mod:`twisted_ws.deflate` acts on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias

from .compression import DeflateSettings

__all__ = [
    "EXTENSION",
    "LEAST_COMPRESSOR_BITS",
    "DeflateOffer",
    "DeflateParameters",
    "agree",
    "checkAnswer",
    "offersFor",
]

EXTENSION = "permessage-deflate"
"""The extension's name (RFC 7692 section 7)."""

Parameters: TypeAlias = Iterable[tuple[str, str | None]]
"""An element's parameters, as :func:`twisted_ws.headers.splitParameters` gives them."""

_MAX_BITS = 15
# Decimal without a leading zero (section 7.1.2).
_BITS = {str(bits): bits for bits in range(8, _MAX_BITS + 1)}
LEAST_COMPRESSOR_BITS = 9
"""The smallest window that compressors have: asked for 8 bits, zlib uses 9."""

_SERVER_FORGETS = "server_no_context_takeover"
_CLIENT_FORGETS = "client_no_context_takeover"
_SERVER_BITS = "server_max_window_bits"
_CLIENT_BITS = "client_max_window_bits"


class DeflateOffer(NamedTuple):
    """One offer of a client (section 7.1); its ``str`` is the element of the header."""

    serverNoContextTakeover: bool = False
    clientNoContextTakeover: bool = False
    serverMaxWindowBits: int | None = None
    """None when the client does not ask for a limit."""
    clientMaxWindowBits: int | None = None
    """None when the client cannot be limited; 15 also when it names no number."""

    def __str__(self) -> str:
        text = _write(*self)
        # As browsers write it; servers that are older know no number here.
        return text.removesuffix(f"={_MAX_BITS}") if self.clientMaxWindowBits else text


class DeflateParameters(NamedTuple):
    """What was agreed (section 7.1); its ``str`` is the element of the header."""

    serverNoContextTakeover: bool = False
    """Whether the server compresses each message on its own."""
    clientNoContextTakeover: bool = False
    """Whether the client does."""
    serverMaxWindowBits: int = _MAX_BITS
    """How far back the server's messages refer at most, as a power of two."""
    clientMaxWindowBits: int = _MAX_BITS
    """How far back the client's do."""
    named: tuple[bool, bool] = (False, False)
    """Whether the answer names the two numbers of bits, the server's and the client's;
    where it does not they are 15."""

    def sentBy(self, isServer: bool) -> tuple[int, bool]:
        """Give the window bits of one side's messages, and whether it takes its context
        over from one to the next.

        :param isServer: which side
        """
        if isServer:
            return self.serverMaxWindowBits, not self.serverNoContextTakeover
        return self.clientMaxWindowBits, not self.clientNoContextTakeover

    @cache  # noqa: B019  there are only a few thousand
    def __str__(self) -> str:
        server, client = self.named
        return _write(
            self.serverNoContextTakeover,
            self.clientNoContextTakeover,
            self.serverMaxWindowBits if server else None,
            self.clientMaxWindowBits if client else None,
        )


@cache
def _same(*parts: Any) -> DeflateParameters:
    """Give the one object for what thousands of connections agree on."""
    return DeflateParameters(*parts)


def _write(
    serverForgets: bool,
    clientForgets: bool,
    serverBits: int | None,
    clientBits: int | None,
) -> str:
    """Write an offer or an answer."""
    parts = [EXTENSION]
    if serverForgets:
        parts.append(_SERVER_FORGETS)
    if clientForgets:
        parts.append(_CLIENT_FORGETS)
    if serverBits is not None:
        parts.append(f"{_SERVER_BITS}={serverBits}")
    if clientBits is not None:
        parts.append(f"{_CLIENT_BITS}={clientBits}")
    return "; ".join(parts)


def _read(parameters: Parameters, isOffer: bool) -> DeflateOffer:
    """Read the parameters of an offer or of an answer (section 7.1).

    :raises ValueError: one is unknown, repeated, or has a value that it cannot have
    """
    found: dict[str, bool | int] = {}
    for name, value in parameters:
        if name in found:
            raise ValueError(f"{name} is there more than once")
        if name in (_SERVER_FORGETS, _CLIENT_FORGETS):
            if value is not None:
                raise ValueError(f"{name} takes no value")
            found[name] = True
        elif name not in (_SERVER_BITS, _CLIENT_BITS):
            raise ValueError(f"{name} is not a parameter of {EXTENSION}")
        elif value is None and name == _CLIENT_BITS and isOffer:
            found[name] = _MAX_BITS
        elif value not in _BITS:
            raise ValueError(f"{name} is not a number from 8 to 15")
        else:
            found[name] = _BITS[value]
    return DeflateOffer(
        _SERVER_FORGETS in found,
        _CLIENT_FORGETS in found,
        found.get(_SERVER_BITS),
        found.get(_CLIENT_BITS),
    )


def agree(
    offers: Iterable[tuple[str, Parameters]], settings: DeflateSettings
) -> DeflateParameters | None:
    """Choose among a client's offers, as a server: the first that can be met.

    :param offers: the extensions that the client offers, with their parameters; others
        than this one are passed over, and so are offers that are malformed or ask for
        a window that the compressor does not have (section 7.1: they are declined)
    :param settings: what the server wants
    :returns: what to answer, None to do without the extension
    """
    for name, parameters in offers:
        if name != EXTENSION:
            continue
        try:
            offer = _read(parameters, isOffer=True)
        except ValueError:
            continue
        serverBits = min(
            settings.serverMaxWindowBits, offer.serverMaxWindowBits or _MAX_BITS
        )
        if serverBits < LEAST_COMPRESSOR_BITS:
            continue
        # Only a client that says so can be told how far to look back (section 7.1.2.2).
        clientBits = min(
            settings.clientMaxWindowBits if offer.clientMaxWindowBits else _MAX_BITS,
            offer.clientMaxWindowBits or _MAX_BITS,
        )
        return _same(
            settings.serverNoContextTakeover or offer.serverNoContextTakeover,
            settings.clientNoContextTakeover or offer.clientNoContextTakeover,
            serverBits,
            clientBits,
            (
                offer.serverMaxWindowBits is not None or serverBits < _MAX_BITS,
                clientBits < _MAX_BITS,
            ),
        )
    return None


def offersFor(settings: DeflateSettings | None) -> tuple[DeflateOffer, ...]:
    """Give what a client offers, its favourite first.

    A server that cannot limit its window declines an offer that asks for it (section
    7.1.2.1), so that a second one does without. It costs the memory of a full window.

    :param settings: what the client wants, None for no compression
    """
    if settings is None:
        return ()
    plain = DeflateOffer(
        settings.serverNoContextTakeover,
        settings.clientNoContextTakeover,
        None,
        settings.clientMaxWindowBits,
    )
    if settings.serverMaxWindowBits == _MAX_BITS:
        return (plain,)
    return (plain._replace(serverMaxWindowBits=settings.serverMaxWindowBits), plain)


def checkAnswer(
    offers: Sequence[DeflateOffer], parameters: Parameters
) -> DeflateParameters:
    """Read a server's answer, as a client.

    :param offers: what was offered
    :param parameters: of the extension in the response
    :returns: what holds now
    :raises ValueError: it answers none of the offers; says what is wrong
    """
    answer = _read(parameters, isOffer=False)
    wrong = "it was not offered"
    for offer in offers:
        found = _contradiction(offer, answer)
        if found is None:
            return DeflateParameters(
                answer.serverNoContextTakeover,
                # What a client offers for itself it may do unasked.
                answer.clientNoContextTakeover or offer.clientNoContextTakeover,
                answer.serverMaxWindowBits or _MAX_BITS,
                min(
                    answer.clientMaxWindowBits or _MAX_BITS,
                    offer.clientMaxWindowBits or _MAX_BITS,
                ),
                (
                    answer.serverMaxWindowBits is not None,
                    answer.clientMaxWindowBits is not None,
                ),
            )
        wrong = found
    raise ValueError(wrong)


def _contradiction(offer: DeflateOffer, answer: DeflateOffer) -> str | None:
    """Say what an answer makes of an offer that it may not (section 7.1)."""
    if offer.serverNoContextTakeover and not answer.serverNoContextTakeover:
        return f"{_SERVER_FORGETS} was asked for"
    most = offer.serverMaxWindowBits
    if most is not None and (answer.serverMaxWindowBits or _MAX_BITS) > most:
        return f"{_SERVER_BITS} is over {most}"
    if answer.clientMaxWindowBits is not None and offer.clientMaxWindowBits is None:
        return f"{_CLIENT_BITS} was not offered"
    return None
