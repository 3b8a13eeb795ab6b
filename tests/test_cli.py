"""``python -m twisted_ws``: conversations with a server on loopback.

Most of them are had on the reactor of the tests, with pipes, files and pseudo-terminals
for the standard streams; some by a program of its own, as a user starts it.
"""

# pytest-twisted has no types.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest
import pytest_twisted  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from tests.clients import reactor, within
from tests.processes import PATIENCE
from tests.terminals import Program, Terminal, clientEnvironment, until
from twisted_ws import (
    ClientOptions,
    ConnectionClosed,
    HandshakeRejected,
    Request,
    ServerOptions,
    TLSServerEndpoint,
    WebSocketProtocol,
    WebSocketServerFactory,
    WebSocketService,
    cli,
    selfSignedContext,
)
from twisted_ws.arguments import COMMANDS, Settings
from twisted_ws.stdio import LONGEST_LINE, Streams

pytestmark = pytest.mark.filterwarnings("error")


class Teacher(WebSocketProtocol):
    """Echoes, and does what some messages say."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.messages: list[str | bytes] = []
        self.pings = 0
        self.ended: Deferred[ConnectionClosed] = Deferred()

    def textMessageReceived(self, message: str) -> None:
        """Do it, or send it back."""
        self.messages.append(message)
        what, _, rest = message.partition(" ")
        if what == "close":
            code, _, reason = rest.partition(" ")
            self.transport.loseConnection(int(code), reason)
        elif what == "drop":
            self.transport.abortConnection()
        elif what == "deaf":
            self.transport.pauseProducing()
        elif what == "big":
            self.transport.sendBytesMessage(bytes(int(rest)))
        elif what != "silence":
            self.transport.sendTextMessage(message)

    def pingReceived(self, payload: bytes) -> None:
        """Count it."""
        self.pings += 1

    def bytesMessageReceived(self, data: bytes) -> None:
        """Send it back."""
        self.messages.append(data)
        self.transport.sendBytesMessage(data)

    def connectionLost(self, reason: Failure) -> None:
        """Tell the test."""
        assert isinstance(reason.value, ConnectionClosed)
        self.ended.callback(reason.value)


class School:
    """A server.

    :param url: where it is
    :param service: what runs it
    """

    def __init__(self, secure: bool) -> None:
        self.teachers: list[Teacher] = []
        self.certificate = b""
        endpoint: Any = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        if secure:
            context, certificate = selfSignedContext()
            self.certificate = certificate.public_bytes(Encoding.PEM)
            endpoint = TLSServerEndpoint(endpoint, context)
        self.factory = WebSocketServerFactory(
            self._build, ServerOptions(subprotocols=("chat",))
        )
        self.service = WebSocketService([endpoint], self.factory)
        self.service.startService()
        host: Any = self.service.ports[0].getHost()
        self.url = f"ws{'s' * secure}://localhost:{host.port}/"

    def _build(self, request: Request) -> Teacher:
        if request.path == "/refuse":
            raise HandshakeRejected(403, {"Retry-After": "9"}, "go \x1b[31maway")
        teacher = Teacher(request)
        self.teachers.append(teacher)
        return teacher

    @property
    def teacher(self) -> Teacher:
        """The only one."""
        (found,) = self.teachers
        return found


@contextlib.asynccontextmanager
async def school(secure: bool = False) -> AsyncIterator[School]:
    """Have a server. In the end nothing is left, neither of it nor of its clients."""
    before = set(reactor.getDelayedCalls()), reactor.getReaders(), reactor.getWriters()
    found = School(secure)
    try:
        yield found
    finally:
        await within(found.service.stopService())

    def left() -> list[Any]:
        after = (
            set(reactor.getDelayedCalls()),
            reactor.getReaders(),
            reactor.getWriters(),
        )
        return [
            each
            for old, new in zip(before, after, strict=True)
            for each in set(new) - set(old)
            if "twisted_ws" in repr(each)
        ]

    await until(lambda: not left(), "the end of all that was begun")


class Talk:
    """A conversation on the reactor of the tests.

    :param settings: of the command line
    :param stdin: what is on the standard input; None for one that does not end
    :param stdout: where the standard output goes, in place of a file
    """

    def __init__(
        self, settings: Settings, stdin: bytes | None = b"", stdout: int | None = None
    ) -> None:
        self._stack = contextlib.ExitStack()
        self._files = [
            self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            for _ in range(3)
        ]
        numbers = [each.fileno() for each in self._files]
        self._pipe: tuple[int, ...] = ()
        if stdin is None:
            self._pipe = os.pipe()
            numbers[0] = self._pipe[0]
        else:
            self._files[0].write(stdin)
            self._files[0].seek(0)
        if stdout is not None:
            numbers[1] = stdout
        self.status: Deferred[int] = ensureDeferred(
            cli.run(reactor, settings, Streams(*numbers), {"TERM": "xterm"})
        )

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        for descriptor in self._pipe:
            os.close(descriptor)

    async def end(self) -> tuple[int, bytes, str]:
        """Wait for its end.

        :returns: exit status, standard output, standard error
        """
        status = await within(self.status)
        return status, self.output, self.notices

    @property
    def output(self) -> bytes:
        """What is on the standard output."""
        return os.pread(self._files[1].fileno(), 1 << 25, 0)

    @property
    def notices(self) -> str:
        """What is on the standard error."""
        return os.pread(self._files[2].fileno(), 1 << 20, 0).decode()


async def talk(
    url: str, stdin: bytes = b"", *, wait: float = 0.0, **settings: Any
) -> tuple[int, bytes, str]:
    """Have a conversation to its end.

    :returns: exit status, standard output, standard error
    """
    settings.setdefault("options", ClientOptions())
    with Talk(Settings(url, wait=wait, **settings), stdin) as found:
        return await found.end()


def lastLine(notices: str) -> str:
    """Give the last line."""
    return notices.splitlines()[-1]


CLEAN = "Connection closed: 1000 (normal closure)"


# Pipes


@pytest_twisted.ensureDeferred
async def test_lines() -> None:
    """Each line is a text message, whatever it begins with; what comes is put out as it
    is; at the end the connection is closed, with status 0."""
    async with school() as server:
        status, output, notices = await talk(
            server.url, "hi\n\n/close\n// \x1b[2J\r\n\u6f22".encode()
        )
        assert status == 0
        assert output.decode() == "hi\n\n/close\n// \x1b[2J\n\u6f22\n"
        assert notices == f"Connected to {server.url}; permessage-deflate\n{CLEAN}\n"
        closed = await within(server.teacher.ended)
        assert (closed.code, closed.wasClean) == (1000, True)


@pytest_twisted.ensureDeferred
async def test_manyLines() -> None:
    """Many lines go out as fast as the server takes them, in order; answers are put out
    as fast as they are taken."""
    async with school() as server:
        lines = b"".join(b"%d\n" % number for number in range(20_000))
        status, output, _ = await talk(server.url, lines)
        assert status == 0
        assert output == lines


@pytest_twisted.ensureDeferred
async def test_backpressure() -> None:
    """A long message that the server does not take at once holds up the next one, and a
    standard output that nobody reads holds up the server."""
    async with school() as server:
        reader, writer = os.pipe()
        line = b"x" * 1_000_000 + b"\n"
        with Talk(Settings(server.url, ClientOptions()), line * 4, writer) as found:
            taken = b""
            os.set_blocking(reader, False)

            def isThere() -> bool:
                nonlocal taken
                with contextlib.suppress(BlockingIOError):
                    taken += os.read(reader, 65536)
                return len(taken) == 4 * len(line)

            await until(isThere, "all of it")
            assert taken == line * 4
            assert (await within(found.status)) == 0
        os.close(reader)
        os.close(writer)


@pytest_twisted.ensureDeferred
async def test_binary() -> None:
    """With ``--binary`` the whole input is one binary message, or none if it is empty;
    binary messages are put out as they are."""
    async with school() as server:
        data = bytes(range(256)) * 100
        assert (await talk(server.url, data, binary=True))[:2] == (0, data)
        assert server.teacher.messages == [data]
        assert (await talk(server.url, b"", binary=True))[:2] == (0, b"")
        assert server.teachers[1].messages == []


@pytest_twisted.ensureDeferred
async def test_json() -> None:
    """With ``--json`` what is JSON is broken into lines, other text is not."""
    async with school() as server:
        found = await talk(server.url, b'{"a":[1]}\n{\n', json=True)
        assert found[:2] == (0, b'{\n  "a": [\n    1\n  ]\n}\n{\n')


@pytest_twisted.ensureDeferred
async def test_notUTF8() -> None:
    """A line that is not UTF-8 is not sent, and the status is 1; the others are."""
    async with school() as server:
        status, output, notices = await talk(server.url, b"one\n\xff\ntwo\n")
        assert (status, output) == (1, b"one\ntwo\n")
        assert "a line of the standard input is not UTF-8: not sent\n" in notices
        assert lastLine(notices) == CLEAN


@pytest.mark.parametrize(
    ("binary", "what"), [(False, "a line"), (True, "the standard input")]
)
@pytest_twisted.ensureDeferred
async def test_tooLong(binary: bool, what: str) -> None:
    """A line over 16 MiB, or an input where it is one message, is not sent either."""
    async with school() as server:
        stdin = bytes(LONGEST_LINE + 1)
        status, output, notices = await talk(server.url, stdin, binary=binary)
        assert (status, output) == (1, b"")
        assert f"{what} is over 16 MiB: not sent\n" in notices
        assert server.teacher.messages == []


@pytest_twisted.ensureDeferred
async def test_wait() -> None:
    """At the end of the input answers get time, and then the connection is closed; with
    ``inf`` the server closes it."""
    async with school() as server:
        status, _, notices = await talk(server.url, b"silence\n", wait=0.01)
        assert (status, lastLine(notices)) == (0, CLEAN)
        inf = float("inf")
        with Talk(Settings(server.url, ClientOptions(), wait=inf), b"silence\n") as one:
            await until(lambda: len(server.teachers) == 2, "a connection")
            teacher = server.teachers[1]
            await until(lambda: teacher.messages, "the message")
            teacher.transport.sendTextMessage("late")
            teacher.transport.loseConnection(1001)
            status, output, notices = await one.end()
            assert (status, output) == (0, b"late\n")
            assert lastLine(notices) == "Connection closed: 1001 (going away)"


@pytest_twisted.ensureDeferred
async def test_serverCloses() -> None:
    """When the server closes, that is the end, with 0 for 1000, 1001 and no code, else
    with 1; its reason is shown, escaped. What waited for the end is forgotten."""
    async with school() as server:
        for message, expected, last in (
            ("close 1000", 0, CLEAN),
            ("close 1001", 0, "Connection closed: 1001 (going away)"),
            (
                "close 4001 a\x1b[2J",
                1,
                "Connection closed: 4001 (private to the application): a\\x1b[2J",
            ),
            (
                "close 1011",
                1,
                "Connection closed: 1011 (internal error)",
            ),
            (
                "drop",
                1,
                "Connection not closed cleanly: 1006 (connection lost without a Close "
                "frame)",
            ),
            (
                "big 2000000",
                1,
                "Connection not closed cleanly: 1009 (message too big): message over "
                "1048576 bytes",
            ),
        ):
            status, _, notices = await talk(server.url, message.encode(), wait=30)
            assert (status, lastLine(notices)) == (expected, last)


@pytest_twisted.ensureDeferred
async def test_pings() -> None:
    """With ``--ping`` it is said how long answers take."""
    async with school() as server:
        settings = Settings(server.url, ClientOptions(), ping=0.001, wait=float("inf"))
        with Talk(settings) as found:
            pongs = re.compile(r"(^pong after \d+\.\d ms\n){3}", re.MULTILINE)
            await until(lambda: pongs.search(found.notices), "pongs")
            server.teacher.transport.loseConnection()
            assert (await found.end())[0] == 0


class PingedTransport:
    """A transport whose peer answers pings when the test does."""

    subprotocol = None
    extensions = ()

    def __init__(self) -> None:
        self.payloads: list[bytes] = []

    def ping(self, payload: bytes) -> None:
        """Note it."""
        self.payloads.append(payload)


def test_unansweredPings() -> None:
    """Each ping has its own time; a peer that answers some of them only, as it may,
    costs no memory."""
    clock = MemoryReactorClock()
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as output:
        streams = Streams(stdin.fileno(), output.fileno(), output.fileno())
        settings = Settings("ws://localhost/", ClientOptions(), ping=1.0)
        conversation = cli.Conversation(clock, settings, streams, {})
        transport: Any = PingedTransport()
        conversation.negotiationStarted(transport)
        conversation.negotiationFinished()
        for _ in range(200):
            clock.advance(1)
        assert len(set(transport.payloads)) == 201
        conversation.pongReceived(transport.payloads[-1])
        conversation.pongReceived(transport.payloads[-100])
        # Forgotten, answered before, never sent.
        conversation.pongReceived(transport.payloads[-101])
        conversation.pongReceived(transport.payloads[-1])
        conversation.pongReceived(b"?")
        conversation.connectionLost(Failure(ConnectionClosed(1000, "", True)))
        conversation.console.abort()
        assert not clock.getDelayedCalls()
        notices = os.pread(output.fileno(), 10_000, 0).decode()
        assert notices == (
            "Connected to ws://localhost/\npong after 0.0 ms\npong after 99000.0 ms\n"
        )


@pytest_twisted.ensureDeferred
async def test_keepalive() -> None:
    """Pings that nobody asked for are not spoken of."""
    async with school() as server:
        settings = Settings(
            server.url, ClientOptions(pingInterval=0.01), wait=float("inf")
        )
        with Talk(settings) as found:
            await until(lambda: server.teachers, "a connection")
            await until(lambda: server.teacher.pings, "a ping")
            server.teacher.transport.loseConnection()
            _, _, notices = await found.end()
            assert "pong" not in notices


# Opening


@pytest_twisted.ensureDeferred
async def test_opened() -> None:
    """What was agreed is shown; neither the query, nor user and password."""
    async with school() as server:
        options = ClientOptions(subprotocols=("chat",), headers={"X-One": "1"})
        url = server.url.replace("//", "//me:secret@") + "?token=secret"
        status, _, notices = await talk(url, options=options)
        assert status == 0
        first = notices.splitlines()[0]
        assert first.startswith(f"Connected to {server.url}?…; subprotocol chat")
        headers = server.teacher.request.headers
        assert headers.get("X-One") == "1"
        assert headers.get("Authorization") == "Basic bWU6c2VjcmV0"


@pytest_twisted.ensureDeferred
async def test_refused() -> None:
    """A refusal is shown with its status, what to do, and its body, escaped."""
    async with school() as server:
        status, output, notices = await talk(f"{server.url}refuse", b"hi\n")
        assert (status, output) == (1, b"")
        assert notices == (
            "the server answered 403 Forbidden\n  Retry-After: 9\n  go \\x1b[31maway\n"
        )


@pytest_twisted.ensureDeferred
async def test_notThere() -> None:
    """Where there is no server, it is said so in a line."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{closed.getsockname()[1]}/"
        status, output, notices = await talk(url)
    assert (status, output) == (1, b"")
    assert notices.startswith("cannot connect to 127.0.0.1: ")
    assert notices.count("\n") == 1


