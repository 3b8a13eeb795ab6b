"""The command line of ``python -m twisted_ws``: what can be said, and what it means."""

from __future__ import annotations

import argparse
import getpass
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import Field, fields
from typing import Any, NamedTuple, NoReturn

from .clientoptions import ClientOptions
from .codec import versionLine
from .display import escape
from .errors import InvalidOption, InvalidURL
from .knobs import KIB, MIB, flagFor, readSize
from .options import Options
from .urls import parseURL

__all__ = [
    "COMMANDS",
    "USAGE",
    "Settings",
    "addField",
    "makeParser",
    "readSettings",
    "withFlags",
]

USAGE = 2
"""Exit status for a command line that cannot be used."""


class Settings(NamedTuple):
    """What the command line says."""

    url: str
    options: ClientOptions
    binary: bool = False
    """Whether the standard input is one binary message."""
    json: bool = False
    """Whether JSON that comes is broken into lines."""
    ping: float | None = None
    """Seconds between pings, None for none."""
    wait: float = 1.0
    """Seconds for answers after the end of the standard input."""


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """End the program.

        :param message: what is wrong with the command line
        """
        self.exit(USAGE, f"twisted_ws: {message}; see --help\n")


_DESCRIPTION = """\
Talk to a WebSocket server. Lines that are typed go out as text messages; what comes is
shown with its time and size, binary messages in hexadecimal. Ctrl-D closes the
connection, and so does Ctrl-C, with exit status 130.

Where the standard input is not a terminal, each of its lines is a message. At its end
answers get --wait seconds, then the connection is closed. Where the standard output is
not a terminal, it gets messages as they are: text with a line end behind it, binary
ones without. Everything else goes to the standard error.
"""

COMMANDS = (
    "/close [CODE [REASON]]  close the connection, with 1000 or another code",
    "/hex 00 FF              send a binary message",
    "/ping                   send a ping, and see how long its answer takes",
    "/help                   show this list",
    "//TEXT                  send /TEXT",
)
"""What a line can be that is typed and begins with a slash."""

_EPILOG = """\
Lines that are typed and begin with a slash are commands:
{commands}

Exit status: 0 if the connection was closed with 1000, 1001, no code, or the code that
was sent; 1 if there was none, or it ended otherwise; 2 for a command line that cannot
be used; 130 after Ctrl-C.
"""

# Fields of ClientOptions that have flags of their own making, or none.
_FLAGS = {
    "dangerouslyDisableCertificateVerification": "insecure",
    "openTimeout": "timeout",
}


_FIELDS = {each.name: each for each in fields(ClientOptions)}
_FIELD = re.compile(
    rf"\b({'|'.join(name for name in _FIELDS if not name.islower())})\b"
)


def _readPositive(text: str) -> float:
    seconds = _readSeconds(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a time: more than 0 seconds")
    return seconds


def _readWait(text: str) -> float:
    seconds = _readSeconds(text)
    if not seconds >= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a time: 0 or more seconds")
    return seconds


def _readSeconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of seconds, such as 20 or 0.5"
        ) from None


