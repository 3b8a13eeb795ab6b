"""Conversations with other implementations, and what holds them."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.interop import __main__ as command
from tests.interop import conversation, programs
from tests.interop.conversation import VARIANTS, Certificate, Outcome, runPair
from tests.interop.lines import readLine, writeLine
from tests.interop.programs import OURS, PEERS, Implementation, Program, ProgramFailed
from tests.interop.relay import Relay
from tests.interop.table import Row, markdown, restructured

DOCS = Path(__file__).resolve().parent.parent / "docs"
ABILITIES = frozenset(
    ("compression", "fragments", "reason", "seesClose", "subprotocols")
)


class TestCase(SynchronousTestCase):
    """A test with a directory of its own."""

    def makeDirectory(self) -> Path:
        """An empty directory that is gone after the test."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        return Path(directory.name)


class PeerTests(TestCase):
    """With each peer: text, binary, nothing and 1 MiB, in both directions; fragments;
    pings; a subprotocol; closing by either side with a code and a reason; over TCP and
    TLS, with and without compression."""

    def converse(self, name: str, oursServes: bool) -> None:
        """Have a peer talk to ours.

        :param name: the peer's
        :param oursServes: whether ours is the server
        """
        (peer,) = (each for each in PEERS if each.name == name)
        missing = peer.missing()
        if missing is not None:
            raise SkipTest(missing)
        _, _, outcomes = runPair(peer, oursServes, Certificate(self.makeDirectory()))
        problems = [f"{each.variant.name}: {each.problem}" for each in outcomes]
        self.assertEqual(problems, [f"{each.name}: None" for each in VARIANTS])

    def test_websocketsClient(self) -> None:
        """Our server gets on with the client of ``websockets``."""
        self.converse("websockets", oursServes=True)

    def test_websocketsServer(self) -> None:
        """Our client gets on with the server of ``websockets``."""
        self.converse("websockets", oursServes=False)

    def test_aiohttpClient(self) -> None:
        """Our server gets on with the client of ``aiohttp``."""
        self.converse("aiohttp", oursServes=True)

    def test_aiohttpServer(self) -> None:
        """Our client gets on with the server of ``aiohttp``."""
        self.converse("aiohttp", oursServes=False)

    def test_autobahnClient(self) -> None:
        """Our server gets on with the client of ``autobahn``."""
        self.converse("autobahn", oursServes=True)

    def test_autobahnServer(self) -> None:
        """Our client gets on with the server of ``autobahn``."""
        self.converse("autobahn", oursServes=False)

    def test_twistedWebClient(self) -> None:
        """Our server gets on with the client of ``twisted.web.websocket``."""
        self.converse("twisted.web.websocket", oursServes=True)

    def test_twistedWebServer(self) -> None:
        """Our client gets on with the server of ``twisted.web.websocket``."""
        self.converse("twisted.web.websocket", oursServes=False)

    def test_wsClient(self) -> None:
        """Our server gets on with the client of npm's ``ws``."""
        self.converse("ws", oursServes=True)

    def test_wsServer(self) -> None:
        """Our client gets on with the server of npm's ``ws``."""
        self.converse("ws", oursServes=False)

    def test_ours(self) -> None:
        """Our client gets on with our server; nothing of a peer is needed."""
        _, abilities, outcomes = runPair(OURS, True, Certificate(self.makeDirectory()))
        self.assertEqual([each.problem for each in outcomes], [None] * len(VARIANTS))
        self.assertEqual(
            [each.compressed for each in outcomes],
            [each.compressed for each in VARIANTS],
        )
        self.assertEqual(abilities, ABILITIES - {"fragments"})


