"""Clients and credentials: every call to AWS goes through `Sessions.call`.

There is one client per (identity, region), created on first use. At most `max_clients` are kept; the least recently
used one that is idle is closed. There is one set of credentials per identity, for all regions. `call` returns a
response from AWS, or raises AwsError. It renews rejected credentials once. The SDK retries throttled and lost calls
(standard mode, 4 attempts).

The operator's own account comes from sts:GetCallerIdentity, which needs no permission and no EC2 metadata.
"""

from __future__ import annotations

import asyncio
import copy
import os
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore import xform_name
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError
from botocore.utils import parse_timestamp
from cachetools import LRUCache

from secretsyncer.aws.api.credentials import AssumedRole, RoleCredentials
from secretsyncer.aws.api.http import SharedPool, is_answer, trusted_bundle
from secretsyncer.aws.arn import Account, check_region, home_of
from secretsyncer.aws.codes import CallOutcome
from secretsyncer.aws.failure_memory import FailureMemory
from secretsyncer.aws.failures import AwsError, explain, unreadable, without_credentials
from secretsyncer.aws.identity import OPERATOR, Identity
from secretsyncer.errors import SettingsError
from secretsyncer.loops import loop_time
from secretsyncer.metrics import Metrics
from secretsyncer.proxies import proxy_for

CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 25.0
"""Seconds for each attempt of a call. More than the 20 s of an SQS long poll."""

_RETRIES: Any = {"mode": "standard", "total_max_attempts": 4}
_KEPT_CREDENTIALS = 4096


class _Key(NamedTuple):
    service: str
    identity: Identity
    region: str


class _Client:
    """An open client, and the number of calls that use it."""

    __slots__ = ("api", "context", "users")

    def __init__(self, context: Any, api: Any) -> None:
        self.context = context
        self.api = api
        self.users = 0


