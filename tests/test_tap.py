"""The command line: every option, what it changes, and how a wrong one is refused."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import functools
import inspect
import io
import os
import re
import sys
import tempfile
import types
from contextlib import redirect_stdout
from dataclasses import fields
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.application.service import IServiceMaker
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import (
    SSL4ServerEndpoint,
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    UNIXServerEndpoint,
)
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.plugin import getPlugins
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Site

from tests.certificates import keyToPEM, makeCertificate, makeKey, toPEM
from tests.processes import removeDirectory
from twisted_ws import tap
from twisted_ws.bridge import Bridge, ForwardingFactory
from twisted_ws.codec import versionLine
from twisted_ws.errors import HandshakeRejected
from twisted_ws.factory import WebSocketServerFactory
from twisted_ws.handshake import Request
from twisted_ws.headers import Headers
from twisted_ws.interfaces import WebSocketProtocol
from twisted_ws.options import ServerOptions
from twisted_ws.origins import Authority
from twisted_ws.pages import DemoPage, StaticFiles
from twisted_ws.polling import FastServerEndpoint
from twisted_ws.routes import Routes
from twisted_ws.service import IPv6Endpoint, WebSocketService
from twisted_ws.tap import Echo, Options, flagFor, makeService
from twisted_ws.tls import TLSServerEndpoint, fingerprint
from twisted_ws.websocket import HandlerProtocol, WebSocket

# What of ServerOptions is given on the command line: a text, and what it becomes.
VALUES: dict[str, tuple[str, Any]] = {
    "maxMessageSize": ("64KiB", 65536),
    "maxFragments": ("7", 7),
    "highWaterMark": ("128k", 131072),
    "maxSendBuffer": ("1MiB", 1048576),
    "pingInterval": ("2.5", 2.5),
    "pingTimeout": ("3", 3.0),
    "closeTimeout": ("4", 4.0),
    "messageTimeout": ("5", 5.0),
    "handshakeTimeout": ("6", 6.0),
    "maxHeaderLine": ("1024", 1024),
    "maxHeadSize": ("32KiB", 32768),
    "maxHeaders": ("50", 50),
    "compression": ("large", "large"),
    "compressionThreshold": ("1KiB", 1024),
    "compressionLevel": ("6", 6),
    "compressionMemoryLevel": ("9", 9),
    "serverMaxWindowBits": ("9", 9),
    "clientMaxWindowBits": ("10", 10),
    "serverNoContextTakeover": ("", True),
    "clientNoContextTakeover": ("", True),
    "compressionEngine": ("zlib", "zlib"),
    "subprotocols": ("chat", ("chat",)),
    "allowedOrigins": ("https://example.com", ("https://example.com",)),
    "dangerouslyAllowAnyOrigin": ("", True),
    "allowedHosts": ("example.com:8443", ("example.com:8443",)),
    "dangerouslyAllowAnyHost": ("", True),
    "maxConnections": ("3", 3),
    "maxConnectionsPerAddress": ("2", 2),
    "retryAfter": ("9", 9),
    "logAccepted": ("", True),
}


def parse(*arguments: str) -> Options:
    """Parse a command line."""
    options = Options()
    options.parseOptions(list(arguments))
    return options


def serverOptions(*arguments: str) -> ServerOptions:
    """Give the options that a command line makes."""
    factory: WebSocketServerFactory = parse(*arguments)["factory"]
    return factory.options


class OptionsCase(SynchronousTestCase):
    """Short ways to wrong command lines, and a directory."""

    def setUp(self) -> None:
        """Make the directory."""
        self.directory = tempfile.mkdtemp(prefix="twisted_ws-")
        self.addCleanup(removeDirectory, self.directory)

    def refused(self, *arguments: str) -> str:
        """Give the one line with which a command line is refused."""
        try:
            parse(*arguments)
        except UsageError as error:
            self.assertNotIn("\n", str(error))
            return str(error)
        raise self.failureException(f"{arguments} was accepted")

    def assertRefused(self, arguments: tuple[str, ...], *parts: str) -> None:
        """Hold that a command line is refused with certain words."""
        message = self.refused(*arguments)
        for part in parts:
            self.assertIn(part, message)


class BridgeTests(OptionsCase):
    """That bridges are made; :mod:`tests.test_bridgeoptions` has the rest."""

    def test_kinds(self) -> None:
        """``--bridge`` makes a server without a page, ``--connect`` something else that
        listens, on loopback."""
        options = parse("--bridge", "localhost:5900")
        self.assertIsInstance(options["factory"].application, Bridge)
        self.assertIsNone(options["factory"].site)
        options = parse("--bridge", "localhost:5900", "--web", self.directory)
        self.assertIsInstance(options["factory"].site.resource, StaticFiles)
        options = parse("--connect", "ws://localhost/")
        self.assertIsInstance(options["factory"], ForwardingFactory)
        self.assertEqual(beneath(options)[0]._interface, "127.0.0.1")


class FieldTests(OptionsCase):
    """One flag for each field of ServerOptions."""

    def test_valuesAreComplete(self) -> None:
        """This test's table knows every field."""
        self.assertEqual({each.name for each in fields(ServerOptions)}, set(VALUES))

    def test_everyFlag(self) -> None:
        """Each field's flag changes that field, and no other."""
        plain = ServerOptions()
        for each in fields(ServerOptions):
            text, value = VALUES[each.name]
            flag = f"--{flagFor(each.name, each.metadata)}"
            options = serverOptions(*([flag, text] if text else [flag]))
            for other in fields(ServerOptions):
                expected = (
                    value if other.name == each.name else getattr(plain, other.name)
                )
                self.assertEqual(getattr(options, other.name), expected, flag)
            self.assertIs(type(value), each.metadata["kind"], each.name)

    def test_nothingGiven(self) -> None:
        """Without flags the defaults are the dataclass's."""
        self.assertEqual(serverOptions(), ServerOptions())

    def test_names(self) -> None:
        """A flag is the field's name in kebab case; a repeatable one is singular."""
        names = {each.name: each.metadata for each in fields(ServerOptions)}
        for name, flag in (
            ("maxMessageSize", "max-message-size"),
            ("subprotocols", "subprotocol"),
            ("allowedOrigins", "allowed-origin"),
            ("maxConnectionsPerAddress", "max-connections-per-address"),
        ):
            self.assertEqual(flagFor(name, names[name]), flag)

    def test_repeatable(self) -> None:
        """Names may be given several times, and keep their order; two command lines
        share none of them."""
        options = serverOptions(
            *("--subprotocol", "b", "--subprotocol", "a"),
            *("--allowed-host", "one.example", "--allowed-host", "two.example"),
            *("--allowed-origin", "https://x.example", "--allowed-origin", "null"),
        )
        self.assertEqual(options.subprotocols, ("b", "a"))
        self.assertEqual(options.allowedHosts, ("one.example", "two.example"))
        self.assertEqual(options.allowedOrigins, ("https://x.example", "null"))
        self.assertEqual(serverOptions().subprotocols, ())

    def test_sizes(self) -> None:
        """Sizes are bytes, or with a binary unit in any case, short or long."""
        for text, size in (
            ("65536", 65536),
            ("64k", 65536),
            ("64KiB", 65536),
            ("64 kib", 65536),
            ("1m", 1048576),
            ("1MiB", 1048576),
            ("2G", 2 * 1024**3),
            ("1GiB", 1024**3),
        ):
            options = serverOptions("--max-message-size", text)
            self.assertEqual(options.maxMessageSize, size, text)

    def test_wrongSizes(self) -> None:
        """What is no size: decimal units (which would mean another number), fractions,
        signs, words."""
        for text in ("64KB", "64kb", "1.5MiB", "-1", "+1", "", "KiB", "much", "0x10"):
            self.assertRefused(
                (f"--max-message-size={text}",),
                f"--max-message-size: {text!r}",
                "64KiB",
            )

    def test_wrongNumbers(self) -> None:
        """What is no number, too little, or not finite."""
        for flag in ("max-fragments", "max-headers", "max-connections", "retry-after"):
            for text in ("many", "1.5", ""):
                self.assertRefused((f"--{flag}={text}",), f"--{flag}: ", "whole number")
            self.assertRefused((f"--{flag}=-1",), f"--{flag}: -1 is too little")
        for flag in (
            *("ping-interval", "ping-timeout", "close-timeout"),
            *("message-timeout", "handshake-timeout"),
        ):
            self.assertRefused((f"--{flag}=soon",), f"--{flag}: 'soon'", "seconds")
            self.assertRefused((f"--{flag}=-1",), f"--{flag}: -1.0 is too little")
            for text in ("nan", "inf"):
                self.assertRefused((f"--{flag}={text}",), f"--{flag}: ", "finite")
        for flag in (
            *("max-message-size", "high-water-mark", "max-send-buffer"),
            *("max-header-line", "max-head-size"),
        ):
            self.assertRefused((f"--{flag}=0",), f"--{flag}: 0 is too little")

    def test_atOdds(self) -> None:
        """Values that do not go together."""
        self.assertRefused(
            ("--high-water-mark=2MiB", "--max-send-buffer=1MiB"), "--high-water-mark: "
        )
        self.assertRefused(("--max-header-line=64KiB",), "--max-header-line: ")

    def test_wrongNames(self) -> None:
        """Names that are none."""
        for arguments, parts in (
            (("--subprotocol=a,b",), ("--subprotocol: 'a,b'", "token")),
            (("--subprotocol=",), ("--subprotocol: ''",)),
            (("--allowed-origin=example.com",), ("--allowed-origin: 'example.com'",)),
            (("--allowed-origin=*",), ("--allowed-origin: '*'", "wildcards")),
            (("--allowed-origin=https://a.b/c",), ("--allowed-origin: ",)),
            (("--allowed-host=https://a.b",), ("--allowed-host: 'https://a.b'",)),
            (("--allowed-host=a:99999",), ("--allowed-host: 'a:99999'", "65535")),
        ):
            self.assertRefused(arguments, *parts)


