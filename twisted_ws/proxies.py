"""Connections through a proxy: HTTP CONNECT, over TCP or TLS, and SOCKS5.

:func:`proxyEndpoint` gives an endpoint whose ``connect`` fires when the tunnel stands.
The application's protocol then gets the transport that leads to the proxy itself, with
nothing in between, so everything that transport can do works.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import Any, Protocol

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import (
    ConnectingCancelledError,
    ConnectionDone,
    ConnectionLost,
    DNSLookupError,
    NoProtocol,
)
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol as StreamProtocol
from twisted.internet.protocol import connectionDone
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from .errors import ProxyFailed
from .headers import Headers
from .httpconnect import ConnectNegotiation
from .origins import parseAuthority
from .proxyurls import ProxyURL, parseProxyURL
from .redaction import loggable
from .socks import SocksNegotiation
from .tls import describeTLSError, isSecure

__all__ = ["Negotiation", "TunnelEndpoint", "proxyEndpoint"]


class Negotiation(Protocol):
    """Asks a proxy for a tunnel: bytes in, bytes out."""

    isDone: bool
    """Whether the tunnel stands."""
    rest: bytes
    """What came through the tunnel with the proxy's last word."""

    def start(self) -> bytes:
        """Give the first bytes for the proxy."""

    def receive(self, data: bytes, /) -> bytes:
        """Take bytes from the proxy, give bytes for it.

        :raises ProxyFailed: there will be no tunnel
        """

    def failure(self, why: str, /) -> ProxyFailed:
        """Give the error for a negotiation that ends here."""


def proxyEndpoint(
    reactor: Any,
    proxyURL: str | ProxyURL,
    host: str,
    port: int,
    *,
    timeout: float = 30.0,
    contextFactory: Callable[[str], IOpenSSLClientConnectionCreator] | None = None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
) -> IStreamClientEndpoint:
    """Make an endpoint that connects through a proxy.

    :param reactor: the reactor
    :param proxyURL: where the proxy is: ``http://``, ``https://`` (HTTP over TLS),
        ``socks5://`` (the destination's name is looked up here, and its first address
        given to the proxy) or ``socks5h://`` (the name is given to the proxy, which
        looks it up), with user and password where it asks for them
    :param host: the destination, in ASCII: a name, or an address, for IPv6 with or
        without brackets
    :param port: the destination's port
    :param timeout: seconds for all of it: finding and connecting to the proxy, TLS, and
        the proxy's connecting to the destination
    :param contextFactory: gives the settings of TLS to an ``https://`` proxy with the
        name, or address, that it is called with; by default the proxy's certificate
        must be for that name, from somebody the platform trusts
    :param headers: further headers for the CONNECT request, such as ``User-Agent``; a
        ``Proxy-Authorization`` takes the place of the URL's user and password
    :returns: an endpoint. Its ``connect`` fails with
        :exc:`~twisted_ws.errors.ProxyFailed`, and keeps at most 100 KiB and a segment
        of what the proxy sends before the tunnel stands.
    :raises ValueError: the proxy's URL, the host, the port or a header cannot be; what
        is secret is not in the message
    """
    proxy = parseProxyURL(proxyURL) if isinstance(proxyURL, str) else proxyURL
    host, authority = _destination(host, port)
    further = Headers(headers)
    isSocks = proxy.scheme.startswith("socks")
    if isSocks and further:
        raise ValueError("SOCKS has no headers")

    def negotiate(address: str) -> Negotiation:
        if isSocks:
            return SocksNegotiation(address, port, proxy.user, proxy.password)
        return ConnectNegotiation(authority, further, proxy.user, proxy.password)

    # Now, so that what is wrong with a header is an error of this call.
    negotiate(host)
    proxyHost = proxy.host.strip("[]")
    endpoint: IStreamClientEndpoint = HostnameEndpoint(
        reactor, proxyHost, proxy.port, timeout
    )
    if proxy.scheme == "https":
        settings = (contextFactory or _verifiedTLS)(proxyHost)
        endpoint = wrapClientTLS(settings, endpoint)
    return TunnelEndpoint(
        reactor,
        endpoint,
        host,
        negotiate,
        timeout,
        resolves=proxy.scheme == "socks5",
        name=f"{authority} through {proxy}",
    )


