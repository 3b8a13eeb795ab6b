"""Certificates for the tests, made on the fly; nobody trusts them."""

from __future__ import annotations

import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


def makeKey(kind: str = "ec") -> Any:
    """Make a private key.

    :param kind: ``ec``, or ``rsa`` with or without its size, such as ``rsa1024``
    """
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    size = int(kind.removeprefix("rsa") or 2048)
    return rsa.generate_private_key(public_exponent=65537, key_size=size)


def makeCertificate(
    name: str,
    key: Any,
    issuer: tuple[x509.Certificate, Any] | None = None,
    ca: bool = False,
) -> x509.Certificate:
    """Make a certificate.

    :param name: whom it names
    :param key: the private key to its public one
    :param issuer: certificate and key of who signs it; None signs it with itself
    :param ca: whether it may sign others
    """
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(key if issuer is None else issuer[1], hashes.SHA256())
    )


def toPEM(certificate: x509.Certificate) -> bytes:
    """Write a certificate in PEM form.

    :param certificate: which
    """
    return certificate.public_bytes(serialization.Encoding.PEM)


def keyToPEM(
    key: Any, password: bytes | None = None, traditional: bool = False
) -> bytes:
    """Write a private key in PEM form.

    :param key: which
    :param password: encrypts it
    :param traditional: in OpenSSL's older form, which names the kind of key
    """
    form = serialization.PrivateFormat
    encryption: serialization.KeySerializationEncryption
    if password is None:
        encryption = serialization.NoEncryption()
    else:
        encryption = serialization.BestAvailableEncryption(password)
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        form.TraditionalOpenSSL if traditional else form.PKCS8,
        encryption,
    )
    return pem