class ProgramTests(TestCase):
    """Talking to a program that is not what it should be."""

    def program(self, script: str, version: str = "1") -> Program:
        """A program that says that it is ready, and goes on as it is told.

        :param script: how it goes on
        :param version: what it says
        """
        path = self.makeDirectory() / "program.py"
        path.write_text(
            "import sys\n"
            f'print(\'{{"event": "ready", "version": "{version}", "abilities": []}}\','
            " flush=True)\n"
            f"{script}",
            encoding="utf-8",
        )
        self.patch(
            Implementation,
            "command",
            lambda _: [sys.executable, str(path)],
        )
        return Program(Implementation("fake", "fake.py"))

    def test_lines(self) -> None:
        """Bytes come through lines as they are, wherever they stand."""
        content = {"do": "x", "data": b"\0\xff\n", "parts": [b"", b"a"], "none": None}
        line = writeLine(content)
        self.assertEqual(line.count(b"\n"), 1)
        self.assertEqual(readLine(line), content)

    def test_ready(self) -> None:
        """A program tells its version first, and ends when nobody talks to it."""
        with self.program("sys.stdin.read()", "7.1") as fake:
            self.assertEqual((fake.version, fake.abilities), ("7.1", frozenset()))

    def test_ended(self) -> None:
        """The end of a program is told with what it wrote to its standard error."""
        with self.program("sys.exit('no such luck')") as fake:
            with self.assertRaisesRegex(
                ProgramFailed, "fake has ended\n +no such luck"
            ):
                fake.expect("open")
            # It may take what it is told a little longer than it lives.
            with self.assertRaisesRegex(ProgramFailed, "fake has ended"):
                while True:
                    fake.do("text", data=b"a" * 65536)

    def test_neverReady(self) -> None:
        """A program that cannot even start is ended, and said so."""
        fake = self.program("")
        fake.end()
        self.patch(Implementation, "command", lambda _: [sys.executable, "-c", "1/0"])
        with (
            self.assertRaisesRegex(ProgramFailed, "ZeroDivisionError"),
            Program(OURS),
        ):
            self.fail("it cannot be ready")

    def test_silent(self) -> None:
        """A program that tells nothing is waited for no longer than a while; one that
        does not end is made to."""
        self.patch(programs, "PATIENCE", 0.5)
        script = "import time\nwhile True: time.sleep(60)"
        with (
            self.assertRaisesRegex(ProgramFailed, "did not tell 'open' in 0.5 s"),
            self.program(script) as fake,
        ):
            fake.expect("open")

    def test_somethingElse(self) -> None:
        """What it told is shown beside what was expected."""
        told = '{"event": "text", "data": {"base64": "YQ=="}}'
        with (
            self.program(f"print({told!r}, flush=True)") as fake,
            self.assertRaises(ProgramFailed) as caught,
        ):
            fake.expect("text", data=b"b")
        self.assertEqual(
            str(caught.exception),
            "fake told (event='text', data=b'a'), not (event='text', data=b'b')",
        )

    def test_missing(self) -> None:
        """What is not installed is named."""
        for implementation, reason in (
            (OURS, None),
            (Implementation("a", "a.py", ["no_such.thing"]), "no_such.thing is not"),
            (Implementation("b", "b.py", ["json.no_such"]), "json.no_such is not"),
        ):
            found = implementation.missing()
            self.assertEqual(found and found[: len(reason or "")], reason)

    def test_missingForNode(self) -> None:
        """Without Node.js, or the module, it is said what is missing."""
        self.patch(shutil, "which", lambda name: None)
        implementation = Implementation("c", "c.js", ["c"])
        self.assertEqual(implementation.missing(), "node is not installed")
        self.patch(shutil, "which", lambda name: name)
        fake = self.makeDirectory() / "node"
        fake.write_text("#!/bin/sh\nexit 1\n", encoding="ascii")
        fake.chmod(0o755)
        self.patch(os, "environ", {"PATH": str(fake.parent)})
        self.assertEqual(
            implementation.missing(), "npm's c is not installed where NODE_PATH says"
        )


class RelayTests(SynchronousTestCase):
    """What stands between the two."""

    def test_counts(self) -> None:
        """Bytes are passed on in both directions, and counted; so is the end."""
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            Relay(listener.getsockname()[1]) as relay,
            socket.create_connection(("127.0.0.1", relay.port)) as client,
        ):
            server, _ = listener.accept()
            with server:
                client.sendall(b"12345")
                self.assertEqual(server.recv(100), b"12345")
                server.sendall(b"123")
                self.assertEqual(client.recv(100), b"123")
                client.shutdown(socket.SHUT_WR)
                self.assertEqual(server.recv(100), b"")
                self.assertEqual((relay.toServer, relay.toClient), (5, 3))


