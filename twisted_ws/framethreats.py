"""What hostile peers do with frames, compression and time, as far as what comes of it
can be seen from outside.

Made as :mod:`twisted_ws.handshakethreats`.
"""

from __future__ import annotations

import os
import zlib

from .adversary import Broken, Passed, Target, Wire
from .frames import FIN, MAX_CONTROL_PAYLOAD, RSV1, Opcode
from .peerbytes import BINARY, CLOSE, MASK, PING, PONG, TEXT, closing, frame, text

_MIB = 1024 * 1024
_OFFER = "Sec-WebSocket-Extensions: permessage-deflate"
# Keepalive's times and closeTimeout, and a little more.
_SILENCE = 22.0
_CLOSING = 12.0
_CONTINUATION = Opcode.CONTINUATION
_FIRST_TEXT = Opcode.TEXT
_FIRST_BINARY = Opcode.BINARY

# Frames and messages


async def row_F01(target: Target) -> None:
    """a frame that is not masked"""
    await target.all(
        target.fails("a text message", b"\x81\x05hello", 1002),
        target.fails("a ping", b"\x89\x00", 1002),
    )


async def row_F02(target: Target) -> None:
    """reserved bits and opcodes"""
    cases = {
        "RSV1": TEXT | 0x40,
        "RSV2": TEXT | 0x20,
        "RSV3": TEXT | 0x10,
        "RSV1 on a ping": PING | 0x40,
        **{f"opcode {each}": FIN | each for each in (*range(3, 8), *range(11, 16))},
    }
    await target.all(
        target.fails(
            "RSV1 on a continuation",
            frame(_FIRST_TEXT, b"a") + frame(FIN | RSV1, b"b"),
            1002,
        ),
        *(target.fails(what, frame(first), 1002) for what, first in cases.items()),
    )


async def row_F03(target: Target) -> None:
    """lengths that are not minimal, or negative"""

    def header(marker: int, size: int, width: int) -> bytes:
        return bytes([BINARY, 0x80 | marker]) + size.to_bytes(width, "big") + MASK

    cases = {
        "5 in 16 bits": header(126, 5, 2) + bytes(5),
        "125 in 16 bits": header(126, 125, 2) + bytes(125),
        "5 in 64 bits": header(127, 5, 8) + bytes(5),
        "65535 in 64 bits": header(127, 65535, 8) + bytes(65535),
        "the top bit": header(127, 1 << 63, 8),
    }
    await target.all(*(target.fails(what, data, 1002) for what, data in cases.items()))


async def row_F04(target: Target) -> None:
    """control frames that are fragmented or long; fragments out of place"""
    long = bytes(MAX_CONTROL_PAYLOAD + 1)
    cases = {
        "a fragment of a ping": frame(Opcode.PING, b"a"),
        "a fragment of a Close frame": frame(Opcode.CLOSE, b"\x03\xe8"),
        "a ping of 126 bytes": frame(PING, long),
        "a Close frame of 126 bytes": frame(CLOSE, b"\x03\xe8" + long[2:]),
        "a continuation of nothing": frame(FIN | _CONTINUATION, b"a"),
        "a message inside a message": frame(_FIRST_TEXT, b"a") + text("b"),
    }
    await target.all(*(target.fails(what, data, 1002) for what, data in cases.items()))


async def row_F05(target: Target) -> None:
    """messages of the largest size, and larger"""
    most = target.maxMessageSize
    size = most + 1

    def header(length: int) -> bytes:
        if length < 126:
            return bytes([BINARY, 0x80 | length]) + MASK
        if length < 1 << 16:
            return bytes([BINARY, 0xFE]) + length.to_bytes(2, "big") + MASK
        return bytes([BINARY, 0xFF]) + length.to_bytes(8, "big") + MASK

    async def largest() -> None:
        wire = await target.open()
        wire.send(frame(BINARY, bytes(most)))
        try:
            await wire.ping(b"behind", target.patience * 5)
        except Broken as broken:
            raise Broken(f"{most} bytes: {broken}") from None

    await target.all(
        target.fails(f"{size} bytes, of which none came", header(size), 1009),
        target.fails("2 to the 62 bytes", header(1 << 62), 1009),
        target.fails(
            f"fragments of {size} bytes",
            frame(_FIRST_BINARY, bytes(most)) + frame(_CONTINUATION, b"a"),
            1009,
            seconds=target.patience * 5,
        ),
        largest(),
    )


