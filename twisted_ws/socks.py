"""SOCKS5 (RFC 1928) with user and password (RFC 1929), the client's side.

A :class:`SocksNegotiation` takes what the proxy sends and gives what it is to be sent,
until the tunnel stands::

    client                                 proxy
    version, methods           ─▶
                               ◀─          version, method
    user, password             ─▶                              if it chose that method
                               ◀─          version, status
    CONNECT, address, port     ─▶
                               ◀─          reply, address, port
    ═══════════════════════ the tunnel ═══════════════════════
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from .errors import ProxyFailed

__all__ = ["SocksNegotiation"]

_VERSION = 5
_AUTHENTICATION_VERSION = 1
_CONNECT = 1
_NO_AUTHENTICATION = 0
_USER_AND_PASSWORD = 2
_NONE_ACCEPTABLE = 0xFF
_IPV4, _NAME, _IPV6 = 1, 3, 4
_SUCCEEDED = 0

# RFC 1928 section 6.
_REPLIES = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}


class SocksNegotiation:
    """Asks a SOCKS5 proxy for a tunnel. It never holds more than 262 bytes and the last
    segment.

    :param host: where to: an IPv4 or IPv6 address, or a name in ASCII of at most 255
        characters, which the proxy looks up
    :param port: where to
    :param user: of 1 to 255 bytes as UTF-8; None for nobody
    :param password: of at most 255 bytes as UTF-8
    """

    isDone = False
    """Whether the tunnel stands."""
    rest = b""
    """What came through the tunnel with the proxy's last word."""

    def __init__(
        self, host: str, port: int, user: str | None = None, password: str = ""
    ) -> None:
        self._request = _encodeRequest(host, port)
        self._authentication: bytes | None = None
        if user is not None:
            self._authentication = (
                bytes([_AUTHENTICATION_VERSION])
                + _encodeString(user.encode())
                + _encodeString(password.encode())
            )
        self._buffer = b""
        self._expected: Callable[[bytes], bytes | None] = self._methodReceived

    def start(self) -> bytes:
        """Give the first bytes for the proxy."""
        methods = [_NO_AUTHENTICATION]
        if self._authentication is not None:
            methods.append(_USER_AND_PASSWORD)
        return bytes([_VERSION, len(methods), *methods])

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the proxy.

        :param data: any bytes
        :returns: what to send to it
        :raises ProxyFailed: there will be no tunnel
        """
        self._buffer += data
        sending = b""
        while not self.isDone:
            answer = self._expected(self._buffer)
            if answer is None:
                return sending
            sending += answer
        self.rest, self._buffer = self._buffer, b""
        return sending

    def failure(self, why: str) -> ProxyFailed:
        """Give the error for a negotiation that ends here.

        :param why: what the proxy did
        """
        return ProxyFailed(f"the proxy {why}")

    def _methodReceived(self, data: bytes) -> bytes | None:
        """Take the method of authentication that it chose."""
        if data and data[0] != _VERSION:
            hint = "; is it an HTTP proxy?" if data[:1] == b"H" else ""
            raise ProxyFailed(f"the proxy does not answer in SOCKS5{hint}")
        if len(data) < 2:
            return None
        self._buffer = data[2:]
        method = data[1]
        if method == _NO_AUTHENTICATION:
            self._expected = self._replyReceived
            return self._request
        if method == _USER_AND_PASSWORD and self._authentication is not None:
            self._expected = self._statusReceived
            return self._authentication
        if method != _NONE_ACCEPTABLE:
            raise ProxyFailed(
                f"the proxy chose method {method} of authentication, which was not "
                f"offered"
            )
        if self._authentication is None:
            why = "the proxy asks for authentication: give it a user and a password"
        else:
            why = "the proxy asks for authentication other than user and password"
        raise ProxyFailed(why, wantsCredentials=True)

    def _statusReceived(self, data: bytes) -> bytes | None:
        """Take what it says to user and password."""
        if len(data) < 2:
            return None
        # The version is not looked at: there are proxies that say 5.
        if data[1] != _SUCCEEDED:
            raise ProxyFailed(
                "the proxy refused user and password", wantsCredentials=True
            )
        self._buffer = data[2:]
        self._expected = self._replyReceived
        return self._request

    def _replyReceived(self, data: bytes) -> bytes | None:
        """Take what it says to the request."""
        if data and data[0] != _VERSION:
            raise ProxyFailed("the proxy's reply is not SOCKS5")
        # A proxy that refuses may close the connection without the rest.
        if len(data) > 1 and data[1] != _SUCCEEDED:
            known = _REPLIES.get(data[1], "no known reason")
            raise ProxyFailed(
                f"the proxy did not connect: reply {data[1]}, {known}", reply=data[1]
            )
        if len(data) < 5:
            return None
        kind = data[3]
        if kind not in (_IPV4, _NAME, _IPV6):
            raise ProxyFailed("the proxy's reply holds an unknown kind of address")
        # The address says where the proxy connected from, which nobody needs to know.
        size = {_IPV4: 4, _NAME: 1 + data[4], _IPV6: 16}[kind]
        end = 4 + size + 2
        if len(data) < end:
            return None
        self._buffer = data[end:]
        self.isDone = True
        return b""


def _encodeString(data: bytes) -> bytes:
    return bytes([len(data)]) + data


def _encodeRequest(host: str, port: int) -> bytes:
    try:
        address = ip_address(host)
    except ValueError:
        kind, encoded = _NAME, _encodeString(host.encode("ascii"))
    else:
        kind = _IPV4 if address.version == 4 else _IPV6
        encoded = address.packed
    head = bytes([_VERSION, _CONNECT, 0, kind])
    return head + encoded + port.to_bytes(2, "big")
