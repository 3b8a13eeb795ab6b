"""Twisted's own tests of TCP, run on our transports in place of its own::

    python -m tests.twisted_suite

Each port that the tests listen on makes :class:`twisted_ws.transport.FastServer`; first
all of them with a :class:`twisted_ws.polling.Poller`, then those of the transports
themselves without. Behind the command modules or tests may be named, for both.

Twisted's tests need PyHamcrest.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from typing import Any

TRANSPORTS = ("twisted.internet.test.test_tcp", "twisted.internet.test.test_tls")
"""Tests of the transports themselves, with every reactor of this machine."""

USERS = (
    "twisted.test.test_tcp",
    "twisted.test.test_ssl",
    "twisted.test.test_amp",
    "twisted.spread.test.test_pb",
)
"""Tests of what uses them, over real sockets."""


def install(polled: bool) -> list[object]:
    """Have every port of this process make our transports.

    :param polled: whether with a poller
    :returns: grows by one with each transport that is made
    """
    from twisted.internet import tcp
    from twisted.internet.test import test_tcp

    from twisted_ws import polling, transport

    made: list[object] = []

    def makeTransport(
        socket: Any, protocol: Any, client: Any, port: Any, number: int, reactor: Any
    ) -> transport.FastServer:
        made.append(number)
        poller = polling.sharedPoller(reactor) if polled else reactor
        return transport.FastServer(socket, protocol, client, port, number, poller)

    tcp.Port.transport = staticmethod(makeTransport)  # type: ignore[assignment]
    if polled:
        # These tests have few sockets, and all are to be the poller's.
        polling.DIRECT = 0
        # The one looks for a transport among what the reactor itself reads, the others
        # take it out of there.
        asks: Any = test_tcp.TCPConnectionTestsBuilder.test_resumeProducing
        takes: Any = test_tcp.AdoptStreamConnectionTestsBuilder
        asks.skip = takes.skip = "the poller reads it, not the reactor"
    return made


def run(polled: bool, names: list[str]) -> int:
    """Run tests in this process.

    :param polled: whether with a poller
    :param names: of modules, or of what is in them
    :returns: the exit status
    """
    made = install(polled)
    from twisted.scripts import trial

    with tempfile.TemporaryDirectory() as folder:
        sys.argv = [
            "trial",
            "--reporter=text",
            f"--temp-directory={folder}/trial",
            *names,
        ]
        try:
            trial.run()
        except SystemExit as end:
            status = int(end.code or 0)
    print(f"{len(made)} connections, {'with' if polled else 'without'} a poller")
    # A run in which none was ours would prove nothing.
    return status if made else 1


def main(arguments: list[str]) -> int:
    """Run everything, in two processes, as the tests install reactors.

    :param arguments: what to run; nothing means everything
    :returns: the exit status
    """
    if arguments and arguments[0] in ("with", "without"):
        return run(arguments[0] == "with", arguments[1:])
    command = [sys.executable, "-W", "ignore", "-m", "tests.twisted_suite"]
    status = 0
    for mode, names in (("with", (*TRANSPORTS, *USERS)), ("without", TRANSPORTS)):
        done = subprocess.run([*command, mode, *(arguments or names)], check=False)
        status = status or done.returncode
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