class Sessions:
    """All clients and credentials. An async context manager.

    `region` is that of the operator (empty: from AWS_REGION or the profile). `external_id` and `session_name` are the
    defaults for an Identity without them. `duration` is that of assumed roles, in seconds. One hour is the maximum for
    role chaining; a shorter one would need more renewals.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        region: str = "",
        max_clients: int = 128,
        external_id: str = "",
        session_name: str = "secretsyncer",
        duration: int = 3600,
    ) -> None:
        self._metrics = metrics
        self._region = region
        self._max_clients = max_clients
        self._external_id = external_id
        self._session_name = session_name
        self._duration = duration
        self._pool = SharedPool(metrics)
        self._session = AioSession()
        self._pool.count_calls_of(self._session)
        self._session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
        self._clients: OrderedDict[_Key, _Client] = OrderedDict()
        self._making = asyncio.Lock()
        self._roles: LRUCache[Identity, AssumedRole] = LRUCache(_KEPT_CREDENTIALS)
        self._own_generation = 0
        self._account: Account | None = None
        self._asking = asyncio.Lock()
        self._nobody = FailureMemory()

    async def __aenter__(self) -> Self:
        try:
            # This SDK reads only AWS_DEFAULT_REGION. EKS and the other SDKs use AWS_REGION.
            found = self._region or os.environ.get("AWS_REGION") or self._session.get_config_variable("region")
            self._region = check_region(found or "")
            self._session.set_config_variable("region", self._region)
            if bundle := trusted_bundle(self._session.get_config_variable("ca_bundle")):
                self._session.set_config_variable("ca_bundle", bundle)
            proxy_for(f"https://sts.{self._region}.amazonaws.com", os.environ)  # raises what is wrong with it
        except ValueError:
            raise SettingsError("AWS_REGION: no AWS region is set, or not a valid one") from None
        except BotoCoreError as exc:
            raise SettingsError(f"AWS configuration: {exc}") from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        clients, self._clients = list(self._clients.values()), OrderedDict()
        for client in clients:
            await client.context.__aexit__(None, None, None)
        self._metrics.aws_clients.set(0)
        await self._pool.aclose()

    @property
    def region(self) -> str:
        """The operator's region, known after the context is entered."""
        return self._region

    @property
    def known_account(self) -> Account | None:
        """The operator's account, if `account` has succeeded."""
        return self._account

    async def account(self) -> Account:
        """The account of the operator's own credentials. It is read once; failures are retried with backoff.

        Raises Unavailable or Rejected.
        """
        if self._account is None:
            async with self._asking:
                if self._account is None:
                    self._account = await self._ask_account()
        return self._account

    async def _ask_account(self) -> Account:
        failure = self._nobody.standing(loop_time())
        if failure is None:
            try:
                answer = await self.call(OPERATOR, self._region, "GetCallerIdentity", {}, service="sts")
                home = home_of(str(answer["Arn"]))
                if home is not None:
                    return home[0]
                failure = unreadable("GetCallerIdentity", OPERATOR)
            except AwsError as exc:
                failure = exc.failure
            failure = self._nobody.note(failure, loop_time())
        raise failure.error()

    async def call(
        self,
        identity: Identity,
        region: str,
        operation: str,
        params: dict[str, Any],
        *,
        service: str = "secretsmanager",
        secret: str = "",
        about: Identity | None = None,
    ) -> dict[str, Any]:
        """Call one operation as that identity. Raises AwsError.

        `secret`, and `about` if it is not the caller, are named in the text of an error.
        """
        key, role = _Key(service, identity, region), self._role(identity)
        about = about or identity
        for last in (False, True):
            if role is not None:
                await role.get_frozen_credentials()  # here, its failure is not wrapped by the SDK
            generation = role.generation if role else self._own_generation
            try:
                async with self._client(key, role) as api:
                    answer: dict[str, Any] = await getattr(api, xform_name(operation))(**params)
                if is_answer(operation, answer):
                    return answer
                failure = unreadable(operation, about, secret)
            except AwsError:
                raise
            except Exception as exc:
                explained = explain(exc, operation, about, secret)
                if explained is None:
                    raise
                failure = explained
            if failure.outcome is not CallOutcome.CREDENTIALS or last:
                break
            if role is not None:
                role.invalidate(generation)
            else:
                await self._reload_own(generation)
        raise AwsError(failure)

    async def _reload_own(self, generation: int) -> None:
        """Reload the operator's own credentials: a file or the environment may have newer ones."""
        if generation != self._own_generation:
            return
        self._own_generation += 1
        session: Any = self._session
        session._credentials = None  # noqa: SLF001 - the SDK has no reload
        for key in [key for key in self._clients if not key.identity.role]:
            await self._evict(key)

    def _role(self, identity: Identity) -> AssumedRole | None:
        if not identity.role:
            return None
        role = self._roles.get(identity)
        if role is None:
            role = self._roles[identity] = AssumedRole(lambda: self._assume(identity))
        return role

    async def _assume(self, identity: Identity) -> RoleCredentials:
        params: dict[str, Any] = {
            "RoleArn": identity.role,
            "RoleSessionName": identity.session_name or self._session_name,
            "DurationSeconds": self._duration,
        }
        if external_id := identity.external_id or self._external_id:
            params["ExternalId"] = external_id
        answer = await self.call(OPERATOR, self._region, "AssumeRole", params, service="sts", about=identity)
        try:
            given = answer["Credentials"]
            frozen = ReadOnlyCredentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
            return RoleCredentials(frozen, given["Expiration"])
        except KeyError:
            raise AwsError(unreadable("AssumeRole", identity)) from None

    @asynccontextmanager
    async def _client(self, key: _Key, role: AssumedRole | None) -> AsyncIterator[Any]:
        client = self._clients.get(key)
        if client is None:
            async with self._making:
                client = self._clients.get(key) or await self._open(key, role)
        if key in self._clients:
            self._clients.move_to_end(key)
        client.users += 1
        try:
            yield client.api
        finally:
            client.users -= 1

    async def _open(self, key: _Key, role: AssumedRole | None) -> _Client:
        session: Any = self._session
        if role is not None:
            session = copy.copy(session)  # shares models and loaders; a new session would cost 8 MB
            session._credentials = role  # noqa: SLF001 - create_client takes no credentials object
        config = AioConfig(
            retries=_RETRIES,
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            max_pool_connections=self._pool.connections,
            http_session_cls=self._pool.http_session_cls,
        )
        try:
            context = session.create_client(key.service, region_name=key.region, config=config)
            client = _Client(context, await context.__aenter__())
        except AwsError:
            raise
        except Exception as exc:  # whatever a setting, a file or a process of the SDK's search leads to
            raise AwsError(without_credentials(exc, f"client of {key.service}")) from exc
        self._clients[key] = client
        self._metrics.aws_clients.set(len(self._clients))
        idle = [other for other, held in self._clients.items() if not held.users and other != key]
        for other in idle[: max(len(self._clients) - self._max_clients, 0)]:
            await self._evict(other)
        return client

    async def _evict(self, key: _Key) -> None:
        client = self._clients.pop(key, None)
        self._metrics.aws_clients.set(len(self._clients))
        if client is not None:
            # Closing is safe during a call, because the connections belong to the shared pool.
            await client.context.__aexit__(None, None, None)


def _timestamp(value: Any) -> datetime:
    """Parse AWS's timestamps (seconds; ISO 8601 in STS) without dateutil, which halves the cost of a page."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    try:
        parsed = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        parsed = parse_timestamp(value)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
