"""The CRD in manifests/ as a JSON Schema, to validate objects as the API server does; and a server without its rules."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from sandbox.kubernetes_client import path_of
from tests.support import fast_yaml
from tests.support.cluster import Cluster
from tests.support.eventually import eventually

CRD = Path(__file__).resolve().parents[2] / "manifests" / "crd.yaml"


@cache
def schema() -> dict[str, Any]:
    (version,) = fast_yaml.load(CRD.read_text())["spec"]["versions"]
    return dict(version["schema"]["openAPIV3Schema"])


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every place in the schema that describes a value, with its path."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if keyword in node:
            yield from nodes(node[keyword], f"{path}[]")


@cache
def validator() -> Draft202012Validator:
    """The schema as JSON Schema, with OpenAPI's `nullable` put in its words. Unknown fields are errors."""

    def translate(node: Any) -> Any:
        if isinstance(node, list):
            return [translate(item) for item in node]
        if not isinstance(node, dict):
            return node
        out = {key: translate(value) for key, value in node.items()}
        if out.pop("nullable", False) is True:
            out["type"] = [out["type"], "null"]
        if "properties" in out:
            out["additionalProperties"] = False
        return out

    translated = translate(schema())
    translated["properties"]["metadata"] = {"type": "object"}
    return Draft202012Validator(translated)


NAME = "syncedsecrets.secrets.contentful.com"
_REFUSED = {"IAMRole": "reader", "AWSAccountID": "123456789012"}


@asynccontextmanager
async def without_rules(cluster: Cluster) -> AsyncIterator[None]:
    """The definition as it was before it had rules: for objects from then."""
    before = await cluster.get("CustomResourceDefinition", "", NAME)
    assert before
    loose = copy.deepcopy(before["spec"]["versions"])
    for _, node in nodes(loose[0]["schema"]["openAPIV3Schema"]):
        node.pop("x-kubernetes-validations", None)
    body = {
        "apiVersion": "secrets.contentful.com/v1",
        "kind": "SyncedSecret",
        "metadata": {"name": "probe", "namespace": "default"},
        "spec": _REFUSED,
    }

    async def replace(versions: Any, status: int) -> None:
        await cluster.merge("CustomResourceDefinition", "", NAME, {"spec": {"versions": versions}})

        async def applied() -> None:
            reply = await cluster.request("POST", path_of("SyncedSecret", "default") + "?dryRun=All", body)
            assert reply.status == status, reply.body

        await eventually(applied)

    await replace(loose, 201)
    try:
        yield
    finally:
        await replace(before["spec"]["versions"], 422)
