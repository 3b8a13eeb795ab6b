"""The attacks: on this package's server, which stands them, and on others that do not.

On real sockets of loopback, as the attacks are.
"""

# pytest-twisted has no types.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_twisted  # type: ignore[import-untyped]
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol

from tests.clients import reactor
from tests.processes import environment
from tests.test_docs import ROWS as PROMISES
from twisted_ws import (
    ServerOptions,
    TLSServerEndpoint,
    WebSocketServerFactory,
    attacks,
    selfSignedContext,
)
from twisted_ws.attacks import NOT_FROM_OUTSIDE, ROWS, SLOW
from twisted_ws.peerbytes import ACCEPT, frame
from twisted_ws.tap import Echo
from twisted_ws.testing import (
    CannotAttack,
    NotLoopback,
    Outcome,
    Verdict,
    attack,
)

ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
)
# What is an honest peer's, and needs an answer that a server cannot get wrong by
# accepting everything.
HARMLESS = {"H01", "H02", "H14"}


@asynccontextmanager
async def listening(
    factory: Any, wrap: Callable[[Any], Any] | None = None
) -> AsyncIterator[int]:
    """Listen on a free port of loopback."""
    endpoint: Any = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    port: Any = await (wrap(endpoint) if wrap else endpoint).listen(factory)
    try:
        yield port.getHost().port
    finally:
        await port.stopListening()


def ours(**options: Any) -> WebSocketServerFactory:
    """Give a factory of this package that echoes."""
    factory = WebSocketServerFactory(Echo, ServerOptions(**options))
    return factory


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[int]:
    """Serve with this package."""
    factory = ours(**options)
    async with listening(factory) as port:
        yield port
        await factory.abortConnections()


class Credulous(Protocol):
    """Accepts everything, and then takes whatever comes."""

    answer = ACCEPTED
    transport: Any

    def connectionMade(self) -> None:
        """Nothing was answered yet."""
        self.head = b""
        self.answered = False

    def dataReceived(self, data: bytes) -> None:
        """Answer a head, once."""
        if not self.answered:
            self.head += data
            if b"\r\n\r\n" in self.head:
                self.answered = True
                self.transport.write(self.answer)


class Compressing(Credulous):
    """Agrees to compression, too."""

    answer = ACCEPTED.replace(
        b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    )


def serverOf(protocol: type[Protocol]) -> Any:
    """Give a quiet factory."""
    factory: Any = Factory.forProtocol(protocol)
    factory.noisy = False
    return factory


def seen(outcomes: list[Outcome], verdict: Verdict) -> dict[str, str]:
    """Give the details of the rows that had a verdict."""
    return {each.row: each.detail for each in outcomes if each.verdict is verdict}


def test_everyRowIsKnown() -> None:
    """Each row of the threat model is tried, or it is said why not."""
    assert not set(ROWS) & set(NOT_FROM_OUTSIDE)
    assert {*ROWS, *NOT_FROM_OUTSIDE} == {*PROMISES, "S02", "S06"}
    assert set(SLOW) <= set(ROWS)
    for function in ROWS.values():
        assert re.fullmatch(r"\w[^\n]+[^.]", function.__doc__ or "")


@pytest_twisted.ensureDeferred
async def test_standing() -> None:
    """This package's server stands all of them, and so does its handling of time."""
    told: list[Outcome] = []
    async with serving() as port:
        outcomes = await attack(reactor, "127.0.0.1", port, report=told.append)
    assert seen(outcomes, Verdict.FAILED) == {}
    assert set(seen(outcomes, Verdict.PASSED)) == set(ROWS) - set(SLOW) - {"S01", "S03"}
    assert told == outcomes
    assert str(outcomes[0]) == (
        "H01 passed  every form of the headers that honest clients send"
    )


@pytest_twisted.ensureDeferred
async def test_standingTime() -> None:
    """Rows that wait are tried on a server that is quick about it."""
    options = {
        "handshakeTimeout": 0.5,
        "pingInterval": 0.5,
        "pingTimeout": 0.5,
        "closeTimeout": 0.5,
    }
    async with serving(**options) as port:
        outcomes = await attack(reactor, "localhost", port, rows=SLOW)
    assert set(seen(outcomes, Verdict.PASSED)) == set(SLOW)


