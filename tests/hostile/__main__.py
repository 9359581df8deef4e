"""Hostile tenants, messages and answers beside honest ones. The exit code is 1 if an honest one was harmed."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.hostile.kinds import KINDS
from tests.hostile.run import Verdict, run
from tests.support.seeded import parser_of, run_seeded, summary


def main() -> int:
    parser = parser_of("hostile", __doc__)
    parser.add_argument("--kind", action="append", dest="kinds", choices=sorted(KINDS), help="only this kind")
    parser.add_argument("--lanes", type=int, default=2, help="how many kinds at once (default: 2)")
    parser.add_argument("--log", type=Path, help="file for the operator's log")
    return run_seeded("hostile", parser, run, table)


def table(verdict: Verdict) -> str:
    rows = [(name, str(number)) for name, number in sorted(verdict.changes.items())]
    rows += [(f"hostile: {name}", str(number)) for name, number in sorted(verdict.kinds.items())]
    rows += [("refused by the API server", str(verdict.refused))]
    for when, lateness in (("alone", verdict.alone), ("beside hostile work", verdict.beside)):
        seconds = f"{lateness.worst:.2f} s ({lateness.worst_with_machine:.2f} s)"
        rows.append((f"latest of {lateness.changes}, {when}", seconds))
        rows += [("  during", name) for name in sorted(lateness.worst_during)]
    rows += [
        (f"slowest /healthz of {verdict.probes}", f"{verdict.worst_probe:.2f} s"),
        ("most resident memory", f"{verdict.peak_mib:.0f} MiB"),
    ]
    return summary(rows, verdict.problems)


if __name__ == "__main__":
    sys.exit(main())
