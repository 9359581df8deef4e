"""SyncedSecrets from the manifests of peers. Pure.

`convert_all` knows ExternalSecret of External Secrets Operator (v1, v1beta1, AWS Secrets Manager stores),
ExternalSecret of kubernetes-external-secrets and AWSSecret of aws-secret-operator, and annotations of workloads for
Reloader. Of HashiCorp's operator, it says which restarts to ask for. A result makes the Secret that the original makes.
Differences on purpose are noted. An object of which a part has no counterpart is not converted.
"""

from __future__ import annotations

from collections.abc import Iterator

from secretsyncer.commands.convert import aso, eso, kes, reloader, vso
from secretsyncer.commands.convert.draft import Draft
from secretsyncer.commands.convert.eso_store import Around, Home, searches
from secretsyncer.commands.convert.report import Report
from secretsyncer.commands.convert.shape import wrong_types
from secretsyncer.errors import Rejected
from secretsyncer.gotemplate.engine import EngineCatalogue, TemplateEngine, TemplateFailure
from secretsyncer.kube.objects import Object
from secretsyncer.sync.render import templates
from secretsyncer.sync.secret_rules import check_metadata
from secretsyncer.synced_secret import parse

__all__ = ["Home", "convert_all", "searches"]

_PEERS = ("external-secrets.io", "kubernetes-client.io", "mumoshu.github.io")
_PARTS = {"SecretStore", "ClusterSecretStore"}
"""Kinds that say something about others, and become nothing themselves."""


def convert_all(objects: list[Object], engine: TemplateEngine, home: Home = Home()) -> Report:  # noqa: B008
    """The SyncedSecrets, and what to say of each object."""
    around = Around([obj for obj in objects if not wrong_types(obj)], home)
    drafts = [draft for obj in objects if (draft := _draft(obj, around))]
    _check_targets(drafts)
    reloader.add_restarts(drafts, objects)
    for draft in drafts:
        if not draft.obstacles:
            for flaw in _flaws(draft.synced_secret(), engine):
                draft.refuse(flaw)
    return Report(drafts)


def _draft(obj: Object, around: Around) -> Draft | None:
    group = str(obj.get("apiVersion", "")).partition("/")[0]
    if obj.get("kind") not in _PARTS and group.endswith(_PEERS) and (wrong := wrong_types(obj)):
        draft = Draft(obj)
        for flaw in wrong:
            draft.refuse(f"{flaw}; put quotes around text" if flaw.endswith("text") else flaw)
        return draft
    match obj.get("kind"), group:
        case "ExternalSecret", "external-secrets.io":
            return eso.convert(obj, around)
        case "ExternalSecret", "kubernetes-client.io":
            return kes.convert(obj)
        case "AWSSecret", "mumoshu.github.io":
            return aso.convert(obj)
    if group == vso.GROUP or obj.get("kind") in _PARTS or not group.endswith(_PEERS):
        return vso.convert(obj) if group == vso.GROUP else None
    draft = Draft(obj)
    draft.refuse(f"{obj.get('kind')} of {obj.get('apiVersion')} is not known here")
    return draft


def _check_targets(drafts: list[Draft]) -> None:
    """A SyncedSecret owns all of its Secret, so no Secret can have two, unless all of them fill only some keys."""
    first: dict[tuple[str, str], Draft] = {}
    for draft in drafts:
        other = first.setdefault(draft.secret, draft)
        if other is not draft and not (draft.merges and other.merges):
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
