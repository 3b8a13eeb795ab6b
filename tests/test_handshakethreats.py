"""Rows of the opening handshake and TLS, on servers that are nearly right.

``test_attacks`` has servers that are right, and such that accept everything.
"""

# pytest-twisted has no types.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted  # type: ignore[import-untyped]

from tests.test_adversary import ACCEPTED, against, saying
from twisted_ws import handshakethreats as threats
from twisted_ws.adversary import Passed, Target


def answering(data: bytes, closes: bool = True) -> Callable[[Any], object]:
    """Give what answers with bytes, and closes the connection or not."""

    def answer(server: Any) -> None:
        server.transport.write(data)
        if closes:
            server.transport.loseConnection()

    return answer


def response(status: int, *lines: str, body: str = "") -> bytes:
    """Write a response."""
    head = [f"HTTP/1.1 {status} Reason", *lines, "", body]
    return "\r\n".join(head).encode()


def saidAtOnce(target: Target, data: bytes) -> None:
    """Have each connection to a target begin with some bytes from there."""
    connect = target.connect

    async def greeted(secure: bool | None = None, host: str = "") -> Any:
        wire = await connect(secure, host)
        wire.dataReceived(data)
        return wire

    target.connect = greeted  # type: ignore[method-assign]


@pytest_twisted.ensureDeferred
async def test_H02() -> None:
    """A subprotocol that nobody offered is told."""
    strange = ACCEPTED.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: x\r\n\r\n")
    async with against(answering(strange)) as target:
        assert await saying(threats.row_H02(target)) == "chose the subprotocol ['x']"


@pytest_twisted.ensureDeferred
async def test_statuses() -> None:
    """Other answers than those that were promised are told."""
    for row, data, words in (
        (threats.row_H03, response(400), "byte by byte: answered 400; with a frame: "),
        (
            threats.row_H06,
            response(426),
            "no version: answered 426, but not that version 13 would do; ",
        ),
        (
            threats.row_H07,
            response(400) * 2,
            "Content-Length: the body was answered too; ",
        ),
        (threats.row_H12, response(400), "answered 400, not 403"),
        (threats.row_H12, ACCEPTED, "answered 101, not 403"),
        (threats.row_H19, ACCEPTED, "answered 101"),
        (
            threats.row_H19,
            response(426),
            "answered 426 without saying what to upgrade to",
        ),
    ):
        async with against(answering(data)) as target:
            assert (await saying(row(target))).startswith(words), row


@pytest_twisted.ensureDeferred
async def test_H10(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that trickles gets an answer, and then the end."""
    monkeypatch.setattr(threats, "_TRICKLE", (0.05, 3))
    for data, words in (
        (b"", "over 10 s: nothing came within 0.2 s, not 408"),
        (response(400), "answered 400, not 408"),
        (response(408), "answered 408, but left the connection open"),
    ):
        async with against(lambda _: None) as target:
            saidAtOnce(target, data)
            assert await saying(threats.row_H10(target)) == words


@pytest_twisted.ensureDeferred
async def test_H12(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that is bound to more than loopback may accept any Host, and so may one of
    which that is not known."""
    async with against(answering(ACCEPTED)) as target:
        # As a port that is bound to all addresses: 127.0.0.2 gets there, too.
        connect = target.connect

        async def anywhere(secure: bool | None = None, host: str = "") -> Any:
            return await connect(secure)

        monkeypatch.setattr(target, "connect", anywhere)
        with pytest.raises(Passed, match="need not be bound to loopback only"):
            await threats.row_H12(target)
    monkeypatch.setattr("sys.platform", "unknown")
    async with against(answering(ACCEPTED)) as target:
        with pytest.raises(Passed):
            await threats.row_H12(target)


@pytest_twisted.ensureDeferred
async def test_H14() -> None:
    """Extension headers get an answer, or the end, in time."""
    async with against(lambda _: None) as target:
        assert (await saying(threats.row_H14(target))).startswith(
            "150 offers: nothing came within 0.2 s; semicolons: "
        )
    async with against(lambda server: server.transport.loseConnection()) as target:
        await threats.row_H14(target)


@pytest_twisted.ensureDeferred
async def test_TLS() -> None:
    """What speaks older TLS, takes plaintext, or leaves it at that, is told."""
    async with against(answering(ACCEPTED)) as target:
        for row in (threats.row_S01, threats.row_S03):
            with pytest.raises(Passed, match="no TLS"):
                await row(target)
    async with against(answering(ACCEPTED), secure=True) as target:
        assert await saying(threats.row_S03(target)) == "answered 101"
    async with against(lambda _: None, secure=True) as target:
        assert await saying(threats.row_S03(target)) == "the connection was left open"
        assert (await saying(threats.row_S01(target))).startswith(
            "TLS 1.0: the connection was left open; "
        )

    async with against(lambda _: None, secure=True) as target:
        saidAtOnce(target, b"\x16\x03\x01")
        assert await saying(threats.row_S01(target)) == (
            "TLS 1.0 was agreed to; TLS 1.1 was agreed to"
        )