def _destination(host: str, port: int) -> tuple[str, str]:
    """Check where to go.

    :returns: the host, without brackets, and ``host:port``
    """
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    try:
        found, extra = parseAuthority(host)
    except ValueError:
        extra, found = 0, ""
    name = found.strip("[]")
    # 255: the most that SOCKS can say (RFC 1928 section 5), and DNS too.
    if extra is not None or len(name) > 255:
        raise ValueError("the host is neither an address nor a name in ASCII")
    if not 0 < port < 65536:
        raise ValueError(f"port {port} is not from 1 to 65535")
    return name, f"{found}:{port}"


def _verifiedTLS(host: str) -> IOpenSSLClientConnectionCreator:
    """Give settings for TLS 1.2 and later, verified."""
    return optionsForClientTLS(host, acceptableProtocols=[b"http/1.1"])


@implementer(IStreamClientEndpoint)
class TunnelEndpoint:
    """Connects to a proxy as another endpoint does, and on through it.

    :param reactor: looks up names, and has the clock
    :param endpoint: leads to the proxy
    :param host: the destination, without brackets
    :param negotiate: starts a negotiation for a tunnel to a host
    :param timeout: seconds for all of it
    :param resolves: whether the destination's name is looked up here
    :param name: what it is called in its ``repr``
    """

    def __init__(
        self,
        reactor: Any,
        endpoint: IStreamClientEndpoint,
        host: str,
        negotiate: Callable[[str], Negotiation],
        timeout: float,
        *,
        resolves: bool = False,
        name: str = "",
    ) -> None:
        self._reactor = reactor
        self._endpoint = endpoint
        self._host = host
        self._negotiate = negotiate
        self._timeout = timeout
        self._resolves = resolves
        self._name = name

    def __repr__(self) -> str:
        return f"<TunnelEndpoint {self._name}>"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect.

        :param protocolFactory: its ``buildProtocol`` is called when the tunnel stands,
            with the proxy's address, which is also the transport's peer
        :returns: fires with the protocol once it is connected, or fails with
            :exc:`~twisted_ws.errors.ProxyFailed`, or with what ``buildProtocol``
            raised. Cancelling it closes the connection.
        """
        attempt = _Attempt(protocolFactory)
        connecting = Deferred.fromCoroutine(self._connect(attempt))

        def timedOut(_: object, seconds: float) -> Failure:
            return Failure(attempt.failure(f"did not answer in {seconds:g} seconds"))

        return connecting.addTimeout(self._timeout, self._reactor, timedOut)

    async def _connect(self, attempt: _Attempt) -> IProtocol:
        host = self._host
        if self._resolves:
            host = await self._lookUp(host)
        attempt.negotiation = self._negotiate(host)
        try:
            await self._endpoint.connect(attempt)
        except (CancelledError, ConnectingCancelledError):
            raise
        except Exception as error:
            raise ProxyFailed(f"the proxy cannot be reached: {_told(error)}") from error
        return await attempt.tunnel.standing

    async def _lookUp(self, host: str) -> str:
        """Give the first address of a host."""
        try:
            return str(ip_address(host))
        except ValueError:
            pass
        receiver = _FirstAddress()
        self._reactor.nameResolver.resolveHostName(receiver, host)
        address: str | None = await receiver.found
        if address is None:
            raise ProxyFailed(
                "no address was found here to give to the proxy; with socks5h:// it "
                "looks for one itself"
            ) from DNSLookupError(f"no address for {loggable(host)}")
        return address


@implementer(IResolutionReceiver)
class _FirstAddress:
    """Waits for the first address of a host, or None for none."""

    def __init__(self) -> None:
        # Without a canceller: most resolvers cannot stop. What comes after a
        # cancellation is taken and dropped.
        self.found: Deferred[str | None] = Deferred()
        self._first: str | None = None

    def resolutionBegan(self, resolutionInProgress: object) -> None:
        """Looking up has begun."""

    def addressResolved(self, address: IAddress) -> None:
        """There is an address.

        :param address: of TCP
        """
        if self._first is None:
            self._first = str(getattr(address, "host", ""))

    def resolutionComplete(self) -> None:
        """There are no more."""
        self.found.callback(self._first)


@implementer(IProtocolFactory)
class _Attempt:
    """One call of ``connect``: the factory for the endpoint that leads to the proxy.

    :param factory: the application's
    """

    negotiation: Negotiation | None = None
    """How the proxy is talked to; None as long as the destination is looked up."""

    def __init__(self, factory: IProtocolFactory) -> None:
        self.factory = factory
        self.tunnel = _Tunnel(self)

    def failure(self, why: str) -> ProxyFailed:
        """Give the error for an attempt that ends here.

        :param why: what the proxy did
        """
        if self.negotiation is None:
            return ProxyFailed("the destination's address was not found in time")
        return self.negotiation.failure(why)

    def buildProtocol(self, _: IAddress | None) -> IProtocol:
        """Give the protocol that talks to the proxy."""
        return self.tunnel

    def doStart(self) -> None:
        """Begin, as the application's factory."""
        self.factory.doStart()

    def doStop(self) -> None:
        """End, as the application's factory."""
        self.factory.doStop()


