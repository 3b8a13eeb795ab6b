"""What hostile peers do in the opening handshake and in TLS, as far as what comes of it
can be seen from outside.

Each ``row_`` function tries what its row of docs/security.rst names on a server, and
raises :exc:`twisted_ws.adversary.Broken` when something else came of it. The figures
are this package's defaults.
"""

from __future__ import annotations

import os
import sys

from .adversary import Broken, Passed, Target
from .peerbytes import KEY, PING, frame, plainGet

_OFFER = "Sec-WebSocket-Extensions: permessage-deflate"
# A byte each second, for longer than handshakeTimeout.
_TRICKLE = (1.0, 12)

# The opening handshake


async def row_H01(target: Target) -> None:
    """every form of the headers that honest clients send"""
    forms = {
        "keep-alive, Upgrade": ("Connection: keep-alive, Upgrade",),
        "upper and lower case": ("CONNECTION: UPGRADE", "uPGRADE: WebSocket"),
        "tabs and spaces": ("Connection:\t Upgrade \t", "Upgrade:websocket"),
        "empty elements": ("Connection: ,, Upgrade ,", "Upgrade: , websocket"),
    }
    await target.all(
        *(
            _accepted(target, what, target.request(*lines))
            for what, lines in forms.items()
        )
    )


async def _accepted(target: Target, what: str, data: bytes) -> None:
    await target.accepts(what, data)


async def row_H02(target: Target) -> None:
    """several lines of subprotocols and extensions"""
    wire = await target.accepts(
        "several lines",
        target.request(
            "Sec-WebSocket-Protocol: first",
            "Sec-WebSocket-Protocol: second, third",
            "Sec-WebSocket-Extensions: x-unknown",
            _OFFER,
        ),
    )
    chosen = (await wire.answered()).headers.get("sec-websocket-protocol", [])
    if chosen not in ([], ["first"], ["second"], ["third"]):
        raise Broken(f"chose the subprotocol {chosen}")


async def row_H03(target: Target) -> None:
    """a request byte by byte, and one with a frame right behind it"""

    async def bytewise() -> None:
        wire = await target.connect()
        data = target.request()
        for at in range(len(data)):
            wire.send(data[at : at + 1])
            await target.pause(0)
        answer = await wire.answered()
        if answer.status != 101:
            raise Broken(f"byte by byte: answered {answer.status}")

    async def withFrame() -> None:
        wire = await target.accepts(
            "with a frame", target.request() + frame(PING, b"early")
        )
        await wire.pong(b"early")

    await target.all(bytewise(), withFrame())


async def row_H04(target: Target) -> None:
    """other methods and versions, Host missing or repeated, a whole URL"""
    await target.all(
        _refused(target, "POST", target.request(method="POST"), 405),
        _refused(target, "HTTP/1.0", target.request(version="HTTP/1.0"), 505),
        _refused(target, "no Host", target.request(without=("Host",)), 400),
        _refused(
            target,
            "two Hosts",
            target.request(f"Host: {target.authority}", "Host: other.example"),
            400,
        ),
        _accepted(
            target,
            "a whole URL",
            target.request(target=f"http://{target.authority}{target.path}"),
        ),
    )


async def _refused(target: Target, what: str, data: bytes, status: int) -> None:
    await target.refuses(what, data, status)


async def row_H05(target: Target) -> None:
    """a key that is missing, repeated, or not 16 bytes"""
    name = "Sec-WebSocket-Key"
    key = KEY.decode()
    keys = {
        "a short key": ("AAAA",),
        "a long key": (key + key,),
        "a key of 15 bytes": ("AAAAAAAAAAAAAAAAAAAA",),
        "a key that is not base64": ("!" * 22 + "==",),
        "an empty key": ("",),
        "two keys": (key, "AAAAAAAAAAAAAAAAAAAAAA=="),
    }
    await target.all(
        _refused(target, "no key", target.request(without=(name,)), 400),
        *(
            _refused(
                target,
                what,
                target.request(*(f"{name}: {value}" for value in values)),
                400,
            )
            for what, values in keys.items()
        ),
    )