def beneath(options: Options) -> list[Any]:
    """Give the endpoints that listen, of those that a command line makes.

    :param options: what was parsed
    """
    return [
        each._endpoint if isinstance(each, FastServerEndpoint) else each
        for each in options["endpoints"]
    ]


class ListeningTests(OptionsCase):
    """--port, --interface, --listen."""

    def kinds(self, *arguments: str) -> list[type]:
        """Give the kinds of endpoints that a command line makes."""
        return [type(each) for each in beneath(parse(*arguments))]

    def test_port(self) -> None:
        """By default and with --port: TCP, IPv4 and IPv6 if there is any."""
        for arguments in ((), ("--port", "9000"), ("-p", "0")):
            first, *others = self.kinds(*arguments)
            self.assertIs(first, TCP4ServerEndpoint)
            self.assertIn(others, ([], [IPv6Endpoint]))
        self.assertEqual(beneath(parse())[0]._port, 8080)
        self.assertEqual(beneath(parse("--port=9000"))[0]._port, 9000)

    def test_wrongPort(self) -> None:
        """A port that is none."""
        for text in ("eleven", "", "80.5", "-1", "65536"):
            self.assertRefused((f"--port={text}",), "--port: ", text)

    def test_interface(self) -> None:
        """An address of either kind, or localhost."""
        for text, kind in (
            ("127.0.0.1", TCP4ServerEndpoint),
            ("0.0.0.0", TCP4ServerEndpoint),  # noqa: S104
            ("localhost", TCP4ServerEndpoint),
            ("::1", TCP6ServerEndpoint),
            ("fe80::1%lo", TCP6ServerEndpoint),
        ):
            (endpoint,) = beneath(parse("--interface", text))
            self.assertIs(type(endpoint), kind)
            self.assertEqual(endpoint._interface, text)

    def test_wrongInterface(self) -> None:
        """What is no address."""
        for text in ("nonsense", "eth0", "127.0.0", "::zz", "[::1]", "127.0.0.1:80"):
            self.assertRefused(("-i", text), f"--interface: {text!r}", "127.0.0.1")

    def test_listen(self) -> None:
        """Any of Twisted's endpoints, several of them, in place of the port."""
        pem = os.path.join(self.directory, "c.pem")
        key = makeKey("rsa")
        certificate = toPEM(makeCertificate("localhost", key))
        Path(pem).write_bytes(keyToPEM(key) + certificate)
        self.assertEqual(
            self.kinds("--listen", "tcp:80:interface=127.0.0.1"), [TCP4ServerEndpoint]
        )
        self.assertEqual(
            self.kinds(
                *("--listen", "unix:/run/ws.sock"),
                *("--listen", "tcp6:8080"),
                *("--listen", f"ssl:443:privateKey={pem}:certKey={pem}"),
            ),
            [UNIXServerEndpoint, TCP6ServerEndpoint, SSL4ServerEndpoint],
        )

    def test_listenWithTLS(self) -> None:
        """With --tls, TLS goes on top of each; but not on what speaks TLS itself."""
        kinds = self.kinds("--tls", "--listen=tcp:80", "--listen=unix:/run/ws.sock")
        self.assertEqual(kinds, [TLSServerEndpoint] * 2)
        pem = os.path.join(self.directory, "c.pem")
        key = makeKey("rsa")
        certificate = toPEM(makeCertificate("localhost", key))
        Path(pem).write_bytes(keyToPEM(key) + certificate)
        self.assertRefused(
            ("--tls", f"--listen=ssl:443:privateKey={pem}"), "--listen: ", "--tls"
        )

    def test_transport(self) -> None:
        """Faster transports below everything, or Twisted's own."""
        for arguments in ((), ("--listen=tcp:80",), ("--transport", "fast")):
            for endpoint in parse(*arguments)["endpoints"]:
                self.assertIsInstance(endpoint, FastServerEndpoint)
        for endpoint in parse("--tls")["endpoints"]:
            self.assertIsInstance(endpoint._endpoint, FastServerEndpoint)
            self.assertTrue(endpoint._fast)
        for endpoint in parse("--transport=standard")["endpoints"]:
            self.assertNotIsInstance(endpoint, FastServerEndpoint)
        for endpoint in parse("--tls", "--transport=standard")["endpoints"]:
            self.assertNotIsInstance(endpoint._endpoint, FastServerEndpoint)
            self.assertFalse(endpoint._fast)
        self.assertRefused(("--transport=slow",), "--transport: 'slow'", "standard")

    def test_wrongListen(self) -> None:
        """What is no endpoint, or one that cannot be made."""
        for text in (
            "",
            "80",
            "tcp",
            "tcp:eleven",
            "tcp:80:colour=red",
            "nosuch:80",
            "ssl:443",
            "ssl:443:privateKey=/nowhere.pem",
        ):
            self.assertRefused((f"--listen={text}",), f"--listen: {text!r}", "Error")

    def test_listenAndPort(self) -> None:
        """Both make no sense together."""
        for more in (("--port=80",), ("--interface=::1",), ("--port=0",)):
            self.assertRefused(
                ("--listen=tcp:80", *more), "--listen: ", "--port", "--interface"
            )


