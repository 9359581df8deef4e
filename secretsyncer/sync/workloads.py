"""Workloads: what of them a restart needs to know, and the patch that restarts them. Pure.

Argo's Rollout has a field for restarts. The pod template of the other kinds gets an annotation, as with `kubectl rollout
restart`. Both have the time of the restart. The patch has the version that it applies to, so no change is overwritten, and
two processes cannot both restart a workload that they saw in the same state.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from secretsyncer.kube.objects import Object, timestamp
from secretsyncer.kube.resources import WORKLOADS
from secretsyncer.synced_secret.restart import RestartTarget

RESTARTED_AT = "secrets.contentful.com/restarted-at"
"""The annotation of the pod template: the time of the last restart."""
OPT_IN = "secrets.contentful.com/restart"
"""The annotation of a workload that wants to be restarted when a Secret that it uses has changed."""
CONSUMERS = ("Deployment", "StatefulSet", "DaemonSet")
"""The kinds among which consumers are looked for."""


class Ref(NamedTuple):
    """A workload by kind and name."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Workload(NamedTuple):
    """`restarted` is the Unix time of the last restart, 0 if there was none. `secrets` are the names of those it uses."""

    ref: Ref
    version: str
    labels: dict[str, str]
    opted_in: bool
    secrets: frozenset[str]
    restarted: float
    paused: bool
    involved: Object
    """What identifies it in an Event."""

    def __str__(self) -> str:
        return str(self.ref)


def view(kind: str, obj: Object) -> Workload:
    """The workload, without what nobody needs."""
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    stamp, used = _read_template(spec.get("template"))
    if kind == "Rollout":
        stamp = spec.get("restartAt")
    kept = {name: metadata[name] for name in ("name", "namespace", "uid") if name in metadata}
    return Workload(
        Ref(kind, metadata["name"]),
        metadata.get("resourceVersion", ""),
        metadata.get("labels") or {},
        (metadata.get("annotations") or {}).get(OPT_IN) == "true",
        used,
        seconds(stamp),
        spec.get("paused") is True,
        {"apiVersion": WORKLOADS[kind].api_version, "kind": kind, "metadata": kept},
    )


def patch(workload: Workload, at: float) -> Object:
    """The merge patch that restarts the workload."""
    metadata = {"resourceVersion": workload.version}
    if workload.ref.kind == "Rollout":
        return {"metadata": metadata, "spec": {"restartAt": timestamp(at)}}
    annotations = {RESTARTED_AT: timestamp(at)}
    return {"metadata": metadata, "spec": {"template": {"metadata": {"annotations": annotations}}}}


def consumed(workload: Workload) -> frozenset[str]:
    """The Secrets with which the workload wants to be restarted."""
    wants = workload.ref.kind in CONSUMERS and workload.opted_in
    return workload.secrets if wants else frozenset()


def selector(target: RestartTarget) -> dict[str, str]:
    """The labels that a workload of the target must have; none if it is named."""
    return (target.selector and target.selector.match_labels) or {}


def seconds(timestamp: Any) -> float:
    """The Unix time of an RFC 3339 text; 0 if there is none that can be read."""
    try:
        return datetime.fromisoformat(timestamp).timestamp()
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _read_template(template: Any) -> tuple[Any, frozenset[str]]:
    """The time of the last restart, and the Secrets that the pods use."""
    try:
        metadata, pod = (template or {}).get("metadata") or {}, (template or {}).get("spec") or {}
        return (metadata.get("annotations") or {}).get(RESTARTED_AT), frozenset(_secrets(pod))
    except (AttributeError, TypeError):  # the definition of Argo's Rollout lets parts of it have any form
        return None, frozenset()


def _secrets(pod: Object) -> Iterator[str]:
    """The Secrets whose data the pods have: as files, or in their environment."""
    for volume in pod.get("volumes") or []:
        projected = (volume.get("projected") or {}).get("sources") or []
        yield from _names(volume.get("secret"), field="secretName")
        yield from _names(*(source.get("secret") for source in projected))
        yield from _names((volume.get("csi") or {}).get("nodePublishSecretRef"))
    for container in [*(pod.get("initContainers") or []), *(pod.get("containers") or [])]:
        yield from _names(*(source.get("secretRef") for source in container.get("envFrom") or []))
        values = [variable.get("valueFrom") or {} for variable in container.get("env") or []]
        yield from _names(*(value.get("secretKeyRef") for value in values))


def _names(*references: Object | None, field: str = "name") -> Iterator[str]:
    for reference in references:
        if reference and reference.get(field):
            yield reference[field]
