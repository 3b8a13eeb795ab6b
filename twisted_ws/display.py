"""How what comes looks on a terminal: escaped, measured, dumped, cut.

Everything here gives whole lines that hold nothing a terminal would obey, whatever the
peer has sent: line ends become lines of their own, indented so that none begins as the
head of another message does, and all else that is not printable is escaped. Where a
long line goes on is left to the terminal, so that it is copied as one.
"""

from __future__ import annotations

import json
import re

from .closing import describeCode
from .errors import (
    CertificateRefused,
    ConnectionClosed,
    HandshakeRefused,
    ProxyFailed,
    WebSocketError,
)
from .redaction import loggable

__all__ = [
    "describeClose",
    "describeError",
    "escape",
    "hexDump",
    "messageLines",
    "prettyJSON",
    "readableSize",
]

_INLINE = 16
"""Bytes of a binary message that are shown beside its head."""
_DEEPEST = 40
"""Levels of JSON that are indented; more would multiply a message's size."""
_GROWTH = 8
"""How many times as long as it was JSON may be when it is broken into lines."""
_SMALL = 64 * 1024
"""Characters that it may have then in any case."""
_BODY_LINES = 20
"""Lines of a refusal's body that are shown."""
_TELLING = ("Location", "WWW-Authenticate", "Proxy-Authenticate", "Retry-After")
"""Headers of a refusal that say what to do about it."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}:,]|[^][{}:,"\s]+')


def escape(text: str) -> str:
    """Write text of the peer on one line, all of it.

    :param text: any text
    """
    return loggable(text, len(text))


def readableSize(size: int) -> str:
    """Write a number of bytes.

    :param size: the number
    """
    if size < 1024:
        return f"{size} B"
    if size < 1024 * 1024:
        return f"{size / 1024:.1f} KiB"
    return f"{size / 1024 / 1024:.1f} MiB"


def prettyJSON(text: str) -> str | None:
    """Break JSON into lines and indent them. Names, numbers and strings stay as they
    were written, also where a program would read two of them as the same.

    :param text: perhaps JSON
    :returns: None if it is none, or would become far longer than it is
    """
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    pieces: list[str] = []
    depth = 0
    last = ""
    room = max(_GROWTH * len(text), _SMALL)
    for token in _TOKEN.findall(text):
        gap = ""
        if token in ("}", "]"):
            depth -= 1
            if last not in ("{", "["):
                gap = _newLine(depth)
        elif last in ("{", "[", ","):
            gap = _newLine(depth)
        elif last == ":":
            gap = " "
        room -= len(gap) + len(token)
        if room < 0:
            return None
        pieces += (gap, token)
        if token in ("{", "["):
            depth += 1
        last = token
    return "".join(pieces)


def _newLine(depth: int) -> str:
    return "\n" + "  " * min(depth, _DEEPEST)


def hexDump(data: bytes, columns: int, rows: int) -> list[str]:
    """Write bytes as numbers and, where they are of ASCII, as characters.

    :param data: the bytes
    :param columns: width of the terminal
    :param rows: most lines; where they are too few, the last says what is missing
    """
    # A row of 16 bytes takes 77 columns.
    width = 16 if columns > 77 else 8
    lines: list[str] = []
    for at in range(0, len(data), width):
        if len(lines) == rows - 1 and at + width < len(data):
            lines.append(f"… {len(data) - at} bytes more")
            break
        row = data[at : at + width]
        text = "".join(chr(each) if 32 <= each < 127 else "." for each in row)
        lines.append(f"{at:08x}  {row.hex(' '):{3 * width - 1}}  |{text}|")
    return lines


def messageLines(
    message: str | bytes, head: str, columns: int, rows: int, asJSON: bool
) -> list[str]:
    """Write a message.

    :param message: text or binary
    :param head: what stands before it on the first line; holds no size
    :param columns: width of the terminal
    :param rows: most lines for a binary message
    :param asJSON: whether text that is JSON is broken into lines
    """
    if isinstance(message, bytes):
        head = f"{head}{readableSize(len(message))} binary"
        if len(message) > _INLINE:
            return [head, *hexDump(message, columns, rows)]
        return [f"{head}  {message.hex(' ')}".rstrip()]
    head = f"{head}{readableSize(len(message.encode()))}  "
    text = (prettyJSON(message) if asJSON else None) or message
    first, *others = text.split("\n")
    indent = " " * len(head)
    return [
        f"{head}{escape(first)}".rstrip(),
        *(f"{indent}{escape(each)}" for each in others),
    ]


def describeClose(closed: ConnectionClosed) -> str:
    """Say how a connection ended.

    :param closed: how
    """
    how = "closed" if closed.wasClean else "not closed cleanly"
    text = f"Connection {how}: {closed.code} ({describeCode(closed.code)})"
    return f"{text}: {escape(closed.reason)}" if closed.reason else text


def describeError(error: WebSocketError) -> list[str]:
    """Say why there is no connection, with the server's own words where it has some.

    :param error: why
    """
    lines = [escape(str(error))]
    if isinstance(error, CertificateRefused):
        lines.append(
            "If the certificate is one of your own making, name it with --trust-roots."
        )
    if isinstance(error, (HandshakeRefused, ProxyFailed)):
        for name in _TELLING:
            for value in error.headers.getAll(name):
                lines.append(f"  {name}: {loggable(value)}")
        body = error.body.decode("utf-8", "replace").strip()
        found = body.splitlines()
        lines += [f"  {loggable(each)}" for each in found[:_BODY_LINES]]
        if len(found) > _BODY_LINES:
            lines.append(f"  … {len(found) - _BODY_LINES} lines more")
    return lines
