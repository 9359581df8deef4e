"""The kinds of objects that the operator reads and writes, and their API paths.

Paths follow the Kubernetes API conventions ("Resource URIs" in the API concepts page): the core group lives
under `/api/v1`, every other under `/apis/<group>/<version>`.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

FIELD_MANAGER = "secretsyncer"
"""The name under which the API server records the operator's writes."""


class Resource(NamedTuple):
    """One kind of object. `plural` is its name in paths, metrics and logs."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """The `apiVersion` of objects of this kind."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The path of the collection, of one object or of its subresource. Without a namespace: all namespaces."""
        parts = ["", "apis", self.group, self.version] if self.group else ["", "api", self.version]
        if namespace and self.namespaced:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        parts += [quote(part, safe="") for part in (name, subresource) if part]
        return "/".join(parts)


SYNCED_SECRETS = Resource("secrets.contentful.com", "v1", "syncedsecrets", "SyncedSecret")
SECRETS = Resource("", "v1", "secrets", "Secret")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
EVENTS = Resource("", "v1", "events", "Event")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
WORKLOADS = {
    "Deployment": Resource("apps", "v1", "deployments", "Deployment"),
    "StatefulSet": Resource("apps", "v1", "statefulsets", "StatefulSet"),
    "DaemonSet": Resource("apps", "v1", "daemonsets", "DaemonSet"),
    "Rollout": Resource("argoproj.io", "v1alpha1", "rollouts", "Rollout"),
}
"""What can be restarted, by kind."""
