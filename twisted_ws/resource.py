"""WebSocket inside twisted.web: one port for pages and for WebSocket.

:class:`WebSocketResource` stands somewhere in a tree of resources. What twisted.web has
read of a request for WebSocket is judged as a port of ours would judge it. When it is
accepted, the connection is taken from twisted.web's channel; when it is refused,
twisted.web sends the response and keeps the connection.

What is done to objects of twisted.web without their leave is all done by
:class:`_Channel`.
"""

from __future__ import annotations

import re
import warnings
from functools import cache
from typing import Any

import twisted
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from .deciding import DecidingProtocol
from .errors import RESPONSE_FRAMING, BadHandshake, HandshakeRejected
from .factory import Application, WebSocketServerFactory
from .handshake import ServerHandshake
from .headers import Headers, RequestHead, isToken, splitList, statusPhrase
from .options import ServerOptions
from .redaction import Later, nameRequest

with warnings.catch_warnings():
    # Importing these calls what Twisted, or Python, has deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from twisted.web.http import HTTPChannel
    from twisted.web.resource import IResource
    from twisted.web.server import NOT_DONE_YET

__all__ = ["WebSocketResource"]

_log = Logger()

_VERSION = re.compile(rb"HTTP/([0-9])(?:\.([0-9]))?")
_TARGET = re.compile(rb"[\x21-\x7e]+")
_CLOSING = (400, 503, 505)
"""Statuses behind which the connection ends: who knows what the peer takes for the next
request; and of connections there are too many."""
_NOT_CARRIED = RESPONSE_FRAMING | {
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-protocol",
    "upgrade",
}
"""Headers, in lower case, that a 101 does not take over from twisted.web's response."""


class _Channel:
    """A connection of twisted.web on which a request is being answered.

    Meanwhile the channel keeps what arrives, has no timeout running, and is its
    transport's producer. Whatever stands between the two, bytes come to it through its
    method ``dataReceived``, and so that is what is replaced.

    :param channel: twisted.web's
    """

    _OF_CLASS = (
        "clearLineBuffer",
        "connectionLost",
        "dataReceived",
        "persistent",
        "setTimeout",
    )
    _OF_INSTANCE = ("_dataBuffer", "requests")

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self.transport: Any = channel.transport

    @classmethod
    def missing(cls, kind: Any) -> list[str]:
        """Give the names that a version of twisted.web lacks.

        :param kind: the class of its channels
        """
        channel = kind()
        return [name for name in cls._OF_CLASS if not hasattr(kind, name)] + [
            name for name in cls._OF_INSTANCE if not hasattr(channel, name)
        ]

    def isFor(self, webRequest: Any) -> bool:
        """Tell whether a request is the one to be answered now. Before 23.10, Twisted
        also renders those that the client sent ahead.

        :param webRequest: the request
        """
        return bool(self._channel.requests[:1] == [webRequest])

    def divert(self, receiver: Any) -> bytes:
        """Have what arrives from now on, and word of the end, go to another protocol.

        :param receiver: the protocol
        :returns: what has arrived behind the request
        """
        channel = self._channel
        channel.dataReceived = receiver.dataReceived
        channel.connectionLost = receiver.connectionLost
        # In one segment with the request, and while resources in front took their time.
        pending = b"".join([channel.clearLineBuffer(), *channel._dataBuffer])
        channel._dataBuffer = []
        return pending

    def release(self) -> None:
        """Part the channel from its transport for good."""
        self._channel.setTimeout(None)
        self.transport.unregisterProducer()

    def giveBack(self, deaf: bool) -> None:
        """Let the channel hear again of the end, and of what arrives.

        :param deaf: not of what arrives: it was no request, or is not to be one
        """
        del self._channel.connectionLost
        if not deaf:
            del self._channel.dataReceived

    def closeAfterResponse(self) -> None:
        """Have the channel close the connection behind the response."""
        self._channel.persistent = False

    def log(self, webRequest: Any) -> None:
        """Write the line for a request that twisted.web writes behind a response.

        :param webRequest: the request
        """
        site = getattr(self._channel, "factory", None)
        if site is not None:
            site.log(_LoggedRequest(webRequest))

    def ended(self, reason: Failure) -> None:
        """Tell the channel that the connection is gone. It tells its request, and that
        everyone who waits for ``notifyFinish``.

        :param reason: how
        """
        self.giveBack(False)
        self._channel.connectionLost(reason)


