"""The opening handshake, the client's side of RFC 6455 section 4.

A URL goes in, and a request comes out; the response is judged by rules as strict as
those that servers have. What HTTP knows beside the 101 stands here too: redirects, the
bodies of refusals, challenges, Retry-After.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import cast

from .clientoptions import ClientOptions
from .errors import InvalidHandshake, InvalidURL, RedirectRefused
from .handshake import Request, acceptFor
from .headers import Headers, ResponseHead, splitList, splitParameters
from .knobs import Pairs
from .offers import EXTENSION, checkAnswer, offersFor
from .urls import WebSocketURL, writeAuthority

__all__ = [
    "Challenge",
    "ClientHandshake",
    "ResponseBody",
    "basicAuthorization",
    "isRedirect",
    "readRetryAfter",
    "redirectTarget",
]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# What goes along to another origin: it tells what the program is, not who its user is.
_SHARED_HEADERS = frozenset({"user-agent"})
_USER_AGENT = "twisted_ws"
_MAX_CHUNK_LINE = 1024


@dataclass(frozen=True)
class Challenge:
    """A server or a proxy asks who is there; see ``ClientOptions.answerChallenge``."""

    url: WebSocketURL
    """Where the connection is to lead."""
    status: int
    """401 from the server, 407 from the proxy."""
    headers: Headers
    """The response's headers."""
    attempt: int
    """1 for the first challenge on the way to a connection, one more each time."""

    @property
    def isProxy(self) -> bool:
        """Whether it is a proxy that asks."""
        return self.status == 407

    @property
    def challenges(self) -> tuple[str, ...]:
        """The values of WWW-Authenticate, or of a proxy's Proxy-Authenticate; some
        proxies ask as servers do."""
        found = self.headers.getAll("Proxy-Authenticate") if self.isProxy else []
        return tuple(found or self.headers.getAll("WWW-Authenticate"))


def basicAuthorization(user: str, password: str) -> str:
    """Write the value of an Authorization header for HTTP Basic (RFC 7617), in UTF-8.

    :param user: without a colon
    :param password: any text
    """
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")


