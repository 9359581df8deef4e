"""The commands of `secretsyncer`, a module each; the operator imports none of them.

Each module has `register`, which adds its arguments and its action: a function of the parsed arguments that
returns the exit code. What needs the clients of AWS or Kubernetes is imported by the action that needs it, so that
the other commands start without them.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subcommands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it
else:
    Subcommands = argparse._SubParsersAction  # noqa: SLF001 - as above
