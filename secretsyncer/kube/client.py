"""The Kubernetes API: raw JSON objects in and out, no generated classes.

Every request has a timeout. Every failure is a `KubeError`, with the status, reason and message of the server, or with
status 0 without a valid response. Nothing is retried here, because only the caller knows what a retry means. The
exception is a rejected token (see `transport`). Errors never quote bodies.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Self

from secretsyncer.kube.credentials import Credentials
from secretsyncer.kube.errors import decode
from secretsyncer.kube.objects import Object
from secretsyncer.kube.resources import FIELD_MANAGER, Resource
from secretsyncer.kube.stream import LONGEST_LINE, WatchStream
from secretsyncer.kube.transport import JSON, Request, Transport
from secretsyncer.metrics import Metrics

REQUEST_TIMEOUT = 30.0
OPEN_TIMEOUT = 30.0
"""Seconds until the headers of a watch must arrive, and by which it may exceed its own timeout."""
LIST_TIMEOUT = 60.0
"""Seconds for one page: the default of the API server's --request-timeout."""
PAGE_BYTES = 4 << 20
"""Most bytes of a page, and of one object that is not listed. Parsed, they take twenty times as much memory at worst."""
LIST_BYTES = LONGEST_LINE
"""Most bytes of what cannot be requested in smaller pages: a list in one request, and a page of one object."""

_MERGE_PATCH = "application/merge-patch+json"
_METADATA = f"{JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1,{JSON}"
_METADATA_LIST = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,{JSON}"


class KubeClient:
    """One cluster and one identity. `namespace` is that of the context or of the ServiceAccount.

    The API server records writes under the name `field_manager`.
    """

    def __init__(self, credentials: Credentials, *, metrics: Metrics, field_manager: str = FIELD_MANAGER) -> None:
        self.server = credentials.access.server
        self.namespace = credentials.access.namespace
        self._credentials = credentials
        self._as_us = {"fieldManager": field_manager}
        self._transport = Transport(credentials, metrics)

    @classmethod
    async def connect(cls, *, metrics: Metrics, field_manager: str = FIELD_MANAGER) -> Self:
        """A client for the configured cluster. It does not connect yet. Raises SettingsError without a cluster."""
        return cls(await Credentials.find(), metrics=metrics, field_manager=field_manager)

    @property
    def refused_for(self) -> float:
        """Seconds since the server last accepted the credentials; 0 while it does."""
        return self._credentials.refused_for

    async def close(self) -> None:
        await self._transport.close()

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        return await self._call(Request("get", resource, resource.path(namespace, name)))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
        continue_: str = "",
        metadata_only: bool = False,
    ) -> Object:
        """One page; `limit=0` requests everything at once. KubeError if it has more than PAGE_BYTES or LIST_BYTES."""
        query = {
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "limit": limit or "",
            "continue": continue_,
        }
        accept = _METADATA_LIST if metadata_only else JSON
        request = Request("list", resource, resource.path(namespace), query, accept=accept)
        return await self._call(request, limit=LIST_TIMEOUT, most=PAGE_BYTES if limit > 1 else LIST_BYTES)

    async def create(self, resource: Resource, namespace: str, body: Object, *, dry_run: bool = False) -> Object:
        """Create. With `dry_run` everything is checked and nothing is stored."""
        query = {**self._as_us, "dryRun": "All"} if dry_run else self._as_us
        return await self._call(Request("create", resource, resource.path(namespace), query, body))

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, body: Object, *, subresource: str | None = None
    ) -> Object:
        """A JSON merge patch (RFC 7396): null removes, lists are replaced whole."""
        path = resource.path(namespace, name, subresource)
        return await self._call(Request("patch", resource, path, self._as_us, body, _MERGE_PATCH))

    async def replace(self, resource: Resource, namespace: str, name: str, body: Object) -> Object:
        """Replace. 409 if `body` has an outdated resourceVersion."""
        return await self._call(Request("update", resource, resource.path(namespace, name), self._as_us, body))

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str = "", resource_version: str = ""
    ) -> Object:
        """Delete. With `uid` and `resource_version`, only that object in that version: 409 if it is another one now."""
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        conditions = {"uid": uid, "resourceVersion": resource_version}
        if any(conditions.values()):
            body["preconditions"] = {part: value for part, value in conditions.items() if value}
        return await self._call(Request("delete", resource, resource.path(namespace, name), body=body))

    @asynccontextmanager
    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        timeout_seconds: int,
        inactivity: float,
        metadata_only: bool = False,
    ) -> AsyncIterator[WatchStream]:
        """Watch events after `resource_version`. Leaving the context closes the connection.

        Without a version, the watch begins with a list (`streamed_lists.py`): the objects, and a bookmark at their end.
        Servers without this feature refuse that with 422.

        The server ends the stream after `timeout_seconds`. No event for `inactivity` seconds is a `KubeError`.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "sendInitialEvents": "" if resource_version else "true",
            "resourceVersionMatch": "" if resource_version else "NotOlderThan",
            "timeoutSeconds": timeout_seconds,
            "labelSelector": label_selector,
        }
        accept = _METADATA if metadata_only else JSON
        request = Request("watch", resource, resource.path(namespace), query, accept=accept)
        with closing(await self._transport.open(request, limit=OPEN_TIMEOUT)) as response:
            stream = WatchStream(response.content, inactivity=inactivity, lifetime=timeout_seconds + OPEN_TIMEOUT)
            with closing(stream):
                yield stream

    async def _call(self, request: Request, *, limit: float | None = None, most: int | None = None) -> Object:
        response, content = await self._transport.read(
            request, limit=limit or REQUEST_TIMEOUT, most=most or PAGE_BYTES
        )
        return decode(response.status, response.headers, content)
