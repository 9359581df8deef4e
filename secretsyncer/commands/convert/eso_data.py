"""`data` and `dataFrom` of an ExternalSecret of External Secrets Operator."""

from __future__ import annotations

import re

from secretsyncer.commands.convert import eso_rewrite, eso_store, gjson, parameters
from secretsyncer.commands.convert.draft import JSON, Draft, at, version_of
from secretsyncer.commands.convert.eso_store import Around
from secretsyncer.expressions import dotted
from secretsyncer.kube.objects import Object

_SPECIAL = re.compile(r"(?<!\\)(?:\\\\)*(?:[|*?]|(?:^|\.)[@#!{\[])")
"""What gjson takes for more than a name, unless a backslash precedes it."""
_DECODE = {"Base64": "base64", "Base64URL": "base64url", "Auto": "auto"}
_INVALID = {"Default": "Replace", "Unicode": "Unicode", "None": "Error"}


class Reader:
    """Turns references of one object into those of a SyncedSecret."""

    def __init__(self, draft: Draft, spec: Object, aws: Object, around: Around) -> None:
        self._draft = draft
        self._store = spec.get("secretStoreRef") or {}
        self._aws = aws
        self._around = around
        self._parameters = aws.get("service") == parameters.SERVICE
        self._optional = ((spec.get("target") or {}).get("deletionPolicy") or "Retain") != "Retain"

    def item(self, item: Object) -> Object | None:
        """The valueFrom of an item of `data`."""
        remote, where = item.get("remoteRef") or {}, f"data.{item.get('secretKey')}"
        known = {"key", "property", "version", "decodingStrategy", "conversionStrategy", "metadataPolicy"}
        self._draft.leftovers(where, item, {"secretKey", "remoteRef", "sourceRef"})
        self._draft.leftovers(where, remote, known | {"nullBytePolicy"})
        self._source(where, item)
        reference = self._reference(where, remote)
        path = self._property(where, remote["property"]) if remote.get("property") else {}
        if path is None:
            return None
        if self._parameters:
            return {"parameterRef": {**reference, **path}}
        return {"secretKeyRef": {**reference, **path}} if path else {"secretRef": reference}

    def entry(self, where: str, entry: Object) -> Object | None:
        """An entry of `dataFrom`."""
        self._draft.leftovers(where, entry, {"extract", "find", "rewrite", "sourceRef"})
        self._source(where, entry)
        rewrite = entry.get("rewrite") or []
        made: Object
        if entry.get("find"):
            given, made = entry["find"], self._find(f"{where}.find", entry["find"])
            if rewrite and eso_rewrite.is_merge(self._draft, where, rewrite[0]):
                search = made["parameters"][0] if self._parameters else made["find"]
                search["merge"] = True
                made.pop("rewrite", None)  # the keys are those of the objects
                rewrite = rewrite[1:]
        elif entry.get("extract"):
            given, reference = entry["extract"], self._extract(f"{where}.extract", entry["extract"])
            made = {"parameters": [reference]} if self._parameters else {"secretRef": reference}
        else:
            return None
        strategy = given.get("conversionStrategy") or "Default"
        if entry.get("rewrite"):  # then the original changes no key by itself
            if rules := eso_rewrite.rules(self._draft, where, rewrite):
                made["rewrite"] = [*made.get("rewrite", ()), *rules]
                if eso_rewrite.may_empty(rules):
                    made["invalidKeys"] = "Replace"  # which leaves out an empty key, as the original does
        elif strategy in _INVALID:
            made["invalidKeys"] = _INVALID[strategy]
        else:
            self._draft.refuse(f"{where}: conversionStrategy {strategy} has no counterpart")
        return made

    def _source(self, where: str, item: Object) -> None:
        """`sourceRef` may name another store, which must mean the same."""
        source = item.get("sourceRef") or {}
        self._draft.leftovers(f"{where}.sourceRef", source, {"storeRef"})
        ref = source.get("storeRef")
        if not ref or ref == self._store:
            return
        aws = eso_store.store_of(self._draft, ref, self._around)
        if aws is not None and aws != self._aws:
            self._draft.refuse(
                f"{where}.sourceRef: {ref.get('name')} is not the store of the object, which is for all keys here"
            )

    def _reference(self, where: str, remote: Object) -> Object:
        text = remote.get("version")
        version = parameters.version_of(text) if self._parameters else version_of(text)
        if version is None:
            self._draft.refuse(f"{where}: version {remote['version']} is neither a staging label nor uuid/<id>")
        if (remote.get("metadataPolicy") or "None") != "None":
            self._draft.refuse(f"{where}: metadataPolicy {remote['metadataPolicy']} has no counterpart")
        if (remote.get("nullBytePolicy") or "Ignore") != "Ignore":
            self._draft.note(
                f"{where}: nullBytePolicy {remote['nullBytePolicy']} is left out: bytes are written as they are"
            )
        name = f"{self._aws.get('prefix') or ''}{remote.get('key', '')}"
        optional = {"optional": True} if self._optional else {}
        return {"name": name, **(version or {}), **self._decode(where, remote), **optional}

    def _decode(self, where: str, given: Object) -> Object:
        strategy = given.get("decodingStrategy") or "None"
        if strategy == "None":
            return {}
        if strategy not in _DECODE:
            self._draft.refuse(f"{where}: decodingStrategy {strategy} has no counterpart")
        return {"decode": _DECODE.get(strategy, strategy)}

    def _property(self, where: str, text: str) -> Object | None:
        self._draft.common.add(JSON)
        if expression := gjson.jmes_path(text):
            return {"jmesPath": expression}
        if _SPECIAL.search(text) or not dotted.is_path(text):
            self._draft.refuse(f"{where}: property {text} is more than names and numbers; use jmesPath")
            return None
        if self._parameters:
            if (found := parameters.at_path(text)) is None:
                self._draft.refuse(f"{where}: property {text} may name an element by its number; use jmesPath")
            return found
        return {"path": text} if "." in text or "\\" in text else at([text])

    def _extract(self, where: str, extract: Object) -> Object:
        known = {"key", "version", "property", "decodingStrategy", "conversionStrategy", "metadataPolicy"}
        self._draft.leftovers(where, extract, known | {"nullBytePolicy"})
        self._draft.common.add(JSON)
        if extract.get("property"):
            self._draft.refuse(f"{where}.property has no counterpart")
        return self._reference(where, extract)

    def _find(self, where: str, find: Object) -> Object:
        self._draft.leftovers(
            where, find, {"name", "tags", "path", "conversionStrategy", "decodingStrategy", "nullBytePolicy"}
        )
        self._draft.leftovers(f"{where}.name", find.get("name") or {}, {"regexp"})
        eso_store.check_search(self._draft, where.removesuffix(".find"), self._aws, self._around)
        if self._parameters:
            return self._below(where, find)
        name: Object = {}
        if (find.get("name") or {}).get("regexp"):
            name["regexp"] = find["name"]["regexp"]
        if find.get("path"):
            name["prefix"] = find["path"]
        given: Object = {"tags": find["tags"]} if find.get("tags") else {}
        if given:
            self._draft.note(
                f"{where}.tags are compared exactly; there, tags whose names and values begin like these are enough"
            )
        criteria = {**given, **({"name": name} if name else {})}
        return {"find": {**criteria, **self._decode(where, find), "optional": True}}

    def _below(self, where: str, find: Object) -> Object:
        """Parameters below a path. The keys are the whole names there, and the rest of them here."""
        for part in ("name", "tags"):
            if find.get(part):
                self._draft.refuse(f"{where}.{part}: parameters are selected by their path only")
        path = str(find.get("path") or "/")
        start = path if path.endswith("/") else f"{path}/"
        return {
            "parameters": [{"path": path, **self._decode(where, find), "optional": True}],
            "rewrite": [{"source": "^", "target": start.replace("$", "$$")}],
        }
