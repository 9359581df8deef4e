"""`make bench`: measures, prints a table, and writes the figures and plots to bench/results; those of a part to .cache."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench import report
from bench.changes import changes
from bench.figures import Figure
from bench.large import large
from bench.memory import footprint
from bench.parameters import parameters
from bench.recent import recent
from bench.roles import roles
from bench.say import say
from bench.starting import starting
from bench.status_writes import status_writes
from bench.sync import bulk
from bench.templates import templates
from sandbox.envtest import HOW_TO_GET, find_assets

RECORD = Path(__file__).with_name("results")
"""Of the last run of everything."""
PART = Path(__file__).parents[1] / ".cache/bench"

Work = Callable[[], Awaitable[list[Figure]]]
WORKS: dict[str, Work] = {
    "start": starting,
    "1000": lambda: bulk(1000),
    "5000": lambda: bulk(5000),
    "10000": lambda: bulk(10_000),
    "changes": lambda: changes(5000),
    "recent": lambda: recent(5000, 1000),
    "status": status_writes,
    "memory": lambda: footprint(1000, 5000),
    "roles": lambda: roles(100),
    "parameters": parameters,
    "template": lambda: templates(100),
    "smoke": lambda: bulk(100),
    "large-5000": lambda: large(5000, 200, 2000),
    "large": lambda: large(50_000, 2000, 20_000),
}
ASKED_FOR = {"smoke", "large-5000", "large"}
"""Works that run only if they are named."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure the operator on a real kube-apiserver and a stand-in for AWS (20 ms a call). Figures "
        "that have a limit are to be read as a ratio: the limit is measured in the same run.",
        epilog=f"Without WORK all are run but {', '.join(sorted(ASKED_FOR))}, in about 20 minutes on 2 cores. The large "
        "one takes 20 minutes. Needs make envtest.",
    )
    parser.add_argument("works", nargs="*", metavar="WORK", help=f"any of: {', '.join(WORKS)}")
    parser.add_argument(
        "--results",
        type=Path,
        help="folder for numbers and plots; without it bench/results, or .cache/bench if only some WORKs are run",
    )
    chosen = parser.parse_args()
    unknown = set(chosen.works) - WORKS.keys()
    if unknown:
        parser.error(f"no such work: {', '.join(sorted(unknown))}; there are {', '.join(WORKS)}")
    if find_assets() is None:
        parser.error(HOW_TO_GET)
    folder = chosen.results or (PART if chosen.works else RECORD)
    names = chosen.works or [name for name in WORKS if name not in ASKED_FOR]
    figures = asyncio.run(_measure(names))
    print(report.table(figures))
    report.save(figures, folder)
    say(f"numbers and plots: {folder}")
    return int(not all(figure.reached for figure in figures))


async def _measure(names: list[str]) -> list[Figure]:
    figures = []
    for name in names:
        figures += await WORKS[name]()
    return figures


if __name__ == "__main__":
    sys.exit(main())