class _Tunnel(StreamProtocol):
    """Talks to the proxy, then passes on what comes to the application's protocol.

    :param attempt: has the negotiation and the application's factory
    """

    transport: Any
    _negotiation: Negotiation
    _protocol: Any = None

    def __init__(self, attempt: _Attempt) -> None:
        self._attempt = attempt
        self.standing: Deferred[IProtocol] = Deferred(lambda _: self._abort())
        """Fires with the application's protocol, connected."""

    def connectionMade(self) -> None:
        """The proxy is reached; over TLS this is sent once that is set up."""
        assert self._attempt.negotiation is not None  # noqa: S101
        self._negotiation = self._attempt.negotiation
        self.transport.write(self._negotiation.start())

    def dataReceived(self, data: bytes) -> None:
        """Take bytes from the proxy, or through the tunnel.

        :param data: any bytes
        """
        if self._protocol is not None:
            self._protocol.dataReceived(data)
        elif not self.standing.called:
            try:
                answer = self._negotiation.receive(data)
            except ProxyFailed:
                self._fail(Failure())
                return
            if answer:
                self.transport.write(answer)
            if self._negotiation.isDone:
                self._stand()

    def _fail(self, failure: Failure) -> None:
        self._abort()
        self.standing.errback(failure)

    def _abort(self) -> None:
        # Over TLS, an orderly end would wait for the proxy's.
        self.transport.abortConnection()

    def _stand(self) -> None:
        """Hand the transport over to the application's protocol."""
        try:
            protocol: Any = self._attempt.factory.buildProtocol(
                self.transport.getPeer()
            )
            if protocol is None:
                raise NoProtocol()
        except BaseException:
            self._fail(Failure())
            return
        self._protocol = protocol
        self._passOnHalfCloses()
        # What this raises closes the connection, as it does at any transport.
        protocol.makeConnection(self.transport)
        if self.standing.called:
            return
        self.standing.callback(protocol)
        if isSecure(self.transport) and IHandshakeListener.providedBy(protocol):
            protocol.handshakeCompleted()
        rest = self._negotiation.rest
        if rest and not getattr(self.transport, "disconnecting", False):
            self.dataReceived(rest)

    def _passOnHalfCloses(self) -> None:
        """Have the transport tell of halves that are closed, if the application's
        protocol wants to know: there was none to be asked when it was connected."""
        if isSecure(self.transport):
            # Over TLS there are no halves.
            return
        if IHalfCloseableProtocol.providedBy(self._protocol):
            alsoProvides(self, IHalfCloseableProtocol)
            # Twisted's endpoints put a protocol of their own in between.
            outer = getattr(self.transport, "protocol", None)
            if hasattr(type(outer), "readConnectionLost"):
                alsoProvides(outer, IHalfCloseableProtocol)

    def readConnectionLost(self) -> None:
        """The other end will send no more."""
        self._protocol.readConnectionLost()

    def writeConnectionLost(self) -> None:
        """No more can be sent."""
        self._protocol.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection to the proxy has ended.

        :param reason: how
        """
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connectionLost(reason)
        elif not self.standing.called:
            reason = Failure(self._endBefore(reason.value))
        if not self.standing.called:
            self.standing.errback(reason)

    def _endBefore(self, cause: Any) -> ProxyFailed:
        """Give the error for a connection that ended before the tunnel stood."""
        if isinstance(cause, (ConnectionDone, ConnectionLost)):
            why = "closed the connection before the tunnel stood"
        else:
            why = f"cannot be talked to over TLS: {_told(cause)}"
        error = self._negotiation.failure(why)
        if error.status is None:
            error.__cause__ = cause
        return error


def _told(error: BaseException) -> str:
    """Say on one line what is wrong."""
    if isinstance(error, SSL.Error):
        return describeTLSError(error)
    if isinstance(error, VerificationError):
        return "its certificate is for another name"
    return loggable(error).removesuffix(".") or type(error).__name__
