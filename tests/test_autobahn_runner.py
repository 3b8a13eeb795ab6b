"""The runner of the Autobahn Testsuite, without the Testsuite."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.autobahn import __main__ as program
from tests.autobahn import client as clientModule
from tests.autobahn import server as serverModule
from tests.autobahn.cases import (
    CATEGORY_TITLES,
    DEFAULT_CASES,
    caseKey,
    categoryTitle,
    splitPatterns,
)
from tests.autobahn.errors import NotInstalled, RunFailed
from tests.autobahn.processes import Child, freePort, waitUntilListening
from tests.autobahn.progress import Progress
from tests.autobahn.report import CaseResult, Outcome, Summary, readReport
from tests.autobahn.running import AGENT, Run
from tests.autobahn.server import makeSpec, serverCommand, twistdCommand
from tests.autobahn.wstest import (
    cacheDirectory,
    findPython2,
    findWstest,
    install,
    python2Environ,
)
from twisted_ws.connection import CloseReceived, Connection, Role
from twisted_ws.frames import encodeFrame
from twisted_ws.handshake import acceptFor
from twisted_ws.options import Options

Entry = dict[str, object]


def entry(case: str, behavior: str = "OK", behaviorClose: str = "OK") -> Entry:
    """One case of an index.json."""
    return {
        "behavior": behavior,
        "behaviorClose": behaviorClose,
        "duration": 1500,
        "remoteCloseCode": 1000,
        "reportfile": f"twisted_ws_case_{case.replace('.', '_')}.json",
    }


#: A report with one case of every outcome, in two categories.
INDEX = {
    "1.1.1": entry("1.1.1"),
    "1.1.2": entry("1.1.2"),
    "1.2.1": entry("1.2.1", "NON-STRICT"),
    "10.1.1": entry("10.1.1", "FAILED", "WRONG CODE"),
    "7.1.6": entry("7.1.6", "INFORMATIONAL", "INFORMATIONAL"),
    "7.1.5": entry("7.1.5", "UNIMPLEMENTED", "FAILED"),
}

#: How every fake wstest begins: it reads its specification as the real one does, and
#: can write a report of fixed content.
FAKE_START = """\
print("Using implicit spec file")
assert sys.argv[1] == "--mode" and sys.argv[3] == "--spec", sys.argv
assert os.environ["PYTHONUNBUFFERED"] == "1" and "PYTHONPATH" not in os.environ
spec = json.load(open(sys.argv[4]))

def write(name, content):
    with open(os.path.join(spec["outdir"], name), "w") as file:
        json.dump(content, file)

def report():
    for case, entry in index.items():
        details = {"result": "Why", "resultClose": "Because"}
        write(entry["reportfile"], {**entry, **details, "received": [], "expected": {}})
    write("index.json", {"twisted_ws": index})
"""

#: What the fake wstest does as a client: the real one's output, and the report.
FAKE_RUN = f"""\
{FAKE_START}
assert sys.argv[2] == "fuzzingclient" and not sys.argv[5:], sys.argv
print("Autobahn Fuzzing WebSocket Client (Autobahn Testsuite Version 25.10.1 / ...)")
print("Cases = %r" % (cases,))
for case in index:
    print("Running test case ID %s for agent twisted_ws from peer ..." % case)
report()
"""

#: What it does as a server: it listens, and does what the first five bytes say.
FAKE_LISTEN = f"""\
{FAKE_START}
import socket
assert sys.argv[2] == "fuzzingserver" and sys.argv[5:] == ["--webport", "0"], sys.argv
print("Autobahn WebSocket 25.10.1/0.10.9 Fuzzing Server (Port ...)")
print("Cases = %r" % (cases,))
port = int(spec["url"].removeprefix("ws://127.0.0.1:"))
listener = socket.create_server(("127.0.0.1", port))
while True:
    connection, address = listener.accept()
    with connection:
        asked = connection.recv(5)
        if asked == b"crash":
            sys.exit(6)
        if asked:
            print("Running test case ID 1.1.1 for agent twisted_ws from peer ...")
            report()
"""

#: A server that greets each connection, and ends with status 5 when it gets a byte.
FAKE_SERVER = """\
import contextlib, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    # Whoever only looks whether it listens may reset the connection.
    with connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"hello")
        if connection.recv(1):
            sys.exit(5)
