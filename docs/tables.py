"""What the documentation takes from the code, so that it cannot go out of date.

Each function gives the lines of a piece of reST; ``conf.py`` makes a directive of them.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import Field, fields
from enum import Enum
from pathlib import Path
from typing import Any

import twisted_ws
from docs.features import FEATURES
from tests.test_layers import PROGRAMS, PURE, TWISTED
from twisted_ws import tap
from twisted_ws.arguments import makeParser
from twisted_ws.bridgeoptions import BridgeOptions
from twisted_ws.clientoptions import ClientOptions
from twisted_ws.closing import CloseCode, describeCode, isLegalOnWire
from twisted_ws.deflate import mostCompressed
from twisted_ws.options import Options, ServerOptions

__all__ = ["TABLES", "testsOf"]

ROOT = Path(__file__).resolve().parent.parent
KIB = 1024
TRANSPORT_BUFFERS = 128 * KIB
"""What the transport keeps, both ways together."""
HANDING_OVER = 6
"""How much more a message may take, in maxMessageSize, while it is handed over: its
copies, and a str that has four bytes for each character. Measured by the tests."""
DECODED = 1536 * KIB
"""What one segment of 64 KiB may become as Python objects. Measured by the tests."""

KEPT_FOR_COMPRESSION = {
    "none": 0,
    "shared": 0,
    "small": 64 * KIB,
    "large": 320 * KIB,
}
"""With zlib: the compressor, and the window of a client that cannot be limited."""

_TEST = re.compile(r"test_([A-Z]\d\d)_\w+")


def listTable(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Write a table.

    :param head: its columns
    :param rows: a text for each column
    """
    yield from (".. list-table::", "   :header-rows: 1", "")
    for row in (head, *rows):
        for number, cell in enumerate(row):
            yield f"   {'*' if number == 0 else ' '} - {cell}"
    yield ""


def readable(value: Any, unit: str = "") -> str:
    """Write a default as one would read it.

    :param value: the default
    :param unit: ``bytes``, ``seconds`` or nothing
    """
    if value is None:
        return "none"
    if isinstance(value, str):
        return f"``{value}``"
    if isinstance(value, tuple):
        return "none" if not value else ", ".join(value)
    if isinstance(value, bool):
        return "no" if not value else "yes"
    if unit == "bytes":
        return readableSize(value)
    number = f"{value:,}" if isinstance(value, int) else f"{value:g}"
    return f"{number} s" if unit == "seconds" else number


def readableSize(size: int) -> str:
    """Write a number of bytes.

    :param size: the number
    """
    if size < KIB:
        return f"{size} bytes"
    name, one = ("MiB", KIB * KIB) if size >= KIB * KIB else ("KiB", KIB)
    return f"{size / one:.3g} {name}"


def default(each: Field[Any]) -> str:
    """Write a field's default as one would read it.

    :param each: the field
    """
    if each.default is None and each.metadata["kind"] is not type(None):
        return "as ``compression`` says"
    return readable(each.default, each.metadata["unit"])


def clientOptionTable() -> Iterator[str]:
    """Every field of ClientOptions, with its default and least value."""
    rows = []
    for each in fields(ClientOptions):
        owner = "clientoptions.ClientOptions"
        if each.name in Options.__annotations__:
            owner = "options.Options"
        minimum, unit = each.metadata["minimum"], each.metadata["unit"]
        rows.append(
            (
                f":attr:`~twisted_ws.{owner}.{each.name}`",
                default(each),
                "" if minimum is None else readable(minimum, unit),
                each.metadata["summary"],
            )
        )
    return listTable(("Field", "Default", "Least", "What it is"), rows)


def optionTable() -> Iterator[str]:
    """Every field of ServerOptions, with its flag, default and least value."""
    rows = []
    for each in fields(ServerOptions):
        owner = "Options" if each.name in Options.__annotations__ else "ServerOptions"
        minimum, unit = each.metadata["minimum"], each.metadata["unit"]
        rows.append(
            (
                f":attr:`~twisted_ws.options.{owner}.{each.name}`",
                f"``--{tap.flagFor(each.name, each.metadata)}``",
                default(each),
                "" if minimum is None else readable(minimum, unit),
                each.metadata["summary"],
            )
        )
    head = ("Field", "Flag", "Default", "Least", "What it is")
    return listTable(head, rows)


def memoryParts(options: Options) -> list[tuple[str, str, int]]:
    """Give what one open connection may hold at worst: what, formula, bytes.

    :param options: its limits
    """
    return [
        ("the message being received", "maxMessageSize", options.maxMessageSize),
        (
            "its copies in the moment in which it is handed over; most for text that "
            "Python keeps with four bytes a character",
            f"up to {HANDING_OVER} * maxMessageSize",
            HANDING_OVER * options.maxMessageSize,
        ),
        (
            "the payload of its frame that has not ended, if it is compressed",
            "1.15 * maxMessageSize",
            mostCompressed(options.maxMessageSize, 1),
        ),
        (
            "small messages of one segment that wait until a hook has finished",
            readableSize(DECODED),
            DECODED,
        ),
        (
            "what waits for a peer that does not read, beside the one message that "
            "goes over the limit",
            "maxSendBuffer",
            options.maxSendBuffer,
        ),
        (
            "what compression keeps between messages, measured: see "
            ":doc:`/topics/compression`",
            "compression",
            KEPT_FOR_COMPRESSION[options.compression],
        ),
        (
            "the buffers of the transport",
            readableSize(TRANSPORT_BUFFERS),
            TRANSPORT_BUFFERS,
        ),
    ]


