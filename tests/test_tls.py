"""TLS contexts, files of certificates, and the endpoint with TLS on top."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from tests.certificates import keyToPEM, makeCertificate, makeKey, toPEM
from tests.processes import removeDirectory
from twisted_ws import tls
from twisted_ws.errors import TLSConfigurationError
from twisted_ws.tls import (
    TLSServerEndpoint,
    fingerprint,
    isSecure,
    loadContext,
    peerCertificate,
    selfSignedContext,
)
from twisted_ws.tlstransport import QuickTLSProtocol


def move(one: SSL.Connection, other: SSL.Connection) -> bool:
    """Carry what one end has to say to the other; tell whether it was anything."""
    moved = False
    while True:
        try:
            data = one.bio_read(65536)
        except SSL.WantReadError:
            return moved
        other.bio_write(data)
        moved = True


def shakeHands(client: SSL.Connection, server: SSL.Connection) -> None:
    """Do a TLS handshake in memory.

    :raises SSL.Error: one of them refuses
    """
    done = {client: False, server: False}
    for _ in range(20):
        for one, other in ((client, server), (server, client)):
            try:
                one.do_handshake()
                done[one] = True
            except SSL.WantReadError:
                pass
            finally:
                move(one, other)
        if all(done.values()):
            return
    raise AssertionError("the handshake does not end")


def clientFor(change: Any = None) -> SSL.Connection:
    """Make a client that trusts everyone.

    :param change: is called with its context
    """
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if change is not None:
        change(context)
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    return connection


def serverFor(context: SSL.Context) -> SSL.Connection:
    """Make the server's end."""
    connection = SSL.Connection(context, None)
    connection.set_accept_state()
    return connection


def chainFrom(context: SSL.Context) -> list[bytes]:
    """Give the certificates, in DER form, that a server with a context sends."""
    client = clientFor()
    shakeHands(client, serverFor(context))
    sent: list[X509] = client.get_peer_cert_chain() or []
    return [each.to_cryptography().public_bytes(Encoding.DER) for each in sent]


def validity(certificate: x509.Certificate) -> list[datetime.datetime]:
    """Give the times from and to which a certificate is valid."""
    utc = datetime.timezone.utc
    if hasattr(certificate, "not_valid_before_utc"):
        return [certificate.not_valid_before_utc, certificate.not_valid_after_utc]
    # cryptography before 42.
    naive = [certificate.not_valid_before, certificate.not_valid_after]
    return [each.replace(tzinfo=utc) for each in naive]


class FilesCase(SynchronousTestCase):
    """A directory, and what is needed to fill it."""

    def setUp(self) -> None:
        """Make a root, an intermediate and a leaf."""
        self.directory = tempfile.mkdtemp(prefix="twisted_ws-")
        self.addCleanup(removeDirectory, self.directory)
        rootKey, middleKey, self.key = makeKey(), makeKey(), makeKey()
        self.root = makeCertificate("root", rootKey, ca=True)
        self.middle = makeCertificate("middle", middleKey, (self.root, rootKey), True)
        self.leaf = makeCertificate("example.com", self.key, (self.middle, middleKey))

    def write(self, name: str, *parts: bytes) -> str:
        """Write a file and give its path."""
        path = os.path.join(self.directory, name)
        Path(path).write_bytes(b"".join(parts))
        return path

    def refused(self, certificate: str, privateKey: str | None = None) -> str:
        """Give the words with which files are refused."""
        with self.assertRaises(TLSConfigurationError) as caught:
            loadContext(certificate, privateKey)
        error = caught.exception
        self.assertIn(error.argument, ("certificate", "private-key"))
        self.assertNotIn("\n", str(error))
        return str(error)


