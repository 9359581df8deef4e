"""The open clients of the SDK: one for each service, identity and region, created on first use.

At most `limit` are kept. Each running call uses one, and calls are bounded (`shares.py`), so that the number holds even
while all calls hang. A client that nobody uses is closed for a new one: that of the role with the most clients, the
least recently used first, so that a role with many identities and regions closes its own.
"""

from __future__ import annotations

import asyncio
import copy
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from secretsyncer.aws.api.credentials import AssumedRole
from secretsyncer.aws.api.http import SharedPool
from secretsyncer.aws.failures import AwsError, without_credentials
from secretsyncer.aws.identity import Identity
from secretsyncer.metrics import Metrics

CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 25.0
"""Seconds for each attempt of a call. More than the 20 s of an SQS long poll."""

_RETRIES: Any = {"mode": "standard", "total_max_attempts": 4}

K = TypeVar("K")


def least_needed(candidates: Collection[K], all_: Collection[K], role: Callable[[K], str]) -> K:
    """The first candidate of the role that has the most of all."""
    have = Counter(map(role, all_))
    return max(candidates, key=lambda one: have[role(one)])


class ClientKey(NamedTuple):
    """What a client is for."""

    service: str
    identity: Identity
    region: str


class _Client:
    """An open client, the number of calls that use it, and whether the operator needs it for itself."""

    __slots__ = ("api", "context", "own", "users")

    def __init__(self, context: Any, api: Any) -> None:
        self.context = context
        self.api = api
        self.own = False
        self.users = 0


class Clients:
    """The clients of one session."""

    def __init__(self, session: AioSession, pool: SharedPool, metrics: Metrics, limit: int) -> None:
        self._session = session
        self._pool = pool
        self._count = metrics.aws_clients
        self._limit = limit
        self._clients: OrderedDict[ClientKey, _Client] = OrderedDict()
        self._making = asyncio.Lock()

    @asynccontextmanager
    async def client(self, key: ClientKey, role: AssumedRole | None, *, own: bool) -> AsyncIterator[Any]:
        """The client, which is not closed meanwhile. `own` ones are not closed for others. Raises AwsError."""
        client = self._clients.get(key)
        if client is None:
            async with self._making:
                client = self._clients.get(key) or await self._open(key, role)
        if key in self._clients:
            self._clients.move_to_end(key)
        client.own = client.own or own
        client.users += 1
        try:
            yield client.api
        finally:
            client.users -= 1

    async def close_own(self) -> None:
        """Close those of the operator's own identity, because its credentials are read again."""
        for key in [key for key in self._clients if not key.identity.role]:
            await self._close(key)

    async def aclose(self) -> None:
        """Close all."""
        for key in list(self._clients):
            await self._close(key)

    async def _open(self, key: ClientKey, role: AssumedRole | None) -> _Client:
        while len(self._clients) >= self._limit:
            idle = [other for other, held in self._clients.items() if not held.users and not held.own]
            if not idle:
                break
            await self._close(least_needed(idle, self._clients, lambda key: key.identity.role))
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
        self._count.set(len(self._clients))
        return client

    async def _close(self, key: ClientKey) -> None:
        client = self._clients.pop(key, None)
        self._count.set(len(self._clients))
        if client is not None:
            # Closing is safe during a call, because the connections belong to the shared pool.
            await client.context.__aexit__(None, None, None)