"""


class TestCase(SynchronousTestCase):
    """A test with directories of its own."""

    def makeDirectory(self) -> Path:
        """An empty directory that is gone after the test.

        ``mktemp`` is for trial only: elsewhere it litters the working directory.
        """
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        return Path(directory.name).resolve()


class CasesTests(SynchronousTestCase):
    """Case patterns and numbers."""

    def test_separators(self) -> None:
        """Commas and spaces separate patterns, alone and together."""
        self.assertEqual(
            splitPatterns(["1.*,2.*", "7.1.6 , 10.*"]),
            ["1.*", "2.*", "7.1.6", "10.*"],
        )

    def test_bareCategory(self) -> None:
        """A category alone stands for all of its cases."""
        self.assertEqual(splitPatterns(["9", "*"]), ["9.*", "*"])

    def test_notAPattern(self) -> None:
        """What is not a pattern is refused, as is nothing at all."""
        for word in ("utf8", "1..2", "1.", "9.1-3", "", ","):
            with self.assertRaises(ValueError):
                splitPatterns([word])

    def test_defaultIsValid(self) -> None:
        """The default is every category, compression included."""
        self.assertEqual(splitPatterns(DEFAULT_CASES), list(DEFAULT_CASES))
        self.assertEqual(
            [int(pattern.removesuffix(".*")) for pattern in DEFAULT_CASES],
            list(CATEGORY_TITLES),
        )
        self.assertIn("13.*", DEFAULT_CASES)

    def test_order(self) -> None:
        """Cases sort by their numbers."""
        self.assertEqual(
            sorted(["10.1.1", "9.10.1", "9.2.1", "2.1"], key=caseKey),
            ["2.1", "9.2.1", "9.10.1", "10.1.1"],
        )

    def test_unknownCategory(self) -> None:
        """A category of a later Testsuite does not break the report."""
        self.assertEqual(categoryTitle(99), "(unknown)")


class SpecTests(TestCase):
    """What the two programs are told."""

    def test_spec(self) -> None:
        """The server that is to be tested is named; the agent is always the same."""
        self.assertEqual(
            makeSpec("ws://127.0.0.1:1"),
            {"servers": [{"agent": "twisted_ws", "url": "ws://127.0.0.1:1"}]},
        )

    def test_clientCommand(self) -> None:
        """The client is told where the Testsuite's server listens."""
        self.assertEqual(clientModule.makeSpec(8082), {"url": "ws://127.0.0.1:8082"})
        self.assertEqual(
            clientModule.clientCommand(8082),
            [
                *(sys.executable, "-m", "tests.autobahn.echoclient"),
                "ws://127.0.0.1:8082",
            ],
        )

    def test_serverCommand(self) -> None:
        """The server is on the loopback interface and takes 16 MiB messages."""
        command = " ".join(serverCommand(8081))
        self.assertTrue(
            command.endswith(
                " --nodaemon --pidfile= websocket --port 8081 --interface 127.0.0.1"
                " --max-message-size 16777216"
            ),
            command,
        )

    def test_twistd(self) -> None:
        """The script beside the interpreter is preferred, and not needed."""
        directory = self.makeDirectory()
        python = directory / "python"
        self.assertEqual(twistdCommand(python)[:2], [str(python), "-c"])
        (directory / "twistd").touch()
        self.assertEqual(twistdCommand(python), [str(directory / "twistd")])


class ReportTests(TestCase):
    """Reading and counting."""

    def setUp(self) -> None:
        self.directory = self.makeDirectory()

    def write(self, index: Mapping[str, object]) -> None:
        """Leave an index.json as wstest does."""
        text = json.dumps({AGENT: index})
        (self.directory / "index.json").write_text(text, encoding="utf-8")

    def summary(self, *expected: str) -> Summary:
        """Read what was written."""
        return Summary("server", "1", readReport(self.directory, AGENT, expected))

    def test_outcomes(self) -> None:
        """Behaviour and closing become one outcome; unknown words are failures."""
        for behavior, behaviorClose, outcome in [
            ("OK", "OK", Outcome.OK),
            ("INFORMATIONAL", "INFORMATIONAL", Outcome.INFORMATIONAL),
            ("OK", "INFORMATIONAL", Outcome.INFORMATIONAL),
            ("NON-STRICT", "OK", Outcome.NON_STRICT),
            ("OK", "WRONG CODE", Outcome.NON_STRICT),
            ("OK", "FAILED BY CLIENT", Outcome.NON_STRICT),
            ("OK", "UNCLEAN", Outcome.FAILED),
            ("OK", "FAILED", Outcome.FAILED),
            ("INFORMATIONAL", "FAILED", Outcome.FAILED),
            ("FAILED", "OK", Outcome.FAILED),
            ("UNIMPLEMENTED", "OK", Outcome.UNIMPLEMENTED),
            ("UNIMPLEMENTED", "FAILED", Outcome.UNIMPLEMENTED),
            ("NO_CLOSE", "OK", Outcome.FAILED),
            ("MISSING", "MISSING", Outcome.FAILED),
        ]:
            result = CaseResult("1.1.1", behavior, behaviorClose)
            self.assertIs(result.outcome, outcome, (behavior, behaviorClose))

    def test_counts(self) -> None:
        """Cases are counted for each category and altogether."""
        self.write(INDEX)
        summary = self.summary(*INDEX)
        self.assertEqual(
            [result.case for result in summary.results],
            ["1.1.1", "1.1.2", "1.2.1", "7.1.5", "7.1.6", "10.1.1"],
        )
        self.assertEqual(
            {key: count.asJSON() for key, count in summary.categories.items()}[1],
            {
                "cases": 3,
                "ok": 2,
                "informational": 0,
                "nonStrict": 1,
                "unimplemented": 0,
                "failed": 0,
            },
        )
        self.assertEqual(list(summary.categories), [1, 7, 10])
        self.assertEqual(
            [count.notOk for count in summary.categories.values()], [1, 1, 1]
        )
        self.assertEqual(
            summary.closingLine(),
            "autobahn server: 6 cases, 2 OK, 1 informational, 3 not OK",
        )

    def test_exitStatus(self) -> None:
        """Only OK and informational cases, and at least one, make a run pass."""
        self.assertEqual(Summary("server", "1", []).exitStatus, 1)
        passing = {case: INDEX[case] for case in ("1.1.1", "7.1.6")}
        self.write(passing)
        self.assertEqual(self.summary(*passing).exitStatus, 0)
        for case in ("1.2.1", "7.1.5", "10.1.1"):
            self.write({**passing, case: INDEX[case]})
            self.assertEqual(self.summary(*passing).exitStatus, 1, case)

    def test_missing(self) -> None:
        """A case that was to run and is not reported has failed."""
        self.write({"1.1.1": INDEX["1.1.1"]})
        summary = self.summary("1.1.1", "1.1.2", "2.1")
        self.assertEqual(summary.exitStatus, 1)
        self.assertEqual(summary.total.notOk, 2)
        self.assertIn("not reported: 1.1.2, 2.1\n", summary.asText())

    def test_details(self) -> None:
        """A case that is not OK comes with its numbers, reasons and report."""
        self.write({"3.2": entry("3.2", "NON-STRICT", "WRONG CODE")})
        details = self.directory / "twisted_ws_case_3_2.json"
        details.write_text(
            json.dumps(
                {
                    "behavior": "NON-STRICT",
                    "behaviorClose": "WRONG CODE",
                    "expected": {
                        "OK": [["message", "*" * 300, False]],
                        "NON-STRICT": [],
                    },
                    "received": [],
                    "result": "The close code is wrong.",
                    "resultClose": "The close code is wrong.",
                }
            ),
            encoding="utf-8",
        )
        (result,) = self.summary().results
        self.assertEqual(result.reasons[0], "The close code is wrong.")
        self.assertTrue(result.reasons[1].startswith('OK would be: [["message", "***'))
        self.assertTrue(result.reasons[1].endswith("* ..."))
        self.assertEqual(
            result.reasons[2:], ("NON-STRICT would be: []", "received: []")
        )
        text = self.summary().asText()
        self.assertIn(
            "3.2 is non-strict: behavior NON-STRICT, closing WRONG CODE, "
            "close code 1000, 1500 ms\n    The close code is wrong.\n",
            text,
        )
        self.assertIn(f"\n    {details}\n", text)

    def test_page(self) -> None:
        """The report for people is named where there is one."""
        self.write({"1.1.1": INDEX["1.1.1"]})
        page = self.directory / "twisted_ws_case_1_1_1.html"
        page.touch()
        self.assertEqual(self.summary().results[0].reportFile, page)

    def test_text(self) -> None:
        """The table has a line for each category and one for all of them."""
        self.write(INDEX)
        lines = self.summary().asText().splitlines()
        self.assertEqual(
            " ".join(lines[0].split()),
            "category cases OK inform. non-strict unimpl. failed seconds",
        )
        self.assertEqual(
            lines[1].split(), ["1", "Framing", "3", "2", "0", "1", "0", "0", "4.5"]
        )
        self.assertEqual(lines[4].split(), ["all", "6", "2", "1", "1", "1", "1", "9.0"])
        self.assertIn("informational: 7.1.6 (close code 1000)", lines)

    def test_remarks(self) -> None:
        """Remarks stand before the closing line."""
        summary = Summary("server", "1", [CaseResult("1.1.1", "OK", "OK")], ["Look."])
        self.assertEqual(summary.exitStatus, 0)
        self.assertTrue(summary.asText().endswith(f"\nLook.\n{summary.closingLine()}"))

    def test_markdown(self) -> None:
        """The documentation's table has the same figures."""
        self.write(INDEX)
        self.assertEqual(
            self.summary().asMarkdown(),
            "| category | title | cases | OK | informational | not OK |\n"
            "|---|---|---|---|---|---|\n"
            "| 1 | Framing | 3 | 2 | 0 | 1 |\n"
            "| 7 | Close handling | 2 | 0 | 1 | 1 |\n"
            "| 10 | Automatic fragmentation | 1 | 0 | 0 | 1 |\n"
            "|  | all | 6 | 2 | 1 | 3 |\n",
        )

    def test_json(self) -> None:
        """The summary for programs names what is not plainly OK."""
        self.write(INDEX)
        document = json.loads(self.summary().asJSON())
        self.assertEqual(document["mode"], "server")
        self.assertEqual(document["total"]["cases"], 6)
        self.assertEqual(
            [category["category"] for category in document["categories"]], [1, 7, 10]
        )
        self.assertEqual(
            [result["case"] for result in document["informational"]], ["7.1.6"]
        )
        self.assertEqual(
            [result["outcome"] for result in document["notOk"]],
            ["non-strict", "unimplemented", "failed"],
        )

    def test_unusable(self) -> None:
        """No report, an empty one or nonsense is an error, never a pass."""
        with self.assertRaises(RunFailed):
            self.summary()
        self.write({})
        with self.assertRaises(RunFailed):
            self.summary("1.1.1")
        self.write({"1.1.1": {"behavior": "OK"}})
        with self.assertRaises(RunFailed):
            self.summary()
        for text in ("", "[]", '{"twisted_ws": {"x": 1}}', '{"other": {}}'):
            (self.directory / "index.json").write_text(text, encoding="utf-8")
            with self.assertRaises(RunFailed):
                self.summary()


