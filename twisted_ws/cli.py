"""``python -m twisted_ws URL``: a conversation with a server, typed or through pipes.

Its exit status is 0 if the connection ended well, 1 if it was not made or ended
otherwise, 2 if the command line cannot be used, or 128 and the number of the signal
that ended it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, cast

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall, react
from twisted.python.failure import Failure

from .arguments import COMMANDS, USAGE, Settings, readSettings, withFlags
from .client import WebSocketClientEndpoint
from .closing import CloseCode
from .console import Console
from .display import describeClose, describeError, escape, messageLines, prettyJSON
from .errors import ConnectionClosed, TLSConfigurationError, WebSocketError
from .interfaces import HookResult, WebSocketProtocol
from .knobs import MIB
from .stdio import LONGEST_LINE, Streams, openMissing
from .urls import parseURL

__all__ = ["Conversation", "main", "run"]

_GOOD_CODES = (CloseCode.NORMAL, CloseCode.GOING_AWAY, CloseCode.NO_STATUS)
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_MOST_PINGS = 100
"""Pings whose answers are waited for."""


class Conversation(WebSocketProtocol):
    """Between a console and a server.

    :param reactor: the reactor
    :param settings: what the command line says
    :param streams: the standard streams
    :param environment: variables
    :param now: gives the time of day, as ``time.time`` does
    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        streams: Streams,
        environment: Mapping[str, str],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._now = now
        self._failed = False
        self._signal: int | None = None
        self._sentCode: int | None = None
        self._connecting: Deferred[Any] = succeed(None)
        self._isOpen = False
        self._closed: Deferred[ConnectionClosed] = Deferred()
        self._pingCount = 0
        self._pings: dict[bytes, float] = {}
        self._pinging = LoopingCall(self._ping)
        self._pinging.clock = reactor
        self._waiting: IDelayedCall | None = None
        self.console = Console(
            reactor,
            streams,
            self._lineEntered,
            self._inputEnded,
            self._outputBroken,
            settings.binary,
            environment,
        )

    # Its course

    async def run(self) -> int:
        """Connect, and talk until the connection has ended.

        :returns: the exit status
        """
        status, last = await self._talk()
        await self.console.finish(last)
        return status if self._signal is None else 128 + self._signal

    async def _talk(self) -> tuple[int, list[str]]:
        """Do that.

        :returns: the exit status, and what is to be said last
        """
        url = parseURL(self._settings.url)
        if self._settings.options.dangerouslyDisableCertificateVerification:
            self._notice(
                "WARNING: --insecure: no certificate is verified. Whoever is on the "
                "way can read and change everything, passwords and cookies too."
            )
        try:
            endpoint = WebSocketClientEndpoint(
                self._reactor, url, self._settings.options
            )
            self._connecting = endpoint.connect(lambda request: self)
            await self._connecting
        except TLSConfigurationError as error:
            return USAGE, [withFlags(str(error))]
        except WebSocketError as error:
            return 1, [withFlags(each) for each in describeError(error)]
        except CancelledError:
            return 1, []
        closed = await self._closed
        isGood = closed.code in _GOOD_CODES or closed.code == self._sentCode
        status = 0 if closed.wasClean and isGood and not self._failed else 1
        return status, [describeClose(closed)]

    def _notice(self, *lines: str) -> None:
        self.console.say(list(lines), "notice")

    def _head(self, direction: str) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(self._now()))
        return f"{clock} {direction} "

    # The server

    def negotiationFinished(self) -> None:
        """The connection is open: begin to read what is typed."""
        self._isOpen = True
        transport = self.transport
        words = [f"Connected to {parseURL(self._settings.url)}"]
        if transport.subprotocol is not None:
            words.append(f"subprotocol {transport.subprotocol}")
        # Their names do; with parameters it would be more than a line.
        words += [each.partition(";")[0] for each in transport.extensions]
        self._notice(escape("; ".join(words)))
        if self.console.isTyped:
            self._notice("Ctrl-D closes, /help lists the commands")
        if self._settings.ping is not None:
            self._pinging.start(self._settings.ping)
        self.console.begin()

    def textMessageReceived(self, message: str) -> HookResult:
        """Show it.

        :param message: its text
        """
        if self.console.isSeen:
            return self._show(message, "<", "in")
        if self._settings.json:
            message = prettyJSON(message) or message
        return self.console.put(f"{message}\n".encode())

    def bytesMessageReceived(self, data: bytes) -> HookResult:
        """Show it.

        :param data: its payload
        """
        if self.console.isSeen:
            return self._show(data, "<", "in")
        return self.console.put(data)

    def pongReceived(self, payload: bytes) -> None:
        """Say how long it took, if it answers a ping that was asked for.

        :param payload: the ping's
        """
        sent = self._pings.pop(payload, None)
        if sent is not None:
            took = (self._reactor.seconds() - sent) * 1000
            self._notice(f"pong after {took:.1f} ms")

    def connectionLost(self, reason: Failure) -> None:
        """It is over.

        :param reason: how
        """
        self.console.stopReading()
        if self._pinging.running:
            self._pinging.stop()
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        self._isOpen = False
        self._closed.callback(cast(ConnectionClosed, reason.value))

    def _show(self, message: str | bytes, direction: str, kind: str) -> HookResult:
        columns, rows = self.console.size()
        lines = messageLines(
            message,
            self._head(direction),
            columns,
            # The head, the line that is typed, and one to see what was before.
            max(rows - 3, 2),
            self._settings.json,
        )
        return self.console.say(lines, kind)

    def _ping(self) -> None:
        self._pingCount += 1
        payload = b"ping %d" % self._pingCount
        if len(self._pings) == _MOST_PINGS:
            # A peer need not answer all of them (RFC 6455 section 5.5.3).
            del self._pings[next(iter(self._pings))]
        self._pings[payload] = self._reactor.seconds()
        self.transport.ping(payload)

    # The user

    def _lineEntered(self, line: bytes) -> HookResult:
        if self._settings.binary:
            return self._send(line)
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            self._fail("a line of the standard input is not UTF-8: not sent")
            return None
        if not self.console.isTyped or not text.startswith("/"):
            return self._send(text)
        if text.startswith("//"):
            return self._send(text[1:])
        return self._obey(*text[1:].split(maxsplit=1))

    def _obey(self, name: str = "", rest: str = "") -> HookResult:
        """Do what a command says."""
        if name == "hex":
            try:
                return self._send(bytes.fromhex(rest))
            except ValueError:
                self._notice("/hex takes bytes such as 00 FF")
        elif name == "ping":
            self._ping()
        elif name == "close":
            self._closeWith(*rest.split(maxsplit=1))
        elif name == "help":
            self._notice(*COMMANDS)
        else:
            self._notice(f"there is no /{escape(name)}; see /help")
        return None

    def _closeWith(self, code: str = "1000", reason: str = "") -> None:
        if not (code.isascii() and code.isdigit()):
            self._notice("/close takes a code such as 1000, and a reason")
            return
        try:
            self._close(int(code), reason)
        except ValueError as error:
            self._notice(f"/close: {escape(str(error))}")

    def _send(self, message: str | bytes) -> HookResult:
        if self.console.isEdited:
            self._show(message, ">", "out")
        if isinstance(message, str):
            self.transport.sendTextMessage(message)
        else:
            self.transport.sendBytesMessage(message)
        return self.transport.whenDrained() if self.transport.bufferedAmount else None

    def _inputEnded(self) -> None:
        if self.console.isTooLong:
            what = "the standard input is" if self._settings.binary else "a line is"
            self._fail(f"{what} over {LONGEST_LINE // MIB} MiB: not sent")
        if self.console.isTyped:
            self._close(1000)
        elif self._settings.wait < float("inf"):
            self._waiting = self._reactor.callLater(self._settings.wait, self._waited)

    def _waited(self) -> None:
        self._waiting = None
        self._close(1000)

    def _fail(self, why: str) -> None:
        self._failed = True
        self._notice(why)

    def _outputBroken(self, error: OSError | None) -> None:
        """Nobody reads the standard output any more: that is enough of it, as for any
        program in front of ``head``."""
        if error is not None:
            self._fail(f"cannot write to the standard output: {error.strerror}")
        self._end(1000)

    # The end

    def _close(self, code: int, reason: str = "") -> None:
        self.transport.loseConnection(code, reason)
        self._sentCode = code
        self.console.stopReading()

    def _end(self, code: int) -> None:
        """Close, or connect no more."""
        if self._isOpen:
            self._close(code)
        else:
            self._connecting.cancel()

    def interrupt(self, number: int) -> None:
        """A signal wants the program to end: close, or at once if it is closing.

        :param number: the signal's
        """
        isEnding = self._signal is not None or self._sentCode is not None
        if self._signal is None:
            self._signal = number
        if not isEnding:
            self._end(CloseCode.GOING_AWAY)
        else:
            if self._isOpen:
                self.transport.abortConnection()
            self.console.abort()