class ConversationTests(TestCase):
    """What would be noticed."""

    def problemAfter(self, name: str, value: object) -> str:
        """Talk to ourselves with something changed, and give the first problem.

        :param name: what of the conversation
        :param value: in its place
        """
        self.patch(conversation, name, value)
        _, _, outcomes = runPair(OURS, True, Certificate(self.makeDirectory()))
        (outcome,) = outcomes
        assert outcome.problem is not None
        return outcome.problem

    def test_uncompressed(self) -> None:
        """A message that is compressed where nothing was agreed on, or the other way
        round, is noticed: here a short one passes for a compressed one."""
        self.assertEqual(
            self.problemAfter("LARGE_TEXT", "a" * 100),
            "1 MiB of text from twisted_ws to twisted_ws: it took 106 bytes, which "
            "should be more",
        )

    def test_subprotocol(self) -> None:
        """A subprotocol that is not agreed on is noticed."""
        problem = self.problemAfter("OFFERED", ("first.example", "third.example"))
        self.assertIn("opening: twisted_ws told (event='open', subproto", problem)

    def test_close(self) -> None:
        """A code that cannot be sent is noticed, for nothing is closed."""
        self.patch(programs, "PATIENCE", 2.0)
        problem = self.problemAfter("CLIENT_CLOSES", (1005, ""))
        self.assertIn("closing by twisted_ws: twisted_ws did not tell 'clo", problem)


class TableTests(TestCase):
    """The table."""

    def rows(self) -> list[Row]:
        """Rows of every kind."""
        good = [Outcome(each, None, each.compressed) for each in VARIANTS]
        plain = [Outcome(each, None, False) for each in VARIANTS]
        bad = [
            Outcome(VARIANTS[0], None, False),
            Outcome(VARIANTS[1], "text: a", False),
        ]
        return [
            Row("a 1", "server", ABILITIES, good),
            Row("b 2", "client", ABILITIES - {"compression", "fragments"}, plain),
            Row("c 3", "server", ABILITIES, bad),
            Row("d", "client", missing="d is not installed"),
        ]

    def test_cells(self) -> None:
        """A cell tells how a conversation went; the last one, what it did without."""
        self.assertEqual(
            list(markdown(self.rows())),
            [
                "| Peer | Our side | ws | wss | ws, compressed | wss, compressed "
                "| The peer cannot |",
                "|---|---|---|---|---|---|---|",
                "| a 1 | server | yes | yes | yes | yes |  |",
                "| b 2 | client | yes | yes | uncompressed | uncompressed "
                "| compress, send fragments |",
                "| c 3 | server | yes | **no** | not run | not run |  |",
                "| d | client | not run | not run | not run | not run "
                "| d is not installed |",
            ],
        )

    def test_restructured(self) -> None:
        """The documentation gets the same as a list table."""
        rows = self.rows()
        lines = list(restructured(rows))
        self.assertEqual(lines[:3], [".. list-table::", "   :header-rows: 1", ""])
        self.assertEqual(lines[3], "   * - Peer")
        self.assertEqual(len(lines), 3 + 7 * (1 + len(rows)))

    def test_good(self) -> None:
        """Only what was run to its end without a problem is good."""
        self.assertEqual(
            [each.isGood for each in self.rows()], [True, True, False, False]
        )
        self.assertEqual(self.rows()[2].problems, ["c 3, our server, wss: text: a"])

    def test_command(self) -> None:
        """``python -m tests.interop`` prints the table; a missing peer fails it."""
        self.patch(Implementation, "missing", lambda _: "it is away")
        output, errors = StringIO(), StringIO()
        with redirect_stdout(output), redirect_stderr(errors):
            status = command.main(["--peer", "ws", "--markdown"])
        self.assertEqual(status, 1)
        self.assertIn("| ws | client | not run |", output.getvalue())
        self.assertIn("ws, our server: it is away\n", errors.getvalue())

    def test_brokenPeer(self) -> None:
        """A peer whose program does not even start has its line in the table, too."""
        self.patch(Implementation, "missing", lambda _: None)
        self.patch(Implementation, "command", lambda _: [sys.executable, "-c", "1/0"])
        rows = list(command.runAll(PEERS[:1], Certificate(self.makeDirectory())))
        self.assertEqual([row.missing for row in rows], ["websockets has ended"] * 2)

    def test_documented(self) -> None:
        """The table in the documentation has each peer in both directions, and every
        conversation went well."""
        table = (DOCS / "interoperability.inc").read_text("utf-8")
        rows = re.findall(r"^   \* - (\S+) \S+\n     - (server|client)\n", table, re.M)
        self.assertEqual(
            rows, [(each.name, side) for each in PEERS for side in ("server", "client")]
        )
        self.assertNotIn("**no**", table)
        self.assertNotIn("not run", table)
        self.assertIn(
            ".. include:: interoperability.inc\n",
            (DOCS / "conformance.rst").read_text("utf-8"),
        )
