"""The order of the modules: each imports only those above it."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

PURE = (
    "remembering",
    "redaction",
    "headers",
    "errors",
    "origins",
    "urls",
    "proxyurls",
    "closing",
    "events",
    "knobs",
    "compression",
    "options",
    "clientoptions",
    "frames",
    "codec",
    "peerbytes",
    "offers",
    "deflate",
    "connection",
    "handshake",
    "clienthandshake",
    "socks",
    "httpconnect",
)
TWISTED = (
    "interfaces",
    "timers",
    "tlstransport",
    "tls",
    "clienttls",
    "proxies",
    "transport",
    "polling",
    "sending",
    "liveness",
    "outgoing",
    "wirestate",
    "protocol",
    "deciding",
    "server",
    "broadcast",
    "websocket",
    "factory",
    "routes",
    "pages",
    "resource",
    "clientprotocol",
    "client",
    "clientservice",
    "reconnection",
    "streamtransport",
    "stream",
    "targets",
    "bridge",
)
PROGRAMS = (
    "strings",
    "service",
    "bridgeoptions",
    "allocator",
    "tap",
    "recorder",
    "memory",
    "adversary",
    "handshakethreats",
    "framethreats",
    "attacks",
    "testing",
    "display",
    "lineedit",
    "stdio",
    "console",
    "arguments",
    "cli",
    "__main__",
)
ORDER = (*PURE, *TWISTED, *PROGRAMS)

# The module in C, which has no place in the order, and the only one that imports it.
NATIVE, CHOOSER = "_speedups", "codec"
# The facade imports from everywhere, and nothing imports it.
FACADE = "__init__"
# What needs a loop, a clock or a socket, and what is not the same twice.
IMPURE = frozenset(
    {
        "OpenSSL",
        "asyncio",
        "random",
        "select",
        "selectors",
        "socket",
        "ssl",
        "threading",
        "time",
        "twisted",
        "zope",
    }
)
MOST_LINES = 600

PACKAGE = "twisted_ws"
ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / PACKAGE
PLUGIN = ROOT / "twisted" / "plugins" / "twisted_ws_plugin.py"

# What the plugin may import when it is loaded.
PLUGIN_IMPORTS = {
    "__future__",
    "typing",
    "twisted.application.service",
    "twisted.internet.interfaces",
    "twisted.plugin",
    "zope.interface",
}

_IMPORTERS = frozenset({"__import__", "import_module", "namedAny", "namedModule"})


def modulesOnDisk() -> set[str]:
    """Give the names of the package's modules, the facade left out."""
    return {path.stem for path in FOLDER.glob("*.py")} - {FACADE}


def isModule(name: str) -> bool:
    """Tell whether it is one of those, or the one in C, which may not be built."""
    return (FOLDER / f"{name}.py").is_file() or (FOLDER / f"{name}.c").is_file()


def sourceOf(name: str) -> str:
    """Give the text of a module of the package."""
    return (FOLDER / f"{name}.py").read_text(encoding="utf-8")


