"""Clients and credentials: every call to AWS goes through `Sessions.call`.

There is one set of credentials per identity, for all regions. `call` returns a response from AWS, or raises AwsError.
It renews rejected credentials once. The SDK retries throttled and lost calls (standard mode, 4 attempts). Calls that
objects cause share the connections by role and region (`shares.py`). Those that the operator makes for itself (it
lists, receives events, asks for its account) have their own and never wait.

The operator's own account comes from sts:GetCallerIdentity, which needs no permission and no EC2 metadata.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiobotocore.session import AioSession
from botocore import xform_name
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError
from botocore.utils import parse_timestamp

from secretsyncer.aws.api.clients import ClientKey, Clients, least_needed
from secretsyncer.aws.api.credentials import AssumedRole, RoleCredentials
from secretsyncer.aws.api.http import SharedPool, check_endpoints, is_answer, trusted_bundle
from secretsyncer.aws.api.own_account import OwnAccount
from secretsyncer.aws.api.sdk_data import SlimFiles
from secretsyncer.aws.api.shares import PATIENCE, Full, Share, Shares
from secretsyncer.aws.arn import Account, home_of
from secretsyncer.aws.failures import AwsError, Failure, explain, unreadable
from secretsyncer.aws.identity import OPERATOR, Identity
from secretsyncer.aws.outcome import CallOutcome
from secretsyncer.aws.regions import REGIONS, Regions
from secretsyncer.errors import SettingsError
from secretsyncer.metrics import Metrics
from secretsyncer.proxies import proxy_for

OWN_CALLS = 10
"""Connections that objects never use: for listing, the events queue and the operator's own account."""

_KEPT_CREDENTIALS = 4096


class _Call(NamedTuple):
    """What `Sessions.call` is asked for."""

    key: ClientKey
    operation: str
    params: dict[str, Any]
    secret: str
    about: Identity
    own: bool


