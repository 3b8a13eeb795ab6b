"""A chart of what was measured, in SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from .figures import Results, middle, shown

__all__ = ["CHARTED", "chart"]

CHARTED = (
    "pipelined-256",
    "pipelined-apart",
    "connections-100",
    "connections-1000",
    "4k",
    "64k",
    "1m",
    "tls-50",
    "tls-64k",
    "broadcast",
    "handshakes",
    "memory",
)
"""The scenarios that have a panel."""
COLUMNS = 3
WIDTH = 1080
_GAP = 28
_PANEL = (WIDTH - _GAP * (COLUMNS + 1)) / COLUMNS
_LABEL = 144
_VALUE = 46
_BAR = 13
_STEP = 19
_HEAD = 30
_TOP = 78
# Its own background, as the page around it may be light or dark whatever the system's
# preference is.
_STYLE = """\
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #24292f; }
.title { font-size: 16px; font-weight: 600; }
.panel { font-weight: 600; }
.faint { fill: #57606a; }
.ours { font-weight: 600; }
.back { fill: #ffffff; stroke: #d0d7de; }
.bar { fill: #b4bdc8; }
.bar.ours { fill: #0969da; }
.bar.ceiling { fill: #dfe4ea; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.faint { fill: #9aa4af; }
.back { fill: #161b22; stroke: #30363d; }
.bar { fill: #59636e; }
.bar.ours { fill: #4493f8; }
.bar.ceiling { fill: #343b44; }
}
"""


def chart(results: Results) -> Iterator[str]:
    """Draw what messages cost the servers, shorter bars being better.

    :param results: what was measured
    """
    found = {
        name: results["scenarios"][name]
        for name in CHARTED
        if name in results["scenarios"]
    }
    most = max((len(_bars(results, each)) for each in found.values()), default=0)
    height = _HEAD + most * _STEP + _GAP
    rows = -(-len(found) // COLUMNS)
    total = _TOP + rows * height
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total}" '
        f'width="{WIDTH}" height="{total}" role="img" aria-labelledby="title what">'
    )
    yield '<title id="title">Processor time of WebSocket servers</title>'
    yield f'<desc id="what">{escape(_described(results, found))}</desc>'
    yield f"<style>\n{_STYLE}</style>"
    yield (
        f'<rect class="back" x="0.5" y="0.5" width="{WIDTH - 1}" '
        f'height="{total - 1}" rx="8"/>'
    )
    yield _text(_GAP, 34, "What a message costs a WebSocket server", "title")
    note = "Microseconds of processor time a message; memory in KiB. Less is better."
    yield _text(_GAP, 55, note, "faint")
    for number, each in enumerate(found.values()):
        row, column = divmod(number, COLUMNS)
        x = _GAP + column * (_PANEL + _GAP)
        yield from _panel(results, each, x, _TOP + row * height)
    yield "</svg>"


def _bars(results: Results, scenario: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Give the servers that have a figure, and it."""
    pairs = [
        (name, middle(scenario["samples"].get(name, "-"), "cost"))
        for name in results["servers"]
    ]
    return [(name, cost) for name, cost in pairs if cost is not None]


def _panel(
    results: Results, scenario: Mapping[str, Any], x: float, y: float
) -> Iterator[str]:
    bars = _bars(results, scenario)
    longest = max((cost for _, cost in bars), default=0.0) or 1.0
    room = _PANEL - _LABEL - _VALUE
    yield _text(x, y + 14, scenario["title"], "panel")
    for number, (name, cost) in enumerate(bars):
        top = y + _HEAD + number * _STEP
        kind = "ours" if name == results["base"] else ""
        title = results["servers"][name]["title"]
        length = max(1.0, cost / longest * room)
        shade = "ceiling" if name == "raw" else kind
        yield _text(x + _LABEL - 8, top + 11, title, kind, "end")
        yield (
            f'<rect class="{f"bar {shade}".strip()}" x="{x + _LABEL:.1f}" '
            f'y="{top:.1f}" width="{length:.1f}" height="{_BAR}" rx="2"/>'
        )
        yield _text(x + _LABEL + length + 6, top + 11, shown(cost), kind)


def _text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


def _described(results: Results, found: Mapping[str, Any]) -> str:
    """Say in words what it shows."""
    parts: Sequence[str] = [
        f"{each['title']}: "
        + ", ".join(
            f"{results['servers'][name]['title']} {shown(cost)}"
            for name, cost in _bars(results, each)
        )
        for each in found.values()
    ]
    return ". ".join(parts)
