"""The part of ``twistd websocket``'s command line that is about bridges."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any, ClassVar

from twisted.internet.endpoints import clientFromString
from twisted.python import usage

from .bridge import READ_SIZE, Bridge, ForwardingFactory
from .clientoptions import ClientOptions
from .errors import InvalidOption
from .factory import WebSocketServerFactory
from .knobs import flagFor
from .options import Options, ServerOptions
from .stream import WebSocketStreamClientEndpoint
from .targets import Target, Targets, readTarget

__all__ = ["BridgeOptions", "bridgeFactory", "forwardingFactory"]

_KINDS = ("bridge", "bridge-targets", "connect", "protocol")
# Most streams gain nothing by compression. The mark is above what one read brings, so
# that one message can be on its way while the next one is read.
_OPTIONS = ServerOptions(compression="none", highWaterMark=2 * READ_SIZE)
_SERVING = ("path", "web")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FOR_SERVERS = "is for a WebSocket server, and --connect makes a client"
# What limits the connections that come, whatever they are.
_FORWARDING = frozenset({"maxConnections"})


class BridgeOptions(usage.Options):
    """The options about bridges, for ``twistd websocket``."""

    optParameters: ClassVar[list[list[Any]]] = [
        [
            "bridge",
            "b",
            None,
            "Lead WebSocket connections to a target, such as localhost:5900, or any "
            "Twisted client endpoint string, such as unix:/run/vnc.sock.",
        ],
        [
            "bridge-targets",
            None,
            None,
            "The same with targets from a file, one of which a client chooses with "
            "?token=NAME: lines like 'NAME: HOST:PORT' or with an endpoint string. "
            "It is read again when it changes.",
        ],
        [
            "connect",
            None,
            None,
            "The reverse: lead TCP connections into WebSocket, to a URL, or to an "
            "endpoint string such as wss:example.com:resource=/vnc:user=me. Listens on "
            "127.0.0.1 unless --interface or --listen says otherwise.",
        ],
    ]

    @property
    def bridges(self) -> bool:
        """Whether WebSocket connections are led to targets."""
        return self["bridge"] is not None or self["bridge-targets"] is not None

    def checkBridge(self) -> None:
        """Look for options that do not go together.

        :raises twisted.python.usage.UsageError: there are
        """
        given = [name for name in _KINDS if self[name] is not None]
        if len(given) > 1:
            raise usage.UsageError(
                f"--{given[0]}: takes the place of --{given[1]}; give one or the other"
            )
        if self["route"] and given not in ([], ["protocol"]):
            raise usage.UsageError(
                f"--route: goes with --protocol, and not with --{given[0]}"
            )
        if self["connect"] is None:
            return
        for name in _SERVING:
            if self[name] is not None:
                raise usage.UsageError(f"--{name}: {_FOR_SERVERS}")
        for each in fields(ServerOptions):
            flag = flagFor(each.name, each.metadata)
            if (
                self[flag]
                and each.name not in Options.__dataclass_fields__
                and each.name not in _FORWARDING
                and each.name not in ClientOptions.__dataclass_fields__
            ):
                raise usage.UsageError(f"--{flag}: {_FOR_SERVERS}")


def bridgeFactory(options: BridgeOptions, reactor: Any) -> WebSocketServerFactory:
    """Make the factory for ``--bridge`` or ``--bridge-targets``. Its options are the
    defaults, without compression.

    :param options: one of the two is given
    :param reactor: the reactor
    :raises twisted.python.usage.UsageError: the target cannot be used
    """
    target: Target | Targets
    if options["bridge"] is not None:
        try:
            target = readTarget(reactor, options["bridge"])
        except ValueError as error:
            # Without the text, in which there may be a password.
            raise usage.UsageError(f"--bridge: {error}") from None
    else:
        path = options["bridge-targets"]
        try:
            target = Targets(reactor, path)
        except OSError as error:
            raise usage.UsageError(
                f"--bridge-targets: {path}: {error.strerror or error}"
            ) from None
        except ValueError as error:
            raise usage.UsageError(f"--bridge-targets: {path}: {error}") from None
    seconds = options["close-timeout"]
    bridge = Bridge(reactor, target, *([] if seconds is None else [seconds]))
    return WebSocketServerFactory(bridge, _OPTIONS, reactor=reactor)


def forwardingFactory(
    options: BridgeOptions, reactor: Any, given: dict[str, Any]
) -> ForwardingFactory:
    """Make the factory for ``--connect``.

    :param options: it is given
    :param reactor: the reactor
    :param given: the fields of options that were given
    :raises twisted.python.usage.UsageError: the URL or string cannot be used
    :raises InvalidOption: a value cannot work
    """
    where = options["connect"]
    # Such a colon can stand in an endpoint string too, behind a backslash.
    isURL = _URL.match(where) is not None
    limits = {
        name: given[name]
        for name in ("maxConnections", "closeTimeout")
        if name in given
    }
    changes = {
        name: value
        for name, value in given.items()
        if name in ClientOptions.__dataclass_fields__
    }
    try:
        if isURL:
            endpoint: Any = WebSocketStreamClientEndpoint(
                reactor,
                where,
                ClientOptions(**{"compression": "none", **changes}),
                gathering=False,
            )
        else:
            endpoint = clientFromString(reactor, where)
    except InvalidOption:
        raise
    except Exception as error:
        # Without the text, in which there may be a password.
        raise usage.UsageError(
            f"--connect: neither a URL nor a client endpoint string that can be used: "
            f"{error}"
        ) from None
    if changes and not isURL:
        name = next(iter(changes))
        flag = flagFor(name, ClientOptions.__dataclass_fields__[name].metadata)
        raise usage.UsageError(
            f"--{flag}: goes with a URL; in an endpoint string write {name}=..."
        )
    return ForwardingFactory(endpoint, reactor, **limits)
