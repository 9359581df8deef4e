"""The commands of `secretsyncer`: one module for each. Only that of the chosen command is imported.

Each module has `register`, which adds its arguments and its action: a function of the parsed arguments that returns
the exit code. An action imports the clients of AWS and Kubernetes only if it needs them, so that the other commands
start without them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subcommands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it
else:
    Subcommands = argparse._SubParsersAction  # noqa: SLF001 - as above


def add_command(
    commands: Subcommands, name: str, action: Callable[[argparse.Namespace], int], *, summary: str, description: str
) -> argparse.ArgumentParser:
    """Add the command that `action` runs. `summary` is for the list of commands; the lines of `description` stay as they are."""
    command = commands.add_parser(
        name, help=summary, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.set_defaults(action=action, parser=command)
    return command
