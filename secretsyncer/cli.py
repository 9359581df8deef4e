"""The command line: arguments in, exit codes out.

0: done. 1: something failed while running, or an object could not be rendered. 2: wrong arguments or settings,
with one line that names them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import CollectorRegistry

from secretsyncer import __version__, logs
from secretsyncer.errors import SettingsError
from secretsyncer.settings import Settings, load

_RUN = """\
Runs the operator against the cluster of KUBECONFIG, ~/.kube/config or the pod it runs in, with the AWS
credentials and region that the AWS SDK finds. Settings come from the environment:

"""
_RENDER = """\
Prints the Secrets that SyncedSecrets would give; nothing is written to the cluster. The AWS secrets are read from AWS,
or offline from a file that maps their names to values:

  mysql: {json: {user: web, password: s3cret}, tags: {tag1: ""}}   # an object, which AWS holds as JSON
  cert: {value: "-----BEGIN ...", versionId: v1}                   # text
  keystore: {binary: AAECAw==, listed: false}                      # base64; listed: whether .Secrets shows it

A failure is reported on standard error with its object's name, and the exit code is 1. Namespaces among the
manifests bring their annotations, so that the roles they allow can be tried, too.

  secretsyncer render -f manifests/samples --secrets manifests/samples/aws/secrets.yaml
"""
_POLICY = """\
Prints, as JSON by role, the IAM policies that the SyncedSecrets of the files need: for the roles they name, and for
the operator itself.

  secretsyncer iam-policy -f manifests/samples --account 123456789012 --region eu-west-1
"""


_CONVERT = """\
Prints SyncedSecrets for ExternalSecrets of External Secrets Operator (v1, v1beta1; give their SecretStores, too),
for ExternalSecrets of kubernetes-external-secrets and for AWSSecrets of aws-secret-operator. What could not be
converted is listed on standard error, and the exit code is 1 then.

  kubectl get externalsecrets,secretstores,clustersecretstores -A -o yaml | secretsyncer convert -f -
