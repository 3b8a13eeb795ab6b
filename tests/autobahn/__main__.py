"""The command line: ``python -m tests.autobahn server``, or ``client``."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

from .cases import DEFAULT_CASES, splitPatterns
from .client import runClient
from .errors import NotInstalled, RunFailed
from .report import Summary
from .running import Run
from .server import runServer
from .table import restructured
from .wstest import findWstest, install

#: The exit status for "skipped", as automake has it.
SKIPPED = 77

_STATUS_HELP = """\
exit status: 0 every case is OK or informational, 1 some case is not, 2 the run could
not be done, 77 skipped because wstest (or, to install it, Python 2.7) is not found
"""


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Do what a command line says.

    :param arguments: the command line, without the program.
    :param environ: the environment variables.
    :returns: the exit status.
    """
    options = _makeParser().parse_args(arguments)
    command: Callable[[argparse.Namespace, Mapping[str, str]], int] = options.command
    try:
        return command(options, environ)
    except NotInstalled as error:
        print(f"autobahn: {error}")
        return SKIPPED
    except RunFailed as error:
        print(f"autobahn: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("autobahn: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT


def _makeParser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.autobahn",
        description="Run the Autobahn Testsuite against twisted_ws.",
        epilog=_STATUS_HELP,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    # Every mode of testing takes these.
    testing = argparse.ArgumentParser(add_help=False)
    testing.add_argument(
        "--cases",
        nargs="+",
        metavar="PATTERN",
        default=list(DEFAULT_CASES),
        help="cases to run, such as '1.*' '9.1.*' 7.1.6, or '1.*,2.*', or 9; "
        f"by default {' '.join(DEFAULT_CASES)}",
    )
    testing.add_argument(
        "--exclude", nargs="+", metavar="PATTERN", default=[], help="cases not to run"
    )
    testing.add_argument(
        "--report",
        type=Path,
        metavar="DIR",
        help="where detailed reports and logs go, made if need be; by default a "
        "temporary directory, deleted when every case is OK",
    )
    testing.add_argument(
        "--keep", action="store_true", help="keep the temporary directory in any case"
    )
    testing.add_argument(
        "--json", type=Path, metavar="FILE", help="write a summary for programs"
    )
    testing.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write a table for documentation"
    )
    testing.add_argument(
        "--timeout",
        type=float,
        default=3600.0,
        metavar="SECONDS",
        help="how long the whole run may take (default: %(default)g)",
    )
    testing.add_argument(
        "--wstest",
        metavar="PATH",
        help="the Testsuite's program; by default $WSTEST, then wstest on PATH, then "
        "the one that was installed here",
    )

    server = commands.add_parser(
        "server",
        parents=[testing],
        help="test the server that twistd starts",
        description="Test the server that twistd starts.",
        epilog=_STATUS_HELP,
    )
    server.add_argument(
        "--url",
        metavar="URL",
        help="test an echo server that is running already, such as "
        "ws://127.0.0.1:9001, instead of starting one",
    )
    server.set_defaults(command=_testServer)

    client = commands.add_parser(
        "client",
        parents=[testing],
        help="test the client",
        description="Test the client.",
        epilog=_STATUS_HELP,
    )
    client.set_defaults(command=_testClient)

    table = commands.add_parser(
        "table",
        help="print the documentation's table",
        description="Print a table in reST of what runs have written with --json.",
        epilog=_STATUS_HELP,
    )
    table.add_argument("summaries", nargs="+", type=Path, metavar="FILE")
    table.set_defaults(command=_table)

    installer = commands.add_parser(
        "install",
        help="install the Testsuite",
        description="Install the Testsuite into a virtualenv under $XDG_CACHE_HOME "
        "or ~/.cache. It takes a Python 2.7, which is not changed.",
        epilog=_STATUS_HELP,
    )
    installer.add_argument(
        "--python",
        metavar="PATH",
        help="a Python 2.7; by default python2.7 on PATH, then pyenv's",
    )
    installer.set_defaults(command=_install)
    return parser


def _testServer(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    return _test(options, environ, lambda run: runServer(run, _say, options.url))


def _testClient(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    return _test(options, environ, lambda run: runClient(run, _say))


def _test(
    options: argparse.Namespace,
    environ: Mapping[str, str],
    mode: Callable[[Run], Summary],
) -> int:
    """What every mode of testing does around its run.

    :param mode: does the run.
    """
    cases, exclude = _patterns(options.cases), _patterns(options.exclude)
    wstest = findWstest(options.wstest, environ)
    if options.report:
        directory = options.report.absolute()
        directory.mkdir(parents=True, exist_ok=True)
    else:
        directory = Path(tempfile.mkdtemp(prefix="autobahn-"))
    keep = True
    try:
        summary = mode(Run(wstest, directory, cases, exclude, options.timeout, environ))
        print(f"\nAutobahn Testsuite {summary.version}\n\n{summary.asText()}")
        if options.json:
            options.json.write_text(summary.asJSON(), encoding="utf-8")
        if options.markdown:
            options.markdown.write_text(summary.asMarkdown(), encoding="utf-8")
        nothingToSee = summary.exitStatus == 0 and not summary.remarks
        keep = options.keep or options.report is not None or not nothingToSee
        return summary.exitStatus
    finally:
        if keep:
            print(f"reports and logs: {directory}")
        else:
            shutil.rmtree(directory)


def _table(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    _say("\n".join(restructured(options.summaries)))
    return 0


def _install(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    _say(f"wstest: {install(options.python, environ, _say)}")
    return 0


def _patterns(words: Sequence[str]) -> list[str]:
    try:
        return splitPatterns(words) if words else []
    except ValueError as error:
        raise RunFailed(str(error)) from error


def _say(line: str) -> None:
    # Flushed, because a pipe or a log file is followed while minutes go by.
    print(line, flush=True)


def _terminated(number: int, frame: FrameType | None) -> None:
    # As an exception, so that children are stopped on the way out.
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(main(sys.argv[1:], os.environ))
