"""What options are made of: a declaration for each, and the checks of their values."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, field
from typing import Any, TypeAlias

from .errors import InvalidOption
from .headers import Headers, isToken

__all__ = [
    "KIB",
    "MIB",
    "Pairs",
    "checkCallable",
    "checkField",
    "checkLater",
    "checkSubprotocols",
    "checkText",
    "checkValue",
    "flagFor",
    "knob",
    "readPairs",
    "readSize",
]

KIB = 1024
MIB = 1024 * KIB

Pairs: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]
"""Names and values: a mapping, or pairs where a name may come twice."""

_UNITS = {
    "": 1,
    **dict.fromkeys(("k", "kib"), KIB),
    **dict.fromkeys(("m", "mib"), MIB),
    **dict.fromkeys(("g", "gib"), 1024 * MIB),
}
_SIZE = re.compile(r"(\d+) ?([a-zA-Z]*)")


def knob(
    default: Any,
    summary: str,
    *,
    unit: str = "",
    kind: type | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    flag: str | None = None,
    secret: bool = False,
    check: Callable[[str, Any], None] | None = None,
) -> Any:
    """Declare an option.

    :param default: its value when nothing is said
    :param summary: one sentence for ``--help``
    :param unit: ``bytes``, ``seconds`` or nothing
    :param kind: the type of its values; the default's, where that is not None
    :param minimum: the least value that works
    :param maximum: the greatest value that works
    :param choices: the texts that work
    :param flag: the name that a repeatable flag is made from, one of the many
    :param secret: whether it may hold what belongs into no log, and so no ``repr``
    :param check: looks at the value in place of the checks that follow from the others;
        called with name and value, raises InvalidOption
    """
    return field(
        default=default,
        repr=not secret,
        metadata={
            "summary": summary,
            "unit": unit,
            "kind": kind or type(default),
            "minimum": minimum,
            "maximum": maximum,
            "choices": choices,
            "flag": flag,
            "check": check,
        },
    )


def checkText(name: str, value: object) -> None:
    """Check a text that may be left out.

    :param name: the option's
    :param value: its value
    :raises InvalidOption: it is no text
    """
    if value is not None and not isinstance(value, str):
        raise InvalidOption(name, "neither None nor a str")


def checkCallable(name: str, value: object) -> None:
    """Check a function that may be left out.

    :param name: the option's
    :param value: its value
    :raises InvalidOption: it is no function
    """
    if value is not None and not callable(value):
        # Without the value: what was to be returned may stand there, and be secret.
        raise InvalidOption(
            name, f"neither None nor callable, but a {type(value).__name__}"
        )


def checkLater(name: str, value: object) -> None:
    """Take any value: what it must be is known to another module or method.

    :param name: the option's
    :param value: its value
    """


def checkField(each: Field[Any], value: object) -> None:
    """Check one value against its field's kind, choices, minimum and maximum.

    :param each: the field
    :param value: its value
    :raises InvalidOption: it does not fit
    """
    check, kind = each.metadata["check"], each.metadata["kind"]
    if check is not None:
        check(each.name, value)
    elif value is None and each.default is None:
        return
    elif kind is bool:
        if not isinstance(value, bool):
            raise InvalidOption(each.name, f"{value!r} is neither True nor False")
    elif kind is tuple:
        _checkNames(each.name, value)
    elif kind is str:
        _checkChoice(each, value)
    else:
        _checkNumber(each, value, whole=kind is int)


def _checkNames(name: str, value: object) -> None:
    """Check a tuple of texts; a lone text would be taken letter by letter."""
    if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
        raise InvalidOption(name, f"{value!r} is not a tuple of str")


def _checkChoice(each: Field[Any], value: object) -> None:
    """Check a text that is one of a few."""
    choices = each.metadata["choices"]
    if not isinstance(value, str) or value not in choices:
        raise InvalidOption(each.name, f"{value!r} is not one of {', '.join(choices)}")


def _checkNumber(each: Field[Any], value: object, whole: bool) -> None:
    """Check a number's kind, minimum and maximum."""
    kind = "a whole number" if whole else "a number"
    unit = each.metadata["unit"]
    if unit:
        kind += f" of {unit}"
    allowed = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed):
        raise InvalidOption(each.name, f"{value!r} is not {kind}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidOption(each.name, f"{value!r} is not finite")
    minimum, maximum = each.metadata["minimum"], each.metadata["maximum"]
    if minimum is not None and value < minimum:
        raise InvalidOption(each.name, f"{value} is too little: at least {minimum}")
    if maximum is not None and value > maximum:
        raise InvalidOption(each.name, f"{value} is too much: at most {maximum}")


def checkSubprotocols(names: tuple[str, ...]) -> None:
    """Check the option ``subprotocols``, of either end (RFC 6455 section 4.1).

    :param names: its value
    :raises InvalidOption: one of them is no token
    """
    for name in names:
        if not isToken(name):
            raise InvalidOption(
                "subprotocols", f"{name!r} is not a token, as RFC 6455 wants it"
            )


def readPairs(name: str, value: Any) -> tuple[tuple[str, str], ...]:
    """Make a tuple of names and values.

    :param name: the option's
    :param value: what may be one of :data:`Pairs`
    :raises InvalidOption: it is not made of them; the message leaves out what they are
    """
    pairs = value.items() if isinstance(value, Mapping) else value
    try:
        found = tuple((key, text) for key, text in pairs)
    except (TypeError, ValueError):
        found = ((None, None),)
    if isinstance(value, str) or not all(
        isinstance(key, str) and isinstance(text, str) for key, text in found
    ):
        raise InvalidOption(name, "neither a mapping of str to str nor pairs of them")
    return found


def checkValue(option: str, name: str, value: str) -> None:
    """Check a header.

    :param option: the option that it comes from
    :param name: the header's name
    :param value: its value
    :raises InvalidOption: it cannot be sent
    """
    try:
        Headers([(name, value)])
    except ValueError as error:
        raise InvalidOption(option, str(error)) from None


def flagFor(name: str, metadata: Mapping[str, Any]) -> str:
    """Give the command line's name of an option field: ``maxMessageSize`` is
    ``max-message-size``.

    :param name: the field's name
    :param metadata: the field's
    """
    return metadata["flag"] or re.sub(r"([A-Z])", r"-\1", name).lower()


def readSize(text: str) -> int:
    """Read a number of bytes from the command line.

    :param text: such as ``65536`` or ``64KiB``
    :raises ValueError: it is none
    """
    matched = _SIZE.fullmatch(text)
    if matched is None or matched[2].lower() not in _UNITS:
        raise ValueError(
            f"{text!r} is not a whole number of bytes, such as 65536 or 64KiB"
        )
    return int(matched[1]) * _UNITS[matched[2].lower()]
