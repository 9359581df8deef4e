"""`secretsyncer render`: prints the Secrets that the operator would write for these manifests.

Parsing, the check of the role and rendering are the operator's. Only the values come from a file or, with `--from-aws`,
from AWS with the credentials of the shell. If the manifests include a namespace, its annotation is checked. A namespace
that they do not include counts as one without annotation.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from secretsyncer.aws.regions import Regions
from secretsyncer.commands import Subcommands, add_command, manifests
from secretsyncer.commands.file_fields import ACCOUNT
from secretsyncer.commands.renderer import Renderer, Result, render_all
from secretsyncer.commands.secrets_file import FileSecrets
from secretsyncer.commands.terminal import clean
from secretsyncer.errors import SettingsError
from secretsyncer.gotemplate.engine import TemplateEngine
from secretsyncer.kube.objects import Object, key_of
from secretsyncer.metrics import Metrics
from secretsyncer.settings import Settings, load
from secretsyncer.sync.authorize import Rules
from secretsyncer.sync.content import ContentRenderer
from secretsyncer.sync.users import used_services

if TYPE_CHECKING:
    from secretsyncer.commands.diff import Difference

_DESCRIPTION = """\
Prints the Secrets that the operator would write for these SyncedSecrets. Writes nothing to the cluster. The values
come from AWS (--from-aws), or from a file (--secrets) that maps the name of each AWS secret to its value:

  mysql: {json: {user: web, password: s3cret}, tags: {tag1: ""}}   # a JSON object
  cert: {value: "-----BEGIN ...", versionId: v1}                   # text
  keystore: {binary: AAECAw==, listed: false}                      # base64; listed: false hides it from .Secrets
  parameters:                                                      # of Parameter Store, by their names
    /app/db/password: {value: s3cret, version: 7}
    /app/config: {json: {port: 5432}, labels: {live: {value: "{}"}}}

If an object fails, standard error shows its name and the reason, and the exit code is 1. A line with `note:` has what
the condition says besides. If the manifests include namespaces, the command checks the roles against their annotations,
as the operator does.

  secretsyncer render -f manifests/samples --secrets manifests/samples/aws/secrets.yaml
"""


def register(commands: Subcommands) -> None:
    command = add_command(
        commands,
        "render",
        _action,
        summary="print the Secrets that the operator would write",
        description=_DESCRIPTION,
    )
    manifests.add_files(command)
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--secrets", metavar="FILE", type=Path, help="read the AWS secrets from this YAML or JSON file"
    )
    source.add_argument(
        "--from-aws", action="store_true", help="read the AWS secrets from AWS, with the credentials of this shell"
    )
    command.add_argument(
        "-o", dest="output", choices=("yaml", "json"), default="yaml", help="format (default: yaml)"
    )
    command.add_argument(
        "--diff",
        action="store_true",
        help="print the keys that differ from the Secrets in the cluster, and a summary; exit code 1 if there are any. It "
        "does not check whether another object owns a Secret, or whether the operator refuses to empty one",
    )
    command.add_argument("--reveal", action="store_true", help="with --diff: print the values, too")


def _action(chosen: argparse.Namespace) -> int:
    if chosen.reveal and not chosen.diff:
        raise SettingsError("--reveal needs --diff")
    objects, problems = manifests.load_manifests(chosen.files)
    manifests.report(problems)
    suspended = [obj for obj in manifests.synced_secrets(objects) if chosen.diff and _is_suspended(obj)]
    results, found = asyncio.run(_results(chosen, [obj for obj in objects if obj not in suspended]))
    failed = sum(result.secret is None for result in results)
    if not results and not suspended:
        print("secretsyncer: no SyncedSecret in these files", file=sys.stderr)
    for result in results:
        if result.secret is None:
            print(clean(f"{result.label}: {result.problem}"), file=sys.stderr)
        for remark in result.remarks:
            print(clean(f"note: {result.label}: {remark}"), file=sys.stderr)
    if chosen.diff:
        from secretsyncer.commands.diff import summary  # noqa: PLC0415 - as below

        for line in (line for difference in found for line in difference.lines):
            print(clean(line))
        print(summary(found, failed, [str(key_of(obj)) for obj in suspended]))
    else:
        print(manifests.dump(_secrets(results), chosen.output), end="")
    nothing = not results and not suspended
    return int(nothing or bool(problems or failed) or any(difference.lines for difference in found))


def _is_suspended(obj: Object) -> bool:
    spec = obj.get("spec")
    return isinstance(spec, dict) and spec.get("suspend") is True


async def _results(chosen: argparse.Namespace, objects: list[Object]) -> tuple[list[Result], list[Difference]]:
    """The results and, with --diff, how each differs from the cluster."""
    settings = load(os.environ)
    metrics = Metrics(CollectorRegistry())
    with TemplateEngine(cache_dir=settings.cache_folder) as engine:
        results = await _rendered(chosen, objects, settings, engine, metrics)
    if not chosen.diff:
        return results, []
    from secretsyncer.commands.diff import differences  # noqa: PLC0415 - the Kubernetes client takes long to import

    return results, await differences(_secrets(results), metrics, reveal=chosen.reveal)


async def _rendered(
    chosen: argparse.Namespace, objects: list[Object], settings: Settings, engine: TemplateEngine, metrics: Metrics
) -> list[Result]:
    if not chosen.from_aws:
        secrets = FileSecrets.load(chosen.secrets, Regions(settings.extra_regions))
        rules = Rules(settings.ns_annotation, settings.require_ns_annotation)
        renderer = Renderer(ContentRenderer(secrets, engine, metrics), secrets.listings, ACCOUNT, rules)
        return await render_all(objects, renderer)
    from secretsyncer.commands.live import aws_renderer  # noqa: PLC0415 - the AWS client takes long to import

    async with aws_renderer(settings, engine, metrics, used_services(objects)) as renderer:
        return await render_all(objects, renderer)


def _secrets(results: Sequence[Result]) -> list[Object]:
    return [result.secret for result in results if result.secret]
