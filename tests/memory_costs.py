"""What idle connections take: ``python -m tests.memory_costs``.

Prints the tables of docs/topics/memory.rst, measured on this machine: the memory of a
server's process for each idle connection, beside that of a protocol of Twisted that
does nothing, and which objects the connection itself consists of.
"""

from __future__ import annotations

import argparse
import gc
import socket
import ssl
import subprocess
import sys
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from tests.certificates import keyToPEM, makeCertificate, makeKey, toPEM
from tests.compression_costs import table
from twisted_ws import deciding
from twisted_ws.factory import WebSocketServerFactory
from twisted_ws.interfaces import WebSocketProtocol
from twisted_ws.server import ServerProtocol

CONNECTIONS = 5000
WARM = 200
"""Connections before the first look, for what the server makes only once."""

REQUEST = (
    "GET /chat HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n"
)
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
BROWSER = (
    "Origin: http://127.0.0.1:8080\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like "
    "Gecko) Chrome/128.0.0.0 Safari/537.36\r\nAccept-Encoding: gzip, deflate, br\r\n"
    "Accept-Language: en-US,en;q=0.9\r\n" + OFFER
)
MORE = {"none": "", "offer": OFFER, "browser": BROWSER}
"""What a request has beside the least there must be."""


class Idle(WebSocketProtocol):
    """Does nothing."""


# In the process of a server


def serve(kind: str, certificate: str) -> None:
    """Serve until the process is ended; prints the port.

    :param kind: ``bare`` for a protocol of Twisted, ``websocket`` for ours
    :param certificate: a PEM file with certificate and key, for TLS; empty without
    """
    from twisted.internet import reactor

    loop: Any = reactor
    factory: Any
    if kind == "bare":
        factory = Factory.forProtocol(Protocol)
    else:
        factory = WebSocketServerFactory(Idle)
    where = "0:interface=127.0.0.1:backlog=500"
    text = f"ssl:{where}:privateKey={certificate}" if certificate else f"tcp:{where}"

    def listening(port: Any) -> None:
        print(port.getHost().port, flush=True)

    serverFromString(loop, text).listen(factory).addCallback(listening)
    loop.run()


@contextmanager
def serving(kind: str, certificate: str) -> Iterator[tuple[int, int]]:
    """Have a server in a process of its own.

    :param kind: as for :func:`serve`
    :param certificate: likewise
    :returns: the process's id, and the port
    """
    code = f"from tests.memory_costs import serve; serve({kind!r}, {certificate!r})"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            yield process.pid, int(process.stdout.readline())
        finally:
            process.kill()


def residentKiB(pid: int) -> int:
    """Give the memory that a process has.

    :param pid: which
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ValueError(f"process {pid} does not say what memory it has")


def resident(kind: str, secure: bool, more: str, count: int, warm: int = WARM) -> float:
    """Give the KiB that a server's process takes for each idle connection.

    :param kind: as for :func:`serve`
    :param secure: whether over TLS
    :param more: what the request has beside the least, of :data:`MORE`
    :param count: how many connections
    :param warm: how many before them
    """
    request = f"{REQUEST}{MORE[more]}\r\n".encode("ascii")
    if secure:
        request = request.replace(b"Origin: http:", b"Origin: https:")
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with ExitStack() as stack:
        certificate = ""
        if secure:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            file = folder / "both.pem"
            key = makeKey()
            file.write_bytes(toPEM(makeCertificate("localhost", key)) + keyToPEM(key))
            certificate = str(file)
        pid, port = stack.enter_context(serving(kind, certificate))

        def connect() -> None:
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            if secure:
                client = stack.enter_context(context.wrap_socket(client))
            if kind == "websocket":
                client.sendall(request)
                assert b" 101 " in client.recv(4096)

        for _ in range(warm):
            connect()
        before = residentKiB(pid)
        for _ in range(count):
            connect()
        return (residentKiB(pid) - before) / count


# In this process, without a network


class Sink:
    """A transport that takes everything, one for all connections."""

    disconnecting = False

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        """Keep what was written last."""
        self.written = data

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Never ask it for anything."""

    def getPeer(self) -> IPv4Address:
        """Give another object each time, as Twisted does."""
        return IPv4Address("TCP", "192.0.2.7", 50123)

    def getHost(self) -> IPv4Address:
        """Likewise."""
        return IPv4Address("TCP", "192.0.2.1", 8080)