@pytest_twisted.ensureDeferred
async def test_timeout() -> None:
    """Where there is no answer, the line names the flag."""
    with listening() as url:
        status, _, notices = await talk(url, options=ClientOptions(openTimeout=0.01))
        assert status == 1
        assert notices.endswith("not done in 0.01 seconds, see --timeout\n")


@contextlib.contextmanager
def listening() -> Iterator[str]:
    """Listen, and never answer."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        yield f"ws://127.0.0.1:{silent.getsockname()[1]}/"


@pytest_twisted.ensureDeferred
async def test_certificates() -> None:
    """A certificate that nobody trusts is refused, unless it is named; ``--insecure``
    takes any, with a warning."""
    async with school(True) as server:
        status, _, notices = await talk(server.url, b"hi\n")
        assert status == 1
        assert "--trust-roots" in notices
        with tempfile.NamedTemporaryFile() as file:
            file.write(server.certificate)
            file.flush()
            options = ClientOptions(trustRoots=file.name)
            found = await talk(server.url, b"hi\n", options=options)
            assert found[:2] == (0, b"hi\n")
            assert "WARNING" not in found[2]
        options = ClientOptions(dangerouslyDisableCertificateVerification=True)
        status, output, notices = await talk(server.url, b"hi\n", options=options)
        assert (status, output) == (0, b"hi\n")
        assert notices.startswith("WARNING: --insecure: no certificate is verified.")


@pytest_twisted.ensureDeferred
async def test_noRoots() -> None:
    """A file of certificates that is not there is a mistake in the command line."""
    options = ClientOptions(trustRoots="/nowhere.pem")
    status, _, notices = await talk("wss://localhost/", options=options)
    assert status == 2
    assert notices.startswith("--trust-roots: cannot read /nowhere.pem: ")
    assert notices.count("\n") == 1


# Ends


@pytest_twisted.ensureDeferred
async def test_nobodyReads() -> None:
    """When nobody reads the standard output any more, the connection is closed, and
    that is no failure; before it was opened, that is given up."""
    async with school() as server:
        reader, writer = os.pipe()
        settings = Settings(server.url, ClientOptions(), wait=float("inf"))
        with Talk(settings, None, writer) as found:
            await until(lambda: server.teachers, "a connection")
            server.teacher.transport.sendTextMessage("one")
            assert (await within(deferToThread(os.read, reader, 100))) == b"one\n"
            os.close(reader)
            status, _, notices = await found.end()
            assert (status, lastLine(notices)) == (0, CLEAN)
        with (
            listening() as url,
            Talk(Settings(url, ClientOptions()), None, writer) as found,
        ):
            assert (await found.end())[0] == 1
        os.close(writer)


@pytest_twisted.ensureDeferred
async def test_diskFull() -> None:
    """An output that takes no more for another reason is a failure."""
    async with school() as server:
        full = os.open("/dev/full", os.O_WRONLY)
        with Talk(Settings(server.url, ClientOptions()), b"hi\n", full) as found:
            status, _, notices = await found.end()
        os.close(full)
        assert status == 1
        assert "cannot write to the standard output: No space left" in notices
        assert lastLine(notices) == CLEAN


def hasMore(server: School, count: int) -> bool:
    """Tell whether a server has more connections than before."""
    return len(server.teachers) > count


def hasNotices(found: Talk) -> bool:
    """Tell whether anything was said."""
    return bool(found.notices)


@pytest_twisted.ensureDeferred
async def test_signals() -> None:
    """A signal closes the connection with 1001; the status says which it was. In the
    end signals have their handlers back, and those that were ignored still are."""
    async with school() as server:
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                count = len(server.teachers)
                with Talk(Settings(server.url, ClientOptions()), None) as found:
                    await until(partial(hasMore, server, count), "a connection")
                    await until(partial(hasNotices, found), "that it is connected")
                    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
                    signal.raise_signal(number)
                    status, _, notices = await found.end()
                assert status == 128 + number
                assert lastLine(notices) == "Connection closed: 1001 (going away)"
        finally:
            signal.signal(signal.SIGHUP, ignored)
        after = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        assert before == after


@pytest_twisted.ensureDeferred
async def test_secondSignal() -> None:
    """A second one ends it at once, whatever the server, or who reads the output,
    does."""
    async with school() as server:
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, bytes(4096))
        os.set_blocking(writer, True)
        with Talk(Settings(server.url, ClientOptions()), None, writer) as found:
            await until(lambda: found.notices, "that it is connected")
            for number in range(2):
                server.teacher.transport.sendTextMessage(f"{number}" * 100_000)
            server.teacher.transport.pauseProducing()
            await within(server.teacher.transport.whenDrained())
            for _ in range(2):
                signal.raise_signal(signal.SIGINT)
            assert (await within(found.status)) == 130
        settings = Settings(server.url, ClientOptions(), wait=0)
        with Talk(settings, b"big 60000", writer) as found:
            await until(lambda: len(server.teachers) == 2, "a connection")
            closed = await within(server.teachers[1].ended)
            assert closed.code == 1000
            await until(
                lambda: not any("tcp.Client" in repr(e) for e in reactor.getReaders()),
                "the end of the client's connection",
            )
            signal.raise_signal(signal.SIGINT)
            assert (await within(found.status)) == 130
        os.close(reader)
        os.close(writer)
        server.teachers[0].transport.resumeProducing()


@pytest_twisted.ensureDeferred
async def test_signalWhileClosing() -> None:
    """One is enough where the connection is closing already and the server does not
    answer."""
    async with school() as server:
        settings = Settings(server.url, ClientOptions(closeTimeout=600), wait=0.2)
        with Talk(settings) as found:
            await until(lambda: server.teachers, "a connection")
            server.teacher.transport.pauseProducing()
            await deferLater(reactor, 0.5)
            assert not found.status.called
            signal.raise_signal(signal.SIGINT)
            assert (await within(found.status)) == 130
        server.teacher.transport.resumeProducing()


@pytest_twisted.ensureDeferred
async def test_signalEarly() -> None:
    """A signal before there is a connection ends the program at once."""
    with listening() as url, Talk(Settings(url, ClientOptions()), None) as found:
        signal.raise_signal(signal.SIGINT)
        assert await found.end() == (130, b"", "")


# Terminals


@contextlib.asynccontextmanager
async def typing(
    server: School, **settings: Any
) -> AsyncIterator[tuple[Terminal, Deferred[int]]]:
    """Have a conversation in a terminal, on the reactor of the tests."""
    terminal = Terminal()
    output = os.dup(terminal.slave)
    streams = Streams(terminal.slave, output, terminal.slave)
    status: Deferred[int] = ensureDeferred(
        cli.run(
            reactor,
            Settings(server.url, ClientOptions(), **settings),
            streams,
            {"TERM": "xterm", "NO_COLOR": "1"},
        )
    )
    try:
        await seen(terminal, r"Connected to .*\nCtrl-D closes, /help .*\n> *\Z")
        yield terminal, status
        await seen(terminal, r"Connection.*closed.*\n\Z")
        assert terminal.isAsBefore
    finally:
        os.close(output)
        terminal.close()


async def seen(terminal: Terminal, pattern: str) -> None:
    """Wait until something is on a screen."""

    def isSeen() -> bool:
        while terminal.read():
            pass
        return bool(re.search(pattern, "\n".join(terminal.screen.lines)))

    await until(isSeen, f"{pattern!r} on the screen")


CLOCK = r"\d\d:\d\d:\d\d"


@pytest_twisted.ensureDeferred
async def test_typed() -> None:
    """What is sent and what comes are shown with time, direction and size; the line
    that is typed stays below. Ctrl-D closes."""
    async with school() as server, typing(server) as (terminal, status):
        terminal.type("caf\u00e9\r")
        await seen(
            terminal,
            rf"\n{CLOCK} > 5 B  caf\u00e9\n{CLOCK} < 5 B  caf\u00e9\n>\Z",
        )
        terminal.type("not done")
        await seen(terminal, r"\n> not done\Z")
        server.teacher.transport.sendTextMessage("a\x1b[2J\nb")
        server.teacher.transport.sendBytesMessage(b"\x00\xff")
        await seen(
            terminal,
            rf"\n{CLOCK} < 7 B  a\\x1b\[2J\n                b\n"
            rf"{CLOCK} < 2 B binary  00 ff\n> not done\Z",
        )
        terminal.type("\x15\x04")
        await seen(terminal, re.escape(CLEAN))
        assert (await within(status)) == 0


@pytest_twisted.ensureDeferred
async def test_commands() -> None:
    """Lines that begin with a slash are commands; those that begin with two are sent
    without one of them."""
    async with school() as server, typing(server) as (terminal, status):
        for line, expected in (
            ("/help", re.escape("\n".join(COMMANDS))),
            ("/hex 00 FFa1", rf"{CLOCK} > 3 B binary  00 ff a1"),
            ("/hex", rf"{CLOCK} < 0 B binary"),
            ("/hex 0", r"/hex takes bytes such as 00 FF"),
            ("/ping", r"pong after \d+\.\d ms"),
            ("//close", rf"{CLOCK} < 6 B  /close"),
            ("/", r"there is no /; see /help"),
            ("/\x16 x", r"there is no /x; see /help"),
            ("/nothing", r"there is no /nothing; see /help"),
            ("/close x", r"/close takes a code such as 1000"),
            ("/close 1005", r"/close: close code 1005 may not be sent"),
            (f"/close 1000 {'x' * 124}", r"/close: close reason is 124 bytes"),
        ):
            terminal.type(f"{line}\r")
            await seen(terminal, rf"\n{expected}")
        terminal.type("/close 4000 so long\r")
        await seen(terminal, r"Connection closed: 4000 \(private to the application\)")
        assert (await within(status)) == 0
        closed = await within(server.teacher.ended)
        assert (closed.code, closed.reason) == (4000, "so long")
        assert server.teacher.messages == [b"\x00\xff\xa1", b"", "/close"]


@pytest_twisted.ensureDeferred
async def test_screenful() -> None:
    """A long binary message takes no more than the screen has; JSON is broken into
    lines when that is asked for."""
    async with school() as server, typing(server, json=True) as (terminal, status):
        terminal.type("big 5000\r")
        await seen(terminal, r"\n… \d+ bytes more\n>\Z")
        dump = [
            line for line in terminal.screen.lines if re.match("[0-9a-f]{8} ", line)
        ]
        assert len(dump) == 20
        terminal.type('{"a":1}\r')
        await seen(terminal, rf'\n{CLOCK} < 7 B  {{\n +"a": 1\n +}}\n>\Z')
        terminal.type("/close\r")
        assert (await within(status)) == 0


@pytest_twisted.ensureDeferred
async def test_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is stopped the terminal is given back; when it goes on, and when the
    terminal gets another size, the line is drawn anew."""
    stops: list[bool] = []
    async with school() as server, typing(server) as (terminal, status):

        def stop(pid: int, number: int) -> None:
            assert (pid, number) == (os.getpid(), signal.SIGSTOP)
            stops.append(terminal.isAsBefore)

        monkeypatch.setattr(os, "kill", stop)
        terminal.type("half")
        await seen(terminal, r"> half\Z")
        signal.raise_signal(signal.SIGTSTP)
        assert stops == [True]
        for number in (signal.SIGCONT, signal.SIGWINCH):
            terminal.output = ""
            signal.raise_signal(number)
            await until(lambda: terminal.read() or terminal.output, "the line")
            assert "> half" in terminal.output
        assert terminal.isRaw
        terminal.type("\x15\x04")
        assert (await within(status)) == 0