class ProgressTests(TestCase):
    """Following what wstest prints."""

    def test_progress(self) -> None:
        """There is a line for a new category, and one after a while."""
        now = 0.0
        said: list[str] = []
        path = self.makeDirectory() / "log"
        path.touch()
        progress = Progress(path, said.append, 15.0, lambda: now)
        with path.open("a", encoding="utf-8") as output:

            def prints(text: str) -> None:
                output.write(text)
                output.flush()
                progress.update()

            prints("Autobahn Fuzzing WebSocket Client (Autobahn Testsuite Version ")
            self.assertEqual(progress.version, "")
            prints("25.10.1 / Autobahn Version 0.10.9)\nOk, will run 3 test cases\n")
            self.assertEqual(progress.version, "25.10.1")
            prints("Cases = ['1.1.1', u'1.1.2', '9.1.1']\n")
            self.assertEqual(progress.cases, ["1.1.1", "1.1.2", "9.1.1"])
            now = 30.0
            progress.update()
            self.assertEqual(said, [])
            prints("Running test case ID 1.1.1 for agent x from peer y\n")
            prints("Running test case ID 1.1.2 for agent x from peer y\n")
            self.assertEqual(progress.current, "1.1.2")
            prints("Running test case ID 9.1.1 for agent x from peer y\n")
            now = 44.0
            progress.update()
            now = 45.0
            progress.update()
        self.assertEqual(
            [line.strip() for line in said],
            [
                "30 s    1/3  case 1.1.1: Framing",
                "30 s    3/3  case 9.1.1: Limits and performance",
                "45 s    3/3  case 9.1.1",
            ],
        )


