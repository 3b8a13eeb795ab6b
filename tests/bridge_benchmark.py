"""The bridge beside websockify: ``python -m tests.bridge_benchmark WEBSOCKIFY``.

WEBSOCKIFY is the program of that name, from PyPI, in whatever environment. Both lead to
the same target on loopback, and are visited in turn. The bridge has one core and
everything else another, if there are two. Prints the table of docs/howto/bridge.rst:
medians over the rounds, and what of that matters most on a busy machine, the
processor time that the bridge took.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

from tests.processes import environment, freePort, program
from twisted_ws.frames import FIN, Opcode, encodeFrame

MIB = 1024 * 1024
_PATIENCE = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")
# What the target does with a connection, by the first byte on it.
_SINK, _SOURCE, _ECHO = b"s", b"f", b"e"


def target(listening: socket.socket) -> None:
    """Serve connections: each does what its first byte says.

    :param listening: where they come
    """
    while True:
        connection, _ = listening.accept()
        Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, suppress(OSError):
        kind = connection.recv(1)
        if kind == _SINK:
            left = int.from_bytes(_exactly(connection, 8), "big")
            while left:
                left -= len(connection.recv(min(left, MIB)))
            connection.sendall(b"!")
        elif kind == _SOURCE:
            left = int.from_bytes(_exactly(connection, 8), "big")
            block = bytes(65536)
            while left:
                connection.sendall(block[:left])
                left -= min(left, len(block))
        while data := connection.recv(65536):
            connection.sendall(data)


def _exactly(connection: socket.socket, size: int) -> bytes:
    """Read so many bytes."""
    found = b""
    while len(found) < size:
        data = connection.recv(size - len(found))
        if not data:
            raise ConnectionError("the connection has ended")
        found += data
    return found


def masked(data: bytes) -> bytes:
    """Write a message as a client does."""
    return encodeFrame(FIN | Opcode.BINARY, data, b"\x12\x34\x56\x78")


def connect(port: int) -> socket.socket:
    """Open a WebSocket connection to a bridge.

    :param port: the bridge's
    """
    connection = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = b64encode(os.urandom(16)).decode()
    connection.sendall(
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: binary\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += _exactly(connection, 1)
    assert head.startswith(b"HTTP/1.1 101 "), head
    return connection


def upload(port: int, size: int, message: int) -> float:
    """Send so many bytes to the target, and give the seconds that took.

    :param port: the bridge's
    :param size: how many
    :param message: in messages of how many
    """
    frame = masked(bytes(message))
    # Many to a call, or this program would be what is measured.
    block = frame * max(1, 262144 // len(frame))
    whole, rest = divmod(size // message * len(frame), len(block))
    with connect(port) as connection:
        began = time.perf_counter()
        connection.sendall(
            masked(_SINK + (size // message * message).to_bytes(8, "big"))
        )
        for _ in range(whole):
            connection.sendall(block)
        connection.sendall(block[:rest])
        # A frame of one byte.
        assert _exactly(connection, 3)[2:] == b"!"
        return time.perf_counter() - began


def download(port: int, size: int) -> float:
    """Have the target send so many bytes, and give the seconds that took.

    :param port: the bridge's
    :param size: how many
    """
    buffer = bytearray(MIB)
    with connect(port) as connection:
        began = time.perf_counter()
        connection.sendall(masked(_SOURCE + size.to_bytes(8, "big")))
        # The headers come on top, and this is what has to come at least.
        left = size
        while left > 0:
            left -= connection.recv_into(buffer)
        return time.perf_counter() - began


def roundTrips(port: int, count: int) -> float:
    """Have the target send 100 bytes back so many times, and give the seconds.

    :param port: the bridge's
    :param count: how many times
    """
    message = masked(bytes(100))
    with connect(port) as connection:
        connection.sendall(masked(_ECHO))
        began = time.perf_counter()
        for _ in range(count):
            connection.sendall(message)
            _exactly(connection, 102)
        return time.perf_counter() - began


def processorTime(process: int) -> float:
    """Give the seconds of processor time of a process and its children, those that
    have ended included."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            status = path.read_text().rpartition(") ")[2].split()
            own = int(path.parent.name) == process
            if own or int(status[1]) == process:
                ticks += sum(int(each) for each in status[11 : 15 if own else 13])
    return ticks / _TICKS


