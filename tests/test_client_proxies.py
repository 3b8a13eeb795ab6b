"""The client through a proxy, on real sockets: options, environment, challenges."""

# pytest-twisted has no types.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted  # type: ignore[import-untyped]
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tests.clients import reactor, within
from tests.test_proxies import PEM, SECRET, Proxies, Proxy, everyProxy, running
from twisted_ws import ClientOptions, InvalidOption, WebSocketServerFactory, connect
from twisted_ws.errors import CertificateRefused, ProxyFailed
from twisted_ws.tap import Echo

DENIED = (
    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
    b'Proxy-Authenticate: Digest realm="x"\r\nContent-Length: 0\r\n\r\n'
)


def serving() -> Any:
    """Make the server's end of a connection, which tells of its end."""
    protocol: Any = WebSocketServerFactory(Echo, reactor=reactor).buildProtocol(None)
    original = protocol.connectionLost
    protocol.lost = Deferred()

    def connectionLost(reason: Failure) -> None:
        original(reason)
        protocol.lost.callback(None)

    protocol.connectionLost = connectionLost
    return protocol


@pytest.fixture
def roots(tmp_path: Path) -> Iterator[str]:
    """Give the path of the certificate that the servers of these tests have."""
    path = tmp_path / "roots.pem"
    path.write_bytes(PEM)
    yield str(path)


@asynccontextmanager
async def serverBehind(scheme: str, secure: bool = False) -> AsyncIterator[Proxies]:
    """Run a WebSocket server that echoes, and a proxy."""
    async with running(serving, secure, scheme == "https") as proxies:
        yield proxies


async def echoes(proxies: Proxies, **options: Any) -> None:
    """Check that a message comes back."""
    scheme = "wss" if proxies.secure else "ws"
    url = f"{scheme}://localhost:{proxies.destination}/"
    opening = connect(reactor, url, ClientOptions(**options))
    async with await within(opening) as webSocket:
        await webSocket.send("hello")
        assert await within(webSocket.receive()) == "hello"


def proxyURL(proxies: Proxies, scheme: str, host: str = "localhost") -> str:
    """Give the proxy's URL."""
    return f"{scheme}://me:{SECRET}@{host}:{proxies.port}"


@everyProxy
@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
@pytest_twisted.ensureDeferred
async def test_option(scheme: str, secure: bool, roots: str) -> None:
    """The option ``proxy``, with every kind of proxy, with TLS and without."""
    async with serverBehind(scheme, secure) as proxies:
        await echoes(proxies, proxy=proxyURL(proxies, scheme), trustRoots=roots)
        assert len(proxies.targets) == 1


@pytest_twisted.ensureDeferred
async def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment counts only when asked for, and never before the option."""
    async with serverBehind("http") as proxies:
        for name in ("ws_proxy", "WS_PROXY", "no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", proxyURL(proxies, "http"))
        await echoes(proxies)
        await echoes(proxies, useEnvironmentProxies=True, proxy="")
        assert proxies.targets == []
        await echoes(proxies, useEnvironmentProxies=True)
        assert len(proxies.targets) == 1
        monkeypatch.setenv("no_proxy", "localhost")
        await echoes(proxies, useEnvironmentProxies=True)
        assert len(proxies.targets) == 1
        monkeypatch.setenv("http_proxy", f"gopher://me:{SECRET}@localhost")
        monkeypatch.delenv("no_proxy")
        with pytest.raises(ProxyFailed, match="the proxy cannot be used") as caught:
            await echoes(proxies, useEnvironmentProxies=True)
        assert SECRET not in str(caught.value)


@pytest_twisted.ensureDeferred
async def test_challenge() -> None:
    """The hook answers a proxy's challenge with what it likes."""
    async with serverBehind("http") as proxies:
        asked = []

        def decide(proxy: Proxy) -> None:
            if b"\r\nProxy-Authorization: Digest x\r\n" in proxy.buffer:
                proxies.answer = None
                proxy.dataReceived(b"")
            else:
                proxy.transport.write(DENIED)

        def answer(challenge: Any) -> str:
            asked.append((challenge.status, challenge.challenges))
            return "Digest x"

        proxies.answer = decide
        url = proxyURL(proxies, "http")
        with pytest.raises(ProxyFailed, match="407"):
            await echoes(proxies, proxy=url)
        await echoes(proxies, proxy=url, answerChallenge=answer)
        assert asked == [(407, ('Digest realm="x"',))]


@pytest_twisted.ensureDeferred
async def test_C05_proxyIsAlwaysVerified(roots: str) -> None:
    """What switches off verifying the server's certificate does not switch off the
    proxy's; and through a proxy the server's is verified as ever."""
    async with serverBehind("https", True) as proxies:
        url = proxyURL(proxies, "https")
        with pytest.raises(ProxyFailed, match="certificate verify failed"):
            await echoes(
                proxies, proxy=url, dangerouslyDisableCertificateVerification=True
            )
        url = proxyURL(proxies, "https", "127.0.0.1")
        with pytest.raises(ProxyFailed, match="for another name"):
            await echoes(proxies, proxy=url, trustRoots=roots)
    async with serverBehind("http", True) as proxies:
        with pytest.raises(CertificateRefused):
            await echoes(proxies, proxy=proxyURL(proxies, "http"))


def test_badOption() -> None:
    """A proxy's URL that cannot be is an error of the option, without the password."""
    for value in (f"gopher://me:{SECRET}@proxy", f"http://me:{SECRET}@proxy/path", 7):
        with pytest.raises(InvalidOption) as caught:
            ClientOptions(proxy=value)  # type: ignore[arg-type]
        assert caught.value.name == "proxy"
        assert SECRET not in str(caught.value)
    assert SECRET not in repr(ClientOptions(proxy=f"http://me:{SECRET}@proxy"))