class ProcessTests(TestCase):
    """Children are stopped, whatever happens."""

    def child(self, script: str) -> Child:
        """A Python child in a directory of its own."""
        directory = self.makeDirectory()
        command = [sys.executable, "-u", "-c", script]
        return Child("child", command, directory / "log", os.environ, directory)

    def test_stoppedOnTheWayOut(self) -> None:
        """A child that runs is terminated at the end, an exception included."""
        for error in (ValueError, KeyboardInterrupt):
            with (
                self.assertRaises(error),
                self.child("import time; time.sleep(60)") as child,
            ):
                raise error
            self.assertEqual(child.status, -signal.SIGTERM)
            with self.assertRaises(ProcessLookupError):
                os.kill(child.pid, 0)

    def test_killed(self) -> None:
        """One that does not heed the request is killed."""
        script = (
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
            "print('ready'); time.sleep(60)"
        )
        with self.child(script) as child:
            while "ready" not in child.tail():
                self.assertIs(child.wait(0.01), None)
            child.stop(0.05)
            self.assertEqual(child.status, -signal.SIGKILL)

    def test_endedByItself(self) -> None:
        """The exit status and the end of the output of one that ended are known."""
        with self.child("for i in range(9): print(i)\nraise SystemExit(3)") as child:
            self.assertEqual(child.wait(30), 3)
        self.assertEqual(child.status, 3)
        self.assertEqual(child.tail(2), "\n    7\n    8")

    def test_doesNotStart(self) -> None:
        """A program that does not exist is an error that names the child."""
        directory = self.makeDirectory()
        with self.assertRaisesRegex(RunFailed, "the server does not start"):
            Child("the server", ["/nonexistent"], directory / "log", {}, directory)

    def test_listening(self) -> None:
        """The wait ends when connections are accepted."""
        port = freePort()
        script = (
            "import socket, time; s = socket.socket();"
            f"s.bind(('127.0.0.1', {port})); s.listen(); time.sleep(60)"
        )
        with self.child(script) as child:
            waitUntilListening(child, port, 30)
            self.assertIs(child.status, None)

    def test_endsInsteadOfListening(self) -> None:
        """A child that ends before it listens is an error with its last words."""
        with (
            self.child("raise SystemExit('no such port')") as child,
            self.assertRaises(RunFailed) as caught,
        ):
            waitUntilListening(child, freePort(), 30)
        self.assertIn("child ended with status 1", str(caught.exception))
        self.assertIn("no such port", str(caught.exception))

    def test_neverListens(self) -> None:
        """The wait has an end."""
        with (
            self.child("import time; time.sleep(60)") as child,
            self.assertRaisesRegex(RunFailed, "does not listen"),
        ):
            waitUntilListening(child, freePort(), 0.1)