@pytest_twisted.ensureDeferred
async def test_standingTLS() -> None:
    """Over TLS the same is tried, and TLS itself."""
    factory = ours()
    context, _ = selfSignedContext()

    def wrap(endpoint: Any) -> Any:
        return TLSServerEndpoint(endpoint, context)

    rows = ["H01", "H07", "H11", "F01", "F11", "S01", "S03"]
    async with listening(factory, wrap) as port:
        outcomes = await attack(reactor, "127.0.0.1", port, secure=True, rows=rows)
        await factory.abortConnections()
    assert list(seen(outcomes, Verdict.PASSED)) == rows, outcomes


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("protocol", [Credulous, Compressing])
async def test_credulous(protocol: type[Protocol]) -> None:
    """A server that accepts everything fails, in each row for what it did; what cannot
    be seen of it is skipped."""
    async with listening(serverOf(protocol)) as port:
        outcomes = await attack(reactor, "127.0.0.1", port, patience=0.1)
    failed = seen(outcomes, Verdict.FAILED)
    tried = set(ROWS) - set(SLOW) - HARMLESS - {"F12", "S01", "S03"}
    if protocol is Credulous:
        tried -= {"D01", "D02", "D03", "D04"}
    assert set(failed) == tried
    assert failed["H07"].startswith("Content-Length: answered 101, not 400; chunks:")
    assert failed["H12"] == "answered 101, not 403"
    assert "and 10 more of that kind" in failed["H08"]
    assert failed["F08"] == "nothing came within 0.1 s"
    assert failed["F09"].startswith("meanwhile, on another connection, a ping got no")
    skipped = seen(outcomes, Verdict.SKIPPED)
    assert skipped["H10"] == "takes a while: say --slow"
    assert skipped["F12"] == "the server does not echo, so nothing makes it send"


@pytest_twisted.ensureDeferred
async def test_greedy() -> None:
    """A server that keeps what nobody reads is found out."""

    class Hoarder(Credulous):
        """Echoes large messages into its memory."""

        def dataReceived(self, data: bytes) -> None:
            """Send back about as much."""
            before = self.answered
            super().dataReceived(data)
            if before and len(data) < 100:
                self.transport.write(b"\x81\x05echo?")
            elif before:
                size = len(data).to_bytes(8, "big")
                self.transport.write(b"\x82\x7f" + size + data)

    async with listening(serverOf(Hoarder)) as port:
        [outcome] = await attack(reactor, "127.0.0.1", port, rows=["F12"])
    assert outcome.verdict is Verdict.FAILED
    assert outcome.detail == "took 48 MiB of messages whose echoes nobody read"


@pytest_twisted.ensureDeferred
async def test_words() -> None:
    """What was seen is said as it was."""
    for written, end, words in (
        (b"", True, "closed the connection without a Close frame"),
        (b"\x81\x02hi", False, "a text message came, and within 0.2 s no more"),
        (b"\x83\x00", False, "something came that is no frame: reserved opcode 0x3"),
        (b"\x88\x02\x03\xe8", True, "closed with 1000"),
        (b"\x88\x00", False, "closed with 1005"),
        (frame(0x82, b"a"), False, "something came that is no frame: "),
    ):

        class Saying(Credulous):
            """Says something when the first frame comes."""

            said = written
            ends = end

            def dataReceived(self, data: bytes) -> None:
                """Say it."""
                before = self.answered
                super().dataReceived(data)
                if before:
                    self.transport.write(self.said)
                    if self.ends:
                        self.transport.loseConnection()

        async with listening(serverOf(Saying)) as port:
            [outcome] = await attack(
                reactor, "127.0.0.1", port, rows=["F01"], patience=0.2
            )
        assert outcome.verdict is Verdict.FAILED
        assert outcome.detail.startswith(f"a text message: {words}"), outcome


@pytest_twisted.ensureDeferred
async def test_noServer() -> None:
    """Where there is no WebSocket there is nothing to attack, and it is said what there
    is instead."""

    class Greeting(Protocol):
        """Says something, and that is all."""

        greeting = b"220 mail.example\r\n"
        transport: Any

        def connectionMade(self) -> None:
            """Say it."""
            self.transport.write(self.greeting)

    class NotFound(Greeting):
        """Says that there is nothing."""

        greeting = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

    class Closing(Greeting):
        """Says nothing."""

        def connectionMade(self) -> None:
            """Go away."""
            self.transport.loseConnection()

    for protocol, words in (
        (Greeting, "something came that is no answer of HTTP"),
        (NotFound, "the opening handshake was answered with 404"),
        (Closing, "closed the connection without an answer"),
        (Protocol, "nothing came within 0.2 s"),
    ):
        async with listening(serverOf(protocol)) as port:
            with pytest.raises(CannotAttack, match=words):
                await attack(reactor, "127.0.0.1", port, patience=0.2)
    with pytest.raises(CannotAttack, match="no connection: "):
        await attack(reactor, "127.0.0.1", port)


@pytest_twisted.ensureDeferred
async def test_endless() -> None:
    """A server that sends without end is not listened to without end, and a row has an
    end too."""

    class Endless(Credulous):
        """Sends, once it was asked."""

        def dataReceived(self, data: bytes) -> None:
            """Answer, and go on."""
            super().dataReceived(data)
            if self.answered:
                self.transport.registerProducer(self, False)

        def resumeProducing(self) -> None:
            """Send more."""
            self.transport.write(bytes([0x82, 0x7F]) + (1 << 16).to_bytes(8, "big"))
            self.transport.write(bytes(1 << 16))

        def stopProducing(self) -> None:
            """Not before the connection ends."""

    class Once(Endless):
        """Sends behind each answer."""

        def dataReceived(self, data: bytes) -> None:
            """Answer each request, but do not go on twice."""
            if not getattr(self, "answered", False):
                super().dataReceived(data)

    async with listening(serverOf(Once)) as port:
        [outcome] = await attack(reactor, "127.0.0.1", port, rows=["F08"], patience=20)
    assert outcome.detail == "sent more than 64 MiB"


