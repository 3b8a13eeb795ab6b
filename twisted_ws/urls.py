"""URLs of WebSocket (RFC 6455 section 3): what stands in them, where redirects lead.

Written by users and by servers that redirect, so read strictly: what two programs might
read in two ways is refused.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote, urljoin

import hyperlink

from .errors import InvalidURL
from .origins import Authority, Origin, originOf, parseAuthority

__all__ = ["WebSocketURL", "checkCredentials", "parseURL", "writeAuthority"]

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?]*)([^?]*)(\?.*)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f-\x9f\\]")
_SCHEMES = {"ws": False, "wss": True}
# For redirects, which the servers behind often know of only by the names of HTTP.
_HTTP_SCHEMES = {"http": "ws", "https": "wss"}
# RFC 3986 section 3.3 and 3.4, and the percent sign: what is escaped stays as it is.
_PATH_CHARACTERS = "/%:@!$&'()*+,;=~"
_QUERY_CHARACTERS = _PATH_CHARACTERS + "?"


class WebSocketURL(NamedTuple):
    """The parts of a URL, each in the form in which it is used.

    As text it leaves out what may be secret: user, password, query.
    """

    secure: bool
    """Whether it is ``wss``: over TLS."""
    host: str
    """Name or address for DNS and TLS: ASCII, in lower case, without brackets."""
    port: int
    """The port, the scheme's default one filled in."""
    resource: str
    """What the request asks for: path and query, percent-encoded."""
    user: str | None = None
    """User of Basic authentication, None when the URL names none."""
    password: str | None = None
    """Password of Basic authentication, None when the URL has none."""

    @property
    def scheme(self) -> str:
        """``ws`` or ``wss``."""
        return "wss" if self.secure else "ws"

    @property
    def path(self) -> str:
        """The resource up to the query."""
        return self.resource.partition("?")[0]

    @property
    def queryString(self) -> str:
        """What stands behind the question mark."""
        return self.resource.partition("?")[2]

    @property
    def authority(self) -> Authority:
        """What the Host header says; the port is left out if it is the default one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = None if self.port == (443 if self.secure else 80) else self.port
        return Authority(host, port)

    @property
    def origin(self) -> Origin:
        """Scheme, host and port: what may share credentials."""
        return originOf(self.scheme, self.authority)

    def join(self, location: str) -> WebSocketURL:
        """Find where a redirect leads (RFC 9110 section 10.2.2).

        :param location: the value of Location: a URL, or relative to this one; ``http``
            and ``https`` stand for ``ws`` and ``wss``. Its fragment counts for nothing,
            and neither do user and password: a server does not choose those.
        :raises InvalidURL: it is not a URL of WebSocket or HTTP
        """
        # For urljoin, which knows no ws on Python before 3.13 and drops odd characters.
        _checkCharacters(location)
        base = f"{'https' if self.secure else 'http'}://{writeAuthority(self)}"
        try:
            joined = urljoin(base + self.resource, location)
        except ValueError:
            raise InvalidURL("the URL's host is not valid") from None
        scheme, separator, rest = joined.partition("://")
        scheme = _HTTP_SCHEMES.get(scheme.lower(), scheme)
        joined = f"{scheme}{separator}{rest}".partition("#")[0]
        return parseURL(joined)._replace(user=None, password=None)

    def __str__(self) -> str:
        query = "?…" if "?" in self.resource else ""
        return f"{self.scheme}://{writeAuthority(self)}{self.path}{query}"

    def __repr__(self) -> str:
        return f"<WebSocketURL {self}>"


def writeAuthority(url: WebSocketURL) -> str:
    """Write host and port as the Host header has them.

    :param url: whose
    """
    host, port = url.authority
    return host if port is None else f"{host}:{port}"


def parseURL(text: str) -> WebSocketURL:
    """Read a URL.

    Names of hosts may be internationalised (they become what DNS has, by UTS 46), and
    path and query may hold characters outside ASCII, which are percent-encoded as
    UTF-8.

    :param text: such as ``wss://user:password@example.com:8443/path?query``
    :raises InvalidURL: another scheme, no host, a fragment, a port out of range, or
        characters that no URL has
    """
    _checkCharacters(text)
    if "#" in text:
        raise InvalidURL(
            "a URL of WebSocket has no fragment; a '#' that belongs to it is "
            "written '%23'"
        )
    matched = _URL.fullmatch(text)
    if matched is None:
        raise InvalidURL("the URL is not of the form ws://host/ or wss://host/")
    scheme = matched[1].lower()
    if scheme not in _SCHEMES:
        meant = _HTTP_SCHEMES.get(scheme)
        hint = f"; write {meant}:// in its place" if meant else ""
        raise InvalidURL(f"the URL's scheme is neither ws nor wss{hint}")
    userInformation, _, place = matched[2].rpartition("@")
    secure = _SCHEMES[scheme]
    authority = _readHost(place)
    port = authority.port
    if port is None:
        port = 443 if secure else 80
    user = password = None
    if userInformation:
        user, password = _readUser(userInformation)
    resource = quote(matched[3] or "/", safe=_PATH_CHARACTERS)
    resource += quote(matched[4] or "", safe=_QUERY_CHARACTERS)
    return WebSocketURL(
        secure, authority.host.strip("[]"), port, resource, user, password
    )


def _checkCharacters(text: str) -> None:
    if _NOT_IN_URLS.search(text):
        raise InvalidURL(
            "the URL holds white space, a control character or a backslash; in a path "
            "or query they are written '%20' and so on"
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidURL("the URL holds a lone surrogate") from None


def _readHost(text: str) -> Authority:
    """Read host and port.

    :raises InvalidURL: there is none, or it is none
    """
    host, colon, port = text.partition(":")
    if not host.isascii():
        try:
            host = hyperlink.URL(scheme="ws", host=host).to_uri().host
        except ValueError:
            # Of idna; its text quotes the host, in who knows which script.
            raise InvalidURL("the URL's host is not a name that DNS can have") from None
    try:
        authority = parseAuthority(f"{host}{colon}{port}")
    except ValueError as error:
        raise InvalidURL(f"the URL's host: {error}") from None
    if "" in authority.host.split("."):
        raise InvalidURL("the URL's host: a part of it is empty")
    if authority.port == 0:
        raise InvalidURL("the URL's port is 0")
    return authority


def _readUser(text: str) -> tuple[str, str | None]:
    """Read user and password."""
    name, colon, secret = text.partition(":")
    try:
        user = unquote(name, errors="strict")
        password = unquote(secret, errors="strict")
    except UnicodeDecodeError:
        raise InvalidURL("the URL's user or password is not UTF-8") from None
    try:
        checkCredentials(user, password)
    except ValueError as error:
        raise InvalidURL(f"the URL's user or password: {error}") from None
    return user, password if colon else None


def checkCredentials(user: str, password: str) -> None:
    """Check that HTTP Basic authentication (RFC 7617 section 2) can say them.

    :param user: the user
    :param password: the password
    :raises ValueError: it cannot; the message holds neither of the two
    """
    if ":" in user:
        raise ValueError("a user with a colon, where the password begins")
    if _CONTROL.search(user + password):
        raise ValueError("a control character")
    try:
        (user + password).encode()
    except UnicodeEncodeError:
        raise ValueError("a lone surrogate") from None
