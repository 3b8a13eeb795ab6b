"""Which proxy to use: its URL, the environment's variables, ``no_proxy``.

The rules are curl's, as that is what the variables are set for on most machines;
``no_proxy`` may hold a little more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import NamedTuple
from urllib.parse import unquote

from hyperlink import URL

from .origins import parseAuthority
from .urls import parseURL

__all__ = ["ProxyURL", "asciiHost", "bypassesProxy", "parseProxyURL", "proxyFor"]

DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
"""The schemes of proxies, and the port where a URL names none."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SEPARATORS = re.compile(r"[,\s]+")
_PORT = re.compile(r":([0-9]{1,5})$")
# Most bytes of a user name or password in SOCKS5 (RFC 1929).
_MOST_SOCKS_BYTES = 255

_VARIABLES = {
    "wss": ("wss_proxy", "WSS_PROXY", "https_proxy", "HTTPS_PROXY"),
    # Not HTTP_PROXY: in a CGI program that is a header of the request, "Proxy", and so
    # chosen by whoever sent it (CVE-2016-5385, "httpoxy").
    "ws": ("ws_proxy", "WS_PROXY", "http_proxy"),
}


class ProxyURL(NamedTuple):
    """Where a proxy is, and who wants to use it."""

    scheme: str
    """``http``, ``https`` (HTTP over TLS), ``socks5``, or ``socks5h`` (names are looked
    up by the proxy)."""
    host: str
    """Name or address, an IPv6 address in brackets."""
    port: int
    """The port, the scheme's default one filled in."""
    user: str | None
    """Who is to be authenticated; None for nobody."""
    password: str
    """The password, empty where there is none."""

    def __repr__(self) -> str:
        # Without user and password, as a repr ends up in logs.
        return f"<ProxyURL {self}>"

    def __str__(self) -> str:
        user = "" if self.user is None else "…@"
        return f"{self.scheme}://{user}{self.host}:{self.port}"


def asciiHost(host: str) -> str:
    """Write a host as DNS has it: an internationalised name in its ASCII form.

    :param host: a name or an address
    :raises ValueError: a name that has no such form
    """
    if host.isascii():
        return host
    encoded: str = URL(scheme="http", host=host).to_uri().host
    return encoded


def parseProxyURL(text: str) -> ProxyURL:
    """Read a proxy's URL: ``scheme://[user[:password]@]host[:port]``.

    Without a scheme it is an HTTP proxy. User and password may be percent-encoded, as
    UTF-8.

    :param text: the URL
    :raises ValueError: the scheme is not one of :data:`DEFAULT_PORTS`, there is a path,
        host or port cannot be, user or password hold a control character (they could
        start a header of their own) or do not fit the proxy's protocol. The message
        holds neither of the two.
    """
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        scheme, rest = "http", scheme
    scheme = scheme.lower()
    if scheme not in DEFAULT_PORTS:
        raise ValueError(f"a proxy's URL begins with one of {_schemes()}")
    userinfo, _, authority = rest.removesuffix("/").rpartition("@")
    name, colon, digits = authority.partition(":")
    try:
        # An IPv6 address is cut in two by this, but is in ASCII anyway.
        host, port = parseAuthority(f"{asciiHost(name)}{colon}{digits}")
    except ValueError:
        # As soon as something is wrong, a part of the password may be in the wrong
        # place, and so in the message.
        raise ValueError(
            "a proxy's URL is scheme://user:password@host:port and no more; special "
            "characters in user and password are percent-encoded"
        ) from None
    if port == 0:
        raise ValueError("a proxy's port is not 0")
    user, password = _parseUserinfo(userinfo)
    if user is not None:
        _checkCredentials(scheme, user, password)
    return ProxyURL(scheme, host, port or DEFAULT_PORTS[scheme], user, password)


def _schemes() -> str:
    return ", ".join(f"{scheme}://" for scheme in DEFAULT_PORTS)