# Programs


def command(url: str, *arguments: str) -> list[str]:
    """Give the command for a program, without Python."""
    return ["-m", "twisted_ws", url, *arguments]


async def inThread(function: Callable[[], Any]) -> Any:
    """Run what blocks, while the server goes on."""
    return await within(deferToThread(function), 3 * PATIENCE)


async def inTerminal(
    url: str,
    course: Callable[[Program, Terminal], None],
    *arguments: str,
    **redirect: Any,
) -> tuple[int, Terminal]:
    """Run the program in a terminal.

    :param url: of the server
    :param course: what happens to it; blocks
    :returns: its exit status, and the terminal as it was then
    """
    terminal = Terminal()

    def run() -> int:
        with Program(terminal, command(url, *arguments), **redirect) as program:
            course(program, terminal)
            status = program.wait()
            assert terminal.isAsBefore
            assert "Traceback" not in terminal.output, terminal.output
            return status

    status: int = await inThread(run)
    return status, terminal


@pytest_twisted.ensureDeferred
async def test_program() -> None:
    """In a terminal of its own: typing, arrows, another size, Ctrl-D; the terminal is
    as it was."""

    def course(program: Program, terminal: Terminal) -> None:
        terminal.waitFor(r"Connected to .*\n(.*\n)?>", "screen")
        assert terminal.isRaw
        terminal.type("helo\x1b[Dl\r")
        terminal.waitFor(rf"{CLOCK} < 5 B  hello\n>", "screen")
        terminal.type("\x1b[A")
        terminal.waitFor(r"> hello\Z", "screen")
        terminal.type(" " + "0123456789" * 10)
        terminal.waitFor(r"> [0-9]{76}\Z", "screen")
        terminal.resize(40, 10)
        terminal.waitFor(r"> [0-9]{36}\Z", "screen")
        terminal.type("\x15\x04")

    async with school() as server:
        status, terminal = await inTerminal(server.url, course)
        assert status == 0
        assert CLEAN in terminal.screen.lines
        closed = await within(server.teacher.ended)
        assert closed.code == 1000


