"""Builders of cluster objects and AWS secrets. Those of the parts of a spec are in `specs`."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry

from secretsyncer.aws.listing.catalogue import Catalogue, Entry
from secretsyncer.aws.value import SecretValue
from secretsyncer.metrics import Metrics
from secretsyncer.sync.damping import Damping
from secretsyncer.sync.marks import MARK, WHOLE
from secretsyncer.synced_secret import SyncedSecret, parse

ANNOTATION = "iam.amazonaws.com/allowed-roles"
REGION = "eu-west-1"
ACCOUNT = "123456789012"

Object = dict[str, Any]


def synced_secret(
    *items: Object,
    name: str = "demo",
    namespace: str = "team",
    uid: str = "uid-1",
    generation: int = 1,
    **spec: Any,
) -> Object:
    """A SyncedSecret as the API server gives it; `items` are its data, `spec` its other fields by their names."""
    fields = {"data": list(items), **spec} if items else spec
    return {
        "apiVersion": "secrets.contentful.com/v1",
        "kind": "SyncedSecret",
        "metadata": {"name": name, "namespace": namespace, "uid": uid, "generation": generation},
        "spec": fields,
    }


def parsed(*items: Object, **options: Any) -> SyncedSecret:
    """The same, as the operator reads it."""
    return parse(synced_secret(*items, **options))


def namespace(name: str = "team", *, roles: Any = None, labels: Mapping[str, str] | None = None) -> Object:
    """A Namespace; `roles` is its annotation: text as it is, anything else as JSON, None for no annotation."""
    text = roles if isinstance(roles, str | None) else json.dumps(roles)
    annotations = {} if text is None else {ANNOTATION: text}
    return {"metadata": {"name": name, "annotations": annotations, "labels": dict(labels or {})}}


def kube_secret(
    data: Mapping[str, str | bytes],
    *,
    name: str = "demo",
    namespace: str = "team",
    ours: bool = True,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    owners: list[Object] | None = None,
    **fields: Any,
) -> Object:
    """A Secret as the API server gives it; `ours` puts the operator's label on it."""
    mark = {MARK: WHOLE} if ours else {}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": "secret-uid",
            "resourceVersion": "7",
            "labels": {**mark, **(labels or {})},
            "annotations": dict(annotations or {}),
            "ownerReferences": list(owners or []),
        },
        "type": "Opaque",
        "data": {k: b64encode(v.encode() if isinstance(v, str) else v).decode() for k, v in data.items()},
        **fields,
    }


def damping(clock: Callable[[], float] = lambda: 0.0) -> Damping:
    """Remembers writes for a Writer."""
    return Damping(Metrics(CollectorRegistry()), bound=120.0, clock=clock)


def secret_arn(name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:secretsmanager:{REGION}:{account}:secret:{name}-AbCdEf"


def value(name: str, content: str | bytes | Mapping[str, Any], *, version: str = "v1") -> SecretValue:
    """A secret in AWS: text, bytes, or an object that becomes JSON."""
    if isinstance(content, bytes):
        return SecretValue(name, secret_arn(name), version, None, content)
    text = content if isinstance(content, str) else json.dumps(content)
    return SecretValue(name, secret_arn(name), version, text, None)


def catalogue(*entries: Entry, listed_at: float | None = 0.0) -> Catalogue:
    return Catalogue(entries, region=REGION, listed_at=listed_at)


def entry(name: str, *, version: str = "v1", **tags: str) -> Entry:
    """A listed secret."""
    return Entry(name, secret_arn(name), tags, version)