class FileTests(FilesCase):
    """Certificates and keys from files."""

    def test_fullChainIsSent(self) -> None:
        """A file with the whole chain: all of it is sent, in its order."""
        chain = [self.leaf, self.middle, self.root]
        path = self.write("fullchain.pem", *map(toPEM, chain))
        context = loadContext(path, self.write("key.pem", keyToPEM(self.key)))
        self.assertEqual(
            chainFrom(context), [each.public_bytes(Encoding.DER) for each in chain]
        )

    def test_keyInTheSameFile(self) -> None:
        """One file with everything, the key first, last or between; other text in it
        does not matter."""
        key = keyToPEM(self.key)
        leaf, middle = toPEM(self.leaf), toPEM(self.middle)
        for parts in (
            (key, leaf, middle),
            (leaf, middle, key),
            (leaf, key, middle),
            (b"Bag Attributes\n  friendlyName: x\n", leaf, b"# and\n", key, middle),
            (leaf.replace(b"\n", b"\r\n"), key.replace(b"\n", b"\r\n"), middle),
        ):
            context = loadContext(self.write("all.pem", *parts))
            self.assertEqual(len(chainFrom(context)), 2)

    def test_kindsOfKeys(self) -> None:
        """EC and RSA keys, in both forms in which files have them."""
        for kind in ("ec", "rsa"):
            key = makeKey(kind)
            certificate = toPEM(makeCertificate("example.com", key))
            for traditional in (False, True):
                pem = keyToPEM(key, traditional=traditional)
                path = self.write("one.pem", pem, certificate)
                self.assertEqual(len(chainFrom(loadContext(path))), 1)

    def test_parametersBeforeTheKey(self) -> None:
        """What ``openssl ecparam -genkey`` writes before a key is passed over."""
        parameters = (
            b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
            b"-----END EC PARAMETERS-----\n"
        )
        key = parameters + keyToPEM(self.key, traditional=True)
        loadContext(self.write("c.pem", toPEM(self.leaf)), self.write("k.pem", key))

    def test_unreadable(self) -> None:
        """A file that is not there, a directory: which option, which file, why."""
        there = self.write("there.pem", toPEM(self.leaf))
        missing = os.path.join(self.directory, "missing.pem")
        self.assertEqual(
            self.refused(missing, there),
            f"certificate: cannot read {missing}: no such file or directory",
        )
        self.assertEqual(
            self.refused(there, missing),
            f"private-key: cannot read {missing}: no such file or directory",
        )
        self.assertEqual(
            self.refused(self.directory),
            f"certificate: cannot read {self.directory}: is a directory",
        )

    def test_noCertificate(self) -> None:
        """A file that is empty, garbage, in DER form, broken, or only a key."""
        key = self.write("key.pem", keyToPEM(self.key))
        leaf = toPEM(self.leaf)
        for name, content in (
            ("empty", b""),
            ("garbage", bytes(range(256))),
            ("der", self.leaf.public_bytes(Encoding.DER)),
            ("cut", leaf[:200]),
            ("broken", leaf.replace(b"MI", b"!!", 1)),
            ("wrong", leaf[:40] + leaf[44:]),
            ("key", keyToPEM(self.key)),
        ):
            path = self.write(name, content)
            message = self.refused(path, key)
            self.assertTrue(message.startswith("certificate: "), message)
            self.assertIn(path, message)
            self.assertIn("certificate in PEM form", message)

    def test_noKey(self) -> None:
        """A file without a key; where there is only the certificate's file, the message
        says which option names another."""
        leaf = self.write("leaf.pem", toPEM(self.leaf))
        message = self.refused(leaf)
        self.assertTrue(message.startswith("certificate: "), message)
        self.assertIn("no private key", message)
        self.assertIn("--private-key", message)
        for name, content in (
            ("empty", b""),
            ("garbage", bytes(range(256))),
            ("certificate", toPEM(self.leaf)),
            ("cut", keyToPEM(self.key)[:80]),
        ):
            path = self.write(name, content)
            message = self.refused(leaf, path)
            self.assertTrue(message.startswith("private-key: "), message)
            self.assertIn(f"{path} holds no private key", message)

    def test_brokenKey(self) -> None:
        """A key whose inside is no key."""
        leaf = self.write("leaf.pem", toPEM(self.leaf))
        pem = keyToPEM(self.key).splitlines()
        broken = self.write("k.pem", b"\n".join([pem[0], b"AAAA", pem[-1], b""]))
        self.assertIn(f"key in {broken} cannot be used", self.refused(leaf, broken))

    def test_encryptedKey(self) -> None:
        """A key with a passphrase, in both forms: how to take it off."""
        leaf = self.write("leaf.pem", toPEM(self.leaf))
        for traditional in (False, True):
            pem = keyToPEM(self.key, b"secret", traditional)
            path = self.write("key.pem", pem)
            message = self.refused(leaf, path)
            self.assertIn(f"{path} is encrypted", message)
            self.assertIn("openssl pkey", message)

    def test_keyOfAnother(self) -> None:
        """A key that is not the certificate's, of the same kind or another."""
        leaf = self.write("leaf.pem", toPEM(self.leaf))
        for key in (makeKey(), makeKey("rsa"), x25519.X25519PrivateKey.generate()):
            path = self.write("key.pem", keyToPEM(key))
            message = self.refused(leaf, path)
            self.assertTrue(message.startswith("private-key: "), message)
            self.assertIn("does not belong to the first certificate", message)

    def test_chainInTheWrongOrder(self) -> None:
        """The leaf must be first; otherwise the key does not fit, and the message says
        that it is held against the first."""
        path = self.write("c.pem", *map(toPEM, (self.middle, self.leaf)))
        message = self.refused(path, self.write("k.pem", keyToPEM(self.key)))
        self.assertIn("first certificate", message)

    def test_weakCertificate(self) -> None:
        """A certificate that OpenSSL will not use, for its key is too small: a message,
        not a traceback."""
        key = makeKey("rsa1024")
        path = self.write(
            "weak.pem", toPEM(makeCertificate("example.com", key)), keyToPEM(key)
        )
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_cipher_list(b"ALL:@SECLEVEL=2")
        self.patch(tls, "_makeContext", lambda: context)
        message = self.refused(path)
        self.assertTrue(message.startswith("certificate: OpenSSL refuses"), message)
        self.assertIn("too small", message)

    def test_olderPyOpenSSL(self) -> None:
        """What takes only pyOpenSSL's own classes gets them."""
        taken = []

        def use(thing: object) -> None:
            if not isinstance(thing, str):
                raise TypeError("must be a str")
            taken.append(thing)

        tls.handOver(use, 1, str)
        self.assertEqual(taken, ["1"])