class Sessions:
    """All clients and credentials. An async context manager.

    `region` is that of the operator (empty: from AWS_REGION or the profile). `external_id` and `session_name` are the
    defaults for an Identity without them. `duration` is that of assumed roles, in seconds. One hour is the maximum for
    role chaining; a shorter one would need more renewals. `regions` are those that may be called.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        region: str = "",
        regions: Regions = REGIONS,
        max_clients: int = 128,
        external_id: str = "",
        session_name: str = "secretsyncer",
        duration: int = 3600,
    ) -> None:
        self._metrics = metrics
        self._region = region
        self.regions = regions
        self._external_id = external_id
        self._session_name = session_name
        self._duration = duration
        self._pool = SharedPool(metrics)
        self._session = AioSession()
        self._pool.count_calls_of(self._session)
        self._session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
        self._clients = Clients(self._session, self._pool, metrics, max_clients)
        self._shares = Shares(max(1, min(self._pool.connections, max_clients) - OWN_CALLS))
        self._roles: OrderedDict[Identity, AssumedRole] = OrderedDict()
        self._own: set[Identity] = set()
        self._own_generation = 0
        self._own_account = OwnAccount(self._ask_account)

    async def __aenter__(self) -> Self:
        try:
            self._session.get_component("data_loader").file_loader = SlimFiles()
            # This SDK reads only AWS_DEFAULT_REGION. EKS and the other SDKs use AWS_REGION.
            found = self._region or os.environ.get("AWS_REGION") or self._session.get_config_variable("region")
            if not found:
                raise SettingsError("AWS_REGION: no AWS region is set: set it to a region, such as eu-west-1")
            self._region = self.regions.check(found, "AWS_REGION")
            self._session.set_config_variable("region", self._region)
            if bundle := trusted_bundle(self._session.get_config_variable("ca_bundle")):
                self._session.set_config_variable("ca_bundle", bundle)
            check_endpoints(os.environ)
            proxy_for(f"https://sts.{self._region}.amazonaws.com", os.environ)  # raises what is wrong with it
        except ValueError as exc:
            raise SettingsError(f"AWS_REGION: {exc}") from None
        except BotoCoreError as exc:
            raise SettingsError(f"AWS configuration: {exc}") from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._own_account.aclose()
        await self._clients.aclose()
        await self._pool.aclose()

    @property
    def region(self) -> str:
        """The operator's region, known after the context is entered."""
        return self._region

    @property
    def known_account(self) -> Account | None:
        """The operator's account, if `account` has succeeded."""
        return self._own_account.known

    async def account(self) -> Account:
        """The account of the operator's own credentials. Raises Unavailable or Rejected."""
        return await self._own_account.get()

    async def missing_credentials(self) -> str:
        """AWS's code for why it does not accept the own credentials. Empty if it does, or if that is not known."""
        try:
            await self.call(OPERATOR, self._region, "GetCallerIdentity", {}, service="sts", own=True)
        except AwsError as exc:
            if exc.failure.outcome is CallOutcome.CREDENTIALS:
                return exc.failure.code or "none were found"
        return ""

    async def _ask_account(self) -> Account:
        answer = await self.call(OPERATOR, self._region, "GetCallerIdentity", {}, service="sts", own=True)
        home = home_of(str(answer["Arn"]))
        if home is None:
            raise AwsError(unreadable("GetCallerIdentity", OPERATOR))
        return home[0]

    async def assume(self, identity: Identity) -> None:
        """Assume the role of this identity, if it has one and that was not done. Raises AwsError."""
        if (role := self._role(identity)) is not None:
            await role.get_frozen_credentials()

    async def call(
        self,
        identity: Identity,
        region: str,
        operation: str,
        params: dict[str, Any],
        *,
        service: str,
        secret: str = "",
        about: Identity | None = None,
        own: bool = False,
    ) -> dict[str, Any]:
        """Call one operation as that identity. Raises AwsError.

        `secret`, and `about` if it is not the caller, are named in the text of an error. `own`: the operator needs it
        for itself, so it does not wait for the calls that objects cause.
        """
        if own:
            self._own.add(identity)
        self._check_region(identity, region, operation)
        call = _Call(ClientKey(service, identity, region), operation, params, secret, about or identity, own)
        role = self._role(identity)
        failure: Failure
        for last in (False, True):
            if role is not None:
                await role.get_frozen_credentials()  # here, its failure is not wrapped by the SDK
            generation = role.generation if role else self._own_generation
            answer = await (self._attempt(call, role) if own else self._in_turn(call, role))
            if not isinstance(answer, Failure):
                return answer
            failure = answer
            if failure.outcome is not CallOutcome.CREDENTIALS or last:
                break
            if role is not None:
                role.invalidate(generation)
            else:
                await self._reload_own(generation)
        raise AwsError(failure)

    def _check_region(self, identity: Identity, region: str, operation: str) -> None:
        """Whoever names a region has checked it before; this is for ARNs out of answers and statuses."""
        try:
            self.regions.check(region, f"what {identity} reads")
        except ValueError as exc:
            raise AwsError(Failure(CallOutcome.INVALID, str(exc), operation)) from None

    async def _in_turn(self, call: _Call, role: AssumedRole | None) -> dict[str, Any] | Failure:
        """A call that an object causes: it waits until its role and region may have another connection."""
        share = Share(call.about.role, f"{call.key.service} {call.key.region}")
        try:
            async with self._shares.turn(share) as turn:
                answer = await self._attempt(call, role)
                turn.answered = not isinstance(answer, Failure) or answer.outcome is not CallOutcome.NO_ANSWER
                return answer
        except Full:
            self._metrics.aws_calls_refused.inc()
            text = (
                f"{call.operation} of {call.about} had to wait for {PATIENCE:.0f} s: calls that AWS does not answer "
                "use its share of the connections"
            )
            return Failure(CallOutcome.NO_ANSWER, text, call.operation)

    async def _attempt(self, call: _Call, role: AssumedRole | None) -> dict[str, Any] | Failure:
        try:
            async with self._clients.client(call.key, role, own=call.own) as api:
                answer: dict[str, Any] = await getattr(api, xform_name(call.operation))(**call.params)
            if is_answer(call.operation, answer):
                return answer
            return unreadable(call.operation, call.about, call.secret)
        except AwsError:
            raise
        except Exception as exc:
            explained = explain(exc, call.operation, call.about, call.secret)
            if explained is None:
                raise
            return explained

    async def _reload_own(self, generation: int) -> None:
        """Reload the operator's own credentials: a file or the environment may have newer ones."""
        if generation != self._own_generation:
            return
        self._own_generation += 1
        session: Any = self._session
        session._credentials = None  # noqa: SLF001 - the SDK has no reload
        await self._clients.close_own()

    def _role(self, identity: Identity) -> AssumedRole | None:
        if not identity.role:
            return None
        role = self._roles.get(identity)
        if role is None:
            if len(self._roles) >= _KEPT_CREDENTIALS:
                del self._roles[least_needed(self._roles, self._roles, lambda kept: kept.role)]
            role = self._roles[identity] = AssumedRole(lambda: self._assume(identity))
        self._roles.move_to_end(identity)
        return role

    async def _assume(self, identity: Identity) -> RoleCredentials:
        params: dict[str, Any] = {
            "RoleArn": identity.role,
            "RoleSessionName": identity.session_name or self._session_name,
            "DurationSeconds": self._duration,
        }
        if external_id := identity.external_id or self._external_id:
            params["ExternalId"] = external_id
        answer = await self.call(
            *(OPERATOR, self._region, "AssumeRole", params),
            service="sts",
            about=identity,
            own=identity in self._own,
        )
        try:
            given = answer["Credentials"]
            frozen = ReadOnlyCredentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
            return RoleCredentials(frozen, given["Expiration"])
        except KeyError:
            raise AwsError(unreadable("AssumeRole", identity)) from None


def _timestamp(value: Any) -> datetime:
    """Parse AWS's timestamps (seconds; ISO 8601 in STS) without dateutil, which halves the cost of a page."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    try:
        parsed = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        parsed = parse_timestamp(value)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
