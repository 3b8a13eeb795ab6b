"""TLS through pyOpenSSL: contexts, certificates, endpoints, for servers and clients.

The settings are those of RFC 9325 (recommendations for TLS): 1.2 and later, forward
secrecy, no compression, no renegotiation.
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import re
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL
from OpenSSL.crypto import X509, PKey
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    INegotiated,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    ISSLTransport,
    IStreamServerEndpoint,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from .errors import TLSConfigurationError
from .redaction import loggable
from .tlstransport import makeTLSFactory

__all__ = [
    "TLSServerEndpoint",
    "describeTLSError",
    "fingerprint",
    "handOver",
    "isSecure",
    "loadContext",
    "peerCertificate",
    "readChain",
    "readKey",
    "readPEM",
    "selfSignedContext",
]

# RFC 9325 section 4.2: TLS 1.2 with forward secrecy and an AEAD; 1.3 has no others.
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
_SELF_SIGNED_DAYS = 365
_PRIVATE_KEY = re.compile(
    rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL
)


def isSecure(transport: object) -> bool:
    """Tell whether a transport runs over TLS.

    :param transport: what a protocol got from ``makeConnection``
    """
    return INegotiated.providedBy(transport) or ISSLTransport.providedBy(transport)


def peerCertificate(transport: object) -> X509 | None:
    """Give the certificate that the peer sent, if there is TLS and it sent one.

    :param transport: what a protocol got from ``makeConnection``
    """
    get = getattr(transport, "getPeerCertificate", None)
    certificate: X509 | None = None if get is None else get()
    return certificate


def describeTLSError(error: object) -> str:
    """Say in words what OpenSSL found.

    :param error: an ``OpenSSL.SSL.Error``
    """
    arguments = getattr(error, "args", ())
    entries = arguments[0] if arguments and isinstance(arguments[0], list) else []
    reasons = ", ".join(str(entry[-1]) for entry in entries) or "connection closed"
    if "http request" in reasons or "wrong version number" in reasons:
        reasons += " (plaintext on a TLS port?)"
    return loggable(reasons)


def _makeContext() -> SSL.Context:
    """Make a server's context without a certificate."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(
        SSL.OP_NO_COMPRESSION
        | SSL.OP_NO_RENEGOTIATION
        | SSL.OP_CIPHER_SERVER_PREFERENCE
        | SSL.OP_SINGLE_ECDH_USE
    )
    # Without this an idle connection keeps 34 KiB of OpenSSL's buffers.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_cipher_list(_CIPHERS)
    context.set_alpn_select_callback(_selectHTTP1)
    return context


def _selectHTTP1(_: SSL.Connection, offered: list[bytes]) -> Any:
    """Agree on HTTP/1.1 by ALPN (RFC 7301): it is what an opening handshake is."""
    return b"http/1.1" if b"http/1.1" in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def loadContext(certificate: str, privateKey: str | None = None) -> SSL.Context:
    """Make a context from PEM files.

    :param certificate: path of the certificate, with the chain behind it (a
        "fullchain"): all of it is sent
    :param privateKey: path of the key; None when it is in the certificate's file
    :raises TLSConfigurationError: a file cannot be read, is not PEM, needs a
        passphrase, or certificate and key do not belong together
    """
    keyArgument = "certificate" if privateKey is None else "private-key"
    keyPath = certificate if privateKey is None else privateKey
    certificatePEM = readPEM("certificate", certificate)
    keyPEM = readPEM(keyArgument, keyPath)
    chain = readChain(certificate, certificatePEM)
    key = readKey(keyArgument, keyPath, keyPEM)
    context = _makeContext()
    try:
        handOver(context.use_certificate, chain[0], X509.from_cryptography)
        for each in chain[1:]:
            handOver(context.add_extra_chain_cert, each, X509.from_cryptography)
    except SSL.Error as error:
        # Well-formed, but OpenSSL will have none of it: a key or a digest too weak.
        reasons = ", ".join(str(entry[-1]) for entry in error.args[0])
        raise TLSConfigurationError(
            "certificate",
            f"OpenSSL refuses the certificate in {certificate}: {reasons}",
        ) from None
    try:
        handOver(context.use_privatekey, key, PKey.from_cryptography_key)
        context.check_privatekey()
    except (SSL.Error, TypeError):
        # TypeError: a kind of key that no certificate has, such as X25519.
        raise TLSConfigurationError(
            keyArgument,
            f"the private key in {keyPath} does not belong to the first certificate "
            f"in {certificate}",
        ) from None
    return context


