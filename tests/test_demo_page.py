"""The demo page in a real browser, served by a real ``twistd websocket``.

Chromium is driven through its DevTools protocol. The WebSocket for that is made of
:class:`twisted_ws.connection.Connection`, so it takes no other library.
"""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.connection import CloseReceived, Connection, Event, Failed, Role
from twisted_ws.handshake import acceptFor
from twisted_ws.options import Options

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
# Far more than it takes: a CI machine may be busy with other things.
PATIENCE = 30.0
STEP = 0.05

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
# A test browser that talks to nobody but the server under test.
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
# The page tries again soon after it lost the server, and then shows how that went; so
# what it showed before is written down.
WATCH = """
    window.seen = [];
    new MutationObserver(() => {
      const [code, state] = ['close', 'state'].map((id) => document.getElementById(id));
      window.seen.push([code.dataset.code, code.dataset.clean, state.dataset.state]);
    }).observe(document.body, {subtree: true, attributes: true});
"""

T = TypeVar("T")


def waitFor(what: str, look: Callable[[], T | None]) -> T:
    """Look until there is something to see.

    :param what: for the message when time is up
    :param look: gives None for "not yet"
    """
    end = time.monotonic() + PATIENCE
    while (found := look()) is None:
        if time.monotonic() > end:
            raise AssertionError(f"not within {PATIENCE:g} seconds: {what}")
        time.sleep(STEP)
    return found


class Program:
    """A child process that writes to a file.

    :param command: the program and its arguments
    :param log: the file
    """

    def __init__(self, command: list[str], log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                env={
                    **os.environ,
                    "HOME": str(log.parent),
                    "PYTHONPATH": str(ROOT),
                    "PYTHONUNBUFFERED": "1",
                },
            )

    def waitForLog(self, pattern: str) -> str:
        """Wait for something in what it writes.

        :param pattern: a regular expression with one group, which is returned
        """

        def look() -> str | None:
            text = self.text()
            found = re.search(pattern, text)
            if found is None and self._process.poll() is not None:
                raise AssertionError(f"{self.log.name} ended:\n{text}")
            return found and found[1]

        return waitFor(f"{pattern} in {self.log.name}", look)

    def text(self) -> str:
        """Give what it has written."""
        return self.log.read_text("utf-8", "replace")

    def stop(self) -> int:
        """Ask it to stop, and make it stop.

        :returns: its exit status
        """
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class Server(Program):
    """``twistd websocket`` on a free port of 127.0.0.1.

    :param directory: for its log
    :param arguments: options for it
    """

    def __init__(self, directory: Path, *arguments: str) -> None:
        twistd = "import sys; from twisted.scripts.twistd import run; sys.exit(run())"
        command = [
            sys.executable,
            "-c",
            twistd,
            "--nodaemon",
            "--pidfile=",
            "websocket",
        ]
        where = ["--port=0", f"--interface={LOOPBACK}"]
        super().__init__([*command, *where, *arguments], directory / "server.log")
        self.port = int(self.waitForLog(r"Listening on \S+ port (\d+)"))

    def keyHash(self) -> str:
        """Hash the key of its certificate, as Chromium wants to be told."""
        pem = ssl.get_server_certificate((LOOPBACK, self.port))
        return hashOfKey(x509.load_pem_x509_certificate(pem.encode("ascii")))


def hashOfKey(certificate: x509.Certificate) -> str:
    """Hash the key of a certificate, as Chromium wants to be told which to trust.

    :param certificate: which
    """
    key = certificate.public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode("ascii")


