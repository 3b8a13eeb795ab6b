"""A line that is being typed: characters, a cursor, a history, the part that is seen.

It is shown on one row, along which a longer line moves, so that a change of the
terminal's width, or of what stands above it, asks for nothing but drawing it again.
Characters are as wide as terminals draw them: two columns for East Asian ones and
emoji, none for marks that join the character before them.
"""

from __future__ import annotations

from collections import deque
from unicodedata import category, east_asian_width

__all__ = ["REMEMBERED", "LineEditor", "cellsOf"]

REMEMBERED = 200
"""Lines that the history keeps, in memory only: they may hold secrets."""


def cellsOf(character: str) -> tuple[str, int]:
    """Tell how a character is shown.

    :param character: one
    :returns: what is written for it, and how many columns that takes
    """
    if not character.isprintable():
        if character < " " or character == "\x7f":
            return f"^{chr(ord(character) ^ 64)}", 2
        escaped = character.encode("unicode_escape").decode()
        return escaped, len(escaped)
    if _joins(character):
        return character, 0
    return character, 2 if east_asian_width(character) in "WF" else 1


def _joins(character: str) -> bool:
    """Tell whether a character is drawn on the one before it."""
    return category(character) in ("Mn", "Me")


class LineEditor:
    """The line, and those before it."""

    def __init__(self) -> None:
        self._line: list[str] = []
        self._cursor = 0
        # The first character that is seen.
        self._left = 0
        self._history: deque[str] = deque(maxlen=REMEMBERED)
        # Which line of the history is shown; its length for the new one.
        self._place = 0
        self._draft = ""
        self._killed = ""

    @property
    def text(self) -> str:
        """The line."""
        return "".join(self._line)

    # Changes

    def insert(self, text: str) -> None:
        """Put text where the cursor is.

        :param text: one character, or more
        """
        self._line[self._cursor : self._cursor] = text
        self._cursor += len(text)

    def take(self) -> str:
        """Give the line, remember it, and begin a new one."""
        text = self.text
        if text and (not self._history or self._history[-1] != text):
            self._history.append(text)
        self._replace("")
        self._place = len(self._history)
        return text

    def backspace(self) -> None:
        """Remove the character before the cursor."""
        self._remove(self._before(), self._cursor)

    def delete(self) -> None:
        """Remove the character at the cursor."""
        self._remove(self._cursor, self._after())

    def killToEnd(self) -> None:
        """Remove what stands behind the cursor, for :meth:`yank`."""
        self._kill(self._cursor, len(self._line))

    def killToStart(self) -> None:
        """Remove what stands before the cursor, for :meth:`yank`."""
        self._kill(0, self._cursor)

    def killWord(self) -> None:
        """Remove the word before the cursor, for :meth:`yank`."""
        self._kill(self._wordBefore(), self._cursor)

    def yank(self) -> None:
        """Put in what was removed last."""
        self.insert(self._killed)

    def transpose(self) -> None:
        """Exchange the two characters before the cursor, or those around it."""
        at = min(self._cursor, len(self._line) - 1)
        if at > 0:
            self._line[at - 1 : at + 1] = self._line[at], self._line[at - 1]
            self._cursor = at + 1

    def _remove(self, start: int, end: int) -> None:
        del self._line[start:end]
        self._cursor = start

    def _kill(self, start: int, end: int) -> None:
        if start < end:
            self._killed = "".join(self._line[start:end])
            self._remove(start, end)

    def _replace(self, text: str) -> None:
        self._line = list(text)
        self._cursor = len(self._line)
        self._left = 0

    # The cursor

    def left(self) -> None:
        """Go one character back."""
        self._cursor = self._before()

    def right(self) -> None:
        """Go one character on."""
        self._cursor = self._after()

    def home(self) -> None:
        """Go to the beginning."""
        self._cursor = 0

    def end(self) -> None:
        """Go to the end."""
        self._cursor = len(self._line)

    def wordLeft(self) -> None:
        """Go to the beginning of a word."""
        self._cursor = self._wordBefore()

    def wordRight(self) -> None:
        """Go to the end of a word."""
        at = self._cursor
        while at < len(self._line) and self._line[at].isspace():
            at += 1
        while at < len(self._line) and not self._line[at].isspace():
            at += 1
        self._cursor = at

    def _before(self) -> int:
        """Find the character before the cursor, with what joins it."""
        at = max(self._cursor - 1, 0)
        while at > 0 and _joins(self._line[at]):
            at -= 1
        return at

    def _after(self) -> int:
        """Find the end of the character at the cursor."""
        at = min(self._cursor + 1, len(self._line))
        while at < len(self._line) and _joins(self._line[at]):
            at += 1
        return at

    def _wordBefore(self) -> int:
        at = self._cursor
        while at > 0 and self._line[at - 1].isspace():
            at -= 1
        while at > 0 and not self._line[at - 1].isspace():
            at -= 1
        return at

    # The history

    def previous(self) -> None:
        """Show the line before the one that is shown."""
        self._recall(self._place - 1)

    def next(self) -> None:
        """Show the line behind the one that is shown."""
        self._recall(self._place + 1)

    def _recall(self, place: int) -> None:
        if not 0 <= place <= len(self._history):
            return
        if self._place == len(self._history):
            self._draft = self.text
        self._place = place
        self._replace(
            self._draft if place == len(self._history) else self._history[place]
        )

    # The sight of it

    def view(self, columns: int) -> tuple[str, int]:
        """Give the part that is seen, with the cursor in it.

        :param columns: how many there are
        :returns: what to write, and the column of the cursor in it
        """
        self._left = min(self._left, self._cursor)
        before = [cellsOf(each)[1] for each in self._line[self._left : self._cursor]]
        column = sum(before)
        for width in before:
            if column < columns:
                break
            column -= width
            self._left += 1
        shown = []
        used = 0
        for each in self._line[self._left :]:
            text, width = cellsOf(each)
            if used + width > columns:
                break
            shown.append(text)
            used += width
        return "".join(shown), column
