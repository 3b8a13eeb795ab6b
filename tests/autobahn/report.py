"""Reads what the Testsuite reported, counts it, and writes it down."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from .cases import caseKey, categoryOf, categoryTitle
from .errors import RunFailed


class Outcome(Enum):
    """What a case comes to, its behaviour and its closing taken together."""

    OK = "OK"
    INFORMATIONAL = "informational"
    NON_STRICT = "non-strict"
    UNIMPLEMENTED = "unimplemented"
    FAILED = "failed"


#: The outcomes that make a run fail.
NOT_OK = (Outcome.NON_STRICT, Outcome.UNIMPLEMENTED, Outcome.FAILED)

# As heads of columns.
_SHORT = {Outcome.INFORMATIONAL: "inform.", Outcome.UNIMPLEMENTED: "unimpl."}

# How much of an event list is repeated, payloads included.
_EVENTS_SHOWN = 160

# The Testsuite's own pages colour these yellow: allowed, but not as it should be.
_NON_STRICT = frozenset({"OK", "INFORMATIONAL", "NON-STRICT"})
_NON_STRICT_CLOSE = _NON_STRICT | {"WRONG CODE", "FAILED BY CLIENT"}


@dataclass(frozen=True)
class CaseResult:
    """What became of one case.

    :ivar case: its dotted name.
    :ivar behavior: the Testsuite's word on the messages.
    :ivar behaviorClose: the Testsuite's word on how the connection ended.
    :ivar remoteCloseCode: the code in the Close frame it received, if there was one.
    :ivar duration: in milliseconds.
    :ivar reportFile: the detailed report, ``None`` for a case that never ran.
    :ivar reasons: what the Testsuite had to say; read only for cases that are not OK.
    """

    case: str
    behavior: str
    behaviorClose: str
    remoteCloseCode: int | None = None
    duration: int = 0
    reportFile: Path | None = None
    reasons: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """Both behaviours as one outcome; a word nobody knows is a failure."""
        both = {self.behavior, self.behaviorClose}
        if both == {"OK"}:
            return Outcome.OK
        if both <= {"OK", "INFORMATIONAL"}:
            return Outcome.INFORMATIONAL
        if self.behavior == "UNIMPLEMENTED":
            return Outcome.UNIMPLEMENTED
        if self.behavior in _NON_STRICT and self.behaviorClose in _NON_STRICT_CLOSE:
            return Outcome.NON_STRICT
        return Outcome.FAILED

    def asJSON(self) -> dict[str, object]:
        """Everything but paths, which mean nothing on another machine."""
        return {
            "case": self.case,
            "outcome": self.outcome.value,
            "behavior": self.behavior,
            "behaviorClose": self.behaviorClose,
            "remoteCloseCode": self.remoteCloseCode,
            "duration": self.duration,
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True)
class Count:
    """How many cases there were, and how many had each outcome."""

    cases: int
    outcomes: Counter[Outcome]
    duration: int

    @property
    def notOk(self) -> int:
        """How many make the run fail."""
        return sum(self.outcomes[outcome] for outcome in NOT_OK)

    def asJSON(self) -> dict[str, object]:
        """One key for each outcome, under the names used in the Testsuite's report."""
        return {
            "cases": self.cases,
            "ok": self.outcomes[Outcome.OK],
            "informational": self.outcomes[Outcome.INFORMATIONAL],
            "nonStrict": self.outcomes[Outcome.NON_STRICT],
            "unimplemented": self.outcomes[Outcome.UNIMPLEMENTED],
            "failed": self.outcomes[Outcome.FAILED],
        }