class ClientHandshake:
    """One request for a WebSocket connection, and what its answer has to be.

    :param url: what is asked for
    :param options: headers, cookies, subprotocols and so on
    :param authorization: the value of the Authorization header, in place of the user
        and password that the options or the URL name
    :param trusted: whether the URL's origin is the one that the application named, and
        not one that a redirect led to: only there go credentials, cookies and headers
    :param makeKey: gives that many unpredictable bytes; an argument for tests only
    """

    def __init__(
        self,
        url: WebSocketURL,
        options: ClientOptions,
        authorization: str | None = None,
        trusted: bool = True,
        makeKey: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.url = url
        headers = Headers()
        self.request = request = Request(
            url.path, url.queryString, headers, url.authority, url.secure
        )
        """The request, as the application sees it."""
        request.subprotocols = options.subprotocols
        headers.add("Host", writeAuthority(url))
        headers.add("Upgrade", "websocket")
        headers.add("Connection", "Upgrade")
        headers.add("Sec-WebSocket-Key", b64encode(makeKey(16)).decode("ascii"))
        headers.add("Sec-WebSocket-Version", "13")
        if options.subprotocols:
            headers.add("Sec-WebSocket-Protocol", ", ".join(options.subprotocols))
        self._offers = offersFor(options.deflateSettings)
        if self._offers:
            offers = [str(each) for each in self._offers]
            headers.add("Sec-WebSocket-Extensions", ", ".join(offers))
        if options.origin is not None:
            headers.add("Origin", options.origin)
        own = [
            (name, value)
            for name, value in _pairs(options.headers)
            if trusted or name.lower() in _SHARED_HEADERS
        ]
        names = {name.lower() for name, _ in own}
        if authorization is None and trusted and "authorization" not in names:
            authorization = _authorizationOf(url, options)
        if authorization is not None:
            headers.add("Authorization", authorization)
        if trusted and options.cookies:
            cookies = "; ".join(
                f"{name}={value}" for name, value in _pairs(options.cookies)
            )
            headers.add("Cookie", cookies)
        if "user-agent" not in names:
            headers.add("User-Agent", _USER_AGENT)
        for name, value in own:
            if authorization is None or name.lower() != "authorization":
                headers.add(name, value)

    def encode(self) -> bytes:
        """Write the request (section 4.1)."""
        lines = [f"GET {self.url.resource} HTTP/1.1"]
        lines.extend(f"{name}: {value}" for name, value in self.request.headers)
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def judge(self, head: ResponseHead) -> tuple[str, ...]:
        """Hold a 101 against the rules, and note the subprotocol and what holds for
        compression in the request.

        :param head: the response, whose status is 101
        :returns: the extensions that are agreed
        :raises InvalidHandshake: it breaks one
        """
        headers = head.headers
        if head.version < (1, 1) or head.version[0] != 1:
            raise InvalidHandshake("response", "a 101 comes with HTTP/1.1")
        if _elements(headers, "Upgrade") != ["websocket"]:
            raise InvalidHandshake("Upgrade", "its Upgrade header is not 'websocket'")
        if "upgrade" not in _elements(headers, "Connection"):
            raise InvalidHandshake(
                "Connection", "its Connection header does not say Upgrade"
            )
        self._checkAccept(headers)
        extensions = self._agreeOnExtensions(headers)
        self._agreeOnSubprotocol(headers)
        return extensions

    def _checkAccept(self, headers: Headers) -> None:
        name = "Sec-WebSocket-Accept"
        values = headers.getAll(name)
        if not values:
            raise InvalidHandshake(name, f"it has no {name}: is it a WebSocket server?")
        if len(values) > 1:
            raise InvalidHandshake(name, f"it has more than one {name}")
        if values[0] != acceptFor(self.request.key):
            raise InvalidHandshake(
                name, f"its {name} does not belong to the key: is it an old answer?"
            )

    def _agreeOnExtensions(self, headers: Headers) -> tuple[str, ...]:
        name = "Sec-WebSocket-Extensions"
        elements = splitList(",".join(headers.getAll(name)))
        if not elements:
            return ()
        try:
            extension, parameters = splitParameters(elements[0])
            if len(elements) > 1 or extension != EXTENSION or not self._offers:
                raise InvalidHandshake(
                    name, "it uses an extension that was not offered"
                )
            agreed = checkAnswer(self._offers, parameters)
        except ValueError as error:
            raise InvalidHandshake(
                name, f"it uses an extension in a way that cannot be: {error}"
            ) from None
        self.request.deflate = agreed
        return (str(agreed),)

    def _agreeOnSubprotocol(self, headers: Headers) -> None:
        name = "Sec-WebSocket-Protocol"
        values = headers.getAll(name)
        if len(values) > 1:
            raise InvalidHandshake(name, "it chooses more than one subprotocol")
        if values:
            if values[0] not in self.request.subprotocols:
                raise InvalidHandshake(
                    name, "it chooses a subprotocol that was not offered"
                )
            self.request.selectSubprotocol(values[0])


def _pairs(given: Pairs) -> tuple[tuple[str, str], ...]:
    """Give headers or cookies in the form that ClientOptions has brought them into."""
    return cast("tuple[tuple[str, str], ...]", given)


def _authorizationOf(url: WebSocketURL, options: ClientOptions) -> str | None:
    if options.user is not None:
        return basicAuthorization(options.user, options.password or "")
    if url.user is not None:
        return basicAuthorization(url.user, url.password or "")
    return None


def _elements(headers: Headers, name: str) -> list[str]:
    return [each.lower() for each in splitList(",".join(headers.getAll(name)))]


def isRedirect(head: ResponseHead) -> bool:
    """Tell whether a response says where to go in its place.

    :param head: the response
    """
    return head.status in _REDIRECTS and "Location" in head.headers


def redirectTarget(url: WebSocketURL, head: ResponseHead) -> WebSocketURL:
    """Give where a redirect leads.

    :param url: what was asked for
    :param head: the response, for which :func:`isRedirect` holds
    :raises RedirectRefused: from wss to ws, to several places, or to none
    """
    locations = head.headers.getAll("Location")
    location = locations[0]
    if len(locations) > 1:
        raise RedirectRefused(location, "it leads to more than one place")
    try:
        # ASCII by RFC 9110; what is not is UTF-8 in practice.
        location = location.encode("latin-1").decode("utf-8")
        target = url.join(location)
    except UnicodeDecodeError:
        raise RedirectRefused(location, "the place it leads to is not a URL") from None
    except InvalidURL as error:
        raise RedirectRefused(location, str(error)) from None
    if url.secure and not target.secure:
        raise RedirectRefused(location, "it leads from wss to ws, out of TLS")
    return target


def readRetryAfter(headers: Headers, now: float) -> float | None:
    """Give how many seconds a server asks to wait (RFC 9110 section 10.2.3).

    :param headers: the response's
    :param now: seconds since 1970, for a server that names a date and not its own time
    :returns: the seconds, at least 0; None if there is no such header, or none that
        can be read
    """
    value = headers.get("Retry-After", "") or ""
    # As many digits as make a float; nobody waits for ten thousand years.
    if value.isascii() and value.isdigit() and len(value) < 12:
        return float(value)
    until = _readDate(value)
    if until is None:
        return None
    then = _readDate(headers.get("Date", "") or "")
    return max(0.0, until - (now if then is None else then))


def _readDate(text: str) -> float | None:
    try:
        found = parsedate_to_datetime(text)
        if found.tzinfo is None:
            found = found.replace(tzinfo=timezone.utc)
        return found.timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


class ResponseBody:
    """The body of a response that is not a 101, up to a limit (RFC 9112 section 6).

    Memory: the limit, and one segment.

    :param head: the response
    :param most: bytes to keep
    """

    def __init__(self, head: ResponseHead, most: int) -> None:
        self.head = head
        self.isComplete = False
        """Whether there is nothing more to come, or to keep."""
        self.truncated = False
        """Whether it has more than was kept, or what was kept is not the whole."""
        self._most = most
        self._kept = bytearray()
        # Bytes to come of the body or the chunk; None when only the end of the
        # connection ends it.
        self._left: int | None = None
        self._chunked = False
        self._pending = bytearray()
        self._inTrailer = False
        self._begin()

    @property
    def content(self) -> bytes:
        """What was kept."""
        return bytes(self._kept)

    def _begin(self) -> None:
        headers = self.head.headers
        codings = _elements(headers, "Transfer-Encoding")
        lengths = set(headers.getAll("Content-Length"))
        if self.head.status in (204, 304):
            self.isComplete = True
        elif codings:
            # Any other coding has no end but the connection's.
            self._chunked = codings[-1] == "chunked"
        elif len(lengths) == 1:
            length = lengths.pop()
            # Another length ends nothing: what comes is kept until the end.
            if length.isascii() and length.isdigit() and len(length) < 19:
                self._left = int(length)
                self.isComplete = not self._left

    def feed(self, data: bytes) -> None:
        """Take bytes from behind the head.

        :param data: any bytes
        """
        if self.isComplete:
            return
        if not self._chunked:
            self._keep(data)
            if self._left == 0:
                self.isComplete = True
            return
        self._pending += data
        while not self.isComplete and self._chunkStep():
            pass

    def finish(self) -> None:
        """The connection has ended, or what came has to do."""
        if not self.isComplete:
            self.isComplete = True
            self.truncated = self.truncated or self._chunked or self._left is not None

    def _keep(self, data: bytes | bytearray) -> None:
        """Keep what belongs to the body, and what the limit lets through."""
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        room = self._most - len(self._kept)
        self._kept += data[:room]
        if len(data) > room or (len(data) == room and self._left):
            self.truncated = self.isComplete = True

    def _chunkStep(self) -> bool:
        """Take a line or a piece of a chunk (RFC 9112 section 7.1).

        :returns: whether to go on
        """
        if self._left:
            taken = bytes(self._pending[: self._left])
            del self._pending[: len(taken)]
            self._keep(taken)
            return bool(self._pending)
        end = self._pending.find(b"\r\n")
        if end < 0:
            if len(self._pending) > _MAX_CHUNK_LINE:
                self.truncated = self.isComplete = True
            return False
        line = bytes(self._pending[:end])
        del self._pending[: end + 2]
        if self._inTrailer:
            self.isComplete = not line
        elif self._left == 0:
            # Behind a chunk; the next line is a size again.
            self._left = None
            self.truncated = self.isComplete = bool(line)
        else:
            self._readSize(line.partition(b";")[0].strip(b" \t"))
        return True

    def _readSize(self, digits: bytes) -> None:
        if not 0 < len(digits) < 16 or digits.strip(b"0123456789abcdefABCDEF"):
            self.truncated = self.isComplete = True
            return
        self._left = int(digits, 16)
        if self._left == 0:
            self._left = None
            self._inTrailer = True
