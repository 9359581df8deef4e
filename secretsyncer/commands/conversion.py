"""`secretsyncer convert`: prints SyncedSecrets for the manifests of peers, and what to know of them.

`convert/` decides. This module asks AWS where the operator would search, if the objects search and nobody says it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from contextlib import suppress

from prometheus_client import CollectorRegistry

from secretsyncer.commands import Subcommands, add_command, manifests
from secretsyncer.commands.convert import Home, convert_all, searches
from secretsyncer.commands.terminal import clean
from secretsyncer.errors import SettingsError, SyncFailure
from secretsyncer.gotemplate.engine import TemplateEngine
from secretsyncer.metrics import Metrics
from secretsyncer.settings import load

_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_PATIENCE = 10.0
"""Seconds to wait for AWS."""

_DESCRIPTION = """\
Converts to SyncedSecrets: ExternalSecrets of External Secrets Operator (v1, v1beta1; include their SecretStores),
ExternalSecrets of kubernetes-external-secrets, and AWSSecrets of aws-secret-operator. Standard error has a line for
each object that needs one: `note:` says what is different, and `not converted:` why there is no SyncedSecret. The exit
code is 1 if an object is not converted.

  kubectl get externalsecrets.external-secrets.io,secretstores,clustersecretstores -A -o yaml |
    secretsyncer convert -f -
"""


def register(commands: Subcommands) -> None:
    command = add_command(
        commands,
        "convert",
        _action,
        summary="print SyncedSecrets for the manifests of other operators",
        description=_DESCRIPTION,
    )
    manifests.add_files(command)
    command.add_argument("--strict", action="store_true", help="exit code 1 for notes, too")
    command.add_argument(
        "--account", default="", help="the operator's AWS account (default: that of the AWS credentials)"
    )
    command.add_argument("--region", default="", help="the operator's AWS region (default: AWS_REGION)")


def _action(chosen: argparse.Namespace) -> int:
    with TemplateEngine(cache_dir=load(os.environ).cache_folder) as engine:
        loaded = manifests.load_manifests(chosen.files, letters_are_text=True)
        home = Home(chosen.account, chosen.region or os.environ.get("AWS_REGION", ""))
        if not all(home) and searches(loaded.objects):
            home = Home(*(given or known for given, known in zip(home, asyncio.run(_own_home()), strict=True)))
        report = convert_all(loaded.objects, engine, home)
    print(manifests.dump(report.results()), end="")
    if not (loaded.problems or report.refused or report.converted):
        print("nothing to convert: these files have no ExternalSecret and no AWSSecret", file=sys.stderr)
    for line in report.lines(loaded.problems):
        print(clean(line), file=sys.stderr)
    failed = loaded.problems or report.refused or not report.converted
    return int(bool(failed or (chosen.strict and report.noted)))


async def _own_home() -> Home:
    """The account and the region of the shell's AWS credentials, if it has any. Only `find` needs to know."""
    if not any(os.environ.get(name) for name in _CREDENTIALS):
        return Home()
    from secretsyncer.aws.api.sessions import Sessions  # noqa: PLC0415 - the AWS client takes long to import

    with suppress(SyncFailure, SettingsError, TimeoutError):
        async with asyncio.timeout(_PATIENCE), Sessions(Metrics(CollectorRegistry())) as sessions:
            return Home((await sessions.account()).id, sessions.region)
    return Home()
