"""The command line of a run that draws what it does from a seed, and what it prints: `make chaos`, `make hostile`."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from sandbox.envtest import HOW_TO_GET, find_assets

Row = tuple[str, str]


def parser_of(name: str, about: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"make {name}", description=about)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="what to draw (default: random)")
    parser.add_argument("--seconds", type=float, default=180, help="how long (default: 180)")
    return parser


def run_seeded(
    name: str,
    parser: argparse.ArgumentParser,
    run: Callable[..., Awaitable[Any]],
    table: Callable[[Any], str],
) -> int:
    """Run with what the command line says. The exit code is 1 if anything was wrong, 2 without an API server."""
    chosen = vars(parser.parse_args())
    assets: Path | None = find_assets()
    if assets is None:
        print(f"{name}: {HOW_TO_GET}", file=sys.stderr)
        return 2
    print(f"seed {chosen['seed']} (again: make {name} ARGS='--seed {chosen['seed']}')", flush=True)
    verdict = asyncio.run(run(assets, say=lambda text: print(text, flush=True), **chosen))
    print(table(verdict))
    return int(bool(verdict.problems))


def summary(rows: Iterable[Row], problems: Iterable[str]) -> str:
    """The figures of a run, and what was wrong."""
    lines = [f"  {name:<34} {value:>14}" for name, value in rows]
    shown = [f"  WRONG: {problem}" for problem in dict.fromkeys(problems)]
    return "\n".join(["", *lines, *(shown or ["  nothing was wrong"])])
