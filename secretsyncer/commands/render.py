"""`secretsyncer render`: the Secrets that manifests would give.

The same parsing, gate and rendering as the operator's; only the values come from a file or, with `--from-aws`, from
AWS with the credentials of the shell. Namespaces among the manifests bring their annotations, so that the gate can
be tried too; a namespace that is not there has none.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry

from secretsyncer.commands import Subcommands, add_command, manifests
from secretsyncer.commands.renderer import Renderer, Result, render_all
from secretsyncer.commands.secrets_file import ACCOUNT, FileSecrets
from secretsyncer.errors import SettingsError
from secretsyncer.gotemplate.engine import TemplateEngine
from secretsyncer.kube.objects import Object
from secretsyncer.metrics import Metrics
from secretsyncer.settings import Settings, load
from secretsyncer.sync.authorize import Rules
from secretsyncer.sync.content import ContentRenderer

_DESCRIPTION = """\
Prints the Secrets that SyncedSecrets would give; nothing is written to the cluster. The AWS secrets are read from AWS,
or offline from a file that maps their names to values:

  mysql: {json: {user: web, password: s3cret}, tags: {tag1: ""}}   # an object, which AWS holds as JSON
  cert: {value: "-----BEGIN ...", versionId: v1}                   # text
  keystore: {binary: AAECAw==, listed: false}                      # base64; listed: whether .Secrets shows it

A failure is reported on standard error with its object's name, and the exit code is 1. Namespaces among the
manifests bring their annotations, so that the roles they allow can be tried, too.

  secretsyncer render -f manifests/samples --secrets manifests/samples/aws/secrets.yaml
"""


def register(commands: Subcommands) -> None:
    command = add_command(
        commands, "render", _action, summary="print the Secrets that manifests would give", description=_DESCRIPTION
    )
    manifests.add_files(command)
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument("--secrets", metavar="FILE", type=Path, help="take the AWS secrets from this YAML or JSON")
    source.add_argument("--from-aws", action="store_true", help="read AWS, with the credentials of this shell")
    command.add_argument(
        "-o", dest="output", choices=("yaml", "json"), default="yaml", help="format (default: yaml)"
    )
    command.add_argument(
        "--diff",
        action="store_true",
        help="show how the cluster's Secrets differ, by key; exit 1 if any does",
    )
    command.add_argument("--reveal", action="store_true", help="with --diff: show values, too")


def _action(chosen: argparse.Namespace) -> int:
    if chosen.reveal and not chosen.diff:
        raise SettingsError("--reveal is for --diff")
    objects, problems = manifests.load_manifests(chosen.files)
    manifests.report(problems)
    results, lines = asyncio.run(_results(chosen, objects))
    if not results:
        print("secretsyncer: no SyncedSecret in these files", file=sys.stderr)
    for result in results:
        if result.secret is None:
            print(f"{result.label}: {result.problem}", file=sys.stderr)
    if chosen.diff:
        print("\n".join(lines) or "no differences")
    else:
        print(manifests.dump(_secrets(results), chosen.output), end="")
    return int(not results or bool(problems or lines) or any(result.secret is None for result in results))


async def _results(chosen: argparse.Namespace, objects: list[Object]) -> tuple[list[Result], list[str]]:
    """The results and, with --diff, a line for each difference from the cluster."""
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
        secrets = FileSecrets.load(chosen.secrets)
        rules = Rules(settings.ns_annotation, settings.require_ns_annotation)
        renderer = Renderer(ContentRenderer(secrets, engine, metrics), secrets.catalogue, ACCOUNT, rules)
        return await render_all(objects, renderer)
    from secretsyncer.commands.live import aws_renderer  # noqa: PLC0415 - the AWS client takes long to import

    async with aws_renderer(settings, engine, metrics) as renderer:
        return await render_all(objects, renderer)


def _secrets(results: Sequence[Result]) -> list[Object]:
    return [result.secret for result in results if result.secret]
