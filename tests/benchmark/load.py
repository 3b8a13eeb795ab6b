"""The load: what is sent, and how much of it came back.

Every measurement begins and ends with nothing under way, so that what was counted and
what the server did are the same messages.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twisted_ws.frames import FIN, RSV1, Opcode, encodeFrame

from .links import BUFFER, PATIENCE, Link, LoadFailed
from .wire import KEY, Script, replies, request

__all__ = ["Count", "Exchange", "Stopwatch", "broadcasts", "dribbles", "handshakes"]

_VIEW = memoryview(BUFFER)


@dataclass(frozen=True)
class Count:
    """What was done.

    :ivar messages: how many came back.
    :ivar seconds: in how long.
    :ivar processor: seconds of processor time of the load itself in it.
    """

    messages: int
    seconds: float
    processor: float


class Stopwatch:
    """Measures what is done in it: a context manager."""

    def __enter__(self) -> Stopwatch:
        self._began = time.perf_counter()
        self._processor = time.process_time()
        return self

    def __exit__(self, *exception: object) -> None:
        self.seconds = time.perf_counter() - self._began
        self.processor = time.process_time() - self._processor

    def count(self, messages: int) -> Count:
        """Give what was done, when it is.

        :param messages: how many
        """
        return Count(messages, self.seconds, self.processor)


class Exchange:
    """Messages that go to and fro on some connections.

    :param links: the connections
    :param script: what is sent on each
    :param window: how many messages are under way on each
    :param apart: whether each message is handed to the socket by itself; else those
        whose turn comes with one read go together
    """

    def __init__(
        self, links: Sequence[Link], script: Script, window: int, apart: bool = False
    ) -> None:
        self._links = {each.fileno: each for each in links}
        self._poll = select.epoll()
        for each in links:
            self._poll.register(each.fileno, select.EPOLLIN)
            each.poll = self._poll
        self._script = script
        self._window = window
        self._apart = apart
        # The frames of up to a window of messages; the same ones each time, or else
        # the script twice, so that every slice of it is there.
        frames = script.frames
        self._single = len(frames) == 1
        block = memoryview(frames[0] * window)
        size = len(frames[0])
        self._slices = [block[: count * size] for count in range(window + 1)]

    def close(self) -> None:
        """Give the connections back, to be used in another way."""
        for each in self._links.values():
            each.poll = None
        self._poll.close()

    def run(self, seconds: float) -> Count:
        """Send for a while, each message when the one a window before has come back;
        then wait for all that is under way.

        :param seconds: how long
        :raises LoadFailed: something did not come back
        """
        with Stopwatch() as watch:
            messages = self._run(seconds)
        for each in self._links.values():
            if each.partial or each.unread:
                raise LoadFailed("more came back than was sent")
        return watch.count(messages)

    def _run(self, seconds: float) -> int:
        # One function, with what it uses in local names: it has to be faster than the
        # servers.
        links, poll, buffer = self._links, self._poll.poll, BUFFER
        replySize, clock, wantsWrite = (
            self._script.replySize,
            time.perf_counter,
            select.EPOLLOUT,
        )
        slices, sizes = self._slices, [len(each) for each in self._slices]
        single, window = self._single and not self._apart, self._window
        for link in links.values():
            self._more(link, window)
        underWay = window * len(links)
        messages = 0
        sending = True
        deadline = clock() + seconds
        while underWay:
            events = poll(PATIENCE)
            if not events:
                raise LoadFailed(f"{underWay} messages did not come back")
            if sending and clock() >= deadline:
                sending = False
            for number, event in events:
                link = links[number]
                if event & wantsWrite:
                    link.flush()
                    if event == wantsWrite:
                        continue
                size = link.read(buffer)
                if size <= 0:
                    if size:
                        continue
                    raise LoadFailed("the server closed the connection")
                if replySize is None:
                    count = self._parse(link, size)
                else:
                    count, link.partial = divmod(link.partial + size, replySize)
                if not count:
                    continue
                messages += count
                if not sending or count > window:
                    underWay -= count
                elif single and not link.rest:
                    data = slices[count]
                    try:
                        sent = link.send(data)
                    except BlockingIOError:
                        sent = 0
                    if sent != sizes[count]:
                        link.keep(data[sent:])
                else:
                    self._more(link, count)
        return messages

    def _more(self, link: Link, count: int) -> None:
        """Send so many more messages."""
        frames = self._script.frames
        if self._apart:
            for position in range(link.position, link.position + count):
                link.write(frames[position % len(frames)])
            link.position += count
            return
        if self._single:
            link.write(self._slices[count])
            return
        begin = link.position % len(frames)
        link.position = begin + count
        chosen = frames[begin : begin + count]
        while len(chosen) < count:
            chosen = [*chosen, *frames[: count - len(chosen)]]
        link.write(b"".join(chosen))

    def _parse(self, link: Link, size: int) -> int:
        """Count messages by the heads of their frames, and answer pings."""
        data: bytes | memoryview = _VIEW[:size]
        if link.unread:
            data = link.unread + data
        count = end = 0
        wanted = FIN | Opcode.TEXT | (0 if self._script.offer is None else RSV1)
        for first, begin, end in replies(data):
            if first == wanted:
                count += 1
            elif first == FIN | Opcode.PING:
                pong = encodeFrame(FIN | Opcode.PONG, bytes(data[begin:end]), KEY)
                link.write(pong)
            else:
                raise LoadFailed(f"a frame that begins with {first:#x} came back")
        link.unread = bytes(data[end:])
        return count


def broadcasts(links: Sequence[Link], script: Script, seconds: float) -> Count:
    """Have a server send messages to all: the next one when all have the last.

    :param links: the connections; the first sends
    :param script: what it sends
    :param seconds: how long
    :returns: the messages that have come, on all connections together
    :raises LoadFailed: one did not come
    """
    poll = select.epoll()
    found = {each.fileno: each for each in links}
    for each in links:
        poll.register(each.fileno, select.EPOLLIN)
    size, frame, sender = script.replySize, script.frames[0], links[0]
    assert size is not None
    messages = 0
    wait, clock, buffer = poll.poll, time.perf_counter, BUFFER
    with poll, Stopwatch() as watch:
        deadline = clock() + seconds
        while clock() < deadline:
            sender.write(frame)
            underWay = len(links)
            while underWay:
                events = wait(PATIENCE)
                if not events:
                    raise LoadFailed(f"a message did not come on {underWay} of all")
                for number, _ in events:
                    link = found[number]
                    count = link.read(buffer)
                    if not count:
                        raise LoadFailed("the server closed the connection")
                    count, link.partial = divmod(link.partial + count, size)
                    underWay -= count
            messages += len(links)
    return watch.count(messages)


def dribbles(link: Link, script: Script, seconds: float) -> Count:
    """Send messages byte by byte, each in a call of its own; the next message when the
    last has come back. How many bytes a server reads at a time is up to it.

    :param link: the connection
    :param script: what is sent
    :param seconds: how long
    :raises LoadFailed: one did not come back
    """
    frame, size = memoryview(script.frames[0]), script.replySize
    assert size is not None
    parts = [frame[at : at + 1] for at in range(len(frame))]
    messages = 0
    with Stopwatch() as watch:
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            for each in parts:
                link.write(each)
            if len(link.wait(size)) != size:
                raise LoadFailed("more came back than was sent")
            messages += 1
    return watch.count(messages)


def handshakes(port: int, seconds: float, upgrade: bool = True) -> Count:
    """Open and close connections, one after another: TCP, the handshake, the closing
    handshake, until the server has closed the connection.

    :param port: the server's
    :param seconds: how long
    :param upgrade: whether it is a WebSocket; else the connection is closed at once
    :raises LoadFailed: one was not opened, or closed in another way
    """
    _, head = request(port)
    leave = encodeFrame(FIN | Opcode.CLOSE, b"\x03\xe8", KEY)
    left = encodeFrame(FIN | Opcode.CLOSE, b"\x03\xe8")
    messages = 0
    clock = time.perf_counter
    with Stopwatch() as watch:
        deadline = clock() + seconds
        while clock() < deadline:
            rest = b""
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
                if upgrade:
                    connection.sendall(head)
                    answer = connection.recv(65536)
                    while b"\r\n\r\n" not in answer:
                        data = connection.recv(65536)
                        if not data:
                            raise LoadFailed("the connection ended in the handshake")
                        answer += data
                    if not answer.startswith(b"HTTP/1.1 101 "):
                        raise LoadFailed(f"refused: {answer[:80]!r}")
                    connection.sendall(leave)
                else:
                    connection.shutdown(socket.SHUT_WR)
                while data := connection.recv(65536):
                    rest += data
            if upgrade and rest != left:
                raise LoadFailed(f"not the closing handshake: {rest[:80]!r}")
            messages += 1
    return watch.count(messages)


def settle(processor: Callable[[], float]) -> None:
    """Wait until a server has nothing to do any more.

    :param processor: gives the seconds of processor time that it has taken
    """
    # Some log a traceback for each of the connections that were dropped.
    deadline = time.monotonic() + PATIENCE
    before = processor()
    while time.monotonic() < deadline:
        time.sleep(0.05)
        now = processor()
        if now - before < 0.002:
            return
        before = now
