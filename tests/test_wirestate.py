"""Where the attributes of a connection are kept."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from types import MemberDescriptorType

from twisted.trial.unittest import SynchronousTestCase

from tests.memory_costs import Idlers
from twisted_ws.clientprotocol import ClientProtocol
from twisted_ws.resource import ResourceProtocol
from twisted_ws.server import ServerProtocol
from twisted_ws.wirestate import NO_EVENTS, WireState


class WireStateTests(SynchronousTestCase):
    """The slots."""

    def test_nothingInFront(self) -> None:
        """No class attribute hides a slot, of this package or of Twisted: what is set
        would go to the dict."""
        for kind in (ServerProtocol, ResourceProtocol, ClientProtocol):
            for name in WireState.__slots__:
                self.assertIsInstance(getattr(kind, name), MemberDescriptorType, name)

    def test_dictIsSmall(self) -> None:
        """An open connection that was pinged, and has received and sent, has nothing
        in its dict."""
        idlers = Idlers()
        idlers.open(2)
        idlers.exchangePings()
        for wire in idlers.factory.connections:
            self.assertEqual(vars(wire), {})
            self.assertIs(wire._events, NO_EVENTS)
        self.assertEqual(NO_EVENTS, [])
