"""The four calls to Secrets Manager, with typed results. `services/secretsmanager.py` has its rules.

Each raises AwsError. Results are matched to requests by name and ARN, never by position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from sys import intern
from typing import Any

from secretsyncer.aws.api.service_api import Batch, Page, read_tags, token_of
from secretsyncer.aws.api.sessions import Sessions
from secretsyncer.aws.arn import home_of
from secretsyncer.aws.failures import AwsError, Failure, from_code, unreadable
from secretsyncer.aws.identity import CURRENT, Identity, SecretRef
from secretsyncer.aws.services import SECRETS_MANAGER, Service
from secretsyncer.aws.services.secretsmanager import without_suffix
from secretsyncer.aws.services.service import are_texts, entries_of
from secretsyncer.aws.value import SecretValue

_SERVICE = SECRETS_MANAGER.endpoint


class SecretsManager:
    """ServiceApi for Secrets Manager."""

    service: Service = SECRETS_MANAGER

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def get(self, ref: SecretRef) -> SecretValue:
        params = {"SecretId": ref.id}
        if ref.version_id:
            params["VersionId"] = ref.version_id
        if ref.stage or not ref.version_id:
            # Sent even though it is AWS's default, because some implementations use another version without it.
            params["VersionStage"] = ref.stage or CURRENT
        answer = await self._sessions.call(
            ref.identity, ref.region, "GetSecretValue", params, service=_SERVICE, secret=ref.id
        )
        value = _value(answer)
        other = ref.version_id and value is not None and value.version_id != ref.version_id
        if value is None or other or not value.answers(ref.id):
            raise AwsError(unreadable("GetSecretValue", ref.identity, ref.id))
        return value

    async def batch_get(self, identity: Identity, region: str, refs: Sequence[SecretRef]) -> Batch:
        operation, ids = "BatchGetSecretValue", [ref.id for ref in refs]
        answer = await self._sessions.call(
            identity, region, operation, {"SecretIdList": ids}, service=_SERVICE, secret=some_of(ids)
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
            for error in entries_of(answer.get("Errors"))
            if isinstance(error.get("SecretId"), str)
        }
        values = [value for raw in entries_of(answer.get("SecretValues")) if (value := _value(raw))]
        return batch_of(refs, values, failures)

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
        return read_tags(answer, "DescribeSecret", ref)

    async def describe(self, ref: SecretRef) -> dict[str, Any]:
        answer = await self._describe(ref, own=True)
        return {**answer, "SecretVersionsToStages": answer.get("VersionIdsToStages")}

    async def list_page(self, identity: Identity, region: str, token: str, *, latest_first: bool = False) -> Page:
        params: dict[str, Any] = {"MaxResults": self.service.page_size, "IncludePlannedDeletion": True}
        if latest_first:
            params |= {"SortBy": "last-changed-date", "SortOrder": "desc"}
        if token:
            params["NextToken"] = token
        answer = await self._sessions.call(identity, region, "ListSecrets", params, service=_SERVICE, own=True)
        return Page(answer["SecretList"], token_of(answer))

    async def _describe(self, ref: SecretRef, *, own: bool = False) -> dict[str, Any]:
        params = {"SecretId": ref.id}
        return await self._sessions.call(
            ref.identity, ref.region, "DescribeSecret", params, service=_SERVICE, secret=ref.id, own=own
        )


def batch_of(refs: Sequence[SecretRef], values: Sequence[SecretValue], failures: Mapping[str, Failure]) -> Batch:
    """The result by reference. A value without the label AWSCURRENT is not one: another call has to tell."""
    ids = {ref.id: ref for ref in refs}
    current = {ids[id_]: value for id_, value in match(list(ids), values).items() if CURRENT in value.stages}
    return Batch(current, {ids[id_]: failure for id_, failure in failures.items() if id_ in ids})


def match(ids: Sequence[str], values: Sequence[SecretValue]) -> dict[str, SecretValue]:
    """The value for each id. A value for an ARN is not used for a name, which may mean another account."""
    by_arn = {form: value for value in values for form in (value.arn, without_suffix(value.arn))}
    matched = {id_: by_arn[id_] for id_ in ids if id_.startswith("arn:") and id_ in by_arn}
    taken = {value.arn for value in matched.values()}
    names = {id_ for id_ in ids if not id_.startswith("arn:")}
    matched |= {value.name: value for value in values if value.name in names and value.arn not in taken}
    return matched


def _value(raw: Mapping[str, Any]) -> SecretValue | None:
    """The value in a response; None if it is incomplete, or not what it should be."""
    text, binary = raw.get("SecretString"), raw.get("SecretBinary")
    texts: list[Any] = [raw.get(field) for field in ("Name", "ARN", "VersionId")]
    stages = raw.get("VersionStages") or []
    if not (are_texts(texts) and all(texts) and are_texts(stages)):
        return None
    name, arn, version_id = texts
    is_text, is_binary = isinstance(text, str) and binary is None, isinstance(binary, bytes) and text is None
    if home_of(arn) is None or not (is_text or is_binary):
        return None
    # The listing has the same names and ARNs, and most values the same stages: one text of each is enough.
    return SecretValue(intern(name), intern(arn), version_id, text, binary, tuple(map(intern, stages)))


def some_of(ids: Sequence[str]) -> str:
    """A few of many ids, for a message."""
    return ", ".join(ids[:2]) + (f" and {len(ids) - 2} more" if len(ids) > 2 else "")
