"""Declarations of options, and checks of their values."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from dataclasses import dataclass, fields

from twisted.trial.unittest import SynchronousTestCase

from twisted_ws import knobs
from twisted_ws.errors import InvalidOption
from twisted_ws.knobs import (
    KIB,
    MIB,
    checkField,
    flagFor,
    knob,
    readPairs,
    readSize,
)


@dataclass(frozen=True)
class Knobs:
    """Some options."""

    size: int = knob(2, "A size.", unit="bytes", minimum=1)
    seconds: float = knob(1.5, "A time.")
    flag: bool = knob(False, "Whether.")
    names: tuple[str, ...] = knob((), "Names.", flag="name")
    token: str | None = knob(None, "A token.", secret=True, check=knobs.checkText)
    anything: object = knob(None, "Anything.", check=knobs.checkLater)
    hook: object = knob(None, "A hook.", check=knobs.checkCallable)


class KnobTests(SynchronousTestCase):
    """``knob`` and ``checkField``."""

    def test_declaration(self) -> None:
        """A declaration is a field with a default and what is said about it."""
        size = fields(Knobs)[0]
        self.assertEqual((size.default, size.metadata["unit"]), (2, "bytes"))
        self.assertEqual((size.metadata["minimum"], size.metadata["flag"]), (1, None))
        self.assertEqual((KIB, MIB), (1024, 1024 * 1024))

    def test_secret(self) -> None:
        """A secret is not in the repr, the others are."""
        text = repr(Knobs(token="hidden"))
        self.assertIn("size=2", text)
        self.assertNotIn("token", text)

    def test_checks(self) -> None:
        """A check of its own goes before the one by the default's type."""
        size, seconds, flag, names, token, anything, hook = fields(Knobs)
        for field, good, bad in (
            (size, (1, 5), (0, 1.0, "1", None, True)),
            (seconds, (-1, 0.5), ("1", float("nan"), float("inf"), False)),
            (flag, (True, False), (0, 1, None)),
            (names, ((), ("a",)), ("a", ["a"], (1,))),
            (token, (None, "x"), (1, b"x")),
            (anything, (None, 1, object()), ()),
            (hook, (None, print), (1,)),
        ):
            for value in good:
                checkField(field, value)
            for value in bad:
                error = self.assertRaises(InvalidOption, checkField, field, value)
                self.assertEqual(error.name, field.name)

    def test_pairs(self) -> None:
        """Pairs are made a tuple; what holds none is refused, a lone text too."""
        self.assertEqual(readPairs("x", {"a": "b"}), (("a", "b"),))
        self.assertEqual(readPairs("x", ["ab"]), (("a", "b"),))
        for value in ("", "ab", [("a", 1)], [(1, "a")], [("a", "b", "c")], 5):
            self.assertRaises(InvalidOption, readPairs, "x", value)

    def test_subprotocols(self) -> None:
        """Subprotocols are tokens; the error names the one that is none."""
        knobs.checkSubprotocols(())
        knobs.checkSubprotocols(("chat", "v2.example"))
        error = self.assertRaises(
            InvalidOption, knobs.checkSubprotocols, ("chat", "two words")
        )
        self.assertEqual(error.name, "subprotocols")
        self.assertIn("'two words' is not a token", error.why)

    def test_value(self) -> None:
        """A header that cannot be sent is the option's fault."""
        knobs.checkValue("headers", "A", "b")
        error = self.assertRaises(
            InvalidOption, knobs.checkValue, "headers", "A", "b\n"
        )
        self.assertEqual(error.name, "headers")


class CommandLineTests(SynchronousTestCase):
    """What command lines make of options."""

    def test_flags(self) -> None:
        """A flag is the field's name, or what the declaration says."""
        names = [flagFor(each.name, each.metadata) for each in fields(Knobs)]
        self.assertEqual(names[:4], ["size", "seconds", "flag", "name"])
        self.assertEqual(flagFor("maxSize", {"flag": None}), "max-size")

    def test_sizes(self) -> None:
        """Sizes are numbers of bytes, or of multiples of 1024."""
        for text, size in (
            ("0", 0),
            ("64KiB", 65536),
            ("1 m", MIB),
            ("2G", 2048 * MIB),
        ):
            self.assertEqual(readSize(text), size)
        for text in ("", "x", "1.5k", "-1", "1 kb", "1e3"):
            self.assertRaises(ValueError, readSize, text)
