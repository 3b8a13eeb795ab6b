"""Who may come in: decided in the opening handshake, before there is a connection.

Programs come with HTTP Basic and get a cookie; browsers come with that cookie::

    twistd -n websocket --protocol docs.examples.authentication.Door
"""

import binascii
from base64 import b64decode
from hashlib import sha256
from hmac import compare_digest
from http.cookies import CookieError, SimpleCookie
from secrets import token_bytes, token_urlsafe

from twisted.internet import reactor
from twisted.internet.task import deferLater

from twisted_ws import HandshakeRejected, Request, WebSocketProtocol

COOKIE = "session"
PAGE_TO_LOG_IN = "https://example.com/login"

# For an example. A real service keeps slow, salted hashes (argon2, scrypt) elsewhere.
_PASSWORDS = {"ada": sha256(b"correct horse").digest()}
# What nobody's password hashes to: unknown users are compared with it.
_NOBODY = token_bytes(32)


class Greeting(WebSocketProtocol):
    """Says who it takes its visitor for.

    :param user: the name
    """

    def __init__(self, user: str) -> None:
        self.user = user

    def negotiationFinished(self) -> None:
        """The connection is open."""
        self.transport.sendTextMessage(f"Welcome, {self.user}")


class Door:
    """Lets in those who have a cookie or know a password."""

    def __init__(self) -> None:
        self.isUnderRepair = False
        self._sessions: dict[bytes, str] = {}

    async def buildProtocol(self, request: Request) -> Greeting:
        """Decide on a request; no other connection waits while this awaits."""
        if self.isUnderRepair:
            raise HandshakeRejected(503, {"Retry-After": "120"})
        user = await self.findSession(readCookie(request))
        if user is not None:
            return Greeting(user)
        authorization = request.headers.get("Authorization")
        if authorization is not None:
            user = checkPassword(authorization)
            if user is not None:
                self.giveCookie(request, user)
                return Greeting(user)
        elif request.origin is not None:
            # A page cannot set Authorization. Nor does it follow this redirection, but
            # it shows in the browser's console where to go.
            raise HandshakeRejected(302, {"Location": PAGE_TO_LOG_IN})
        raise HandshakeRejected(
            401, {"WWW-Authenticate": 'Basic realm="example", charset="UTF-8"'}
        )

    async def findSession(self, token: str) -> str | None:
        """Look a session up, as if a database had to be asked."""
        await deferLater(reactor, 0.01)
        # By its hash, so that the time this takes tells nothing about other tokens.
        return self._sessions.get(sha256(token.encode()).digest())

    def giveCookie(self, request: Request, user: str) -> None:
        """Begin a session; its cookie goes out with the 101."""
        token = token_urlsafe(32)
        self._sessions[sha256(token.encode()).digest()] = user
        cookie = f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict"
        if request.secure:
            cookie += "; Secure"
        request.responseHeaders.add("Set-Cookie", cookie)


def readCookie(request: Request) -> str:
    """Give the session's token, or nothing."""
    try:
        cookies = SimpleCookie(request.headers.get("Cookie", ""))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def checkPassword(authorization: str) -> str | None:
    """Give the user whom a Basic Authorization header proves, or None."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, password = b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    # One comparison in constant time, whether there is such a user or not.
    given = sha256(password.encode()).digest()
    if compare_digest(given, _PASSWORDS.get(name, _NOBODY)):
        return name
    return None
