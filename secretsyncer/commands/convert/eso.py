"""ExternalSecret of External Secrets Operator, with its SecretStore for role and region."""

from __future__ import annotations

import re
from typing import Any

from secretsyncer.commands.convert.draft import Draft, path_of, version_of
from secretsyncer.kube.objects import Object

Stores = dict[tuple[str, str, str], Object]

_ACTION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_FIELD = re.compile(r"(?<![\w.)\]$])\.([A-Za-z_]\w*)\b")
_SCOPES = re.compile(r"\b(range|with|define|template|block)\b")
_NAMED_GROUP = re.compile(r"\$\{?[A-Za-z_]|\$[0-9]+[A-Za-z_]|\$\{[0-9]+[A-Za-z_]")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`')


def convert(obj: Object, stores: Stores) -> Draft:
    """The draft; what it cannot say is among its problems."""
    draft = Draft(obj)
    spec = obj.get("spec") or {}
    draft.leftovers(
        "spec", spec, {"secretStoreRef", "target", "refreshInterval", "data", "dataFrom", "refreshPolicy"}
    )
    _store(draft, spec.get("secretStoreRef") or {}, stores, obj["metadata"]["namespace"])
    _refresh(draft, spec)
    target = spec.get("target") or {}
    _target(draft, target)
    _data_from(draft, spec.get("dataFrom") or [])
    sources = {
        item["secretKey"]: _remote(draft, f"data.{item['secretKey']}", item) for item in spec.get("data") or []
    }
    template = target.get("template") or {}
    texts = template.get("data") or {}
    if texts and template.get("mergePolicy", "Replace") == "Replace":
        if draft.spec.pop("dataFrom", None):
            draft.note("dataFrom only feeds the template there, and its keys are not in the Secret: left out")
        _templates(draft, texts, sources)
        return draft
    for name, source in sources.items():
        if source and name not in texts:
            draft.add(name, source)
    _templates(draft, texts, sources)
    return draft


def _store(draft: Draft, ref: Object, stores: Stores, namespace: str) -> None:
    kind = ref.get("kind", "SecretStore")
    store = stores.get((kind, namespace if kind == "SecretStore" else "", str(ref.get("name"))))
    if store is None:
        draft.note(f"{kind} {ref.get('name')} is not among the files: set IAMRole and region by hand")
        return
    provider = (store.get("spec") or {}).get("provider") or {}
    aws = provider.get("aws")
    if not aws or aws.get("service", "SecretsManager") != "SecretsManager":
        draft.refuse(f"{kind} {ref['name']} is not one of AWS Secrets Manager")
        return
    draft.leftovers(f"{kind}.aws", aws, {"service", "region", "role", "externalID", "auth"})
    if aws.get("auth"):
        draft.note(f"{kind}.aws.auth: the operator uses its own credentials, or assumes IAMRole")
    for field, name in (("role", "IAMRole"), ("region", "region"), ("externalID", "externalId")):
        if aws.get(field):
            draft.spec[name] = aws[field]


def _refresh(draft: Draft, spec: Object) -> None:
    interval = str(spec.get("refreshInterval", ""))
    policy = spec.get("refreshPolicy", "Periodic")
    if policy != "Periodic" or interval in {"0", "0s"}:
        draft.note("never refreshed in the original; a SyncedSecret follows AWS (spec.suspend stops it)")
    elif interval and not re.fullmatch(r"1h(0m)?(0s)?", interval):
        draft.note(
            f"refreshInterval {interval} is left out: changes are found by the operator's poll, at less cost"
        )


def _target(draft: Draft, target: Object) -> None:
    draft.leftovers("target", target, {"name", "creationPolicy", "deletionPolicy", "template", "immutable"})
    draft.target(target.get("name"))
    if target.get("immutable"):
        draft.spec["immutable"] = True
    policy = target.get("creationPolicy", "Owner")
    if policy == "Owner":
        draft.spec["deletionPolicy"] = "Delete"
    elif policy != "Orphan":
        draft.refuse(f"creationPolicy {policy}: a SyncedSecret owns all of its Secret")
    if target.get("deletionPolicy", "Retain") != "Retain":
        draft.note(f"target.deletionPolicy {target['deletionPolicy']}: the Secret stays when its source disappears")
    template = target.get("template")
    if template is None:
        draft.own_metadata()
        return
    draft.leftovers("template", template, {"type", "metadata", "data", "engineVersion", "mergePolicy"})
    if template.get("data") and template.get("engineVersion", "v2") != "v2":
        draft.note(f"template.engineVersion {template['engineVersion']}: its functions are others than here")
    if template.get("type"):
        draft.spec["type"] = template["type"]
    draft.metadata(template)


def _remote(draft: Draft, where: str, item: Object) -> Object | None:
    """The valueFrom of a `remoteRef`."""
    remote = item.get("remoteRef") or {}
    known = {"key", "property", "version", "decodingStrategy", "conversionStrategy", "metadataPolicy"}
    draft.leftovers(where, {**item, **remote}, known | {"secretKey", "remoteRef"})
    reference = _reference(draft, where, remote)
    if reference is None:
        return None
    if not remote.get("property"):
        return {"secretRef": reference}
    path = path_of(remote["property"])
    if path is None:
        draft.note(f"{where}: property {remote['property']} is more than a path; use jmesPath")
        return None
    return {"secretKeyRef": {**reference, **path}}


def _reference(draft: Draft, where: str, remote: Object) -> Object | None:
    version = version_of(str(remote.get("version", "")))
    if version is None or remote.get("metadataPolicy", "None") != "None":
        draft.note(f"{where}: version or metadataPolicy cannot be converted")
        return None
    return {"name": remote.get("key", ""), **version, **_decode(draft, where, remote)}


def _decode(draft: Draft, where: str, given: Object) -> Object:
    strategy = given.get("decodingStrategy", "None")
    if strategy == "Base64":
        return {"decode": "base64"}
    if strategy != "None":
        draft.note(f"{where}: decodingStrategy {strategy} has no counterpart")
    return {}


def _data_from(draft: Draft, entries: list[Any]) -> None:
    references: list[Object] = []
    result: Object = {}
    rules: list[Object] = []
    for number, entry in enumerate(entries):
        where = f"dataFrom[{number}]"
        draft.leftovers(where, entry, {"extract", "find", "rewrite"})
        references += _extract(draft, where, entry.get("extract") or {})
        if entry.get("extract") and "find" in result:
            draft.note(f"{where}: a SyncedSecret takes find last; where keys are equal, that one wins")
        if entry.get("find") and "find" in result:
            draft.note(f"{where}: a SyncedSecret has one find; make another object for this one")
        elif entry.get("find"):
            result["find"] = _find(draft, where, entry["find"])
        rules += _rules(draft, where, entry.get("rewrite") or [])
    if rules and len(entries) > 1:
        draft.note("dataFrom: rewrite rules apply to all keys of dataFrom here, not to one entry's")
    draft.data_from(references)
    if rules and (references or result):
        result["rewrite"] = rules
    if references or "find" in result:
        draft.spec["dataFrom"] = {**draft.spec.get("dataFrom", {}), **result, "invalidKeys": "Replace"}


def _extract(draft: Draft, where: str, extract: Object) -> list[Object]:
    known = {"key", "version", "property", "decodingStrategy", "conversionStrategy", "metadataPolicy"}
    draft.leftovers(f"{where}.extract", extract, known)
    if extract.get("property"):
        draft.note(f"{where}: extract.property has no counterpart")
        return []
    _strategy(draft, where, extract)
    reference = _reference(draft, where, extract) if extract else None
    return [reference] if reference else []


def _strategy(draft: Draft, where: str, given: Object) -> None:
    """What becomes of keys that Kubernetes does not accept: Default is what `invalidKeys: Replace` does."""
    strategy = given.get("conversionStrategy", "Default")
    if strategy != "Default":
        draft.note(f"{where}: conversionStrategy {strategy} has no counterpart; such keys get _ instead")


def _rules(draft: Draft, where: str, rewrite: list[Any]) -> list[Object]:
    for rule in rewrite:
        if "regexp" not in rule:
            draft.note(f"{where}: rewrite by {', '.join(rule)} has no counterpart")
    found = [rule["regexp"] for rule in rewrite if "regexp" in rule]
    for rule in found:
        if _NAMED_GROUP.search(rule["target"]):
            draft.note(f"{where}: rewrite to {rule['target']}: write the group as ${{1}}, names are not known here")
    return [{"source": rule["source"], "target": rule["target"]} for rule in found]


def _find(draft: Draft, where: str, find: Object) -> Object:
    draft.leftovers(where, find, {"name", "tags", "path", "conversionStrategy", "decodingStrategy"})
    _strategy(draft, where, find)
    draft.leftovers(f"{where}.name", find.get("name") or {}, {"regexp"})
    name = {}
    if (find.get("name") or {}).get("regexp"):
        name["regexp"] = find["name"]["regexp"]
    if find.get("path"):
        name["prefix"] = find["path"]
    given: Object = {"tags": find["tags"]} if find.get("tags") else {}
    return {**given, **({"name": name} if name else {}), **_decode(draft, where, find)}


def _templates(draft: Draft, texts: Object, sources: dict[str, Object | None]) -> None:
    """Templates over the object's own keys become templates that read them: `.key` turns into a variable."""
    for name, text in texts.items():
        converted = _template(text, sources)
        if converted is None:
            draft.note(f"template.data.{name} uses more than the keys of data at its top level; rewrite it by hand")
        else:
            draft.add(name, {"template": converted})


def _template(text: str, sources: dict[str, Object | None]) -> str | None:
    used: dict[str, str] = {}
    hopeless = False

    def action(match: re.Match[str]) -> str:
        nonlocal hopeless
        parts = re.split(f"({_QUOTED.pattern})", match[1])
        for number in range(0, len(parts), 2):
            hopeless |= bool(_SCOPES.search(parts[number])) or bool(
                re.search(r"(?<![\w)\]])\.(?![A-Za-z_])", parts[number])
            )
            parts[number] = _FIELD.sub(variable, parts[number])
        return "{{" + "".join(parts) + "}}"

    def variable(match: re.Match[str]) -> str:
        nonlocal hopeless
        read = _reading(sources.get(match[1]))
        hopeless |= read is None
        used[match[1]] = read or ""
        return f"${match[1]}"

    body = _ACTION.sub(action, text)
    if hopeless:
        return None
    return "".join(f"{{{{- ${name} := {read} -}}}}\n" for name, read in used.items()) + body


def _reading(source: Object | None) -> str | None:
    """The call that reads what a key was; None where templates have none for it."""
    kind, reference = next(iter((source or {"": {}}).items()))
    if kind == "secretRef" and reference.keys() == {"name"}:
        return f'getSecretValue "{reference["name"]}"'
    if kind == "secretKeyRef" and reference.keys() == {"name", "key"}:
        return f'index (getSecretValueMap "{reference["name"]}") "{reference["key"]}"'
    return None
