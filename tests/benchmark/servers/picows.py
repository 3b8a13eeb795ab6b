"""PyPI's ``picows``, on uvloop. It gives frames, not messages: it leaves it to the
application to join fragments, to check UTF-8 and to close in order, and this one, like
those in its documentation, does only the last."""

from __future__ import annotations

import importlib
from typing import Any

from ..settings import Settings, runOnUvloop

picows: Any = importlib.import_module("picows")
clients: set[Any] = set()
CLOSE = picows.WSMsgType.CLOSE


class Echo(picows.WSListener):  # type: ignore[misc]
    """Sends back."""

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """Send it back."""
        if frame.msg_type == CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            transport.send(frame.msg_type, frame.get_payload_as_memoryview())


class Broadcast(picows.WSListener):  # type: ignore[misc]
    """Sends to all."""

    def on_ws_connected(self, transport: Any) -> None:
        """Remember it."""
        clients.add(transport)

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """Send it to all."""
        if frame.msg_type == CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            message = frame.get_payload_as_memoryview()
            for each in clients:
                each.send(frame.msg_type, message)

    def on_ws_disconnected(self, transport: Any) -> None:
        """Forget it."""
        clients.discard(transport)


async def serve(settings: Settings) -> None:
    """Run it."""
    if settings.deflate is not None:
        raise SystemExit("it has no compression")
    more: dict[str, Any] = {}
    if settings.maxSize is not None:
        more["max_frame_size"] = settings.maxSize
    kind = Broadcast if settings.broadcast else Echo
    server = await picows.ws_create_server(
        lambda request: kind(),
        "127.0.0.1",
        settings.port,
        ssl=settings.context,
        **more,
    )
    await server.serve_forever()


if __name__ == "__main__":
    runOnUvloop(serve, "picows", "aiofastnet")
