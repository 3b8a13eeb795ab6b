"""A socket and a reactor for tests of transports: they do as they are told."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.internet.task import Clock
from zope.interface import implementer


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
