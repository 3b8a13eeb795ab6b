"""The client that ``wstest`` tests: goes through all cases, and echoes.

``python -m tests.autobahn.echoclient ws://127.0.0.1:9001`` asks a fuzzing server how
many cases there are, opens a connection for each, and has the report written.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.python.failure import Failure

from twisted_ws import ClientOptions, WebSocketClientEndpoint, connect
from twisted_ws.tap import Echo

from .running import AGENT, MAX_MESSAGE_SIZE

OPTIONS = ClientOptions(maxMessageSize=MAX_MESSAGE_SIZE)


class EchoUntilLost(Echo):
    """Sends every message back, and tells when the connection is gone."""

    def __init__(self, request: object = None) -> None:
        self.lost: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure) -> None:
        """However it ended: that is for the Testsuite to judge.

        :param reason: how
        """
        self.lost.callback(None)


async def runCases(reactor: Any, url: str) -> int:
    """Go through all cases.

    :param reactor: Twisted's
    :param url: the fuzzing server, without a path
    :returns: how many there were
    """
    webSocket = await connect(reactor, f"{url}/getCaseCount", OPTIONS)
    async with webSocket:
        count = int(await webSocket.receive())
    # A case for each, and what has the report written.
    paths = [f"/runCase?case={number}&" for number in range(1, count + 1)]
    for path in (*paths, "/updateReports?"):
        endpoint = WebSocketClientEndpoint.fromURL(
            reactor, f"{url}{path}agent={AGENT}", OPTIONS
        )
        echo = await endpoint.connect(EchoUntilLost)
        await echo.lost
    return count


async def main(reactor: Any, url: str) -> None:
    """Do what the module says; log to the standard output.

    :param reactor: Twisted's
    :param url: the fuzzing server, without a path
    """
    observer = textFileLogObserver(sys.stdout)
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    print(f"{await runCases(reactor, url)} cases")


if __name__ == "__main__":
    react(main, sys.argv[1:])
