"""The options: every field, and every check."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import ast
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twisted_ws import clientoptions, options
from twisted_ws.clientoptions import ClientOptions
from twisted_ws.errors import InvalidOption, WebSocketError
from twisted_ws.options import Options, ServerOptions
from twisted_ws.origins import Authority, Origin

# Every class of options that there is.
CLASSES: list[type[Options]] = [
    value
    for module in (options, clientoptions)
    for value in vars(module).values()
    if isinstance(value, type) and value.__module__ == module.__name__
]
# Numbers that are one another's bounds: what else to set for a small value.
SMALL_WITH: dict[str, dict[str, Any]] = {
    "maxHeadSize": {"maxHeaderLine": 64},
}
HUGE = 10**400

SOURCES = [
    Path(str(module.__file__)).read_text(encoding="utf-8")
    for module in (options, clientoptions)
]


def everyField() -> Iterator[tuple[type[Options], dataclasses.Field[Any]]]:
    """Give each class of options with each of its fields."""
    for each in CLASSES:
        for field in dataclasses.fields(each):
            yield each, field


def plainFields() -> Iterator[tuple[type[Options], dataclasses.Field[Any]]]:
    """Give those whose values are checked by what their defaults are."""
    for each, field in everyField():
        if field.metadata["check"] is None:
            yield each, field


def docstringsOfFields(node: ast.ClassDef) -> dict[str, str]:
    """Give the annotated names in a class's body, with the text behind each."""
    found = {}
    for statement, following in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(statement, ast.AnnAssign):
            continue
        assert isinstance(statement.target, ast.Name)
        text = ""
        if isinstance(following, ast.Expr) and isinstance(
            following.value, ast.Constant
        ):
            text = str(following.value.value)
        found[statement.target.id] = text
    return found


