"""The bytes that go to the servers and come back, made before anything is measured."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence

from tests.clients import requestHead
from tests.compression_costs import corpus
from twisted_ws.frames import FIN, RSV1, Opcode, encodeFrame, mask

from .settings import WINDOW_BITS

__all__ = [
    "Script",
    "answering",
    "compressed",
    "fragmented",
    "jsonMessages",
    "plain",
    "replies",
    "request",
    "text",
]

KEY = b"\x37\xfa\x21\x3d"
"""Masks every frame. Real clients take another one for each; the work is the same."""
JSON_MESSAGES = 300


def text(size: int, seed: int = 1) -> bytes:
    """Make text in ASCII.

    :param size: its bytes
    :param seed: for text that is the same each time
    """
    letters = b"abcdefghijklmnopqrstuvwxyz ETAOIN 0123456789 .,;:-!?{}[]()"
    block = bytes(random.Random(seed).choices(letters, k=min(size, 65536)))
    return (block * -(-size // len(block)))[:size]


OFFERS = {
    "equal": f"client_max_window_bits; server_max_window_bits={WINDOW_BITS}",
    # As browsers have it.
    "defaults": "client_max_window_bits",
}
"""What a client asks for with permessage-deflate."""


def request(port: int, offer: str | None = None) -> tuple[str, bytes]:
    """Write a request for WebSocket.

    :param port: where the server listens
    :param offer: the parameters of permessage-deflate; None for no compression
    :returns: its key, and its bytes
    """
    header = f"Sec-WebSocket-Extensions: permessage-deflate; {offer}"
    headers = () if offer is None else (header,)
    return requestHead(f"127.0.0.1:{port}", headers=headers)


class Script:
    """What a connection sends, over and over, and what has to come back.

    :param frames: what makes a message each, sent in this order and then again
    :param expected: the payloads that have to come back, for each message
    :param replySize: bytes of a reply, or None if they differ
    :param offer: the parameters of permessage-deflate, if messages are compressed
    :param mirrored: whether they are what was sent, frames and all
    """

    def __init__(
        self,
        frames: Sequence[bytes],
        expected: Sequence[bytes],
        replySize: int | None,
        offer: str | None = None,
        mirrored: bool = False,
    ) -> None:
        self.frames = frames
        self.expected = expected
        self.replySize = replySize
        self.offer = offer
        self.mirrored = mirrored

    def mirror(self) -> Script:
        """Give the same for a server that knows nothing of frames."""
        size = len(self.frames[0])
        return Script(self.frames, self.frames, size, mirrored=True)


def plain(payload: bytes) -> Script:
    """Send one text message over and over.

    :param payload: its payload
    """
    frame = encodeFrame(FIN | Opcode.TEXT, payload, KEY)
    # A server's frame has no mask.
    return Script([frame], [payload], len(frame) - len(KEY))


def fragmented(payload: bytes, size: int) -> Script:
    """Send one text message in fragments.

    :param payload: its payload
    :param size: bytes of a fragment
    """
    parts = [payload[at : at + size] for at in range(0, len(payload), size)]
    frame = b"".join(
        encodeFrame(
            (Opcode.CONTINUATION if number else Opcode.TEXT)
            | (FIN if number == len(parts) - 1 else 0),
            part,
            KEY,
        )
        for number, part in enumerate(parts)
    )
    return Script([frame], [payload], len(encodeFrame(FIN | Opcode.TEXT, payload)))


def answering(payload: bytes) -> Script:
    """Answer the messages of a client with one text message over and over, which is
    what it sends, too.

    :param payload: its payload
    """
    frame = encodeFrame(FIN | Opcode.TEXT, payload)
    return Script([frame], [payload], len(frame) + len(KEY))


def jsonMessages(size: int) -> list[bytes]:
    """Make JSON messages that differ.

    :param size: about how many bytes each has
    """
    return [each.encode() for each in corpus(size)[:JSON_MESSAGES]]


def compressed(payloads: Sequence[bytes], offer: str) -> Script:
    """Send compressed text messages, each with the context of those before it.

    The first refers to nothing before it, so that they can be sent again from there:
    what an inflater still has of the last ones is not asked for.

    :param payloads: their payloads
    :param offer: the parameters of permessage-deflate to ask for
    """
    deflater = zlib.compressobj(6, zlib.DEFLATED, -WINDOW_BITS)
    frames = []
    for payload in payloads:
        data = deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)
        frames.append(encodeFrame(FIN | RSV1 | Opcode.TEXT, data[:-4], KEY))
    return Script(frames, payloads, None, offer)


def replies(data: bytes | bytearray | memoryview) -> Iterator[tuple[int, int, int]]:
    """Find the frames of a server.

    :param data: what came, from the beginning of a frame
    :returns: the first byte, where the payload begins and where it ends, for each frame
        that is there whole
    """
    at, size = 0, len(data)
    while size - at >= 2:
        length, head = data[at + 1], 2
        if length == 126:
            head = 4
        elif length == 127:
            head = 10
        if size - at < head:
            return
        if head > 2:
            length = int.from_bytes(data[at + 2 : at + head], "big")
        begin = at + head
        end = begin + length
        if end > size:
            return
        yield data[at], begin, end
        at = end


def unmasked(frame: bytes) -> bytes:
    """Give the payload of one frame of a client.

    :param frame: the frame, whole
    """
    head = {126: 4, 127: 10}.get(frame[1] & 0x7F, 2)
    return bytes(mask(frame[head + 4 :], frame[head : head + 4]))