async def row_H06(target: Target) -> None:
    """a version of WebSocket that is missing or not 13"""
    name = "Sec-WebSocket-Version"

    async def refused(what: str, data: bytes) -> None:
        answer = await target.refuses(what, data, 426)
        told = ", ".join(answer.headers.get(name.lower(), []))
        if "13" not in [each.strip() for each in told.split(",")]:
            raise Broken(f"{what}: answered 426, but not that version 13 would do")

    await target.all(
        refused("no version", target.request(without=(name,))),
        *(
            refused(f"version {each}", target.request(f"{name}: {each}"))
            for each in ("8", "12", "14", "013")
        ),
    )


async def row_H07(target: Target) -> None:
    """a request with a body, in which there is another request"""
    body = target.request()

    async def refused(what: str, data: bytes) -> None:
        answer = await target.refuses(what, data, 400)
        if b"HTTP/1.1 " in answer.rest:
            raise Broken(f"{what}: the body was answered too")

    await target.all(
        refused(
            "Content-Length", target.request(f"Content-Length: {len(body)}") + body
        ),
        refused(
            "chunks",
            target.request("Transfer-Encoding: chunked") + b"0\r\n\r\n" + body,
        ),
        refused(
            "both",
            target.request("Transfer-Encoding: chunked", "Content-Length: 5")
            + b"0\r\n\r\n"
            + body,
        ),
    )


async def row_H08(target: Target) -> None:
    """what is not plainly HTTP"""
    plain = target.request("X-A: b")
    first, rest = plain.split(b"\r\n", 1)
    cases = {
        "a folded line": plain.replace(b"X-A: b", b"X-A: b\r\n c"),
        "a space before the colon": plain.replace(b"X-A:", b"X-A :"),
        "a bare LF": first + b"\n" + rest,
        "a bare CR": plain.replace(b"X-A: b", b"X-A: b\rc"),
        "no name": plain.replace(b"X-A:", b":"),
        "a name with a space": plain.replace(b"X-A:", b"X A:"),
        "a name that is no token": plain.replace(b"X-A:", b"X(A):"),
        "0x85 in a name": plain.replace(b"X-A:", b"X\x85A:"),
        **{
            f"0x{each:02x} in a value": plain.replace(b"X-A: b", b"X-A: b%cb" % each)
            for each in (0x00, 0x01, 0x0B, 0x1F, 0x7F)
        },
    }
    await target.all(
        *(_refused(target, what, data, 400) for what, data in cases.items())
    )


async def row_H09(target: Target) -> None:
    """a request head that is too large"""
    long = "a" * 7000
    cases = {
        "a line of 9 KiB": target.request("X-A: " + "a" * 9 * 1024),
        "a head of 21 KiB": target.request(*(f"X-{n}: {long}" for n in "abc")),
        "130 header lines": target.request(*(f"X-{n}: a" for n in range(125))),
    }
    await target.all(
        *(_refused(target, what, data, 431) for what, data in cases.items())
    )


async def row_H10(target: Target) -> None:
    """a request head that trickles"""
    wire = await target.connect()
    wire.send(b"GET ")
    seconds, times = _TRICKLE
    for _ in range(times):
        if await wire.until(lambda: wire.answer, seconds) or wire.isLost:
            break
        wire.send(b"/")
    try:
        answer = await wire.answered()
    except Broken as broken:
        raise Broken(f"over 10 s: {broken}, not 408") from None
    if answer.status != 408:
        raise Broken(f"answered {answer.status}, not 408")
    if not await wire.hasEnded():
        raise Broken("answered 408, but left the connection open")


async def row_H11(target: Target) -> None:
    """pages of other sites (Origin)"""
    scheme, _, rest = target.origin.partition("://")
    other = {"http": "https", "https": "http"}[scheme]
    origins = {
        "a foreign Origin": ("http://evil.example",),
        "Origin null": ("null",),
        "an empty Origin": ("",),
        "two Origins": (target.origin, "http://evil.example"),
        "another scheme": (f"{other}://{rest}",),
        "another port": (f"{scheme}://{rest.rpartition(':')[0]}:1",),
        "the host as a prefix": (f"{scheme}://{target.host}.evil.example",),
        "the host as a suffix": (f"{scheme}://evil-{rest}",),
    }
    await target.all(
        _accepted(target, "the own Origin", target.request(f"Origin: {target.origin}")),
        *(
            _refused(
                target,
                what,
                target.request(*(f"Origin: {value}" for value in values)),
                403,
            )
            for what, values in origins.items()
        ),
    )