class EchoClientTests(TestCase):
    """The client that is tested, with a fuzzing server that is none."""

    def setUp(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)
        self.listener.settimeout(20)

    def startClient(self) -> Child:
        """Start it as the runner does."""
        run = Run(Path(), self.makeDirectory(), [], [], 1, os.environ)
        command = clientModule.clientCommand(self.listener.getsockname()[1])
        return run.startOurs("client", command)

    def serve(self, *frames: bytes) -> str:
        """Serve one connection: send frames, take as much back, and close.

        :param frames: what is sent
        :returns: the request's target, and behind it what came back
        """
        accepted, _ = self.listener.accept()
        with accepted:
            accepted.settimeout(20)
            request = b""
            while b"\r\n\r\n" not in request:
                request += accepted.recv(65536)
            key = request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
            accepted.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
                + acceptFor(key.decode("ascii")).encode("ascii")
                + b"\r\n\r\n"
                + b"".join(frames)
            )
            target = request.split()[1].decode("ascii")
            wire = Connection(Role.SERVER, Options())
            events: list[object] = []
            # How many cases there are is not echoed.
            wanted = 0 if target == "/getCaseCount" else len(frames)
            while len(events) < wanted:
                events += wire.receive(accepted.recv(65536))
            # A client that has failed the connection does not stay for more.
            if not any(isinstance(each, CloseReceived) for each in events):
                accepted.sendall(wire.close(1000))
                accepted.recv(65536)
        return " ".join([target, *map(str, events)])

    def test_allCases(self) -> None:
        """It asks how many cases there are, echoes in each, and then has the report
        written; a connection that ends badly does not keep it from the next."""
        with self.startClient() as client:
            asked = [
                self.serve(encodeFrame(0x81, b"3")),
                self.serve(encodeFrame(0x81, b"hello")),
                # Reserved bits.
                self.serve(encodeFrame(0xF1, b"")),
                self.serve(encodeFrame(0x82, b"a"), encodeFrame(0x81, b"b")),
                self.serve(),
            ]
            self.assertEqual(client.wait(20), 0, client.tail())
        self.assertIn("\n    3 cases\n", client.tail())
        self.assertEqual(asked[0], "/getCaseCount")
        self.assertEqual(asked[1], "/runCase?case=1&agent=twisted_ws hello")
        self.assertIn("/runCase?case=2&agent=twisted_ws CloseReceived(co", asked[2])
        self.assertEqual(asked[3], "/runCase?case=3&agent=twisted_ws b'a' b")
        self.assertEqual(asked[4], "/updateReports?agent=twisted_ws")

    def test_refused(self) -> None:
        """A handshake that fails ends it with an error: there is no case to judge."""
        with self.startClient() as client:
            accepted, _ = self.listener.accept()
            with accepted:
                accepted.sendall(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
                self.assertEqual(client.wait(20), 1)
        self.assertIn("HandshakeRefused", client.tail())


class ProgramTests(TestCase):
    """Finding and running programs that only look like the real ones."""

    def setUp(self) -> None:
        self.directory = self.makeDirectory()
        self.environ = {
            "HOME": str(self.directory / "home"),
            "PATH": str(self.directory / "none"),
        }
        # Where a test makes the runner keep its reports.
        self.reports = self.directory / "reports"
        self.output = ""
        self.errors = ""

    def makeProgram(self, path: str, script: str) -> Path:
        """An executable Python script."""
        program = self.directory / path
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(
            f"#!{sys.executable}\nimport json, os, sys\n{script}", encoding="utf-8"
        )
        program.chmod(0o755)
        return program

    def makeWstest(self, path: str, run: str = "raise SystemExit(9)") -> Path:
        """A wstest that tells its version, and otherwise does what is given."""
        return self.makeProgram(
            path,
            "if sys.argv[1:] == ['--autobahnversion']:\n"
            "    print('AutobahnTestSuite 25.10.1')\n"
            f"    sys.exit()\n{run}",
        )

    def runMain(self, *arguments: str) -> int:
        """Run the command line and keep what it prints."""
        output, errors = StringIO(), StringIO()
        with redirect_stdout(output), redirect_stderr(errors):
            try:
                return program.main(arguments, self.environ)
            except SystemExit as error:
                assert isinstance(error.code, int)
                return error.code
            finally:
                self.output, self.errors = output.getvalue(), errors.getvalue()

    def runFake(self, index: Mapping[str, object], *cases: str) -> int:
        """Run the server mode with a wstest that reports what is given."""
        script = f"index = {dict(index)!r}\ncases = {list(cases or index)!r}\n"
        self.environ["WSTEST"] = str(self.makeWstest("wstest", script + FAKE_RUN))
        url = "ws://127.0.0.1:9"
        return self.runMain("server", "--url", url, "--report", str(self.reports))

    def test_order(self) -> None:
        """An explicit path comes before WSTEST, PATH and the cache."""
        cached = self.makeWstest("home/.cache/twisted_ws/wstest/bin/wstest")
        self.assertEqual(findWstest(None, self.environ), cached)
        onPath = self.makeWstest("bin/wstest")
        self.environ["PATH"] += os.pathsep + str(onPath.parent)
        self.assertEqual(findWstest(None, self.environ), onPath)
        self.environ["WSTEST"] = str(self.makeWstest("variable"))
        self.assertEqual(findWstest(None, self.environ), self.directory / "variable")
        named = self.makeWstest("named")
        self.assertEqual(findWstest(str(named), self.environ), named)

    def test_brokenOnPath(self) -> None:
        """A wstest on PATH that does not work is passed by."""
        broken = self.makeProgram("broken/wstest", "raise SystemExit(127)")
        good = self.makeWstest("good/wstest")
        self.environ["PATH"] = f"{broken.parent}{os.pathsep}{good.parent}"
        self.assertEqual(findWstest(None, self.environ), good)

    def test_namedAndBroken(self) -> None:
        """One that was asked for and does not work is an error, not a skip."""
        with self.assertRaisesRegex(RunFailed, "--wstest: /nonexistent is not"):
            findWstest("/nonexistent", self.environ)
        self.environ["WSTEST"] = str(self.makeProgram("x", "raise SystemExit(1)"))
        with self.assertRaisesRegex(RunFailed, "WSTEST: .* is not a working wstest"):
            findWstest(None, self.environ)
        self.assertEqual(self.runMain("server"), 2)

    def test_cacheDirectory(self) -> None:
        """XDG_CACHE_HOME is used where it is set."""
        self.environ["XDG_CACHE_HOME"] = "/cache"
        self.assertEqual(cacheDirectory(self.environ), Path("/cache/twisted_ws/wstest"))

    def test_missing(self) -> None:
        """Without a wstest there is one line that says what to do, and status 77."""
        self.assertEqual(self.runMain("server"), 77)
        self.assertEqual(
            self.output,
            "autobahn: skipped: the Autobahn Testsuite's wstest was not found; "
            "install it with: python -m tests.autobahn install\n",
        )
        self.assertEqual(self.errors, "")

    def test_statusInHelp(self) -> None:
        """The help tells what the exit status means."""
        for command in ([], ["server"], ["client"], ["table"], ["install"]):
            self.assertEqual(self.runMain(*command, "--help"), 0)
            self.assertIn("77 skipped", self.output)

    def test_environment(self) -> None:
        """Another Python does not get our modules."""
        self.assertEqual(
            python2Environ({"PYTHONPATH": "x", "PYTHONHOME": "y", "PATH": "z"}),
            {"PATH": "z", "PYTHONUNBUFFERED": "1"},
        )

    def test_passes(self) -> None:
        """A run whose cases are all OK or informational has status 0."""
        passing = {case: INDEX[case] for case in ("1.1.1", "7.1.6")}
        script = f"index = {passing!r}\ncases = {list(passing)!r}\n{FAKE_RUN}"
        self.environ["WSTEST"] = str(self.makeWstest("wstest", script))
        arguments = ("--url", "ws://127.0.0.1:9", "--exclude", "1.1.*")
        self.assertEqual(
            self.runMain("server", *arguments, "--report", str(self.reports)),
            0,
            self.errors,
        )
        self.assertIn("Autobahn Testsuite 25.10.1\n", self.output)
        self.assertIn(
            "\nautobahn server: 2 cases, 1 OK, 1 informational, 0 not OK\n",
            self.output,
        )
        spec = json.loads((self.reports / "spec.json").read_text(encoding="utf-8"))
        self.assertEqual(
            spec,
            {
                "servers": [{"agent": "twisted_ws", "url": "ws://127.0.0.1:9"}],
                "outdir": str(self.reports),
                "cases": list(DEFAULT_CASES),
                "exclude-cases": ["1.1.*"],
                "exclude-agent-cases": {},
            },
        )

    def test_fails(self) -> None:
        """A run with a case that is not OK has status 1."""
        self.assertEqual(self.runFake(INDEX), 1, self.errors)
        self.assertIn("\n10.1.1 is failed: behavior FAILED", self.output)

    def test_cutShort(self) -> None:
        """A run that reports fewer cases than it announced has status 1."""
        passing = {"1.1.1": INDEX["1.1.1"]}
        self.assertEqual(self.runFake(passing, "1.1.1", "1.1.2"), 1, self.errors)
        self.assertIn("\nnot reported: 1.1.2\n", self.output)

    def test_leftovers(self) -> None:
        """The report of an earlier run is not taken for that of a later one."""
        self.assertEqual(self.runFake({"1.1.1": INDEX["1.1.1"]}), 0, self.errors)
        wstest = self.makeWstest("wstest", "print(\"Cases = ['1.1.1']\")")
        self.assertEqual(
            self.runMain(
                *("server", "--url", "ws://127.0.0.1:9", "--wstest", str(wstest)),
                *("--report", str(self.reports)),
            ),
            2,
        )
        self.assertIn("is not a usable report", self.errors)
        self.assertIn("wstest said:\n    Cases = ['1.1.1']\n", self.errors)

    def runWithServer(self, server: str, talk: str) -> int:
        """Run the server mode with a fake of ours.

        :param server: the script that is the server.
        :param talk: what the fake wstest does with a ``connection``.
        """
        script = (
            "index = {'1.1.1': " + repr(INDEX["1.1.1"]) + "}\ncases = ['1.1.1']\n"
            f"{FAKE_RUN}"
            "import socket, time\n"
            "port = int(spec['servers'][0]['url'].removeprefix('ws://127.0.0.1:'))\n"
            "connection = socket.create_connection(('127.0.0.1', port))\n"
            f"assert connection.recv(5) == b'hello'\n{talk}\n"
        )
        self.environ["WSTEST"] = str(self.makeWstest("wstest", script))

        def fakeCommand(port: int) -> list[str]:
            return [sys.executable, "-u", "-c", server, str(port)]

        self.patch(serverModule, "serverCommand", fakeCommand)
        return self.runMain("server", "--report", str(self.reports))

    def test_ownServer(self) -> None:
        """A server is started, tested and stopped."""
        server = f"import os\nprint(os.getpid())\n{FAKE_SERVER}"
        self.assertEqual(self.runWithServer(server, ""), 0, self.errors)
        pid = int((self.reports / "server.log").read_text(encoding="utf-8"))
        with self.assertRaises(ProcessLookupError):
            os.kill(pid, 0)

    def test_ownTree(self) -> None:
        """The server imports the tree that the runner is in, installed or not."""
        server = f"import os\nprint(os.environ['PYTHONPATH'])\n{FAKE_SERVER}"
        self.environ["PYTHONPATH"] = "/else"
        self.runWithServer(server, "")
        printed = (self.reports / "server.log").read_text(encoding="utf-8")
        self.assertEqual(
            printed, f"{Path(__file__).resolve().parents[1]}{os.pathsep}/else\n"
        )

    def test_tracebacks(self) -> None:
        """An exception that the server logged is remarked upon."""
        server = f"print('Traceback (most recent call last):')\n{FAKE_SERVER}"
        self.assertEqual(self.runWithServer(server, ""), 0, self.errors)
        self.assertIn("\nthe server logged 1 tracebacks, see server.log\n", self.output)

    def test_serverDoesNotStart(self) -> None:
        """A server that does not listen ends the run with its last words."""
        self.assertEqual(self.runWithServer("raise SystemExit('no plugin')", ""), 2)
        self.assertIn("the server ended with status 1 instead of", self.errors)
        self.assertIn("no plugin", self.errors)

    def test_serverDies(self) -> None:
        """A server that ends during the run makes it fail, whatever is reported."""
        talk = "connection.sendall(b'x')\nconnection.recv(1)\ntime.sleep(0.3)"
        self.assertEqual(self.runWithServer(FAKE_SERVER, talk), 2)
        self.assertIn("the server ended with status 5 during the run", self.errors)

    def runClient(
        self, client: str, index: Mapping[str, object] = INDEX, *arguments: str
    ) -> int:
        """Run the client mode with fakes of both sides.

        :param client: the script that is the client; it has a ``connection``.
        :param index: what is reported.
        :param arguments: further ones of the command line.
        """
        script = f"index = {dict(index)!r}\ncases = {list(index)!r}\n{FAKE_LISTEN}"
        self.environ["WSTEST"] = str(self.makeWstest("wstest", script))

        def fakeCommand(port: int) -> list[str]:
            connecting = (
                "import os, socket, sys, time\n"
                "print(os.getpid(), os.environ['PYTHONPATH'])\n"
                "connection = socket.create_connection(('127.0.0.1', sys.argv[1]))\n"
            )
            return [sys.executable, "-u", "-c", connecting + client, str(port)]

        self.patch(clientModule, "clientCommand", fakeCommand)
        return self.runMain("client", "--report", str(self.reports), *arguments)

    def assertClientIsGone(self) -> None:
        """The client that was started does not run any more; it had our tree."""
        log = (self.reports / "client.log").read_text(encoding="utf-8")
        pid, path = log.splitlines()[0].split()
        self.assertEqual(path, str(Path(__file__).resolve().parents[1]))
        with self.assertRaises(ProcessLookupError):
            os.kill(int(pid), 0)

    def test_clientPasses(self) -> None:
        """The client mode starts both sides, reports like the other, and stops both."""
        passing = {case: INDEX[case] for case in ("1.1.1", "7.1.6")}
        # The end of the connection says that the report is written.
        client = "connection.sendall(b'cases')\nconnection.recv(1)"
        self.assertEqual(self.runClient(client, passing), 0, self.errors)
        self.assertIn("\nAutobahn Testsuite 25.10.1\n", self.output)
        self.assertIn("1/2  case 1.1.1: Framing\n", self.output)
        self.assertIn("\nautobahn client: 2 cases, 1 OK, 1 informa", self.output)
        self.assertClientIsGone()
        self.assertEqual(self.runClient(client), 1, self.errors)

    def test_clientTracebacks(self) -> None:
        """An exception that the client logged is remarked upon."""
        client = (
            "print('Traceback (most recent call last):')\n"
            "connection.sendall(b'cases')\nconnection.recv(1)"
        )
        self.assertEqual(self.runClient(client, {"1.1.1": INDEX["1.1.1"]}), 0)
        self.assertIn("\nthe client logged 1 tracebacks, see client.log\n", self.output)

    def test_clientFails(self) -> None:
        """A client that fails, or never has the report written, is an error."""
        self.assertEqual(self.runClient("raise SystemExit('no such module')"), 2)
        self.assertIn("the client ended with status 1:", self.errors)
        self.assertIn("no such module", self.errors)
        self.assertEqual(self.runClient(""), 2)
        self.assertIn("is not a usable report", self.errors)

    def test_clientSurvives(self) -> None:
        """When the Testsuite's side dies, it is named, not the client that noticed."""
        client = "connection.sendall(b'crash')\nconnection.recv(1)\ntime.sleep(0.3)"
        for status in ("", "\nsys.exit(1)"):
            self.assertEqual(self.runClient(client + status), 2)
            self.assertIn("wstest ended with status 6 during the run", self.errors)

    def test_clientTimeout(self) -> None:
        """A client that does not come to an end is stopped."""
        self.assertEqual(self.runClient("time.sleep(60)", INDEX, "--timeout", "0.5"), 2)
        self.assertIn("the client was still in case (none) after 0.5 s", self.errors)
        self.assertClientIsGone()

    def test_interrupted(self) -> None:
        """Ctrl-C stops both children and gives the status a shell expects."""

        def interrupt(line: str) -> None:
            raise KeyboardInterrupt

        self.patch(program, "_say", interrupt)
        server = f"import os\nprint(os.getpid())\n{FAKE_SERVER}"
        self.assertEqual(self.runWithServer(server, "time.sleep(60)"), 130)
        self.assertIn("autobahn: interrupted", self.errors)
        pid = int((self.reports / "server.log").read_text(encoding="utf-8"))
        with self.assertRaises(ProcessLookupError):
            os.kill(pid, 0)

    def test_temporaryDirectory(self) -> None:
        """Without --report nothing is left of a good run, unless it is to be kept."""
        temporary = self.directory / "temporary"
        temporary.mkdir()
        self.patch(tempfile, "tempdir", str(temporary))
        good = {"1.1.1": INDEX["1.1.1"]}
        script = f"index = {good!r}\ncases = ['1.1.1']\n{FAKE_RUN}"
        wstest = str(self.makeWstest("wstest", script))
        command = ("server", "--url", "ws://127.0.0.1:9", "--wstest", wstest)
        self.assertEqual(self.runMain(*command), 0, self.errors)
        self.assertEqual(list(temporary.iterdir()), [])
        self.assertEqual(self.runMain(*command, "--keep"), 0, self.errors)
        (kept,) = temporary.iterdir()
        self.assertIn(f"\nreports and logs: {kept}\n", self.output)
        self.assertTrue((kept / "index.json").exists())

    def test_summaryFiles(self) -> None:
        """--json and --markdown write the summary."""
        self.runFake(INDEX)
        jsonFile, markdown = self.directory / "s.json", self.directory / "s.md"
        self.runMain(
            *("server", "--url", "ws://127.0.0.1:9", "--report", str(self.reports)),
            *("--json", str(jsonFile), "--markdown", str(markdown)),
        )
        document = json.loads(jsonFile.read_text(encoding="utf-8"))
        self.assertEqual(document["testsuite"], "25.10.1")
        self.assertEqual(document["notOk"][0]["reasons"], ["Why"])
        self.assertIn("|  | all | 6 |", markdown.read_text(encoding="utf-8"))

    def writeSummaries(self, **indexes: Mapping[str, object]) -> list[str]:
        """Run nothing, but write the summaries of such runs; their paths.

        :param indexes: by mode, the cases.
        """
        paths = []
        for mode, index in indexes.items():
            results = [
                CaseResult(case, str(each["behavior"]), str(each["behaviorClose"]))
                for case, each in index.items()
                if isinstance(each, dict)
            ]
            path = self.directory / f"{mode}.json"
            path.write_text(Summary(mode, "1", results).asJSON(), encoding="utf-8")
            paths.append(str(path))
        return paths

    def test_table(self) -> None:
        """The documentation's table has both modes beside one another."""
        good = {case: INDEX[case] for case in ("1.1.1", "1.1.2", "7.1.6")}
        better = {**good, "7.1.6": entry("7.1.6")}
        paths = self.writeSummaries(server=good, client=better)
        self.assertEqual(self.runMain("table", *paths), 0, self.errors)
        rows = [
            [cell.strip(" -*") for cell in row.split("\n")[:-1]]
            for row in self.output.split("   * ")[1:]
        ]
        self.assertEqual(
            rows,
            [
                [
                    *("Category", "Title", "Cases"),
                    *("Server: strictly OK", "Server: informational"),
                    *("Client: strictly OK", "Client: informational"),
                ],
                ["1", "Framing", "2", "2", "", "2", ""],
                ["7", "Close handling", "1", "0", "1", "1", ""],
                ["all", "", "3", "2", "1", "3", ""],
            ],
        )
        self.assertTrue(self.output.startswith(".. list-table::\n"))

    def test_tableRefused(self) -> None:
        """There is no table of failures, of different cases, or of something else."""
        good = {"1.1.1": INDEX["1.1.1"]}
        for problem, indexes in (
            ("client.json has 3 cases that are not OK", {"client": INDEX}),
            ("not of the same cases", {"server": good, "client": {}}),
        ):
            paths = self.writeSummaries(**indexes)
            self.assertEqual(self.runMain("table", *paths), 2)
            self.assertIn(problem, self.errors)
        for text in ("", "[]", "{}"):
            (self.directory / "x.json").write_text(text, encoding="utf-8")
            self.assertEqual(self.runMain("table", str(self.directory / "x.json")), 2)
            self.assertIn("x.json is not a summary", self.errors)

    def test_wstestFails(self) -> None:
        """A wstest that fails is an error that shows its last words."""
        script = "print('KeyError: 9.1')\nraise SystemExit(9)"
        self.environ["WSTEST"] = str(self.makeWstest("wstest", script))
        arguments = ("--url", "ws://127.0.0.1:9", "--report", str(self.reports))
        self.assertEqual(self.runMain("server", *arguments), 2)
        self.assertIn("wstest ended with status 9:\n    KeyError: 9.1", self.errors)

    def test_timeout(self) -> None:
        """A run that takes too long is stopped, and says where it was."""
        script = (
            "print('Running test case ID 9.1.1 for agent x', flush=True)\n"
            "import time; time.sleep(60)"
        )
        self.environ["WSTEST"] = str(self.makeWstest("wstest", script))
        arguments = ("--url", "ws://127.0.0.1:9", "--report", str(self.reports))
        self.assertEqual(self.runMain("server", *arguments, "--timeout", "1"), 2)
        self.assertIn("wstest was still in case 9.1.1 after 1 s", self.errors)

    def test_noCase(self) -> None:
        """A run of no case at all is an error."""
        self.environ["WSTEST"] = str(self.makeWstest("wstest", "print('Cases = []')"))
        arguments = ("--url", "ws://127.0.0.1:9", "--report", str(self.reports))
        self.assertEqual(self.runMain("server", *arguments), 2)
        self.assertIn("no case was run", self.errors)

    def test_badPattern(self) -> None:
        """What is not a case pattern is an error before anything is started."""
        self.assertEqual(self.runMain("server", "--cases", "utf8"), 2)
        self.assertIn("'utf8' is not a case pattern", self.errors)

    def test_python2(self) -> None:
        """A Python 2.7 is looked for on PATH, then among pyenv's."""
        with self.assertRaisesRegex(NotInstalled, "needs Python 2.7"):
            findPython2(None, self.environ)
        old = "sys.stdout.write('2.7')"
        version = self.makeProgram("home/.pyenv/versions/2.7.18/bin/python", old)
        self.assertEqual(findPython2(None, self.environ), version)
        self.environ["PYENV_ROOT"] = str(self.directory / "pyenv")
        other = self.makeProgram("pyenv/versions/2.7.9/bin/python", old)
        self.assertEqual(findPython2(None, self.environ), other)
        stub = self.makeProgram("shims/python2.7", "raise SystemExit(127)")
        onPath = self.makeProgram("bin/python2.7", old)
        self.environ["PATH"] = f"{stub.parent}{os.pathsep}{onPath.parent}"
        self.assertEqual(findPython2(None, self.environ), onPath)
        with self.assertRaisesRegex(RunFailed, "is not a working Python 2.7"):
            findPython2(str(stub), self.environ)

    def makePython2(self, virtualenv: int = 1, install: int = 0) -> Path:
        """A Python 2.7 that writes down what it is asked to do.

        :param virtualenv: the exit status of asking it for its virtualenv.
        :param install: the exit status of installing into the new environment.
        """
        return self.makeProgram(
            "bin/python2.7",
            f"""\
arguments = sys.argv[1:]
if arguments[0] == "-c":
    sys.stdout.write("2.7")
    sys.exit()
with open({str(self.directory / "asked")!r}, "a") as asked:
    print(*arguments, "PYTHONPATH" in os.environ, file=asked)
if arguments[1:] == ["virtualenv", "--version"]:
    sys.exit({virtualenv})
if arguments[1] == "virtualenv":
    os.makedirs(arguments[-1] + "/bin")
    os.symlink({str(self.directory / "bin/python2.7")!r}, arguments[-1] + "/bin/python")
if arguments[-1].startswith("autobahntestsuite"):
    print("no network")
    if not {install}:
        os.symlink(
            {str(self.directory / "ready")!r},
            {str(cacheDirectory(self.environ) / "bin" / "wstest")!r},
        )
    sys.exit({install})
""",
        )

    def asked(self) -> list[str]:
        """What the fake Python 2.7 was asked to do."""
        return (self.directory / "asked").read_text(encoding="utf-8").splitlines()

    def test_install(self) -> None:
        """virtualenv goes to a temporary directory when the Python has none."""
        python = self.makePython2()
        self.makeWstest("ready")
        arguments = ("install", "--python", str(python))
        self.assertEqual(self.runMain(*arguments), 0, self.errors)
        target = cacheDirectory(self.environ)
        self.assertTrue(self.output.endswith(f"\nwstest: {target}/bin/wstest\n"))
        version, fetch, make, suite = self.asked()
        self.assertEqual(version, "-m virtualenv --version False")
        self.assertIn("-m pip install --quiet --target ", fetch)
        self.assertTrue(fetch.endswith(" virtualenv<20.22 False"))
        self.assertEqual(make, f"-m virtualenv --clear {target} True")
        self.assertTrue(suite.endswith(" autobahntestsuite==25.10.1 False"))
        self.assertEqual(findWstest(None, self.environ), target / "bin" / "wstest")
        self.assertEqual(self.runMain(*arguments), 0, self.errors)
        self.assertEqual(len(self.asked()), 4)

    def test_installWithVirtualenv(self) -> None:
        """A virtualenv that is there is used."""
        self.makeWstest("ready")
        install(str(self.makePython2(virtualenv=0)), self.environ, lambda line: None)
        self.assertEqual(len(self.asked()), 3)
        self.assertTrue(self.asked()[1].endswith(" False"))

    def test_installFails(self) -> None:
        """A step that fails is shown, and nothing half made is left."""
        python = self.makePython2(install=1)
        self.assertEqual(self.runMain("install", "--python", str(python)), 2)
        self.assertIn("failed with status 1:\n    no network", self.errors)
        self.assertFalse(cacheDirectory(self.environ).exists())

    def test_installWithoutPython2(self) -> None:
        """Without a Python 2.7 the installation is skipped."""
        self.assertEqual(self.runMain("install"), 77)
        self.assertIn("autobahn: skipped: ", self.output)