def handOver(use: Any, thing: Any, wrap: Any) -> Any:
    """Hand something of cryptography to pyOpenSSL, which took only classes of its own
    before 24.3, and warns of them since.

    :param use: a method of pyOpenSSL
    :param thing: a certificate or key of cryptography
    :param wrap: makes pyOpenSSL's own of it
    :returns: what was taken, the thing or its wrapping
    """
    try:
        use(thing)
    except TypeError:
        thing = wrap(thing)
        use(thing)
    return thing


def readPEM(argument: str, path: str) -> bytes:
    """Read a file.

    :param argument: where its path comes from
    :param path: its path
    :raises TLSConfigurationError: it cannot be read
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise TLSConfigurationError(argument, f"cannot read {path}: {reason}") from None


def readChain(
    path: str, pem: bytes, argument: str = "certificate"
) -> list[x509.Certificate]:
    """Read certificates.

    :param path: of the file
    :param pem: what is in it
    :param argument: where the path comes from
    :returns: at least one
    :raises TLSConfigurationError: there is none, or one that cannot be read
    """
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise TLSConfigurationError(
            argument,
            f"{path} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
        ) from None


def readKey(
    argument: str,
    path: str,
    pem: bytes,
    hint: str = "--private-key names the key's file",
) -> Any:
    """Read a private key.

    :param argument: where the path comes from
    :param path: of the file
    :param pem: what is in it, certificates and parameters perhaps before the key
    :param hint: where to name another file
    :raises TLSConfigurationError: there is none, or one that cannot be used
    """
    # Only the key's part: the file may hold certificates and parameters before it.
    found = _PRIVATE_KEY.search(pem)
    if found is None:
        raise TLSConfigurationError(
            argument,
            f"{path} holds no private key in PEM form; {hint}",
        )
    try:
        return serialization.load_pem_private_key(found[0], None)
    except TypeError:
        raise TLSConfigurationError(
            argument,
            f"the private key in {path} is encrypted; decrypt it with "
            f"'openssl pkey -in {path} -out plain.pem'",
        ) from None
    except Exception as error:
        # Whatever cryptography makes of a broken key: there is one remedy for all.
        raise TLSConfigurationError(
            argument, f"the private key in {path} cannot be used: {error}"
        ) from None


def selfSignedContext() -> tuple[SSL.Context, x509.Certificate]:
    """Make a context with a fresh certificate for localhost that nobody trusts.

    :returns: the context, and the certificate for its fingerprint
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A little back, for clients whose clock is behind.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=_SELF_SIGNED_DAYS))
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    x509.DNSName("localhost"),
                    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                    x509.IPAddress(ipaddress.ip_address("::1")),
                ]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    context = _makeContext()
    handOver(context.use_certificate, certificate, X509.from_cryptography)
    handOver(context.use_privatekey, key, PKey.from_cryptography_key)
    return context, certificate


def fingerprint(certificate: x509.Certificate) -> str:
    """Give a certificate's SHA-256 fingerprint as browsers show it.

    :param certificate: which
    """
    der = certificate.public_bytes(serialization.Encoding.DER)
    digest = hashlib.sha256(der).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


@implementer(IOpenSSLServerConnectionCreator)
class _ConnectionCreator:
    """Makes the TLS state of each connection from one context."""

    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def serverConnectionForTLS(
        self, tlsProtocol: TLSMemoryBIOProtocol
    ) -> SSL.Connection:
        """Make the state of one connection.

        :param tlsProtocol: its protocol
        """
        return SSL.Connection(self._context, None)


@implementer(IStreamServerEndpoint)
class TLSServerEndpoint:
    """Listens as another endpoint does, with TLS on top.

    :param endpoint: what listens
    :param context: certificate and settings
    :param fast: whether data is carried by :mod:`twisted_ws.tlstransport`; by Twisted's
        own TLS otherwise
    """

    def __init__(
        self,
        endpoint: IStreamServerEndpoint,
        context: SSL.Context,
        fast: bool = True,
    ) -> None:
        self._endpoint = endpoint
        self._context = context
        self._fast = fast

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """Listen.

        :param protocolFactory: makes the protocols that see the decrypted bytes
        :returns: fires with the listening port
        """
        creator = _ConnectionCreator(self._context)
        listening: Deferred[Any] = self._endpoint.listen(
            makeTLSFactory(creator, False, protocolFactory, self._fast)
        )
        return listening
