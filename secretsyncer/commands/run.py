"""`secretsyncer run`: the operator."""

from __future__ import annotations

import argparse
import asyncio
import os

from secretsyncer import logs
from secretsyncer.commands import Subcommands, add_command
from secretsyncer.operator.footprint import keep_small
from secretsyncer.settings import Settings, load

_DESCRIPTION = """\
Runs the operator. The cluster is that of KUBECONFIG, of the pod, or of ~/.kube/config, in this order. The AWS SDK
finds the AWS credentials and the region. Settings are environment variables:

"""


def register(commands: Subcommands) -> None:
    add_command(commands, "run", _run, summary="run the operator", description=_DESCRIPTION + _settings_help())


def _settings_help() -> str:
    lines = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default == () else str(field.default)
        default = default.lower() if isinstance(field.default, bool) else default
        text = " ".join((field.description or "").split())
        lines.append(f"  {name.upper()}{f' ({default})' if default else ''}\n      {text}")
    return "\n".join(lines)


def _run(_: argparse.Namespace) -> int:
    settings = load(os.environ)
    logs.configure(settings.log_level, settings.log_format)
    keep_small()
    from secretsyncer.operator import app  # noqa: PLC0415 - the clients of AWS and Kubernetes take 0.5 s to import

    return asyncio.run(app.run(settings))
