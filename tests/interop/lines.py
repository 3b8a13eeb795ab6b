"""The lines between the tests and the programs: objects of JSON, with bytes in them."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

__all__ = ["LONGEST", "readLine", "writeLine"]

LONGEST = 4 * 1024 * 1024
"""No line is longer, in bytes."""


def writeLine(content: dict[str, Any]) -> bytes:
    """Write an object as a line.

    :param content: what JSON can say, and bytes
    """
    return json.dumps(content, default=_fromBytes).encode("ascii") + b"\n"


def readLine(line: bytes) -> dict[str, Any]:
    """Read what :func:`writeLine` has written.

    :param line: with or without its end
    """
    content: dict[str, Any] = json.loads(line, object_hook=_toBytes)
    return content


def _fromBytes(data: bytes) -> dict[str, str]:
    return {"base64": b64encode(data).decode("ascii")}


def _toBytes(content: dict[str, Any]) -> Any:
    return b64decode(content["base64"]) if "base64" in content else content