def memoryTable() -> Iterator[str]:
    """The worst case of memory for one connection, with the defaults."""
    parts = memoryParts(ServerOptions())
    rows = [
        (what, f"``{formula}``", readableSize(size)) for what, formula, size in parts
    ]
    total = sum(size for _, _, size in parts)
    rows.append(("**together**", "", f"**{readableSize(total)}**"))
    return listTable(("What", "Bound", "With the defaults"), rows)


def featureTable() -> Iterator[str]:
    """What four packages can do."""
    head = ("", "Autobahn", "twisted.web.websocket", "websockets", "twisted_ws")
    return listTable(head, [row[1:] for row in FEATURES])


def flagList() -> Iterator[str]:
    """Every option of ``twistd websocket``."""
    options: Any = tap.Options
    described = []
    for name, short, default, text, *_ in (
        *options.optParameters,
        *BridgeOptions.optParameters,
    ):
        shown = "" if default is None else f" [default: {default}]"
        described.append((name, short, " *VALUE*", text + shown))
    for name, short, text in options.optFlags:
        described.append((name, short, "", text))
    for method in vars(options):
        if method.startswith("opt_"):
            text = " ".join((inspect.getdoc(getattr(options, method)) or "").split())
            described.append((method[4:].replace("_", "-"), None, " *VALUE*", text))
    for name, short, value, text in sorted(described):
        brief = "" if short is None else f", ``-{short}``"
        yield from (f"``--{name}``{brief}{value}", f"   {text}", "")


def clientFlagList() -> Iterator[str]:
    """Every option of ``python -m twisted_ws``."""
    for action in makeParser()._actions:
        flags = ", ".join(f"``{each}``" for each in action.option_strings)
        if flags:
            value = "" if action.nargs == 0 else f" *{action.metavar}*"
            text = (action.help or "") % {"prog": "twisted_ws"}
            yield from (f"{flags}{value}", f"   {text}", "")


def closeCodeTable() -> Iterator[str]:
    """Every registered close code."""
    rows = [
        (
            str(int(code)),
            f"``{code.name}``",
            describeCode(code),
            "yes" if isLegalOnWire(code) else "no",
        )
        for code in CloseCode
    ]
    head = ("Code", "Name in CloseCode", "Meaning", "May be sent")
    return listTable(head, rows)


def moduleTable() -> Iterator[str]:
    """Every module, in the order in which they may import each other."""
    rows = []
    for group, names in (
        ("pure", PURE),
        ("Twisted", TWISTED),
        ("programs", PROGRAMS),
    ):
        for name in names:
            source = (ROOT / "twisted_ws" / f"{name}.py").read_text("utf-8")
            text = ast.get_docstring(ast.parse(source)) or ""
            # Roles point to what is in the reference; here plain text does.
            first = " ".join(text.partition("\n\n")[0].split())
            rows.append((group, f"``{name}``", first))
    return listTable(("Group", "Module", "Its one job"), rows)


def nameTable() -> Iterator[str]:
    """Every public name of the package."""
    rows = []
    for name in twisted_ws.__all__:
        found = getattr(twisted_ws, name)
        kind = "class" if isinstance(found, type) else "func"
        if isinstance(found, type) and issubclass(found, Exception):
            kind = "exc"
        text = inspect.getdoc(found) or ""
        if isinstance(found, type) and issubclass(found, Enum):
            text = text.partition(".")[0]
        first = " ".join(text.partition("\n\n")[0].split())
        rows.append((f":{kind}:`{name} <{found.__module__}.{name}>`", first))
    return listTable(("Name", "What it is"), rows)


def testsOf(row: str) -> list[str]:
    """Give the tests that are named after a row of the threat model.

    :param row: such as ``H07``
    """
    found = []
    for path in sorted((ROOT / "tests").glob("**/test_*.py")):
        for matched in _TEST.finditer(path.read_text("utf-8")):
            if matched[1] == row:
                found.append(f"{path.stem}: {matched[0]}")
    return list(dict.fromkeys(found))


TABLES = {
    function.__name__: function
    for function in (
        clientFlagList,
        clientOptionTable,
        closeCodeTable,
        featureTable,
        flagList,
        memoryTable,
        moduleTable,
        nameTable,
        optionTable,
    )
}
"""What the directive ``generated`` knows."""

if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for each in TABLES.values() for line in each())
