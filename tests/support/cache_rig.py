"""A cache on an AWS in memory, and a poller's listings by hand: for tests in virtual time."""

from __future__ import annotations

from datetime import timedelta

from prometheus_client import CollectorRegistry

from sandbox.aws.model import World
from sandbox.aws.state import REGION, utc_now
from secretsyncer.aws.api.parameterstore import ParameterStore
from secretsyncer.aws.identity import OPERATOR, Identity, SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue
from secretsyncer.aws.listing.listings import AllListings
from secretsyncer.aws.listing.pages import list_secrets
from secretsyncer.aws.services import PARAMETER_STORE, SECRETS_MANAGER
from secretsyncer.aws.values.cache import SecretCache
from secretsyncer.aws.values.sources import Sources
from secretsyncer.aws.values.store import Slots
from secretsyncer.metrics import Metrics
from tests.support.in_process_aws import WorldApi


class Clock:
    """The time of day of a world, which moves when it is told to."""

    def __init__(self):
        self._now = utc_now()

    def now(self):
        return self._now

    def advance(self, **delta):
        self._now += timedelta(**delta)


class Rig:
    """A world, a cache on it, and the last listing."""

    def __init__(self, *, latency=0.02, **options):
        self.clock = Clock()
        self.world = World(now=self.clock.now)
        self.api = WorldApi(self.world, latency)
        self.registry = CollectorRegistry()
        self.slots = Slots(**options)
        self.cache = SecretCache(self.api, Metrics(self.registry), region=REGION, slots=self.slots)
        self.parameters = SecretCache(
            ParameterStore(self.api, per_second=10_000), self.cache._metrics, region=REGION, slots=self.slots
        )
        self.sources = Sources({SECRETS_MANAGER.name: self.cache, PARAMETER_STORE.name: self.parameters})
        self.catalogue = Catalogue()
        self.parameter_catalogue = Catalogue(service=PARAMETER_STORE)
        self.reader = Identity(self.world.role("reader"))

    async def poll(self, fails=False):
        """A round of polling; with `fails`, one whose listing did not work."""
        number = self.catalogue.round + 1
        if fails:
            self.catalogue = self.catalogue.at_round(number)
            return self.catalogue
        old = self.catalogue.entries
        listing = await list_secrets(self.api, OPERATOR, REGION, beat=lambda: None, old=old)
        self.api.calls.pop("ListSecrets", None)
        self.catalogue = Catalogue(listing.entries, region=REGION, round=number, listed_at=1.0)
        return self.catalogue

    @property
    def listings(self):
        return AllListings([self.catalogue, self.parameter_catalogue])

    async def poll_parameters(self):
        """A round of polling of Parameter Store."""
        number = self.parameter_catalogue.round + 1
        api = ParameterStore(self.api, per_second=10_000)
        listing = await list_secrets(api, OPERATOR, REGION, beat=lambda: None, old=self.parameter_catalogue.entries)
        self.api.calls.pop("DescribeParameters", None)
        self.parameter_catalogue = Catalogue(
            listing.entries, region=REGION, round=number, listed_at=1.0, service=PARAMETER_STORE
        )
        return self.parameter_catalogue

    def ref(self, name, identity=None, **more):
        return SecretRef(identity or self.reader, name, **more)

    async def get(self, *names, identity=None, **more):
        """Texts of the values; errors as they are."""
        refs = [name if isinstance(name, SecretRef) else self.ref(name, identity, **more) for name in names]
        got = await self.cache.get_many(refs, self.catalogue)
        results = [got[ref] for ref in refs]
        texts = [result if isinstance(result, Exception) else result.text for result in results]
        return texts[0] if len(texts) == 1 else texts

    def metric(self, name, **labels):
        return self.registry.get_sample_value(name, labels)
