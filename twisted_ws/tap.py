"""``twistd websocket``: the command line's options and the service made from them."""

from __future__ import annotations

import inspect
import os
import re
import sys
from dataclasses import fields
from ipaddress import ip_address
from typing import Any, ClassVar

from OpenSSL import SSL
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python import reflect, usage

from .allocator import keepFreedMemory
from .bridge import ForwardingFactory
from .bridgeoptions import BridgeOptions, bridgeFactory, forwardingFactory
from .codec import versionLine
from .errors import InvalidOption, TLSConfigurationError
from .factory import WebSocketServerFactory
from .interfaces import WebSocketProtocol
from .knobs import flagFor, readSize
from .options import ServerOptions
from .pages import demoSite, fileSite
from .polling import FastServerEndpoint
from .routes import Routes
from .service import WebSocketService, tcpEndpoints
from .tls import TLSServerEndpoint, fingerprint, loadContext, selfSignedContext

__all__ = ["Echo", "Options", "flagFor", "loadApplication", "makeService"]

_log = Logger()


class Echo(WebSocketProtocol):
    """Sends every message back: what is served when no ``--protocol`` is given."""

    def textMessageReceived(self, message: str) -> None:
        """Send it back.

        :param message: the message
        """
        self.transport.sendTextMessage(message)

    def bytesMessageReceived(self, data: bytes) -> None:
        """Send it back.

        :param data: the message
        """
        self.transport.sendBytesMessage(data)


def _readSize(flag: str, text: str) -> int:
    try:
        return readSize(text)
    except ValueError as error:
        raise usage.UsageError(f"--{flag}: {error}") from None


