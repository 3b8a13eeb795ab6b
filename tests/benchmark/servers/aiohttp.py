"""PyPI's ``aiohttp``, on uvloop."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from ..settings import Settings, runOnUvloop

aiohttp: Any = importlib.import_module("aiohttp")
web: Any = importlib.import_module("aiohttp.web")
clients: set[Any] = set()


async def serve(settings: Settings) -> None:
    """Run it. Compression is used if the client asks for it, on the terms of the
    offer; its level is 1 and its memory level 8."""
    more: dict[str, Any] = {}
    if settings.maxSize is not None:
        more["max_msg_size"] = settings.maxSize

    async def echo(request: Any) -> Any:
        connection = web.WebSocketResponse(**more)
        await connection.prepare(request)
        async for message in connection:
            if message.type == aiohttp.WSMsgType.TEXT:
                await connection.send_str(message.data)
            elif message.type == aiohttp.WSMsgType.BINARY:
                await connection.send_bytes(message.data)
        return connection

    async def broadcast(request: Any) -> Any:
        connection = web.WebSocketResponse(**more)
        await connection.prepare(request)
        clients.add(connection)
        try:
            async for message in connection:
                for each in list(clients):
                    await each.send_str(message.data)
        finally:
            clients.discard(connection)
        return connection

    application = web.Application()
    application.router.add_get("/", broadcast if settings.broadcast else echo)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(
        runner, "127.0.0.1", settings.port, ssl_context=settings.context
    ).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    runOnUvloop(serve, "aiohttp")
