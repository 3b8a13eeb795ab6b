"""Close codes: what they mean, which may travel in a Close frame, how one is written.

RFC 6455 section 7.4 and the IANA registry of WebSocket close codes. This module is the
only place that knows which codes are legal on the wire.
"""

from __future__ import annotations

from enum import IntEnum

from .errors import InvalidPayload, ProtocolError

__all__ = [
    "MAX_REASON_BYTES",
    "CloseCode",
    "checkClose",
    "describeCode",
    "encodeClose",
    "isLegalOnWire",
    "parseClose",
]

MAX_REASON_BYTES = 123
"""Longest close reason in bytes of UTF-8: a control frame carries 125 bytes, two of
which are the code (RFC 6455 section 5.5)."""


class CloseCode(IntEnum):
    """The registered close codes.

    ``NO_STATUS``, ``ABNORMAL`` and ``TLS_HANDSHAKE`` are never in a frame: they are
    what an application is told when there was no code, or no Close frame at all.
    """

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS = 1005
    ABNORMAL = 1006
    INVALID_PAYLOAD = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015


_MEANINGS = {
    CloseCode.NORMAL: "normal closure",
    CloseCode.GOING_AWAY: "going away",
    CloseCode.PROTOCOL_ERROR: "protocol error",
    CloseCode.UNSUPPORTED_DATA: "unsupported data",
    CloseCode.NO_STATUS: "no code in the Close frame",
    CloseCode.ABNORMAL: "connection lost without a Close frame",
    CloseCode.INVALID_PAYLOAD: "invalid payload data",
    CloseCode.POLICY_VIOLATION: "policy violation",
    CloseCode.MESSAGE_TOO_BIG: "message too big",
    CloseCode.MANDATORY_EXTENSION: "mandatory extension missing",
    CloseCode.INTERNAL_ERROR: "internal error",
    CloseCode.SERVICE_RESTART: "service restart",
    CloseCode.TRY_AGAIN_LATER: "try again later",
    CloseCode.BAD_GATEWAY: "bad gateway",
    CloseCode.TLS_HANDSHAKE: "TLS handshake failed",
}

# RFC 6455 section 7.4.2: 1000 to 2999 belong to the protocol, and only the assigned
# ones may be sent; 3000 to 3999 are registered by libraries, 4000 to 4999 are private.
_NEVER_SENT = {CloseCode.NO_STATUS, CloseCode.ABNORMAL, CloseCode.TLS_HANDSHAKE}
_ASSIGNED = frozenset(int(code) for code in CloseCode if code not in _NEVER_SENT)


def isLegalOnWire(code: int) -> bool:
    """Tell whether a Close frame may carry this code (RFC 6455 section 7.4).

    :param code: the status code
    """
    return code in _ASSIGNED or 3000 <= code <= 4999


def describeCode(code: int) -> str:
    """Say in a few words what a code means, for logs and messages.

    :param code: the status code
    """
    if code in _MEANINGS:
        return _MEANINGS[CloseCode(code)]
    if 3000 <= code <= 3999:
        return "registered by a library"
    if 4000 <= code <= 4999:
        return "private to the application"
    return "not assigned"


def checkClose(code: int, reason: str) -> None:
    """Check what an application wants to close with.

    :param code: status code to send
    :param reason: text for the peer, at most 123 bytes in UTF-8
    :raises ValueError: the code may not be sent, or the reason is too long or holds a
        lone surrogate
    """
    if not isLegalOnWire(code):
        raise ValueError(
            f"close code {code} may not be sent: use 1000 to 1003, 1007 to 1014, "
            f"or 3000 to 4999"
        )
    size = len(reason.encode("utf-8"))
    if size > MAX_REASON_BYTES:
        raise ValueError(
            f"close reason is {size} bytes in UTF-8, at most {MAX_REASON_BYTES} fit"
        )


def encodeClose(code: int, reason: str = "") -> bytes:
    """Write the payload of a Close frame (RFC 6455 section 5.5.1).

    :param code: status code; ``NO_STATUS`` gives an empty payload
    :param reason: text for the peer, checked by :func:`checkClose`
    """
    if code == CloseCode.NO_STATUS:
        return b""
    return code.to_bytes(2, "big") + reason.encode("utf-8")


def parseClose(payload: bytes) -> tuple[int, str]:
    """Read the payload of a Close frame (RFC 6455 section 5.5.1).

    :param payload: the unmasked payload
    :returns: code and reason; ``NO_STATUS`` and an empty reason for an empty payload
    :raises ProtocolError: one byte only, or a code that may not be sent
    :raises InvalidPayload: the reason is not UTF-8
    """
    if not payload:
        return int(CloseCode.NO_STATUS), ""
    if len(payload) == 1:
        raise ProtocolError("Close frame with a payload of one byte")
    code = int.from_bytes(payload[:2], "big")
    if not isLegalOnWire(code):
        raise ProtocolError(f"Close frame with code {code}")
    try:
        return code, payload[2:].decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidPayload("close reason is not UTF-8") from None