class Idlers:
    """A factory with idle connections.

    :param more: what their requests have beside the least, of :data:`MORE`
    """

    def __init__(self, more: str = "none") -> None:
        self._request = f"{REQUEST}{MORE[more]}\r\n".encode("ascii")
        self._sink = Sink()
        self.clock = Clock()
        self.factory = WebSocketServerFactory(Idle, reactor=self.clock)

    def open(self, count: int) -> list[ServerProtocol]:
        """Open connections.

        :param count: how many
        """
        made = []
        for _ in range(count):
            wire = self.factory.buildProtocol(None)
            wire.makeConnection(self._sink)  # type: ignore[no-untyped-call]
            wire.dataReceived(self._request)
            assert b" 101 " in self._sink.written
            made.append(wire)
        return made

    def exchangePings(self) -> None:
        """Have every connection send a ping, and answer it."""
        self.clock.advance(self.factory.options.pingInterval + 1)
        payload = self._sink.written[2:]
        assert self._sink.written[0] == 0x89
        for wire in self.factory.connections:
            wire.dataReceived(b"\x8a\x84\0\0\0\0" + payload)


@contextmanager
def unlogged() -> Iterator[None]:
    """Have nothing logged about requests: until logging begins, which it never does
    here, Twisted keeps every event."""
    log = deciding._log
    before = log.observer
    log.observer = cast(Any, _drop)
    try:
        yield
    finally:
        log.observer = before


def _drop(event: object) -> None:
    """Do nothing with an event."""


def traced(count: int, more: str = "none", pinged: bool = False) -> float:
    """Give the bytes that Python allocates for a connection, its transport left out.

    :param count: how many are made
    :param more: as for :class:`Idlers`
    :param pinged: whether each has been pinged, and has answered
    """
    idlers = Idlers(more)
    # They share what is made once.
    idlers.open(10)
    idlers.exchangePings()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        with unlogged():
            made = idlers.open(count)
        if pinged:
            idlers.exchangePings()
        # What a list of them takes is no connection's.
        size = sys.getsizeof(made)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (after - before - size) / count


_NOT_OWN = (type, FunctionType, MethodType, ModuleType, Clock, Sink)


def _reachable(idlers: Idlers, root: object) -> dict[int, Any]:
    """Give all objects that an object leads to, by their ids."""
    factory = idlers.factory
    shared = {id(each) for each in (factory, factory.deadlines, factory.options)}
    found: dict[int, Any] = {}
    waiting = [root]
    while waiting:
        each = waiting.pop()
        if id(each) in found or id(each) in shared or isinstance(each, _NOT_OWN):
            continue
        found[id(each)] = each
        waiting.extend(gc.get_referents(each))
    return found


def parts(more: str = "none") -> dict[str, int]:
    """Give the bytes of the objects that only one connection has, by what they are.

    :param more: as for :class:`Idlers`
    """
    idlers = Idlers(more)
    one, other = idlers.open(2)
    ours = _reachable(idlers, one)
    theirs = _reachable(idlers, other)
    sizes: Counter[str] = Counter()
    for key, each in ours.items():
        if key not in theirs:
            name = type(each).__name__
            if each is one.request._headers:
                name = "header lines"
            sizes[name] += sys.getsizeof(each)
    return dict(sizes.most_common())


def residentRows(count: int, warm: int = WARM) -> Iterator[tuple[str, ...]]:
    """Measure what a connection takes of a process.

    :param count: how many connections, a fifth of them over TLS
    :param warm: as for :func:`resident`
    """
    for text, kind, more in (
        ("a protocol of Twisted that does nothing", "bare", "none"),
        ("WebSocket, no compression", "websocket", "none"),
        ("WebSocket, compression agreed and not used", "websocket", "offer"),
        ("WebSocket, a browser", "websocket", "browser"),
    ):
        plain = resident(kind, False, more, count, warm)
        secure = resident(kind, True, more, count // 5, warm)
        yield text, f"{plain:.2f}", f"{secure:.1f}"


def partRows() -> Iterator[tuple[str, ...]]:
    """Take a connection apart."""
    none, browser = parts("none"), parts("browser")
    for name in sorted(browser, key=lambda name: -browser[name]):
        yield name, str(none.get(name, "")), str(browser[name])
    yield "together", str(sum(none.values())), str(sum(browser.values()))
    for text, pinged in (("allocated", False), ("allocated, once pinged", True)):
        sizes = [traced(2000, more, pinged) for more in ("none", "browser")]
        yield (text, *(f"{size:.0f}" for size in sizes))


def main(count: int = CONNECTIONS, warm: int = WARM) -> None:
    """Print everything.

    :param count: as for :func:`residentRows`
    :param warm: likewise
    """
    print(f"KiB of the server's process for each of {count} idle connections\n")
    table(("What", "TCP", "TLS"), residentRows(count, warm))
    print("Bytes of a connection's own objects, without its transport\n")
    table(("What", "no compression", "a browser"), partRows())


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    main()
