"""What is measured: the scenarios."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from tests.benchmark import wire

from .catalog import Setup

__all__ = ["GROUPS", "SCENARIOS", "Scenario", "choose"]

KIB = 1024
MIB = 1024 * KIB
_SHAPES: dict[str, Callable[[int], wire.Script]] = {
    "plain": lambda size: wire.plain(wire.text(size)),
    "json": lambda size: _compressed(size, "equal"),
    "json-defaults": lambda size: _compressed(size, "defaults"),
}


def _compressed(size: int, offer: str) -> wire.Script:
    return wire.compressed(wire.jsonMessages(size), wire.OFFERS[offer])


@dataclass(frozen=True)
class Scenario:
    """Something that all servers do in turn.

    :ivar name: on the command line.
    :ivar title: in tables.
    :ivar kind: what is done: ``echo``, ``broadcast``, ``handshakes`` or ``memory``.
    :ivar connections: how many.
    :ivar window: messages that are under way on each.
    :ivar size: bytes of a message.
    :ivar shape: what the messages are.
    :ivar setup: what the servers are started for.
    :ivar group: which it belongs to.
    """

    name: str
    title: str
    kind: str = "echo"
    connections: int = 1
    window: int = 1
    size: int = 256
    shape: str = "plain"
    setup: Setup = field(default_factory=Setup)
    group: str = "goals"

    @property
    def script(self) -> wire.Script:
        """What is sent on each connection."""
        return _script(self.shape, self.size)


@lru_cache(2)
def _script(shape: str, size: int) -> wire.Script:
    return _SHAPES[shape](size)


_SECURE = Setup(secure=True)
SCENARIOS: Sequence[Scenario] = (
    Scenario("pipelined-16", "64 in flight, 16 B", window=64, size=16),
    Scenario("pipelined-256", "64 in flight, 256 B", window=64),
    Scenario("connections-100", "100 connections, 256 B", connections=100),
    Scenario("connections-1000", "1000 connections, 256 B", connections=1000),
    Scenario("ping-pong", "1 connection, 1 in flight, 256 B"),
    Scenario(
        "4k",
        "20 connections, 8 in flight, 4 KiB",
        connections=20,
        window=8,
        size=4 * KIB,
    ),
    Scenario("64k", "4 connections, 2 in flight, 64 KiB", "echo", 4, 2, size=64 * KIB),
    Scenario("1m", "2 connections, 1 MiB", connections=2, size=MIB),
    Scenario("tls-50", "TLS, 50 connections, 256 B", connections=50, setup=_SECURE),
    Scenario("tls-pipelined", "TLS, 64 in flight, 256 B", window=64, setup=_SECURE),
    Scenario(
        "tls-64k",
        "TLS, 4 connections, 2 in flight, 64 KiB",
        connections=4,
        window=2,
        size=64 * KIB,
        setup=_SECURE,
    ),
    Scenario(
        "deflate",
        "deflate, equal terms, 4 connections, 8 in flight, 1 KiB of JSON",
        connections=4,
        window=8,
        size=KIB,
        shape="json",
        setup=Setup(deflate="equal"),
    ),
    Scenario(
        "deflate-fast",
        "the same at level 1",
        connections=4,
        window=8,
        size=KIB,
        shape="json",
        setup=Setup(deflate="fast"),
    ),
    Scenario(
        "deflate-defaults",
        "the same with the defaults of each",
        connections=4,
        window=8,
        size=KIB,
        shape="json-defaults",
        setup=Setup(deflate="defaults"),
    ),
    Scenario(
        "broadcast",
        "broadcast of 256 B to 1000 connections",
        "broadcast",
        1000,
        setup=Setup(broadcast=True),
    ),
    Scenario("handshakes", "handshakes", "handshakes"),
    Scenario("memory", "KiB per idle connection", "memory", 1000),
    Scenario(
        "memory-tls", "KiB per idle TLS connection", "memory", 1000, setup=_SECURE
    ),
)
GROUPS = tuple(dict.fromkeys(each.group for each in SCENARIOS))


def choose(names: Sequence[str]) -> list[Scenario]:
    """Find scenarios, in the order in which they are measured.

    :param names: of scenarios and groups; none for the goals
    :raises ValueError: a name that is none
    """
    wanted = set(names) or {"goals"}
    known = {each.name for each in SCENARIOS} | set(GROUPS)
    if unknown := sorted(wanted - known):
        raise ValueError(f"no scenario or group is called {unknown[0]!r}")
    return [each for each in SCENARIOS if wanted & {each.name, each.group}]
