"""The line that is typed."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.lineedit import REMEMBERED, LineEditor, cellsOf

ACTIONS = (
    "backspace",
    "delete",
    "end",
    "home",
    "killToEnd",
    "killToStart",
    "killWord",
    "left",
    "next",
    "previous",
    "right",
    "take",
    "transpose",
    "wordLeft",
    "wordRight",
    "yank",
)

_characters = st.text("ab \t\u0301漢😀\x1b", max_size=5)


def typed(text: str, *actions: str) -> LineEditor:
    """Type text, and do what keys do."""
    editor = LineEditor()
    editor.insert(text)
    for each in actions:
        getattr(editor, each)()
    return editor


def marked(editor: LineEditor) -> str:
    """Give the line with a bar where the cursor is."""
    text = editor.text
    editor.insert("|")
    found = editor.text
    editor.backspace()
    assert editor.text == text
    return found


class EditingTests(SynchronousTestCase):
    """Keys that change the line or move the cursor."""

    def test_keys(self) -> None:
        """Each does what it does in readline."""
        for text, actions, expected in (
            ("abc", "left", "ab|c"),
            ("abc", "left left left left", "|abc"),
            ("abc", "home right", "a|bc"),
            ("abc", "right", "abc|"),
            ("abc", "home end", "abc|"),
            ("abc", "backspace", "ab|"),
            ("abc", "home backspace", "|abc"),
            ("abc", "home delete", "|bc"),
            ("abc", "delete", "abc|"),
            ("ab cd  ", "wordLeft", "ab |cd  "),
            ("ab cd", "home wordLeft", "|ab cd"),
            ("  ab cd", "home wordRight", "  ab| cd"),
            ("ab", "wordRight", "ab|"),
            ("ab  ", "home wordRight wordRight", "ab  |"),
            ("abc", "left killToEnd", "ab|"),
            ("abc", "left killToStart", "|c"),
            ("ab cd", "killWord", "ab |"),
            ("ab cd", "killWord yank yank", "ab cdcd|"),
            ("abc", "killToStart killToStart yank", "abc|"),
            ("abc", "transpose", "acb|"),
            ("abc", "left transpose", "acb|"),
            ("abc", "home right transpose", "ba|c"),
            ("abc", "home transpose", "|abc"),
            ("a", "transpose", "a|"),
            ("", "transpose", "|"),
        ):
            self.assertEqual(marked(typed(text, *actions.split())), expected, actions)

    def test_marks(self) -> None:
        """A character goes with the marks that join it."""
        text = "xe\u0301\u0302y"
        self.assertEqual(marked(typed(text, "left", "left")), "x|e\u0301\u0302y")
        self.assertEqual(
            marked(typed(text, "home", "right", "right")), "xe\u0301\u0302|y"
        )
        self.assertEqual(typed(text, "left", "backspace").text, "xy")
        self.assertEqual(typed(text, "home", "right", "delete").text, "xy")

    @given(st.lists(st.sampled_from(ACTIONS) | _characters, max_size=50))
    def test_any(self, actions: list[str]) -> None:
        """Whatever keys are pressed, the cursor is in the line, and it is seen."""
        editor = LineEditor()
        for each in actions:
            if each in ACTIONS:
                getattr(editor, each)()
            else:
                editor.insert(each)
            for columns in (1, 7, 80):
                shown, column = editor.view(columns)
                self.assertTrue(shown.isprintable())
                self.assertLessEqual(sum(cellsOf(c)[1] for c in shown), columns)
                self.assertTrue(0 <= column < columns or columns == 1)
            self.assertEqual(marked(editor).replace("|", "", 1), editor.text)


class HistoryTests(SynchronousTestCase):
    """Lines that were entered before."""

    def test_recall(self) -> None:
        """They come back one after the other, and then what was begun."""
        editor = LineEditor()
        for each in ("one", "two", "two", ""):
            editor.insert(each)
            self.assertEqual(editor.take(), each)
            self.assertEqual(editor.text, "")
        editor.insert("dra")
        seen = []
        for action in ("previous", "previous", "previous", "next", "next", "next"):
            getattr(editor, action)()
            seen.append(editor.text)
        # Neither twice in a row, nor empty.
        self.assertEqual(seen, ["two", "one", "one", "two", "dra", "dra"])

    def test_edit(self) -> None:
        """What is recalled can be changed, and stays as it was in the history."""
        editor = typed("one", "take", "previous", "backspace")
        self.assertEqual(editor.take(), "on")
        editor.previous()
        self.assertEqual(editor.text, "on")
        editor.previous()
        self.assertEqual(editor.text, "one")

    def test_bounded(self) -> None:
        """It forgets the oldest ones."""
        editor = LineEditor()
        for number in range(REMEMBERED + 10):
            editor.insert(str(number))
            editor.take()
        for _ in range(REMEMBERED + 10):
            editor.previous()
        self.assertEqual(editor.text, "10")


class ViewTests(SynchronousTestCase):
    """What is seen."""

    def test_cells(self) -> None:
        """Characters are as wide as terminals draw them; others are escaped."""
        for character, shown in (
            ("a", ("a", 1)),
            ("é", ("é", 1)),
            ("漢", ("漢", 2)),
            ("😀", ("😀", 2)),
            ("\u0301", ("\u0301", 0)),
            ("\t", ("^I", 2)),
            ("\x1b", ("^[", 2)),
            ("\x7f", ("^?", 2)),
            ("\x9b", ("\\x9b", 4)),
            ("\u202e", ("\\u202e", 6)),
        ):
            self.assertEqual(cellsOf(character), shown)

    def test_short(self) -> None:
        """A line that fits is seen whole."""
        self.assertEqual(typed("a漢b", "left").view(10), ("a漢b", 3))

    def test_long(self) -> None:
        """A longer one moves, and stays where it is as long as the cursor is seen."""
        editor = typed("0123456789")
        self.assertEqual(editor.view(5), ("6789", 4))
        editor.left()
        self.assertEqual(editor.view(5), ("6789", 3))
        for _ in range(4):
            editor.left()
        self.assertEqual(editor.view(5), ("56789", 0))
        editor.end()
        self.assertEqual(editor.view(5), ("6789", 4))
        editor.home()
        self.assertEqual(editor.view(5), ("01234", 0))

    def test_wide(self) -> None:
        """No half of a wide character is seen."""
        editor = typed("漢字漢字")
        self.assertEqual(editor.view(6), ("漢字", 4))
        editor.home()
        self.assertEqual(editor.view(5), ("漢字", 0))
