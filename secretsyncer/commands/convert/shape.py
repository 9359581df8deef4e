"""The types of the fields that `convert` reads. An API server checks them, and nobody has checked manifests in files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from secretsyncer.kube.objects import Object

_TEXTS = {"*": str}
"""A map of texts."""
_REMOTE = {
    **dict.fromkeys(
        ("key", "property", "version", "decodingStrategy", "conversionStrategy", "metadataPolicy"), str
    ),
    "nullBytePolicy": str,
}
_STORE = {"name": str, "kind": str}
_SOURCE = {"storeRef": _STORE}
_FIND = {"name": {"regexp": str}, "path": str, "tags": _TEXTS, "conversionStrategy": str, "decodingStrategy": str}
_REWRITE = {
    "regexp": {"source": str, "target": str},
    "transform": {"template": str},
    "merge": {"strategy": str, "conflictPolicy": str},
}
_METADATA = {"labels": _TEXTS, "annotations": _TEXTS}
_TEMPLATE = {
    "type": str,
    "engineVersion": str,
    "mergePolicy": str,
    "metadata": _METADATA,
    "data": _TEXTS,
    "templateFrom": [
        {
            "configMap": {"name": str, "items": [{"key": str, "templateAs": str}]},
            "literal": str,
            "target": str,
            "valuesDecodingStrategy": str,
        }
    ],
}
_AWS_SECRET = {"secretsManagerSecretRef": {"secretId": str, "versionId": str}}
_KES_ITEM = {"key": str, "name": str, "versionStage": str, "versionId": str}
_KES = {
    **dict.fromkeys(("backendType", "roleArn", "region", "type"), str),
    "dataFrom": [str],
    "dataFromWithOptions": [_KES_ITEM],
    "template": {"type": str, "metadata": {"labels": {}, "annotations": {}}, "data": {}, "stringData": {}},
    "data": [_KES_ITEM],
    "properties": [_KES_ITEM],
}
_STORES = {
    "spec": {
        "controller": str,
        "conditions": [{"namespaces": [str], "namespaceRegexes": [str]}],
        "provider": {
            "aws": {
                **dict.fromkeys(("service", "region", "role", "externalID", "prefix", "sessionTagsPolicy"), str),
                "auth": {"jwt": {"serviceAccountRef": {"name": str, "namespace": str}}},
            }
        },
    }
}
_SHAPES: dict[tuple[str, str], Any] = {
    ("ExternalSecret", "external-secrets.io"): {
        "spec": {
            "secretStoreRef": _STORE,
            "refreshPolicy": str,
            "target": {"name": str, "creationPolicy": str, "deletionPolicy": str, "template": _TEMPLATE},
            "data": [{"secretKey": str, "remoteRef": _REMOTE, "sourceRef": _SOURCE}],
            "dataFrom": [{"extract": _REMOTE, "find": _FIND, "rewrite": [_REWRITE], "sourceRef": _SOURCE}],
        }
    },
    ("SecretStore", "external-secrets.io"): _STORES,
    ("ClusterSecretStore", "external-secrets.io"): _STORES,
    ("ConfigMap", "v1"): {"data": _TEXTS},
    ("ExternalSecret", "kubernetes-client.io"): {"spec": _KES, "secretDescriptor": _KES},
    ("AWSSecret", "mumoshu.github.io"): {
        "spec": {"stringDataFrom": _AWS_SECRET, "dataFrom": _AWS_SECRET, "type": str, "metadata": _METADATA}
    },
}
_NAMES: dict[Any, str] = {str: "text", dict: "a map", list: "a list"}


def wrong_types(obj: Object) -> list[str]:
    """What has another type than the CRD says: the field, and the type that it has to be."""
    group = str(obj.get("apiVersion", "")).partition("/")[0]
    return list(_wrong("", obj, _SHAPES.get((str(obj.get("kind")), group), {})))


def _wrong(where: str, value: Any, shape: Any) -> Iterator[str]:
    wanted: Any = shape if isinstance(shape, type) else type(shape)
    if value is None:
        return
    if not isinstance(value, wanted):
        yield f"{where.removeprefix('.')} must be {_NAMES[wanted]}"
    elif isinstance(shape, list):
        for number, item in enumerate(value):
            if item is None:
                yield f"{where.removeprefix('.')}[{number}] is empty"
            yield from _wrong(f"{where}[{number}]", item, shape[0])
    elif isinstance(shape, dict):
        for name, part in value.items():
            if (known := shape.get(name, shape.get("*"))) is not None:
                yield from _wrong(f"{where}.{name}", part, known)