class FieldTests(SynchronousTestCase):
    """What is true of every option, today's and tomorrow's."""

    def test_classes(self) -> None:
        """There is something to look at."""
        self.assertTrue({Options, ServerOptions, ClientOptions} <= set(CLASSES))

    def test_defaults(self) -> None:
        """Every field has a default, and the defaults go together."""
        for each in CLASSES:
            made = each()
            for field in dataclasses.fields(each):
                where = f"{each.__name__}.{field.name}"
                self.assertIsNot(field.default, dataclasses.MISSING, where)
                self.assertEqual(getattr(made, field.name), field.default, where)

    def test_frozen(self) -> None:
        """Options do not change once they are made, so that they can be shared."""
        for each, field in everyField():
            with self.assertRaises(dataclasses.FrozenInstanceError):
                setattr(each(), field.name, field.default)
            hash(each())

    def test_keywordsOnly(self) -> None:
        """Options are given by name only."""
        for each in CLASSES:
            with self.assertRaises(TypeError):
                each(1)  # type: ignore[call-arg]
            with self.assertRaises(TypeError):
                each(noSuchOption=1)  # type: ignore[call-arg]

    def test_metadata(self) -> None:
        """Every field has a summary in one or more whole sentences and a known unit."""
        for each, field in everyField():
            where = f"{each.__name__}.{field.name}"
            summary = field.metadata["summary"]
            self.assertTrue(summary.endswith("."), where)
            self.assertTrue(summary[0].isupper() or summary[0].isdigit(), where)
            self.assertNotIn("  ", summary, where)
            self.assertNotIn("\n", summary, where)
            self.assertIn(field.metadata["unit"], {"", "bytes", "seconds"}, where)

    def test_docstrings(self) -> None:
        """Behind every field stands its docstring, in whole sentences."""
        seen = set()
        for node in (node for text in SOURCES for node in ast.parse(text).body):
            if not isinstance(node, ast.ClassDef):
                continue
            for name, text in docstringsOfFields(node).items():
                self.assertTrue(text, f"{node.name}.{name} has no docstring")
                self.assertTrue(text.endswith("."), f"{node.name}.{name}: {text}")
                seen.add(name)
        self.assertEqual(seen, {field.name for _, field in everyField()})

    def test_annotations(self) -> None:
        """A field's annotation is the kind that its default shows, which is what values
        are checked against."""
        kinds = {"bool": bool, "int": int, "float": float, "tuple[str, ...]": tuple}
        for each, field in plainFields():
            self.assertIs(
                type(field.default),
                kinds[str(field.type)],
                f"{each.__name__}.{field.name}",
            )

    def test_minimums(self) -> None:
        """Every number has a minimum, which works; what is below it does not."""
        for each, field in plainFields():
            if isinstance(field.default, bool | tuple):
                continue
            where = f"{each.__name__}.{field.name}"
            minimum = field.metadata["minimum"]
            self.assertIsNotNone(minimum, where)
            self.assertTrue(minimum >= 0, where)
            others = SMALL_WITH.get(field.name, {})
            made = each(**{**others, field.name: minimum})
            self.assertEqual(getattr(made, field.name), minimum, where)
            for little in (minimum - 1, -1):
                error = self.invalid(each, field.name, little)
                self.assertIn(str(minimum), error.why, where)
            if isinstance(field.default, float):
                self.invalid(each, field.name, math.nextafter(minimum, -math.inf))

    def test_flags(self) -> None:
        """Exactly the tuples have the name of a repeatable flag, each its own."""
        for each in CLASSES:
            flags = []
            for field in dataclasses.fields(each):
                flag = field.metadata["flag"]
                where = f"{each.__name__}.{field.name}"
                self.assertEqual(
                    flag is not None, isinstance(field.default, tuple), where
                )
                if flag is not None:
                    self.assertTrue(flag.replace("-", "").isalpha(), where)
                    self.assertEqual(flag, flag.lower(), where)
                    flags.append(flag)
            self.assertEqual(len(flags), len(set(flags)), each.__name__)

    def invalid(self, each: type[Options], name: str, value: object) -> InvalidOption:
        """Check that a value is refused, by an error that names the field."""
        try:
            each(**{name: value})  # type: ignore[arg-type]
        except InvalidOption as error:
            self.assertEqual(error.name, name)
            self.assertTrue(str(error).startswith(f"{name}: "), str(error))
            self.assertIsInstance(error, ValueError)
            self.assertIsInstance(error, WebSocketError)
            return error
        self.fail(f"{each.__name__}.{name} accepted {value!r:.60}")

    def test_wrongTypes(self) -> None:
        """A value of another type is refused, for every field."""
        anything: tuple[object, ...] = (None, b"1", 1j, [], ["a"], {}, object(), int)
        wrong: dict[type, tuple[object, ...]] = {
            bool: (0, 1, 1.0, "true", "", ()),
            int: (True, False, 1.0, 65536.0, math.nan, math.inf, "65536", "", ()),
            float: (True, False, "1", "", "1.0", ()),
            # A lone text would be taken letter by letter.
            tuple: (True, 0, 1.0, "", "a", (1,), ("a", None), ("a", b"b"), (("a",),)),
        }
        for each, field in plainFields():
            for value in (*anything, *wrong[type(field.default)]):
                self.invalid(each, field.name, value)

    def test_notFinite(self) -> None:
        """Neither infinity nor nan is a number of seconds."""
        for each, field in everyField():
            if isinstance(field.default, float):
                for value in (math.inf, -math.inf, math.nan):
                    self.invalid(each, field.name, value)

    def test_hugeNumbers(self) -> None:
        """A number with hundreds of digits is taken or refused like every other one;
        no other exception comes out."""
        for each, field in everyField():
            if isinstance(field.default, int | float):
                for huge in (HUGE, -HUGE):
                    try:
                        each(**{field.name: huge})
                    except InvalidOption as error:
                        self.assertEqual(error.name, field.name)

    def test_wholeSeconds(self) -> None:
        """Seconds may be given as whole numbers too."""
        for each, field in everyField():
            if isinstance(field.default, float):
                made = each(**{field.name: 5})
                self.assertEqual(getattr(made, field.name), 5)

    def test_units(self) -> None:
        """What a kind of number is missing is said with its unit."""
        for name, expected in (
            ("maxMessageSize", "'1 MiB' is not a whole number of bytes"),
            ("pingInterval", "'1 MiB' is not a number of seconds"),
            ("maxHeaders", "'1 MiB' is not a whole number"),
        ):
            self.assertEqual(self.invalid(Options, name, "1 MiB").why, expected)
        self.assertEqual(
            self.invalid(ServerOptions, "dangerouslyAllowAnyHost", 1).why,
            "1 is neither True nor False",
        )
        self.assertEqual(
            self.invalid(ServerOptions, "subprotocols", "chat").why,
            "'chat' is not a tuple of str",
        )
        self.assertEqual(
            self.invalid(Options, "pingInterval", math.inf).why, "inf is not finite"
        )
        self.assertEqual(
            self.invalid(Options, "pingTimeout", 0).why,
            "0 is too little: at least 0.001",
        )


