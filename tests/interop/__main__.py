"""The command line: ``python -m tests.interop``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from .conversation import Certificate, runPair
from .programs import PEERS, Implementation, ProgramFailed
from .table import Row, markdown, restructured

_STATUS_HELP = """\
exit status: 0 every conversation went well, 1 some did not, or a peer is missing
"""


def main(arguments: Sequence[str]) -> int:
    """Do what a command line says.

    :param arguments: the command line, without the program
    :returns: the exit status
    """
    parser = argparse.ArgumentParser(
        prog="python -m tests.interop",
        description="Have twisted_ws talk to other implementations, and print a table.",
        epilog=_STATUS_HELP,
    )
    parser.add_argument(
        "--peer",
        action="append",
        choices=[each.name for each in PEERS],
        help="only this one; may be repeated",
    )
    parser.add_argument(
        "--markdown", action="store_true", help="print the table in Markdown, not reST"
    )
    options = parser.parse_args(arguments)
    peers = [each for each in PEERS if not options.peer or each.name in options.peer]
    with tempfile.TemporaryDirectory() as directory:
        rows = list(runAll(peers, Certificate(Path(directory))))
    print("\n".join((markdown if options.markdown else restructured)(rows)))
    for row in rows:
        for problem in row.problems:
            print(problem, file=sys.stderr)
    return 0 if all(row.isGood for row in rows) else 1


def runAll(peers: Iterable[Implementation], certificate: Certificate) -> Iterable[Row]:
    """Have all talk to ours, in both directions.

    :param peers: the others
    :param certificate: for TLS
    """
    for peer in peers:
        missing = peer.missing()
        for oursServes, side in ((True, "server"), (False, "client")):
            print(f"{peer.name}, our {side}: {missing or '...'}", file=sys.stderr)
            if missing is not None:
                yield Row(peer.name, side, missing=missing)
                continue
            try:
                version, abilities, outcomes = runPair(peer, oursServes, certificate)
            except ProgramFailed as error:
                yield Row(peer.name, side, missing=str(error).partition("\n")[0])
                continue
            yield Row(f"{peer.name} {version}", side, abilities, outcomes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