class SettingsTests(FilesCase):
    """What a context lets through (THREATS S01)."""

    def contexts(self) -> list[SSL.Context]:
        """Give a context from files, and a self-signed one."""
        path = self.write("all.pem", toPEM(self.leaf), keyToPEM(self.key))
        return [loadContext(path), selfSignedContext()[0]]

    def test_S01_oldVersions(self) -> None:
        """TLS 1.1 and older are refused; 1.2 and 1.3 are spoken."""
        for context in self.contexts():
            for version, spoken in (
                (SSL.TLS1_VERSION, None),
                (SSL.TLS1_1_VERSION, None),
                (SSL.TLS1_2_VERSION, "TLSv1.2"),
                (SSL.TLS1_3_VERSION, "TLSv1.3"),
            ):

                def only(client: SSL.Context, version: int = version) -> None:
                    client.set_cipher_list(b"ALL:@SECLEVEL=0")
                    client.set_min_proto_version(version)
                    client.set_max_proto_version(version)

                client, server = clientFor(only), serverFor(context)
                if spoken is None:
                    with self.assertRaises(SSL.Error):
                        shakeHands(client, server)
                else:
                    shakeHands(client, server)
                    self.assertEqual(client.get_protocol_version_name(), spoken)

    def test_S01_weakCiphers(self) -> None:
        """Ciphers without forward secrecy, or that are no AEAD, are refused."""
        for cipher in (b"AES128-GCM-SHA256", b"ECDHE-RSA-AES128-SHA", b"AES256-SHA"):
            key = makeKey("rsa")
            pem = toPEM(makeCertificate("example.com", key)) + keyToPEM(key)
            context = loadContext(self.write("rsa.pem", pem))

            def only(client: SSL.Context, cipher: bytes = cipher) -> None:
                client.set_cipher_list(cipher)
                client.set_max_proto_version(SSL.TLS1_2_VERSION)

            with self.assertRaises(SSL.Error):
                shakeHands(clientFor(only), serverFor(context))

    def test_S01_compression(self) -> None:
        """Compression is off, whatever OpenSSL was built with."""
        for context in self.contexts():
            # Setting none tells which ones are set.
            self.assertTrue(context.set_options(0) & SSL.OP_NO_COMPRESSION)

    def test_S01_renegotiation(self) -> None:
        """A client that asks for a new handshake on a TLS 1.2 connection is refused,
        and nothing is negotiated anew."""

        def old(client: SSL.Context) -> None:
            client.set_max_proto_version(SSL.TLS1_2_VERSION)

        for context in self.contexts():
            client, server = clientFor(old), serverFor(context)
            shakeHands(client, server)
            self.assertTrue(client.renegotiate())
            with self.assertRaises(SSL.Error) as caught:
                for _ in range(5):
                    with contextlib.suppress(SSL.WantReadError):
                        client.do_handshake()
                    move(client, server)
                    with contextlib.suppress(SSL.WantReadError):
                        server.recv(10)
                    move(server, client)
            self.assertIn("no renegotiation", str(caught.exception))
            self.assertEqual(server.total_renegotiations(), 0)

    def test_alpn(self) -> None:
        """HTTP/1.1 is agreed when a client offers it by ALPN; one that offers other
        protocols only, or none, is served all the same."""
        for context in self.contexts():
            for offered, agreed in (
                ([b"h2", b"http/1.1"], b"http/1.1"),
                ([b"h2"], b""),
                (None, b""),
            ):

                def offer(client: SSL.Context, names: Any = offered) -> None:
                    if names is not None:
                        client.set_alpn_protos(names)

                client = clientFor(offer)
                shakeHands(client, serverFor(context))
                self.assertEqual(client.get_alpn_proto_negotiated(), agreed)