@cache
def checkTwistedWeb(kind: Any = HTTPChannel) -> None:
    """Find out whether connections of this version of twisted.web can be taken over.

    :param kind: the class of its channels
    :raises RuntimeError: they cannot
    """
    missing = _Channel.missing(kind)
    if missing:
        raise RuntimeError(
            f"WebSocketResource does not work with Twisted {twisted.__version__}, "
            f"whose HTTPChannel has no {', '.join(missing)}: use another version of "
            f"Twisted, or listen with WebSocketServerFactory(..., site=...)"
        )


class _LoggedRequest:
    """A request as it may be logged: without its query, which may hold a token."""

    def __init__(self, webRequest: Any) -> None:
        self._webRequest = webRequest
        self.uri = webRequest.uri.partition(b"?")[0]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._webRequest, name)


class ResourceProtocol(DecidingProtocol):
    """A connection that is, or may be, taken over from twisted.web.

    :param factory: of the resource
    :param webRequest: the request
    :param channel: it came on
    """

    _leaving = False

    def __init__(
        self, factory: WebSocketServerFactory, webRequest: Any, channel: _Channel
    ) -> None:
        super().__init__(factory)
        # The head has been read already.
        self.line_mode = 0
        self._webRequest = webRequest
        self._channel = channel

    def begin(self, avatar: Any) -> None:
        """Judge the request, and have it decided.

        :param avatar: for the request
        """
        self.makeConnection(self._channel.transport)  # type: ignore[no-untyped-call]
        self._pendingBytes = self._channel.divert(self)
        webRequest = self._webRequest
        self._where = Later(
            nameRequest,
            webRequest.method.decode("latin-1"),
            webRequest.uri.decode("latin-1"),
        )
        try:
            head = _readHead(webRequest, self.options)
            # What resources in front have found out of proxies counts.
            request = ServerHandshake.parse(head, bool(webRequest.isSecure()))
            request.webRequest = webRequest
            request.avatar = avatar
            self.admit(request, self._pendingBytes)
        except Exception:
            self._decisionFailed(Failure())

    def _accepted(self, result: object) -> None:
        if not self._isOver():
            try:
                self._carryHeaders()
            except ValueError:
                self._decisionFailed(Failure())
                return
            webRequest = self._webRequest
            webRequest.setResponseCode(101)
            # Whoever writes to it from now on gets an exception, not the peer garbage.
            webRequest.finished = 1
            self._channel.log(webRequest)
            self._channel.release()
            if not self._readingPaused:
                # The channel has stopped reading if much came while resources in front
                # took their time, or if an earlier response is not being read.
                self.transport.resumeProducing()
        super()._accepted(result)

    def _carryHeaders(self) -> None:
        """Add to the 101 what was to go out with twisted.web's response: the session's
        cookie, and headers for all responses.

        :raises ValueError: a header that cannot be sent
        """
        headers = self.request.responseHeaders
        own = {name.lower() for name, _ in headers} | _NOT_CARRIED
        for name, values in self._webRequest.responseHeaders.getAllRawHeaders():
            text = name.decode("latin-1")
            lower = text.lower()
            if lower == "set-cookie" or not (
                lower in own or lower.startswith("content-")
            ):
                for value in values:
                    headers.add(text, value.decode("latin-1"))
        for cookie in self._webRequest.cookies:
            headers.add("Set-Cookie", cookie.decode("latin-1"))

    def _refuse(self, rejection: HandshakeRejected) -> None:
        """Have twisted.web answer, and go on with its connection if it can."""
        self._logRefusal(rejection)
        self._refused = True
        # Frames that came early must not be read as a request.
        deaf = bool(self._pendingBytes)
        closing = deaf or rejection.status in _CLOSING
        self._channel.giveBack(deaf)
        if closing:
            self._channel.closeAfterResponse()
        _respond(self._webRequest, rejection, closing)
        # For the application this is the end, however long the other connection lasts.
        if self._leaving:
            # Whoever waits for that stops the reactor, which writes the response before
            # a later turn.
            self._clock.callLater(0, super().connectionLost, connectionDone)
        else:
            super().connectionLost(connectionDone)

    def shutDown(self, code: int, reason: str) -> None:
        """The server is going away: close, however far the connection has come.

        :param code: for the Close frame
        :param reason: for the Close frame
        """
        self._leaving = True
        super().shutDown(code, reason)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The transport is gone.

        :param reason: how
        """
        super().connectionLost(reason)
        self._channel.ended(reason)


@implementer(IResource)
class WebSocketResource:
    """Serves WebSocket at its place in a tree of twisted.web's resources, and under it.

    Requests are judged and decided as on a port that a :class:`WebSocketServerFactory`
    listens on, and connections are among that factory's, which closes them when it is
    told to. It is given a :class:`Request <twisted_ws.handshake.Request>` whose path is
    the whole path of the URL, and whose ``webRequest`` is the one of twisted.web.
    Cookies and headers that were set on the latter's response go out with the 101.

    A refusal is a response of twisted.web, which keeps the connection unless that is no
    use. After the 101, ``notifyFinish`` of twisted.web's request fires when the
    connection has ended, with an error as for every response that was cut short.

    :param factory: who serves; or an application, which gets a factory for itself
    :param page: a resource for requests that do not ask for WebSocket, at this place
        and under it; without one they get 426
    :param avatar: whom the application finds as ``request.avatar``: where
        authentication in front makes a resource for each user, these share a factory
    :param options: for an application that has no factory yet
    :raises TypeError: what is given serves no WebSocket; or there is a factory, which
        has its own options
    :raises RuntimeError: the installed version of Twisted is not known to work
    """

    def __init__(
        self,
        factory: WebSocketServerFactory | Application,
        page: IResource | None = None,
        *,
        avatar: Any = None,
        options: ServerOptions | None = None,
    ) -> None:
        checkTwistedWeb()
        if not isinstance(factory, WebSocketServerFactory):
            if IProtocolFactory.providedBy(factory):
                raise TypeError(
                    f"{factory!r} makes protocols for connections, not for requests"
                )
            factory = WebSocketServerFactory(factory, options)
        elif options is not None:
            raise TypeError("the factory has its own options: give them to it")
        self.factory = factory
        """Knows the connections."""
        self._page = page
        self._avatar = avatar
        self.isLeaf = page is None
        """Whether the rest of the path is left to it; twisted.web asks."""

    def getChildWithDefault(self, name: bytes, request: Any) -> IResource:
        """Find what is under this place: WebSocket everywhere, and what the page has.

        :param name: one segment of the path
        :param request: of twisted.web
        """
        found: Any = self._page
        if found is None or _asksForWebSocket(request):
            found = WebSocketResource(self.factory, avatar=self._avatar)
        elif not found.isLeaf:
            child: IResource = found.getChildWithDefault(name, request)
            return child
        # A leaf gets what is left of the path.
        request.postpath.insert(0, request.prepath.pop())
        leaf: IResource = found
        return leaf

    def putChild(self, path: bytes, child: IResource) -> None:
        """Put a resource under this place, for requests that do not ask for WebSocket.

        :param path: one segment
        :param child: the resource
        :raises TypeError: there is no page that could have it
        """
        if self._page is None:
            raise TypeError("there is nothing under it, as it was made without a page")
        self._page.putChild(path, child)

    def render(self, request: Any) -> Any:
        """Answer a request.

        :param request: of twisted.web
        """
        channel: Any = getattr(request, "channel", None)
        if channel is None:
            # It is gone, or was answered, while resources in front took their time.
            return NOT_DONE_YET
        if not _asksForWebSocket(request):
            if self._page is not None:
                return self._page.render(request)
            what = BadHandshake(
                426,
                "this is a WebSocket server",
                {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"},
            )
            _respond(request, what, False)
            return NOT_DONE_YET
        if not isinstance(channel, HTTPChannel):
            _log.error(
                "{channel} is no HTTP/1.1 connection that can be taken over",
                channel=type(channel).__name__,
            )
            _respond(request, HandshakeRejected(501), False)
            return NOT_DONE_YET
        ours = _Channel(channel)
        if ours.isFor(request):
            ResourceProtocol(self.factory, request, ours).begin(self._avatar)
        else:
            _log.info("Ending a connection with a request before its time")
            ours.transport.abortConnection()
        return NOT_DONE_YET


def _asksForWebSocket(webRequest: Any) -> bool:
    """Tell whether a request of twisted.web is for WebSocket."""
    values = webRequest.requestHeaders.getRawHeaders(b"upgrade", [])
    tokens = splitList(b",".join(values).decode("latin-1"))
    return "websocket" in [token.lower() for token in tokens]


def _readHead(webRequest: Any, options: ServerOptions) -> RequestHead:
    """Give a request's head as our own parser would.

    :param webRequest: of twisted.web, which is less strict
    :param options: limits
    :raises BadHandshake: 400 or 431
    """
    method = webRequest.method.decode("latin-1")
    # The path may have been rewritten on the way here.
    _, question, query = webRequest.uri.partition(b"?")
    target = webRequest.path + question + query
    version = _VERSION.fullmatch(webRequest.clientproto)
    if version is None or not isToken(method) or not _TARGET.fullmatch(target):
        raise BadHandshake(400, "the request line is not valid")
    lines = [
        (name, value)
        for name, values in webRequest.requestHeaders.getAllRawHeaders()
        for value in values
    ]
    # A colon, a space, and CR LF go with each.
    sizes = [len(name) + len(value) + 4 for name, value in lines]
    if len(lines) > options.maxHeaders:
        raise BadHandshake(431, f"the request has over {options.maxHeaders} lines")
    if max(sizes, default=0) > options.maxHeaderLine + 2:
        most = options.maxHeaderLine
        raise BadHandshake(431, f"the request has a line over {most} bytes")
    if sum(sizes) + len(method) + len(target) + 14 > options.maxHeadSize:
        most = options.maxHeadSize
        raise BadHandshake(431, f"the request has a head over {most} bytes")
    try:
        headers = Headers(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in lines
        )
    except ValueError:
        raise BadHandshake(400, "a header is not valid") from None
    return RequestHead(
        method,
        target.decode("ascii"),
        (int(version[1]), int(version[2] or 0)),
        headers,
    )


def _respond(webRequest: Any, rejection: HandshakeRejected, closing: bool) -> None:
    """Send a refusal as a response of twisted.web.

    :param webRequest: what it answers
    :param rejection: status, headers and body
    :param closing: whether the connection ends behind it
    """
    status = rejection.status
    phrase = statusPhrase(status).encode("ascii")
    webRequest.setResponseCode(status, phrase or None)
    headers = webRequest.responseHeaders
    for name, _ in rejection.headers:
        headers.removeHeader(name)
    for name, value in rejection.headers:
        if name.lower() == "set-cookie":
            webRequest.cookies.append(value.encode("latin-1"))
        else:
            headers.addRawHeader(name, value.encode("latin-1"))
    if webRequest.clientproto.startswith(b"HTTP/1"):
        options = headers.getRawHeaders(b"connection", [])
        if closing and b"close" not in options:
            options = [*options, b"close"]
        if "Upgrade" in rejection.headers:
            # RFC 9110 section 7.8: who sends Upgrade names it in Connection.
            options = [*options, b"Upgrade"]
        if options:
            headers.setRawHeaders(b"connection", [b", ".join(options)])
    else:
        # RFC 9113 section 8.2.2: there is neither in HTTP/2.
        headers.removeHeader(b"upgrade")
    if status != 304:
        headers.setRawHeaders(b"content-length", [b"%d" % len(rejection.body)])
    # twisted.web logs it now.
    webRequest.uri = webRequest.uri.partition(b"?")[0]
    webRequest.write(rejection.body)
    webRequest.finish()
