"""TLS on Twisted's memory BIOs, with less work for each message.

Twisted's own TLS costs a message two reads that end in exceptions, a delayed call that
gathers writes, and a dozen calls in Python around each call of OpenSSL. Once the
handshake is done, :class:`QuickTLSProtocol` calls OpenSSL itself:

- the application protocol gets everything that one segment brought in one piece;
- a segment that is one record is not asked for more;
- what it writes meanwhile becomes one write, and one record where it fits;
- so does what is written elsewhere in quick succession.

Handshakes, alerts, errors and the end of a connection stay with Twisted's methods. The
two share the ``OpenSSL.SSL.Connection``, so each sees what the other did.

All connections belong to one thread, that of the reactor, as with all of Twisted's
transports.

Private names of Twisted and pyOpenSSL are used. Where one of them is not there,
:func:`makeTLSFactory` gives Twisted's own.
"""

# Twisted's TLS has no annotations.
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = [
    "QuickTLSProtocol",
    "TLSClientWrapper",
    "makeTLSFactory",
    "missingNames",
]

_lib: Any = getattr(SSL, "_lib", None)
_ffi: Any = getattr(SSL, "_ffi", None)

_OF_OPENSSL = (
    "BIO_read",
    "BIO_write",
    "SSL_ERROR_WANT_READ",
    "SSL_get_error",
    "SSL_read",
    "SSL_write",
)
_OF_PYOPENSSL = ("_raise_ssl_error",)
_OF_CONNECTIONS = ("_from_ssl", "_into_ssl", "_ssl")
_OF_TWISTED = (
    "_aborted",
    "_bufferedWrite",
    "_handshakeDone",
    "_lostTLSConnection",
    "_shutdownTLS",
    "_tlsShutdownFinished",
)
_OF_PROTOCOLS = ("_appSendBuffer", "_tlsConnection")


def missingNames() -> list[str]:
    """Give the private names that are needed and not there; none where all is well."""

    def lacking(names: tuple[str, ...], *where: Any) -> Iterator[str]:
        for name in names:
            if not any(hasattr(each, name) for each in where):
                yield name

    def unset(names: tuple[str, ...], method: Any) -> Iterator[str]:
        # Attributes of instances show in the code that sets them.
        known = getattr(getattr(method, "__code__", None), "co_names", ())
        yield from (name for name in names if name not in known)

    return [
        *lacking(_OF_OPENSSL, _lib),
        *lacking(("buffer", "from_buffer", "new_allocator"), _ffi),
        *lacking(_OF_PYOPENSSL, SSL.Connection),
        *unset(_OF_CONNECTIONS, SSL.Connection.__init__),
        *lacking(_OF_TWISTED, TLSMemoryBIOProtocol),
        *unset(_OF_PROTOCOLS, TLSMemoryBIOProtocol.makeConnection),
    ]


# RFC 8446 section 5.1: what a record holds at most, and how long its header is.
_RECORD = 2**14
_HEAD = 5
# Records in one segment that are looked at, each for 0.1 µs.
_MOST_FOLLOWED = 16
# At most this much goes into a memory BIO at once, for it never gives memory back.
_SLICE = _RECORD + 2**10
_ROOM = 2**18
# Gathered writes are let go when they come to this; Twisted keeps as many.
_MOST_GATHERED = 2**16
# Seconds after a write within which another is taken as one of many.
_BURST = 0.0001

_NOTHING: list[bytes] = []

if not missingNames():
    _bioRead, _bioWrite = _lib.BIO_read, _lib.BIO_write
    _sslRead, _sslWrite = _lib.SSL_read, _lib.SSL_write
    _sslGetError, _WANT_READ = _lib.SSL_get_error, _lib.SSL_ERROR_WANT_READ
    # One for all connections of the thread that runs the reactor, as what is read into
    # it is copied out at once. Not cleared: the system gives pages of it as they are
    # used.
    _room = _ffi.new_allocator(should_clear_after_alloc=False)("char[]", _ROOM)
    _view = _ffi.buffer(_room)


