"""TLS for clients: what options are made into, and what errors say."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from OpenSSL.crypto import PKey
from service_identity import VerificationError
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, KeyPair, PrivateCertificate
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.certificates import keyToPEM, makeCertificate, makeKey, toPEM
from tests.processes import removeDirectory
from tests.support import logged
from twisted_ws import clienttls
from twisted_ws.clientoptions import ClientOptions
from twisted_ws.clienttls import ClientTLS, tlsFailure
from twisted_ws.errors import CertificateRefused, TLSConfigurationError, TLSFailed


class FilesCase(SynchronousTestCase):
    """A directory, a root, and a certificate that it signed."""

    def setUp(self) -> None:
        """Make them."""
        self.directory = tempfile.mkdtemp(prefix="twisted_ws-")
        self.addCleanup(removeDirectory, self.directory)
        rootKey, self.key = makeKey(), makeKey()
        self.root = makeCertificate("root", rootKey, ca=True)
        self.leaf = makeCertificate("client", self.key, (self.root, rootKey))

    def write(self, name: str, *parts: bytes) -> str:
        """Write a file and give its path."""
        path = os.path.join(self.directory, name)
        Path(path).write_bytes(b"".join(parts))
        return path

    def refused(self, argument: str, value: object) -> str:
        """Give the words with which an option is refused."""
        with self.assertRaises(TLSConfigurationError) as caught:
            ClientTLS(ClientOptions(**{argument: value}))  # type: ignore[arg-type]
        self.assertEqual(caught.exception.argument, argument)
        self.assertNotIn("\n", str(caught.exception))
        self.assertNotIn("--private-key", str(caught.exception))
        return str(caught.exception)


class TrustRootsTests(FilesCase):
    """``trustRoots``."""

    def test_files(self) -> None:
        """A file with one certificate or several, as text or path."""
        one = self.write("one.pem", toPEM(self.root))
        two = self.write("two.pem", toPEM(self.root), toPEM(self.leaf))
        for path in (one, two, Path(one)):
            ClientTLS(ClientOptions(trustRoots=path))

    def test_objects(self) -> None:
        """What Twisted takes is taken as it is."""
        ClientTLS(ClientOptions(trustRoots=Certificate.loadPEM(toPEM(self.root))))

    def test_refused(self) -> None:
        """A file that is not there or holds no certificate."""
        self.assertIn("cannot read", self.refused("trustRoots", "/nowhere/x.pem"))
        self.assertIn("neither a path", self.refused("trustRoots", ["roots.pem"]))
        path = self.write("key.pem", keyToPEM(self.key))
        self.assertIn("no certificate", self.refused("trustRoots", path))


class CertificateTests(FilesCase):
    """``clientCertificate``."""

    def read(self, value: object) -> dict[str, Any]:
        """Give what CertificateOptions is to be given."""
        found = ClientTLS(ClientOptions(clientCertificate=value))
        return found._certificate

    def test_forms(self) -> None:
        """One file with all, two files, or Twisted's own object."""
        everything = self.write(
            "all.pem", toPEM(self.leaf), toPEM(self.root), keyToPEM(self.key)
        )
        certificate = self.write("certificate.pem", toPEM(self.leaf))
        key = self.write("key.pem", keyToPEM(self.key))
        own = PrivateCertificate.fromCertificateAndKeyPair(
            Certificate.loadPEM(toPEM(self.leaf)),
            KeyPair(PKey.from_cryptography_key(self.key)),
        )
        for value, chain in ((everything, 1), ((certificate, key), 0), (own, 0)):
            found = self.read(value)
            self.assertEqual(len(found["extraCertChain"]), chain)
            self.assertIn("privateKey", found)
        self.assertEqual(ClientTLS(ClientOptions())._certificate, {})

    def test_refused(self) -> None:
        """What is none, or does not belong together."""
        name = "clientCertificate"
        certificate = self.write("certificate.pem", toPEM(self.leaf))
        other = self.write("other.pem", keyToPEM(makeKey()))
        self.assertIn("cannot read", self.refused(name, "/nowhere/x.pem"))
        self.assertIn("no private key", self.refused(name, certificate))
        self.assertIn("pair of paths", self.refused(name, certificate))
        self.assertIn("belong", self.refused(name, (certificate, other)))
        for value in (1, ("a",), (1, 2), ("a", "b", "c")):
            self.assertIn("neither", self.refused(name, value))

    def test_tooWeak(self) -> None:
        """A certificate that OpenSSL refuses."""
        key = makeKey("rsa1024")
        path = self.write(
            "weak.pem", toPEM(makeCertificate("client", key)), keyToPEM(key)
        )

        def context(_: object) -> SSL.Context:
            made = SSL.Context(SSL.TLS_CLIENT_METHOD)
            made.set_cipher_list(b"ALL:@SECLEVEL=2")
            return made

        class Patched:
            Context = staticmethod(context)
            TLS_CLIENT_METHOD = SSL.TLS_CLIENT_METHOD
            Error = SSL.Error

        self.patch(clienttls, "SSL", Patched)
        self.assertIn("OpenSSL refuses", self.refused("clientCertificate", path))