@contextmanager
def running(command: list[str], port: int, directory: str) -> Iterator[int]:
    """Run a bridge, on a core of its own.

    :param command: starts it
    :param port: where it listens then
    :param directory: where it runs
    :returns: its process
    """
    cores = sorted(os.sched_getaffinity(0))
    process = subprocess.Popen(
        command,
        cwd=directory,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.sched_setaffinity(process.pid, cores[:1])
    try:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                connect(port).close()
                break
            except OSError:
                assert time.monotonic() < deadline, f"{command} does not listen"
                time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("websockify", help="the program to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mebibytes", type=int, default=200, help="for each figure")
    arguments = parser.parse_args()
    size = arguments.mebibytes * MIB
    scenarios: dict[str, tuple[Callable[[int], float], int]] = {
        "to the target, messages of 64 KiB": (lambda p: upload(p, size, 65536), size),
        "to the target, messages of 1 KiB": (
            lambda p: upload(p, size // 4, 1024),
            size // 4,
        ),
        "from the target": (lambda p: download(p, size), size),
        "100 bytes there and back": (lambda p: roundTrips(p, 5000), 0),
    }
    listening = socket.create_server(("127.0.0.1", 0))
    here = listening.getsockname()[1]
    targets = os.fork()
    if targets == 0:
        _lastCore()
        with suppress(KeyboardInterrupt):
            target(listening)
        os._exit(0)
    _lastCore()
    with tempfile.TemporaryDirectory() as directory:
        ports = freePort(), freePort()
        ours = [*program("twistd"), "-n", "--pidfile", "p", "--logfile", "log"]
        ours += ["websocket", "--interface", "127.0.0.1", "--port", str(ports[0])]
        ours += ["--bridge", f"127.0.0.1:{here}"]
        theirs = [arguments.websockify, f"127.0.0.1:{ports[1]}", f"127.0.0.1:{here}"]
        with (
            running(ours, ports[0], directory) as one,
            running(theirs, ports[1], directory) as two,
        ):
            _measure(scenarios, ((ports[0], one), (ports[1], two)), arguments.rounds)
    os.kill(targets, signal.SIGTERM)
    os.waitpid(targets, 0)


def _lastCore() -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[1:])


def _measure(
    scenarios: dict[str, tuple[Callable[[int], float], int]],
    bridges: tuple[tuple[int, int], tuple[int, int]],
    rounds: int,
) -> None:
    print(f"{'':38}{'bridge':>10}{'websockify':>12}{'ratio':>7}{'CPU ratio':>11}")
    for name, (measure, size) in scenarios.items():
        seconds: tuple[list[float], list[float]] = ([], [])
        processor: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for number, (port, process) in enumerate(bridges):
                before = processorTime(process)
                seconds[number].append(measure(port))
                # websockify's child for the connection is counted when it has ended.
                time.sleep(0.3)
                processor[number].append(processorTime(process) - before)
        took = [statistics.median(each) for each in seconds]
        used = [max(statistics.median(each), 1 / _TICKS) for each in processor]
        if size:
            shown = [f"{size / MIB / each:.0f} MiB/s" for each in took]
        else:
            shown = [f"{each / 5000 * 1e6:.0f} us" for each in took]
        print(
            f"{name:38}{shown[0]:>10}{shown[1]:>12}{took[1] / took[0]:7.2f}"
            f"{used[1] / used[0]:11.2f}"
        )


if __name__ == "__main__":
    main()