class DevTools:
    """A WebSocket client that asks and waits.

    :param port: where the browser listens
    :param path: of its WebSocket
    """

    def __init__(self, port: int, path: str) -> None:
        # A screenshot is one message.
        options = Options(maxMessageSize=64 * 1024 * 1024)
        self._connection = Connection(Role.CLIENT, options)
        self._socket = socket.create_connection((LOOPBACK, port), PATIENCE)
        self._number = 0
        self._messages: list[Event] = []
        self.notices: list[dict[str, Any]] = []
        """What it told without being asked."""
        try:
            self._openingHandshake(port, path)
        except BaseException:
            self._socket.close()
            raise

    def _openingHandshake(self, port: int, path: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode("ascii")
        head = (
            f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n"
        )
        self._socket.sendall(head.encode("ascii"))
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._read()
        lines, _, rest = answer.partition(b"\r\n\r\n")
        text = lines.decode("latin-1")
        if " 101 " not in text or acceptFor(key) not in text:
            raise AssertionError(f"the browser answered {text!r}")
        self._messages += self._connection.receive(rest)

    def _read(self) -> bytes:
        data = self._socket.recv(1 << 20)
        if not data:
            raise AssertionError("the browser closed the connection")
        return data

    def _next(self) -> dict[str, Any]:
        while not self._messages:
            self._messages += self._connection.receive(self._read())
        message = self._messages.pop(0)
        if isinstance(message, (CloseReceived, Failed)) or not isinstance(message, str):
            raise AssertionError(f"the browser sent {message!r:.200}")
        found: dict[str, Any] = json.loads(message)
        return found

    def call(self, method: str, session: str | None, **parameters: Any) -> Any:
        """Call a method of the protocol.

        :param method: ``Domain.name``
        :param session: of the page; None for the browser
        :param parameters: of the method
        """
        self._number += 1
        message: dict[str, Any] = {
            "id": self._number,
            "method": method,
            "params": parameters,
        }
        if session is not None:
            message["sessionId"] = session
        self._socket.sendall(self._connection.sendText(json.dumps(message)))
        while (answer := self._next()).get("id") != self._number:
            self.notices.append(answer)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


class Browser:
    """Headless Chromium with one page.

    :param directory: for its profile and log
    :param trustedKey: hash of the key of a certificate to trust
    """

    def __init__(self, directory: Path, trustedKey: str | None = None) -> None:
        profile = directory / "profile"
        command = [str(CHROMIUM), *QUIET, f"--user-data-dir={profile}"]
        if trustedKey is not None:
            # Chromium looks at this only if it was given a profile.
            command.append(f"--ignore-certificate-errors-spki-list={trustedKey}")
        self._program = Program([*command, "about:blank"], directory / "chromium.log")
        try:
            found = self._program.waitForLog(r"DevTools listening on ws://(\S+)")
            host, _, path = found.partition("/")
            self._devTools = DevTools(int(host.rpartition(":")[2]), f"/{path}")
        except BaseException:
            self._program.stop()
            raise
        self._session: str | None = None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            self._call(f"{domain}.enable")

    def _call(self, method: str, **parameters: Any) -> Any:
        return self._devTools.call(method, self._session, **parameters)

    def close(self) -> None:
        """Close the browser."""
        self._devTools.close()
        self._program.stop()

    def run(self, script: str) -> Any:
        """Evaluate JavaScript in the page.

        :param script: an expression, or statements
        """
        answer = self._call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, script: str) -> None:
        """Wait until an expression is true.

        :param script: the expression
        """
        waitFor(script, lambda: self.run(script) or None)

    def open(self, url: str) -> None:
        """Load a page.

        :param url: its address
        """
        self._call("Page.navigate", url=url)
        self.until(f"location.href === {json.dumps(url)}")
        self.until("document.readyState === 'complete'")

    def text(self, identifier: str) -> str:
        """Give the text of an element.

        :param identifier: its id
        """
        return str(self.run(f"document.getElementById('{identifier}').textContent"))

    def data(self, identifier: str, name: str) -> str | None:
        """Give an element's ``data-`` attribute.

        :param identifier: its id
        :param name: the attribute's
        """
        found: str | None = self.run(
            f"document.getElementById('{identifier}').dataset.{name}"
        )
        return found

    def click(self, identifier: str) -> None:
        """Click with the mouse.

        :param identifier: where
        """
        point = self.run(
            f"(() => {{ const element = document.getElementById('{identifier}');"
            " element.scrollIntoView({block: 'center'});"
            " const box = element.getBoundingClientRect();"
            " return {x: box.x + box.width / 2, y: box.y + box.height / 2}; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call(
                "Input.dispatchMouseEvent",
                type=kind,
                button="left",
                clickCount=1,
                **point,
            )

    def fill(self, identifier: str, text: str) -> None:
        """Type into a field, over what is there.

        :param identifier: the field's
        :param text: what to type
        """
        self.run(f"document.getElementById('{identifier}').focus()")
        self.run(f"document.getElementById('{identifier}').select()")
        self._call("Input.insertText", text=text)

    def resize(self, width: int, height: int, scheme: str = "light") -> None:
        """Look through another window.

        :param width: in CSS pixels
        :param height: in CSS pixels
        :param scheme: ``light`` or ``dark``
        """
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheming = {"name": "prefers-color-scheme", "value": scheme}
        self._call("Emulation.setEmulatedMedia", features=[scheming])

    def screenshot(self, whole: bool = False) -> bytes:
        """Give a picture of the page as PNG.

        :param whole: with what one would have to scroll for
        """
        answer = self._call(
            "Page.captureScreenshot", format="png", captureBeyondViewport=whole
        )
        return base64.b64decode(answer["data"])

    def complaints(self) -> list[str]:
        """Give what went wrong so far: exceptions, errors on the console, broken
        policies."""
        # What happened before the answer to this was told before it.
        self.run("0")
        found = []
        for notice in self._devTools.notices:
            parameters = notice["params"]
            if notice["method"] in (
                "Runtime.exceptionThrown",
                "Log.entryAdded",
                "Audits.issueAdded",
                "Runtime.consoleAPICalled",
            ):
                found.append(json.dumps(parameters)[:500])
        return found


