"""Endpoint strings: what they make, and what is said about those that cannot be."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import tempfile
from dataclasses import fields
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import (
    TCP4ServerEndpoint,
    UNIXServerEndpoint,
    clientFromString,
    serverFromString,
)
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from tests.certificates import keyToPEM, makeCertificate, makeKey, toPEM
from tests.clients import within
from tests.loopback import LoopbackCase
from tests.processes import removeDirectory
from tests.test_stream import StartedFactory, echo, waiting
from tests.test_streamtransport import Stream
from tests.test_tap import VALUES
from twisted_ws.clientoptions import ClientOptions
from twisted_ws.errors import InvalidOption
from twisted_ws.options import Options, ServerOptions
from twisted_ws.stream import (
    WebSocketStreamClientEndpoint,
    WebSocketStreamServerEndpoint,
)
from twisted_ws.streamtransport import MESSAGE_SIZE
from twisted_ws.tls import TLSServerEndpoint

reactor: Any = _reactor

# What of the options is written in a string, and what it becomes: as on the command
# line, but for switches, which have a value here.
COMMON: dict[str, tuple[str, Any]] = {
    **{each.name: VALUES[each.name] for each in fields(Options)},
    "serverNoContextTakeover": ("yes", True),
    "clientNoContextTakeover": ("No", False),
    "subprotocols": ("binary, mqtt", ("binary", "mqtt")),
}
SERVER = COMMON | {
    "allowedOrigins": (r"https\://a.example,null", ("https://a.example", "null")),
    "dangerouslyAllowAnyOrigin": ("true", True),
    "allowedHosts": (r"example.com\:8443", ("example.com:8443",)),
    "dangerouslyAllowAnyHost": ("1", True),
    "maxConnections": VALUES["maxConnections"],
    "maxConnectionsPerAddress": VALUES["maxConnectionsPerAddress"],
    "retryAfter": VALUES["retryAfter"],
    "logAccepted": ("yes", True),
}
CLIENT = COMMON | {
    "headers": (r"X-One\: 1;X-Two\:2", (("X-One", "1"), ("X-Two", "2"))),
    "cookies": ("a=1; b=2=3", (("a", "1"), ("b", "2=3"))),
    "origin": (r"https\://a.example", "https://a.example"),
    "user": ("me", "me"),
    "password": (r"a\:b", "a:b"),
    "maxRedirects": ("2", 2),
    "openTimeout": ("7.5", 7.5),
    "maxResponseBody": ("1k", 1024),
    "proxy": (r"http\://proxy.example\:3128", "http://proxy.example:3128"),
    "useEnvironmentProxies": ("on", True),
    "dangerouslyDisableCertificateVerification": ("yes", True),
}
# Read when the endpoint is made, so they have tests of their own.
CLIENT_FILES = {"trustRoots", "clientCertificate"}


def server(description: str) -> Any:
    """Make a server's endpoint."""
    return serverFromString(reactor, description)


def client(description: str) -> Any:
    """Make a client's endpoint."""
    return clientFromString(reactor, description)


class StringCase(SynchronousTestCase):
    """A directory, and short ways to strings that cannot be."""

    def setUp(self) -> None:
        """Make the directory."""
        self.directory = tempfile.mkdtemp(prefix="twisted_ws-")
        self.addCleanup(removeDirectory, self.directory)

    def pem(self, name: str, *parts: bytes) -> str:
        """Write a file, and give its path."""
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            file.write(b"".join(parts))
        return path

    def assertRefused(self, make: Any, description: str, *parts: str) -> str:
        """Hold that a string is refused with certain words, which are given back."""
        with self.assertRaises(ValueError) as refused:
            make(description)
        for part in parts:
            self.assertIn(part, str(refused.exception))
        return str(refused.exception)


