"""PyPI's ``picows``, on uvloop."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from ..settings import Settings, runOnUvloop

picows: Any = importlib.import_module("picows")


class Echo(picows.WSListener):  # type: ignore[misc]
    """Begins, and sends back.

    :param settings: what to send
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def on_ws_connected(self, transport: Any) -> None:
        """Begin."""
        message = self._settings.message.encode()
        for _ in range(self._settings.window):
            transport.send(picows.WSMsgType.TEXT, message)

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """Send it back."""
        transport.send(frame.msg_type, frame.get_payload_as_memoryview())


async def main(settings: Settings) -> None:
    """Run it."""
    for _ in range(settings.connections):
        await picows.ws_connect(lambda: Echo(settings), settings.url)
    await asyncio.Event().wait()


if __name__ == "__main__":
    runOnUvloop(main, "picows", "aiofastnet")
