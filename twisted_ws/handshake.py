"""The opening handshake, the server's side of RFC 6455 section 4.

A request head goes in; a :class:`Request` comes out, or :class:`BadHandshake` with the
status to refuse it with. What an application then decides is written as a 101 or as a
complete response.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha1
from types import MappingProxyType
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

from .errors import RESPONSE_FRAMING, BadHandshake, HandshakeRejected
from .headers import (
    Headers,
    RequestHead,
    isToken,
    splitList,
    splitParameters,
    statusPhrase,
)
from .offers import DeflateParameters, agree
from .options import ServerOptions
from .origins import (
    Authority,
    hostMatches,
    isLoopbackHost,
    originOf,
    parseAuthority,
    parseOrigin,
)
from .remembering import remembering

__all__ = [
    "Request",
    "ResponseHeaders",
    "ServerHandshake",
    "acceptFor",
    "encodeRefusal",
    "plainRequest",
]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})
_ExtensionOffers: TypeAlias = tuple[tuple[str, tuple[tuple[str, str | None], ...]], ...]
# Of what is remembered: nearly all clients of a server ask for and offer the same.
_LONGEST = 128
_TARGET_SCHEMES = ("http", "https", "ws", "wss")


def acceptFor(key: str) -> str:
    """Give the ``Sec-WebSocket-Accept`` for a ``Sec-WebSocket-Key`` (section 4.2.2).

    :param key: the key as sent, in ASCII
    """
    digest = sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()
    return b64encode(digest).decode("ascii")


class ResponseHeaders(Headers):
    """What an application adds to the 101: cookies, for instance.

    :raises ValueError: as :class:`twisted_ws.headers.Headers`; also for a header that
        is the handshake's own
    """

    __slots__ = ()

    _OWN = RESPONSE_FRAMING | {
        "upgrade",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-protocol",
    }

    def add(self, name: str, value: str) -> None:
        """Add one header to the 101.

        :param name: a token
        :param value: its value
        :raises ValueError: see the class
        """
        if name.lower() in self._OWN:
            raise ValueError(
                f"header {name} is written by the handshake; a subprotocol is chosen "
                f"with request.selectSubprotocol()"
            )
        super().add(name, value)


class Request:
    """A valid request for a WebSocket connection, as an application gets it.

    On a server ``buildProtocol(request)`` decides on it, and may add to the answer
    through :attr:`responseHeaders` and :meth:`selectSubprotocol`. A client's is the one
    that was sent, when the server has accepted it.
    """

    __slots__ = (
        "_headers",
        "_responseHeaders",
        "_subprotocol",
        "authority",
        "avatar",
        "deflate",
        "localAddress",
        "path",
        "pathParameters",
        "peer",
        "peerCertificate",
        "queryString",
        "secure",
        "subprotocols",
        "webRequest",
    )

    def __init__(
        self,
        path: str,
        queryString: str,
        headers: Headers,
        authority: Authority,
        secure: bool,
    ) -> None:
        self.path = path
        """The path as sent, percent-encoding and all; begins with a slash."""
        self.queryString = queryString
        """What stands behind the question mark, as sent."""
        # The text of the fields while nobody looks at them.
        self._headers: Headers | str = headers
        self.authority = authority
        """Host and port that the client asked for."""
        self.secure = secure
        """Whether it came over TLS."""
        self.subprotocols: tuple[str, ...] = ()
        """Subprotocols that the client offers, its favourite first."""
        self.deflate: DeflateParameters | None = None
        """What the 101 will say of permessage-deflate, None for no compression. Whoever
        decides on the request may set it to None, to do without."""
        self.peer: Any = None
        """Address of the peer (a Twisted ``IAddress``)."""
        self.localAddress: Any = None
        """Address of this end (a Twisted ``IAddress``)."""
        self.peerCertificate: Any = None
        """The peer's certificate (``OpenSSL.crypto.X509``), if there is TLS and it
        sent one."""
        self.pathParameters: Mapping[str, str] = _NO_PARAMETERS
        """The values of the ``{name}`` parts of the route's pattern, percent-decoded;
        see :class:`twisted_ws.routes.Routes`."""
        self.webRequest: Any = None
        """The request of twisted.web, for its session and what resources in front left
        on it, if it came through :class:`twisted_ws.resource.WebSocketResource`; its
        response is not to be touched."""
        self.avatar: Any = None
        """Who authentication in front of a
        :class:`twisted_ws.resource.WebSocketResource` found it to be from."""
        self._subprotocol: str | None = None
        self._responseHeaders: ResponseHeaders | None = None

    @property
    def headers(self) -> Headers:
        """The request's header fields."""
        if isinstance(self._headers, str):
            self._headers = Headers.fromChecked(self._headers)
        return self._headers

    def compact(self) -> None:
        """Keep the header lines as one text, until somebody looks at them. Memory: a
        fifth of what it is from then on."""
        self._headers = self.headers.joined()

    @property
    def key(self) -> str:
        """The value of ``Sec-WebSocket-Key``."""
        return self.headers.get("Sec-WebSocket-Key") or ""

    @property
    def origin(self) -> str | None:
        """The value of ``Origin``, None when there is none (not a browser)."""
        return self.headers.get("Origin")

    @property
    def extensionOffers(self) -> _ExtensionOffers:
        """Extensions that the client offers: names with their parameters."""
        return _readExtensions(self.headers)

    @property
    def responseHeaders(self) -> ResponseHeaders:
        """Headers that go out with the 101."""
        if self._responseHeaders is None:
            self._responseHeaders = ResponseHeaders()
        return self._responseHeaders

    @property
    def query(self) -> dict[str, list[str]]:
        """The query's fields, decoded as UTF-8; each name with all its values."""
        return parse_qs(self.queryString, keep_blank_values=True)

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the 101 will name, None for none."""
        return self._subprotocol

    def selectSubprotocol(self, name: str | None) -> None:
        """Choose the subprotocol, in place of the one that the options would.

        :param name: one of :attr:`subprotocols`, or None for none
        :raises ValueError: the client did not offer it (section 4.2.2)
        """
        if name is not None and name not in self.subprotocols:
            raise ValueError(
                f"subprotocol {name!r} was not offered; the client offers "
                f"{', '.join(self.subprotocols) or 'none'}"
            )
        self._subprotocol = name

    def __repr__(self) -> str:
        # The query may hold a token, and a repr ends up in logs.
        return f"<Request {self.path!r} from {self.peer}>"


def plainRequest(head: RequestHead) -> bool:
    """Tell whether a request is ordinary HTTP: it does not ask for WebSocket.

    :param head: the request
    """
    return "websocket" not in _tokens(head.headers, "Upgrade")


class ServerHandshake:
    """Judges requests by RFC 6455 and by a server's options.

    :param options: origins, hosts, subprotocols and compression
    """

    def __init__(self, options: ServerOptions) -> None:
        self._allowedOrigins = options.readAllowedOrigins()
        self._allowedHosts = options.readAllowedHosts()
        self._anyOrigin = options.dangerouslyAllowAnyOrigin
        self._anyHost = options.dangerouslyAllowAnyHost
        self._subprotocols = options.subprotocols
        self._deflateSettings = options.deflateSettings

    def read(self, head: RequestHead, secure: bool, loopbackOnly: bool) -> Request:
        """Read a request that asks for WebSocket, and judge it.

        :param head: the request
        :param secure: whether it came over TLS
        :param loopbackOnly: whether the server listens on loopback only
        :raises BadHandshake: it breaks a rule; carries the status
        """
        request = self.parse(head, secure)
        self.judge(request, loopbackOnly)
        return request

    @classmethod
    def parse(cls, head: RequestHead, secure: bool) -> Request:
        """Read a request that asks for WebSocket (section 4.2.1), by the rules that are
        the same for all servers.

        :param head: the request
        :param secure: whether it came over TLS
        :raises BadHandshake: it breaks a rule; carries the status
        """
        if head.version[0] != 1 or head.version < (1, 1):
            raise BadHandshake(505, "WebSocket needs HTTP/1.1")
        if head.method != "GET":
            raise BadHandshake(405, "WebSocket needs GET", {"Allow": "GET"}, True)
        headers = head.headers
        cls.checkBody(headers)
        authority, path, query = readTarget(head)
        if "upgrade" not in _tokens(headers, "Connection"):
            raise BadHandshake(400, "the Connection header does not say Upgrade")
        _checkVersion(headers)
        _checkKey(headers)
        request = Request(path, query, headers, authority, secure)
        request.subprotocols = _readSubprotocols(headers)
        # Whether they can be read at all.
        _readExtensions(headers)
        return request

    def judge(self, request: Request, loopbackOnly: bool) -> None:
        """Hold a request against the options, and agree on what they say.

        :param request: what :meth:`parse` gave
        :param loopbackOnly: whether the server listens on loopback only
        :raises BadHandshake: it is not allowed here; carries the status
        """
        authority, secure = request.authority, request.secure
        self.checkHost(authority, secure, loopbackOnly)
        self._checkOrigin(request.headers, authority, secure)
        if self._deflateSettings is not None:
            request.deflate = agree(request.extensionOffers, self._deflateSettings)
        for name in self._subprotocols:
            if name in request.subprotocols:
                request.selectSubprotocol(name)
                break

    def checkHost(self, authority: Authority, secure: bool, loopbackOnly: bool) -> None:
        """Hold the request's host against the allow-list.

        :param authority: what the request names
        :param secure: whether it came over TLS, for the default port
        :param loopbackOnly: whether the server listens on loopback only
        :raises BadHandshake: 403
        """
        if self._allowedHosts:
            own = originOf("https" if secure else "http", authority)
            asked = Authority(own.host, own.port)
            allowed = any(hostMatches(asked, each) for each in self._allowedHosts)
        else:
            allowed = not loopbackOnly or isLoopbackHost(authority.host)
        if not allowed and not self._anyHost:
            raise BadHandshake(
                403,
                "this host is not allowed here; the server's allowedHosts lists them",
            )

    @staticmethod
    def checkBody(headers: Headers) -> None:
        """Refuse a request with a body: what follows its head are frames.

        :param headers: the request's
        :raises BadHandshake: 400
        """
        lengths = headers.getAll("Content-Length")
        if "Transfer-Encoding" in headers or lengths not in ([], ["0"]):
            raise BadHandshake(400, "a request has no body here", lingering=True)

    def _checkOrigin(
        self, headers: Headers, authority: Authority, secure: bool
    ) -> None:
        """Hold the Origin header against the policy (section 10.2)."""
        values = headers.getAll("Origin")
        if not values or self._anyOrigin:
            return
        try:
            if len(values) > 1:
                raise ValueError("more than one origin")
            origin = parseOrigin(values[0])
        except ValueError:
            raise BadHandshake(403, "the Origin header is not one origin") from None
        own = originOf("https" if secure else "http", authority)
        if origin != own and origin not in self._allowedOrigins:
            raise BadHandshake(
                403, "this origin is not allowed here; allowedOrigins lists them"
            )

    @staticmethod
    def accept(request: Request, extensions: Sequence[str] = ()) -> bytes:
        """Write the 101 (section 4.2.2).

        :param request: what is accepted
        :param extensions: what was agreed on with it
        """
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {acceptFor(request.key)}",
        ]
        if request.subprotocol is not None:
            lines.append(f"Sec-WebSocket-Protocol: {request.subprotocol}")
        if extensions:
            lines.append(f"Sec-WebSocket-Extensions: {', '.join(extensions)}")
        if request._responseHeaders is not None:
            lines.extend(f"{name}: {value}" for name, value in request.responseHeaders)
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def encodeRefusal(rejection: HandshakeRejected, date: str, isHead: bool) -> bytes:
    """Write a complete HTTP response that refuses a request.

    :param rejection: status, headers and body
    :param date: the time now, as HTTP writes it
    :param isHead: whether the method was HEAD, which is answered without the body
    """
    status = rejection.status
    lines = [f"HTTP/1.1 {status} {statusPhrase(status)}", f"Date: {date}"]
    lines.extend(f"{name}: {value}" for name, value in rejection.headers)
    if status != 304:
        lines.append(f"Content-Length: {len(rejection.body)}")
    # RFC 9110 section 7.8: who sends Upgrade names it in Connection.
    upgrade = "Upgrade" in rejection.headers
    lines.append("Connection: close, Upgrade" if upgrade else "Connection: close")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head if isHead or status == 304 else head + rejection.body


def readTarget(head: RequestHead) -> tuple[Authority, str, str]:
    """Read where a request goes (RFC 9112 sections 3.2 and 3.3).

    :param head: the request
    :returns: host and port, path, and query string
    :raises BadHandshake: 400, no or several Host headers, or a target that is none
    """
    hosts = head.headers.getAll("Host")
    if len(hosts) != 1:
        raise BadHandshake(400, "a request has one Host header")
    target = head.target
    host = hosts[0]
    try:
        if not target.startswith("/"):
            parts = urlsplit(target)
            if parts.scheme not in _TARGET_SCHEMES:
                raise ValueError("neither a path nor a URL")
            # RFC 9112 section 3.2.2: the Host header is ignored then.
            host = parts.netloc
            target = target[len(parts.scheme) + 3 + len(host) :] or "/"
            if target.startswith("?"):
                target = f"/{target}"
        if "#" in target:
            raise ValueError("a request target has no fragment")
        authority = parseAuthority(host)
    except ValueError:
        raise BadHandshake(400, "the host or the target is not valid") from None
    path, _, query = target.partition("?")
    return authority, _samePath(path), query


@remembering(_LONGEST)
def _samePath(path: str) -> str:
    """Give one object for all that are equal: a server has few paths."""
    return path


def _tokens(headers: Headers, name: str) -> list[str]:
    """Give the elements of all lines of a list field, in lower case."""
    return [each.lower() for value in headers.getAll(name) for each in splitList(value)]


def _checkVersion(headers: Headers) -> None:
    if headers.getAll("Sec-WebSocket-Version") != ["13"]:
        raise BadHandshake(
            426,
            "this server speaks WebSocket version 13",
            {"Sec-WebSocket-Version": "13", "Upgrade": "websocket"},
        )


def _checkKey(headers: Headers) -> None:
    keys = headers.getAll("Sec-WebSocket-Key")
    if len(keys) == 1 and len(keys[0]) == 24 and keys[0].isascii():
        try:
            if len(b64decode(keys[0], validate=True)) == 16:
                return
        except binascii.Error:
            pass
    raise BadHandshake(400, "Sec-WebSocket-Key is not one key of 16 bytes in base64")


@remembering(_LONGEST)
def _splitSubprotocols(text: str) -> tuple[str, ...]:
    names = splitList(text)
    if not all(isToken(name) for name in names):
        raise BadHandshake(400, "a subprotocol's name is not a token")
    return tuple(names)


def _readSubprotocols(headers: Headers) -> tuple[str, ...]:
    # RFC 6455 section 11.3.4: several lines are one list.
    return _splitSubprotocols(",".join(headers.getAll("Sec-WebSocket-Protocol")))


@remembering(_LONGEST)
def _splitExtensions(text: str) -> _ExtensionOffers:
    # RFC 6455 section 9.1: what is not of the right form fails the handshake.
    try:
        offers = [splitParameters(each) for each in splitList(text)]
    except ValueError as error:
        raise BadHandshake(400, str(error)) from None
    return tuple((name, tuple(parameters)) for name, parameters in offers)


def _readExtensions(headers: Headers) -> _ExtensionOffers:
    return _splitExtensions(",".join(headers.getAll("Sec-WebSocket-Extensions")))