class DemoPageTests(SynchronousTestCase):
    """The page works as a person would use it."""

    if CHROMIUM is None:
        skip = "no Chromium found: chromium, chromium-browser or google-chrome on PATH"

    def directory(self) -> Path:
        """Make a directory that goes away after the test."""
        found = tempfile.mkdtemp(prefix="twisted_ws-demo-")
        # Chromium's children may still be writing.
        self.addCleanup(shutil.rmtree, found, ignore_errors=True)
        return Path(found)

    def serve(self, *arguments: str) -> Server:
        """Start a server that stops after the test.

        :param arguments: options for it
        """
        server = Server(self.directory(), *arguments)
        self.addCleanup(server.stop)
        return server

    def browse(self, trustedKey: str | None = None) -> Browser:
        """Start a browser that is closed after the test.

        :param trustedKey: hash of the key of a certificate to trust
        """
        browser = Browser(self.directory(), trustedKey)
        self.addCleanup(browser.close)
        return browser

    def checkEcho(self, browser: Browser, kind: str, size: int, preview: str) -> None:
        """Wait for a row in the list and look at it.

        :param browser: with the page
        :param kind: ``text`` or ``binary``
        :param size: of the message in bytes
        :param preview: what the row shows of it
        """
        row = f"#frames li[data-direction=in][data-type={kind}][data-size='{size}']"
        browser.until(f'document.querySelector("{row}") !== null')
        shown = browser.run(f'document.querySelector("{row} .preview").textContent')
        self.assertEqual(shown, preview)

    def checkNoComplaints(self, browser: Browser) -> None:
        """Check that nothing went wrong in the page, the policy it is served with
        included.

        :param browser: with the page
        """
        self.assertEqual(browser.complaints(), [])

    def test_overTLS(self) -> None:
        """Over TLS the page connects, shows echoes of text and bytes, runs its bulk
        test without breaking its Content-Security-Policy, and says how it ended when
        the server stops."""
        server = self.serve("--tls")
        browser = self.browse(server.keyHash())
        browser.resize(1280, 900)
        browser.open(f"https://{LOOPBACK}:{server.port}/")
        browser.until("document.getElementById('state').dataset.state === 'open'")
        self.assertEqual(browser.text("url"), f"wss://{LOOPBACK}:{server.port}/")
        self.assertEqual(
            browser.text("extensions"),
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        )

        text = "hello, wörld 🌍 <b>no markup</b>"
        browser.fill("text", text)
        browser.click("send")
        self.checkEcho(browser, "text", len(text.encode("utf-8")), text)
        self.assertIsNone(browser.run("document.querySelector('#frames .preview b')"))

        browser.fill("hex", "00 7f ff")
        browser.click("send-binary")
        self.checkEcho(browser, "binary", 3, "00 7f ff")

        browser.fill("bulk-count", "300")
        browser.click("bulk-start")
        browser.until(
            "!['none', 'running'].includes("
            "document.getElementById('bulk-result').dataset.outcome)"
        )
        self.assertEqual(
            browser.data("bulk-result", "outcome"), "done", browser.text("bulk-result")
        )

        browser.until("document.getElementById('rtt').dataset.count > 0")
        self.checkPicture(browser)
        self.checkNoComplaints(browser)

        browser.run(WATCH)
        # Twisted ends itself once more with the signal, so that its parent can tell.
        self.assertIn(server.stop(), (0, -signal.SIGTERM), server.text())
        self.assertNotIn("Traceback", server.text())
        browser.until("window.seen.some(([code]) => code !== undefined)")
        # Not clean would mean that the server dropped TCP before the closing handshake.
        self.assertEqual(
            next(each for each in browser.run("window.seen") if each[0] is not None)[
                :2
            ],
            ["1001", "true"],
        )
        browser.until("window.seen.some(([, , state]) => state === 'waiting')")

    def checkPicture(self, browser: Browser) -> None:
        """Check that a screenshot shows something; keep it if ``DEMO_SCREENSHOT``
        names a file.

        :param browser: with the page
        """
        browser.run("scrollTo(0, 0)")
        picture = browser.screenshot()
        if "DEMO_SCREENSHOT" in os.environ:
            Path(os.environ["DEMO_SCREENSHOT"]).write_bytes(picture)
        self.assertEqual(picture[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(struct.unpack(">II", picture[16:24]), (1280, 900))
        # An empty page of this size takes about 5 kB.
        self.assertGreater(len(picture), 30_000)

    def test_overPlaintext(self) -> None:
        """Without TLS, and at the path that was given, the page works too; on a phone
        nothing sticks out at the side."""
        server = self.serve("--path=/ws")
        browser = self.browse()
        browser.resize(360, 800)
        browser.open(f"http://{LOOPBACK}:{server.port}/")
        browser.until("document.getElementById('state').dataset.state === 'open'")
        self.assertEqual(browser.text("url"), f"ws://{LOOPBACK}:{server.port}/ws")
        text = "unbroken" * 30
        browser.fill("text", text)
        browser.click("send")
        self.checkEcho(browser, "text", 240, text)
        self.assertLessEqual(browser.run("document.documentElement.scrollWidth"), 360)
        self.checkNoComplaints(browser)
        browser.click("disconnect")
        browser.until("document.getElementById('state').dataset.state === 'closed'")
        self.assertEqual(browser.data("close", "code"), "1000")
        self.assertEqual(browser.data("close", "clean"), "true")
        self.checkNoComplaints(browser)
