"""Everything of the operator that faces AWS, wired as the app does it, for tests over loopback."""

from __future__ import annotations

from secretsyncer.aws.api.secretsmanager import SecretsManager
from secretsyncer.aws.identity import OPERATOR, SecretRef
from secretsyncer.aws.listing.poller import Poller
from secretsyncer.aws.values.cache import SecretCache


def ref(name, identity=OPERATOR, **more):
    return SecretRef(identity, name, **more)


class Side:
    """Everything that faces AWS, wired as the app does it."""

    def __init__(self, sessions, metrics):
        self.sessions = sessions
        self.metrics = metrics
        self.api = SecretsManager(sessions)
        self.cache = SecretCache(self.api, metrics, region=sessions.region, regions=sessions.regions)
        self.refs = []
        self.reports = []
        self.poller = Poller(
            self.api,
            sessions,
            self.cache,
            metrics,
            interval=300,
            referenced=lambda: self.refs,
        )
        self.poller.add_handler(lambda old, new, changes, refs: self.reports.append((changes, refs)))

    async def get(self, *refs):
        got = await self.cache.get_many(refs, self.poller.catalogue)
        results = [got[ref] for ref in refs]
        texts = [result if isinstance(result, Exception) else result.text for result in results]
        return texts[0] if len(texts) == 1 else texts

    def counted(self, operation, outcome="success"):
        labels = {"operation": operation, "outcome": outcome}
        return self.metrics.registry.get_sample_value("secretsyncer_aws_calls_total", labels) or 0