class TLSTests(OptionsCase):
    """--tls, --certificate, --private-key."""

    def write(self, name: str, *parts: bytes) -> str:
        """Write a file and give its path."""
        path = os.path.join(self.directory, name)
        Path(path).write_bytes(b"".join(parts))
        return path

    def test_when(self) -> None:
        """TLS on port 443, with --tls, with a certificate; else plaintext."""
        key = makeKey()
        leaf = toPEM(makeCertificate("example.com", key))
        both = self.write("both.pem", leaf, keyToPEM(key))
        one, other = self.write("c.pem", leaf), self.write("k.pem", keyToPEM(key))
        for arguments, secure, selfSigned in (
            ((), False, False),
            (("--port=8443",), False, False),
            (("--port=443",), True, True),
            (("--tls",), True, True),
            (("-t", "-p", "8443"), True, True),
            (("--certificate", both), True, False),
            (("--certificate", one, "--private-key", other), True, False),
            (("-c", one, "-k", other, "--tls", "--port=443"), True, False),
        ):
            options = parse(*arguments)
            self.assertEqual(isinstance(options["context"], SSL.Context), secure)
            self.assertEqual("self-signed" in options, selfSigned)
            for endpoint in options["endpoints"]:
                self.assertEqual(isinstance(endpoint, TLSServerEndpoint), secure)

    def test_wrongFiles(self) -> None:
        """Files that cannot be used: which option, which file, why."""
        key, other = makeKey(), makeKey()
        leaf = self.write("c.pem", toPEM(makeCertificate("example.com", key)))
        missing = os.path.join(self.directory, "missing.pem")
        for arguments, parts in (
            (("-c", missing), ("--certificate: ", missing, "no such file")),
            (("-c", self.directory), ("--certificate: ", "is a directory")),
            (("-c", ""), ("--certificate: ",)),
            (("-c", leaf, "-k", missing), ("--private-key: ", missing)),
            (("-c", leaf), ("--certificate: ", leaf, "--private-key")),
            (
                ("-c", leaf, "-k", self.write("other", keyToPEM(other))),
                ("--private-key: ", "does not belong"),
            ),
            (
                ("-c", leaf, "-k", self.write("secret", keyToPEM(key, b"secret"))),
                ("--private-key: ", "encrypted"),
            ),
            (("-k", leaf), ("--private-key: needs --certificate",)),
            (("--tls", "-k", leaf), ("--private-key: needs --certificate",)),
        ):
            self.assertRefused(arguments, *parts)

    def test_fingerprint(self) -> None:
        """A self-signed certificate: a warning with its fingerprint; otherwise none."""
        logged: list[str] = []

        def observe(event: LogEvent) -> None:
            if event["log_level"].name == "warn":
                logged.append(formatEvent(event))

        publisher: Any = globalLogPublisher
        publisher.addObserver(observe)
        self.addCleanup(publisher.removeObserver, observe)
        makeService(parse())
        self.assertEqual(logged, [])
        options = parse("--port=443")
        makeService(options)
        (line,) = logged
        self.assertIn(fingerprint(options["self-signed"]), line)
        self.assertIn("self-signed", line)


