"""``twistd websocket --bridge`` and its like: the command line, and as processes."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import threading
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.trial.unittest import SynchronousTestCase

from tests.clients import BlockingClient
from tests.processes import PATIENCE, Server, removeDirectory
from tests.test_tap import OptionsCase, parse
from tests.test_twistd import eventually
from twisted_ws.bridge import Bridge, ForwardingFactory
from twisted_ws.clientoptions import ClientOptions
from twisted_ws.factory import WebSocketServerFactory
from twisted_ws.options import ServerOptions
from twisted_ws.polling import FastServerEndpoint
from twisted_ws.stream import WebSocketStreamClientEndpoint
from twisted_ws.tap import makeService
from twisted_ws.targets import Target, Targets


class BridgeTests(OptionsCase):
    """``--bridge`` and ``--bridge-targets``."""

    def targets(self, text: str = "desk: localhost:5900\n") -> str:
        """Write a file of targets, and give its path."""
        path = os.path.join(self.directory, "targets")
        Path(path).write_text(text)
        return path

    def test_target(self) -> None:
        """A target is HOST:PORT or any client's endpoint string."""
        for where in ("localhost:5900", "tcp:localhost:5900", "unix:/run/vnc.sock"):
            factory: WebSocketServerFactory = parse("--bridge", where)["factory"]
            bridge = factory.application
            assert isinstance(bridge, Bridge) and isinstance(bridge._target, Target)
            self.assertEqual(bridge._target.description, where)
        self.assertRefused(("--bridge", "nowhere"), "--bridge: ", "HOST:PORT")
        for where in (
            "ws:h:user=me:password=secret:x=1",
            "ws:h:80:user=me:password=a:secret",
            "ws://me:secret@h/",
        ):
            self.assertNotIn("secret", self.refused("--bridge", where))

    def test_targets(self) -> None:
        """Targets come from a file; one that cannot be used is a usage error that
        tells the line."""
        path = self.targets()
        factory: WebSocketServerFactory = parse("--bridge-targets", path)["factory"]
        bridge = factory.application
        assert isinstance(bridge, Bridge) and isinstance(bridge._target, Targets)
        self.assertEqual(len(bridge._target), 1)
        self.assertRefused(
            ("--bridge-targets", "/nowhere"), "--bridge-targets: /nowhere: No such file"
        )
        self.targets("\nsecret\n")
        said = self.refused("--bridge-targets", path)
        self.assertIn("line 2 is not of the form", said)
        self.assertNotIn("secret", said)

    def test_options(self) -> None:
        """The server's options hold; compression is off unless it is asked for, and
        there is no page unless one is."""
        factory: Any = parse("--bridge", "localhost:1", "--path", "/vnc")["factory"]
        self.assertEqual(factory.options.compression, "none")
        self.assertEqual(factory.path, "/vnc")
        self.assertIsNone(factory.site)
        self.assertGreater(factory.options.highWaterMark, ServerOptions().highWaterMark)
        factory = parse(
            *("--bridge", "localhost:1", "--web", self.directory),
            *("--compression", "small", "--close-timeout", "3"),
            *("--max-message-size", "2MiB"),
        )["factory"]
        self.assertEqual(factory.options.compression, "small")
        self.assertEqual(factory.options.maxMessageSize, 2 * 1024 * 1024)
        self.assertEqual(factory.application._closeTimeout, 3)
        self.assertIsNotNone(factory.site)

    def test_together(self) -> None:
        """What takes each other's place is not given together."""
        path = self.targets()
        given = {
            "bridge": "localhost:5900",
            "bridge-targets": path,
            "connect": "ws://localhost/",
            "protocol": "docs.examples.echo.Echo",
        }
        for one in given:
            for two in given:
                if one < two:
                    self.assertRefused(
                        (f"--{one}", given[one], f"--{two}", given[two]),
                        "takes the place of",
                        f"--{one}",
                        f"--{two}",
                    )