class _Signals:
    """What signals do while there is a conversation.

    :param reactor: the reactor
    :param conversation: with whom
    """

    def __init__(self, reactor: Any, conversation: Conversation) -> None:
        self._reactor = reactor
        self._conversation = conversation
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Handle signals, in place of the reactor."""
        handlers: dict[int, Any] = dict.fromkeys(_ENDING, self._end)
        if self._conversation.console.isEdited:
            handlers[signal.SIGTSTP] = self._stop
            handlers[signal.SIGCONT] = self._goOn
            handlers[signal.SIGWINCH] = self._resized
        for number, handler in handlers.items():
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN:
                # What nohup and the like have ignored stays so.
                self._before[number] = before
                signal.signal(number, handler)

    def restore(self) -> None:
        """Leave signals to whoever had them."""
        while self._before:
            signal.signal(*self._before.popitem())

    # Called between any two instructions, so that little is done here.

    def _end(self, number: int, _: object) -> None:
        self._reactor.callFromThread(self._conversation.interrupt, number)

    def _stop(self, _: int, __: object) -> None:
        self._conversation.console.suspend()
        os.kill(os.getpid(), signal.SIGSTOP)

    def _goOn(self, _: int, __: object) -> None:
        self._reactor.callFromThread(self._conversation.console.resume)

    def _resized(self, _: int, __: object) -> None:
        self._reactor.callFromThread(self._conversation.console.redraw)


async def run(
    reactor: Any,
    settings: Settings,
    streams: Streams,
    environment: Mapping[str, str],
) -> int:
    """Have a conversation.

    :param reactor: the reactor
    :param settings: what the command line says
    :param streams: the standard streams
    :param environment: the variables ``TERM`` and ``NO_COLOR``
    :returns: the exit status
    """
    conversation = Conversation(reactor, settings, streams, environment)
    signals = _Signals(reactor, conversation)
    # The reactor handles some signals itself from when it runs.
    reactor.callWhenRunning(signals.install)
    try:
        return await conversation.run()
    finally:
        conversation.console.giveBack()
        signals.restore()


def main() -> NoReturn:
    """Run the program; the command line is ``sys.argv``."""
    openMissing()
    try:
        react(_main, [readSettings(sys.argv[1:])])
    except (EOFError, KeyboardInterrupt):
        # Before the reactor runs: while a password is asked for, for instance.
        sys.exit(128 + signal.SIGINT)


def _main(reactor: Any, settings: Settings) -> Deferred[NoReturn]:
    """Do it on a reactor, and say the exit status as :func:`react` wants it."""

    async def runAndExit() -> NoReturn:
        raise SystemExit(await run(reactor, settings, Streams(), os.environ))

    return ensureDeferred(runAndExit())
