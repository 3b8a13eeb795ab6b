"""Every knob of a client, beside those of :mod:`twisted_ws.options`."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .errors import InvalidOption
from .headers import isToken
from .knobs import (
    KIB,
    Pairs,
    checkCallable,
    checkLater,
    checkSubprotocols,
    checkText,
    checkValue,
    knob,
    readPairs,
)
from .options import Options
from .proxyurls import parseProxyURL
from .urls import checkCredentials

__all__ = ["ClientOptions"]


def _checkProxy(name: str, value: object) -> None:
    """Check a proxy's URL; an empty one is none.

    :raises InvalidOption: it is none
    """
    checkText(name, value)
    if value:
        try:
            parseProxyURL(str(value))
        except ValueError as error:
            raise InvalidOption(name, str(error)) from None


@dataclass(frozen=True, kw_only=True)
class ClientOptions(Options):
    """What a client does, beside what all connections do.

    What may be secret (headers, cookies, user and password, the proxy's URL) is not in
    its ``repr``.

    :raises InvalidOption: as in :class:`Options`; also a header, cookie or subprotocol
        that cannot be written
    """

    subprotocols: tuple[str, ...] = knob(
        (),
        "A subprotocol to offer, the favourite first; the server may choose one.",
        flag="subprotocol",
    )
    """Subprotocols to offer, the favourite first. The server chooses one, which is
    ``transport.subprotocol`` then, or none. RFC 6455 section 1.9."""

    headers: Pairs = knob(
        (),
        "A header to send with the opening handshake, as NAME:VALUE.",
        flag="header",
        secret=True,
        check=checkLater,
    )
    """Headers to send with the opening handshake, beside those that it consists of.
    They are not sent on to another origin that a redirect leads to, except User-Agent:
    who knows which of them is a key."""

    cookies: Pairs = knob(
        (),
        "A cookie to send with the opening handshake, as NAME=VALUE.",
        flag="cookie",
        secret=True,
        check=checkLater,
    )
    """Cookies to send with the opening handshake, in one Cookie header. They are not
    sent on to another origin. What the server sets is in ``transport.response``; to
    keep it is up to the application."""

    origin: str | None = knob(
        None,
        "The Origin header, such as https://example.com, which browsers send.",
        check=checkText,
    )
    """The Origin header, such as ``https://example.com``; None sends none. Servers that
    check where pages come from let programs in without."""

    user: str | None = knob(
        None,
        "The user for HTTP Basic authentication, in place of the one in the URL.",
        secret=True,
        check=checkText,
    )
    """The user for HTTP Basic authentication (RFC 7617); goes before the one in the
    URL. Sent with the first request, and to no other origin."""

    password: str | None = knob(
        None,
        "The password for HTTP Basic authentication.",
        secret=True,
        check=checkText,
    )
    """The password that goes with :attr:`user`."""

    answerChallenge: Callable[[Any], Awaitable[str | None] | str | None] | None = knob(
        None,
        "A function that answers when the server or a proxy asks who is there.",
        secret=True,
        check=checkCallable,
    )
    """Called with a :class:`~twisted_ws.clienthandshake.Challenge` when the server
    answers 401 or the proxy 407. Gives the value of the Authorization header for
    another try, or None to give up; may be a coroutine function, or return a
    Deferred. Not called for a 401 of another origin that a redirect leads to."""

    maxRedirects: int = knob(
        5,
        "Most redirects that are followed; 0 follows none.",
        minimum=0,
    )
    """Most redirects that are followed (301, 302, 303, 307 and 308); one more fails
    with :exc:`~twisted_ws.errors.TooManyRedirects`. From wss to ws none is followed. 0
    follows none: then they fail with :exc:`~twisted_ws.errors.HandshakeRefused`."""

    openTimeout: float = knob(
        30.0,
        "Seconds for all of connecting: DNS, TCP, proxies, TLS, redirects.",
        unit="seconds",
        minimum=0.001,
    )
    """Seconds for all of connecting: DNS, TCP, proxies, TLS, the opening handshake,
    redirects and :attr:`answerChallenge`."""

    maxResponseBody: int = knob(
        64 * KIB,
        "Most bytes of a response's body that are kept when it is not a 101.",
        unit="bytes",
        minimum=0,
    )
    """Most bytes that are kept of the body of a response other than a 101, for
    ``HandshakeRefused.body``; what follows is not read."""

    proxy: str | None = knob(
        None,
        "The URL of a proxy: http, https, socks5, socks5h; an empty one uses none.",
        secret=True,
        check=_checkProxy,
    )
    """The URL of a proxy to connect through, such as
    ``http://user:password@proxy.example:3128``: see :doc:`/howto/proxies`. ``https``
    speaks TLS to the proxy, whose certificate is always verified, with
    :attr:`trustRoots` if there are any. The empty text uses none whatever the
    environment says; None leaves that to :attr:`useEnvironmentProxies`."""

    useEnvironmentProxies: bool = knob(
        False,
        "Take the proxy from the environment: https_proxy, http_proxy, no_proxy.",
    )
    """Take the proxy from the environment's variables ``https_proxy``, ``http_proxy``,
    ``all_proxy`` and ``no_proxy``."""

    trustRoots: Any = knob(
        None,
        "A PEM file with the certificates of the authorities to trust, in place of the "
        "platform's.",
        check=checkLater,
    )
    """Whom to trust for wss: None for the platform's authorities; the path of a PEM
    file with certificates; or what ``twisted.internet.ssl.optionsForClientTLS`` takes
    as its ``trustRoot``."""

    clientCertificate: Any = knob(
        None,
        "A PEM file with a certificate, its chain and its key, to show to the server.",
        secret=True,
        check=checkLater,
    )
    """The certificate to show to a server that asks for one: the path of a PEM file
    with certificate, chain and key; a pair of paths, the second one the key's; or a
    ``twisted.internet.ssl.PrivateCertificate``. Not shown to another origin that a
    redirect leads to."""

    dangerouslyDisableCertificateVerification: bool = knob(
        False,
        "Accept every certificate. Dangerous: whoever is on the way can read and "
        "change everything.",
    )
    """Accept every certificate that a server shows: whoever sits on the way can read
    and change everything. Logs a warning for each connection. For a server with a
    certificate of its own making, :attr:`trustRoots` names that instead."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checkSubprotocols(self.subprotocols)
        if len(set(self.subprotocols)) < len(self.subprotocols):
            # RFC 6455 section 4.1: all of them are unique.
            raise InvalidOption("subprotocols", "one of them is there twice")
        # Frozen, and so hashable, whatever they were given as.
        object.__setattr__(self, "headers", _readHeaders(self.headers))
        object.__setattr__(self, "cookies", _readCookies(self.cookies))
        if self.origin is not None:
            checkValue("origin", "Origin", self.origin)
        if self.password is not None and self.user is None:
            raise InvalidOption("password", "a password without user")
        if self.user is not None:
            try:
                checkCredentials(self.user, self.password or "")
            except ValueError as error:
                raise InvalidOption("user", f"user or password: {error}") from None
        if self.dangerouslyDisableCertificateVerification and (
            self.trustRoots is not None
        ):
            raise InvalidOption(
                "trustRoots",
                "given, while no certificate is verified: drop "
                "dangerouslyDisableCertificateVerification",
            )


_HANDSHAKE_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-version",
        "transfer-encoding",
        "upgrade",
    }
)
_OPTION_FOR = {
    "cookie": "cookies",
    "origin": "origin",
    "sec-websocket-protocol": "subprotocols",
}
_COOKIE_VALUE = re.compile(r"[\x20-\x3a\x3c-\x7e\x80-\xff]*")


def _readHeaders(value: Any) -> tuple[tuple[str, str], ...]:
    found = readPairs("headers", value)
    for name, text in found:
        known = name.lower()
        if known in _HANDSHAKE_HEADERS:
            raise InvalidOption("headers", f"{name} is written by the handshake")
        if known in _OPTION_FOR:
            raise InvalidOption(
                "headers", f"{name} has an option of its own, {_OPTION_FOR[known]}"
            )
        checkValue("headers", name, text)
    return found


def _readCookies(value: Any) -> tuple[tuple[str, str], ...]:
    found = readPairs("cookies", value)
    for name, text in found:
        if not isToken(name):
            raise InvalidOption("cookies", f"the name {name!r} is not a token")
        if _COOKIE_VALUE.fullmatch(text) is None:
            # Without the value, which is a secret.
            raise InvalidOption(
                "cookies",
                f"the value of {name} holds a semicolon, a control character or one "
                f"outside ISO 8859-1",
            )
    return found