async def row_F06(target: Target) -> None:
    """text that is not UTF-8"""
    unfinished = bytes([TEXT, 0x80 | 100]) + MASK
    masked = frame(TEXT, b"\xce\xba\xed\xa0\x80")[6:]
    cases = {
        "0xff": frame(TEXT, b"\xff"),
        "a surrogate": frame(TEXT, b"\xed\xa0\x80"),
        "an overlong form": frame(TEXT, b"\xc0\xaf"),
        "over U+10FFFF": frame(TEXT, b"\xf4\x90\x80\x80"),
        "cut short": frame(TEXT, b"\xce"),
        "in a message that has not ended": frame(_FIRST_TEXT, b"a\xed\xa0"),
        "in a frame that has not ended": unfinished + masked,
    }
    await target.all(*(target.fails(what, data, 1007) for what, data in cases.items()))


async def row_F07(target: Target) -> None:
    """Close frames that are not allowed"""
    codes = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    await target.all(
        target.fails("one byte", frame(CLOSE, b"\x03"), 1002),
        target.fails("a reason that is not UTF-8", frame(CLOSE, b"\x03\xe8\xff"), 1007),
        *(target.fails(f"code {code}", closing(code), 1002) for code in codes),
    )


async def row_F08(target: Target) -> None:
    """what follows a Close frame"""
    wire = await target.open()
    wire.send(closing(1000), text("late"), frame(PING, b"late"))
    found = await wire.closeCode()
    if found != 1000:
        raise Broken(f"closed with {found}, not 1000")
    if not await wire.hasEnded():
        raise Broken("left the connection open behind the closing handshake")
    late = [payload for _, payload in wire.frames if payload == b"late"]
    if late:
        raise Broken("answered what came behind the Close frame")


async def row_F09(target: Target) -> None:
    """empty fragments without end"""
    other = await target.open()
    wire = await target.open()
    wire.send(frame(_FIRST_BINARY), frame(_CONTINUATION) * 131_100)
    await _servesOthers(target, other)
    try:
        found = await wire.closeCode(target.patience * 5)
    except Broken as broken:
        raise Broken(f"131,100 of them: {broken}, not 1009") from None
    if found != 1009:
        raise Broken(f"closed with {found}, not 1009")


async def _servesOthers(target: Target, other: Wire) -> None:
    """Check that another connection is served meanwhile."""
    try:
        await other.ping(b"still there?")
    except Broken as broken:
        raise Broken(f"meanwhile, on another connection, {broken}") from None


async def row_F10(target: Target) -> None:
    """a large message in tiny segments"""
    wire = await target.open()
    data = frame(BINARY, os.urandom(min(256 * 1024, target.maxMessageSize)))
    for at in range(0, len(data), 64):
        wire.send(data[at : at + 64])
        if not at % 4096:
            await target.pause(0)
    await wire.ping(b"behind", target.patience * 5)


async def row_F11(target: Target) -> None:
    """a flood of pings whose pongs nobody reads"""
    wire = await target.open()
    # The buffers of the systems at both ends hold less: 14 MiB on Linux by default.
    chunk = frame(PING, b"flood".ljust(MAX_CONTROL_PAYLOAD)) * 500
    await wire.flood(chunk, 24 * _MIB)
    await wire.ping(b"last", target.patience * 10)
    pongs = sum(first == PONG for first, _ in wire.frames) * MAX_CONTROL_PAYLOAD
    if pongs > 20 * _MIB:
        raise Broken(f"kept {pongs // _MIB} MiB of pongs for a peer that did not read")


async def row_F12(target: Target) -> None:
    """a peer that does not read what the server sends"""
    wire = await target.open()
    wire.send(text("echo?"))
    if not await wire.until(lambda: (TEXT, b"echo?") in wire.frames):
        raise Passed("the server does not echo, so nothing makes it send")
    most = 48 * _MIB
    taken = await wire.flood(
        frame(BINARY, bytes(min(65536, target.maxMessageSize))), most
    )
    if taken >= most and not wire.isLost:
        raise Broken("took 48 MiB of messages whose echoes nobody read")


