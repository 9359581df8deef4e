"""The operator's `ServiceApi` straight on an `awsworld.World`: no sockets, for tests in virtual time."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sandbox.aws.model import World
from sandbox.aws.state import OPERATOR_ACCOUNT, REGION, Principal, Refused, Role
from secretsyncer.aws.api.secretsmanager import batch_of
from secretsyncer.aws.api.service_api import Batch, Page
from secretsyncer.aws.arn import Account
from secretsyncer.aws.failures import AwsError, Failure, from_code
from secretsyncer.aws.identity import CURRENT, Identity, SecretRef
from secretsyncer.aws.regions import REGIONS
from secretsyncer.aws.services import SECRETS_MANAGER
from secretsyncer.aws.services.service import tags_of
from secretsyncer.aws.value import SecretValue
from tests.support.memory_queue import MemoryQueue


class WorldApi:
    """Answers from the world after `latency` seconds, and keeps a record of what it gave to whom."""

    service = SECRETS_MANAGER

    def __init__(self, world: World, latency: float = 0.02) -> None:
        self.world = world
        self.latency = latency
        self.calls: Counter[str] = Counter()
        self.asked: list[tuple[str, Identity, tuple[str, ...]]] = []
        self.given: set[tuple[Identity, str, str]] = set()
        """(identity, ARN, version) of every value that ever went out."""

        self.broken: Callable[[str, Identity], str] = lambda operation, identity: ""
        """The error code with which this operation of that identity fails now, empty if it works."""

        self.queue = MemoryQueue()
        self.running = 0
        self.most_running = 0

    async def account(self) -> Account:
        return Account("aws", OPERATOR_ACCOUNT)

    known_account: Account | None = Account("aws", OPERATOR_ACCOUNT)
    """What is known of it without a call."""

    regions = REGIONS

    @property
    def region(self) -> str:
        return REGION

    async def get(self, ref: SecretRef) -> SecretValue:
        params = {"SecretId": ref.id, "VersionId": ref.version_id}
        if ref.stage or not ref.version_id:
            params["VersionStage"] = ref.stage or CURRENT
        answer = await self._perform("GetSecretValue", ref.identity, ref.region, params, (ref.id,))
        return self._give(ref.identity, answer)

    async def batch_get(self, identity: Identity, region: str, refs: Sequence[SecretRef]) -> Batch:
        operation, ids = "BatchGetSecretValue", [ref.id for ref in refs]
        answer = await self._perform(operation, identity, region, {"SecretIdList": ids}, tuple(ids))
        failures = {
            error["SecretId"]: _failure(
                error["ErrorCode"], error["Message"], operation, identity, error["SecretId"]
            )
            for error in answer["Errors"]
        }
        return batch_of(refs, [self._give(identity, raw) for raw in answer["SecretValues"]], failures)

    async def tags(self, ref: SecretRef) -> Mapping[str, str]:
        return tags_of(
            await self._perform("DescribeSecret", ref.identity, ref.region, {"SecretId": ref.id}, (ref.id,))
        )

    async def list_page(self, identity: Identity, region: str, token: str, *, latest_first: bool = False) -> Page:
        params: dict[str, Any] = {"NextToken": token, "IncludePlannedDeletion": True}
        if latest_first:
            params |= {"SortBy": "last-changed-date", "SortOrder": "desc"}
        answer = await self._perform("ListSecrets", identity, region, params, ())
        return Page([_dated(raw) for raw in answer["SecretList"]], answer.get("NextToken", ""))

    async def describe(self, ref: SecretRef) -> dict[str, Any]:
        params = {"SecretId": ref.id}
        answer = await self._perform("DescribeSecret", ref.identity, ref.region, params, (ref.id,))
        return _dated(answer) | {"SecretVersionsToStages": answer["VersionIdsToStages"]}

    async def call(
        self,
        identity: Identity,
        region: str,
        operation: str,
        params: dict[str, Any],
        *,
        secret: str = "",
        service: str = "secretsmanager",
        own: bool = False,
    ) -> dict[str, Any]:
        """As `Sessions` makes calls: for the `SecretsManager` of a whole process, and its `EventQueue`."""
        if service == "sqs":
            return await self.queue.call(identity, region, operation, params, service=service, own=own)
        answer = await self._perform(operation, identity, region, params, (secret,) if secret else ())
        if "SecretList" in answer:
            return answer | {"SecretList": [_dated(raw) for raw in answer["SecretList"]]}
        if "Parameters" in answer:
            return answer | {"Parameters": [_dated(raw) for raw in answer["Parameters"]]}
        return _dated(answer) if "LastChangedDate" in answer else answer

    async def assume(self, identity: Identity) -> None:
        """As `Sessions` does it, without a call of its own."""
        if identity.role and not self._role(identity).trusted:
            raise AwsError(_failure("AccessDenied", "", "AssumeRole", identity, ""))

    def _role(self, identity: Identity) -> Role:
        return self.world.roles.get(identity.role, Role(identity.role, trusted=False))

    async def _perform(
        self, operation: str, identity: Identity, region: str, params: dict[str, Any], ids: tuple[str, ...]
    ) -> dict[str, Any]:
        self.calls[operation] += 1
        self.asked.append((operation, identity, ids))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        secret = ids[0] if ids else ""
        try:
            await asyncio.sleep(self.latency)
            if code := self.broken(operation, identity):
                raise AwsError(_failure(code, "on demand", operation, identity, secret))
            role = self._role(identity)
            if identity.role and not role.trusted:
                raise AwsError(_failure("AccessDenied", "", "AssumeRole", identity, secret))
            who = Principal(role.account, identity.role, "test") if identity.role else Principal(OPERATOR_ACCOUNT)
            return self.world.perform(who, region, operation, params)
        except Refused as no:
            raise AwsError(_failure(no.code, no.sentence, operation, identity, secret)) from None
        finally:
            self.running -= 1

    def _give(self, identity: Identity, raw: dict[str, Any]) -> SecretValue:
        self.given.add((identity, raw["ARN"], raw["VersionId"]))
        binary = base64.b64decode(raw["SecretBinary"]) if "SecretBinary" in raw else None
        text, stages = raw.get("SecretString"), tuple(raw["VersionStages"])
        return SecretValue(raw["Name"], raw["ARN"], raw["VersionId"], text, binary, stages)


def _dated(raw: dict[str, Any]) -> dict[str, Any]:
    dates = {name: value for name, value in raw.items() if name.endswith("Date") and isinstance(value, float)}
    return raw | {name: datetime.fromtimestamp(value, UTC) for name, value in dates.items()}


def _failure(code: str, sentence: str, operation: str, identity: Identity, secret: str) -> Failure:
    return from_code(code, sentence, operation=operation, identity=identity, secret=secret)
