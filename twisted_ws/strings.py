"""Endpoint strings: ``ws:`` and ``wss:``, for servers and clients.

The plugin in ``twisted/plugins`` calls these functions for ``serverFromString`` and
``clientFromString`` of ``twisted.internet.endpoints``::

    ws:tcp:8080:interface=127.0.0.1:resource=/chat          servers
    wss:tcp:8443:certificate=chain.pem:privateKey=key.pem
    ws:example.com:8080:resource=/chat                      clients
    wss:example.com

What listens or connects through them speaks a stream, and need not know of WebSocket.
"""

from __future__ import annotations

from dataclasses import Field, fields
from typing import Any, TypeVar

from twisted.internet.endpoints import quoteStringArgument, serverFromString

from .clientoptions import ClientOptions
from .errors import InvalidURL
from .knobs import readSize
from .options import ServerOptions
from .stream import WebSocketStreamClientEndpoint, WebSocketStreamServerEndpoint
from .streamtransport import MESSAGE_SIZE
from .tls import TLSServerEndpoint, loadContext
from .urls import WebSocketURL, parseURL, writeAuthority

__all__ = ["clientFromArguments", "readOptions", "serverFromArguments"]

_Kind = TypeVar("_Kind", ServerOptions, ClientOptions)

_SWITCHES = {
    **dict.fromkeys(("yes", "true", "on", "1"), True),
    **dict.fromkeys(("no", "false", "off", "0"), False),
}
# Only code can say these.
_UNWRITABLE = frozenset({"answerChallenge"})
_PAIR_SEPARATORS = {"headers": ":", "cookies": "="}


def serverFromArguments(
    secure: bool, reactor: Any, arguments: tuple[str, ...], named: dict[str, str]
) -> WebSocketStreamServerEndpoint:
    """Make the endpoint for a server's string.

    :param secure: whether it begins with ``wss``
    :param reactor: the reactor
    :param arguments: what stands between colons
    :param named: what stands there with an equals sign; taken from
    :raises ValueError: the string cannot be used; says why, and what to write
    """
    prefix = "wss" if secure else "ws"
    _refuseURL(prefix, arguments, named, isServer=True)
    if not arguments:
        raise ValueError(
            f"{prefix}: what to listen on is missing; write {prefix}:tcp:8080, or "
            f"another server endpoint behind {prefix}:"
        )
    resource = named.pop("resource", None)
    if resource is not None and not resource.startswith("/"):
        raise ValueError(f"resource: {resource!r} does not begin with a slash")
    if resource is not None and ("?" in resource or "#" in resource):
        raise ValueError(f"resource: {resource!r} has a query or fragment")
    messageSize = _readMessageSize(named)
    certificate = privateKey = None
    if secure:
        certificate = named.pop("certificate", None)
        privateKey = named.pop("privateKey", None)
        if certificate is None:
            raise ValueError(
                "certificate: wss needs one; write certificate=PATH, and "
                "privateKey=PATH if the key is in a file of its own"
            )
    options = readOptions(ServerOptions, named)
    # What is left belongs to the endpoint inside.
    description = _writeDescription(arguments, named)
    try:
        endpoint = serverFromString(reactor, description)
    except Exception as error:
        # Parsers raise whatever comes to their mind.
        if isinstance(error, TypeError) and "unexpected keyword" in str(error):
            raise ValueError(
                f"{prefix}: not known: {error}; there are resource, messageSize, "
                f"certificate and privateKey of wss, the fields of ServerOptions, and "
                f"what {arguments[0]}: takes"
            ) from None
        raise ValueError(
            f"{prefix}: behind it stands a server endpoint that can be used, such as "
            f"{prefix}:tcp:8080: {type(error).__name__}: {error}"
        ) from None
    if certificate is not None:
        context = loadContext(certificate, privateKey)
        endpoint = TLSServerEndpoint(endpoint, context)
    return WebSocketStreamServerEndpoint(
        endpoint, resource, options, messageSize=messageSize, reactor=reactor
    )


def clientFromArguments(
    secure: bool, reactor: Any, arguments: tuple[str, ...], named: dict[str, str]
) -> WebSocketStreamClientEndpoint:
    """Make the endpoint for a client's string.

    :param secure: whether it begins with ``wss``
    :param reactor: the reactor
    :param arguments: what stands between colons: host and port
    :param named: what stands there with an equals sign; taken from
    :raises ValueError: the string cannot be used; says why, and what to write
    """
    prefix = "wss" if secure else "ws"
    _refuseURL(prefix, arguments, named, isServer=False)
    names = ("host", "port")
    for name, value in zip(names, arguments, strict=False):
        if name in named:
            raise ValueError(f"{name}: given twice")
        named[name] = value
    if len(arguments) > len(names):
        # Not which: it may be the rest of a password that holds a colon.
        raise ValueError(
            f"more than two parts without a name; write {prefix}:HOST:PORT, what is "
            rf"more as name=value, and \: for a colon in a value"
        )
    host, port = named.pop("host", ""), named.pop("port", "")
    if not host:
        raise ValueError(f"the host is missing; write {prefix}:HOST or {prefix}:H:PORT")
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    resource = named.pop("resource", "/")
    if not resource.startswith("/"):
        raise ValueError(f"resource: {resource!r} does not begin with a slash")
    messageSize = _readMessageSize(named)
    options = readOptions(ClientOptions, named)
    for name in named:
        raise ValueError(
            f"{name}: not known; there are host, port, resource, messageSize and the "
            f"fields of ClientOptions"
        )
    place = f"{host}:{port}" if port else host
    return WebSocketStreamClientEndpoint(
        reactor, f"{prefix}://{place}{resource}", options, messageSize=messageSize
    )


