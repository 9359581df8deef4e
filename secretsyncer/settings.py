"""Settings: environment variables, validated once at start.

Names and defaults are those of the Go operator where it has them. An empty variable means the default. The clients
read AWS's own variables (`AWS_REGION`, `AWS_ENDPOINT_URL`, ...) and `KUBECONFIG` themselves. Only the commands call
`load`; everything else gets the values that it needs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from secretsyncer.errors import SettingsError

_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_LABEL = rf"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?{_NAME}"
_ANNOTATION = re.compile(_LABEL, re.ASCII)
_TERM = rf"\s*({_LABEL}|!\s*{_LABEL}|{_LABEL}\s*(==?|!=)\s*({_NAME})?|{_LABEL}\s+(in|notin)\s*\([^()]*\))\s*"
_SELECTOR = re.compile(rf"{_TERM}(,{_TERM})*", re.ASCII)
_LEASE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
REGION = re.compile(r"[a-z]{2,10}(-[a-z0-9]{1,20}){1,4}", re.ASCII)
"""The form of an AWS region's name."""
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)


class Settings(BaseModel):
    """The settings of one operator process. The environment variables are the field names in capitals."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    poll_interval_sec: float = Field(300, gt=0, le=86_400)
    """Seconds between two complete listings of AWS, which also find what was deleted without a recovery period."""

    changes_interval_sec: float = Field(10, ge=0, le=86_400)
    """Seconds between two looks for recent changes in AWS, one call each. 0: changes are found by listing everything."""

    parameter_calls_per_second: float = Field(20, gt=0, le=10_000)
    """Maximum of calls per second to Parameter Store, per AWS account and region. The default quota of AWS is 40."""

    sync_interval_sec: float = Field(120, gt=0, le=86_400)
    """Seconds between two resyncs of an object. A resync compares in memory, and retries what has failed."""

    ns_annotation: str = "iam.amazonaws.com/allowed-roles"
    """Name of the namespace annotation that lists the IAM roles that SyncedSecrets in the namespace may use."""

    metrics_listen: str = ":8080"
    """Address of the metrics, health and status page: `host:port`, `:port` (all addresses) or `[::1]:port`."""

    poll_default_search_role: str = ""
    """IAM role (name or ARN) that lists AWS secrets. Empty: the operator's own identity."""

    role_external_id: str = ""
    """External id for AssumeRole, if the object does not set `externalId`."""

    role_session_name: str = Field("secretsyncer", pattern=r"^[A-Za-z0-9_+=,.@-]{2,64}$")
    """Session name for AssumeRole, if the object does not set `roleSessionName`. CloudTrail shows it."""

    events_queue_url: str = ""
    """URL of an SQS queue with EventBridge events of Secrets Manager. Empty: changes are found by listing only."""

    extra_regions: tuple[str, ...] = ()
    """AWS regions to allow in addition to those that this version knows, comma-separated. For regions that are new."""

    expiry_tag: str = Field("", max_length=128)
    """Tag of AWS secrets with the date of their expiry, such as `2026-12-31`. A metric shows it. Empty: none."""

    require_ns_annotation: bool = False
    """True: a namespace without the annotation may not use any role. False: it may use every role."""

    adopt_existing: bool = True
    """True: an existing Secret of others is taken over if that removes no key. False: it gives `Conflict`."""

    restart_min_interval: float = Field(300, ge=0, le=86_400)
    """Minimum of seconds between two restarts of a workload because of new data in its Secrets."""

    watch_namespace: tuple[str, ...] = ()
    """Namespaces to watch, comma-separated. Empty: all. If set, they are read by name every 5 s; Roles suffice."""

    watch_selector: str = ""
    """Label selector of the SyncedSecrets to watch, such as `shard=a` or `shard notin (a, b)`. Empty: all."""

    workers: int = Field(16, ge=1, le=256)
    """Maximum of concurrent reconciles. One namespace gets three quarters, or half for starts, resyncs and retries."""

    status_page: bool = True
    """True: serve the status page, without authentication: what `kubectl secretsyncer status` and `why` show."""

    template_messages: bool = True
    """False: conditions and Events do not show the error of a template, because its author could reveal a value in it."""

    leader_election: bool = False
    """True: only the holder of the Lease polls and reconciles. Required with more than one replica."""

    lease_name: str = "5a48bfe8.contentful.com"
    """Name of the Lease. The default is the Go operator's, so that the two never run at once. Each shard needs its own."""

    pod_namespace: str = ""
    """Namespace of the operator and its Lease. Empty: the namespace of its kubeconfig or token."""

    cache_dir: str = ""
    """Folder for the compiled template engine. Empty: `secretsyncer` in the user's cache folder."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Minimum level of the log."""

    log_format: Literal["json", "text"] = "json"
    """Format of the log: JSON lines, or text for people."""

    @field_validator("watch_namespace", "extra_regions", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))

    @field_validator("watch_namespace", "pod_namespace")
    @classmethod
    def _namespaces(cls, value: Any) -> Any:
        names = [value] if isinstance(value, str) else value
        if not all(_NAMESPACE.fullmatch(name) for name in names if name):
            raise ValueError("must be names of namespaces (a-z 0-9 -)")
        return value

    @field_validator("extra_regions")
    @classmethod
    def _regions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # They become part of host names.
        if not all(REGION.fullmatch(name) for name in value):
            raise ValueError("must be names of AWS regions, like eu-west-1,eu-west-2")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        lowered = value.lower() if isinstance(value, str) else value
        return "warning" if lowered == "warn" else lowered

    @field_validator("ns_annotation")
    @classmethod
    def _annotation(cls, value: str) -> str:
        if not _ANNOTATION.fullmatch(value):
            raise ValueError("must be the name of an annotation, like iam.amazonaws.com/allowed-roles")
        return value

    @field_validator("watch_selector")
    @classmethod
    def _selector(cls, value: str) -> str:
        if value and not _SELECTOR.fullmatch(value):
            raise ValueError("must be a label selector, like shard=a or shard notin (a, b)")
        return value

    @field_validator("lease_name")
    @classmethod
    def _lease(cls, value: str) -> str:
        if not _LEASE.fullmatch(value):
            raise ValueError("must be the name of a Lease (a-z 0-9 - .)")
        return value

    @field_validator("metrics_listen")
    @classmethod
    def _listen(cls, value: str) -> str:
        parse_listen(value)
        return value

    @property
    def listen(self) -> tuple[str | None, int]:
        """Host (None: all addresses) and port of the HTTP server."""
        return parse_listen(self.metrics_listen)

    @property
    def cache_folder(self) -> Path:
        """Where the compiled template engine is kept."""
        if self.cache_dir:
            return Path(self.cache_dir)
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "secretsyncer"


