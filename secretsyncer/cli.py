"""The command line: arguments in, exit codes out.

0: done. 1: something failed while running, or an object could not be rendered. 2: wrong arguments or settings,
with one line that names them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from secretsyncer import __version__
from secretsyncer.commands import conversion, iam_policy, render, run
from secretsyncer.errors import SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        return int(chosen.action(chosen))
    except SettingsError as exc:
        print(f"secretsyncer: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="secretsyncer", description="Keeps Kubernetes Secrets in sync with AWS Secrets Manager."
    )
    parser.add_argument("--version", action="version", version=f"secretsyncer {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (run, render, iam_policy, conversion):
        command.register(commands)
    return parser
