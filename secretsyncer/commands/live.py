"""`secretsyncer render --from-aws`: reads AWS as the operator does."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from secretsyncer.aws.api.parameterstore import ParameterStore
from secretsyncer.aws.api.secretsmanager import SecretsManager
from secretsyncer.aws.api.service_api import ServiceApi
from secretsyncer.aws.api.sessions import Sessions
from secretsyncer.aws.listing.listings import AllListings
from secretsyncer.aws.listing.poller import Poller
from secretsyncer.aws.regions import Regions
from secretsyncer.aws.values.cache import SecretCache
from secretsyncer.aws.values.sources import Sources
from secretsyncer.commands.renderer import Renderer
from secretsyncer.errors import SettingsError, SyncFailure
from secretsyncer.gotemplate.engine import TemplateEngine
from secretsyncer.metrics import Metrics
from secretsyncer.settings import Settings
from secretsyncer.sync.authorize import Rules
from secretsyncer.sync.content import ContentRenderer

_NO_CREDENTIALS = (
    "AWS: this shell has no valid AWS credentials ({detail}). --from-aws reads AWS with them, and not as the operator: set "
    "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, so that `aws sts get-caller-identity` succeeds"
)


@asynccontextmanager
async def aws_renderer(
    settings: Settings, engine: TemplateEngine, metrics: Metrics, services: Collection[str]
) -> AsyncIterator[Renderer]:
    """A renderer that lists these services and reads as the operator would, with the credentials of this shell."""
    async with Sessions(
        metrics,
        regions=Regions(settings.extra_regions),
        external_id=settings.role_external_id,
        session_name=settings.role_session_name,
    ) as sessions:
        caches: dict[str, SecretCache] = {}
        pollers: list[Poller] = []
        apis: tuple[ServiceApi, ...] = (
            SecretsManager(sessions),
            ParameterStore(sessions, settings.parameter_calls_per_second),
        )
        for api in apis:
            cache = SecretCache(api, metrics, region=sessions.region, regions=sessions.regions)
            caches[api.service.name] = cache
            if api.service.name in services:
                interval, role = settings.poll_interval_sec, settings.poll_default_search_role
                pollers.append(Poller(api, sessions, cache, metrics, interval=interval, search_role=role))
        values = Sources(caches)
        logging.getLogger("secretsyncer.aws").addHandler(logging.NullHandler())  # what fails is said here
        try:
            if missing := await sessions.missing_credentials():
                raise SettingsError(_NO_CREDENTIALS.format(detail=missing))
            account = await sessions.account()
            for poller in pollers:
                if not await poller.poll_once():
                    print(f"secretsyncer: {poller.health()}", file=sys.stderr)
            rules = Rules(settings.ns_annotation, settings.require_ns_annotation)
            listings = AllListings(poller.catalogue for poller in pollers)
            yield Renderer(ContentRenderer(values, engine, metrics), listings, account, rules)
        except SyncFailure as failure:
            raise SettingsError(f"AWS: {failure.message}") from None
        finally:
            await values.aclose()
