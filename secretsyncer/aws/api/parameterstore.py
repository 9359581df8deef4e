"""The three calls to Parameter Store, with typed results. `services/parameterstore.py` has its rules.

Each raises AwsError. Values are read with GetParameters only, which takes ten names or ARNs, with versions and labels, so
that a role needs no other permission. Results are matched to requests by name, ARN and selector, never by position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from secretsyncer.aws.api.pace import Paces
from secretsyncer.aws.api.secretsmanager import some_of
from secretsyncer.aws.api.service_api import Batch, Page, read_tags, token_of
from secretsyncer.aws.api.sessions import Sessions
from secretsyncer.aws.arn import role_account
from secretsyncer.aws.failures import AwsError, Failure, from_code, unreadable
from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.aws.outcome import CallOutcome
from secretsyncer.aws.services import PARAMETER_STORE, Service
from secretsyncer.aws.services.parameterstore import parameter_arn, version_of
from secretsyncer.aws.services.service import entries_of
from secretsyncer.aws.value import SecretValue
from secretsyncer.errors import SyncFailure

CALLS_PER_SECOND = 20.0
"""Half of the quota of an account: 40 GetParameters per second (AWS, "Systems Manager endpoints and quotas")."""
_PAGES = 20
"""Pages of a description: there are as few as AWS needs to find one parameter."""


class ParameterStore:
    """ServiceApi for Parameter Store.

    `per_second`: reads per account and region, and as many listings, which wait for no read.
    """

    service: Service = PARAMETER_STORE

    def __init__(self, sessions: Sessions, per_second: float = CALLS_PER_SECOND) -> None:
        self._sessions = sessions
        self._paces = Paces(per_second)

    async def get(self, ref: SecretRef) -> SecretValue:
        batch = await self.batch_get(ref.identity, ref.region, [ref])
        if ref in batch.values:
            return batch.values[ref]
        raise AwsError(batch.failures.get(ref) or unreadable("GetParameters", ref.identity, ref.id))

    async def batch_get(self, identity: Identity, region: str, refs: Sequence[SecretRef]) -> Batch:
        asked = {selected(ref): ref for ref in refs}
        params = {"Names": list(asked), "WithDecryption": True}
        answer = await self._call(identity, region, "GetParameters", params, secret=some_of(list(asked)))
        request_id = str(answer.get("ResponseMetadata", {}).get("RequestId", ""))
        return batch_of(asked, answer, request_id)

    async def tags(self, ref: SecretRef) -> Mapping[str, str]:
        """The tags. AWS takes a name only, so those of a parameter that another account shares cannot be read."""
        operation, parameter = "ListTagsForResource", self.service.parse(ref.id)
        if parameter.account not in {"", self._account_of(ref.identity)}:
            text = f"the tags of parameter {ref.id} cannot be read, because another account shares it"
            raise AwsError(Failure(CallOutcome.DENIED, text, operation))
        params = {"ResourceType": "Parameter", "ResourceId": parameter.name}
        try:
            answer = await self._call(ref.identity, ref.region, operation, params, secret=ref.id)
        except AwsError as exc:
            if not parameter.alias or exc.failure.outcome is not CallOutcome.NOT_FOUND:
                raise
            params["ResourceId"] = parameter.alias
            answer = await self._call(ref.identity, ref.region, operation, params, secret=ref.id)
        return read_tags(answer, operation, ref, "TagList")

    async def describe(self, ref: SecretRef) -> dict[str, Any]:
        """One entry of a listing. AWS may return a page without any, and a token, before it has looked at everything."""
        names, operation = self.service.parse(ref.id).names, "DescribeParameters"
        params: dict[str, Any] = {
            "ParameterFilters": [{"Key": "Name", "Option": "Equals", "Values": list(names)}],
        }
        for _ in range(_PAGES):
            answer = await self._call(ref.identity, ref.region, operation, params, secret=ref.id, own=True)
            for raw in answer["Parameters"] or ():
                if not isinstance(raw, dict) or raw.get("Name") not in names:
                    raise AwsError(unreadable(operation, ref.identity, ref.id))
                described: dict[str, Any] = self._with_arn(raw, ref.identity, ref.region)
                return described
            token = token_of(answer)
            if token == "":
                raise AwsError(_absent(ref, operation, ""))
            if not isinstance(token, str):
                break
            params["NextToken"] = token
        raise AwsError(unreadable(operation, ref.identity, ref.id))

    async def list_page(self, identity: Identity, region: str, token: str, *, latest_first: bool = False) -> Page:
        assert not latest_first  # noqa: S101 - the service says so
        params: dict[str, Any] = {"MaxResults": self.service.page_size}
        if token:
            params["NextToken"] = token
        answer = await self._call(identity, region, "DescribeParameters", params, own=True)
        entries = answer["Parameters"]
        if isinstance(entries, list):
            if not identity.role and any(isinstance(raw, dict) and "ARN" not in raw for raw in entries):
                with suppress(SyncFailure):  # then the entries are malformed
                    await self._sessions.account()
            entries = [self._with_arn(raw, identity, region) for raw in entries]
        return Page(entries, token_of(answer))

    def _with_arn(self, raw: Any, identity: Identity, region: str) -> Any:
        """The entry with its ARN, which moto leaves out. A listing shows parameters of its own account only."""
        account = role_account(identity.role) if identity.role else self._sessions.known_account
        if account is None or not isinstance(raw, dict) or "ARN" in raw or not isinstance(raw.get("Name"), str):
            return raw
        return raw | {"ARN": parameter_arn(account, region or self._sessions.region, raw["Name"])}

    def _account_of(self, identity: Identity) -> str:
        """The account whose quota a call counts against; empty while the operator's own is not known."""
        if identity.role:
            return role_account(identity.role).id
        return self._sessions.known_account.id if self._sessions.known_account else ""

    async def _call(
        self,
        identity: Identity,
        region: str,
        operation: str,
        params: dict[str, Any],
        *,
        secret: str = "",
        own: bool = False,
    ) -> dict[str, Any]:
        await self._sessions.assume(identity)  # first, because a role that cannot be assumed must take no turn
        await self._paces.turn((self._account_of(identity), region, own), identity.role)
        return await self._sessions.call(
            identity, region, operation, params, service=self.service.endpoint, secret=secret, own=own
        )


