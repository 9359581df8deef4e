"""`secretsyncer render --diff`: the differences between the rendered Secrets and those in the cluster. Writes nothing.

Each difference is one key, with the length and a digest of the value, or the value itself if the user asks for it. The
digests are keyed with a random key, so they are useless after this run.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from hashlib import blake2b

from secretsyncer.errors import KubeError, SettingsError
from secretsyncer.kube.client import KubeClient
from secretsyncer.kube.objects import Object
from secretsyncer.kube.resources import SECRETS
from secretsyncer.metrics import Metrics
from secretsyncer.sync.secret_plan import MANAGED_METADATA

_KEY = secrets.token_bytes(32)


async def differences(rendered: list[Object], metrics: Metrics, *, reveal: bool) -> list[str]:
    """One line for each key, type or label that differs from the cluster."""
    client = await KubeClient.connect(metrics=metrics)
    lines: list[str] = []
    try:
        for secret in rendered:
            namespace, name = secret["metadata"]["namespace"], secret["metadata"]["name"]
            try:
                live = await client.get(SECRETS, namespace, name)
            except KubeError as error:
                if error.status != 404:
                    raise SettingsError(f"Secret {namespace}/{name}: {error}") from None
                live = None
            lines.extend(f"{namespace}/{name}: {line}" for line in _compare(secret, live, reveal=reveal))
    finally:
        await client.close()
    return lines


def _compare(wanted: Object, live: Object | None, *, reveal: bool) -> Iterator[str]:
    if live is None:
        yield "would be created"
    have = (live or {}).get("data") or {}
    for key in sorted(wanted["data"].keys() | have.keys()):
        old, new = have.get(key), wanted["data"].get(key)
        if old is None:
            yield f"+ {key} {_shown(new, reveal=reveal)}"
        elif new is None:
            yield f"- {key} {_shown(old, reveal=reveal)}"
        elif old != new:
            yield f"~ {key} {_shown(old, reveal=reveal)} -> {_shown(new, reveal=reveal)}"
    if live:
        yield from _compare_form(wanted, live)


def _compare_form(wanted: Object, live: Object) -> Iterator[str]:
    """Everything but the data. A Secret keeps its type unless the spec asks for one."""
    if wanted["type"] not in {"Opaque", live.get("type")}:
        yield f"~ type {live.get('type')} -> {wanted['type']}"
    if wanted.get("immutable") and not live.get("immutable"):
        yield "~ immutable"
    for kind, field in (("label", "labels"), ("annotation", "annotations")):
        have = live["metadata"].get(field) or {}
        for name, value in sorted((wanted["metadata"].get(field) or {}).items()):
            if have.get(name) != value and name != MANAGED_METADATA:
                yield f"~ {kind} {name}={value}"


def _shown(encoded: str, *, reveal: bool) -> str:
    """The value, or its length and its digest."""
    value = base64.b64decode(encoded)
    if not reveal:
        return f"({len(value)} bytes, {blake2b(value, key=_KEY, digest_size=4).hexdigest()})"
    try:
        return repr(value.decode())
    except UnicodeDecodeError:
        return f"base64:{encoded}"