def _readWhole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _readBytes(text: str) -> int:
    try:
        return readSize(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _readPair(separator: str) -> Callable[[str], tuple[str, str]]:
    """Make what reads a name and a value."""

    def read(text: str) -> tuple[str, str]:
        name, found, value = text.partition(separator)
        if not found or not name:
            # Without the text, which may be a secret.
            raise argparse.ArgumentTypeError(f"not of the form NAME{separator}VALUE")
        return name, value.strip(" \t")

    return read


def makeParser() -> argparse.ArgumentParser:
    """Make what knows the options."""
    parser = _Parser(
        prog="python -m twisted_ws",
        usage="%(prog)s [options] URL",
        description=_DESCRIPTION,
        epilog=_EPILOG.format(commands="\n".join(f"  {each}" for each in COMMANDS)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("url", metavar="URL", help="such as wss://example.com/feed")
    add(
        "-H",
        "--header",
        metavar="NAME:VALUE",
        action="append",
        type=_readPair(":"),
        default=[],
        help="header for the request; may be given several times",
    )
    add(
        "--cookie",
        metavar="NAME=VALUE",
        action="append",
        type=_readPair("="),
        default=[],
        help="cookie for the request; may be given several times",
    )
    add(
        "--subprotocol",
        metavar="NAME",
        action="append",
        default=[],
        help="subprotocol to offer, the favourite first; may be given several times",
    )
    add("--origin", metavar="ORIGIN", help="such as https://example.com")
    add(
        "--user",
        metavar="NAME[:PASSWORD]",
        help="for Basic authentication; asks for the password if it is left out",
    )
    add(
        "--proxy",
        metavar="URL",
        help="http, https or socks5 proxy; '' for none [default: as the variables "
        "https_proxy, http_proxy, all_proxy and no_proxy say]",
    )
    add(
        "--trust-roots",
        metavar="PEM",
        help="certificates to trust, in place of the platform's",
    )
    add(
        "--client-certificate",
        metavar="PEM",
        help="certificate with its chain and key, to show to the server",
    )
    add(
        "--insecure",
        action="store_true",
        help="accept every certificate: whoever is on the way can read and change "
        "everything",
    )
    add(
        "--ping",
        metavar="SECONDS",
        type=_readPositive,
        help="send a ping so often, and show how long its answer takes",
    )
    add("--json", action="store_true", help="break JSON into lines")
    add(
        "--binary",
        action="store_true",
        help="send the standard input, a file or pipe, as one binary message",
    )
    add(
        "--wait",
        metavar="SECONDS",
        type=_readWait,
        default=Settings._field_defaults["wait"],
        help="time for answers after the end of the standard input; inf waits until "
        "the server closes [default: 1]",
    )
    add("--version", action="version", version=versionLine())
    limits = parser.add_argument_group("limits and times")
    shared = {each.name for each in fields(Options)}
    for each in fields(ClientOptions):
        if each.name in shared or each.name in ("openTimeout", "maxRedirects"):
            addField(limits, each)
    return parser


def _readableDefault(value: Any, unit: str) -> str:
    """Write a default as one would give it."""
    if isinstance(value, str):
        return value
    if unit == "bytes":
        for name, size in (("MiB", MIB), ("KiB", KIB)):
            if value % size == 0:
                return f"{value // size}{name}"
    return f"{value:g}"


def _flagOf(each: Field[Any]) -> str:
    return _FLAGS.get(each.name) or flagFor(each.name, each.metadata)


def addField(group: Any, each: Field[Any]) -> None:
    """Give a field of the options its flag. Its default stays with the options: None
    says that nothing was given.

    :param group: of a parser
    :param each: the field
    """
    kind = each.metadata["kind"]
    unit = each.metadata["unit"]
    flag = f"--{_flagOf(each)}"
    summary = each.metadata["summary"].replace("%", "%%")
    if kind is bool:
        group.add_argument(
            flag, dest=each.name, action="store_const", const=True, help=summary
        )
        return
    if each.default is not None:
        summary = f"{summary} [default: {_readableDefault(each.default, unit)}]"
    read: Any = {str: str, float: _readSeconds}.get(kind, _readWhole)
    group.add_argument(
        flag,
        dest=each.name,
        metavar=unit.upper() or "VALUE",
        type=_readBytes if unit == "bytes" else read,
        help=summary,
    )


def readSettings(arguments: Sequence[str]) -> Settings:
    """Read the command line. May ask for a password at the terminal.

    :param arguments: without the program's name
    :raises SystemExit: it cannot be used, or asks for nothing but to be told
    """
    parser = makeParser()
    parsed = parser.parse_args(arguments)
    try:
        parseURL(parsed.url)
    except InvalidURL as error:
        parser.error(str(error))
    if parsed.binary and os.isatty(0):
        parser.error("--binary: the standard input is not a file or pipe")
    given = {
        each.name: getattr(parsed, each.name)
        for each in _FIELDS.values()
        if getattr(parsed, each.name, None) is not None
    }
    given.update(_readRequest(parsed))
    if parsed.trust_roots is not None:
        given["trustRoots"] = parsed.trust_roots
    if parsed.client_certificate is not None:
        given["clientCertificate"] = parsed.client_certificate
    given["dangerouslyDisableCertificateVerification"] = parsed.insecure
    given["useEnvironmentProxies"] = parsed.proxy is None
    try:
        options = ClientOptions(**given)
    except InvalidOption as error:
        flag = _flagOf(_FIELDS[error.name])
        parser.error(f"--{flag}: {withFlags(error.why)}")
    return Settings(
        parsed.url, options, parsed.binary, parsed.json, parsed.ping, parsed.wait
    )


def _readRequest(parsed: argparse.Namespace) -> dict[str, Any]:
    """Find what the request says. Headers that have options of their own go there: they
    are copied from browsers, where they do not."""
    given: dict[str, Any] = {}
    headers = []
    cookies = list(parsed.cookie)
    subprotocols = list(parsed.subprotocol)
    for name, value in parsed.header:
        known = name.lower()
        if known == "cookie":
            for each in filter(None, map(str.strip, value.split(";"))):
                key, _, text = each.partition("=")
                cookies.append((key, text))
        elif known == "sec-websocket-protocol":
            subprotocols += [each.strip() for each in value.split(",")]
        elif known == "origin":
            given["origin"] = value
        else:
            headers.append((name, value))
    given["headers"] = tuple(headers)
    given["cookies"] = tuple(cookies)
    given["subprotocols"] = tuple(subprotocols)
    if parsed.user is not None:
        user, colon, password = parsed.user.partition(":")
        if not colon and os.isatty(0):
            password = getpass.getpass(f"Password for {escape(user)}: ")
        given["user"] = user
        given["password"] = password
    return given


def withFlags(text: str) -> str:
    """Put flags in place of the names of fields; of those that are not words of other
    sentences too.

    :param text: what an error says
    """
    return _FIELD.sub(lambda found: f"--{_flagOf(_FIELDS[found[0]])}", text)
