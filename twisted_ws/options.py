"""Every knob of a connection, once: default, unit, sentence and check.

The command line's flags are made from these fields, so that no option is forgotten and
one name serves everywhere: ``maxMessageSize`` here, ``--max-message-size`` there.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from .compression import ENGINES, PRESETS, DeflateSettings, findEngine
from .errors import InvalidOption
from .knobs import KIB, MIB, checkField, checkSubprotocols, knob
from .origins import Authority, Origin, parseAuthority, parseOrigin

__all__ = ["Options", "ServerOptions"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What servers and clients have in common.

    All limits are on by default. The worst case of memory for one connection is the sum
    of seven times ``maxMessageSize`` (a message being received, at the moment in which
    it becomes a str of four bytes a character), once more and an eighth of it if that
    is compressed, ``maxSendBuffer`` and one message beyond it (waiting for a peer that
    does not read), 1.5 MiB for what one segment of 64 KiB can bring, and what
    ``compression`` keeps; the table in the documentation's topic on limits adds it up.

    :raises InvalidOption: a value of the wrong type, below its minimum, or at odds with
        another one
    """

    maxMessageSize: int = knob(
        MIB,
        "Largest message that is received, over all its fragments; a larger one ends "
        "the connection with 1009.",
        unit="bytes",
        minimum=1,
    )
    """Largest message that is received, in bytes, over all its fragments and after
    decompression. A larger one fails the connection with 1009 when the header that
    announces it arrives, before its payload is kept. Worst-case memory: three times
    this for a moment while a binary message is put together, seven times for text with
    characters that Python stores in four bytes each. RFC 6455 section 10.4."""

    maxFragments: int = knob(
        131_072,
        "Most fragments that one message may have; more end the connection with 1009.",
        minimum=1,
    )
    """Most fragments of one message, empty ones included; more fail the connection with
    1009. Costs no memory, only time: fragments go into one buffer."""

    highWaterMark: int = knob(
        64 * KIB,
        "Bytes waiting to be sent from which on nothing more is read from the peer.",
        unit="bytes",
        minimum=64 * KIB,
    )
    """While at least this many bytes wait to be sent, nothing more is read from the
    peer and a registered producer is paused. The least value is what a Twisted
    transport buffers before it says so."""

    maxSendBuffer: int = knob(
        16 * MIB,
        "Bytes waiting to be sent at which a peer that does not read is dropped.",
        unit="bytes",
        minimum=64 * KIB,
    )
    """Once this many bytes wait to be sent, the next message fails the connection with
    1008, a slow consumer. Worst-case memory: this and one message of the
    application."""

    pingInterval: float = knob(
        20.0,
        "Seconds without a byte from the peer after which it is pinged; 0 never pings.",
        unit="seconds",
        minimum=0,
    )
    """Seconds of silence after which the peer is pinged; 0 turns keepalive off, and
    then a peer that vanished is found only by writing to it. RFC 6455 section 5.5.2."""

    pingTimeout: float = knob(
        20.0,
        "Seconds to wait for any byte after that ping, before closing with 1011.",
        unit="seconds",
        minimum=0.001,
    )
    """Seconds of further silence after that ping until the connection is failed with
    1011. Any byte counts as a sign of life."""

    closeTimeout: float = knob(
        10.0,
        "Seconds for the closing handshake, before the TCP connection is aborted.",
        unit="seconds",
        minimum=0.001,
    )
    """Seconds for the closing handshake and for the rest of the send buffer, counted
    from the Close frame that was sent; then the TCP connection is aborted. RFC 6455
    section 7.1.1."""

    messageTimeout: float = knob(
        0.0,
        "Seconds from a message's first byte to its last; 0 sets no limit.",
        unit="seconds",
        minimum=0,
    )
    """Seconds that a message may take from its first frame to its last byte; longer
    fails the connection with 1008. 0 sets no limit: a peer on a slow line may honestly
    take long, and what it can hold is bounded by ``maxMessageSize``."""

    handshakeTimeout: float = knob(
        10.0,
        "Seconds from the TCP connection to the end of the request or response head, "
        "TLS included.",
        unit="seconds",
        minimum=0.001,
    )
    """Seconds from the TCP connection to the end of the request head, the TLS handshake
    included; then 408, or an abort where there is no TLS yet to say it through. The
    time that the application takes to decide does not count. For a client to the end of
    the response, and then :exc:`~twisted_ws.errors.HandshakeTimeout`."""

    maxHeaderLine: int = knob(
        8 * KIB,
        "Longest line of the request head; a longer one is refused with 431.",
        unit="bytes",
        minimum=64,
    )
    """Longest line of the request head in bytes; a longer one is refused with 431. For
    a client of the response, and then
    :exc:`~twisted_ws.errors.InvalidHandshake`."""

    maxHeadSize: int = knob(
        16 * KIB,
        "Largest request head; a larger one is refused with 431.",
        unit="bytes",
        minimum=256,
    )
    """Largest request head in bytes; a larger one is refused with 431. Worst-case
    memory of a connection that has not finished its head: four times this. For a client
    of the response, as :attr:`maxHeaderLine`."""

    maxHeaders: int = knob(
        100,
        "Most header lines in the request head; more are refused with 431.",
        minimum=8,
    )
    """Most header lines in the request head; more are refused with 431. For a client of
    the response, as :attr:`maxHeaderLine`."""

    compression: str = knob(
        "small",
        "Memory that a connection may keep for permessage-deflate: none (off), shared, "
        "small or large.",
        choices=tuple(PRESETS),
    )
    """How much a connection may keep to compress messages with permessage-deflate (RFC
    7692), if the peer wants that too. ``none`` turns compression off. ``shared`` keeps
    nothing between messages, each of which is compressed on its own. ``small`` keeps
    about 40 KiB and ``large`` about 200 KiB from the first compressed message on, for
    fewer bytes. The fields below that are None have the preset's value."""

    compressionThreshold: int | None = knob(
        None,
        "Bytes from which on a message is compressed before it is sent.",
        unit="bytes",
        kind=int,
        minimum=0,
    )
    """Messages of fewer bytes are sent as they are, unless the application says
    otherwise for one: they gain little. Where the preset decides it is 256 bytes for
    ``shared``, else 64."""

    compressionLevel: int = knob(
        3,
        "How hard to try, from 1 (fast) to 9.",
        minimum=1,
        maximum=9,
    )
    """How hard the compressor tries, from 1 to 9. On small messages 3 is as fast as 1
    and 6 takes half as long again for a tenth fewer bytes."""

    compressionMemoryLevel: int | None = knob(
        None,
        "Memory of a connection's compressor beside its window, from 1 (1 KiB) to 9 "
        "(256 KiB).",
        kind=int,
        minimum=1,
        maximum=9,
    )
    """Memory that the compressor takes beside its window: two to the power of this and
    9 bytes."""

    serverMaxWindowBits: int | None = knob(
        None,
        "How far back the server's messages refer, two to this power bytes.",
        kind=int,
        minimum=9,
        maximum=15,
    )
    """How far back a compressed message of the server refers at most: two to this power
    bytes. The server's compressor takes four times as much memory, the client keeps
    that many bytes. RFC 7692 section 7.1.2.1."""

    clientMaxWindowBits: int | None = knob(
        None,
        "How far back the client's messages refer, two to this power bytes.",
        kind=int,
        minimum=9,
        maximum=15,
    )
    """The same for the client's messages. A server can only set it for clients that
    offer ``client_max_window_bits``, as Chromium does; for others it is 15. RFC 7692
    section 7.1.2.2."""

    serverNoContextTakeover: bool | None = knob(
        None,
        "Compress each message of the server on its own.",
        kind=bool,
    )
    """Whether the server compresses each message on its own, without those before it:
    more bytes, and no memory between messages. RFC 7692 section 7.1.1.1."""

    clientNoContextTakeover: bool | None = knob(
        None,
        "Have the client compress each message on its own.",
        kind=bool,
    )
    """Whether the client compresses each message on its own. RFC 7692 section
    7.1.1.2."""

    compressionEngine: str = knob(
        "zlib",
        "What compresses: zlib, or zlib-ng if it is installed.",
        choices=tuple(ENGINES),
    )
    """What compresses: ``zlib``, Python's own, or ``zlib-ng``, which the extra
    ``twisted_ws[zlib-ng]`` brings: faster with long messages and at level 1, but it
    takes four times the memory with the preset ``small``."""

    @cached_property
    def deflateSettings(self) -> DeflateSettings | None:
        """What holds for compression, the preset filled in; None when it is off."""
        preset = PRESETS[self.compression]
        if preset is None:
            return None
        try:
            engine = findEngine(self.compressionEngine)
        except ValueError as error:
            raise InvalidOption("compressionEngine", str(error)) from None

        def choose(value: Any, otherwise: Any) -> Any:
            return otherwise if value is None else value

        return DeflateSettings(
            choose(self.serverNoContextTakeover, not preset.contextTakeover),
            choose(self.clientNoContextTakeover, not preset.contextTakeover),
            choose(self.serverMaxWindowBits, preset.windowBits),
            choose(self.clientMaxWindowBits, preset.windowBits),
            self.compressionLevel,
            choose(self.compressionMemoryLevel, preset.memoryLevel),
            choose(self.compressionThreshold, preset.threshold),
            engine,
        )

    def __post_init__(self) -> None:
        for each in fields(self):
            checkField(each, getattr(self, each.name))
        if self.highWaterMark > self.maxSendBuffer:
            raise InvalidOption(
                "highWaterMark",
                f"{self.highWaterMark} is over maxSendBuffer, {self.maxSendBuffer}, so "
                f"reading would never pause: lower the one or raise the other",
            )
        if self.maxHeaderLine > self.maxHeadSize:
            raise InvalidOption(
                "maxHeaderLine",
                f"{self.maxHeaderLine} is over maxHeadSize, {self.maxHeadSize}: lower "
                f"the one or raise the other",
            )
        # Read now, so that an engine that is not installed shows when it is chosen.
        _ = self.deflateSettings