class Duck:
    """A protocol class that inherits from nothing."""

    def negotiationStarted(self, transport: object) -> None:
        """Take it."""

    def textMessageReceived(self, message: str) -> None:
        """Take it."""


class Deciding:
    """An application factory, a class with a method."""

    def buildProtocol(self, request: object) -> Duck:
        """Give a protocol."""
        return Duck()


class OwnFactory(WebSocketServerFactory):
    """A factory that needs nothing to be made, with options and a path of its own."""

    def __init__(self) -> None:
        super().__init__(Duck, ServerOptions(maxHeaders=50), path="/own")


class NeedsArguments(WebSocketProtocol):
    """A protocol that cannot be made without arguments."""

    def __init__(self, room: str) -> None:
        self.room = room


class NeedyFactory(WebSocketServerFactory):
    """A factory that cannot."""


class Failing(OwnFactory):
    """A factory that fails when it is made."""

    def __init__(self) -> None:
        raise RuntimeError("no database")


class Nothing:
    """A class that could not serve a single connection."""

    def textMessageReceived(self, message: str) -> None:
        """Take it."""


class CallableHandler:
    """An object that is an async handler."""

    async def __call__(self, webSocket: WebSocket) -> None:
        """Serve."""


async def handler(webSocket: WebSocket) -> None:
    """Serve a connection."""