async def row_F13(target: Target) -> None:
    """a segment with thousands of small messages"""
    other = await target.open()
    wire = await target.open()
    wire.send(text("a") * 20_000)
    await _servesOthers(target, other)
    await wire.ping(b"behind", target.patience * 10)


# Compression


async def _compressed(target: Target) -> Wire:
    """Open a connection with compression."""
    wire = await target.open(_OFFER)
    agreed = (await wire.answered()).headers.get("sec-websocket-extensions", [])
    if not any("permessage-deflate" in each for each in agreed):
        raise Passed("the server does not agree to compression")
    return wire


def _deflate(data: bytes, window: bytes = b"") -> bytes:
    """Compress a message.

    :param data: the message
    :param window: what it may refer to
    """
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=window)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


async def row_D01(target: Target) -> None:
    """messages that inflate to more than the largest size"""
    await _compressed(target)
    size = target.maxMessageSize + 1
    seconds = target.patience * 5
    bomb = _deflate(bytes(target.maxMessageSize * 16))
    half = len(bomb) // 2
    cases = {
        f"{size} bytes": frame(BINARY | RSV1, _deflate(bytes(size))),
        "16 times the largest size": frame(BINARY | RSV1, bomb),
        "16 times that, in fragments": frame(_FIRST_BINARY | RSV1, bomb[:half])
        + frame(_CONTINUATION, bomb[half:]),
    }
    await target.all(
        *(
            target.fails(what, data, 1009, _OFFER, seconds=seconds)
            for what, data in cases.items()
        )
    )


async def row_D02(target: Target) -> None:
    """a block that is marked as the last one, and then another message"""
    wire = await _compressed(target)
    agreed = ", ".join((await wire.answered()).headers["sec-websocket-extensions"])
    first = b"a message with some text in it"
    last = zlib.compressobj(9, zlib.DEFLATED, -15)
    ended = last.compress(first) + last.flush(zlib.Z_FINISH) + b"\0"
    window = b"" if "client_no_context_takeover" in agreed else first
    wire.send(frame(TEXT | RSV1, ended))
    wire.send(frame(TEXT | RSV1, _deflate(first + b", again", window)))
    await wire.ping(b"behind")


async def row_D03(target: Target) -> None:
    """what is not DEFLATE, or was cut short"""
    await _compressed(target)
    cases = {
        "a block of no type": b"\x07\xff\xff",
        "a stored block cut short": b"\x00\x64\x00\x9b\xffabc",
        "a length that contradicts itself": b"\x00\x05\x00\x00\x00hello",
        "a reference to nothing": _deflate(
            b"nothing before this" * 2, b"nothing before"
        ),
    }
    await target.all(
        *(
            target.fails(what, frame(BINARY | RSV1, data), 1007, _OFFER)
            for what, data in cases.items()
        )
    )


async def row_D04(target: Target) -> None:
    """offers of compression that cannot be met"""
    await _compressed(target)

    async def declined(parameters: str) -> None:
        wire = await target.accepts(
            parameters, target.request(f"{_OFFER}; {parameters}")
        )
        agreed = (await wire.answered()).headers.get("sec-websocket-extensions", [])
        if agreed:
            raise Broken(f"{parameters}: agreed to")

    await target.all(
        *(
            declined(each)
            for each in (
                "server_max_window_bits=7",
                "server_max_window_bits=16",
                "server_max_window_bits=08",
                "server_max_window_bits",
                "client_max_window_bits=16",
                "server_no_context_takeover=1",
                "server_no_context_takeover; server_no_context_takeover",
                "unknown",
            )
        )
    )


# Time


async def row_T01(target: Target) -> None:
    """a peer that is silent"""
    wire = await target.open()
    if not await wire.until(lambda: [f for f, _ in wire.frames if f == PING], _SILENCE):
        raise Broken(f"no ping within {_SILENCE:g} s")
    try:
        found = await wire.closeCode(_SILENCE)
    except Broken as broken:
        raise Broken(f"after a ping without pong: {broken}, not 1011") from None
    if found != 1011:
        raise Broken(f"closed with {found}, not 1011")


async def row_T02(target: Target) -> None:
    """a peer that does not answer a Close frame, nor close the connection"""
    wire = await target.open()
    wire.send(frame(FIN | 3))
    await wire.closeCode()
    if not await wire.hasEnded(_CLOSING):
        raise Broken(
            f"{_CLOSING:g} s after its Close frame the connection is still there"
        )
