"""`secretsyncer convert`: SyncedSecrets from the manifests of peers.

`convert_all` knows ExternalSecret of External Secrets Operator (v1, v1beta1, AWS Secrets Manager stores),
ExternalSecret of kubernetes-external-secrets and AWSSecret of aws-secret-operator. What cannot be converted is
listed as a problem with its object's name and field; nothing is dropped in silence.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator

from secretsyncer.commands import Subcommands, add_command, manifests
from secretsyncer.commands.convert import aso, eso, kes
from secretsyncer.commands.convert.draft import Draft
from secretsyncer.errors import Rejected
from secretsyncer.gotemplate.engine import EngineCatalogue, TemplateEngine, TemplateFailure
from secretsyncer.kube.objects import Object
from secretsyncer.settings import load
from secretsyncer.sync.render import templates
from secretsyncer.synced_secret import parse

_STORES = {"SecretStore", "ClusterSecretStore"}

_DESCRIPTION = """\
Converts to SyncedSecrets: ExternalSecrets of External Secrets Operator (v1, v1beta1; include their SecretStores),
ExternalSecrets of kubernetes-external-secrets, and AWSSecrets of aws-secret-operator. Standard error lists what could
not be converted; the exit code is then 1.

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


def _action(chosen: argparse.Namespace) -> int:
    with TemplateEngine(cache_dir=load(os.environ).cache_folder) as engine:
        loaded = manifests.load_manifests(chosen.files)
        converted, problems = convert_all(loaded.objects, engine)
    print(manifests.dump(converted), end="")
    for problem in (*loaded.problems, *problems):
        print(problem, file=sys.stderr)
    return int(bool(loaded.problems or problems) or not converted)


def convert_all(objects: list[Object], engine: TemplateEngine) -> tuple[list[Object], list[str]]:
    """The SyncedSecrets, and a line for everything that they do not say and the originals did.

    Templates are tried without any secret, which shows the functions that are not there.
    """
    stores = {_store_key(obj): obj for obj in objects if obj.get("kind") in _STORES}
    converted, problems = [], []
    for obj in objects:
        draft = _draft(obj, stores)
        if draft is None:
            continue
        problems += draft.problems
        if draft.usable:
            result = draft.synced_secret()
            converted.append(result)
            problems += [f"{draft.label}: {problem}" for problem in _flaws(result, engine)]
    return converted, problems


def _flaws(result: Object, engine: TemplateEngine) -> Iterator[str]:
    """What is wrong with a result itself."""
    try:
        spec = parse(result).spec
    except Rejected as failure:
        yield f"the result is not valid: {failure.message}"
        return
    for text in templates(spec):
        try:
            engine.render_sync(text, EngineCatalogue({}), {})
        except TemplateFailure as failure:
            yield f"a template does not fit: {failure}"


def _draft(obj: Object, stores: dict[tuple[str, str, str], Object]) -> Draft | None:
    group = str(obj.get("apiVersion", "")).partition("/")[0]
    match obj.get("kind"), group:
        case "ExternalSecret", "external-secrets.io":
            return eso.convert(obj, stores)
        case "ExternalSecret", "kubernetes-client.io":
            return kes.convert(obj)
        case "AWSSecret", "mumoshu.github.io":
            return aso.convert(obj)
        case (("SyncedSecret" | "Namespace" | "SecretStore" | "ClusterSecretStore"), _):
            return None
    draft = Draft(obj)
    draft.refuse(f"{obj.get('kind')} of {obj.get('apiVersion')} is not known here")
    return draft


def _store_key(obj: Object) -> tuple[str, str, str]:
    namespace = obj["metadata"].get("namespace", "default") if obj["kind"] == "SecretStore" else ""
    return obj["kind"], namespace, obj["metadata"]["name"]
