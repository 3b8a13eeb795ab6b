"""The benchmark: what it counts, how it reports, and that it runs."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import contextlib
import json
import select
import socket
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.benchmark import catalog, figures, report, wire
from tests.benchmark.arguments import chooseServers, main, merge, render
from tests.benchmark.catalog import OURS, PEERS, VARIANTS, Server, Setup, Unsupported
from tests.benchmark.chart import CHARTED, chart
from tests.benchmark.latency import FixedRate, percentile
from tests.benchmark.links import (
    Link,
    LoadFailed,
    acceptLink,
    clientContext,
    expectClient,
    openLink,
    verify,
)
from tests.benchmark.load import Exchange, broadcasts, dribbles, handshakes, settle
from tests.benchmark.programs import Cores, Program, ProgramFailed
from tests.benchmark.rounds import Benchmark, Sample, inTurn
from tests.benchmark.scenarios import GROUPS, SCENARIOS, Scenario, choose
from tests.benchmark.settings import WINDOW_BITS, Settings, message, run
from twisted_ws.allocator import KEPT, MAPPED
from twisted_ws.frames import FIN, RSV1, FrameDecoder, Opcode, encodeFrame
from twisted_ws.handshake import acceptFor

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


def sample(cost: float, rate: float = 100.0) -> dict[str, Any]:
    """Make what is kept of a round."""
    return {
        "cost": cost,
        "rate": rate,
        "server": 0.5,
        "load": 0.2,
        "others": 0.0,
        "latency": {"p50": cost, "p90": cost, "p99": cost, "max": cost},
    }


def results() -> dict[str, Any]:
    """Make results of three servers."""
    names = ("pipelined-16", "broadcast", "size-16k", "latency-2000", "client-100")
    scenarios: dict[str, Any] = {}
    for each in SCENARIOS:
        if each.name in names:
            ours = [sample(2.0, 200.0), sample(4.0, 100.0), sample(3.0, 150.0)]
            theirs = [sample(4.0, 100.0), sample(12.0, 50.0), sample(3.0, 50.0)]
            scenarios[each.name] = {
                "title": each.title,
                "kind": each.kind,
                "size": each.size,
                "group": each.group,
                "rounds": 1 if each.name == "broadcast" else 3,
                "seconds": 1.0,
                "samples": {"ours": ours, "picows": theirs, "raw": "no client"},
            }
    scenarios["broadcast"]["samples"]["picows"] = "failed: it <fell> over"
    scenarios["size-16k"]["samples"]["ours"] = [{**sample(2.0), "others": 0.5}]
    return {
        "date": "2000-01-01T00:00+00:00",
        "machine": {
            "processor": "a processor",
            "cores": 2,
            "system": "Linux 1",
            "python": "CPython 3",
        },
        "base": "ours",
        "servers": {
            "ours": {"title": "twisted_ws", "versions": {"twisted": "1"}},
            "picows": {"title": "pi<cows", "versions": {"picows": "2"}, "loop": "uv"},
            "raw": {"title": "bare", "versions": {}},
        },
        "missing": {"aiohttp": "it is away"},
        "scenarios": scenarios,
    }


class WireTests(SynchronousTestCase):
    """What is sent, and what is expected back."""

    def decode(self, data: bytes, reserved: int = 0) -> list[Any]:
        """Give the frames of a client."""
        return list(FrameDecoder(True, reserved).feed(data))

    def test_text(self) -> None:
        """Text has the size that is asked for, and is the same each time."""
        for size in (1, 16, 65536, 200_000):
            self.assertEqual(len(wire.text(size)), size)
        self.assertEqual(wire.text(300), wire.text(300))
        self.assertNotEqual(wire.text(300), wire.text(300, 2))

    def test_plain(self) -> None:
        """A message is one masked frame; its reply has no mask."""
        for size in (16, 300, 70_000):
            payload = wire.text(size)
            script = wire.plain(payload)
            self.assertEqual(wire.unmasked(script.frames[0]), payload)
            reply = encodeFrame(FIN | Opcode.TEXT, payload)
            self.assertEqual(script.replySize, len(reply))
            mirrored = script.mirror()
            self.assertEqual(mirrored.replySize, len(script.frames[0]))
            self.assertEqual(mirrored.expected, script.frames)

    def test_fragmented(self) -> None:
        """A fragmented message is one message, in as many frames as is said."""
        payload = wire.text(1000)
        script = wire.fragmented(payload, 300)
        decoder = FrameDecoder(True, 0)
        found = decoder.feed(script.frames[0])
        self.assertEqual(len(found), 4)
        reply = encodeFrame(FIN | Opcode.TEXT, payload)
        self.assertEqual(script.replySize, len(reply))

    def test_compressed(self) -> None:
        """The messages can be sent again and again, to one inflater that keeps what
        came before."""
        payloads = wire.jsonMessages(1024)
        self.assertEqual(len(set(payloads)), len(payloads))
        script = wire.compressed(payloads, "offer")
        self.assertEqual(script.offer, "offer")
        inflater = zlib.decompressobj(-WINDOW_BITS)
        for _ in range(2):
            for frame, payload in zip(script.frames, payloads, strict=True):
                self.assertEqual(frame[0], FIN | RSV1 | Opcode.TEXT)
                data = wire.unmasked(frame) + b"\0\0\xff\xff"
                self.assertEqual(inflater.decompress(data), payload)
        # Later ones refer to what came before.
        self.assertLess(len(script.frames[-1]), len(script.frames[0]))

    def test_answering(self) -> None:
        """A client's messages are answered with what it sends."""
        script = wire.answering(b"hello")
        self.assertEqual(script.frames, [b"\x81\x05hello"])
        sent = encodeFrame(FIN | Opcode.TEXT, b"hello", wire.KEY)
        self.assertEqual(script.replySize, len(sent))

    def test_replies(self) -> None:
        """Frames are told apart by their heads, of whatever length; what is not whole
        is left."""
        sizes = (0, 125, 126, 65535, 65536)
        frames = [encodeFrame(0x81, wire.text(size or 1)[:size]) for size in sizes]
        data = b"".join(frames)
        found = [end - begin for _, begin, end in wire.replies(data)]
        self.assertEqual(found, list(sizes))
        for cut in (1, 3, 9, 70):
            part = frames[-1][:cut]
            self.assertEqual(list(wire.replies(part)), [])
            whole = list(wire.replies(frames[1] + part))
            self.assertEqual(whole, [(0x81, 2, 127)])

    def test_request(self) -> None:
        """Compression is offered when it is to be."""
        self.assertNotIn(b"Extensions", wire.request(80)[1])
        self.assertIn(b": permessage-deflate; some\r\n", wire.request(80, "some")[1])