def selected(ref: SecretRef) -> str:
    """What AWS is asked for: the name or ARN with the version or label, if the reference has one."""
    selector = ref.version_id or ref.stage
    return f"{ref.id}:{selector}" if selector else ref.id


def batch_of(asked: Mapping[str, SecretRef], answer: Mapping[str, Any], request_id: str = "") -> Batch:
    """The result by reference. `asked` has the references by what AWS was asked for."""
    values: dict[SecretRef, SecretValue] = {}
    entries = entries_of(answer.get("Parameters"))
    selected_too = {form for raw in entries if raw.get("Selector") for form in _forms(raw)}
    for raw in entries:
        if value := _value(raw):
            values |= dict.fromkeys(_meant(asked, raw, selected_too), value)
    missing = [
        asked[text] for text in answer.get("InvalidParameters") or () if isinstance(text, str) and text in asked
    ]
    return Batch(values, {ref: _absent(ref, "GetParameters", request_id) for ref in missing if ref not in values})


def _meant(asked: Mapping[str, SecretRef], raw: Mapping[str, Any], selected_too: set[str]) -> list[SecretRef]:
    """What a part of the response is for. Nothing, if that is not certain: these references are then read one by one.

    Some implementations leave out the selector. `selected_too`: the names and ARNs that came with one.
    """
    forms, selector = _forms(raw), str(raw.get("Selector") or "")
    same = {ref: text.removeprefix(ref.id) for text, ref in asked.items() if ref.id in forms}
    if not selector and len(set(same.values())) == 1:
        return list(same)
    if not selector and selected_too.isdisjoint(forms):
        return []
    return [ref for ref, asked_for in same.items() if asked_for == selector]


def _forms(raw: Mapping[str, Any]) -> set[str]:
    return {str(raw.get("Name")), str(raw.get("ARN"))}


def _absent(ref: SecretRef, operation: str, request_id: str) -> Failure:
    return from_code(
        *("ParameterNotFound", ""),
        operation=operation,
        identity=ref.identity,
        secret=selected(ref),
        request_id=request_id,
    )


def _value(raw: Mapping[str, Any]) -> SecretValue | None:
    """The value in a response; None if it is incomplete."""
    name, arn, text = raw.get("Name"), raw.get("ARN"), raw.get("Value")
    if not (isinstance(name, str) and isinstance(arn, str) and isinstance(text, str) and name and arn):
        return None
    try:
        version = version_of(raw)
        if name.startswith("arn:"):  # of a parameter that another account shares
            name = PARAMETER_STORE.parse(name).name
    except (KeyError, TypeError, ValueError):
        return None
    return SecretValue(name, arn, version, text, None, service=PARAMETER_STORE.name)
