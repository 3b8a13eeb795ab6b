"""PyPI's ``aiohttp``."""

from __future__ import annotations

import asyncio
import importlib
import socket
from typing import Any

from ..side import Side, clientContext, runAsyncio, serverContext

aiohttp: Any = importlib.import_module("aiohttp")
web: Any = importlib.import_module("aiohttp.web")


class Aiohttp(Side):
    """Its server and its client. It cannot send fragments."""

    distribution = "aiohttp"
    abilities = ("compression", "reason", "seesClose", "subprotocols")
    _connection: Any

    async def do_listen(
        self, certificate: str | None, compressed: bool, subprotocols: list[str]
    ) -> None:
        """Listen."""

        async def serve(request: Any) -> Any:
            connection = web.WebSocketResponse(
                protocols=subprotocols, compress=compressed, autoping=False
            )
            await connection.prepare(request)
            await self._serve(connection, connection.ws_protocol)
            return connection

        application = web.Application()
        application.router.add_get("/", serve)
        runner = web.AppRunner(application)
        await runner.setup()
        port = socket.create_server(("127.0.0.1", 0))
        context = serverContext(certificate)
        await web.SockSite(runner, port, ssl_context=context).start()
        self.tell("listening", port=port.getsockname()[1])

    async def do_connect(
        self,
        url: str,
        trusted: str | None,
        compressed: bool,
        subprotocols: list[str],
    ) -> None:
        """Connect."""

        async def run(opened: asyncio.Future[None]) -> None:
            async with aiohttp.ClientSession() as session:
                connection = await session.ws_connect(
                    url,
                    ssl=clientContext(trusted) or True,
                    compress=15 if compressed else 0,
                    protocols=subprotocols,
                    autoping=False,
                )
                opened.set_result(None)
                await self._serve(connection, connection.protocol)

        opened = asyncio.get_running_loop().create_future()
        self._running = asyncio.ensure_future(run(opened))
        await asyncio.wait((opened, self._running), return_when="FIRST_COMPLETED")
        if self._running.done():
            self._running.result()

    async def _serve(self, connection: Any, subprotocol: str | None) -> None:
        self._connection = connection
        self._closed = asyncio.Event()
        kinds = aiohttp.WSMsgType
        self.tell("open", subprotocol=subprotocol, compressed=bool(connection.compress))
        while True:
            message = await connection.receive()
            if message.type == kinds.TEXT:
                self.tell("text", data=message.data.encode())
            elif message.type == kinds.BINARY:
                self.tell("binary", data=bytes(message.data))
            elif message.type == kinds.PING:
                await connection.pong(message.data)
            elif message.type == kinds.PONG:
                self.tell("pong", data=bytes(message.data))
            elif message.type == kinds.CLOSE:
                self.tell("closed", code=message.data, reason=message.extra or "")
                return
            else:
                break
        if message.type == kinds.CLOSING:
            # By do_close, which waits for the answer; it is not told the reason in it.
            await self._closed.wait()
        self.tell("closed", code=connection.close_code, reason=None)

    async def do_text(self, data: bytes) -> None:
        """Send text."""
        await self._connection.send_str(data.decode())

    async def do_binary(self, data: bytes) -> None:
        """Send bytes."""
        await self._connection.send_bytes(data)

    async def do_ping(self, data: bytes) -> None:
        """Ping."""
        await self._connection.ping(data)

    async def do_close(self, code: int, reason: str) -> None:
        """Close."""
        await self._connection.close(code=code, message=reason.encode())
        self._closed.set()


if __name__ == "__main__":
    runAsyncio(Aiohttp)