@dataclass(frozen=True, kw_only=True)
class ServerOptions(Options):
    """What a server does, beside what all connections do.

    :raises InvalidOption: as in :class:`Options`; also an origin, host or subprotocol
        that is not written as one
    """

    subprotocols: tuple[str, ...] = knob(
        (),
        "A subprotocol that the server speaks, best first; the first one that a client "
        "offers too is agreed.",
        flag="subprotocol",
    )
    """Subprotocols that the server speaks, best first: the first that the client offers
    too is agreed, none if it offers none of them. A factory may choose another with
    ``request.selectSubprotocol``. RFC 6455 section 1.9."""

    allowedOrigins: tuple[str, ...] = knob(
        (),
        "An origin such as https://example.com whose pages may connect; the server's "
        "own origin always may.",
        flag="allowed-origin",
    )
    """Origins whose pages may connect, such as ``https://example.com``, beside the
    server's own (scheme, host and port of the request). ``null`` stands for sandboxed
    and local pages. Others are refused with 403; a request without Origin is not from a
    browser and is accepted. Behind a proxy that ends TLS, name the public origin. RFC
    6455 section 10.2."""

    dangerouslyAllowAnyOrigin: bool = knob(
        False,
        "Let pages of every site connect, with the user's cookies. Dangerous wherever "
        "cookies or the network decide who may do what.",
    )
    """Let every page on the web connect, and ride on the user's cookies: only for
    public data, or where the application checks ``request.origin`` itself."""

    allowedHosts: tuple[str, ...] = knob(
        (),
        "A host that requests may name, with or without a port; the default is every "
        "host, but only loopback ones when listening on loopback only.",
        flag="allowed-host",
    )
    """Hosts that the Host header may name, such as ``example.com`` or
    ``example.com:8443``; others are refused with 403. Empty allows every host, except
    on a server that listens on loopback only: there, empty means loopback names and
    addresses, so that no web page can reach it under a name of its own (DNS
    rebinding)."""

    dangerouslyAllowAnyHost: bool = knob(
        False,
        "Accept every Host header on a server that listens on loopback only. "
        "Dangerous: opens it to DNS rebinding.",
    )
    """Accept every Host header, on loopback too: opens a local server to every web page
    that the user visits (DNS rebinding)."""

    maxConnections: int = knob(
        10_000,
        "Most connections at a time; one more is refused with 503. 0 sets no limit.",
        minimum=0,
    )
    """Most connections that one factory serves at a time, handshakes included; one more
    is refused with 503. 0 sets no limit."""

    maxConnectionsPerAddress: int = knob(
        0,
        "Most connections from one address at a time; one more is refused with 503. "
        "0 sets no limit.",
        minimum=0,
    )
    """Most connections from one peer address at a time; one more is refused with 503.
    0, the default, sets no limit, because everyone behind one proxy or one NAT shares
    an address. An IPv6 peer counts by its /64 network; peers on UNIX sockets,
    which have none, do not count."""

    retryAfter: int = knob(
        10,
        "Seconds after which a client that got 503 is asked to come back.",
        unit="seconds",
        minimum=0,
    )
    """Whole seconds in the ``Retry-After`` header of the 503 that connection limits
    give."""

    logAccepted: bool = knob(
        False,
        "Log each accepted connection, with its peer, path and extensions.",
    )
    """Whether a debug message tells of each connection that is accepted, with its peer,
    path and extensions; refusals are always logged. ``twistd`` writes debug messages
    like all others, and to write one takes about a fifth of the processor time of a
    short connection."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checkSubprotocols(self.subprotocols)
        for listed, anything in (
            ("allowedOrigins", "dangerouslyAllowAnyOrigin"),
            ("allowedHosts", "dangerouslyAllowAnyHost"),
        ):
            if getattr(self, listed) and getattr(self, anything):
                raise InvalidOption(listed, "a list, while any is allowed: drop one")
        # Read now, so that a mistake shows when the options are made.
        self.readAllowedOrigins()
        self.readAllowedHosts()

    def readAllowedOrigins(self) -> frozenset[Origin | None]:
        """Give ``allowedOrigins`` in the form that handshakes compare with.

        :raises InvalidOption: an entry is not an origin
        """
        found = set()
        for text in self.allowedOrigins:
            if "*" in text:
                raise InvalidOption(
                    "allowedOrigins",
                    f"{text!r}: wildcards are not known; list the origins, or see "
                    f"dangerouslyAllowAnyOrigin",
                )
            try:
                found.add(parseOrigin(text))
            except ValueError as error:
                raise InvalidOption(
                    "allowedOrigins",
                    f"{text!r} is not an origin such as https://example.com, without a "
                    f"slash at the end: {error}",
                ) from None
        return frozenset(found)

    def readAllowedHosts(self) -> tuple[Authority, ...]:
        """Give ``allowedHosts`` in the form that handshakes compare with.

        :raises InvalidOption: an entry is not a host
        """
        found = []
        for text in self.allowedHosts:
            try:
                found.append(parseAuthority(text))
            except ValueError as error:
                raise InvalidOption(
                    "allowedHosts",
                    f"{text!r} is not a host such as example.com: {error}",
                ) from None
        return tuple(found)
