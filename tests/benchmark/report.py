"""What was measured, as numbers and tables."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["Results", "ratio", "spread", "textTable"]

LIMITED = 0.9
"""The part of its core from which on the load may be what limits."""
QUIET = 0.1
"""The part of a core that others may take."""
Results = Mapping[str, Any]
"""As it is written to a file: see :func:`tests.benchmark.arguments.main`."""


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Give median, least and largest.

    :param values: at least one
    """
    return statistics.median(values), min(values), max(values)


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> tuple[float, float, float]:
    """Give the ratio of each round as median, least and largest.

    :param theirs: a figure for each round
    :param ours: likewise
    """
    pairs = zip(theirs, ours, strict=True)
    return spread([their / our for their, our in pairs])


def textTable(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Write a table for a terminal.

    :param head: its columns
    :param rows: its cells
    """
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    for row in (head, *rows):
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1])]
        cells += [cell.rjust(width) for cell, width in others]
        yield "  ".join(cells).rstrip()


def significant(value: float) -> str:
    """Write a number with three digits or so.

    :param value: not negative
    """
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cell(samples: Any, field: str) -> str:
    """Write a figure of a server, or why there is none.

    :param samples: of one server in one scenario
    :param field: of the samples
    """
    if isinstance(samples, str):
        return "-"
    middle, least, most = spread([each[field] for each in samples])
    return f"{significant(middle)} ({significant(least)}-{significant(most)})"


def ratios(
    scenario: Mapping[str, Any], names: Sequence[str], base: str, field: str
) -> list[str]:
    """Write the ratios of a scenario to one server.

    :param scenario: its samples
    :param names: of the servers
    :param base: the name of that one
    :param field: ``cost``, or ``rate`` for ours over theirs
    """
    found = []
    for name in names:
        theirs, ours = scenario.get(name, "-"), scenario.get(base, "-")
        if isinstance(theirs, str) or isinstance(ours, str):
            found.append("-")
            continue
        figures = [[each[field] for each in side] for side in (theirs, ours)]
        if field == "rate":
            figures.reverse()
        if not all(map(all, figures)):
            found.append("-")
            continue
        found.append(significant(ratio(*figures)[0]))
    return found


def text(results: Results) -> Iterator[str]:
    """Write everything for a terminal.

    :param results: as they are written to a file
    """
    names = list(results["servers"])
    base = results["base"]
    others = [each for each in names if each != base]
    scenarios = results["scenarios"]
    yield "server processor time, us a message (memory: KiB a connection):"
    yield "median (least-largest) of the rounds"
    rows = [
        [name, *(cell(found["samples"].get(each, "-"), "cost") for each in names)]
        for name, found in scenarios.items()
    ]
    yield from textTable(["", *names], rows)
    for field, what in (
        ("cost", f"processor time (memory) of the others over {base}'s"),
        ("rate", f"messages per second of {base} over the others'"),
    ):
        yield ""
        yield f"{what}: median of the rounds"
        rows = [
            [name, *ratios(found["samples"], others, base, field)]
            for name, found in scenarios.items()
        ]
        yield from textTable(["", *others], rows)
    yield ""
    yield from remarks(results)


def remarks(results: Results) -> Iterator[str]:
    """Say what is missing, and what else a reader has to know.

    :param results: as they are written to a file
    """
    for name, why in results["missing"].items():
        yield f"{name} is left out: {why}"
    for name, found in results["scenarios"].items():
        others = []
        for server, samples in found["samples"].items():
            if isinstance(samples, str):
                yield f"{name}: {server}: {samples}"
                continue
            load, share, foreign = (
                statistics.median(each[field] for each in samples)
                for field in ("load", "server", "others")
            )
            others.append(foreign)
            if load > LIMITED > share:
                yield (
                    f"{name}: {server}: the load took {load:.0%} of its core, the "
                    f"server {share:.0%}: messages per second are those of the load"
                )
        if others and statistics.median(others) > QUIET:
            yield (
                f"{name}: something else took {statistics.median(others):.0%} of a "
                f"core: the machine is not quiet"
            )
