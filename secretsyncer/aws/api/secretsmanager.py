"""The four calls to Secrets Manager, with typed results.

Each raises AwsError. Results are matched to requests by name and ARN, never by position. `SecretsApi` is the interface
for the rest of `aws/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from sys import intern
from typing import Any, NamedTuple, Protocol

from secretsyncer.aws.api.sessions import Sessions
from secretsyncer.aws.failures import AwsError, Failure, from_code, unreadable
from secretsyncer.aws.identity import CURRENT, Identity, SecretRef
from secretsyncer.aws.value import SecretValue

BATCH_SIZE = 20
"""Maximum number of ids in one BatchGetSecretValue (API reference)."""

PAGE_SIZE = 100
"""Maximum number of secrets in one page of ListSecrets (API reference)."""


class Batch(NamedTuple):
    """The result of one BatchGetSecretValue: the values, and the failures by id."""

    values: list[SecretValue]
    failures: dict[str, Failure]


class Page(NamedTuple):
    """One page of ListSecrets, with its raw entries and the token of the next page."""

    entries: list[dict[str, Any]]
    next_token: str


class SecretsApi(Protocol):
    """Reads Secrets Manager. The regions of the references are filled in. All raise AwsError."""

    async def get(self, ref: SecretRef) -> SecretValue:
        """The version that the reference names."""

    async def batch_get(self, identity: Identity, region: str, ids: Sequence[str]) -> Batch:
        """The current versions of up to 20 secrets."""

    async def tags(self, ref: SecretRef) -> Mapping[str, str]:
        """The secret's tags."""

    async def describe(self, ref: SecretRef) -> dict[str, Any]:
        """The secret in the form of a listing, with `SecretVersionsToStages`: for the operator itself."""

    async def list_page(self, identity: Identity, region: str, token: str, *, latest_first: bool = False) -> Page:
        """One page of all secrets of the identity's account in that region.

        `latest_first`: in the order of their last change, and with those that are scheduled for deletion.
        """


class SecretsManager:
    """SecretsApi for the real AWS."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def get(self, ref: SecretRef) -> SecretValue:
        params = {"SecretId": ref.id}
        if ref.version_id:
            params["VersionId"] = ref.version_id
        if ref.stage or not ref.version_id:
            # Sent even though it is AWS's default, because some implementations use another version without it.
            params["VersionStage"] = ref.stage or CURRENT
        answer = await self._sessions.call(ref.identity, ref.region, "GetSecretValue", params, secret=ref.id)
        value = _value(answer)
        if value is None or not value.answers(ref.id):
            raise AwsError(unreadable("GetSecretValue", ref.identity, ref.id))
        return value

    async def batch_get(self, identity: Identity, region: str, ids: Sequence[str]) -> Batch:
        operation = "BatchGetSecretValue"
        answer = await self._sessions.call(
            identity, region, operation, {"SecretIdList": list(ids)}, secret=_some(ids)
        )
        request_id = str(answer.get("ResponseMetadata", {}).get("RequestId", ""))
        failures = {
            error["SecretId"]: from_code(
                str(error.get("ErrorCode", "")),
                str(error.get("Message", "")),
                operation=operation,
                identity=identity,
                secret=error["SecretId"],
                request_id=request_id,
            )
            for error in answer.get("Errors") or ()
            if "SecretId" in error
        }
        values = [value for raw in answer.get("SecretValues") or () if (value := _value(raw))]
        return Batch(values, failures)

    async def tags(self, ref: SecretRef) -> Mapping[str, str]:
        answer = await self._describe(ref)
        if not SecretValue(answer["Name"], answer["ARN"], "", None, None).answers(ref.id):
            raise AwsError(unreadable("DescribeSecret", ref.identity, ref.id))
        if answer.get("DeletedDate"):
            sentence = "the secret is scheduled for deletion"
            raise AwsError(
                from_code(
                    "InvalidRequestException",
                    sentence,
                    operation="DescribeSecret",
                    identity=ref.identity,
                    secret=ref.id,
                )
            )
        return tags_of(answer)

    async def describe(self, ref: SecretRef) -> dict[str, Any]:
        answer = await self._describe(ref, own=True)
        return {**answer, "SecretVersionsToStages": answer.get("VersionIdsToStages")}

    async def list_page(self, identity: Identity, region: str, token: str, *, latest_first: bool = False) -> Page:
        params: dict[str, Any] = {"MaxResults": PAGE_SIZE, "IncludePlannedDeletion": True}
        if latest_first:
            params |= {"SortBy": "last-changed-date", "SortOrder": "desc"}
        if token:
            params["NextToken"] = token
        answer = await self._sessions.call(identity, region, "ListSecrets", params, own=True)
        return Page(answer["SecretList"], str(answer.get("NextToken") or ""))

    async def _describe(self, ref: SecretRef, *, own: bool = False) -> dict[str, Any]:
        params = {"SecretId": ref.id}
        return await self._sessions.call(ref.identity, ref.region, "DescribeSecret", params, secret=ref.id, own=own)


def tags_of(raw: Mapping[str, Any]) -> dict[str, str]:
    """The tags of an entry or a description. A tag without a value is empty."""
    # Interned, because thousands of secrets have the same few keys.
    return {intern(tag["Key"]): tag.get("Value") or "" for tag in raw.get("Tags") or () if tag.get("Key")}


def _value(raw: Mapping[str, Any]) -> SecretValue | None:
    """The value in a response; None if it is incomplete."""
    text, binary = raw.get("SecretString"), raw.get("SecretBinary")
    name, arn, version_id = (str(raw.get(key) or "") for key in ("Name", "ARN", "VersionId"))
    if not (name and arn and version_id) or (text is None) == (binary is None):
        return None
    stages = tuple(str(stage) for stage in raw.get("VersionStages") or ())
    # The listing has the same names and ARNs, and most values the same stages: one text of each is enough.
    return SecretValue(intern(name), intern(arn), version_id, text, binary, tuple(map(intern, stages)))


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:2]) + (f" and {len(ids) - 2} more" if len(ids) > 2 else "")
