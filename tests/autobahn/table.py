"""Makes the documentation's table of what several runs have written with ``--json``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .errors import RunFailed


def restructured(paths: Sequence[Path]) -> Iterator[str]:
    """Make a table in reST, with a line for each category.

    :param paths: the summaries of runs of the same cases in different modes.
    :returns: its lines.
    :raises RunFailed: if one cannot be read, the cases differ, or some are not OK: what
        is not so has no place in the documentation.
    """
    documents = [_read(path) for path in paths]
    cases = [_cases(document) for document in documents]
    if any(each != cases[0] for each in cases):
        raise RunFailed("the runs are not of the same cases")
    head = ["Category", "Title", "Cases"]
    for document in documents:
        side = document["mode"].capitalize()
        head += [f"{side}: strictly OK", f"{side}: informational"]
    rows = [head]
    for number, category in enumerate(documents[0]["categories"]):
        counts = [document["categories"][number] for document in documents]
        rows.append(
            [str(category["category"]), category["title"], *_cells(counts, "{}")]
        )
    totals = [document["total"] for document in documents]
    rows.append(["**all**", "", *_cells(totals, "**{}**")])
    yield from (".. list-table::", "   :header-rows: 1", "")
    for row in rows:
        for number, cell in enumerate(row):
            yield f"   {'*' if number == 0 else ' '} - {cell}".rstrip()


def _read(path: Path) -> Any:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        bad = document["total"]["cases"] - sum(
            document["total"][outcome] for outcome in ("ok", "informational")
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFailed(f"{path} is not a summary: {error!r}") from error
    if bad:
        raise RunFailed(f"{path} has {bad} cases that are not OK")
    return document


def _cases(document: Any) -> list[tuple[int, int]]:
    return [(each["category"], each["cases"]) for each in document["categories"]]


def _cells(counts: Sequence[Any], form: str) -> Iterator[str]:
    yield form.format(counts[0]["cases"])
    for count in counts:
        yield form.format(count["ok"])
        yield form.format(count["informational"]) if count["informational"] else ""
