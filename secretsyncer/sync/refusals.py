"""Failures of writes: what an error of the Kubernetes API means for an object.

Messages have no values. Others may quote the Secret as it is in the cluster, so `refusal` reads it to find its values.
"""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

from secretsyncer.errors import KubeError, Reason, Rejected, SyncFailure, Unavailable
from secretsyncer.kube.objects import Key, Object
from secretsyncer.kube.resources import SECRETS, Resource
from secretsyncer.sync.scrub import scrub

_DENIED = re.compile(r"denied (the )?request|exceeded quota", re.ASCII)
"""How a ValidatingAdmissionPolicy, an admission webhook and a ResourceQuota say that they refuse an object."""
_FOREIGN = re.compile(r"denied (the )?request|webhook", re.ASCII)
"""Texts that others than the API server had a part in: they may quote the Secret before and after the write."""

_THREADS = ThreadPoolExecutor(2, thread_name_prefix="refusals")
"""They search for values in messages, which takes most of a second for a megabyte. More would slow down the event loop."""


class Reader(Protocol):
    """The part of `KubeClient` that is needed here."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object: ...


def check_lease(may_write: Callable[[], bool]) -> None:
    """Raises Unavailable if another process may lead by now."""
    if not may_write():
        raise Unavailable(Reason.KUBERNETES_ERROR, "this process does not hold the lease any more")


async def refusal(api: Reader, error: KubeError, key: Key, sent: Iterable[bytes]) -> SyncFailure:
    """The failure for a write of the Secret, without the values that were sent and those that are there now."""
    what = f"Secret {key}"
    if not _FOREIGN.search(f"{error.reason} {error.message}"):
        return await _in_a_thread(error, what, sent)
    try:
        present = await api.get(SECRETS, key.namespace, key.name)
    except KubeError as unread:
        if unread.status != 404:
            withheld = (
                "an admission policy or webhook refuses it; its message is withheld, as it may quote the Secret"
            )
            return Unavailable(Reason.KUBERNETES_ERROR, f"{what}: {withheld}")
        present = {}
    there = [b64decode(value) for value in (present.get("data") or {}).values()]
    return await _in_a_thread(error, what, [*sent, *there])


async def _in_a_thread(error: KubeError, what: str, hide: Iterable[bytes]) -> SyncFailure:
    return await asyncio.get_running_loop().run_in_executor(
        _THREADS, partial(as_failure, error, what, hide=[*hide])
    )


def as_failure(error: KubeError, what: str, *, hide: Iterable[bytes] = ()) -> SyncFailure:
    """The failure for an error of the API: rejected, or to be retried. `hide` are values that must not be shown."""
    # The rest may quote the whole object, for example if the server cannot decode a patch.
    said = error.message.partition("Invalid value")
    if is_denial(error):
        return Rejected(Reason.ADMISSION_DENIED, f"{what}: {scrub(said[0] + said[1], hide)}")
    # A webhook chooses the reason, too.
    text = scrub(f"{error.reason}: {said[0]}{said[1]}", hide)
    message = f"{what}: the Kubernetes API says {error.status or 'nothing'} {text}"
    if error.status in {400, 413, 422}:
        fixed = "field is immutable" in error.message
        return Rejected(Reason.CONFLICT if fixed else Reason.INVALID_SPEC, message)
    return Unavailable(Reason.KUBERNETES_ERROR, message, retry_after=error.retry_after)


def is_denial(error: KubeError) -> bool:
    """Whether a policy, webhook or quota refuses the object. A webhook chooses the status of its refusal."""
    return 400 <= error.status < 500 and error.status != 429 and bool(_DENIED.search(error.message))