class ServerStringTests(StringCase):
    """Strings for servers."""

    def test_plain(self) -> None:
        """What stands behind ``ws:`` is any server's endpoint; ``resource`` is the
        path."""
        found = server("ws:tcp:8080:interface=127.0.0.1:resource=/chat")
        self.assertIsInstance(found, WebSocketStreamServerEndpoint)
        self.assertIsInstance(found.endpoint, TCP4ServerEndpoint)
        self.assertEqual(found.endpoint._port, 8080)
        self.assertEqual(found.endpoint._interface, "127.0.0.1")
        self.assertEqual(found.path, "/chat")
        self.assertEqual(found.options, ServerOptions(compression="none"))
        self.assertEqual(found._messageSize, MESSAGE_SIZE)
        self.assertIsNone(server("ws:tcp:8080").path)

    def test_quoting(self) -> None:
        """What is quoted stays so, on the way to the endpoint inside."""
        for path in ("/run/with:colon", "/run/with=sign", r"/run/with\slash"):
            quoted = path.replace("\\", r"\\").replace(":", r"\:").replace("=", r"\=")
            for description in (f"ws:unix:{quoted}", f"ws:unix:address={quoted}"):
                found = server(f"{description}:mode=660:resource=/a\\:b")
                self.assertIsInstance(found.endpoint, UNIXServerEndpoint)
                self.assertEqual(found.endpoint._address, path)
                self.assertEqual(found.endpoint._mode, 0o660)
                self.assertEqual(found.path, "/a:b")

    def test_options(self) -> None:
        """Each field of the options can be given, under its name."""
        plain = ServerOptions(compression="none")
        self.assertEqual({each.name for each in fields(ServerOptions)}, set(SERVER))
        for name, (text, value) in SERVER.items():
            options = server(f"ws:tcp:8080:{name}={text}").options
            for other in fields(ServerOptions):
                expected = value if other.name == name else getattr(plain, other.name)
                self.assertEqual(getattr(options, other.name), expected, name)
            self.assertIs(type(getattr(options, name)), type(value), name)

    def test_messageSize(self) -> None:
        """So can the size of messages."""
        self.assertEqual(server("ws:tcp:1:messageSize=16KiB")._messageSize, 16384)
        self.assertRefused(server, "ws:tcp:1:messageSize=big", "messageSize:", "'big'")
        self.assertRefused(server, "ws:tcp:1:messageSize=0", "messageSize:")

    def test_tls(self) -> None:
        """``wss:`` takes certificate and key, in one file or two."""
        key = makeKey()
        certificate = toPEM(makeCertificate("localhost", key))
        both = self.pem("both.pem", certificate, keyToPEM(key))
        alone = self.pem("alone.pem", certificate)
        keyFile = self.pem("key.pem", keyToPEM(key))
        for more in (
            f"certificate={both}",
            f"certificate={alone}:privateKey={keyFile}",
        ):
            found = server(f"wss:tcp:8443:{more}:resource=/x")
            self.assertIsInstance(found.endpoint, TLSServerEndpoint)
            self.assertEqual(found.path, "/x")
        self.assertRefused(server, "wss:tcp:8443", "certificate:", "certificate=PATH")
        self.assertRefused(server, f"wss:tcp:1:certificate={alone}", "alone.pem")
        # Plain, the key is the business of the endpoint inside.
        inside = f"privateKey={keyFile}:certKey={alone}"
        self.assertNotIsInstance(server(f"ws:ssl:8443:{inside}"), TLSServerEndpoint)

    def test_mistakes(self) -> None:
        """What cannot be is said, with the name of it."""
        for more, *parts in (
            ("resource=chat", "resource:", "does not begin with a slash"),
            ("resource=/a?b=c", "resource:", "query"),
            ("resource=/a#b", "resource:", "fragment"),
            ("maxMessageSize=huge", "maxMessageSize:", "'huge'"),
            ("maxFragments=1.5", "maxFragments:", "'1.5' is not a whole number"),
            ("pingInterval=soon", "pingInterval:", "'soon' is not a number"),
            ("serverNoContextTakeover=maybe", "neither yes nor no"),
            ("pingInterval=-1", "pingInterval", "too little"),
            ("madeUp=1", "madeUp", "not known", "ServerOptions"),
        ):
            self.assertRefused(server, f"ws:tcp:8080:{more}", *parts)
        self.assertRefused(server, "ws:nonsense:1", "nonsense")
        with self.assertRaises(InvalidOption):
            server("ws:tcp:8080:subprotocols=a/b")

    def test_endpointInside(self) -> None:
        """What is wrong with the endpoint inside is told with an example of what would
        do, whatever its parser raises."""
        for text in ("ws:8080", "ws:tcp", "ws:tcp:x", "ws:systemd:domain=INET:index=0"):
            error = self.assertRaises(ValueError, serverFromString, reactor, text)
            self.assertIn("such as ws:tcp:8080: ", str(error), text)

    def test_missing(self) -> None:
        """Without an endpoint inside it says what to write."""
        self.assertRefused(server, "ws:resource=/x", "ws:tcp:8080")
        self.assertRefused(server, "wss:resource=/x", "wss:tcp:8080")

    def test_url(self) -> None:
        """A URL is no endpoint string, and it says what would be."""
        for url, write in (
            ("ws://0.0.0.0:8080/chat", "write ws:tcp:8080:resource=/chat,"),
            ("ws://localhost", "write ws:tcp:80:resource=/,"),
            ("ws://localhost/a?b=c", "write ws:tcp:80:resource=/a,"),
            ("wss://h:444/", "write wss:tcp:444:resource=/:certificate=PATH,"),
            ("ws://[bad/", "write ws:tcp:80:resource=/,"),
        ):
            self.assertRefused(
                server, url, "is a URL", write, "WebSocketStreamServerEndpoint"
            )


