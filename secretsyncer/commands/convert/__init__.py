"""`secretsyncer convert`: SyncedSecrets from the manifests of peers.

`convert_all` knows ExternalSecret of External Secrets Operator (v1, v1beta1, AWS Secrets Manager stores),
ExternalSecret of kubernetes-external-secrets and AWSSecret of aws-secret-operator. A result makes the Secret that the
original makes. What is different on purpose is noted, and an object of which a part cannot be said is not converted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import suppress

from prometheus_client import CollectorRegistry

from secretsyncer.commands import Subcommands, add_command, manifests
from secretsyncer.commands.convert import aso, eso, kes
from secretsyncer.commands.convert.draft import Draft
from secretsyncer.commands.convert.eso_store import Around, Home, searches
from secretsyncer.commands.convert.report import Report
from secretsyncer.errors import Rejected, SettingsError, SyncFailure
from secretsyncer.gotemplate.engine import EngineCatalogue, TemplateEngine, TemplateFailure
from secretsyncer.kube.objects import Object
from secretsyncer.metrics import Metrics
from secretsyncer.settings import load
from secretsyncer.sync.render import templates
from secretsyncer.sync.secret_rules import check_metadata
from secretsyncer.synced_secret import parse

_PEERS = ("external-secrets.io", "kubernetes-client.io", "mumoshu.github.io")
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_PATIENCE = 10.0
"""Seconds to wait for AWS."""
_PARTS = {"SecretStore", "ClusterSecretStore"}
"""Kinds that say something about others, and become nothing themselves."""

_DESCRIPTION = """\
Converts to SyncedSecrets: ExternalSecrets of External Secrets Operator (v1, v1beta1; include their SecretStores),
ExternalSecrets of kubernetes-external-secrets, and AWSSecrets of aws-secret-operator. Standard error has a line for
each object that needs one: `note:` says what is different, and `not converted:` why there is no SyncedSecret. The exit
code is 1 if an object is not converted.

  kubectl get externalsecrets,secretstores,clustersecretstores -A -o yaml | secretsyncer convert -f -
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
        loaded = manifests.load_manifests(chosen.files)
        home = Home(chosen.account, chosen.region or os.environ.get("AWS_REGION", ""))
        if not all(home) and searches(loaded.objects):
            home = Home(*(given or known for given, known in zip(home, asyncio.run(_own_home()), strict=True)))
        report = convert_all(loaded.objects, engine, home)
    print(manifests.dump(report.results()), end="")
    for line in (*(f"not converted: {problem}" for problem in loaded.problems), *report.lines()):
        print(line, file=sys.stderr)
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


def convert_all(objects: list[Object], engine: TemplateEngine, home: Home = Home()) -> Report:  # noqa: B008
    """The SyncedSecrets, and what to say of each object."""
    around = Around(objects, home)
    drafts = [draft for obj in objects if (draft := _draft(obj, around))]
    _check_targets(drafts)
    for draft in drafts:
        if not draft.obstacles:
            for flaw in _flaws(draft.synced_secret(), engine):
                draft.refuse(flaw)
    return Report(drafts)


def _draft(obj: Object, around: Around) -> Draft | None:
    group = str(obj.get("apiVersion", "")).partition("/")[0]
    match obj.get("kind"), group:
        case "ExternalSecret", "external-secrets.io":
            return eso.convert(obj, around)
        case "ExternalSecret", "kubernetes-client.io":
            return kes.convert(obj)
        case "AWSSecret", "mumoshu.github.io":
            return aso.convert(obj)
    if obj.get("kind") in _PARTS or not group.endswith(_PEERS):
        return None
    draft = Draft(obj)
    draft.refuse(f"{obj.get('kind')} of {obj.get('apiVersion')} is not known here")
    return draft


def _check_targets(drafts: list[Draft]) -> None:
    """A SyncedSecret owns all of its Secret, so no Secret can have two."""
    first: dict[tuple[str, str], Draft] = {}
    for draft in drafts:
        other = first.setdefault(draft.secret, draft)
        if other is not draft:
            for one, another in ((draft, other), (other, draft)):
                one.refuse(f"{another.label} writes the same Secret {draft.secret[1]}")


def _flaws(result: Object, engine: TemplateEngine) -> Iterator[str]:
    """What is wrong with a result itself. Templates are tried without data, which shows unknown functions."""
    try:
        synced = parse(result)
        check_metadata(synced)
    except Rejected as failure:
        yield f"the result is not valid: {failure.message}"
        return
    for text in templates(synced.spec):
        try:
            engine.render_sync(text, EngineCatalogue({}), {})
        except TemplateFailure as failure:
            if failure.static:
                yield f"a template does not fit: {failure}"
