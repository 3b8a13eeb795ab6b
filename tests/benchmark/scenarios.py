"""What is measured: the scenarios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tests.benchmark import wire

from .catalog import Setup
from .settings import message

__all__ = ["GROUPS", "SCENARIOS", "Scenario", "choose"]

KIB = 1024
MIB = 1024 * KIB
_PLAIN = Setup()


@dataclass(frozen=True)
class Scenario:
    """Something that all servers do in turn.

    :ivar name: on the command line.
    :ivar title: in tables.
    :ivar kind: what is done: ``echo``, ``broadcast``, ``client``, ``dribble``,
        ``handshakes``, ``latency`` or ``memory``.
    :ivar connections: how many.
    :ivar window: messages that are under way on each.
    :ivar size: bytes of a message.
    :ivar shape: what the messages are.
    :ivar setup: what the servers are started for.
    :ivar apart: whether each message is handed to the socket by itself.
    :ivar rate: messages a second, where that is fixed.
    :ivar group: which it belongs to.
    """

    name: str
    title: str
    kind: str = "echo"
    connections: int = 1
    window: int = 1
    size: int = 256
    shape: str = "plain"
    setup: Setup = _PLAIN
    apart: bool = False
    rate: int = 0
    group: str = "goals"

    @property
    def script(self) -> wire.Script:
        """What is sent on each connection."""
        return _script(self.shape, self.size)


@lru_cache(2)
def _script(shape: str, size: int) -> wire.Script:
    kind, _, count = shape.partition("-")
    if kind == "json":
        offer = wire.OFFERS["defaults" if count else "equal"]
        return wire.compressed(wire.jsonMessages(size), offer)
    if kind == "fragments":
        return wire.fragmented(wire.text(size), size // int(count))
    if kind == "client":
        return wire.answering(message(size).encode())
    script = wire.plain(wire.text(size))
    if count:
        # Where it takes long enough for pings to come between.
        script.replySize = None
    return script


_SECURE = Setup(secure=True)
# More than the largest, as some mean less than.
_LARGE = Setup(maxSize=65 * MIB)
_BYTES = {
    "1k": KIB,
    "16k": 16 * KIB,
    "256k": 256 * KIB,
    "4m": 4 * MIB,
    "64m": 64 * MIB,
}


def _named(size: int) -> str:
    if size < KIB:
        return f"{size} B"
    return f"{size // KIB} KiB" if size < MIB else f"{size // MIB} MiB"


def _pipelined(name: str, size: int, setup: Setup = _PLAIN, **more: Any) -> Scenario:
    title = "TLS, " if setup.secure else ""
    return Scenario(
        name,
        f"{title}1 connection, 64 in flight, {_named(size)}",
        window=64,
        size=size,
        setup=setup,
        **more,
    )


def _some(name: str, connections: int, setup: Setup = _PLAIN, **more: Any) -> Scenario:
    title = "TLS, " if setup.secure else ""
    plural = "s" if connections > 1 else ""
    return Scenario(
        name,
        f"{title}{connections:,} connection{plural}, 1 in flight, 256 B",
        connections=connections,
        setup=setup,
        **more,
    )


def _deflate(name: str, terms: str, shape: str, title: str, group: str) -> Scenario:
    return Scenario(
        name,
        f"deflate, {title}, 1 KiB of JSON",
        connections=4,
        window=8,
        size=KIB,
        shape=shape,
        setup=Setup(deflate=terms),
        group=group,
    )


SCENARIOS: Sequence[Scenario] = (
    _pipelined("pipelined-16", 16),
    _pipelined("pipelined-256", 256),
    Scenario(
        "pipelined-apart",
        "64 in flight, 256 B, written one by one",
        window=64,
        apart=True,
    ),
    _some("connections-100", 100),
    _some("connections-1000", 1000),
    _some("ping-pong", 1),
    Scenario("4k", "20 connections, 8 in flight, 4 KiB", "echo", 20, 8, 4 * KIB),
    Scenario("64k", "4 connections, 2 in flight, 64 KiB", "echo", 4, 2, 64 * KIB),
    Scenario("1m", "2 connections, 1 in flight, 1 MiB", "echo", 2, 1, MIB),
    Scenario(
        "1m-kept",
        "2 connections, 1 in flight, 1 MiB, all keep freed memory",
        connections=2,
        size=MIB,
        setup=Setup(keeps=True),
    ),
    Scenario("handshakes", "handshakes, one after another", "handshakes"),
    _some("tls-50", 50, _SECURE),
    _pipelined("tls-pipelined", 256, _SECURE),
    Scenario(
        "tls-64k",
        "TLS, 4 connections, 2 in flight, 64 KiB",
        connections=4,
        window=2,
        size=64 * KIB,
        setup=_SECURE,
    ),
    _deflate("deflate", "equal", "json", "equal terms", "goals"),
    Scenario(
        "broadcast",
        "broadcast of 256 B to 1,000 connections",
        "broadcast",
        1000,
        setup=Setup(broadcast=True),
    ),
    Scenario("memory", "an idle connection, KiB", "memory", 1000),
    Scenario(
        "memory-tls", "an idle TLS connection, KiB", "memory", 1000, setup=_SECURE
    ),
    _deflate("deflate-fast", "fast", "json", "level 1", "compression"),
    _deflate(
        "deflate-defaults", "defaults", "json-any", "defaults of each", "compression"
    ),
    *(
        Scenario(
            f"size-{name}",
            f"1 connection, 1 in flight, {_named(size)}",
            size=size,
            setup=_LARGE,
            group="sizes",
        )
        for name, size in _BYTES.items()
    ),
    *(
        _some(f"count-{count}", count, shape="plain-parsed", group="counts")
        for count in (1, 10, 100, 1000, 10000)
    ),
    *(
        Scenario(
            f"fragments-{count}",
            f"64 KiB in {count:,} fragment{'s' if count > 1 else ''}",
            size=64 * KIB,
            shape=f"fragments-{count}",
            setup=Setup(fragments=True),
            group="fragments",
        )
        for count in (1, 16, 256, 4096)
    ),
    *(
        Scenario(
            f"dribble-{size}",
            f"{_named(size)}, byte by byte",
            "dribble",
            size=size,
            group="dribble",
        )
        for size in (64, 1024, 16384)
    ),
    *(
        Scenario(
            f"latency-{rate}",
            f"50 connections, 256 B, {rate:,} messages a second",
            "latency",
            50,
            rate=rate,
            group="latency",
        )
        for rate in (2000, 10000)
    ),
    *(
        Scenario(
            f"client-{name}",
            f"client, {title}, 256 B",
            "client",
            connections,
            window,
            shape="client",
            setup=Setup(client=True),
            group="clients",
        )
        for name, title, connections, window in (
            ("pipelined", "1 connection, 64 in flight", 1, 64),
            ("100", "100 connections, 1 in flight", 100, 1),
        )
    ),
)
GROUPS = tuple(dict.fromkeys(each.group for each in SCENARIOS))


def choose(names: Sequence[str]) -> list[Scenario]:
    """Find scenarios, in the order in which they are measured.

    :param names: of scenarios and groups, or ``all``; none for the goals
    :raises ValueError: a name that is none
    """
    wanted = set(names) or {"goals"}
    known = {each.name for each in SCENARIOS} | {"all", *GROUPS}
    if unknown := sorted(wanted - known):
        raise ValueError(f"no scenario or group is called {unknown[0]!r}")
    return [each for each in SCENARIOS if wanted & {each.name, each.group, "all"}]