class SelfSignedTests(SynchronousTestCase):
    """The certificate that is made at start."""

    def test_properties(self) -> None:
        """It is for localhost and the loopback addresses, for servers, no authority,
        signed with itself and SHA-256, and valid now and for a year at most."""
        context, certificate = selfSignedContext()
        extensions = certificate.extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(names.get_values_for_type(x509.DNSName), ["localhost"])
        self.assertEqual(
            [str(each) for each in names.get_values_for_type(x509.IPAddress)],
            ["127.0.0.1", "::1"],
        )
        basic = extensions.get_extension_for_class(x509.BasicConstraints)
        self.assertTrue(basic.critical)
        self.assertFalse(basic.value.ca)
        usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        self.assertEqual(list(usage), [ExtendedKeyUsageOID.SERVER_AUTH])
        certificate.verify_directly_issued_by(certificate)
        algorithm = certificate.signature_hash_algorithm
        self.assertEqual(algorithm and algorithm.name, "sha256")
        self.assertIsInstance(certificate.public_key(), ec.EllipticCurvePublicKey)
        now = datetime.datetime.now(datetime.timezone.utc)
        start, end = validity(certificate)
        self.assertTrue(start < now < end)
        self.assertLessEqual(end - now, datetime.timedelta(days=366))
        self.assertEqual(chainFrom(context), [certificate.public_bytes(Encoding.DER)])

    def test_fresh(self) -> None:
        """Each one has a key and a number of its own."""
        one, other = selfSignedContext()[1], selfSignedContext()[1]
        self.assertNotEqual(one.serial_number, other.serial_number)
        self.assertNotEqual(one.public_key(), other.public_key())

    def test_fingerprint(self) -> None:
        """The fingerprint is the SHA-256 of the DER form, as browsers write it."""
        certificate = selfSignedContext()[1]
        shown = fingerprint(certificate)
        self.assertRegex(shown, r"\A([0-9A-F]{2}:){31}[0-9A-F]{2}\Z")
        digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
        self.assertEqual(shown.replace(":", "").lower(), digest)


class EndpointTests(SynchronousTestCase):
    """TLS on top of another endpoint."""

    def test_listen(self) -> None:
        """The other endpoint listens; a connection speaks TLS, and what is decrypted
        goes to the factory's protocol, whose transport is secure."""
        context, certificate = selfSignedContext()
        reactor = MemoryReactorClock()
        endpoint = TLSServerEndpoint(TCP4ServerEndpoint(reactor, 443), context)
        got: list[bytes] = []
        made: list[Protocol] = []

        class Keeping(Protocol):
            def connectionMade(self) -> None:
                made.append(self)

            def dataReceived(self, data: bytes) -> None:
                got.append(data)

        port = self.successResultOf(endpoint.listen(Factory.forProtocol(Keeping)))
        self.assertIsNotNone(port)
        ((number, factory, _, _),) = reactor.tcpServers
        self.assertEqual(number, 443)
        self.assertIsInstance(factory, TLSMemoryBIOFactory)
        protocol: Any = factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 5))
        transport = StringTransport()
        protocol.makeConnection(transport)
        client = clientFor()
        for _ in range(4):
            with contextlib.suppress(SSL.WantReadError):
                client.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                protocol.dataReceived(client.bio_read(65536))
            if transport.value():
                client.bio_write(transport.value())
                transport.clear()
        client.send(b"hello")
        protocol.dataReceived(client.bio_read(65536))
        self.assertEqual(got, [b"hello"])
        self.assertTrue(isSecure(made[0].transport))
        self.assertIsNone(peerCertificate(made[0].transport))
        shown = client.get_peer_certificate()
        assert shown is not None
        self.assertEqual(shown.to_cryptography(), certificate)

    def test_fast(self) -> None:
        """Data takes the short way, unless that is not wanted."""
        context, _ = selfSignedContext()
        for arguments, expected in (
            ({}, QuickTLSProtocol),
            ({"fast": True}, QuickTLSProtocol),
            ({"fast": False}, TLSMemoryBIOFactory.protocol),
        ):
            reactor = MemoryReactorClock()
            below = TCP4ServerEndpoint(reactor, 443)
            endpoint = TLSServerEndpoint(below, context, **arguments)
            endpoint.listen(Factory.forProtocol(Protocol))
            ((_, factory, _, _),) = reactor.tcpServers
            self.assertIsInstance(factory, TLSMemoryBIOFactory)
            self.assertIs(getattr(factory, "protocol", None), expected)

    def test_plaintextIsNotSecure(self) -> None:
        """A transport without TLS is not secure, and has no peer's certificate."""
        self.assertFalse(isSecure(StringTransport()))
        self.assertIsNone(peerCertificate(StringTransport()))
