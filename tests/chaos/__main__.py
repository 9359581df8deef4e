"""A fault run of the operator. The seed is printed first; the exit code is 1 if anything was wrong."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys

from sandbox.envtest import HOW_TO_GET, find_assets
from tests.chaos.run import Verdict, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="what to draw (default: random)")
    parser.add_argument("--seconds", type=float, default=180, help="how long (default: 180)")
    chosen = parser.parse_args()
    assets = find_assets()
    if assets is None:
        print(f"chaos: {HOW_TO_GET}", file=sys.stderr)
        return 2
    print(f"seed {chosen.seed} (again: make chaos ARGS='--seed {chosen.seed}')", flush=True)
    verdict = asyncio.run(
        run(assets, seed=chosen.seed, seconds=chosen.seconds, say=lambda text: print(text, flush=True))
    )
    print(table(verdict))
    return int(bool(verdict.problems))


def table(verdict: Verdict) -> str:
    rows = [(name, str(number)) for name, number in sorted(verdict.changes.items())]
    rows += [(f"fault: {name}", str(number)) for name, number in sorted(verdict.faults.items())]
    rows += [
        ("objects", str(verdict.secrets)),
        ("right again after", f"{verdict.settled_after:.1f} s"),
        ("writes of Secrets", f"{verdict.writes}, for {verdict.justified} reasons"),
        ("log lines a minute", f"{verdict.lines_per_minute:.0f}"),
        ("resident memory", f"{verdict.resident_mib:.0f} MiB"),
    ]
    lines = [f"  {name:<28} {value:>14}" for name, value in rows]
    shown = [f"  WRONG: {problem}" for problem in dict.fromkeys(verdict.problems)]
    return "\n".join(["", *lines, *(shown or ["  nothing was wrong"])])


if __name__ == "__main__":
    sys.exit(main())
