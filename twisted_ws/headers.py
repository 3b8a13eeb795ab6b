"""HTTP/1.1 fields: tokens, comma lists, parameters, and strict heads of messages.

RFC 9110 section 5 (fields) and RFC 9112 sections 2 to 5 (messages), the parts that an
opening handshake needs, and none of the leniency that those RFCs merely permit: what is
not plainly right is refused, because a proxy in front may have read it otherwise.
Everything here takes time linear in its input.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import NamedTuple

__all__ = [
    "Headers",
    "MalformedHead",
    "RequestHead",
    "ResponseHead",
    "isToken",
    "parseRequestHead",
    "parseResponseHead",
    "splitList",
    "splitParameters",
    "statusPhrase",
]

# RFC 9110 section 5.6.2. Anchored with fullmatch, one class and one loop: linear.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TOKEN_BYTES = re.compile(_TOKEN.pattern.encode("ascii"))
# RFC 9110 section 5.5: visible characters, space, tab and obs-text.
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_VALUE_BYTES = re.compile(_VALUE.pattern.encode("ascii"))
# All header lines of a head at once. No token holds a colon and no value a CR, so that
# there is one way to read it: linear too.
_FIELDS = re.compile(
    rb"%b:%b(?:\r\n%b:%b)*" % ((_TOKEN_BYTES.pattern, _VALUE_BYTES.pattern) * 2)
)
_TARGET_BYTES = re.compile(rb"[\x21-\x7e]+")
_VERSION_BYTES = re.compile(rb"HTTP/([0-9])\.([0-9])")
# RFC 9112 section 4 has servers send the second space though no reason follows; many
# leave it out, and nothing can be read otherwise for it.
_STATUS_LINE = re.compile(
    rb"HTTP/([0-9])\.([0-9]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?"
)


class MalformedHead(ValueError):
    """A head that breaks HTTP; the message holds nothing the peer sent."""


def isToken(text: str) -> bool:
    """Tell whether text is a token (RFC 9110 section 5.6.2): a method, a field name, a
    subprotocol, the name of an extension.

    :param text: what to look at
    """
    return _TOKEN.fullmatch(text) is not None


def statusPhrase(status: int) -> str:
    """Give the reason phrase of an HTTP status, empty for an unknown one.

    :param status: three digits
    """
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


class Headers:
    """Header fields in order, with names that match in any case.

    Values are text in ISO 8859-1, one per field line, without the white space around
    them. Adding checks name and value, so that nothing put in here can end a header
    line early or start another one.

    What a parser made keeps the header lines as they came, in one text, and is read as
    far as it is looked at: that is a fifth of the memory, and most applications look at
    few of the fields or at none.

    :param fields: a mapping, or pairs of name and value
    :raises ValueError: a name is not a token, or a value holds a control character or
        something outside ISO 8859-1
    """

    __slots__ = ("_byName", "_fields", "_text")

    def __init__(
        self, fields: Mapping[str, str] | Iterable[tuple[str, str]] = ()
    ) -> None:
        # The fields; None while the text has not been read.
        self._fields: list[tuple[str, str]] | None = []
        # The same as lines with CR LF between them; None when a field was added.
        self._text: str | None = None
        # The values of each name, in lower case; None until one is asked for.
        self._byName: dict[str, list[str]] | None = None
        pairs = fields.items() if isinstance(fields, Mapping) else fields
        for name, value in pairs:
            self.add(name, value)

    @classmethod
    def fromChecked(cls, text: str) -> Headers:
        """Take over header lines that a parser has already checked.

        :param text: the lines, with CR LF between them
        """
        headers = cls.__new__(cls)
        headers._fields = headers._byName = None
        headers._text = text
        return headers

    def joined(self) -> str:
        """Give the fields as lines with CR LF between them, which is what
        :meth:`fromChecked` takes."""
        if self._text is None:
            self._text = "\r\n".join(f"{name}:{value}" for name, value in self)
        return self._text

    def _read(self) -> list[tuple[str, str]]:
        """Give the fields."""
        fields = self._fields
        if fields is None:
            fields = self._fields = list(_cut(self._text))
        return fields

    def _valuesOf(self, name: str) -> list[str]:
        """Give the values of a name, in a list that is not to be changed."""
        index = self._byName
        if index is None:
            index = self._byName = {}
            # Not by way of the fields: nobody may ask for those.
            fields = self._fields
            for known, value in _cut(self._text) if fields is None else fields:
                index.setdefault(known.lower(), []).append(value)
        return index.get(name.lower(), _NO_VALUES)

    def add(self, name: str, value: str) -> None:
        """Add one field behind those that are there.

        :param name: a token
        :param value: the value; white space around it is dropped
        :raises ValueError: see the class
        """
        if not isToken(name):
            raise ValueError(f"header name {name!r} is not a token")
        if _VALUE.fullmatch(value) is None:
            # Without the value, which may be a cookie.
            raise ValueError(
                f"the value of header {name} holds a control character or one outside "
                f"ISO 8859-1"
            )
        self._read().append((name, value.strip(" \t")))
        self._text = self._byName = None

    def get(self, name: str, default: str | None = None) -> str | None:
        """Give the first value of a field.

        :param name: the field's name, in any case
        :param default: what to give when there is no such field
        """
        values = self._valuesOf(name)
        return values[0] if values else default

    def getAll(self, name: str) -> list[str]:
        """Give the values of all lines of a field, in order.

        :param name: the field's name, in any case
        """
        return self._valuesOf(name).copy()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._valuesOf(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return self._read() == other._read()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        # Names only: values may be credentials, and a repr ends up in logs.
        return f"<Headers {', '.join(name for name, _ in self)}>"


_NO_VALUES: list[str] = []


def _cut(text: str | None) -> Iterator[tuple[str, str]]:
    """Cut checked header lines into names and values.

    :param text: the lines, with CR LF between them
    """
    if text:
        for line in text.split("\r\n"):
            name, _, value = line.partition(":")
            yield name, value.strip(" \t")


class RequestHead(NamedTuple):
    """A request line and its fields, checked for form only."""

    method: str
    """The method, a token in its own case."""
    target: str
    """The request target as sent: visible ASCII."""
    version: tuple[int, int]
    """Major and minor digit of the HTTP version."""
    headers: Headers
    """The fields."""

    def __repr__(self) -> str:
        # The query may hold a token, and a repr ends up in logs.
        return f"<RequestHead {self.method} {self.target.partition('?')[0]!r}>"


def parseRequestHead(lines: list[bytes]) -> RequestHead:
    """Read a request head.

    :param lines: the request line and the header lines, without CRLF and without the
        empty line at the end
    :raises MalformedHead: anything that is not plainly HTTP (RFC 9112): a folded line,
        white space before a colon, a bare CR or LF, another control byte, a name that
        is not a token
    """
    parts = lines[0].split(b" ")
    if len(parts) != 3:
        raise MalformedHead("the request line is not method, target and version")
    method, target, version = parts
    matched = _VERSION_BYTES.fullmatch(version)
    if matched is None:
        raise MalformedHead("the request line does not end in an HTTP version")
    if _TOKEN_BYTES.fullmatch(method) is None:
        raise MalformedHead("the method is not a token")
    if _TARGET_BYTES.fullmatch(target) is None:
        raise MalformedHead("the request target holds bytes that are not visible ASCII")
    return RequestHead(
        method.decode("ascii"),
        target.decode("ascii"),
        (int(matched[1]), int(matched[2])),
        _parseFields(lines[1:]),
    )


class ResponseHead(NamedTuple):
    """A status line and its fields, checked for form only."""

    version: tuple[int, int]
    """Major and minor digit of the HTTP version."""
    status: int
    """The status, 100 to 999."""
    reason: str
    """The server's words for it, often none; in ISO 8859-1."""
    headers: Headers
    """The fields."""


