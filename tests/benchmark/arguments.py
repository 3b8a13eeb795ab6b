"""Reads the command line, and does what it says."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import report
from .catalog import OURS, PEERS, VARIANTS, Server, Unsupported, ours
from .chart import chart
from .figures import Results, shownRange, values
from .rounds import WARM_UP, Benchmark
from .scenarios import SCENARIOS, Scenario, choose

__all__ = ["main", "makeParser", "measure", "merge", "render"]

_FILES = {
    "json": "all figures",
    "chart": "a chart, in SVG,",
    "rst": "tables for the documentation, in reST,",
}


def makeParser() -> argparse.ArgumentParser:
    """Give the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmark",
        description="Measure twisted_ws and other WebSocket servers in turn.",
    )
    parser.add_argument(
        "--scenario",
        action="append",
        default=[],
        metavar="NAME",
        help="only this scenario or group; may be repeated [default: goals]",
    )
    parser.add_argument(
        "--server",
        action="append",
        default=[],
        metavar="NAME",
        help="only this server; may be repeated [default: ours and all peers]",
    )
    parser.add_argument(
        "--ours",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="another server: twisted_ws as it is in the checkout at PATH; may be "
        "repeated",
    )
    parser.add_argument("--rounds", type=_positive(int), metavar="N")
    parser.add_argument(
        "--seconds", type=_positive(float), metavar="S", help="for each measurement"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round of 0.3 seconds, for a try"
    )
    parser.add_argument(
        "--read",
        type=Path,
        metavar="FILE",
        help="begin with the figures that --json wrote there; scenarios that are named "
        "too are measured again",
    )
    for flag, what in _FILES.items():
        parser.add_argument(
            f"--{flag}", type=Path, metavar="FILE", help=f"write {what} there"
        )
    parser.add_argument(
        "--list", action="store_true", help="list scenarios and servers, and end"
    )
    return parser


def _positive(kind: type) -> Any:
    def convert(text: str) -> Any:
        value = kind(text)
        if not 0 < value < 1e6:
            raise ValueError
        return value

    convert.__name__ = "positive number"
    return convert


def main(arguments: Sequence[str]) -> int:
    """Do what a command line says.

    :param arguments: the command line, without the program
    :returns: the exit status: 0, or 1 if something went wrong in a scenario
    """
    parser = makeParser()
    options = parser.parse_args(arguments)
    if options.list:
        for each in SCENARIOS:
            print(f"{each.name:20} {each.group:10} {each.title}")
        for server in (OURS, *PEERS, *VARIANTS):
            print(f"{server.name:20} {'server':10} {server.title}")
        return 0
    if not hasattr(os, "sched_setaffinity"):
        parser.error("it takes Linux")
    try:
        scenarios = choose(options.scenario)
        servers = chooseServers(options.server, options.ours)
        results = None if options.read is None else read(options.read)
    except ValueError as error:
        parser.error(str(error))
    for flag in _FILES:
        path = getattr(options, flag)
        if path is not None and not path.absolute().parent.is_dir():
            parser.error(f"--{flag}: there is no directory {path.absolute().parent}")
    if results is None or options.scenario:
        rounds = options.rounds or (1 if options.quick else 5)
        seconds = options.seconds or (0.3 if options.quick else 1.0)
        found = measure(scenarios, servers, rounds, seconds)
        if results is not None:
            found = merge(results, found)
        results = found
    print("\n".join(report.text(results)))
    for flag in _FILES:
        path = getattr(options, flag)
        if path is not None:
            path.write_text(render(results, flag), "utf-8")
    return 1 if any(report.failures(results)) else 0


def render(results: Results, kind: str) -> str:
    """Write results as a file.

    :param results: what was measured
    :param kind: of file: ``json``, ``chart`` or ``rst``
    """
    if kind == "json":
        # A line for each thing, or it would be pages.
        rest = {name: each for name, each in results.items() if name != "scenarios"}
        parts = [
            f"{json.dumps(name)}: {json.dumps(each)}" for name, each in rest.items()
        ]
        scenarios = [
            f"{json.dumps(name)}: {json.dumps(each)}"
            for name, each in results["scenarios"].items()
        ]
        parts.append('"scenarios": {\n' + ",\n".join(scenarios) + "\n}")
        return "{\n" + ",\n".join(parts) + "\n}\n"
    lines = chart(results) if kind == "chart" else report.page(results)
    return "".join(f"{line}\n" for line in lines)


