"""Lists: which revision they show, and their pages.

Rules: Kubernetes, "API Concepts", sections "Resource versions" and "Retrieving large results sets
in chunks". An empty version is the newest state; "0" is any state (here the newest); N is not older
than N, or exactly N with `resourceVersionMatch=Exact` and with a limit. All pages of a list show the
revision of its first page; where that is compacted the answer is 410 with a token that goes on
inconsistently.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import NamedTuple

from sandbox.kubeapi.errors import (
    ApiError,
    Cause,
    bad_request,
    expired,
    invalid,
    may_not,
    unsupported,
    version_too_large,
)
from sandbox.kubeapi.resources import Resource
from sandbox.kubeapi.selectors import Matcher, everything, parse
from sandbox.kubeapi.store import Compacted, Store, Stored

_CONTINUE_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
    "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
    "modified, or deleted between the time the first chunk was returned and now may show up in the list."
)
_VERSION_EXPIRED = "The resourceVersion for the provided list is too old."


class Options(NamedTuple):
    """The query of a list or watch request, read and checked."""

    matcher: Matcher
    version: str = ""
    match: str = ""
    limit: int = 0
    after: str = ""  # the continue token
    timeout: float | None = None
    bookmarks: bool = False

    @classmethod
    def read(cls, query: Mapping[str, str], resource: Resource) -> Options:
        """Raises ApiError 400 or 422 for a query that the real server refuses."""
        timeout, watch = query.get("timeoutSeconds"), query.get("watch") in {"true", "1"}
        options = cls(
            matcher=parse(query.get("labelSelector", ""), query.get("fieldSelector", ""), resource.indexed),
            version=query.get("resourceVersion", ""),
            match=query.get("resourceVersionMatch", ""),
            limit=_number(query.get("limit") or "0"),
            after=query.get("continue", ""),
            timeout=float(_number(timeout)) if timeout else None,
            bookmarks=query.get("allowWatchBookmarks") in {"true", "1"},
        )
        _check_version(options.version, watch=watch)
        if causes := _wrong_match(options, watch=watch):
            raise invalid("ListOptions", "meta.k8s.io", "", causes)
        return options


class Page(NamedTuple):
    """A list answer: objects, the revision they show, and how to go on."""

    items: list[Stored]
    revision: int
    token: str = ""
    remaining: int | None = None


def list_page(store: Store, resource: Resource, namespace: str | None, options: Options) -> Page:
    """One page, or the whole list where no limit is asked."""
    revision, start = _starting_point(store, options)
    try:
        exact = revision != store.revision
        found = (
            store.select_at(revision, resource.key, namespace) if exact else store.select(resource.key, namespace)
        )
    except Compacted:
        if options.after:
            raise expired(_CONTINUE_EXPIRED, continue_token=_token(-1, start)) from None
        raise expired(_VERSION_EXPIRED) from None
    matching = [item for item in found if _place(item) > start and options.matcher(item.obj)]
    if options.limit <= 0 or len(matching) <= options.limit:
        return Page(matching, revision)
    page = matching[: options.limit]
    remaining = len(matching) - options.limit if options.matcher is everything else None
    return Page(page, revision, _token(revision, _place(page[-1])), remaining)


def _starting_point(store: Store, options: Options) -> tuple[int, str]:
    """The revision to show, and the place in the order after which to begin."""
    if options.after:
        if options.version not in {"", "0"}:
            raise bad_request("specifying resource version is not allowed when using continue")
        revision, start = _read_token(options.after)
        return (store.revision if revision < 0 else revision), start
    asked = version_number(options.version)
    if asked > store.revision:
        raise version_too_large(asked, store.revision)
    exact = options.match == "Exact" or (options.limit and not options.match)
    return (asked if exact and asked else store.revision), ""


def version_number(text: str) -> int:
    """A resource version as a number; "" is 0."""
    if not text:
        return 0
    if not text.isascii() or not text.isdigit():
        why = f'strconv.ParseUint: parsing "{text}": invalid syntax'
        raise ApiError(500, "", f'resourceVersion: Invalid value: "{text}": {why}')
    return int(text)


def _check_version(text: str, *, watch: bool) -> None:
    """A list is refused with another code than a watch."""
    try:
        version_number(text)
    except ApiError as error:
        raise error if watch else bad_request(f"invalid resource version: {error.message}") from None


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _wrong_match(options: Options, *, watch: bool) -> list[Cause]:
    field, match = "resourceVersionMatch", options.match
    if watch and match:
        forbidden = may_not(field, f"{field} is forbidden for watch unless sendInitialEvents is provided")
        return [forbidden, *([] if match == "NotOlderThan" else [unsupported(field, match, ["NotOlderThan"])])]
    reasons = {
        "when continue is provided": bool(options.after),
        "unless resourceVersion is provided": not options.version,
    }
    if match and (why := next((why for why, holds in reasons.items() if holds), "")):
        return [may_not(field, f"{field} is forbidden {why}")]
    if match not in {"", "Exact", "NotOlderThan"}:
        return [unsupported(field, match, ["Exact", "NotOlderThan", ""])]
    if match == "Exact" and options.version == "0":
        return [may_not(field, f'{field} "exact" is forbidden for resourceVersion "0"')]
    return []


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
