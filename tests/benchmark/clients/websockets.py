"""PyPI's ``websockets``, on uvloop."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from ..settings import Settings, runOnUvloop

client: Any = importlib.import_module("websockets.asyncio.client")


async def echo(settings: Settings) -> None:
    """Begin, and send back."""
    async with client.connect(settings.url, compression=None, proxy=None) as websocket:
        for _ in range(settings.window):
            await websocket.send(settings.message)
        async for message in websocket:
            await websocket.send(message)


async def main(settings: Settings) -> None:
    """Run it."""
    await asyncio.gather(*(echo(settings) for _ in range(settings.connections)))


if __name__ == "__main__":
    runOnUvloop(main, "websockets")