def importsOf(source: str) -> Iterator[str]:
    """Give what a module of the package imports anywhere in it, as dotted names: in
    functions, for type checkers only, and by a call with the name in it, too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [PACKAGE] if node.level else []
            base += [node.module] if node.module else []
            yield from (".".join([*base, alias.name]) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else ""
            name = called.id if isinstance(called, ast.Name) else name
            first = node.args[0]
            if name in _IMPORTERS and isinstance(first, ast.Constant):
                yield str(first.value)


def ownImportsOf(source: str) -> set[str]:
    """Give the modules of the package that one of them imports; for anything that comes
    out of the facade, the facade."""
    found = set()
    for name in importsOf(source):
        top, _, rest = name.partition(".")
        if top != PACKAGE or rest == "__version__":
            continue
        module = rest.partition(".")[0]
        found.add(module if isModule(module) else FACADE)
    return found


def runFresh(code: str) -> str:
    """Run code in a fresh interpreter that finds the package first.

    :returns: what it printed
    """
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", start + code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout.strip() + done.stderr.strip()


class OrderTests(SynchronousTestCase):
    """The order itself."""

    def test_everyModuleHasItsPlace(self) -> None:
        """Every module of the package is in the order, and the order names no other."""
        self.assertEqual(len(ORDER), len(set(ORDER)), "ORDER names a module twice")
        for name in sorted(modulesOnDisk() - set(ORDER)):
            self.fail(f"{PACKAGE}/{name}.py has no place in ORDER of {__name__}")
        for name in ORDER:
            if name not in modulesOnDisk():
                self.fail(f"ORDER of {__name__} names {name}, which is not there")

    def test_flat(self) -> None:
        """The package has no packages in it."""
        found = [str(path) for path in FOLDER.glob("*/**/*.py")]
        self.assertEqual(found, [])

    def test_onlyUpwards(self) -> None:
        """A module imports only modules above it."""
        for name in sorted(modulesOnDisk() & set(ORDER)):
            above = ORDER[: ORDER.index(name)]
            for other in sorted(ownImportsOf(sourceOf(name))):
                if other == FACADE:
                    self.fail(f"{PACKAGE}/{name}.py imports the package itself")
                if other not in above and (name, other) != (CHOOSER, NATIVE):
                    self.fail(f"{PACKAGE}/{name}.py imports {other}, not above it")

    def test_pure(self) -> None:
        """The pure modules import no Twisted, clock, socket or chance."""
        for name in PURE:
            for imported in importsOf(sourceOf(name)):
                if imported.partition(".")[0] in IMPURE:
                    self.fail(f"{PACKAGE}/{name}.py imports {imported}, but is pure")

    def test_importsAreSeen(self) -> None:
        """The reader of imports, on which all this rests, sees each form of them."""
        for line, expected in (
            ("import os.path as x, time", {"os.path", "time"}),
            ("from time import monotonic", {"time.monotonic"}),
            ("from .frames import mask", {"twisted_ws.frames.mask"}),
            ("from . import frames", {"twisted_ws.frames"}),
            ("def f():\n    import socket", {"socket"}),
            (
                "if TYPE_CHECKING:\n    from .tap import Options",
                {"twisted_ws.tap.Options"},
            ),
            ("importlib.import_module('twisted.web')", {"twisted.web"}),
            ("namedAny('a.b')", {"a.b"}),
            ("print('time')\nf()()", set()),
        ):
            self.assertEqual(set(importsOf(line)), expected, line)
        for line, own in (
            ("from .frames import mask", {"frames"}),
            ("from . import frames, tap", {"frames", "tap"}),
            ("from . import __version__", set()),
            ("from . import WebSocket", {FACADE}),
            ("import twisted_ws", {FACADE}),
            ("import twisted_ws.frames", {"frames"}),
            ("from twisted_ws.frames import mask", {"frames"}),
            ("from twisted_ws import frames", {"frames"}),
            ("from ._speedups import mask", {"_speedups"}),
            ("import twisted", set()),
        ):
            self.assertEqual(ownImportsOf(line), own, line)

    def test_size(self) -> None:
        """A module has one job: at most 600 lines."""
        for path in FOLDER.glob("*.py"):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            self.assertTrue(lines <= MOST_LINES, f"{path.name} has {lines} lines")


class PluginTests(SynchronousTestCase):
    """The file that Twisted's plugin system imports."""

    def test_importsLittle(self) -> None:
        """When it is loaded, as by every ``twistd`` command, it imports nothing of the
        package, and of Twisted what is loaded then anyway. Only what is called when an
        endpoint string is used imports the module for that."""
        source = PLUGIN.read_text(encoding="utf-8")
        atOnce: set[str] = set()
        for node in ast.parse(source).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                atOnce |= {
                    name.rpartition(".")[0] for name in importsOf(ast.unparse(node))
                }
        self.assertEqual(atOnce, PLUGIN_IMPORTS)
        later = {name.rpartition(".")[0] for name in importsOf(source)} - atOnce
        self.assertEqual(later, {f"{PACKAGE}.strings"})

    def test_loadsNothingOfOurs(self) -> None:
        """Once it is loaded, and asked for its prefixes, the package still is not, nor
        is a reactor, TLS or a web server."""
        found = runFresh(
            "from twisted.plugins import twisted_ws_plugin as plugin\n"
            "heavy = ('twisted_ws', 'twisted.internet.reactor', 'OpenSSL', "
            "'twisted.web.http')\n"
            "print(plugin.websocket.tapname, plugin.ws.prefix, plugin.wss.prefix,\n"
            "      [name for name in heavy if name in sys.modules])"
        )
        self.assertEqual(found, "websocket ws wss []")

    def test_foundByPrefix(self) -> None:
        """Twisted finds it for strings with its prefixes, and the package is loaded
        then."""
        found = runFresh(
            "from twisted.internet import endpoints, task\n"
            "clock = task.Clock()\n"
            "server = endpoints.serverFromString(clock, 'ws:tcp:8080')\n"
            "client = endpoints.clientFromString(clock, 'WS:localhost')\n"
            "print(type(server).__name__, type(client).__name__)\n"
            "print('twisted_ws' in sys.modules)"
        )
        self.assertEqual(
            found.split(),
            ["WebSocketStreamServerEndpoint", "WebSocketStreamClientEndpoint", "True"],
        )

    def test_noPackages(self) -> None:
        """The folders around it are no packages, which would hide Twisted itself."""
        for folder in (ROOT / "twisted", ROOT / "twisted" / "plugins"):
            self.assertTrue(folder.is_dir(), str(folder))
            self.assertFalse((folder / "__init__.py").exists(), str(folder))
        self.assertEqual(
            [path.name for path in (ROOT / "twisted").glob("**/*.py")], [PLUGIN.name]
        )


class ReactorTests(SynchronousTestCase):
    """The reactor is the application's choice."""

    def test_noReactorInstalled(self) -> None:
        """Importing the package, or all of its modules, installs no reactor."""
        everything = "".join(f"import {PACKAGE}.{name}\n" for name in modulesOnDisk())
        for code in (f"import {PACKAGE}\n", everything):
            found = runFresh(f"{code}print('twisted.internet.reactor' in sys.modules)")
            self.assertEqual(found, "False", code)
