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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import CollectorRegistry

from secretsyncer import __version__, log
from secretsyncer.errors import SettingsError
from secretsyncer.settings import Settings, load

_RUN = """\
Runs the operator against the cluster of KUBECONFIG, ~/.kube/config or the pod it runs in, with the AWS
credentials and region that the AWS SDK finds. Settings come from the environment:

"""
_RENDER = """\
Prints the Secrets that SyncedSecrets would give, offline: the AWS secrets come from a file. That file maps names
to {value | json | binary (base64), tags, versionId, lastChanged, listed}. A failure is reported on standard
error with its object's name, and the exit code is 1.

  secretsyncer render -f manifests/samples --secrets manifests/samples/aws/secrets.yaml
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
    render.add_argument(
        "-f", dest="files", metavar="FILE", type=Path, nargs="+", required=True, action="extend",
        help="manifests (YAML or JSON, several documents), folders of them, or - for standard input",
    )  # fmt: skip
    render.add_argument("--secrets", metavar="FILE", type=Path, required=True, help="the AWS secrets, YAML or JSON")
    render.add_argument(
        "-o", dest="output", choices=("yaml", "json"), default="yaml", help="format (default: yaml)"
    )
    render.set_defaults(action=_render)
    sandbox = commands.add_parser(
        "sandbox",
        help="a Kubernetes API and an AWS on this machine, with the operator between them",
        description="Starts an embedded Kubernetes API (or a real one, where make envtest has it), moto's AWS and "
        "the operator, applies the samples, and prints the variables that let kubectl and AWS clients use them.",
    )
    sandbox.set_defaults(action=_sandbox)
    return parser


def _settings_help() -> str:
    lines = []
    for name, field in Settings.model_fields.items():
        default = ",".join(field.default) if isinstance(field.default, tuple) else str(field.default)
        text = " ".join((field.description or "").split())
        lines.append(f"  {name.upper()}{f' ({default})' if default else ''}\n      {text}")
    return "\n".join(lines)


def _run(_: argparse.Namespace) -> int:
    settings = load(os.environ)
    log.configure(settings.log_level, settings.log_format)
    from secretsyncer import app  # noqa: PLC0415 - the AWS and Kubernetes clients take 0.5 s to import

    return asyncio.run(app.run(settings))


def _render(chosen: argparse.Namespace) -> int:
    from secretsyncer import offline  # noqa: PLC0415 - as above
    from secretsyncer.app import cache_folder  # noqa: PLC0415
    from secretsyncer.gotemplate.engine import TemplateEngine  # noqa: PLC0415
    from secretsyncer.metrics import Metrics  # noqa: PLC0415
    from secretsyncer.reading import Reader  # noqa: PLC0415
    from secretsyncer.reconcile import Rules  # noqa: PLC0415

    settings = load(os.environ)
    objects = offline.load_manifests(chosen.files)
    secrets = offline.FileSecrets.load(chosen.secrets)
    engine = TemplateEngine(cache_dir=cache_folder(settings.cache_dir))
    reader = Reader(secrets, engine, Metrics(CollectorRegistry()))
    rules = Rules(settings.ns_annotation, settings.require_ns_annotation)
    try:
        results = asyncio.run(offline.render_all(objects, secrets, reader, rules))
    finally:
        engine.close()
    if not results:
        print("secretsyncer: no SyncedSecret in these files", file=sys.stderr)
    for result in results:
        if result.secret is None:
            print(f"{result.label}: {result.problem}", file=sys.stderr)
    print(_dump([result.secret for result in results if result.secret], chosen.output), end="")
    return int(not results or any(result.secret is None for result in results))


def _dump(secrets: list[dict[str, Any]], style: str) -> str:
    if style == "json":
        return json.dumps({"apiVersion": "v1", "kind": "List", "items": secrets}, indent=2) + "\n"
    return yaml.safe_dump_all(secrets, sort_keys=False) if secrets else ""


def _sandbox(_: argparse.Namespace) -> int:
    try:
        from secretsyncer.sandbox import demo  # noqa: PLC0415 - an extra
    except ImportError as exc:
        raise SettingsError(
            f"the sandbox needs more packages ({exc.name}): pip install 'secretsyncer[sandbox]'"
        ) from None
    return demo.sandbox()
