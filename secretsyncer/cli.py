"""The command line: arguments in, exit codes out.

0: done. 1: something failed while running, an object could not be rendered, or is not ready. 2: wrong arguments or
settings, with one line that names them. Under the name `kubectl-secretsyncer`, the program is a plugin of kubectl.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from secretsyncer import __version__
from secretsyncer.commands.terminal import clean
from secretsyncer.errors import SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    chosen, unknown = _parser(given[0] if given else "").parse_known_args(given)
    if unknown:
        chosen.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        code = int(chosen.action(chosen))
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # who reads the output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more
        return 141
    except SettingsError as exc:
        print(f"secretsyncer: {clean(str(exc))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


_MODULES = {
    "status": "status",
    "why": "why",
    "refresh": "steering",
    "suspend": "steering",
    "resume": "steering",
    "render": "render",
    "iam-policy": "iam_policy",
    "convert": "conversion",
    "run": "run",
}
"""The module of `secretsyncer.commands` with each command, in the order of --help."""
_PLUGIN = "kubectl-secretsyncer"
_EXAMPLES = """\
what to begin with:
  %(prog)s status -A                 what is not ready, and since when
  %(prog)s why team-a/database       everything about one object, and what to do next
  %(prog)s refresh team-a/database   read its AWS secrets at once
  %(prog)s render --help             try a manifest without the cluster

status, why, refresh, suspend and resume use the cluster of KUBECONFIG or ~/.kube/config, like kubectl. The same program is
the operator (run), and the plugin `kubectl secretsyncer`.
"""


def _parser(name: str) -> argparse.ArgumentParser:
    """For the command of that name, whose module alone is imported. The operator would keep the others in memory."""
    parser = argparse.ArgumentParser(
        prog="kubectl secretsyncer" if Path(sys.argv[0]).stem == _PLUGIN else "secretsyncer",
        description="Keeps Kubernetes Secrets in sync with AWS Secrets Manager.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"secretsyncer {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in dict.fromkeys([_MODULES[name]] if name in _MODULES else _MODULES.values()):
        import_module(f"secretsyncer.commands.{module}").register(commands)
    return parser