def decide(request: object) -> Deferred[Duck]:
    """Decide on a request."""
    return succeed(Duck())


factory = WebSocketServerFactory(Duck, ServerOptions(maxHeaders=60), path="/made")
deciding = Deciding()
partial = functools.partial(handler)
callableHandler = CallableHandler()


class WithOptions(WebSocketServerFactory):
    """A factory with options."""

    def __init__(self) -> None:
        super().__init__(Duck, ServerOptions(maxHeaders=40))


routes = Routes({"/{x}": Duck})
noRoutes = Routes({})
number = 42
HERE = __name__


class ProtocolTests(OptionsCase):
    """--protocol."""

    def built(self, name: str | None) -> Any:
        """Give what a request gets from a name."""
        arguments = [] if name is None else ["--protocol", f"{HERE}.{name}"]
        made: WebSocketServerFactory = parse(*arguments)["factory"]
        return made.protocolForRequest(None)  # type: ignore[arg-type]

    def test_names(self) -> None:
        """Classes, factories, callables, async handlers."""
        for name, kind in (
            (None, Echo),
            ("Duck", Duck),
            ("Deciding", Duck),
            ("deciding", Duck),
            ("OwnFactory", Duck),
            ("factory", Duck),
            ("handler", HandlerProtocol),
            ("partial", HandlerProtocol),
            ("callableHandler", HandlerProtocol),
        ):
            self.assertIsInstance(self.built(name), kind, name)
        self.assertIsInstance(self.successResultOf(self.built("decide")), Duck)

    def test_untoldSignature(self) -> None:
        """A class whose arguments Python cannot tell is tried."""

        def untold(_: object) -> None:
            raise ValueError("no signature found")

        known = inspect.iscoroutinefunction
        stub = types.SimpleNamespace(signature=untold, iscoroutinefunction=known)
        self.patch(tap, "inspect", stub)
        self.assertIsInstance(self.built("Duck"), Duck)

    def test_eachConnectionItsOwn(self) -> None:
        """A class is called for each connection."""
        made: WebSocketServerFactory = parse("--protocol", f"{HERE}.Duck")["factory"]
        request: Any = None
        self.assertIsNot(
            made.protocolForRequest(request), made.protocolForRequest(request)
        )

    def test_factoryItself(self) -> None:
        """A factory serves itself, so that what it overrides and what it knows of its
        connections holds; flags change its options, and leave the others."""
        options = parse(f"--protocol={HERE}.factory", "--max-message-size=5")
        self.assertIs(options["factory"], factory)
        self.assertEqual(factory.options.maxMessageSize, 5)
        self.assertEqual(factory.options.maxHeaders, 60)
        self.assertEqual(factory.path, "/made")
        made = parse(f"--protocol={HERE}.OwnFactory", "--allowed-host=a.b")["factory"]
        self.assertIsInstance(made, OwnFactory)
        self.assertEqual(made.options.maxHeaders, 50)
        self.assertEqual(made.path, "/own")
        # The handshake goes by the new options too.
        self.assertEqual([each.host for each in made.handshake._allowedHosts], ["a.b"])

    def test_pathOfAFactory(self) -> None:
        """--path goes before the factory's own."""
        made = parse(f"--protocol={HERE}.OwnFactory", "--path=/other")["factory"]
        self.assertEqual(made.path, "/other")

    def test_wrong(self) -> None:
        """What cannot be served: the name, and why."""
        for name, parts in (
            ("number", ("is int", "neither a protocol class")),
            ("Nothing", ("neither negotiationStarted", "buildProtocol")),
            ("NeedsArguments", ("without arguments", "'room'")),
            ("NeedyFactory", ("without arguments", "'application'")),
            ("Failing", ("RuntimeError", "no database")),
            ("missing", ("AttributeError", "'missing'")),
            ("Duck.missing", ("AttributeError",)),
        ):
            full = f"{HERE}.{name}"
            self.assertRefused((f"--protocol={full}",), "--protocol: ", full, *parts)
        self.assertRefused((f"--protocol={HERE}",), f"--protocol: {HERE} is module")
        self.assertRefused(("--protocol=nosuchmodule",), "nosuchmodule", "No module")
        self.assertRefused(("--protocol=nosuchmodule.x.Y",), "nosuchmodule.x.Y")
        for text in ("", ".", "a..b", "not a name"):
            self.assertRefused((f"--protocol={text}",), "--protocol: cannot import")

    def test_currentDirectory(self) -> None:
        """Modules of the current directory are found; one that raises on import is a
        usage error with what it raised."""
        self.patch(sys, "path", [each for each in sys.path if each])
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.directory)
        sys.path[:] = [each for each in sys.path if each != os.getcwd()]
        Path("twisted_ws_test_good.py").write_text(
            "class Chat:\n    def negotiationStarted(self, transport): pass\n"
        )
        Path("twisted_ws_test_bad.py").write_text("raise LookupError('no config')\n")
        Path("twisted_ws_test_needy.py").write_text("import twisted_ws_test_none\n")
        for name in ("good", "bad", "needy"):
            self.addCleanup(sys.modules.pop, f"twisted_ws_test_{name}", None)
        made = parse("--protocol=twisted_ws_test_good.Chat")["factory"]
        self.assertEqual(made.application.__name__, "Chat")
        self.assertRefused(
            ("--protocol=twisted_ws_test_bad.Chat",), "LookupError", "no config"
        )
        self.assertRefused(
            ("--protocol=twisted_ws_test_needy.Chat",), "twisted_ws_test_none"
        )
        # It is put there once.
        self.assertEqual(sys.path.count(os.getcwd()), 1)

    def test_echo(self) -> None:
        """The default sends back what it gets, as what it was."""
        sent: list[object] = []
        echo = Echo()
        transport: Any = types.SimpleNamespace(
            sendTextMessage=sent.append, sendBytesMessage=sent.append
        )
        echo.negotiationStarted(transport)
        echo.textMessageReceived("text")
        echo.bytesMessageReceived(b"bytes")
        self.assertEqual(sent, ["text", b"bytes"])


