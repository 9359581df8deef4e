"""A small Kubernetes client for everything but the operator: the demo, the tests and the benchmarks.

It shares no code with the operator, so that a fault in the operator's client cannot hide in the tests. Objects are
plain dictionaries. `request` returns every answer; the other methods raise `KubernetesError` unless they succeed.
"""

from __future__ import annotations

import asyncio
import io
import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Self

import aiohttp

from sandbox.access import KubernetesApi

Object = dict[str, Any]
MERGE_PATCH = "application/merge-patch+json"
_JSON = "application/json"
_PATHS = {
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Event": "/api/v1/namespaces/{}/events",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
    "MutatingAdmissionPolicy": "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies",
    "MutatingAdmissionPolicyBinding": "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings",
    "MutatingWebhookConfiguration": "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    "Namespace": "/api/v1/namespaces",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets",
    "Rollout": "/apis/argoproj.io/v1alpha1/namespaces/{}/rollouts",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "SyncedSecret": "/apis/secrets.contentful.com/v1/namespaces/{}/syncedsecrets",
    "ValidatingAdmissionPolicy": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
}
_REQUEST_LIMIT = 60.0  # seconds
_SERVED_LIMIT = 60.0  # seconds
_LARGE = 2**20  # aiohttp warns of larger bodies that are bytes


def path_of(kind: str, namespace: str = "", *rest: str) -> str:
    """The path of a collection; with a name, and perhaps a subresource, that of an object."""
    return "/".join((_PATHS[kind].format(namespace), *rest))


class Reply(NamedTuple):
    """An answer. `body` is the JSON value, or the text where the answer is not JSON."""

    status: int
    body: Any
    headers: Mapping[str, str]


class KubernetesError(RuntimeError):
    """The server refused a request."""

    def __init__(self, method: str, path: str, reply: Reply) -> None:
        said = reply.body.get("message", reply.body) if isinstance(reply.body, dict) else reply.body
        super().__init__(f"{method} {path}: {reply.status} {str(said)[:1000]}")
        self.status = reply.status


class Watch:
    """The events of an open watch, one dictionary each. `content` is the stream that they come from."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self.content = content

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Object:
        line = await self.content.readline()
        if not line:
            raise StopAsyncIteration
        return dict(json.loads(line))


class KubernetesClient:
    """`async with KubernetesClient(api) as client:` acts as the administrator, or as the owner of `token`."""

    def __init__(self, api: KubernetesApi, *, token: str = "") -> None:
        trust = ssl.create_default_context(cafile=api.ca_file) if api.ca_file else True
        self._session = aiohttp.ClientSession(
            api.url,
            connector=aiohttp.TCPConnector(limit=0, ssl=trust),
            headers={"Authorization": f"Bearer {token or api.token}", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=_REQUEST_LIMIT),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def request(
        self, method: str, path: str, body: Any = None, content_type: str = _JSON, **headers: str
    ) -> Reply:
        """Any answer, also a refusal. `body` is sent as JSON; bytes are sent as they are."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
        sent = io.BytesIO(data) if data and len(data) > _LARGE else data
        headers = {"Content-Type": content_type, **headers}
        async with self._session.request(method, path, data=sent, headers=headers) as response:
            content = await response.read()
        is_json = response.content_type == _JSON
        return Reply(response.status, json.loads(content) if is_json else content.decode(), response.headers)

    async def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object, or None where there is none."""
        path = path_of(kind, namespace, name)
        reply = await self.request("GET", path)
        return None if reply.status == 404 else _content("GET", path, reply)

    async def list(self, kind: str, namespace: str = "") -> Sequence[Object]:
        return list((await self._call("GET", path_of(kind, namespace)))["items"])

    async def create(self, obj: Object) -> Object:
        return await self._call("POST", path_of(obj["kind"], obj["metadata"].get("namespace", "")), obj)

    async def replace(self, obj: Object) -> Object:
        metadata = obj["metadata"]
        return await self._call("PUT", path_of(obj["kind"], metadata.get("namespace", ""), metadata["name"]), obj)

    async def merge(self, kind: str, namespace: str, name: str, patch: Object, *, subresource: str = "") -> Object:
        """Apply a JSON merge patch: null removes, lists are replaced."""
        path = path_of(kind, namespace, name, *([subresource] if subresource else []))
        return await self._call("PATCH", path, patch, MERGE_PATCH)

    async def delete(self, kind: str, namespace: str, name: str, *, propagation_policy: str = "") -> None:
        options = {"propagationPolicy": propagation_policy} if propagation_policy else None
        await self._call("DELETE", path_of(kind, namespace, name), options)

    async def delete_all(self, kind: str, namespace: str) -> None:
        """Delete every object of that kind in the namespace."""
        await self._call("DELETE", path_of(kind, namespace))

    async def until_served(self, kind: str) -> None:
        """Wait until the server knows a custom resource; a real one needs a moment after its definition is there."""
        async with asyncio.timeout(_SERVED_LIMIT):
            while (await self.request("GET", path_of(kind, "default"))).status != 200:
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def watch(self, path: str, *, resource_version: str = "", **headers: str) -> AsyncIterator[Watch]:
        """The events of a collection. `path` may carry a query."""
        start = {"resourceVersion": resource_version} if resource_version else {}
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session.get(
            path, params={"watch": "true", **start}, headers=headers, timeout=timeout, read_bufsize=2**20
        ) as response:
            if response.status != 200:
                reply = Reply(response.status, await response.text(), response.headers)
                raise KubernetesError("GET", path, reply)
            try:
                yield Watch(response.content)
            finally:  # TLS would otherwise wait for the server's goodbye
                if response.connection and response.connection.transport:
                    response.connection.transport.abort()

    async def _call(self, method: str, path: str, body: Any = None, content_type: str = _JSON) -> Object:
        return _content(method, path, await self.request(method, path, body, content_type))


def _content(method: str, path: str, reply: Reply) -> Object:
    if reply.status >= 300:
        raise KubernetesError(method, path, reply)
    return dict(reply.body)