class DefaultTests(SynchronousTestCase):
    """The defaults that the documentation promises."""

    def test_defaults(self) -> None:
        """Limits are on, nothing dangerous is."""
        made = ServerOptions()
        for name, expected in (
            ("maxMessageSize", 1024 * 1024),
            ("maxFragments", 131072),
            ("highWaterMark", 64 * 1024),
            ("maxSendBuffer", 16 * 1024 * 1024),
            ("pingInterval", 20.0),
            ("pingTimeout", 20.0),
            ("closeTimeout", 10.0),
            ("messageTimeout", 0.0),
            ("handshakeTimeout", 10.0),
            ("maxHeaderLine", 8192),
            ("maxHeadSize", 16384),
            ("maxHeaders", 100),
            ("subprotocols", ()),
            ("allowedOrigins", ()),
            ("dangerouslyAllowAnyOrigin", False),
            ("allowedHosts", ()),
            ("dangerouslyAllowAnyHost", False),
        ):
            self.assertEqual(getattr(made, name), expected, name)

    def test_dangerousOnes(self) -> None:
        """What is named dangerous is off, and says so."""
        for each, field in everyField():
            if field.name.startswith("dangerously"):
                where = f"{each.__name__}.{field.name}"
                self.assertIs(field.default, False, where)
                self.assertIn("Dangerous", field.metadata["summary"], where)


class TogetherTests(SynchronousTestCase):
    """Options that bound one another."""

    def test_highWaterMark(self) -> None:
        """The mark at which reading pauses is not over the one at which the connection
        ends."""
        Options(highWaterMark=65536, maxSendBuffer=65536)
        error = self.assertRaises(
            InvalidOption, Options, highWaterMark=65537, maxSendBuffer=65536
        )
        self.assertEqual(error.name, "highWaterMark")
        for text in ("65537", "maxSendBuffer", "65536"):
            self.assertIn(text, str(error))

    def test_maxHeaderLine(self) -> None:
        """A line is not longer than the whole head."""
        Options(maxHeaderLine=256, maxHeadSize=256)
        error = self.assertRaises(
            InvalidOption, ServerOptions, maxHeaderLine=257, maxHeadSize=256
        )
        self.assertEqual(error.name, "maxHeaderLine")
        for text in ("257", "maxHeadSize", "256"):
            self.assertIn(text, str(error))


class ServerOptionsTests(SynchronousTestCase):
    """What a server reads out of its options."""

    def test_H13_subprotocols(self) -> None:
        """Subprotocols are tokens."""
        self.assertEqual(
            ServerOptions(subprotocols=("v1.chat", "chat")).subprotocols,
            ("v1.chat", "chat"),
        )
        for name in ("", " chat", "a b", "a,b", 'a"', "chät", "a\r\nb", "a/b"):
            error = self.assertRaises(
                InvalidOption, ServerOptions, subprotocols=("good", name)
            )
            self.assertEqual(error.name, "subprotocols")
            self.assertIn(repr(name), error.why)

    def test_allowedOrigins(self) -> None:
        """Origins are read into the form that requests are compared with."""
        self.assertEqual(ServerOptions().readAllowedOrigins(), frozenset())
        made = ServerOptions(
            allowedOrigins=(
                "https://example.com",
                "HTTPS://EXAMPLE.com:443",
                "http://localhost:8080",
                "null",
            )
        )
        self.assertEqual(
            made.readAllowedOrigins(),
            {
                Origin("https", "example.com", 443),
                Origin("http", "localhost", 8080),
                None,
            },
        )

    def test_H11_wrongOrigins(self) -> None:
        """What is no origin is refused when the options are made; a wildcard with a
        hint, as it would silently match nothing."""
        for text in ("", "example.com", "https://example.com/", "https://a b", "NULL"):
            error = self.assertRaises(
                InvalidOption, ServerOptions, allowedOrigins=("null", text)
            )
            self.assertEqual(error.name, "allowedOrigins")
            self.assertIn(repr(text), error.why)
            self.assertIn("https://example.com", error.why)
            self.assertTrue(error.__suppress_context__)
        for text in ("*", "https://*.example.com", "https://*"):
            error = self.assertRaises(
                InvalidOption, ServerOptions, allowedOrigins=(text,)
            )
            self.assertEqual(error.name, "allowedOrigins")
            self.assertIn("wildcard", error.why)
            self.assertIn("dangerouslyAllowAnyOrigin", error.why)

    def test_allowedHosts(self) -> None:
        """Hosts are read into the form that requests are compared with."""
        self.assertEqual(ServerOptions().readAllowedHosts(), ())
        made = ServerOptions(allowedHosts=("Example.COM.", "example.com:8443", "[::1]"))
        self.assertEqual(
            made.readAllowedHosts(),
            (
                Authority("example.com", None),
                Authority("example.com", 8443),
                Authority("[::1]", None),
            ),
        )

    def test_H12_wrongHosts(self) -> None:
        """What is no host is refused when the options are made."""
        for text in ("", "*", "*.example.com", "https://example.com", "a/b", "a:65536"):
            error = self.assertRaises(
                InvalidOption, ServerOptions, allowedHosts=("example.com", text)
            )
            self.assertEqual(error.name, "allowedHosts")
            self.assertIn(repr(text), error.why)
            self.assertTrue(error.__suppress_context__)