class RouteTests(OptionsCase):
    """--route."""

    def served(self, made: WebSocketServerFactory, path: str) -> Any:
        """Give what a request for a path gets, with the values of its parts."""
        request = Request(path, "", Headers(), Authority("a", None), False)
        built = made.factoryFor(request).protocolForRequest(request)
        return type(built), dict(request.pathParameters)

    def test_routes(self) -> None:
        """Each path has its own, the others what --protocol names, or nothing."""
        routes = (
            f"--route=/a={HERE}.Duck",
            f"--route=/b={HERE}.handler",
            f"--route=/{{c}}/d={HERE}.Duck",
        )
        made = parse(*routes)["factory"]
        self.assertIsInstance(made, Routes)
        self.assertEqual(made.patterns, ["/a", "/b", "/{c}/d"])
        self.assertEqual(self.served(made, "/a"), (Duck, {}))
        self.assertEqual(self.served(made, "/b"), (HandlerProtocol, {}))
        self.assertEqual(self.served(made, "/x/d"), (Duck, {"c": "x"}))
        self.assertRaises(HandshakeRejected, self.served, made, "/x")
        made = parse(*routes, f"--protocol={HERE}.Deciding")["factory"]
        self.assertEqual(self.served(made, "/x"), (Duck, {}))
        made = parse(f"--route=/a=b={HERE}.Duck")["factory"]
        self.assertEqual(made.patterns, ["/a=b"])

    def test_options(self) -> None:
        """Flags change the options of all of them."""
        made = parse(
            f"--route=/a={HERE}.Duck",
            f"--route=/b={HERE}.WithOptions",
            f"--protocol={HERE}.Deciding",
            "--max-message-size=5",
            "--max-connections=7",
        )["factory"]
        for each in (made, *made.factories):
            self.assertEqual(each.options.maxMessageSize, 5)
            self.assertEqual(each.options.maxConnections, 7)
        self.assertEqual(made.factories[1].options.maxHeaders, 40)
        self.assertEqual(made.factories[0].options.maxHeaders, 100)
        self.assertRefused(
            (f"--route=/a={HERE}.Duck", "--max-fragments=0"), "--max-frag"
        )

    def test_page(self) -> None:
        """The demo page is for the first route, and does not take it for an echo; with
        --web there are files."""
        made = parse(f"--route=/first={HERE}.Duck", f"--route=/b={HERE}.Duck")[
            "factory"
        ]
        page = made.site.resource
        self.assertIsInstance(page, DemoPage)
        self.assertIn(b"/first", page._page)
        self.assertIn(b"no", page._page)
        made = parse(f"--route=/a={HERE}.Duck", "--web", self.directory)["factory"]
        self.assertIsInstance(made.site.resource, StaticFiles)

    def test_asProtocol(self) -> None:
        """--protocol may name routes, too; flags hold for them."""
        made = parse(f"--protocol={HERE}.routes", "--max-message-size=9")["factory"]
        self.assertIs(made, routes)
        self.assertEqual(made.factories[0].options.maxMessageSize, 9)
        self.assertIn(b"/{x}", made.site.resource._page)
        self.assertRefused((f"--protocol={HERE}.routes", "--path=/x"), "--path: ")
        made = parse(f"--protocol={HERE}.noRoutes")["factory"]
        self.assertIsInstance(made.site.resource, DemoPage)

    def test_wrong(self) -> None:
        """What is no route: which one, and why."""
        for route, *parts in (
            ("/a", "'/a'", "is not path and name"),
            ("/a=", "'/a='", "is not path and name"),
            (f"a={HERE}.Duck", "'a'", "begins with a slash"),
            (f"={HERE}.Duck", "''", "begins with a slash"),
            (f"/{{a={HERE}.Duck", "'/{a'", "around a whole segment"),
            (f"/a?b={HERE}.Duck", "'/a?b'", "query"),
            ("/a=nosuchmodule.X", "/a: cannot import nosuchmodule.X"),
            (f"/a={HERE}.number", f"/a: {HERE}.number is int"),
            (f"/a={HERE}.NeedsArguments", "/a: class", "'room'"),
            (f"/a={HERE}.Failing", "/a: class", "no database"),
            (f"/a={HERE}.Nothing", "/a: class", "neither"),
            (f"/a={HERE}.OwnFactory", "a path of its own, '/own'"),
            (f"/a={HERE}.routes", "cannot be Routes"),
        ):
            self.assertRefused((f"--route={route}",), "--route: ", *parts)
        self.assertRefused(
            (f"--route=/a={HERE}.Duck", f"--route=/a={HERE}.Deciding"),
            "--route: /a is there twice",
        )
        self.assertRefused(
            (f"--route=/{{a}}={HERE}.Duck", f"--route=/{{b}}={HERE}.Duck"),
            "--route: ",
            "matches the same paths",
        )
        self.assertRefused(
            (f"--route=/a={HERE}.Duck", "--protocol=nosuchmodule.X"),
            "--protocol: cannot import",
        )
        self.assertRefused(
            (f"--route=/a={HERE}.Duck", f"--protocol={HERE}.OwnFactory"),
            "--route: ",
            "a path of its own",
        )
        self.assertRefused(
            (f"--route=/a={HERE}.Duck", "--path=/b"), "--path: does not go with routes"
        )