@dataclass(frozen=True)
class Summary:
    """The results of one run.

    :ivar mode: which of our sides was tested, such as ``server``.
    :ivar version: the Testsuite's version.
    :ivar results: one for each case, in the order of their numbers.
    :ivar remarks: sentences on what else was noticed; they do not make it fail.
    """

    mode: str
    version: str
    results: Sequence[CaseResult]
    remarks: Sequence[str] = ()

    @property
    def total(self) -> Count:
        """All cases counted."""
        return _count(self.results)

    @property
    def categories(self) -> dict[int, Count]:
        """The cases of each category counted."""
        grouped: dict[int, list[CaseResult]] = {}
        for result in self.results:
            grouped.setdefault(categoryOf(result.case), []).append(result)
        return {category: _count(results) for category, results in grouped.items()}

    @property
    def notOk(self) -> list[CaseResult]:
        """The cases that make the run fail."""
        return [result for result in self.results if result.outcome in NOT_OK]

    @property
    def exitStatus(self) -> int:
        """0 if there were cases and each was OK or informational, else 1."""
        return 0 if self.results and not self.notOk else 1

    def closingLine(self) -> str:
        """The run in one line."""
        total = self.total
        return (
            f"autobahn {self.mode}: {total.cases} cases, "
            f"{total.outcomes[Outcome.OK]} OK, "
            f"{total.outcomes[Outcome.INFORMATIONAL]} informational, "
            f"{total.notOk} not OK"
        )

    def asText(self) -> str:
        """The run for a terminal: a table, what was not OK, and the closing line."""
        heads = [_SHORT.get(outcome, outcome.value) for outcome in Outcome]
        lines = [f"{'category':36}  cases  {'  '.join(heads)}  seconds"]
        for category, title, count in self._rows():
            cells = [
                f"{count.outcomes[outcome]:{len(head)}}"
                for outcome, head in zip(Outcome, heads, strict=True)
            ]
            lines.append(
                f"{category:>2} {title:33}  {count.cases:5}  {'  '.join(cells)}"
                f"  {count.duration / 1000:7.1f}"
            )
        informational = [
            f"{result.case} (close code {result.remoteCloseCode})"
            for result in self.results
            if result.outcome is Outcome.INFORMATIONAL
        ]
        if informational:
            lines += ["", f"informational: {', '.join(informational)}"]
        missing = [result.case for result in self.notOk if not result.reportFile]
        if missing:
            lines += ["", f"not reported: {', '.join(missing)}"]
        for result in self.notOk:
            if not result.reportFile:
                continue
            lines += [
                "",
                f"{result.case} is {result.outcome.value}: behavior {result.behavior}, "
                f"closing {result.behaviorClose}, close code {result.remoteCloseCode}, "
                f"{result.duration} ms",
                *(f"    {reason}" for reason in result.reasons),
                f"    {result.reportFile}",
            ]
        return "\n".join([*lines, "", *self.remarks, self.closingLine()])

    def asMarkdown(self) -> str:
        """The run as a table for the documentation."""
        lines = [
            "| category | title | cases | OK | informational | not OK |",
            "|---|---|---|---|---|---|",
        ]
        for category, title, count in self._rows():
            lines.append(
                f"| {category} | {title} | {count.cases} "
                f"| {count.outcomes[Outcome.OK]} "
                f"| {count.outcomes[Outcome.INFORMATIONAL]} | {count.notOk} |"
            )
        return "\n".join(lines) + "\n"

    def _rows(self) -> Iterator[tuple[str, str, Count]]:
        for category, count in self.categories.items():
            yield str(category), categoryTitle(category), count
        yield "", "all", self.total

    def asJSON(self) -> str:
        """The run for another program."""
        document = {
            "mode": self.mode,
            "testsuite": self.version,
            "total": self.total.asJSON(),
            "categories": [
                {
                    "category": category,
                    "title": categoryTitle(category),
                    **count.asJSON(),
                }
                for category, count in self.categories.items()
            ],
            "informational": [
                result.asJSON()
                for result in self.results
                if result.outcome is Outcome.INFORMATIONAL
            ],
            "notOk": [result.asJSON() for result in self.notOk],
        }
        return json.dumps(document, indent=2) + "\n"


def readReport(
    directory: Path, agent: str, expected: Iterable[str]
) -> list[CaseResult]:
    """Read the results that ``wstest`` left in a directory.

    :param directory: where its ``index.json`` and the detailed reports are.
    :param agent: the name the tested program was given.
    :param expected: the cases that were to run. One that is not in the report has
        failed: ``wstest`` leaves the rest out when the other side is gone.
    :returns: the results in the order of their numbers.
    :raises RunFailed: if there is no report, it is empty, or it is not understood.
    """
    path = directory / "index.json"
    try:
        entries = _readJSON(path).get(agent)
        if not entries:
            raise ValueError("no case in it")
        results = {
            case: _readEntry(directory, case, entry) for case, entry in entries.items()
        }
        for case in expected:
            if case not in results:
                results[case] = CaseResult(case, "MISSING", "MISSING")
        return sorted(results.values(), key=lambda result: caseKey(result.case))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunFailed(f"{path} is not a usable report: {error!r}") from error


def _readJSON(path: Path) -> Any:
    # The Testsuite writes payloads of any bytes into its reports.
    return json.loads(path.read_text(encoding="utf-8", errors="replace"))


def _readEntry(directory: Path, case: str, entry: Any) -> CaseResult:
    details = directory / entry["reportfile"]
    page = details.with_suffix(".html")
    result = CaseResult(
        case,
        entry["behavior"],
        entry["behaviorClose"],
        entry["remoteCloseCode"],
        entry["duration"],
        page if page.exists() else details,
    )
    if result.outcome not in NOT_OK or not details.exists():
        return result
    return replace(result, reasons=_readReasons(_readJSON(details)))


def _readReasons(details: Any) -> tuple[str, ...]:
    reasons = []
    if details["behavior"] != "OK":
        reasons.append(details["result"])
        for outcome, events in details["expected"].items():
            reasons.append(f"{outcome} would be: {_shorten(events)}")
        if details["expected"]:
            reasons.append(f"received: {_shorten(details['received'])}")
    if details["behaviorClose"] != "OK":
        reasons.append(details["resultClose"])
    # Some cases give the same sentence twice.
    return tuple(dict.fromkeys(reasons))


def _shorten(events: object) -> str:
    text = json.dumps(events)
    return text if len(text) <= _EVENTS_SHOWN else f"{text[:_EVENTS_SHOWN]} ..."


def _count(results: Sequence[CaseResult]) -> Count:
    return Count(
        len(results),
        Counter(result.outcome for result in results),
        sum(result.duration for result in results),
    )