def _parseUserinfo(userinfo: str) -> tuple[str | None, str]:
    if not userinfo:
        return None, ""
    user, _, password = userinfo.partition(":")
    try:
        return unquote(user, errors="strict"), unquote(password, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("user and password of a proxy are not UTF-8") from None


def _checkCredentials(scheme: str, user: str, password: str) -> None:
    if _CONTROL.search(user) or _CONTROL.search(password):
        raise ValueError("user or password of a proxy hold a control character")
    try:
        sizes = len(user.encode()), len(password.encode())
    except UnicodeEncodeError:
        raise ValueError("user or password of a proxy hold a surrogate") from None
    if not scheme.startswith("socks"):
        if ":" in user:
            # RFC 7617 section 2: the first colon ends it.
            raise ValueError("the user of an HTTP proxy cannot have a colon in it")
    elif max(sizes) > _MOST_SOCKS_BYTES or not sizes[0]:
        raise ValueError(
            f"user and password of a SOCKS proxy have at most {_MOST_SOCKS_BYTES} "
            f"bytes, and the user has at least one"
        )


def proxyFor(url: str, environ: Mapping[str, str]) -> str | None:
    """Tell which proxy the environment names for a WebSocket URL.

    For ``wss://`` the variables ``wss_proxy`` and ``https_proxy`` are asked, for
    ``ws://`` ``ws_proxy`` and ``http_proxy``, then ``all_proxy``; each also in upper
    case, which comes second, but ``HTTP_PROXY``. An empty one counts as not set.
    ``no_proxy``, see :func:`bypassesProxy`, names the exceptions.

    :param url: begins with ``ws://`` or ``wss://``
    :param environ: the variables, such as ``os.environ``
    :returns: the proxy's URL, which may hold a password and was not looked at; None for
        no proxy
    :raises InvalidURL: the URL is no WebSocket URL; the message does not repeat it
    """
    parsed = parseURL(url)
    exceptions = _variable(environ, "no_proxy", "NO_PROXY") or ""
    if bypassesProxy(parsed.host, parsed.port, exceptions):
        return None
    return _variable(environ, *_VARIABLES[parsed.scheme], "all_proxy", "ALL_PROXY")


def _variable(environ: Mapping[str, str], *names: str) -> str | None:
    """Give the first variable that holds anything."""
    values = (environ.get(name, "").strip() for name in names)
    return next((value for value in values if value), None)


def bypassesProxy(host: str, port: int, exceptions: str) -> bool:
    """Tell whether a host is to be reached without a proxy.

    The exceptions are separated by commas or white space. Each is ``*`` for every host,
    a name, which stands for all names under it too (``example.com``, ``.example.com``
    and ``*.example.com`` are the same), an address, or a network such as ``10.0.0.0/8``
    or ``fd00::/8``; with ``:port`` behind it, it is for that port only. Names are not
    looked up: a network matches addresses only. What is none of this matches nothing.

    :param host: name or address, an IPv6 address with or without brackets
    :param port: the port
    :param exceptions: what ``no_proxy`` holds
    """
    host = host.lower().strip("[]").removesuffix(".")
    address: IPv4Address | IPv6Address | None
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    # An IPv4 address as IPv6 writes it leads to the same host.
    address = getattr(address, "ipv4_mapped", None) or address
    return any(
        _matches(each.lower(), host, address, port)
        for each in _SEPARATORS.split(exceptions)
    )


def _matches(
    exception: str, host: str, address: IPv4Address | IPv6Address | None, port: int
) -> bool:
    # First of all, as the last part of an IPv6 address looks like a port.
    network = _readNetwork(exception)
    behind = _PORT.search(exception) if network is None else None
    if behind is not None:
        if int(behind[1]) != port:
            return False
        exception = exception[: behind.start()]
        network = _readNetwork(exception)
    if exception == "*":
        return True
    if address is not None:
        return network is not None and address in network
    if network is not None:
        return False
    name = exception.removeprefix("*").removeprefix(".").removesuffix(".")
    try:
        name = asciiHost(name)
    except ValueError:
        return False
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _readNetwork(text: str) -> IPv4Network | IPv6Network | None:
    """Read a network, or an address, which is a small one."""
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