class OtherTests(OptionsCase):
    """--path, --web, --drain, and what is no option."""

    def test_path(self) -> None:
        """By default every path; else the one that is given, for the demo page too."""
        self.assertIsNone(parse()["factory"].path)
        options = parse("--path", "/a%20b/c")
        self.assertEqual(options["factory"].path, "/a%20b/c")
        self.assertIn(b'content="/a%20b/c"', options["factory"].site.resource._page)
        self.assertIn(b'content="/"', parse()["factory"].site.resource._page)

    def test_wrongPath(self) -> None:
        """What is no path."""
        for text in ("", "ws", "/a b", "/\u00e9", "/a\nb", "http://a/b"):
            self.assertRefused((f"--path={text}",), f"--path: {text!r}", "/ws")
        for text in ("/a?b", "/a#b"):
            self.assertRefused((f"--path={text}",), f"--path: {text!r}", "query")

    def test_web(self) -> None:
        """By default the demo page; else a directory's files; a factory's own site
        stays, unless another is asked for."""
        self.assertIsInstance(parse()["factory"].site.resource, DemoPage)
        root = parse("--web", self.directory)["factory"].site.resource
        self.assertIsInstance(root, StaticFiles)
        self.assertEqual(root.path, os.path.abspath(self.directory))
        site = Site(DemoPage("/"))
        self.patch(factory, "site", site)
        self.assertIs(parse(f"--protocol={HERE}.factory")["factory"].site, site)
        made = parse(f"--protocol={HERE}.factory", "-w", self.directory)["factory"]
        self.assertIsInstance(made.site.resource, StaticFiles)

    def test_wrongWeb(self) -> None:
        """What is no directory."""
        for text in (os.path.join(self.directory, "none"), __file__, ""):
            self.assertRefused(("--web", text), f"--web: {text} is not a directory")

    def test_drain(self) -> None:
        """Ten seconds, or what is given."""
        self.assertEqual(parse()["drain"], 10)
        self.assertEqual(parse("--drain", "0.5")["drain"], 0.5)
        self.assertEqual(parse("--drain=0")["drain"], 0)
        for text in ("soon", "-1", "nan", "inf", ""):
            self.assertRefused((f"--drain={text}",), "--drain: ", text)

    def test_noOption(self) -> None:
        """Words that are no option, and options that there are not."""
        self.assertRefused(("8080",), "'8080' is not an option")
        self.assertRefused(("--nonsense",), "--nonsense")
        self.assertRefused(("--tls=yes",), "tls")
        self.assertRefused(("--port",), "port")

    def test_service(self) -> None:
        """The service listens where the options say, with the factory they made."""
        options = parse("--drain=3", "--interface=127.0.0.1")
        service = makeService(options)
        self.assertIsInstance(service, WebSocketService)
        self.assertIs(service.factory, options["factory"])
        self.assertEqual(service._endpoints, options["endpoints"])
        self.assertEqual(service._drain, 3)

    def test_plugin(self) -> None:
        """Twisted finds the command, with these options and this service."""
        (found,) = [
            each for each in getPlugins(IServiceMaker) if each.tapname == "websocket"
        ]
        self.assertIs(found.options, Options)
        self.assertIs(found.makeService, makeService)
        self.assertIn("WebSocket", found.description)


