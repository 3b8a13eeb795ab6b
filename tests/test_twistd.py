"""``twistd websocket`` and ``twist websocket`` as processes, as a user starts them."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import hashlib
import os
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
from collections.abc import Callable
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.clients import BlockingClient, connectSocket
from tests.peers import WebSocketsClient
from tests.processes import (
    PATIENCE,
    Server,
    environment,
    freePort,
    program,
    removeDirectory,
    run,
)
from twisted_ws.connection import CloseReceived

MIB = 1024 * 1024

# Newer Twisted ends with the signal that it got, after all was shut down; as an exit
# status systemd and shells count that as what was asked for.
STOPPED = (0, -signal.SIGTERM)


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something is so that another process does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


class ProcessTests(SynchronousTestCase):
    """A directory for each test, and a short way to a server in it."""

    def setUp(self) -> None:
        """Make the directory."""
        self.directory = tempfile.mkdtemp(prefix="twisted_ws-")
        self.addCleanup(removeDirectory, self.directory)
        # Another user's processes come here too.
        os.chmod(self.directory, 0o755)  # noqa: S103

    def serve(self, *arguments: str, name: str = "twistd") -> Server:
        """Give a server to be entered."""
        return Server(self.directory, *arguments, name=name)

    def assertEchoes(self, client: BlockingClient) -> None:
        """Hold that a client gets back what it sends."""
        for message in ("text \u2603", b"binary", "", b"", "t" * MIB, b"b" * MIB):
            client.send(message)
            self.assertEqual(client.receive(), message)

    def assertStops(self, server: Server) -> None:
        """Hold that a server that was told to stop has stopped well."""
        self.assertIn(server.wait(), STOPPED)
        self.assertNotIn("Traceback", server.output)
        self.assertNotIn("Unhandled", server.output)


class RunningTests(ProcessTests):
    """What a server does that was started with few options."""

    def test_tls(self) -> None:
        """With ``--tls``: a warning and the fingerprint of the certificate that is then
        shown; echo; on SIGTERM 1001 to the client, and a good end."""
        with self.serve("--tls") as server:
            printed = server.waitFor(r"(?:[0-9A-F]{2}:){31}[0-9A-F]{2}")
            self.assertIn("self-signed", server.output)
            with BlockingClient(server.port, True) as client:
                assert isinstance(client.socket, ssl.SSLSocket)
                der = client.socket.getpeercert(True)
                assert der is not None
                digest = hashlib.sha256(der).hexdigest().upper()
                self.assertEqual(printed.replace(":", ""), digest)
                self.assertEqual(client.socket.version(), "TLSv1.3")
                self.assertEchoes(client)
                server.terminate()
                self.assertEqual(client.receive(), CloseReceived(1001, "going away"))
                client.replyClose()
                self.assertTrue(client.atEnd())
            self.assertStops(server)

    def test_plaintext(self) -> None:
        """Without it: the same in plaintext."""
        with self.serve() as server:
            self.assertNotIn("self-signed", server.output)
            with BlockingClient(server.port, False, "/any/path?at=all") as client:
                self.assertEchoes(client)
                server.terminate()
                self.assertEqual(client.receive(), CloseReceived(1001, "going away"))
                client.replyClose()
                self.assertTrue(client.atEnd())
            self.assertStops(server)

    def test_twist(self) -> None:
        """``twist websocket`` serves from the same plugin."""
        with self.serve("--tls", name="twist") as server:
            client = BlockingClient(server.port, True)
            with client:
                self.assertEchoes(client)
                server.terminate()
                self.assertEqual(client.receive(), CloseReceived(1001, "going away"))
                client.replyClose()
            self.assertStops(server)

    def test_independentClient(self) -> None:
        """The client of PyPI's ``websockets`` is served over TLS, and told 1001."""
        try:
            from websockets.exceptions import ConnectionClosed
        except ImportError:
            raise unittest.SkipTest("websockets is not installed") from None
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with (
            self.serve("--tls", "--subprotocol", "chat") as server,
            WebSocketsClient(
                f"wss://localhost:{server.port}/", ssl=context, subprotocols=["chat"]
            ) as client,
        ):
            self.assertEqual(client.subprotocol, "chat")
            for message in ("text", b"binary", "", b"", "t" * MIB, b"b" * MIB):
                client.send(message)
                self.assertEqual(client.recv(timeout=PATIENCE), message)
            server.terminate()
            with self.assertRaises(ConnectionClosed):
                client.recv(timeout=PATIENCE)
            self.assertEqual(client.close_code, 1001)
            self.assertStops(server)

    def test_pages(self) -> None:
        """``GET /`` shows the demo page, over TLS and in plaintext; with ``--web`` the
        files of a directory."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with self.serve("--tls") as server:
            secure = HTTPSConnection(
                "127.0.0.1", server.port, timeout=PATIENCE, context=context
            )
            secure.request("GET", "/")
            response = secure.getresponse()
            self.assertEqual(response.status, 200)
            self.assertIn(b"<title>twisted_ws</title>", response.read())
            secure.close()
        Path(self.directory, "hello.txt").write_text("hello")
        with self.serve("--web", ".") as server:
            plain = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
            plain.request("GET", "/hello.txt")
            self.assertEqual(plain.getresponse().read(), b"hello")
            plain.close()

    def test_protocolFromTheCurrentDirectory(self) -> None:
        """``--protocol`` finds a module beside which the server was started."""
        Path(self.directory, "shouting.py").write_text(
            "class Shout:\n"
            "    def negotiationStarted(self, transport):\n"
            "        self.transport = transport\n"
            "    def textMessageReceived(self, message):\n"
            "        self.transport.sendTextMessage(message.upper())\n"
        )
        with self.serve("--protocol", "shouting.Shout", "--path", "/ws") as server:
            with BlockingClient(server.port, False, "/ws") as client:
                client.send("hello")
                self.assertEqual(client.receive(), "HELLO")
            with connectSocket(server.port, False) as other:
                other.sendall(
                    b"GET /elsewhere HTTP/1.1\r\nHost: localhost\r\n"
                    b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
                    b"Sec-WebSocket-Version: 13\r\n"
                    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
                )
                self.assertIn(b" 404 ", other.recv(100))

    def test_listen(self) -> None:
        """``--listen`` takes any endpoint; several serve side by side."""
        port = freePort()
        path = os.path.join(self.directory, "socket")
        command = [*program("twistd"), "-n", "--pidfile", "p", "websocket"]
        process = subprocess.Popen(
            [
                *command,
                *("--listen", f"unix:{path}"),
                *("--listen", f"tcp:{port}:interface=127.0.0.1"),
            ],
            cwd=self.directory,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            assert process.stdout is not None
            seen = b""
            while seen.count(b"Listening on") < 2:
                data = os.read(process.stdout.fileno(), 65536)
                self.assertTrue(data, seen)
                seen += data
            with BlockingClient(port, False) as client:
                client.send("tcp")
                self.assertEqual(client.receive(), "tcp")
            with socket.socket(socket.AF_UNIX) as unix:
                unix.settimeout(PATIENCE)
                unix.connect(path)
                unix.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                self.assertTrue(unix.recv(100).startswith(b"HTTP/1.1 200 "))
            process.terminate()
            rest, _ = process.communicate(timeout=PATIENCE)
            self.assertIn(process.returncode, STOPPED)
            self.assertNotIn(b"Traceback", seen + rest)
            self.assertFalse(os.path.exists(path))
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def test_T04_drain(self) -> None:
        """A client that never answers holds up SIGTERM for ``--drain`` seconds and no
        longer; one that says nothing at all neither."""
        with (
            self.serve("--drain", "0.5", "--tls") as server,
            BlockingClient(server.port, True) as client,
            connectSocket(server.port, False),
        ):
            client.send("x")
            client.receive()
            began = time.monotonic()
            server.terminate()
            self.assertStops(server)
            self.assertTrue(0.4 < time.monotonic() - began < 5)
            self.assertIn("Aborting", server.output)


class BackpressureTests(ProcessTests):
    """What a peer that does not read costs the server."""

    def setUp(self) -> None:
        """See whether memory can be measured."""
        super().setUp()
        if not os.path.exists("/proc/self/status"):
            raise unittest.SkipTest("no /proc here to read a process's memory from")

    def flood(self, secure: bool, frame: bytes, least: int) -> None:
        """Send frames and never read, until the server takes no more; its memory has
        grown by little, and another client is served."""
        arguments = ["--tls"] if secure else []
        with (
            self.serve(*arguments) as server,
            BlockingClient(server.port, secure) as other,
        ):
            # What a first connection costs is no flood's.
            self.assertEchoes(other)
            before = server.memory()
            with BlockingClient(server.port, secure) as client:
                client.socket.setblocking(False)
                sent = self._sendAll(client.socket, frame, 96 * MIB)
                self.assertGreater(sent, least)
                self.assertLess(sent, 96 * MIB)
                other.send("and me?")
                self.assertEqual(other.receive(), "and me?")
                self.assertLess(server.memory() - before, 24 * MIB)

    def _sendAll(self, connection: socket.socket, frame: bytes, most: int) -> int:
        """Send until nothing is taken for half a second, or so much was."""
        data = frame * (1 + 65536 // len(frame))
        sent = at = 0
        while sent < most:
            _, writable, _ = select.select([], [connection], [], 0.5)
            if not writable:
                break
            try:
                written = connection.send(data[at : at + 65536])
            except (BlockingIOError, ssl.SSLWantWriteError):
                continue
            sent += written
            at = (at + written) % len(frame)
        return sent

    def test_F11_echoOnTCP(self) -> None:
        """Messages to an echo, on TCP."""
        self.flood(False, b"\x82\xff" + (65536).to_bytes(8, "big") + bytes(65540), MIB)

    def test_F11_echoOnTLS(self) -> None:
        """Messages to an echo, on TLS."""
        self.flood(True, b"\x82\xff" + (65536).to_bytes(8, "big") + bytes(65540), MIB)

    def test_F09_fragmentsWithoutEnd(self) -> None:
        """Fragments of one byte without end: the connection is failed with 1009, and
        memory stays at what was sent."""
        with (
            self.serve("--max-fragments", "50000") as server,
            BlockingClient(server.port, False) as client,
        ):
            client.send("warm up")
            client.receive()
            before = server.memory()
            begin = b"\x02\x81\0\0\0\0x"
            client.socket.sendall(begin + b"\x00\x81\0\0\0\0x" * 50_000)
            event = client.receive()
            assert isinstance(event, CloseReceived)
            self.assertEqual(event.code, 1009)
            self.assertLess(server.memory() - before, 8 * MIB)


class FailingTests(ProcessTests):
    """Starts that cannot work: one clear line, a status, no traceback."""

    def assertOneLine(
        self, result: subprocess.CompletedProcess[str], *parts: str
    ) -> None:
        """Hold that a start failed with one line that holds certain words."""
        both = result.stdout + result.stderr
        self.assertEqual(result.returncode, 1, both)
        self.assertNotIn("Traceback", both)
        lines = [line for line in both.splitlines() if "cannot listen" in line]
        self.assertEqual(len(lines), 1, both)
        for part in parts:
            self.assertIn(part, lines[0])

    def test_portTaken(self) -> None:
        """A taken port, by ``twistd`` and by ``twist``."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            arguments = ["websocket", "--interface", "127.0.0.1", "--port", port]
            for name, before in (("twistd", ["-n"]), ("twist", [])):
                result = run(name, [*before, *arguments], self.directory)
                self.assertOneLine(result, f"127.0.0.1, port {port}", "--port")
        # twistd left no pid file behind.
        self.assertEqual(os.listdir(self.directory), [])

    def test_portTakenOnOneFamily(self) -> None:
        """A port that only IPv4 has taken, listening on all interfaces."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            result = run("twistd", ["-n", "websocket", "-p", port], self.directory)
            self.assertOneLine(result, "all interfaces", f"port {port}", "in use")

    def test_noSuchAddress(self) -> None:
        """An address that this machine does not have."""
        result = run("twistd", ["-n", "websocket", "-i", "192.0.2.1"], self.directory)
        self.assertOneLine(result, "192.0.2.1", "no such address", "--interface")

    def test_noPermission(self) -> None:
        """A port below 1024 as an ordinary user."""
        try:
            limit = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()
        except OSError:
            limit = "1024"
        if int(limit) <= 1:
            raise unittest.SkipTest("every user may use every port here")
        without: list[str] = []
        if os.getuid() == 0:
            setpriv = shutil.which("setpriv")
            if setpriv is None:
                raise unittest.SkipTest("root, and no setpriv to give privileges up")
            without = [setpriv, "--bounding-set=-net_bind_service"]
        arguments = ["-n", "--pidfile", "", "websocket", "-i", "127.0.0.1", "-p", "1"]
        result = subprocess.run(
            [*without, *program("twistd"), *arguments],
            cwd=self.directory,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertOneLine(result, "port 1:", "permission denied", "--port")

    def test_badOption(self) -> None:
        """A usage error names the option, and gives the status that twistd gives for
        every command: 1, in older versions 0."""
        usual = run("twistd", ["-n", "web", "--no-such-option"], self.directory)
        for arguments, named in (
            (["--port", "eleven"], "--port"),
            (["--certificate", "nowhere.pem"], "--certificate"),
            (["--no-such-option"], "--no-such-option"),
        ):
            result = run("twistd", ["-n", "websocket", *arguments], self.directory)
            both = result.stdout + result.stderr
            self.assertEqual(result.returncode, usual.returncode, both)
            self.assertNotIn("Traceback", both)
            self.assertIn(named, both.rstrip().splitlines()[-1])

    def test_badOptionOfTwist(self) -> None:
        """``twist`` says it in the first line, with a status of its own."""
        result = run("twist", ["websocket", "--port", "eleven"], self.directory)
        self.assertNotEqual(result.returncode, 0)
        self.assertNotIn("Traceback", result.stderr)
        self.assertIn("--port", result.stderr.splitlines()[0])

    def test_help(self) -> None:
        """The command is in ``twistd --help``, and its own help fits 80 columns."""
        result = run("twistd", ["--help"], self.directory)
        self.assertIn("websocket", result.stdout)
        result = run("twistd", ["websocket", "--help"], self.directory)
        self.assertEqual(result.returncode, 0)
        self.assertLessEqual(max(map(len, result.stdout.splitlines())), 80)
        for flag in ("--port=", "--listen=", "--max-message-size=", "--tls"):
            self.assertIn(flag, result.stdout)


class DaemonTests(ProcessTests):
    """Without ``-n``: in the background."""

    def daemon(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Start one, with its files in the test's directory."""
        own = ["--pidfile", "daemon.pid", "--logfile", "daemon.log"]
        return run("twistd", [*own, "websocket", *arguments], self.directory)

    def test_startsAndStops(self) -> None:
        """It serves when the command returns, and stops by the pid in its file."""
        port = freePort()
        log = Path(self.directory, "daemon.log")
        started = self.daemon("--tls", "-i", "127.0.0.1", "--port", str(port))
        self.assertEqual(started.returncode, 0, started.stdout + started.stderr)
        pidFile = Path(self.directory, "daemon.pid")
        pid = int(pidFile.read_text())
        try:
            with BlockingClient(port, True) as client:
                client.send("hello")
                self.assertEqual(client.receive(), "hello")
                os.kill(pid, signal.SIGTERM)
                self.assertEqual(client.receive(), CloseReceived(1001, "going away"))
                client.replyClose()
            eventually(lambda: not pidFile.exists())
        finally:
            if pidFile.exists():
                os.kill(pid, signal.SIGKILL)
        text = log.read_text()
        self.assertTrue(re.search("fingerprint is [0-9A-F:]{95}", text), text)
        self.assertNotIn("Traceback", text)

    def test_portTaken(self) -> None:
        """A taken port: status 1 and the cause on stderr, and no process or pid file
        stays."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            result = self.daemon("-i", "127.0.0.1", "--port", port)
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot listen on 127.0.0.1", result.stderr)
        # The process in the background writes it when the command has returned.
        logFile = Path(self.directory, "daemon.log")
        eventually(lambda: "in use" in logFile.read_text())
        self.assertNotIn("Traceback", logFile.read_text() + result.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.directory, "daemon.pid")))
