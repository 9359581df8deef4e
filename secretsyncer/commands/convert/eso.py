"""ExternalSecret of External Secrets Operator, with its SecretStore for role and region."""

from __future__ import annotations

import re

from secretsyncer.commands.convert import eso_store, go_templates
from secretsyncer.commands.convert.draft import FUNCTIONS, Draft, is_true
from secretsyncer.commands.convert.eso_data import Reader
from secretsyncer.commands.convert.eso_store import Around
from secretsyncer.kube.objects import Object

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "\u00b5s": 1e-6, "ns": 1e-9}
_STRICT = ("fromJson", "mustFromJson", "b64dec", "atoi", "int", "int64")
"""Functions that are stricter than sprig's."""
_OURS = ("getSecretValue", "getSecretValueMap", "getSecretKey", "filterByTagKey", "filterByTag", "filterByName")
"""Functions that the original does not have, so that its template fails."""
_LINE = re.compile(r"([-._A-Za-z0-9]+): +((?:[A-Za-z0-9/]|\{\{)[^#'\"]*)", re.ASCII)
_POLL, _CHANGES = 300, 10
"""The defaults of POLL_INTERVAL_SEC and CHANGES_INTERVAL_SEC."""


def convert(obj: Object, around: Around) -> Draft:
    """The draft; what is different is among its notes, and what cannot be said among its obstacles."""
    draft = Draft(obj)
    spec = obj.get("spec") or {}
    known = {"secretStoreRef", "target", "refreshInterval", "refreshPolicy", "data", "dataFrom"}
    draft.leftovers("spec", spec, known)
    aws = eso_store.store_of(draft, spec.get("secretStoreRef") or {}, around)
    if aws is None:
        return draft
    eso_store.apply(draft, aws, around)
    _refresh(draft, spec)
    target = spec.get("target") or {}
    _target(draft, target)
    template = target.get("template") or {}
    texts = {**_template_from(draft, template, around), **(template.get("data") or {})}
    only = bool(texts) and (template.get("mergePolicy") or "Replace") == "Replace"
    reader = Reader(draft, spec, aws, around)
    _data_from(draft, reader, spec.get("dataFrom") or [], template_only=only)
    keys = set()
    for item in spec.get("data") or []:
        keys.add(item.get("secretKey"))
        if source := reader.item(item):
            draft.add(item.get("secretKey", ""), source, template_only=only)
    _templates(draft, texts, None if spec.get("dataFrom") else keys)
    if spec.get("dataFrom") or any(
        "secretKeyRef" in item.get("valueFrom", {}) for item in draft.spec.get("data", ())
    ):
        draft.spec["nullValues"] = "Empty"
    return draft


def _refresh(draft: Draft, spec: Object) -> None:
    interval, policy = str(spec.get("refreshInterval") or ""), spec.get("refreshPolicy") or "Periodic"
    seconds = sum(
        float(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9.]+)(h|ms|us|\u00b5s|ns|m|s)", interval)
    )
    if policy == "CreatedOnce" or (policy == "Periodic" and interval and seconds == 0):
        draft.note("read once and never again there; a SyncedSecret follows AWS (spec.suspend stops it)")
    elif policy == "OnChange":
        draft.note("read only when the object changes there; a SyncedSecret follows AWS (spec.suspend stops it)")
    elif policy != "Periodic":
        draft.refuse(f"refreshPolicy {policy} has no counterpart")
    elif interval and seconds < _POLL:
        draft.note(
            f"refreshInterval {interval} is left out: changes arrive within CHANGES_INTERVAL_SEC ({_CHANGES} s by default) "
            f"in the operator's account and region, and elsewhere within POLL_INTERVAL_SEC ({_POLL} s)"
        )


def _target(draft: Draft, target: Object) -> None:
    draft.leftovers("target", target, {"name", "creationPolicy", "deletionPolicy", "template", "immutable"})
    draft.target(target.get("name"))
    if is_true(target.get("immutable")):
        draft.spec["immutable"] = True
    merges = _creation(draft, target.get("creationPolicy") or "Owner")
    deletion = target.get("deletionPolicy") or "Retain"
    if deletion != "Retain":
        draft.note(
            f"target.deletionPolicy {deletion}: what does not exist in AWS is left out, be it a secret or a key in it; "
            "if nothing exists, the Secret stays as it is"
        )
    template = target.get("template")
    if template is None:
        if not merges:
            draft.own_metadata()
        return
    known = {"type", "metadata", "data", "templateFrom", "engineVersion", "mergePolicy"}
    draft.leftovers("template", template, known)
    if (template.get("engineVersion") or "v2") != "v2":
        draft.refuse(f"template.engineVersion {template['engineVersion']}: its functions are others than here")
    if template.get("type") and not merges:
        draft.spec["type"] = template["type"]
    metadata = template.get("metadata") or {}
    draft.leftovers("template.metadata", metadata, {"labels", "annotations", "finalizers"})
    if metadata.get("finalizers"):
        draft.note("template.metadata.finalizers are left out: the operator puts no finalizers on a Secret")
    if not merges:
        draft.metadata("template.metadata", metadata, "{{")