def read(path: Path) -> dict[str, Any]:
    """Read what ``--json`` wrote.

    :param path: where
    :raises ValueError: it is something else
    """
    try:
        results: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if "scenarios" not in results:
            raise ValueError("no scenarios")
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"--read: cannot read {path}: {error}") from None
    return results


def merge(old: Results, new: Results) -> dict[str, Any]:
    """Put results in the place of older ones, and keep the other older ones.

    :param old: the older ones
    :param new: what was measured since
    """
    servers = {**old["servers"], **new["servers"]}
    for name, each in old["servers"].items():
        # Known only where there was TLS.
        if "TLS" in each:
            servers[name] = {"TLS": each["TLS"], **servers[name]}
    missing = {**old["missing"], **new["missing"]}
    scenarios = {**old["scenarios"], **new["scenarios"]}
    # In the order in which they are measured.
    known = [each.name for each in SCENARIOS if each.name in scenarios]
    return {
        **new,
        "base": old["base"] or new["base"],
        "servers": servers,
        "missing": {name: why for name, why in missing.items() if name not in servers},
        "scenarios": {name: scenarios[name] for name in known},
    }


def chooseServers(names: Sequence[str], checkouts: Sequence[str]) -> list[Server]:
    """Find servers, in the order in which they are shown.

    :param names: of servers; none for ours and the peers
    :param checkouts: further ones of ours, as NAME=PATH
    :raises ValueError: a name that is none, a path that has none
    """
    known = {each.name: each for each in (OURS, *PEERS, *VARIANTS)}
    for each in names:
        if each not in known:
            raise ValueError(f"no server is called {each!r}")
    wanted = set(names) or {OURS.name, *(each.name for each in PEERS)}
    found = [each for name, each in known.items() if name in wanted]
    for text in checkouts:
        name, equals, path = text.partition("=")
        folder = Path(path).resolve()
        if not name or not equals or name in known:
            raise ValueError(f"--ours: {text!r} is not a new NAME=PATH")
        if not (folder / "twisted_ws" / "__init__.py").exists():
            raise ValueError(f"--ours: there is no twisted_ws in {folder}")
        known[name] = ours(name, folder)
        found.append(known[name])
    return found


def measure(
    scenarios: Sequence[Scenario],
    servers: Sequence[Server],
    rounds: int,
    seconds: float,
) -> dict[str, Any]:
    """Measure.

    :param scenarios: what
    :param servers: of which servers
    :param rounds: how often
    :param seconds: how long each time
    :returns: all there is to tell
    """
    present, described, missing = [], {}, {}
    for server in servers:
        try:
            described[server.name] = {"title": server.title, **server.describe()}
            present.append(server)
        except Unsupported as error:
            missing[server.name] = str(error)
            tell(f"{server.name} is left out: {error}")
    results: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat("T", "minutes"),
        "machine": machine(),
        "warmUp": WARM_UP,
        # The one that the others are compared with: ours, unless it is left out.
        "base": present[0].name if present else "",
        "servers": described,
        "missing": missing,
        "scenarios": {},
    }
    if not present:
        return results
    benchmark = Benchmark(present, rounds, seconds)
    try:
        _measure(benchmark, scenarios, results)
    except KeyboardInterrupt:
        tell("interrupted: this is what there is")
    return results


def _measure(
    benchmark: Benchmark, scenarios: Sequence[Scenario], results: dict[str, Any]
) -> None:
    described = results["servers"]
    for scenario, found in benchmark.run(scenarios):
        for name, agreed in benchmark.agreed.items():
            described[name]["TLS"] = agreed
        samples = {
            name: each if isinstance(each, str) else [one.rounded() for one in each]
            for name, each in found.items()
        }
        results["scenarios"][scenario.name] = {
            **asdict(scenario),
            "rounds": benchmark.roundsOf(scenario),
            "seconds": benchmark.seconds,
            # Kept when other scenarios are measured again later.
            "commit": described[results["base"]].get("commit"),
            "samples": samples,
        }
        tell(
            f"{scenario.name}: "
            + ", ".join(
                f"{name} {shownRange(values(each, 'cost'))}"
                for name, each in samples.items()
            )
        )


def machine() -> dict[str, Any]:
    """Tell what this runs on."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(": ")[2]
            break
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {sys.version.split()[0]}",
    }


def tell(text: str) -> None:
    """Say how it goes on.

    :param text: what to say
    """
    print(text, file=sys.stderr, flush=True)
