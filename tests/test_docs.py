"""The documentation says what is so."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import ast
import base64
import random
import re
import textwrap
import tracemalloc
import zlib
from dataclasses import fields
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import twisted_ws
from docs import tables
from twisted_ws import tap
from twisted_ws.arguments import COMMANDS, makeParser
from twisted_ws.clientoptions import ClientOptions
from twisted_ws.closing import CloseCode
from twisted_ws.connection import Connection, Event, Role
from twisted_ws.frames import encodeFrame
from twisted_ws.knobs import KIB, MIB
from twisted_ws.offers import DeflateParameters
from twisted_ws.options import ServerOptions

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.glob("**/*.rst") if "_build" not in path.parts)
README = (ROOT / "README.md").read_text("utf-8")

# The rows of the threat model that this version answers to.
ROWS = (
    *(f"H{number:02}" for number in range(1, 20)),
    *(f"C{number:02}" for number in range(1, 7)),
    *(f"F{number:02}" for number in range(1, 14)),
    *(f"D{number:02}" for number in range(1, 6)),
    *(f"T{number:02}" for number in range(1, 5)),
    *("S01", "S03", "S04", "S05"),
)

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(
    r"^\.\. code-block:: python\n(?: +:.*\n)*\n((?:(?: .*)?\n)+)", re.MULTILINE
)
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")
_INCLUDE = re.compile(r"^\.\. literalinclude:: (\S+)$", re.MULTILINE)
_PROTOCOL = re.compile(r"--protocol (docs\.examples\.[\w.]+)")


class ReadmeTests(SynchronousTestCase):
    """README.md."""

    def test_commands(self) -> None:
        """Under "Run it" and "Test it" stands one block of commands each, and there is
        no other: CI runs them as they stand."""
        blocks = [body for kind, body in _FENCE.findall(README) if kind == "sh"]
        self.assertEqual(len(blocks), 2)
        for heading, body in zip(("Run it", "Test it"), blocks, strict=True):
            self.assertIn(f"## {heading}\n\n```sh\n{body}```\n", README)
        self.assertEqual(blocks[0].splitlines()[-1], "twistd -n websocket --port 8080")
        self.assertEqual(blocks[1].splitlines()[-1], "pytest")

    def test_echo(self) -> None:
        """The program in it is the example, which is tested."""
        blocks = [body for kind, body in _FENCE.findall(README) if kind == "python"]
        self.assertEqual(blocks[0], (DOCS / "examples" / "echo.py").read_text("utf-8"))
        for block in blocks:
            ast.parse(block)

    def test_links(self) -> None:
        """What it points to is there."""
        for target in _LINK.findall(README):
            self.assertTrue((ROOT / target).exists(), target)


class PageTests(SynchronousTestCase):
    """The pages under docs."""

    def test_allAreReached(self) -> None:
        """Every page is in the table of contents."""
        index = (DOCS / "index.rst").read_text("utf-8")
        for page in PAGES:
            name = str(page.relative_to(DOCS).with_suffix(""))
            if name != "index":
                self.assertIn(f"\n   {name}\n", index)

    def test_code(self) -> None:
        """Every piece of Python in them runs, as far as it goes without a server."""
        found = 0
        for page in PAGES:
            for block in _CODE.findall(page.read_text("utf-8")):
                found += 1
                code = compile(textwrap.dedent(block), str(page), "exec")
                exec(code, {"__name__": "block"})  # noqa: S102  our own pages
        self.assertGreater(found, 5)

    def test_includes(self) -> None:
        """Every example is shown somewhere, and what is shown is there."""
        shown = set()
        for page in PAGES:
            for name in _INCLUDE.findall(page.read_text("utf-8")):
                shown.add((page.parent / name).resolve())
        examples = {path for path in (DOCS / "examples").iterdir() if not path.is_dir()}
        self.assertEqual(shown, examples)

    def test_protocols(self) -> None:
        """What the commands in them serve can be served."""
        texts = [page.read_text("utf-8") for page in PAGES]
        texts += [path.read_text("utf-8") for path in (DOCS / "examples").glob("*.py")]
        names = {name for text in (*texts, README) for name in _PROTOCOL.findall(text)}
        self.assertGreater(len(names), 4)
        for name in names:
            tap.loadApplication(name)


class ReferenceTests(SynchronousTestCase):
    """docs/reference."""

    def test_publicNames(self) -> None:
        """Every public name has its place."""
        pages = "".join(path.read_text("utf-8") for path in DOCS.glob("reference/*"))
        rows = "\n".join(tables.nameTable())
        for name in twisted_ws.__all__:
            module = getattr(twisted_ws, name).__module__
            self.assertIn(f"`{name} <{module}.{name}>`", rows)
            described = re.search(
                rf"^\.\. auto(module:: {module}|class:: {module}\.{name})$",
                pages,
                re.MULTILINE,
            )
            self.assertIsNotNone(described, name)
            for excluded in re.findall(r":exclude-members: (.*)", pages):
                self.assertNotIn(name, excluded.split(", "))

    def test_flags(self) -> None:
        """The page of the command line has every option of the command line."""
        lines = list(tables.flagList())
        described = {line.partition("``")[2].partition("``")[0] for line in lines}
        known = {f"--{name.rstrip('=')}" for name in tap.Options().longOpt}
        self.assertEqual(described - {""}, known - {"--help"})

    def test_clientFlags(self) -> None:
        """It has every option of the client for the terminal, too, and what the page
        about that says of commands is so."""
        text = "\n".join(tables.clientFlagList())
        for action in makeParser()._actions:
            for flag in action.option_strings:
                self.assertIn(f"``{flag}``", text)
        page = (DOCS / "howto" / "terminal.rst").read_text("utf-8")
        for command in COMMANDS:
            name, _, what = command.partition("  ")
            self.assertIn(f"``{name}``", page)
            self.assertIn(what.strip().replace("/TEXT", "``/TEXT``"), page)

    def test_options(self) -> None:
        """The table of limits has every field, with its default."""
        text = "\n".join(tables.optionTable())
        for each in fields(ServerOptions):
            self.assertIn(f".{each.name}`", text)
            self.assertIn(each.metadata["summary"], text)
        self.assertIn("     - 1 MiB\n     - 1 bytes\n     - Largest message", text)
        self.assertIn("     - 10,000\n     - 0\n     - Most connections", text)

    def test_clientOptions(self) -> None:
        """The table of a client's options has every field, and no secret's default."""
        text = "\n".join(tables.clientOptionTable())
        for each in fields(ClientOptions):
            self.assertIn(f".{each.name}`", text)
            self.assertIn(each.metadata["summary"], text)
        self.assertIn("     - 30 s\n     - 0.001 s\n     - Seconds for all", text)
        self.assertIn("     - none\n     - \n     - The Origin header", text)

    def test_closeCodes(self) -> None:
        """The table of close codes has every one, and whether it may be sent."""
        rows = "\n".join(tables.closeCodeTable()).split("   * - ")[2:]
        self.assertEqual([int(row[:4]) for row in rows], [int(c) for c in CloseCode])
        never = [int(row[:4]) for row in rows if row.rstrip().endswith("- no")]
        self.assertEqual(never, [1005, 1006, 1015])

    def test_modules(self) -> None:
        """The table of modules has every one."""
        text = "\n".join(tables.moduleTable())
        for path in (ROOT / "twisted_ws").glob("[!_]*.py"):
            self.assertIn(f"``{path.stem}``", text)


class SecurityTests(SynchronousTestCase):
    """docs/security.rst."""

    def test_rows(self) -> None:
        """Every promise is there, once, in order, and names its tests."""
        text = (DOCS / "security.rst").read_text("utf-8")
        found = re.findall(r"^([A-Z]\d\d)\n((?:   .*\n)+)", text, re.MULTILINE)
        self.assertEqual([row for row, _ in found], list(ROWS))
        for row, promise in found:
            self.assertIn(f":tests:`{row}`", promise)

    def test_tested(self) -> None:
        """Every promise has a test that carries its name."""
        missing = [row for row in ROWS if not tables.testsOf(row)]
        self.assertEqual(missing, [])

    def test_notYet(self) -> None:
        """What does not apply yet is said not to."""
        text = (DOCS / "security.rst").read_text("utf-8")
        rest = text.partition("Not applicable yet")[2]
        for row in ("S02", "S06"):
            self.assertIn(row, rest)


def deflated(message: bytes) -> bytes:
    """Compress a message as a peer does."""
    deflater = zlib.compressobj(1, zlib.DEFLATED, -15)
    return (deflater.compress(message) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


class MemoryTests(SynchronousTestCase):
    """What docs/topics/limits.rst says of memory."""

    def _peak(self, wire: bytes) -> int:
        """Give the most memory that receiving takes, in segments of 64 KiB."""
        connection = Connection(
            Role.SERVER, ServerOptions(), deflate=DeflateParameters()
        )
        segments = [wire[at : at + 65536] for at in range(0, len(wire), 65536)]
        events: list[Event] = []
        tracemalloc.start()
        try:
            for segment in segments:
                events = connection.receive(segment)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            self.assertTrue(events)

    def test_oneMessage(self) -> None:
        """Receiving a message takes no more than is said, whatever its text."""
        text = b"a" * (MIB - 4) + "\U0001f600".encode()
        for payloads in ([text], [text[: MIB // 2], text[MIB // 2 :]]):
            last = len(payloads) - 1
            wire = b"".join(
                encodeFrame(
                    (0 if number else 1) | (0x80 if number == last else 0),
                    payload,
                    bytes(4),
                )
                for number, payload in enumerate(payloads)
            )
            peak = self._peak(wire)
            self.assertLess(peak, (1 + tables.HANDING_OVER) * MIB, payloads)

    def test_oneCompressedMessage(self) -> None:
        """Nor does receiving a compressed one, however well that works."""
        text = (b"\0" * (MIB - 4)) + "\U0001f600".encode()
        noise = random.Random(1).randbytes(MIB * 3 // 4 - 4)
        hard = base64.b64encode(noise) + "\U0001f600".encode()
        for message in (text, hard):
            payload = deflated(message)
            wire = encodeFrame(0xC1, payload, bytes(4))
            allowed = sum(
                size
                for what, _, size in tables.memoryParts(ServerOptions())
                if "message" in what or "compress" in what
            )
            self.assertLess(self._peak(wire), min(allowed, 9 * MIB), len(payload))

    def test_oneSegment(self) -> None:
        """A segment of small messages takes no more than is said."""
        for first, payload in (
            (0x81, b""),
            (0x81, "\u0101".encode()),
            (0x82, b"ab"),
            (0x89, b""),
            (0x8A, b"abc"),
            (0xC1, b"\0"),
            (0xC1, deflated(b"a")),
            (0xC2, deflated(bytes(3000))),
        ):
            frame = encodeFrame(first, payload, bytes(4))
            peak = self._peak(frame * (64 * KIB // len(frame)))
            self.assertLess(peak, tables.DECODED, payload)

    def test_sum(self) -> None:
        """The table's last line is the sum of the others."""
        total = sum(size for _, _, size in tables.memoryParts(ServerOptions()))
        self.assertIn(
            f"     - **{tables.readableSize(total)}**", list(tables.memoryTable())
        )