def _creation(draft: Draft, policy: str) -> bool:
    """Whether the object fills some keys of a Secret."""
    merges = policy in {"Merge", "CreateOrMerge"}
    if policy == "Owner":
        draft.spec["deletionPolicy"] = "Delete"
    elif merges:
        draft.merge(create=policy == "CreateOrMerge")
    elif policy != "Orphan":
        draft.refuse(f"creationPolicy {policy} has no counterpart")
    return merges


def _data_from(draft: Draft, reader: Reader, entries: list[Object], *, template_only: bool) -> None:
    made = [reader.entry(f"dataFrom[{number}]", entry) for number, entry in enumerate(entries)]
    parts = [{**entry, "templateOnly": True} if template_only else entry for entry in made if entry]
    if parts:
        draft.spec["dataFrom"] = parts[0] if len(parts) == 1 else {"entries": parts}


def _template_from(draft: Draft, template: Object, around: Around) -> dict[str, str]:
    """The templates of ConfigMaps that are among the files."""
    texts: dict[str, str] = {}
    for number, source in enumerate(template.get("templateFrom") or []):
        where = f"templateFrom[{number}]"
        if (source.get("valuesDecodingStrategy") or "None") != "None":
            draft.refuse(f"{where}.valuesDecodingStrategy has no counterpart")
        if sum(bool(source.get(part)) for part in ("configMap", "secret", "literal")) > 1:
            draft.refuse(f"{where} has several of configMap, secret and literal: give each its own entry")
        found = source.get("configMap") or {}
        literal = source.get("literal") or ""
        lines = [_LINE.fullmatch(line.rstrip(" ")) for line in literal.removesuffix("\n").split("\n")]
        if (source.get("target") or "Data") == "Data" and literal and all(lines):
            texts.update({line[1]: line[2] for line in lines if line})
            draft.note(f"{where}: values are written as they are; there, YAML may read them in another way")
            continue
        if not found or (source.get("target") or "Data") != "Data":
            draft.refuse(f"{where}: only values of a ConfigMap, and lines of key: value, can be converted")
            continue
        config = around.get("ConfigMap", draft.namespace, found.get("name"))
        for item in found.get("items") or []:
            if (item.get("templateAs") or "Values") != "Values":
                draft.refuse(f"{where}: templateAs {item['templateAs']} has no counterpart")
            elif config is None or item.get("key") not in (config.get("data") or {}):
                draft.refuse(
                    f"{where}: ConfigMap {found.get('name')} with the key {item.get('key')} is not among the files"
                )
            else:
                texts[item["key"]] = config["data"][item["key"]] or ""
        draft.note(
            f"{where}: the templates are copied from the ConfigMap {found.get('name')}, and do not follow it"
        )
    return texts


def _templates(draft: Draft, texts: dict[str, str], keys: set[str] | None) -> None:
    """Templates over the object's own keys. `keys`: those that it has, if they are known."""
    for name, text in texts.items():
        where = f"template.data.{name}"
        if "{{" not in text:
            draft.add_text(name, text)
            continue
        for function in _OURS:
            if go_templates.calls(text, function):
                draft.refuse(f"{where} calls {function}, which is a function of this operator only")
        if any(go_templates.calls(text, function) for function in _STRICT):
            draft.common.add(FUNCTIONS)
        converted = go_templates.convert(name, text)
        missing = sorted(go_templates.fields(text) - (go_templates.fields(text) if keys is None else keys))
        if converted is None:
            draft.refuse(f"{where} is not a template")
        elif go_templates.prints_data(text):
            draft.refuse(f"{where} prints all keys in Go's notation; use toJson")
        elif missing:
            draft.refuse(f"{where} reads .{missing[0]}, which the object does not have")
        else:
            draft.add(name, {"template": converted})
