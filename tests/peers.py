"""The client of PyPI's ``websockets``, for tests that block.

Its own blocking client reads and writes from two threads, which Python's ``ssl`` could
not stand before 3.12.8 and 3.13.1: connections failed at random. Its asyncio client
does not, and here its loop runs only while something is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

_T = TypeVar("_T")
_PATIENCE = 20.0


class WebSocketsClient:
    """A connection.

    :param url: where to
    :param arguments: of ``websockets.asyncio.client.connect``
    """

    def __init__(self, url: str, **arguments: Any) -> None:
        from websockets.asyncio.client import connect

        async def open_() -> Any:
            return await connect(url, proxy=None, **arguments)

        self._loop = asyncio.new_event_loop()
        try:
            self._connection = self._run(open_())
        except BaseException:
            self._loop.close()
            raise

    def _run(self, work: Awaitable[_T], timeout: float = _PATIENCE) -> _T:
        return self._loop.run_until_complete(asyncio.wait_for(work, timeout))

    def __enter__(self) -> WebSocketsClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        finally:
            # Python 3.10 warns of a TLS transport that only the peer has closed.
            self._connection.transport.abort()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    @property
    def response(self) -> Any:
        """The 101."""
        return self._connection.response

    @property
    def subprotocol(self) -> str | None:
        """What was agreed."""
        agreed: str | None = self._connection.subprotocol
        return agreed

    @property
    def close_code(self) -> int | None:
        """How it was closed."""
        code: int | None = self._connection.close_code
        return code

    def send(self, message: str | bytes | Iterable[str]) -> None:
        """Send a message; several texts are its fragments."""
        self._run(self._connection.send(message))

    def recv(self, timeout: float = _PATIENCE) -> Any:
        """Give the next message."""
        return self._run(self._connection.recv(), timeout)

    def __iter__(self) -> Iterator[Any]:
        """Give messages until the connection is closed cleanly."""
        from websockets.exceptions import ConnectionClosedOK

        while True:
            try:
                yield self.recv()
            except ConnectionClosedOK:
                return

    def ping(self) -> None:
        """Ping, and wait for the pong."""

        async def pingAndWait() -> None:
            await (await self._connection.ping())

        self._run(pingAndWait())

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close, and wait for that."""
        self._run(self._connection.close(code, reason))
