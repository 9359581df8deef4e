"""Lists: which revision they show, and their pages.

Rules: Kubernetes, "API Concepts", sections "Resource versions" and "Retrieving large results sets in chunks". A list
shows the newest state, whatever version it asks for. A list with `resourceVersionMatch` is refused. All pages of a list
show the revision of the first page. Where that is compacted, the answer is 410 with a token that continues
inconsistently.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import NamedTuple

from sandbox.kubeapi.errors import Cause, bad_request, expired, invalid, may_not, unsupported, version_too_large
from sandbox.kubeapi.resources import Resource
from sandbox.kubeapi.selectors import Matcher, everything, parse
from sandbox.kubeapi.store import Compacted, Store, Stored

_CONTINUE_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
    "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
    "modified, or deleted between the time the first chunk was returned and now may show up in the list."
)

_TRUE = {"true", "1"}
_MATCH = "resourceVersionMatch"
_NOT_OLDER = "NotOlderThan"


class Options(NamedTuple):
    """The query of a list or watch request, read and checked."""

    matcher: Matcher
    version: str = ""
    limit: int = 0
    after: str = ""  # the continue token
    timeout: float | None = None
    bookmarks: bool = False
    initial_events: bool | None = None  # sendInitialEvents; None if it is not given

    @classmethod
    def read(cls, query: Mapping[str, str], resource: Resource, *, watch: bool = False) -> Options:
        """Raises ApiError 400 or 422 for a query that the real server refuses."""
        timeout = query.get("timeoutSeconds")
        options = cls(
            matcher=parse(query.get("labelSelector", ""), query.get("fieldSelector", ""), resource.indexed),
            version=query.get("resourceVersion", ""),
            limit=_number(query.get("limit") or "0"),
            after=query.get("continue", ""),
            timeout=float(_number(timeout)) if timeout else None,
            bookmarks=query.get("allowWatchBookmarks") in _TRUE,
            initial_events=query["sendInitialEvents"] in _TRUE if query.get("sendInitialEvents") else None,
        )
        version_number(options.version)
        match = query.get("resourceVersionMatch", "")
        if causes := options.problems_of_watch(match) if watch else options.problems_of_list(match):
            raise invalid("ListOptions", "meta.k8s.io", "", causes)
        return options

    def problems_of_watch(self, match: str) -> list[Cause]:
        """What is wrong with the options of a watch with this `resourceVersionMatch`."""
        causes = []
        if self.initial_events is not None and match != _NOT_OLDER:
            why = f"sendInitialEvents requires setting resourceVersionMatch to {_NOT_OLDER}"
            causes.append(may_not(_MATCH, why))
        if match:
            if self.initial_events is None:
                why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
                causes.append(may_not(_MATCH, why))
            if match != _NOT_OLDER:
                causes.append(unsupported(_MATCH, match, [_NOT_OLDER]))
            if self.after:
                causes.append(may_not(_MATCH, "resourceVersionMatch is forbidden when continue is provided"))
        return causes

    def problems_of_list(self, match: str) -> list[Cause]:
        """What is wrong with the options of a list with this `resourceVersionMatch`."""
        causes = [may_not(_MATCH, "not supported by this server")] if match else []
        if self.initial_events is not None:
            causes.append(may_not("sendInitialEvents", "sendInitialEvents is forbidden for list"))
        return causes


class Page(NamedTuple):
    """One page of a list: objects, their revision, and the token of the next page."""

    items: list[Stored]
    revision: int
    token: str = ""
    remaining: int | None = None


def list_page(store: Store, resource: Resource, namespace: str | None, options: Options) -> Page:
    """One page, or the whole list without a limit."""
    revision, start = _starting_point(store, options)
    try:
        found = store.select_at(revision, resource.key, namespace)
    except Compacted:
        raise expired(_CONTINUE_EXPIRED, continue_token=_token(-1, start)) from None
    matching = [item for item in found if _place(item) > start and options.matcher(item.obj)]
    if options.limit <= 0 or len(matching) <= options.limit:
        return Page(matching, revision)
    page = matching[: options.limit]
    remaining = len(matching) - options.limit if options.matcher is everything else None
    return Page(page, revision, _token(revision, _place(page[-1])), remaining)


def _starting_point(store: Store, options: Options) -> tuple[int, str]:
    """The revision to show, and the place in the order after which to start."""
    if options.after:
        if options.version not in {"", "0"}:
            raise bad_request("specifying resource version is not allowed when using continue")
        revision, start = _read_token(options.after)
        return (store.revision if revision < 0 else revision), start
    asked = version_number(options.version)
    if asked > store.revision:
        raise version_too_large(asked, store.revision)
    return store.revision, ""


def version_number(text: str) -> int:
    """A resource version as a number; "" is 0."""
    if not text:
        return 0
    if not text.isascii() or not text.isdigit():
        raise bad_request(f'invalid resource version: parsing "{text}": invalid syntax')
    return int(text)


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _place(item: Stored) -> str:
    metadata = item.obj["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"


def _token(revision: int, start: str) -> str:
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": start})
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, str]:
    try:
        content = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(content["rv"]), str(content["start"])
    except (binascii.Error, ValueError, KeyError, TypeError) as exc:
        raise bad_request(f"continue key is not valid: {exc}") from None
