"""Real protocols over WebSocket, with a receiver that stops reading now and then."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SkipTest

from tests import stream_load
from tests.clients import within
from tests.loopback import LoopbackCase

SIZE = 6 * stream_load.MIB


class LoadTests(LoopbackCase):
    """Some MiB through each; ``python -m tests.stream_load`` sends 100."""

    def test_AMP(self) -> Any:
        """Calls of AMP come through, some at a time."""
        return self.finish(within(ensureDeferred(stream_load.throughAMP(SIZE)), 100))

    def test_perspectiveBroker(self) -> Any:
        """So do those of Perspective Broker."""
        return self.finish(within(ensureDeferred(stream_load.throughPB(SIZE)), 100))

    def test_SSH(self) -> Any:
        """A channel of SSH, with its own flow control on top."""
        why = stream_load.whyNoSSH()
        if why is not None:
            raise SkipTest(why)
        return self.finish(within(ensureDeferred(stream_load.throughSSH(SIZE)), 100))

    def test_HTTP(self) -> Any:
        """``twisted.web``: a page that a pull producer writes, and a body that a push
        producer does, both as fast as the other side reads."""
        return self.finish(within(ensureDeferred(stream_load.throughHTTP(SIZE)), 100))
