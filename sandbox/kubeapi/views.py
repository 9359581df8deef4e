"""The form of an answer: whole objects, metadata only, or a table, as the Accept header asks.

Kubernetes, "API Concepts", sections "Alternate representations of resources" and "Receiving
resources as Tables". kubectl asks for tables, metadata informers for `PartialObjectMetadata`.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from sandbox.kubeapi.errors import Json, not_acceptable
from sandbox.kubeapi.lists import Page
from sandbox.kubeapi.resources import Resource
from sandbox.kubeapi.store import Stored, encode

_META = "meta.k8s.io/v1"


class Form(Enum):
    """The form of an answer. The value is what follows `as=` in the Accept header."""

    WHOLE = ""
    TABLE = "Table"
    METADATA = "PartialObjectMetadata"
    METADATA_LIST = "PartialObjectMetadataList"


def negotiate(accept: str) -> Form:
    """The first form of the Accept header that is supported; ApiError 406 if none is."""
    for choice in (accept or "*/*").split(","):
        media, *given = (part.strip() for part in choice.split(";"))
        parameters = dict(part.partition("=")[::2] for part in given)
        if media not in {"*/*", "application/*", "application/json"}:
            continue
        shape = parameters.get("as", "")
        if not shape or (shape in _SHAPES and parameters.get("v") == "v1"):
            return Form(shape)
    raise not_acceptable("only the following media types are accepted: application/json")


_SHAPES = {form.value for form in Form}


class View:
    """Renders the objects of one resource in one form. `include` is `includeObject` of the query."""

    def __init__(self, resource: Resource, form: Form, include: str = "") -> None:
        self._resource = resource
        self._form = form
        self._include = include or "Metadata"

    def one(self, stored: Stored) -> bytes:
        """One object, as the answer to a get or a write."""
        if self._form is Form.TABLE:
            return encode(self._table([stored], {"resourceVersion": stored.obj["metadata"]["resourceVersion"]}))
        if self._form is Form.METADATA_LIST:
            raise not_acceptable("you requested PartialObjectMetadataList, but the requested object is not a list")
        if self._form is Form.METADATA:
            return encode(_metadata_only(stored.obj))
        return stored.encoded

    def page(self, page: Page) -> bytes:
        """A list."""
        metadata: Json = {"resourceVersion": str(page.revision)}
        if page.token:
            metadata["continue"] = page.token
        if page.remaining is not None:
            metadata["remainingItemCount"] = page.remaining
        if self._form is Form.TABLE:
            return encode(self._table(page.items, metadata))
        if self._form is Form.METADATA:
            raise not_acceptable("you requested PartialObjectMetadata, but the requested object is a list")
        if self._form is Form.METADATA_LIST:
            kind, api_version = "PartialObjectMetadataList", _META
            items = [encode(_metadata_only(item.obj)) for item in page.items]
        else:
            kind, api_version = self._resource.kind_of_list, self._resource.api_version
            items = [self._item(item) for item in page.items]
        head = encode({"kind": kind, "apiVersion": api_version, "metadata": metadata})
        return head[:-1] + b',"items":[' + b",".join(items) + b"]}"

    def event(self, kind: str, stored: Stored) -> bytes:
        """One line of a watch."""
        return b'{"type":"' + kind.encode() + b'","object":' + self.one(stored) + b"}\n"

    def bookmark(self, revision: int, *, ends_list: bool = False) -> bytes:
        """The event that reports how far the watch has progressed, or that its initial events are complete."""
        metadata: Json = {"resourceVersion": str(revision), "creationTimestamp": None}
        if ends_list:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        obj: Json = {
            "kind": self._resource.kind,
            "apiVersion": self._resource.api_version,
            "metadata": metadata,
        }
        if self._form is not Form.WHOLE:
            obj |= {"kind": self._form.value, "apiVersion": _META}
        return encode({"type": "BOOKMARK", "object": obj}) + b"\n"

    def _item(self, stored: Stored) -> bytes:
        """Items of built-in lists have neither kind nor apiVersion, as on the real server."""
        if self._resource.custom:
            return stored.encoded
        return encode({key: value for key, value in stored.obj.items() if key not in {"kind", "apiVersion"}})

    def _table(self, items: list[Stored], metadata: Json) -> Json:
        definitions = [
            {
                "name": column.name,
                "type": column.type,
                "format": column.format,
                "description": "",
                "priority": column.priority,
            }
            for column in self._resource.columns
        ]
        rows = [self._row(item) for item in items]
        table: Json = {"kind": "Table", "apiVersion": _META, "metadata": metadata}
        return {**table, "columnDefinitions": definitions, "rows": rows}

    def _row(self, stored: Stored) -> Json:
        cells = [column.cell(stored.obj) for column in self._resource.columns]
        row: dict[str, Any] = {"cells": cells, "object": None}
        if self._include == "Object":
            row["object"] = stored.obj
        elif self._include == "Metadata":
            row["object"] = _metadata_only(stored.obj)
        return row


def _metadata_only(obj: Json) -> Json:
    return {"kind": "PartialObjectMetadata", "apiVersion": _META, "metadata": obj["metadata"]}
