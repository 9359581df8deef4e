"""The status page over objects of a test: served by the real HTTP server, without a cluster and without AWS."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from types import SimpleNamespace

from secretsyncer.aws.arn import Account
from secretsyncer.aws.listing.outlook import Outlook, calls_per_day
from secretsyncer.errors import Reason, Rejected, Unavailable
from secretsyncer.kube.resources import NAMESPACES, SECRETS, SYNCED_SECRETS
from secretsyncer.kube.store import ObjectStore
from secretsyncer.kube.workqueue import WorkQueue
from secretsyncer.loops import loop_time
from secretsyncer.operator.http_server import Server
from secretsyncer.operator.status_page.site import StatusPage
from secretsyncer.sync import status
from secretsyncer.sync.authorize import Rules
from secretsyncer.sync.observed import namespace_view, synced_secret_view
from secretsyncer.sync.status import Source
from secretsyncer.sync.stores import Stores
from tests.support.builders import ACCOUNT, ANNOTATION, REGION, namespace, secret_arn, synced_secret
from tests.support.specs import all_keys

FAILURES = (
    Rejected(Reason.ACCESS_DENIED, "role arn:aws:iam::123456789012:role/reader may not read payments/prod/api: AWS says "
             "AccessDeniedException (secretsmanager:GetSecretValue)"),
    Rejected(Reason.SECRET_NOT_FOUND, "dataFrom: the operator finds no such secret or version: reports/quarterly"),
    Unavailable(Reason.AWS_UNAVAILABLE, "AWS throttles the calls of the role reader (ThrottlingException)"),
    Rejected(Reason.TEMPLATE_ERROR, "data.config: line 1: missing value for range"),
    Rejected(Reason.ROLE_NOT_ALLOWED, "role arn:aws:iam::123456789012:role/admin is not in the annotation "
             "iam.amazonaws.com/allowed-roles of namespace team-a"),
)  # fmt: skip


def reported(name, team, content, **spec):
    """An object with this status."""
    obj = synced_secret(
        name=name, namespace=team, uid=f"{team}/{name}", dataFrom=all_keys(f"{team}/{name}"), **spec
    )
    return {**obj, "status": content}


def many(count, *, now=None, wrong=0.02):
    """So many objects in a namespace for every twenty, some of which do not work."""
    now = now or time.time()
    for number in range(count):
        team, name = f"team-{number // 20:03}", f"service-{number:04}"
        source = Source(
            f"{team}/prod/{name}", secret_arn(f"{team}/prod/{name}"), f"{number:08}-2222-3333-4444-555555555555"
        )
        content = status.synced({}, generation=1, sources=(source,), keys=3, now=now - number * 60)
        if number % round(1 / wrong) == 7:
            failure = FAILURES[number // round(1 / wrong) % len(FAILURES)]
            content = status.failed(content, failure, generation=1, now=now - number)
        elif number % 500 == 99:
            content = status.suspended(content, generation=1, now=now - 3600)
        elif number % 1000 == 998:
            content = {}
        yield reported(name, team, content)


class Pages:
    """Instead of the pages of a process: texts that say what was asked for; what `render` makes, at `/`."""

    def __init__(self, render=None):
        self._render = render

    def front(self, view):
        return self._render or f"{view}".encode

    def missing(self):
        return lambda: b"missing"

    def has(self, key):
        return key.name != "missing"

    def one(self, key):
        return f"{key}".encode

    def aws(self):
        return "aws".encode


@asynccontextmanager
async def site(objects, metrics, *, problem=None, leading=True, spaces=(), events=()):
    """The pages of a process that has seen these objects."""
    stores = Stores(
        ObjectStore(SYNCED_SECRETS, transform=synced_secret_view),
        ObjectStore(NAMESPACES, transform=namespace_view(ANNOTATION)),
        ObjectStore(SECRETS),
    )
    objects = list(objects)
    names = {obj["metadata"]["namespace"] for obj in objects} - {one["metadata"]["name"] for one in spaces}
    for store, found in ((stores.objects, objects), (stores.namespaces, [*map(namespace, names), *spaces])):
        await store.replace("", [store.prepare(obj) for obj in found], "1")
    outlook = Outlook(
        "Secrets Manager", "ListSecrets", REGION, "the operator", len(objects) + 3, time.time() - 12, loop_time() + 288,
        problem, calls_per_day(len(objects) + 3, interval=300, changes_interval=10),
    )  # fmt: skip
    yield StatusPage(
        stores,
        [SimpleNamespace(outlook=lambda: outlook, needed=lambda: True)],
        WorkQueue(metrics=metrics),
        metrics,
        rules=Rules(ANNOTATION, require_annotation=False),
        leading=lambda: leading,
        account=lambda: Account("aws", ACCOUNT),
        events=lambda uid: [event for event in events if event["uid"] == uid],
        began=loop_time(),
    )


@asynccontextmanager
async def served(page, metrics):
    """A server that has this page; its port."""
    server = Server(
        "127.0.0.1", 0, registry=metrics.registry, health={"loops": lambda: None}, readiness={}, page=lambda: page
    )
    await server.start()
    try:
        yield server.port
    finally:
        await server.stop()
