"""A socket, a reactor and protocols for tests of transports: they do as they are told,
and note what they are told."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IReactorFDSet,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python import context
from twisted.python.failure import Failure
from twisted.python.log import ILogContext
from zope.interface import implementer

from twisted_ws.transport import FastServer


@implementer(IReactorFDSet, IReactorTime)
class FDReactor(Clock):
    """Notes who wants to read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []
        self.writers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        """Note it."""
        if reader not in self.readers:
            self.readers.append(reader)

    def addWriter(self, writer: Any) -> None:
        """Note it."""
        if writer not in self.writers:
            self.writers.append(writer)

    def removeReader(self, reader: Any) -> None:
        """Forget it."""
        if reader in self.readers:
            self.readers.remove(reader)

    def removeWriter(self, writer: Any) -> None:
        """Forget it."""
        if writer in self.writers:
            self.writers.remove(writer)

    def getReaders(self) -> list[Any]:
        """Give who wants to read."""
        return self.readers

    def getWriters(self) -> list[Any]:
        """Give who wants to write."""
        return self.writers

    def removeAll(self) -> list[Any]:
        """Give all."""
        return self.readers + self.writers


class FakeSocket:
    """A socket that takes and gives what it is told to.

    :param takes: bytes, or errors, one for each send
    :param gives: bytes, or errors, one for each read
    """

    def __init__(self, *takes: Any, gives: Any = ()) -> None:
        self.takes = list(takes)
        self.gives = list(gives)
        self.sent = b""

    def fileno(self) -> int:
        """Give no descriptor."""
        return -1

    def setblocking(self, _: bool) -> None:
        """Never block."""

    def send(self, data: bytes) -> int:
        """Take some."""
        take = self.takes.pop(0)
        if isinstance(take, OSError):
            raise take
        self.sent += bytes(data[:take])
        return min(int(take), len(data))

    def recv(self, size: int) -> bytes:
        """Give what is next."""
        give = self.gives.pop(0)
        if isinstance(give, OSError):
            raise give
        assert len(give) <= size
        return bytes(give)


class Noting(Protocol):
    """Notes what comes."""

    hook: Any = None
    lost: Failure | None = None

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.prefixes: list[Any] = []

    def dataReceived(self, data: bytes) -> None:
        """Note it.

        :param data: it
        """
        self.got.append(data)
        self.prefixes.append(context.get(ILogContext)["system"])
        if self.hook is not None:
            self.hook(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Note it.

        :param reason: how
        """
        self.lost = reason


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Noting):
    """Notes halves, too."""

    halves = ""

    def readConnectionLost(self) -> None:
        """Note it."""
        self.halves += "read"

    def writeConnectionLost(self) -> None:
        """Note it."""
        self.halves += "write"


def makeServer(
    skt: Any, reactor: Any, protocol: Noting | None = None, number: int = 7
) -> tuple[FastServer, Any]:
    """Make a transport and its protocol.

    :param skt: its socket
    :param reactor: its reactor, or a poller
    :param protocol: another one than a :class:`Noting`
    :param number: of the connection
    """
    protocol = protocol or Noting()
    server = FastServer(
        skt,
        protocol,
        ("192.0.2.7", 1),
        None,  # type: ignore[arg-type]
        number,
        reactor,
    )
    protocol.makeConnection(server)  # type: ignore[no-untyped-call]
    return server, protocol