"""


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
        prog="secretsyncer", description="Keeps Kubernetes Secrets in step with AWS Secrets Manager."
    )
    parser.add_argument("--version", action="version", version=f"secretsyncer {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    raw = argparse.RawDescriptionHelpFormatter
    run = commands.add_parser(
        "run", help="run the operator", description=_RUN + _settings_help(), formatter_class=raw
    )
    run.set_defaults(action=_run)
    render = commands.add_parser(
        "render", help="print the Secrets that manifests would give", description=_RENDER, formatter_class=raw
    )
    _add_files(render)
    source = render.add_mutually_exclusive_group(required=True)
    source.add_argument("--secrets", metavar="FILE", type=Path, help="take the AWS secrets from this YAML or JSON")
    source.add_argument("--from-aws", action="store_true", help="read AWS, with the credentials of this shell")
    render.add_argument(
        "-o", dest="output", choices=("yaml", "json"), default="yaml", help="format (default: yaml)"
    )
    render.add_argument(
        "--diff",
        action="store_true",
        help="show what the cluster's Secrets have otherwise, by key; exit 1 if anything",
    )
    render.add_argument("--reveal", action="store_true", help="with --diff: show values, too")
    render.set_defaults(action=_render)
    policy = commands.add_parser(
        "iam-policy", help="print the smallest IAM policy per role", description=_POLICY, formatter_class=raw
    )
    _add_files(policy)
    policy.add_argument(
        "--account", default="*", help="account of bare role names and of the operator (default: *)"
    )
    policy.add_argument("--region", default="*", help="region of secrets that name none (default: *)")
    policy.add_argument("--partition", default="aws", help="aws, aws-cn or aws-us-gov (default: aws)")
    policy.set_defaults(action=_iam_policy)
    convert = commands.add_parser(
        "convert",
        help="print SyncedSecrets for the manifests of other operators",
        description=_CONVERT,
        formatter_class=raw,
    )
    _add_files(convert)
    convert.set_defaults(action=_convert)
    return parser


def _add_files(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-f", dest="files", metavar="FILE", type=Path, nargs="+", required=True, action="extend",
        help="manifests (YAML or JSON, several documents), folders of them, or - for standard input",
    )  # fmt: skip


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
    from secretsyncer.operator import app  # noqa: PLC0415 - the AWS and Kubernetes clients take 0.5 s to import

    return asyncio.run(app.run(settings))


def _render(chosen: argparse.Namespace) -> int:
    from secretsyncer.commands import render as offline  # noqa: PLC0415 - as above

    if chosen.reveal and not chosen.diff:
        raise SettingsError("--reveal is for --diff")
    objects = offline.load_manifests(chosen.files)
    results, lines = asyncio.run(_rendered(chosen, objects))
    if not results:
        print("secretsyncer: no SyncedSecret in these files", file=sys.stderr)
    for result in results:
        if result.secret is None:
            print(f"{result.label}: {result.problem}", file=sys.stderr)
    if chosen.diff:
        print("\n".join(lines) or "no differences")
    else:
        print(_dump([result.secret for result in results if result.secret], chosen.output), end="")
    return int(not results or bool(lines) or any(result.secret is None for result in results))


async def _rendered(chosen: argparse.Namespace, objects: list[Any]) -> tuple[list[Any], list[str]]:
    """The results, and with --diff what the cluster has otherwise."""
    from secretsyncer.commands import live as online  # noqa: PLC0415
    from secretsyncer.commands import render as offline  # noqa: PLC0415 - as above
    from secretsyncer.metrics import Metrics  # noqa: PLC0415
    from secretsyncer.sync.authorize import Rules  # noqa: PLC0415
    from secretsyncer.sync.fetch import Reader  # noqa: PLC0415

    settings = load(os.environ)
    metrics = Metrics(CollectorRegistry())
    with _engine(settings) as engine:
        if chosen.from_aws:
            async with online.aws_renderer(settings, engine, metrics) as renderer:
                results = await offline.render_all(objects, renderer)
        else:
            secrets = offline.FileSecrets.load(chosen.secrets)
            rules = Rules(settings.ns_annotation, settings.require_ns_annotation)
            reader = Reader(secrets, engine, metrics)
            renderer = offline.Renderer(reader, secrets.catalogue, offline.ACCOUNT, rules)
            results = await offline.render_all(objects, renderer)
    rendered = [result.secret for result in results if result.secret]
    return results, await online.differences(rendered, metrics, reveal=chosen.reveal) if chosen.diff else []


@contextmanager
def _engine(settings: Settings) -> Iterator[Any]:
    from secretsyncer.gotemplate.engine import TemplateEngine  # noqa: PLC0415
    from secretsyncer.operator.app import cache_folder  # noqa: PLC0415 - as above

    engine = TemplateEngine(cache_dir=cache_folder(settings.cache_dir))
    try:
        yield engine
    finally:
        engine.close()


def _iam_policy(chosen: argparse.Namespace) -> int:
    from secretsyncer.commands import iam_policy  # noqa: PLC0415
    from secretsyncer.commands import render as offline  # noqa: PLC0415 - as above

    objects = offline.synced_secrets(offline.load_manifests(chosen.files))
    with _engine(load(os.environ)) as engine:
        documents, problems = iam_policy.policies(
            objects, engine, partition=chosen.partition, region=chosen.region, account=chosen.account
        )
    print(json.dumps(documents, indent=2))
    for problem in problems:
        print(f"secretsyncer: {problem}", file=sys.stderr)
    return int(not objects)


def _convert(chosen: argparse.Namespace) -> int:
    from secretsyncer.commands import render as offline  # noqa: PLC0415 - as above
    from secretsyncer.commands.convert import convert_all  # noqa: PLC0415

    with _engine(load(os.environ)) as engine:
        converted, problems = convert_all(offline.load_manifests(chosen.files), engine)
    print(_dump(converted, "yaml"), end="")
    for problem in problems:
        print(problem, file=sys.stderr)
    return int(bool(problems) or not converted)


def _dump(secrets: list[dict[str, Any]], style: str) -> str:
    if style == "json":
        return json.dumps({"apiVersion": "v1", "kind": "List", "items": secrets}, indent=2) + "\n"
    return yaml.safe_dump_all(secrets, sort_keys=False) if secrets else ""