def readOptions(kind: type[_Kind], named: dict[str, str]) -> _Kind:
    """Read the options in a string. Compression is off unless it is asked for.

    :param kind: whose fields are meant
    :param named: texts by the fields' names; those that are read are taken out
    :raises ValueError: a text is not what the field is made of
    """
    given: dict[str, Any] = {"compression": "none"}
    for each in fields(kind):
        text = named.pop(each.name, None)
        if text is not None:
            try:
                given[each.name] = _readField(each, text)
            except ValueError as error:
                raise ValueError(f"{each.name}: {error}") from None
    return kind(**given)


def _readMessageSize(named: dict[str, str]) -> int:
    text = named.pop("messageSize", None)
    if text is None:
        return MESSAGE_SIZE
    try:
        return readSize(text)
    except ValueError as error:
        raise ValueError(f"messageSize: {error}") from None


def _readField(each: Field[Any], text: str) -> Any:
    """Read one option.

    :raises ValueError: the text is none; leaves out what may be secret
    """
    kind, unit = each.metadata["kind"], each.metadata["unit"]
    if each.name in _UNWRITABLE:
        raise ValueError("a function, which no string can hold; give it in code")
    if each.name in _PAIR_SEPARATORS:
        return _readPairs(_PAIR_SEPARATORS[each.name], text)
    if kind is tuple:
        return tuple(name.strip() for name in text.split(",") if name.strip())
    if kind is bool:
        if text.lower() not in _SWITCHES:
            raise ValueError(f"{text!r} is neither yes nor no")
        return _SWITCHES[text.lower()]
    if kind is int and unit == "bytes":
        return readSize(text)
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            what = "a whole number" if kind is int else "a number"
            raise ValueError(f"{text!r} is not {what}") from None
    return text


def _readPairs(separator: str, text: str) -> tuple[tuple[str, str], ...]:
    """Read headers or cookies, which stand behind one another with semicolons."""
    pairs = []
    for part in text.split(";"):
        name, found, value = part.partition(separator)
        if not found:
            raise ValueError(
                f"not of the form NAME{separator}VALUE, several with a semicolon in "
                f"between"
            )
        pairs.append((name.strip(), value.strip()))
    return tuple(pairs)


def _writeDescription(arguments: tuple[str, ...], named: dict[str, str]) -> str:
    """Put together the string of the endpoint inside."""

    def quote(text: str) -> str:
        # In a part without a name an equals sign would make one.
        quoted: str = quoteStringArgument(text)
        return quoted.replace("=", r"\=")

    parts = [quote(each) for each in arguments]
    parts += [f"{quote(name)}={quoteStringArgument(named[name])}" for name in named]
    return ":".join(parts)


def _refuseURL(
    prefix: str, arguments: tuple[str, ...], named: dict[str, str], isServer: bool
) -> None:
    """Say what to write in place of a URL.

    :raises ValueError: it is one
    """
    if not any(each.startswith("//") for each in (*arguments[:1], *named)):
        return
    # Their order is lost, but parts with a name came last if it was a sensible URL.
    parts = [*arguments, *(f"{name}={value}" for name, value in named.items())]
    try:
        url = parseURL(f"{prefix}:{':'.join(parts)}")
    except InvalidURL:
        url = WebSocketURL(prefix == "wss", "HOST", 443 if prefix == "wss" else 80, "/")
    if isServer:
        certificate = ":certificate=PATH" if url.secure else ""
        path = quoteStringArgument(url.path)
        write = f"{prefix}:tcp:{url.port}:resource={path}{certificate}"
        kind, otherwise = "server", "WebSocketStreamServerEndpoint"
    else:
        # Neither user nor query, which may be secrets: this ends up in logs.
        query = "?..." if url.queryString else ""
        resource = quoteStringArgument(url.path) + query
        write = f"{prefix}:{quoteStringArgument(url.host)}:{url.port}"
        write += f":resource={resource}"
        kind, otherwise = "client", "WebSocketStreamClientEndpoint"
    raise ValueError(
        f"{url.scheme}://{writeAuthority(url)}{url.path} is a URL, and this takes the "
        f"string of a {kind} endpoint: write {write}, or make a "
        f"twisted_ws.stream.{otherwise}"
    )
