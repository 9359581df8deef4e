"""The built-in resources: those the operator uses, and those that manifests and kubectl bring along.

What is beside Secrets, ConfigMaps, Namespaces, Events and Leases has no behaviour of its own: it is
stored as it comes, so that `kubectl apply -f manifests/` works and shows what it applied.
"""

from __future__ import annotations

from functools import partial

from sandbox.kubeapi import rules
from sandbox.kubeapi.columns import AGE, CREATED_AT, NAME, age
from sandbox.kubeapi.errors import Json
from sandbox.kubeapi.resources import Column, Resource

_OPEN: Json = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
_TIME: Json = {"type": "string", "format": "date-time"}
_MICRO_TIME: Json = {"type": "string", "format": "micro-time"}
_TEXTS: Json = {"type": "object", "additionalProperties": {"type": "string", "nullable": True}}
_BYTES: Json = {"type": "object", "additionalProperties": {"type": "string", "format": "byte", "nullable": True}}
_IMMUTABLE: Json = {"type": "boolean", "description": "Immutable ensures that the data cannot be updated."}


def _schema(description: str, **properties: Json) -> Json:
    return {"type": "object", "description": description, "properties": properties}


_REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def _described(description: str, base: Json) -> Json:
    return {**base, "description": description}


def _last_seen(obj: Json) -> str:
    series = obj.get("series") or {}
    return age(series.get("lastObservedTime") or obj.get("lastTimestamp") or obj.get("eventTime"))


def _about(obj: Json) -> str:
    about = obj.get("involvedObject", {})
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


def _part(obj: Json) -> str:
    return str((obj.get("involvedObject") or {}).get("fieldPath", ""))


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
    schema=_schema(
        "Secret holds secret data of a certain type.",
        data=_described("Data contains the secret data, base64 encoded.", _BYTES),
        stringData=_described("stringData allows specifying non-binary secret data in string form.", _TEXTS),
        immutable=_IMMUTABLE,
        type={"type": "string", "description": "Used to facilitate programmatic handling of secret data."},
    ),
)

CONFIG_MAPS = Resource(
    plural="configmaps",
    kind="ConfigMap",
    short_names=("cm",),
    rule=rules.config_map,
    columns=(
        NAME,
        Column("Data", "string", lambda obj: len(obj.get("data", {})) + len(obj.get("binaryData", {}))),
        AGE,
    ),
    schema=_schema(
        "ConfigMap holds configuration data for pods to consume.",
        data=_described("Data contains the configuration data.", _TEXTS),
        binaryData=_described("BinaryData contains the binary data.", _BYTES),
        immutable=_IMMUTABLE,
    ),
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
    schema=_schema("Namespace provides a scope for Names.", spec=_OPEN, status=_OPEN),
)

EVENTS = Resource(
    plural="events",
    kind="Event",
    short_names=("ev",),
    upsert=True,
    indexed=(
        *(f"involvedObject.{field}" for field in _REFERENCE),
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    rule=rules.event,
    columns=(
        Column("Last Seen", "string", _last_seen),
        Column("Type", "string", lambda obj: obj.get("type", "")),
        Column("Reason", "string", lambda obj: obj.get("reason", "")),
        Column("Object", "string", _about),
        Column("Subobject", "string", _part, priority=1),
        Column("Source", "string", lambda obj: (obj.get("source") or {}).get("component", ""), priority=1),
        Column("Message", "string", lambda obj: (obj.get("message") or "").strip()),
        Column(
            "First Seen",
            "string",
            lambda obj: age(obj.get("firstTimestamp") or obj.get("eventTime")),
            priority=1,
        ),
        Column("Count", "string", lambda obj: obj.get("count") or 1, priority=1),
        NAME._replace(priority=1),
    ),
    schema=_schema(
        "Event is a report of an event somewhere in the cluster.",
        **dict.fromkeys(("involvedObject", "related"), _schema("The object.", **dict.fromkeys(_REFERENCE, _TEXT))),
        source=_schema("The component reporting this event.", component=_TEXT, host=_TEXT),
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
    upsert=True,
    unconditional=False,
    rule=rules.lease,
    columns=(NAME, Column("Holder", "string", lambda obj: obj["spec"].get("holderIdentity")), AGE),
    schema=_schema(
        "Lease defines a lease concept.",
        spec=_schema(
            "Specification of the Lease.",
            **dict.fromkeys(("holderIdentity", "strategy", "preferredHolder"), _TEXT),
            **dict.fromkeys(("leaseDurationSeconds", "leaseTransitions"), _NUMBER),
            **dict.fromkeys(("acquireTime", "renewTime"), _MICRO_TIME),
        ),
    ),
)

_plain = partial(Resource, columns=(NAME, AGE), schema=_schema("Stored as it is given.", spec=_OPEN, status=_OPEN))
_rbac = partial(
    Resource,
    group="rbac.authorization.k8s.io",
    columns=(NAME, CREATED_AT),
    schema=_described("Stored as it is given.", _OPEN),
)

PLAIN: tuple[Resource, ...] = (
    _plain(plural="serviceaccounts", kind="ServiceAccount", short_names=("sa",)),
    _plain(plural="services", kind="Service", short_names=("svc",), status=True),
    _plain(plural="resourcequotas", kind="ResourceQuota", short_names=("quota",), status=True),
    _plain(plural="limitranges", kind="LimitRange", short_names=("limits",)),
    _plain(
        group="apps",
        plural="deployments",
        kind="Deployment",
        short_names=("deploy",),
        categories=("all",),
        status=True,
        generation=True,
    ),
    _plain(
        group="policy",
        plural="poddisruptionbudgets",
        kind="PodDisruptionBudget",
        short_names=("pdb",),
        status=True,
        generation=True,
    ),
    _plain(
        group="networking.k8s.io",
        plural="networkpolicies",
        kind="NetworkPolicy",
        short_names=("netpol",),
        generation=True,
    ),
    _rbac(plural="roles", kind="Role"),
    _rbac(plural="rolebindings", kind="RoleBinding"),
    _rbac(plural="clusterroles", kind="ClusterRole", namespaced=False),
    _rbac(plural="clusterrolebindings", kind="ClusterRoleBinding", namespaced=False),
)
