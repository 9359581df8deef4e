"""Errors in the form of a Kubernetes API server: `Status` objects with a reason, details and causes.

Every module raises `ApiError`; `server.py` turns it into the HTTP answer, and `watches.py` into an ERROR event.
Reasons and messages follow `k8s.io/apimachinery/pkg/api/errors`, because clients and people match on them.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

Json = dict[str, Any]
"""A JSON object: an API object, or a part of one."""


class Cause(NamedTuple):
    """One thing wrong with one field (`StatusCause`)."""

    field: str
    reason: str
    message: str


class ApiError(Exception):
    """A refusal; `status()` is the body of the answer."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Json | None = None,
        metadata: Json | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.metadata = metadata or {}
        self.retry_after = retry_after
        if retry_after is not None:
            self.details = {**(details or {}), "retryAfterSeconds": retry_after}

    def status(self) -> Json:
        """The `Status` object."""
        status: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        return status


class DecodeError(ApiError):
    """A body that cannot be decoded as its kind: 400, or 422 with the whole object if a patch produced it."""

    def __init__(self, kind: str, version: str, why: str) -> None:
        message = f'{kind} in version "{version}" cannot be handled as a {kind}: {why}'
        super().__init__(400, "BadRequest", message)
        self.why = why


class NoPageError(ApiError):
    """A path under which nothing is served: the answer is plain text and not a Status."""

    def __init__(self) -> None:
        super().__init__(404, "NotFound", "404 page not found\n")


def _named(name: str, kind: str, group: str, **more: Any) -> Json:
    details = {"name": name, "group": group, "kind": kind, **more}
    return {key: value for key, value in details.items() if value}


def _qualified(kind: str, group: str) -> str:
    return f"{kind}.{group}" if group else kind


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(plural: str, group: str, name: str, why: str, *causes: Cause) -> ApiError:
    details = _named(name, plural, group, causes=[cause._asdict() for cause in causes])
    return ApiError(403, "Forbidden", f'{_qualified(plural, group)} "{name}" is forbidden: {why}', details=details)


def not_found(plural: str, group: str, name: str) -> ApiError:
    message = f'{_qualified(plural, group)} "{name}" not found'
    return ApiError(404, "NotFound", message, details=_named(name, plural, group))


def _generic(code: int, reason: str, message: str) -> ApiError:
    """As `errors.NewGenericServerResponse`: with empty details."""
    return ApiError(code, reason, message, details={})


def unknown_path() -> ApiError:
    return _generic(404, "NotFound", "the server could not find the requested resource")


def method_not_allowed() -> ApiError:
    message = "the server does not allow this method on the requested resource"
    return _generic(405, "MethodNotAllowed", message)


def not_acceptable(why: str) -> ApiError:
    return ApiError(406, "NotAcceptable", why)


def already_exists(plural: str, group: str, name: str) -> ApiError:
    message = f'{_qualified(plural, group)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, details=_named(name, plural, group))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(plural: str, group: str, name: str, why: str = MODIFIED) -> ApiError:
    message = f'Operation cannot be fulfilled on {_qualified(plural, group)} "{name}": {why}'
    return ApiError(409, "Conflict", message, details=_named(name, plural, group))


def expired(message: str, *, continue_token: str | None = None) -> ApiError:
    metadata = {"continue": continue_token} if continue_token else None
    return ApiError(410, "Expired", message, metadata=metadata)


def too_large(limit: int) -> ApiError:
    message = f"Request entity too large: limit is {limit}"
    return ApiError(413, "RequestEntityTooLarge", message)


def unsupported_media_type(accepted: list[str], hint: str = "") -> ApiError:
    formats = ", ".join(accepted)
    message = f"the body of the request was in an unknown format - accepted media types include: {formats}{hint}"
    return ApiError(415, "UnsupportedMediaType", message)


def invalid(kind: str, group: str, name: str, causes: list[Cause]) -> ApiError:
    told = [f"{cause.field}: {cause.message}" for cause in causes]
    text = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    details = _named(name, kind, group, causes=[cause._asdict() for cause in causes])
    message = f'{_qualified(kind, group)} "{name}" is invalid: {text}'
    return ApiError(422, "Invalid", message, details=details)


def undecodable_patch(body: Any, why: str) -> ApiError:
    """A patch whose result cannot be decoded as its kind. The message contains the whole result with its data."""
    return invalid("", "", "", [wrong("patch", json.dumps(body, separators=(",", ":")), why)])


def version_required(plural: str, group: str, name: str) -> ApiError:
    """An update without a resource version, of a kind that requires one."""
    message = "Invalid value: 0x0: must be specified for an update"
    return invalid(plural, group, name, [Cause("metadata.resourceVersion", "FieldValueInvalid", message)])


def version_too_large(asked: int, current: int) -> ApiError:
    """A version that this server has not reached, because it lags or was restored from a backup."""
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    return ApiError(504, "Timeout", message, details={"causes": causes}, retry_after=1)


def required(field: str, why: str = "") -> Cause:
    return Cause(field, "FieldValueRequired", f"Required value{': ' if why else ''}{why}")


def wrong(field: str, value: Any, why: str) -> Cause:
    shown = json.dumps(value, ensure_ascii=False)
    return Cause(field, "FieldValueInvalid", f"Invalid value: {shown}: {why}")


def mistyped(field: str, value: Any, why: str) -> Cause:
    return wrong(field, value, why)._replace(reason="FieldValueTypeInvalid")


def may_not(field: str, why: str) -> Cause:
    return Cause(field, "FieldValueForbidden", f"Forbidden: {why}")


def too_long(field: str, why: str) -> Cause:
    return Cause(field, "FieldValueTooLong", f"Too long: {why}")


def too_many(field: str, count: int, limit: int) -> Cause:
    return Cause(field, "FieldValueTooMany", f"Too many: {count}: must have at most {limit} items")


def unsupported(field: str, value: Any, values: list[Any]) -> Cause:
    supported = ", ".join(json.dumps(value) for value in values)
    message = f"Unsupported value: {json.dumps(value)}: supported values: {supported}"
    return Cause(field, "FieldValueNotSupported", message)


def duplicate(field: str, value: Any) -> Cause:
    return Cause(field, "FieldValueDuplicate", f"Duplicate value: {json.dumps(value, separators=(',', ':'))}")
