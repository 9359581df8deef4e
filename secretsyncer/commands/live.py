"""`secretsyncer render --from-aws`: reads AWS as the operator does."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from secretsyncer.aws.api.secretsmanager import SecretsManager
from secretsyncer.aws.api.sessions import Sessions
from secretsyncer.aws.listing.poller import Poller
from secretsyncer.aws.regions import Regions
from secretsyncer.aws.values.cache import SecretCache
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
async def aws_renderer(settings: Settings, engine: TemplateEngine, metrics: Metrics) -> AsyncIterator[Renderer]:
    """A renderer that lists and reads AWS as the operator would, with the credentials of this shell."""
    async with Sessions(
        metrics,
        regions=Regions(settings.extra_regions),
        external_id=settings.role_external_id,
        session_name=settings.role_session_name,
    ) as sessions:
        api = SecretsManager(sessions)
        cache = SecretCache(api, metrics, region=sessions.region, regions=sessions.regions)
        poller = Poller(
            api,
            sessions,
            cache,
            metrics,
            interval=settings.poll_interval_sec,
            search_role=settings.poll_default_search_role,
        )
        logging.getLogger("secretsyncer").addHandler(logging.NullHandler())  # what fails is said here
        try:
            if missing := await sessions.missing_credentials():
                raise SettingsError(_NO_CREDENTIALS.format(detail=missing))
            account = await sessions.account()
            if not await poller.poll_once():
                print(f"secretsyncer: {poller.health()}", file=sys.stderr)
            rules = Rules(settings.ns_annotation, settings.require_ns_annotation)
            yield Renderer(ContentRenderer(cache, engine, metrics), poller.catalogue, account, rules)
        except SyncFailure as failure:
            raise SettingsError(f"AWS: {failure.message}") from None
        finally:
            await cache.aclose()