class Peer:
    """The other end of a connection on loopback; a thread does what it does.

    :param serve: is called with each connection
    """

    def __init__(self, case: SynchronousTestCase, serve: Callable[..., None]) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._serve = serve
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        case.addCleanup(self._end)

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            # The test may be done with it sooner. (Trial takes a name "suppress" here
            # for its own.)
            with connection, contextlib.suppress(OSError):
                self._serve(connection)

    def _end(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


def pair(case: SynchronousTestCase) -> tuple[Link, socket.socket]:
    """Give a connection, and the socket at its other end."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        link = Link(socket.create_connection(listening.getsockname()))
        other, _ = listening.accept()
    case.addCleanup(link.close)
    case.addCleanup(other.close)
    return link, other


class LinkTests(SynchronousTestCase):
    """Connections of the load."""

    def openTo(self, answer: bytes, script: wire.Script | None = None) -> Link:
        """Open a connection to what gives that answer."""

        def serve(connection: socket.socket) -> None:
            connection.recv(65536)
            connection.sendall(answer)

        return openLink(Peer(self, serve).port, script=script)

    def test_refused(self) -> None:
        """A server that does not take the handshake is not measured."""
        error = self.assertRaises(LoadFailed, self.openTo, b"HTTP/1.1 400 No\r\n\r\n")
        self.assertIn("refused: b'HTTP/1.1 400 No", str(error))
        wrong = b"HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: other\r\n\r\n"
        error = self.assertRaises(LoadFailed, self.openTo, wrong)
        self.assertIn("not the answer", str(error))
        error = self.assertRaises(LoadFailed, self.openTo, b"")
        self.assertIn("closed", str(error))

    def test_uncompressed(self) -> None:
        """Nor is one that does not compress where that is measured."""
        script = wire.compressed([b"{}"], wire.OFFERS["equal"])
        key, _ = wire.request(80)
        self.patch(wire, "requestHead", lambda host, headers: (key, b"GET"))
        accept = f"Sec-WebSocket-Accept: {acceptFor(key)}\r\n\r\n"
        head = f"HTTP/1.1 101 Yes\r\n{accept}".encode()
        error = self.assertRaises(LoadFailed, self.openTo, head, script)
        self.assertIn("does not compress", str(error))

    def test_noTLS(self) -> None:
        """One that closes instead of speaking TLS has failed."""
        peer = Peer(self, lambda connection: connection.recv(65536) and None)
        error = self.assertRaises(LoadFailed, openLink, peer.port, clientContext())
        self.assertIn("ended in the handshake", str(error))

    def test_anotherMessage(self) -> None:
        """What comes back has to be what was sent."""
        script = wire.plain(b"hello")
        for reply, problem in (
            (b"\x81\x05hullo", "another message"),
            (b"\x82\x05hello", "not one text message"),
            (b"\x81\x05hello\x81\x00", "another message"),
        ):
            link, other = pair(self)
            other.sendall(reply)
            error = self.assertRaises(LoadFailed, verify, link, script)
            self.assertIn(problem, str(error))
        link, other = pair(self)
        other.sendall(b"x" * 11)
        error = self.assertRaises(LoadFailed, verify, link, script.mirror())
        self.assertIn("other bytes", str(error))

    def test_compressed(self) -> None:
        """A compressed message is inflated before it is compared; one that is not
        compressed does not do."""
        script = wire.compressed([b"[1]"], "")
        deflater = zlib.compressobj(1, zlib.DEFLATED, -15)
        data = deflater.compress(b"[1]") + deflater.flush(zlib.Z_SYNC_FLUSH)
        link, other = pair(self)
        other.sendall(encodeFrame(0xC1, data[:-4]))
        verify(link, script)
        other.sendall(encodeFrame(0x81, b"[1]"))
        error = self.assertRaises(LoadFailed, verify, link, script)
        self.assertIn("not a compressed", str(error))

    def test_largeWrites(self) -> None:
        """What the socket does not take at once goes out later, in order."""
        link, other = pair(self)
        data = bytes(range(256)) * 40_000
        link.write(data)
        link.write(b"end")
        self.assertTrue(link.rest)
        found = bytearray()
        while len(found) < len(data) + 3:
            select.select([other], [], [], 10)
            found += other.recv(1 << 20)
            link.flush()
        self.assertEqual(bytes(found), data + b"end")
        self.assertFalse(link.rest)

    def test_wait(self) -> None:
        """It is not waited for ever."""
        self.patch(sys.modules[Link.__module__], "PATIENCE", 0.01)
        link, _ = pair(self)
        error = self.assertRaises(LoadFailed, link.wait, 1)
        self.assertIn("no reply", str(error))

    def test_client(self) -> None:
        """A client that sends another message, or more, is not measured."""
        script = wire.answering(b"hello")
        frame = encodeFrame(FIN | Opcode.TEXT, b"hello", wire.KEY)
        other = encodeFrame(FIN | Opcode.TEXT, b"hullo", wire.KEY)
        for data, problem in ((other, "another"), (frame + b"x", "more came")):
            link, peer = pair(self)
            peer.sendall(data)
            error = self.assertRaises(LoadFailed, expectClient, link, script)
            self.assertIn(problem, str(error))
        with (
            socket.create_server(("127.0.0.1", 0)) as listening,
            socket.create_connection(listening.getsockname()) as client,
        ):
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            error = self.assertRaises(LoadFailed, acceptLink, listening, script, 1)
        self.assertIn("not a request", str(error))


class LoadTests(SynchronousTestCase):
    """What is counted."""

    def echoing(self, script: wire.Script, reply: bytes, at: int = 1 << 30) -> Link:
        """Connect to what answers every message with the same, and after so many
        messages ends the connection."""
        size = len(script.frames[0])

        def serve(connection: socket.socket) -> None:
            got = count = 0
            while data := connection.recv(65536):
                got += len(data)
                many, got = divmod(got, size)
                count += many
                if count >= at:
                    return
                connection.sendall(reply * many)

        port = Peer(self, serve).port
        link = Link(socket.create_connection(("127.0.0.1", port)))
        self.addCleanup(link.close)
        return link

    def test_counts(self) -> None:
        """All that was sent is counted when it has come back, and nothing else: by
        the size of replies, and by their heads."""
        script = wire.plain(b"hello")
        for size in (script.replySize, None):
            script.replySize = size
            link = self.echoing(script, b"\x81\x05hello")
            exchange = Exchange([link], script, 8)
            count = exchange.run(0.01)
            exchange.close()
            self.assertGreaterEqual(count.messages, 8)
            self.assertGreater(count.seconds, 0.0)
            self.assertIsNone(link.poll)

    def test_pings(self) -> None:
        """Pings between messages are answered, where replies are told apart."""
        script = wire.plain(b"hello")
        script.replySize = None
        link, other = pair(self)
        other.sendall(b"\x89\x02ab" + b"\x81\x05hello")
        count = Exchange([link], script, 1).run(0.0)
        self.assertEqual(count.messages, 1)
        pong = encodeFrame(FIN | Opcode.PONG, b"ab", wire.KEY)
        self.assertEqual(other.recv(1000), script.frames[0] + pong)

    def test_otherFrames(self) -> None:
        """Any other frame fails the measurement."""
        script = wire.plain(b"hello")
        script.replySize = None
        link, other = pair(self)
        other.sendall(b"\x88\x00")
        error = self.assertRaises(LoadFailed, Exchange([link], script, 1).run, 0.0)
        self.assertIn("begins with 0x88", str(error))

    def test_more(self) -> None:
        """So does more than was asked for."""
        script = wire.plain(b"hello")
        link, other = pair(self)
        other.sendall(b"\x81\x05hello\x81")
        error = self.assertRaises(LoadFailed, Exchange([link], script, 1).run, 0.0)
        self.assertIn("more came back", str(error))

    def test_less(self) -> None:
        """And less."""
        self.patch(sys.modules[Exchange.__module__], "PATIENCE", 0.01)
        link, _ = pair(self)
        script = wire.plain(b"hello")
        for load in (
            Exchange([link], script, 1).run,
            lambda seconds: broadcasts([link], script, seconds),
        ):
            error = self.assertRaises(LoadFailed, load, 0.01)
            self.assertIn("did not come", str(error))

    def test_closed(self) -> None:
        """And a server that goes away."""
        script = wire.plain(b"hello")
        reply = b"\x81\x05hello"
        for load in (
            lambda link: Exchange([link], script, 1).run(10.0),
            lambda link: broadcasts([link], script, 10.0),
            lambda link: dribbles(link, script, 10.0),
            lambda link: FixedRate([link], script, 10_000).run(10.0),
        ):
            link = self.echoing(script, reply, 3)
            self.assertRaises((LoadFailed, ConnectionError), load, link)

    def test_large(self) -> None:
        """Messages larger than the socket's buffers go through."""
        payload = wire.text(3 << 20)
        script = wire.plain(payload)
        reply = encodeFrame(FIN | Opcode.TEXT, payload)
        link = self.echoing(script, reply)
        count = Exchange([link], script, 2).run(0.0)
        self.assertEqual(count.messages, 2)

    def test_several(self) -> None:
        """Messages of a script that differ are sent in turn, however many at once."""
        payloads = [b"a", b"bb", b"ccc"]
        script = wire.compressed(payloads, "")
        link, other = pair(self)
        exchange = Exchange([link], script, 8)
        other.sendall(b"\xc1\x01x" * 8)
        self.assertEqual(exchange.run(0.0).messages, 8)
        sent = [*script.frames, *script.frames, *script.frames[:2]]
        self.assertEqual(other.recv(65536), b"".join(sent))
        other.sendall(b"\xc1\x01x" * 8)
        exchange.run(0.0)
        self.assertTrue(other.recv(65536).startswith(script.frames[2]))

    def test_apart(self) -> None:
        """Messages are written one by one, if that is wanted, those of each script in
        its order."""
        for script in (wire.plain(b"hello"), wire.compressed([b"a", b"bb"], "")):
            link, other = pair(self)
            written: list[bytes] = []
            # Which has the length of what it took.
            link.send = lambda data, to=written: len(to.append(bytes(data)) or data)  # type: ignore[misc]
            exchange = Exchange([link], script, 3, apart=True)
            reply = b"\x81\x05hello" if script.replySize else b"\xc1\x01x"
            for _ in range(2):
                other.sendall(reply * 3)
                self.assertEqual(exchange.run(0.0).messages, 3)
            exchange.close()
            self.assertEqual(written, (list(script.frames) * 6)[:6])

    def test_broadcasts(self) -> None:
        """A message counts for each connection that it comes to."""
        script = wire.plain(b"hello")
        link = self.echoing(script, b"\x81\x05hello")
        other, far = pair(self)
        far.sendall(b"\x81\x05hello" * 1000)
        # The other one has them all at once, so that only one goes out.
        count = broadcasts([link], script, 0.01)
        self.assertGreaterEqual(count.messages, 1)
        self.assertEqual(other.partial, 0)

    def test_handshakes(self) -> None:
        """Connections that are opened and closed are counted; one that is refused
        fails."""
        answer = [b"HTTP/1.1 101 ", b"Yes\r\n\r\n"]
        left = [b"\x88\x02", b"\x03\xe8"]

        def serve(connection: socket.socket) -> None:
            connection.recv(65536)
            for each in answer:
                connection.sendall(each)
            if answer[0].endswith(b" 101 "):
                connection.recv(65536)
                for each in left:
                    connection.sendall(each)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(65536)

        port = Peer(self, serve).port
        self.assertGreater(handshakes(port, 0.02).messages, 0)
        self.assertGreater(handshakes(port, 0.02, upgrade=False).messages, 0)
        left.clear()
        error = self.assertRaises(LoadFailed, handshakes, port, 0.1)
        self.assertIn("not the closing handshake: b''", str(error))
        answer[0] = b"HTTP/1.1 503 "
        error = self.assertRaises(LoadFailed, handshakes, port, 0.1)
        self.assertIn("refused", str(error))
        answer[:] = [b"HTTP"]
        error = self.assertRaises(LoadFailed, handshakes, port, 0.1)
        self.assertIn("ended in the handshake", str(error))

    def test_settle(self) -> None:
        """A server has settled when it takes no more processor time."""
        used = iter([0.0, 1.0, 2.0, 2.001])
        settle(lambda: next(used))
        self.assertEqual(list(used), [])

    def test_latency(self) -> None:
        """Latency counts from when a message was due, and is told in parts."""
        self.assertEqual(percentile([1.0, 2.0, 3.0, 4.0], 0.5), 3.0)
        self.assertEqual(percentile([1.0, 2.0], 1.0), 2.0)
        script = wire.plain(b"hello")
        steady = FixedRate([self.echoing(script, b"\x81\x05hello")], script, 2000)
        self.assertEqual(steady.run(0.01).messages, 20)
        found = steady.summary()
        self.assertEqual(list(found), ["p50", "p90", "p99", "max"])
        self.assertLessEqual(found["p50"], found["max"])

    def test_latencyFails(self) -> None:
        """What does not come back fails it."""
        self.patch(sys.modules[FixedRate.__module__], "PATIENCE", 0.01)
        link, _ = pair(self)
        steady = FixedRate([link], wire.plain(b"hello"), 1000)
        error = self.assertRaises(LoadFailed, steady.run, 0.01)
        self.assertIn("10 messages did not come back", str(error))


class CatalogTests(SynchronousTestCase):
    """How servers are started."""

    def command(self, server: Server, setup: Setup) -> list[str]:
        """Give the command, from where it differs."""
        return server.command(setup, 99, Path("cert.pem"))

    def test_ours(self) -> None:
        """Ours is ``twistd websocket`` with nothing but what a scenario takes."""
        plain = self.command(OURS, Setup())
        at = plain.index("websocket")
        self.assertEqual(
            plain[at:], ["websocket", "--interface", "127.0.0.1", "--port", "99"]
        )
        memory = ["--compression-memory-level", "5"]
        for setup, more in (
            (Setup(secure=True), ["--certificate", "cert.pem"]),
            (Setup(deflate="equal"), ["--compression-level", "6", *memory]),
            (Setup(deflate="fast"), ["--compression-level", "1", *memory]),
            (Setup(deflate="defaults"), []),
            (Setup(maxSize=7), ["--max-message-size", "7"]),
            (Setup(broadcast=True), ["--protocol", "benchmark_broadcast.Broadcast"]),
        ):
            self.assertEqual(self.command(OURS, setup), plain + more)

    def test_peers(self) -> None:
        """Peers get the same through options of their own programs."""
        for server in (each for each in PEERS if each.serves):
            module = f"tests.benchmark.servers.{server.module}"
            self.assertTrue((ROOT / f"{module.replace('.', '/')}.py").exists(), module)
            setup = Setup(True, True, "equal", 7)
            found = self.command(server, setup)[2:]
            expected = f"{module} --port 99 --broadcast --certificate cert.pem"
            self.assertEqual(
                " ".join(found), f"{expected} --deflate equal --max-size 7"
            )

    def test_clients(self) -> None:
        """Clients are told how much to send."""
        for server in (OURS, *PEERS):
            if server.suits(Setup(client=True)):
                module = f"tests.benchmark.clients.{server.client}"
                path = ROOT / f"{module.replace('.', '/')}.py"
                self.assertTrue(path.exists(), module)
                self.assertEqual(
                    " ".join(server.clientCommand(99, 2, 3, 4)[2:]),
                    f"{module} --port 99 --connections 2 --window 3 --size 4",
                )

    def test_refused(self) -> None:
        """What a server cannot do is known before."""
        byName = {each.name: each for each in PEERS}
        for name, setup in (
            ("picows", Setup(deflate="equal")),
            ("picows", Setup(fragments=True)),
            ("twisted-web", Setup(deflate="defaults")),
            ("autobahn", Setup(deflate="fast")),
        ):
            self.assertRaises(Unsupported, byName[name].refuse, setup)
        for server in (OURS, *PEERS, *VARIANTS):
            server.refuse(Setup(secure=True))
        OURS.refuse(Setup(deflate="equal", fragments=True))

    def test_checkout(self) -> None:
        """Another checkout is found before this one, and told of its own broadcast."""
        old = catalog.ours("old", Path("/elsewhere"))
        self.assertFalse(old.suits(Setup(client=True)))
        self.assertTrue(catalog.ours("new", ROOT).suits(Setup(client=True)))
        path = old.variables["PYTHONPATH"]
        self.assertTrue(path.startswith("/elsewhere:"))
        self.assertTrue(path.endswith("/tests/benchmark/application"))

    def test_described(self) -> None:
        """A server tells its versions; one that cannot be imported, or does not know an
        option, is left out."""
        described = OURS.describe()
        self.assertIn("twisted", described["versions"])
        self.assertIn("EPollReactor", described["reactor"])
        raw = PEERS[-1].describe()
        self.assertEqual(set(raw["versions"]), {"twisted", "pyopenssl", "cryptography"})
        for server in (
            Server("x", "x", options=("--no-such-option",)),
            Server("x", "x", "no_such_module"),
        ):
            error = self.assertRaises(Unsupported, server.describe)
            self.assertIn("no", str(error))

    def test_variants(self) -> None:
        """Variants of ours differ in an option or in the environment."""
        for server in VARIANTS:
            self.assertTrue(server.options or server.environment)


class SettingsTests(SynchronousTestCase):
    """The command lines of the programs."""

    def test_read(self) -> None:
        """Options become settings, which know what a library asks for."""
        found: list[Settings] = []
        self.patch(
            sys, "argv", ["x", "--port", "5", "--size", "3", "--deflate", "fast"]
        )
        run(found.append)
        (one,) = found
        self.assertEqual(one.url, "ws://127.0.0.1:5/")
        self.assertEqual(one.message, "The")
        self.assertEqual(one.level, 1)
        self.assertEqual(one.endpoint, "tcp:5:interface=127.0.0.1")
        self.assertIsNone(one.context)
        self.patch(sys, "argv", ["x", "--certificate", "pem"])
        run(found.append)
        self.assertTrue(found[1].endpoint.startswith("ssl:0:interface=127.0.0.1:"))
        self.assertIsNone(found[1].level)

    def test_describe(self) -> None:
        """With one they only tell of themselves."""
        self.patch(sys, "argv", ["x", "--describe"])
        output = StringIO()
        with redirect_stdout(output):
            self.assertRaises(
                SystemExit, run, self.fail, "twisted", "no-such-thing", loop="mine"
            )
        described = json.loads(output.getvalue())
        self.assertEqual(described["loop"], "mine")
        self.assertEqual(described["versions"]["no-such-thing"], "none")


class ScenarioTests(SynchronousTestCase):
    """What is measured."""

    def test_names(self) -> None:
        """Names say one thing each."""
        names = [each.name for each in SCENARIOS]
        self.assertEqual(len({*names, *GROUPS, "all"}), len(names) + len(GROUPS) + 1)
        self.assertTrue(set(CHARTED) <= set(names))

    def test_choose(self) -> None:
        """Scenarios are chosen by their names and those of groups, in their order."""
        self.assertEqual({each.group for each in choose([])}, {"goals"})
        self.assertEqual(choose(["all"]), list(SCENARIOS))
        found = [each.name for each in choose(["dribble", "4k"])]
        self.assertEqual(found, ["4k", "dribble-64", "dribble-1024", "dribble-16384"])
        self.assertRaises(ValueError, choose, ["4k", "5k"])

    def test_scripts(self) -> None:
        """Each has something to send, of the size that it says."""
        for each in SCENARIOS:
            if each.size <= 1 << 20:
                script = each.script
                if script.offer is None:
                    self.assertEqual(len(script.expected[0]), each.size, each.name)
                compressed = each.setup.deflate is not None
                self.assertEqual(script.offer is not None, compressed, each.name)
                self.assertEqual(
                    script.replySize is None,
                    compressed or each.group == "counts",
                    each.name,
                )

    def test_messages(self) -> None:
        """Clients send messages of their size."""
        for size in (0, 1, 44, 45, 46, 5000):
            self.assertEqual(len(message(size)), size)

    def test_inTurn(self) -> None:
        """Each server is first now and then, and follows different ones."""
        servers = [OURS, *PEERS]
        orders = [inTurn(servers, number) for number in range(5)]
        for each in orders:
            self.assertEqual({one.name for one in each}, {one.name for one in servers})
        self.assertEqual(len({each[0].name for each in orders}), 5)
        self.assertEqual(inTurn([], 3), [])

    def test_rounds(self) -> None:
        """Memory takes long and hardly differs, so that few rounds do."""
        benchmark = Benchmark([OURS], 5)
        memory = Scenario("memory", "", "memory")
        self.assertEqual(benchmark.roundsOf(memory), 3)
        self.assertEqual(benchmark.roundsOf(Scenario("echo", "")), 5)
        self.assertEqual(Benchmark([OURS], 1).roundsOf(memory), 1)


class ReportTests(SynchronousTestCase):
    """Figures, tables, the chart."""

    def test_figures(self) -> None:
        """Medians, ratios of each round, and how numbers are written."""
        self.assertEqual(figures.spread([3.0, 1.0, 2.0]), (2.0, 1.0, 3.0))
        ours, theirs = [sample(2.0, 50.0)], [sample(6.0, 10.0)]
        self.assertEqual(figures.ratios(theirs, ours, "cost"), [3.0])
        self.assertEqual(figures.ratios(theirs, ours, "rate"), [5.0])
        self.assertIsNone(figures.ratios("none", ours, "cost"))
        self.assertIsNone(figures.ratios(theirs, [sample(1.0, 0.0)], "rate"))
        self.assertIsNone(figures.middle("none", "cost"))
        self.assertEqual(
            [figures.shown(each) for each in (None, 0.123, 12.34, 1234.5)],
            ["-", "0.12", "12.3", "1,234"],
        )
        self.assertEqual(figures.shownRange(None), "-")
        self.assertEqual(figures.shownRange([1.0]), "1.00")
        self.assertEqual(figures.shownRange([1.0, 3.0, 2.0]), "2.00 (1.00-3.00)")

    def test_tables(self) -> None:
        """Each group has its tables: ratios, costs, what grows, latency."""
        found = {each.name: each for each in report.tables(results())}
        self.assertEqual(
            list(found),
            [
                "goals-cost-ratio",
                "goals-rate-ratio",
                "goals-cost",
                "goals-rate",
                "sizes-per-KiB",
                "sizes-cost",
                "sizes-rate",
                "latency-times",
                "latency-cost",
                "clients-cost-ratio",
                "clients-rate-ratio",
                "clients-cost",
                "clients-rate",
            ],
        )
        table = found["goals-cost-ratio"]
        self.assertEqual(table.head, ["", "pi<cows"])
        self.assertEqual(
            table.rows,
            [
                ["1 connection, 64 in flight, 16 B", "2.00 (1.00-3.00)"],
                ["broadcast of 256 B to 1,000 connections", "failed"],
            ],
        )
        self.assertEqual(found["goals-rate-ratio"].rows[0][1], "2.00 (2.00-3.00)")
        self.assertEqual(found["sizes-per-KiB"].rows[0][1:], ["0.12", "0.25"])
        self.assertEqual(
            found["latency-times"].rows[1][1:],
            ["pi<cows", *["4.00 (3.00-12.0)"] * 4],
        )

    def test_latencyFailed(self) -> None:
        """A server that failed in one scenario has no times there."""
        found = results()
        found["scenarios"]["latency-2000"]["samples"]["picows"] = "failed: so"
        found["scenarios"]["latency-10000"] = results()["scenarios"]["latency-2000"]
        tables = {each.name: each for each in report.tables(found)}
        self.assertEqual(tables["latency-times"].rows[1][2:], ["failed"] * 4)

    def test_remarks(self) -> None:
        """Everything that a reader has to know is said."""
        found = results()
        for each in found["scenarios"]["size-16k"]["samples"]["picows"]:
            each.update(load=0.95, others=0.2)
        self.assertEqual(
            list(report.remarks(found)),
            [
                "aiohttp is left out: it is away",
                "broadcast: picows: failed: it <fell> over",
                "raw: no client: pipelined-16, broadcast, size-16k, latency-2000, "
                "client-100",
                "the load took more time than the server, so that messages per second "
                "may be those of the load: size-16k picows",
                "something else took more than 10% of a core: size-16k 35%",
            ],
        )
        self.assertEqual(list(report.failures(found)), ["failed: it <fell> over"])

    def test_alone(self) -> None:
        """Nothing is compared with nothing."""
        found = results()
        found["servers"] = {"ours": found["servers"]["ours"]}
        names = [each.name for each in report.tables(found)]
        self.assertEqual(names[:2], ["goals-cost", "goals-rate"])
        self.assertNotIn("clients-cost-ratio", names)

    def test_text(self) -> None:
        """A terminal gets it all, in columns."""
        lines = list(report.text(results()))
        at = lines.index("Messages per second:")
        self.assertEqual(
            lines[at + 1 : at + 3],
            [
                "                                         twisted_ws  pi<cows",
                "1 connection, 64 in flight, 16 B                150     50.0",
            ],
        )
        self.assertEqual(lines[-1], list(report.remarks(results()))[-1])

    def test_page(self) -> None:
        """The documentation gets it between comments."""
        lines = list(report.page(results()))
        text = "\n".join(lines)
        for name in ("machine", "remarks", "goals-cost-ratio", "latency-times"):
            self.assertEqual(lines.count(f".. begin {name}"), 1)
            self.assertEqual(lines.count(f".. end {name}"), 1)
        self.assertIn("     - 2.00 (1.00-3.00)\n", text)
        self.assertIn("Group ``goals``: 1 to 3 rounds of 1 s.", text)
        self.assertIn("     - picows 2\n     - loop: uv\n", text)

    def test_decoders(self) -> None:
        """Of two of ours one may be without the accelerator, which is told."""
        found = results()
        self.assertNotIn("decodes", "\n".join(report.remarks(found)))
        found["servers"]["ours"]["decoder"] = "C"
        found["servers"]["before"] = {"title": "x", "versions": {}, "decoder": "Python"}
        lines = [each for each in report.remarks(found) if "decodes" in each]
        self.assertEqual(lines, ["before decodes with Python, ours with C"])

    def test_chart(self) -> None:
        """The chart has a panel for each scenario that was measured, and a bar for each
        server with a figure, the longest for the most."""
        found = results()
        found["scenarios"]["broadcast"]["samples"]["picows"] = [sample(8.0)]
        root = ElementTree.fromstring("\n".join(chart(found)))
        space = "{http://www.w3.org/2000/svg}"
        texts = [each.text or "" for each in root.iter(f"{space}text")]
        self.assertIn("broadcast of 256 B to 1,000 connections", texts)
        self.assertIn("pi<cows", texts)
        bars = [
            float(each.get("width", ""))
            for each in root.iter(f"{space}rect")
            if (each.get("class") or "").startswith("bar")
        ]
        self.assertEqual(len(bars), 2)
        self.assertAlmostEqual(bars[0] / bars[1], 3 / 8, places=2)
        self.assertIn("twisted_ws 3.00, pi<cows 8.00", root[1].text or "")

    def test_emptyChart(self) -> None:
        """It can be drawn of nothing, too."""
        found = {**results(), "scenarios": {}}
        root = ElementTree.fromstring("\n".join(chart(found)))
        self.assertEqual(root.get("viewBox"), "0 0 1080 78")

    def test_merge(self) -> None:
        """Newer figures take the place of older ones; what was left out before and is
        there now is not."""
        new = results()
        new["servers"] = {"aiohttp": {"title": "aiohttp", "versions": {}}}
        new["missing"] = {"autobahn": "gone"}
        new["base"] = "aiohttp"
        new["scenarios"] = {"4k": {}, "broadcast": {"new": True}}
        found = merge(results(), new)
        self.assertEqual(found["missing"], {"autobahn": "gone"})
        self.assertEqual(found["base"], "ours")
        self.assertEqual(list(found["servers"]), ["ours", "picows", "raw", "aiohttp"])
        self.assertNotIn("TLS", found["servers"]["ours"])
        self.assertEqual(
            list(found["scenarios"])[:3], ["pipelined-16", "4k", "broadcast"]
        )
        self.assertEqual(found["scenarios"]["broadcast"], {"new": True})

    def test_mergeAgain(self) -> None:
        """What TLS agreed on stays known when what is measured again has none, and of
        figures from another commit the page says so."""
        old, new = results(), results()
        old["servers"]["ours"]["commit"] = "old"
        old["servers"]["ours"]["TLS"] = "TLSv1.3 X"
        new["servers"]["ours"]["commit"] = "new"
        for each in old["scenarios"].values():
            each["commit"] = "old"
        again = {**new["scenarios"]["broadcast"], "commit": "new"}
        new["scenarios"] = {"broadcast": again}
        found = merge(old, new)
        self.assertEqual(found["servers"]["ours"]["TLS"], "TLSv1.3 X")
        self.assertEqual(found["servers"]["ours"]["commit"], "new")
        page = "\n".join(report.page(found))
        self.assertIn("rounds of 1 s, some or all of them of commit old.", page)
        found["scenarios"] = {"broadcast": again}
        self.assertNotIn("of commit", "\n".join(report.page(found)))

    def test_documented(self) -> None:
        """The page's tables and its chart are those of the figures beside it, and every
        piece that the page includes is there."""
        found = json.loads((DOCS / "performance.json").read_text("utf-8"))
        table = (DOCS / "performance.inc").read_text("utf-8")
        self.assertEqual(table, render(found, "rst"))
        self.assertEqual(
            (DOCS / "performance.svg").read_text("utf-8"), render(found, "chart")
        )
        page = (DOCS / "performance.rst").read_text("utf-8")
        included = [
            line.split()[-1] for line in page.splitlines() if ":start-after:" in line
        ]
        self.assertGreater(len(included), 3)
        for name in included:
            self.assertIn(f".. begin {name}\n", table)
            self.assertIn(f"   :end-before: .. end {name}\n", page)


class CommandTests(SynchronousTestCase):
    """The command line."""

    def setUp(self) -> None:
        """Make a directory that is gone after the test."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def command(self, *words: str) -> tuple[int | str | None, str, str]:
        """Run a command line: its exit status, output and errors."""
        output, errors = StringIO(), StringIO()
        with redirect_stdout(output), redirect_stderr(errors):
            try:
                status: int | str | None = main(words)
            except SystemExit as end:
                status = end.code
        return status, output.getvalue(), errors.getvalue()

    def test_mistakes(self) -> None:
        """What makes no sense is a usage error."""
        bad = self.directory / "bad.json"
        bad.write_text('{"scenario": 1}')
        for words, problem in (
            (["--scenario", "nonsense"], "no scenario or group is called 'nonsense'"),
            (["--server", "apache"], "no server is called 'apache'"),
            (["--ours", "here"], "'here' is not a new NAME=PATH"),
            (["--ours", "ours=."], "'ours=.' is not a new NAME=PATH"),
            (["--ours", f"x={self.directory}"], "there is no twisted_ws in"),
            (["--rounds", "0"], "argument --rounds"),
            (["--rounds", "1.5"], "argument --rounds"),
            (["--seconds", "nan"], "argument --seconds"),
            (["--seconds", "-1"], "argument --seconds"),
            (["--json", str(self.directory / "no" / "file")], "there is no directory"),
            (["--read", str(self.directory / "no")], "cannot read"),
            (["--read", str(bad)], "no scenarios"),
            (["--frob"], "unrecognized arguments: --frob"),
        ):
            status, output, errors = self.command(*words)
            self.assertEqual(status, 2, words)
            self.assertIn(problem, errors)
            self.assertTrue(errors.startswith("usage: "), errors)
            self.assertEqual(output, "")

    def test_list(self) -> None:
        """Scenarios and servers can be listed."""
        status, output, _ = self.command("--list")
        self.assertEqual(status, 0)
        named: list[Scenario | Server] = [*SCENARIOS, OURS, *PEERS, *VARIANTS]
        for each in named:
            self.assertIn(each.name, output)

    def test_servers(self) -> None:
        """The default is ours and the peers; other checkouts come last."""
        names = [each.name for each in chooseServers([], [])]
        self.assertEqual(names, [each.name for each in (OURS, *PEERS)])
        found = chooseServers(["raw", "ours"], [f"old={ROOT}"])
        self.assertEqual([each.name for each in found], ["ours", "raw", "old"])
        self.assertEqual(found[-1].path, ROOT)

    def test_read(self) -> None:
        """Figures can be read again, and shown in other ways, without measuring; the
        status says that something failed."""
        path = self.directory / "results.json"
        path.write_text(render(results(), "json"))
        rst, svg = self.directory / "rst", self.directory / "svg"
        status, output, _ = self.command(
            "--read", str(path), "--rst", str(rst), "--chart", str(svg)
        )
        self.assertEqual(status, 1)
        self.assertIn("failed: it <fell> over", output)
        self.assertEqual(rst.read_text(), render(results(), "rst"))
        self.assertEqual(svg.read_text(), render(results(), "chart"))

    def test_nothingThere(self) -> None:
        """Where no server can be started, that is what is said."""

        def describe(server: Server) -> None:
            raise Unsupported("it is away")

        self.patch(Server, "describe", describe)
        status, output, errors = self.command("--server", "raw")
        self.assertEqual(status, 0)
        self.assertIn("raw is left out: it is away", output)
        self.assertIn("raw is left out: it is away", errors)

    def test_interrupted(self) -> None:
        """What was measured before it was interrupted is not lost."""

        def run(benchmark: Benchmark, scenarios: object) -> Any:
            yield SCENARIOS[0], {"ours": [Sample(1.0)]}
            raise KeyboardInterrupt

        self.patch(Benchmark, "run", run)
        self.patch(Server, "describe", lambda _: {"versions": {}})
        path = self.directory / "json"
        status, _, errors = self.command("--server", "ours", "--json", str(path))
        self.assertEqual(status, 0)
        self.assertIn("interrupted", errors)
        self.assertEqual(
            list(json.loads(path.read_text())["scenarios"]), [SCENARIOS[0].name]
        )

    def test_run(self) -> None:
        """It runs: ours, for a moment. Afterwards this process may use all cores
        again."""
        before = Cores().all
        path = self.directory / "json"
        status, output, errors = self.command(
            *("--quick", "--seconds", "0.02", "--server", "ours"),
            *("--scenario", "pipelined-16", "--json", str(path)),
        )
        self.assertEqual(status, 0, output + errors)
        found = json.loads(path.read_text())
        (one,) = found["scenarios"]["pipelined-16"]["samples"]["ours"]
        self.assertGreater(one["cost"], 0.0)
        self.assertGreater(one["rate"], 0.0)
        self.assertIn("pipelined-16: ours ", errors)
        self.assertEqual(Cores().all, before)


class SetupTests(SynchronousTestCase):
    """What servers are started for."""

    def test_keeps(self) -> None:
        """Where all keep freed memory, each is told as ours tells itself."""
        self.assertEqual(Setup().variables, {})
        self.assertEqual(
            Setup(keeps=True).variables,
            {
                "MALLOC_MMAP_THRESHOLD_": str(MAPPED),
                "MALLOC_TRIM_THRESHOLD_": str(KEPT),
            },
        )


class RoundsTests(SynchronousTestCase):
    """Real servers, for moments."""

    def measure(self, server: Server, *scenarios: Scenario) -> list[Any]:
        """Measure something, briefly."""
        self.benchmark = Benchmark([server], 1, 0.02)
        return [found for _, found in self.benchmark.run(scenarios)]

    def test_kinds(self) -> None:
        """Every kind of scenario runs."""
        secure, broadcast = Setup(secure=True), Setup(broadcast=True)
        deflate = Setup(deflate="equal")
        scenarios = (
            Scenario("dribble", "", "dribble", size=8),
            Scenario("handshakes", "", "handshakes"),
            Scenario("latency", "", "latency", 2, rate=500),
            Scenario("parsed", "", shape="plain-parsed"),
            Scenario("tls", "", connections=2, size=1 << 20, setup=secure),
            Scenario("deflate", "", window=2, shape="json", setup=deflate),
            Scenario("broadcast", "", "broadcast", 3, setup=broadcast),
            Scenario("memory", "", "memory", 3),
            Scenario(
                "client", "", "client", 2, 3, shape="client", setup=Setup(client=True)
            ),
        )
        found = self.measure(OURS, *scenarios)
        for scenario, samples in zip(scenarios, found, strict=True):
            self.assertIsInstance(samples["ours"], list, f"{scenario.name}: {samples}")
            (one,) = samples["ours"]
            self.assertEqual(one.rate > 0, scenario.kind != "memory", scenario.name)
            self.assertEqual(bool(one.latency), scenario.kind == "latency")
        self.assertTrue(self.benchmark.agreed["ours"].startswith("TLSv1."))

    def peer(self, name: str) -> None:
        """Have a peer echo, broadcast and be a client, if it is there."""
        (server,) = (each for each in PEERS if each.name == name)
        try:
            server.describe()
        except Unsupported as error:
            raise SkipTest(str(error)) from None
        scenarios = [
            Scenario("echo", "", window=4),
            Scenario("broadcast", "", "broadcast", 2, setup=Setup(broadcast=True)),
            Scenario(
                "client", "", "client", 2, 3, shape="client", setup=Setup(client=True)
            ),
            Scenario("tls", "", setup=Setup(secure=True, maxSize=70_000), size=65536),
            Scenario("deflate", "", shape="json", setup=Setup(deflate="equal")),
        ]
        found = self.measure(server, *scenarios)
        for each in found:
            self.assertFalse(figures.hasFailed(each[name]), each)
        for each in found[:3]:
            self.assertIsInstance(each[name], list)

    def test_autobahn(self) -> None:
        """PyPI's ``autobahn`` runs."""
        self.peer("autobahn")

    def test_twistedWeb(self) -> None:
        """``twisted.web.websocket`` runs."""
        self.peer("twisted-web")

    def test_websockets(self) -> None:
        """PyPI's ``websockets`` runs."""
        self.peer("websockets")

    def test_aiohttp(self) -> None:
        """PyPI's ``aiohttp`` runs."""
        self.peer("aiohttp")

    def test_picows(self) -> None:
        """PyPI's ``picows`` runs."""
        self.peer("picows")

    def test_bare(self) -> None:
        """The ceiling runs."""
        scenarios = (
            Scenario("echo", "", window=4),
            Scenario("handshakes", "", "handshakes"),
            Scenario("tls", "", setup=Setup(secure=True)),
            Scenario("broadcast", "", "broadcast", 2, setup=Setup(broadcast=True)),
        )
        for found in self.measure(PEERS[-1], *scenarios):
            self.assertIsInstance(found["raw"], list, found)

    def test_failures(self) -> None:
        """What goes wrong has its place, and the rest goes on: a server that does not
        start, one that ends, what cannot be asked of one, what is not asked of it."""
        broken = Server("broken", "", options=("--no-such-option",))
        (found,) = self.measure(broken, Scenario("echo", ""))
        self.assertTrue(figures.hasFailed(found["broken"]))
        self.assertIn("no-such-option", found["broken"])
        deflate = Scenario("echo", "", shape="json", setup=Setup(deflate="equal"))
        client = Scenario("client", "", "client", setup=Setup(client=True))
        self.assertEqual(
            self.measure(PEERS[-1], deflate, client), [{"raw": "no compression"}, {}]
        )
        # It takes no message of that size.
        (large, small) = self.measure(
            OURS, Scenario("large", "", size=2 << 20), Scenario("small", "")
        )
        self.assertTrue(figures.hasFailed(large["ours"]), large)
        self.assertIsInstance(small["ours"], list)

    def test_brokenClient(self) -> None:
        """A client that does not connect has failed."""
        self.patch(sys.modules[acceptLink.__module__], "PATIENCE", 0.01)
        broken = Server("broken", "", client="no_such_client")
        scenario = Scenario(
            "client", "", "client", shape="client", setup=Setup(client=True)
        )
        (found,) = self.measure(broken, scenario)
        self.assertTrue(figures.hasFailed(found["broken"]))

    def test_ended(self) -> None:
        """A process that has ended is not measured any more."""
        with tempfile.TemporaryDirectory() as directory:
            command = [sys.executable, "-c", "print('good' + 'bye')"]
            program = Program("p", command, 1, Path(directory), Cores().server)
            error = self.assertRaises(ProgramFailed, program.__enter__)
            self.assertIn("it said: goodbye", str(error))
            self.assertRaises(ProgramFailed, program.processor)
