"""Several applications, each at its own path.

Run it from the top of the checkout::

    twistd -n websocket --protocol docs.examples.routes.routes
"""

from docs.examples.chat import Chat
from docs.examples.echo import Echo
from twisted_ws import Route, Routes, ServerOptions, WebSocket


async def feed(webSocket: WebSocket) -> None:
    """Send what there is of one feed."""
    name = webSocket.request.pathParameters["name"]
    for number in range(1, 4):
        await webSocket.send(f"{name}, part {number}")


routes = Routes(
    {
        "/chat": Chat,
        "/upload": Route(Echo, ServerOptions(maxMessageSize=16 * 1024 * 1024)),
        "/feed/{name}": Route.fromHandler(
            feed, ServerOptions(allowedOrigins=("https://reader.example",))
        ),
    },
    options=ServerOptions(maxMessageSize=64 * 1024),
)
