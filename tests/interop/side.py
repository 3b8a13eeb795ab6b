"""What the programs written in Python have in common."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, ClassVar

from .lines import LONGEST, readLine, writeLine

__all__ = ["Side", "clientContext", "runAsyncio", "runTwisted", "serverContext"]


class Side:
    """One side of the conversations, the server or the client of an implementation.

    For each command ``name`` there is a coroutine method ``do_name``. They are done one
    after another, and there is one connection at a time.

    - ``listen``: for connections; tells ``listening`` with the ``port``.
    - ``connect``: to a server.
    - ``text``, ``binary``: send a message.
    - ``fragments``: send a message in parts; only with that ability.
    - ``ping``: tells ``pong`` with the ``data`` in it when it has come.
    - ``close``: with a code and a reason.

    By themselves they tell ``open``, with ``subprotocol`` and whether it is
    ``compressed``; ``text`` and ``binary`` with their ``data``; ``closed`` with
    ``code`` and ``reason``; ``error`` with a ``message``.
    """

    distribution: ClassVar[str]
    """What its version is that of."""
    abilities: ClassVar[tuple[str, ...]]
    """What it can beside messages, pings and closing, of: ``compression``;
    ``fragments``, to send them; ``reason``, to send one when it closes;
    ``seesClose``, to tell with which code and reason it was closed; and
    ``subprotocols``."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write

    def tell(self, event: str, **fields: object) -> None:
        """Tell what has happened.

        :param event: its name
        :param fields: what belongs to it
        """
        self._write(writeLine({"event": event, **fields}))

    def start(self) -> None:
        """Tell that commands may come."""
        self.tell("ready", version=version(self.distribution), abilities=self.abilities)

    async def perform(self, line: bytes) -> None:
        """Do one command.

        :param line: the command
        """
        command = readLine(line)
        try:
            await getattr(self, f"do_{command.pop('do')}")(**command)
        except Exception as error:
            self.tell("error", message=f"{type(error).__name__}: {error}")


def serverContext(certificate: str | None) -> ssl.SSLContext | None:
    """Give a context of the standard library for a server.

    :param certificate: the file with certificate and key, None for no TLS
    """
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def clientContext(trusted: str | None) -> ssl.SSLContext | None:
    """Give a context of the standard library for a client.

    :param trusted: the file with the one certificate to trust, None for no TLS
    """
    if trusted is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(trusted)
    return context


def runAsyncio(kind: type[Side]) -> None:
    """Run a side on asyncio until its standard input ends.

    :param kind: its class
    """

    def write(line: bytes) -> None:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()

    async def main() -> None:
        reader = asyncio.StreamReader(LONGEST)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        side = kind(write)
        side.start()
        while line := await reader.readline():
            await side.perform(line)

    asyncio.run(main())


def runTwisted(kind: type[Side]) -> None:
    """Run a side on Twisted until its standard input ends.

    :param kind: its class
    """
    from twisted.internet.defer import Deferred, DeferredQueue, ensureDeferred
    from twisted.internet.stdio import StandardIO
    from twisted.internet.task import react
    from twisted.logger import (
        FilteringLogObserver,
        LogLevel,
        LogLevelFilterPredicate,
        globalLogBeginner,
        textFileLogObserver,
    )
    from twisted.protocols.basic import LineOnlyReceiver
    from twisted.python.failure import Failure

    queue: DeferredQueue[bytes | None] = DeferredQueue()

    class Lines(LineOnlyReceiver):
        transport: Any
        delimiter = b"\n"
        MAX_LENGTH = LONGEST

        def lineReceived(self, line: bytes) -> None:
            queue.put(line)

        def connectionLost(self, reason: Failure | None = None) -> None:
            queue.put(None)

    async def main() -> None:
        lines = Lines()
        StandardIO(lines)
        side = kind(lines.transport.write)
        side.start()
        while (line := await queue.get()) is not None:
            await side.perform(line)

    def started(reactor: object) -> Deferred[None]:
        return ensureDeferred(main())

    # What should not happen.
    observer = FilteringLogObserver(
        textFileLogObserver(sys.stderr), [LogLevelFilterPredicate(LogLevel.warn)]
    )
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    react(started)
