"""The command line of ``python -m twisted_ws``."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import contextlib
import getpass
import io
import os
from argparse import ArgumentParser
from dataclasses import Field, field, fields
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.arguments import COMMANDS, Settings, addField, readSettings, withFlags
from twisted_ws.clientoptions import ClientOptions
from twisted_ws.codec import versionLine
from twisted_ws.knobs import flagFor
from twisted_ws.options import Options

URL = "ws://localhost:8080/"


class ArgumentsTests(SynchronousTestCase):
    """A standard input that is, or is not, a terminal."""

    isTyped = False

    def setUp(self) -> None:
        """Say what the standard input is."""
        self.patch(os, "isatty", lambda descriptor: self.isTyped)

    def read(self, *arguments: str) -> Settings:
        """Read a command line with the URL first."""
        return readSettings([URL, *arguments])

    def refuse(self, *arguments: str) -> str:
        """Read a command line that cannot be used; give the one line that says so."""
        error = io.StringIO()
        with contextlib.redirect_stderr(error), self.assertRaises(SystemExit) as caught:
            readSettings(arguments)
        self.assertEqual(caught.exception.code, 2)
        text = error.getvalue()
        self.assertEqual(text.count("\n"), 1, text)
        self.assertTrue(text.startswith("twisted_ws: "), text)
        self.assertTrue(text.endswith("; see --help\n"), text)
        return text

    def say(self, *arguments: str) -> str:
        """Read a command line that asks for nothing but to be told; give that."""
        output = io.StringIO()
        with (
            contextlib.redirect_stdout(output),
            self.assertRaises(SystemExit) as caught,
        ):
            readSettings(arguments)
        self.assertEqual(caught.exception.code, 0)
        return output.getvalue()


class ReadingTests(ArgumentsTests):
    """Command lines that can be used."""

    def test_nothing(self) -> None:
        """A URL is enough: everything else is as the options have it, but that the
        environment may name a proxy."""
        self.assertEqual(
            self.read(),
            Settings(URL, ClientOptions(useEnvironmentProxies=True)),
        )

    def test_request(self) -> None:
        """What the request says; in the order in which it was given."""
        options = self.read(
            *("-H", "X-One: 1", "--header", "X-Two:a:b ", "-H", "X-Empty:"),
            *("--cookie", "a=1", "--cookie", "b=x=y"),
            *("--subprotocol", "chat", "--subprotocol", "superchat"),
            *("--origin", "https://example.com", "--user", "me:pass:word"),
        ).options
        self.assertEqual(
            options.headers, (("X-One", "1"), ("X-Two", "a:b"), ("X-Empty", ""))
        )
        self.assertEqual(options.cookies, (("a", "1"), ("b", "x=y")))
        self.assertEqual(options.subprotocols, ("chat", "superchat"))
        self.assertEqual(options.origin, "https://example.com")
        self.assertEqual((options.user, options.password), ("me", "pass:word"))

    def test_copiedHeaders(self) -> None:
        """Headers that have options of their own may be given as headers, as they are
        copied from a browser."""
        options = self.read(
            *("-H", "Cookie: a=1; b=2;", "-H", "origin: https://example.com"),
            *("-H", "Sec-WebSocket-Protocol: chat, v2", "--cookie", "c=3"),
        ).options
        self.assertEqual(options.subprotocols, ("chat", "v2"))
        self.assertEqual(options.cookies, (("c", "3"), ("a", "1"), ("b", "2")))
        self.assertEqual(options.origin, "https://example.com")
        self.assertEqual(options.headers, ())

    def test_way(self) -> None:
        """How to get there: proxies, certificates, times."""
        options = self.read(
            *("--proxy", "socks5://localhost", "--client-certificate", "me.pem"),
            *("--trust-roots", "roots.pem", "--timeout", "2.5"),
        ).options
        self.assertEqual(options.proxy, "socks5://localhost")
        self.assertFalse(options.useEnvironmentProxies)
        self.assertEqual(options.clientCertificate, "me.pem")
        self.assertEqual(options.trustRoots, "roots.pem")
        self.assertEqual(options.openTimeout, 2.5)
        options = self.read("--proxy", "", "--insecure").options
        self.assertEqual(options.proxy, "")
        self.assertTrue(options.dangerouslyDisableCertificateVerification)

    def test_program(self) -> None:
        """What the program itself does."""
        settings = self.read("--json", "--binary", "--ping", "5", "--wait", "inf")
        self.assertEqual(settings[2:], (True, True, 5.0, float("inf")))

    def test_fields(self) -> None:
        """Every option of connections has its flag, with the default of the option."""
        # Without white space, as lines are broken at hyphens too.
        help_ = "".join(self.say("--help").split())
        for each in fields(Options):
            value: Any = each.default
            if value is None or isinstance(value, bool):
                continue
            text = value if isinstance(value, str) else f"{value}"
            options = self.read(f"--{flagFor(each.name, each.metadata)}", text).options
            self.assertEqual(getattr(options, each.name), value)
            self.assertIn("".join(each.metadata["summary"].split()), help_)
        settings = self.read("--max-message-size", "64KiB", "--ping-interval", "0")
        self.assertEqual(settings.options.maxMessageSize, 65536)
        self.assertEqual(settings.options.pingInterval, 0)

    def test_kinds(self) -> None:
        """A field's flag reads what its field takes, also where its default is None."""

        def make(default: Any, kind: type, unit: str = "") -> Field[Any]:
            metadata = {"summary": "100 %.", "unit": unit, "flag": None, "kind": kind}
            made: Field[Any] = field(default=default, metadata=metadata)
            made.name = "someField"
            return made

        for made, arguments, value, shown in (
            (make("small", str), ["large"], "large", "VALUE 100 %. [default: small]"),
            (make(None, str), ["large"], "large", "VALUE 100 %."),
            (make(None, int), ["7"], 7, "VALUE 100 %."),
            (make(None, bool), [], True, "--some-field 100 %."),
            (make(None, float, "seconds"), ["1.5"], 1.5, "SECONDS 100 %."),
            (make(1, int, "bytes"), ["2k"], 2048, "BYTES 100 %. [default: 1]"),
        ):
            parser = ArgumentParser(add_help=False)
            addField(parser, made)
            self.assertIsNone(parser.parse_args([]).someField)
            found = parser.parse_args(["--some-field", *arguments]).someField
            self.assertEqual(found, value)
            self.assertIn(shown, " ".join(parser.format_help().split()))

    def test_flags(self) -> None:
        """Errors name flags in place of options, and leave other words alone."""
        self.assertEqual(
            withFlags("see openTimeout: maxHeaders, the user and the proxy"),
            "see --timeout: --max-headers, the user and the proxy",
        )

    def test_help(self) -> None:
        """``--help`` has the commands and the exit status; ``--version`` the
        version."""
        found = self.say("--help")
        for each in (*COMMANDS, "Exit status:", "[default: 1MiB]", "[default: 20]"):
            self.assertIn(each, found)
        self.assertEqual(self.say("--version"), f"{versionLine()}\n")


