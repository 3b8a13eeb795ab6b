"""What was measured, as tables: for a terminal, and for the documentation."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from docs.tables import listTable

from .figures import (
    FAILED,
    Results,
    hasFailed,
    middle,
    ratios,
    shown,
    shownRange,
    values,
)

__all__ = ["Table", "failures", "page", "remarks", "tables", "text"]

QUIET = 0.1
"""The part of a core that others may take."""
_COMPARED = ("goals", "compression", "clients")
"""Groups for which there are ratios."""
_UNITS: Mapping[str, tuple[str, Callable[[str, Mapping[str, Any]], float]]] = {
    "sizes": ("KiB", lambda name, scenario: scenario["size"] / 1024),
    "fragments": ("fragment", lambda name, scenario: int(name.rpartition("-")[2])),
    "dribble": ("byte", lambda name, scenario: scenario["size"]),
}
"""Groups in which the cost has to grow no faster than something: its name, and how much
of it a message has."""
_PARTS = {"p50": "median", "p90": "90 %", "p99": "99 %", "max": "longest"}


@dataclass(frozen=True)
class Table:
    """A table.

    :ivar name: to find it by.
    :ivar title: what it shows.
    :ivar head: its columns.
    :ivar rows: its cells.
    """

    name: str
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(results: Results) -> Iterator[Table]:
    """Give all tables.

    :param results: what was measured
    """
    for group in dict.fromkeys(each["group"] for each in results["scenarios"].values()):
        yield from _groupTables(results, group)


def _groupTables(results: Results, group: str) -> Iterator[Table]:
    found = {
        name: each
        for name, each in results["scenarios"].items()
        if each["group"] == group
    }
    base = results["base"]
    names = [
        server
        for server in results["servers"]
        if any(
            values(each["samples"].get(server, "-"), "cost") for each in found.values()
        )
    ]
    others = [each for each in names if each != base]
    titles = {each: results["servers"][each]["title"] for each in names}

    def table(
        kind: str,
        title: str,
        servers: Sequence[str],
        cell: Callable[[str, Mapping[str, Any], str], str],
    ) -> Table:
        rows = [
            [
                each["title"],
                *(
                    FAILED
                    if hasFailed(samples(each, server))
                    else cell(name, each, server)
                    for server in servers
                ),
            ]
            for name, each in found.items()
        ]
        head = ["", *(titles[server] for server in servers)]
        return Table(f"{group}-{kind}", title, head, rows)

    def samples(scenario: Mapping[str, Any], server: str) -> Any:
        return scenario["samples"].get(server, "-")

    if group in _COMPARED and others:
        for figure, title in (
            ("cost", f"Processor time (or memory) of the others over {titles[base]}'s"),
            ("rate", f"Messages per second of {titles[base]} over the others'"),
        ):
            yield table(
                f"{figure}-ratio",
                title,
                others,
                lambda name, each, server, figure=figure: shownRange(  # type: ignore[misc]
                    ratios(samples(each, server), samples(each, base), figure)
                ),
            )
    if group in _UNITS:
        unit, amount = _UNITS[group]
        yield table(
            f"per-{unit}",
            f"Microseconds of processor time for each {unit}",
            names,
            lambda name, each, server: _divided(
                middle(samples(each, server), "cost"), amount(name, each)
            ),
        )
    if group == "latency":
        yield _latency(found, names, titles)
    yield table(
        "cost",
        "Microseconds of processor time for a message (for memory KiB)",
        names,
        lambda name, each, server: shownRange(values(samples(each, server), "cost")),
    )
    if group != "latency":
        yield table(
            "rate",
            "Messages per second",
            names,
            lambda name, each, server: shown(
                middle(samples(each, server), "rate") or None
            ),
        )


def _divided(cost: float | None, amount: float) -> str:
    return shown(None if cost is None else cost / amount)


def _latency(
    found: Mapping[str, Any], names: Sequence[str], titles: Mapping[str, str]
) -> Table:
    rows = []
    for each in found.values():
        for server in names:
            samples = each["samples"].get(server, "-")
            if isinstance(samples, str):
                cells = [FAILED if hasFailed(samples) else "-"] * len(_PARTS)
            else:
                cells = [
                    shownRange([sample["latency"][part] for sample in samples])
                    for part in _PARTS
                ]
            rows.append([each["title"], titles[server], *cells])
    head = ["", "", *_PARTS.values()]
    title = "Microseconds from when a message is due to its answer"
    return Table("latency-times", title, head, rows)


def failures(results: Results) -> Iterator[str]:
    """Give what went wrong.

    :param results: what was measured
    """
    for scenario in results["scenarios"].values():
        yield from filter(hasFailed, scenario["samples"].values())


def remarks(results: Results) -> Iterator[str]:
    """Say what is missing, and what else a reader has to know.

    :param results: what was measured
    """
    for name, why in results["missing"].items():
        yield f"{name} is left out: {why}"
    decoder = results["servers"].get(results["base"], {}).get("decoder")
    for name, about in results["servers"].items():
        other = about.get("decoder", decoder)
        if other != decoder:
            yield f"{name} decodes with {other}, {results['base']} with {decoder}"
    impossible: dict[tuple[str, str], list[str]] = {}
    noisy: dict[str, float] = {}
    limited: list[str] = []
    for name, found in results["scenarios"].items():
        others = []
        for server, samples in found["samples"].items():
            if hasFailed(samples):
                yield f"{name}: {server}: {samples}"
            elif isinstance(samples, str):
                impossible.setdefault((server, samples), []).append(name)
            else:
                load, share, foreign = (
                    statistics.median(each[figure] for each in samples)
                    for figure in ("load", "server", "others")
                )
                others.append(foreign)
                # At a fixed rate it always has a whole core.
                if load > share and found["kind"] != "latency":
                    limited.append(f"{name} {server}")
        if others and statistics.median(others) > QUIET:
            noisy[name] = statistics.median(others)
    for (server, why), names in impossible.items():
        yield f"{server}: {why}: {', '.join(names)}"
    if limited:
        yield (
            f"the load took more time than the server, so that messages per second may "
            f"be those of the load: {', '.join(limited)}"
        )
    if noisy:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in noisy.items())
        yield f"something else took more than {QUIET:.0%} of a core: {shares}"


def text(results: Results) -> Iterator[str]:
    """Write everything for a terminal.

    :param results: what was measured
    """
    for table in tables(results):
        yield f"{table.title}:"
        lines = [table.head, *table.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            cells = [
                each.rjust(width) for each, width in zip(line, widths, strict=True)
            ]
            cells[0] = line[0].ljust(widths[0])
            yield "  ".join(cells).rstrip()
        yield ""
    yield from remarks(results)


def page(results: Results) -> Iterator[str]:
    """Write everything in reST, between comments that an ``include`` can begin and end
    at.

    :param results: what was measured
    """
    yield ".. begin machine"
    yield ""
    yield from _machine(results)
    yield ""
    yield ".. end machine"
    yield ""
    for table in tables(results):
        yield f".. begin {table.name}"
        yield ""
        yield from listTable(table.head, table.rows)
        yield f".. end {table.name}"
        yield ""
    yield ".. begin remarks"
    yield ""
    for each in remarks(results):
        yield f"- {each}"
    yield ""
    yield ".. end remarks"


def _machine(results: Results) -> Iterator[str]:
    machine = results["machine"]
    yield (
        f"{results['date']}, {machine['processor']}, {machine['cores']} cores, "
        f"{machine['system']}, {machine['python']}."
    )
    for group in dict.fromkeys(each["group"] for each in results["scenarios"].values()):
        found = [
            each for each in results["scenarios"].values() if each["group"] == group
        ]
        rounds = _fromTo([each["rounds"] for each in found])
        seconds = _fromTo([each["seconds"] for each in found])
        known = results["servers"].get(results["base"], {}).get("commit")
        older = sorted({each.get("commit") for each in found} - {known, None})
        at = f", some or all of them of commit {', '.join(older)}" if older else ""
        yield f"Group ``{group}``: {rounds} rounds of {seconds} s{at}."
    yield ""
    rows = []
    for each in results["servers"].values():
        versions = [f"{name} {number}" for name, number in each["versions"].items()]
        facts = [
            f"{name}: {fact}"
            for name, fact in each.items()
            if name not in ("title", "versions")
        ]
        rows.append([each["title"], ", ".join(versions), ", ".join(facts)])
    yield from listTable(("Server", "Versions", "What else is known"), rows)


def _fromTo(found: Sequence[float]) -> str:
    least, most = min(found), max(found)
    return f"{least:g}" if least == most else f"{least:g} to {most:g}"
