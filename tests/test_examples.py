"""Each example of docs/examples does what it says: as its own process, on loopback."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import base64
import contextlib
import datetime
import importlib.util
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.trial.unittest import SynchronousTestCase

from docs.examples import testing
from tests.peers import WebSocketsClient

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "docs" / "examples"
PATIENCE = 20.0
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
TWISTD = "from twisted.scripts.twistd import run; run()"
_STARTING = re.compile(r"Site starting on (\d+)")
_LISTENING = re.compile(r"Listening on \S+ port (\d+)")

# nginx is often outside the PATH of users.
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")

noClient = noNginx = None
if importlib.util.find_spec("websockets") is None:
    noClient = noNginx = "needs the package websockets as a client"
elif NGINX is None:
    noNginx = "needs nginx"


class Child:
    """A process whose output is read until it is stopped.

    :param arguments: its command line
    :param environment: variables beside those of this process
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self.lines: list[str] = []
        self._told = threading.Condition()
        self._process = subprocess.Popen(
            arguments,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                with self._told:
                    self.lines.append(line)
                    self._told.notify_all()
        with self._told:
            self.lines.append("")
            self._told.notify_all()

    def find(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Wait for a line of output.

        :param pattern: what is in it
        """

        def found() -> re.Match[str] | bool:
            for line in self.lines:
                if matched := pattern.search(line):
                    return matched
            return bool(self.lines) and not self.lines[-1]

        with self._told:
            result = self._told.wait_for(found, PATIENCE)
        if not isinstance(result, re.Match):
            raise AssertionError(f"no {pattern.pattern!r} in:\n{''.join(self.lines)}")
        return result

    def interrupt(self) -> None:
        """Send what Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)

    def stop(self) -> None:
        """End it, and wait for that."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()


@contextlib.contextmanager
def running(
    arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[Child]:
    """Run a process for the time of a block."""
    child = Child(arguments, environment)
    try:
        yield child
    finally:
        child.stop()


@contextlib.contextmanager
def serving(
    *options: str,
    environment: Mapping[str, str] | None = None,
    listen: str = "tcp:0:interface=127.0.0.1",
) -> Iterator[int]:
    """Run ``twistd websocket`` on a free port of loopback for the time of a block."""
    command = [sys.executable, "-c", TWISTD, "-n", "--pidfile=", "websocket"]
    with running([*command, "--listen", listen, *options], environment) as child:
        yield int(child.find(_LISTENING)[1])


@contextlib.contextmanager
def listening(name: str, ending: re.Pattern[str] | None = None) -> Iterator[int]:
    """Run an example that is a site for the time of a block.

    :param name: of its file
    :param ending: what it is to have said at the end of the block
    """
    command = [sys.executable, str(EXAMPLES / name)]
    environment = {"LISTEN": "tcp:0:interface=127.0.0.1", "PYTHONPATH": str(ROOT)}
    with running(command, environment) as child:
        yield int(child.find(_STARTING)[1])
        if ending is not None:
            child.find(ending)


def program(name: str, *arguments: str) -> contextlib.AbstractContextManager[Child]:
    """Run an example that is a program, for the time of a block."""
    return running([sys.executable, "-m", f"docs.examples.{name}", *arguments])


def url(port: int) -> str:
    """Give the URL of a server on a port of loopback."""
    return f"ws://127.0.0.1:{port}/"


def connect(port: int, path: str = "/", **arguments: Any) -> WebSocketsClient:
    """Connect with the package websockets.

    :param port: on loopback
    :param path: path and query
    :param arguments: further ones of its ``connect``
    """
    scheme = "ws" if arguments.get("ssl") is None else "wss"
    return WebSocketsClient(
        f"{scheme}://127.0.0.1:{port}{path}",
        open_timeout=PATIENCE,
        compression=None,
        **arguments,
    )


def refusal(
    port: int,
    path: str = "/",
    headers: Mapping[str, str] | None = None,
    context: ssl.SSLContext | None = None,
) -> HTTPResponse:
    """Ask for a connection, and give the response that refuses it; unlike websockets
    this does not follow where it points.

    :param port: on loopback
    :param path: path and query
    :param headers: further request headers
    :param context: for TLS
    """
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.connect()
        if context is not None:
            connection.sock = context.wrap_socket(
                connection.sock, server_hostname="example.com"
            )
        connection.request("GET", path, headers={**UPGRADE, **(headers or {})})
        response = connection.getresponse()
        response.read()
    finally:
        connection.close()
    assert response.status != 101, "the connection was accepted"
    return response


def freePort() -> int:
    """Find a port for a program that cannot be asked to take any."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


def waitFor(port: int) -> None:
    """Wait until a program listens that does not tell when it does."""
    for _ in range(200):
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        threading.Event().wait(0.1)
    raise AssertionError(f"nobody listens on port {port}")


class EchoTests(SynchronousTestCase):
    """docs/examples/echo.py."""

    skip = noClient

    def test_throughTwistd(self) -> None:
        """It can be served by twistd, and returns text and bytes."""
        with (
            serving("--protocol", "docs.examples.echo.Echo") as port,
            connect(port) as client,
        ):
            client.send("ü")
            self.assertEqual(client.recv(PATIENCE), "ü")
            client.send(b"\x00\xff")
            self.assertEqual(client.recv(PATIENCE), b"\x00\xff")

    def test_byItself(self) -> None:
        """It is a whole program; only its port is another here."""
        text = (EXAMPLES / "echo.py").read_text("utf-8")
        self.assertEqual(text.count("tcp:8080"), 1)
        port = freePort()
        text = text.replace("tcp:8080", f"tcp:{port}:interface=127.0.0.1")
        with running([sys.executable, "-c", text]):
            waitFor(port)
            with connect(port) as client:
                client.send("hello")
                self.assertEqual(client.recv(PATIENCE), "hello")


class ChatTests(SynchronousTestCase):
    """docs/examples/chat.py."""

    skip = noClient

    def test_room(self) -> None:
        """What one says everybody hears, with the name; who comes and goes is told."""
        with (
            serving("--protocol", "docs.examples.chat.Chat") as port,
            connect(port, "/?name=Ada") as ada,
        ):
            self.assertEqual(ada.recv(PATIENCE), "* Ada has come")
            with connect(port, "/?name=Zo%C3%AB") as zoe:
                self.assertEqual(zoe.recv(PATIENCE), "* Zoë has come")
                self.assertEqual(ada.recv(PATIENCE), "* Zoë has come")
                ada.send("hello")
                self.assertEqual(zoe.recv(PATIENCE), "Ada: hello")
                self.assertEqual(ada.recv(PATIENCE), "Ada: hello")
            self.assertEqual(ada.recv(PATIENCE), "* Zoë has gone")

    def test_badName(self) -> None:
        """A name that is none is refused, and nobody hears of it."""
        with (
            serving("--protocol", "docs.examples.chat.Chat") as port,
            connect(port) as somebody,
        ):
            self.assertEqual(somebody.recv(PATIENCE), "* somebody has come")
            for name in ("", "%0A", "x" * 33):
                response = refusal(port, f"/?name={name}")
                self.assertEqual(response.status, 400, name)
            somebody.send("still alone")
            self.assertEqual(somebody.recv(PATIENCE), "somebody: still alone")


class HandlerTests(SynchronousTestCase):
    """docs/examples/handler.py."""

    skip = noClient

    def test_countDown(self) -> None:
        """It counts down, and asks for a number when it got none."""
        with (
            serving("--protocol", "docs.examples.handler.countDown") as port,
            connect(port) as client,
        ):
            client.send("soon")
            self.assertEqual(client.recv(PATIENCE), "Please send a number.")
            client.send("1")
            self.assertEqual(client.recv(PATIENCE), "1")
            self.assertEqual(client.recv(PATIENCE), "Lift-off!")


class MembersTests(SynchronousTestCase):
    """docs/examples/members.py."""

    skip = noClient

    def test_members(self) -> None:
        """A handler knows who was let in; others get a challenge."""
        with serving("--protocol", "docs.examples.members.Members") as port:
            with connect(port, "/?token=secret-of-ada") as client:
                client.send("hello")
                self.assertEqual(client.recv(PATIENCE), "ada says hello")
            self.assertEqual(refusal(port).status, 401)


class ClientTests(SynchronousTestCase):
    """docs/examples/client.py, follower.py and watcher.py."""

    def test_client(self) -> None:
        """It prints what comes back, or why there is no connection."""
        with (
            serving() as port,
            program("client", url(port), "one", "two") as child,
        ):
            child.find(re.compile("^one$"))
            child.find(re.compile("^two$"))
        with program("client", url(freePort()), "one") as child:
            child.find(re.compile("No connection: .*refused"))
        with (
            serving("--protocol", "docs.examples.members.Members") as port,
            program("client", url(port), "one") as child,
        ):
            child.find(re.compile("answered 401 Unauthorized"))

    def test_follower(self) -> None:
        """It prints the feed, connects again when the server has been away, and gives
        up when it is not wanted."""
        port = freePort()
        with program("follower", f"{url(port)}?name=follower") as child:
            chat = ("--protocol", "docs.examples.chat.Chat")
            for _ in range(2):
                child.lines.clear()
                with serving(*chat, listen=f"tcp:{port}:interface=127.0.0.1"):
                    child.find(re.compile("^Connected$"))
                    child.find(re.compile("follower has come"))
                child.find(re.compile("^The server has closed$"))
            child.lines.clear()
            members = ("--protocol", "docs.examples.members.Members")
            with serving(*members, listen=f"tcp:{port}:interface=127.0.0.1"):
                child.find(re.compile("Giving up: .* 401"))

    def test_watcher(self) -> None:
        """It greets, and prints the answer and the end. At a signal it takes its
        leave."""
        with serving("--protocol", "docs.examples.members.Members") as port:
            child = self.watcher(port)
            child.find(re.compile("^ada says hello$"))
            other = self.watcher(port)
            other.find(re.compile("^ada says hello$"))
            other.interrupt()
            other.find(re.compile("cleanly, code 1000"))
        child.find(re.compile("code 1001"))

    def watcher(self, port: int) -> Child:
        """Run watcher.py to the end of the test."""
        address = f"{url(port)}?token=secret-of-ada"
        child = Child([sys.executable, "-m", "docs.examples.watcher", address])
        self.addCleanup(child.stop)
        return child


class AuctionTests(SynchronousTestCase):
    """docs/examples/auction.py and bidder.py."""

    def test_auction(self) -> None:
        """A higher bid is taken, a lower one is not; both programs run by themselves,
        and the server under twistd too."""
        with program("auction", "0") as server:
            port = int(server.find(re.compile(r"Listening on port (\d+)"))[1])
            with program("bidder", f"{url(port)}?name=Ada", "10", "25", "20") as child:
                child.find(re.compile("^$"))
                self.assertEqual(child.lines, ["10\n", "25\n", "25\n", ""])
            with program("bidder", f"{url(port)}?name=Bob", "11") as child:
                child.find(re.compile("^25$"))
            for query in ("", "?name=A1", "?name=Ada&name=Bob"):
                self.assertEqual(refusal(port, f"/{query}").status, 400)
        with (
            serving("--protocol", "docs.examples.auction.Seats") as port,
            program("bidder", f"{url(port)}?name=Ada", "7") as child,
        ):
            child.find(re.compile("^7$"))

    def test_others(self) -> None:
        """Everyone hears of a higher bid; what is no bid is not taken."""
        with (
            serving("--protocol", "docs.examples.auction.Seats") as port,
            connect(port, "/?name=Ada") as ada,
            connect(port, "/?name=Bob") as bob,
        ):
            ada.send("10")
            for each in (ada, bob):
                self.assertEqual(each.recv(PATIENCE), "10 by Ada")
            for bid in ("10", "9", "-11", "", "1e3", "1" * 13):
                bob.send(bid)
                self.assertEqual(bob.recv(PATIENCE), "10 already")
            bob.send(b"11")
            with contextlib.suppress(Exception):
                bob.recv(PATIENCE)
            self.assertEqual(bob.close_code, 1003)

    test_others.skip = noClient  # type: ignore[attr-defined]


class AuthenticationTests(SynchronousTestCase):
    """docs/examples/authentication.py."""

    skip = noClient

    def test_passwordThenCookie(self) -> None:
        """A password gets a cookie with the 101, and the cookie lets a browser in."""
        with serving("--protocol", "docs.examples.authentication.Door") as port:
            headers = {"Authorization": basic("ada:correct horse")}
            with connect(port, additional_headers=headers) as client:
                self.assertEqual(client.recv(PATIENCE), "Welcome, ada")
                assert client.response is not None
                cookie = client.response.headers["Set-Cookie"]
            self.assertIn("HttpOnly", cookie)
            self.assertNotIn("Secure", cookie)
            browser: dict[str, Any] = {
                "additional_headers": {"Cookie": cookie.partition(";")[0]},
                "origin": f"http://127.0.0.1:{port}",
            }
            with connect(port, **browser) as client:
                self.assertEqual(client.recv(PATIENCE), "Welcome, ada")

    def test_refused(self) -> None:
        """Others get a challenge, a browser the address of the page to log in."""
        with serving("--protocol", "docs.examples.authentication.Door") as port:
            for headers in (
                {},
                {"Cookie": "session=guess"},
                {"Authorization": basic("ada:wrong")},
                {"Authorization": basic("eve:correct horse")},
                {"Authorization": "Basic no!base64"},
                {"Authorization": "Basic /w=="},
                {"Authorization": "Bearer x"},
            ):
                response = refusal(port, headers=headers)
                self.assertEqual(response.status, 401, headers)
                self.assertIn('realm="example"', response.headers["WWW-Authenticate"])
            response = refusal(port, headers={"Origin": f"http://127.0.0.1:{port}"})
            self.assertEqual(response.status, 302)
            self.assertEqual(response.headers["Location"], "https://example.com/login")

    def test_underRepair(self) -> None:
        """Under repair it refuses everybody for a while."""
        from docs.examples.authentication import Door
        from twisted_ws import HandshakeRejected, Headers, Request
        from twisted_ws.origins import Authority

        door = Door()
        door.isUnderRepair = True
        request = Request("/", "", Headers(), Authority("localhost", None), False)
        with self.assertRaises(HandshakeRejected) as caught:
            door.buildProtocol(request).send(None)
        self.assertEqual(caught.exception.status, 503)
        self.assertEqual(caught.exception.headers.get("Retry-After"), "120")


def basic(credentials: str) -> str:
    """Write an Authorization header (RFC 7617)."""
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


class ProducerTests(SynchronousTestCase):
    """docs/examples/producer.py."""

    skip = noClient

    def test_numbers(self) -> None:
        """The numbers come in order, also to a client that is slow to begin."""
        most = 50_000
        head = "".join(f"{name}: {value}\r\n" for name, value in UPGRADE.items())
        with (
            serving("--protocol", "docs.examples.producer.Numbers") as port,
            socket.create_connection(("127.0.0.1", port), PATIENCE) as client,
        ):
            client.sendall(f"GET / HTTP/1.1\r\nHost: [::1]\r\n{head}\r\n".encode())
            threading.Event().wait(0.5)
            with client.makefile("rb") as file:
                while file.readline().strip():
                    pass
                expected = b"".join(
                    b"\x81%c%d" % (len(str(number)), number) for number in range(most)
                )
                received = file.read(len(expected))
        self.assertTrue(received == expected)

    def test_sendFile(self) -> None:
        """The file comes whole, and the connection is closed cleanly behind it."""
        data = os.urandom(3_000_001)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "file"
            path.write_bytes(data)
            name = "docs.examples.producer.sendFile"
            with (
                serving("--protocol", name, environment={"FILE": str(path)}) as port,
                connect(port) as client,
            ):
                pieces = [each for each in client if isinstance(each, bytes)]
                self.assertEqual(client.close_code, 1000)
        self.assertEqual(b"".join(pieces), data)


class TestingTests(testing.EchoTests):
    """docs/examples/testing.py: its tests pass."""


class PytestTestingTests(SynchronousTestCase):
    """docs/examples/testing_pytest.py."""

    skip = (
        None
        if importlib.util.find_spec("pytest_twisted")
        else "needs the package pytest-twisted"
    )

    def test_pass(self) -> None:
        """Its tests pass."""
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "docs/examples/testing_pytest.py"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("3 passed", done.stdout)


class ServiceTests(SynchronousTestCase):
    """docs/examples/service.tac."""

    skip = noClient

    def test_service(self) -> None:
        """It serves the chat over TLS at one path."""
        arguments = [sys.executable, "-c", TWISTD, "--pidfile=", "-ny"]
        environment = {"LISTEN": "tcp:0:interface=127.0.0.1", "PYTHONPATH": str(ROOT)}
        untrusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        untrusting.check_hostname = False
        untrusting.verify_mode = ssl.CERT_NONE
        service = str(EXAMPLES / "service.tac")
        with running([*arguments, service], environment) as child:
            port = int(child.find(_LISTENING)[1])
            with connect(port, "/chat?name=Ada", ssl=untrusting) as client:
                self.assertEqual(client.recv(PATIENCE), "* Ada has come")
            self.assertEqual(refusal(port, context=untrusting).status, 404)


class WebTests(SynchronousTestCase):
    """docs/examples/web.py."""

    skip = noClient

    def test_names(self) -> None:
        """Who gave a name on the page goes by it; who did not is not let in, on a
        connection that lasts."""
        with listening("web.py") as port:
            page = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            self.addCleanup(page.close)
            for body, status in (("GET", 200), ("refused", 403), ("POST", 200)):
                if body == "refused":
                    page.request("GET", "/chat", headers=UPGRADE)
                elif body == "GET":
                    page.request("GET", "/")
                else:
                    kind = {"Content-Type": "application/x-www-form-urlencoded"}
                    page.request("POST", "/", "name=Ada", kind)
                response = page.getresponse()
                content = response.read()
                self.assertEqual(response.status, status, content)
            self.assertIn(b"new WebSocket(", content)
            cookie = str(response.headers["Set-Cookie"]).partition(";")[0]
            with connect(
                port, "/chat", additional_headers={"Cookie": cookie}
            ) as client:
                client.send("hello")
                self.assertEqual(client.recv(PATIENCE), "Ada: hello")


class GuardedTests(SynchronousTestCase):
    """docs/examples/guarded.py."""

    skip = noClient

    def test_guard(self) -> None:
        """It knows who came in by password, and when they have gone."""
        with listening("guarded.py", re.compile("ada has gone")) as port:
            challenge = refusal(port, "/ws")
            self.assertEqual(challenge.status, 401)
            self.assertIn("basic", challenge.headers["WWW-Authenticate"].lower())
            headers = {"Authorization": basic("ada:secret")}
            with connect(port, "/ws", additional_headers=headers) as client:
                self.assertEqual(client.recv(PATIENCE), "Welcome, ada")
            wrong = {"Authorization": basic("ada:wrong")}
            self.assertEqual(refusal(port, "/ws", wrong).status, 401)


class RoutesTests(SynchronousTestCase):
    """docs/examples/routes.py."""

    skip = noClient

    def test_routes(self) -> None:
        """Each path has its own application and its own limits."""
        with serving("--protocol", "docs.examples.routes.routes") as port:
            with connect(port, "/feed/news%2Fsport") as client:
                self.assertEqual(client.recv(PATIENCE), "news/sport, part 1")
            with connect(port, "/chat?name=Ada") as client:
                self.assertEqual(client.recv(PATIENCE), "* Ada has come")
            with connect(port, "/upload") as client:
                client.send(bytes(128 * 1024))
                self.assertEqual(len(client.recv(PATIENCE)), 128 * 1024)
            origin = {"Origin": "https://reader.example"}
            self.assertEqual(refusal(port, "/chat", origin).status, 403)
            self.assertEqual(refusal(port, "/other").status, 404)

    def test_commandLine(self) -> None:
        """The command of docs/howto/routes.rst does what it says."""
        options = (
            "--route=/chat=docs.examples.chat.Chat",
            "--route=/count/{whatever}=docs.examples.handler.countDown",
        )
        page = (ROOT / "docs" / "howto" / "routes.rst").read_text("utf-8")
        for option in options:
            self.assertIn(option.partition("=")[2], page)
        with serving(*options) as port:
            with connect(port, "/chat?name=Ada") as client:
                self.assertEqual(client.recv(PATIENCE), "* Ada has come")
            with connect(port, "/count/x") as client:
                client.send("x")
                self.assertEqual(client.recv(PATIENCE), "Please send a number.")
            self.assertEqual(refusal(port, "/count").status, 404)


class NginxTests(SynchronousTestCase):
    """docs/examples/nginx.conf: only its port and its files are others here."""

    skip = noNginx

    def setUp(self) -> None:
        """Make a place for nginx, with a certificate for example.com."""
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.port = freePort()
        pem = self.directory / "example.com.pem"
        writeCertificate(pem, "example.com")
        self.trusting = ssl.create_default_context(cafile=str(pem))

    def _configure(self, behind: int) -> list[str]:
        """Write the configuration around the example, and give nginx's command.

        :param behind: the port of the server behind it
        """
        text = (EXAMPLES / "nginx.conf").read_text("utf-8")
        pem = f"{self.directory}/example.com.pem"
        letsEncrypt = "/etc/letsencrypt/live/example.com"
        for old, new in (
            ("listen 443 ssl;", f"listen 127.0.0.1:{self.port} ssl;"),
            ("server 127.0.0.1:8080;", f"server 127.0.0.1:{behind};"),
            (f"{letsEncrypt}/fullchain.pem", pem),
            (f"{letsEncrypt}/privkey.pem", pem),
        ):
            self.assertEqual(text.count(old), 1, old)
            text = text.replace(old, new)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = [f"{kind}_temp_path {self.directory}/{kind};" for kind in kinds]
        lines = [
            "daemon off;",
            "worker_processes 1;",
            f"pid {self.directory}/pid;",
            "error_log stderr;",
            "events {}",
            "http {",
            "access_log off;",
            *paths,
            text,
            "}",
        ]
        configuration = self.directory / "nginx.conf"
        configuration.write_text("\n".join(lines), "utf-8")
        assert NGINX is not None
        return [NGINX, "-e", "stderr", "-p", str(self.directory), "-c", "nginx.conf"]

    def test_behindNginx(self) -> None:
        """A browser on https://example.com talks to the server behind nginx."""
        options = ["--allowed-host", "example.com"]
        options += ["--allowed-origin", "https://example.com"]
        with serving(*options) as behind, running(self._configure(behind)):
            waitFor(self.port)
            with self._connect("https://example.com") as client:
                client.send("hello")
                self.assertEqual(client.recv(PATIENCE), "hello")
            self.assertEqual(self._refused(Origin="https://example.org"), 403)
            self.assertIn(b"<!doctype html>", self._page())

    def test_originIsNotTheRequests(self) -> None:
        """Without the two options the host, and then the origin, are refused."""
        with serving() as behind, running(self._configure(behind)):
            waitFor(self.port)
            self.assertEqual(self._refused(), 403)
        with (
            serving("--allowed-host", "example.com") as behind,
            running(self._configure(behind)),
        ):
            waitFor(self.port)
            with self._connect(None) as client:
                client.send("hello")
                self.assertEqual(client.recv(PATIENCE), "hello")
            self.assertEqual(self._refused(Origin="https://example.com"), 403)

    def _connect(self, origin: str | None) -> WebSocketsClient:
        return WebSocketsClient(
            "wss://example.com/",
            sock=socket.create_connection(("127.0.0.1", self.port), PATIENCE),
            ssl=self.trusting,
            origin=origin,
            open_timeout=PATIENCE,
        )

    def _refused(self, **headers: str) -> int:
        """Give the status with which a request is refused."""
        given = {"Host": "example.com", **headers}
        return refusal(self.port, headers=given, context=self.trusting).status

    def _page(self) -> bytes:
        """Get the page that the server shows to browsers."""
        with (
            socket.create_connection(("127.0.0.1", self.port), PATIENCE) as plain,
            self.trusting.wrap_socket(plain, server_hostname="example.com") as client,
        ):
            client.sendall(
                b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"
            )
            return b"".join(iter(lambda: client.recv(65536), b""))


def writeCertificate(path: Path, host: str) -> None:
    """Write a certificate that signs itself, and its key, into one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), False)
        .sign(key, hashes.SHA256())
    )
    keyPEM = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(keyPEM + certificate.public_bytes(serialization.Encoding.PEM))
