"""HTTP for all AWS clients: one connection pool, one SSL context, and the metrics of calls.

Each client of the SDK would create its own pool and load the CA bundle again (40 ms and 1 MB each). Here, all clients
share one `aiohttp.ClientSession` per proxy. Every HTTP attempt, including the retries of the SDK and AssumeRole, is
counted and timed through botocore's events.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from types import NoneType
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.httpsession import ProxyConfiguration

from secretsyncer.aws.codes import outcome_of
from secretsyncer.aws.outcome import CallOutcome
from secretsyncer.aws.services import SERVICES
from secretsyncer.errors import SettingsError
from secretsyncer.metrics import Metrics
from secretsyncer.proxies import proxy_for

REQUIRED: Mapping[str, Mapping[str, type]] = {
    "AssumeRole": {"Credentials": dict},
    "GetCallerIdentity": {"Account": str, "Arn": str},
    **{operation: fields for service in SERVICES.values() for operation, fields in service.answers.items()},
}
"""Fields of a response from AWS, with their types. The SDK parses a proxy's page with status 200 to a dict without them."""

_ENDPOINTS = (
    "AWS_ENDPOINT_URL",
    *(f"AWS_ENDPOINT_URL_{name}" for name in ("SECRETS_MANAGER", "SSM", "STS", "SQS")),
)
_STARTED = "secretsyncer.started"
_ANY_OF = frozenset({"BatchGetSecretValue", "GetParameters"})
"""Operations whose responses may lack some of the fields."""


def is_answer(operation: str, parsed: Any) -> bool:
    """Whether this is a successful response of AWS. `parsed` can be anything."""
    if not isinstance(parsed, dict):
        return False
    if operation not in REQUIRED:
        # The response may be empty. Then only this header distinguishes it from a proxy's page.
        return bool((parsed.get("ResponseMetadata") or {}).get("RequestId"))
    fields = REQUIRED[operation]
    right = all(isinstance(parsed.get(field), kind | NoneType) for field, kind in fields.items())
    test = any if operation in _ANY_OF else all
    return right and test(parsed.get(field) is not None for field in fields)


def trusted_bundle(configured: str | None) -> str | None:
    """The file with the trusted authorities: AWS's own setting, or else SSL_CERT_FILE, as in Go and OpenSSL.

    None: those of the SDK. Raises SettingsError if the file cannot be used.
    """
    bundle = configured or os.environ.get("SSL_CERT_FILE")
    if bundle:
        try:
            ssl.create_default_context(cafile=bundle)
        except OSError as exc:  # ssl.SSLError is one
            raise SettingsError(f"AWS_CA_BUNDLE or SSL_CERT_FILE: {bundle}: {exc.strerror or exc}") from None
    return bundle


def check_endpoints(environment: Mapping[str, str]) -> None:
    """Raises SettingsError that names the variable if an endpoint is not a URL. The SDK says it only at the first call."""
    for name in _ENDPOINTS:
        try:
            parts = urlsplit(environment.get(name) or "https://aws")
            valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
        if not valid:
            raise SettingsError(f"{name}: not a URL, like https://secretsmanager.eu-west-1.amazonaws.com")


class SharedPool:
    """The pool behind all clients of one `Sessions`. `connections` bounds the open ones, over all roles."""

    def __init__(self, metrics: Metrics, *, connections: int = 100) -> None:
        self._metrics = metrics
        self._connections = connections
        self._lock = asyncio.Lock()
        self._pools: dict[str | None, aiohttp.ClientSession] = {}
        self.http_session_cls = _bound_to(self)

    async def pool(self, proxy_url: str | None, http_session: Any) -> aiohttp.ClientSession:
        """The shared session for this proxy, with the settings of the first client that needs it."""
        if ready := self._pools.get(proxy_url):
            return ready
        async with self._lock:
            if proxy_url not in self._pools:
                self._pools[proxy_url] = aiohttp.ClientSession(
                    connector=await http_session._create_connector(proxy_url),  # noqa: SLF001 - the SDK offers no other way
                    timeout=http_session._timeout,  # noqa: SLF001
                    skip_auto_headers={"Content-Type"},
                    auto_decompress=False,
                )
            return self._pools[proxy_url]

    @property
    def connections(self) -> int:
        return self._connections

    def count_calls_of(self, session: AioSession) -> None:
        """Count every attempt of the clients of this session."""
        session.register("before-send", self._before_send)
        session.register("response-received", self._received)
        session.register("after-call-error", self._failed)

    async def aclose(self) -> None:
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            with suppress(AttributeError):  # as in kube/transport.py: Python 3.11.2 and a lost TLS connection
                await pool.close()

    def _before_send(self, request: Any, **_: Any) -> None:
        request.context[_STARTED] = time.perf_counter()

    def _received(self, context: dict[str, Any], parsed_response: Any, event_name: str, **_: Any) -> None:
        operation = event_name.rpartition(".")[2]
        if parsed_response is None:
            outcome = CallOutcome.NO_ANSWER
        elif isinstance(parsed_response, dict) and isinstance(error := parsed_response.get("Error"), dict):
            outcome = outcome_of(str(error.get("Code", "")), str(error.get("Message", "")))
        else:
            outcome = CallOutcome.SUCCESS if is_answer(operation, parsed_response) else CallOutcome.UNREADABLE
        self._count(context, operation, outcome)

    def _failed(self, context: dict[str, Any], event_name: str, **_: Any) -> None:
        # The parser failed, so there was no `response-received` for this attempt.
        if _STARTED in context:
            self._count(context, event_name.rpartition(".")[2], CallOutcome.UNREADABLE)

    def _count(self, context: dict[str, Any], operation: str, outcome: CallOutcome) -> None:
        started = context.pop(_STARTED, None)
        self._metrics.aws_calls.labels(operation, outcome).inc()
        if started is not None:
            self._metrics.aws_call_seconds.labels(operation).observe(time.perf_counter() - started)


class _Proxies(ProxyConfiguration):
    """Proxies by the rules of `secretsyncer.proxies`, as for Kubernetes, in place of the SDK's own."""

    def proxy_url_for(self, url: str) -> str | None:  # type: ignore[override]
        return proxy_for(url, os.environ)


def _bound_to(shared: SharedPool) -> type[AIOHTTPSession]:
    class SharedHttpSession(AIOHTTPSession):
        """Looks like a client's own session to the SDK, but uses the shared pool."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._proxy_config = _Proxies()

        async def _get_session(self, proxy_url: str | None) -> aiohttp.ClientSession:
            return await shared.pool(proxy_url, self)

    return SharedHttpSession
