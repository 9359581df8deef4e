"""The built-in resources that the operator uses: Secrets, Namespaces, Events and Leases.

The schemas have the fields of the Go types. A real server decodes built-in kinds into those and drops other fields.
"""

from __future__ import annotations

from sandbox.kubeapi import rules
from sandbox.kubeapi.columns import AGE, NAME, age
from sandbox.kubeapi.errors import Json
from sandbox.kubeapi.resources import Column, Resource

_OPEN: Json = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
_TIME: Json = {"type": "string", "format": "date-time"}
_MICRO_TIME: Json = {"type": "string", "format": "micro-time"}
_TEXTS: Json = {"type": "object", "additionalProperties": {"type": "string", "nullable": True}}
_BYTES: Json = {"type": "object", "additionalProperties": {"type": "string", "format": "byte", "nullable": True}}
_REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties}


def _last_seen(obj: Json) -> str:
    series = obj.get("series") or {}
    return age(series.get("lastObservedTime") or obj.get("lastTimestamp") or obj.get("eventTime"))


def _about(obj: Json) -> str:
    about = obj.get("involvedObject", {})
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


SECRETS = Resource(
    plural="secrets",
    kind="Secret",
    indexed=("type",),
    rule=rules.secret,
    columns=(
        NAME,
        Column("Type", "string", lambda obj: obj["type"]),
        Column("Data", "string", lambda obj: len(obj.get("data", {}))),
        AGE,
    ),
    schema=_object(data=_BYTES, stringData=_TEXTS, immutable={"type": "boolean"}, type=_TEXT),
)

NAMESPACES = Resource(
    plural="namespaces",
    kind="Namespace",
    namespaced=False,
    short_names=("ns",),
    status=True,
    indexed=("status.phase",),
    rule=rules.namespace,
    columns=(NAME, Column("Status", "string", lambda obj: obj["status"]["phase"]), AGE),
    schema=_object(spec=_OPEN, status=_OPEN),
)

EVENTS = Resource(
    plural="events",
    kind="Event",
    short_names=("ev",),
    indexed=(*(f"involvedObject.{field}" for field in _REFERENCE), "reason", "type"),
    rule=rules.event,
    columns=(
        Column("Last Seen", "string", _last_seen),
        Column("Type", "string", lambda obj: obj.get("type", "")),
        Column("Reason", "string", lambda obj: obj.get("reason", "")),
        Column("Object", "string", _about),
        Column("Message", "string", lambda obj: (obj.get("message") or "").strip()),
    ),
    schema=_object(
        **dict.fromkeys(("involvedObject", "related"), _object(**dict.fromkeys(_REFERENCE, _TEXT))),
        source=_object(component=_TEXT, host=_TEXT),
        series=_OPEN,
        **dict.fromkeys(("reason", "message", "type", "action", "reportingComponent", "reportingInstance"), _TEXT),
        **dict.fromkeys(("firstTimestamp", "lastTimestamp"), _TIME),
        eventTime=_MICRO_TIME,
        count=_NUMBER,
    ),
)

LEASES = Resource(
    group="coordination.k8s.io",
    plural="leases",
    kind="Lease",
    unconditional=False,
    rule=rules.lease,
    columns=(NAME, Column("Holder", "string", lambda obj: obj["spec"].get("holderIdentity")), AGE),
    schema=_object(
        spec=_object(
            **dict.fromkeys(("holderIdentity", "strategy", "preferredHolder"), _TEXT),
            **dict.fromkeys(("leaseDurationSeconds", "leaseTransitions"), _NUMBER),
            **dict.fromkeys(("acquireTime", "renewTime"), _MICRO_TIME),
        ),
    ),
)
