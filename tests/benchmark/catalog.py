"""The servers that are compared, and how each is started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.processes import environment, program
from twisted_ws.allocator import KEPT, MAPPED

from .settings import LEVELS, MEMORY_LEVEL

__all__ = ["OURS", "PEERS", "VARIANTS", "Server", "Setup", "Unsupported", "ours"]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class Unsupported(Exception):
    """A server cannot do what a scenario asks."""


@dataclass(frozen=True)
class Setup:
    """What a server is started for.

    :ivar broadcast: whether a message goes to all, not only back.
    :ivar secure: whether there is TLS.
    :ivar deflate: the terms of compression: ``equal``, ``fast`` or ``defaults``; None
        for none.
    :ivar maxSize: the largest message, if the defaults are too small for some.
    :ivar client: whether it is the client that is measured.
    :ivar fragments: whether there are fragmented messages.
    :ivar keeps: whether the process keeps freed memory, as ours does by itself.
    """

    broadcast: bool = False
    secure: bool = False
    deflate: str | None = None
    maxSize: int | None = None
    client: bool = False
    fragments: bool = False
    keeps: bool = False

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables for every server."""
        if not self.keeps:
            return {}
        return {
            "MALLOC_MMAP_THRESHOLD_": str(MAPPED),
            "MALLOC_TRIM_THRESHOLD_": str(KEPT),
        }


@dataclass(frozen=True)
class Server:
    """A server, and the client of the same library.

    :ivar name: on the command line.
    :ivar title: in tables.
    :ivar module: of ``tests.benchmark.servers``; None for ``twistd websocket``.
    :ivar client: of ``tests.benchmark.clients``; None if there is none.
    :ivar serves: whether there is a server of this name, and not only a client.
    :ivar options: for ``twistd websocket``.
    :ivar environment: more environment variables.
    :ivar path: the checkout, if it is not the one that this is in.
    :ivar mirrored: whether it only sends bytes back.
    """

    name: str
    title: str
    module: str | None = None
    client: str | None = None
    serves: bool = True
    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    path: Path | None = None
    mirrored: bool = False

    def command(self, setup: Setup, port: int, certificate: Path) -> list[str]:
        """Give what starts it.

        :param setup: what for
        :param port: where it listens
        :param certificate: the file with certificate and key
        """
        if self.module is None:
            return self._ours(setup, port, certificate)
        command = self._program(f"servers.{self.module}", "--port", str(port))
        if setup.broadcast:
            command += ["--broadcast"]
        if setup.secure:
            command += ["--certificate", str(certificate)]
        if setup.deflate is not None:
            command += ["--deflate", setup.deflate]
        if setup.maxSize is not None:
            command += ["--max-size", str(setup.maxSize)]
        return command

    def clientCommand(
        self, port: int, connections: int, window: int, size: int
    ) -> list[str]:
        """Give what starts its client.

        :param port: where it connects to
        :param connections: how often
        :param window: messages that it sends on each
        :param size: their bytes
        """
        command = self._program(f"clients.{self.client}", "--port", str(port))
        command += ["--connections", str(connections), "--window", str(window)]
        return [*command, "--size", str(size)]

    def _program(self, module: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", f"tests.benchmark.{module}", *arguments]

    def _ours(self, setup: Setup, port: int, certificate: Path) -> list[str]:
        command = [*program("twistd"), "-n", "--pidfile", f"{self.name}-{port}.pid"]
        command += ["websocket", "--interface", "127.0.0.1", "--port", str(port)]
        command += self.options
        if setup.broadcast:
            command += ["--protocol", "benchmark_broadcast.Broadcast"]
        if setup.secure:
            command += ["--certificate", str(certificate)]
        if setup.deflate in LEVELS:
            command += ["--compression-level", str(LEVELS[setup.deflate])]
            command += ["--compression-memory-level", str(MEMORY_LEVEL)]
        if setup.maxSize is not None:
            command += ["--max-message-size", str(setup.maxSize)]
        return command

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables for it."""
        folders = (self.path or ROOT, HERE / "application")
        path = os.pathsep.join(str(each) for each in folders)
        return {"PYTHONPATH": path, **self.environment}

    def suits(self, setup: Setup) -> bool:
        """Tell whether it is there for something at all: as a server, as a client.

        :param setup: what for
        """
        return self.client is not None if setup.client else self.serves

    def refuse(self, setup: Setup) -> None:
        """See whether it can be started for something.

        :param setup: what for
        :raises Unsupported: why not
        """
        if setup.fragments and self.module == "picows":
            raise Unsupported("it does not join fragments")
        if setup.deflate is not None:
            if self.module in ("twisted_web", "picows", "raw"):
                raise Unsupported("no compression")
            if setup.deflate == "fast" and self.module == "autobahn":
                raise Unsupported("the compression level cannot be set")

    def describe(self) -> dict[str, Any]:
        """Tell its versions, and what else matters.

        :raises Unsupported: something that it takes is not installed
        """
        if self.module is None:
            command = [sys.executable, "-m", "benchmark_describe"]
            command += ["--options", *self.options]
        else:
            command = self._program(f"servers.{self.module}", "--describe")
        done = subprocess.run(
            command,
            env={**environment(), **self.variables},
            cwd=self.path or ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines()
            raise Unsupported(lines[-1] if lines else "it does not start")
        described: dict[str, Any] = json.loads(done.stdout)
        return described


def ours(name: str, path: Path) -> Server:
    """Give a server of another checkout of ours, which may be older than this
    benchmark; its client then is not measured.

    :param name: what it is called
    :param path: the checkout
    """
    client = path / "tests" / "benchmark" / "clients" / "ours.py"
    return Server(name, name, client="ours" if client.exists() else None, path=path)


OURS = Server("ours", "twisted_ws", client="ours")
PEERS = (
    # The client of ours that is more like most of the others.
    Server(
        "ours-coroutines",
        "twisted_ws, coroutines",
        client="ours_connect",
        serves=False,
    ),
    Server("autobahn", "Autobahn", "autobahn", "autobahn"),
    Server("twisted-web", "twisted.web", "twisted_web", "twisted_web"),
    Server("websockets", "websockets", "websockets", "websockets"),
    Server("aiohttp", "aiohttp", "aiohttp", "aiohttp"),
    Server("picows", "picows", "picows", "picows"),
    Server("raw", "bare Twisted", "raw", mirrored=True),
)
VARIANTS = (
    Server(
        "ours-python",
        "twisted_ws, pure Python",
        environment={"TWISTED_WS_PURE_PYTHON": "1"},
    ),
    Server(
        "ours-standard",
        "twisted_ws, standard transport",
        options=("--transport", "standard"),
    ),
)
