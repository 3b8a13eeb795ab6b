"""PyPI's ``websockets``, on asyncio."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from ..side import Side, clientContext, runAsyncio, serverContext

client: Any = importlib.import_module("websockets.asyncio.client")
server: Any = importlib.import_module("websockets.asyncio.server")
exceptions: Any = importlib.import_module("websockets.exceptions")


def compression(compressed: bool) -> str | None:
    """Say it in its words."""
    return "deflate" if compressed else None


class WebSockets(Side):
    """Its server and its client."""

    distribution = "websockets"
    abilities = ("compression", "fragments", "reason", "seesClose", "subprotocols")
    _connection: Any

    async def do_listen(
        self, certificate: str | None, compressed: bool, subprotocols: list[str]
    ) -> None:
        """Listen."""
        listening = await server.serve(
            self._serve,
            "localhost",
            0,
            ssl=serverContext(certificate),
            compression=compression(compressed),
            # Its own way would refuse clients that offer none.
            select_subprotocol=lambda connection, offered: next(
                (each for each in subprotocols if each in offered), None
            ),
        )
        self._port = listening
        self.tell("listening", port=listening.sockets[0].getsockname()[1])

    async def do_connect(
        self,
        url: str,
        trusted: str | None,
        compressed: bool,
        subprotocols: list[str],
    ) -> None:
        """Connect."""
        connection = await client.connect(
            url,
            ssl=clientContext(trusted),
            compression=compression(compressed),
            subprotocols=subprotocols or None,
            proxy=None,
        )
        self._reading = asyncio.ensure_future(self._serve(connection))

    async def _serve(self, connection: Any) -> None:
        self._connection = connection
        agreed = connection.response.headers.get("Sec-WebSocket-Extensions", "")
        self.tell(
            "open",
            subprotocol=connection.subprotocol,
            compressed="permessage-deflate" in agreed,
        )
        try:
            async for message in connection:
                if isinstance(message, str):
                    self.tell("text", data=message.encode())
                else:
                    self.tell("binary", data=message)
        except exceptions.ConnectionClosed:
            pass
        await connection.wait_closed()
        self.tell("closed", code=connection.close_code, reason=connection.close_reason)

    async def do_text(self, data: bytes) -> None:
        """Send text."""
        await self._connection.send(data.decode())

    async def do_binary(self, data: bytes) -> None:
        """Send bytes."""
        await self._connection.send(data)

    async def do_fragments(self, text: bool, parts: list[bytes]) -> None:
        """Send fragments."""
        await self._connection.send([each.decode() if text else each for each in parts])

    async def do_ping(self, data: bytes) -> None:
        """Ping."""
        pong = await self._connection.ping(data)
        # It matches the payloads by itself.
        pong.add_done_callback(lambda _: self.tell("pong", data=data))

    async def do_close(self, code: int, reason: str) -> None:
        """Close."""
        await self._connection.close(code, reason)


if __name__ == "__main__":
    runAsyncio(WebSockets)
