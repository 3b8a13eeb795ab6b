"""PyPI's ``websockets``, on uvloop."""

from __future__ import annotations

import importlib
from typing import Any

from ..settings import MEMORY_LEVEL, WINDOW_BITS, Settings, runOnUvloop

server: Any = importlib.import_module("websockets.asyncio.server")
deflate: Any = importlib.import_module("websockets.extensions.permessage_deflate")
clients: set[Any] = set()


async def echo(websocket: Any) -> None:
    """Send back."""
    async for message in websocket:
        await websocket.send(message)


async def broadcast(websocket: Any) -> None:
    """Send to all."""
    clients.add(websocket)
    try:
        async for message in websocket:
            server.broadcast(clients, message)
    finally:
        clients.discard(websocket)


async def serve(settings: Settings) -> None:
    """Run it."""
    more: dict[str, Any] = {}
    if settings.deflate is None:
        more["compression"] = None
    elif settings.level is not None:
        more["extensions"] = [
            deflate.ServerPerMessageDeflateFactory(
                server_max_window_bits=WINDOW_BITS,
                client_max_window_bits=WINDOW_BITS,
                compress_settings={
                    "level": settings.level,
                    "memLevel": MEMORY_LEVEL,
                },
            )
        ]
        more["compression"] = None
    if settings.maxSize is not None:
        more["max_size"] = settings.maxSize
    handler = broadcast if settings.broadcast else echo
    async with server.serve(
        handler, "127.0.0.1", settings.port, ssl=settings.context, **more
    ) as running:
        await running.serve_forever()


if __name__ == "__main__":
    runOnUvloop(serve, "websockets")