def parse_listen(text: str) -> tuple[str | None, int]:
    """Host and port of `host:port`, `:port` or `[v6]:port`; the host is None for all addresses."""
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError("must be host:port or :port, like :8080 or 127.0.0.1:8080")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError("must have an IPv6 host in brackets, like [::1]:8080")
    return host.strip("[]") or None, int(port)


def load(environment: Mapping[str, str]) -> Settings:
    """Read the settings from the environment.

    Raises SettingsError with one line that names each wrong variable and what it must be.
    """
    given = {name: environment[name.upper()] for name in Settings.model_fields if environment.get(name.upper())}
    try:
        return Settings.model_validate(given)
    except ValidationError as exc:
        raise SettingsError("; ".join(_explain(error) for error in exc.errors())) from None


_MESSAGES = {
    "float_parsing": "must be a number",
    "int_parsing": "must be a whole number",
    "bool_parsing": "must be true or false",
}
"""Pydantic's own messages speak of Python."""


def _explain(error: Any) -> str:
    name = error["loc"][0]
    message = _MESSAGES.get(error["type"], str(error["msg"]))
    for prefix in ("Value error, ", "Input should ", "String should "):
        message = message.removeprefix(prefix)
    must = message if message.startswith("must") else f"must {message}"
    return f"{name.upper()}={error['input']!r}: {must}"
