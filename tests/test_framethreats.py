"""Rows of frames, compression and time, on servers that are nearly right.

``test_attacks`` has servers that are right, and such that take everything.
"""

# pytest-twisted has no types.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted  # type: ignore[import-untyped]

from tests.test_adversary import accept, against, reactor, saying
from twisted_ws import framethreats
from twisted_ws.adversary import Passed
from twisted_ws.peerbytes import ACCEPT

CLOSE_1000 = b"\x88\x02\x03\xe8"
CLOSE_1002 = b"\x88\x02\x03\xea"


@pytest_twisted.ensureDeferred
async def test_F08() -> None:
    """What follows a Close frame is not answered, and the connection ends."""
    for sent, words in (
        (CLOSE_1002, "closed with 1002, not 1000"),
        (CLOSE_1000, "left the connection open behind the closing handshake"),
    ):
        async with against(accept(sent)) as target:
            assert await saying(framethreats.row_F08(target)) == words

    def answer(server: Any) -> None:
        accept(b"\x8a\x04late", CLOSE_1000)(server)
        reactor.callLater(0.05, server.transport.loseConnection)

    async with against(answer) as target:
        assert await saying(framethreats.row_F08(target)) == (
            "answered what came behind the Close frame"
        )


@pytest_twisted.ensureDeferred
async def test_F09() -> None:
    """Others being served, the fragments have an end with the right code."""
    pong = b"\x8a\x0cstill there?"
    async with against(accept(pong)) as target:
        assert (await saying(framethreats.row_F09(target))).startswith(
            "131,100 of them: a pong came, and within 1 s no more, not 1009"
        )
    async with against(accept(pong, CLOSE_1002)) as target:
        assert await saying(framethreats.row_F09(target)) == (
            "closed with 1002, not 1009"
        )


@pytest_twisted.ensureDeferred
async def test_F11() -> None:
    """Pongs that were kept are counted, when there are more than could be on their
    way."""
    pongs = (b"\x8a\x7d" + bytes(125)) * (22 * 1024 * 1024 // 125) + b"\x8a\x04last"
    async with against(accept(pongs)) as target:
        assert await saying(framethreats.row_F11(target)) == (
            "kept 22 MiB of pongs for a peer that did not read"
        )


@pytest_twisted.ensureDeferred
async def test_compression() -> None:
    """Where there is no compression, its rows are skipped; an offer that should have
    been declined is told."""
    rows = [getattr(framethreats, f"row_D0{number}") for number in range(1, 5)]
    async with against() as target:
        for row in rows:
            await row(target)
    async with against(accept()) as target:
        for row in rows:
            with pytest.raises(Passed, match="does not agree to compression"):
                await row(target)
    agreeing = (
        b"HTTP/1.1 101 OK\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
        b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
    )
    async with against(lambda server: server.transport.write(agreeing)) as target:
        assert (await saying(framethreats.row_D04(target))).startswith(
            "server_max_window_bits=7: agreed to; "
        )


@pytest_twisted.ensureDeferred
async def test_smallLimits() -> None:
    """The header of a message that is too large is a right one, whatever the limit."""
    for size in (100, 1000, 100_000):
        async with against(accept(CLOSE_1000), maxMessageSize=size) as target:
            assert (await saying(framethreats.row_F05(target))).startswith(
                f"{size + 1} bytes, of which none came: closed with 1000, not 1009; "
            )


@pytest_twisted.ensureDeferred
async def test_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is answered with a ping, a ping without pong with 1011; a Close frame
    without answer ends the connection."""
    monkeypatch.setattr(framethreats, "_SILENCE", 0.2)
    monkeypatch.setattr(framethreats, "_CLOSING", 0.2)
    for sent, words in (
        (b"", "no ping within 0.2 s"),
        (b"\x89\x00", "after a ping without pong: opcode 9 came, and within 0.2 s no"),
        (b"\x89\x00" + CLOSE_1000, "closed with 1000, not 1011"),
    ):
        async with against(accept(sent)) as target:
            assert (await saying(framethreats.row_T01(target))).startswith(words)
    async with against(accept(CLOSE_1002)) as target:
        assert await saying(framethreats.row_T02(target)) == (
            "0.2 s after its Close frame the connection is still there"
        )
