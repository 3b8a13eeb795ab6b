"""What compression costs and brings: ``python -m tests.compression_costs``.

Prints the tables of docs/topics/compression.rst, measured on this machine: memory of a
connection and speed for each preset and engine, where compression begins to pay, and
what idle connections take.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from twisted_ws.compression import ENGINES, PRESETS, findEngine
from twisted_ws.connection import Connection, Role
from twisted_ws.offers import agree
from twisted_ws.options import Options, ServerOptions

MESSAGES = 300
CONNECTIONS = 1000
_WORDS = ("alpha", "beta", "delta", "price", "size", "open", "closed", "new", "order")


def corpus(size: int, seed: int = 1) -> list[str]:
    """Make JSON messages as applications send them: the same keys, values that differ.

    :param size: about how many bytes each has
    :param seed: for numbers that are the same each time
    """
    chance = random.Random(seed)
    messages = []
    for number in range(MESSAGES):
        message = {
            "type": chance.choice(("trade", "quote", "chat")),
            "id": number,
            "user": chance.choice(_WORDS),
            "price": round(chance.uniform(1, 1000), 2),
        }
        text = json.dumps(message)
        items: list[object] = []
        while len(text) < size:
            items.append(
                {
                    "key": f"{chance.getrandbits(32):08x}",
                    "count": chance.randint(1, 9),
                    "tag": chance.choice(_WORDS),
                    "open": chance.random() < 0.5,
                }
            )
            text = json.dumps({**message, "items": items})
        messages.append(text)
    return messages


def best(call: Callable[[], object], rounds: int = 5) -> float:
    """Give the shortest time that a call takes, in seconds.

    :param call: what to time
    :param rounds: how often
    """
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


def pair(options: Options) -> tuple[Connection, Connection]:
    """Make a server's and a client's connection that have agreed.

    :param options: of both
    """
    settings = options.deflateSettings
    offer = [("permessage-deflate", [("client_max_window_bits", None)])]
    deflate = None if settings is None else agree(offer, settings)
    return (
        Connection(Role.SERVER, options, deflate=deflate),
        Connection(Role.CLIENT, options, deflate=deflate),
    )


def cost(options: Options, messages: Sequence[str]) -> tuple[float, float, float]:
    """Measure messages from a server to a client.

    :param options: of both
    :param messages: what is sent
    :returns: bytes on the wire for each byte of a message, microseconds to send one and
        to receive one
    """
    wires: list[bytes] = []

    def send() -> None:
        wires.clear()
        server, _ = pair(options)
        wires.extend(server.sendText(each) for each in messages)

    def receive() -> None:
        _, client = pair(options)
        for wire in wires:
            client.receive(wire)

    sending, receiving = best(send), best(receive)
    ratio = sum(map(len, wires)) / sum(len(each.encode()) for each in messages)
    count = len(messages)
    return ratio, sending / count * 1e6, receiving / count * 1e6


_MEMORY = """
import sys
from tests import compression_costs
from twisted_ws.options import ServerOptions
sys.stdout.write(str(compression_costs.memoryHere(
    ServerOptions(compression={preset!r}, compressionEngine={engine!r}), {used})))
"""


def memoryHere(options: Options, used: int) -> float:
    """Give the KiB of this process that a connection takes; memory that was freed
    before is reused, so each figure wants a process of its own.

    :param options: of the connections
    :param used: how many messages of 1 KiB went each way before
    """

    def resident() -> int:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * 4

    messages = corpus(1024)
    keep = [pair(options) for _ in range(10)]
    for server, client in keep:
        # What is shared is there before.
        client.receive(server.sendText(messages[0]))
    before = resident()
    for _ in range(CONNECTIONS):
        server, client = pair(options)
        for each in messages[:used]:
            server.receive(client.sendText(each))
            server.sendText(each)
        keep.append((server, server))
    return (resident() - before) / CONNECTIONS


def memory(preset: str, engine: str, used: int) -> float:
    """Give the KiB that a server's connection takes, in a fresh process.

    :param preset: as in the option ``compression``
    :param engine: as in ``compressionEngine``
    :param used: as for :func:`memoryHere`
    """
    code = _MEMORY.format(preset=preset, engine=engine, used=used)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> None:
    """Print a table in reST.

    :param head: its columns
    :param rows: its rows
    """
    print(".. list-table::\n   :header-rows: 1\n")
    for row in (head, *rows):
        for number, cell in enumerate(row):
            print(f"   {'*' if number == 0 else ' '} - {cell}")
    print(flush=True)


def engines() -> list[str]:
    """Give the engines that are installed."""
    found = []
    for name in ENGINES:
        try:
            findEngine(name)
        except ValueError:
            continue
        found.append(name)
    return found


def presetRows() -> Iterator[Sequence[str]]:
    """Measure each preset with each engine."""
    plain = memory("none", "zlib", 20)
    for preset in PRESETS:
        for engine in engines() if preset != "none" else ["zlib"]:
            options = ServerOptions(compression=preset, compressionEngine=engine)
            taken = memory(preset, engine, 20) - plain
            cells = [preset, engine if preset != "none" else "", f"{max(taken, 0):.0f}"]
            for size in (256, 1024, 16384):
                ratio, sending, receiving = cost(options, corpus(size))
                cells.append(f"{ratio:.0%}, {sending:.1f}, {receiving:.1f}")
            yield cells


def thresholdRows() -> Iterator[Sequence[str]]:
    """Measure small messages with and without."""
    for size in (16, 32, 48, 64, 96, 128, 256):
        messages = [each[:size] for each in corpus(512)]
        cells = [str(size)]
        for preset in ("none", "shared", "small"):
            options = ServerOptions(compression=preset, compressionThreshold=0)
            ratio, sending, receiving = cost(options, messages)
            cells.append(f"{ratio * size:.0f}, {sending + receiving:.1f}")
        yield cells


def levelRows() -> Iterator[Sequence[str]]:
    """Measure each level with messages of 1 KiB."""
    for level in range(1, 10):
        cells = [str(level)]
        for engine in engines():
            options = ServerOptions(compressionLevel=level, compressionEngine=engine)
            ratio, sending, _ = cost(options, corpus(1024))
            cells.append(f"{ratio:.1%}, {sending:.1f}")
        yield cells


def main() -> None:
    """Print everything."""
    print(
        "Idle, KiB a connection: compression agreed and none of it used yet, without:"
    )
    print(f"{memory('small', 'zlib', 0):.2f}, {memory('none', 'zlib', 0):.2f}\n")
    table(
        (
            "Preset",
            "Engine",
            "KiB a connection",
            "256 B: size, µs to send, to receive",
            "1 KiB",
            "16 KiB",
        ),
        presetRows(),
    )
    print("Small messages: bytes on the wire, µs to send and receive together\n")
    table(("Bytes", "none", "shared", "small"), thresholdRows())
    print("Levels, 1 KiB, preset small: size, µs to send\n")
    table(("Level", *engines()), levelRows())


if __name__ == "__main__":
    main()