class ClientStringTests(StringCase):
    """Strings for clients."""

    def test_places(self) -> None:
        """Host and port stand in their places or with their names; the port of the
        scheme is the default one."""
        for description, url in (
            ("ws:example.com:8080:resource=/x", "ws://example.com:8080/x"),
            ("ws:example.com", "ws://example.com/"),
            ("wss:example.com:443", "wss://example.com/"),
            ("wss:host=example.com:port=444", "wss://example.com:444/"),
            ("ws:example.com:port=81", "ws://example.com:81/"),
            (r"ws:\:\:1:8080", "ws://[::1]:8080/"),
            (r"ws:[\:\:1]:8080", "ws://[::1]:8080/"),
        ):
            found = client(description)
            self.assertIsInstance(found, WebSocketStreamClientEndpoint)
            self.assertEqual(str(found._webSocket.url), url)
            self.assertEqual(found.options, ClientOptions(compression="none"))
        found = client("ws:h:resource=/a\\:b?c=d")
        self.assertEqual(found._webSocket.url.resource, "/a:b?c=d")

    def test_options(self) -> None:
        """Each field of the options can be given, but for the one that is code."""
        plain = ClientOptions(compression="none")
        known = {*CLIENT, *CLIENT_FILES, "answerChallenge"}
        self.assertEqual({each.name for each in fields(ClientOptions)}, known)
        for name, (text, value) in CLIENT.items():
            more = ":user=me" if name == "password" else ""
            options = client(f"ws:h:80:{name}={text}{more}").options
            for other in fields(ClientOptions):
                expected = value if other.name == name else getattr(plain, other.name)
                if more and other.name == "user":
                    expected = "me"
                self.assertEqual(getattr(options, other.name), expected, name)
        self.assertRefused(client, "ws:h:answerChallenge=x", "answerChallenge:", "code")
        self.assertEqual(client("ws:h:messageSize=1k")._messageSize, 1024)

    def test_files(self) -> None:
        """Trusted authorities and the own certificate are files."""
        key = makeKey()
        certificate = toPEM(makeCertificate("localhost", key))
        path = self.pem("both.pem", certificate, keyToPEM(key))
        options = client(f"wss:h:trustRoots={path}:clientCertificate={path}").options
        self.assertEqual(options.trustRoots, path)
        self.assertEqual(options.clientCertificate, path)
        self.assertRefused(client, "wss:h:trustRoots=/nowhere.pem", "/nowhere.pem")

    def test_mistakes(self) -> None:
        """What cannot be is said, and what may be secret is left out."""
        for description, *parts in (
            ("ws:", "host"),
            ("ws:port=80", "the host is missing"),
            ("ws:h:80:/x", "more than two parts without a name", "name=value"),
            ("ws:h:host=g", "host: given twice"),
            ("ws:h:port=no", "port"),
            ("ws:h:resource=x", "resource:", "slash"),
            ("ws:h:madeUp=1", "madeUp: not known"),
            ("ws:h:messageSize=x", "messageSize:"),
            ("ws:h:user=a\\:b", "user"),
        ):
            self.assertRefused(client, description, *parts)
        for name in ("headers", "cookies"):
            said = self.assertRefused(client, f"ws:h:{name}=secret", f"{name}:", "NAME")
            self.assertNotIn("secret", said)

    def test_url(self) -> None:
        """A URL is no endpoint string, and it says what would be, without what may be
        secret."""
        for url, write in (
            ("ws://example.com:8080/x", "write ws:example.com:8080:resource=/x,"),
            ("wss://example.com", "write wss:example.com:443:resource=/,"),
            ("ws://[::1]:81/", r"write ws:\:\:1:81:resource=/,"),
            ("WS://h/a:b", r"write ws:h:80:resource=/a\:b,"),
            ("ws://me:secret@h/?token=secret", "write ws:h:80:resource=/?...,"),
            ("ws://h?secret=1", "write ws:h:80:resource=/?...,"),
            ("ws://[bad/", "write ws:HOST:80:resource=/,"),
        ):
            said = self.assertRefused(
                client, url, "is a URL", write, "WebSocketStreamClientEndpoint"
            )
            self.assertNotIn("secret", said)


class SpeakingTests(LoopbackCase):
    """Strings in use."""

    async def _speak(self, scheme: str, more: str = "", clientMore: str = "") -> None:
        stream, serverLost = waiting(dataReceived=echo)
        listening = f"{scheme}:tcp:0:interface=127.0.0.1:resource=/s{more}"
        port = await server(listening).listen(StartedFactory(stream))
        self.addCleanup(port.stopListening)

        def leave(stream: Stream, _: bytes) -> None:
            stream.transport.loseConnection()

        found, clientLost = waiting(dataReceived=leave)
        number = port.getHost().port
        connecting = client(f"{scheme}:localhost:{number}:resource=/s{clientMore}")
        await within(connecting.connect(Factory.forProtocol(lambda: found)))
        found.transport.write(b"hello")
        self.assertIsInstance(await clientLost, ConnectionDone)
        self.assertIsInstance(await serverLost, ConnectionDone)
        self.assertEqual(found.received, [b"hello"])

    def test_plain(self) -> Any:
        """Protocols that know nothing of WebSocket speak through it."""
        return self.finish(self._speak("ws"))

    def test_tls(self) -> Any:
        """The same over TLS, with a certificate that the client trusts."""
        directory = tempfile.mkdtemp(prefix="twisted_ws-")
        self.addCleanup(removeDirectory, directory)
        path = os.path.join(directory, "both.pem")
        key = makeKey()
        with open(path, "wb") as file:
            file.write(toPEM(makeCertificate("localhost", key)) + keyToPEM(key))
        return self.finish(
            self._speak("wss", f":certificate={path}", f":trustRoots={path}")
        )
