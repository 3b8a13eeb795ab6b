"""Origin and Host: how they are read, normalised and compared.

A browser sends ``Origin`` with every WebSocket handshake (RFC 6455 section 10.2), and
it is what stands between a user's cookies and a page of somebody else: WebSocket knows
no CORS. ``Host`` tells whether a page reached a server on loopback under a name that
its owner pointed there (DNS rebinding).
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from .remembering import remembering

__all__ = [
    "Authority",
    "Origin",
    "hostMatches",
    "isLoopbackHost",
    "parseAuthority",
    "parseOrigin",
]

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{0,5}))?")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
# Of a name in DNS.
_LONGEST = 255


class Authority(NamedTuple):
    """Host and port of a request or an origin (RFC 3986 section 3.2)."""

    host: str
    """Lower case, without a trailing dot; an IPv6 address in brackets."""
    port: int | None
    """The port, or None where it was left out."""


class Origin(NamedTuple):
    """A web origin (RFC 6454): scheme, host and port."""

    scheme: str
    """Lower case."""
    host: str
    """As in :class:`Authority`."""
    port: int | None
    """The port, the scheme's default one filled in."""


# Most requests to a server name the same few hosts.
@remembering(_LONGEST)
def parseAuthority(text: str) -> Authority:
    """Read ``host`` or ``host:port``.

    :param text: the value of a Host header, or the authority of a URL
    :raises ValueError: user information, an empty host, a port out of range, or
        characters that no host has
    """
    matched = _AUTHORITY.fullmatch(text)
    if matched is None:
        raise ValueError("not a host name or address with an optional port")
    host = matched[1].lower()
    if host.startswith("["):
        host = f"[{IPv6Address(host[1:-1])}]"
    else:
        host = host.removesuffix(".")
        if not host or host.endswith("."):
            raise ValueError("a part of the host is empty")
    port = int(matched[2]) if matched[2] else None
    if port is not None and port > 65535:
        raise ValueError("the port is over 65535")
    return Authority(host, port)


def parseOrigin(text: str) -> Origin | None:
    """Read an origin as browsers send it (RFC 6454 section 7).

    :param text: ``scheme://host`` with an optional port, ``file://``, or ``null``
    :returns: the origin, or None for ``null``, which is what sandboxed pages send, and
        in most browsers local ones
    :raises ValueError: anything else, a path or a list of origins included
    """
    if text == "null":
        return None
    scheme, separator, rest = text.partition("://")
    if not separator or _SCHEME.fullmatch(scheme) is None:
        raise ValueError("not of the form scheme://host[:port]")
    if scheme.lower() == "file" and not rest:
        # What some browsers and Electron send for local pages.
        return Origin("file", "", None)
    return originOf(scheme.lower(), parseAuthority(rest))


def originOf(scheme: str, authority: Authority) -> Origin:
    """Put an origin together, with the scheme's default port filled in.

    :param scheme: in lower case
    :param authority: host and port
    """
    port = authority.port
    if port is None:
        port = _DEFAULT_PORTS.get(scheme)
    return Origin(scheme, authority.host, port)


def isLoopbackHost(host: str) -> bool:
    """Tell whether a host can only mean this machine: ``localhost``, a name under it
    (RFC 6761 section 6.3), or a loopback address written out.

    :param host: as in :class:`Authority`
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    if len(host) > _LONGEST:
        # Longer than any address.
        return False
    return _isLoopbackAddress(host)


@remembering(_LONGEST)
def _isLoopbackAddress(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def hostMatches(authority: Authority, allowed: Authority) -> bool:
    """Tell whether a request's host is the one that an allow-list entry names.

    :param authority: what the request said
    :param allowed: the entry; without a port it allows every port
    """
    return authority.host == allowed.host and allowed.port in (None, authority.port)
