"""Where a bridge may lead: what the file may hold, and that it is read again."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import tempfile
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    UNIXClientEndpoint,
)
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.processes import removeDirectory
from tests.support import logged
from twisted_ws.stream import WebSocketStreamClientEndpoint
from twisted_ws.targets import Targets, readTarget, readTargets

reactor: Any = _reactor


class TargetTests(SynchronousTestCase):
    """One target."""

    def test_places(self) -> None:
        """HOST:PORT is looked up, IPv6 stands in brackets."""
        for text, host in (
            ("localhost:5900", "localhost"),
            ("192.0.2.7:5900", "192.0.2.7"),
            ("[2001:db8::7]:5900", "2001:db8::7"),
            ("tcp:5900", "tcp"),
        ):
            found = readTarget(reactor, text)
            self.assertIsInstance(found.endpoint, HostnameEndpoint)
            endpoint: Any = found.endpoint
            self.assertEqual(endpoint._hostText, host)
            self.assertEqual(endpoint._port, 5900)
            self.assertEqual(found.description, text)

    def test_endpoints(self) -> None:
        """Any client's endpoint string, and websockify's name for UNIX sockets."""
        for text, kind in (
            ("tcp:localhost:5900", TCP4ClientEndpoint),
            ("unix:/run/vnc.sock", UNIXClientEndpoint),
            ("unix_socket:/run/vnc.sock", UNIXClientEndpoint),
            ("wss:example.com:resource=/vnc", WebSocketStreamClientEndpoint),
        ):
            self.assertIsInstance(readTarget(reactor, text).endpoint, kind)
        endpoint: Any = readTarget(reactor, "unix_socket:/run/vnc.sock").endpoint
        self.assertEqual(endpoint._path, "/run/vnc.sock")

    def test_S05_description(self) -> None:
        """What is logged of an endpoint string has no named parts, which may be
        secrets."""
        for text, described in (
            ("ws:h:80:resource=/?t=secret:user=me:password=secret", "ws:h:80:…"),
            (r"wss:\:\:1:headers=A\:secret", r"wss:\:\:1:…"),
            (r"unix:/run/a\=b", r"unix:/run/a\=b"),
            ("tcp:localhost:5900", "tcp:localhost:5900"),
        ):
            self.assertEqual(readTarget(reactor, text).description, described)

    def test_mistakes(self) -> None:
        """What is neither is refused."""
        for text, part in (
            ("localhost:0", "0 is not a port"),
            ("localhost:65536", "65536 is not a port"),
            ("localhost", "neither HOST:PORT nor"),
            ("nonsense:x:y", "nonsense"),
            ("2001:db8::7:5900", "neither HOST:PORT nor"),
            ("", "neither HOST:PORT nor"),
            ("tcp:localhost:port", "neither HOST:PORT nor"),
        ):
            with self.assertRaisesRegex(ValueError, part):
                readTarget(reactor, text)


class FileTests(SynchronousTestCase):
    """A file of targets."""

    def test_lines(self) -> None:
        """Names and targets; comments and empty lines count for nothing, and a name may
        hold colons."""
        found = readTargets(
            reactor,
            "# comment\n\n  one: localhost:5901  \ntwo:\ttcp:localhost:5902\r\n"
            "a:b: localhost:5903\n",
        )
        self.assertEqual(
            {name: target.description for name, target in found.items()},
            {
                "one": "localhost:5901",
                "two": "tcp:localhost:5902",
                "a:b": "localhost:5903",
            },
        )
        self.assertEqual(readTargets(reactor, ""), {})

    def test_mistakes(self) -> None:
        """A line that cannot be used is named by its number, without what is in it."""
        for text, part in (
            ("secret:localhost:5900\n", "line 1 is not of the form"),
            (": localhost:5900\n", "line 1 is not of the form"),
            ("# x\nsecret: nowhere\n", "line 2: neither"),
            ("secret: a:1\nsecret: b:2\n", "line 2 has a name"),
        ):
            with self.assertRaisesRegex(ValueError, part) as refused:
                readTargets(reactor, text)
            self.assertNotIn("secret", str(refused.exception))


class ChangeTests(SynchronousTestCase):
    """A file that changes."""

    def setUp(self) -> None:
        """Make a directory, and a clock that is well behind all files."""
        directory = tempfile.mkdtemp(prefix="twisted_ws-")
        self.addCleanup(removeDirectory, directory)
        self.path = os.path.join(directory, "targets")
        self.clock = Clock()
        self.clock.advance(5000)
        self.age = 1000

    def put(self, text: str, path: str | None = None) -> None:
        """Write the file, as of another time each time."""
        path = path or self.path
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        self.age += 1
        os.utime(path, (self.age, self.age))

    def where(self, targets: Targets, name: str = "a") -> str | None:
        """Tell where a name leads."""
        found = targets.find(name)
        return None if found is None else found.description

    def test_changed(self) -> None:
        """It is read again when it has changed, or was replaced."""
        self.put("a: tcp:h:1\n")
        targets = Targets(self.clock, self.path)
        self.assertEqual((len(targets), self.where(targets)), (1, "tcp:h:1"))
        with logged() as lines:
            self.put("a: tcp:h:2\nb: tcp:h:3\n")
            self.assertEqual(self.where(targets), "tcp:h:2")
            self.assertEqual(self.where(targets, "b"), "tcp:h:3")
        self.assertEqual(len(lines), 1)
        self.assertIn("there are 2", lines[0])
        self.put("a: tcp:h:4\n", self.path + "~")
        os.replace(self.path + "~", self.path)
        self.assertEqual(self.where(targets), "tcp:h:4")
        self.assertIsNone(targets.find("b"))

    def test_broken(self) -> None:
        """While it cannot be used the old ones stay, and the log says so, once."""
        self.put("a: tcp:h:1\n")
        targets = Targets(self.clock, self.path)
        for text, part in (("a: nonsense\n", "line 1"), ("x\n", "not of the form")):
            self.put(text)
            with logged() as lines:
                for _ in range(3):
                    self.assertEqual(self.where(targets), "tcp:h:1")
            self.assertEqual(len(lines), 1)
            self.assertIn(part, lines[0])
        self.put("a: tcp:h:2\n")
        self.assertEqual(self.where(targets), "tcp:h:2")

    def test_notText(self) -> None:
        """So it does when that is not UTF-8."""
        self.put("a: tcp:h:1\n")
        targets = Targets(self.clock, self.path)
        with open(self.path, "wb") as file:
            file.write(b"\xff\n")
        with logged() as lines:
            self.assertEqual(self.where(targets), "tcp:h:1")
        self.assertEqual(len(lines), 1)

    def test_gone(self) -> None:
        """So they do while it is gone, and until it can be read."""
        self.put("a: tcp:h:1\n")
        targets = Targets(self.clock, self.path)
        os.unlink(self.path)
        with logged() as lines:
            for _ in range(3):
                self.assertEqual(self.where(targets), "tcp:h:1")
        self.assertEqual(len(lines), 1)
        self.assertIn("No such file", lines[0])
        os.mkdir(self.path)
        with logged() as lines:
            self.assertEqual(self.where(targets), "tcp:h:1")
        self.assertIn("directory", lines[0])

    def test_halfWritten(self) -> None:
        """A file whose last line has no end, and that was changed just now, may be half
        written: it is read when a second has passed."""
        self.put("a: tcp:h:5900\n")
        targets = Targets(self.clock, self.path)
        self.put("a: tcp:h:59")
        os.utime(self.path, (4999.5, 4999.5))
        self.assertEqual(self.where(targets), "tcp:h:5900")
        self.clock.advance(0.4)
        self.assertEqual(self.where(targets), "tcp:h:5900")
        self.clock.advance(0.2)
        self.assertEqual(self.where(targets), "tcp:h:59")

    def test_whileReading(self) -> None:
        """One that changes while it is read is read the next time."""
        self.put("a: tcp:h:1\n")
        targets = Targets(self.clock, self.path)
        self.put("a: tcp:h:2\n")
        read = targets._read

        def slowly() -> str:
            text = read()
            self.put("a: tcp:h:3\n")
            return text

        self.patch(targets, "_read", slowly)
        self.assertEqual(self.where(targets), "tcp:h:1")
        self.patch(targets, "_read", read)
        self.assertEqual(self.where(targets), "tcp:h:3")

    def test_atFirst(self) -> None:
        """What cannot be used when it begins is an error."""
        with self.assertRaises(OSError):
            Targets(self.clock, self.path)
        self.put("nonsense\n")
        with self.assertRaises(ValueError):
            Targets(self.clock, self.path)

    def test_relative(self) -> None:
        """The path is taken as of the directory when it begins."""
        self.put("a: tcp:h:1\n")
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(os.path.dirname(self.path))
        targets = Targets(self.clock, "targets")
        os.chdir(here)
        self.put("a: tcp:h:2\n")
        self.assertEqual(self.where(targets), "tcp:h:2")