@pytest_twisted.ensureDeferred
async def test_controlC() -> None:
    """Ctrl-C closes, with 130; the terminal is as it was."""

    def course(program: Program, terminal: Terminal) -> None:
        terminal.waitFor(r"\n>", "screen")
        terminal.type("not sent\x03")

    async with school() as server:
        status, terminal = await inTerminal(server.url, course)
        assert status == 130
        assert "Connection closed: 1001 (going away)" in terminal.screen.lines
        assert server.teacher.messages == []


@pytest_twisted.ensureDeferred
async def test_controlZ() -> None:
    """Ctrl-Z gives the terminal back; when it goes on, the line is as it was."""

    def course(program: Program, terminal: Terminal) -> None:
        terminal.waitFor(r"\n>", "screen")
        terminal.type("half a li")
        terminal.waitFor(r"> half a li\Z", "screen")
        terminal.type("\x1a")
        program.waitUntilStopped()
        assert terminal.isAsBefore
        terminal.output = ""
        program.send(signal.SIGCONT)
        terminal.waitFor("> half a li")
        assert terminal.isRaw
        terminal.type("ne")
        terminal.waitFor(r"> half a line\Z", "screen")
        terminal.type("\r")
        terminal.waitFor(rf"{CLOCK} < 11 B  half a line\n>", "screen")
        terminal.type("\x04")

    async with school() as server:
        status, _ = await inTerminal(server.url, course)
        assert status == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