def parseResponseHead(lines: list[bytes]) -> ResponseHead:
    """Read a response head.

    :param lines: the status line and the header lines, without CRLF and without the
        empty line at the end
    :raises MalformedHead: as :func:`parseRequestHead`
    """
    matched = _STATUS_LINE.fullmatch(lines[0])
    if matched is None:
        raise MalformedHead("the first line is not an HTTP version and a status")
    return ResponseHead(
        (int(matched[1]), int(matched[2])),
        int(matched[3]),
        (matched[4] or b"").decode("latin-1"),
        _parseFields(lines[1:]),
    )


def _parseFields(lines: list[bytes]) -> Headers:
    """Read header lines.

    :raises MalformedHead: one is not plainly a header line
    """
    text = b"\r\n".join(lines)
    # A line with an end of line inside would pass for two.
    if _FIELDS.fullmatch(text) is None or text.count(b"\n") >= len(lines):
        for line in lines:
            _checkField(line)
    return Headers.fromChecked(text.decode("latin-1"))


def _checkField(line: bytes) -> None:
    """Say what is wrong with a header line, if anything is.

    :raises MalformedHead: likewise
    """
    name, colon, value = line.partition(b":")
    # A folded line (obs-fold) starts with white space and so has no token before its
    # colon, if it has one at all: RFC 9112 section 5.2 lets us refuse it.
    if not colon or _TOKEN_BYTES.fullmatch(name) is None:
        raise MalformedHead("a header line does not start with a name and a colon")
    if _VALUE_BYTES.fullmatch(value) is None:
        raise MalformedHead("a header value holds a control byte")


