"""Workloads as users have them, and Argo's Rollout as far as the operator knows it."""

from __future__ import annotations

from typing import Any

RESTARTED_AT = "secrets.contentful.com/restarted-at"
OPT_IN = {"secrets.contentful.com/restart": "true"}

ROLLOUTS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "rollouts.argoproj.io"},
    "spec": {
        "group": "argoproj.io",
        "scope": "Namespaced",
        "names": {"kind": "Rollout", "listKind": "RolloutList", "plural": "rollouts", "singular": "rollout"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "x-kubernetes-preserve-unknown-fields": True,
                                "properties": {"restartAt": {"type": "string", "format": "date-time"}},
                            }
                        },
                    }
                },
            }
        ],
    },
}
"""The definition, with the one field that matters here."""


def workload(
    namespace: str,
    name: str = "web",
    kind: str = "Deployment",
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    pod: dict[str, Any] | None = None,
    container: dict[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """A workload without replicas, so that no pod has to be scheduled."""
    selector = {"app": name}
    containers = [{"name": "main", "image": "app:1", **(container or {})}]
    template = {"metadata": {"labels": selector}, "spec": {"containers": containers, **(pod or {})}}
    own: dict[str, Any] = {"selector": {"matchLabels": selector}, "template": template}
    if kind != "DaemonSet":
        own["replicas"] = 0
    if kind == "StatefulSet":
        own["serviceName"] = name
    return {
        "apiVersion": "argoproj.io/v1alpha1" if kind == "Rollout" else "apps/v1",
        "kind": kind,
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": labels or {},
            "annotations": annotations or {},
        },
        "spec": {**own, **spec},
    }
