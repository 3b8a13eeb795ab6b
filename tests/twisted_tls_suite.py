"""Twisted's own tests of TLS, run with our protocol in place of Twisted's.

    python -m twisted.trial tests.twisted_tls_suite

They are from the Twisted that is installed. Left out is what is about Twisted's way of
doing it, not about what is done.
"""

# mypy: ignore-errors

from __future__ import annotations

from typing import Any

from twisted.internet import _newtls
from twisted.internet.test import test_tls as reactorTests
from twisted.protocols import tls
from twisted.protocols.test import test_tls as protocolTests

from twisted_ws.tlstransport import QuickTLSProtocol, missingNames

assert not missingNames(), missingNames()

# Wherever a TLS protocol is made, with a factory or without.
tls.TLSMemoryBIOFactory.protocol = QuickTLSProtocol
protocolTests.TLSMemoryBIOProtocol = QuickTLSProtocol
_newtls.TLSMemoryBIOProtocol = QuickTLSProtocol

LEFT_OUT = {
    "test_errorWriting": "replaces the OpenSSL connection by a stand-in",
    "test_smallWriteBuffering": "asks that the first write, too, waits for a turn",
}


def withoutThose(case: type) -> type:
    """Give a test case without what is left out."""

    def leaveOut(name: str) -> Any:
        def left(self: object) -> None:
            raise AssertionError("is left out")

        left.skip = LEFT_OUT[name]
        return left

    names = [name for name in LEFT_OUT if hasattr(case, name)]
    return type(case.__name__, (case,), {name: leaveOut(name) for name in names})


for _name in (
    "DeterministicTLSMemoryBIOTests",
    "TLSMemoryBIOFactoryTests",
    "TLSMemoryBIOTests",
    "TLSProducerTests",
):
    # The first is not in Twisted 22.10.
    if hasattr(protocolTests, _name):
        globals()[_name] = withoutThose(getattr(protocolTests, _name))
for _name, _case in vars(reactorTests).items():
    if _name.endswith("ReactorTests"):
        globals()[_name] = _case
del _case
