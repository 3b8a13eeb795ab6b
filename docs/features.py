"""What four packages can do: the rows of topics/features.rst.

Each row has a test of its name in ``tests/test_features.py``.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FEATURES", "Feature"]


class Feature(NamedTuple):
    """A row: its test's name, what it is about, and what is so in each package."""

    name: str
    what: str
    autobahn: str
    twistedWeb: str
    websockets: str
    here: str


FEATURES = (
    Feature(
        "loops",
        "Runs on",
        "Twisted, asyncio",
        "Twisted",
        "asyncio, threads",
        "Twisted",
    ),
    Feature("origin", "``Origin`` is checked by default", "no", "no", "no", "yes"),
    Feature(
        "messageLimit",
        "Largest message by default",
        "no limit",
        "no limit, and none to set",
        "1 MiB",
        "1 MiB",
    ),
    Feature(
        "connectionLimit",
        "Most connections by default",
        "no limit",
        "no limit, and none to set",
        "no limit, and none to set",
        "10,000",
    ),
    Feature(
        "keepalive", "Silent peers are pinged by default", "no", "no", "yes", "yes"
    ),
    Feature("compression", "Compresses by default", "no", "no", "yes", "yes"),
    Feature(
        "verification",
        "A client verifies certificates by default",
        "not with ``connectWS``",
        "yes",
        "yes",
        "yes",
    ),
    Feature("subprotocols", "Subprotocols", "yes", "no", "yes", "yes"),
    Feature(
        "codes",
        "Close codes that an application can send",
        "1000, 3000 to 4999",
        "all that are legal, and others",
        "all that are legal",
        "all that are legal",
    ),
    Feature("peersCode", "The peer's close code is told", "yes", "no", "yes", "yes"),
    Feature(
        "asyncHooks",
        "``async def`` hooks are waited for",
        "``onConnect`` only",
        "no",
        "has no hooks",
        "yes",
    ),
    Feature("iteration", "``async for`` over messages", "no", "no", "yes", "yes"),
    Feature(
        "reconnecting",
        "``async for`` over connections, reconnecting",
        "no",
        "no",
        "yes",
        "yes",
    ),
    Feature("slowPeers", "Sending can be waited for", "no", "no", "yes", "yes"),
    Feature(
        "refusing",
        "A request can be refused with",
        "status, reason",
        "500 only",
        "status, headers, body",
        "status, headers, body",
    ),
    Feature("resource", "A resource for ``twisted.web``", "yes", "yes", "no", "yes"),
    Feature("streams", "Any stream protocol over WebSocket", "yes", "no", "no", "yes"),
    Feature("proxies", "A client can use proxies", "yes", "no", "yes", "yes"),
    Feature("prepared", "One message for many, framed once", "yes", "no", "no", "yes"),
    Feature(
        "parts",
        "Parts of a message as they come",
        "yes",
        "no",
        "yes",
        "no",
    ),
    Feature("native", "Parts in C", "yes", "no", "yes", "yes"),
    Feature("wamp", "WAMP", "yes", "no", "no", "no"),
    Feature("types", "Marked as typed (PEP 561)", "yes", "yes", "yes", "yes"),
)
"""The rows."""
