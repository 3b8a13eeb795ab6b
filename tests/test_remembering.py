"""What is remembered, and what is not."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.remembering import REMEMBERED, remembering


class RememberingTests(SynchronousTestCase):
    """``remembering``."""

    def setUp(self) -> None:
        self.calls: list[str] = []

        @remembering(3)
        def read(text: str) -> tuple[str]:
            """Read it."""
            self.calls.append(text)
            if text == "bad":
                raise ValueError(text)
            return (text,)

        self.read = read

    def test_shared(self) -> None:
        """The same text is read once, and gives the same object."""
        self.assertEqual(self.read("abc"), ("abc",))
        self.assertIs(self.read("abc"), self.read("ab" + "c"))
        self.assertEqual(self.calls, ["abc"])

    def test_long(self) -> None:
        """Long text is read each time."""
        self.assertEqual(self.read("abcd"), self.read("abcd"))
        self.assertEqual(self.calls, ["abcd"] * 2)

    def test_last(self) -> None:
        """Only the last ones are remembered."""
        for number in range(REMEMBERED + 1):
            self.read(str(number))
        self.read("0")
        self.read(str(REMEMBERED))
        self.assertEqual(self.calls[REMEMBERED + 1 :], ["0"])

    def test_raises(self) -> None:
        """What is wrong is found each time."""
        for _ in range(2):
            self.assertRaises(ValueError, self.read, "bad")
        self.assertEqual(self.calls, ["bad"] * 2)

    def test_named(self) -> None:
        """It is still known by its name and text."""
        self.assertEqual((self.read.__name__, self.read.__doc__), ("read", "Read it."))