class QuickTLSProtocol(TLSMemoryBIOProtocol):
    """Twisted's TLS protocol with a short way for data after the handshake.

    To its users it is as Twisted's own, with two differences: one call of
    ``dataReceived`` may bring up to what the transport reads at once, and after a
    ``pauseProducing`` in it there is none that still comes of the same segment.

    Memory: 64 KiB of gathered writes; what a segment brought, decrypted.
    """

    transport: Any

    # The pointer to OpenSSL's state while the short way is open, and its BIOs.
    _ssl: Any = None
    _into: Any = None
    _from: Any = None
    # Bytes to come until a record begins; -1 for good when that is no longer known.
    _next = 0
    # Whether the application protocol is being given data.
    _corked = False
    _gathered = _NOTHING
    _gatheredSize = 0
    _lastWrite = 0.0
    _call: IDelayedCall | None = None

    def _quicken(self) -> None:
        """Take the short way from now on, if the handshake is done."""
        connection = self._tlsConnection
        if (
            self._handshakeDone
            and not self._lostTLSConnection
            and not self._aborted
            and isinstance(connection, SSL.Connection)
        ):
            self._into, self._from = connection._into_ssl, connection._from_ssl
            self._ssl = connection._ssl

    def _slowDown(self) -> None:
        """Leave everything to Twisted from now on."""
        self._ssl = self._into = self._from = None
        self._gathered = _NOTHING
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    # Receiving

    def dataReceived(self, data: bytes) -> None:
        """Take bytes from the transport.

        :param data: any bytes
        """
        ssl = self._ssl
        size = len(data)
        single = False
        if self._next == 0 and size > _HEAD and data[3] << 8 | data[4] == size - _HEAD:
            single = True
        elif self._next >= 0:
            self._follow(data)
        if ssl is None or self._appSendBuffer:
            super().dataReceived(data)
            self._quicken()
            return
        if type(data) is bytes and size <= _SLICE:
            _bioWrite(self._into, data, size)
            got = _sslRead(ssl, _room, _ROOM)
            if got > 0:
                if single:
                    # There cannot be more. Asking would cost 1.5 µs.
                    self._deliver(_view[:got])
                    return
                total = got
                while (got := _sslRead(ssl, _room + total, _ROOM - total)) > 0:
                    total += got
                plain = _view[:total]
            else:
                plain = b""
        else:
            plain, got = self._decryptLong(ssl, data)
        if _sslGetError(ssl, got) != _WANT_READ:
            self._endReceiving(plain, self._failureOf(ssl, got))
        elif plain:
            self._deliver(plain)
        else:
            # OpenSSL may have answered by itself: a key update, for instance.
            self._flush()

    def _follow(self, data: bytes) -> None:
        """Find where the first record begins that is not whole yet.

        :param data: a segment
        """
        at = self._next
        size = len(data)
        for _ in range(_MOST_FOLLOWED):
            if at >= size:
                self._next = at - size
                return
            # Only the first message may have another form: that of SSL 2.
            if size - at < _HEAD or not (
                0x14 <= data[at] <= 0x17 and data[at + 1] == 3
            ):
                break
            at += _HEAD + (data[at + 3] << 8 | data[at + 4])
        self._next = -1

    def _decryptLong(self, ssl: Any, data: bytes) -> tuple[bytes, int]:
        """Decrypt a long segment.

        :param data: any bytes
        :returns: what is in it, and what the last call of ``SSL_read`` returned
        """
        pointer = _ffi.from_buffer(data)
        parts = []
        total = got = 0
        for start in range(0, len(data), _SLICE):
            _bioWrite(self._into, pointer + start, min(_SLICE, len(data) - start))
            while (got := _sslRead(ssl, _room + total, _ROOM - total)) > 0:
                total += got
                if _ROOM - total < _RECORD:
                    parts.append(_view[:total])
                    total = 0
            if _sslGetError(ssl, got) != _WANT_READ:
                break
        parts.append(_view[:total])
        return b"".join(parts), got

    def _deliver(self, plain: bytes) -> None:
        """Give data to the application protocol, and send what it writes meanwhile.

        :param plain: the data
        """
        outer, self._corked = self._corked, True
        try:
            self.wrappedProtocol.dataReceived(plain)
        finally:
            self._corked = outer
            if not outer:
                self._flush()

    def _endReceiving(self, plain: bytes, failure: Failure | None) -> None:
        """Nothing more comes: the peer said goodbye, or something is wrong.

        :param plain: what came before that
        :param failure: what happened
        """
        if failure is None or failure.check(SSL.ZeroReturnError):
            failure = None
        else:
            # OpenSSL sends nothing any more; what is written is to be dropped, and
            # must not pass for the cause.
            self._slowDown()
            self._lostTLSConnection = True
        if plain:
            self._deliver(plain)
        if failure is None:
            # What was written just before that is not to be lost (RFC 8446 section 6.1:
            # the other direction goes on).
            self._flush()
        if self._aborted or self._tlsConnection is None:
            return
        if failure is None:
            self._shutdownTLS()
        self._tlsShutdownFinished(failure)

    def _failureOf(self, ssl: Any, result: int) -> Failure | None:
        """Find out why OpenSSL did nothing; to be called before anything else is asked
        of it.

        :param result: what it returned
        :returns: None if it just waits for the peer
        """
        try:
            self._tlsConnection._raise_ssl_error(ssl, result)
        except SSL.WantReadError:
            pass
        except SSL.Error:
            return Failure()
        return None

    # Sending

    def write(self, data: bytes) -> None:
        """Send bytes.

        :param data: the bytes
        :raises TypeError: it is something else
        """
        if type(data) is not bytes:
            data = bytes(memoryview(data))
        if self._ssl is None or self.disconnecting or self._appSendBuffer:
            super().write(data)
            return
        if not data:
            # OpenSSL takes that for an error.
            return
        if self._corked or self._call is not None:
            self._gather(data)
            return
        now = monotonic()
        if now - self._lastWrite < _BURST:
            self._call = self._clock().callLater(0, self._burstOver)
            self._gather(data)
        else:
            self._lastWrite = now
            self._encrypt(data)

    def _clock(self) -> Any:
        """Give the reactor: the transport's, if it is one that has it."""
        reactor = getattr(self.transport, "reactor", None)
        if hasattr(reactor, "callLater"):
            return reactor
        from twisted.internet import reactor as default

        return getattr(self.factory, "_clock", default)

    def _burstOver(self) -> None:
        """The turn of the reactor is over in which much was written."""
        self._call = None
        self._flush()

    def _gather(self, data: bytes) -> None:
        if self._gathered is _NOTHING:
            self._gathered = []
            self._gatheredSize = 0
        self._gathered.append(data)
        self._gatheredSize += len(data)
        if self._gatheredSize >= _MOST_GATHERED:
            self._flush()

    def _flush(self) -> None:
        """Send what was gathered, and what OpenSSL has to say by itself."""
        gathered, self._gathered = self._gathered, _NOTHING
        if gathered:
            self._encrypt(gathered[0] if len(gathered) == 1 else b"".join(gathered))
        elif self._ssl is not None:
            self._sendOut()

    def _sendOut(self) -> None:
        """Send what OpenSSL has put out."""
        size = _bioRead(self._from, _room, _ROOM)
        # Not positive if there is nothing; as the end of a slice that would give away
        # what others left in the room.
        if size > 0:
            self.transport.write(_view[:size])

    def _encrypt(self, data: bytes) -> None:
        """Send bytes now.

        :param data: the bytes
        """
        if len(data) > _RECORD:
            self._encryptLong(data)
            return
        ssl = self._ssl
        done = _sslWrite(ssl, data, len(data))
        if done == len(data):
            self._sendOut()
        elif done > 0:
            # RFC 6066 section 4: the peer has asked for shorter records, of which one
            # is written at a time.
            self._encryptLong(data, done)
        else:
            self._notSent(data, self._failureOf(ssl, done))

    def _encryptLong(self, data: bytes, done: int = 0) -> None:
        """Send more bytes than go into one record.

        :param data: the bytes
        :param done: how many of them OpenSSL has taken before
        """
        ssl = self._ssl
        pointer = _ffi.from_buffer(data)
        parts = []
        total = 0
        failure = None
        while done < len(data):
            sent = _sslWrite(ssl, pointer + done, min(len(data) - done, _RECORD))
            if sent <= 0:
                failure = self._failureOf(ssl, sent)
                break
            done += sent
            total += max(0, _bioRead(self._from, _room + total, _ROOM - total))
            if _ROOM - total < _SLICE:
                parts.append(_view[:total])
                total = 0
        parts.append(_view[:total])
        if len(parts) > 1:
            # Not one by one: what is written in between would end up among them.
            self.transport.writeSequence(parts)
        elif total:
            self.transport.write(parts[0])
        if done < len(data):
            self._notSent(data[done:], failure)

    def _notSent(self, data: bytes, failure: Failure | None) -> None:
        """OpenSSL did not take what was to be sent.

        :param data: the rest
        :param failure: why; None if it waits for the peer, as it does when there is a
            new handshake
        """
        if failure is None:
            self._bufferedWrite(data)
            self._flush()
        else:
            self._tlsShutdownFinished(failure)

    # The end

    def loseConnection(self) -> None:
        """End the connection, behind what was written."""
        if self._gathered:
            self._flush()
        super().loseConnection()

    def abortConnection(self) -> None:
        """End the connection at once; what was gathered is dropped."""
        self._slowDown()
        super().abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The transport below is gone.

        :param reason: how
        """
        self._slowDown()
        super().connectionLost(reason)

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        self._slowDown()
        super()._tlsShutdownFinished(reason)


def makeTLSFactory(
    creator: Any, isClient: bool, wrapped: IProtocolFactory, fast: bool = True
) -> TLSMemoryBIOFactory:
    """Make a factory that puts TLS under another one's protocols.

    :param creator: makes the TLS state of each connection
    :param isClient: which end it is
    :param wrapped: makes the protocols that see the decrypted bytes
    :param fast: whether the connections are :class:`QuickTLSProtocol`, if that works
        with this Twisted and pyOpenSSL
    """
    factory = TLSMemoryBIOFactory(creator, isClient, wrapped)
    if fast and not missingNames():
        factory.protocol = QuickTLSProtocol
    return factory


@implementer(IStreamClientEndpoint)
class TLSClientWrapper:
    """Connects as another endpoint does, with TLS on top.

    :param creator: makes the TLS state of each connection
    :param endpoint: what connects
    """

    def __init__(self, creator: Any, endpoint: IStreamClientEndpoint) -> None:
        self._creator = creator
        self._endpoint = endpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """Connect.

        :param protocolFactory: makes the protocol that sees the decrypted bytes
        :returns: fires with that protocol, once the transport is there; the handshake
            of TLS may still go on
        """
        factory = makeTLSFactory(self._creator, True, protocolFactory)
        connecting: Deferred[Any] = self._endpoint.connect(factory)
        return connecting.addCallback(lambda tls: tls.wrappedProtocol)
