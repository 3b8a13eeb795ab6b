"""A handler for those who were let in: who they are is found out before the 101.

Run it with ``twistd -n websocket --protocol docs.examples.members.Members``, and
connect to ``/?token=secret-of-ada``.
"""

import hmac

from twisted_ws import HandlerProtocol, HandshakeRejected, Request, WebSocket

TOKENS = {"ada": "secret-of-ada", "grace": "secret-of-grace"}


async def findUser(token: str) -> str | None:
    """Look a token up; here one could await a database."""
    found = None
    for user, known in TOKENS.items():
        if hmac.compare_digest(token.encode(), known.encode()):
            found = user
    return found


async def greet(webSocket: WebSocket, user: str) -> None:
    async for message in webSocket:
        if isinstance(message, str):
            await webSocket.send(f"{user} says {message}")


class Members:
    async def buildProtocol(self, request: Request) -> HandlerProtocol:
        user = await findUser(request.query.get("token", [""])[0])
        if user is None:
            raise HandshakeRejected(401, {"WWW-Authenticate": "Bearer"})
        return HandlerProtocol(lambda webSocket: greet(webSocket, user))
