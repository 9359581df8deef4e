"""A poller on a rig."""

from __future__ import annotations

import asyncio
import contextlib

from secretsyncer.aws.listing.changes import Changes
from secretsyncer.aws.listing.poller import Poller

NONE = Changes(frozenset(), frozenset(), frozenset(), frozenset())


class Watch:
    """A poller on a rig; what it reported, and when it beat."""

    def __init__(self, rig, **options):
        self.rig = rig
        self.refs = []
        self.reports = []
        self.beats = []
        self.poller = Poller(
            rig.api,
            rig.api,
            rig.cache,
            rig.cache._metrics,
            **({"interval": 300} | options),
            referenced=lambda: self.refs,
        )
        self.poller.add_handler(lambda old, new, changes, refs: self.reports.append((changes, refs)))
        self.broken = ""
        rig.api.broken = lambda operation, identity: self.broken if operation == "ListSecrets" else ""

    @contextlib.asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.poller.run(self.beat))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])

    def beat(self):
        self.beats.append(asyncio.get_running_loop().time())

    async def get(self, ref):
        return (await self.rig.cache.get_many([ref], self.poller.catalogue))[ref]
