"""What peers write and read, byte by byte: requests, frames, responses.

For tests, which need what no honest peer sends as well: nothing here checks what it is
asked to write. What is read is read strictly.
"""

from __future__ import annotations

from typing import NamedTuple

from .codec import FrameDecoder, encodeFrame
from .frames import FIN, RSV1, Opcode

__all__ = [
    "ACCEPT",
    "BINARY",
    "CLOSE",
    "KEY",
    "MASK",
    "PING",
    "PONG",
    "TEXT",
    "Response",
    "closing",
    "frame",
    "plainGet",
    "readFrames",
    "readResponse",
    "request",
    "text",
]

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
"""The key of RFC 6455 section 1.3."""
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The answer to it."""
MASK = b"\x37\xfa\x21\x3d"
"""What frames are masked with, as in RFC 6455 section 5.7."""

TEXT = FIN | Opcode.TEXT
"""First byte of a text message in one frame."""
BINARY = FIN | Opcode.BINARY
"""First byte of a binary message in one frame."""
CLOSE = FIN | Opcode.CLOSE
"""First byte of a Close frame."""
PING = FIN | Opcode.PING
"""First byte of a ping."""
PONG = FIN | Opcode.PONG
"""First byte of a pong."""


def request(
    *extra: str,
    target: str = "/",
    method: str = "GET",
    version: str = "HTTP/1.1",
    without: tuple[str, ...] = (),
) -> bytes:
    """Write a client's opening handshake.

    :param extra: further header lines; one with a name that is there replaces it
    :param target: the request target
    :param method: the method
    :param version: the HTTP version
    :param without: names of headers to leave out
    """
    lines = {
        "host": "Host: example.com",
        "upgrade": "Upgrade: websocket",
        "connection": "Connection: Upgrade",
        "sec-websocket-key": f"Sec-WebSocket-Key: {KEY.decode()}",
        "sec-websocket-version": "Sec-WebSocket-Version: 13",
    }
    names = [each.partition(":")[0].lower() for each in extra]
    kept = [
        line
        for name, line in lines.items()
        if name not in names and name not in [each.lower() for each in without]
    ]
    head = [f"{method} {target} {version}", *kept, *extra, "", ""]
    return "\r\n".join(head).encode("latin-1")


def plainGet(*extra: str, method: str = "GET", target: str = "/") -> bytes:
    """Write an ordinary HTTP request.

    :param extra: header lines beside Host
    :param method: the method
    :param target: the request target
    """
    lines = [f"{method} {target} HTTP/1.1", "Host: example.com", *extra, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def frame(first: int, payload: bytes = b"") -> bytes:
    """Write a masked frame.

    :param first: its first byte
    :param payload: its payload
    """
    return encodeFrame(first, payload, MASK)


def text(message: str) -> bytes:
    """Write a text message as a client does.

    :param message: its text
    """
    return frame(TEXT, message.encode())


def closing(code: int | None = 1000, reason: str = "") -> bytes:
    """Write a Close frame as a client does.

    :param code: its code, whether that is allowed or not; None leaves it empty
    :param reason: its reason
    """
    payload = b"" if code is None else code.to_bytes(2, "big") + reason.encode()
    return frame(CLOSE, payload)


class Response(NamedTuple):
    """A server's answer to an opening handshake."""

    status: int
    headers: dict[str, str]
    """By name in lower case."""
    body: bytes
    """What stands behind the head: the body, or frames."""


def readResponse(data: bytes) -> Response:
    """Read a response as strictly as RFC 9112 has it.

    :param data: all that the server wrote
    :raises AssertionError: it is none
    """
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        raise AssertionError(f"no end of a head in {data!r}")
    statusLine, *lines = head.decode("latin-1").split("\r\n")
    version, status, _ = statusLine.split(" ", 2)
    if version != "HTTP/1.1":
        raise AssertionError(f"a response of {version}")
    headers: dict[str, str] = {}
    for line in lines:
        name, value = line.split(": ", 1)
        if name.lower() in headers and name.lower() != "set-cookie":
            raise AssertionError(f"{name} is there twice")
        headers[name.lower()] = value
    return Response(int(status), headers, body)


def readFrames(
    data: bytes, masked: bool = False, compressed: bool = False
) -> list[tuple[int, bytes]]:
    """Read frames, which must all be whole.

    :param data: bytes
    :param masked: whether they are a client's
    :param compressed: whether compression was agreed, and RSV1 may be set
    :returns: the first byte of each, and its payload
    :raises AssertionError: they are not whole, or not frames
    """
    decoder = FrameDecoder(masked=masked, reservedBits=RSV1 if compressed else 0)
    frames = decoder.feed(data)
    while decoder.hasMore:
        frames += decoder.feed(b"")
    if decoder.error is not None or decoder.isMidFrame or decoder.hasMore:
        raise AssertionError(f"no whole frames: {decoder.error}, {data[:100]!r}")
    return frames
