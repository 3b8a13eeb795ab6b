"""Real protocols over WebSocket, with a receiver that stops reading now and then."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import SkipTest, TestCase

from tests import stream_load
from tests.clients import within

SIZE = 6 * stream_load.MIB


class LoadTests(TestCase):
    """Some MiB through each; ``python -m tests.stream_load`` sends 100."""

    timeout = 120

    def test_AMP(self) -> Deferred[None]:
        """Calls of AMP come through, some at a time."""
        return within(ensureDeferred(stream_load.throughAMP(SIZE)), 100)

    def test_perspectiveBroker(self) -> Deferred[None]:
        """So do those of Perspective Broker."""
        return within(ensureDeferred(stream_load.throughPB(SIZE)), 100)

    def test_SSH(self) -> Deferred[None]:
        """A channel of SSH, with its own flow control on top."""
        why = stream_load.whyNoSSH()
        if why is not None:
            raise SkipTest(why)
        return within(ensureDeferred(stream_load.throughSSH(SIZE)), 100)

    def test_HTTP(self) -> Deferred[None]:
        """``twisted.web``: a page that a pull producer writes, and a body that a push
        producer does, both as fast as the other side reads."""
        return within(ensureDeferred(stream_load.throughHTTP(SIZE)), 100)
