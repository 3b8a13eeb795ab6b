"""The table of all conversations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .conversation import VARIANTS, Outcome

__all__ = ["Row", "markdown", "restructured"]

_ABILITIES = {
    "compression": "compress",
    "fragments": "send fragments",
    "reason": "send a reason",
    "seesClose": "tell how it was closed",
    "subprotocols": "agree on a subprotocol",
}
HEAD = ("Peer", "Our side", *(each.name for each in VARIANTS), "The peer cannot")


@dataclass(frozen=True)
class Row:
    """A peer, in one direction.

    :ivar peer: its name, and its version.
    :ivar side: what ours was.
    :ivar abilities: what the peer can.
    :ivar outcomes: how it went; none for a peer that is missing.
    :ivar missing: why there are none.
    """

    peer: str
    side: str
    abilities: frozenset[str] = frozenset()
    outcomes: Sequence[Outcome] = ()
    missing: str | None = None

    @property
    def isGood(self) -> bool:
        """Whether every variant went well."""
        return len(self.outcomes) == len(VARIANTS) and not self.problems

    @property
    def problems(self) -> list[str]:
        """What went wrong."""
        return [
            f"{self.peer}, our {self.side}, {each.variant.name}: {each.problem}"
            for each in self.outcomes
            if each.problem is not None
        ]

    def cells(self) -> tuple[str, ...]:
        """Give its line of the table."""
        found = {each.variant: each for each in self.outcomes}
        cells = []
        for variant in VARIANTS:
            outcome = found.get(variant)
            if outcome is None:
                cells.append("not run")
            elif outcome.problem is not None:
                cells.append("**no**")
            elif variant.compressed and not outcome.compressed:
                cells.append("uncompressed")
            else:
                cells.append("yes")
        cannot = [
            text for name, text in _ABILITIES.items() if name not in self.abilities
        ]
        last = self.missing or ", ".join(cannot)
        return (self.peer, self.side, *cells, last)


def markdown(rows: Sequence[Row]) -> Iterator[str]:
    """Write the table in Markdown.

    :param rows: its rows
    """
    yield f"| {' | '.join(HEAD)} |"
    yield f"|{'---|' * len(HEAD)}"
    for row in rows:
        yield f"| {' | '.join(row.cells())} |"


def restructured(rows: Sequence[Row]) -> Iterator[str]:
    """Write the table in reST.

    :param rows: its rows
    """
    yield from (".. list-table::", "   :header-rows: 1", "")
    for cells in (HEAD, *(row.cells() for row in rows)):
        for number, cell in enumerate(cells):
            yield f"   {'*' if number == 0 else ' '} - {cell}".rstrip()
