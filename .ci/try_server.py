"""Wait for a server and use it: get its page, have a message sent back.

    python try_server.py PORT SECONDS

Takes nothing but the standard library, so that it is not what it tests.
"""

import base64
import hashlib
import os
import socket
import sys
import time
import urllib.request

HOST = "127.0.0.1"
# RFC 6455 section 1.3.
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MESSAGE = b"hello"


def isListening(port: int) -> bool:
    """Tell whether there is a server yet.

    :param port: where it is to listen
    """
    try:
        socket.create_connection((HOST, port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def getPage(port: int) -> None:
    """Get the demo page.

    :param port: where the server listens
    """
    with urllib.request.urlopen(f"http://{HOST}:{port}/", timeout=5) as answer:
        page = answer.read().decode("utf-8")
    if "<title>twisted_ws</title>" not in page:
        raise SystemExit(f"not the demo page: {page[:200]!r}")


def readExactly(connection: socket.socket, size: int) -> bytes:
    """Read so many bytes.

    :param connection: from which
    :param size: how many
    """
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise SystemExit(f"the server closed the connection after {data!r}")
        data += piece
    return data


def getEcho(port: int) -> None:
    """Have a message sent back.

    :param port: where the server listens
    """
    key = base64.b64encode(os.urandom(16)).decode("ascii")
    digest = hashlib.sha1((key + GUID).encode("ascii"), usedforsecurity=False).digest()
    request = (
        f"GET / HTTP/1.1\r\nHost: {HOST}:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\n\r\n"
    )
    with socket.create_connection((HOST, port), timeout=5) as connection:
        connection.sendall(request.encode("ascii"))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += readExactly(connection, 1)
        accepted = base64.b64encode(digest)
        if not head.startswith(b"HTTP/1.1 101 ") or accepted not in head:
            raise SystemExit(f"no WebSocket: {head!r}")
        # A masked text frame; with a mask of zeros the payload stays as it is.
        frame = bytes((0x81, 0x80 | len(MESSAGE), 0, 0, 0, 0)) + MESSAGE
        connection.sendall(frame)
        echo = readExactly(connection, 2 + len(MESSAGE))
        if echo != bytes((0x81, len(MESSAGE))) + MESSAGE:
            raise SystemExit(f"not an echo: {echo!r}")


def main() -> None:
    """Do what the command line says."""
    port, patience = int(sys.argv[1]), float(sys.argv[2])
    end = time.monotonic() + patience
    while not isListening(port):
        if time.monotonic() > end:
            raise SystemExit(f"nobody listens on port {port}")
        time.sleep(0.2)
    getPage(port)
    getEcho(port)
    print(f"page and echo on port {port}")


if __name__ == "__main__":
    main()
