"""What the contract tests share: requests by path, and the objects that they create."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any

from sandbox import kubernetes_client
from sandbox.kubernetes_client import MERGE_PATCH, KubernetesClient
from tests.support.eventually import LIMIT, eventually

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
STRATEGIC = "application/strategic-merge-patch+json"

WIDGET_SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1, "maximum": 100},
                "mode": {"type": "string", "enum": ["fast", "slow"], "default": "slow"},
                "code": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 5},
                "port": {"x-kubernetes-int-or-string": True},
                "note": {"type": "string", "nullable": True},
                "tags": {"type": "object", "additionalProperties": {"type": "string"}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "names": {"type": "array", "maxItems": 3, "items": {"type": "string"}},
                "parts": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": {"type": "string"}, "value": {"type": "string"}},
                    },
                },
                "either": {
                    "type": "object",
                    "properties": {"one": {"type": "string"}, "two": {"type": "string"}},
                    "oneOf": [{"required": ["one"]}, {"required": ["two"]}],
                },
            },
        },
        "status": {
            "type": "object",
            "properties": {
                "phase": {"type": "string"},
                "seen": {"type": "string", "format": "date-time"},
                "conditions": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"type": {"type": "string"}, "status": {"type": "string"}},
                    },
                },
            },
        },
    },
}
WIDGET_COLUMNS = [
    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
    {"name": "Mode", "type": "string", "jsonPath": ".spec.mode", "priority": 1},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]


def crd(
    plural: str, kind: str, *, scope: str = "Namespaced", group: str = "contract.example.com", **version: Any
) -> dict[str, Any]:
    """A definition of a custom resource; `version` overrides parts of its one version."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"plural": plural, "kind": kind},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": WIDGET_SCHEMA},
                    **version,
                }
            ],
        },
    }


def widget(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "contract.example.com/v1",
        "kind": "Widget",
        "metadata": {"name": name},
        "spec": {"size": 1, **spec},
    }


def secret(name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, **fields}


class Reply(kubernetes_client.Reply):
    """An answer, with what the tests read most."""

    @property
    def version(self) -> str:
        return self.body["metadata"]["resourceVersion"]

    @property
    def reason(self) -> str:
        return self.body["reason"]

    def causes(self) -> set[tuple[str, str]]:
        """(field, reason) of everything that is wrong."""
        return {(cause["field"], cause["reason"]) for cause in self.body["details"]["causes"]}

    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.body["items"]]


class Stream:
    """An open watch."""

    def __init__(self, watch: kubernetes_client.Watch) -> None:
        self._watch = watch
        self.content = watch.content

    async def next(self, within: float = LIMIT) -> dict[str, Any]:
        """The next event; AssertionError at the end of the stream."""
        async with asyncio.timeout(within):
            event = await anext(self._watch, None)
        assert event, "the watch ended"
        return event

    async def short(self) -> tuple[str, str]:
        """Type and name of the next event."""
        event = await self.next()
        return event["type"], event["object"]["metadata"]["name"]

    async def rest(self) -> list[dict[str, Any]]:
        """All events until the server ends the stream."""
        async with asyncio.timeout(LIMIT):
            return [event async for event in self._watch]


class Client:
    """Requests by path, with the administrator's token or another one."""

    def __init__(self, kubernetes: KubernetesClient) -> None:
        self._kubernetes = kubernetes

    async def request(self, method: str, path: str, body: Any = None, kind: str = "", **headers: str) -> Reply:
        return Reply(*await self._kubernetes.request(method, path, body, kind or "application/json", **headers))

    async def get(self, path: str, **headers: str) -> Reply:
        return await self.request("GET", path, **headers)

    async def post(self, path: str, body: Any, **headers: str) -> Reply:
        return await self.request("POST", path, body, **headers)

    async def put(self, path: str, body: Any) -> Reply:
        return await self.request("PUT", path, body)

    async def patch(self, path: str, body: Any, kind: str = MERGE_PATCH) -> Reply:
        return await self.request("PATCH", path, body, kind)

    async def delete(self, path: str, body: Any = None) -> Reply:
        return await self.request("DELETE", path, body)

    async def make(self, path: str, body: Any) -> dict[str, Any]:
        """Create; AssertionError where that is refused."""
        reply = await self.post(path, body)
        assert reply.status == 201, reply.body
        return reply.body

    @asynccontextmanager
    async def watch(self, path: str, **headers: str):
        async with self._kubernetes.watch(path, **headers) as watch:
            yield Stream(watch)


@asynccontextmanager
async def connect(server, token: str = ""):
    """A client of a server."""
    async with KubernetesClient(server, token=token) as kubernetes:
        yield Client(kubernetes)


async def define(client: Client, definition: dict[str, Any]) -> None:
    """Create a custom resource, unless it is there, and wait until it is served."""
    reply = await client.post(CRDS, definition)
    assert reply.status in {201, 409}, reply.body
    spec = definition["spec"]
    path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
    await answered(client, path, 200)


async def expire(api: Any) -> None:
    """Take the past away. The cache of the real server remembers what etcd has forgotten, until it ends."""
    if (compacting := api.compact()) is not None:
        await compacting
        await api.stop_listening()
        await api.start_listening()


async def answered(client: Client, path: str, status: int) -> Reply:
    """The answer to a GET, once it has this status: the real server needs a moment for some things."""

    async def probe():
        reply = await client.get(path)
        assert reply.status == status, reply.body
        return reply

    return await eventually(probe)
