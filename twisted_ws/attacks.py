"""``python -m twisted_ws.testing attack``: the rows of the threat model, on a server.

:func:`attack` is the same for tests: one row after the other, each bounded in what it
sends and in time, and what came of it as an :class:`Outcome`.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import Enum
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, TimeoutError, ensureDeferred
from twisted.internet.task import react

from . import framethreats, handshakethreats
from .adversary import Broken, NotLoopback, Passed, Target
from .redaction import loggable

__all__ = ["ALL_ROWS", "CannotAttack", "Outcome", "Verdict", "attack", "main"]

NOT_FROM_OUTSIDE = {
    "H15": "what the application returns is the application's",
    "H16": "takes an application that fails",
    "H17": "takes an application that decides later",
    "H18": "takes as many connections as the server has room for",
    **dict.fromkeys(
        ("C01", "C02", "C03", "C04", "C05", "C06"), "a promise about clients"
    ),
    "D05": "memory is not seen from outside",
    "T03": "off by default",
    "T04": "takes a server that shuts down",
    "S02": "takes the server's files",
    "S04": "the log is not seen from outside",
    "S05": "the log is not seen from outside",
    "S06": "an application's credentials are the application's",
}
"""Why a row is not tried, by its id."""

SLOW = {"H10": 20.0, "T01": 60.0, "T02": 25.0}
"""Seconds that a row may take for which its promise has to be waited for."""

ROWS: dict[str, Callable[[Target], Awaitable[None]]] = {
    name.removeprefix("row_"): value
    for module in (handshakethreats, framethreats)
    for name, value in vars(module).items()
    if name.startswith("row_")
}
"""What is done, by the id of the row. The docstring says in a few words what it is."""

ALL_ROWS = tuple(
    sorted({*ROWS, *NOT_FROM_OUTSIDE}, key=lambda row: ("HCFDTS".index(row[0]), row))
)
"""The ids of all rows, in order."""
_MOST_SECONDS = 45.0


class CannotAttack(Exception):
    """There is no WebSocket server to attack.

    :param why: what is there instead
    """


class Verdict(Enum):
    """What came of a row."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Outcome(NamedTuple):
    """What came of a row; its ``str`` is a line of text."""

    row: str
    """Its id."""
    verdict: Verdict
    detail: str
    """What was done, what was seen in place of what was promised, or why it was
    skipped."""

    def __str__(self) -> str:
        return f"{self.row} {self.verdict.value:7} {loggable(self.detail, 1000)}"


def attack(
    reactor: Any,
    host: str,
    port: int,
    *,
    rows: Iterable[str] = (),
    slow: bool = False,
    report: Callable[[Outcome], object] | None = None,
    **options: Any,
) -> Deferred[list[Outcome]]:
    """Attack a server.

    What is sent is bounded: the most are 48 MiB, in F12, at a few dozen connections at
    once. A row takes 45 seconds at most, a slow one 60.

    :param reactor: the reactor
    :param host: the server's address; ``localhost`` is one too
    :param port: its port
    :param rows: the ids of the rows to try, by default all
    :param slow: try those as well that take 10 seconds and more; those that are named
        in ``rows`` are tried anyway
    :param report: called with each outcome, as soon as it is there
    :param options: for :class:`twisted_ws.adversary.Target`
    :returns: fires with the outcomes
    :raises NotLoopback: the host is another machine
    :raises ValueError: there is no such row
    """
    target = Target(reactor, host, port, **options)
    named = list(rows)
    for row in named:
        if row not in ALL_ROWS:
            raise ValueError(f"there is no row {row!r}")
    told: Callable[[Outcome], object] = report or (lambda _: None)

    async def run() -> list[Outcome]:
        try:
            await target.open()
        except Broken as broken:
            raise CannotAttack(f"{host} port {port}: {broken}") from None
        finally:
            await target.release()
        outcomes = []
        for row in named or ALL_ROWS:
            outcome = await _try(target, row, slow or row in named)
            outcomes.append(outcome)
            told(outcome)
        return outcomes

    return ensureDeferred(run())


async def _try(target: Target, row: str, slow: bool) -> Outcome:
    """Try a row."""
    if row not in ROWS:
        return Outcome(row, Verdict.SKIPPED, NOT_FROM_OUTSIDE[row])
    if row in SLOW and not slow:
        return Outcome(row, Verdict.SKIPPED, "takes a while: say --slow")
    function: Any = ROWS[row]
    seconds = SLOW.get(row, _MOST_SECONDS)
    running = ensureDeferred(function(target))
    running.addTimeout(seconds, target.reactor)
    try:
        await running
    except Passed as passed:
        return Outcome(row, Verdict.SKIPPED, str(passed))
    except Broken as broken:
        return Outcome(row, Verdict.FAILED, str(broken))
    except TimeoutError:
        return Outcome(row, Verdict.FAILED, f"not done within {seconds:g} s")
    finally:
        await target.release()
    return Outcome(row, Verdict.PASSED, function.__doc__)


# The command line


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m twisted_ws.testing", description="Tools for tests."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser(
        "attack",
        help="be a hostile peer to a server, and see whether it stands that",
        description="Be a hostile peer to a server. A line for each row of the threat "
        "model says what came of it. The exit status is 0 when none failed, 1 when one "
        "did, 2 when nothing could be tried.",
    )
    add = command.add_argument
    add("host", metavar="HOST", help="the server's address: a loopback one")
    add("port", metavar="PORT", type=int, help="its port")
    add("--path", default="/", help="where it has WebSocket (default: /)")
    add("--tls", action="store_true", help="speak TLS, with whatever certificate")
    add(
        "--row",
        action="append",
        default=[],
        metavar="ID",
        help="try this row only, such as H07; repeatable",
    )
    add("--slow", action="store_true", help="try rows that take 10 seconds and more")
    add(
        "--header",
        action="append",
        default=[],
        metavar="LINE",
        help="send a header line with each request, such as a cookie; repeatable",
    )
    add(
        "--max-message-size",
        type=int,
        default=1024 * 1024,
        metavar="BYTES",
        help="the largest message that the server takes (default: 1 MiB)",
    )
    add(
        "--patience",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="how long to wait for what ought to come (default: 2)",
    )
    add(
        "--dangerously-attack-another-machine",
        action="store_true",
        help="let HOST be any machine. Have its owner's permission",
    )
    return parser


async def _run(reactor: Any, options: Namespace) -> None:
    def write(line: object) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    try:
        outcomes = await attack(
            reactor,
            options.host,
            options.port,
            path=options.path,
            secure=options.tls,
            rows=[row.upper() for row in options.row],
            slow=options.slow,
            headers=tuple(options.header),
            maxMessageSize=options.max_message_size,
            patience=options.patience,
            dangerouslyAttackAnyHost=options.dangerously_attack_another_machine,
            report=write,
        )
    except NotLoopback as refused:
        sys.stderr.write(
            f"{refused}. If you may: --dangerously-attack-another-machine\n"
        )
        raise SystemExit(2) from None
    except (CannotAttack, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
    verdicts = [outcome.verdict for outcome in outcomes]
    write(", ".join(f"{verdicts.count(each)} {each.value}" for each in Verdict))
    raise SystemExit(1 if Verdict.FAILED in verdicts else 0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    :param arguments: by default those of this process
    :raises SystemExit: always, at the end
    """
    options = _parser().parse_args(arguments)
    react(lambda reactor: ensureDeferred(_run(reactor, options)))