def splitList(value: str, separator: str = ",") -> list[str]:
    """Split a list at its commas, but not at those inside quoted strings.

    Empty elements are dropped, as RFC 9110 section 5.6.1.2 asks of a recipient.

    :param value: a field value, or several joined by commas
    :param separator: the character to split at
    :returns: the elements without white space around them, quotes still on
    """
    return [each for each in _split(value, separator) if each]


def _split(value: str, separator: str) -> list[str]:
    """Split as :func:`splitList` does, empty elements included."""
    if '"' not in value:
        return [each.strip(" \t") for each in value.split(separator)]
    elements = []
    start = position = 0
    end = len(value)
    quoted = False
    # By hand rather than by a regular expression: one step a character, so no header
    # can make it backtrack.
    while position < end:
        character = value[position]
        if quoted:
            if character == "\\":
                position += 1
            elif character == '"':
                quoted = False
        elif character == '"':
            quoted = True
        elif character == separator:
            elements.append(value[start:position])
            start = position + 1
        position += 1
    elements.append(value[start:])
    return [each.strip(" \t") for each in elements]


def splitParameters(element: str) -> tuple[str, list[tuple[str, str | None]]]:
    """Split one element such as ``name; flag; key=value; key="value"``.

    RFC 6455 section 9.1: a quoted value must, unquoted, be a token.

    :param element: one element of a list
    :returns: the name, and its parameters in order; a parameter without ``=`` has the
        value None
    :raises ValueError: a name or value is not a token
    """
    name, *rest = _split(element, ";")
    if not isToken(name):
        raise ValueError("an extension's name is not a token")
    parameters: list[tuple[str, str | None]] = []
    for each in rest:
        key, equals, value = each.partition("=")
        key = key.rstrip(" \t")
        if not isToken(key):
            raise ValueError("an extension parameter's name is not a token")
        if not equals:
            parameters.append((key, None))
            continue
        value = value.lstrip(" \t")
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = _unquote(value[1:-1])
        if not isToken(value):
            raise ValueError("an extension parameter's value is not a token")
        parameters.append((key, value))
    return name, parameters


def _unquote(text: str) -> str:
    """Take the backslashes out of a quoted string's inside."""
    if "\\" not in text:
        return text
    characters = iter(text)
    return "".join(
        next(characters, character) if character == "\\" else character
        for character in characters
    )