@pytest_twisted.ensureDeferred
async def test_rowTimeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that takes too long has failed."""
    monkeypatch.setattr("twisted_ws.attacks._MOST_SECONDS", 0.2)
    async with listening(serverOf(Credulous)) as port:
        [outcome] = await attack(reactor, "127.0.0.1", port, rows=["F08"], patience=9)
    assert outcome == ("F08", Verdict.FAILED, "not done within 0.2 s")


def test_notElsewhere() -> None:
    """Other machines are not attacked, unless that is said in so many words."""
    for host in ("192.0.2.1", "example.com", "0.0.0.0", "2001:db8::1"):  # noqa: S104
        with pytest.raises(NotLoopback, match="not a loopback address"):
            attack(reactor, host, 80)
    with pytest.raises(ValueError, match="there is no row 'X'"):
        attack(reactor, "127.0.0.1", 80, rows=["X"])


@pytest_twisted.ensureDeferred
async def test_elsewhere() -> None:
    """If it is said, they are."""
    async with serving() as port:
        [outcome] = await attack(
            reactor,
            "127.0.0.1",
            port,
            rows=["F01"],
            dangerouslyAttackAnyHost=True,
        )
    assert outcome.verdict is Verdict.PASSED


@pytest_twisted.ensureDeferred
async def test_headersAndPath() -> None:
    """Path and header lines go into every request, and a limit may be another one."""
    asked: list[Any] = []

    def decide(request: Any) -> Echo:
        asked.append((request.path, request.headers.get("Cookie")))
        return Echo()

    factory = WebSocketServerFactory(decide, ServerOptions(maxMessageSize=1000))
    async with listening(factory) as port:
        outcomes = await attack(
            reactor,
            "127.0.0.1",
            port,
            path="/room",
            headers=("Cookie: a=b",),
            maxMessageSize=1000,
            rows=["F05", "H19", "D01"],
        )
        await factory.abortConnections()
    assert set(asked) == {("/room", "a=b")}
    assert list(seen(outcomes, Verdict.PASSED)) == ["F05", "H19", "D01"], outcomes


# The command line


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "twisted_ws.testing", *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def runHere(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command while this process serves."""
    from twisted.internet.threads import deferToThread

    done: subprocess.CompletedProcess[str] = await deferToThread(run, *arguments)
    return done


@pytest_twisted.ensureDeferred
async def test_command() -> None:
    """A line for each row, a sum, and an exit status."""
    async with serving() as port:
        done = await runHere(
            "attack", "127.0.0.1", str(port), "--row", "h07", "--row", "H15"
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "H07 passed  a request with a body, in which there is another request",
        "H15 skipped what the application returns is the application's",
        "1 passed, 0 failed, 1 skipped",
    ]


@pytest_twisted.ensureDeferred
async def test_commandFails() -> None:
    """A row that fails is seen in the exit status."""
    async with listening(serverOf(Credulous)) as port:
        done = await runHere(
            "attack", "127.0.0.1", str(port), "--row", "F08", "--patience", "0.1"
        )
    assert done.returncode == 1
    assert done.stdout.startswith("F08 failed  nothing came within 0.1 s\n")


def test_commandRefuses() -> None:
    """What cannot be done, or is not to be, has a status of its own and one line."""
    for arguments, words in (
        (("192.0.2.1", "80"), "--dangerously-attack-another-machine"),
        (("127.0.0.1", "80", "--row", "X99"), "there is no row 'X99'"),
        (("127.0.0.1", "1"), "no connection"),
        (("127.0.0.1", "x"), "invalid int value"),
    ):
        done = run("attack", *arguments)
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


@pytest_twisted.ensureDeferred
async def test_commandInThisProcess(capsys: pytest.CaptureFixture[str]) -> None:
    """The same, seen from inside."""
    parser = attacks._parser()

    async def status(*arguments: str) -> object:
        options = parser.parse_args(["attack", *arguments])
        with pytest.raises(SystemExit) as caught:
            await attacks._run(reactor, options)
        return caught.value.code

    async with serving() as port:
        assert await status("127.0.0.1", str(port), "--row", "H15") == 0
    assert capsys.readouterr().out.endswith("\n0 passed, 0 failed, 1 skipped\n")
    async with listening(serverOf(Credulous)) as port:
        place = ("127.0.0.1", str(port), "--patience", "0.1")
        assert await status(*place, "--row", "F08") == 1
    assert await status("127.0.0.1", str(port)) == 2
    assert await status("192.0.2.1", "80") == 2
    assert await status("127.0.0.1", "80", "--row", "X") == 2
    assert len(capsys.readouterr().err.splitlines()) == 3
