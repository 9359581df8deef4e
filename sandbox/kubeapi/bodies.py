"""The checks of what a client sends, which are the same for all kinds.

Kind, name and namespace must be those of the request, and versions those of the stored object. The rest is pruned,
defaulted and validated by the schema and the rule of the kind. Messages and codes are those of the real server, also
where creates, updates and patches differ without a reason.
"""

from __future__ import annotations

from typing import NamedTuple

from sandbox.kubeapi import errors, metadata
from sandbox.kubeapi.errors import Cause, Json
from sandbox.kubeapi.pruning import prune, set_defaults
from sandbox.kubeapi.resources import Resource
from sandbox.kubeapi.schema import violations


class Target(NamedTuple):
    """What a request is about. `namespace` is empty for cluster-scoped kinds."""

    resource: Resource
    namespace: str
    name: str


class Writer(NamedTuple):
    """The options of a write."""

    subresource: str = ""
    strict: bool = False  # fieldValidation=Strict: unknown fields are an error
    dry_run: bool = False


def check_sent(target: Target, body: Json, *, strict: bool = False) -> None:
    """Check the kind and the namespace in the body of a create or update."""
    resource = target.resource
    if resource.custom and not body.get("kind"):
        raise errors.DecodeError(resource.kind, resource.version, "Object 'Kind' is missing")
    version = body.setdefault("apiVersion", resource.api_version)
    if version != resource.api_version:
        why = f"the API version in the data ({version}) does not match the expected API version"
        raise errors.bad_request(f"{why} ({resource.api_version})")
    _check_kind(resource, body)
    _decode(resource, body, strict=strict)
    given = body["metadata"].get("namespace")
    if given and given != target.namespace:
        why = "the namespace of the provided object does not match the namespace sent on the request"
        raise errors.bad_request(why)


def check_patched(target: Target, body: Json, old: Json) -> None:
    """Check that the result of a patch has the kind, names and uid of the old object."""
    resource, namespace, name = target
    version = body.setdefault("apiVersion", resource.api_version)
    if version != resource.api_version:
        causes = [errors.wrong("apiVersion", version, f"must be {resource.api_version}")]
        raise errors.invalid(resource.kind, "", name, causes)
    _check_kind(resource, body)
    _decode(resource, body, strict=False)
    own = body["metadata"]
    if own.get("name") != name:
        raise errors.bad_request(_wrong_name(own.get("name", ""), name))
    if own.get("namespace", namespace) != namespace:
        why = f"the namespace of the object ({own['namespace']}) does not match the namespace on the request"
        raise errors.bad_request(f"{why} ({namespace})")
    if (uid := own.get("uid", old["metadata"]["uid"])) != old["metadata"]["uid"]:
        causes = [errors.wrong("metadata.uid", uid, "field is immutable")]
        raise errors.invalid(resource.kind, resource.group, name, causes)


def check_name(target: Target, body: Json) -> None:
    """Check that the body of an update has the name of the URL."""
    if (given := body["metadata"].get("name", "")) != target.name:
        raise errors.bad_request(_wrong_name(given, target.name))


def check_version(target: Target, old: Json, given: Json) -> None:
    """Optimistic locking: a resource version or uid in the body must be the current one."""
    resource, _, name = target
    version = given.get("resourceVersion")
    if not version and not resource.unconditional:
        raise errors.version_required(resource.plural, resource.group, name)
    if version and version != old["metadata"]["resourceVersion"]:
        raise errors.conflict(resource.plural, resource.group, name)
    if (uid := given.get("uid")) and uid != old["metadata"]["uid"]:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}"
        raise errors.conflict(resource.plural, resource.group, name, why)


def complete(resource: Resource, new: Json, old: Json | None, *, strict: bool) -> None:
    """Default and validate a new object, in place. ApiError 400 or 422 if it is invalid."""
    mistakes: list[Cause] = []
    if resource.custom:
        _prune(resource, new, strict=strict)
        set_defaults(resource.schema, new)
        mistakes = violations(resource.schema, new, old)
    causes = [*metadata.wrong_metadata(new, old, resource), *mistakes, *resource.rule(new, old)]
    if causes:
        raise errors.invalid(resource.kind, resource.group, new["metadata"].get("name", ""), causes)


def _decode(resource: Resource, body: Json, *, strict: bool) -> None:
    """Do what decoding into Go types does: drop unknown fields and nulls, refuse wrong types."""
    metadata.clean(body, resource)
    if resource.custom:
        return
    _prune(resource, body, strict=strict)
    set_defaults(resource.schema, body)
    if mistakes := violations(resource.schema, body):
        raise errors.DecodeError(resource.kind, resource.version, mistakes[0].message)


def _prune(resource: Resource, body: Json, *, strict: bool) -> None:
    unknown = prune(resource.schema, body)
    if unknown and strict:
        told = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise errors.DecodeError(resource.kind, resource.version, f"strict decoding error: {told}")


def _check_kind(resource: Resource, body: Json) -> None:
    kind = body.setdefault("kind", resource.kind)
    if kind == resource.kind:
        return
    if not resource.custom:
        raise errors.DecodeError(str(kind), resource.version, f"expected kind {resource.kind}")
    name = str((body.get("metadata") or {}).get("name", ""))
    causes = [errors.wrong("kind", kind, f"must be {resource.kind}")]
    raise errors.invalid(str(kind), resource.group, name, causes)


def _wrong_name(given: str, name: str) -> str:
    return f"the name of the object ({given}) does not match the name on the URL ({name})"
