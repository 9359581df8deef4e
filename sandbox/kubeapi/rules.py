"""The rules of the built-in kinds: Secrets, Namespaces, Events and Leases.

Each is a `Rule` (see `resources.py`): it completes the new object in place and returns what is wrong with it. The
schemas (`builtins.py`) have checked types and encodings before. Limits follow
`k8s.io/kubernetes/pkg/apis/core/validation`.
"""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime

from sandbox.kubeapi.errors import Cause, Json, may_not, required, too_long, wrong

SECRET_LIMIT = 1024 * 1024
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name', "
    f" or 'KEY_NAME',  or 'key-name', regex used for validation is '{_KEY.pattern}')"
)
_REQUIRED_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
_IMMUTABLE = "field is immutable when `immutable` is set"


def secret(new: Json, old: Json | None) -> list[Cause]:
    """`stringData` is merged into `data`, the type is immutable, and keys and size have limits."""
    data = {key: value or "" for key, value in (new.pop("data", None) or {}).items()}
    for key, text in (new.pop("stringData", None) or {}).items():
        data[key] = base64.b64encode((text or "").encode()).decode()
    if data:
        new["data"] = data
    new["type"] = new.get("type") or "Opaque"
    causes = _wrong_keys("data", data)
    size = sum(len(base64.b64decode(value)) for value in data.values())
    if size > SECRET_LIMIT:
        causes.append(too_long("data", f"must have at most {SECRET_LIMIT} bytes"))
    for key in _REQUIRED_KEYS.get(new["type"], ()):
        if key not in data:
            causes.append(required(f"data[{key}]"))
        elif key.startswith(".docker") and not _is_json(base64.b64decode(data[key])):
            causes.append(wrong(f"data[{key}]", "<secret contents redacted>", "invalid character"))
    if old is not None:
        if new["type"] != old["type"]:
            causes.append(wrong("type", new["type"], "field is immutable"))
        causes += _frozen(new, old, ("data",))
    return causes


def namespace(new: Json, old: Json | None) -> list[Cause]:
    """A Namespace has its name as a label, and the finalizer that empties it."""
    metadata = new["metadata"]
    if name := metadata.get("name"):
        metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = name
    new["spec"] = old["spec"] if old else {"finalizers": ["kubernetes"]}
    new["status"] = (new.get("status") or old["status"]) if old else {"phase": "Active"}
    return []


def event(new: Json, _old: Json | None) -> list[Cause]:
    """An Event is in the namespace of its object. With an `eventTime`, it must name its reporter and action."""
    for field in ("firstTimestamp", "lastTimestamp", "eventTime"):
        _in_utc(new, field, micro=field == "eventTime")
        new.setdefault(field, None)
    new["reportingComponent"] = new.get("reportingComponent") or ""
    new["reportingInstance"] = new.get("reportingInstance") or ""
    new["source"] = new.get("source") or {}
    about = (new.get("involvedObject") or {}).get("namespace", "")
    own = new["metadata"].get("namespace", "")
    causes = [] if own == (about or "default") else [_elsewhere(about)]
    if new["eventTime"]:
        names = ("reportingComponent", "reportingInstance", "action", "reason")
        causes += [required(name) for name in names if not new.get(name)]
    return causes


def _elsewhere(about: str) -> Cause:
    return wrong("involvedObject.namespace", about, "does not match event.namespace")


def lease(new: Json, _old: Json | None) -> list[Cause]:
    """Durations are positive, and times are stored in UTC."""
    spec = new.setdefault("spec", {})
    for field in ("acquireTime", "renewTime"):
        _in_utc(spec, field, micro=True)
    causes = []
    if spec.get("leaseDurationSeconds", 1) <= 0:
        why = "must be greater than 0"
        causes.append(wrong("spec.leaseDurationSeconds", spec["leaseDurationSeconds"], why))
    if spec.get("leaseTransitions", 0) < 0:
        why = "must be greater than or equal to 0"
        causes.append(wrong("spec.leaseTransitions", spec["leaseTransitions"], why))
    return causes


def _in_utc(holder: Json, field: str, *, micro: bool) -> None:
    if text := holder.get(field):
        moment = datetime.fromisoformat(text).astimezone(UTC)
        holder[field] = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")


def _wrong_keys(field: str, data: Json) -> list[Cause]:
    bad = [key for key in data if len(key) > 253 or key in {".", ".."} or not _KEY.fullmatch(key)]
    return [wrong(f"{field}[{key}]", key, _KEY_RULE) for key in bad]


def _frozen(new: Json, old: Json, fields: tuple[str, ...]) -> list[Cause]:
    if not old.get("immutable"):
        return []
    causes = [] if new.get("immutable") else [may_not("immutable", _IMMUTABLE)]
    return causes + [may_not(field, _IMMUTABLE) for field in fields if new.get(field) != old.get(field)]


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
