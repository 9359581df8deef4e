"""Pages of lists and events of watches, parsed and checked.

A page that is not a Kubernetes list (such as a proxy's answer with status 200) must not empty a store. A line that is not
an event must not change the version. Both are errors here. Error messages never quote the input.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from secretsyncer.errors import KubeError
from secretsyncer.kube.errors import BAD_ANSWER, TOO_LARGE
from secretsyncer.kube.objects import Object
from secretsyncer.kube.resources import Resource

SMALL_PAGES = 10
"""Pages in a row that are not too large, after which they have more objects again."""
BAD_LINE = "BadLine"
"""A whole line that is not a watch event."""


class ListWatcher(Protocol):
    """What lists and watches: `KubeClient`, or `PolledNamespaces`."""

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        limit: int = 500,
        continue_: str = "",
        metadata_only: bool = False,
    ) -> Object: ...

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        timeout_seconds: int,
        inactivity: float,
        metadata_only: bool = False,
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]: ...


class ListPage(NamedTuple):
    """One page of a list. `following` is the token of the next one, empty at the end."""

    items: list[Object]
    version: str
    following: str


class WatchEvent(NamedTuple):
    """One event of a watch."""

    kind: str
    obj: Object

    @property
    def version(self) -> str:
        """The version of the object. Raises KubeError without one, because the watch could not resume."""
        metadata = self.obj.get("metadata")
        version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
        if not version:
            raise KubeError(0, BAD_LINE, "an event without a version")
        return str(version)


def read_page(answer: Object) -> ListPage:
    """A page, checked."""
    metadata, items = answer.get("metadata"), answer.get("items", ())
    items = [] if items is None else items  # Go encodes a nil slice as null
    is_list = str(answer.get("kind")).endswith("List")
    are_objects = isinstance(items, list) and all(isinstance(item, dict) for item in items)
    if not is_list or not isinstance(metadata, dict) or not are_objects:
        raise KubeError(0, BAD_ANSWER, "the answer is not a Kubernetes list")
    version = str(metadata.get("resourceVersion") or "")
    if version in {"", "0"}:  # a watch from there would replay everything, in any order
        raise KubeError(0, BAD_ANSWER, "the list has no version")
    return ListPage(items, version, str(metadata.get("continue") or ""))


async def read_pages(
    client: ListWatcher,
    resource: Resource,
    namespace: str,
    *,
    limit: int,
    label_selector: str,
    metadata_only: bool,
) -> AsyncIterator[ListPage]:
    """All pages of a list. They share one version, that of the first page. Where objects are large, pages have fewer."""
    token, most, good = "", limit, 0
    while True:
        try:
            answer = await client.list(
                resource,
                namespace or None,
                label_selector=label_selector,
                limit=limit,
                continue_=token,
                metadata_only=metadata_only,
            )
        except KubeError as error:
            if error.reason != TOO_LARGE or limit < 2:
                raise
            limit, good = max(1, limit // 4), 0
            continue
        page = read_page(answer)
        yield page
        good += 1
        if good == SMALL_PAGES and limit < most:  # one large object must not make thousands of requests
            limit, good = min(most, 4 * limit), 0
        if not page.following:
            return
        if page.following == token:
            raise KubeError(0, BAD_ANSWER, "the list repeats a page")
        token = page.following


def read_event(line: bytes) -> WatchEvent:
    """Parse a line. The error of the parser is dropped, because it contains the line."""
    try:
        event = json.loads(line)
        kind, obj = event["type"], event["object"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise KubeError(0, BAD_LINE, "a line that is not a watch event") from None
    if not isinstance(kind, str) or not isinstance(obj, dict):
        raise KubeError(0, BAD_LINE, "a line that is not a watch event")
    return WatchEvent(kind, obj)


def later(version: str, than: str) -> bool | None:
    """Whether `version` is later than the other; None if that is not known.

    Within one kind of object, resource versions are revisions of etcd: integers that only increase (guaranteed since
    KEP-5504, "Comparable Resource Version"). If one is not an integer, the order is not known.
    """
    if version.isdecimal() and than.isdecimal():
        return int(version) > int(than)
    return None
