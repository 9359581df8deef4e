"""`secretsyncer render --from-aws` and `--diff`: the same rendering, against the real AWS and the real cluster.

Nothing is written. Differences are shown by key, with digests that mean nothing outside of this run, unless the
user asks to see the values.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Any

from secretsyncer.aws.api.secretsmanager import SecretsManager
from secretsyncer.aws.api.sessions import Sessions
from secretsyncer.aws.listing.poller import Poller
from secretsyncer.aws.values.cache import SecretCache
from secretsyncer.commands.render import Renderer
from secretsyncer.errors import KubeError, SettingsError, SyncFailure
from secretsyncer.gotemplate.engine import TemplateEngine
from secretsyncer.kube.client import KubeClient
from secretsyncer.kube.resources import SECRETS
from secretsyncer.metrics import Metrics
from secretsyncer.settings import Settings
from secretsyncer.sync.authorize import Rules
from secretsyncer.sync.fetch import Reader
from secretsyncer.sync.secret_plan import MANAGED_METADATA

_KEY = secrets.token_bytes(32)


@asynccontextmanager
async def aws_renderer(settings: Settings, engine: TemplateEngine, metrics: Metrics) -> AsyncIterator[Renderer]:
    """A renderer that lists and reads AWS as the operator would, with the credentials of this shell."""
    async with Sessions(
        metrics, external_id=settings.role_external_id, session_name=settings.role_session_name
    ) as sessions:
        api = SecretsManager(sessions)
        cache = SecretCache(api, metrics, region=sessions.region)
        poller = Poller(
            api,
            sessions,
            cache,
            metrics,
            interval=settings.poll_interval_sec,
            search_role=settings.poll_default_search_role,
            referenced=tuple,
            on_change=lambda *_: None,
        )
        try:
            await poller.poll_once()
            account = await sessions.account()
            reader = Reader(cache, engine, metrics)
            rules = Rules(settings.ns_annotation, settings.require_ns_annotation)
            yield Renderer(reader, poller.catalogue, account, rules)
        except SyncFailure as failure:
            raise SettingsError(f"AWS: {failure.message}") from None
        finally:
            await cache.aclose()


async def differences(rendered: list[dict[str, Any]], metrics: Metrics, *, reveal: bool) -> list[str]:
    """One line for each key, type or label of the Secrets that is not what the cluster has."""
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


def _compare(wanted: dict[str, Any], live: dict[str, Any] | None, *, reveal: bool) -> Iterator[str]:
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


def _compare_form(wanted: dict[str, Any], live: dict[str, Any]) -> Iterator[str]:
    """What is not data. A Secret keeps its type unless the spec asks for one."""
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
    """The value, or its length and a digest that is of use within this run only."""
    value = base64.b64decode(encoded)
    if not reveal:
        return f"({len(value)} bytes, {blake2b(value, key=_KEY, digest_size=4).hexdigest()})"
    try:
        return repr(value.decode())
    except UnicodeDecodeError:
        return f"base64:{encoded}"
