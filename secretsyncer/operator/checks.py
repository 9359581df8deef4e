"""What the probes ask of the parts."""

from __future__ import annotations

from collections.abc import Sequence

from secretsyncer.aws.listing.poller import Poller
from secretsyncer.kube.client import KubeClient
from secretsyncer.kube.informer import Informer
from secretsyncer.kube.lease import LeaderElector
from secretsyncer.kube.polled_namespaces import PolledNamespaces
from secretsyncer.kube.resources import NAMESPACES
from secretsyncer.operator.http_server import Check

REFUSED_LIMIT = 300.0
"""Seconds for which the API server may reject the credentials before liveness fails."""


def readiness(
    client: KubeClient, informers: Sequence[Informer], poller: Poller, elector: LeaderElector | None
) -> dict[str, Check]:
    """What must work before the process gets traffic, and may take over."""

    def listed() -> str | None:
        """The first listing of AWS. A standby does not list, and is ready to take over without."""
        if elector and not elector.is_leader:
            return None
        return poller.health() if poller.catalogue.listed_at is None else None

    synced = {informer.name: _synced(informer) for informer in informers}
    return {"kubernetes credentials": accepted(client), **synced, "aws": listed}


def accepted(client: KubeClient, *, within: float = 0.0) -> Check:
    """A check that fails if the API server has rejected the credentials for more than `within` seconds."""

    def check() -> str | None:
        seconds = client.refused_for
        return f"the API server has refused the credentials for {seconds:.0f} s" if seconds > within else None

    return check


def _synced(informer: Informer) -> Check:
    """An old picture decides nothing any more, so the operator does no work for its objects."""
    return lambda: informer.outdated() if informer.has_synced() else informer.health() or "not listed yet"


def notes(informers: Sequence[Informer], polled: PolledNamespaces | None) -> dict[str, Check]:
    """What a check that passes may add: with WATCH_NAMESPACE, some namespaces may not be readable."""
    found: dict[str, Check] = {informer.name: informer.unwatched for informer in informers}
    return {**found, NAMESPACES.plural: polled.unreadable} if polled else found