class RefusingTests(ArgumentsTests):
    """Command lines that cannot be used."""

    def test_refused(self) -> None:
        """Each is answered with a line that says what is wrong."""
        for arguments, expected in (
            ([], "URL"),
            (["http://localhost/"], "write ws:// in its place"),
            (["localhost"], "not of the form ws://host/"),
            ([URL, "more"], "more"),
            ([URL, "--inse"], "--inse"),
            ([URL, "-H", "nothing"], "-H/--header: not of the form NAME:VALUE"),
            ([URL, "-H", ":x"], "-H/--header: not of the form NAME:VALUE"),
            ([URL, "-H", "a b: c"], "--header: "),
            ([URL, "-H", "Upgrade: h2c"], "--header: Upgrade is written by"),
            ([URL, "-H", "Sec-WebSocket-Protocol: a,a"], "--subprotocol: one of"),
            ([URL, "--cookie", "a"], "--cookie: not of the form NAME=VALUE"),
            ([URL, "--cookie", "a=;"], "--cookie: the value of a holds a semicolon"),
            ([URL, "--subprotocol", "a b"], "--subprotocol: 'a b' is not a token"),
            ([URL, "--ping", "x"], "--ping: 'x' is not a number of seconds"),
            ([URL, "--ping", "0"], "--ping: 0 is not a time: more than 0"),
            ([URL, "--ping", "inf"], "--ping: inf is not a time: more than 0"),
            ([URL, "--wait", "-1"], "--wait: -1 is not a time: 0 or more"),
            ([URL, "--wait", "nan"], "--wait: nan is not a time: 0 or more"),
            ([URL, "--timeout", "0"], "--timeout: 0.0 is too little: at least 0.001"),
            (
                [URL, "--max-message-size", "1e3"],
                "'1e3' is not a whole number of bytes",
            ),
            ([URL, "--max-headers", "x"], "--max-headers: 'x' is not a whole number"),
            (
                [URL, "--insecure", "--trust-roots", "x"],
                "--trust-roots: given, while no certificate is verified: drop "
                "--insecure",
            ),
        ):
            self.assertIn(expected, self.refuse(*arguments), arguments)

    def test_S05_secrets(self) -> None:
        """Values that may be secret are in no message."""
        for arguments in (
            ["ws://me:hidden@local host/"],
            [URL, "-H", "hidden"],
            [URL, "-H", "X: hidden\x01"],
            [URL, "--cookie", "hidden"],
            [URL, "--cookie", "a=hidden;"],
        ):
            self.assertNotIn("hidden", self.refuse(*arguments))


class TypedTests(ArgumentsTests):
    """Where somebody types."""

    isTyped = True

    def test_password(self) -> None:
        """A password that is left out is asked for, with a name that is shown as
        harmless as it is; one that is empty is not."""
        asked: list[str] = []

        def ask(prompt: str) -> str:
            asked.append(prompt)
            return "secret"

        with mock.patch.object(getpass, "getpass", ask):
            options = self.read("--user", "m\u202ee").options
            self.assertEqual((options.user, options.password), ("m\u202ee", "secret"))
            self.assertEqual(asked, ["Password for m\\u202ee: "])
            options = self.read("--user", "me:").options
            self.assertEqual((options.user, options.password), ("me", ""))
            self.assertEqual(len(asked), 1)
            self.isTyped = False
            options = self.read("--user", "me").options
            self.assertEqual((options.user, options.password), ("me", ""))

    def test_binary(self) -> None:
        """What is typed is not one message."""
        self.assertIn("--binary: the standard input", self.refuse(URL, "--binary"))