@pytest_twisted.ensureDeferred
async def test_ended(number: int) -> None:
    """Whatever signal ends it, the terminal is as it was."""

    def course(program: Program, terminal: Terminal) -> None:
        terminal.waitFor(r"\n>", "screen")
        program.send(number)

    async with school() as server:
        status, _ = await inTerminal(server.url, course)
        assert status == 128 + number


@pytest_twisted.ensureDeferred
async def test_typedIntoPipe() -> None:
    """What is typed while the output goes elsewhere is edited by the terminal, and has
    commands; messages go out as they are."""
    reader, writer = os.pipe()

    def course(program: Program, terminal: Terminal) -> None:
        os.close(writer)
        terminal.waitFor("/help lists")
        terminal.type("//one\n")
        assert os.read(reader, 100) == b"/one\n"
        terminal.type("/close\n")

    async with school() as server:
        status, terminal = await inTerminal(server.url, course, stdout=writer)
        assert status == 0
        assert CLEAN in terminal.output
    os.close(reader)


@pytest_twisted.ensureDeferred
async def test_shell() -> None:
    """In a shell: ``echo hi | python -m twisted_ws URL``; in front of ``head``; without
    any standard stream; a command line that cannot be used."""
    python = f"{sys.executable} -m twisted_ws"

    def shell(line: str) -> tuple[int, str, str]:
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {line}"],
            env=clientEnvironment(),
            capture_output=True,
            timeout=2 * PATIENCE,
            check=False,
        )
        errors = done.stderr.decode()
        assert "Traceback" not in errors, errors
        return done.returncode, done.stdout.decode(), errors

    async with school() as server:
        status, output, errors = await inThread(
            lambda: shell(f"echo hi | {python} {server.url}")
        )
        assert (status, output) == (0, "hi\n")
        assert lastLine(errors) == CLEAN
        status, output, errors = await inThread(
            lambda: shell(
                f"printf 'one\\ntwo\\n' | {python} --wait inf {server.url} | head -1"
            )
        )
        assert (status, output) == (0, "one\n")
        assert lastLine(errors) == CLEAN
        status, output, errors = await inThread(
            lambda: shell(f"{python} {server.url} <&- >&- 2>&-")
        )
        assert (status, output, errors) == (0, "", "")
        status, output, errors = await inThread(lambda: shell(f"{python} http://x/"))
        assert (status, output) == (2, "")
        assert errors.count("\n") == 1


# The program's beginning


def test_main(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line is read, and the reactor runs until there is a status; who
    gives up before that, ends it with 130."""
    seen: list[Any] = []
    monkeypatch.setattr(sys, "argv", ["twisted_ws", "ws://localhost/", "--json"])

    async def run(*arguments: Any) -> int:
        seen.extend(arguments)
        return 3

    def react(main: Any, arguments: Any) -> None:
        result: list[Failure] = []
        main("reactor", *arguments).addErrback(result.append)
        assert isinstance(result[0].value, SystemExit)
        sys.exit(result[0].value.code)

    monkeypatch.setattr(cli, "run", run)
    monkeypatch.setattr(cli, "react", react)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 3
    assert seen[0] == "reactor"
    assert seen[1].json
    assert seen[2:] == [Streams(0, 1, 2), os.environ]

    def giveUp(_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "readSettings", giveUp)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 130