class HelpTests(SynchronousTestCase):
    """--help."""

    def text(self) -> str:
        """Give it."""
        self.patch(os, "environ", {**os.environ, "COLUMNS": "80"})
        written = io.StringIO()
        with redirect_stdout(written), self.assertRaises(SystemExit) as caught:
            Options().parseOptions(["--help"])
        self.assertIn(caught.exception.code, (0, None))
        return written.getvalue()

    def test_everyOption(self) -> None:
        """Each option is there, with a sentence; each field's is the dataclass's, and
        a number's default beside it."""
        text = self.text()
        flat = " ".join(text.split())
        for flag in (
            *("port", "interface", "listen", "tls", "certificate", "private-key"),
            *("protocol", "path", "web", "drain", "help"),
        ):
            self.assertRegex(text, rf"(?m)^ +(-\w, )?--{flag}=? +\S+")
        for each in fields(ServerOptions):
            flag = flagFor(each.name, each.metadata)
            self.assertRegex(text, rf"(?m)^ +(-\w, )?--{flag}=? +\S+")
            self.assertIn(" ".join(each.metadata["summary"].split()), flat)
        for default in ("8080", "1MiB", "64KiB", "16MiB", "20", "10", "131072"):
            self.assertIn(f"[default: {default}]", flat)
        self.assertNotIn("[default: None]", flat)
        self.assertNotIn(".0]", flat)

    def test_version(self) -> None:
        """``--version`` has the package's version, and which implementation of the
        frames is in use, and it is all."""
        written = io.StringIO()
        with redirect_stdout(written), self.assertRaises(SystemExit) as caught:
            Options().parseOptions(["--version"])
        self.assertEqual(caught.exception.code, 0)
        self.assertEqual(written.getvalue(), f"{versionLine()}\n")

    def test_defaults(self) -> None:
        """A size is written as one would give it."""
        for size, text in ((1000, "1000"), (1024, "1KiB"), (1024**2, "1MiB")):
            self.assertEqual(tap._readableDefault(size, "bytes"), text)

    def test_layout(self) -> None:
        """It fits 80 columns; no line has gaps in the middle of a sentence."""
        for line in self.text().splitlines():
            self.assertLessEqual(len(line), 80, line)
            sentence = re.sub(r"^ +(-\w, )?(--[\w-]+=?)? *", "", line)
            self.assertNotIn("  ", sentence, line)
