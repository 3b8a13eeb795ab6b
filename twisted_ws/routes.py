"""Which application serves which path.

:class:`Routes` is a factory that hands each request to one of several others, by the
path. Matching takes time linear in the path and in the number of patterns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn
from urllib.parse import unquote

from twisted.internet.interfaces import IProtocolFactory, IReactorTime

from .errors import BadHandshake, HandshakeRejected
from .factory import Application, WebSocketServerFactory
from .handshake import Request
from .options import ServerOptions
from .websocket import Handler, HandlerProtocol

__all__ = ["Route", "Routes"]

_PATTERN = re.compile(r"/[!-~\u00a1-\U0010ffff]*")
_ESCAPES = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")


class Route:
    """An application with options of its own, for :class:`Routes`.

    :param application: what to run there
    :param options: in place of those of the :class:`Routes`, all of them; None takes
        those over
    """

    def __init__(
        self, application: Application, options: ServerOptions | None = None
    ) -> None:
        self.application = application
        self.options = options

    @classmethod
    def fromHandler(
        cls, handler: Handler, options: ServerOptions | None = None
    ) -> Route:
        """Make a route whose connections are each served by a coroutine.

        :param handler: as for :meth:`WebSocketServerFactory.fromHandler`
        :param options: as for the class
        """
        return cls(lambda _: HandlerProtocol(handler), options)


class _Node:
    """What is known after some segments of a path."""

    __slots__ = ("factory", "literals", "names", "parameter", "pattern")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.factory: WebSocketServerFactory | None = None
        self.names: tuple[str | None, ...] = ()
        self.pattern = ""

    def followers(self, segment: str) -> Iterator[_Node]:
        """Give where a segment leads to, the better one first."""
        literal = self.literals.get(segment)
        if literal is not None:
            yield literal
        if self.parameter is not None and segment:
            yield self.parameter


class Routes(WebSocketServerFactory):
    """A factory that chooses by path. Listen with it, or give it to a
    :class:`twisted_ws.resource.WebSocketResource`.

    A pattern is a path, such as ``/chat`` or ``/feed/{name}/{number}``. A part in
    braces stands for one whole segment, whatever is in it but not for an empty one; its
    value is in :attr:`Request.pathParameters
    <twisted_ws.handshake.Request.pathParameters>`, percent-decoded, so that it may hold
    a slash. Patterns are compared with the whole path, segment by segment, after
    percent-decoding: ``/chat`` also serves ``/%63hat``, but not ``/chat/``. A path that
    is not UTF-8 then matches no pattern.

    Where several patterns match, the one that is literal in the first segment in which
    they differ is taken: ``/feed/{name}`` gets ``/feed/news`` unless there is a pattern
    ``/feed/news``. The order in which they are given does not matter.

    The options of the route hold for the connection: its limits, its origins and hosts,
    its subprotocols. Those that concern the request's head hold for all, as its path is
    known only at its end. ``maxConnections`` of a :class:`Routes` counts all
    connections, that of a route those that came to it.

    :param routes: patterns, each with an application, a :class:`Route`, or a
        :class:`WebSocketServerFactory`, which goes on knowing its own connections; its
        ``site`` is not used
    :param default: serves every other path; without one they get 404
    :param options: for those that have none of their own
    :param site: as for :class:`WebSocketServerFactory`; a pattern hides pages under it
    :param reactor: the clock; by default the reactor that runs
    :raises ValueError: a pattern is none, or is there twice
    :raises TypeError: an application is none, or is another :class:`Routes`
    """

    def __init__(
        self,
        routes: Mapping[str, Application | Route | WebSocketServerFactory],
        default: Application | Route | WebSocketServerFactory | None = None,
        options: ServerOptions | None = None,
        *,
        site: IProtocolFactory | None = None,
        reactor: IReactorTime | None = None,
    ) -> None:
        super().__init__(_nowhere, options, site=site, reactor=reactor)
        self.patterns = list(routes)
        """The patterns, in the order in which they were given."""
        self._root = _Node()
        self._default = None if default is None else self._factoryOf(default)
        for pattern, served in routes.items():
            self._add(pattern, served)

    @property
    def factories(self) -> list[WebSocketServerFactory]:
        """The factories of all routes, that of the default last."""
        found = []
        nodes = [self._root]
        for node in nodes:
            nodes.extend(node.literals.values())
            if node.parameter is not None:
                nodes.append(node.parameter)
            if node.factory is not None:
                found.append(node.factory)
        return found if self._default is None else [*found, self._default]

    def changeOptions(self, **changes: Any) -> None:
        """Put other values in the place of some options, on all routes.

        :param changes: fields of :class:`ServerOptions`
        :raises InvalidOption: a value cannot work
        """
        super().changeOptions(**changes)
        for factory in dict.fromkeys(self.factories):
            factory.changeOptions(**changes)

    def factoryFor(self, request: Request) -> WebSocketServerFactory:
        """Give the factory of the route that a request's path matches, and set
        ``request.pathParameters``.

        :param request: not judged yet by anyone's options
        :raises BadHandshake: 404
        """
        segments = _decode(request.path)
        node = self._find(segments)
        if node is None:
            if self._default is None:
                raise BadHandshake(404, "there is no WebSocket at this path")
            return self._default
        assert node.factory is not None  # noqa: S101
        request.pathParameters = {
            name: segment
            for name, segment in zip(node.names, segments, strict=True)
            if name is not None
        }
        return node.factory

    def isWebSocketOnly(self, path: str) -> bool:
        """Tell whether there is no page at a path, as a pattern matches it.

        :param path: of a request that does not ask for WebSocket
        """
        return self._find(_decode(path)) is not None

    # The tree of patterns

    def _add(self, pattern: str, served: Any) -> None:
        parts = _split(pattern)
        node = self._root
        for name, text in parts:
            if name is None:
                node = node.literals.setdefault(text, _Node())
            else:
                if node.parameter is None:
                    node.parameter = _Node()
                node = node.parameter
        if node.factory is not None:
            _malformed(pattern, f"matches the same paths as {node.pattern!r}")
        node.factory = self._factoryOf(served)
        node.names = tuple(name for name, _ in parts)
        node.pattern = pattern

    def _factoryOf(self, served: Any) -> WebSocketServerFactory:
        if isinstance(served, Routes):
            raise TypeError("a route cannot be Routes: put their patterns together")
        if isinstance(served, WebSocketServerFactory):
            if served.path is not None:
                raise ValueError(
                    f"a factory with a path of its own, {served.path!r}, cannot be a "
                    f"route: its pattern says where it is"
                )
            return served
        if isinstance(served, Route):
            return WebSocketServerFactory(
                served.application, served.options or self.options
            )
        return WebSocketServerFactory(served, self.options)

    def _find(self, segments: list[str]) -> _Node | None:
        """Find the best node for a path.

        The nodes that match so far are kept in order of preference, all at once, so
        that nothing is gone through twice.
        """
        nodes = [self._root]
        for segment in segments:
            nodes = [each for node in nodes for each in node.followers(segment)]
            if not nodes:
                return None
        return next((node for node in nodes if node.factory is not None), None)


def _nowhere(_: Request) -> NoReturn:
    """Decide on a request that no route has got."""
    raise HandshakeRejected(404)


def _decode(path: str) -> list[str]:
    """Split a path into its segments, decoded; give none if they are not UTF-8, so that
    no pattern matches."""
    segments = path[1:].split("/")
    if "%" not in path:
        return segments
    try:
        return [unquote(segment, errors="strict") for segment in segments]
    except UnicodeDecodeError:
        return []


def _split(pattern: str) -> list[tuple[str | None, str]]:
    """Read a pattern: a name and nothing, or no name and a literal, for each segment.

    :raises ValueError: it is none
    """
    if not isinstance(pattern, str):
        _malformed(pattern, "is not a str")
    if "?" in pattern or "#" in pattern:
        _malformed(pattern, "has a query or a fragment; only the path is matched")
    if _PATTERN.fullmatch(pattern) is None:
        _malformed(pattern, "is not a path that begins with a slash, without spaces")
    if _ESCAPES.fullmatch(pattern) is None:
        _malformed(pattern, "has a % that is not followed by two hexadecimal digits")
    parts: list[tuple[str | None, str]] = []
    for segment in pattern[1:].split("/"):
        name = segment[1:-1] if segment[:1] + segment[-1:] == "{}" else None
        if name is None:
            if "{" in segment or "}" in segment:
                _malformed(pattern, "has braces that are not around a whole segment")
            try:
                parts.append((None, unquote(segment, errors="strict")))
            except UnicodeDecodeError:
                _malformed(pattern, "is not UTF-8 when it is percent-decoded")
        elif not name.isidentifier():
            _malformed(pattern, f"has a name that is no identifier: {name!r}")
        elif name in [each for each, _ in parts]:
            _malformed(pattern, f"has the name {name!r} twice")
        else:
            parts.append((name, ""))
    return parts


def _malformed(pattern: object, why: str) -> NoReturn:
    raise ValueError(f"route {pattern!r} {why}")