class ConnectTests(OptionsCase):
    """``--connect``."""

    def factory(self, *arguments: str) -> Any:
        """Give the factory that a command line makes."""
        factory = parse("--connect", *arguments)["factory"]
        self.assertIsInstance(factory, ForwardingFactory)
        return factory

    def test_url(self) -> None:
        """A URL, with what options client and server have in common."""
        factory = self.factory("wss://example.com/vnc")
        self.assertIsInstance(factory.endpoint, WebSocketStreamClientEndpoint)
        self.assertEqual(factory.endpoint.options, ClientOptions(compression="none"))
        factory = self.factory(
            *("ws://example.com/", "--ping-interval", "5", "--subprotocol", "binary"),
            *("--max-connections", "3", "--close-timeout", "4"),
        )
        options = factory.endpoint.options
        self.assertEqual((options.pingInterval, options.closeTimeout), (5.0, 4.0))
        self.assertEqual(options.subprotocols, ("binary",))
        self.assertEqual((factory._maxConnections, factory.closeTimeout), (3, 4.0))

    def test_string(self) -> None:
        """An endpoint string, which has its options in itself."""
        factory = self.factory("wss:example.com:resource=/vnc:user=me:pingInterval=5")
        options = factory.endpoint.options
        self.assertEqual((options.user, options.pingInterval), ("me", 5.0))
        self.assertRefused(
            ("--connect", "ws:example.com", "--ping-interval", "5"),
            "--ping-interval",
            "write pingInterval=...",
        )
        factory = self.factory(r"wss:example.com:proxy=http\://proxy\:3128")
        self.assertEqual(factory.endpoint.options.proxy, "http://proxy:3128")
        factory = self.factory("tcp:localhost:80", "--max-connections", "3")
        self.assertEqual(factory._maxConnections, 3)

    def test_mistakes(self) -> None:
        """What cannot be used is said, without the password in it."""
        for where in ("http://me:secret@h/", "ws://me:secret@/", "nonsense:secret"):
            self.assertRefused(("--connect", where), "--connect: neither a URL nor")
        for where in ("http://me:secret@h/", "ws://me:secret@/"):
            self.assertNotIn("secret", self.refused("--connect", where))
        self.assertRefused(
            ("--connect", "ws://h/", "--ping-interval", "-1"), "--ping-interval: -1"
        )

    def test_forServers(self) -> None:
        """Options of servers are refused."""
        for arguments in (
            ("--path", "/x"),
            ("--web", self.directory),
            ("--allowed-origin", "https://example.com"),
            ("--dangerously-allow-any-host",),
            ("--max-connections-per-address", "1"),
            ("--retry-after", "1"),
        ):
            self.assertRefused(
                ("--connect", "ws://h/", *arguments),
                f"{arguments[0]}: is for a WebSocket server",
            )

    def test_listens(self) -> None:
        """It listens on loopback unless it is told where."""
        for arguments, interface in (
            ((), "127.0.0.1"),
            (("--interface", "192.0.2.1"), "192.0.2.1"),
        ):
            endpoints = parse("--connect", "ws://h/", *arguments)["endpoints"]
            self.assertEqual(len(endpoints), 1)
            self.assertIsInstance(endpoints[0], FastServerEndpoint)
            self.assertIsInstance(endpoints[0]._endpoint, TCP4ServerEndpoint)
            self.assertEqual(endpoints[0]._endpoint._interface, interface)
        options = parse("--connect", "ws://h/")
        self.assertIs(makeService(options).factory, options["factory"])


class ProcessTests(SynchronousTestCase):
    """As processes: a target, the bridge, and the reverse in front of it."""

    def setUp(self) -> None:
        """Make a directory, and a target that echoes."""
        self.directory = tempfile.mkdtemp(prefix="twisted_ws-")
        self.addCleanup(removeDirectory, self.directory)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listening.close)
        self.target = self.listening.getsockname()[1]

    def echo(self, connections: int) -> None:
        """Have so many connections echoed, one after the other."""

        def run() -> None:
            for _ in range(connections):
                connection, _ = self.listening.accept()
                # A client that vanishes has it reset.
                with connection, contextlib.suppress(ConnectionResetError):
                    while data := connection.recv(65536):
                        connection.sendall(data)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.addCleanup(thread.join, PATIENCE)

    def place(self, name: str) -> str:
        """Make a directory of that name, for a process."""
        path = os.path.join(self.directory, name)
        os.mkdir(path)
        return path

    def test_bridge(self) -> None:
        """A target, chosen from a file that changes; the end is passed on."""
        self.echo(2)
        path = os.path.join(self.directory, "targets")
        Path(path).write_text(f"one: 127.0.0.1:{self.target}\n")
        with Server(self.place("b"), "--bridge-targets", path) as server:
            with BlockingClient(server.port, False, "/?token=one") as client:
                client.send(b"hello")
                self.assertEqual(client.receive(), b"hello")
            Path(path).write_text(f"two: tcp:127.0.0.1:{self.target}\n")

            def answers() -> bool:
                try:
                    with BlockingClient(server.port, False, "/?token=two") as client:
                        client.send(b"again")
                        return client.receive() == b"again"
                except AssertionError:
                    return False

            eventually(answers)
            self.assertNotIn("one", server.output.partition("Listening")[2])

    def test_reverse(self) -> None:
        """TCP to WebSocket to TCP: two bridges with each other."""
        self.echo(1)
        bridge = Server(self.place("b"), "--bridge", f"127.0.0.1:{self.target}")
        with (
            bridge,
            Server(
                self.place("c"), "--connect", f"ws://127.0.0.1:{bridge.port}/"
            ) as reverse,
        ):
            address = ("127.0.0.1", reverse.port)
            with socket.create_connection(address, PATIENCE) as connection:
                sent = bytes(range(256)) * 4000
                thread = threading.Thread(target=connection.sendall, args=(sent,))
                thread.start()
                got = b""
                while len(got) < len(sent):
                    got += connection.recv(65536)
                thread.join(PATIENCE)
                self.assertEqual(got, sent)
                reverse.terminate()
                self.assertEqual(connection.recv(1), b"")
            reverse.wait()
            self.assertNotIn("Traceback", reverse.output)
