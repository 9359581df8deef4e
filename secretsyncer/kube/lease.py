"""Leader election with a Lease: one of several replicas is the leader.

The algorithm is that of client-go (`tools/leaderelection/leaderelection.go`). The holder renews the Lease regularly. A
candidate takes it if it has not changed for its duration, measured with the candidate's own monotonic clock, so the
clocks of other machines do not matter. Each write has the resourceVersion that was read, so one of two concurrent writes
fails. The holder gives up (`renew_deadline`) well before others may take over (`lease_duration`). After a pause of the
process, `fresh` reports that it may not write, before the loop notices.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from secretsyncer.errors import KubeError, SecretsyncerError
from secretsyncer.kube.objects import Object
from secretsyncer.kube.resources import LEASES, Resource
from secretsyncer.metrics import Metrics

log = logging.getLogger(__name__)

JITTER = 0.5
"""Attempts are this fraction to the whole of `retry_period` apart, so that replicas are not synchronised."""
RELEASE_TIMEOUT = 5.0


class LeaseLost(SecretsyncerError):  # noqa: N818 - what happened
    """Another process may be the leader: this one must end without another write."""


class LeaseApi(Protocol):
    """The part of `KubeClient` that is needed here."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object: ...

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object: ...

    async def replace(self, resource: Resource, namespace: str, name: str, body: Object) -> Object: ...


class LeaderElector:
    """One candidate. `identity` must be unique (host name and a uuid).

    Durations are in seconds. Raises ValueError unless lease_duration > renew_deadline > 1.2 * retry_period, and
    lease_duration is a whole number, as the API requires.
    """

    def __init__(
        self,
        client: LeaseApi,
        *,
        namespace: str,
        name: str,
        identity: str,
        lease_duration: float = 15.0,
        renew_deadline: float = 10.0,
        retry_period: float = 2.0,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        rand: Callable[[], float] = random.random,
    ) -> None:
        if not lease_duration > renew_deadline > 1.2 * retry_period > 0:
            raise ValueError("lease_duration > renew_deadline > 1.2 * retry_period does not hold")
        if lease_duration != int(lease_duration):
            raise ValueError("lease_duration is not a whole number of seconds")
        self.is_leader = False
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._lease_duration = lease_duration
        self._renew_deadline = renew_deadline
        self._retry_period = retry_period
        self._gauge = metrics.leader
        self._clock = clock
        self._rand = rand
        self._renewed = float("-inf")
        self._observed: Object | None = None
        self._observed_at = 0.0
        self._gauge.set(0)

    def fresh(self) -> bool:
        """Whether nobody else can be the leader yet, from the start of the last successful renewal.

        Check it before each write. The rest of the Lease (`lease_duration - renew_deadline`) is the time for the write
        to arrive.
        """
        return self.is_leader and self._clock() - self._renewed < self._renew_deadline

    async def acquire(self) -> None:
        """Wait until this process is the leader."""
        trouble = ""
        while True:
            try:
                async with asyncio.timeout(self._renew_deadline / 2):
                    if await self._try():
                        break
                trouble = ""
            except (KubeError, TimeoutError) as error:
                if not trouble:
                    log.warning("lease not read", extra=self._fields(error=_text(error)))
                trouble = _text(error)
            await asyncio.sleep(self._retry_period * (1 - JITTER * self._rand()))
        self.is_leader = True
        self._gauge.set(1)
        log.info("lease acquired", extra=self._fields())

    async def hold(self) -> None:
        """Renew for ever. Raises LeaseLost if another holds the Lease, or if renewals fail for too long."""
        try:
            while True:
                await asyncio.sleep(self._retry_period)
                await self._renew()
        except LeaseLost as error:
            self._step_down()
            log.error("lease lost", extra=self._fields(error=str(error)))  # noqa: TRY400 - it says all
            raise

    async def release(self) -> None:
        """Release the Lease if this process holds it. Call it after all work has ended."""
        if not self.is_leader:
            return
        self._step_down()
        try:
            async with asyncio.timeout(RELEASE_TIMEOUT):
                # Read again: a renewal that was cancelled may or may not have been written.
                lease = await self._read()
                if lease is not None and _holder(lease) == self._identity:
                    # Left out, because newer servers reject "".
                    spec = {**lease["spec"], "leaseDurationSeconds": 1, "renewTime": _timestamp()}
                    await self._write(lease, {f: v for f, v in spec.items() if f != "holderIdentity"})
        except (KubeError, TimeoutError) as error:
            log.warning("lease not released", extra=self._fields(error=_text(error)))
        else:
            log.info("lease released", extra=self._fields())

    async def _try(self) -> bool:
        """One attempt to become the leader."""
        started = self._clock()
        lease = await self._read()
        if lease is not None and not self._is_free(lease):
            return False
        try:
            await self._claim(lease)
        except KubeError as error:
            if error.status == 409:  # another candidate was faster
                return False
            raise
        self._renewed = started
        return True

    async def _renew(self) -> None:
        """One renewal. A connection that hangs takes at most half of the time, so that one more attempt fits."""
        started = self._clock()
        remaining = self._renewed + self._renew_deadline - started
        if remaining <= 0:
            raise LeaseLost(f"the lease was not renewed for {started - self._renewed:.1f} s")
        try:
            async with asyncio.timeout(min(remaining, self._renew_deadline / 2)):
                lease = await self._read()
                # No holder counts, too: another process may have been the leader in between.
                if lease is not None and _holder(lease) != self._identity:
                    raise LeaseLost(f"the lease is held by {_holder(lease) or 'nobody'}")
                await self._claim(lease)
        except (KubeError, TimeoutError) as error:
            log.warning("lease not renewed", extra=self._fields(error=_text(error)))
        else:
            self._renewed = started

    def _is_free(self, lease: Object) -> bool:
        """Held by us, by nobody, or seen unrenewed for its whole duration."""
        spec = lease.get("spec") or {}
        now = self._clock()
        if spec != self._observed:
            self._observed, self._observed_at = spec, now
        duration = spec.get("leaseDurationSeconds") or self._lease_duration
        return _holder(lease) in {"", self._identity} or now - self._observed_at >= duration

    async def _read(self) -> Object | None:
        try:
            return await self._client.get(LEASES, self._namespace, self._name)
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    async def _claim(self, lease: Object | None) -> None:
        """Write this process as the holder."""
        old = (lease or {}).get("spec") or {}
        ours = old.get("holderIdentity") == self._identity
        now = _timestamp()
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._lease_duration),
            "acquireTime": old.get("acquireTime") if ours else now,
            "renewTime": now,
            "leaseTransitions": (old.get("leaseTransitions") or 0) + (1 if old and not ours else 0),
        }
        if lease is not None:
            await self._write(lease, spec)
            return
        metadata = {"namespace": self._namespace, "name": self._name}
        body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}
        await self._client.create(LEASES, self._namespace, body)

    async def _write(self, lease: Object, spec: Object) -> None:
        """Write the Lease. 409 if it has changed since it was read."""
        await self._client.replace(LEASES, self._namespace, self._name, {**lease, "spec": spec})

    def _step_down(self) -> None:
        self.is_leader = False
        self._gauge.set(0)

    def _fields(self, **fields: Any) -> dict[str, Any]:
        return {"lease": f"{self._namespace}/{self._name}", "identity": self._identity, **fields}


def _holder(lease: Object) -> str:
    return str((lease.get("spec") or {}).get("holderIdentity") or "")


def _timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _text(error: Exception) -> str:
    return str(error) or "no answer in time"
