"""A fault run of the operator. The seed is printed first; the exit code is 1 if anything was wrong."""

from __future__ import annotations

import sys

from tests.chaos.run import Verdict, run
from tests.support.seeded import parser_of, run_seeded, summary


def main() -> int:
    return run_seeded("chaos", parser_of("chaos", __doc__), run, table)


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
    return summary(rows, verdict.problems)


if __name__ == "__main__":
    sys.exit(main())