async def row_H12(target: Target) -> None:
    """a foreign Host on a port that is bound to loopback (DNS rebinding)"""
    wire = await target.connect()
    wire.send(target.request("Host: evil.example"))
    answer = await wire.answered()
    if answer.status == 403:
        return
    if answer.status != 101:
        raise Broken(f"answered {answer.status}, not 403")
    if not await _isBoundToLoopback(target):
        raise Passed("accepted, but the port need not be bound to loopback only")
    raise Broken("answered 101, not 403")


async def _isBoundToLoopback(target: Target) -> bool:
    """Tell whether a port is bound to 127.0.0.1 alone: on Linux all of 127.0.0.0/8 is
    loopback, and a port that is bound to every address is there too."""
    if not sys.platform.startswith("linux") or target.host != "127.0.0.1":
        return False
    try:
        await target.connect(host="127.0.0.2")
    except Broken:
        return True
    return False


async def row_H13(target: Target) -> None:
    """subprotocols that are no tokens"""
    name = "Sec-WebSocket-Protocol"
    values = {
        "a space": "a b",
        "a slash": "a/b",
        "not ASCII": "chat, caf\u00e9",
        "a quoted string": '"chat"',
    }
    await target.all(
        *(
            _refused(target, what, target.request(f"{name}: {value}"), 400)
            for what, value in values.items()
        )
    )


async def row_H14(target: Target) -> None:
    """extension headers that are built to take long"""
    values = {
        "150 offers": ", ".join(["permessage-deflate; x=1"] * 150),
        "semicolons": "a" + ";" * 7000,
        "commas": "," * 7000,
        "a string without end": 'a; b="' + "\\a" * 3500,
        "blanks": "a" + " " * 7000 + "b",
        "parameters": "a" + "; b=c" * 1400,
    }

    async def answered(what: str, value: str) -> None:
        wire = await target.connect()
        wire.send(target.request(f"Sec-WebSocket-Extensions: {value}"))
        try:
            await wire.answered()
        except Broken as broken:
            if not wire.isLost:
                raise Broken(f"{what}: {broken}") from None

    await target.all(*(answered(what, value) for what, value in values.items()))


async def row_H19(target: Target) -> None:
    """a plain HTTP request"""
    wire = await target.connect()
    wire.send(
        plainGet(target=target.path).replace(
            b"Host: example.com", f"Host: {target.authority}".encode()
        )
    )
    answer = await wire.answered()
    if answer.status == 101:
        raise Broken("answered 101")
    if answer.status == 426 and "upgrade" not in answer.headers:
        raise Broken("answered 426 without saying what to upgrade to")


# TLS


def _clientHello(version: int) -> bytes:
    """Write the beginning of a TLS handshake.

    :param version: the most that is understood: 1 for TLS 1.0, 2 for TLS 1.1
    """
    suites = b"\xc0\x13\xc0\x14\xc0\x09\xc0\x0a\x00\x2f\x00\x35"
    curves = b"\x00\x0a\x00\x06\x00\x04\x00\x17\x00\x18\x00\x0b\x00\x02\x01\x00"
    body = (
        bytes([3, version])
        + os.urandom(32)
        + b"\0"
        + len(suites).to_bytes(2, "big")
        + suites
        # Compression too: DEFLATE, or none.
        + b"\x02\x01\x00"
        + len(curves).to_bytes(2, "big")
        + curves
    )
    hello = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(hello).to_bytes(2, "big") + hello


def _needTLS(target: Target) -> None:
    if not target.secure:
        raise Passed("this port has no TLS")


async def row_S01(target: Target) -> None:
    """TLS of older versions"""
    _needTLS(target)

    async def refused(name: str, version: int) -> None:
        wire = await target.connect(secure=False)
        wire.send(_clientHello(version))
        await wire.until(lambda: wire.received)
        # An alert is of type 21, a ServerHello of type 22.
        if wire.received[:1] == b"\x16":
            raise Broken(f"{name} was agreed to")
        if not await wire.hasEnded():
            raise Broken(f"{name}: the connection was left open")

    await target.all(refused("TLS 1.0", 1), refused("TLS 1.1", 2))


async def row_S03(target: Target) -> None:
    """plaintext on a port with TLS"""
    _needTLS(target)
    wire = await target.connect(secure=False)
    wire.send(target.request())
    if not await wire.hasEnded():
        raise Broken("the connection was left open")
    if wire.answer is not None and wire.answer.status == 101:
        raise Broken("answered 101")
