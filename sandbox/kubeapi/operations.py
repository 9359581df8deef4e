"""From a request and its body to an answer, without HTTP and without waiting.

Finds the resource, reads options and body, calls `objects.py` or `lists.py`, and renders the result in the requested
form. Every refusal is an `ApiError`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from sandbox.kubeapi import discovery, errors, patches
from sandbox.kubeapi.bodies import Target, Writer
from sandbox.kubeapi.errors import Json
from sandbox.kubeapi.lists import Options, Page, list_page
from sandbox.kubeapi.objects import Objects
from sandbox.kubeapi.requests import Request
from sandbox.kubeapi.resources import Registry, Resource
from sandbox.kubeapi.store import Store, Stored, encode
from sandbox.kubeapi.views import View, negotiate

_MERGE_PATCH = {"application/merge-patch+json": patches.merge_patch}
_STRATEGIC_MERGE_PATCH = {"application/strategic-merge-patch+json": patches.strategic_merge_patch}
_NO_DRY_RUN = "the embedded API server has no dry run, but for creating"


class Answer(NamedTuple):
    """An HTTP answer that is not a stream."""

    status: int
    body: bytes


class Operations:
    """Answers requests from one store."""

    def __init__(self, store: Store, registry: Registry, objects: Objects) -> None:
        self._store = store
        self._registry = registry
        self._objects = objects
        self._verbs: dict[str, Callable[[Request, Target, bytes], Answer]] = {
            "get": self._get,
            "list": self._list,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }

    def answer(self, request: Request, body: bytes) -> Answer:
        """The answer to a request."""
        if not request.plural:
            return self._answer_document(request)
        target = self.target(request)
        if request.verb not in self._verbs or bool(request.name) != (request.verb in _OF_ONE):
            raise errors.method_not_allowed()
        if request.query.get("dryRun") and request.verb != "create":
            raise errors.bad_request(_NO_DRY_RUN)
        return self._verbs[request.verb](request, target, body)

    def target(self, request: Request) -> Target:
        """What a request is about; ApiError 404 or 405 if there is no such resource."""
        group, version = request.group, request.version
        resource = self._registry.find(group, version, request.plural)
        if resource is None:
            served = self._registry.by_root().get(f"apis/{group}/{version}" if group else f"api/{version}", [])
            raise errors.unknown_path() if any(not item.custom for item in served) else errors.NoPageError()
        if request.namespace is not None and not resource.namespaced:
            raise errors.unknown_path()
        if request.subresource and not (request.subresource == "status" and resource.status):
            if resource.custom:
                raise errors.not_found(resource.plural, group, request.name)
            raise errors.unknown_path()
        if resource.namespaced and request.namespace is None:
            if request.name:
                raise errors.unknown_path()
            if request.verb not in {"list", "watch"}:
                raise errors.method_not_allowed()
        return Target(resource, request.namespace or "", request.name)

    def _answer_document(self, request: Request) -> Answer:
        if request.path in {"/healthz", "/livez", "/readyz"}:
            return Answer(200, b"ok")
        found = discovery.document(self._registry, request.path)
        if found is None:
            raise errors.NoPageError
        return Answer(200, encode(found))

    def _get(self, request: Request, target: Target, _body: bytes) -> Answer:
        return _one(request, target.resource, self._objects.get(target))

    def _list(self, request: Request, target: Target, _body: bytes) -> Answer:
        return Answer(200, view(request, target.resource).page(self._page(request, target)))

    def _create(self, request: Request, target: Target, body: bytes) -> Answer:
        stored = self._objects.create(target, _decode(request, body), _writer(request))
        return _one(request, target.resource, stored, created=True)

    def _update(self, request: Request, target: Target, body: bytes) -> Answer:
        stored = self._objects.update(target, _decode(request, body), _writer(request))
        return _one(request, target.resource, stored)

    def _patch(self, request: Request, target: Target, body: bytes) -> Answer:
        accepted = _MERGE_PATCH if target.resource.custom else _MERGE_PATCH | _STRATEGIC_MERGE_PATCH
        change = accepted.get(_media(request))
        if change is None:
            raise errors.unsupported_media_type(list(accepted))
        patch = _parse_patch(body)
        stored = self._objects.patch(target, lambda obj: change(obj, patch), _writer(request))
        return _one(request, target.resource, stored)

    def _delete(self, request: Request, target: Target, body: bytes) -> Answer:
        stored, gone = self._objects.delete(target, _delete_options(request, body))
        if not gone:
            return _one(request, target.resource, stored)
        return Answer(200, encode(_deleted(target.resource, stored)))

    def _delete_collection(self, request: Request, target: Target, body: bytes) -> Answer:
        page, options = self._page(request, target), _delete_options(request, body)
        for item in page.items:
            own = item.obj["metadata"]
            self._objects.delete(Target(target.resource, own.get("namespace", ""), own["name"]), options)
        return Answer(200, view(request, target.resource).page(page))

    def _page(self, request: Request, target: Target) -> Page:
        options = Options.read(request.query, target.resource)
        return list_page(self._store, target.resource, request.namespace, options)


_OF_ONE = {"get", "update", "patch", "delete"}


def view(request: Request, resource: Resource) -> View:
    """The view that the Accept header asks for."""
    form = negotiate(request.headers.get("Accept", ""))
    return View(resource, form, request.query.get("includeObject", ""))


def _one(request: Request, resource: Resource, stored: Stored, *, created: bool = False) -> Answer:
    return Answer(201 if created else 200, view(request, resource).one(stored))


def _media(request: Request) -> str:
    return request.headers.get("Content-Type", "").partition(";")[0].strip()


def _decode(request: Request, body: bytes) -> Json:
    """The JSON object in a body."""
    if _media(request) not in {"", "application/json", "application/octet-stream"}:
        hint = ". kubectl create KIND sends protobuf; kubectl create -f FILE and kubectl apply -f FILE send JSON"
        raise errors.unsupported_media_type(["application/json"], hint)
    try:
        obj = _parse(body)
    except ValueError as exc:
        raise errors.bad_request(f"error decoding the body: {exc}") from None
    if not isinstance(obj, dict):
        raise errors.bad_request("couldn't get version/kind; json parse error")
    return obj


def _parse_patch(body: bytes) -> Json:
    try:
        patch = _parse(body)
    except ValueError:
        raise errors.bad_request("invalid JSON patch") from None
    if not isinstance(patch, dict):
        raise errors.bad_request("error decoding patch: not a JSON object")
    return patch


def _parse(body: bytes) -> Any:
    """Parse JSON as Go's unstructured objects do: 2.0 is 2."""
    return json.loads(body, parse_float=_number)


def _number(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < 1e15 else number


def _writer(request: Request) -> Writer:
    return Writer(
        request.subresource,
        strict=request.query.get("fieldValidation") == "Strict",
        dry_run=request.query.get("dryRun") == "All",
    )


def _delete_options(request: Request, body: bytes) -> Json:
    options = _decode(request, body) if body.strip() else {}
    if policy := request.query.get("propagationPolicy"):
        options["propagationPolicy"] = policy
    if options.get("dryRun"):
        raise errors.bad_request(_NO_DRY_RUN)
    return options


def _deleted(resource: Resource, stored: Stored) -> Json:
    own = stored.obj["metadata"]
    details = {"name": own["name"], "kind": resource.plural, "uid": own["uid"]}
    if resource.group:
        details["group"] = resource.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
