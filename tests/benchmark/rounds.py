"""The rounds: all servers in turn, several times, each time in another order."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.certificates import keyToPEM, makeCertificate, makeKey, toPEM
from tests.processes import freePort

from .catalog import Server, Setup, Unsupported
from .figures import FAILED
from .latency import FixedRate
from .links import (
    Link,
    LoadFailed,
    SecureLink,
    acceptLink,
    clientContext,
    expect,
    expectClient,
    openLink,
    verify,
)
from .load import Count, Exchange, broadcasts, dribbles, handshakes, settle
from .programs import Cores, Program, ProgramFailed
from .scenarios import Scenario
from .wire import Script

__all__ = ["Benchmark", "Sample", "inTurn"]

WARM_UP = 0.25
"""Seconds of load before those that are measured."""

MEMORY_ROUNDS = 3


@dataclass
class Sample:
    """What was measured of a server in one round.

    :ivar cost: microseconds of its processor time for a message; for memory, KiB for a
        connection.
    :ivar rate: messages per second.
    :ivar server: the part of a core that it took.
    :ivar load: the part of a core that the load took.
    :ivar others: the part of a core that something else took.
    :ivar latency: microseconds that messages took: a part of them, and what that part
        took at most.
    """

    cost: float
    rate: float = 0.0
    server: float = 0.0
    load: float = 0.0
    others: float = 0.0
    latency: dict[str, float] = field(default_factory=dict)

    def rounded(self) -> dict[str, Any]:
        """Give it with as many digits as mean something, and without what it has
        not."""
        return {
            name: _rounded(each) for name, each in asdict(self).items() if each != {}
        }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return float(f"{value:.4g}")


def inTurn(servers: Sequence[Server], number: int) -> list[Server]:
    """Give the order of a round: each begins with another server, and every other one
    goes backwards, so that nobody follows the same one always.

    :param servers: all of them
    :param number: of the round
    """
    turn = number % max(1, len(servers))
    first, others = servers[turn : turn + 1], [*servers[turn + 1 :], *servers[:turn]]
    return [*first, *others[:: (-1) ** number]]


@dataclass
class Benchmark:
    """Runs scenarios.

    :ivar servers: those to compare.
    :ivar rounds: how often each is visited.
    :ivar seconds: how long each time.
    :ivar agreed: version and cipher of TLS with each server, if there was any.
    """

    servers: Sequence[Server]
    rounds: int = 5
    seconds: float = 1.0
    agreed: dict[str, str] = field(default_factory=dict)

    def run(self, scenarios: Sequence[Scenario]) -> Iterator[tuple[Scenario, Any]]:
        """Measure.

        :param scenarios: what
        :returns: for each scenario the samples of each server by its name, or the text
            of what went wrong
        """
        with ExitStack() as stack:
            self._directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self._cores = stack.enter_context(Cores())
            self._certificate = self._directory / "server.pem"
            key = makeKey()
            self._certificate.write_bytes(
                keyToPEM(key) + toPEM(makeCertificate("localhost", key))
            )
            running: dict[str, Program] = {}
            setup: Setup | None = None
            inner = stack.enter_context(ExitStack())
            for scenario in scenarios:
                if scenario.setup != setup:
                    inner.close()
                    running.clear()
                    setup = scenario.setup
                yield scenario, self._scenario(scenario, running, inner)

    def roundsOf(self, scenario: Scenario) -> int:
        """Give how often each server is visited in a scenario.

        :param scenario: which
        """
        if scenario.kind == "memory":
            # It hardly differs, and takes long.
            return min(self.rounds, MEMORY_ROUNDS)
        return self.rounds

    def _scenario(
        self, scenario: Scenario, running: dict[str, Program], stack: ExitStack
    ) -> dict[str, list[Sample] | str]:
        found: dict[str, list[Sample] | str] = {}
        servers = [each for each in self.servers if each.suits(scenario.setup)]
        for number in range(self.roundsOf(scenario)):
            for server in inTurn(servers, number):
                samples = found.setdefault(server.name, [])
                if isinstance(samples, str):
                    continue
                try:
                    server.refuse(scenario.setup)
                    samples.append(self._sample(scenario, server, running, stack))
                except Unsupported as error:
                    found[server.name] = str(error)
                except (LoadFailed, OSError, ProgramFailed) as error:
                    what = f"{FAILED}: {error}"
                    if server.name in running:
                        what = running[server.name].explain(what)
                        # Whatever state it is in, the next scenario has a fresh one.
                        running.pop(server.name).end()
                    found[server.name] = what
        return {each.name: found[each.name] for each in servers}

    def _start(
        self, server: Server, command: list[str], port: int, setup: Setup
    ) -> Program:
        return Program(
            server.name,
            command,
            port,
            self._directory,
            self._cores.server,
            {**server.variables, **setup.variables},
        )

    def _serve(self, server: Server, setup: Setup) -> Program:
        port = freePort()
        command = server.command(setup, port, self._certificate)
        return self._start(server, command, port, setup)

    def _sample(
        self,
        scenario: Scenario,
        server: Server,
        running: dict[str, Program],
        stack: ExitStack,
    ) -> Sample:
        if scenario.kind == "client":
            return self._client(scenario, server)
        if scenario.kind == "memory":
            # What is freed is used again, so that each figure takes a fresh process.
            with self._serve(server, scenario.setup) as fresh:
                return self._memory(scenario, server, fresh)
        if server.name not in running:
            program = self._serve(server, scenario.setup)
            running[server.name] = stack.enter_context(program)
        program = running[server.name]
        if scenario.kind == "handshakes":
            upgrade = not server.mirrored
            return self._measure(
                program, lambda seconds: handshakes(program.port, seconds, upgrade)
            )
        with self._links(scenario, server, program) as links:
            script = scenario.script.mirror() if server.mirrored else scenario.script
            if scenario.kind == "broadcast":
                return self._measure(
                    program, lambda seconds: broadcasts(links, script, seconds)
                )
            if scenario.kind == "dribble":
                return self._measure(
                    program, lambda seconds: dribbles(links[0], script, seconds)
                )
            if scenario.kind == "latency":
                steady = FixedRate(links, script, scenario.rate)
                sample = self._measure(program, steady.run)
                sample.latency = steady.summary()
                return sample
            sample = self._exchange(scenario, script, links, program)
            if script.offer is None:
                verify(links[0], script)
            return sample

    def _exchange(
        self, scenario: Scenario, script: Script, links: list[Link], program: Program
    ) -> Sample:
        exchange = Exchange(links, script, scenario.window, scenario.apart)
        try:
            return self._measure(program, exchange.run)
        finally:
            exchange.close()

    def _client(self, scenario: Scenario, server: Server) -> Sample:
        """Measure a client: here the load is the server."""
        script, links = scenario.script, []
        with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
            port: int = listening.getsockname()[1]
            command = server.clientCommand(
                port, scenario.connections, scenario.window, scenario.size
            )
            program = self._start(server, command, 0, scenario.setup)
            try:
                for _ in range(scenario.connections):
                    links.append(acceptLink(listening, script, scenario.window))
                sample = self._exchange(scenario, script, links, program)
                links[0].write(script.frames[0])
                expectClient(links[0], script)
                return sample
            except LoadFailed as error:
                raise LoadFailed(program.explain(str(error))) from None
            finally:
                program.end()
                for link in links:
                    link.close()

    @contextmanager
    def _links(
        self, scenario: Scenario, server: Server, program: Program
    ) -> Iterator[list[Link]]:
        """Open the connections of a scenario, and see that they work."""
        context = clientContext() if scenario.setup.secure else None
        script = scenario.script.mirror() if server.mirrored else scenario.script
        links: list[Link] = []
        try:
            for number in range(scenario.connections):
                link = openLink(program.port, context, script, not server.mirrored)
                links.append(link)
                if isinstance(link, SecureLink):
                    self.agreed[server.name] = link.agreed
                if not scenario.setup.broadcast:
                    verify(link, script, 1 if number else len(script.frames))
            if scenario.setup.broadcast:
                links[0].write(script.frames[0])
                for link in links:
                    expect(link, script)
            yield links
        finally:
            for link in links:
                link.close()
            settle(program.processor)

    def _measure(self, program: Program, load: Callable[[float], Count]) -> Sample:
        load(min(WARM_UP, self.seconds))
        busy, before = self._cores.busy(), program.processor()
        count = load(self.seconds)
        used = program.processor() - before
        others = self._cores.busy() - busy - used - count.processor
        return Sample(
            used / count.messages * 1e6,
            count.messages / count.seconds,
            used / count.seconds,
            count.processor / count.seconds,
            max(0.0, others) / count.seconds,
        )

    def _memory(self, scenario: Scenario, server: Server, program: Program) -> Sample:
        few = Scenario("", "", connections=20, setup=scenario.setup)
        with self._links(few, server, program):
            pass
        before = program.memory()
        with self._links(scenario, server, program):
            settle(program.processor)
            grown = program.memory() - before
        return Sample(grown / scenario.connections / 1024)
