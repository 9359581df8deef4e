"""Settings, from the environment, checked once at the start.

Names and defaults are those of the Go operator where it had them. An empty variable means the default. AWS's
own variables (`AWS_REGION`, `AWS_ENDPOINT_URL`, ...) and `KUBECONFIG` belong to their clients, not read
here. Only `cli.py` builds a `Settings`; everything else is given what it needs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from secretsyncer.errors import SettingsError

_ANNOTATION = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", re.ASCII)
_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_LABEL = rf"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?{_NAME}"
_TERM = rf"\s*({_LABEL}|!\s*{_LABEL}|{_LABEL}\s*(==?|!=)\s*({_NAME})?|{_LABEL}\s+(in|notin)\s*\([^()]*\))\s*"
_SELECTOR = re.compile(rf"{_TERM}(,{_TERM})*", re.ASCII)
_LEASE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)


class Settings(BaseModel):
    """How one operator process behaves. Field names in capitals are the environment's variables."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    poll_interval_sec: float = Field(300, gt=0, le=86_400)
    """Seconds between two listings of AWS Secrets Manager. Smaller: changes arrive sooner, more AWS calls."""

    sync_interval_sec: float = Field(120, gt=0, le=86_400)
    """Seconds after which each object is compared again, in memory. Failures are tried again then."""

    ns_annotation: str = "iam.amazonaws.com/allowed-roles"
    """The namespace annotation that lists the IAM roles its SyncedSecrets may use."""

    metrics_listen: str = ":8080"
    """Where metrics and health are served: `host:port`, `:port` (all addresses) or `[::1]:port`."""

    poll_default_search_role: str = ""
    """Role (name or ARN) that lists the secrets; empty: the operator's own credentials."""

    role_external_id: str = ""
    """External id to give when a role is assumed, where the object names none."""

    role_session_name: str = Field("secretsyncer", pattern=r"^[A-Za-z0-9_+=,.@-]{2,64}$")
    """Session name of assumed roles, where the object names none. It shows in CloudTrail."""

    events_queue_url: str = ""
    """URL of an SQS queue with Secrets Manager's EventBridge events: changes arrive in seconds. Empty: polling."""

    require_ns_annotation: bool = False
    """True: a namespace without the annotation may use no role (fail closed)."""

    adopt_existing: bool = True
    """False: a Secret of that name that is not ours is left alone, and the object gets `Conflict`."""

    watch_namespace: tuple[str, ...] = ()
    """Namespaces to watch, separated by commas; empty: all. Named, they are asked for, every 5 s; Roles are enough."""

    watch_selector: str = ""
    """Label selector of the SyncedSecrets to watch, like `shard=a` or `shard notin (a, b)`; empty: all."""

    workers: int = Field(16, ge=1, le=256)
    """Objects that are reconciled at the same time. Bulk (a start, resyncs, retries) gets half of them at most."""

    status_page: bool = True
    """False: no page at `/`. It shows what `kubectl get syncedsecrets -A` shows, to whoever reaches the port."""

    leader_election: bool = False
    """True: only the holder of the Lease polls and reconciles. Needed with more than one replica."""

    lease_name: str = "5a48bfe8.contentful.com"
    """The Lease, of the Go operator's name so that the two never work side by side. Each shard needs its own."""

    pod_namespace: str = ""
    """The operator's own namespace, where its Lease lives; empty: that of its kubeconfig or token."""

    cache_dir: str = ""
    """Where the compiled template engine is kept; empty: `secretsyncer` under the user's cache folder."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is logged."""

    log_format: Literal["json", "text"] = "json"
    """JSON lines for machines, text for people."""

    @field_validator("watch_namespace", mode="before")
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
            raise ValueError("must hold names of namespaces (a-z 0-9 -)")
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
            raise ValueError("must be an annotation's name, like iam.amazonaws.com/allowed-roles")
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
        """Host (None: all addresses) and port to serve on."""
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
        raise ValueError("an IPv6 host goes in brackets, like [::1]:8080")
    return host.strip("[]") or None, int(port)


def load(environment: Mapping[str, str]) -> Settings:
    """The settings of this environment.

    Raises SettingsError, one line that names each wrong variable and what it must be.
    """
    given = {name: environment[name.upper()] for name in Settings.model_fields if environment.get(name.upper())}
    try:
        return Settings.model_validate(given)
    except ValidationError as exc:
        raise SettingsError("; ".join(_explain(error) for error in exc.errors())) from None


def _explain(error: Any) -> str:
    name = error["loc"][0]
    message = str(error["msg"])
    for prefix in ("Value error, ", "Input should ", "String should "):
        message = message.removeprefix(prefix)
    must = message if message.startswith(("must", "an IPv6")) else f"must {message}"
    return f"{name.upper()}={error['input']!r}: {must}"