def _readWhole(flag: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise usage.UsageError(f"--{flag}: {text!r} is not a whole number") from None


def _readSeconds(flag: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise usage.UsageError(
            f"--{flag}: {text!r} is not a number of seconds, such as 20 or 0.5"
        ) from None


def _readPort(text: str) -> int:
    port = _readWhole("port", text)
    if not 0 <= port <= 65535:
        raise usage.UsageError(f"--port: {port} is not between 0 and 65535")
    return port


def _readDrain(text: str) -> float:
    drain = _readSeconds("drain", text)
    if not 0 <= drain < float("inf"):
        raise usage.UsageError(f"--drain: {text} is not a time: 0 or more seconds")
    return drain


def _readTransport(text: str) -> str:
    if text not in ("fast", "standard"):
        raise usage.UsageError(f"--transport: {text!r} is neither fast nor standard")
    return text


def _isAddress(text: str) -> bool:
    """Tell whether text is an IP address, or the one name that every machine has."""
    try:
        ip_address(text)
    except ValueError:
        return text == "localhost"
    return True


def _readText(flag: str, text: str) -> str:
    return text


def _readableDefault(value: Any, unit: str) -> str:
    """Write a default as one would give it."""
    if value is None:
        return "as --compression says"
    if isinstance(value, str):
        return value
    if unit == "bytes":
        for name, size in (("MiB", 1024**2), ("KiB", 1024)):
            if value % size == 0:
                return f"{value // size:g}{name}"
    return f"{value:g}"


def _fieldParameters() -> list[list[Any]]:
    """Make a flag with a value for each number and text of :class:`ServerOptions`."""
    parameters = []
    for each in fields(ServerOptions):
        kind = each.metadata["kind"]
        if kind in (bool, tuple):
            continue
        flag = flagFor(each.name, each.metadata)
        unit = each.metadata["unit"]
        if kind is str:
            read: Any = _readText
        elif unit == "bytes":
            read = _readSize
        else:
            read = _readWhole if kind is int else _readSeconds
        shown = _readableDefault(each.default, unit)
        summary = f"{each.metadata['summary']} [default: {shown}]"
        # The default stays with the dataclass: None says that nothing was given.
        parameters.append(
            [flag, None, None, summary, lambda text, f=flag, r=read: r(f, text)]
        )
    return parameters


def _fieldFlags() -> list[list[Any]]:
    """Make a flag without a value, which means yes, for each switch of
    :class:`ServerOptions`."""
    return [
        [flagFor(each.name, each.metadata), None, each.metadata["summary"]]
        for each in fields(ServerOptions)
        if each.metadata["kind"] is bool
    ]


class Options(BridgeOptions):
    """The options of ``twistd websocket``."""

    synopsis = "[options]"
    longdesc = (
        "A WebSocket server. Without options it echoes every message on port 8080 and "
        "shows a demo page there to browsers. On port 443, or with --tls, it speaks "
        "TLS. Sizes are in bytes or like 64KiB, times in seconds."
    )

    optParameters: ClassVar[list[list[Any]]] = [
        [
            "port",
            "p",
            None,
            "Port to listen on; with TLS if it is 443. [default: 8080]",
            _readPort,
        ],
        ["interface", "i", None, "Address to listen on. [default: all, IPv4 and IPv6]"],
        [
            "certificate",
            "c",
            None,
            "Certificate in PEM form, with the chain behind it; switches TLS on.",
        ],
        [
            "private-key",
            "k",
            None,
            "Private key in PEM form. [default: in the certificate's file]",
        ],
        [
            "protocol",
            None,
            None,
            "What to serve, as package.module.Name: a WebSocketProtocol class, a "
            "factory, or an async function that takes a WebSocket; looked for in the "
            "current directory too. [default: an echo]",
        ],
        [
            "path",
            None,
            None,
            "Path at which WebSocket is served, such as /ws. [default: every path]",
        ],
        ["web", "w", None, "Directory of files for browsers. [default: a demo page]"],
        [
            "drain",
            None,
            10,
            "Seconds that connections get to close when the server stops, each of them "
            "--close-timeout at most.",
            _readDrain,
        ],
        [
            "transport",
            None,
            "fast",
            "How sockets are read and written: fast, or standard, Twisted's own way.",
            _readTransport,
        ],
        *_fieldParameters(),
    ]
    optFlags: ClassVar[list[list[Any]]] = [
        [
            "tls",
            "t",
            "Speak TLS; without --certificate, with a self-signed certificate for "
            "localhost made at start.",
        ],
        *_fieldFlags(),
    ]
    compData = usage.Completions(
        optActions={
            "certificate": usage.CompleteFiles("*.pem"),
            "private-key": usage.CompleteFiles("*.pem"),
            "web": usage.CompleteDirs(),
        }
    )

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self["listen"] = []
        self["route"] = []
        for each in fields(ServerOptions):
            if isinstance(each.default, tuple):
                self[flagFor(each.name, each.metadata)] = []

    def opt_listen(self, description: str) -> None:
        """Twisted endpoint to listen on in place of --port, such as
        tcp:8080:interface=127.0.0.1, unix:/run/ws.sock or systemd:domain=INET:index=0;
        may be given several times. With --tls or --certificate, TLS goes on top."""
        self["listen"].append(description)

    def opt_route(self, route: str) -> None:
        """Path and what is served there, as /chat=package.module.Name, named as for
        --protocol, which serves the other paths if it is given; a part of the path such
        as {name} stands for any. May be given several times."""
        self["route"].append(route)

    # The help shows a docstring's line breaks as the spaces that follow them.
    for _option in (opt_listen, opt_route):
        _option.__doc__ = " ".join((_option.__doc__ or "").split())
    del _option

    def opt_version(self) -> None:
        """Display the version, and whether the accelerator is in use, and exit."""
        sys.stdout.write(f"{versionLine()}\n")
        sys.exit(0)

    def parseArgs(self, *arguments: str) -> None:
        """Take what is no option: there is nothing of the kind.

        :param arguments: what was given
        :raises twisted.python.usage.UsageError: anything was
        """
        if arguments:
            raise usage.UsageError(
                f"{arguments[0]!r} is not an option; all options begin with --"
            )

    def postOptions(self) -> None:
        """Turn what was given into what makes the service.

        :raises twisted.python.usage.UsageError: it cannot work; names the option
        """
        if self["listen"] and (self["port"] is not None or self["interface"]):
            raise usage.UsageError(
                "--listen: takes the place of --port and --interface; give one or the "
                "other"
            )
        interface = self["interface"]
        if interface and not _isAddress(interface):
            raise usage.UsageError(
                f"--interface: {interface!r} is not an address of this machine, such "
                f"as 127.0.0.1 or ::1"
            )
        if self["private-key"] is not None and self["certificate"] is None:
            raise usage.UsageError("--private-key: needs --certificate beside it")
        path = self["path"]
        if path is not None and not re.fullmatch(r"/[!-~]*", path):
            raise usage.UsageError(
                f"--path: {path!r} is not a path such as /ws, percent-encoded"
            )
        if path is not None and ("?" in path or "#" in path):
            raise usage.UsageError(f"--path: {path!r} has a query or fragment")
        if self["web"] is not None and not os.path.isdir(self["web"]):
            raise usage.UsageError(f"--web: {self['web']} is not a directory")
        self.checkBridge()
        self["factory"] = self._makeFactory()
        self["context"] = self._makeContext()
        self["endpoints"] = self._makeEndpoints()

    def _makeFactory(self) -> WebSocketServerFactory | ForwardingFactory:
        # Only now: twistd has installed the reactor that --reactor names.
        from twisted.internet import reactor

        path = self["path"]
        try:
            if self["connect"] is not None:
                return forwardingFactory(self, reactor, self._givenFields())
            if self.bridges:
                factory = bridgeFactory(self, reactor)
            elif self["route"]:
                factory = self._makeRoutes()
            else:
                factory = loadApplication(self["protocol"])
            if path is not None and isinstance(factory, Routes):
                raise usage.UsageError(
                    "--path: does not go with routes, which have paths of their own; "
                    "give another --route"
                )
            # The application's own factory serves, not another one that asks it: it may
            # override more than one method, and knows its connections.
            factory.changeOptions(**self._givenFields())
        except InvalidOption as error:
            text = f"{error.name}: {error.why}"
            raise usage.UsageError(_withFlags(text)) from None
        factory.path = path = factory.path if path is None else path
        if self["web"] is not None:
            factory.site = fileSite(os.path.abspath(self["web"]))
        elif factory.site is None and not self.bridges:
            if isinstance(factory, Routes):
                path = factory.patterns[0] if factory.patterns else None
            echoes = not self["route"] and self["protocol"] is None
            factory.site = demoSite(path or "/", echoes)
        return factory

    def _makeRoutes(self) -> Routes:
        routes: dict[str, WebSocketServerFactory] = {}
        for route in self["route"]:
            # A path may hold the sign, a name does not.
            pattern, equals, name = route.rpartition("=")
            if not equals or not name:
                raise usage.UsageError(
                    f"--route: {route!r} is not path and name, such as "
                    f"/chat=package.module.Name"
                )
            if pattern in routes:
                raise usage.UsageError(f"--route: {pattern} is there twice")
            routes[pattern] = loadApplication(name, f"--route: {pattern}")
        protocol = self["protocol"]
        default = None if protocol is None else loadApplication(protocol)
        try:
            return Routes(routes, default)
        except (TypeError, ValueError) as error:
            raise usage.UsageError(f"--route: {error}") from None

    def _givenFields(self) -> dict[str, Any]:
        """Collect the fields of :class:`ServerOptions` that were given."""
        given: dict[str, Any] = {}
        for each in fields(ServerOptions):
            value = self[flagFor(each.name, each.metadata)]
            if isinstance(each.default, tuple):
                if value:
                    given[each.name] = tuple(value)
            elif each.metadata["kind"] is bool:
                if value:
                    given[each.name] = True
            elif value is not None:
                given[each.name] = value
        return given

    def _makeContext(self) -> SSL.Context | None:
        if self["certificate"] is not None:
            try:
                return loadContext(self["certificate"], self["private-key"])
            except TLSConfigurationError as error:
                raise usage.UsageError(f"--{error}") from None
        if self["tls"] or self["port"] == 443:
            context, certificate = selfSignedContext()
            self["self-signed"] = certificate
            return context
        return None

    def _makeEndpoints(self) -> list[IStreamServerEndpoint]:
        # Only now: twistd has installed the reactor that --reactor names.
        from twisted.internet import reactor

        endpoints: list[IStreamServerEndpoint] = []
        for description in self["listen"]:
            try:
                endpoints.append(serverFromString(reactor, description))
            except Exception as error:
                if description.startswith("systemd:") and isinstance(error, IndexError):
                    raise usage.UsageError(
                        f"--listen: {description!r}: systemd passed no such socket; is "
                        f"the .socket unit active?"
                    ) from None
                # Parsers raise whatever comes to their mind; all of it is the user's.
                raise usage.UsageError(
                    f"--listen: {description!r} is not an endpoint that can be used: "
                    f"{type(error).__name__}: {error}"
                ) from None
        if not endpoints:
            port = 8080 if self["port"] is None else self["port"]
            # Into a tunnel not everybody on the network is meant to come.
            default = "" if self["connect"] is None else "127.0.0.1"
            endpoints = tcpEndpoints(reactor, port, self["interface"] or default)
        fast = self["transport"] == "fast"
        if fast:
            endpoints = [FastServerEndpoint(each) for each in endpoints]
        context = self["context"]
        if context is None:
            return endpoints
        for description in self["listen"]:
            if description.startswith("ssl:"):
                raise usage.UsageError(
                    f"--listen: {description!r} speaks TLS itself: leave out --tls and "
                    f"--certificate, or listen on tcp:"
                )
        return [TLSServerEndpoint(each, context, fast) for each in endpoints]


def _addRepeatable(name: str, flag: str, summary: str) -> None:
    """Give :class:`Options` a flag that may be given several times."""

    def collect(self: Options, value: str) -> None:
        self[flag].append(value)

    collect.__doc__ = f"{summary} May be given several times."
    setattr(Options, f"opt_{flag.replace('-', '_')}", collect)


for _field in fields(ServerOptions):
    if isinstance(_field.default, tuple):
        _addRepeatable(
            _field.name,
            flagFor(_field.name, _field.metadata),
            _field.metadata["summary"],
        )


def _withFlags(text: str) -> str:
    """Put flags in place of the names of fields."""
    for each in fields(ServerOptions):
        flag = flagFor(each.name, each.metadata)
        text = re.sub(rf"\b{each.name}\b", f"--{flag}", text)
    return text


def loadApplication(
    name: str | None, option: str = "--protocol"
) -> WebSocketServerFactory:
    """Find what ``--protocol`` or ``--route`` names, and make a factory of it.

    :param name: ``package.module.Name``; None for the echo
    :param option: what errors begin with
    :raises twisted.python.usage.UsageError: it cannot be imported, or is nothing that
        can be served
    """
    if name is None:
        return WebSocketServerFactory(Echo)
    # As other servers do it; a console script's path does not have it.
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    try:
        found = reflect.namedAny(name)
    except Exception as error:
        # Also whatever the module itself raises when it is imported.
        raise usage.UsageError(
            f"{option}: cannot import {name}: {type(error).__name__}: {error}"
        ) from None
    return _factoryOf(name, found, option)


def _factoryOf(name: str, found: Any, option: str) -> WebSocketServerFactory:
    if isinstance(found, type):
        _checkConstructor(name, found, option)
        if not hasattr(found, "buildProtocol"):
            # The one hook that a protocol cannot do without.
            if not hasattr(found, "negotiationStarted"):
                raise usage.UsageError(
                    f"{option}: class {name} has neither negotiationStarted, as a "
                    f"WebSocketProtocol has, nor buildProtocol, as a factory has"
                )
            return WebSocketServerFactory(found)
        try:
            found = found()
        except Exception as error:
            raise usage.UsageError(
                f"{option}: class {name} cannot be called: {type(error).__name__}: "
                f"{error}"
            ) from None
    if isinstance(found, WebSocketServerFactory):
        return found
    if inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(
        getattr(found, "__call__", None)  # noqa: B004
    ):
        return WebSocketServerFactory.fromHandler(found)
    if callable(found) or hasattr(found, "buildProtocol"):
        return WebSocketServerFactory(found)
    raise usage.UsageError(
        f"{option}: {name} is {type(found).__name__}: neither a protocol class, a "
        f"factory, nor an async function"
    )


def _checkConstructor(name: str, found: type, option: str) -> None:
    try:
        inspect.signature(found).bind()
    except TypeError as error:
        raise usage.UsageError(
            f"{option}: class {name} is called without arguments: {error}"
        ) from None
    except ValueError:
        # A class whose signature cannot be told; it shows when it is called.
        pass


def makeService(options: Options) -> WebSocketService:
    """Make the service; ``twistd`` calls it.

    :param options: parsed
    """
    keepFreedMemory()
    certificate = options.get("self-signed")
    if certificate is not None:
        _log.warn(
            "No certificate given: serving a self-signed one for localhost, which "
            "browsers warn of. Its SHA-256 fingerprint is {fingerprint}",
            fingerprint=fingerprint(certificate),
        )
    return WebSocketService(options["endpoints"], options["factory"], options["drain"])