class FailureTests(SynchronousTestCase):
    """``tlsFailure``."""

    def test_kinds(self) -> None:
        """Names, chains, other trouble in TLS, and what is none."""
        for error, kind, words in (
            (VerificationError(errors=[]), CertificateRefused, "not for h"),
            (
                SSL.Error([("SSL routines", "", "certificate verify failed")]),
                CertificateRefused,
                "trustRoots",
            ),
            (SSL.Error([("x", "", "wrong version number")]), TLSFailed, "plaintext"),
        ):
            found = tlsFailure(Failure(error), "h")
            self.assertIs(type(found), kind)
            self.assertIn(words, str(found))
            assert found is not None
            self.assertIs(found.__cause__, error)
        self.assertIsNone(tlsFailure(Failure(ConnectionLost()), "h"))


class WrapTests(SynchronousTestCase):
    """``ClientTLS.wrap``."""

    def test_wrap(self) -> None:
        """TLS goes on top of whatever the endpoint connects, and begins at once."""
        reactor = MemoryReactorClock()
        endpoint = TCP4ClientEndpoint(reactor, "192.0.2.1", 443)
        tls = ClientTLS(ClientOptions())
        for trusted in (True, False):
            tls.wrap(endpoint, "example.com", trusted).connect(
                Factory.forProtocol(Protocol)
            )
            factory: Any = reactor.tcpClients[-1][2]
            transport = StringTransport()
            factory.buildProtocol(None).makeConnection(transport)
            # A ClientHello, with the name in it.
            self.assertEqual(transport.value()[:1], b"\x16")
            self.assertIn(b"example.com", transport.value())


class UnverifiedTests(SynchronousTestCase):
    """``dangerouslyDisableCertificateVerification``."""

    def test_C05_warning(self) -> None:
        """Each connection is warned of; SNI is sent all the same, but no address."""
        options = ClientOptions(dangerouslyDisableCertificateVerification=True)
        tls = ClientTLS(options)
        for host, name in (("example.com", b"example.com"), ("::1", None)):
            with logged() as lines:
                creator = tls._makeCreator(host, {})
            self.assertEqual(len(lines), 1)
            self.assertIn(host, lines[0])
            self.assertIn("not verified", lines[0])
            anyone: Any = None
            made = creator.clientConnectionForTLS(anyone)
            self.assertEqual(made.get_servername(), name)
            self.assertIsInstance(made, SSL.Connection)

    def test_verifiedIsSilent(self) -> None:
        """Nothing is logged where the certificate is verified."""
        with logged() as lines:
            ClientTLS(ClientOptions())._makeCreator("example.com", {})
        self.assertEqual(lines, [])
