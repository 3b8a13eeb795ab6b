"""Writing at once: what the socket takes goes, the rest waits in order."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.tcp import Connection
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws import eager
from twisted_ws.eager import eagerWrite


class _Socket:
    """A socket that takes what it is told to."""

    def fileno(self) -> int:
        return -1

    def setblocking(self, _: bool) -> None:
        pass


class _Reactor:
    """Notes who wants to write."""

    def __init__(self) -> None:
        self.writers: list[object] = []

    def addWriter(self, writer: object) -> None:
        self.writers.append(writer)

    def removeWriter(self, writer: object) -> None:
        self.writers.remove(writer)


class _Connection(Connection):
    """A TCP connection that takes as much as it is told to.

    :param takes: bytes, or errors, one for each try
    """

    def __init__(self, *takes: Any) -> None:
        self.clock = _Reactor()
        super().__init__(_Socket(), None, self.clock)  # type: ignore[arg-type]
        self.connected = True
        self.takes = list(takes)
        self.sent = b""

    def writeSomeData(self, data: Any) -> Any:
        """Take some."""
        take = self.takes.pop(0)
        if isinstance(take, int):
            self.sent += bytes(data[:take])
            take = min(take, len(data))
        return take

    def getPeer(self) -> IPv4Address:
        """Give an address."""
        return IPv4Address("TCP", "192.0.2.7", 1)


class EagerTests(SynchronousTestCase):
    """``eagerWrite``."""

    def assertKeeps(self, connection: _Connection, rest: bytes) -> None:
        """Hold that the rest waits, and that the reactor writes it when it can."""
        self.assertEqual(b"".join(connection._tempDataBuffer), rest)
        self.assertEqual(len(connection.clock.writers), 1 if rest else 0)

    def test_privateNames(self) -> None:
        """Twisted has the private names that this rests on; without them writing would
        be right, but no faster."""
        connection = _Connection()
        for name in eager._NAMES:
            self.assertTrue(hasattr(connection, name), name)

    def test_everythingAtOnce(self) -> None:
        """What the socket takes is sent, and the reactor is not troubled."""
        connection = _Connection(100)
        eagerWrite(connection)(b"hello")
        self.assertEqual(connection.sent, b"hello")
        self.assertKeeps(connection, b"")

    def test_inPieces(self) -> None:
        """Twisted sends no more than a certain size at once: there are several then."""
        connection = _Connection(2, 2, 100)
        eagerWrite(connection)(b"hello")
        self.assertEqual(connection.sent, b"hello")
        self.assertKeeps(connection, b"")

    def test_nothingTaken(self) -> None:
        """What the socket does not take waits."""
        for takes, sent in (((0,), b""), ((2, 0), b"he")):
            connection = _Connection(*takes)
            eagerWrite(connection)(b"hello")
            self.assertEqual(connection.sent, sent)
            self.assertKeeps(connection, b"hello"[len(sent) :])

    def test_error(self) -> None:
        """An error is left for the reactor to find, which sees to the end."""
        connection = _Connection(CONNECTION_LOST)
        eagerWrite(connection)(b"hello")
        self.assertKeeps(connection, b"hello")

    def test_order(self) -> None:
        """Behind what waits, what is written waits too."""
        for name, value in (
            ("dataBuffer", b"x"),
            ("_tempDataBuffer", [b"x"]),
            ("disconnecting", True),
        ):
            connection = _Connection()
            setattr(connection, name, value)
            eagerWrite(connection)(b"hello")
            self.assertEqual(connection._tempDataBuffer[-1], b"hello")

    def test_closed(self) -> None:
        """To a connection that is closed nothing is written."""
        for name, value in (("_writeDisconnected", True), ("connected", False)):
            connection = _Connection()
            setattr(connection, name, value)
            eagerWrite(connection)(b"hello")
            self.assertEqual((connection.sent, connection._tempDataBuffer), (b"", []))

    def test_otherTransports(self) -> None:
        """Other transports are written to as they always are: those that are not TCP,
        those of TLS, and those of a Twisted that is not as expected."""
        other = StringTransport()
        eagerWrite(other)(b"hello")
        self.assertEqual(other.value(), b"hello")
        secure = _Connection()
        secure.TLS = True
        self.assertEqual(eagerWrite(secure), secure.write)
        self.patch(eager, "_NAMES", ("neverHeardOf",))
        unknown = _Connection()
        self.assertEqual(eagerWrite(unknown), unknown.write)
