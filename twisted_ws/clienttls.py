"""TLS for clients: whom to trust, what to show, and what went wrong.

Verification is Twisted's (``optionsForClientTLS``): the chain by OpenSSL, the name by
service_identity. It is done before the first byte of the request is written.
"""

from __future__ import annotations

import os
from typing import Any, cast

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from OpenSSL.crypto import X509, PKey
from service_identity import VerificationError
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IStreamClientEndpoint,
)
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    PrivateCertificate,
    TLSVersion,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from .clientoptions import ClientOptions
from .errors import CertificateRefused, TLSConfigurationError, TLSFailed
from .tls import describeTLSError, handOver, readChain, readKey, readPEM
from .tlstransport import TLSClientWrapper

__all__ = ["ClientTLS", "isCertificateError", "tlsFailure"]

_log = Logger()


class ClientTLS:
    """How a client's connections over TLS are made.

    :param options: trustRoots, clientCertificate, and whether to verify at all
    :raises TLSConfigurationError: a file cannot be read or used
    """

    def __init__(self, options: ClientOptions) -> None:
        self._verifies = not options.dangerouslyDisableCertificateVerification
        self._trust = _readTrustRoots(options.trustRoots)
        self._certificate: dict[str, Any] = {}
        if options.clientCertificate is not None:
            self._certificate = _readCertificate(options.clientCertificate)

    def wrap(
        self, endpoint: IStreamClientEndpoint, host: str, trusted: bool = True
    ) -> IStreamClientEndpoint:
        """Put TLS on top of an endpoint.

        :param endpoint: leads to the server
        :param host: whom the server's certificate has to name; goes out as SNI, unless
            it is an address
        :param trusted: whether the client's own certificate may be shown
        """
        creator = self._makeCreator(host, self._certificate if trusted else {})
        return TLSClientWrapper(creator, endpoint)

    def forProxy(self, host: str) -> IOpenSSLClientConnectionCreator:
        """Give settings for TLS to a proxy. Its certificate is always verified: what
        may be switched off is for the server's. The client's own is not shown.

        :param host: whom the proxy's certificate has to name
        """
        return self._makeVerifying(host, {"raiseMinimumTo": TLSVersion.TLSv1_2})

    def _makeVerifying(
        self, host: str, extra: dict[str, Any]
    ) -> IOpenSSLClientConnectionCreator:
        # ALPN is not offered: servers made with Twisted's own CertificateOptions answer
        # it with an alert, and without it every server speaks HTTP/1.1.
        return optionsForClientTLS(host, self._trust, extraCertificateOptions=extra)

    def _makeCreator(
        self, host: str, certificate: dict[str, Any]
    ) -> IOpenSSLClientConnectionCreator:
        extra = {"raiseMinimumTo": TLSVersion.TLSv1_2, **certificate}
        if self._verifies:
            return self._makeVerifying(host, extra)
        _log.warn(
            "The certificate of {host} is not verified: whoever is on the way can read "
            "and change everything (dangerouslyDisableCertificateVerification)",
            host=host,
        )
        options = CertificateOptions(**extra)
        return _UnverifiedConnections(options.getContext(), host)


@implementer(IOpenSSLClientConnectionCreator)
class _UnverifiedConnections:
    """Makes the TLS state of connections with whomever.

    :param context: settings
    :param host: for SNI
    """

    def __init__(self, context: SSL.Context, host: str) -> None:
        self._context = context
        self._host = host

    def clientConnectionForTLS(
        self, tlsProtocol: TLSMemoryBIOProtocol
    ) -> SSL.Connection:
        """Make the state of one connection.

        :param tlsProtocol: its protocol
        """
        connection = SSL.Connection(self._context, None)
        if not (isIPAddress(self._host) or isIPv6Address(self._host)):
            connection.set_tlsext_host_name(self._host.encode("ascii"))
        return connection


def _readTrustRoots(roots: Any) -> Any:
    """Make what Twisted takes of the option ``trustRoots``."""
    if roots is None:
        return platformTrust()
    if not isinstance(roots, (str, os.PathLike)):
        try:
            # Tried now: later it would be a failed connection, worth another try.
            CertificateOptions(trustRoot=roots)
        except TypeError:
            raise TLSConfigurationError(
                "trustRoots", "neither a path nor what Twisted takes as a trustRoot"
            ) from None
        return roots
    path = os.fspath(roots)
    chain = readChain(path, readPEM("trustRoots", path), "trustRoots")
    return trustRootFromCertificates(
        Certificate.loadPEM(each.public_bytes(Encoding.PEM)) for each in chain
    )


def _readCertificate(given: Any) -> dict[str, Any]:
    """Make what CertificateOptions takes of the option ``clientCertificate``."""
    name = "clientCertificate"
    if isinstance(given, PrivateCertificate):
        chain = [given.original.to_cryptography()]
        key = given.privateKey.original.to_cryptography_key()
        where = "the certificate"
    else:
        pair = given if isinstance(given, tuple) else (given, given)
        if len(pair) != 2 or not all(isinstance(e, (str, os.PathLike)) for e in pair):
            raise TLSConfigurationError(
                name, "neither a path, nor two, nor a PrivateCertificate"
            )
        certificatePath, keyPath = os.fspath(pair[0]), os.fspath(pair[1])
        chain = readChain(certificatePath, readPEM(name, certificatePath), name)
        hint = "a pair of paths names the key's file too"
        key = readKey(name, keyPath, readPEM(name, keyPath), hint)
        where = f"the first certificate in {certificatePath}"
    # Twisted hands them on as they are. What this pyOpenSSL takes, and whether they
    # belong together, shows on a context that is thrown away.
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    try:
        wrap = X509.from_cryptography
        taken = [handOver(context.use_certificate, chain[0], wrap)]
        for each in chain[1:]:
            taken.append(handOver(context.add_extra_chain_cert, each, wrap))
    except SSL.Error as error:
        raise TLSConfigurationError(
            name, f"OpenSSL refuses {where}: {describeTLSError(error)}"
        ) from None
    try:
        key = handOver(context.use_privatekey, key, PKey.from_cryptography_key)
        context.check_privatekey()
    except (SSL.Error, TypeError):
        raise TLSConfigurationError(
            name, f"the private key does not belong to {where}"
        ) from None
    return {"privateKey": key, "certificate": taken[0], "extraCertChain": taken[1:]}


def isCertificateError(error: BaseException | None) -> bool:
    """Tell whether it is a certificate that is not trusted, or not for the name.

    :param error: what ended a connection or its TLS handshake
    """
    return isinstance(error, VerificationError) or (
        isinstance(error, SSL.Error)
        and "certificate verify failed" in describeTLSError(error)
    )


def tlsFailure(reason: Failure, host: str) -> TLSFailed | None:
    """Say what ended a connection, if it was TLS.

    :param reason: from ``connectionLost``
    :param host: whose certificate was expected
    :returns: None if it was not TLS
    """
    error = cast(Exception, reason.value)
    if isinstance(error, VerificationError):
        return CertificateRefused(
            f"the server's certificate is not for {host}: somebody else answers, or "
            f"the URL has another name than the certificate",
            error,
        )
    if not isinstance(error, SSL.Error):
        return None
    why = describeTLSError(error)
    if isCertificateError(error):
        return CertificateRefused(
            f"the certificate of {host} is not issued by an authority that is trusted, "
            f"or has expired (OpenSSL says: {why}); see trustRoots",
            error,
        )
    return TLSFailed(f"TLS with {host} failed: {why}", error)
