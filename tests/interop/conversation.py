"""What a server and a client say to each other, and what each must tell of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import keyToPEM, makeCertificate, makeKey, toPEM

from .programs import OURS, Implementation, Program, ProgramFailed
from .relay import Relay

__all__ = ["VARIANTS", "Certificate", "Outcome", "Variant", "runPair"]

KIB = 1024
MIB = 1024 * KIB

SUBPROTOCOL = "second.example"
OFFERED = ("first.example", SUBPROTOCOL)

TEXTS = ("hello", "sm\u00f8rrebr\u00f8d \u6f22\u5b57 \U0001f600", "")
BINARIES = (bytes(range(256)), b"\0", b"")
# What most take at most, by default. Nothing of the first can be compressed; trying to
# makes it longer, and websockets holds the limit against the compressed size, too.
LARGE_BINARY = random.Random(6455).randbytes(MIB - 16 * KIB)
LARGE_TEXT = ("0123456789abcdef" * MIB)[:MIB]
TEXT_PARTS = ("frag", "", "ment\u00e9d ", "\U0001f600")
BINARY_PARTS = (b"\x00\x01", b"\xff" * 200, b"", b"end")
PING = b"anyone there?"
CLIENT_CLOSES = (4001, "the client has enough")
SERVER_CLOSES = (4002, "the server says au revoir, \u00e0 bient\u00f4t")


@dataclass(frozen=True)
class Variant:
    """What a conversation goes over.

    :ivar name: for people.
    :ivar secure: whether TLS.
    :ivar compressed: whether both are to compress, if they can.
    """

    name: str
    secure: bool
    compressed: bool


VARIANTS = (
    Variant("ws", secure=False, compressed=False),
    Variant("wss", secure=True, compressed=False),
    Variant("ws, compressed", secure=False, compressed=True),
    Variant("wss, compressed", secure=True, compressed=True),
)


class Certificate:
    """A certificate for ``localhost``, and the only authority that vouches for it.

    :param directory: where its files go
    """

    def __init__(self, directory: Path) -> None:
        authorityKey, key = makeKey(), makeKey()
        authority = makeCertificate("authority.example", authorityKey, ca=True)
        certificate = makeCertificate("localhost", key, (authority, authorityKey))
        self.path = directory / "server.pem"
        """The certificate and its key."""
        self.path.write_bytes(toPEM(certificate) + keyToPEM(key))
        self.authority = directory / "authority.pem"
        """Who is to be trusted."""
        self.authority.write_bytes(toPEM(authority))


@dataclass(frozen=True)
class Outcome:
    """How a conversation went.

    :ivar variant: which.
    :ivar problem: what went wrong, None for nothing.
    :ivar compressed: whether both had agreed on compression.
    """

    variant: Variant
    problem: str | None
    compressed: bool


def runPair(
    peer: Implementation, oursServes: bool, certificate: Certificate
) -> tuple[str, frozenset[str], list[Outcome]]:
    """Have an implementation talk to ours, in every variant.

    :param peer: the other one
    :param oursServes: whether ours is the server
    :param certificate: for TLS
    :returns: its version, its abilities, and how each variant went
    """
    with Program(peer) as other, Program(OURS) as ours:
        server, client = (ours, other) if oursServes else (other, ours)
        outcomes = []
        for variant in VARIANTS:
            conversation = Conversation(server, client, variant, certificate)
            problem = None
            try:
                conversation.hold()
                if ours.errors:
                    # Our side logs nothing but what should not happen.
                    problem = f"ours said: {ours.errors}"
            except ProgramFailed as error:
                problem = f"{conversation.subject}: {error}"
            outcomes.append(Outcome(variant, problem, conversation.compressed))
            if problem is not None:
                # The programs may not be of one mind any more.
                break
        return other.version, other.abilities, outcomes


class Conversation:
    """One conversation.

    :param server: one side
    :param client: the other
    :param variant: what it goes over
    :param certificate: for TLS
    """

    def __init__(
        self,
        server: Program,
        client: Program,
        variant: Variant,
        certificate: Certificate,
    ) -> None:
        self.server = server
        self.client = client
        self.variant = variant
        self.certificate = certificate
        self.subject = ""
        """What it is about just now."""
        self.compressed = variant.compressed and self._bothCan("compression")
        """Whether compression must be agreed on."""

    def _bothCan(self, ability: str) -> bool:
        return ability in self.server.abilities & self.client.abilities

    def hold(self) -> None:
        """Hold it.

        :raises ProgramFailed: something is not as it must be
        """
        self.subject = "listening"
        secure, compressed = self.variant.secure, self.variant.compressed
        self.server.do(
            "listen",
            certificate=str(self.certificate.path) if secure else None,
            compressed=compressed,
            subprotocols=[SUBPROTOCOL],
        )
        port = self.server.expect("listening")["port"]
        with Relay(port) as relay:
            with self._connection(relay, OFFERED):
                self._talk(relay)
                self._close(self.client, self.server, *CLIENT_CLOSES)
            with self._connection(relay, ()):
                self._close(self.server, self.client, *SERVER_CLOSES)

    @contextmanager
    def _connection(self, relay: Relay, offered: tuple[str, ...]) -> Iterator[None]:
        self.subject = "opening"
        secure = self.variant.secure
        self.client.do(
            "connect",
            url=f"{'wss' if secure else 'ws'}://localhost:{relay.port}/",
            trusted=str(self.certificate.authority) if secure else None,
            compressed=self.variant.compressed,
            subprotocols=offered if self._bothCan("subprotocols") else (),
        )
        agreed = SUBPROTOCOL if offered and self._bothCan("subprotocols") else None
        for side in (self.client, self.server):
            side.expect("open", subprotocol=agreed, compressed=self.compressed)
        yield

    def _talk(self, relay: Relay) -> None:
        for sender, receiver in (
            (self.client, self.server),
            (self.server, self.client),
        ):
            name = f"from {sender.name} to {receiver.name}"
            self.subject = f"text {name}"
            for text in TEXTS:
                self._send(sender, receiver, "text", text.encode())
            self.subject = f"binary {name}"
            for data in BINARIES:
                self._send(sender, receiver, "binary", data)
            self.subject = f"1 MiB of binary {name}"
            self._send(sender, receiver, "binary", LARGE_BINARY)
            self.subject = f"1 MiB of text {name}"
            before = relay.toServer + relay.toClient
            self._send(sender, receiver, "text", LARGE_TEXT.encode())
            taken = relay.toServer + relay.toClient - before
            if (taken < MIB // 8) != self.compressed:
                wanted = "less" if self.compressed else "more"
                raise ProgramFailed(f"it took {taken} bytes, which should be {wanted}")
            if "fragments" in sender.abilities:
                self.subject = f"fragments {name}"
                parts = [each.encode() for each in TEXT_PARTS]
                sender.do("fragments", text=True, parts=parts)
                receiver.expect("text", data=b"".join(parts))
                sender.do("fragments", text=False, parts=BINARY_PARTS)
                receiver.expect("binary", data=b"".join(BINARY_PARTS))
            self.subject = f"ping {name}"
            sender.do("ping", data=PING)
            sender.expect("pong", data=PING)

    def _send(self, sender: Program, receiver: Program, kind: str, data: bytes) -> None:
        sender.do(kind, data=data)
        receiver.expect(kind, data=data)

    def _close(self, closing: Program, other: Program, code: int, reason: str) -> None:
        self.subject = f"closing by {closing.name}"
        closing.do("close", code=code, reason=reason)
        told = other.expect("closed")
        if "seesClose" in other.abilities:
            expected = (code, reason if "reason" in closing.abilities else "")
            if (told["code"], told["reason"]) != expected:
                raise ProgramFailed(
                    f"{other.name} told {told['code']}, {told['reason']!r}"
                )
        answered = closing.expect("closed")
        # To answer with the same code and reason is nobody's duty (RFC 6455 section
        # 5.5.1), and some always answer with 1000.
        if "seesClose" in closing.abilities and answered["code"] not in (code, 1000):
            raise ProgramFailed(f"{closing.name} told {answered['code']}")
