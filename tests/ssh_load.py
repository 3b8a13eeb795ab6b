"""SSH's part of :mod:`tests.stream_load`, apart because it needs ``twisted.conch``."""

# Much of Twisted has no types, and its subclasses neither.
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519
from twisted.conch.avatar import ConchUser
from twisted.conch.ssh import (
    channel,
    connection,
    factory,
    keys,
    transport,
    userauth,
)
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from tests import stream_load

_USER, _PASSWORD = b"me", b"secret"
_KIND = b"digest@example.com"


class DigestChannel(channel.SSHChannel):
    """The server's: answers with the digest of what came, at its end."""

    conn: Any
    name = _KIND

    def channelOpen(self, specificData: bytes) -> None:
        """Begin."""
        self.check = stream_load.Check(lambda: self.conn.transport.transport)

    def dataReceived(self, data: bytes) -> None:
        """Take some."""
        self.check.take(data)

    def eofReceived(self) -> None:
        """Answer."""
        self.write(self.check.digest)
        self.loseConnection()


class _Realm:
    """Lets users open such channels."""

    def requestAvatar(self, avatarId: object, mind: object, *interfaces: Any) -> Any:
        """Give a user."""
        user: Any = ConchUser()
        user.channelLookup[_KIND] = DigestChannel
        return interfaces[0], user, lambda: None


def serverFactory(_: object) -> Factory:
    """Make the server's factory."""
    checker: Any = InMemoryUsernamePasswordDatabaseDontUse()
    checker.addUser(_USER, _PASSWORD)
    key = keys.Key(ed25519.Ed25519PrivateKey.generate())
    made: Any = factory.SSHFactory()
    made.noisy = False
    made.publicKeys = {b"ssh-ed25519": key.public()}
    made.privateKeys = {b"ssh-ed25519": key}
    made.services = {
        b"ssh-userauth": userauth.SSHUserAuthServer,
        b"ssh-connection": connection.SSHConnection,
    }
    realm: Any = _Realm()
    made.portal = Portal(realm, [checker])
    return made  # type: ignore[no-any-return]


class _SendingChannel(channel.SSHChannel):
    """The client's: sends pieces, as fast as the window allows.

    :param pieces: what to send
    :param answered: fires with the answer
    """

    conn: Any
    name = _KIND

    def __init__(
        self, pieces: Iterator[bytes], answered: Deferred[bytes], **named: Any
    ) -> None:
        super().__init__(**named)
        self._pieces = pieces
        self._answered = answered
        self._mayWrite = True
        self._answer = b""

    def channelOpen(self, specificData: bytes) -> None:
        """Begin."""
        self._send()

    def openFailed(self, reason: Any) -> None:
        """It cannot be."""
        self._answered.errback(reason)

    def startWriting(self) -> None:
        """The window has room: for what is left of the last piece, to begin with, which
        is written behind this."""
        self._mayWrite = True
        stream_load.reactor.callLater(0, self._send)

    def stopWriting(self) -> None:
        """The window is full."""
        self._mayWrite = False

    def _send(self) -> None:
        while self._mayWrite:
            piece = next(self._pieces, None)
            if piece is None:
                self._mayWrite = False
                self.conn.sendEOF(self)
            else:
                self.write(piece)

    def dataReceived(self, data: bytes) -> None:
        """The answer."""
        self._answer += data

    def closed(self) -> None:
        """The answer is whole."""
        self._answered.callback(self._answer)


class _Authentication(userauth.SSHUserAuthClient):
    """Logs in with the password."""

    def getPassword(self, prompt: object = None) -> Any:
        """Give it."""
        return succeed(_PASSWORD)

    def getPublicKey(self) -> None:
        """There is none."""


class _Connection(connection.SSHConnection):
    """Opens the channel.

    :param opened: the channel
    """

    def __init__(self, opened: _SendingChannel) -> None:
        super().__init__()
        self._opened = opened

    def serviceStarted(self) -> None:
        """Open it."""
        super().serviceStarted()
        self.openChannel(self._opened)


class Client(transport.SSHClientTransport):
    """The client.

    :param pieces: what it sends
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.answered: Deferred[bytes] = Deferred()
        """Fires with what the server answers."""
        self.ended: Deferred[None] = Deferred()
        """Fires when the connection has ended."""

    def verifyHostKey(self, hostKey: bytes, fingerprint: bytes) -> Any:
        """It is this process's own."""
        return succeed(1)

    def connectionSecure(self) -> None:
        """Log in."""
        opened = _SendingChannel(self._pieces, self.answered)
        self.requestService(_Authentication(_USER, _Connection(opened)))

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Tell."""
        super().connectionLost(reason)
        self.ended.callback(None)
