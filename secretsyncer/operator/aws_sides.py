"""What reads the services of AWS: an API, a cache and a poller for each."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from secretsyncer.aws.api.parameterstore import ParameterStore
from secretsyncer.aws.api.secretsmanager import SecretsManager
from secretsyncer.aws.api.service_api import ServiceApi
from secretsyncer.aws.api.sessions import Sessions
from secretsyncer.aws.listing.poller import Poller
from secretsyncer.aws.values.cache import SecretCache
from secretsyncer.aws.values.store import Slots
from secretsyncer.metrics import Metrics
from secretsyncer.settings import Settings
from secretsyncer.sync.dependencies import DependencyIndex
from secretsyncer.sync.last_good import in_use
from secretsyncer.sync.stores import Stores
from secretsyncer.sync.users import Users


class AwsSide(NamedTuple):
    """What reads one service."""

    cache: SecretCache
    poller: Poller


def aws_sides(
    settings: Settings, sessions: Sessions, metrics: Metrics, index: DependencyIndex, stores: Stores
) -> dict[str, AwsSide]:
    """A cache and a poller for each service, by its name. All caches share the room for values."""
    slots = Slots()
    made: dict[str, AwsSide] = {}
    apis: tuple[ServiceApi, ...] = (
        SecretsManager(sessions),
        ParameterStore(sessions, settings.parameter_calls_per_second),
    )
    for api in apis:
        service = api.service
        users = Users(service)
        cache = SecretCache(api, metrics, region=sessions.region, regions=sessions.regions, slots=slots)
        poller = Poller(
            api,
            sessions,
            cache,
            metrics,
            interval=settings.poll_interval_sec,
            changes_interval=settings.changes_interval_sec,
            search_role=settings.poll_default_search_role,
            referenced=partial(index.refs, service.name),
            in_use=lambda region: in_use((obj for _, obj in stores.objects.items()), region),
            needed=users.exist,
        )
        users.on_first = poller.soon
        stores.objects.add_handler(users.on_object)
        made[service.name] = AwsSide(cache, poller)
    return made
