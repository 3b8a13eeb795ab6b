"""Stands between a client and a server, and counts."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType

__all__ = ["Relay"]


class Relay:
    """Passes connections on to another port of loopback; a context manager.

    :param port: the port
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        """The port to connect to."""
        self.toServer = 0
        """Bytes that the client has sent."""
        self.toClient = 0
        """Bytes that the server has sent."""

    def __enter__(self) -> Relay:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each in self._sockets:
            # What waits for it in another thread wakes up.
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [client, server]
            self._start(self._pump, client, server, "toServer")
            self._start(self._pump, server, client, "toClient")

    def _pump(self, source: socket.socket, target: socket.socket, counter: str) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                # Before it arrives, so that it is counted when it has.
                setattr(self, counter, getattr(self, counter) + len(data))
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
