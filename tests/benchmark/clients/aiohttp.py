"""PyPI's ``aiohttp``, on uvloop."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from ..settings import Settings, runOnUvloop

aiohttp: Any = importlib.import_module("aiohttp")


async def echo(session: Any, settings: Settings) -> None:
    """Begin, and send back."""
    async with session.ws_connect(settings.url) as connection:
        for _ in range(settings.window):
            await connection.send_str(settings.message)
        async for message in connection:
            if message.type == aiohttp.WSMsgType.TEXT:
                await connection.send_str(message.data)


async def main(settings: Settings) -> None:
    """Run it."""
    connector = aiohttp.TCPConnector(limit=settings.connections)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(
            *(echo(session, settings) for _ in range(settings.connections))
        )


if __name__ == "__main__":
    runOnUvloop(main, "aiohttp")
