"""`secretsyncer render --diff`: the differences between the rendered Secrets and those in the cluster. Writes nothing.

Each difference is one key, with the length and a digest of the value, or the value itself if the user asks for it. The
digests are keyed with a random key, so they are useless after this run. A summary says how many Secrets are the same.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from secretsyncer.commands.progress import Progress
from secretsyncer.errors import KubeError, SettingsError
from secretsyncer.kube.client import KubeClient
from secretsyncer.kube.objects import Object
from secretsyncer.kube.resources import SECRETS
from secretsyncer.metrics import Metrics
from secretsyncer.sync import held_keys
from secretsyncer.sync.marks import MARK, SOME_KEYS, is_managed
from secretsyncer.sync.secret_plan import MANAGED_METADATA

_KEY = secrets.token_bytes(32)
_AT_A_TIME = 8
_NAMED = 10
"""Suspended objects that the summary names."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How one Secret differs: a line for each key, type or label, and their names."""

    name: str
    lines: tuple[str, ...] = field(repr=False)
    what: tuple[str, ...]


async def differences(rendered: list[Object], metrics: Metrics, *, reveal: bool) -> list[Difference]:
    """How the Secrets in the cluster differ, in order."""
    client = await KubeClient.connect(metrics=metrics)
    progress = Progress("Secrets compared", len(rendered))
    slots = asyncio.Semaphore(_AT_A_TIME)

    async def compared(secret: Object) -> Difference:
        namespace, name = secret["metadata"]["namespace"], secret["metadata"]["name"]
        async with slots:
            try:
                live = await client.get(SECRETS, namespace, name)
            except KubeError as error:
                if error.status != 404:
                    raise SettingsError(f"Secret {namespace}/{name}: {error}") from None
                live = None
        progress.step()
        return _difference(f"{namespace}/{name}", secret, live, reveal=reveal)

    try:
        return await asyncio.gather(*(compared(secret) for secret in rendered))
    finally:
        await client.close()


def summary(found: Sequence[Difference], failed: int, suspended: Sequence[str] = ()) -> str:
    """How many Secrets are the same, and what differs in the others. The operator writes nothing of suspended objects."""
    other = [difference for difference in found if difference.lines]
    errors = f", {_count(failed, 'object')} with an error" if failed else ""
    count = f"{_count(len(found) - len(other), 'Secret')} the same, {len(other)} differ{errors}"
    lines = [f"{count}:" if other else count, *(f"  {it.name}: {', '.join(it.what)}" for it in other)]
    if suspended:
        more = f" and {len(suspended) - _NAMED} more" if len(suspended) > _NAMED else ""
        lines.append(
            f"{_count(len(suspended), 'suspended object')} left out: {', '.join(suspended[:_NAMED])}{more}"
        )
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _difference(name: str, wanted: Object, live: Object | None, *, reveal: bool) -> Difference:
    merges = wanted["metadata"]["labels"].get(MARK) == SOME_KEYS
    if live and merges:
        live = _own_part(wanted, live)
    data = list(_compare_data(wanted, live, reveal=reveal))
    if live and not merges and not is_managed(live) and (live.get("data") or {}).keys() - wanted["data"].keys():
        data.append(("", "not managed by secretsyncer: its keys are removed only with spec.adopt: true"))
    form = list(_compare_form(wanted, live)) if live else []
    keys = [key for key, _ in data if key]
    what = ["is missing"] if live is None else [f"key{'s' * (len(keys) > 1)} {', '.join(keys)}"] if keys else []
    return Difference(
        name,
        tuple(f"{name}: {line}" for _, line in (*data, *form)),
        (*what, *dict.fromkeys(kind for kind, _ in form)),
    )


def _own_part(wanted: Object, live: Object) -> Object:
    """The Secret in the cluster without the keys that are no business of the object."""
    ours = held_keys.read(wanted["metadata"].get("annotations") or {})
    theirs = held_keys.read(live["metadata"].get("annotations") or {})
    own = {key for name in ours if name in theirs for key in theirs[name].keys} | wanted["data"].keys()
    return {**live, "data": {key: value for key, value in (live.get("data") or {}).items() if key in own}}


def _compare_data(wanted: Object, live: Object | None, *, reveal: bool) -> Iterator[tuple[str, str]]:
    if live is None:
        yield "", "would be created"
    have = (live or {}).get("data") or {}
    for key in sorted(wanted["data"].keys() | have.keys()):
        old, new = have.get(key), wanted["data"].get(key)
        if old is None:
            yield key, f"+ {key} {_shown(new, reveal=reveal)}"
        elif new is None:
            yield key, f"- {key} {_shown(old, reveal=reveal)}"
        elif old != new:
            yield key, f"~ {key} {_shown(old, reveal=reveal)} -> {_shown(new, reveal=reveal)}"


def _compare_form(wanted: Object, live: Object) -> Iterator[tuple[str, str]]:
    """Everything but the data. A Secret keeps its type unless the spec asks for one."""
    if wanted["type"] not in {"Opaque", live.get("type")}:
        yield "type", f"~ type {live.get('type')} -> {wanted['type']}"
    if wanted.get("immutable") and not live.get("immutable"):
        yield "immutable", "~ immutable"
    for kind, part in (("label", "labels"), ("annotation", "annotations")):
        have = live["metadata"].get(part) or {}
        for name, value in sorted((wanted["metadata"].get(part) or {}).items()):
            if have.get(name) != value and name not in {MANAGED_METADATA, MARK, held_keys.HELD}:
                yield kind, f"~ {kind} {name}={value}"


def _shown(encoded: str, *, reveal: bool) -> str:
    """The value, or its length and its digest."""
    value = base64.b64decode(encoded)
    if not reveal:
        return f"({len(value)} bytes, {blake2b(value, key=_KEY, digest_size=4).hexdigest()})"
    try:
        return repr(value.decode())
    except UnicodeDecodeError:
        return f"base64:{encoded}"
