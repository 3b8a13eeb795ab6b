"""The exceptions of twisted_ws.

::

    WebSocketError
    ├── ConnectionFailed           the peer broke a rule: carries the close code
    │   ├── ProtocolError          1002
    │   ├── InvalidPayload         1007
    │   ├── PolicyViolation        1008
    │   │   └── SlowConsumer       it does not read what it is sent
    │   ├── MessageTooBig          1009
    │   └── InternalError          1011
    │       └── PeerSilent         no sign of life
    ├── HandshakeError             an opening handshake that ends without a 101
    │   ├── HandshakeRejected      a server's no: carries status, headers and body
    │   │   └── BadHandshake       the request broke a rule
    │   ├── HandshakeRefused       what a client is told then: the same three
    │   ├── InvalidHandshake       the server's answer broke a rule
    │   ├── HandshakeTimeout       it took too long
    │   ├── RedirectRefused        a redirect that is not followed
    │   │   └── TooManyRedirects   over maxRedirects of them
    │   ├── ProxyFailed            no tunnel through the proxy
    │   └── ConnectFailed          the server was not reached, or has gone
    │       └── TLSFailed          no TLS with it
    │           └── CertificateRefused  its certificate is not trusted
    ├── ConnectionClosed           a connection that ended: code, reason, wasClean
    ├── InvalidURL (ValueError)    a URL that is not one of WebSocket
    ├── InvalidOption (ValueError) an option with a value that cannot work
    └── TLSConfigurationError (ValueError)  a certificate or key that cannot be used

Each error knows what the peer is told about it, so that one function acts on all:
a close code once the connection is open, an HTTP status before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .headers import Headers, statusPhrase
from .redaction import loggable

__all__ = [
    "RESPONSE_FRAMING",
    "BadHandshake",
    "CertificateRefused",
    "ConnectFailed",
    "ConnectionClosed",
    "ConnectionFailed",
    "HandshakeError",
    "HandshakeRefused",
    "HandshakeRejected",
    "HandshakeTimeout",
    "InternalError",
    "InvalidHandshake",
    "InvalidOption",
    "InvalidPayload",
    "InvalidURL",
    "MessageTooBig",
    "PeerSilent",
    "PolicyViolation",
    "ProtocolError",
    "ProxyFailed",
    "RedirectRefused",
    "SlowConsumer",
    "TLSConfigurationError",
    "TLSFailed",
    "TooManyRedirects",
    "WebSocketError",
]


RESPONSE_FRAMING = frozenset(
    {"connection", "content-length", "date", "transfer-encoding"}
)
"""Headers, in lower case, that the server writes itself."""


class WebSocketError(Exception):
    """The base of every exception that twisted_ws defines."""


class ConnectionFailed(WebSocketError):
    """The connection has to be failed (RFC 6455 section 7.1.7).

    :param message: what the peer did; goes to the log, and in short to the peer as the
        reason in the Close frame
    """

    closeCode: int = 1011
    """The code for the Close frame."""


class ProtocolError(ConnectionFailed):
    """Bytes that RFC 6455 does not allow."""

    closeCode = 1002


class InvalidPayload(ConnectionFailed):
    """Text that is not UTF-8, or a message that cannot be decoded."""

    closeCode = 1007


class PolicyViolation(ConnectionFailed):
    """A peer that crossed a limit for which there is no code of its own."""

    closeCode = 1008


class SlowConsumer(PolicyViolation):
    """A peer that does not read what it is sent: ``maxSendBuffer`` is full."""


class MessageTooBig(ConnectionFailed):
    """A message over ``maxMessageSize`` bytes or ``maxFragments`` fragments."""

    closeCode = 1009


class InternalError(ConnectionFailed):
    """The application raised an exception."""

    closeCode = 1011


class PeerSilent(InternalError):
    """No byte came for ``pingInterval`` and ``pingTimeout`` together."""


class HandshakeError(WebSocketError):
    """The opening handshake did not lead to a WebSocket connection."""


class HandshakeRejected(HandshakeError):
    """Refuse the opening handshake with an HTTP response.

    Raised by an application, from ``buildProtocol`` or what it returns, to answer with
    anything but a 101: 401 with a challenge, 302 with a Location, 403, 503 with
    Retry-After. The response is complete and the connection is closed behind it.

    :param status: HTTP status, 300 to 599
    :param headers: response headers, without ``Content-Length``, ``Connection``,
        ``Date`` and ``Transfer-Encoding``, which are written by the server
    :param body: text (sent as UTF-8) or bytes; the default is the status in words
    :raises ValueError: the status is out of range, or a header holds bytes that would
        end it (CR, LF, NUL) or break HTTP, or is written by the server itself
    """

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: str | bytes | None = None,
    ) -> None:
        if not 300 <= status <= 599:
            raise ValueError(
                f"status {status} cannot refuse a handshake: use 300 to 599"
            )
        self.status = status
        self.headers = Headers(headers)
        for name, _ in self.headers:
            if name.lower() in RESPONSE_FRAMING:
                raise ValueError(f"header {name} is written by the server")
        text = f"{status} {statusPhrase(status)}".rstrip()
        if body is None:
            body = f"{text}\n"
        if isinstance(body, str):
            if "Content-Type" not in self.headers:
                self.headers.add("Content-Type", "text/plain; charset=utf-8")
            body = body.encode("utf-8")
        self.body = body
        super().__init__(text)


class BadHandshake(HandshakeRejected):
    """A request that is not a valid opening handshake.

    :param status: HTTP status of the refusal
    :param why: one line for the log and for the body of the response; holds nothing
        that the peer sent
    :param headers: further response headers
    :param lingering: whether the peer may still be sending (a head that was not read to
        its end, a body), so that closing at once could destroy the response on its way
    """

    def __init__(
        self,
        status: int,
        why: str,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        lingering: bool = False,
    ) -> None:
        text = f"{status} {statusPhrase(status)}".rstrip()
        super().__init__(status, headers, f"{text}: {why}\n")
        self.why = why
        self.lingering = lingering


class HandshakeRefused(HandshakeError):
    """The server answered with another status than 101.

    :param status: HTTP status
    :param headers: the response's
    :param body: what came of the response's body, ``maxResponseBody`` bytes at most
    :param reason: the server's words for the status
    :param truncated: whether the body has more than that
    """

    def __init__(
        self,
        status: int,
        headers: Headers,
        body: bytes = b"",
        reason: str = "",
        truncated: bool = False,
    ) -> None:
        words = loggable(reason) or statusPhrase(status)
        super().__init__(f"the server answered {status} {words}".rstrip())
        self.status = status
        self.headers = headers
        self.body = body
        self.reason = reason
        self.truncated = truncated


class InvalidHandshake(HandshakeError):
    """The server's answer is not one that RFC 6455 section 4.1 or HTTP allows.

    :param what: the header that is wrong, such as ``Sec-WebSocket-Accept``, or
        ``response`` when it is the response as a whole
    :param why: what is wrong with it; holds nothing that the server sent
    """

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"the server's answer is not valid: {why}")
        self.what = what
        self.why = why


class HandshakeTimeout(HandshakeError):
    """The opening handshake was not done in time.

    :param option: the option that sets the time: ``openTimeout`` for all of connecting,
        ``handshakeTimeout`` for TLS and HTTP on one connection
    :param seconds: that time
    :param stage: what was waited for
    """

    def __init__(self, option: str, seconds: float, stage: str) -> None:
        super().__init__(f"{stage}: not done in {seconds:g} seconds, see {option}")
        self.option = option
        self.seconds = seconds
        self.stage = stage


class RedirectRefused(HandshakeError):
    """The server sent a redirect that the client does not follow.

    :param location: where it points, as sent; may hold secrets, so the message leaves
        it out
    :param why: why it is not followed
    """

    def __init__(self, location: str, why: str) -> None:
        super().__init__(f"the redirect is not followed: {why}")
        self.location = location
        self.why = why


class TooManyRedirects(RedirectRefused):
    """One redirect more than ``maxRedirects`` allows.

    :param location: where it points, as sent
    :param most: what ``maxRedirects`` is
    """

    def __init__(self, location: str, most: int) -> None:
        super().__init__(location, f"there were {most} already, see maxRedirects")


class ConnectFailed(HandshakeError):
    """There is no connection to the server: its name is unknown, TCP was refused or is
    not possible, or the connection ended before the answer to the request.

    :param why: one line
    :param cause: the exception that says so, which is also ``__cause__``
    """

    def __init__(self, why: str, cause: BaseException | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.__cause__ = cause


class ProxyFailed(HandshakeError):
    """There is no tunnel through the proxy. Where another error led to this one, such
    as one of TCP or TLS, that is its ``__cause__``.

    :param why: one line that says what the proxy did; holds nothing that it sent
    :param status: HTTP status with which it refused the tunnel; None where it did not
        come to that
    :param headers: headers of that response, such as ``Proxy-Authenticate``
    :param body: body of that response, up to 64 KiB of it
    :param reply: what a SOCKS proxy replied (RFC 1928 section 6); None where it did not
        come to that
    :param wantsCredentials: whether other credentials could change its mind; always so
        with status 407, and with 401, which some proxies send for wrong ones
    """

    def __init__(
        self,
        why: str,
        status: int | None = None,
        headers: Headers | None = None,
        body: bytes = b"",
        reply: int | None = None,
        wantsCredentials: bool = False,
    ) -> None:
        super().__init__(why)
        self.why = why
        self.status = status
        self.headers = Headers() if headers is None else headers
        self.body = body
        self.reply = reply
        self.wantsCredentials = wantsCredentials or status in (401, 407)


class TLSFailed(ConnectFailed):
    """The TLS handshake failed."""


class CertificateRefused(TLSFailed):
    """The server's certificate is not issued by an authority that is trusted, or not
    for the name in the URL, or not at this time."""


class InvalidURL(WebSocketError, ValueError):
    """A URL that is not one of WebSocket (RFC 6455 section 3).

    The message leaves the URL out, which may hold a password.
    """


class ConnectionClosed(WebSocketError):
    """A WebSocket connection that has ended.

    ``connectionLost`` gets it as ``reason.value``; waiting operations raise it.

    :param code: the status code of RFC 6455 section 7.1.5: what the peer's Close frame
        said, 1005 if it said nothing, 1006 if the connection ended without one; when
        this side failed the connection, the code it sent
    :param reason: text beside the code
    :param wasClean: whether both sides sent a Close frame (section 7.1.4)
    """

    def __init__(self, code: int, reason: str = "", wasClean: bool = False) -> None:
        super().__init__(code, reason, wasClean)
        self.code = code
        self.reason = reason
        self.wasClean = wasClean

    def __str__(self) -> str:
        how = "cleanly" if self.wasClean else "uncleanly"
        text = f"WebSocket closed {how}, code {self.code}"
        return f"{text}: {self.reason}" if self.reason else text


class InvalidOption(WebSocketError, ValueError):
    """An option has a value that cannot work.

    :param name: the option's field name, as in ``ServerOptions``
    :param why: what is wrong and what would do
    """

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name
        self.why = why


class TLSConfigurationError(WebSocketError, ValueError):
    """A certificate or private key that cannot be used; the message names the file.

    :param argument: which of the two it is, ``certificate`` or ``private-key``; of a
        client the option, ``trustRoots`` or ``clientCertificate``
    :param why: file, cause and remedy
    """

    def __init__(self, argument: str, why: str) -> None:
        super().__init__(f"{argument}: {why}")
        self.argument = argument
        self.why = why
